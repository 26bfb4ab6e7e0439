/* Exact decimal expansion of a binary fraction, by schoolbook arithmetic on limbs of nine
 * decimal digits. Serves the rare cases: halfway texts when reading, %.<n>g when printing. */
#include <string.h>

#include "base/check.h"
#include "base/number_decimal.h"

enum { LIMB_DIGITS = 9, LIMB_BASE = 1000000000, LIMB_COUNT = 160, STEP_BITS = 29 };

/* limbs[point] is the ones limb; lower positions hold higher powers. */
struct expansion {
    int first; /* most significant non-zero limb */
    int last;  /* one behind the least significant limb */
    uint32_t limbs[LIMB_COUNT];
};

static void multiply_power2(struct expansion *x, int shift) {
    uint64_t carry = 0;
    for (int i = x->last - 1; i >= x->first; i--) {
        const uint64_t v = ((uint64_t)x->limbs[i] << shift) + carry;
        x->limbs[i] = (uint32_t)(v % LIMB_BASE);
        carry = v / LIMB_BASE;
    }
    if (carry != 0) {
        ASSERT(x->first > 0);
        x->limbs[--x->first] = (uint32_t)carry;
    }
}

/* shift <= 9, so that what is shifted out of a limb is a whole number of the next one. */
static void divide_power2(struct expansion *x, int shift) {
    const uint32_t mask = (1U << shift) - 1;
    const uint32_t unit = LIMB_BASE >> shift;
    uint32_t carry = 0;
    for (int i = x->first; i < x->last; i++) {
        const uint32_t v = x->limbs[i];
        x->limbs[i] = (v >> shift) + carry * unit;
        carry = v & mask;
    }
    if (carry != 0) {
        ASSERT(x->last < LIMB_COUNT);
        x->limbs[x->last++] = carry * unit;
    }
    if (x->first < x->last - 1 && x->limbs[x->first] == 0) {
        x->first++;
    }
}

static void write_limb(char *to, uint32_t v) {
    for (int i = LIMB_DIGITS - 1; i >= 0; i--) {
        to[i] = (char)('0' + v % 10);
        v /= 10;
    }
}

void decimal_exact(uint64_t m, int e, struct decimal_digits *out) {
    ASSERT(m > 0 && e >= -1076 && e <= 1023);
    /* Whole numbers grow to the front, fractions to the back. */
    const int point = e > 0 ? LIMB_COUNT - 1 : 2;
    struct expansion x = {.first = point - 2, .last = point + 1};
    x.limbs[point] = (uint32_t)(m % LIMB_BASE);
    x.limbs[point - 1] = (uint32_t)(m / LIMB_BASE % LIMB_BASE);
    x.limbs[point - 2] = (uint32_t)(m / LIMB_BASE / LIMB_BASE);
    while (x.limbs[x.first] == 0) {
        x.first++;
    }
    for (; e > 0; e -= e < STEP_BITS ? e : STEP_BITS) {
        multiply_power2(&x, e < STEP_BITS ? e : STEP_BITS);
    }
    for (; e < 0; e += -e < LIMB_DIGITS ? -e : LIMB_DIGITS) {
        divide_power2(&x, -e < LIMB_DIGITS ? -e : LIMB_DIGITS);
    }

    char text[LIMB_COUNT * LIMB_DIGITS];
    int n = 0;
    for (int i = x.first; i < x.last; i++, n += LIMB_DIGITS) {
        write_limb(text + n, x.limbs[i]);
    }
    int zeros = 0;
    while (text[zeros] == '0') {
        zeros++;
    }
    while (text[n - 1] == '0') {
        n--;
    }
    out->count = n - zeros;
    out->point = (point + 1 - x.first) * LIMB_DIGITS - zeros;
    ASSERT(out->count <= DECIMAL_DIGITS_MAX);
    memcpy(out->digits, text + zeros, (size_t)out->count);
}

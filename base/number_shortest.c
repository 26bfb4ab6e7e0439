/* The shortest decimal of a double: Raffaello Giulietti, "The Schubfach way to render doubles"
 * (2021).
 *
 * Scaled by the right 10^-k, the interval of reals that round to v holds at least one and at most
 * a few integers; the shortest decimal is among the multiples of ten and the integers next to
 * the scaled v. Round to odd keeps just enough of the discarded bits (one sticky bit) for all
 * comparisons to come out as with exact arithmetic. */
#include "base/check.h"
#include "base/number_decimal.h"
#include "base/number_table.h"
#include "base/value.h"

enum { FRACTION_BITS = 52, EXPONENT_MIN = -1074 };

/* floor(a * 10^q scaled), its last bit set when something was cut off. The table is rounded
 * down and the method wants it rounded up. */
static uint64_t scale_to_odd(uint64_t a, int q) {
    const struct u128 *power = number_power(q);
    unsigned __int128 g = (unsigned __int128)power->hi << 64 | power->lo;
    if (q < 0 || q > NUMBER_POWER_EXACT_MAX) {
        g++;
    }
    const unsigned __int128 low = (unsigned __int128)a * (uint64_t)g;
    const unsigned __int128 high =
        (unsigned __int128)a * (uint64_t)(g >> 64) + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1 ? 1 : 0);
}

static struct decimal_short without_zeros(uint64_t d, int e) {
    while (d % 100 == 0) {
        d /= 100;
        e += 2;
    }
    if (d % 10 == 0) {
        d /= 10;
        e++;
    }
    return (struct decimal_short){d, e};
}

static struct decimal_short shortest_of(uint64_t c, int q, bool closer_below) {
    const bool odd = (c & 1) != 0; /* the borders belong to even mantissas */
    const int k = (int)(((int64_t)q * 1262611 - (closer_below ? 524031 : 0)) >> 22);
    const int h = q + number_log2_of_power10(-k) + 1;
    const uint64_t centre = 4 * c;
    const uint64_t vb = scale_to_odd(centre << h, -k);
    const uint64_t lower = scale_to_odd((centre - (closer_below ? 1 : 2)) << h, -k) + odd;
    const uint64_t upper = scale_to_odd((centre + 2) << h, -k) - odd;

    const uint64_t s = vb / 4;
    if (s >= 10) {
        const uint64_t tens = s / 10;
        const bool below_in = lower <= 40 * tens;
        const bool above_in = 40 * tens + 40 <= upper;
        if (below_in != above_in) {
            return without_zeros(tens + above_in, k + 1);
        }
    }
    const bool below_in = lower <= 4 * s;
    const bool above_in = 4 * s + 4 <= upper;
    if (below_in != above_in) {
        return without_zeros(s + above_in, k);
    }
    const uint64_t middle = 4 * s + 2;
    const bool up = vb > middle || (vb == middle && (s & 1) != 0);
    return without_zeros(s + up, k);
}

struct decimal_short decimal_shortest(double v) {
    ASSERT(v > 0);
    const struct binary b = binary_of(v);
    if (b.e <= 0 && b.e >= -FRACTION_BITS && (b.m & ((UINT64_C(1) << -b.e) - 1)) == 0) {
        return without_zeros(b.m >> -b.e, 0); /* a whole number below 2^53 */
    }
    const bool closer_below = b.m == UINT64_C(1) << FRACTION_BITS && b.e > EXPONENT_MIN;
    return shortest_of(b.m, b.e, closer_below);
}

#include "query/window_order.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/value.h"
#include "query/bits.h"

enum {
    SEGMENT_LEAST = 1024,
    SEGMENT_WINDOWS = 4, /* a sample is ranked 4/3 times when windows overlap */
    SEGMENT_SHORT = 65536,
    DIGIT_BITS = 8,
    DIGITS = 1 << DIGIT_BITS,
    INSERT_MAX = 48, /* so few are sorted faster by insertion than counted */
    SORTED_BETWEEN_CHECKS = 65536,
};

enum err_code window_order_init(struct window_order *order, struct work *work, const double *column,
                                size_t count, size_t widest, const struct cancel *cancel,
                                struct err *err) {
    size_t reach = widest > SEGMENT_SHORT ? 2 * widest : SEGMENT_WINDOWS * widest;
    reach = reach < SEGMENT_LEAST ? SEGMENT_LEAST : reach;
    reach = reach < count ? reach : count;
    *order =
        (struct window_order){.column = column, .count = count, .reach = reach, .cancel = cancel};
    const size_t words = bits_words(reach) + 1;
    order->ranked = work_alloc(work, reach + 1, sizeof(*order->ranked), err);
    order->spare = work_alloc(work, reach + 1, sizeof(*order->spare), err);
    order->rank_of = work_alloc(work, reach + 1, sizeof(*order->rank_of), err);
    order->in = work_alloc(work, words, sizeof(*order->in), err);
    order->in_word = work_alloc(work, words, sizeof(*order->in_word), err);
    const bool all = order->ranked != NULL && order->spare != NULL && order->rank_of != NULL &&
                     order->in != NULL && order->in_word != NULL;
    return all ? ERR_OK : ERR_LIMIT;
}

/* ---- ranks ---- */

/* Integers in the order of the values: NaNs first, zeros of both signs equal. */
static uint64_t key_of(double v) {
    if (isnan(v)) {
        return 0;
    }
    const uint64_t bits = f64_bits(v + 0.0); /* -0 + 0 is +0 */
    const uint64_t sign = UINT64_C(1) << 63;
    return (bits & sign) != 0 ? ~bits : bits | sign;
}

static void insertion_sort(struct rank_entry *e, size_t n) {
    for (size_t i = 1; i < n; i++) {
        const struct rank_entry x = e[i];
        size_t at = i;
        while (at > 0 && e[at - 1].key > x.key) {
            e[at] = e[at - 1];
            at--;
        }
        e[at] = x;
    }
}

/* One stable pass by the digit at shift. */
static enum err_code deal(const struct rank_entry *from, struct rank_entry *to, size_t n,
                          unsigned shift, const struct cancel *cancel) {
    uint32_t place[DIGITS] = {0};
    for (size_t i = 0; i < n; i++) {
        place[from[i].key >> shift & (DIGITS - 1)]++;
    }
    uint32_t sum = 0;
    for (size_t d = 0; d < DIGITS; d++) {
        const uint32_t here = place[d];
        place[d] = sum;
        sum += here;
    }
    for (size_t start = 0; start < n; start += SORTED_BETWEEN_CHECKS) {
        const size_t end = n - start < SORTED_BETWEEN_CHECKS ? n : start + SORTED_BETWEEN_CHECKS;
        for (size_t i = start; i < end; i++) {
            to[place[from[i].key >> shift & (DIGITS - 1)]++] = from[i];
        }
        if (n > SORTED_BETWEEN_CHECKS && cancel_check(cancel) != ERR_OK) {
            return cancel_check(cancel);
        }
    }
    return ERR_OK;
}

/* By the digits in which any keys differ, the least first. */
static enum err_code rank(struct window_order *o, size_t n) {
    uint64_t differ = 0;
    bool sorted = true;
    for (size_t i = 0; i < n; i++) {
        o->ranked[i] = (struct rank_entry){key_of(o->column[o->first + i]), (uint32_t)i};
        differ |= o->ranked[i].key ^ o->ranked[0].key;
        sorted = sorted && (i == 0 || o->ranked[i - 1].key <= o->ranked[i].key);
    }
    if (sorted) {
        return ERR_OK;
    }
    if (n <= INSERT_MAX) {
        insertion_sort(o->ranked, n);
        return ERR_OK;
    }
    for (unsigned shift = 0; shift < 64; shift += DIGIT_BITS) {
        if ((differ >> shift & (DIGITS - 1)) == 0) {
            continue;
        }
        const enum err_code code = deal(o->ranked, o->spare, n, shift, o->cancel);
        if (code != ERR_OK) {
            return code;
        }
        struct rank_entry *dealt = o->spare;
        o->spare = o->ranked;
        o->ranked = dealt;
    }
    return ERR_OK;
}

/* Locals, since the compiler has to expect that what is written through bytes is the order itself. */
static void put(struct window_order *o, size_t from, size_t to) {
    const uint32_t *rank_of = o->rank_of;
    uint64_t *in = o->in;
    uint8_t *in_word = o->in_word;
    const size_t first = o->first;
    for (size_t i = from; i < to; i++) {
        const uint32_t r = rank_of[i - first];
        bits_set(in, r);
        in_word[r / 64]++;
    }
}

static void take_out(struct window_order *o, size_t from, size_t to) {
    const uint32_t *rank_of = o->rank_of;
    uint64_t *in = o->in;
    uint8_t *in_word = o->in_word;
    const size_t first = o->first;
    for (size_t i = from; i < to; i++) {
        const uint32_t r = rank_of[i - first];
        bits_clear(in, r);
        in_word[r / 64]--;
    }
}

/* The segment that begins with the window, none of which is in. */
static enum err_code begin_segment(struct window_order *o, size_t low) {
    o->first = low;
    o->end = o->count - low < o->reach ? o->count : low + o->reach;
    const size_t n = o->end - low;
    const enum err_code code = rank(o, n);
    for (size_t r = 0; r < n && code == ERR_OK; r++) {
        o->rank_of[o->ranked[r].at] = (uint32_t)r;
    }
    bits_zero(o->in, n);
    memset(o->in_word, 0, bits_words(n));
    return code;
}

enum err_code window_order_slide(struct window_order *order, size_t low, size_t high) {
    ASSERT(low >= order->low && high >= order->high && low <= high && high <= order->count);
    size_t from = order->high > low ? order->high : low;
    if (high > order->end) {
        const enum err_code code = begin_segment(order, low);
        if (code != ERR_OK) {
            return code;
        }
        from = low;
    } else {
        take_out(order, order->low, order->high < low ? order->high : low);
    }
    put(order, from, high);
    order->low = low;
    order->high = high;
    return ERR_OK;
}

/* ---- look-up ---- */

/* The word without its n lowest bits; it has more. How many each byte and those below it have
 * comes from adding all bytes at once. */
static uint64_t without_lowest(uint64_t word, size_t n) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t sums = word - (word >> 1 & UINT64_C(0x5555555555555555));
    sums = (sums & UINT64_C(0x3333333333333333)) + (sums >> 2 & UINT64_C(0x3333333333333333));
    sums = ((sums + (sums >> 4)) & UINT64_C(0x0F0F0F0F0F0F0F0F)) * ones;
    unsigned shift = 0;
    size_t below = 0;
    while ((sums >> shift & 0xFF) <= n) {
        below = sums >> shift & 0xFF;
        shift += 8;
    }
    word = word >> shift << shift;
    for (; below < n; below++) {
        word &= word - 1;
    }
    return word;
}

static double value_at(const struct window_order *o, size_t word, uint64_t bits) {
    return o->column[o->first + o->ranked[word * 64 + (size_t)__builtin_ctzll(bits)].at];
}

void window_order_at(const struct window_order *order, size_t rank_wanted, double out[2]) {
    ASSERT(rank_wanted < order->high - order->low);
    size_t word = 0;
    size_t left = rank_wanted;
    while (left >= order->in_word[word]) {
        left -= order->in_word[word++];
    }
    uint64_t bits = without_lowest(order->in[word], left);
    out[0] = value_at(order, word, bits);
    out[1] = out[0];
    if (rank_wanted + 1 == order->high - order->low) {
        return;
    }
    bits &= bits - 1;
    while (bits == 0) {
        bits = order->in[++word];
    }
    out[1] = value_at(order, word, bits);
}

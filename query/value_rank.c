#include "query/value_rank.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/value.h"

enum { SAMPLE_MAX = 129, SORTED_MAX = 24, ROUNDS_MAX = 40 };

/* Values in [low, high] are looked at further. */
struct bracket {
    double low, high;
};

struct counts {
    size_t below, within;
};

/* What is left of the values, and what is known of those that were dropped. */
struct search {
    double *v;
    size_t n;
    size_t rank;
    double
        next; /* the least of those dropped that are above the rest; of no meaning unless has_next */
    bool has_next;
    const struct cancel *cancel;
};

static void insertion_sort(double *v, size_t n) {
    for (size_t i = 1; i < n; i++) {
        const double x = v[i];
        size_t at = i;
        for (; at > 0 && v[at - 1] > x; at--) {
            v[at] = v[at - 1];
        }
        v[at] = x;
    }
}

/* Of a sample of S values the rank's place is off by sqrt(S)/2 at most in two of three cases. */
static struct bracket guess(const struct search *s) {
    const size_t size = s->n < 512 ? 17 : s->n < 8192 ? 33 : SAMPLE_MAX;
    const size_t off = s->n < 512 ? 2 : s->n < 8192 ? 4 : 12;
    double sample[SAMPLE_MAX];
    for (size_t i = 0; i < size; i++) {
        sample[i] = s->v[i * (s->n - 1) / (size - 1)];
    }
    insertion_sort(sample, size);
    const size_t at = s->rank * (size - 1) / (s->n - 1);
    return (struct bracket){sample[at > off ? at - off : 0],
                            sample[at + off + 1 < size ? at + off + 1 : size - 1]};
}

/* The lower half of where the values lie among all numbers, which are in the order of their bits: for
 * values that mislead every guess. 64 rounds leave one number. */
static struct bracket lower_half(const struct search *s) {
    const int64_t magnitude = INT64_MAX;
    double least = s->v[0];
    double most = s->v[0];
    for (size_t i = 1; i < s->n; i++) {
        least = s->v[i] < least ? s->v[i] : least;
        most = s->v[i] > most ? s->v[i] : most;
    }
    int64_t low = (int64_t)f64_bits(least);
    int64_t high = (int64_t)f64_bits(most);
    low = low < 0 ? -(low & magnitude) : low;
    high = high < 0 ? -(high & magnitude) : high;
    const int64_t middle = low + (int64_t)(((uint64_t)high - (uint64_t)low) / 2);
    const uint64_t sign = middle < 0 ? UINT64_C(1) << 63 : 0;
    const uint64_t bits = (uint64_t)(middle < 0 ? -middle : middle) | sign;
    struct bracket b = {.low = least};
    memcpy(&b.high, &bits, sizeof(b.high));
    return b;
}

static size_t slice_end(size_t begin, size_t n) {
    return n - begin < VALUE_RANK_SLICE ? n : begin + VALUE_RANK_SLICE;
}

static bool stopped(const struct search *s, size_t done) {
    return done < s->n && cancel_check(s->cancel) != ERR_OK;
}

static bool count(const struct search *s, const struct bracket *b, struct counts *out) {
    uint64_t below = 0;
    uint64_t above = 0;
    for (size_t i = 0, end = 0; i < s->n; i = end) {
        end = slice_end(i, s->n);
        for (size_t k = i; k < end; k++) {
            below += s->v[k] < b->low;
            above += s->v[k] > b->high;
        }
        if (stopped(s, end)) {
            return false;
        }
    }
    *out = (struct counts){below, s->n - below - above};
    return true;
}

/* Keeps the values in [low, high]. */
static bool keep(struct search *s, double low, double high) {
    size_t kept = 0;
    for (size_t i = 0, end = 0; i < s->n; i = end) {
        end = slice_end(i, s->n);
        for (size_t k = i; k < end; k++) {
            const double x = s->v[k];
            s->v[kept] = x;
            kept += (size_t)(x >= low) & (size_t)(x <= high);
        }
        if (stopped(s, end)) {
            return false;
        }
    }
    s->n = kept;
    return true;
}

/* The least value above x, if there is one. */
static bool find_above(struct search *s, double x) {
    double least = INFINITY;
    bool any = false;
    for (size_t i = 0, end = 0; i < s->n; i = end) {
        end = slice_end(i, s->n);
        for (size_t k = i; k < end; k++) {
            const bool above = s->v[k] > x;
            least = above && s->v[k] < least ? s->v[k] : least;
            any |= above;
        }
        if (stopped(s, end)) {
            return false;
        }
    }
    if (any) {
        s->next = least;
        s->has_next = true;
    }
    return true;
}

/* NaNs go, as they are less than all. SORT: one of them has the rank, or a zero is negative, which
 * equals those that are not. */
static enum value_rank_result drop_nans(struct search *s) {
    size_t nans = 0;
    bool negative_zero = false;
    for (size_t i = 0, end = 0; i < s->n; i = end) {
        end = slice_end(i, s->n);
        for (size_t k = i; k < end; k++) {
            nans += isnan(s->v[k]) != 0;
            negative_zero |= f64_bits(s->v[k]) == UINT64_C(1) << 63;
        }
        if (stopped(s, end)) {
            return VALUE_RANK_STOPPED;
        }
    }
    if (negative_zero || s->rank < nans) {
        return VALUE_RANK_SORT;
    }
    if (nans > 0) {
        s->rank -= nans;
        return keep(s, -INFINITY, INFINITY) ? VALUE_RANK_FOUND : VALUE_RANK_STOPPED;
    }
    return VALUE_RANK_FOUND;
}

static void found(const struct search *s, double value, double next, bool has_next, double out[2]) {
    out[0] = value;
    out[1] = has_next ? next : s->has_next ? s->next : value;
}

/* One round; *done: out is the result. */
static bool narrow(struct search *s, struct bracket b, bool *done, double out[2]) {
    struct counts c;
    if (!count(s, &b, &c)) {
        return false;
    }
    if (c.within == s->n && b.low < b.high) { /* few different values */
        b.high = b.low;
        if (!count(s, &b, &c)) {
            return false;
        }
    }
    if (s->rank < c.below) {
        s->next = b.low;
        s->has_next = true;
        return keep(s, -INFINITY, nextafter(b.low, -INFINITY));
    }
    if (s->rank >= c.below + c.within) {
        s->rank -= c.below + c.within;
        return keep(s, nextafter(b.high, INFINITY), INFINITY);
    }
    s->rank -= c.below;
    if (s->rank + 1 == c.within && !find_above(s, b.high)) {
        return false;
    }
    if (b.low == b.high) {
        found(s, b.low, b.low, s->rank + 1 < c.within, out);
        *done = true;
        return true;
    }
    return keep(s, b.low, b.high);
}

enum value_rank_result value_rank_find(double *values, size_t n, size_t rank,
                                       const struct cancel *cancel, double out[2]) {
    struct search s = {.v = values, .n = n, .rank = rank, .cancel = cancel};
    const enum value_rank_result clean = drop_nans(&s);
    if (clean != VALUE_RANK_FOUND) {
        return clean;
    }
    bool done = false;
    for (int round = 0; s.n > SORTED_MAX && !done; round++) {
        const struct bracket b = round < ROUNDS_MAX ? guess(&s) : lower_half(&s);
        if (!narrow(&s, b, &done, out)) {
            return VALUE_RANK_STOPPED;
        }
    }
    if (!done) {
        insertion_sort(s.v, s.n);
        found(&s, s.v[s.rank], s.rank + 1 < s.n ? s.v[s.rank + 1] : 0, s.rank + 1 < s.n, out);
    }
    return VALUE_RANK_FOUND;
}

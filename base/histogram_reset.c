/* Counter resets and zero buckets of histograms (spec/promql.md section 18). Nothing is allocated:
 * resets are looked for between any two neighbours. */
#include <math.h>

#include "base/histogram.h"

enum histogram_hint histogram_sum_hint(enum histogram_hint a, enum histogram_hint b,
                                       bool *conflict) {
    if (a == b) {
        return a;
    }
    if (a == HINT_GAUGE || b == HINT_GAUGE) {
        return HINT_GAUGE;
    }
    if (a != HINT_UNKNOWN && b != HINT_UNKNOWN) {
        *conflict = true;
    }
    return HINT_UNKNOWN;
}

/* Adds the buckets of one side that threshold swallows. True when it had to grow. */
static bool swallow(int32_t schema, struct histogram_cursor side, double *threshold,
                    double *zero_count) {
    int32_t index = 0;
    double count = 0;
    while (histogram_cursor_next(&side, &index, &count)) {
        if (histogram_exponential_bound(schema, (int64_t)index - 1) >= *threshold) {
            return false;
        }
        *zero_count += count;
        const double outer = histogram_exponential_bound(schema, index);
        if (outer > *threshold) {
            if (count == 0) {
                return false;
            }
            *threshold = outer;
            return true;
        }
    }
    return false;
}

double histogram_zero_count(int32_t schema, double zero_count, double *threshold,
                            struct histogram_cursor positive, struct histogram_cursor negative) {
    double sum = 0;
    do {
        sum = zero_count;
        (void)swallow(schema, positive, threshold, &sum);
    } while (swallow(schema, negative, threshold, &sum));
    return sum;
}

/* ---- resets ---- */

/* Buckets of one side at a coarser schema, those inside the zero bucket left out. */
struct merged {
    struct histogram_cursor c;
    int32_t shift;
    int32_t schema;
    double threshold; /* < 0: leaves nothing out */
    bool has_next;
    int32_t next_index;
    double next_count;
};

static struct merged merged_of(const struct histogram_side *side, const struct histogram *h,
                               int32_t schema, double threshold) {
    struct merged m = {.c = histogram_cursor_of(side),
                       .shift = h->schema - schema,
                       .schema = schema,
                       .threshold = threshold};
    m.has_next = histogram_cursor_next(&m.c, &m.next_index, &m.next_count);
    return m;
}

static bool merged_next(struct merged *m, int32_t *index, double *count) {
    while (m->has_next) {
        *index = histogram_coarser_index(m->next_index, m->shift);
        *count = 0;
        while (m->has_next && histogram_coarser_index(m->next_index, m->shift) == *index) {
            *count += m->next_count;
            m->has_next = histogram_cursor_next(&m->c, &m->next_index, &m->next_count);
        }
        if (m->threshold < 0 || histogram_exponential_bound(m->schema, *index) > m->threshold) {
            return true;
        }
    }
    return false;
}

static bool side_reset(struct merged now, struct merged before) {
    int32_t index = 0;
    double count = 0;
    int32_t index_now = 0;
    double count_now = 0;
    bool has_now = merged_next(&now, &index_now, &count_now);
    while (merged_next(&before, &index, &count)) {
        while (has_now && index_now < index) {
            has_now = merged_next(&now, &index_now, &count_now);
        }
        if (has_now && index_now == index ? count_now < count : count != 0) {
            return true;
        }
    }
    return false;
}

/* Observations of the buckets up to the one that ends at bound. */
static double take_up_to(struct merged *m, const struct histogram *h, double bound) {
    double sum = 0;
    while (m->has_next && histogram_bound(h, m->next_index) <= bound) {
        sum += m->next_count;
        m->has_next = histogram_cursor_next(&m->c, &m->next_index, &m->next_count);
    }
    return sum;
}

static bool custom_reset(const struct histogram *h, const struct histogram *prev) {
    struct merged now = merged_of(&h->positive, h, h->schema, -1);
    struct merged before = merged_of(&prev->positive, prev, h->schema, -1);
    for (uint32_t i = 0, k = 0; i < h->bound_count; i++) {
        while (k < prev->bound_count && prev->bounds[k] < h->bounds[i]) {
            k++;
        }
        if (k < prev->bound_count && prev->bounds[k] == h->bounds[i] &&
            take_up_to(&now, h, h->bounds[i]) < take_up_to(&before, prev, h->bounds[i])) {
            return true;
        }
    }
    return take_up_to(&now, h, INFINITY) < take_up_to(&before, prev, INFINITY);
}

bool histogram_detect_reset(const struct histogram *h, const struct histogram *prev) {
    if (h->hint == HINT_RESET || h->hint == HINT_NOT_RESET) {
        return h->hint == HINT_RESET;
    }
    if (h->count < prev->count) {
        return true;
    }
    if (histogram_is_custom(h)) {
        if (!histogram_is_custom(prev)) {
            return true;
        }
        if (!histogram_same_bounds(h, prev)) {
            return custom_reset(h, prev);
        }
        return side_reset(merged_of(&h->positive, h, h->schema, -1),
                          merged_of(&prev->positive, prev, h->schema, -1));
    }
    if (h->schema > prev->schema || h->zero_threshold < prev->zero_threshold) {
        return true;
    }
    double threshold = h->zero_threshold;
    double zero_count = prev->zero_count;
    if (threshold != prev->zero_threshold) {
        zero_count = histogram_zero_count(prev->schema, zero_count, &threshold,
                                          histogram_cursor_of(&prev->positive),
                                          histogram_cursor_of(&prev->negative));
    }
    if (threshold != h->zero_threshold || h->zero_count < zero_count) {
        return true;
    }
    return side_reset(merged_of(&h->positive, h, h->schema, threshold),
                      merged_of(&prev->positive, prev, h->schema, threshold)) ||
           side_reset(merged_of(&h->negative, h, h->schema, threshold),
                      merged_of(&prev->negative, prev, h->schema, threshold));
}

enum histogram_hint histogram_stored_hint(const struct histogram *h, const struct histogram *prev) {
    if (h->hint == HINT_GAUGE || h->hint == HINT_RESET) {
        return h->hint;
    }
    if (prev == NULL || prev->hint == HINT_GAUGE) {
        return HINT_UNKNOWN;
    }
    /* a store starts a new chunk at another layout, without having compared */
    if (h->schema != prev->schema || h->zero_threshold != prev->zero_threshold ||
        !histogram_same_bounds(h, prev)) {
        return HINT_UNKNOWN;
    }
    struct histogram unhinted = *h;
    unhinted.hint = HINT_UNKNOWN;
    /* a reset begins a chunk, whose first histogram readers compare themselves */
    return histogram_detect_reset(&unhinted, prev) ? HINT_UNKNOWN : HINT_NOT_RESET;
}

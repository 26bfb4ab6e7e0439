/* Computed as plainly as the format says it (FORMAT.md section 10.5), not as the writer does. */
#include "tsdb/summary_check.h"

#include <math.h>

#include "base/check.h"
#include "tsdb/chunk/value_op.h"
#include "tsdb/storage.h"

void summary_check_begin(struct summary_check *c, const struct series_summary *summary) {
    *c = (struct summary_check){.summary = summary};
}

static bool is_plain(const struct num *values, const uint8_t *states, uint32_t rows) {
    for (uint32_t i = 0; i < rows; i++) {
        if (states[i] != SLOT_VALUE || isnan(num_double(values[i]))) {
            return false;
        }
    }
    return true;
}

static bool rises(const struct summary_check *c, const struct num *values, uint32_t rows) {
    if (c->next != 0 && (!c->joins || num_double(values[0]) < c->last)) {
        return false;
    }
    for (uint32_t i = 1; i < rows; i++) {
        if (num_double(values[i]) < num_double(values[i - 1])) {
            return false;
        }
    }
    return true;
}

static bool has_range(const struct block_summary *s, const struct num *values, uint32_t rows) {
    const struct num min = {.m = s->min, .scale = s->scale, .kind = NUM_DECIMAL};
    const struct num max = {.m = s->max, .scale = s->scale, .kind = NUM_DECIMAL};
    double low = num_double(values[0]);
    double high = low;
    for (uint32_t i = 1; i < rows; i++) {
        const double v = num_double(values[i]);
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    return f64_same_bits(low, num_double(min)) && f64_same_bits(high, num_double(max));
}

static bool has_sum(const struct block_summary *s, const struct num *values, uint32_t rows) {
    __int128 sum = 0;
    for (uint32_t i = 0; i < rows; i++) {
        int64_t m;
        if (values[i].kind != NUM_DECIMAL || !value_rescale(values[i], 0, &m)) {
            return false;
        }
        sum += m;
    }
    return s->scale == 0 && sum == (__int128)s->min * rows + (__int128)s->excess;
}

static bool is_steady(const struct summary_check *c, const struct num *values, uint32_t rows) {
    const double first = num_double(c->first);
    for (uint32_t i = 0; i < rows; i++) {
        if (!f64_same_bits(num_double(values[i]), first)) {
            return false;
        }
    }
    return true;
}

const char *summary_check_block(struct summary_check *c, const struct num *values,
                                const uint8_t *states, uint32_t rows) {
    ASSERT(rows >= 1);
    const struct series_summary *all = c->summary;
    if (all->blocks == NULL || c->next >= all->count) {
        return NULL;
    }
    const struct block_summary *s = &all->blocks[c->next];
    const bool plain = is_plain(values, states, rows);
    const char *wrong = NULL;
    if (c->next == 0) {
        c->first = values[0];
    }
    if (s->plain && !plain) {
        wrong = "a value in each row";
    } else if (s->rises && !rises(c, values, rows)) {
        wrong = "no value that falls";
    } else if (s->has_range && !has_range(s, values, rows)) {
        wrong = "a smallest and a largest value";
    } else if (s->has_sum && !has_sum(s, values, rows)) {
        wrong = "a sum";
    } else if (all->steady && !is_steady(c, values, rows)) {
        wrong = "one value";
    }
    c->joins = plain;
    c->last = plain ? num_double(values[rows - 1]) : 0;
    c->next++;
    return wrong;
}

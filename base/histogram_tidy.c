#include "base/histogram_tidy.h"

#include <math.h>

#include "base/buf.h"
#include "base/number.h"

static COLD enum err_code too_large(struct err *err) {
    return err_set(err, ERR_LIMIT, "a histogram is too large for the memory that it may take");
}

/* ---- layout ---- */

struct side_writer {
    struct histogram_side *side;
    int64_t next; /* the index behind the last bucket */
    uint32_t max_gap;
    bool out_of_range;
};

static void write_bucket(struct side_writer *w, int64_t index, double count) {
    struct histogram_side *const side = w->side;
    const int64_t gap = index - w->next;
    if (count == 0) {
        return;
    }
    if (index > HISTOGRAM_INDEX_MAX || index < -HISTOGRAM_INDEX_MAX) {
        w->out_of_range = true;
        return;
    }
    if (side->span_count == 0 || gap > (int64_t)w->max_gap) {
        side->spans[side->span_count++] = (struct histogram_span){.offset = (int32_t)gap};
    } else {
        for (int64_t i = 0; i < gap; i++) {
            side->counts[side->count++] = 0;
        }
        side->spans[side->span_count - 1].length += (uint32_t)gap;
    }
    side->spans[side->span_count - 1].length++;
    side->counts[side->count++] = count;
    w->next = index + 1;
}

/* Buckets that fall into one are consecutive: the one at hand is added up until it is left. */
static bool tidy_side(struct arena *arena, const struct histogram_side *from, int shift,
                      uint32_t max_gap, struct histogram_side *to, bool *out_of_range) {
    *to = (struct histogram_side){0};
    if (from->count == 0) {
        return true;
    }
    to->counts = arena_try_alloc(arena, (size_t)from->count * (max_gap + 1), sizeof(to->counts[0]));
    to->spans = arena_try_alloc(arena, from->count, sizeof(to->spans[0]));
    if (to->counts == NULL || to->spans == NULL) {
        return false;
    }
    struct side_writer w = {.side = to, .max_gap = max_gap};
    const double *counts = from->counts;
    int64_t index = 0;
    int64_t open = 0;
    double sum = 0;
    for (uint32_t i = 0; i < from->span_count; i++) {
        index += from->spans[i].offset;
        for (uint32_t k = 0; k < from->spans[i].length; k++, index++) {
            const int64_t coarse = ((index - 1) >> shift) + 1;
            if (coarse != open) {
                write_bucket(&w, open, sum);
                open = coarse;
                sum = 0;
            }
            sum += *counts++;
        }
    }
    write_bucket(&w, open, sum);
    *out_of_range = *out_of_range || w.out_of_range;
    return true;
}

enum err_code histogram_tidy(struct arena *arena, const struct histogram *h, int shift,
                             uint32_t max_gap, struct histogram **out, struct err *err) {
    struct histogram *const tidy = arena_try_alloc(arena, 1, sizeof(*tidy));
    bool out_of_range = false;
    if (tidy == NULL) {
        return too_large(err);
    }
    *tidy = *h;
    tidy->schema -= shift;
    if (!tidy_side(arena, &h->positive, shift, max_gap, &tidy->positive, &out_of_range) ||
        !tidy_side(arena, &h->negative, shift, max_gap, &tidy->negative, &out_of_range)) {
        return too_large(err);
    }
    if (out_of_range) {
        return err_set(err, ERR_INVALID, "histogram has a bucket too far from zero");
    }
    *out = tidy;
    return ERR_OK;
}

/* ---- validity ---- */

static enum err_code add_counts(const struct histogram_side *side, const char *name, double *sum,
                                struct err *err) {
    for (uint32_t i = 0; i < side->count; i++) {
        if (side->counts[i] < 0) {
            struct buf text;
            buf_init(&text, 256);
            buf_append_number_g(&text, side->counts[i]);
            const enum err_code code =
                err_set(err, ERR_INVALID,
                        "%s side: bucket number %u has observation count of %.*s: histogram has a "
                        "bucket whose observation count is negative",
                        name, i + 1, STR_ARG(buf_str(&text)));
            buf_release(&text);
            return code;
        }
        *sum += side->counts[i];
    }
    return ERR_OK;
}

enum err_code histogram_validate(const struct histogram *h, bool floats, struct err *err) {
    double sum = h->zero_count;
    enum err_code code = histogram_check(h, err);
    if (code == ERR_OK) {
        code = add_counts(&h->negative, "negative", &sum, err);
    }
    if (code == ERR_OK) {
        code = add_counts(&h->positive, "positive", &sum, err);
    }
    if (code != ERR_OK || floats) {
        return code;
    }
    if (isnan(h->sum) ? sum > h->count : sum != h->count) {
        return err_set(err, ERR_INVALID,
                       "%.0f observations found in buckets, but the Count field is %.0f: "
                       "histogram's observation count should %s",
                       sum, h->count,
                       isnan(h->sum) ? "be at least the number of observations found in the buckets"
                                     : "equal the number of observations found in the buckets (in "
                                       "absence of NaN)");
    }
    return ERR_OK;
}

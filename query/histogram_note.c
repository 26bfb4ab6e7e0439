#include "query/histogram_note.h"

#include "base/histogram_sum.h"
#include "base/utf8.h"

enum { NAME_MAX_BYTES = 1024 };

/* "<text>"name"" */
static void add_named(struct eval *ev, enum annotation_level level, struct pos_range pos,
                      const char *text, struct str name) {
    struct buf quoted;
    buf_init(&quoted, NAME_MAX_BYTES);
    utf8_quote(&quoted, name);
    annotations_add(&ev->notes, level, pos, "%s%.*s", text, STR_ARG(buf_str(&quoted)));
    buf_release(&quoted);
}

void note_mixed_samples(struct eval *ev, struct pos_range pos, struct str name) {
    add_named(ev, ANNOTATION_WARNING, pos,
              "encountered a mix of histograms and floats for metric name ", name);
}

void note_mixed_aggregation(struct eval *ev, struct pos_range pos) {
    annotations_add(&ev->notes, ANNOTATION_WARNING, pos,
                    "encountered a mix of histograms and floats for aggregation");
}

void note_mixed_buckets(struct eval *ev, struct pos_range pos, struct str name) {
    add_named(ev, ANNOTATION_WARNING, pos,
              "vector contains a mix of histograms with exponential and custom buckets schemas for "
              "metric name ",
              name);
}

void note_not_counter(struct eval *ev, struct pos_range pos, struct str name) {
    add_named(ev, ANNOTATION_WARNING, pos, "this native histogram metric is not a counter: ", name);
}

void note_not_gauge(struct eval *ev, struct pos_range pos, struct str name) {
    add_named(ev, ANNOTATION_WARNING, pos, "this native histogram metric is not a gauge: ", name);
}

void note_hint_conflict(struct eval *ev, struct pos_range pos, const char *operation) {
    annotations_add(&ev->notes, ANNOTATION_WARNING, pos,
                    "conflicting counter resets during histogram %s", operation);
}

void note_reconciled(struct eval *ev, struct pos_range pos, const char *operation) {
    annotations_add(&ev->notes, ANNOTATION_INFO, pos,
                    "mismatched custom buckets were reconciled during %s", operation);
}

void note_ignored_in_aggregation(struct eval *ev, struct pos_range pos, const char *aggregation) {
    annotations_add(&ev->notes, ANNOTATION_INFO, pos, "ignored histogram in %s aggregation",
                    aggregation);
}

void note_ignored_in_range(struct eval *ev, struct pos_range pos, struct str name) {
    add_named(
        ev, ANNOTATION_INFO, pos,
        "ignored histograms in a range containing both floats and histograms for metric name ",
        name);
}

static struct histogram *between_of(struct arena *arena, const struct interpolation *b,
                                    struct histogram_flags *subtraction,
                                    struct histogram_flags *addition) {
    const double part = (double)time_sub(b->at_ms, b->ts[0]) / (double)time_sub(b->ts[1], b->ts[0]);
    if (b->counter && histogram_detect_reset(b->h[1], b->h[0])) {
        return histogram_multiply(arena, b->h[1], part);
    }
    struct histogram *h = histogram_subtract(arena, b->h[1], b->h[0], subtraction);
    h = h != NULL ? histogram_multiply(arena, h, part) : NULL;
    return h != NULL ? histogram_add(arena, h, b->h[0], addition) : NULL;
}

enum err_code interpolate_histograms(struct eval *ev, struct pos_range pos, struct work *work,
                                     const struct interpolation *between,
                                     const struct histogram **out, struct err *err) {
    if (between->at_ms == between->ts[0] || between->at_ms == between->ts[1]) {
        *out = between->h[between->at_ms == between->ts[0] ? 0 : 1];
        return ERR_OK;
    }
    struct histogram_flags subtraction = {.reconciled = false};
    struct histogram_flags addition = {.reconciled = false};
    work_grant(work);
    const struct histogram *h = between_of(&work->arena, between, &subtraction, &addition);
    if (h == NULL) {
        return work_over(work, err);
    }
    if (subtraction.reconciled) {
        note_reconciled(ev, pos, "subtraction");
    }
    if (addition.reconciled) {
        note_reconciled(ev, pos, "addition");
    }
    *out = h;
    return ERR_OK;
}

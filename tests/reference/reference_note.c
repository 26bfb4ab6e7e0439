/* Warnings and infos of the reference evaluator (spec sections 9 and 14). */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/attr.h"
#include "base/number.h"
#include "base/utf8.h"
#include "tests/reference/reference.h"

static void push_note(struct ref *r, struct ref_note note) {
    if (r->note_count == r->note_capacity) {
        struct ref_note *grown =
            arena_alloc(r->arena, (2 * r->note_capacity + 8) * sizeof(struct ref_note));
        if (r->note_count > 0) {
            memcpy(grown, r->notes, r->note_count * sizeof(*grown));
        }
        r->notes = grown;
        r->note_capacity = 2 * r->note_capacity + 8;
    }
    r->notes[r->note_count++] = note;
}

PRINTF_LIKE(4, 0)
static void note(struct ref *r, bool warning, uint32_t pos, const char *fmt, va_list args) {
    char text[512];
    const int n = vsnprintf(text, sizeof(text), fmt, args);
    const struct str made = {text, (size_t)n};
    for (size_t i = 0; i < r->note_count; i++) {
        const struct ref_note *old = &r->notes[i];
        if (old->warning == warning && old->pos == pos && str_eq(old->text, made)) {
            return;
        }
    }
    push_note(r,
              (struct ref_note){.warning = warning, .pos = pos, .text = arena_str(r->arena, made)});
}

void ref_warn(struct ref *r, uint32_t pos, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    note(r, true, pos, fmt, args);
    va_end(args);
}

void ref_inform(struct ref *r, uint32_t pos, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    note(r, false, pos, fmt, args);
    va_end(args);
}

void ref_note_forced(struct ref *r, const struct ref_note *forced) {
    for (size_t i = 0; i < r->note_count; i++) {
        struct ref_note *old = &r->notes[i];
        if (!old->forced || !str_eq(old->text, forced->text)) {
            continue;
        }
        old->min_bucket = fmin(old->min_bucket, forced->min_bucket);
        old->max_bucket = fmax(old->max_bucket, forced->max_bucket);
        old->max_diff = fmax(old->max_diff, forced->max_diff);
        old->count += forced->count;
        old->first_ms = forced->first_ms < old->first_ms ? forced->first_ms : old->first_ms;
        old->last_ms = forced->last_ms > old->last_ms ? forced->last_ms : old->last_ms;
        return;
    }
    push_note(r, *forced);
}

const char *ref_name(struct ref *r, struct labels labels) {
    struct buf quoted;
    buf_init(&quoted, 4096);
    utf8_quote(&quoted, labels_get(labels, LABEL_NAME));
    const char *out = arena_cstr(r->arena, buf_str(&quoted));
    buf_release(&quoted);
    return out;
}

const char *ref_for_name(struct ref *r, struct labels labels) {
    return !r->delayed_names || labels_get(labels, LABEL_NAME).len == 0
               ? ""
               : arena_printf(r->arena, " for metric name %s", ref_name(r, labels)).ptr;
}

uint32_t ref_range_pos(const struct node *range) {
    while (range->type == NODE_PAREN) {
        range = range->paren;
    }
    return range->type == NODE_SUBQUERY ? 0 : range->pos.start;
}

const char *ref_g(struct ref *r, double v) {
    char text[NUMBER_TEXT_MAX];
    const size_t n = number_format_g(v, text);
    return arena_cstr(r->arena, (struct str){text, n});
}

void ref_warn_mixed_buckets(struct ref *r, uint32_t pos, struct labels labels) {
    ref_warn(r, pos,
             "vector contains a mix of histograms with exponential and custom buckets schemas for "
             "metric name %s",
             ref_name(r, labels));
}

void ref_warn_mixed_samples(struct ref *r, uint32_t pos, struct labels labels) {
    ref_warn(r, pos, "encountered a mix of histograms and floats for metric name %s",
             ref_name(r, labels));
}

void ref_warn_phi(struct ref *r, uint32_t pos, double phi) {
    if (isnan(phi) || phi < 0 || phi > 1) {
        ref_warn(r, pos, "quantile value should be between 0 and 1, got %s", ref_g(r, phi));
    }
}

static const char *utc(struct ref *r, int64_t ms) {
    struct tm date;
    const time_t unix_s = (time_t)(ms / 1000);
    (void)gmtime_r(&unix_s, &date);
    return arena_printf(r->arena, "%04d-%02d-%02dT%02d:%02d:%02dZ", date.tm_year + 1900,
                        date.tm_mon + 1, date.tm_mday, date.tm_hour, date.tm_min, date.tm_sec)
        .ptr;
}

struct str ref_note_text(struct ref *r, const struct ref_note *n, bool with_pos) {
    struct str text = n->text;
    if (n->forced) {
        char diff[NUMBER_TEXT_MAX];
        const size_t len = number_format_g_prec(n->max_diff, 2, diff);
        text = arena_printf(
            r->arena,
            "%.*s, from buckets %s to %s, with a max diff of %.*s, over %llu samples from %s to %s",
            STR_ARG(n->text), ref_g(r, n->min_bucket), ref_g(r, n->max_bucket), (int)len, diff,
            (unsigned long long)n->count, utc(r, n->first_ms), utc(r, n->last_ms));
    } else if (n->count > 1) {
        text = arena_printf(r->arena, "%.*s (%llu occurrences)", STR_ARG(n->text),
                            (unsigned long long)n->count);
    }
    const char *level = n->warning ? "warning" : "info";
    return with_pos ? arena_printf(r->arena, "PromQL %s: %.*s (1:%u)", level, STR_ARG(text),
                                   (unsigned)n->pos + 1)
                    : arena_printf(r->arena, "PromQL %s: %.*s (", level, STR_ARG(text));
}

#include "tests/support/promqltest_sequence.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/duration.h"
#include "base/histogram_sum.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/value.h"

enum { VALUES_MAX = 200000, LIST_MAX = 1024 };

static void sequence_add(struct sequence *s, enum point_kind kind, double value,
                         const struct histogram *histogram, bool hint_given) {
    if (s->count == s->capacity) {
        s->capacity = mem_grow(s->capacity, s->count + 1);
        s->points = mem_resize(s->points, s->capacity, sizeof(*s->points));
    }
    s->points[s->count++] = (struct point){kind, value, histogram, hint_given};
}

static bool take_char(struct str *s, char c) {
    if (s->len == 0 || s->ptr[0] != c) {
        return false;
    }
    *s = str_from(*s, 1);
    return true;
}

static bool take_word(struct str *s, const char *word) {
    const struct str w = str_of(word);
    if (s->len < w.len || strncasecmp(s->ptr, w.ptr, w.len) != 0) {
        return false;
    }
    *s = str_from(*s, w.len);
    return true;
}

bool sequence_take_number(struct str *s, double *out) {
    struct str rest = *s;
    double sign = 1;
    if (take_char(&rest, '-')) {
        sign = -1;
    } else {
        (void)take_char(&rest, '+');
    }
    if (take_word(&rest, "inf")) {
        *out = sign * INFINITY;
    } else if (take_word(&rest, "nan")) {
        *out = f64_of_bits(NORMAL_NAN_BITS);
    } else {
        size_t n = 0;
        while (n < rest.len && (strchr("0123456789.", rest.ptr[n]) != NULL ||
                                ((rest.ptr[n] == 'e' || rest.ptr[n] == 'E') && n > 0) ||
                                (n > 0 && (rest.ptr[n] == '-' || rest.ptr[n] == '+') &&
                                 (rest.ptr[n - 1] == 'e' || rest.ptr[n - 1] == 'E')))) {
            n++;
        }
        if (number_parse_double(str_sub(rest, 0, n), out) != NUMBER_OK) {
            return false;
        }
        *out *= sign;
        rest = str_from(rest, n);
    }
    *s = rest;
    return true;
}

/* "x5", else 0. */
static size_t take_times(struct str *s) {
    size_t n = 0;
    if (!take_char(s, 'x')) {
        return 0;
    }
    while (s->len > 0 && s->ptr[0] >= '0' && s->ptr[0] <= '9' && n < VALUES_MAX) {
        n = n * 10 + (size_t)(s->ptr[0] - '0');
        *s = str_from(*s, 1);
    }
    return n;
}

/* "[1 2 3]" */
static bool take_list(struct str *s, double *out, uint32_t *out_count) {
    *out_count = 0;
    if (!take_char(s, '[')) {
        return false;
    }
    for (*s = str_trim(*s); !take_char(s, ']'); *s = str_trim(*s)) {
        if (*out_count == LIST_MAX || !sequence_take_number(s, &out[(*out_count)++])) {
            return false;
        }
    }
    return true;
}

static bool take_hint(struct str *s, enum histogram_hint *out) {
    static const char *const HINTS[] = {"unknown", "reset", "not_reset", "gauge"};
    for (size_t i = 0; i < COUNT_OF(HINTS); i++) {
        if (take_word(s, HINTS[i])) {
            *out = (enum histogram_hint)i;
            return true;
        }
    }
    return false;
}

static void set_side(struct arena *arena, const double *counts, uint32_t n, double offset,
                     struct histogram_side *out) {
    if (n == 0) {
        return;
    }
    out->spans = arena_alloc(arena, sizeof(*out->spans));
    out->spans[0] = (struct histogram_span){.offset = (int32_t)offset, .length = n};
    out->span_count = 1;
    out->counts = arena_alloc(arena, n * sizeof(*out->counts));
    memcpy(out->counts, counts, n * sizeof(*out->counts));
    out->count = n;
}

struct literal {
    struct histogram h;
    bool hint_given;
    double schema, offset, n_offset;
    double buckets[LIST_MAX], n_buckets[LIST_MAX], bounds[LIST_MAX];
    uint32_t bucket_count, n_bucket_count, bound_count;
};

static bool take_key(struct str *s, struct literal *l) {
    const struct {
        const char *key;
        double *number;
    } numbers[] = {{"schema:", &l->schema},         {"sum:", &l->h.sum},
                   {"count:", &l->h.count},         {"z_bucket_w:", &l->h.zero_threshold},
                   {"z_bucket:", &l->h.zero_count}, {"offset:", &l->offset},
                   {"n_offset:", &l->n_offset}};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        if (take_word(s, numbers[i].key)) {
            return sequence_take_number(s, numbers[i].number);
        }
    }
    if (take_word(s, "custom_values:")) {
        return take_list(s, l->bounds, &l->bound_count);
    }
    if (take_word(s, "buckets:")) {
        return take_list(s, l->buckets, &l->bucket_count);
    }
    if (take_word(s, "n_buckets:")) {
        return take_list(s, l->n_buckets, &l->n_bucket_count);
    }
    l->hint_given = true;
    return take_word(s, "counter_reset_hint:") && take_hint(s, &l->h.hint);
}

/* {{key:value ...}}; false (with s where it was) when there is none. */
static bool take_histogram(struct arena *arena, struct str *s, const struct histogram **out,
                           bool *hint_given) {
    if (!str_starts(*s, STR("{{"))) {
        return false;
    }
    struct str rest = str_from(*s, 2);
    struct literal *l = arena_zalloc(arena, sizeof(*l));
    for (rest = str_trim(rest); !str_starts(rest, STR("}}")); rest = str_trim(rest)) {
        if (!take_key(&rest, l)) {
            return false;
        }
    }
    *s = str_from(rest, 2);
    l->h.schema = (int32_t)l->schema;
    set_side(arena, l->buckets, l->bucket_count, l->offset, &l->h.positive);
    set_side(arena, l->n_buckets, l->n_bucket_count, l->n_offset, &l->h.negative);
    l->h.bounds = l->bounds;
    l->h.bound_count = l->bound_count;
    *hint_given = l->hint_given;
    *out = &l->h;
    return true;
}

/* h, h + step, ... */
static bool add_histograms(struct arena *arena, struct sequence *out, const struct histogram *h,
                           const struct histogram *step, char sign, size_t more, bool hint_given) {
    for (size_t i = 0; i <= more && h != NULL; i++) {
        sequence_add(out, POINT_HISTOGRAM, 0, h, hint_given);
        if (step != NULL && i < more) {
            struct histogram_flags flags = {.reconciled = false};
            if (h->schema > step->schema) {
                return false;
            }
            h = sign == '+' ? histogram_add(arena, h, step, &flags)
                            : histogram_subtract(arena, h, step, &flags);
        }
    }
    return h != NULL;
}

static bool take_histograms(struct arena *arena, struct str *s, struct sequence *out) {
    const struct histogram *h = NULL;
    const struct histogram *step = NULL;
    bool hint_given = false;
    if (!take_histogram(arena, s, &h, &hint_given)) {
        return false;
    }
    const char sign = s->len > 0 ? s->ptr[0] : ' ';
    if (sign == '+' || sign == '-') {
        *s = str_from(*s, 1);
        if (!take_histogram(arena, s, &step, &hint_given)) {
            return false;
        }
    }
    return add_histograms(arena, out, h, step, sign, take_times(s), hint_given);
}

static bool take_item(struct arena *arena, struct str *s, struct sequence *out) {
    if (take_char(s, '_')) {
        const size_t n = s->len > 0 && s->ptr[0] == 'x' ? take_times(s) : 1;
        for (size_t i = 0; i < n; i++) {
            sequence_add(out, POINT_NONE, 0, NULL, false);
        }
        return true;
    }
    if (take_word(s, "stale")) {
        sequence_add(out, POINT_FLOAT, f64_stale(), NULL, false);
        return true;
    }
    if (str_starts(*s, STR("{{"))) {
        return take_histograms(arena, s, out);
    }
    double value = 0;
    double step = 0;
    if (!sequence_take_number(s, &value)) {
        return false;
    }
    if (s->len > 0 && (s->ptr[0] == '+' || s->ptr[0] == '-') && !sequence_take_number(s, &step)) {
        return false;
    }
    const size_t more = take_times(s);
    for (size_t i = 0; i <= more; i++) {
        sequence_add(out, POINT_FLOAT, value, NULL, false);
        value += step;
    }
    return true;
}

bool sequence_parse(struct arena *arena, struct str text, struct sequence *out) {
    out->count = 0;
    for (text = str_trim(text); text.len > 0; text = str_trim(text)) {
        if (!take_item(arena, &text, out) || out->count > VALUES_MAX) {
            return false;
        }
        if (text.len > 0 && text.ptr[0] != ' ' && text.ptr[0] != '\t') {
            return false;
        }
    }
    return true;
}

/* One of "-30s", "0s": a sign, digits, a unit. */
static bool take_start(struct str *s, int64_t *out_ms) {
    const bool negative = take_char(s, '-');
    if (!negative) {
        (void)take_char(s, '+');
    }
    size_t n = 0;
    while (n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9') {
        n++;
    }
    while (n < s->len && s->ptr[n] >= 'a' && s->ptr[n] < 'x') {
        n++;
    }
    if (duration_parse_ms(str_sub(*s, 0, n), out_ms, NULL) != ERR_OK) {
        return false;
    }
    *s = str_from(*s, n);
    *out_ms = negative ? -*out_ms : *out_ms;
    return true;
}

static bool take_start_item(struct str *s, struct sequence *out) {
    if (take_char(s, '_')) {
        const size_t n = s->len > 0 && s->ptr[0] == 'x' ? take_times(s) : 1;
        for (size_t i = 0; i < n; i++) {
            sequence_add(out, POINT_NONE, 0, NULL, false);
        }
        return true;
    }
    int64_t start_ms = 0;
    int64_t step_ms = 0;
    if (!take_start(s, &start_ms) ||
        (s->len > 0 && (s->ptr[0] == '+' || s->ptr[0] == '-') && !take_start(s, &step_ms))) {
        return false;
    }
    const size_t more = take_times(s);
    for (size_t i = 0; i <= more; i++, start_ms += step_ms) {
        sequence_add(out, POINT_FLOAT, (double)start_ms, NULL, false);
    }
    return true;
}

bool sequence_parse_starts(struct str text, struct sequence *out) {
    out->count = 0;
    for (text = str_trim(text); text.len > 0; text = str_trim(text)) {
        if (!take_start_item(&text, out) || out->count > VALUES_MAX) {
            return false;
        }
        if (text.len > 0 && text.ptr[0] != ' ' && text.ptr[0] != '\t') {
            return false;
        }
    }
    return true;
}

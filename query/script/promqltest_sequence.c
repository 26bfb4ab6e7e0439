#include "query/script/promqltest_sequence.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/duration.h"
#include "base/histogram_sum.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/value.h"

enum { VALUES_MAX = 200000, LIST_MAX = 1024, INDEX_MAX = 1 << 20 };

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

/* "x5", else 0; given says which. False: no number of times, or one out of all reason. */
static bool take_times(struct str *s, size_t *out, bool *given) {
    *out = 0;
    *given = take_char(s, 'x');
    if (!*given) {
        return true;
    }
    size_t digits = 0;
    for (; s->len > 0 && s->ptr[0] >= '0' && s->ptr[0] <= '9'; digits++) {
        if (*out >= VALUES_MAX) {
            return false;
        }
        *out = *out * 10 + (size_t)(s->ptr[0] - '0');
        *s = str_from(*s, 1);
    }
    return digits > 0;
}

/* What follows a step has to say how often. */
static bool take_more(struct str *s, bool stepped, size_t *out) {
    bool given = false;
    return take_times(s, out, &given) && (given || !stepped);
}

/* "_" or "_x3", behind the "_": how many. */
static bool take_gap(struct str *s, size_t *out) {
    bool given = false;
    if (!take_times(s, out, &given)) {
        return false;
    }
    *out = given ? *out : 1;
    return true;
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

static void set_side(struct arena *arena, const double *counts, uint32_t n, int32_t offset,
                     struct histogram_side *out) {
    if (n == 0) {
        return;
    }
    out->spans = arena_alloc(arena, sizeof(*out->spans));
    out->spans[0] = (struct histogram_span){.offset = offset, .length = n};
    out->span_count = 1;
    out->counts = arena_alloc(arena, n * sizeof(*out->counts));
    memcpy(out->counts, counts, n * sizeof(*out->counts));
    out->count = n;
}

enum literal_key {
    KEY_SCHEMA,
    KEY_SUM,
    KEY_COUNT,
    KEY_Z_WIDTH,
    KEY_Z_BUCKET,
    KEY_OFFSET,
    KEY_N_OFFSET,
    KEY_CUSTOM,
    KEY_BUCKETS,
    KEY_N_BUCKETS,
    KEY_HINT,
    KEY_COUNT_OF,
};

struct literal {
    struct histogram h;
    unsigned seen; /* a bit for each key */
    int32_t offset, n_offset;
    double buckets[LIST_MAX], n_buckets[LIST_MAX], bounds[LIST_MAX];
    uint32_t bucket_count, n_bucket_count, bound_count;
};

static bool take_whole(struct str *s, int32_t *out) {
    double value = 0;
    if (!sequence_take_number(s, &value) || !(fabs(value) <= INDEX_MAX) || value != trunc(value)) {
        return false;
    }
    *out = (int32_t)value;
    return true;
}

static bool take_value(struct str *s, struct literal *l, enum literal_key key) {
    switch (key) {
    case KEY_SCHEMA:
        return take_whole(s, &l->h.schema);
    case KEY_SUM:
        return sequence_take_number(s, &l->h.sum);
    case KEY_COUNT:
        return sequence_take_number(s, &l->h.count);
    case KEY_Z_WIDTH:
        return sequence_take_number(s, &l->h.zero_threshold);
    case KEY_Z_BUCKET:
        return sequence_take_number(s, &l->h.zero_count);
    case KEY_OFFSET:
        return take_whole(s, &l->offset);
    case KEY_N_OFFSET:
        return take_whole(s, &l->n_offset);
    case KEY_CUSTOM:
        return take_list(s, l->bounds, &l->bound_count);
    case KEY_BUCKETS:
        return take_list(s, l->buckets, &l->bucket_count);
    case KEY_N_BUCKETS:
        return take_list(s, l->n_buckets, &l->n_bucket_count);
    case KEY_HINT:
        return take_hint(s, &l->h.hint);
    case KEY_COUNT_OF:
        break;
    }
    return false;
}

/* Each key once, a space or the end behind its value. */
static bool take_key(struct str *s, struct literal *l) {
    static const char *const KEYS[KEY_COUNT_OF] = {
        [KEY_SCHEMA] = "schema:",
        [KEY_SUM] = "sum:",
        [KEY_COUNT] = "count:",
        [KEY_Z_WIDTH] = "z_bucket_w:",
        [KEY_Z_BUCKET] = "z_bucket:",
        [KEY_OFFSET] = "offset:",
        [KEY_N_OFFSET] = "n_offset:",
        [KEY_CUSTOM] = "custom_values:",
        [KEY_BUCKETS] = "buckets:",
        [KEY_N_BUCKETS] = "n_buckets:",
        [KEY_HINT] = "counter_reset_hint:",
    };
    for (enum literal_key key = 0; key < KEY_COUNT_OF; key++) {
        if (take_word(s, KEYS[key])) {
            const unsigned bit = 1U << key;
            const bool again = (l->seen & bit) != 0;
            l->seen |= bit;
            return !again && take_value(s, l, key) &&
                   (str_starts(*s, STR("}}")) || (s->len > 0 && strchr(" \t", s->ptr[0]) != NULL));
        }
    }
    return false;
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
    set_side(arena, l->buckets, l->bucket_count, l->offset, &l->h.positive);
    set_side(arena, l->n_buckets, l->n_bucket_count, l->n_offset, &l->h.negative);
    l->h.bounds = l->bounds;
    l->h.bound_count = l->bound_count;
    *hint_given = (l->seen & 1U << KEY_HINT) != 0;
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
    size_t more = 0;
    if (sign == '+' || sign == '-') {
        *s = str_from(*s, 1);
        if (!take_histogram(arena, s, &step, &hint_given)) {
            return false;
        }
    }
    return take_more(s, step != NULL, &more) &&
           add_histograms(arena, out, h, step, sign, more, hint_given);
}

static bool take_item(struct arena *arena, struct str *s, struct sequence *out) {
    if (take_char(s, '_')) {
        size_t n = 0;
        const bool ok = take_gap(s, &n);
        for (size_t i = 0; ok && i < n; i++) {
            sequence_add(out, POINT_NONE, 0, NULL, false);
        }
        return ok;
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
    const bool stepped = s->len > 0 && (s->ptr[0] == '+' || s->ptr[0] == '-');
    size_t more = 0;
    if ((stepped && !sequence_take_number(s, &step)) || !take_more(s, stepped, &more)) {
        return false;
    }
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
        size_t n = 0;
        const bool ok = take_gap(s, &n);
        for (size_t i = 0; ok && i < n; i++) {
            sequence_add(out, POINT_NONE, 0, NULL, false);
        }
        return ok;
    }
    int64_t start_ms = 0;
    int64_t step_ms = 0;
    if (!take_start(s, &start_ms)) {
        return false;
    }
    const bool stepped = s->len > 0 && (s->ptr[0] == '+' || s->ptr[0] == '-');
    size_t more = 0;
    if ((stepped && !take_start(s, &step_ms)) || !take_more(s, stepped, &more)) {
        return false;
    }
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

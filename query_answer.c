#include "query_answer.h"

#include <math.h>
#include <stdlib.h>

#include "base/number.h"
#include "base/utf8.h"

/* ---- reading ---- */

enum err_code answer_read_labels(struct arena *arena, const struct json *object, struct labels *out,
                                 struct err *err) {
    if (!json_is_object(object)) {
        return err_set(err, ERR_INVALID, "a label set is no object");
    }
    struct labels_builder b;
    labels_builder_init(&b, arena);
    size_t it = 0;
    struct str name;
    const struct json *value = NULL;
    while (json_next_member(object, &it, &name, &value)) {
        if (!json_is_string(value)) {
            return err_set(err, ERR_INVALID, "the value of label \"%.*s\" is no string",
                           STR_ARG(name));
        }
        labels_builder_set(&b, arena_str(arena, name), arena_str(arena, json_string(value)));
    }
    return labels_builder_finish(&b, out, err);
}

static enum err_code read_float(const struct json *text, double *out, struct err *err) {
    if (!json_is_string(text) || number_parse_double(json_string(text), out) != NUMBER_OK) {
        return err_set(err, ERR_INVALID, "a value is no number in quotes");
    }
    return ERR_OK;
}

/* The time of [time, value]. */
static enum err_code read_time(const struct json *pair, int64_t *out_ms, struct err *err) {
    const double seconds = json_number(json_at(pair, 0), NAN);
    if (json_length(pair) != 2 || !(fabs(seconds) < 9e15)) {
        return err_set(err, ERR_INVALID, "a sample is no pair of a time and a value");
    }
    *out_ms = (int64_t)round(seconds * 1000);
    return ERR_OK;
}

static enum err_code read_point(const struct json *pair, struct answer_point *out,
                                struct err *err) {
    const enum err_code code = read_time(pair, &out->ts_ms, err);
    return code == ERR_OK ? read_float(json_at(pair, 1), &out->value, err) : code;
}

static enum err_code read_bucket(const struct json *bucket, struct answer_bucket *out,
                                 struct err *err) {
    out->boundaries = (int)json_int(json_at(bucket, 0), -1);
    if (json_length(bucket) != 4 || out->boundaries < 0 || out->boundaries > 3) {
        return err_set(err, ERR_INVALID, "a bucket is no list of boundaries, limits and count");
    }
    enum err_code code = read_float(json_at(bucket, 1), &out->lower, err);
    if (code == ERR_OK) {
        code = read_float(json_at(bucket, 2), &out->upper, err);
    }
    return code == ERR_OK ? read_float(json_at(bucket, 3), &out->count, err) : code;
}

static enum err_code read_histogram(struct arena *arena, const struct json *pair,
                                    struct answer_point *out, struct err *err) {
    struct answer_histogram *h = arena_zalloc(arena, sizeof(*h));
    const struct json *body = json_at(pair, 1);
    const struct json *buckets = json_get(body, "buckets");
    enum err_code code = read_time(pair, &out->ts_ms, err);
    if (code == ERR_OK) {
        code = read_float(json_get(body, "count"), &h->count, err);
    }
    if (code == ERR_OK) {
        code = read_float(json_get(body, "sum"), &h->sum, err);
    }
    h->buckets = arena_alloc(arena, (json_length(buckets) + 1) * sizeof(*h->buckets));
    for (size_t i = 0; code == ERR_OK && i < json_length(buckets); i++) {
        code = read_bucket(json_at(buckets, i), &h->buckets[h->bucket_count++], err);
    }
    out->histogram = h;
    return code;
}

/* floats and histograms: lists of pairs, or for a vector one pair each. */
static enum err_code read_points(struct arena *arena, const struct json *series, bool vector,
                                 struct answer_series *out, struct err *err) {
    const struct json *floats = json_get(series, vector ? "value" : "values");
    const struct json *histograms = json_get(series, vector ? "histogram" : "histograms");
    const size_t float_count = vector ? floats != NULL : json_length(floats);
    const size_t histogram_count = vector ? histograms != NULL : json_length(histograms);
    out->points = arena_alloc(arena, (float_count + histogram_count + 1) * sizeof(*out->points));
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < float_count; i++) {
        struct answer_point *p = &out->points[out->count++];
        *p = (struct answer_point){.histogram = NULL};
        code = read_point(vector ? floats : json_at(floats, i), p, err);
    }
    for (size_t i = 0; code == ERR_OK && i < histogram_count; i++) {
        struct answer_point *p = &out->points[out->count++];
        *p = (struct answer_point){.histogram = NULL};
        code = read_histogram(arena, vector ? histograms : json_at(histograms, i), p, err);
    }
    if (code == ERR_OK && vector && out->count != 1) {
        return err_set(err, ERR_INVALID, "a sample has not one value");
    }
    return code;
}

static enum err_code read_series(struct arena *arena, const struct json *list, struct answer *out,
                                 struct err *err) {
    if (!json_is_array(list)) {
        return err_set(err, ERR_INVALID, "the result is no list");
    }
    out->series = arena_zalloc(arena, (json_length(list) + 1) * sizeof(*out->series));
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < json_length(list); i++) {
        struct answer_series *s = &out->series[out->series_count++];
        const struct json *item = json_at(list, i);
        code = answer_read_labels(arena, json_get(item, "metric"), &s->metric, err);
        if (code == ERR_OK) {
            code = read_points(arena, item, out->type == ANSWER_VECTOR, s, err);
        }
    }
    return code;
}

enum err_code answer_read(struct arena *arena, const struct json *data, struct answer *out,
                          struct err *err) {
    const struct str type = json_string(json_get(data, "resultType"));
    const struct json *result = json_get(data, "result");
    *out = (struct answer){.type = ANSWER_VECTOR};
    if (str_eq(type, STR("vector"))) {
        return read_series(arena, result, out, err);
    }
    if (str_eq(type, STR("matrix"))) {
        out->type = ANSWER_MATRIX;
        return read_series(arena, result, out, err);
    }
    if (str_eq(type, STR("scalar"))) {
        out->type = ANSWER_SCALAR;
        return read_point(result, &out->scalar, err);
    }
    if (str_eq(type, STR("string"))) {
        out->type = ANSWER_STRING;
        out->string = arena_str(arena, json_string(json_at(result, 1)));
        return read_time(result, &out->scalar.ts_ms, err);
    }
    return err_set(err, ERR_INVALID, "unexpected value type \"%.*s\"", STR_ARG(type));
}

/* ---- text ---- */

static void print_bucket(struct buf *to, const struct answer_bucket *b) {
    buf_append_char(to, b->boundaries == 1 || b->boundaries == 3 ? '[' : '(');
    buf_append_number_g(to, b->lower);
    buf_append_char(to, ',');
    buf_append_number_g(to, b->upper);
    buf_append_char(to, b->boundaries == 0 || b->boundaries == 3 ? ']' : ')');
    buf_append_char(to, ':');
    buf_append_number_f(to, b->count);
}

/* Six decimals, as Go's %f. */
static void print_fixed(struct buf *to, double v) {
    if (isfinite(v)) {
        buf_printf(to, "%f", v);
    } else {
        buf_append_number_f(to, v);
    }
}

static void print_histogram(struct buf *to, const struct answer_histogram *h) {
    buf_append_cstr(to, "Count: ");
    print_fixed(to, h->count);
    buf_append_cstr(to, ", Sum: ");
    print_fixed(to, h->sum);
    buf_append_cstr(to, ", Buckets: [");
    for (size_t i = 0; i < h->bucket_count; i++) {
        buf_append_cstr(to, i > 0 ? " " : "");
        print_bucket(to, &h->buckets[i]);
    }
    buf_append_char(to, ']');
}

static void print_point(struct buf *to, const struct answer_point *p) {
    if (p->histogram != NULL) {
        print_histogram(to, p->histogram);
    } else {
        buf_append_number_f(to, p->value);
    }
    buf_append_cstr(to, " @[");
    buf_append_number_f(to, (double)p->ts_ms / 1000);
    buf_append_cstr(to, "]\n");
}

/* By name and '=', as the pairs are sorted when they are text: a1="x" comes before a="x". */
static int compare_pairs(const void *left, const void *right) {
    const struct str a = ((const struct label *)left)->name;
    const struct str b = ((const struct label *)right)->name;
    const size_t common = a.len < b.len ? a.len : b.len;
    const int order = str_cmp(str_sub(a, 0, common), str_sub(b, 0, common));
    if (order != 0 || a.len == b.len) {
        return order;
    }
    return a.len < b.len ? '=' - (uint8_t)b.ptr[common] : (uint8_t)a.ptr[common] - '=';
}

static void print_pairs(struct buf *to, const struct label *pairs, size_t count) {
    buf_append_char(to, '{');
    for (size_t i = 0; i < count; i++) {
        buf_append_cstr(to, i > 0 ? ", " : "");
        buf_append_str(to, pairs[i].name);
        buf_append_char(to, '=');
        utf8_quote(to, pairs[i].value);
    }
    buf_append_char(to, '}');
}

/* The labels but skip's (empty: all), as the set has them. */
static size_t list_pairs(struct arena *arena, struct labels labels, struct str skip,
                         struct label **out) {
    struct label label;
    size_t count = 0;
    *out = arena_alloc(arena, (labels_count(labels) + 1) * sizeof(**out));
    for (struct labels_iter it = labels_begin(labels); labels_next(&it, &label);) {
        if (!str_eq(label.name, skip)) {
            (*out)[count++] = label;
        }
    }
    return count;
}

void answer_print_labels(struct arena *arena, struct buf *to, struct labels labels) {
    struct label *pairs = NULL;
    const size_t count = list_pairs(arena, labels, STR(""), &pairs);
    print_pairs(to, pairs, count);
}

/* name{a="b"}: names as they are, also those that a query would have to quote. */
static void print_metric(struct arena *arena, struct buf *to, struct labels metric) {
    struct label *pairs = NULL;
    const struct str name = labels_get(metric, STR("__name__"));
    const size_t count = list_pairs(arena, metric, STR("__name__"), &pairs);
    buf_append_str(to, name);
    if (count > 1) {
        qsort(pairs, count, sizeof(*pairs), compare_pairs);
    }
    if (count > 0 || name.len == 0) {
        print_pairs(to, pairs, count);
    }
}

static void print_series(struct arena *arena, struct buf *to, const struct answer_series *s,
                         bool lines) {
    print_metric(arena, to, s->metric);
    buf_append_cstr(to, lines ? " =>\n" : " => ");
    for (size_t i = 0; i < s->count; i++) {
        print_point(to, &s->points[i]);
    }
}

/* Fewer labels first; then, name by name of both, who lacks one, else the smaller value. */
static int compare_metrics(const void *left, const void *right) {
    const struct labels a = ((const struct answer_series *)left)->metric;
    const struct labels b = ((const struct answer_series *)right)->metric;
    const size_t a_count = labels_count(a);
    const size_t b_count = labels_count(b);
    if (a_count != b_count) {
        return a_count < b_count ? -1 : 1;
    }
    struct labels_iter a_it = labels_begin(a);
    struct labels_iter b_it = labels_begin(b);
    struct label x;
    struct label y;
    while (labels_next(&a_it, &x) && labels_next(&b_it, &y)) {
        const int names = str_cmp(x.name, y.name);
        if (names != 0) {
            return -names;
        }
        const int values = str_cmp(x.value, y.value);
        if (values != 0) {
            return values;
        }
    }
    return 0;
}

void answer_print(struct arena *arena, struct buf *to, struct answer *answer) {
    switch (answer->type) {
    case ANSWER_SCALAR:
        buf_append_cstr(to, "scalar: ");
        print_point(to, &answer->scalar);
        return;
    case ANSWER_STRING:
        buf_append_str(to, answer->string);
        buf_append_char(to, '\n');
        return;
    case ANSWER_MATRIX:
        if (answer->series_count > 1) {
            qsort(answer->series, answer->series_count, sizeof(*answer->series), compare_metrics);
        }
        break;
    case ANSWER_VECTOR:
        break;
    }
    for (size_t i = 0; i < answer->series_count; i++) {
        print_series(arena, to, &answer->series[i], answer->type == ANSWER_MATRIX);
    }
    if (answer->series_count == 0) {
        buf_append_char(to, '\n');
    }
}

/* ---- JSON ---- */

static void json_quoted(struct json_out *j, double v) {
    char text[NUMBER_TEXT_MAX];
    json_str(j, (struct str){text, number_format_f(v, text)});
}

static void json_time(struct json_out *j, int64_t ts_ms) {
    char text[NUMBER_TEXT_MAX];
    json_raw(j, (struct str){text, number_format_f((double)ts_ms / 1000, text)});
}

static void json_histogram(struct json_out *j, const struct answer_histogram *h) {
    json_object_begin(j);
    json_key(j, "count");
    json_quoted(j, h->count);
    json_key(j, "sum");
    json_quoted(j, h->sum);
    json_key(j, "buckets");
    if (h->bucket_count == 0) {
        json_null(j);
        json_object_end(j);
        return;
    }
    json_array_begin(j);
    for (size_t i = 0; i < h->bucket_count; i++) {
        json_array_begin(j);
        json_i64(j, h->buckets[i].boundaries);
        json_quoted(j, h->buckets[i].lower);
        json_quoted(j, h->buckets[i].upper);
        json_quoted(j, h->buckets[i].count);
        json_array_end(j);
    }
    json_array_end(j);
    json_object_end(j);
}

static void json_point(struct json_out *j, const struct answer_point *p) {
    json_array_begin(j);
    json_time(j, p->ts_ms);
    if (p->histogram != NULL) {
        json_histogram(j, p->histogram);
    } else {
        json_quoted(j, p->value);
    }
    json_array_end(j);
}

/* "values" and "histograms" of a matrix's series; either is left out when it is empty, unless both
 * are. */
static void json_points(struct json_out *j, const struct answer_series *s, bool histograms) {
    json_array_begin(j);
    for (size_t i = 0; i < s->count; i++) {
        if ((s->points[i].histogram != NULL) == histograms) {
            json_point(j, &s->points[i]);
        }
    }
    json_array_end(j);
}

void answer_print_labels_json(struct json_out *j, struct labels labels) {
    struct label label;
    json_object_begin(j);
    for (struct labels_iter it = labels_begin(labels); labels_next(&it, &label);) {
        json_key_str(j, label.name);
        json_str(j, label.value);
    }
    json_object_end(j);
}

static void json_series(struct json_out *j, const struct answer_series *s, bool vector) {
    const bool floats = s->count == 0 || s->points[0].histogram == NULL;
    const bool histograms = s->count > 0 && s->points[s->count - 1].histogram != NULL;
    json_object_begin(j);
    json_key(j, "metric");
    answer_print_labels_json(j, s->metric);
    if (vector) {
        json_key(j, histograms ? "histogram" : "value");
        json_point(j, &s->points[0]);
    } else if (floats) {
        json_key(j, "values");
        json_points(j, s, false);
    }
    if (!vector && histograms) {
        json_key(j, "histograms");
        json_points(j, s, true);
    }
    json_object_end(j);
}

void answer_print_json(struct buf *to, const struct answer *answer) {
    struct json_out j;
    json_out_init(&j, to);
    json_array_begin(&j);
    if (answer->type == ANSWER_SCALAR) {
        json_time(&j, answer->scalar.ts_ms);
        json_quoted(&j, answer->scalar.value);
    } else if (answer->type == ANSWER_STRING) {
        json_time(&j, answer->scalar.ts_ms);
        json_str(&j, answer->string);
    }
    for (size_t i = 0; i < answer->series_count; i++) {
        json_series(&j, &answer->series[i], answer->type == ANSWER_VECTOR);
    }
    json_array_end(&j);
    buf_append_char(to, '\n');
}

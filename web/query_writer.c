#include "web/query_writer.h"

#include "base/histogram.h"
#include "base/number.h"

/* STATES. Each step writes a bounded part:
 *
 *     head ──▶ series begins ──▶ floats ──▶ histograms ──▶ series ends ──▶ ... ──▶ tail ──▶ done
 *
 * floats and histograms take as many steps as the series has runs of POINTS_AT_ONCE samples. */
enum part { PART_HEAD, PART_SERIES, PART_FLOATS, PART_HISTOGRAMS, PART_TAIL, PART_DONE };

enum { POINTS_AT_ONCE = 256 };

struct query_writer {
    struct http_source source;
    struct api api;
    struct query_result result;
    size_t count; /* series to write */
    bool with_stats;
    enum part part;
    size_t series; /* the one at hand */
    size_t point;  /* its next sample to look at */
    bool any;      /* the list of this part is open */
    struct json_times *times;
};

/* ---- values ---- */

static void write_point(struct json_out *j, int64_t ts_ms, double value) {
    json_array_begin(j);
    json_timestamp_ms(j, ts_ms);
    json_sample_value(j, value);
    json_array_end(j);
}

static void write_bucket(struct json_out *j, const struct histogram_bucket *b) {
    enum { OPEN_LOWER = 0, OPEN_UPPER = 1, OPEN = 2, CLOSED = 3 };
    json_array_begin(j);
    if (b->lower_inclusive) {
        json_i64(j, b->upper_inclusive ? CLOSED : OPEN_UPPER);
    } else {
        json_i64(j, b->upper_inclusive ? OPEN_LOWER : OPEN);
    }
    json_sample_value(j, b->lower);
    json_sample_value(j, b->upper);
    json_sample_value(j, b->count);
    json_array_end(j);
}

/* Populated buckets by ascending bounds. */
static void write_histogram(struct json_out *j, int64_t ts_ms, const struct histogram *h) {
    json_array_begin(j);
    json_timestamp_ms(j, ts_ms);
    json_object_begin(j);
    json_key(j, "count");
    json_sample_value(j, h->count);
    json_key(j, "sum");
    json_sample_value(j, h->sum);
    struct histogram_walk walk = histogram_walk_up(h);
    struct histogram_bucket b;
    bool any = false;
    while (histogram_walk_next(&walk, &b)) {
        if (b.count == 0) {
            continue;
        }
        if (!any) {
            json_key(j, "buckets");
            json_array_begin(j);
            any = true;
        }
        write_bucket(j, &b);
    }
    if (any) {
        json_array_end(j);
    }
    json_object_end(j);
    json_array_end(j);
}

static const struct histogram *histogram_at(const struct result_series *s, size_t i) {
    return s->histograms != NULL ? s->histograms[i] : NULL;
}

/* Scalars print with 'f' always and with the time as a plain number. */
static void write_scalar(struct json_out *j, const struct query_result *result) {
    json_array_begin(j);
    json_f64(j, (double)result->ts_ms / 1000.0);
    char text[NUMBER_TEXT_MAX];
    json_str(j, (struct str){text, number_format_f(result->scalar, text)});
    json_array_end(j);
}

static void write_string(struct json_out *j, const struct query_result *result) {
    json_array_begin(j);
    json_f64(j, (double)result->ts_ms / 1000.0);
    json_str(j, result->string);
    json_array_end(j);
}

/* ---- parts ---- */

static void write_head(struct query_writer *w) {
    static const char *const TYPES[] = {[RESULT_VECTOR] = "vector",
                                        [RESULT_MATRIX] = "matrix",
                                        [RESULT_SCALAR] = "scalar",
                                        [RESULT_STRING] = "string"};
    struct json_out *j = &w->api.json;
    api_begin(&w->api);
    json_object_begin(j);
    json_key(j, "resultType");
    json_str(j, str_of(TYPES[w->result.type]));
    json_key(j, "result");
    switch (w->result.type) {
    case RESULT_VECTOR:
    case RESULT_MATRIX:
        json_array_begin(j);
        w->part = PART_SERIES;
        return;
    case RESULT_SCALAR:
        write_scalar(j, &w->result);
        break;
    case RESULT_STRING:
        write_string(j, &w->result);
        break;
    }
    w->part = PART_TAIL;
}

static void write_vector_sample(struct json_out *j, const struct result_series *s) {
    if (histogram_at(s, 0) != NULL) {
        json_key(j, "histogram");
        write_histogram(j, s->ts[0], histogram_at(s, 0));
    } else {
        json_key(j, "value");
        write_point(j, s->ts[0], s->values[0]);
    }
    json_object_end(j);
}

/* A vector's series whole; of a matrix' the labels. */
static void begin_series(struct query_writer *w) {
    struct json_out *j = &w->api.json;
    if (w->series == w->count) {
        json_array_end(j);
        w->part = PART_TAIL;
        return;
    }
    const struct result_series *s = &w->result.series[w->series];
    json_object_begin(j);
    json_key(j, "metric");
    json_labels(j, s->labels);
    if (w->result.type == RESULT_VECTOR) {
        write_vector_sample(j, s);
        w->series++;
        return;
    }
    w->part = PART_FLOATS;
    w->point = 0;
    w->any = false;
}

static void write_sample(struct query_writer *w, const struct result_series *s, const char *key) {
    struct json_out *j = &w->api.json;
    const struct histogram *h = histogram_at(s, w->point);
    if (!w->any) {
        json_key(j, key);
        json_array_begin(j);
        w->any = true;
    }
    if (h != NULL) {
        write_histogram(j, s->ts[w->point], h);
    } else {
        write_point(j, s->ts[w->point], s->values[w->point]);
    }
}

/* Either kind of a series that has both. */
static void write_mixed(struct query_writer *w, const struct result_series *s, bool histograms) {
    for (int n = 0; n < POINTS_AT_ONCE && w->point < s->count; n++, w->point++) {
        if ((histogram_at(s, w->point) != NULL) == histograms) {
            write_sample(w, s, histograms ? "histograms" : "values");
        }
    }
}

/* Of a series without histograms. */
static void write_floats(struct query_writer *w, const struct result_series *s) {
    struct json_out *j = &w->api.json;
    const size_t left = s->count - w->point;
    const size_t n = left < POINTS_AT_ONCE ? left : POINTS_AT_ONCE;
    if (n > 0 && !w->any) {
        json_key(j, "values");
        json_array_begin(j);
        w->any = true;
    }
    json_samples(j, s->ts + w->point, s->values + w->point, n, w->times, w->point);
    w->point += n;
}

/* A run of the floats or the histograms; nothing when there are none of them. */
static void write_samples(struct query_writer *w) {
    struct json_out *j = &w->api.json;
    const struct result_series *s = &w->result.series[w->series];
    const bool histograms = w->part == PART_HISTOGRAMS;
    if (s->histograms == NULL) {
        write_floats(w, s);
    } else {
        write_mixed(w, s, histograms);
    }
    if (w->point < s->count) {
        return;
    }
    if (w->any) {
        json_array_end(j);
    }
    w->point = 0;
    w->any = false;
    if (!histograms && s->histograms != NULL) {
        w->part = PART_HISTOGRAMS;
        return;
    }
    json_object_end(j);
    w->series++;
    w->part = PART_SERIES;
}

static void write_tail(struct query_writer *w) {
    struct json_out *j = &w->api.json;
    if (w->with_stats) {
        json_key(j, "stats");
        query_stats_json(j, &w->result.stats);
    }
    json_object_end(j);
    api_end(&w->api);
    w->part = PART_DONE;
}

static bool write_piece(struct http_source *source, struct buf *to) {
    struct query_writer *w = (struct query_writer *)source;
    const size_t end = to->len + HTTP_PIECE_BYTES;
    while (w->part != PART_DONE && to->len < end && buf_ok(to)) {
        switch (w->part) {
        case PART_HEAD:
            write_head(w);
            break;
        case PART_SERIES:
            begin_series(w);
            break;
        case PART_FLOATS:
        case PART_HISTOGRAMS:
            write_samples(w);
            break;
        case PART_TAIL:
            write_tail(w);
            break;
        case PART_DONE:
            break;
        }
    }
    return w->part != PART_DONE;
}

void query_writer_start(const struct api *api, const struct query_result *result, size_t count,
                        bool with_stats) {
    struct query_writer *w = arena_alloc(&api->in->arena, sizeof(*w));
    *w = (struct query_writer){.source = {.more = write_piece},
                               .api = *api,
                               .result = *result,
                               .count = count,
                               .with_stats = with_stats,
                               .part = PART_HEAD};
    if (result->type == RESULT_MATRIX) {
        w->times = arena_zalloc(&api->in->arena, sizeof(*w->times));
    }
    struct http_outgoing *out = api->out;
    out->source = write_piece(&w->source, &out->body) ? &w->source : NULL;
}

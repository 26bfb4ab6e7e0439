/* /query_exemplars (spec/http-api.md section 3): exemplars of the series that any selector of an
 * expression names. */
#include <stdlib.h>

#include "web/api.h"
#include "web/handlers.h"

struct selection {
    struct storage *storage;
    struct storage_querier *querier;
    struct arena *arena;
    struct storage_exemplar_series *series;
    size_t count;
    size_t selectors;
    enum err_code code; /* the first failure */
    struct err err;
};

static void add_selector(void *ctx, const struct matcher *matchers, size_t n) {
    struct selection *s = ctx;
    struct storage_exemplar_series *found;
    size_t count;
    s->selectors++;
    if (s->code == ERR_OK) {
        s->code = storage_exemplars(s->storage, s->querier, matchers, n, &found, &count, &s->err);
    }
    if (s->code != ERR_OK || count == 0) {
        return;
    }
    struct storage_exemplar_series *all = arena_try_alloc(s->arena, s->count + count, sizeof(*all));
    if (all == NULL) {
        s->code = err_set(&s->err, ERR_LIMIT, "exemplars need more memory than the query's budget");
        return;
    }
    if (s->count != 0) {
        memcpy(all, s->series, s->count * sizeof(*all));
    }
    memcpy(all + s->count, found, count * sizeof(*all));
    s->series = all;
    s->count += count;
}

static int by_labels(const void *a, const void *b) {
    return labels_cmp(((const struct storage_exemplar_series *)a)->labels,
                      ((const struct storage_exemplar_series *)b)->labels);
}

static void write_series(struct json_out *j, const struct storage_exemplar_series *s) {
    json_object_begin(j);
    json_key(j, "seriesLabels");
    json_labels(j, s->labels);
    json_key(j, "exemplars");
    json_array_begin(j);
    for (size_t i = 0; i < s->count; i++) {
        json_object_begin(j);
        json_key(j, "labels");
        json_labels(j, s->exemplars[i].labels);
        json_key(j, "value");
        json_sample_value(j, s->exemplars[i].value);
        json_key(j, "timestamp");
        json_timestamp_ms(j, s->exemplars[i].ts_ms);
        json_object_end(j);
    }
    json_array_end(j);
    json_object_end(j);
}

static void write_selection(struct api *api, struct selection *s) {
    if (s->count > 1) {
        qsort(s->series, s->count, sizeof(*s->series), by_labels);
    }
    api_begin(api);
    json_array_begin(&api->json);
    for (size_t i = 0; i < s->count; i++) {
        if (i == 0 || !labels_eq(s->series[i].labels, s->series[i - 1].labels)) {
            write_series(&api->json, &s->series[i]);
        }
    }
    json_array_end(&api->json);
    api_end(api);
}

void api_query_exemplars(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    int64_t start_ms;
    int64_t end_ms;
    if (!api_time(&api, "start", false, API_MIN_TIME_MS, &start_ms) ||
        !api_time(&api, "end", false, API_MAX_TIME_MS, &end_ms)) {
        return;
    }
    if (end_ms < start_ms) {
        api_fail(&api, API_BAD_DATA, "end timestamp must not be before start timestamp");
        return;
    }
    struct query_expr *expr = NULL;
    struct selection s = {.storage = web->options.storage, .arena = &in->arena};
    if (query_parse(web->options.engine, &in->arena, http_param(in, "query"), &expr, &s.err) !=
        ERR_OK) {
        api_fail(&api, API_BAD_DATA, "%s", s.err.text);
        return;
    }
    s.code = storage_querier_open(s.storage, start_ms, end_ms, &in->arena, &in->cancel, &s.querier,
                                  &s.err);
    if (s.code == ERR_OK) {
        query_each_selector(expr, add_selector, &s);
    }
    if (s.code != ERR_OK) {
        api_fail_err(&api, s.code, &s.err);
    } else if (s.selectors == 0) {
        http_text(out, 204, "");
    } else {
        write_selection(&api, &s);
    }
}

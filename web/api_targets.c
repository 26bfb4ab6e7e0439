/* /targets, /scrape_pools, /metadata, /targets/metadata (spec/http-api.md sections 3 and 4). */
#include <stdlib.h>

#include "base/duration.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/url.h"
#include "web/api.h"
#include "web/handlers.h"

static void write_time(struct json_out *j, struct arena *arena, int64_t unix_ns) {
    if (unix_ns == 0) {
        json_str(j, STR("0001-01-01T00:00:00Z"));
        return;
    }
    struct buf text;
    buf_init(&text, 64);
    time_format_rfc3339_ns(&text, unix_ns);
    json_str(j, arena_str(arena, buf_str(&text)));
    buf_release(&text);
}

static void write_duration_ms(struct json_out *j, int64_t ms) {
    struct buf text;
    buf_init(&text, 64);
    duration_format_ms(&text, ms);
    json_str(j, buf_str(&text));
    buf_release(&text);
}

/* Where others than this machine find the target: a loopback address means the server itself when the
 * port is its own, else a neighbour on its host. */
static struct str global_url(struct api *api, struct str target) {
    struct arena *arena = &api->in->arena;
    const struct web_options *o = &api->web->options;
    struct url url;
    struct url external;
    if (url_parse(arena, target, &url, NULL) != ERR_OK ||
        url_parse(arena, o->external_url, &external, NULL) != ERR_OK ||
        (!str_eq(url.host, STR("localhost")) && !str_eq(url.host, STR("127.0.0.1")) &&
         !str_eq(url.host, STR("::1")) && !str_eq(url.host, STR("[::1]")))) {
        return target;
    }
    const ptrdiff_t colon = o->listen_count > 0 ? str_rfind_char(o->listen[0], ':') : -1;
    const struct str own_port = colon >= 0 ? str_from(o->listen[0], (size_t)colon + 1) : STR("");
    const bool own = url.port.len != 0 && str_eq(url.port, own_port);
    const struct str port = own ? external.port : url.port;
    const bool bare_v6 = str_find_char(external.host, ':') >= 0 && external.host.ptr[0] != '[';
    return arena_printf(
        arena, "%.*s://%s%.*s%s%s%.*s%.*s%s%.*s", STR_ARG(own ? external.scheme : url.scheme),
        bare_v6 ? "[" : "", STR_ARG(external.host), bare_v6 ? "]" : "", port.len != 0 ? ":" : "",
        STR_ARG(port), STR_ARG(url.path), url.query.len != 0 ? "?" : "", STR_ARG(url.query));
}

/* What is left of a limit; null without one. */
static void write_left(struct json_out *j, const char *key, uint64_t limit, uint64_t used) {
    json_key(j, key);
    if (limit == 0) {
        json_null(j);
    } else {
        json_u64(j, used < limit ? limit - used : 0);
    }
}

static void write_errors(struct api *api, const struct target_info *t) {
    struct json_out *j = &api->json;
    json_key(j, "errors");
    json_array_begin(j);
    for (size_t i = 0; i < t->error_count; i++) {
        const struct target_error *e = &t->errors[i];
        json_object_begin(j);
        json_key(j, "reason");
        json_str(j, e->reason);
        json_key(j, "error");
        json_str(j, e->text);
        json_key(j, "first");
        write_time(j, &api->in->arena, e->first_unix_ns);
        json_key(j, "last");
        write_time(j, &api->in->arena, e->last_unix_ns);
        json_key(j, "count");
        json_u64(j, e->count);
        json_object_end(j);
    }
    json_array_end(j);
}

/* details=true: what Prometheus does not tell. */
static void write_details(struct api *api, const struct target_info *t) {
    struct json_out *j = &api->json;
    const struct scrape_counts *c = &t->counts;
    json_key(j, "details");
    json_object_begin(j);
    json_key(j, "scrapeFailureReason");
    json_str(j, t->failure_reason);
    json_key(j, "since");
    write_time(j, &api->in->arena, t->since_unix_ns);
    json_key(j, "bodySizeBytes"); /* -1: beyond its limit */
    json_i64(j, c->body_bytes);
    write_left(j, "bodySizeLeftBytes", t->body_limit_bytes,
               c->body_bytes < 0 ? t->body_limit_bytes : (uint64_t)c->body_bytes);
    json_key(j, "samples");
    json_u64(j, c->samples);
    json_key(j, "samplesKept");
    json_u64(j, c->samples_kept);
    write_left(j, "samplesLeft", t->sample_limit, c->samples_kept);
    json_key(j, "seriesAdded");
    json_u64(j, c->series_added);
    write_errors(api, t);
    json_object_end(j);
}

static void write_active(struct api *api, const struct target_info *t, bool details) {
    static const char *const health[] = {
        [TARGET_UNKNOWN] = "unknown", [TARGET_UP] = "up", [TARGET_DOWN] = "down"};
    struct json_out *j = &api->json;
    json_object_begin(j);
    json_key(j, "discoveredLabels");
    json_labels(j, t->discovered);
    json_key(j, "labels");
    json_labels(j, t->labels);
    json_key(j, "scrapePool");
    json_str(j, t->pool);
    json_key(j, "scrapeUrl");
    json_str(j, t->url);
    json_key(j, "globalUrl");
    json_str(j, global_url(api, t->url));
    json_key(j, "lastError");
    json_str(j, t->last_error);
    json_key(j, "lastScrape");
    write_time(j, &api->in->arena, t->last_scrape_unix_ns);
    json_key(j, "lastScrapeDuration");
    json_f64(j, (double)t->last_duration_ns / 1e9);
    json_key(j, "health");
    json_str(j, str_of(health[t->health]));
    json_key(j, "scrapeInterval");
    write_duration_ms(j, t->interval_ms);
    json_key(j, "scrapeTimeout");
    write_duration_ms(j, t->timeout_ms);
    if (details) {
        write_details(api, t);
    }
    json_object_end(j);
}

static void write_dropped(struct api *api, const struct targets_snapshot *snap, bool list,
                          struct str pool) {
    struct json_out *j = &api->json;
    json_key(j, "droppedTargets");
    json_array_begin(j);
    for (size_t i = 0; list && i < snap->dropped_count; i++) {
        const struct target_info *t = &snap->dropped[i];
        if (pool.len != 0 && !str_eq(pool, t->pool)) {
            continue;
        }
        json_object_begin(j);
        json_key(j, "discoveredLabels");
        json_labels(j, t->discovered);
        json_key(j, "scrapePool");
        json_str(j, t->pool);
        json_object_end(j);
    }
    json_array_end(j);
    json_key(j, "droppedTargetCounts");
    if (!list) {
        json_null(j);
        return;
    }
    json_object_begin(j);
    for (size_t i = 0; i < snap->pool_count; i++) {
        json_key_str(j, snap->pools[i]);
        json_u64(j, snap->dropped_counts[i]);
    }
    json_object_end(j);
}

void api_targets(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    const struct str state = http_param(in, "state");
    const struct str pool = http_param(in, "scrapePool");
    const bool details = str_eq(http_param(in, "details"), STR("true"));
    const bool any = state.len == 0 || str_eq_nocase(state, STR("any"));
    const bool active = any || str_eq_nocase(state, STR("active"));
    const bool dropped = any || str_eq_nocase(state, STR("dropped"));

    struct targets_snapshot snap;
    scrape_targets(web->options.scrapes, &in->arena, &snap);
    api_begin(&api);
    json_object_begin(&api.json);
    json_key(&api.json, "activeTargets");
    json_array_begin(&api.json);
    for (size_t i = 0; active && i < snap.active_count; i++) {
        if (pool.len == 0 || str_eq(pool, snap.active[i].pool)) {
            write_active(&api, &snap.active[i], details);
        }
    }
    json_array_end(&api.json);
    write_dropped(&api, &snap, dropped, pool);
    json_object_end(&api.json);
    api_end(&api);
}

void api_scrape_pools(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    struct targets_snapshot snap;
    scrape_targets(web->options.scrapes, &in->arena, &snap);
    api_begin(&api);
    json_object_begin(&api.json);
    json_key(&api.json, "scrapePools");
    json_array_begin(&api.json);
    for (size_t i = 0; i < snap.pool_count; i++) {
        json_str(&api.json, snap.pools[i]);
    }
    json_array_end(&api.json);
    json_object_end(&api.json);
    api_end(&api);
}

/* ---- metadata ---- */

struct metadata_list {
    struct arena *arena;
    struct metric_metadata *items;
    size_t count, capacity;
};

static bool collect(void *ctx, const struct metric_metadata *md) {
    struct metadata_list *list = ctx;
    if (list->count == list->capacity) {
        list->capacity = mem_grow(list->capacity, list->count + 1);
        list->items = mem_resize(list->items, list->capacity, sizeof(*list->items));
    }
    list->items[list->count++] = (struct metric_metadata){
        .family = arena_str(list->arena, md->family),
        .type = arena_str(list->arena, md->type),
        .unit = arena_str(list->arena, md->unit),
        .help = arena_str(list->arena, md->help),
    };
    return true;
}

static int compare_metadata(const void *a, const void *b) {
    const struct metric_metadata *x = a;
    const struct metric_metadata *y = b;
    int c = str_cmp(x->family, y->family);
    c = c != 0 ? c : str_cmp(x->type, y->type);
    c = c != 0 ? c : str_cmp(x->help, y->help);
    return c != 0 ? c : str_cmp(x->unit, y->unit);
}

static void write_metadata(struct json_out *j, const struct metric_metadata *md) {
    json_object_begin(j);
    json_key(j, "type");
    json_str(j, md->type);
    json_key(j, "unit");
    json_str(j, md->unit);
    json_key(j, "help");
    json_str(j, md->help);
    json_object_end(j);
}

/* -1 when absent; limits here are written without "invalid parameter" */
static bool read_count(struct api *api, const char *name, int64_t *out) {
    const struct str text = http_param(api->in, name);
    *out = -1;
    if (text.len != 0 && number_parse_i64(text, out) != NUMBER_OK) {
        api_fail(api, API_BAD_DATA, "%s must be a number", name);
        return false;
    }
    return true;
}

static void write_families(struct json_out *j, const struct metadata_list *list, int64_t limit,
                           int64_t per_metric) {
    json_object_begin(j);
    int64_t families = 0;
    for (size_t i = 0; i < list->count && (limit < 0 || families < limit); families++) {
        const struct str family = list->items[i].family;
        json_key_str(j, family);
        json_array_begin(j);
        int64_t written = 0;
        for (; i < list->count && str_eq(list->items[i].family, family); i++) {
            const bool repeated =
                written > 0 && compare_metadata(&list->items[i - 1], &list->items[i]) == 0;
            if (!repeated && (per_metric <= 0 || written < per_metric)) {
                write_metadata(j, &list->items[i]);
                written++;
            }
        }
        json_array_end(j);
    }
    json_object_end(j);
}

/* Families from pushed data, behind what scrapes say. False: the error is written. */
static bool collect_pushed(struct api *api, struct metadata_list *list) {
    struct storage_family *families;
    size_t count;
    struct err err;
    const struct str wanted = http_param(api->in, "metric");
    const enum err_code code =
        storage_metadata_list(api->web->options.storage, &api->in->arena, &families, &count);
    if (code != ERR_OK) {
        (void)err_set(&err, code, "metadata needs more memory than the request's budget");
        api_fail_err(api, code, &err);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct storage_family *f = &families[i];
        if (wanted.len == 0 || str_eq(f->name, wanted)) {
            (void)collect(list, &(struct metric_metadata){.family = f->name,
                                                          .type = f->metadata.type,
                                                          .unit = f->metadata.unit,
                                                          .help = f->metadata.help});
        }
    }
    return true;
}

void api_metadata(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    int64_t limit = -1;
    int64_t per_metric = -1;
    if (!read_count(&api, "limit", &limit) || !read_count(&api, "limit_per_metric", &per_metric)) {
        return;
    }
    struct metadata_list list = {.arena = &in->arena};
    scrape_each_metadata(web->options.scrapes, http_param(in, "metric"), collect, &list);
    if (!collect_pushed(&api, &list)) {
        mem_free(list.items);
        return;
    }
    if (list.count > 0) {
        qsort(list.items, list.count, sizeof(*list.items), compare_metadata);
    }
    api_begin(&api);
    write_families(&api.json, &list, limit, per_metric);
    api_end(&api);
    mem_free(list.items);
}

struct target_metadata {
    struct api *api;
    const struct matcher *matchers;
    size_t matcher_count;
    int64_t left; /* -1 = no limit */
    bool with_name;
    bool failed;
};

static bool write_target_metadata(void *ctx, const struct metric_metadata *md) {
    struct target_metadata *t = ctx;
    bool match = false;
    struct err err;
    if (matchers_match(t->matchers, t->matcher_count, md->target, &match, &err) != ERR_OK ||
        !match) {
        return true;
    }
    if (t->left == 0) {
        return false;
    }
    t->left -= t->left > 0;
    struct json_out *j = &t->api->json;
    json_object_begin(j);
    json_key(j, "target");
    json_labels(j, md->target);
    if (t->with_name) {
        json_key(j, "metric");
        json_str(j, md->family);
    }
    json_key(j, "type");
    json_str(j, md->type);
    json_key(j, "help");
    json_str(j, md->help);
    json_key(j, "unit");
    json_str(j, md->unit);
    json_object_end(j);
    return true;
}

void api_targets_metadata(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    struct target_metadata t = {.api = &api, .left = -1};
    if (!read_count(&api, "limit", &t.left)) {
        return;
    }
    struct matcher *matchers = NULL;
    const struct str selector = http_param(in, "match_target");
    struct err err;
    if (selector.len != 0 &&
        query_parse_selector(&in->arena, selector, &matchers, &t.matcher_count, &err) != ERR_OK) {
        api_bad_param(&api, "match_target", err.text);
        return;
    }
    t.matchers = matchers;
    const struct str metric = http_param(in, "metric");
    t.with_name = metric.len == 0;
    api_begin(&api);
    json_array_begin(&api.json);
    scrape_each_metadata(web->options.scrapes, metric, write_target_metadata, &t);
    json_array_end(&api.json);
    api_end(&api);
}

/* /series, /labels, /label/<name>/values (spec/http-api.md section 3). */
#include "base/sort.h"
#include "base/utf8.h"
#include "web/api.h"
#include "web/handlers.h"

struct range {
    int64_t start_ms, end_ms;
    uint64_t limit;
    struct api_matchers *sets;
    size_t set_count;
    struct storage_querier *querier;
};

static bool read_range(struct api *api, struct range *r) {
    return api_limit(api, "limit", &r->limit) &&
           api_time(api, "start", false, API_MIN_TIME_MS, &r->start_ms) &&
           api_time(api, "end", false, API_MAX_TIME_MS, &r->end_ms);
}

static bool open_querier(struct api *api, struct range *r) {
    struct err err;
    const enum err_code code =
        storage_querier_open(api->web->options.storage, r->start_ms, r->end_ms, &api->in->arena,
                             &api->in->cancel, &r->querier, &err);
    if (code != ERR_OK) {
        api_fail_err(api, code, &err);
    }
    return code == ERR_OK;
}

static int by_text(const void *a, const void *b) {
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static enum err_code stopped(const struct api *api, struct err *err) {
    const enum err_code code = cancel_check(&api->in->cancel);
    return code == ERR_OK ? ERR_OK : err_set(err, code, "request was canceled");
}

/* As qsort, but ends when the client leaves. */
static enum err_code sort_list(struct api *api, void *items, size_t count, size_t bytes,
                               int (*order)(const void *a, const void *b), struct err *err) {
    struct arena scratch;
    arena_init(&scratch, 0);
    scratch.pool = api->in->arena.pool;
    void **pointers = arena_try_alloc(&scratch, count + 1, 2 * sizeof(void *));
    enum err_code code =
        pointers != NULL ? sort_items(items, count, bytes, order, pointers, &api->in->cancel)
                         : err_set(err, ERR_LIMIT, "not enough memory to sort %zu items", count);
    if (pointers != NULL && code != ERR_OK) {
        code = stopped(api, err);
    }
    arena_release(&scratch);
    return code;
}

/* Union of the sorted answers for several match[] sets. */
static enum err_code sort_unique(struct api *api, struct str *list, size_t *io_count,
                                 struct err *err) {
    const enum err_code code = sort_list(api, list, *io_count, sizeof(*list), by_text, err);
    size_t kept = 0;
    for (size_t i = 0; i < *io_count && code == ERR_OK; i++) {
        if (kept == 0 || !str_eq(list[kept - 1], list[i])) {
            list[kept++] = list[i];
        }
    }
    *io_count = kept;
    return code;
}

static const struct str truncated[] = {STR_INIT("results truncated due to limit")};

static void write_list(struct api *api, const struct str *list, size_t count, uint64_t limit) {
    if (limit != 0 && count > limit) {
        count = limit;
        api->warnings = truncated;
        api->warning_count = 1;
    }
    api_begin(api);
    json_array_begin(&api->json);
    for (size_t i = 0; i < count; i++) {
        json_str(&api->json, list[i]);
    }
    json_array_end(&api->json);
    api_end(api);
}

/* name.len == 0: label names, else the values of that label */
static void list_labels(struct api *api, struct range *r, struct str name) {
    struct storage *st = api->web->options.storage;
    const size_t cut = r->limit != 0 ? (size_t)r->limit + 1 : 0;
    struct str *all = NULL;
    size_t all_count = 0;
    const size_t rounds = r->set_count != 0 ? r->set_count : 1;
    for (size_t i = 0; i < rounds; i++) {
        const struct matcher *m = r->set_count != 0 ? r->sets[i].matchers : NULL;
        const size_t n = r->set_count != 0 ? r->sets[i].count : 0;
        struct str *list = NULL;
        size_t count = 0;
        struct err err;
        enum err_code code =
            name.len == 0
                ? storage_label_names(st, r->querier, m, n, cut, &list, &count, &err)
                : storage_label_values(st, r->querier, name, m, n, cut, &list, &count, &err);
        if (code != ERR_OK) {
            if (code == ERR_LIMIT) {
                api_fail(api, API_EXECUTION, "%s", err.text);
            } else {
                api_fail_err(api, code, &err);
            }
            return;
        }
        if (rounds == 1) {
            all = list;
            all_count = count;
            break;
        }
        struct str *joined =
            arena_alloc(&api->in->arena, (all_count + count + 1) * sizeof(*joined));
        if (all_count > 0) {
            memcpy(joined, all, all_count * sizeof(*joined));
        }
        if (count > 0) {
            memcpy(joined + all_count, list, count * sizeof(*joined));
        }
        all = joined;
        all_count += count;
        code = sort_unique(api, joined, &all_count, &err);
        if (code != ERR_OK) {
            api_fail_err(api, code, &err);
            return;
        }
    }
    write_list(api, all, all_count, r->limit);
}

void api_labels(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    struct range r = {.limit = 0};
    if (read_range(&api, &r) && api_match_sets(&api, true, false, &r.sets, &r.set_count) &&
        open_querier(&api, &r)) {
        list_labels(&api, &r, STR(""));
    }
}

/* U__ names: "__" is '_', "_<hex>_" a code point (spec/scrape.md 5.5, "values"). */
static struct str unescape_name(struct arena *arena, struct str name) {
    if (!str_starts(name, STR("U__"))) {
        return name;
    }
    char *text = arena_alloc(arena, 4 * name.len + 1);
    size_t n = 0;
    for (size_t i = 3; i < name.len; i++) {
        if (name.ptr[i] != '_') {
            text[n++] = name.ptr[i];
            continue;
        }
        if (i + 1 < name.len && name.ptr[i + 1] == '_') {
            text[n++] = '_';
            i++;
            continue;
        }
        uint32_t rune = 0;
        size_t at = i + 1;
        for (; at < name.len && at < i + 8 && name.ptr[at] != '_'; at++) {
            const char c = name.ptr[at];
            const int digit = c >= '0' && c <= '9'   ? c - '0'
                              : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                                     : -1;
            if (digit < 0) {
                return name;
            }
            rune = rune * 16 + (uint32_t)digit;
        }
        if (at >= name.len || name.ptr[at] != '_' || at == i + 1 || rune > 0x10FFFF) {
            return name;
        }
        n += utf8_encode(rune, text + n);
        i = at;
    }
    return (struct str){text, n};
}

void api_label_values(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    const struct str head = STR("/api/v1/label/");
    const struct str tail = STR("/values");
    const struct str path = str_from(in->path, web->prefix.len);
    struct str name = str_sub(path, head.len, path.len - head.len - tail.len);
    name = unescape_name(&in->arena, name);
    if (name.len == 0 || !utf8_valid(name)) {
        struct buf quoted;
        buf_init(&quoted, 4 * (size_t)HTTP_URL_MAX);
        utf8_quote(&quoted, name);
        api_fail(&api, API_BAD_DATA, "invalid label name: %.*s", STR_ARG(buf_str(&quoted)));
        buf_release(&quoted);
        return;
    }
    struct range r = {.limit = 0};
    if (read_range(&api, &r) && api_match_sets(&api, true, false, &r.sets, &r.set_count) &&
        open_querier(&api, &r)) {
        list_labels(&api, &r, name);
    }
}

static int by_labels(const void *a, const void *b) {
    return labels_cmp(*(const struct labels *)a, *(const struct labels *)b);
}

enum { SERIES_BETWEEN_CHECKS = 512 };

/* Label sets of all match[] sets, sorted and merged when there are several. */
static enum err_code collect_series(struct api *api, struct range *r, struct labels **out,
                                    size_t *out_count, struct err *err) {
    struct storage *st = api->web->options.storage;
    struct arena *arena = &api->in->arena;
    const struct storage_select_hints hints = {
        .sorted = true, .series_only = true, .limit = r->limit != 0 ? (size_t)r->limit + 1 : 0};
    struct labels *all = NULL;
    size_t all_count = 0;
    for (size_t i = 0; i < r->set_count; i++) {
        struct storage_selection *sel = NULL;
        const enum err_code code = storage_select(st, r->querier, r->sets[i].matchers,
                                                  r->sets[i].count, &hints, &sel, err);
        if (code != ERR_OK) {
            return code;
        }
        size_t count = 0;
        const struct storage_series *series = storage_selection_series(st, sel, &count);
        struct labels *joined = arena_try_alloc(arena, all_count + count + 1, sizeof(*joined));
        if (joined == NULL) {
            return err_set(err, ERR_LIMIT, "too many series: %zu", all_count + count);
        }
        if (all_count > 0) {
            memcpy(joined, all, all_count * sizeof(*joined));
        }
        for (size_t k = 0; k < count; k++) {
            if (k % SERIES_BETWEEN_CHECKS == 0 && stopped(api, err) != ERR_OK) {
                return stopped(api, err);
            }
            joined[all_count + k] =
                labels_merge(arena, storage_set_labels(st, r->querier, series[k].target_set),
                             storage_set_labels(st, r->querier, series[k].metric_set));
        }
        all = joined;
        all_count += count;
    }
    if (r->set_count > 1) {
        const enum err_code code = sort_list(api, all, all_count, sizeof(*all), by_labels, err);
        if (code != ERR_OK) {
            return code;
        }
        size_t kept = 0;
        for (size_t i = 0; i < all_count; i++) {
            if (kept == 0 || !labels_eq(all[kept - 1], all[i])) {
                all[kept++] = all[i];
            }
        }
        all_count = kept;
    }
    *out = all;
    *out_count = all_count;
    return ERR_OK;
}

void api_series(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    size_t match_count = 0;
    (void)http_param_all(in, "match[]", &match_count);
    if (match_count == 0) {
        api_fail(&api, API_BAD_DATA, "no match[] parameter provided");
        return;
    }
    struct range r = {.limit = 0};
    if (!read_range(&api, &r) || !api_match_sets(&api, false, false, &r.sets, &r.set_count) ||
        !open_querier(&api, &r)) {
        return;
    }
    struct labels *list = NULL;
    size_t count = 0;
    struct err err;
    const enum err_code code = collect_series(&api, &r, &list, &count, &err);
    if (code != ERR_OK) {
        api_fail_err(&api, code, &err);
        return;
    }
    if (r.limit != 0 && count > r.limit) {
        count = (size_t)r.limit;
        api.warnings = truncated;
        api.warning_count = 1;
    }
    api_begin(&api);
    json_array_begin(&api.json);
    for (size_t i = 0; i < count; i++) {
        json_labels(&api.json, list[i]);
    }
    json_array_end(&api.json);
    api_end(&api);
}

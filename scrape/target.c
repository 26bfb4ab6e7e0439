#include "scrape/target.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/duration.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/url.h"
#include "base/utf8.h"

#define PARAM_PREFIX "__param_"

/* Longest URL of a target: labels choose it. */
enum { TARGET_URL_MAX = 64 * 1024 };

/* Bytes of a label that an error text quotes. */
enum { QUOTE_MAX = 256 };

static void set_if_empty(struct labels_builder *b, const char *name, struct str value) {
    if (labels_builder_get(b, str_of(name)).len == 0) {
        labels_builder_set(b, str_of(name), value);
    }
}

static struct str duration_text(struct arena *arena, int64_t ms) {
    struct buf text;
    buf_init(&text, 64);
    duration_format_ms(&text, ms);
    const struct str copy = arena_str(arena, buf_str(&text));
    buf_release(&text);
    return copy;
}

static struct str bool_text(bool v) {
    return v ? STR("true") : STR("false");
}

static void add_defaults(struct labels_builder *b, const struct scrape_config *config) {
    set_if_empty(b, "job", config->job_name);
    set_if_empty(b, "__scrape_interval__", duration_text(b->arena, config->interval_ms));
    set_if_empty(b, "__scrape_timeout__", duration_text(b->arena, config->timeout_ms));
    set_if_empty(b, "__metrics_path__", config->metrics_path);
    set_if_empty(b, "__scheme__", config->scheme);
    set_if_empty(b, "__convert_classic_histograms_to_nhcb__",
                 bool_text(config->convert_classic_to_nhcb));
    set_if_empty(b, "__always_scrape_classic_histograms__",
                 bool_text(config->always_classic_histograms));
    set_if_empty(b, "__scrape_native_histograms__", bool_text(config->native_histograms));
    for (size_t i = 0; i < config->param_count; i++) {
        const struct scrape_param *const param = &config->params[i];
        const struct str name = arena_printf(b->arena, PARAM_PREFIX "%.*s", STR_ARG(param->name));
        if (param->value_count > 0 && labels_builder_get(b, name).len == 0) {
            labels_builder_set(b, name, param->values[0]);
        }
    }
}

/* "<before><a quoted><between><b quoted>"; b may be left out. */
static enum err_code fail_quoted(const char *before, struct str a, const char *between,
                                 const struct str *b, struct err *err) {
    struct buf text;
    buf_init(&text, ERR_TEXT_MAX * 16);
    buf_append_cstr(&text, before);
    utf8_quote(&text, str_sub(a, 0, QUOTE_MAX));
    buf_append_cstr(&text, between);
    if (b != NULL) {
        utf8_quote(&text, str_sub(*b, 0, QUOTE_MAX));
    }
    const enum err_code code = err_set(err, ERR_INVALID, "%.*s", STR_ARG(buf_str(&text)));
    buf_release(&text);
    return code;
}

static enum err_code parse_interval(const struct labels_builder *b, const char *label,
                                    const char *what, int64_t *out_ms, struct err *err) {
    const enum err_code code = duration_parse_ms(labels_builder_get(b, str_of(label)), out_ms, err);
    if (code != ERR_OK) {
        return err_wrap(err, "error parsing scrape %s", what);
    }
    if (*out_ms == 0) {
        return err_set(err, ERR_INVALID, "scrape %s cannot be 0", what);
    }
    return ERR_OK;
}

static enum err_code check_bool(const struct labels_builder *b, const char *label, const char *what,
                                struct err *err) {
    static const char *const accepted[] = {"1", "t", "T", "TRUE",  "true",  "True",
                                           "0", "f", "F", "FALSE", "false", "False"};
    const struct str text = labels_builder_get(b, str_of(label));
    if (text.len == 0) {
        return ERR_OK;
    }
    for (size_t i = 0; i < COUNT_OF(accepted); i++) {
        if (str_eq(text, str_of(accepted[i]))) {
            return ERR_OK;
        }
    }
    char before[128];
    (void)snprintf(before, sizeof(before), "error parsing %s: strconv.ParseBool: parsing ", what);
    return fail_quoted(before, text, ": invalid syntax", NULL, err);
}

/* Of a label that check_bool took; empty: as configured. */
static bool bool_of(struct labels all, const char *label, bool configured) {
    const struct str text = labels_get(all, str_of(label));
    return text.len == 0 ? configured : strchr("1tT", text.ptr[0]) != NULL;
}

static struct scrape_histograms histograms_of(const struct scrape_config *config,
                                              struct labels all) {
    return (struct scrape_histograms){
        .native = bool_of(all, "__scrape_native_histograms__", config->native_histograms),
        .classic_too =
            bool_of(all, "__always_scrape_classic_histograms__", config->always_classic_histograms),
        .convert =
            bool_of(all, "__convert_classic_histograms_to_nhcb__", config->convert_classic_to_nhcb),
    };
}

static enum err_code check_settings(const struct labels_builder *b, int64_t *out_interval_ms,
                                    int64_t *out_timeout_ms, struct err *err) {
    enum err_code code = parse_interval(b, "__scrape_interval__", "interval", out_interval_ms, err);
    if (code == ERR_OK) {
        code = parse_interval(b, "__scrape_timeout__", "timeout", out_timeout_ms, err);
    }
    if (code == ERR_OK && *out_timeout_ms > *out_interval_ms) {
        code =
            err_set(err, ERR_INVALID,
                    "scrape timeout cannot be greater than scrape interval (\"%.*s\" > \"%.*s\")",
                    STR_ARG(labels_builder_get(b, STR("__scrape_timeout__"))),
                    STR_ARG(labels_builder_get(b, STR("__scrape_interval__"))));
    }
    if (code == ERR_OK) {
        code = check_bool(b, "__convert_classic_histograms_to_nhcb__",
                          "convert classic histograms to nhcb", err);
    }
    if (code == ERR_OK) {
        code = check_bool(b, "__always_scrape_classic_histograms__",
                          "always scrape classic histograms", err);
    }
    if (code == ERR_OK) {
        code = check_bool(b, "__scrape_native_histograms__", "scrape native histograms", err);
    }
    return code;
}

static enum err_code check_values(const struct labels_builder *b, struct err *err) {
    for (size_t i = 0; i < b->count; i++) {
        if (!utf8_valid(b->items[i].value)) {
            return fail_quoted("invalid label value for ", b->items[i].name, ": ",
                               &b->items[i].value, err);
        }
    }
    return ERR_OK;
}

static void delete_meta(struct labels_builder *b) {
    for (size_t i = b->count; i-- > 0;) {
        if (str_starts(b->items[i].name, STR("__meta_"))) {
            labels_builder_del(b, b->items[i].name);
        }
    }
}

/* ---- URL ---- */

/* Only what may stand in a host; all else is escaped, so that no label reaches another part of
 * the URL or a header. */
static void append_host(struct buf *to, struct str host) {
    static const char hex[] = "0123456789ABCDEF";
    static const char plain[] = "-_.~!$&'()*+,;=:[]<>\"";
    for (size_t i = 0; i < host.len; i++) {
        const unsigned char c = (unsigned char)host.ptr[i];
        const bool alnum =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (alnum || (c != '\0' && strchr(plain, c) != NULL)) {
            buf_append_char(to, (char)c);
        } else {
            const char escaped[3] = {'%', hex[c >> 4], hex[c & 15]};
            buf_append(to, escaped, sizeof(escaped));
        }
    }
}

static void append_pair(struct buf *to, size_t query_at, struct str name, struct str value) {
    buf_append_char(to, to->len == query_at ? '?' : '&');
    url_query_escape(to, name);
    buf_append_char(to, '=');
    url_query_escape(to, value);
}

static void append_param(struct buf *to, size_t query_at, const struct scrape_param *param,
                         struct str first) {
    for (size_t i = 0; i < param->value_count; i++) {
        append_pair(to, query_at, param->name, i == 0 ? first : param->values[i]);
    }
}

/* Parameters of the configuration and __param_ labels, both sorted by name, merged. A label
 * replaces the first value. */
static void append_query(struct buf *to, const struct scrape_config *config, struct labels all) {
    const size_t query_at = to->len;
    size_t next = 0;
    struct label label;
    for (struct labels_iter it = labels_begin(all); labels_next(&it, &label);) {
        if (!str_starts(label.name, STR(PARAM_PREFIX))) {
            continue;
        }
        const struct str name = str_from(label.name, sizeof(PARAM_PREFIX) - 1);
        while (next < config->param_count && str_cmp(config->params[next].name, name) < 0) {
            const struct scrape_param *const param = &config->params[next++];
            append_param(to, query_at, param, param->value_count > 0 ? param->values[0] : STR(""));
        }
        if (next < config->param_count && str_eq(config->params[next].name, name) &&
            config->params[next].value_count > 0) {
            append_param(to, query_at, &config->params[next++], label.value);
        } else {
            append_pair(to, query_at, name, label.value);
        }
    }
    for (; next < config->param_count; next++) {
        const struct scrape_param *const param = &config->params[next];
        append_param(to, query_at, param, param->value_count > 0 ? param->values[0] : STR(""));
    }
}

static enum err_code make_url(const struct scrape_config *config, struct labels all, struct buf *to,
                              struct err *err) {
    const struct str path = labels_get(all, STR("__metrics_path__"));
    buf_append_str(to, labels_get(all, STR("__scheme__")));
    buf_append_cstr(to, "://");
    append_host(to, labels_get(all, STR("__address__")));
    if (path.len > 0 && path.ptr[0] != '/') {
        buf_append_char(to, '/');
    }
    url_path_escape(to, path);
    append_query(to, config, all);
    if (!buf_ok(to)) {
        return err_set(err, ERR_LIMIT, "target URL exceeds %d bytes", TARGET_URL_MAX);
    }
    return ERR_OK;
}

static uint64_t identity(struct labels all, struct str url) {
    char text[32];
    const int n = snprintf(text, sizeof(text), "%016" PRIu64, labels_hash(all));
    return hash_fnv1a64(hash_fnv1a64(FNV1A64_INIT, text, (size_t)n), url.ptr, url.len);
}

/* ---- building ---- */

static struct labels put_labels(char **at, struct labels labels) {
    if (labels.size > 0) {
        memcpy(*at, labels.data, labels.size);
    }
    const struct labels copy = {(const uint8_t *)*at, labels.size};
    *at += labels.size;
    return copy;
}

/* One block: struct, the three label sets, URL. */
static struct target *pack(struct labels discovered, struct labels all, struct labels public_labels,
                           struct str url) {
    struct target *const t =
        mem_alloc(sizeof(*t) + discovered.size + all.size + public_labels.size + url.len);
    char *at = (char *)(t + 1);
    *t = (struct target){.refs = 1};
    t->discovered = put_labels(&at, discovered);
    t->all = put_labels(&at, all);
    t->labels = put_labels(&at, public_labels);
    if (url.len > 0) {
        memcpy(at, url.ptr, url.len);
    }
    t->url = (struct str){at, url.len};
    t->unix_socket = labels_get(t->all, STR("__unix_socket__"));
    t->hash = identity(t->all, t->url);
    return t;
}

static enum err_code public_labels(const struct labels_builder *all, struct arena *scratch,
                                   struct labels *out, struct err *err) {
    struct labels_builder b;
    labels_builder_init(&b, scratch);
    for (size_t i = 0; i < all->count; i++) {
        if (!str_starts(all->items[i].name, STR("__"))) {
            labels_builder_set(&b, all->items[i].name, all->items[i].value);
        }
    }
    return labels_builder_finish(&b, out, err);
}

static enum err_code check_address(struct str address, struct err *err) {
    if (address.len == 0) {
        return err_set(err, ERR_INVALID, "no address");
    }
    if (str_find_char(address, '/') >= 0) {
        return fail_quoted("", address, " is not a valid hostname", NULL, err);
    }
    return ERR_OK;
}

static enum err_code finish(const struct scrape_config *config, struct labels_builder *b,
                            struct labels discovered, struct target **out, struct err *err) {
    const struct str address = labels_builder_get(b, STR("__address__"));
    int64_t interval_ms = 0;
    int64_t timeout_ms = 0;
    enum err_code code = check_address(address, err);
    code = code == ERR_OK ? check_settings(b, &interval_ms, &timeout_ms, err) : code;
    if (code != ERR_OK) {
        return code;
    }
    delete_meta(b);
    set_if_empty(b, "instance", address);
    struct labels all;
    struct labels visible;
    code = check_values(b, err);
    code = code == ERR_OK ? labels_builder_finish(b, &all, err) : code;
    code = code == ERR_OK ? public_labels(b, b->arena, &visible, err) : code;
    if (code != ERR_OK) {
        return code;
    }
    struct buf url;
    buf_init(&url, TARGET_URL_MAX);
    code = make_url(config, all, &url, err);
    if (code == ERR_OK) {
        *out = pack(discovered, all, visible, buf_str(&url));
        (*out)->interval_ms = interval_ms;
        (*out)->timeout_ms = timeout_ms;
        (*out)->histograms = histograms_of(config, all);
    }
    buf_release(&url);
    return code;
}

enum err_code target_discovered(const struct scrape_config *config, struct labels given,
                                struct arena *arena, struct labels *out, struct err *err) {
    struct labels_builder b;
    labels_builder_init(&b, arena);
    labels_builder_reset(&b, given);
    add_defaults(&b, config);
    return labels_builder_finish(&b, out, err);
}

enum err_code target_new(const struct scrape_config *config, struct labels own, struct labels group,
                         struct arena *scratch, struct target **out, bool *out_dropped,
                         struct err *err) {
    struct labels_builder b;
    struct labels discovered = {NULL, 0};
    enum err_code code =
        target_discovered(config, labels_merge(scratch, group, own), scratch, &discovered, err);
    labels_builder_init(&b, scratch);
    labels_builder_reset(&b, discovered);
    bool keep = true;
    code = code == ERR_OK ? relabel_run(&config->relabel, &b, &keep, err) : code;
    if (code != ERR_OK) {
        return code;
    }
    if (!keep || b.count == 0) {
        const struct labels none = {NULL, 0};
        *out = pack(discovered, none, none, STR(""));
        *out_dropped = true;
        return ERR_OK;
    }
    *out_dropped = false;
    return finish(config, &b, discovered, out, err);
}

struct target *target_ref(struct target *t) {
    t->refs++;
    return t;
}

void target_unref(struct target *t) {
    if (t != NULL && --t->refs == 0) {
        mem_free(t);
    }
}

int64_t target_offset_ns(const struct target *t, int64_t interval_ms, uint64_t seed,
                         int64_t now_unix_ns) {
    ASSERT(interval_ms > 0);
    const int64_t interval = interval_ms * INT64_C(1000000);
    const int64_t base = interval - now_unix_ns % interval;
    const int64_t offset = (int64_t)((t->hash ^ seed) % (uint64_t)interval);
    const int64_t next = base + offset;
    return next > interval ? next - interval : next;
}

uint64_t target_offset_seed(struct str fqdn, struct labels external_labels) {
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    labels_format(&text, external_labels);
    uint64_t seed = hash_fnv1a64(FNV1A64_INIT, fqdn.ptr, fqdn.len);
    seed = hash_fnv1a64(seed, text.ptr, text.len);
    buf_release(&text);
    return seed;
}

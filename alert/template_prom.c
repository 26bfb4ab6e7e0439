/* Prometheus' own template functions (spec/rules-alerts.md section 5). */
#include <math.h>

#include "alert/template_value.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/regex.h"
#include "base/url.h"

enum { TEXT_MAX = TEMPLATE_OUTPUT_MAX };

static struct template_value text_value(const struct template_call *c, struct buf *text) {
    const struct template_value v = template_string(arena_str(c->arena, buf_str(text)));
    buf_release(text);
    return v;
}

static enum err_code want_string(const struct template_call *c, size_t i, struct str *out,
                                 struct err *err) {
    if (c->args[i].type != TEMPLATE_STRING) {
        return err_set(err, ERR_INVALID, "wrong type for value; expected string; got %s",
                       template_type_name(&c->args[i]));
    }
    *out = c->args[i].s;
    return ERR_OK;
}

static enum err_code want_samples(const struct template_call *c, size_t i, struct err *err) {
    if (c->args[i].type != TEMPLATE_SAMPLES) {
        return err_set(err, ERR_INVALID,
                       "wrong type for value; expected template.queryResult; got %s",
                       template_type_name(&c->args[i]));
    }
    return ERR_OK;
}

static enum err_code want_sample(const struct template_call *c, size_t i, struct err *err) {
    if (c->args[i].type != TEMPLATE_SAMPLE) {
        return err_set(err, ERR_INVALID, "wrong type for value; expected *template.sample; got %s",
                       template_type_name(&c->args[i]));
    }
    return ERR_OK;
}

/* ---- queries ---- */

static enum err_code run_query(const struct template_call *c, struct template_value *out,
                               struct err *err) {
    struct str expr;
    enum err_code code = want_string(c, 0, &expr, err);
    if (code != ERR_OK) {
        return code;
    }
    if (c->data->query == NULL) {
        return err_set(err, ERR_UNAVAILABLE, "no query engine");
    }
    struct template_sample *items = NULL;
    size_t count = 0;
    code = c->data->query(c->data->query_ctx, expr, c->data->ts_ms, c->arena, &items, &count, err);
    *out = (struct template_value){.type = TEMPLATE_SAMPLES, .samples = {items, count}};
    return code;
}

static enum err_code run_first(const struct template_call *c, struct template_value *out,
                               struct err *err) {
    const enum err_code code = want_samples(c, 0, err);
    if (code != ERR_OK) {
        return code;
    }
    if (c->args[0].samples.count == 0) {
        return err_set(err, ERR_INVALID, "first() called on vector with no elements");
    }
    *out = (struct template_value){.type = TEMPLATE_SAMPLE, .sample = c->args[0].samples.items};
    return ERR_OK;
}

static enum err_code run_label(const struct template_call *c, struct template_value *out,
                               struct err *err) {
    struct str name;
    enum err_code code = want_string(c, 0, &name, err);
    if (code == ERR_OK) {
        code = want_sample(c, 1, err);
    }
    if (code == ERR_OK) {
        *out = template_string(labels_get(c->args[1].sample->labels, name));
    }
    return code;
}

static enum err_code run_value(const struct template_call *c, struct template_value *out,
                               struct err *err) {
    const enum err_code code = want_sample(c, 0, err);
    if (code == ERR_OK) {
        *out = template_float(c->args[0].sample->value);
    }
    return code;
}

static enum err_code run_strvalue(const struct template_call *c, struct template_value *out,
                                  struct err *err) {
    const enum err_code code = want_sample(c, 0, err);
    if (code == ERR_OK) {
        *out = template_string(labels_get(c->args[0].sample->labels, STR("__value__")));
    }
    return code;
}

/* Merge sort: stable, and the label name needs no global. */
static void sort_by(struct template_sample *items, struct template_sample *spare, size_t n,
                    struct str name) {
    if (n < 2) {
        return;
    }
    const size_t half = n / 2;
    sort_by(items, spare, half, name);
    sort_by(items + half, spare, n - half, name);
    memcpy(spare, items, n * sizeof(*items));
    size_t a = 0;
    size_t b = half;
    for (size_t i = 0; i < n; i++) {
        const bool left = b == n || (a < half && str_cmp(labels_get(spare[a].labels, name),
                                                         labels_get(spare[b].labels, name)) <= 0);
        items[i] = left ? spare[a++] : spare[b++];
    }
}

static enum err_code run_sort_by_label(const struct template_call *c, struct template_value *out,
                                       struct err *err) {
    struct str name;
    enum err_code code = want_string(c, 0, &name, err);
    if (code == ERR_OK) {
        code = want_samples(c, 1, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    const size_t n = c->args[1].samples.count;
    struct template_sample *items = arena_alloc(c->arena, (n + 1) * sizeof(*items));
    struct template_sample *spare = arena_alloc(c->arena, (n + 1) * sizeof(*spare));
    if (n > 0) {
        memcpy(items, c->args[1].samples.items, n * sizeof(*items));
    }
    sort_by(items, spare, n, name);
    *out = (struct template_value){.type = TEMPLATE_SAMPLES, .samples = {items, n}};
    return ERR_OK;
}

/* ---- numbers for people ---- */

static void put_general(struct buf *to, double v) {
    char text[NUMBER_TEXT_MAX];
    buf_append(to, text, number_format_g_prec(v, 4, text));
}

static void put_scaled(struct buf *to, double v, double base, const char *const *large,
                       const char *const *small) {
    const char *prefix = "";
    if (fabs(v) >= 1) {
        for (size_t i = 0; i < 8 && fabs(v) >= base; i++) {
            prefix = large[i];
            v /= base;
        }
    } else {
        for (size_t i = 0; i < 8 && fabs(v) < 1; i++) {
            prefix = small[i];
            v *= base;
        }
    }
    put_general(to, v);
    buf_append_cstr(to, prefix);
}

static const char *const metric_large[] = {"k", "M", "G", "T", "P", "E", "Z", "Y"};
static const char *const metric_small[] = {"m", "u", "n", "p", "f", "a", "z", "y"};

static enum err_code run_humanize(const struct template_call *c, struct template_value *out,
                                  struct err *err) {
    double v = 0;
    const enum err_code code = template_to_float(&c->args[0], &v, err);
    if (code != ERR_OK) {
        return code;
    }
    struct buf text;
    buf_init(&text, TEXT_MAX);
    if (v == 0 || !isfinite(v)) {
        put_general(&text, v);
    } else {
        put_scaled(&text, v, 1000, metric_large, metric_small);
    }
    *out = text_value(c, &text);
    return ERR_OK;
}

static enum err_code run_humanize1024(const struct template_call *c, struct template_value *out,
                                      struct err *err) {
    static const char *const binary[] = {"ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"};
    double v = 0;
    const enum err_code code = template_to_float(&c->args[0], &v, err);
    if (code != ERR_OK) {
        return code;
    }
    struct buf text;
    buf_init(&text, TEXT_MAX);
    if (fabs(v) <= 1 || !isfinite(v)) {
        put_general(&text, v);
    } else {
        put_scaled(&text, v, 1024, binary, metric_small);
    }
    *out = text_value(c, &text);
    return ERR_OK;
}

static void put_long_duration(struct buf *to, double v) {
    const char *sign = v < 0 ? "-" : "";
    const double magnitude = fabs(v);
    const int64_t whole = magnitude < 9e18 ? (int64_t)magnitude : INT64_MAX;
    const long long seconds = whole % 60;
    const long long minutes = whole / 60 % 60;
    const long long hours = whole / 3600 % 24;
    const long long days = whole / 86400;
    if (days != 0) {
        buf_printf(to, "%s%lldd %lldh %lldm %llds", sign, days, hours, minutes, seconds);
    } else if (hours != 0) {
        buf_printf(to, "%s%lldh %lldm %llds", sign, hours, minutes, seconds);
    } else if (minutes != 0) {
        buf_printf(to, "%s%lldm %llds", sign, minutes, seconds);
    } else {
        buf_append_cstr(to, sign);
        put_general(to, magnitude);
        buf_append_char(to, 's');
    }
}

static enum err_code run_humanize_duration(const struct template_call *c,
                                           struct template_value *out, struct err *err) {
    double v = 0;
    const enum err_code code = template_to_float(&c->args[0], &v, err);
    if (code != ERR_OK) {
        return code;
    }
    struct buf text;
    buf_init(&text, TEXT_MAX);
    if (!isfinite(v)) {
        put_general(&text, v);
    } else if (v == 0) {
        buf_append_cstr(&text, "0s");
    } else if (fabs(v) >= 1) {
        put_long_duration(&text, v);
    } else {
        put_scaled(&text, v, 1000, metric_large, metric_small);
        buf_append_char(&text, 's');
    }
    *out = text_value(c, &text);
    return ERR_OK;
}

static enum err_code run_humanize_percentage(const struct template_call *c,
                                             struct template_value *out, struct err *err) {
    double v = 0;
    const enum err_code code = template_to_float(&c->args[0], &v, err);
    if (code != ERR_OK) {
        return code;
    }
    struct buf text;
    buf_init(&text, TEXT_MAX);
    put_general(&text, v * 100);
    buf_append_char(&text, '%');
    *out = text_value(c, &text);
    return ERR_OK;
}

static enum err_code to_unix_ns(double seconds, int64_t *out, struct err *err) {
    const double limit = 9.2233720368e18;
    if (seconds * 1e9 > limit || seconds * 1e9 < -limit) {
        char text[NUMBER_TEXT_MAX];
        const size_t n = number_format_g(seconds, text);
        return err_set(
            err, ERR_INVALID,
            "%.*s cannot be represented as a nanoseconds timestamp since it overflows int64",
            (int)n, text);
    }
    /* milliseconds, as Prometheus' model.Time */
    *out = (int64_t)(seconds * 1000) * 1000000;
    return ERR_OK;
}

static enum err_code run_humanize_timestamp(const struct template_call *c,
                                            struct template_value *out, struct err *err) {
    double v = 0;
    enum err_code code = template_to_float(&c->args[0], &v, err);
    if (code != ERR_OK) {
        return code;
    }
    struct buf text;
    buf_init(&text, TEXT_MAX);
    if (!isfinite(v)) {
        put_general(&text, v);
        *out = text_value(c, &text);
        return ERR_OK;
    }
    struct template_value time = {.type = TEMPLATE_TIME};
    code = to_unix_ns(v, &time.i, err);
    if (code == ERR_OK) {
        template_print(&text, &time);
        *out = text_value(c, &text);
    }
    return code;
}

static enum err_code run_to_time(const struct template_call *c, struct template_value *out,
                                 struct err *err) {
    double v = 0;
    const enum err_code code = template_to_float(&c->args[0], &v, err);
    if (code != ERR_OK) {
        return code;
    }
    if (!isfinite(v)) {
        return err_set(err, ERR_INVALID, "value is NaN or Inf");
    }
    *out = (struct template_value){.type = TEMPLATE_TIME};
    return to_unix_ns(v, &out->i, err);
}

static enum err_code run_to_duration(const struct template_call *c, struct template_value *out,
                                     struct err *err) {
    double v = 0;
    const enum err_code code = template_to_float(&c->args[0], &v, err);
    if (code != ERR_OK) {
        return code;
    }
    if (!isfinite(v) || fabs(v) > 9.2e9) {
        return err_set(err, ERR_INVALID, "value is NaN or Inf");
    }
    *out = (struct template_value){.type = TEMPLATE_DURATION, .i = (int64_t)(v * 1e9)};
    return ERR_OK;
}

static enum err_code run_now(const struct template_call *c, struct template_value *out,
                             struct err *err) {
    (void)err;
    *out = template_float((double)c->data->ts_ms / 1000);
    return ERR_OK;
}

static enum err_code run_parse_duration(const struct template_call *c, struct template_value *out,
                                        struct err *err) {
    struct str text;
    enum err_code code = want_string(c, 0, &text, err);
    const bool negative = code == ERR_OK && text.len > 0 && text.ptr[0] == '-';
    int64_t ns = 0;
    if (code == ERR_OK) {
        code = duration_parse_ns(negative ? str_from(text, 1) : text, &ns, err);
    }
    if (code == ERR_OK) {
        *out = template_float((negative ? -1 : 1) * (double)ns / 1e9);
    }
    return code;
}

/* ---- text ---- */

static enum err_code map_case(const struct template_call *c, struct template_value *out, char first,
                              char last, int delta, struct err *err) {
    struct str s;
    const enum err_code code = want_string(c, 0, &s, err);
    if (code != ERR_OK) {
        return code;
    }
    char *text = arena_cstr(c->arena, s);
    for (size_t i = 0; i < s.len; i++) {
        if (text[i] >= first && text[i] <= last) {
            text[i] = (char)(text[i] + delta);
        }
    }
    *out = template_string((struct str){text, s.len});
    return ERR_OK;
}

static enum err_code run_to_upper(const struct template_call *c, struct template_value *out,
                                  struct err *err) {
    return map_case(c, out, 'a', 'z', 'A' - 'a', err);
}

static enum err_code run_to_lower(const struct template_call *c, struct template_value *out,
                                  struct err *err) {
    return map_case(c, out, 'A', 'Z', 'a' - 'A', err);
}

static enum err_code run_title(const struct template_call *c, struct template_value *out,
                               struct err *err) {
    struct str s;
    const enum err_code code = want_string(c, 0, &s, err);
    if (code != ERR_OK) {
        return code;
    }
    char *text = arena_cstr(c->arena, s);
    bool in_word = false;
    for (size_t i = 0; i < s.len; i++) {
        const char ch = text[i];
        if (!in_word && ch >= 'a' && ch <= 'z') {
            text[i] = (char)(ch - 'a' + 'A');
        }
        in_word = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                  (ch >= '0' && ch <= '9') || ch == '_' || ch == '\'' || (unsigned char)ch >= 0x80;
    }
    *out = template_string((struct str){text, s.len});
    return ERR_OK;
}

static enum err_code run_match(const struct template_call *c, struct template_value *out,
                               struct err *err) {
    struct str pattern;
    struct str subject;
    enum err_code code = want_string(c, 0, &pattern, err);
    if (code == ERR_OK) {
        code = want_string(c, 1, &subject, err);
    }
    struct regex *re = NULL;
    if (code == ERR_OK) {
        code = regex_new(pattern, REGEX_SEARCH, &re, err);
    }
    bool matched = false;
    if (code == ERR_OK) {
        code = regex_match(re, subject, &matched, err);
    }
    regex_free(re);
    *out = template_bool(matched);
    return code;
}

static enum err_code run_replace_all(const struct template_call *c, struct template_value *out,
                                     struct err *err) {
    struct str parts[3];
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < 3 && code == ERR_OK; i++) {
        code = want_string(c, i, &parts[i], err);
    }
    struct regex *re = NULL;
    if (code == ERR_OK) {
        code = regex_new(parts[0], REGEX_SEARCH, &re, err);
    }
    struct buf text;
    buf_init(&text, TEXT_MAX);
    if (code == ERR_OK) {
        code = regex_replace_all(re, parts[2], parts[1], &text, err);
    }
    regex_free(re);
    if (code == ERR_OK) {
        *out = text_value(c, &text);
    } else {
        buf_release(&text);
    }
    return code;
}

/* Go's net.SplitHostPort; false when the text is none. */
static bool split_host_port(struct str s, struct str *host, struct str *port) {
    const ptrdiff_t colon = str_rfind_char(s, ':');
    if (colon < 0) {
        return false;
    }
    *host = str_sub(s, 0, (size_t)colon);
    *port = str_from(s, (size_t)colon + 1);
    if (host->len > 0 && host->ptr[0] == '[') {
        if (host->ptr[host->len - 1] != ']') {
            return false;
        }
        *host = str_sub(*host, 1, host->len - 2);
    } else if (str_find_char(*host, ':') >= 0) {
        return false;
    }
    return str_find_char(*host, '[') < 0 && str_find_char(*host, ']') < 0 &&
           str_find_char(*port, '[') < 0 && str_find_char(*port, ']') < 0;
}

static enum err_code run_strip_port(const struct template_call *c, struct template_value *out,
                                    struct err *err) {
    struct str s;
    struct str host;
    struct str port;
    const enum err_code code = want_string(c, 0, &s, err);
    if (code == ERR_OK) {
        *out = template_string(split_host_port(s, &host, &port) ? host : s);
    }
    return code;
}

static bool is_ip(struct str s) {
    if (str_find_char(s, ':') >= 0) {
        return true;
    }
    int dots = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '.') {
            dots++;
        } else if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
    }
    return dots == 3;
}

static enum err_code run_strip_domain(const struct template_call *c, struct template_value *out,
                                      struct err *err) {
    struct str s;
    const enum err_code code = want_string(c, 0, &s, err);
    if (code != ERR_OK) {
        return code;
    }
    struct str host = s;
    struct str port = STR("");
    if (!split_host_port(s, &host, &port)) {
        host = s;
        port = STR("");
    }
    if (is_ip(host)) {
        *out = template_string(s);
        return ERR_OK;
    }
    const ptrdiff_t dot = str_find_char(host, '.');
    host = dot < 0 ? host : str_sub(host, 0, (size_t)dot);
    *out = template_string(
        port.len != 0 ? arena_printf(c->arena, "%.*s:%.*s", STR_ARG(host), STR_ARG(port)) : host);
    return ERR_OK;
}

/* ---- links ---- */

static enum err_code link_to(const struct template_call *c, const char *tab,
                             struct template_value *out, struct err *err) {
    struct str expr;
    const enum err_code code = want_string(c, 0, &expr, err);
    if (code != ERR_OK) {
        return code;
    }
    struct buf text;
    buf_init(&text, TEXT_MAX);
    buf_append_cstr(&text, "/graph?g0.expr=");
    url_query_escape(&text, expr);
    buf_append_cstr(&text, tab);
    *out = text_value(c, &text);
    return ERR_OK;
}

static enum err_code run_graph_link(const struct template_call *c, struct template_value *out,
                                    struct err *err) {
    return link_to(c, "&g0.tab=0", out, err);
}

static enum err_code run_table_link(const struct template_call *c, struct template_value *out,
                                    struct err *err) {
    return link_to(c, "&g0.tab=1", out, err);
}

static enum err_code run_url_query_escape(const struct template_call *c, struct template_value *out,
                                          struct err *err) {
    struct str s;
    const enum err_code code = want_string(c, 0, &s, err);
    if (code != ERR_OK) {
        return code;
    }
    struct buf text;
    buf_init(&text, TEXT_MAX);
    url_query_escape(&text, s);
    *out = text_value(c, &text);
    return ERR_OK;
}

static enum err_code run_external_url(const struct template_call *c, struct template_value *out,
                                      struct err *err) {
    (void)err;
    *out = template_string(c->data->external_url);
    return ERR_OK;
}

static enum err_code run_path_prefix(const struct template_call *c, struct template_value *out,
                                     struct err *err) {
    (void)err;
    struct url url;
    *out = template_string(
        url_parse(c->arena, c->data->external_url, &url, NULL) == ERR_OK ? url.path : STR(""));
    return ERR_OK;
}

static enum err_code run_args(const struct template_call *c, struct template_value *out,
                              struct err *err) {
    (void)err;
    struct template_value *items = arena_alloc(c->arena, (c->count + 1) * sizeof(*items));
    if (c->count > 0) {
        memcpy(items, c->args, c->count * sizeof(*items));
    }
    *out = (struct template_value){.type = TEMPLATE_ARGS, .args = {items, c->count}};
    return ERR_OK;
}

static enum err_code run_safe_html(const struct template_call *c, struct template_value *out,
                                   struct err *err) {
    struct str s;
    const enum err_code code = want_string(c, 0, &s, err);
    *out = template_string(s);
    return code;
}

static const struct template_function functions[] = {
    {"args", 0, -1, run_args},
    {"externalURL", 0, 0, run_external_url},
    {"first", 1, 1, run_first},
    {"graphLink", 1, 1, run_graph_link},
    {"humanize", 1, 1, run_humanize},
    {"humanize1024", 1, 1, run_humanize1024},
    {"humanizeDuration", 1, 1, run_humanize_duration},
    {"humanizePercentage", 1, 1, run_humanize_percentage},
    {"humanizeTimestamp", 1, 1, run_humanize_timestamp},
    {"label", 2, 2, run_label},
    {"match", 2, 2, run_match},
    {"now", 0, 0, run_now},
    {"parseDuration", 1, 1, run_parse_duration},
    {"pathPrefix", 0, 0, run_path_prefix},
    {"query", 1, 1, run_query},
    {"reReplaceAll", 3, 3, run_replace_all},
    {"safeHtml", 1, 1, run_safe_html},
    {"sortByLabel", 2, 2, run_sort_by_label},
    {"stripDomain", 1, 1, run_strip_domain},
    {"stripPort", 1, 1, run_strip_port},
    {"strvalue", 1, 1, run_strvalue},
    {"tableLink", 1, 1, run_table_link},
    {"title", 1, 1, run_title},
    {"toDuration", 1, 1, run_to_duration},
    {"toLower", 1, 1, run_to_lower},
    {"toTime", 1, 1, run_to_time},
    {"toUpper", 1, 1, run_to_upper},
    {"urlQueryEscape", 1, 1, run_url_query_escape},
    {"value", 1, 1, run_value},
};

const struct template_function *template_function_prometheus(struct str name) {
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        if (str_eq(name, str_of(functions[i].name))) {
            return &functions[i];
        }
    }
    return NULL;
}

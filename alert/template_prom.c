/* Prometheus' own template functions (spec/rules-alerts.md section 5): queries, numbers for people
 * and facts. Those on text are in template_text.c. */
#include <math.h>

#include "alert/template_value.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/url.h"

enum { TEXT_MAX = TEMPLATE_OUTPUT_MAX };

static struct template_value text_value(const struct template_call *c, struct buf *text) {
    const struct template_value v = template_string(arena_str(c->arena, buf_str(text)));
    buf_release(text);
    return v;
}

/* ---- queries ---- */

static enum err_code run_query(const struct template_call *c, struct template_value *out,
                               struct err *err) {
    if (c->data->query == NULL) {
        return err_set(err, ERR_UNAVAILABLE, "no query engine");
    }
    struct template_sample *items = NULL;
    size_t count = 0;
    const enum err_code code = c->data->query(c->data->query_ctx, c->args[0].s, c->data->ts_ms,
                                              c->arena, &items, &count, err);
    *out = (struct template_value){.type = TEMPLATE_SAMPLES, .samples = {items, count}};
    return code;
}

static enum err_code run_first(const struct template_call *c, struct template_value *out,
                               struct err *err) {
    if (c->args[0].samples.count == 0) {
        return err_set(err, ERR_INVALID, "first() called on vector with no elements");
    }
    *out = (struct template_value){.type = TEMPLATE_SAMPLE, .sample = c->args[0].samples.items};
    return ERR_OK;
}

static enum err_code run_label(const struct template_call *c, struct template_value *out,
                               struct err *err) {
    (void)err;
    *out = template_string(labels_get(c->args[1].sample->labels, c->args[0].s));
    return ERR_OK;
}

static enum err_code run_value(const struct template_call *c, struct template_value *out,
                               struct err *err) {
    (void)err;
    *out = template_float(c->args[0].sample->value);
    return ERR_OK;
}

static enum err_code run_strvalue(const struct template_call *c, struct template_value *out,
                                  struct err *err) {
    (void)err;
    *out = template_string(labels_get(c->args[0].sample->labels, STR("__value__")));
    return ERR_OK;
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
    const size_t n = c->args[1].samples.count;
    struct template_sample *items = arena_try_alloc(c->arena, n + 1, sizeof(*items));
    struct template_sample *spare = arena_try_alloc(c->arena, n + 1, sizeof(*spare));
    if (items == NULL || spare == NULL) {
        return err_set(err, ERR_LIMIT, "%zu samples are too many to sort", n);
    }
    if (n > 0) {
        memcpy(items, c->args[1].samples.items, n * sizeof(*items));
    }
    sort_by(items, spare, n, c->args[0].s);
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
    const struct str text = c->args[0].s;
    const bool negative = text.len > 0 && text.ptr[0] == '-';
    int64_t ns = 0;
    const enum err_code code = duration_parse_ns(str_from(text, negative), &ns, err);
    *out = template_float((negative ? -1 : 1) * (double)ns / 1e9);
    return code;
}

/* ---- facts ---- */

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

static const struct template_function functions[] = {
    {"args", "v*", run_args},
    {"externalURL", "", run_external_url},
    {"first", "q", run_first},
    {"humanize", "v", run_humanize},
    {"humanize1024", "v", run_humanize1024},
    {"humanizeDuration", "v", run_humanize_duration},
    {"humanizePercentage", "v", run_humanize_percentage},
    {"humanizeTimestamp", "v", run_humanize_timestamp},
    {"label", "sp", run_label},
    {"now", "", run_now},
    {"parseDuration", "s", run_parse_duration},
    {"pathPrefix", "", run_path_prefix},
    {"query", "s", run_query},
    {"sortByLabel", "sq", run_sort_by_label},
    {"strvalue", "p", run_strvalue},
    {"toDuration", "v", run_to_duration},
    {"toTime", "v", run_to_time},
    {"value", "p", run_value},
};

const struct template_function *template_function_prometheus(struct str name) {
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        if (str_eq(name, str_of(functions[i].name))) {
            return &functions[i];
        }
    }
    return template_function_text(name);
}

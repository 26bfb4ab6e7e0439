#include "rule_test_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alert/alert.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/histogram_text.h"
#include "base/mem.h"
#include "base/number.h"
#include "config_bind.h"
#include "query/query.h"
#include "query/script/fake_storage.h"
#include "query/script/promqltest_sequence.h"

enum { SAMPLES_MAX = 10000, TIMEOUT_MS = 100 * 1000 };
/* Evaluations happen between the years 1685 and 2255: Unix nanoseconds fit in 64 bits. */
#define UNIX_MS_MAX INT64_C(9000000000000)
#define TEXT_BYTES_MAX ((size_t)64 * 1024 * 1024)

struct input {
    struct labels labels;
    struct sequence values;
    size_t done; /* values that are in the storage */
};

struct run {
    const struct rule_test_options *options;
    const struct rule_test_file *file;
    const struct rule_test_group *group;
    struct rule_test_errors *errors;
    struct arena *arena; /* that of the errors */
    struct query_engine *engine;
    struct fake_storage *fs;
    struct rule_session *session;
    struct input *inputs;
    int64_t ts_ms; /* of the evaluation at hand */
};

/* ---- errors ---- */

void rule_test_errors_add(struct rule_test_errors *errors, struct str text) {
    if (errors->count == errors->capacity) {
        const size_t capacity = errors->capacity * 2 + 8;
        struct str *items = arena_alloc(errors->arena, capacity * sizeof(*items));
        if (errors->count > 0) {
            memcpy(items, errors->items, errors->count * sizeof(*items));
        }
        errors->items = items;
        errors->capacity = capacity;
    }
    errors->items[errors->count++] = arena_str(errors->arena, text);
}

static void add_load_error(void *ctx, struct str text) {
    rule_test_errors_add(((struct run *)ctx)->errors, text);
}

static void take_text(struct run *r, struct buf *text) {
    rule_test_errors_add(r->errors, buf_ok(text) ? buf_str(text)
                                                 : STR("    the difference is too long to print"));
    buf_release(text);
}

static struct str duration_text(struct run *r, int64_t ms) {
    struct buf text;
    buf_init(&text, 128);
    duration_format_ms(&text, ms);
    const struct str copy = arena_str(r->arena, buf_str(&text));
    buf_release(&text);
    return copy;
}

/* ---- series ---- */

static enum err_code make_labels(struct arena *arena, const struct label_options *options,
                                 struct labels *out, struct err *err) {
    struct labels_builder b;
    labels_builder_init(&b, arena);
    for (size_t i = 0; i < options->count; i++) {
        labels_builder_set(&b, options->items[i].name, options->items[i].value);
    }
    return labels_builder_finish(&b, out, err);
}

static bool read_inputs(struct run *r) {
    const struct rule_test_group *group = r->group;
    r->inputs = arena_zalloc(r->arena, (group->series_count + 1) * sizeof(*r->inputs));
    for (size_t i = 0; i < group->series_count; i++) {
        struct err err;
        const struct rule_test_series *s = &group->series[i];
        enum err_code code =
            query_parse_metric(r->arena, str_trim(s->series), &r->inputs[i].labels, &err);
        if (code == ERR_OK && !sequence_parse(r->arena, s->values, &r->inputs[i].values)) {
            code = err_set(&err, ERR_INVALID, "bad values %s", bind_quote(r->arena, s->values));
        }
        if (code != ERR_OK) {
            rule_test_errors_add(r->errors,
                                 arena_printf(r->arena, "error in input series %s: %s",
                                              bind_quote(r->arena, s->series), err.text));
            return false;
        }
    }
    return true;
}

/* Values up to the evaluation at hand: later ones must not be seen by negative offsets. */
static void put_inputs(struct run *r) {
    for (size_t i = 0; i < r->group->series_count; i++) {
        struct input *in = &r->inputs[i];
        for (; in->done < in->values.count; in->done++) {
            const int64_t ts_ms = r->group->start_ms + (int64_t)in->done * r->group->interval_ms;
            if (ts_ms > r->ts_ms) {
                break;
            }
            const struct point *p = &in->values.points[in->done];
            if (p->kind == POINT_HISTOGRAM) {
                fake_storage_put_histogram(r->fs, in->labels, ts_ms, p->histogram, 0);
            } else if (p->kind == POINT_FLOAT) {
                fake_storage_put(r->fs, in->labels, ts_ms, p->value);
            }
        }
    }
}

/* ---- alerts ---- */

struct alert_pair {
    struct labels labels, annotations;
};

static int compare_alerts(const void *left, const void *right) {
    const struct alert_pair *a = left;
    const struct alert_pair *b = right;
    const int c = labels_cmp(a->labels, b->labels);
    return c != 0 ? c : labels_cmp(a->annotations, b->annotations);
}

static void print_alerts(struct buf *to, const struct alert_pair *alerts, size_t count) {
    buf_append_char(to, '[');
    for (size_t i = 0; i < count; i++) {
        buf_printf(to, "%s\n            %zu:\n              Labels:", i > 0 ? "," : "", i);
        labels_format(to, alerts[i].labels);
        buf_append_cstr(to, "\n              Annotations:");
        labels_format(to, alerts[i].annotations);
    }
    buf_append_cstr(to, count > 0 ? "\n            ]" : "]");
}

static enum err_code expected_alerts(struct run *r, const struct rule_test_alert *test,
                                     struct alert_pair *out, struct err *err) {
    for (size_t i = 0; i < test->expected_count; i++) {
        struct labels_builder b;
        enum err_code code = make_labels(r->arena, &test->expected[i].labels, &out[i].labels, err);
        if (code == ERR_OK) {
            labels_builder_init(&b, r->arena);
            labels_builder_reset(&b, out[i].labels);
            labels_builder_set(&b, STR("alertname"), test->alertname);
            code = labels_builder_finish(&b, &out[i].labels, err);
        }
        if (code == ERR_OK) {
            code = make_labels(r->arena, &test->expected[i].annotations, &out[i].annotations, err);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static bool same_alerts(const struct alert_pair *a, size_t a_count, const struct alert_pair *b,
                        size_t b_count) {
    for (size_t i = 0; a_count == b_count && i < a_count; i++) {
        if (compare_alerts(&a[i], &b[i]) != 0) {
            return false;
        }
    }
    return a_count == b_count;
}

static void report_alerts(struct run *r, const struct rule_test_alert *test,
                          const struct alert_pair *want, const struct alert_pair *got,
                          size_t got_count) {
    struct buf text;
    buf_init(&text, TEXT_BYTES_MAX);
    if (r->group->name.len > 0) {
        buf_printf(&text, "    name: %.*s,\n", STR_ARG(r->group->name));
    }
    buf_printf(&text, "    alertname: %.*s, time: %.*s, \n        exp:", STR_ARG(test->alertname),
               STR_ARG(duration_text(r, test->eval_ms)));
    print_alerts(&text, want, test->expected_count);
    buf_append_cstr(&text, ", \n        got:");
    print_alerts(&text, got, got_count);
    take_text(r, &text);
}

static void check_alert(struct run *r, const struct rule_test_alert *test) {
    struct alert_info *firing = NULL;
    size_t count = 0;
    rule_session_firing(r->session, test->alertname, r->arena, &firing, &count);
    struct alert_pair *got = arena_alloc(r->arena, (count + 1) * sizeof(*got));
    struct alert_pair *want = arena_alloc(r->arena, (test->expected_count + 1) * sizeof(*want));
    for (size_t i = 0; i < count; i++) {
        got[i] = (struct alert_pair){firing[i].labels, firing[i].annotations};
    }
    struct err err;
    if (expected_alerts(r, test, want, &err) != ERR_OK) {
        rule_test_errors_add(r->errors, str_of(err.text));
        return;
    }
    qsort(got, count, sizeof(*got), compare_alerts);
    qsort(want, test->expected_count, sizeof(*want), compare_alerts);
    if (!same_alerts(want, test->expected_count, got, count)) {
        report_alerts(r, test, want, got, count);
    }
}

/* Tests whose time lies between this evaluation and the next; by time, then as written. */
static void check_alerts(struct run *r) {
    const int64_t at_ms = r->ts_ms - r->group->start_ms;
    const int64_t next_ms = at_ms + r->file->evaluation_interval_ms;
    int64_t after_ms = at_ms - 1;
    for (;;) {
        int64_t due_ms = next_ms;
        for (size_t i = 0; i < r->group->alert_count; i++) {
            const int64_t t = r->group->alerts[i].eval_ms;
            due_ms = t > after_ms && t < due_ms ? t : due_ms;
        }
        if (due_ms == next_ms) {
            return;
        }
        for (size_t i = 0; i < r->group->alert_count; i++) {
            if (r->group->alerts[i].eval_ms == due_ms) {
                check_alert(r, &r->group->alerts[i]);
            }
        }
        after_ms = due_ms;
    }
}

/* ---- expressions ---- */

struct pair {
    struct labels labels;
    double value;         /* 0 for a histogram */
    struct str histogram; /* as the test language writes it; "" for a float */
};

static struct str histogram_text(struct run *r, const struct histogram *h) {
    struct buf text;
    buf_init(&text, TEXT_BYTES_MAX);
    histogram_format_expression(&text, h);
    const struct str copy = arena_str(r->arena, buf_str(&text));
    buf_release(&text);
    return copy;
}

static int compare_pairs(const void *left, const void *right) {
    return labels_cmp(((const struct pair *)left)->labels, ((const struct pair *)right)->labels);
}

static void print_pairs(struct buf *to, const struct pair *pairs, size_t count) {
    if (count == 0) {
        buf_append_cstr(to, "nil");
    }
    for (size_t i = 0; i < count; i++) {
        char text[NUMBER_TEXT_MAX];
        const size_t n = number_format_e(pairs[i].value, text);
        buf_append_cstr(to, i > 0 ? ", " : "");
        labels_format(to, pairs[i].labels);
        buf_append_char(to, ' ');
        buf_append_str(to, pairs[i].histogram);
        for (size_t k = 0; pairs[i].histogram.len == 0 && k < n; k++) {
            buf_append_char(to, text[k] == 'e' ? 'E' : text[k]);
        }
    }
}

static bool same_value(double a, double b, bool fuzzy) {
    return a == b || (fuzzy && (nextafter(a, -INFINITY) == b || nextafter(a, INFINITY) == b));
}

static bool same_pairs(const struct pair *a, size_t a_count, const struct pair *b, size_t b_count,
                       bool fuzzy) {
    for (size_t i = 0; a_count == b_count && i < a_count; i++) {
        if (!labels_eq(a[i].labels, b[i].labels) || !str_eq(a[i].histogram, b[i].histogram) ||
            !same_value(a[i].value, b[i].value, fuzzy)) {
            return false;
        }
    }
    return a_count == b_count;
}

static enum err_code query_pairs(struct run *r, const struct rule_test_expr *test,
                                 struct pair **out, size_t *out_count, struct err *err) {
    const int64_t ts_ms = r->group->start_ms + test->eval_ms;
    const struct query query = {.text = test->expr, .start_ms = ts_ms, .end_ms = ts_ms};
    struct query_result result;
    const enum err_code code =
        query_run(r->engine, fake_storage_as_storage(r->fs), &query, r->arena, &result, err);
    if (code != ERR_OK) {
        return code;
    }
    if (result.type != RESULT_VECTOR && result.type != RESULT_SCALAR) {
        return err_set(err, ERR_EXECUTION, "rule result is not a vector or scalar");
    }
    const bool scalar = result.type == RESULT_SCALAR;
    *out_count = scalar ? 1 : result.series_count;
    *out = arena_zalloc(r->arena, (*out_count + 1) * sizeof(**out));
    (*out)[0].value = scalar ? result.scalar : 0;
    for (size_t i = 0; !scalar && i < *out_count; i++) {
        const struct result_series *s = &result.series[i];
        (*out)[i].labels = s->labels;
        if (s->histograms != NULL && s->histograms[0] != NULL) {
            (*out)[i].histogram = histogram_text(r, s->histograms[0]);
        } else {
            (*out)[i].value = s->values[0];
        }
    }
    return ERR_OK;
}

static enum err_code expected_histogram(struct run *r, struct str text, struct str *out,
                                        struct err *err) {
    struct sequence values = {.count = 0};
    enum err_code code = ERR_OK;
    if (sequence_parse(r->arena, text, &values) && values.count == 1 &&
        values.points[0].kind == POINT_HISTOGRAM) {
        *out = histogram_text(r, values.points[0].histogram);
    } else {
        code =
            err_set(err, ERR_INVALID, "expected one histogram, got %s", bind_quote(r->arena, text));
    }
    mem_free(values.points);
    return code;
}

static enum err_code expected_pairs(struct run *r, const struct rule_test_expr *test,
                                    struct pair *out, struct err *err) {
    for (size_t i = 0; i < test->sample_count; i++) {
        const struct rule_test_sample *s = &test->samples[i];
        enum err_code code = query_parse_metric(r->arena, s->labels, &out[i].labels, err);
        out[i].histogram = STR("");
        if (code == ERR_OK && s->histogram.len > 0) {
            code = expected_histogram(r, s->histogram, &out[i].histogram, err);
        }
        if (code != ERR_OK) {
            return err_wrap(err, "labels %s", bind_quote(r->arena, s->labels));
        }
        out[i].value = s->value;
    }
    return ERR_OK;
}

static void check_expr(struct run *r, const struct rule_test_expr *test) {
    struct pair *want = arena_alloc(r->arena, (test->sample_count + 1) * sizeof(*want));
    struct pair *got = NULL;
    size_t count = 0;
    struct err err;
    struct buf text;
    buf_init(&text, TEXT_BYTES_MAX);
    buf_printf(&text, "    expr: %s, time: %.*s,", bind_quote(r->arena, test->expr),
               STR_ARG(duration_text(r, test->eval_ms)));
    if (query_pairs(r, test, &got, &count, &err) != ERR_OK ||
        expected_pairs(r, test, want, &err) != ERR_OK) {
        buf_printf(&text, " err: %s", err.text);
        take_text(r, &text);
        return;
    }
    qsort(want, test->sample_count, sizeof(*want), compare_pairs);
    qsort(got, count, sizeof(*got), compare_pairs);
    if (same_pairs(want, test->sample_count, got, count, r->file->fuzzy_compare)) {
        buf_release(&text);
        return;
    }
    buf_append_cstr(&text, "\n        exp: ");
    print_pairs(&text, want, test->sample_count);
    buf_append_cstr(&text, "\n        got: ");
    print_pairs(&text, got, count);
    take_text(r, &text);
}

/* ---- the whole group ---- */

static void on_rule_error(void *ctx, struct str rule, struct str text) {
    struct run *r = ctx;
    struct buf out;
    buf_init(&out, TEXT_BYTES_MAX);
    buf_printf(&out, "    rule: %.*s, time: ", STR_ARG(rule));
    duration_format_go_ns(&out, r->ts_ms * NS_PER_MS);
    buf_printf(&out, ", err: %.*s", STR_ARG(text));
    take_text(r, &out);
}

static int64_t last_eval_ms(const struct rule_test_group *group) {
    int64_t last = 0;
    for (size_t i = 0; i < group->alert_count; i++) {
        last = group->alerts[i].eval_ms > last ? group->alerts[i].eval_ms : last;
    }
    for (size_t i = 0; i < group->expr_count; i++) {
        last = group->exprs[i].eval_ms > last ? group->exprs[i].eval_ms : last;
    }
    return last;
}

/* What no evaluation is needed to see; false if there was an error. */
static bool check_group(struct run *r) {
    const struct rule_test_group *group = r->group;
    for (size_t i = 0; i < group->alert_count; i++) {
        if (group->alerts[i].alertname.len > 0) {
            continue;
        }
        const bool named = group->name.len > 0;
        rule_test_errors_add(
            r->errors,
            arena_printf(r->arena,
                         "an item under alert_rule_test misses required attribute alertname at "
                         "eval_time %.*s%s%.*s%s",
                         STR_ARG(duration_text(r, group->alerts[i].eval_ms)),
                         named ? " (in TestGroup " : "", STR_ARG(group->name), named ? ")" : ""));
        return false;
    }
    if (group->start_ms > UNIX_MS_MAX || group->start_ms < -UNIX_MS_MAX ||
        last_eval_ms(group) > UNIX_MS_MAX - group->start_ms) {
        rule_test_errors_add(r->errors, STR("start_timestamp or eval_time is too far from 1970"));
        return false;
    }
    return true;
}

static bool load_rules(struct run *r, struct labels external_labels) {
    const struct rule_session_options options = {.storage = fake_storage_as_storage(r->fs),
                                                 .engine = r->engine,
                                                 .vfs = r->options->vfs,
                                                 .clock = clock_system(),
                                                 .external_labels = external_labels,
                                                 .external_url = r->group->external_url,
                                                 .interval_ms = r->group->interval_ms};
    r->session = rule_session_new(&options);
    bool ok = true;
    for (size_t i = 0; i < r->options->rule_file_count; i++) {
        const char *path = arena_cstr(r->arena, r->options->rule_files[i]);
        ok = rule_session_load(r->session, path, add_load_error, r) && ok;
    }
    rule_session_order(r->session, r->file->group_order, r->file->group_order_count);
    return ok;
}

static void evaluate(struct run *r) {
    const int64_t end_ms = r->group->start_ms + last_eval_ms(r->group);
    for (r->ts_ms = r->group->start_ms; r->ts_ms <= end_ms;
         r->ts_ms += r->file->evaluation_interval_ms) {
        put_inputs(r);
        const size_t failed = r->errors->count;
        rule_session_evaluate(r->session, r->ts_ms, on_rule_error, r);
        if (r->errors->count > failed) {
            return;
        }
        check_alerts(r);
    }
    for (size_t i = 0; i < r->group->expr_count; i++) {
        check_expr(r, &r->group->exprs[i]);
    }
}

static void run_group(struct run *r, struct labels external_labels) {
    struct query_options engine_options;
    query_options_default(&engine_options);
    engine_options.max_samples = SAMPLES_MAX;
    engine_options.timeout_ms = TIMEOUT_MS;
    engine_options.default_step_ms = r->file->evaluation_interval_ms;
    engine_options.delayed_name_removal = r->options->delayed_name_removal;
    r->engine = query_engine_new(&engine_options);
    r->fs = fake_storage_new();
    if (load_rules(r, external_labels)) {
        evaluate(r);
    }
    rule_session_free(r->session);
    fake_storage_free(r->fs);
    query_engine_free(r->engine);
}

void rule_test_run(const struct rule_test_options *options, const struct rule_test_file *file,
                   const struct rule_test_group *group, struct rule_test_errors *errors) {
    struct run r = {
        .options = options, .file = file, .group = group, .errors = errors, .arena = errors->arena};
    struct labels external_labels;
    struct err err;
    if (make_labels(r.arena, &group->external_labels, &external_labels, &err) != ERR_OK) {
        rule_test_errors_add(errors, str_of(err.text));
        return;
    }
    if (!check_group(&r)) {
        return;
    }
    if (read_inputs(&r)) {
        run_group(&r, external_labels);
    }
    for (size_t i = 0; i < group->series_count; i++) {
        mem_free(r.inputs[i].values.points);
    }
}

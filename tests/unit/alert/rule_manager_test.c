/* Rule groups with the real query engine on a storage in memory and a clock that the test moves: what
 * they write, send and show, over evaluations, reloads and restarts. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "alert/alert.h"
#include "base/histogram.h"
#include "query/script/fake_storage.h"
#include "tests/support/check_err.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_transport.h"

enum { START_S = 1700000000 };

struct world {
    char folder[64];
    char pattern[96];
    struct fake_clock clock;
    struct fake_storage *fs;
    struct storage *storage;
    struct query_engine *engine;
    struct metric_registry *registry;
    struct rule_manager *rules;
    struct rules_config config;
    struct str files[1];
    struct arena arena; /* of one look */
    struct err err;
};

static void make_manager(struct world *w) {
    w->rules = rule_manager_new(&(struct rule_options){
        .storage = w->storage,
        .engine = w->engine,
        .vfs = vfs_system(),
        .clock = &w->clock.clock,
        .registry = w->registry,
        .outage_tolerance_ms = 3600 * 1000,
        .grace_period_ms = 600 * 1000,
        .resend_delay_ms = 60 * 1000,
        .no_threads = true,
    });
}

static int setup(void **state) {
    struct world *w = calloc(1, sizeof(*w));
    (void)snprintf(w->folder, sizeof(w->folder), "/tmp/brasa-rules-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    (void)snprintf(w->pattern, sizeof(w->pattern), "%s/*.yml", w->folder);
    fake_clock_init(&w->clock, (int64_t)START_S * NS_PER_S);
    w->fs = fake_storage_new();
    w->storage = fake_storage_as_storage(w->fs);
    w->registry = metric_registry_new();
    struct query_options options;
    query_options_default(&options);
    options.clock = &w->clock.clock;
    options.max_concurrency = 1; /* a query inside of a template must not wait for its rule's */
    w->engine = query_engine_new(&options);
    arena_init(&w->arena, 0);
    w->files[0] = str_of(w->pattern);
    w->config = (struct rules_config){.files = w->files,
                                      .file_count = 1,
                                      .evaluation_interval_ms = 60 * 1000,
                                      .external_url = STR("http://b")};
    make_manager(w);
    *state = w;
    return 0;
}

static void path_of(const struct world *w, const char *name, char path[160]) {
    (void)snprintf(path, 160, "%s/%s.yml", w->folder, name);
}

static void remove_file(const struct world *w, const char *name) {
    char path[160];
    path_of(w, name, path);
    (void)unlink(path);
}

static int teardown(void **state) {
    struct world *w = *state;
    rule_manager_free(w->rules);
    query_engine_free(w->engine);
    metric_registry_free(w->registry);
    fake_storage_free(w->fs);
    arena_release(&w->arena);
    remove_file(w, "a");
    remove_file(w, "b");
    assert_int_equal(rmdir(w->folder), 0);
    free(w);
    return 0;
}

static void write_file(const struct world *w, const char *name, const char *text) {
    char path[160];
    path_of(w, name, path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void apply(struct world *w) {
    assert_ok(rule_manager_apply(w->rules, &w->config, &w->err), &w->err);
}

static void load(struct world *w, const char *text) {
    write_file(w, "a", text);
    apply(w);
}

static int64_t now_ms(const struct world *w) {
    return atomic_load(&w->clock.unix_ns) / NS_PER_MS;
}

/* Moves to the next thing that is due and does it; the time then. */
static int64_t tick(struct world *w) {
    const int64_t next_ns = rule_manager_step(w->rules);
    assert_true(next_ns != INT64_MAX);
    fake_clock_advance_ns(&w->clock, next_ns - atomic_load(&w->clock.unix_ns));
    (void)rule_manager_step(w->rules);
    return now_ms(w);
}

/* A sample now, of "name" or "name{a=b}" */
static void put(struct world *w, const char *name, const char *label, double value) {
    const struct label l[] = {{LABEL_NAME, str_of(name)}, {STR("a"), str_of(label)}};
    arena_reset(&w->arena);
    fake_storage_put(w->fs, labels_of(&w->arena, l, label[0] != '\0' ? 2 : 1), now_ms(w), value);
}

/* The result of an instant query as "{...} value;" per series. */
static struct str query_at(struct world *w, const char *text, int64_t ts_ms) {
    const struct query query = {.text = str_of(text), .start_ms = ts_ms, .end_ms = ts_ms};
    struct query_result result;
    arena_reset(&w->arena);
    assert_ok(query_run(w->engine, w->storage, &query, &w->arena, &result, &w->err), &w->err);
    struct buf out;
    buf_init(&out, 64 * 1024);
    for (size_t i = 0; i < result.series_count; i++) {
        labels_format_metric(&out, result.series[i].labels);
        buf_printf(&out, " %g;", result.series[i].values[0]);
    }
    char *copy = arena_cstr(&w->arena, buf_str(&out));
    buf_release(&out);
    size_t n = 0;
    for (const char *at = copy; *at != '\0'; at++) { /* {a="1", b="2"} without the spaces */
        if (at == copy || !(*at == ' ' && at[-1] == ',')) {
            copy[n++] = *at;
        }
    }
    copy[n] = '\0';
    return str_of(copy);
}

/* The value of the one series of an instant query. */
static double value_at(struct world *w, const char *text, int64_t ts_ms) {
    const struct query query = {.text = str_of(text), .start_ms = ts_ms, .end_ms = ts_ms};
    struct query_result result;
    arena_reset(&w->arena);
    assert_ok(query_run(w->engine, w->storage, &query, &w->arena, &result, &w->err), &w->err);
    assert_int_equal(result.series_count, 1);
    return result.series[0].values[0];
}

static const struct rule_group_info *group(struct world *w, size_t i) {
    struct rule_group_info *groups = NULL;
    size_t count = 0;
    arena_reset(&w->arena);
    rule_groups(w->rules, &w->arena, &groups, &count);
    return i < count ? &groups[i] : NULL;
}

static double metric_value(const struct world *w, const char *name) {
    struct buf text;
    buf_init(&text, 1024 * 1024);
    metric_render(w->registry, &text);
    double value = -1;
    const char *at = text.ptr != NULL ? strstr(text.ptr, name) : NULL;
    while (at != NULL && (at != text.ptr && at[-1] != '\n')) {
        at = strstr(at + 1, name);
    }
    const char *space = at != NULL ? strchr(at, ' ') : NULL;
    if (space != NULL) {
        value = atof(space + 1);
    }
    buf_release(&text);
    return value;
}

/* ---- recording ---- */

static void a_recording_rule_writes_its_result_at_the_slot(void **state) {
    struct world *w = *state;
    load(w, "groups:\n- name: g\n  labels: {team: x}\n  rules:\n  - record: total\n    expr: "
            "sum(m) by (a)\n    labels: {extra: y}\n");
    put(w, "m", "1", 5);
    put(w, "m", "2", 7);
    const int64_t ts = tick(w);
    assert_str(query_at(w, "total", ts), "total{a=\"1\",extra=\"y\",team=\"x\"} 5;total{a=\"2\","
                                         "extra=\"y\",team=\"x\"} 7;");
    assert_true(value_at(w, "timestamp(total{a='1'}) * 1000", ts) == (double)ts);
    const struct rule_group_info *g = group(w, 0);
    assert_int_equal(g->rules[0].health, RULE_OK);
    assert_true(g->last_evaluation_unix_ns == ts * NS_PER_MS);
    assert_true(ts % 60000 == now_ms(w) % 60000);
}

static void the_slots_lie_an_interval_apart_at_the_groups_own_offset(void **state) {
    struct world *w = *state;
    load(w, "groups:\n- name: g\n  interval: 30s\n  rules:\n  - record: r\n    expr: '1'\n");
    const int64_t first = tick(w);
    const int64_t second = tick(w);
    assert_true(first > (int64_t)START_S * 1000 && first <= (int64_t)START_S * 1000 + 30000);
    assert_int_equal(second - first, 30000);
    assert_int_equal(tick(w) - second, 30000);
}

static void a_scalar_is_recorded_and_a_matrix_is_an_error(void **state) {
    struct world *w = *state;
    load(w,
         "groups:\n- name: g\n  rules:\n  - record: s\n    expr: 1 + 1\n  - record: t\n    expr: "
         "m[5m]\n");
    const int64_t ts = tick(w);
    assert_str(query_at(w, "s", ts), "s 2;");
    const struct rule_group_info *g = group(w, 0);
    assert_int_equal(g->rules[1].health, RULE_ERR);
    assert_str(g->rules[1].last_error, "rule result is not a vector or scalar");
}

static void an_alert_of_a_histogram_has_the_value_0(void **state) {
    struct world *w = *state;
    const struct label name = {LABEL_NAME, STR("h")};
    const struct histogram h = {.schema = 0, .count = 3, .sum = 7};
    load(w, "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: h\n    annotations: {v: \"{{ "
            "$value }}\"}\n  - record: r\n    expr: h\n");
    fake_storage_put_histogram(w->fs, labels_of(&w->arena, &name, 1), now_ms(w), &h, 0);
    (void)tick(w);
    const struct rule_group_info *g = group(w, 0);
    assert_int_equal(g->rules[0].health, RULE_OK);
    assert_int_equal(g->rules[0].alert_count, 1);
    assert_true(g->rules[0].alerts[0].value == 0);
    assert_str(labels_get(g->rules[0].alerts[0].annotations, STR("v")), "0");
    /* this storage keeps floats only, and says so */
    assert_int_equal(g->rules[1].health, RULE_ERR);
    assert_str(g->rules[1].last_error, "sample could not be stored");
}

static void a_rule_sees_what_the_rule_before_it_wrote(void **state) {
    struct world *w = *state;
    load(w,
         "groups:\n- name: g\n  rules:\n  - record: one\n    expr: vector(1)\n  - record: two\n  "
         "  expr: one + 1\n");
    const int64_t ts = tick(w);
    assert_str(query_at(w, "two", ts), "two 2;");
}

static void a_series_that_is_gone_becomes_stale(void **state) {
    struct world *w = *state;
    load(w, "groups:\n- name: g\n  rules:\n  - record: r\n    expr: m > 0\n");
    put(w, "m", "1", 5);
    put(w, "m", "2", 7);
    const int64_t first = tick(w);
    assert_str(query_at(w, "count(r)", first), "{} 2;");
    put(w, "m", "2", -1);
    const int64_t second = tick(w);
    assert_str(query_at(w, "r", second), "r{a=\"1\"} 5;");
    /* and it is ended once only */
    const int64_t third = tick(w);
    assert_str(query_at(w, "r", third), "r{a=\"1\"} 5;");
}

static void query_offset_looks_and_writes_into_the_past(void **state) {
    struct world *w = *state;
    load(w, "groups:\n- name: g\n  query_offset: 2m\n  rules:\n  - record: r\n    expr: "
            "timestamp(m)\n");
    put(w, "m", "", 1);
    (void)tick(w);
    (void)tick(w);
    const int64_t third = tick(w);
    assert_true(value_at(w, "r", third - 120000) == START_S);
    assert_true(value_at(w, "timestamp(r) * 1000", third) == (double)(third - 120000));
}

static void the_limit_and_duplicates_stop_a_recording_rule(void **state) {
    struct world *w = *state;
    load(w,
         "groups:\n- name: g\n  limit: 1\n  rules:\n  - record: r\n    expr: m\n  - record: d\n   "
         " expr: m\n    labels: {a: same}\n");
    put(w, "m", "1", 5);
    put(w, "m", "2", 7);
    const int64_t ts = tick(w);
    assert_str(query_at(w, "r or d", ts), "");
    const struct rule_group_info *g = group(w, 0);
    assert_str(g->rules[0].last_error, "exceeded limit of 1 with 2 series");
    assert_str(g->rules[1].last_error,
               "vector contains metrics with the same labelset after applying rule labels");
    assert_true(metric_value(w, "prometheus_rule_evaluation_failures_total{") == 2);
    assert_true(metric_value(w, "prometheus_rule_evaluations_total{") == 2);
}

static void an_error_writes_nothing_and_ends_nothing(void **state) {
    struct world *w = *state;
    load(w, "groups:\n- name: g\n  rules:\n  - record: r\n    expr: m + on() n\n");
    put(w, "m", "", 1);
    put(w, "n", "", 1);
    const int64_t first = tick(w);
    put(w, "n", "other", 1);
    const int64_t second = tick(w);
    assert_int_equal(group(w, 0)->rules[0].health, RULE_ERR);
    assert_str(query_at(w, "r", second), "r 2;");
    assert_true(value_at(w, "timestamp(r) * 1000", second) == (double)first);
}

static enum err_code refuse_append(struct storage_appender *a, struct labels labels, int64_t ts_ms,
                                   double value) {
    (void)a;
    (void)labels;
    (void)ts_ms;
    (void)value;
    return ERR_OUT_OF_ORDER;
}

static void a_refused_sample_makes_the_rule_bad_but_is_no_failure(void **state) {
    struct world *w = *state;
    load(w, "groups:\n- name: g\n  rules:\n  - record: r\n    expr: '1'\n");
    const struct storage_ops *real = w->storage->ops;
    struct storage_ops refusing = *real;
    refusing.append = refuse_append;
    w->storage->ops = &refusing;
    (void)tick(w);
    w->storage->ops = real;
    assert_int_equal(group(w, 0)->rules[0].health, RULE_ERR);
    assert_str(group(w, 0)->rules[0].last_error, "out of order sample");
    assert_true(metric_value(w, "prometheus_rule_evaluation_failures_total{") == 0);
}

static enum err_code (*real_commit)(struct storage_appender *a, struct err *err);
static void (*real_rollback)(struct storage_appender *a);

static enum err_code refuse_commit(struct storage_appender *a, struct err *err) {
    real_rollback(a);
    return err_set(err, ERR_NO_SPACE, "disk full");
}

static void a_failed_commit_is_a_failure_and_forgets_no_series(void **state) {
    struct world *w = *state;
    load(w, "groups:\n- name: g\n  rules:\n  - record: r\n    expr: m > 0\n");
    put(w, "m", "1", 1);
    (void)tick(w);
    const struct storage_ops *real = w->storage->ops;
    struct storage_ops refusing = *real;
    real_commit = real->appender_commit;
    real_rollback = real->appender_rollback;
    refusing.appender_commit = refuse_commit;
    w->storage->ops = &refusing;
    put(w, "m", "1", -1);
    (void)tick(w);
    w->storage->ops = real;
    assert_str(group(w, 0)->rules[0].last_error, "disk full");
    assert_true(metric_value(w, "prometheus_rule_evaluation_failures_total{") == 1);
    const int64_t third = tick(w);
    assert_str(query_at(w, "r", third), ""); /* the marker was written now */
}

/* ---- schedule ---- */

static void missed_slots_are_counted_and_skipped(void **state) {
    struct world *w = *state;
    load(w, "groups:\n- name: g\n  rules:\n  - record: r\n    expr: '1'\n");
    const int64_t first = tick(w);
    fake_clock_advance_ns(&w->clock, 3 * 60 * NS_PER_S + NS_PER_S);
    (void)rule_manager_step(w->rules);
    assert_true(group(w, 0)->last_evaluation_unix_ns == (first + 3 * 60000) * NS_PER_MS);
    assert_true(metric_value(w, "prometheus_rule_group_iterations_missed_total{") == 2);
    assert_true(metric_value(w, "prometheus_rule_group_iterations_total{") == 4);
}

static void a_clock_that_was_set_back_does_not_stop_the_rules(void **state) {
    struct world *w = *state;
    load(w, "groups:\n- name: g\n  rules:\n  - record: r\n    expr: '1'\n");
    const int64_t first = tick(w);
    fake_clock_set_unix_ns(&w->clock, (first - 90 * 60 * 1000) * NS_PER_MS - 1);
    (void)rule_manager_step(w->rules);
    assert_true(group(w, 0)->last_evaluation_unix_ns == (first - 91 * 60 * 1000) * NS_PER_MS);
    assert_int_equal(tick(w), first - 90 * 60 * 1000);
}

/* ---- alerts ---- */

#define DOWN                                                                                       \
    "groups:\n- name: g\n  rules:\n  - alert: Down\n    expr: m == 0\n    for: 2m\n    labels: "   \
    "{sev: page}\n    annotations: {s: '{{ $labels.a }} is {{ $value }}'}\n"

static void the_first_load_writes_alerts_once_they_are_restored(void **state) {
    struct world *w = *state;
    load(w, DOWN);
    put(w, "m", "1", 0);
    const int64_t first = tick(w);
    assert_str(query_at(w, "ALERTS or ALERTS_FOR_STATE", first), "");
    const int64_t second = tick(w);
    assert_str(query_at(w, "ALERTS or ALERTS_FOR_STATE", second), "");
    const int64_t third = tick(w);
    assert_str(query_at(w, "ALERTS", third),
               "ALERTS{a=\"1\",alertname=\"Down\",alertstate=\"firing\",sev=\"page\"} 1;");
    assert_true(value_at(w, "ALERTS_FOR_STATE{a='1',alertname='Down',sev='page'}", third) ==
                (double)(first / 1000));
}

/* Loads nothing first, so that what comes next counts as restored. */
static void load_restored(struct world *w, const char *text) {
    apply(w);
    load(w, text);
}

static void a_change_of_state_ends_the_old_states_series(void **state) {
    struct world *w = *state;
    load_restored(w, DOWN);
    put(w, "m", "1", 0);
    const int64_t first = tick(w);
    assert_str(query_at(w, "ALERTS", first),
               "ALERTS{a=\"1\",alertname=\"Down\",alertstate=\"pending\",sev=\"page\"} 1;");
    assert_int_equal(group(w, 0)->rules[0].state, ALERT_PENDING);
    assert_str(labels_get(group(w, 0)->rules[0].alerts[0].annotations, STR("s")), "1 is 0");
    (void)tick(w);
    const int64_t third = tick(w);
    assert_str(query_at(w, "ALERTS", third),
               "ALERTS{a=\"1\",alertname=\"Down\",alertstate=\"firing\",sev=\"page\"} 1;");
    put(w, "m", "1", 1);
    const int64_t fourth = tick(w);
    assert_str(query_at(w, "ALERTS or ALERTS_FOR_STATE", fourth), "");
    assert_int_equal(group(w, 0)->rules[0].state, ALERT_INACTIVE);
    assert_int_equal(group(w, 0)->rules[0].alert_count, 0);
}

static void an_empty_label_of_an_alert_shows_as_raw_text_in_its_series(void **state) {
    struct world *w = *state;
    load_restored(w, "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: vector(1)\n    labels: "
                     "{l: '{{ $labels.none }}'}\n");
    const int64_t ts = tick(w);
    assert_str(query_at(w, "ALERTS", ts), "ALERTS{alertname=\"A\",alertstate=\"firing\",l=\"{{ "
                                          "$labels.none }}\"} 1;");
    assert_false(labels_has(group(w, 0)->rules[0].alerts[0].labels, STR("l")));
}

static void templates_may_query_and_their_errors_become_text(void **state) {
    struct world *w = *state;
    load_restored(w, "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: vector(1)\n    "
                     "annotations:\n      q: '{{ with query \"m * 2\" }}{{ . | first | value }}{{ "
                     "end }}'\n      e: '{{ query \"m +\" }}'\n");
    put(w, "m", "", 21);
    (void)tick(w);
    const struct labels annotations = group(w, 0)->rules[0].alerts[0].annotations;
    assert_str(labels_get(annotations, STR("q")), "42");
    assert_true(str_starts(labels_get(annotations, STR("e")),
                           STR("<error expanding template: error executing template __alert_A: ")));
}

static void too_many_alerts_are_all_forgotten(void **state) {
    struct world *w = *state;
    load_restored(w, "groups:\n- name: g\n  limit: 1\n  rules:\n  - alert: A\n    expr: m\n");
    put(w, "m", "1", 1);
    (void)tick(w);
    assert_int_equal(group(w, 0)->rules[0].alert_count, 1);
    put(w, "m", "2", 1);
    (void)tick(w);
    assert_str(group(w, 0)->rules[0].last_error, "exceeded limit of 1 with 2 alerts");
    assert_int_equal(group(w, 0)->rules[0].alert_count, 0);
}

static void duplicate_alerts_change_no_state(void **state) {
    struct world *w = *state;
    load_restored(w, "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: m\n    labels: {a: "
                     "same}\n");
    put(w, "m", "1", 1);
    (void)tick(w);
    put(w, "m", "2", 1);
    (void)tick(w);
    assert_str(group(w, 0)->rules[0].last_error,
               "vector contains metrics with the same labelset after applying alert labels");
    assert_int_equal(group(w, 0)->rules[0].alert_count, 1);
}

/* ---- reloads ---- */

static void a_changed_group_keeps_the_states_of_its_equal_rules(void **state) {
    struct world *w = *state;
    load_restored(w, DOWN);
    put(w, "m", "1", 0);
    const int64_t first = tick(w);
    load(w, DOWN "  - record: more\n    expr: '1'\n");
    (void)tick(w);
    const struct alert_info *a = &group(w, 0)->rules[0].alerts[0];
    assert_true(a->active_at_ms == first);
    assert_int_equal(a->state, ALERT_PENDING);
}

static void a_file_that_did_not_change_changes_nothing(void **state) {
    struct world *w = *state;
    load_restored(w, DOWN);
    put(w, "m", "1", 0);
    const int64_t first = tick(w);
    apply(w);
    assert_true(group(w, 0)->last_evaluation_unix_ns == first * NS_PER_MS);
    assert_int_equal(group(w, 0)->rules[0].alert_count, 1);
}

static void series_of_a_rule_that_went_end_with_the_next_evaluation(void **state) {
    struct world *w = *state;
    load(w, "groups:\n- name: g\n  rules:\n  - record: r\n    expr: '1'\n  - record: s\n    expr: "
            "'2'\n");
    (void)tick(w);
    load(w, "groups:\n- name: g\n  rules:\n  - record: s\n    expr: '2'\n");
    const int64_t second = tick(w);
    assert_str(query_at(w, "r or s", second), "s 2;");
}

static void a_group_that_went_ends_its_series_two_intervals_later(void **state) {
    struct world *w = *state;
    write_file(w, "b",
               "groups:\n- name: h\n  interval: 5m\n  rules:\n  - record: x\n    expr: "
               "'1'\n");
    load(w, "groups:\n- name: g\n  rules:\n  - record: r\n    expr: '1'\n");
    int64_t ts = 0;
    for (int i = 0; i < 7; i++) {
        ts = tick(w);
    }
    assert_true(metric_value(w, "prometheus_rule_group_rules{") == 1);
    remove_file(w, "a");
    apply(w);
    assert_int_equal(group(w, 0)->rule_count, 1);
    assert_null(group(w, 1));
    assert_str(query_at(w, "r", ts), "r 1;");
    const int64_t stopped = now_ms(w);
    int64_t at = 0;
    while ((at = tick(w)) < stopped + 120000) {
        assert_str(query_at(w, "r", stopped), "r 1;");
    }
    assert_str(query_at(w, "r", at), "");
    assert_str(query_at(w, "r", stopped), "");
    struct buf text;
    buf_init(&text, 1024 * 1024);
    metric_render(w->registry, &text);
    assert_true(str_find(buf_str(&text), STR("a.yml;g")) < 0);
    assert_true(str_find(buf_str(&text), STR("b.yml;h")) >= 0);
    buf_release(&text);
}

static void a_bad_file_leaves_the_old_rules_running(void **state) {
    struct world *w = *state;
    load(w, "groups:\n- name: g\n  rules:\n  - record: r\n    expr: '1'\n");
    write_file(w, "b", "groups:\n- nam: h\n");
    assert_err(rule_manager_apply(w->rules, &w->config, &w->err), ERR_INVALID,
               "error loading rules, previous rule set restored: ", &w->err);
    assert_non_null(strstr(w->err.text, "b.yml: yaml: unmarshal errors"));
    const int64_t ts = tick(w);
    assert_str(query_at(w, "r", ts), "r 1;");
    assert_null(group(w, 1));
}

/* ---- restore ---- */

#define LONG "groups:\n- name: g\n  rules:\n  - alert: Slow\n    expr: m == 0\n    for: 1h\n"

static void for_state_row(struct world *w, int64_t ts_ms, int64_t active_s) {
    const struct label l[] = {{LABEL_NAME, STR("ALERTS_FOR_STATE")},
                              {STR("a"), STR("1")},
                              {STR("alertname"), STR("Slow")}};
    arena_reset(&w->arena);
    fake_storage_put(w->fs, labels_of(&w->arena, l, 3), ts_ms, (double)active_s);
}

static int64_t restored_active_at(struct world *w, int64_t down_ago_s, int64_t spent_s) {
    const int64_t down_s = START_S - down_ago_s;
    for_state_row(w, down_s * 1000, down_s - spent_s);
    load(w, LONG);
    put(w, "m", "1", 0);
    (void)tick(w);
    (void)tick(w);
    return group(w, 0)->rules[0].alerts[0].active_at_ms;
}

static void for_goes_on_after_a_restart(void **state) {
    struct world *w = *state;
    /* 30 of 60 minutes were spent when it went down 5 minutes ago: the outage does not count */
    const int64_t active = restored_active_at(w, 300, 1800);
    const int64_t now = now_ms(w);
    assert_true(active ==
                (START_S - 300 - 1800) * INT64_C(1000) + (now - (START_S - 300) * INT64_C(1000)));
}

static void an_alert_that_was_firing_fires_again(void **state) {
    struct world *w = *state;
    assert_true(restored_active_at(w, 300, 4000) == (START_S - 300 - 4000) * INT64_C(1000));
    (void)tick(w);
    assert_int_equal(group(w, 0)->rules[0].alerts[0].state, ALERT_FIRING);
}

static void little_time_left_is_made_the_grace_period(void **state) {
    struct world *w = *state;
    const int64_t active = restored_active_at(w, 300, 3300);
    assert_true(active == now_ms(w) + 600 * 1000 - 3600 * 1000);
}

static void what_is_older_than_the_tolerance_is_not_restored(void **state) {
    struct world *w = *state;
    const int64_t active = restored_active_at(w, 3700, 4000);
    assert_true(active > (int64_t)START_S * 1000);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_recording_rule_writes_its_result_at_the_slot),
        T(the_slots_lie_an_interval_apart_at_the_groups_own_offset),
        T(a_scalar_is_recorded_and_a_matrix_is_an_error),
        T(an_alert_of_a_histogram_has_the_value_0),
        T(a_rule_sees_what_the_rule_before_it_wrote),
        T(a_series_that_is_gone_becomes_stale),
        T(query_offset_looks_and_writes_into_the_past),
        T(the_limit_and_duplicates_stop_a_recording_rule),
        T(an_error_writes_nothing_and_ends_nothing),
        T(a_refused_sample_makes_the_rule_bad_but_is_no_failure),
        T(a_failed_commit_is_a_failure_and_forgets_no_series),
        T(missed_slots_are_counted_and_skipped),
        T(a_clock_that_was_set_back_does_not_stop_the_rules),
        T(the_first_load_writes_alerts_once_they_are_restored),
        T(a_change_of_state_ends_the_old_states_series),
        T(an_empty_label_of_an_alert_shows_as_raw_text_in_its_series),
        T(templates_may_query_and_their_errors_become_text),
        T(too_many_alerts_are_all_forgotten),
        T(duplicate_alerts_change_no_state),
        T(a_changed_group_keeps_the_states_of_its_equal_rules),
        T(a_file_that_did_not_change_changes_nothing),
        T(series_of_a_rule_that_went_end_with_the_next_evaluation),
        T(a_group_that_went_ends_its_series_two_intervals_later),
        T(a_bad_file_leaves_the_old_rules_running),
        T(for_goes_on_after_a_restart),
        T(an_alert_that_was_firing_fires_again),
        T(little_time_left_is_made_the_grace_period),
        T(what_is_older_than_the_tolerance_is_not_restored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

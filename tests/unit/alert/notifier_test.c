/* The notifier on its own thread, with a transport that answers from a script: what goes out to whom,
 * what is dropped and counted, over discovery updates and reloads. */
#include <stdio.h>
#include <stdlib.h>

#include "alert/alert.h"
#include "base/generation.h"
#include "tests/support/check_err.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_transport.h"

/* Stands in for discovery's own, which only its manager can make. */
struct sd_update {
    struct str name;
    struct sd_group group;
};

struct str sd_update_set_name(const struct sd_update *u) {
    return u->name;
}

const struct sd_group *sd_update_groups(const struct sd_update *u, size_t *out_count) {
    *out_count = 1;
    return &u->group;
}

struct world {
    struct fake_clock clock;
    struct fake_transport *transport;
    struct metric_registry *registry;
    struct notifier *notifier;
    struct arena arena;
    struct err err;
};

static int64_t now_ns(struct world *w) {
    return atomic_load(&w->clock.mono_ns);
}

static void make_notifier(struct world *w, size_t capacity, size_t batch, bool drain) {
    w->notifier = notifier_new(&(struct notifier_options){
        .transport = fake_transport_base(w->transport),
        .clock = &w->clock.clock,
        .registry = w->registry,
        .queue_capacity = capacity,
        .batch_size = batch,
        .drain_on_shutdown = drain,
    });
    fake_transport_set_limit(w->transport, now_ns(w));
}

static int setup(void **state) {
    struct world *w = calloc(1, sizeof(*w));
    fake_clock_init(&w->clock, INT64_C(1700000000) * NS_PER_S);
    w->transport = fake_transport_new(&w->clock);
    w->registry = metric_registry_new();
    arena_init(&w->arena, 0);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    fake_transport_set_limit(w->transport, INT64_MAX);
    notifier_free(w->notifier);
    fake_transport_free(w->transport);
    metric_registry_free(w->registry);
    arena_release(&w->arena);
    free(w);
    return 0;
}

/* ---- configuration ---- */

static void apply_with(struct world *w, const char *prefix, struct relabel_rules relabel,
                       struct labels external) {
    struct generation *g = generation_new(0);
    struct arena *arena = generation_arena(g);
    struct alertmanager_config *am = arena_zalloc(arena, sizeof(*am));
    am->scheme = STR("http");
    am->path_prefix = str_of(prefix);
    am->timeout_ms = 10000;
    am->sd.name = STR("config-0");
    const struct alerting_config config = {
        .alert_relabel = relabel, .alertmanagers = am, .alertmanager_count = 1};
    assert_ok(notifier_apply(w->notifier, g, &config, external, &w->err), &w->err);
    generation_unref(g);
}

static void apply(struct world *w) {
    apply_with(w, "", (struct relabel_rules){.count = 0}, (struct labels){NULL, 0});
}

/* Discovery now knows these addresses, separated by spaces. */
static void discover(struct world *w, const char *addresses) {
    struct labels targets[8];
    size_t count = 0;
    char *copy = arena_cstr(&w->arena, str_of(addresses));
    char *rest = NULL;
    for (char *a = strtok_r(copy, " ", &rest); a != NULL; a = strtok_r(NULL, " ", &rest)) {
        const struct label l = {STR("__address__"), str_of(a)};
        targets[count++] = labels_of(&w->arena, &l, 1);
    }
    struct sd_update update = {STR("config-0"),
                               {.source = STR("0"), .targets = targets, .target_count = count}};
    notifier_update(w->notifier, &update);
}

static void accept_all(struct world *w, const char *url) {
    fake_transport_answer(w->transport, &(struct fake_answer){.url = url, .delay_ns = 1000000});
}

static void send(struct world *w, int first, int count) {
    struct alert_message *list = arena_zalloc(&w->arena, (size_t)count * sizeof(*list));
    for (int i = 0; i < count; i++) {
        const struct label l = {STR("n"), arena_printf(&w->arena, "%d", first + i)};
        list[i] = (struct alert_message){.labels = labels_of(&w->arena, &l, 1),
                                         .starts_at_ms = 1704067200000,
                                         .ends_at_ms = 1704067200123,
                                         .generator_url = STR("http://b/graph?g0.expr=a<b")};
    }
    notifier_send(w->notifier, list, (size_t)count);
}

static void run_seconds(struct world *w, int seconds) {
    fake_transport_run_to(w->transport, now_ns(w) + seconds * NS_PER_S);
}

static double metric_value(struct world *w, const char *name) {
    struct buf text;
    buf_init(&text, 1024 * 1024);
    metric_render(w->registry, &text);
    const char *at = text.ptr != NULL ? strstr(text.ptr, name) : NULL;
    while (at != NULL && at != text.ptr && at[-1] != '\n') {
        at = strstr(at + 1, name);
    }
    const char *space = at != NULL ? strchr(at, ' ') : NULL;
    const double value = space != NULL ? atof(space + 1) : -1;
    buf_release(&text);
    return value;
}

#define URL "http://am:9093/api/v2/alerts"

/* ---- tests ---- */

static void an_alert_goes_out_as_version_two_json(void **state) {
    struct world *w = *state;
    make_notifier(w, 100, 10, true);
    apply(w);
    discover(w, "am:9093");
    accept_all(w, URL);
    const struct label l[] = {{STR("alertname"), STR("A")}, {STR("x"), STR("<&>")}};
    const struct label a = {STR("s"), STR("text")};
    const struct alert_message alerts[] = {
        {.labels = labels_of(&w->arena, l, 2),
         .annotations = labels_of(&w->arena, &a, 1),
         .starts_at_ms = 1704067200000,
         .ends_at_ms = 1704067200123,
         .generator_url = STR("http://b/graph?g0.expr=1&g0.tab=1")},
        {.labels = labels_of(&w->arena, l, 1), .starts_at_ms = 1, .ends_at_ms = 2},
    };
    notifier_send(w->notifier, alerts, 2);
    notifier_start(w->notifier);
    run_seconds(w, 2);
    assert_int_equal(fake_transport_request_count(w->transport), 1);
    const struct fake_request r = fake_transport_request(w->transport, 0);
    assert_string_equal(r.method, "POST");
    assert_string_equal(r.url, URL);
    assert_string_equal(r.headers, "Content-Type: application/json\n");
    assert_true(r.timeout_ms == 10000);
    assert_str(r.body,
               "[{\"annotations\":{\"s\":\"text\"},\"endsAt\":\"2024-01-01T00:00:00.123Z\","
               "\"startsAt\":\"2024-01-01T00:00:00.000Z\",\"generatorURL\":"
               "\"http://b/graph?g0.expr=1\\u0026g0.tab=1\",\"labels\":{\"alertname\":\"A\",\"x\":"
               "\"<&>\"}},{\"endsAt\":\"1970-01-01T00:00:00.002Z\",\"startsAt\":"
               "\"1970-01-01T00:00:00.001Z\",\"generatorURL\":\"\",\"labels\":{\"alertname\":"
               "\"A\"}}]");
    assert_true(metric_value(w, "prometheus_notifications_sent_total{") == 2);
    assert_true(metric_value(w, "prometheus_notifications_errors_total{") == 0);
    assert_true(metric_value(w, "prometheus_notifications_queue_capacity") == 100);
}

static void batches_are_bounded_and_go_one_after_the_other(void **state) {
    struct world *w = *state;
    make_notifier(w, 100, 4, true);
    apply(w);
    discover(w, "am:9093");
    accept_all(w, URL);
    send(w, 0, 10);
    notifier_start(w->notifier);
    run_seconds(w, 4);
    assert_int_equal(fake_transport_request_count(w->transport), 3);
    static const char *const first[] = {"\"n\":\"0\"", "\"n\":\"4\"", "\"n\":\"8\""};
    for (size_t i = 0; i < 3; i++) {
        assert_true(str_find(fake_transport_request(w->transport, i).body, str_of(first[i])) > 0);
    }
    assert_true(metric_value(w, "prometheus_notifications_sent_total{") == 10);
    assert_true(metric_value(w, "prometheus_notifications_queue_length{") == 0);
}

static void external_labels_fill_what_is_absent_and_relabelling_may_drop(void **state) {
    struct world *w = *state;
    make_notifier(w, 100, 10, true);
    struct regex *re = NULL;
    assert_ok(regex_new(STR("1"), REGEX_WRAPPED, &re, &w->err), &w->err);
    const struct str source[] = {STR("n")};
    const struct relabel_rule rule = {.action = RELABEL_DROP,
                                      .source_labels = source,
                                      .source_count = 1,
                                      .separator = STR(";"),
                                      .regex = re};
    const struct label external[] = {{STR("n"), STR("never")}, {STR("site"), STR("x")}};
    apply_with(w, "", (struct relabel_rules){&rule, 1}, labels_of(&w->arena, external, 2));
    discover(w, "am:9093");
    accept_all(w, URL);
    send(w, 0, 2);
    notifier_start(w->notifier);
    run_seconds(w, 2);
    const struct str body = fake_transport_request(w->transport, 0).body;
    assert_true(str_find(body, STR("\"labels\":{\"n\":\"0\",\"site\":\"x\"}}]")) > 0);
    apply(w);
    run_seconds(w, 1);
    regex_free(re);
}

static void a_full_queue_drops_the_oldest(void **state) {
    struct world *w = *state;
    make_notifier(w, 3, 10, true);
    apply(w);
    discover(w, "am:9093");
    accept_all(w, URL);
    send(w, 0, 5);
    assert_true(metric_value(w, "prometheus_notifications_dropped_total{") == 2);
    assert_true(metric_value(w, "prometheus_notifications_queue_length{") == 3);
    notifier_start(w->notifier);
    run_seconds(w, 2);
    const struct str body = fake_transport_request(w->transport, 0).body;
    assert_true(str_find(body, STR("\"n\":\"1\"")) < 0);
    assert_true(str_find(body, STR("\"n\":\"2\"")) > 0);
    assert_true(str_find(body, STR("\"n\":\"4\"")) > 0);
}

static void a_failed_batch_is_counted_and_not_sent_again(void **state) {
    struct world *w = *state;
    make_notifier(w, 100, 2, true);
    apply(w);
    discover(w, "am:9093 refused:1");
    fake_transport_answer(w->transport, &(struct fake_answer){.url = URL,
                                                              .status = 500,
                                                              .reason = "Internal Server Error",
                                                              .times = 1});
    accept_all(w, URL);
    send(w, 0, 4);
    notifier_start(w->notifier);
    run_seconds(w, 5);
    assert_true(metric_value(w, "prometheus_notifications_errors_total{alertmanager=\"" URL) == 2);
    assert_true(metric_value(w, "prometheus_notifications_dropped_total{alertmanager=\"" URL) == 2);
    assert_true(metric_value(w, "prometheus_notifications_sent_total{alertmanager=\"" URL) == 2);
    assert_true(metric_value(w, "prometheus_notifications_errors_total{alertmanager=\"http://r") ==
                4);
}

static void alerts_without_an_alertmanager_go_nowhere(void **state) {
    struct world *w = *state;
    make_notifier(w, 100, 2, true);
    send(w, 0, 4);
    apply(w);
    send(w, 0, 4);
    notifier_start(w->notifier);
    run_seconds(w, 2);
    assert_int_equal(fake_transport_request_count(w->transport), 0);
}

static void an_endpoint_that_left_discovery_is_drained_and_forgotten(void **state) {
    struct world *w = *state;
    make_notifier(w, 100, 2, true);
    apply(w);
    discover(w, "am:9093");
    accept_all(w, URL);
    send(w, 0, 6);
    discover(w, "");
    send(w, 10, 6); /* nobody is left to take them */
    notifier_start(w->notifier);
    run_seconds(w, 5);
    assert_int_equal(fake_transport_request_count(w->transport), 3);
    assert_true(metric_value(w, "prometheus_notifications_sent_total{") == -1);
    assert_true(metric_value(w, "prometheus_notifications_alertmanagers_discovered") == 0);
}

static void without_draining_a_leaving_endpoint_sends_nothing(void **state) {
    struct world *w = *state;
    make_notifier(w, 100, 2, false);
    apply(w);
    discover(w, "am:9093");
    accept_all(w, URL);
    send(w, 0, 6);
    discover(w, "");
    notifier_start(w->notifier);
    run_seconds(w, 3);
    assert_int_equal(fake_transport_request_count(w->transport), 0);
}

static void a_reload_keeps_the_queues_of_unchanged_alertmanagers(void **state) {
    struct world *w = *state;
    make_notifier(w, 100, 10, false);
    apply(w);
    discover(w, "am:9093");
    accept_all(w, URL);
    send(w, 0, 3);
    apply(w);
    struct str *active = NULL;
    struct str *dropped = NULL;
    size_t active_count = 0;
    size_t dropped_count = 0;
    notifier_alertmanagers(w->notifier, &w->arena, &active, &active_count, &dropped,
                           &dropped_count);
    assert_int_equal(active_count, 1);
    assert_str(active[0], URL);
    notifier_start(w->notifier);
    run_seconds(w, 2);
    assert_int_equal(fake_transport_request_count(w->transport), 1);
    assert_true(metric_value(w, "prometheus_notifications_sent_total{") == 3);
}

static void a_changed_alertmanager_is_drained_beside_its_successor(void **state) {
    struct world *w = *state;
    make_notifier(w, 100, 10, true);
    apply(w);
    discover(w, "am:9093");
    accept_all(w, URL);
    accept_all(w, "http://am:9093/new/api/v2/alerts");
    send(w, 0, 3);
    apply_with(w, "/new//", (struct relabel_rules){.count = 0}, (struct labels){NULL, 0});
    discover(w, "am:9093");
    send(w, 3, 1);
    notifier_start(w->notifier);
    run_seconds(w, 3);
    assert_int_equal(fake_transport_request_count(w->transport), 2);
    assert_true(metric_value(w, "prometheus_notifications_sent_total{alertmanager=\"" URL) == -1);
    assert_true(
        metric_value(w, "prometheus_notifications_sent_total{alertmanager=\"http://am:9093/new") ==
        1);
}

/* The old endpoint ends while the new one of the same URL lives: they share their metrics. */
static void a_successor_with_the_same_url_keeps_counting(void **state) {
    struct world *w = *state;
    make_notifier(w, 100, 10, true);
    apply_with(w, "", (struct relabel_rules){.count = 0}, (struct labels){NULL, 0});
    discover(w, "am:9093");
    accept_all(w, URL);
    send(w, 0, 1);
    /* "/" is another configuration and the same path */
    apply_with(w, "/", (struct relabel_rules){.count = 0}, (struct labels){NULL, 0});
    discover(w, "am:9093");
    notifier_start(w->notifier);
    run_seconds(w, 3);
    send(w, 1, 1);
    run_seconds(w, 3);
    assert_int_equal(fake_transport_request_count(w->transport), 2);
    assert_true(metric_value(w, "prometheus_notifications_sent_total{") == 2);
}

static void a_bad_address_leaves_out_its_whole_group(void **state) {
    struct world *w = *state;
    make_notifier(w, 100, 10, true);
    apply(w);
    discover(w, "am:9093 a/b:1");
    assert_true(metric_value(w, "prometheus_notifications_alertmanagers_discovered") == 0);
    discover(w, "am:9093 am:9093");
    assert_true(metric_value(w, "prometheus_notifications_alertmanagers_discovered") == 1);
}

static void stopping_sends_what_is_queued(void **state) {
    struct world *w = *state;
    make_notifier(w, 100, 2, true);
    apply(w);
    discover(w, "am:9093");
    accept_all(w, URL);
    notifier_start(w->notifier);
    send(w, 0, 6);
    fake_transport_set_limit(w->transport, INT64_MAX);
    notifier_free(w->notifier);
    w->notifier = NULL;
    assert_int_equal(fake_transport_request_count(w->transport), 3);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(an_alert_goes_out_as_version_two_json),
        T(batches_are_bounded_and_go_one_after_the_other),
        T(external_labels_fill_what_is_absent_and_relabelling_may_drop),
        T(a_full_queue_drops_the_oldest),
        T(a_failed_batch_is_counted_and_not_sent_again),
        T(alerts_without_an_alertmanager_go_nowhere),
        T(an_endpoint_that_left_discovery_is_drained_and_forgotten),
        T(without_draining_a_leaving_endpoint_sends_nothing),
        T(a_reload_keeps_the_queues_of_unchanged_alertmanagers),
        T(a_changed_alertmanager_is_drained_beside_its_successor),
        T(a_successor_with_the_same_url_keeps_counting),
        T(a_bad_address_leaves_out_its_whole_group),
        T(stopping_sends_what_is_queued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

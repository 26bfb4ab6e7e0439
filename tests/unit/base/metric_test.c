/* metric: what is counted is rendered in the text format, sorted, escaped and without losses. */
#include <math.h>

#include "base/metric.h"
#include "base/mutex.h"
#include "tests/support/check_err.h"
#include "tests/support/fake_clock.h"

static void assert_rendered(struct metric_registry *r, const char *want) {
    struct buf text;
    buf_init(&text, 1 << 20);
    metric_render(r, &text);
    assert_str(buf_str(&text), want);
    buf_release(&text);
}

static void families_and_series_are_sorted(void **state) {
    (void)state;
    struct metric_registry *r = metric_registry_new();
    const struct label b[] = {{STR("z"), STR("1")}, {STR("job"), STR("b")}};
    const struct label a[] = {{STR("job"), STR("a")}, {STR("z"), STR("2")}};
    metric_inc(metric_counter(r, "requests_total", "Requests.", b, 2));
    metric_add(metric_counter(r, "requests_total", "Requests.", a, 2), 2.5);
    metric_set(metric_gauge(r, "depth", "Depth.", NULL, 0), -3);
    assert_rendered(r, "# HELP depth Depth.\n"
                       "# TYPE depth gauge\n"
                       "depth -3\n"
                       "# HELP requests_total Requests.\n"
                       "# TYPE requests_total counter\n"
                       "requests_total{job=\"a\",z=\"2\"} 2.5\n"
                       "requests_total{job=\"b\",z=\"1\"} 1\n");
    metric_registry_free(r);
}

static void the_same_name_and_labels_are_one_series(void **state) {
    (void)state;
    struct metric_registry *r = metric_registry_new();
    const struct label one[] = {{STR("a"), STR("1")}, {STR("b"), STR("2")}};
    const struct label swapped[] = {{STR("b"), STR("2")}, {STR("a"), STR("1")}};
    struct metric *m = metric_counter(r, "c", "C.", one, 2);
    assert_ptr_equal(m, metric_counter(r, "c", "C.", swapped, 2));
    assert_ptr_not_equal(m, metric_counter(r, "c", "C.", one, 1));
    metric_remove(r, m);
    assert_rendered(r, "# HELP c C.\n# TYPE c counter\nc{a=\"1\"} 0\n");
    metric_registry_free(r);
}

static void a_family_without_series_is_not_rendered(void **state) {
    (void)state;
    struct metric_registry *r = metric_registry_new();
    metric_remove(r, metric_gauge(r, "g", "G.", NULL, 0));
    assert_rendered(r, "");
    metric_registry_free(r);
}

static void texts_are_escaped(void **state) {
    (void)state;
    struct metric_registry *r = metric_registry_new();
    const struct label label = {STR("l"), STR("a\"b\\c\nd")};
    metric_set(metric_gauge(r, "g", "A \"quoted\" \\ text\nof two lines.", &label, 1), INFINITY);
    assert_rendered(r, "# HELP g A \"quoted\" \\\\ text\\nof two lines.\n"
                       "# TYPE g gauge\n"
                       "g{l=\"a\\\"b\\\\c\\nd\"} +Inf\n");
    metric_registry_free(r);
}

static void histograms_add_up(void **state) {
    (void)state;
    static const double bounds[] = {0.5, 1, 10};
    struct metric_registry *r = metric_registry_new();
    const struct label label = {STR("l"), STR("x")};
    struct metric_histogram *h = metric_histogram(r, "h", "H.", &label, 1, bounds, 3);
    metric_observe(h, 0.5);
    metric_observe(h, 0.75);
    metric_observe(h, 11.5);
    (void)metric_histogram(r, "h", "H.", NULL, 0, bounds, 1);
    assert_rendered(r, "# HELP h H.\n"
                       "# TYPE h histogram\n"
                       "h_bucket{le=\"0.5\"} 0\n"
                       "h_bucket{le=\"+Inf\"} 0\n"
                       "h_sum 0\n"
                       "h_count 0\n"
                       "h_bucket{l=\"x\",le=\"0.5\"} 1\n"
                       "h_bucket{l=\"x\",le=\"1\"} 2\n"
                       "h_bucket{l=\"x\",le=\"10\"} 2\n"
                       "h_bucket{l=\"x\",le=\"+Inf\"} 3\n"
                       "h_sum{l=\"x\"} 12.75\n"
                       "h_count{l=\"x\"} 3\n");
    metric_registry_free(r);
}

static void collect_depth(void *ctx) {
    struct metric_registry *r = ctx;
    metric_inc(metric_gauge(r, "collected", "C.", NULL, 0));
}

static void collectors_run_before_each_rendering(void **state) {
    (void)state;
    struct metric_registry *r = metric_registry_new();
    metric_on_collect(r, collect_depth, r);
    assert_rendered(r, "# HELP collected C.\n# TYPE collected gauge\ncollected 1\n");
    assert_rendered(r, "# HELP collected C.\n# TYPE collected gauge\ncollected 2\n");
    metric_registry_free(r);
}

static void without_a_registry_updates_go_nowhere(void **state) {
    (void)state;
    metric_inc(metric_counter(NULL, "c", "C.", NULL, 0));
    metric_observe(metric_histogram(NULL, "h", "H.", NULL, 0, NULL, 0), 1);
    metric_remove(NULL, metric_gauge(NULL, "g", "G.", NULL, 0));
    metric_on_collect(NULL, collect_depth, NULL);
    metric_registry_free(NULL);
}

static void add_many(void *ctx) {
    for (int i = 0; i < 20000; i++) {
        metric_inc(ctx);
    }
}

static void no_increment_is_lost_between_threads(void **state) {
    (void)state;
    struct metric_registry *r = metric_registry_new();
    struct metric *m = metric_counter(r, "c", "C.", NULL, 0);
    struct thread threads[4];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        thread_start(&threads[i], "adder", add_many, m);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        thread_join(&threads[i]);
    }
    assert_true(metric_get(m) == 80000);
    metric_registry_free(r);
}

static void summaries_give_quantiles_of_the_last_ten_minutes(void **state) {
    (void)state;
    struct fake_clock clock;
    fake_clock_init(&clock, 0);
    struct metric_registry *r = metric_registry_new();
    metric_registry_use_clock(r, &clock.clock);
    const double quantiles[] = {0.5, 0.99};
    const struct label label = {STR("job"), STR("a")};
    struct metric_summary *s = metric_summary(r, "s", "S.", &label, 1, quantiles, 2);
    assert_ptr_equal(s, metric_summary(r, "s", "S.", &label, 1, quantiles, 2));
    for (int i = 1; i <= 100; i++) {
        metric_summarize(s, i);
    }
    assert_rendered(r, "# HELP s S.\n"
                       "# TYPE s summary\n"
                       "s{job=\"a\",quantile=\"0.5\"} 50\n"
                       "s{job=\"a\",quantile=\"0.99\"} 99\n"
                       "s_sum{job=\"a\"} 5050\n"
                       "s_count{job=\"a\"} 100\n");
    fake_clock_advance_ns(&clock, 600 * NS_PER_S);
    assert_rendered(r, "# HELP s S.\n"
                       "# TYPE s summary\n"
                       "s{job=\"a\",quantile=\"0.5\"} NaN\n"
                       "s{job=\"a\",quantile=\"0.99\"} NaN\n"
                       "s_sum{job=\"a\"} 5050\n"
                       "s_count{job=\"a\"} 100\n");
    metric_remove_summary(r, s);
    assert_rendered(r, "");
    metric_registry_free(r);
}

static void a_series_of_several_owners_goes_with_the_last(void **state) {
    (void)state;
    struct metric_registry *r = metric_registry_new();
    struct metric_summary *s = NULL;
    for (int i = 0; i < 2; i++) {
        s = metric_summary(r, "s", "S.", NULL, 0, NULL, 0);
        metric_hold(r, s);
    }
    metric_remove_summary(r, s);
    assert_rendered(r, "# HELP s S.\n# TYPE s summary\ns_sum 0\ns_count 0\n");
    metric_remove_summary(r, s);
    assert_rendered(r, "");
    metric_hold(NULL, metric_counter(NULL, "c", "C.", NULL, 0));
    metric_registry_free(r);
}

static void histograms_and_summaries_without_labels_are_removed(void **state) {
    (void)state;
    struct metric_registry *r = metric_registry_new();
    struct metric_histogram *h = metric_histogram(r, "h", "H.", NULL, 0, NULL, 0);
    struct metric_summary *s = metric_summary(r, "s", "S.", NULL, 0, NULL, 0);
    metric_observe(h, 2);
    metric_summarize(s, 3);
    assert_rendered(r, "# HELP h H.\n"
                       "# TYPE h histogram\n"
                       "h_bucket{le=\"+Inf\"} 1\n"
                       "h_sum 2\n"
                       "h_count 1\n"
                       "# HELP s S.\n"
                       "# TYPE s summary\n"
                       "s_sum 3\n"
                       "s_count 1\n");
    metric_remove_histogram(r, h);
    metric_remove_summary(r, s);
    assert_rendered(r, "");
    metric_registry_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_and_series_are_sorted),
        cmocka_unit_test(the_same_name_and_labels_are_one_series),
        cmocka_unit_test(a_family_without_series_is_not_rendered),
        cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(histograms_add_up),
        cmocka_unit_test(collectors_run_before_each_rendering),
        cmocka_unit_test(without_a_registry_updates_go_nowhere),
        cmocka_unit_test(summaries_give_quantiles_of_the_last_ten_minutes),
        cmocka_unit_test(a_series_of_several_owners_goes_with_the_last),
        cmocka_unit_test(histograms_and_summaries_without_labels_are_removed),
        cmocka_unit_test(no_increment_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

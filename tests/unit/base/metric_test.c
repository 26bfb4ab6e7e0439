/* metric: what is counted is rendered in the text format, sorted, escaped and without losses. */
#include <math.h>

#include "base/metric.h"
#include "base/mutex.h"
#include "tests/support/check_err.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_and_series_are_sorted),
        cmocka_unit_test(the_same_name_and_labels_are_one_series),
        cmocka_unit_test(a_family_without_series_is_not_rendered),
        cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(histograms_add_up),
        cmocka_unit_test(collectors_run_before_each_rendering),
        cmocka_unit_test(without_a_registry_updates_go_nowhere),
        cmocka_unit_test(no_increment_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* summary: quantiles of eight to ten minutes, counts of all, whenever somebody looks. */
#include <math.h>

#include "base/summary.h"
#include "tests/support/check_err.h"

static const double median[] = {0.5};

static double median_at(struct summary *s, int64_t second) {
    struct summary_view view;
    summary_read(s, second * NS_PER_S, median, 1, &view);
    return view.quantiles[0];
}

static void values_leave_after_eight_to_ten_minutes(void **state) {
    (void)state;
    struct summary s;
    summary_init(&s);
    assert_true(isnan(median_at(&s, 0)));
    summary_observe(&s, 119 * NS_PER_S, 1);
    assert_true(median_at(&s, 119) == 1);
    assert_true(median_at(&s, 599) == 1);
    assert_true(isnan(median_at(&s, 600)));
    summary_release(&s);
}

static void newer_values_take_the_place_of_older_ones(void **state) {
    (void)state;
    struct summary s;
    struct summary_view view;
    summary_init(&s);
    for (int64_t second = 0; second < 3600; second++) {
        summary_observe(&s, second * NS_PER_S, (double)(second / 1200));
    }
    assert_true(median_at(&s, 3599) == 2);
    summary_read(&s, 3599 * NS_PER_S, NULL, 0, &view);
    assert_int_equal(view.count, 3600);
    assert_true(view.sum == 1200 + 2 * 1200);
    summary_release(&s);
}

static void a_long_pause_empties_the_window(void **state) {
    (void)state;
    struct summary s;
    struct summary_view view;
    summary_init(&s);
    summary_observe(&s, 0, 3);
    assert_true(isnan(median_at(&s, 100000)));
    summary_observe(&s, 100000 * NS_PER_S, 4);
    summary_read(&s, 100001 * NS_PER_S, median, 1, &view);
    assert_true(view.quantiles[0] == 4);
    assert_int_equal(view.count, 2);
    summary_release(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_leave_after_eight_to_ten_minutes),
        cmocka_unit_test(newer_values_take_the_place_of_older_ones),
        cmocka_unit_test(a_long_pause_empties_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* merge_plan: the cases of Prometheus' rules, as tables. Times are hours / 2: the smallest partition
 * is [n, n + 1), ranges are 1, 3 and 9. */
#include "tsdb/merge_plan.h"

#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "tests/support/check_err.h"

enum { ITEMS_MAX = 12 };

struct plan_case {
    const char *why;
    struct merge_item items[ITEMS_MAX];
    size_t count;
    const char *want; /* numbers in order */
};

static const struct plan_case cases[] = {
    {"nothing", {{0}}, 0, ""},
    {"one", {{1, 0, 1, 9, 0, false}}, 1, ""},
    {"two that would fit with a third", {{1, 0, 1, 9, 0, false}, {2, 1, 2, 9, 0, false}}, 2, ""},
    {"a full window waits for something newer",
     {{1, 0, 1, 9, 0, false}, {2, 1, 2, 9, 0, false}, {3, 2, 3, 9, 0, false}},
     3,
     ""},
    {"a full window",
     {{1, 0, 1, 9, 0, false},
      {2, 1, 2, 9, 0, false},
      {3, 2, 3, 9, 0, false},
      {4, 3, 4, 9, 0, false}},
     4,
     "1 2 3"},
    {"in any order",
     {{4, 3, 4, 9, 0, false},
      {2, 1, 2, 9, 0, false},
      {1, 0, 1, 9, 0, false},
      {3, 2, 3, 9, 0, false}},
     4,
     "1 2 3"},
    {"a window with a gap that spans it",
     {{1, 0, 1, 9, 0, false}, {3, 2, 3, 9, 0, false}, {4, 3, 4, 9, 0, false}},
     3,
     "1 3"},
    {"a window that begins late, with something newer behind it",
     {{2, 1, 2, 9, 0, false},
      {3, 2, 3, 9, 0, false},
      {4, 3, 4, 9, 0, false},
      {5, 4, 5, 9, 0, false}},
     4,
     "2 3"},
    {"one alone in an old window stays",
     {{2, 1, 2, 9, 0, false}, {4, 6, 7, 9, 0, false}, {5, 7, 8, 9, 0, false}},
     3,
     ""},
    {"merged ones again",
     {{10, 0, 3, 9, 0, false},
      {11, 3, 6, 9, 0, false},
      {12, 6, 9, 9, 0, false},
      {13, 9, 10, 9, 0, false}},
     4,
     "10 11 12"},
    {"small windows before large ones",
     {{10, 0, 3, 9, 0, false},
      {11, 3, 6, 9, 0, false},
      {12, 6, 7, 9, 0, false},
      {13, 7, 8, 9, 0, false},
      {14, 8, 9, 9, 0, false},
      {15, 9, 10, 9, 0, false}},
     6,
     "12 13 14"},
    {"what is larger than the window is passed over",
     {{10, 0, 9, 9, 0, false},
      {11, 9, 10, 9, 0, false},
      {12, 10, 11, 9, 0, false},
      {13, 11, 12, 9, 0, false},
      {14, 12, 13, 9, 0, false}},
     5,
     "11 12 13"},
    {"not what failed",
     {{1, 0, 1, 9, 0, false},
      {2, 1, 2, 9, 0, true},
      {3, 2, 3, 9, 0, false},
      {4, 3, 4, 9, 0, false}},
     4,
     ""},
    {"before 1970",
     {{1, -3, -2, 9, 0, false},
      {2, -2, -1, 9, 0, false},
      {3, -1, 0, 9, 0, false},
      {4, 0, 1, 9, 0, false}},
     4,
     "1 2 3"},
    {"not across a boundary before 1970",
     {{2, -1, 0, 9, 0, false}, {3, 0, 1, 9, 0, false}, {4, 1, 2, 9, 0, false}},
     3,
     ""},
    {"overlapping first, the newest too",
     {{1, 0, 1, 9, 0, false}, {2, 1, 2, 9, 0, false}, {3, 1, 2, 9, 0, false}},
     3,
     "2 3"},
    {"overlapping: only the first that do",
     {{1, 0, 1, 9, 0, false},
      {2, 0, 1, 9, 0, false},
      {3, 1, 2, 9, 0, false},
      {4, 2, 3, 9, 0, false},
      {5, 2, 3, 9, 0, false}},
     5,
     "1 2"},
    {"a large one overlaps several small ones",
     {{1, 0, 3, 9, 0, false},
      {2, 0, 1, 9, 0, false},
      {3, 2, 3, 9, 0, false},
      {4, 3, 4, 9, 0, false}},
     4,
     "1 2 3"},
    {"overlapping ones that failed are tried all the same",
     {{1, 0, 1, 9, 0, true}, {2, 0, 1, 9, 0, false}},
     2,
     "1 2"},
    {"a large one with more than a twentieth deleted",
     {{1, 0, 3, 99, 6, false}, {2, 3, 4, 9, 0, false}},
     2,
     "1"},
    {"a twentieth is not enough", {{1, 0, 3, 99, 5, false}, {2, 3, 4, 9, 0, false}}, 2, ""},
    {"a small one only when all of it is deleted",
     {{1, 0, 1, 9, 8, false}, {2, 3, 4, 9, 0, false}},
     2,
     ""},
    {"a small one that is deleted", {{1, 0, 1, 9, 9, false}, {2, 3, 4, 9, 0, false}}, 2, "1"},
    {"a small one ends the search",
     {{1, 0, 3, 9, 9, false}, {2, 3, 4, 9, 0, false}, {3, 9, 10, 9, 0, false}},
     3,
     ""},
    {"not the newest", {{1, 0, 3, 9, 9, false}}, 1, ""},
};

static void plans_are_those_of_the_table(void **state) {
    (void)state;
    const struct merge_ranges ranges = merge_ranges_of(1, 9);
    assert_int_equal(ranges.count, 3);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct merge_item items[ITEMS_MAX];
        uint32_t out[ITEMS_MAX];
        char got[128] = "";
        size_t len = 0;
        memcpy(items, cases[i].items, sizeof(items));
        const size_t n = merge_plan(&ranges, items, cases[i].count, out);
        for (size_t k = 0; k < n; k++) {
            len +=
                (size_t)snprintf(got + len, sizeof(got) - len, "%s%u", k != 0 ? " " : "", out[k]);
        }
        if (strcmp(got, cases[i].want) != 0) {
            print_message("%s\n", cases[i].why);
        }
        assert_string_equal(got, cases[i].want);
    }
}

static void ranges_triple_up_to_the_longest(void **state) {
    (void)state;
    enum { HOUR = 3600 * 1000 };
    const int64_t day = INT64_C(24) * HOUR;
    assert_int_equal(merge_span_max_ms(0, 15 * day), 36 * HOUR);
    assert_int_equal(merge_span_max_ms(0, 400 * day), 31 * day);
    assert_int_equal(merge_span_max_ms(0, 0), 31 * day);
    assert_int_equal(merge_span_max_ms(5 * HOUR, 15 * day), 5 * HOUR);
    const struct merge_ranges r = merge_ranges_of(2 * HOUR, 36 * HOUR);
    assert_int_equal(r.count, 3);
    assert_int_equal(r.ms[0], 2 * HOUR);
    assert_int_equal(r.ms[2], 18 * HOUR);
    assert_int_equal(merge_ranges_of(2 * HOUR, 31 * day).count, 6);
    assert_int_equal(merge_ranges_of(2 * HOUR, HOUR).count, 1);
    assert_int_equal(merge_ranges_of(1, INT64_MAX).count, MERGE_RANGES_MAX);
    assert_int_equal(merge_ranges_of(INT64_MAX / 2, INT64_MAX).count, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_are_those_of_the_table),
        cmocka_unit_test(ranges_triple_up_to_the_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

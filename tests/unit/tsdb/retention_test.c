/* retention: whole partitions, oldest first, by age against the newest one, by size with the head,
 * by a part of the file system. */
#include "tsdb/retention.h"

#include <string.h>

#include "base/attr.h"
#include "tests/support/check_err.h"
#include "tsdb/manifest.h"

enum { MAX = 6 };

struct retention_case {
    const char *why;
    struct retention_limits limits;
    struct retention_disk disk;
    int64_t ends[MAX]; /* of partitions of 10 bytes and 2 ms; 0 = no more */
    const char *want;  /* per partition: . keep, t time, s size */
};

static const struct retention_case cases[] = {
    {"no limits", {0, 0, 0}, {1000, 0}, {2, 4, 6}, "..."},
    {"no partitions", {1, 1, 1}, {1000, 0}, {0}, ""},
    {"older by just less", {5, 0, 0}, {0, 0}, {2, 4, 6}, "..."},
    {"older by as much", {4, 0, 0}, {0, 0}, {2, 4, 6}, "t.."},
    {"the newest stays, whatever its age", {1, 0, 0}, {0, 0}, {2, 4, 6}, "tt."},
    {"in any order", {3, 0, 0}, {0, 0}, {6, 2, 8, 4}, ".t.t"},
    {"one beside the newest of the same end stays", {1, 0, 0}, {0, 0}, {6, 6, 4}, "..t"},
    {"as many bytes as allowed", {0, 30, 0}, {0, 0}, {2, 4, 6}, "..."},
    {"one byte too many", {0, 29, 0}, {0, 0}, {2, 4, 6}, "s.."},
    {"the head counts", {0, 30, 0}, {1, 0}, {2, 4, 6}, "s.."},
    {"even the newest goes by size", {0, 9, 0}, {0, 0}, {2, 4, 6}, "sss"},
    {"a head that is too large alone", {0, 30, 0}, {31, 0}, {2, 4, 6}, "sss"},
    {"both", {4, 15, 0}, {0, 0}, {2, 4, 6}, "ts."},
    {"percent of the file system", {0, 0, 2.5}, {0, 1000}, {2, 4, 6}, "s.."},
    {"percent prevails over bytes", {0, 1, 50}, {0, 1000}, {2, 4, 6}, "..."},
    {"percent of an unknown size leaves the bytes", {0, 20, 50}, {0, 0}, {2, 4, 6}, "s.."},
    {"times that differ by more than an integer",
     {5, 0, 0},
     {0, 0},
     {INT64_MIN + 2, INT64_MAX},
     "t."},
    {"a sum that overflows", {0, INT64_MAX, 0}, {UINT64_MAX, 0}, {2, 4}, "ss"},
};

static void partitions_go_as_the_table_says(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct retention_case *c = &cases[i];
        struct manifest_partition p[MAX] = {{0}};
        enum retention_reason reasons[MAX];
        char got[MAX + 1] = "";
        size_t n = 0;
        size_t want = 0;
        while (n < MAX && c->ends[n] != 0) {
            p[n] = (struct manifest_partition){
                .start_ms = c->ends[n] - 2, .end_ms = c->ends[n], .bytes = 10};
            want += c->want[n] != '.';
            n++;
        }
        assert_int_equal(retention_plan(&c->limits, &c->disk, p, n, reasons), want);
        for (size_t k = 0; k < n; k++) {
            got[k] = ".ts"[reasons[k]];
        }
        if (strcmp(got, c->want) != 0) {
            print_message("%s\n", c->why);
        }
        assert_string_equal(got, c->want);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(partitions_go_as_the_table_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

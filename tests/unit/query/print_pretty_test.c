/* Pretty printing: lines of at most 100 bytes stay whole, longer ones are split. */
#include "base/attr.h"
#include "tests/unit/query/parse_fixture.h"

struct print_case {
    const char *text;
    const char *want;
};

/* clang-format off */
static const struct print_case CASES[] = {
    {"sum by (job, instance) (rate(http_requests_total{code=~\"5..\", handler=\"/api/v1/query\"}[5m])) / sum by (job) (rate(http_requests_total[5m]))", "  sum by (job, instance) (rate(http_requests_total{code=~\"5..\",handler=\"/api/v1/query\"}[5m]))\n"
"/\n"
"  sum by (job) (rate(http_requests_total[5m]))"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa + bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb + ccccccccccccccccccccccccc", "  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa + bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
"+\n"
"  ccccccccccccccccccccccccc"},
    {"label_replace(label_replace(up{instance=\"some-very-long-instance-name\"}, \"a\", \"$1\", \"b\", \"(.*)\"), \"c\", \"$1\", \"d\", \"(.*)\")", "label_replace(\n"
"  label_replace(up{instance=\"some-very-long-instance-name\"}, \"a\", \"$1\", \"b\", \"(.*)\"),\n"
"  \"c\",\n"
"  \"$1\",\n"
"  \"d\",\n"
"  \"(.*)\"\n"
")"},
    {"-(sum by (job, instance) (rate(http_requests_total{code=~\"5..\", handler=\"/api/v1/query\"}[5m])) > bool on (job) group_left (a) up)", "-(\n"
"    sum by (job, instance) (rate(http_requests_total{code=~\"5..\",handler=\"/api/v1/query\"}[5m]))\n"
"  > bool on (job) group_left (a)\n"
"    up\n"
")"},
    {"quantile_over_time(0.9, sum by (job, instance) (rate(http_requests_total{code=~\"5..\", handler=\"/api/v1/query\"}[5m]))[1h:5m] @ end() offset 1h)", "quantile_over_time(\n"
"  0.9,\n"
"  sum by (job, instance) (rate(http_requests_total{code=~\"5..\",handler=\"/api/v1/query\"}[5m]))[1h:5m] @ end() offset 1h\n"
")"},
    {"topk by (job, instance) (10, sum without (a_long_label_name, another_long_label_name) (rate(http_requests_total{code=~\"5..\"}[5m])))", "topk by (job, instance) (\n"
"  10,\n"
"  sum without (a_long_label_name, another_long_label_name) (\n"
"    rate(http_requests_total{code=~\"5..\"}[5m])\n"
"  )\n"
")"},
    {"max_over_time(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa[5m:1m])", "max_over_time(\n"
"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa[5m:1m]\n"
")"},
    {"((((aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa))))", "(\n"
"  (\n"
"    ((aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa))\n"
"  )\n"
")"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa and on (aaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbb) (bbbbbbbbbbbbbbbbbbb or ccccccccccccc)", "  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
"and on (aaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbb)\n"
"  (bbbbbbbbbbbbbbbbbbb or ccccccccccccc)"},
    {"sum(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa) + sum(b) * 2", "  sum(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa)\n"
"+\n"
"  sum(b) * 2"},
    {"vector(1) + vector(2) + vector(3) + vector(4) + vector(5) + vector(6) + vector(7) + vector(8) + vector(9) + vector(10)", "    vector(1) + vector(2) + vector(3) + vector(4) + vector(5) + vector(6) + vector(7) + vector(8)\n"
"  +\n"
"    vector(9)\n"
"+\n"
"  vector(10)"},
    {"--sum(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa)", "--sum(\n"
"  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
")"},
    {"absent_over_time((sum by (namespace) (kube_pod_status_phase{phase=\"Running\"}) > bool 0.5)[10m:30s])* on(namespace) group_left(owner_kind) kube_pod_owner", "  absent_over_time((sum by (namespace) (kube_pod_status_phase{phase=\"Running\"}) > bool 0.5)[10m:30s])\n"
"* on (namespace) group_left (owner_kind)\n"
"  kube_pod_owner"},
};
/* clang-format on */

static void long_expressions_are_split_by_structure(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        assert_prints(str_of(CASES[i].text), CASES[i].want, print_pretty);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_expressions_are_split_by_structure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

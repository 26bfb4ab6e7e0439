/* query_answer: answers of the HTTP API as promtool prints them; answers that are not as the API
 * says are refused. */
#include "query_answer.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/check_err.h"

static enum err_code read_text(struct arena *arena, const char *text, struct answer *out,
                               struct err *err) {
    struct json_doc *doc = NULL;
    assert_ok(json_parse(str_of(text), &doc, err), err);
    const enum err_code code = answer_read(arena, json_root(doc), out, err);
    json_doc_free(doc);
    return code;
}

static void expect(const char *text, const char *want, const char *want_json) {
    struct arena arena;
    struct answer answer;
    struct err err;
    struct buf out;
    arena_init(&arena, 0);
    buf_init(&out, 1024 * 1024);
    assert_ok(read_text(&arena, text, &answer, &err), &err);
    answer_print_json(&out, &answer);
    assert_string_equal(out.ptr, want_json);
    buf_clear(&out);
    answer_print(&arena, &out, &answer);
    assert_string_equal(out.ptr, want);
    buf_release(&out);
    arena_release(&arena);
}

static void each_type_prints_as_text_and_json(void **state) {
    (void)state;
    expect("{\"resultType\":\"scalar\",\"result\":[1.5,\"+Inf\"]}", "scalar: +Inf @[1.5]\n",
           "[1.5,\"+Inf\"]\n");
    expect("{\"resultType\":\"string\",\"result\":[2,\"<a>\"]}", "<a>\n",
           "[2,\"\\u003ca\\u003e\"]\n");
    expect("{\"resultType\":\"vector\",\"result\":[]}", "\n", "[]\n");
    expect("{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[-0.001,\"1e21\"]}]}",
           "{} => 1000000000000000000000 @[-0.001]\n",
           "[{\"metric\":{},\"value\":[-0.001,\"1000000000000000000000\"]}]\n");
    expect(
        "{\"resultType\":\"vector\",\"result\":[{\"metric\":{\"b\":\"x\\\"y\",\"__name__\":\"m\"},"
        "\"value\":[3,\"NaN\"]}]}",
        "m{b=\"x\\\"y\"} => NaN @[3]\n",
        "[{\"metric\":{\"__name__\":\"m\",\"b\":\"x\\\"y\"},\"value\":[3,\"NaN\"]}]\n");
}

static void series_of_a_matrix_are_sorted(void **state) {
    (void)state;
    expect("{\"resultType\":\"matrix\",\"result\":["
           "{\"metric\":{\"a\":\"1\",\"b\":\"1\"},\"values\":[[1,\"1\"]]},"
           "{\"metric\":{\"a\":\"2\"},\"values\":[[1,\"2\"],[2,\"3\"]]},"
           "{\"metric\":{\"b\":\"1\"},\"values\":[[1,\"4\"]]},"
           "{\"metric\":{\"a\":\"1\"},\"values\":[[1,\"5\"]]}]}",
           "{b=\"1\"} =>\n4 @[1]\n{a=\"1\"} =>\n5 @[1]\n{a=\"2\"} =>\n2 @[1]\n3 @[2]\n"
           "{a=\"1\", b=\"1\"} =>\n1 @[1]\n",
           "[{\"metric\":{\"a\":\"1\",\"b\":\"1\"},\"values\":[[1,\"1\"]]},"
           "{\"metric\":{\"a\":\"2\"},\"values\":[[1,\"2\"],[2,\"3\"]]},"
           "{\"metric\":{\"b\":\"1\"},\"values\":[[1,\"4\"]]},"
           "{\"metric\":{\"a\":\"1\"},\"values\":[[1,\"5\"]]}]\n");
}

static void histograms_show_their_buckets(void **state) {
    (void)state;
    static const char json[] =
        "[{\"metric\":{\"__name__\":\"h\"},\"histogram\":[1,{\"count\":\"3\",\"sum\":\"1.5\","
        "\"buckets\":[[3,\"-0.001\",\"0.001\",\"1\"],[0,\"0.5\",\"1\",\"2\"],[1,\"1\",\"2\",\"0."
        "5\"],"
        "[2,\"2\",\"4e+06\",\"1\"]]}]}]";
    char text[512];
    char want_json[512];
    (void)snprintf(text, sizeof(text), "{\"resultType\":\"vector\",\"result\":%s}", json);
    (void)snprintf(want_json, sizeof(want_json), "%s\n", json);
    char *exponent = strstr(want_json, "4e+06");
    assert_non_null(exponent);
    memmove(exponent + 7, exponent + 5, strlen(exponent + 5) + 1);
    memcpy(exponent, "4000000", 7);
    expect(text,
           "h => Count: 3.000000, Sum: 1.500000, Buckets: "
           "[[-0.001,0.001]:1 (0.5,1]:2 [1,2):0.5 (2,4e+06):1] @[1]\n",
           want_json);
}

static void infinite_counts_and_histograms_without_buckets_print_as_go_prints_them(void **state) {
    (void)state;
    expect("{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"histogram\":[1,{\"count\":"
           "\"+Inf\",\"sum\":\"NaN\"}]}]}",
           "{} => Count: +Inf, Sum: NaN, Buckets: [] @[1]\n",
           "[{\"metric\":{},\"histogram\":[1,{\"count\":\"+Inf\",\"sum\":\"NaN\",\"buckets\":"
           "null}]}]\n");
}

static void names_print_as_they_are_and_pairs_sort_as_text(void **state) {
    (void)state;
    expect("{\"resultType\":\"vector\",\"result\":[{\"metric\":{\"__name__\":\"a b\",\"n\":\"1\","
           "\"n1\":\"2\",\"n_\":\"3\",\"\u00e4 l\":\"4\"},\"value\":[1,\"1\"]}]}",
           "a b{n1=\"2\", n=\"1\", n_=\"3\", \xc3\xa4 l=\"4\"} => 1 @[1]\n",
           "[{\"metric\":{\"__name__\":\"a b\",\"n\":\"1\",\"n1\":\"2\",\"n_\":\"3\",\"\xc3\xa4 l"
           "\":\"4\"},\"value\":[1,\"1\"]}]\n");
}

static void what_is_not_as_the_api_says_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *err;
    } cases[] = {
        {"null", "unexpected value type \"\""},
        {"{\"resultType\":\"tensor\"}", "unexpected value type \"tensor\""},
        {"{\"resultType\":\"vector\",\"result\":{}}", "the result is no list"},
        {"{\"resultType\":\"vector\",\"result\":[1]}", "a label set is no object"},
        {"{\"resultType\":\"vector\",\"result\":[{\"metric\":{\"a\":1}}]}",
         "the value of label \"a\" is no string"},
        {"{\"resultType\":\"vector\",\"result\":[{\"metric\":{}}]}", "a sample has not one value"},
        {"{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[1]}]}",
         "a sample is no pair of a time and a value"},
        {"{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[1e300,\"1\"]}]}",
         "a sample is no pair of a time and a value"},
        {"{\"resultType\":\"scalar\",\"result\":[1,1]}", "a value is no number in quotes"},
        {"{\"resultType\":\"scalar\",\"result\":[1,\"one\"]}", "a value is no number in quotes"},
        {"{\"resultType\":\"string\",\"result\":\"text\"}",
         "a sample is no pair of a time and a value"},
        {"{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\"histograms\":[[1,{\"count\":"
         "\"1\","
         "\"sum\":\"1\",\"buckets\":[[4,\"1\",\"2\",\"3\"]]}]]}]}",
         "a bucket is no list of boundaries, limits and count"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena arena;
        struct answer answer;
        struct err err;
        arena_init(&arena, 0);
        assert_err(read_text(&arena, cases[i].text, &answer, &err), ERR_INVALID, cases[i].err,
                   &err);
        arena_release(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_prints_as_text_and_json),
        cmocka_unit_test(series_of_a_matrix_are_sorted),
        cmocka_unit_test(histograms_show_their_buckets),
        cmocka_unit_test(infinite_counts_and_histograms_without_buckets_print_as_go_prints_them),
        cmocka_unit_test(names_print_as_they_are_and_pairs_sort_as_text),
        cmocka_unit_test(what_is_not_as_the_api_says_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

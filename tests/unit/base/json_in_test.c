/* json_in: documents of strangers are read or refused, and "absent" reads as nothing. */
#include <string.h>

#include "base/buf.h"
#include "base/json_in.h"
#include "tests/support/check_err.h"

static struct json_doc *parse(const char *text) {
    struct json_doc *doc = NULL;
    struct err err;
    assert_ok(json_parse(str_of(text), &doc, &err), &err);
    return doc;
}

static void values_are_read_by_type(void **state) {
    (void)state;
    struct json_doc *doc = parse("{\"s\":\"t\\u0000x\",\"i\":-7,\"r\":1.5,\"t\":true,\"n\":null,"
                                 "\"a\":[1,\"b\"],\"o\":{}}");
    const struct json *root = json_root(doc);
    assert_true(json_is_object(root));
    assert_true(json_is_string(json_get(root, "s")));
    assert_int_equal(json_string(json_get(root, "s")).len, 3);
    assert_int_equal(json_int(json_get(root, "i"), 0), -7);
    assert_true(json_number(json_get(root, "r"), 0) == 1.5);
    assert_true(json_number(json_get(root, "i"), 0) == -7);
    assert_true(json_true(json_get(root, "t")));
    assert_true(json_is_null(json_get(root, "n")));
    assert_int_equal(json_length(json_get(root, "a")), 2);
    assert_str(json_string(json_at(json_get(root, "a"), 1)), "b");
    assert_null(json_at(json_get(root, "a"), 2));
    assert_true(json_is_array(json_get(root, "a")));
    json_doc_free(doc);
}

static void absent_and_wrong_types_read_as_nothing(void **state) {
    (void)state;
    struct json_doc *doc = parse("[\"1\"]");
    const struct json *wrong[] = {NULL, json_root(doc), json_at(json_root(doc), 0),
                                  json_get(json_root(doc), "x")};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        size_t it = 0;
        struct str key;
        const struct json *value = NULL;
        assert_null(json_get(wrong[i], "x"));
        assert_int_equal(json_int(wrong[i], 5), 5);
        assert_true(json_number(wrong[i], 2.5) == 2.5);
        assert_false(json_true(wrong[i]));
        assert_false(json_is_null(wrong[i]));
        assert_false(json_next_member(wrong[i], &it, &key, &value));
    }
    assert_str(json_string(NULL), "");
    assert_int_equal(json_length(NULL), 0);
    json_doc_free(doc);
    json_doc_free(NULL);
}

static void members_come_in_document_order(void **state) {
    (void)state;
    struct json_doc *doc = parse("{\"z\":0,\"a\":1,\"m\":2,\"\":3}");
    static const char *const keys[] = {"z", "a", "m", ""};
    size_t it = 0;
    struct str key;
    const struct json *value = NULL;
    for (int i = 0; i < 4; i++) {
        assert_true(json_next_member(json_root(doc), &it, &key, &value));
        assert_str(key, keys[i]);
        assert_int_equal(json_int(value, -1), i);
    }
    assert_false(json_next_member(json_root(doc), &it, &key, &value));
    assert_false(json_next_member(json_root(doc), &it, &key, &value));
    json_doc_free(doc);
}

static void a_broken_document_is_refused_with_its_place(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        {"", "JSON line 1 column 0: "},
        {"{\"a\":\n 1,}", "JSON line 2 column 4: "},
        {"[1] x", "JSON line 1 column 5: "},
        {"\"\xff\"", "JSON line 1 column "},
        {"[1e999]", "real number overflow"},
        {"99999999999999999999", "too big integer"},
        {"[1", "']' expected"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct json_doc *doc = NULL;
        struct err err;
        assert_err(json_parse(str_of(cases[i].text), &doc, &err), ERR_INVALID, cases[i].want, &err);
        assert_null(doc);
    }
}

static enum err_code parse_nested(size_t depth, char open, char close, struct err *err) {
    struct buf text;
    struct json_doc *doc = NULL;
    buf_init(&text, 10000000);
    for (size_t i = 0; i < depth; i++) {
        buf_append_char(&text, open);
    }
    for (size_t i = 0; i < depth; i++) {
        buf_append_char(&text, close);
    }
    const enum err_code code = json_parse(buf_str(&text), &doc, err);
    buf_release(&text);
    json_doc_free(doc);
    return code;
}

static void nesting_is_limited(void **state) {
    (void)state;
    struct err err;
    assert_ok(parse_nested(JSON_IN_DEPTH_MAX, '[', ']', &err), &err);
    assert_err(parse_nested(JSON_IN_DEPTH_MAX + 1, '[', ']', &err), ERR_INVALID, "nested deeper",
               &err);
    assert_err(parse_nested(1000000, '[', '[', &err), ERR_INVALID, "nested deeper", &err);
    struct json_doc *doc =
        parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\","
              "\"\\\"[\"]");
    assert_int_equal(json_length(json_root(doc)), 2);
    json_doc_free(doc);
}

static void a_document_that_is_too_long_is_refused(void **state) {
    (void)state;
    struct err err;
    struct json_doc *doc = NULL;
    const struct str text = {"", (size_t)JSON_IN_BYTES_MAX + 1}; /* never read */
    assert_err(json_parse(text, &doc, &err), ERR_LIMIT, "JSON document of", &err);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read_by_type),
        cmocka_unit_test(absent_and_wrong_types_read_as_nothing),
        cmocka_unit_test(members_come_in_document_order),
        cmocka_unit_test(a_broken_document_is_refused_with_its_place),
        cmocka_unit_test(nesting_is_limited),
        cmocka_unit_test(a_document_that_is_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

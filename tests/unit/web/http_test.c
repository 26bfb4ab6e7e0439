/* Requests: decoding of paths and parameters, forms, limits; Accept-Encoding. */
#include "tests/support/check_err.h"
#include "web/http.h"

static enum err_code parse(struct http_incoming *in, enum http_method method, const char *target,
                           const char *body, struct err *err) {
    *in = (struct http_incoming){.method = method, .target = str_of(target)};
    arena_init(&in->arena, HTTP_REQUEST_MEMORY_MAX);
    buf_init(&in->body, HTTP_BODY_MAX);
    buf_append_cstr(&in->body, body);
    in->content_type = STR("application/x-www-form-urlencoded; charset=utf-8");
    return http_incoming_parse(in, err);
}

static void release(struct http_incoming *in) {
    buf_release(&in->body);
    arena_release(&in->arena);
}

static void paths_are_decoded_once(void **state) {
    (void)state;
    static const struct {
        const char *target, *path;
    } rows[] = {
        {"/", "/"},       {"/a/b?c=d", "/a/b"}, {"/a%20b", "/a b"},
        {"/a+b", "/a+b"}, {"/%2541", "/%41"},   {"/a..b/...", "/a..b/..."},
        {"", ""},         {"?a=b", ""},         {"/?a=/../", "/"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_incoming in;
        struct err err;
        assert_ok(parse(&in, HTTP_GET, rows[i].target, "", &err), &err);
        assert_str(in.path, rows[i].path);
        release(&in);
    }
}

static void paths_that_try_to_leave_are_refused(void **state) {
    (void)state;
    static const char *const targets[] = {
        "/../etc", "/a/..",   "/a/../b", "/./a",   "/a/.",   "/%2e%2e/x",
        "/.%2e/x", "/%2E%2E", "/a%2fb",  "/a%2Fb", "/a%5cb", "/a%5Cb",
        "/a\\b",   "/a%00b",  "/%",      "/%4",    "/%zz",   "..",
    };
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct http_incoming in;
        struct err err;
        if (parse(&in, HTTP_GET, targets[i], "", &err) != ERR_INVALID) {
            fail_msg("%s was taken", targets[i]);
        }
        release(&in);
    }
}

static void parameters_are_decoded_and_may_repeat(void **state) {
    (void)state;
    struct http_incoming in;
    struct err err;
    assert_ok(parse(&in, HTTP_GET, "/x?a=1+2&a=%263&&b&=v&c=x=y&d%5B%5D=e", "a=body", &err), &err);
    assert_str(http_param(&in, "a"), "1 2");
    size_t count = 0;
    const struct str *all = http_param_all(&in, "a", &count);
    assert_int_equal(count, 2);
    assert_str(all[1], "&3");
    assert_str(http_param(&in, "b"), "");
    assert_str(http_param(&in, ""), "v");
    assert_str(http_param(&in, "c"), "x=y");
    assert_str(http_param(&in, "d[]"), "e");
    assert_str(http_param(&in, "missing"), "");
    release(&in);
}

static void a_forms_body_comes_before_the_query_string(void **state) {
    (void)state;
    struct http_incoming in;
    struct err err;
    assert_ok(parse(&in, HTTP_POST, "/x?q=url&m=1", "q=body&m=2", &err), &err);
    assert_str(http_param(&in, "q"), "body");
    size_t count = 0;
    const struct str *all = http_param_all(&in, "m", &count);
    assert_int_equal(count, 2);
    assert_str(all[0], "2");
    assert_str(all[1], "1");
    release(&in);
}

static void other_bodies_are_no_parameters(void **state) {
    (void)state;
    struct http_incoming in = {
        .method = HTTP_POST, .target = STR("/x"), .content_type = STR("text/plain")};
    arena_init(&in.arena, 0);
    buf_init(&in.body, HTTP_BODY_MAX);
    buf_append_cstr(&in.body, "q=%zz");
    struct err err;
    assert_ok(http_incoming_parse(&in, &err), &err);
    assert_int_equal(in.param_count, 0);
    release(&in);
}

static void bad_escapes_are_refused(void **state) {
    (void)state;
    static const char *const targets[] = {"/x?a=%", "/x?a=%4", "/x?%g1=b"};
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct http_incoming in;
        struct err err;
        assert_err(parse(&in, HTTP_GET, targets[i], "", &err), ERR_INVALID, NULL, &err);
        release(&in);
    }
}

static void the_number_of_parameters_is_bounded(void **state) {
    (void)state;
    struct buf target;
    buf_init(&target, 1024 * 1024);
    buf_append_cstr(&target, "/?");
    for (int i = 0; i < HTTP_PARAMS_MAX; i++) {
        buf_append_cstr(&target, "a&");
    }
    struct http_incoming in;
    struct err err;
    assert_ok(parse(&in, HTTP_GET, target.ptr, "", &err), &err);
    release(&in);
    buf_append_cstr(&target, "a");
    assert_err(parse(&in, HTTP_GET, target.ptr, "", &err), ERR_LIMIT, "too many parameters", &err);
    release(&in);
    buf_release(&target);
}

static void the_first_known_encoding_counts(void **state) {
    (void)state;
    assert_true(http_accepts_gzip(STR("gzip")));
    assert_true(http_accepts_gzip(STR("br, gzip , deflate")));
    assert_false(http_accepts_gzip(STR("deflate, gzip")));
    assert_false(http_accepts_gzip(STR("gzip;q=1")));
    assert_false(http_accepts_gzip(STR("")));
    assert_false(http_accepts_gzip(STR("GZIP")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_decoded_once),
        cmocka_unit_test(paths_that_try_to_leave_are_refused),
        cmocka_unit_test(parameters_are_decoded_and_may_repeat),
        cmocka_unit_test(a_forms_body_comes_before_the_query_string),
        cmocka_unit_test(other_bodies_are_no_parameters),
        cmocka_unit_test(bad_escapes_are_refused),
        cmocka_unit_test(the_number_of_parameters_is_bounded),
        cmocka_unit_test(the_first_known_encoding_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

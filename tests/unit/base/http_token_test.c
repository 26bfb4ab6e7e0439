/* http_token: the form of a client credentials grant, and every way in which an answer can be one,
 * refuse one, or be something else. The texts are those of Go's oauth2 package. */
#include "base/http_token.h"

#include "tests/support/check_err.h"

static void the_form_is_sorted_and_escaped(void **state) {
    (void)state;
    const struct str scopes[] = {STR("read"), STR("a b")};
    const struct str params[] = {STR("audience"), STR("https://x/?y"), STR("z"), STR("&")};
    const struct oauth2_config config = {.client_id = STR("me"),
                                         .scopes = scopes,
                                         .scope_count = 2,
                                         .endpoint_params = params,
                                         .endpoint_param_count = 4};
    struct buf form;
    struct err err;
    buf_init(&form, 4096);
    assert_ok(http_token_form(&config, STR("s=1"), false, &form, &err), &err);
    assert_str(buf_str(&form), "audience=https%3A%2F%2Fx%2F%3Fy&grant_type=client_credentials"
                               "&scope=read+a+b&z=%26");
    buf_clear(&form);
    assert_ok(http_token_form(&config, STR("s=1"), true, &form, &err), &err);
    assert_str(buf_str(&form), "audience=https%3A%2F%2Fx%2F%3Fy&client_id=me&client_secret=s%3D1"
                               "&grant_type=client_credentials&scope=read+a+b&z=%26");
    buf_release(&form);
}

static void an_endpoint_parameter_may_replace_the_grant_type_only(void **state) {
    (void)state;
    const struct str grant[] = {STR("grant_type"), STR("mine")};
    const struct str scope[] = {STR("scope"), STR("mine")};
    const struct str one[] = {STR("read")};
    struct oauth2_config config = {
        .scopes = one, .scope_count = 1, .endpoint_params = grant, .endpoint_param_count = 2};
    struct buf form;
    struct err err;
    buf_init(&form, 4096);
    assert_ok(http_token_form(&config, STR(""), false, &form, &err), &err);
    assert_str(buf_str(&form), "grant_type=mine&scope=read");
    config.endpoint_params = scope;
    assert_err(http_token_form(&config, STR(""), false, &form, &err), ERR_INVALID,
               "oauth2: cannot overwrite parameter \"scope\"", &err);
    buf_release(&form);
}

static void tokens_are_read_from_json_and_forms(void **state) {
    (void)state;
    static const struct {
        const char *type, *body, *line;
        int64_t life_s;
    } cases[] = {
        {"application/json", "{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":60}",
         "Authorization: Bearer t", 60},
        {"", "{\"access_token\":\"t\"}", "Authorization: Bearer t", 0},
        {"x/y", "{\"access_token\":\"t\",\"token_type\":\"mac\",\"expires_in\":\"61\"}",
         "Authorization: MAC t", 61},
        {"application/json", "{\"access_token\":\"t\",\"token_type\":\"Odd\",\"expires_in\":1e12}",
         "Authorization: Odd t", TOKEN_LIFE_S_MAX},
        {"application/json", "{\"access_token\":\"t\",\"expires_in\":null}",
         "Authorization: Bearer t", 0},
        {"application/json", "{\"access_token\":\"t\",\"expires_in\":-5}",
         "Authorization: Bearer t", 0},
        {"application/x-www-form-urlencoded", "access_token=a%2Bb&expires_in=9&token_type=bearer",
         "Authorization: Bearer a+b", 9},
        {"text/plain; charset=utf-8", "access_token=a", "Authorization: Bearer a", 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena arena;
        struct http_token token = {0};
        struct err err;
        arena_init(&arena, 0);
        assert_ok(http_token_read(&arena, 200, STR("OK"), str_of(cases[i].type),
                                  str_of(cases[i].body), &token, &err),
                  &err);
        assert_str(token.line, cases[i].line);
        assert_int_equal(token.life_s, cases[i].life_s);
        arena_release(&arena);
    }
}

static void what_holds_no_token_says_why(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *reason, *type, *body, *text;
    } cases[] = {
        {401, "Unauthorized", "text/html", "<no>",
         "oauth2: cannot fetch token: 401 Unauthorized\nResponse: <no>"},
        {500, "", "", "", "oauth2: cannot fetch token: 500\nResponse: "},
        {400, "Bad Request", "application/json", "{\"error\":\"invalid_client\"}",
         "oauth2: \"invalid_client\""},
        {400, "Bad Request", "application/json",
         "{\"error\":\"e\",\"error_description\":\"d\",\"error_uri\":\"u\"}",
         "oauth2: \"e\" \"d\" \"u\""},
        {200, "OK", "application/json", "{\"error\":\"late\",\"access_token\":\"t\"}",
         "oauth2: \"late\""},
        {200, "OK", "application/json", "{\"access_token\":", "oauth2: cannot parse json: "},
        {200, "OK", "application/json", "[]", "oauth2: cannot parse json: not an object"},
        {200, "OK", "application/json", "{}", "oauth2: server response missing access_token"},
        {200, "OK", "application/json", "{\"access_token\":7}",
         "oauth2: server response missing access_token"},
        {200, "OK", "text/plain", "access_token=%zz", "oauth2: cannot parse response: "},
        {200, "OK", "text/plain", "access_token=t&expires_in=soon",
         "oauth2: cannot parse response: expires_in \"soon\""},
        {200, "OK", "application/json", "{\"access_token\":\"a\\r\\nX: y\"}",
         "net/http: invalid header field value for \"Authorization\""},
        {200, "OK", "application/json", "{\"access_token\":\"a\",\"token_type\":\"b\\nc\"}",
         "net/http: invalid header field value for \"Authorization\""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena arena;
        struct http_token token = {0};
        struct err err;
        arena_init(&arena, 0);
        assert_err(http_token_read(&arena, cases[i].status, str_of(cases[i].reason),
                                   str_of(cases[i].type), str_of(cases[i].body), &token, &err),
                   ERR_NETWORK, cases[i].text, &err);
        assert_int_equal(token.line.len, 0);
        arena_release(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_form_is_sorted_and_escaped),
        cmocka_unit_test(an_endpoint_parameter_may_replace_the_grant_type_only),
        cmocka_unit_test(tokens_are_read_from_json_and_forms),
        cmocka_unit_test(what_holds_no_token_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* url: parts, escapes as Go writes them, and no password in what is shown. */
#include "base/url.h"
#include "tests/support/check_err.h"

struct parsed {
    struct arena arena;
    struct url url;
};

static void parse(struct parsed *p, const char *text) {
    struct err err;
    arena_init(&p->arena, 0);
    assert_ok(url_parse(&p->arena, str_of(text), &p->url, &err), &err);
}

static void parts_are_taken_apart(void **state) {
    (void)state;
    struct parsed p;
    parse(&p, "http://us%40er:p%3Aw@[::1]:9090/a/../b%20c?x=1&y=%41#frag");
    assert_str(p.url.scheme, "http");
    assert_true(p.url.has_user);
    assert_str(p.url.user, "us@er");
    assert_str(p.url.password, "p:w");
    assert_str(p.url.host, "[::1]");
    assert_str(p.url.port, "9090");
    assert_str(p.url.path, "/a/../b%20c");
    assert_str(p.url.query, "x=1&y=%41");
    assert_str(p.url.fragment, "frag");
    arena_release(&p.arena);

    parse(&p, "https://h");
    assert_false(p.url.has_user);
    assert_str(p.url.port, "");
    assert_str(p.url.path, "/");
    assert_str(p.url.query, "");
    arena_release(&p.arena);

    parse(&p, "unix:///var/run/docker.sock");
    assert_str(p.url.scheme, "unix");
    assert_str(p.url.host, "");
    assert_str(p.url.path, "/var/run/docker.sock");
    arena_release(&p.arena);
}

static void a_port_is_a_number_in_its_shortest_form(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *port;
    } cases[] = {{"http://h:0080/", "80"},
                 {"http://h:/", ""},
                 {"http://h:0/", "0"},
                 {"HTTPS://h:65535", "65535"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct parsed p;
        parse(&p, cases[i].text);
        assert_str(p.url.port, cases[i].port);
        assert_str(p.url.host, "h");
        arena_release(&p.arena);
    }
}

static void a_zone_is_not_part_of_the_host(void **state) {
    (void)state;
    struct parsed p;
    parse(&p, "http://[fe80::1%25eth0.1]:80/");
    assert_str(p.url.host, "[fe80::1]");
    assert_str(p.url.port, "80");
    arena_release(&p.arena);
    parse(&p, "http://[fe80::1%eth0]");
    assert_str(p.url.host, "[fe80::1]");
    arena_release(&p.arena);
}

static void a_part_ends_where_the_next_begins(void **state) {
    (void)state;
    struct parsed p;
    parse(&p, "HTTP://h?a@b:c/#?/");
    assert_str(p.url.scheme, "http");
    assert_str(p.url.host, "h");
    assert_false(p.url.has_user);
    assert_str(p.url.path, "/");
    assert_str(p.url.query, "a@b:c/");
    assert_str(p.url.fragment, "?/");
    arena_release(&p.arena);
    parse(&p, "http://:@h/?");
    assert_true(p.url.has_user);
    assert_str(p.url.user, "");
    assert_str(p.url.query, "");
    arena_release(&p.arena);
}

/* Each is what another program might take for another host. */
static void what_can_be_read_in_two_ways_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        {"http:/h/", "missing '//' after protocol scheme"},
        {"http:h", "missing '//' after protocol scheme"},
        {"://h", "missing protocol scheme"},
        {"1http://h", "missing protocol scheme"},
        {"http://a@b@c/", "invalid character in host name"},
        {"http://h\\@other/", "net/url: invalid userinfo"},
        {"http://h\\.other/", "invalid character in host name"},
        {"http://h%2eother/", "invalid character in host name"},
        {"http://h:80:90/", "invalid port after host"},
        {"http://h:+80/", "invalid port after host"},
        {"http://h:65536/", "invalid port after host"},
        {"http://h:184467440737095516160080/", "invalid port after host"},
        {"http://[::1]x/", "invalid port after host"},
        {"http://[::1/", "missing ']' in host"},
        {"http://[]/", "invalid IPv6 address in host"},
        {"http://[1.2.3.4]/", "invalid IPv6 address in host"},
        {"http://[fe80::1%25]/", "invalid IPv6 address in host"},
        {"http://[fe80::1%25a/b]/", "missing ']' in host"},
        {"http://u:%0ap@h/", "net/url: invalid userinfo"},
        {"http://u%zz@h/", "net/url: invalid userinfo"},
        {"http://h/%", "invalid URL escape"},
        {"http://h/a b", "invalid character \" \" in URL"},
        {"http://h/\x7f", "net/url: invalid control character in URL"},
        {"http://@/", "no host in URL"},
        {"", "parse \"\": empty url"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena arena;
        struct url url;
        struct err err;
        arena_init(&arena, 0);
        assert_err(url_parse(&arena, str_of(cases[i].text), &url, &err), ERR_INVALID, cases[i].want,
                   &err);
        arena_release(&arena);
    }
}

static void a_url_beyond_its_limit_is_refused(void **state) {
    (void)state;
    struct buf long_one;
    struct arena arena;
    struct url url;
    struct str got;
    struct err err;
    arena_init(&arena, 0);
    buf_init(&long_one, 100000);
    buf_append_cstr(&long_one, "http://h/");
    while (long_one.len <= (size_t)64 * 1024) {
        buf_append_char(&long_one, 'x');
    }
    static const char want[] = "URL of 65537 bytes, at most 65536 are accepted";
    const struct str text = buf_str(&long_one);
    assert_err(url_parse(&arena, text, &url, &err), ERR_INVALID, want, &err);
    assert_err(url_resolve(&arena, STR("http://h/"), text, &got, &err), ERR_INVALID, want, &err);
    assert_err(url_with_host(&arena, STR("http://h/"), text, &got, &err), ERR_INVALID,
               "host name of 65537 bytes", &err);
    assert_ok(url_parse(&arena, str_sub(text, 0, text.len - 1), &url, &err), &err);
    buf_release(&long_one);
    arena_release(&arena);
}

static void what_is_no_url_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "no scheme",
                                      "http://",
                                      "http://a b",
                                      "http://h:99999/",
                                      "http://h:x/",
                                      "http://[::1",
                                      "http://h/\nx",
                                      "http:///x",
                                      "https:///h"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct arena arena;
        struct url url;
        struct err err;
        arena_init(&arena, 0);
        assert_err(url_parse(&arena, str_of(bad[i]), &url, &err), ERR_INVALID, "parse \"", &err);
        arena_release(&arena);
    }
    struct err err;
    struct url url;
    struct arena arena;
    arena_init(&arena, 0);
    const struct str with_nul = STR("http://h/\0x");
    assert_err(url_parse(&arena, with_nul, &url, &err), ERR_INVALID, "control character", &err);
    arena_release(&arena);
}

static void references_are_resolved(void **state) {
    (void)state;
    static const struct {
        const char *reference;
        const char *want;
    } cases[] = {
        {"/x", "http://u:p@h:1/x"},
        {"x", "http://u:p@h:1/a/x"},
        {"?q=2", "http://u:p@h:1/a/b?q=2"},
        {"//other/x", "http://other/x"},
        {"https://else:2/", "https://else:2/"},
        {"file:///etc/passwd", "file:///etc/passwd"},
        {"", "http://u:p@h:1/a/b?q=1"},
        {"#f", "http://u:p@h:1/a/b?q=1#f"},
        {".", "http://u:p@h:1/a/"},
        {"..", "http://u:p@h:1/"},
        {"../../x/./y/../z", "http://u:p@h:1/x/z"},
        {"/a/..//b/..?x/../y", "http://u:p@h:1//?x/../y"},
        {"..x/.y?z#/..", "http://u:p@h:1/a/..x/.y?z#/.."},
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err;
        struct str got;
        assert_ok(url_resolve(&arena, STR("http://u:p@h:1/a/b?q=1#g"), str_of(cases[i].reference),
                              &got, &err),
                  &err);
        assert_str(got, cases[i].want);
    }
    struct err err;
    struct str got;
    assert_ok(url_resolve(&arena, STR("http://h?x"), STR("y"), &got, &err), &err);
    assert_str(got, "http://h/y");
    arena_release(&arena);
}

static void a_reference_that_leads_nowhere_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *reference;
        const char *want;
    } cases[] = {
        {"1x:y", "first path segment in URL cannot contain colon"},
        {"mailto:x", "missing '//' after protocol scheme"},
        {"//", "no host in URL"},
        {"//h:x", "invalid port after host"},
        {"/%4", "invalid URL escape"},
        {"/a b", "invalid character \" \" in URL"},
        {"/a\r\nX: y", "invalid control character in URL"},
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err;
        struct str got;
        assert_err(url_resolve(&arena, STR("http://h/a"), str_of(cases[i].reference), &got, &err),
                   ERR_INVALID, cases[i].want, &err);
    }
    arena_release(&arena);
}

static void a_host_takes_the_place_of_another(void **state) {
    (void)state;
    struct arena arena;
    struct err err;
    struct str got;
    arena_init(&arena, 0);
    assert_ok(url_with_host(&arena, STR("https://u:p@1.2.3.4:8443/m?x"), STR("name"), &got, &err),
              &err);
    assert_str(got, "https://u:p@name:8443/m?x");
    assert_ok(url_with_host(&arena, STR("https://[fe80::1%25a]"), STR("[::2]"), &got, &err), &err);
    assert_str(got, "https://[::2]");
    static const char *const bad[] = {"",    "a/b", "u@h", "h:1",    "::1",
                                      "a?b", "a#b", "a b", "[::1]:2"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_err(url_with_host(&arena, STR("https://h:1/"), str_of(bad[i]), &got, &err),
                   ERR_INVALID, "parse \"", &err);
    }
    arena_release(&arena);
}

static void escapes_are_those_of_go(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    url_query_escape(&buf, STR("aZ9-_.~ &=+/%\xc3\xa4\n"));
    assert_str(buf_str(&buf), "aZ9-_.~+%26%3D%2B%2F%25%C3%A4%0A");
    buf_clear(&buf);
    url_path_escape(&buf, STR("/a b/$&+,:;=@?#%!*'()\xc3\xa4"));
    assert_str(buf_str(&buf), "/a%20b/$&+,:;=@%3F%23%25%21%2A%27%28%29%C3%A4");
    buf_release(&buf);
}

static void query_values_are_unescaped_or_refused(void **state) {
    (void)state;
    static const struct {
        const char *in;
        const char *want; /* NULL: error */
        const char *err;
    } cases[] = {
        {"", "", NULL},
        {"a+b%20c%2B", "a b c+", NULL},
        {"%e2%82%AC", "\xe2\x82\xac", NULL},
        {"%", NULL, "invalid URL escape \"%\""},
        {"x%4", NULL, "invalid URL escape \"%4\""},
        {"%zz12", NULL, "invalid URL escape \"%zz\""},
        {"%4g", NULL, "invalid URL escape \"%4g\""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf buf;
        struct err err;
        buf_init(&buf, 100);
        const enum err_code code = url_query_unescape(&buf, str_of(cases[i].in), &err);
        if (cases[i].want != NULL) {
            assert_ok(code, &err);
            assert_str(buf_str(&buf), cases[i].want);
        } else {
            assert_err(code, ERR_INVALID, cases[i].err, &err);
        }
        buf_release(&buf);
    }
}

static void passwords_are_not_shown(void **state) {
    (void)state;
    static const struct {
        const char *in;
        const char *want;
    } cases[] = {
        {"http://u:secret@h/x", "http://u:xxxxx@h/x"},
        {"http://u:se@cret@h/x", "http://u:xxxxx@h/x"},
        {"http://:secret@h", "http://:xxxxx@h"},
        {"http://u@h:80/", "http://u@h:80/"},
        {"http://h:80/a@b:c", "http://h:80/a@b:c"},
        {"http://h?u:p@x", "http://h?u:p@x"},
        {"no url", "no url"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf buf;
        buf_init(&buf, 100);
        url_redact(&buf, str_of(cases[i].in));
        assert_str(buf_str(&buf), cases[i].want);
        buf_release(&buf);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_taken_apart),
        cmocka_unit_test(a_port_is_a_number_in_its_shortest_form),
        cmocka_unit_test(a_zone_is_not_part_of_the_host),
        cmocka_unit_test(a_part_ends_where_the_next_begins),
        cmocka_unit_test(what_can_be_read_in_two_ways_is_refused),
        cmocka_unit_test(a_url_beyond_its_limit_is_refused),
        cmocka_unit_test(what_is_no_url_is_refused),
        cmocka_unit_test(references_are_resolved),
        cmocka_unit_test(a_reference_that_leads_nowhere_is_refused),
        cmocka_unit_test(a_host_takes_the_place_of_another),
        cmocka_unit_test(escapes_are_those_of_go),
        cmocka_unit_test(query_values_are_unescaped_or_refused),
        cmocka_unit_test(passwords_are_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* http_config_equal: a configuration equals its copy, and no longer once any one setting differs. */
#include <stddef.h>
#include <string.h>

#include "base/http_config.h"
#include "tests/support/check_err.h"

static const struct str one[] = {STR_INIT("a")};
static const struct str other[] = {STR_INIT("b")};
static const struct secret secret_a[] = {{STR_INIT("s")}};
static const struct secret secret_b[] = {{STR_INIT("t")}};
static const struct http_header header = {.name = STR_INIT("X"),
                                          .values = one,
                                          .value_count = 1,
                                          .secrets = secret_a,
                                          .secret_count = 1,
                                          .files = one,
                                          .file_count = 1};

static void every_setting_counts(void **state) {
    (void)state;
    static const size_t strings[] = {
#define AT(member) offsetof(struct http_config, member)
        AT(username),
        AT(username_file),
        AT(password),
        AT(password_file),
        AT(authorization_type),
        AT(credentials),
        AT(credentials_file),
        AT(proxy_url),
        AT(no_proxy),
        AT(tls.ca),
        AT(tls.ca_file),
        AT(tls.cert),
        AT(tls.cert_file),
        AT(tls.key),
        AT(tls.key_file),
        AT(tls.server_name),
        AT(oauth2.client_id),
        AT(oauth2.client_secret),
        AT(oauth2.token_url),
        AT(oauth2.proxy_url),
        AT(oauth2.client_secret_file),
        AT(oauth2.tls.ca_file)};
    static const size_t switches[] = {
        AT(has_basic_auth),           AT(has_authorization), AT(has_tls),
        AT(follow_redirects),         AT(enable_http2),      AT(proxy_from_environment),
        AT(tls.insecure_skip_verify), AT(oauth2.set),        AT(oauth2.proxy_from_environment)};
#undef AT
    const struct http_config base = {.username = STR("u"), .headers = &header, .header_count = 1};
    for (size_t i = 0; i < COUNT_OF(strings); i++) {
        struct http_config changed = base;
        const struct str text = STR("changed");
        assert_true(http_config_equal(&base, &changed));
        memcpy((char *)&changed + strings[i], &text, sizeof(text));
        assert_false(http_config_equal(&base, &changed));
        assert_false(http_config_equal(&changed, &base));
    }
    for (size_t i = 0; i < COUNT_OF(switches); i++) {
        struct http_config changed = base;
        ((bool *)(void *)&changed)[switches[i]] = true;
        assert_false(http_config_equal(&base, &changed));
    }
    struct http_config versions = base;
    versions.tls.max_version = TLS12;
    assert_false(http_config_equal(&base, &versions));
}

static void headers_are_compared_whole(void **state) {
    (void)state;
    struct http_header changed[5];
    for (size_t i = 0; i < COUNT_OF(changed); i++) {
        changed[i] = header;
    }
    changed[0].name = STR("Y");
    changed[1].values = other;
    changed[2].secrets = secret_b;
    changed[3].files = other;
    changed[4].value_count = 0;
    const struct http_config a = {.headers = &header, .header_count = 1};
    const struct http_config none = {.header_count = 0};
    assert_false(http_config_equal(&a, &none));
    for (size_t i = 0; i < COUNT_OF(changed); i++) {
        const struct http_config b = {.headers = &changed[i], .header_count = 1};
        assert_false(http_config_equal(&a, &b));
        const struct http_config c = {.proxy_connect_headers = &header,
                                      .proxy_connect_header_count = 1};
        const struct http_config d = {.proxy_connect_headers = &changed[i],
                                      .proxy_connect_header_count = 1};
        assert_false(http_config_equal(&c, &d));
    }
    const struct http_header copy = header;
    const struct http_config same = {.headers = &copy, .header_count = 1};
    assert_true(http_config_equal(&a, &same));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_setting_counts),
        cmocka_unit_test(headers_are_compared_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

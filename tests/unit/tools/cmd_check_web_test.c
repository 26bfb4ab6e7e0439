/* check web-config: verdicts and texts are promtool's for the same files. */
#include "cmd_check_web.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/check_err.h"
#include "tests/unit/tools/tool_run.h"

#define CERT "-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n"
#define KEY "-----BEGIN EC PRIVATE KEY-----\\nAAAA\\n-----END EC PRIVATE KEY-----\\n"
#define TLS(text) "tls_server_config: " text "\n"
#define PAIR "cert: \"" CERT "\", key: \"" KEY "\""
#define HASH_TAIL "abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc"

struct web_case {
    const char *text, *error; /* NULL: it is right */
};

static void expect_all(const struct web_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct err err;
        const enum err_code code =
            check_web_text(vfs_system(), STR(""), str_of(cases[i].text), &err);
        if (cases[i].error == NULL) {
            assert_ok(code, &err);
            continue;
        }
        assert_int_not_equal(code, ERR_OK);
        assert_string_equal(err.text, cases[i].error);
    }
}

static void yaml_is_strict(void **state) {
    (void)state;
    static const struct web_case cases[] = {
        {"", NULL},
        {"basic_auth_users:\n", NULL},
        {"tls_server_config: {}\nhttp_server_config: {http2: false}\n", NULL},
        {"rate_limit: {burst: 2, interval: 1s}\n", NULL},
        {"rate_limit: {interval: 1000}\n", NULL},
        {"rate_limit: {interval: soon}\n",
         "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `soon` into time.Duration"},
        {"foo: 1\n", "yaml: unmarshal errors:\n  line 1: field foo not found in type web.Config"},
        {TLS("{nope: x}"),
         "yaml: unmarshal errors:\n  line 1: field nope not found in type web.TLSConfig"},
        {"a", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `a` into web.Config"},
        {"{", "yaml: line 1: did not find expected node content"},
        {"basic_auth_users: [a]\n",
         "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into map[string]config.Secret"},
        {"basic_auth_users:\n  a: 1\n  a: 2\n",
         "yaml: unmarshal errors:\n  line 3: key \"a\" already set in map"},
        {TLS("{cipher_suites: TLS_AES_128_GCM_SHA256}"),
         "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `TLS_AES...` into "
         "[]web.Cipher"},
        {TLS("{cipher_suites: [[a]]}"),
         "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into string"},
    };
    expect_all(cases, COUNT_OF(cases));
}

static void a_users_hash_must_be_one_of_bcrypt(void **state) {
    (void)state;
#define USER(hash) "basic_auth_users: {a: '" hash "'}\n"
    static const struct web_case cases[] = {
        {USER("$2y$10$" HASH_TAIL), NULL},
        {USER("$2$04$" HASH_TAIL), NULL},
        {USER(""), "crypto/bcrypt: hashedSecret too short to be a bcrypted password"},
        {USER("$2y$10$abc"), "crypto/bcrypt: hashedSecret too short to be a bcrypted password"},
        {USER("xa$10$" HASH_TAIL), "crypto/bcrypt: bcrypt hashes must start with '$', but "
                                   "hashedSecret started with 'x'"},
        {USER("$3y$10$" HASH_TAIL), "crypto/bcrypt: bcrypt algorithm version '3' requested is "
                                    "newer than current version '2'"},
        {USER("$2y$1x$" HASH_TAIL), "strconv.Atoi: parsing \"1x\": invalid syntax"},
        {USER("$2y$-1$" HASH_TAIL), "crypto/bcrypt: cost -1 is outside allowed range (4,31)"},
        {USER("$2y$32$" HASH_TAIL), "crypto/bcrypt: cost 32 is outside allowed range (4,31)"},
        /* what YAML finds comes first */
        {USER("x") "foo: 1\n",
         "yaml: unmarshal errors:\n  line 2: field foo not found in type web.Config"},
    };
#undef USER
    expect_all(cases, COUNT_OF(cases));
}

static void headers_are_of_a_list(void **state) {
    (void)state;
#define HEADER(text) "http_server_config: {headers: {" text "}}\n"
    static const struct web_case cases[] = {
        {HEADER("Strict-Transport-Security: '', Content-Security-Policy: x"), NULL},
        {HEADER("X-Frame-Options: deny, X-Content-Type-Options: nosniff"), NULL},
        {HEADER("X-Foo: a"), "HTTP header \"X-Foo\" can not be configured"},
        {HEADER("X-Frame-Options: ''"), "invalid value for X-Frame-Options. Expected one of: "
                                        "[\"deny\" \"sameorigin\"], but got: \"\""},
        {HEADER("X-Content-Type-Options: bad"),
         "invalid value for X-Content-Type-Options. Expected "
         "one of: [\"nosniff\"], but got: \"bad\""},
        {HEADER("X-Frame-Options: [x]"),
         "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into string"},
    };
#undef HEADER
    expect_all(cases, COUNT_OF(cases));
}

static void certificate_and_key_must_be_there(void **state) {
    (void)state;
#define LOAD "failed to load X509KeyPair: tls: "
    static const struct web_case cases[] = {
        {TLS("{" PAIR "}"), NULL},
        {TLS("{cert_file: c}"), "missing one of key or key_file"},
        {TLS("{key: k}"), "missing one of cert or cert_file"},
        {TLS("{client_auth_type: foo}"), "missing one of cert or cert_file"},
        {TLS("{cert_file: /nonexistent/c, key: k}"),
         "failed to read cert_file (/nonexistent/c): open /nonexistent/c: No such file or "
         "directory"},
        {TLS("{cert: c, key_file: /nonexistent/k}"),
         "failed to read key_file (/nonexistent/k): open /nonexistent/k: No such file or "
         "directory"},
        {TLS("{cert: c, key: k}"), LOAD "failed to find any PEM data in certificate input"},
        {TLS("{cert: \"" CERT "\", key: k}"), LOAD "failed to find any PEM data in key input"},
        {TLS("{cert: \"" KEY "\", key: \"" CERT "\"}"),
         LOAD "failed to find certificate PEM data in certificate input, but did find a private "
              "key; PEM inputs may have been switched"},
        {TLS("{cert: \"" CERT "\", key: \"" CERT "\"}"),
         LOAD "found a certificate rather than a key in the PEM for the private key"},
        {TLS("{cert: \"" KEY KEY "\", key: k}"),
         LOAD "failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM "
              "blocks of the following types: [EC PRIVATE KEY EC PRIVATE KEY]"},
        {TLS("{cert: \"" CERT "\", key: \"" CERT CERT "\"}"),
         LOAD "failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after "
              "skipping PEM blocks of the following types: [CERTIFICATE CERTIFICATE]"},
        {TLS("{cert: '-----BEGIN CERTIFICATE-----', key: k}"),
         LOAD "failed to find any PEM data in certificate input"},
    };
#undef LOAD
    expect_all(cases, COUNT_OF(cases));
}

static void policies_for_clients_must_fit(void **state) {
    (void)state;
    static const struct web_case cases[] = {
        {TLS("{" PAIR ", client_auth_type: RequireClientCert, client_ca: x}"), NULL},
        {TLS("{" PAIR ", client_auth_type: foo}"), "invalid ClientAuth: foo"},
        {TLS("{" PAIR ", client_ca: x}"),
         "client CA's have been configured without a Client Auth Policy"},
        {TLS("{" PAIR ", client_auth_type: NoClientCert, client_ca: x}"),
         "client CA's have been configured without a Client Auth Policy"},
        {TLS("{" PAIR ", client_ca_file: /nonexistent/a}"),
         "open /nonexistent/a: No such file or directory"},
        {TLS("{" PAIR ", client_auth_type: RequireAnyClientCert, client_allowed_sans: [a]}"), NULL},
        {TLS("{" PAIR ", client_auth_type: RequestClientCert, client_allowed_sans: [a]}"),
         "client_allowed_sans requires client_auth_type to be one of RequireAnyClientCert or "
         "RequireAndVerifyClientCert"},
        {TLS("{min_version: TLS13, max_version: TLS10, curve_preferences: [X25519]}"), NULL},
        {TLS("{min_version: TLS19}"), "unknown TLS version: TLS19"},
        {TLS("{cipher_suites: [TLS_AES_128_GCM_SHA256, X]}"), "unknown cipher: X"},
        {TLS("{curve_preferences: [X9]}"), "unknown curve: X9"},
    };
    expect_all(cases, COUNT_OF(cases));
}

static void every_file_gets_its_line(void **state) {
    (void)state;
    char *good = tool_temp_file("");
    char *bad = tool_temp_file("foo: 1\n");
    char want[512];
    (void)snprintf(want, sizeof(want),
                   "%s FAILED: yaml: unmarshal errors:\n  line 1: field foo not found in type "
                   "web.Config\n%s SUCCESS\n",
                   bad, good);
    tool_expect(TOOL_ARGV("check", "web-config", bad, good), TOOL_FAILED, "", want);
    (void)snprintf(want, sizeof(want), "%s SUCCESS\n", good);
    tool_expect(TOOL_ARGV("check", "web-config", good), TOOL_OK, "", want);
    (void)unlink(good);
    (void)unlink(bad);
    free(good);
    free(bad);
    tool_expect(TOOL_ARGV("check", "web-config"), TOOL_FAILED, "",
                "brasa: error: required argument 'web-config-files' not provided, try --help\n");
}

static void files_are_beside_the_file_that_names_them(void **state) {
    (void)state;
    char folder[] = "/tmp/brasa_web_XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/c.pem", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(CERT KEY, f) >= 0);
    assert_int_equal(fclose(f), 0);
    const struct str text = STR(TLS("{cert_file: c.pem, key_file: ./c.pem}"));
    struct err err;
    assert_ok(check_web_text(vfs_system(), str_of(folder), text, &err), &err);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(check_web_text(vfs_system(), str_of(folder), text, &err), ERR_NOT_FOUND);
    assert_int_equal(rmdir(folder), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yaml_is_strict),
        cmocka_unit_test(a_users_hash_must_be_one_of_bcrypt),
        cmocka_unit_test(headers_are_of_a_list),
        cmocka_unit_test(certificate_and_key_must_be_there),
        cmocka_unit_test(policies_for_clients_must_fit),
        cmocka_unit_test(every_file_gets_its_line),
        cmocka_unit_test(files_are_beside_the_file_that_names_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

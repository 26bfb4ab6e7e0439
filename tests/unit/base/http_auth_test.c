/* http_client: passwords, credentials from files and OAuth2 tokens. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/support/check_err.h"
#include "tests/unit/base/http_world.h"

static void basic_auth_and_configured_headers_are_sent(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    const struct str value = STR("tenant-1");
    const struct http_header header = {.name = STR("X-Scope"), .values = &value, .value_count = 1};
    const struct http_config config = {.follow_redirects = true,
                                       .has_basic_auth = true,
                                       .username = STR("Aladdin"),
                                       .password = {STR("open sesame")},
                                       .headers = &header,
                                       .header_count = 1};
    http_world_open(w, &config);
    http_world_get(w, "/echo", &seen);
    assert_true(
        http_seen_body_has(&seen, "\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"));
    assert_true(http_seen_body_has(&seen, "\r\nX-Scope: tenant-1\r\n"));
    mem_free(seen.body);

    const struct str own = STR("Authorization: Own x");
    http_world_run(w,
                   (struct http_request){
                       .url = http_world_url(w, "/echo"), .headers = &own, .header_count = 1},
                   &seen);
    assert_true(http_seen_body_has(&seen, "\r\nAuthorization: Own x\r\n"));
    assert_false(http_seen_body_has(&seen, "Basic"));
    mem_free(seen.body);
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

/* A file of its own with this text; its name to path, which ends in XXXXXX. */
static void make_file(char *path, const char *text) {
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    write_file(path, text);
}

static void name_and_password_files_are_read_at_each_request(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    char name[] = P_tmpdir "/brasa-name-XXXXXX";
    char password[] = P_tmpdir "/brasa-password-XXXXXX";
    make_file(name, "u1\n");
    make_file(password, " p1 \n");
    const struct http_config config = {
        .has_basic_auth = true, .username_file = str_of(name), .password_file = str_of(password)};
    http_world_open(w, &config);
    http_world_get(w, "/echo", &seen);
    assert_true(http_seen_body_has(&seen, "\r\nAuthorization: Basic dTE6cDE=\r\n"));
    mem_free(seen.body);
    write_file(name, "u2");
    http_world_get(w, "/echo", &seen);
    assert_true(http_seen_body_has(&seen, "\r\nAuthorization: Basic dTI6cDE=\r\n"));
    mem_free(seen.body);
    assert_int_equal(unlink(password), 0);
    const struct http_request request = {.method = "GET", .url = http_world_url(w, "/echo")};
    struct transport_request *r = NULL;
    struct err err;
    assert_err(transport_start(w->t, w->client, &request, http_seen_keep, NULL, &r, &err),
               ERR_NOT_FOUND, password, &err);
    assert_int_equal(unlink(name), 0);
}

static void configured_headers_come_from_values_secrets_and_files(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    char path[] = P_tmpdir "/brasa-header-XXXXXX";
    make_file(path, "third\n");
    const struct str values[] = {STR("first")};
    const struct secret secrets[] = {{STR("second")}};
    const struct str files[] = {str_of(path)};
    const struct http_header header = {.name = STR("X-All"),
                                       .values = values,
                                       .value_count = 1,
                                       .secrets = secrets,
                                       .secret_count = 1,
                                       .files = files,
                                       .file_count = 1};
    const struct http_config config = {.headers = &header, .header_count = 1};
    http_world_open(w, &config);
    for (int i = 0; i < 3; i++) { /* over a kept connection, too */
        http_world_get(w, "/echo", &seen);
        assert_true(http_seen_body_has(&seen, "\r\nX-All: first\r\n"));
        assert_true(http_seen_body_has(&seen, "\r\nX-All: second\r\n"));
        assert_true(
            http_seen_body_has(&seen, i < 2 ? "\r\nX-All: third\r\n" : "\r\nX-All: changed\r\n"));
        mem_free(seen.body);
        write_file(path, i < 1 ? "third" : "changed");
    }
    assert_int_equal(unlink(path), 0);
}

static void secret_files_are_read_at_each_request(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    char path[] = P_tmpdir "/brasa-secret-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    const struct http_config config = {.has_authorization = true,
                                       .authorization_type = STR("Bearer"),
                                       .credentials_file = str_of(path)};
    http_world_open(w, &config);
    write_file(path, "  first\n");
    http_world_get(w, "/echo", &seen);
    assert_true(http_seen_body_has(&seen, "\r\nAuthorization: Bearer first\r\n"));
    mem_free(seen.body);
    write_file(path, "second\n");
    http_world_get(w, "/echo", &seen);
    assert_true(http_seen_body_has(&seen, "\r\nAuthorization: Bearer second\r\n"));
    mem_free(seen.body);

    const struct http_request request = {.method = "GET", .url = http_world_url(w, "/echo")};
    struct transport_request *r = NULL;
    struct err err;
    write_file(path, "a\nX-Injected: b");
    assert_err(transport_start(w->t, w->client, &request, http_seen_keep, NULL, &r, &err),
               ERR_INVALID, "invalid header field value for \"Authorization\"", &err);
    assert_int_equal(unlink(path), 0);
    assert_err(transport_start(w->t, w->client, &request, http_seen_keep, NULL, &r, &err),
               ERR_NOT_FOUND, "unable to read authorization credentials: unable to read file",
               &err);
}

static void token_config(struct http_world *w, const char *path, struct http_config *out) {
    static char url[320];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", w->peer.port, path);
    *out = http_plain_config;
    out->oauth2 = (struct oauth2_config){.set = true,
                                         .client_id = STR("me"),
                                         .client_secret = {STR("s/1")},
                                         .token_url = str_of(url)};
}

static void one_token_serves_all_requests(void **state) {
    struct http_world *w = *state;
    struct http_config config;
    struct http_seen seen[8];
    memset(seen, 0, sizeof(seen));
    token_config(w, "/token", &config);
    http_world_open(w, &config);
    const struct http_request request = {
        .method = "GET", .url = http_world_url(w, "/echo"), .timeout_ms = 10000};
    for (size_t i = 0; i < COUNT_OF(seen); i++) {
        struct transport_request *r = NULL;
        struct err err;
        assert_ok(transport_start(w->t, w->client, &request, http_seen_keep, &seen[i], &r, &err),
                  &err);
    }
    for (size_t i = 0; i < COUNT_OF(seen); i++) {
        http_world_wait(w, &seen[i]);
        assert_true(http_seen_body_has(&seen[i], "\r\nAuthorization: Bearer t1\r\n"));
        mem_free(seen[i].body);
    }
    for (int i = 0; i < 3; i++) { /* over kept connections too */
        http_world_get(w, "/echo", &seen[0]);
        assert_true(http_seen_body_has(&seen[0], "\r\nAuthorization: Bearer t1\r\n"));
        mem_free(seen[0].body);
    }
    assert_int_equal(atomic_load(&w->peer.token_count), 1);
}

static void a_token_is_asked_for_in_the_way_that_its_server_wants(void **state) {
    struct http_world *w = *state;
    struct http_config config;
    struct http_seen seen;
    token_config(w, "/token-form", &config);
    http_world_open(w, &config);
    http_world_get(w, "/echo", &seen);
    assert_true(http_seen_body_has(&seen, "\r\nAuthorization: Bearer form\r\n"));
    mem_free(seen.body);
    assert_int_equal(atomic_load(&w->peer.token_count), 2); /* header, then form */
    http_world_get(w, "/echo", &seen); /* ten seconds before its end a token is expired */
    mem_free(seen.body);
    assert_int_equal(atomic_load(&w->peer.token_count), 3); /* the form at once */
}

static void a_token_never_goes_to_another_host(void **state) {
    struct http_world *w = *state;
    struct http_config config;
    struct http_seen seen;
    char path[400];
    token_config(w, "/token", &config);
    http_world_open(w, &config);
    (void)snprintf(path, sizeof(path), "/to/http://localhost:%u/echo", w->peer.port);
    http_world_get(w, path, &seen);
    assert_int_equal(seen.status, 200);
    assert_false(http_seen_body_has(&seen, "Authorization"));
    mem_free(seen.body);
}

static void a_refused_token_is_the_error_of_the_request(void **state) {
    struct http_world *w = *state;
    struct http_config config;
    struct http_seen seen;
    char want[512];
    token_config(w, "/token", &config);
    config.oauth2.client_secret.reveal = STR("wrong");
    http_world_open(w, &config);
    http_world_get(w, "/ok", &seen);
    (void)snprintf(want, sizeof(want), "Get \"http://127.0.0.1:%u/ok\": oauth2: \"invalid_client\"",
                   w->peer.port);
    http_seen_assert_err(&seen, ERR_NETWORK, want);
    mem_free(seen.body);
    assert_int_equal(atomic_load(&w->peer.token_count), 2);
    http_world_get(w, "/ok", &seen); /* every request tries again */
    http_seen_assert_err(&seen, ERR_NETWORK, want);
    mem_free(seen.body);
}

static void a_token_server_that_is_not_there_is_named(void **state) {
    struct http_world *w = *state;
    struct http_config config = http_plain_config;
    struct http_seen seen;
    char want[512];
    config.oauth2 = (struct oauth2_config){
        .set = true, .client_id = STR("me"), .token_url = STR("http://127.0.0.1:1/token")};
    http_world_open(w, &config);
    http_world_get(w, "/ok", &seen);
    (void)snprintf(want, sizeof(want),
                   "Get \"http://127.0.0.1:%u/ok\": Post \"http://127.0.0.1:1/token\": dial tcp "
                   "127.0.0.1:1: connect: connection refused",
                   w->peer.port);
    http_seen_assert_err(&seen, ERR_NETWORK, want);
    mem_free(seen.body);
}

static void a_request_waits_for_its_token_within_its_own_timeout(void **state) {
    struct http_world *w = *state;
    struct http_config config;
    struct http_seen seen;
    struct http_seen cancelled = {0};
    struct transport_request *r = NULL;
    struct err err;
    char want[512];
    token_config(w, "/hang", &config);
    http_world_open(w, &config);
    const struct http_request request = {
        .method = "GET", .url = http_world_url(w, "/ok"), .timeout_ms = 10000};
    assert_ok(transport_start(w->t, w->client, &request, http_seen_keep, &cancelled, &r, &err),
              &err);
    http_world_run(w, (struct http_request){.url = http_world_url(w, "/ok"), .timeout_ms = 100},
                   &seen);
    (void)snprintf(want, sizeof(want), "Get \"http://127.0.0.1:%u/ok\": context deadline exceeded",
                   w->peer.port);
    http_seen_assert_err(&seen, ERR_TIMEOUT, want);
    mem_free(seen.body);
    transport_cancel(w->t, r);
    transport_poll(w->t, 0);
    assert_int_equal(cancelled.calls, 0);
}

static void a_rotated_client_secret_gets_another_token(void **state) {
    struct http_world *w = *state;
    struct http_config config;
    struct http_seen seen;
    char path[] = "/tmp/brasa-client-secret-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, " s/1\n", 5), 5);
    token_config(w, "/token", &config);
    config.oauth2.client_secret.reveal = STR("");
    config.oauth2.client_secret_file = str_of(path);
    http_world_open(w, &config);
    http_world_get(w, "/ok", &seen);
    assert_string_equal(seen.body, "up 1\n");
    mem_free(seen.body);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, "old", 3, 0), 3);
    http_world_get(w, "/ok", &seen);
    assert_int_equal(seen.code, ERR_NETWORK);
    assert_non_null(strstr(seen.err.text, "oauth2: \"invalid_client\""));
    mem_free(seen.body);
    assert_int_equal(unlink(path), 0);
    (void)close(fd);
    const struct http_request request = {.method = "GET", .url = http_world_url(w, "/ok")};
    struct transport_request *r = NULL;
    struct err err;
    assert_err(transport_start(w->t, w->client, &request, http_seen_keep, NULL, &r, &err),
               ERR_NOT_FOUND, "unable to read oauth2 client secret: unable to read file", &err);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, http_world_setup, http_world_teardown)
        CASE(basic_auth_and_configured_headers_are_sent),
        CASE(name_and_password_files_are_read_at_each_request),
        CASE(configured_headers_come_from_values_secrets_and_files),
        CASE(secret_files_are_read_at_each_request),
        CASE(one_token_serves_all_requests),
        CASE(a_token_is_asked_for_in_the_way_that_its_server_wants),
        CASE(a_token_never_goes_to_another_host),
        CASE(a_refused_token_is_the_error_of_the_request),
        CASE(a_token_server_that_is_not_there_is_named),
        CASE(a_request_waits_for_its_token_within_its_own_timeout),
        CASE(a_rotated_client_secret_gets_another_token),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

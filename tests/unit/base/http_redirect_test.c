/* http_client: redirects are followed as Go does, and credentials do not travel to other hosts. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tests/support/check_err.h"
#include "tests/unit/base/http_world.h"

static void a_redirect_keeps_credentials_on_its_host(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    const struct http_config config = {
        .follow_redirects = true, .has_authorization = true, .credentials = {STR("s3cret")}};
    http_world_open(w, &config);
    http_world_get(w, "/to//echo", &seen);
    assert_int_equal(seen.status, 200);
    assert_true(http_seen_body_has(&seen, "GET /echo HTTP/1.1\r\n"));
    assert_true(http_seen_body_has(&seen, "s3cret"));
    mem_free(seen.body);
}

static void a_redirect_to_another_host_loses_credentials_for_good(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    const struct str value = STR("tenant-1");
    const struct http_header header = {.name = STR("X-Scope"), .values = &value, .value_count = 1};
    const struct http_config config = {.follow_redirects = true,
                                       .has_authorization = true,
                                       .credentials = {STR("s3cret")},
                                       .headers = &header,
                                       .header_count = 1};
    http_world_open(w, &config);
    char path[256];
    const struct str own[] = {STR("Cookie: c=1"), STR("Accept: a/b")};
    for (int back = 0; back <= 1; back++) { /* there, and there and back again */
        struct buf route;
        buf_init(&route, sizeof(path) - 1);
        buf_printf(&route, "/to/http://localhost:%u", w->peer.port);
        if (back != 0) {
            buf_printf(&route, "/to/http://127.0.0.1:%u", w->peer.port);
        }
        buf_append_cstr(&route, "/echo");
        http_copy_text(path, sizeof(path), buf_str(&route));
        buf_release(&route);
        http_world_run(w,
                       (struct http_request){
                           .url = http_world_url(w, path), .headers = own, .header_count = 2},
                       &seen);
        assert_int_equal(seen.status, 200);
        assert_false(http_seen_body_has(&seen, "s3cret"));
        assert_false(http_seen_body_has(&seen, "tenant-1"));
        assert_false(http_seen_body_has(&seen, "Cookie"));
        assert_true(http_seen_body_has(&seen, "\r\nAccept: a/b\r\n"));
        mem_free(seen.body);
    }
}

static void a_redirect_to_a_file_is_refused(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    http_world_open(w, &http_plain_config);
    http_world_get(w, "/to/file:///etc/passwd", &seen);
    http_seen_assert_err(&seen, ERR_NETWORK,
                         "Get \"file:///etc/passwd\": unsupported protocol scheme \"file\"");
    mem_free(seen.body);
}

static void a_redirect_loop_ends(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    char want[512];
    http_world_open(w, &http_plain_config);
    http_world_get(w, "/loop", &seen);
    (void)snprintf(want, sizeof(want), "Get \"%s\": stopped after 10 redirects", w->url);
    http_seen_assert_err(&seen, ERR_NETWORK, want);
    mem_free(seen.body);
}

static void redirects_are_left_to_the_caller_when_switched_off(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    const struct http_config config = {.follow_redirects = false};
    http_world_open(w, &config);
    http_world_get(w, "/to//ok", &seen);
    assert_int_equal(seen.code, ERR_OK);
    assert_int_equal(seen.status, 302);
    mem_free(seen.body);
}

static void a_post_becomes_a_get_at_302_but_not_at_307(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    http_world_open(w, &http_plain_config);
    http_world_run(w,
                   (struct http_request){.method = "POST",
                                         .url = http_world_url(w, "/to//echo"),
                                         .body = STR("payload")},
                   &seen);
    assert_true(http_seen_body_has(&seen, "GET /echo"));
    assert_false(http_seen_body_has(&seen, "payload"));
    mem_free(seen.body);
    http_world_run(w,
                   (struct http_request){.method = "POST",
                                         .url = http_world_url(w, "/keep//echo"),
                                         .body = STR("payload")},
                   &seen);
    assert_true(http_seen_body_has(&seen, "POST /echo"));
    assert_true(http_seen_body_has(&seen, "payload"));
    mem_free(seen.body);
}

static void a_link_local_address_is_refused_when_it_is_denied(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    http_world_open(w, &http_plain_config);
    http_world_run(
        w,
        (struct http_request){.url = STR("http://169.254.169.254/latest"), .deny_link_local = true},
        &seen);
    http_seen_assert_err(&seen, ERR_NETWORK,
                         "Get \"http://169.254.169.254/latest\": dial tcp 169.254.169.254:80: "
                         "link-local addresses are refused (--scrape.deny-link-local)");
    mem_free(seen.body);
    http_world_run(
        w,
        (struct http_request){.url = http_world_url(w, "/to/http://[::ffff:169.254.169.254]:81/"),
                              .deny_link_local = true},
        &seen);
    assert_int_equal(seen.code, ERR_NETWORK);
    assert_non_null(strstr(seen.err.text, "link-local addresses are refused"));
    mem_free(seen.body);
    http_world_run(
        w, (struct http_request){.url = http_world_url(w, "/ok"), .deny_link_local = true}, &seen);
    assert_string_equal(seen.body, "up 1\n");
    mem_free(seen.body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, http_world_setup, http_world_teardown)
        CASE(a_redirect_keeps_credentials_on_its_host),
        CASE(a_redirect_to_another_host_loses_credentials_for_good),
        CASE(a_redirect_to_a_file_is_refused),
        CASE(a_redirect_loop_ends),
        CASE(redirects_are_left_to_the_caller_when_switched_off),
        CASE(a_post_becomes_a_get_at_302_but_not_at_307),
        CASE(a_link_local_address_is_refused_when_it_is_denied),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

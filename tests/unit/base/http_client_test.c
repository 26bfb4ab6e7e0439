/* http_client: what a request carries and what is made of its answer, over connections that libcurl
 * made and over those that are kept beside it. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/support/check_err.h"
#include "tests/unit/base/http_world.h"

static void an_answer_arrives_whole_with_its_head(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    http_world_open(w, &http_plain_config);
    http_world_get(w, "/ok", &seen);
    assert_int_equal(seen.code, ERR_OK);
    assert_int_equal(seen.status, 200);
    assert_string_equal(seen.reason, "OK");
    assert_string_equal(seen.type, "text/plain; version=0.0.4");
    assert_string_equal(seen.encoding, "");
    assert_string_equal(seen.body, "up 1\n");
    mem_free(seen.body);
}

static void any_status_is_an_answer(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    http_world_open(w, &http_plain_config);
    http_world_get(w, "/busy", &seen);
    assert_int_equal(seen.code, ERR_OK);
    assert_int_equal(seen.status, 503);
    assert_string_equal(seen.reason, "Service Unavailable");
    assert_string_equal(seen.retry_after, "7");
    assert_string_equal(seen.body, "busy");
    mem_free(seen.body);
}

static void bodies_are_not_decoded(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    http_world_open(w, &http_plain_config);
    http_world_get(w, "/gzip", &seen);
    assert_string_equal(seen.encoding, "gzip");
    assert_string_equal(seen.api_version, "1.41");
    assert_str(((struct str){seen.body, seen.body_len}), "\x1f\x8bnot really");
    mem_free(seen.body);
}

static void chunks_are_joined_and_trailers_ignored(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    http_world_open(w, &http_plain_config);
    http_world_get(w, "/chunked", &seen);
    assert_int_equal(seen.code, ERR_OK);
    assert_string_equal(seen.body, "abcdefg");
    assert_string_equal(seen.retry_after, "");
    mem_free(seen.body);
}

static void connections_are_kept_and_used_again(void **state) {
    struct http_world *w = *state;
    http_world_open(w, &http_plain_config);
    for (int i = 0; i < 20; i++) {
        struct http_seen seen;
        http_world_get(w, i % 2 == 0 ? "/ok" : "/busy", &seen);
        assert_int_equal(seen.code, ERR_OK);
        mem_free(seen.body);
    }
    assert_int_equal(atomic_load(&w->peer.connection_count), 1);
}

/* On a kept connection too: one request each, and no second connection. */
static void interim_responses_cost_no_second_request(void **state) {
    struct http_world *w = *state;
    http_world_open(w, &http_plain_config);
    for (int i = 0; i < 10; i++) {
        struct http_seen seen;
        http_world_get(w, "/continue", &seen);
        assert_int_equal(seen.code, ERR_OK);
        assert_string_equal(seen.body, "at last");
        mem_free(seen.body);
    }
    assert_int_equal(atomic_load(&w->peer.connection_count), 1);
    assert_int_equal(atomic_load(&w->peer.request_count), 10);
}

/* A traced request goes through libcurl, the first other one of a client on a connection that is made
 * for it, later ones on the same: nobody can tell. */
static void a_kept_connection_gives_the_same_answers(void **state) {
    struct http_world *w = *state;
    static const struct {
        const char *path;
        int64_t timeout_ms;
        size_t max_body_bytes;
    } cases[] = {
        {"/ok", 0, 0},       {"/ok", 0, 5},       {"/ok", 0, 4},           {"/busy", 0, 0},
        {"/none", 0, 0},     {"/chunked", 0, 0},  {"/chunked", 0, 7},      {"/chunked", 0, 6},
        {"/gzip", 0, 0},     {"/to//ok", 0, 0},   {"/to//to//echo", 0, 0}, {"/loop", 0, 0},
        {"/echo", 0, 0},     {"/garbage", 0, 0},  {"/silent", 0, 0},       {"/cut", 0, 0},
        {"/half", 150, 0},   {"/hang", 150, 0},   {"/huge", 0, 2},         {"/head-flood", 0, 0},
        {"/flood", 0, 1000}, {"/continue", 0, 0}, {"/old", 0, 0},          {"/until-close", 0, 0},
        {"/last", 0, 0},     {"/excess", 0, 0},   {"/empty", 0, 0},        {"/unchanged", 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char url[320];
        http_copy_text(url, sizeof(url), http_world_url(w, cases[i].path));
        struct http_request request = {.url = str_of(url),
                                       .timeout_ms = cases[i].timeout_ms,
                                       .max_body_bytes = cases[i].max_body_bytes,
                                       .trace = true};
        struct http_seen first;
        struct http_seen seen;
        http_world_open(w, &http_plain_config);
        http_world_run(w, request, &first);
        request.trace = false;
        for (int k = 0; k < 4; k++) { /* a surprise leaves no connection, its memory a mark */
            if (k > 0) {
                http_world_get(w, "/ok", &seen);
                assert_string_equal(seen.body, "up 1\n");
                mem_free(seen.body);
            }
            http_world_run(w, request, &seen);
            assert_int_equal(seen.code, first.code);
            assert_int_equal(seen.status, first.status);
            assert_int_equal(seen.too_large, first.too_large);
            assert_string_equal(seen.reason, first.reason);
            assert_string_equal(seen.type, first.type);
            assert_string_equal(seen.encoding, first.encoding);
            assert_string_equal(seen.retry_after, first.retry_after);
            if (first.code != ERR_OK) {
                assert_string_equal(seen.err.text, first.err.text);
            } else {
                assert_true(str_eq((struct str){seen.body, seen.body_len},
                                   (struct str){first.body, first.body_len}));
            }
            mem_free(seen.body);
        }
        mem_free(first.body);
        transport_client_free(w->t, w->client);
        w->client = NULL;
    }
}

/* As exporters with Python's server do. */
static void a_peer_that_closes_after_each_answer_is_asked_once(void **state) {
    struct http_world *w = *state;
    static const char *const paths[] = {"/old", "/until-close", "/last"};
    http_world_open(w, &http_plain_config);
    for (int i = 0; i < 9; i++) {
        struct http_seen seen;
        http_world_get(w, paths[i % 3], &seen);
        assert_int_equal(seen.code, ERR_OK);
        assert_int_equal(seen.status, 200);
        mem_free(seen.body);
    }
    assert_int_equal(atomic_load(&w->peer.request_count), 9);
}

static void a_connection_that_the_server_closed_is_made_anew(void **state) {
    struct http_world *w = *state;
    http_world_open(w, &http_plain_config);
    for (int i = 0; i < 6; i++) {
        struct http_seen seen;
        http_world_get(w, i % 2 == 0 ? "/last" : "/ok", &seen);
        assert_int_equal(seen.code, ERR_OK);
        mem_free(seen.body);
        transport_poll(w->t, i < 3 ? 20 * NS_PER_MS : 0); /* seen while idle, or only when used */
    }
    assert_int_equal(atomic_load(&w->peer.connection_count), 4);
}

static void clients_do_not_share_connections(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    http_world_open(w, &http_plain_config);
    http_world_get(w, "/ok", &seen);
    mem_free(seen.body);
    struct transport_client *first = w->client;
    http_world_open(w, &http_plain_config);
    http_world_get(w, "/ok", &seen);
    mem_free(seen.body);
    transport_client_free(w->t, first);
    assert_int_equal(atomic_load(&w->peer.connection_count), 2);
}

static void concurrent_requests_each_get_their_answer(void **state) {
    struct http_world *w = *state;
    struct http_seen seen[8];
    memset(seen, 0, sizeof(seen));
    http_world_open(w, &http_plain_config);
    for (size_t i = 0; i < COUNT_OF(seen); i++) {
        const struct http_request request = {.method = "GET",
                                             .url =
                                                 http_world_url(w, i % 2 == 0 ? "/ok" : "/chunked"),
                                             .timeout_ms = 10000};
        struct transport_request *r = NULL;
        struct err err;
        assert_ok(transport_start(w->t, w->client, &request, http_seen_keep, &seen[i], &r, &err),
                  &err);
    }
    for (size_t i = 0; i < COUNT_OF(seen); i++) {
        http_world_wait(w, &seen[i]);
        assert_string_equal(seen[i].body, i % 2 == 0 ? "up 1\n" : "abcdefg");
        mem_free(seen[i].body);
    }
}

static void headers_and_user_agent_are_sent(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    http_world_open(w, &http_plain_config);
    const struct str headers[] = {STR("Accept: text/plain"), STR("X-Empty: ")};
    http_world_run(w,
                   (struct http_request){
                       .url = http_world_url(w, "/echo"), .headers = headers, .header_count = 2},
                   &seen);
    assert_true(http_seen_body_has(&seen, "\r\nAccept: text/plain\r\n"));
    assert_true(http_seen_body_has(&seen, "\r\nX-Empty:\r\n"));
    assert_true(http_seen_body_has(&seen, "\r\nUser-Agent: Brasa-test/1\r\n"));
    assert_false(http_seen_body_has(&seen, "Accept-Encoding"));
    mem_free(seen.body);
}

static void a_header_that_ends_its_line_is_refused(void **state) {
    struct http_world *w = *state;
    http_world_open(w, &http_plain_config);
    const struct str header = STR("X-A: b\r\nX-Injected: c");
    const struct http_request request = {
        .method = "GET", .url = http_world_url(w, "/echo"), .headers = &header, .header_count = 1};
    struct transport_request *r = NULL;
    struct err err;
    assert_err(transport_start(w->t, w->client, &request, http_seen_keep, NULL, &r, &err),
               ERR_INVALID, "invalid header", &err);
}

static void a_post_carries_its_body(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    http_world_open(w, &http_plain_config);
    const struct str header = STR("Content-Type: application/json");
    http_world_run(w,
                   (struct http_request){.method = "POST",
                                         .url = http_world_url(w, "/echo"),
                                         .headers = &header,
                                         .header_count = 1,
                                         .body = STR("[1,2]")},
                   &seen);
    assert_true(http_seen_body_has(&seen, "POST /echo HTTP/1.1\r\n"));
    assert_true(http_seen_body_has(&seen, "\r\nContent-Type: application/json\r\n"));
    assert_true(http_seen_body_has(&seen, "\r\n\r\n[1,2]"));
    assert_false(http_seen_body_has(&seen, "Expect:"));
    mem_free(seen.body);
}

static void a_unix_socket_is_reached_by_its_path(void **state) {
    struct http_world *w = *state;
    struct http_peer server;
    struct http_seen seen;
    char path[64];
    (void)snprintf(path, sizeof(path), P_tmpdir "/brasa-test-%d.sock", (int)getpid());
    (void)unlink(path);
    http_world_open(w, &http_plain_config);
    http_world_run(
        w, (struct http_request){.url = STR("http://docker/ok"), .unix_socket = str_of(path)},
        &seen);
    char want[512];
    (void)snprintf(want, sizeof(want),
                   "Get \"http://docker/ok\": dial unix %s: connect: no such file or directory",
                   path);
    http_seen_assert_err(&seen, ERR_NETWORK, want);
    mem_free(seen.body);

    http_peer_start(&server, path);
    http_world_run(
        w, (struct http_request){.url = STR("http://docker/ok"), .unix_socket = str_of(path)},
        &seen);
    assert_string_equal(seen.body, "up 1\n");
    mem_free(seen.body);
    http_peer_stop(&server);
    assert_int_equal(unlink(path), 0);
}

static void bad_urls_are_refused_at_once(void **state) {
    struct http_world *w = *state;
    static const char *const urls[] = {"ftp://127.0.0.1/", "file:///etc/passwd", "http://",
                                       "http://a b/", ""};
    http_world_open(w, &http_plain_config);
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        const struct http_request request = {.method = "GET", .url = str_of(urls[i])};
        struct transport_request *r = NULL;
        struct err err;
        assert_err(transport_start(w->t, w->client, &request, http_seen_keep, NULL, &r, &err),
                   ERR_INVALID, "Get \"", &err);
    }
}

static void settings_that_cannot_work_are_found_at_construction(void **state) {
    struct http_world *w = *state;
    struct err err;
    const struct http_config versions = {.has_tls = true,
                                         .tls = {.min_version = TLS13, .max_version = TLS12}};
    assert_err(transport_client_new(w->t, &versions, NULL, &w->client, &err), ERR_INVALID,
               "tls_config.max_version must be greater than or equal to", &err);
    const struct http_config ca = {.has_tls = true, .tls = {.ca_file = STR("/no/such/ca.pem")}};
    assert_err(transport_client_new(w->t, &ca, NULL, &w->client, &err), ERR_INVALID,
               "/no/such/ca.pem", &err);
    const struct http_config oauth2 = {
        .oauth2 = {.set = true, .tls = {.ca_file = STR("/no/such/token-ca.pem")}}};
    assert_err(transport_client_new(w->t, &oauth2, NULL, &w->client, &err), ERR_INVALID,
               "oauth2: unable to read CA cert: unable to read file /no/such/token-ca.pem", &err);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, http_world_setup, http_world_teardown)
        CASE(an_answer_arrives_whole_with_its_head),
        CASE(any_status_is_an_answer),
        CASE(bodies_are_not_decoded),
        CASE(chunks_are_joined_and_trailers_ignored),
        CASE(connections_are_kept_and_used_again),
        CASE(interim_responses_cost_no_second_request),
        CASE(a_kept_connection_gives_the_same_answers),
        CASE(a_peer_that_closes_after_each_answer_is_asked_once),
        CASE(a_connection_that_the_server_closed_is_made_anew),
        CASE(clients_do_not_share_connections),
        CASE(concurrent_requests_each_get_their_answer),
        CASE(headers_and_user_agent_are_sent),
        CASE(a_header_that_ends_its_line_is_refused),
        CASE(a_post_carries_its_body),
        CASE(a_unix_socket_is_reached_by_its_path),
        CASE(bad_urls_are_refused_at_once),
        CASE(settings_that_cannot_work_are_found_at_construction),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

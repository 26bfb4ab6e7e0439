/* curl_library: what runs without libcurl, what brings it in, and what is said when it is not there. The
 * tests build on each other: a process that has loaded it keeps it. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/curl_library.h"
#include "base/mem.h"
#include "tests/support/check_err.h"
#include "tests/unit/base/http_world.h"

static void a_library_that_is_not_there_is_named(void **state) {
    (void)state;
    static const char *const absent[] = {"libcurl-absent.so.4", "libcurl-absent.so.3", NULL};
    static const char *const other[] = {"libm.so.6", NULL};
    struct err err;
    assert_err(curl_library_load(absent, &err), ERR_UNSUPPORTED,
               "loading libcurl: libcurl-absent.so.4: cannot open shared object file", &err);
    assert_err(curl_library_load(other, &err), ERR_UNSUPPORTED,
               "loading libcurl: libm.so.6 has no curl_", &err);
    assert_false(curl_library_is_loaded());
}

static void plain_requests_to_addresses_do_without(void **state) {
    struct http_world *w = *state;
    static const char *const paths[] = {"/ok",     "/busy",     "/chunked", "/none",
                                        "/silent", "/continue", "/cut",     "/last"};
    http_world_open(w, &http_plain_config);
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct http_seen seen;
        http_world_get(w, paths[i], &seen);
        assert_int_equal(seen.calls, 1);
        mem_free(seen.body);
        if (curl_library_is_loaded()) {
            fail_msg("%s has loaded libcurl", paths[i]);
        }
    }
    struct http_seen seen;
    http_world_run(w, (struct http_request){.url = http_world_url(w, "/hang"), .timeout_ms = 100},
                   &seen);
    assert_int_equal(seen.code, ERR_TIMEOUT);
    mem_free(seen.body);
    assert_false(curl_library_is_loaded());
}

static void a_refused_connection_does_without(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* bound, not listening */
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/metrics", ntohs(at.sin_port));
    http_world_open(w, &http_plain_config);
    http_world_run(w, (struct http_request){.url = str_of(url)}, &seen);
    assert_int_equal(seen.code, ERR_NETWORK);
    assert_int_equal(seen.calls, 1);
    assert_false(curl_library_is_loaded());
    mem_free(seen.body);
    (void)close(fd);
}

/* Headers for a proxy are read when the client is made, and kept until libcurl comes. */
static void a_client_alone_does_without(void **state) {
    struct http_world *w = *state;
    struct str value = STR("v");
    const struct http_header header = {.name = STR("X-P"), .values = &value, .value_count = 1};
    const struct http_config config = {.follow_redirects = true,
                                       .proxy_url = STR("http://127.0.0.1:9/"),
                                       .proxy_connect_headers = &header,
                                       .proxy_connect_header_count = 1};
    http_world_open(w, &config);
    assert_false(curl_library_is_loaded());
}

static void a_name_brings_it_in(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    http_world_open(w, &http_plain_config);
    http_world_run(w, (struct http_request){.url = http_world_url_at(w, "localhost", "/ok")},
                   &seen);
    assert_int_equal(seen.code, ERR_OK);
    assert_string_equal(seen.body, "up 1\n");
    mem_free(seen.body);
    assert_true(curl_library_is_loaded());
    struct err err;
    static const char *const absent[] = {"libcurl-absent.so.4", NULL};
    assert_ok(curl_library_load(absent, &err), &err); /* nothing is left to load */
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, http_world_setup, http_world_teardown)
        cmocka_unit_test(a_library_that_is_not_there_is_named),
        CASE(plain_requests_to_addresses_do_without),
        CASE(a_refused_connection_does_without),
        CASE(a_client_alone_does_without),
        CASE(a_name_brings_it_in),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

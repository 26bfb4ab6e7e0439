#include "tests/unit/base/http_world.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/support/check_err.h"

const struct http_config http_plain_config = {.follow_redirects = true, .enable_http2 = true};

void http_copy_text(char *to, size_t size, struct str s) {
    (void)snprintf(to, size, "%.*s", STR_ARG(s));
}

void http_seen_keep(void *ctx, struct http_response *response) {
    struct http_seen *seen = ctx;
    seen->calls++;
    seen->code = response->code;
    seen->err = response->err;
    seen->status = response->status;
    seen->too_large = response->body_too_large;
    http_copy_text(seen->reason, sizeof(seen->reason), response->reason);
    http_copy_text(seen->type, sizeof(seen->type), response->content_type);
    http_copy_text(seen->encoding, sizeof(seen->encoding), response->content_encoding);
    http_copy_text(seen->api_version, sizeof(seen->api_version), response->api_version);
    http_copy_text(seen->retry_after, sizeof(seen->retry_after), response->retry_after);
    mem_free(seen->body);
    seen->body = buf_take(response->body, &seen->body_len);
}

bool http_seen_body_has(const struct http_seen *seen, const char *text) {
    return str_find((struct str){seen->body, seen->body_len}, str_of(text)) >= 0;
}

void http_seen_assert_err(const struct http_seen *seen, enum err_code code, const char *want) {
    assert_int_equal(seen->code, code);
    assert_string_equal(seen->err.text, want);
}

int http_world_setup(void **state) {
    struct http_world *w = mem_zalloc(sizeof(*w));
    http_peer_start(&w->peer, NULL);
    w->t = transport_curl_new(STR("Brasa-test/1"));
    *state = w;
    return 0;
}

int http_world_teardown(void **state) {
    struct http_world *w = *state;
    transport_client_free(w->t, w->client);
    transport_free(w->t);
    http_peer_stop(&w->peer);
    mem_free(w);
    return 0;
}

void http_world_open(struct http_world *w, const struct http_config *config) {
    struct err err;
    assert_ok(transport_client_new(w->t, config, NULL, &w->client, &err), &err);
}

struct str http_world_url_at(struct http_world *w, const char *host, const char *path) {
    (void)snprintf(w->url, sizeof(w->url), "http://%s:%u%s", host, w->peer.port, path);
    return str_of(w->url);
}

struct str http_world_url(struct http_world *w, const char *path) {
    return http_world_url_at(w, "127.0.0.1", path);
}

void http_world_wait(struct http_world *w, const struct http_seen *seen) {
    for (int i = 0; i < 1000 && seen->calls == 0; i++) {
        transport_poll(w->t, NS_PER_S);
    }
    assert_int_equal(seen->calls, 1);
}

void http_world_run(struct http_world *w, struct http_request request, struct http_seen *seen) {
    struct transport_request *r = NULL;
    struct err err;
    memset(seen, 0, sizeof(*seen));
    if (request.method == NULL) {
        request.method = "GET";
    }
    if (request.timeout_ms == 0) {
        request.timeout_ms = 10000;
    }
    assert_ok(transport_start(w->t, w->client, &request, http_seen_keep, seen, &r, &err), &err);
    assert_int_equal(seen->calls, 0);
    http_world_wait(w, seen);
}

void http_world_get(struct http_world *w, const char *path, struct http_seen *seen) {
    http_world_run(w, (struct http_request){.url = http_world_url(w, path)}, seen);
}

/* A client, its transport and a peer (http_peer.h), for tests of the HTTP client. */
#ifndef TESTS_UNIT_BASE_HTTP_WORLD_H
#define TESTS_UNIT_BASE_HTTP_WORLD_H

#include "base/transport.h"
#include "tests/unit/base/http_peer.h"

struct http_world {
    struct http_peer peer;
    struct transport *t;
    struct transport_client *client; /* NULL until http_world_open */
    char url[320];
};

/* What a callback saw; body belongs to the test, which frees it. */
struct http_seen {
    int calls;
    enum err_code code;
    struct err err;
    int status;
    bool too_large;
    char reason[64], type[64], encoding[64], api_version[64], retry_after[64];
    char *body;
    size_t body_len;
};

/* Follows redirects; nothing else is set. */
extern const struct http_config http_plain_config;

/* For cmocka: *state is the world. */
int http_world_setup(void **state);
int http_world_teardown(void **state);

void http_world_open(struct http_world *w, const struct http_config *config);
/* A URL of the peer, until the next one is made; under a host name of choice. */
struct str http_world_url(struct http_world *w, const char *path);
struct str http_world_url_at(struct http_world *w, const char *host, const char *path);
/* Polls until the callback has run, once. */
void http_world_wait(struct http_world *w, const struct http_seen *seen);
/* A request from its start to its callback; method GET and 10 s where nothing is set. */
void http_world_run(struct http_world *w, struct http_request request, struct http_seen *seen);
void http_world_get(struct http_world *w, const char *path, struct http_seen *seen);

/* The http_done_fn that fills a struct http_seen. */
void http_seen_keep(void *ctx, struct http_response *response);
bool http_seen_body_has(const struct http_seen *seen, const char *text);
void http_seen_assert_err(const struct http_seen *seen, enum err_code code, const char *want);

/* NUL-terminated, cut to size. */
void http_copy_text(char *to, size_t size, struct str s);

#endif

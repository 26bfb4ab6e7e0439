/* HTTP client seam: asynchronous requests whose callbacks run on the thread that polls.
 *
 * One struct transport belongs to one thread (its loop), which calls transport_poll; only
 * transport_wake may come from others. The real one is libcurl's multi interface
 * (base/http_client.c); tests/support/fake_transport answers from a script on a fake clock.
 *
 * A client is a connection pool for one set of credentials and TLS settings (never shared
 * between sets). Security rules of reliability.md 2.1 and 2.3 are built in: http and https
 * only, at most 10 redirects, credentials and configured headers never to another host, no
 * netrc, no cookies, header bytes capped, bodies not decompressed by the library. */
#ifndef BASE_TRANSPORT_H
#define BASE_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/generation.h"
#include "base/http_config.h"
#include "base/str.h"

struct transport {
    const struct transport_ops *ops;
};

struct transport_client;
struct transport_request; /* handle of one running request */

/* Where a request failed, when its code is not ERR_OK. */
enum http_failure {
    HTTP_FAILURE_NONE,
    HTTP_FAILURE_TIMEOUT,
    HTTP_FAILURE_LOOKUP,  /* a name has no address */
    HTTP_FAILURE_CONNECT, /* no connection, or one that is denied */
    HTTP_FAILURE_TLS,
    HTTP_FAILURE_EXCHANGE, /* connected, but no proper answer came */
    HTTP_FAILURE_TOKEN,    /* no OAuth2 token could be had */
    HTTP_FAILURE_REDIRECT, /* an answer that leads nowhere */
    HTTP_FAILURE_TOO_LARGE
};

/* What was seen of a request that asked for it; for people. Times count from the start of the last
 * hop, 0 where nothing of the kind happened. */
struct http_trace {
    struct str head; /* status and header lines of all hops, as they came */
    struct str peer; /* "tcp 127.0.0.1:80"; "" = no connection */
    int64_t lookup_us, connect_us, tls_us, first_byte_us, total_us;
    unsigned hop_count;
};

struct http_response {
    enum err_code code; /* ERR_OK: a response arrived whole, whatever its status */
    struct err err;     /* text as Prometheus shows it: Get "http://h/metrics": dial tcp ... */
    enum http_failure failure;
    int status;
    struct str reason;           /* reason phrase, may be empty */
    struct str content_type;     /* "" if absent */
    struct str content_encoding; /* "" if absent */
    struct str api_version;      /* Docker's Api-Version header, "" if absent */
    struct str retry_after;
    const struct http_trace *trace; /* NULL unless asked for */
    struct buf *body;    /* taken: the callback may keep it by buf_take, else it is reused */
    bool body_too_large; /* stopped at max_body_bytes; code is ERR_LIMIT, connection closed */
};

typedef void http_done_fn(void *ctx, struct http_response *response);

struct http_request {
    const char *method;        /* "GET", "POST", "HEAD" */
    struct str url;            /* http:// or https:// */
    struct str unix_socket;    /* connect there instead; "" = by URL */
    const struct str *headers; /* whole lines "Name: value" without line end; no CR or LF in them */
    size_t header_count;
    struct str body;       /* copied */
    int64_t timeout_ms;    /* whole request, redirects and body included */
    bool trace;            /* give an http_trace */
    bool deny_link_local;  /* no connection to link-local addresses, of redirects neither */
    size_t max_body_bytes; /* 0 = no limit but the transport's own (1 GiB) */
};

struct transport_ops {
    enum err_code (*client_new)(struct transport *t, const struct http_config *config,
                                struct generation *g, struct transport_client **out,
                                struct err *err);
    void (*client_free)(struct transport *t, struct transport_client *client);
    enum err_code (*start)(struct transport *t, struct transport_client *client,
                           const struct http_request *request, http_done_fn *done, void *ctx,
                           struct transport_request **out, struct err *err);
    void (*cancel)(struct transport *t, struct transport_request *request);
    void (*poll)(struct transport *t, int64_t timeout_ns);
    void (*wake)(struct transport *t);
    void (*free)(struct transport *t);
};

/* user_agent e.g. "Prometheus/3.14.0". */
struct transport *transport_curl_new(struct str user_agent);
void transport_free(struct transport *t);

/* config may be NULL (defaults); g (may be NULL) is referenced while the client lives. ERR_INVALID
 * for settings found bad only now (unreadable CA file, max < min TLS version). Secret files are
 * read at each request. Must be freed on the transport's thread, after its requests ended. */
MUST_CHECK enum err_code transport_client_new(struct transport *t, const struct http_config *config,
                                              struct generation *g, struct transport_client **out,
                                              struct err *err);
void transport_client_free(struct transport *t, struct transport_client *client);

/* done runs exactly once, from a later transport_poll, never from inside this call, unless the
 * request is cancelled. *out is valid until then. */
MUST_CHECK enum err_code transport_start(struct transport *t, struct transport_client *client,
                                         const struct http_request *request, http_done_fn *done,
                                         void *ctx, struct transport_request **out,
                                         struct err *err);
void transport_cancel(struct transport *t, struct transport_request *request);

/* Waits for network events or a wake, at most timeout_ns (-1 = no limit); runs callbacks. */
void transport_poll(struct transport *t, int64_t timeout_ns);
void transport_wake(struct transport *t);

#endif

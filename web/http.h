/* What a handler sees of HTTP: a request whose text has been decoded and bounded, and a response
 * to fill. Nothing of the server library is visible here. A request and its response belong to
 * one thread at a time (the server's, then a worker's). */
#ifndef WEB_HTTP_H
#define WEB_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/str.h"

enum {
    HTTP_BODY_MAX = 10 * 1024 * 1024, /* forms, as net/http */
    HTTP_DATA_MAX = 32 * 1024 * 1024, /* pushed samples */
    HTTP_URL_MAX = 64 * 1024,
    HTTP_PARAMS_MAX = 10000,
    HTTP_HEADERS_MAX = 4,          /* that a handler adds */
    HTTP_PIECE_BYTES = 256 * 1024, /* of an answer that is made while it is sent */
};

/* The answer and what it is built from; a query's own limits come before this one. */
#define HTTP_RESPONSE_MAX ((size_t)1 << 30)
#define HTTP_REQUEST_MEMORY_MAX ((size_t)1 << 30)

enum http_method {
    HTTP_GET = 1 << 0,
    HTTP_HEAD = 1 << 1,
    HTTP_POST = 1 << 2,
    HTTP_PUT = 1 << 3,
    HTTP_OPTIONS = 1 << 4,
    HTTP_OTHER = 1 << 5,
};

struct http_param {
    struct str name, value;
};

struct http_extra_header {
    const char *name; /* literal */
    struct str value; /* in the request's arena */
};

struct http_incoming {
    struct arena arena; /* of everything below and of the handler's work */
    enum http_method method;
    struct str target;         /* path?query, as sent */
    struct str path;           /* decoded once */
    struct http_param *params; /* form body first, then the query string */
    size_t param_count;
    struct buf body;
    bool body_too_large;
    struct str content_type, content_encoding, accept_encoding, origin, host, fetch_site;
    struct str client; /* IP address; empty: not known */
    struct cancel cancel;
    bool tentative; /* run again if it fails with ERR_TIMEOUT: no trace of it then */
    bool timed_out; /* out: it did, and is run again */
};

/* The rest of an answer that is too large to be made at once. more appends about a piece, at least
 * a byte, to to, which is the answer's body; false: that was the last. It runs on a worker, with nothing else of the request running,
 * and cannot fail. */
struct http_source {
    bool (*more)(struct http_source *source, struct buf *to);
};

struct http_outgoing {
    int status;
    const char *content_type;   /* literal */
    struct buf body;            /* with a source: the first piece */
    struct http_source *source; /* NULL: body is all; in the request's arena */
    struct str location;        /* for redirects: a fixed relative target only */
    const char *allow;          /* for 405 */
    const char *etag;           /* literal or in the request's arena, "" if none */
    const char *cache_control;
    struct str allow_origin; /* CORS answer, "" if none */
    bool vary_origin;        /* the answer depends on Origin, even if it is absent */
    bool cors;               /* the other CORS headers too */
    bool stopping_header;    /* X-Prometheus-Stopping on 503 */
    bool stopping;
    struct http_extra_header headers[HTTP_HEADERS_MAX];
    size_t header_count;
    bool page;              /* HTML: content security headers */
    bool body_is_gzip;      /* stored compressed: sent so, or inflated for a client without gzip */
    bool compress;          /* may be compressed by Accept-Encoding */
    struct str static_body; /* instead of body: lives as long as the process */
};

/* Splits target into path and parameters and adds those of a form body. ERR_INVALID for bad
 * escapes and paths that try to leave (.. %2f %5c %00), ERR_LIMIT for too many parameters. */
MUST_CHECK enum err_code http_incoming_parse(struct http_incoming *in, struct err *err);

/* First value, or "" */
struct str http_param(const struct http_incoming *in, const char *name);
/* All values of a repeated parameter, in order; in the request's arena. */
struct str *http_param_all(struct http_incoming *in, const char *name, size_t *out_count);
/* "gzip" is the first of gzip and deflate in Accept-Encoding, as Prometheus scans it. */
bool http_accepts_gzip(struct str accept_encoding);

/* "GET" */
struct str http_method_name(enum http_method method);

void http_text(struct http_outgoing *out, int status, const char *text);
void http_add_header(struct http_outgoing *out, const char *name, struct str value);

#endif

/* What is kept of a response's head: status, reason and the few header fields that callers of
 * base/transport.h see. Fed line by line; of a field that comes twice the first value counts.
 * Used by http_client.c only; one thread. */
#ifndef BASE_HTTP_REPLY_H
#define BASE_HTTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/http_framing.h"
#include "base/str.h"

/* All header lines of one response together. */
enum { HTTP_HEAD_BYTES_MAX = 64 * 1024, HTTP_TRAILER_BYTES_MAX = 8192 };

enum http_reply_field {
    REPLY_REASON,
    REPLY_CONTENT_TYPE,
    REPLY_CONTENT_ENCODING,
    REPLY_API_VERSION,
    REPLY_RETRY_AFTER,
    REPLY_LOCATION,
    REPLY_BAD_FRAMING, /* the value of the field that framing.fault is about */
    REPLY_FIELD_COUNT
};

struct http_reply {
    int status;  /* 0 until a status line was seen */
    bool closes; /* the peer will close the connection */
    size_t head_bytes;
    struct http_framing framing;
    struct buf text; /* the kept values, one after the other */
    struct {
        size_t at;
        size_t len;
        bool present;
    } fields[REPLY_FIELD_COUNT];
};

void http_reply_init(struct http_reply *reply);
void http_reply_release(struct http_reply *reply);
void http_reply_clear(struct http_reply *reply);
/* One line of the head, line end included. A status line starts over, as after "100 Continue".
 * False when the head is too long. */
MUST_CHECK bool http_reply_line(struct http_reply *reply, struct str line);
/* Borrowed until the next call; "" if absent. */
struct str http_reply_get(const struct http_reply *reply, enum http_reply_field field);

#endif

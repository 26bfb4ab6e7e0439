/* One HTTP/1.1 or 1.0 response, read in place from a buffer that grows as bytes arrive (RFC 9112).
 *
 * For the case of a scrape only: a final status, Content-Length, chunks, a body up to the end of the
 * connection, or none at all; a few interim responses (100, 103) before it are passed over. Whatever else may be
 * right or wrong is a surprise, and the caller asks again by other means (http_client.c). That
 * keeps this small: nothing is guessed, and nothing is repaired.
 *
 * Bounds: all heads together by HTTP_HEAD_BYTES_MAX, the body by max_body_bytes, what surrounds chunks by
 * a few bytes each. Knows no sockets; one thread. */
#ifndef BASE_HTTP_READER_H
#define BASE_HTTP_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/http_reply.h"

enum http_read {
    HTTP_READ_MORE,      /* append further bytes to the buffer and come back */
    HTTP_READ_DONE,      /* the buffer holds the body and nothing else */
    HTTP_READ_SURPRISE,  /* not for us; buffer and reply hold rubbish */
    HTTP_READ_TOO_LARGE, /* the body is, or says it will be, larger than allowed */
};

enum http_read_state {
    READ_HEAD,
    READ_BODY,
    READ_TO_END, /* of the connection */
    READ_CHUNK_SIZE,
    READ_CHUNK,
    READ_CHUNK_END,
    READ_TRAILER,
};

struct http_reader {
    struct http_reply *reply; /* what is kept of the head */
    size_t max_body_bytes;
    enum http_read_state state;
    size_t at;         /* first byte of the buffer not looked at */
    size_t done;       /* bytes of the body at the front of the buffer */
    uint64_t left;     /* of the body, or of the chunk */
    size_t trailer;    /* bytes of it */
    unsigned interims; /* heads that were passed over */
    bool is_1_0;
    bool excess; /* bytes came, or may come, that belong to no response */
};

/* reply is borrowed and cleared. */
void http_reader_init(struct http_reader *reader, struct http_reply *reply, size_t max_body_bytes);
/* buf is the same at each call, and changed by nobody but for bytes appended in between; there is
 * room for a NUL behind them. */
MUST_CHECK enum http_read http_reader_feed(struct http_reader *reader, struct buf *buf);
/* Whether the final head was seen: from then on the peer has answered. */
bool http_reader_has_head(const struct http_reader *reader);
/* Whether the response is whole if the peer closes the connection now. */
bool http_reader_may_end(const struct http_reader *reader);
/* Bytes that are still to come as far as is known, 0 = unknown. */
size_t http_reader_missing(const struct http_reader *reader);

#endif

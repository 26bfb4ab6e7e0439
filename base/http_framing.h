/* What the head of an answer says about where its body ends (RFC 9112, 6.3), and whether that can be
 * believed: a head that says it twice in different ways is how answers are smuggled past a client.
 * As Go's client does: equal lengths are one, chunks win over a length, all else is an error.
 *
 * Fed with all fields of one head. Knows no bytes of the body; one thread. */
#ifndef BASE_HTTP_FRAMING_H
#define BASE_HTTP_FRAMING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum http_framing_fault {
    HTTP_FRAMING_SOUND,
    HTTP_FRAMING_BAD_LENGTH,       /* not digits, or beyond int64 */
    HTTP_FRAMING_LENGTHS_DIFFER,   /* two lengths */
    HTTP_FRAMING_UNKNOWN_ENCODING, /* a Transfer-Encoding other than chunked */
    HTTP_FRAMING_MANY_ENCODINGS,
};

struct http_framing {
    bool has_length, chunked;
    bool repeated; /* said more than once, the same or another way: do not reuse the connection */
    enum http_framing_fault fault; /* the first */
    uint64_t length;
};

/* False when this field has a fault. Fields that have nothing to do with framing are fine. */
bool http_framing_field(struct http_framing *framing, struct str name, struct str value);

#endif

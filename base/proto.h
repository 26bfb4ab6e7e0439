/* Bounded reader of protobuf's wire format (protobuf.dev/programming-guides/encoding).
 *
 * proto_next yields one field after another of a message in memory; a message inside is read by a
 * reader over its bytes, so there is no recursion and nothing is copied. What a caller does not
 * know it skips by not looking. Groups, which proto3 does not have, are an error. Pure.
 *
 *   struct proto p = proto_of(bytes);
 *   struct proto_field f;
 *   while (proto_next(&p, &f)) { switch (f.number) ... }
 *   if (!proto_ok(&p)) ... p.error says why
 */
#ifndef BASE_PROTO_H
#define BASE_PROTO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/str.h"

enum proto_wire {
    PROTO_VARINT = 0,
    PROTO_FIXED64 = 1,
    PROTO_BYTES = 2,
    PROTO_GROUP_BEGIN = 3,
    PROTO_GROUP_END = 4,
    PROTO_FIXED32 = 5,
};

struct proto {
    const uint8_t *at;
    const uint8_t *end;
    const char *error; /* NULL, or what is wrong; then at has not moved behind it */
};

struct proto_field {
    uint32_t number;
    enum proto_wire wire;
    uint64_t value;   /* of PROTO_VARINT and the fixed ones */
    struct str bytes; /* of PROTO_BYTES; inside the message */
};

static inline struct proto proto_of(struct str bytes) {
    const uint8_t *at = (const uint8_t *)bytes.ptr;
    return (struct proto){at, bytes.len != 0 ? at + bytes.len : at, NULL};
}

static inline bool proto_ok(const struct proto *p) {
    return p->error == NULL;
}

/* Varints of more than two bytes, and all failures. */
MUST_CHECK bool proto_long_varint(struct proto *p, uint64_t *out);

/* False when it is cut off or longer than 64 bits (the error is set). For packed fields. */
MUST_CHECK static inline bool proto_varint(struct proto *p, uint64_t *out) {
    if (LIKELY(p->at < p->end && *p->at < 0x80)) {
        *out = *p->at++;
        return true;
    }
    if (LIKELY(p->end - p->at > 1 && p->at[1] < 0x80)) {
        *out = (p->at[0] & 0x7FU) | (uint32_t)p->at[1] << 7;
        p->at += 2;
        return true;
    }
    return proto_long_varint(p, out);
}

/* The value behind a tag that is not PROTO_BYTES. */
MUST_CHECK bool proto_scalar(struct proto *p, struct proto_field *f);
COLD bool proto_fail(struct proto *p, const char *error); /* sets the error, returns false */

/* The next field; false at the end of the message and on an error. */
MUST_CHECK static inline bool proto_next(struct proto *p, struct proto_field *f) {
    if (p->at >= p->end || p->error != NULL) {
        return false;
    }
    uint64_t tag;
    if (!proto_varint(p, &tag)) {
        return false;
    }
    if (UNLIKELY(tag >> 3 == 0 || tag >> 3 > UINT32_C(0x1FFFFFFF))) {
        return proto_fail(p, "proto: illegal tag");
    }
    f->number = (uint32_t)(tag >> 3);
    f->wire = (enum proto_wire)(tag & 7);
    if (f->wire != PROTO_BYTES) {
        return proto_scalar(p, f);
    }
    uint64_t n;
    if (!proto_varint(p, &n)) {
        return false;
    }
    if (UNLIKELY(n > (uint64_t)(p->end - p->at))) {
        return proto_fail(p, "unexpected EOF");
    }
    f->bytes = (struct str){(const char *)p->at, (size_t)n};
    p->at += n;
    return true;
}

/* The field has the wire type that its definition wants; else the error is set. */
MUST_CHECK static inline bool proto_want(struct proto *p, const struct proto_field *f,
                                         enum proto_wire wire) {
    return LIKELY(f->wire == wire) || proto_fail(p, "proto: wrong wire type for a field");
}

static inline double proto_double(const struct proto_field *f) {
    double value;
    memcpy(&value, &f->value, sizeof(value));
    return value;
}

#endif

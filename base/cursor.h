/* Bounded reader over text or bytes: every parser and decoder stands on it, so that bounds are
 * checked in one place.
 *
 * A read past the end sets failed, moves nothing and yields 0 / empty; later reads do the same,
 * so a decoder may read a whole header and check once. Pure; one thread at a time. */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    const uint8_t *begin; /* for offsets in error texts */
    bool failed;
};

static inline struct cursor cursor_of(const void *bytes, size_t n) {
    const uint8_t *p = bytes;
    return (struct cursor){p, n != 0 ? p + n : p, p, false};
}

static inline size_t cursor_left(const struct cursor *c) {
    return (size_t)(c->end - c->at);
}

static inline size_t cursor_offset(const struct cursor *c) {
    return (size_t)(c->at - c->begin);
}

/* text: peek is -1 at the end; take_* move only on success */
static inline int cursor_peek(const struct cursor *c) {
    return c->at < c->end ? *c->at : -1;
}

bool cursor_take_char(struct cursor *c, char want);
bool cursor_take_str(struct cursor *c, struct str want);
/* The run of bytes for which class[byte] != 0; class has 256 entries. */
struct str cursor_take_class(struct cursor *c, const uint8_t *class_table);
/* Up to, not including, the delimiter; the rest if there is none. */
struct str cursor_take_until(struct cursor *c, char delimiter);
void cursor_skip_blanks(struct cursor *c); /* space and tab */

/* binary, little endian as all our formats; be = big endian for Prometheus' formats */
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
uint32_t cursor_u32be(struct cursor *c);
uint64_t cursor_u64be(struct cursor *c);
uint64_t cursor_uvarint(struct cursor *c); /* LEB128; over 10 bytes or 64 bits fails */
int64_t cursor_varint(struct cursor *c);   /* zigzag */
const uint8_t *cursor_bytes(struct cursor *c, size_t n); /* NULL when fewer are left */
struct str cursor_str(struct cursor *c);                 /* uvarint length, bytes */

#endif

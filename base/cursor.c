#include "base/cursor.h"

#include "base/attr.h"
#include "base/bytes.h"

bool cursor_take_char(struct cursor *c, char want) {
    if (c->at < c->end && *c->at == (uint8_t)want) {
        c->at++;
        return true;
    }
    return false;
}

bool cursor_take_str(struct cursor *c, struct str want) {
    if (cursor_left(c) < want.len || (want.len > 0 && memcmp(c->at, want.ptr, want.len) != 0)) {
        return false;
    }
    c->at += want.len;
    return true;
}

struct str cursor_take_class(struct cursor *c, const uint8_t *class_table) {
    const uint8_t *from = c->at;
    const uint8_t *at = from;
    while (at < c->end && class_table[*at] != 0) {
        at++;
    }
    c->at = at;
    return (struct str){(const char *)from, (size_t)(at - from)};
}

struct str cursor_take_until(struct cursor *c, char delimiter) {
    const uint8_t *from = c->at;
    const size_t left = cursor_left(c);
    const uint8_t *found = left > 0 ? memchr(from, (uint8_t)delimiter, left) : NULL;
    c->at = found != NULL ? found : c->end;
    return (struct str){(const char *)from, (size_t)(c->at - from)};
}

void cursor_skip_blanks(struct cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t')) {
        c->at++;
    }
}

const uint8_t *cursor_bytes(struct cursor *c, size_t n) {
    if (UNLIKELY(c->failed || cursor_left(c) < n)) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *from = c->at;
    c->at += n;
    return from;
}

uint8_t cursor_u8(struct cursor *c) {
    const uint8_t *p = cursor_bytes(c, 1);
    return p != NULL ? *p : 0;
}

uint16_t cursor_u16(struct cursor *c) {
    const uint8_t *p = cursor_bytes(c, 2);
    return p != NULL ? load_u16(p) : 0;
}

uint32_t cursor_u32(struct cursor *c) {
    const uint8_t *p = cursor_bytes(c, 4);
    return p != NULL ? load_u32(p) : 0;
}

uint64_t cursor_u64(struct cursor *c) {
    const uint8_t *p = cursor_bytes(c, 8);
    return p != NULL ? load_u64(p) : 0;
}

uint32_t cursor_u32be(struct cursor *c) {
    const uint8_t *p = cursor_bytes(c, 4);
    return p != NULL ? load_u32be(p) : 0;
}

uint64_t cursor_u64be(struct cursor *c) {
    const uint8_t *p = cursor_bytes(c, 8);
    return p != NULL ? load_u64be(p) : 0;
}

uint64_t cursor_uvarint(struct cursor *c) {
    if (c->failed) {
        return 0;
    }
    uint64_t v = 0;
    const uint8_t *at = c->at;
    for (unsigned shift = 0; at < c->end && shift < 70; shift += 7) {
        const uint8_t byte = *at++;
        if (shift == 63 && byte > 1) {
            break; /* bits above the 64th, or an eleventh byte */
        }
        v |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            c->at = at;
            return v;
        }
    }
    c->failed = true;
    return 0;
}

int64_t cursor_varint(struct cursor *c) {
    return zigzag_decode(cursor_uvarint(c));
}

struct str cursor_str(struct cursor *c) {
    const uint8_t *start = c->at;
    const uint64_t n = cursor_uvarint(c);
    if (c->failed || n > cursor_left(c)) {
        c->at = start;
        c->failed = true;
        return (struct str){"", 0};
    }
    const uint8_t *from = c->at;
    c->at += n;
    return (struct str){(const char *)from, (size_t)n};
}

/* Fixed-width and variable-width integers in memory; unaligned-safe, little endian unless named
 * be. put_* write at to and return the byte behind. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdint.h>
#include <string.h>

enum { UVARINT_MAX = 10 };

static inline uint16_t load_u16(const void *p) {
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t load_u32(const void *p) {
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t load_u64(const void *p) {
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t load_u32be(const void *p) {
    return __builtin_bswap32(load_u32(p));
}

static inline uint64_t load_u64be(const void *p) {
    return __builtin_bswap64(load_u64(p));
}

static inline uint8_t *put_u8(uint8_t *to, uint8_t v) {
    *to = v;
    return to + 1;
}

static inline uint8_t *put_u16(uint8_t *to, uint16_t v) {
    memcpy(to, &v, sizeof(v));
    return to + sizeof(v);
}

static inline uint8_t *put_u32(uint8_t *to, uint32_t v) {
    memcpy(to, &v, sizeof(v));
    return to + sizeof(v);
}

static inline uint8_t *put_u64(uint8_t *to, uint64_t v) {
    memcpy(to, &v, sizeof(v));
    return to + sizeof(v);
}

static inline uint64_t zigzag_encode(int64_t v) {
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t zigzag_decode(uint64_t v) {
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static inline uint8_t *put_uvarint(uint8_t *to, uint64_t v) {
    while (v >= 0x80) {
        *to++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *to++ = (uint8_t)v;
    return to;
}

static inline uint8_t *put_varint(uint8_t *to, int64_t v) {
    return put_uvarint(to, zigzag_encode(v));
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "formats are little endian, loads assume it");

#endif

/* The series that nearly all requests are made of: labels in order, each string shorter than 128
 * bytes and ASCII, then one sample. Its bytes are then
 *
 *     0a n  0a n name 12 n value   ... one per label
 *     12 n  09 value(8) 10 timestamp
 *
 * so that "n name" and "n value" are what the packed labels consist of, and one pass checks and
 * copies them. Anything else is left to the general decoder: what is refused here is not wrong. */
#include "base/bytes.h"
#include "base/mem.h"
#include "web/remote_write.h"

enum {
    SERIES_BYTES_MAX = 64 * 1024,
    SLACK_BYTES = 16, /* what a copy may write behind its end */
    SHORT_MAX = 0x7F,
    TAG_FIRST = 0x0A,  /* field 1, bytes */
    TAG_SECOND = 0x12, /* field 2, bytes */
    TAG_DOUBLE = 0x09, /* field 1, fixed 64 */
    TAG_VARINT = 0x10, /* field 2, varint */
};

#define KEY_NAME UINT64_C(0x5F5F6E616D655F5F) /* "__name__" */

/* The first eight bytes so that they compare as the names do; the rest as zeros. */
static uint64_t name_key(const uint8_t *name, size_t n) {
    const uint64_t key = load_u64be(name);
    return n >= 8 ? key : key & ~(UINT64_MAX >> (8 * n));
}

static bool is_ascii(const uint8_t *at, size_t n) {
    uint64_t bits = 0;
    for (; n >= 8; at += 8, n -= 8) {
        bits |= load_u64(at);
    }
    for (; n > 0; at++, n--) {
        bits |= *at;
    }
    return (bits & UINT64_C(0x8080808080808080)) == 0;
}

/* Copies in steps of 16: both sides must have that much behind the end. */
static uint8_t *copy(uint8_t *to, const uint8_t *from, size_t n) {
    for (size_t at = 0; at < n; at += SLACK_BYTES) {
        memcpy(to + at, from + at, SLACK_BYTES);
    }
    return to + n;
}

/* Packs the labels; returns where they end, or NULL. */
static const uint8_t *take_labels(const uint8_t *at, const uint8_t *end, uint8_t *to,
                                  size_t *out_bytes) {
    const uint8_t *begin = at;
    const uint8_t *to_begin = to;
    const uint8_t *last = NULL;
    size_t last_len = 0;
    uint64_t last_key = 0;
    bool has_name = false;
    while (end - at > 6 && *at == TAG_FIRST) {
        const size_t all = at[1];
        const size_t name_len = at[3];
        if (all > SHORT_MAX || (size_t)(end - at) < all + 2 || at[2] != TAG_FIRST ||
            name_len == 0 || name_len + 5 > all || at[4 + name_len] != TAG_SECOND) {
            return NULL;
        }
        const uint8_t *name = at + 4;
        const uint8_t *value = name + name_len + 1; /* its length first */
        if (*value == 0 || *value + name_len + 4 != all) {
            return NULL;
        }
        const uint64_t key = name_key(name, name_len);
        if (key <= last_key && last != NULL &&
            (key < last_key || str_cmp((struct str){(const char *)last, last_len},
                                       (struct str){(const char *)name, name_len}) >= 0)) {
            return NULL;
        }
        last = name;
        last_len = name_len;
        last_key = key;
        has_name = has_name || (key == KEY_NAME && name_len == 8);
        to = copy(to, name - 1, name_len + 1);
        to = copy(to, value, (size_t)*value + 1);
        at += all + 2;
    }
    if (!has_name || !is_ascii(begin, (size_t)(at - begin))) {
        return NULL;
    }
    *out_bytes = (size_t)(to - to_begin);
    return at;
}

static bool take_sample(const uint8_t *at, const uint8_t *end, double *out_value,
                        int64_t *out_ts_ms) {
    enum { UPTO_TIMESTAMP = 12 };
    if (end - at <= UPTO_TIMESTAMP || at[0] != TAG_SECOND || at[1] != end - at - 2 ||
        at[2] != TAG_DOUBLE || at[11] != TAG_VARINT) {
        return false;
    }
    memcpy(out_value, at + 3, sizeof(*out_value));
    uint64_t ts = 0;
    unsigned shift = 0;
    for (at += UPTO_TIMESTAMP; at < end && *at >= 0x80 && shift < 56; at++, shift += 7) {
        ts |= (uint64_t)(*at & 0x7F) << shift;
    }
    *out_ts_ms = (int64_t)(ts | (uint64_t)*at << shift);
    return at + 1 == end && *at < 0x80;
}

bool write_read_usual(struct write_scratch *scratch, struct str series, struct labels *out_labels,
                      double *out_value, int64_t *out_ts_ms) {
    const uint8_t *at = (const uint8_t *)series.ptr;
    const uint8_t *end = at + series.len;
    const struct str plain = buf_str(&scratch->plain);
    const uint8_t *plain_end = (const uint8_t *)plain.ptr + plain.len;
    if (series.len > SERIES_BYTES_MAX || plain_end - end < SLACK_BYTES) {
        return false;
    }
    if (UNLIKELY(scratch->packed_capacity < series.len + SLACK_BYTES)) {
        scratch->packed_capacity = mem_grow(scratch->packed_capacity, series.len + SLACK_BYTES);
        scratch->packed = mem_resize(scratch->packed, scratch->packed_capacity, 1);
    }
    size_t bytes = 0;
    at = take_labels(at, end, scratch->packed, &bytes);
    if (at == NULL || !take_sample(at, end, out_value, out_ts_ms)) {
        return false;
    }
    *out_labels = (struct labels){scratch->packed, bytes};
    return true;
}

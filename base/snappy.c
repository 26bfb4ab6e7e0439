#include "base/snappy.h"

#include "base/snappy_unpack.h"

/* The densest element is a copy of 64 bytes by 3. */
enum { RATIO_MAX = 22, SIZE_BYTES_MAX = 5 };

static enum err_code corrupt(struct err *err) {
    return err_set(err, ERR_INVALID, "snappy: corrupt input");
}

/* The size in front; *out_rest is what follows. */
static bool take_size(struct str in, size_t *out, struct str *out_rest) {
    uint64_t size = 0;
    for (size_t i = 0; i < in.len && i < SIZE_BYTES_MAX; i++) {
        const uint8_t byte = (uint8_t)in.ptr[i];
        size |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80) {
            *out = (size_t)size;
            *out_rest = str_from(in, i + 1);
            return size <= UINT32_MAX;
        }
    }
    return false;
}

enum err_code snappy_unpack(struct str in, struct buf *to, struct err *err) {
    size_t size;
    struct str rest;
    if (!take_size(in, &size, &rest)) {
        return corrupt(err);
    }
    if (size > to->max_bytes - to->len) {
        return err_set(err, ERR_LIMIT, "snappy: content is larger than %zu bytes", to->max_bytes);
    }
    if (size / RATIO_MAX > in.len) {
        return corrupt(err);
    }
    char *at = buf_reserve(to, size);
    if (at == NULL) {
        return err_set(err, ERR_LIMIT, "snappy: no room for %zu bytes", size);
    }
    if (!snappy_unpack_elements((const uint8_t *)rest.ptr, rest.len, (uint8_t *)at, size)) {
        at[0] = '\0';
        return corrupt(err);
    }
    to->len += size;
    to->ptr[to->len] = '\0';
    return ERR_OK;
}

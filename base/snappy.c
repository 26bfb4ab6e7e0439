#include "base/snappy.h"

#include <snappy-c.h>

#include "base/check.h"

/* The densest element is a copy of 64 bytes by 3. */
enum { RATIO_MAX = 22 };

static enum err_code corrupt(struct err *err) {
    return err_set(err, ERR_INVALID, "snappy: corrupt input");
}

enum err_code snappy_unpack(struct str in, struct buf *to, struct err *err) {
    size_t size = 0;
    if (snappy_uncompressed_length(in.ptr, in.len, &size) != SNAPPY_OK) {
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
    size_t written = size;
    if (snappy_uncompress(in.ptr, in.len, at, &written) != SNAPPY_OK || written != size) {
        at[0] = '\0';
        return corrupt(err);
    }
    to->len += size;
    to->ptr[to->len] = '\0';
    return ERR_OK;
}

void snappy_pack(struct str in, struct buf *to) {
    size_t size = snappy_max_compressed_length(in.len);
    char *at = buf_reserve(to, size);
    if (at == NULL) {
        return;
    }
    const snappy_status status = snappy_compress(in.ptr, in.len, at, &size);
    ASSERT(status == SNAPPY_OK);
    to->len += size;
    to->ptr[to->len] = '\0';
}

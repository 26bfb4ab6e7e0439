#include "tests/support/snappy_pack.h"

#include <snappy-c.h>

#include "base/check.h"

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

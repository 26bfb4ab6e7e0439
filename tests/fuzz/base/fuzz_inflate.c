/* Any bytes inflate or fail within the limits: never more than the buffer's maximum or the ratio,
 * nothing left behind by a failure. And what is compressed comes back. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/compress.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX_BYTES = 4 * 1024 * 1024, FREE_BYTES = 1024 * 1024 };

static void require(int fact) {
    if (!fact) {
        abort();
    }
}

typedef enum err_code inflate_fn(struct inflater *inflater, struct str in, struct buf *to,
                                 struct err *err);

static void try_inflate(inflate_fn *inflate, struct inflater *inflater, struct str in) {
    struct buf out;
    struct err err;
    buf_init(&out, OUT_MAX_BYTES);
    buf_append_cstr(&out, "had");
    const enum err_code code = inflate(inflater, in, &out, &err);
    require(buf_ok(&out) && out.len <= OUT_MAX_BYTES);
    require(out.len >= 3 && memcmp(out.ptr, "had", 3) == 0 && out.ptr[out.len] == '\0');
    if (code == ERR_OK) {
        require(out.len - 3 <= FREE_BYTES || out.len - 3 <= in.len * 200);
    } else {
        require(out.len == 3 && err.text[0] != '\0');
        require(code == ERR_INVALID || code == ERR_LIMIT);
    }
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct str in = {(const char *)data, size};
    struct inflater *inflater = inflater_new();
    try_inflate(inflate_gzip, inflater, in);
    try_inflate(inflate_zstd, inflater, in);

    struct buf packed;
    struct buf out;
    struct err err;
    buf_init(&packed, OUT_MAX_BYTES);
    buf_init(&out, OUT_MAX_BYTES);
    if (size <= FREE_BYTES) {
        require(deflate_gzip(in, 1 + (int)(size % 12), &packed, &err) == ERR_OK);
        require(inflate_gzip(inflater, buf_str(&packed), &out, &err) == ERR_OK);
        require(str_eq(buf_str(&out), in));
    }
    buf_release(&packed);
    buf_release(&out);
    inflater_free(inflater);
    return 0;
}

/* Any bytes are unpacked as libsnappy unpacks them, or refused where it refuses them; what is packed comes
 * back. */
#include <snappy-c.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/snappy.h"
#include "tests/support/snappy_pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX_BYTES = 1024 * 1024 };

static void require(int fact) {
    if (!fact) {
        abort();
    }
}

static void compare(struct str in) {
    struct buf ours;
    struct err err;
    buf_init(&ours, OUT_MAX_BYTES);
    const enum err_code code = snappy_unpack(in, &ours, &err);
    require(buf_ok(&ours) && ours.len <= OUT_MAX_BYTES);
    size_t expected = 0;
    const int known = snappy_uncompressed_length(in.ptr, in.len, &expected) == SNAPPY_OK;
    if (code == ERR_LIMIT) {
        require(known && expected > OUT_MAX_BYTES);
    } else if (!known || expected > OUT_MAX_BYTES) {
        require(code == ERR_INVALID);
    } else {
        char *theirs = mem_alloc(expected + 1);
        size_t n = expected;
        const int good = snappy_uncompress(in.ptr, in.len, theirs, &n) == SNAPPY_OK;
        require(good == (code == ERR_OK));
        require(!good || (n == ours.len && memcmp(buf_str(&ours).ptr, theirs, n) == 0));
        require(good || ours.len == 0);
        mem_free(theirs);
    }
    buf_release(&ours);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct str in = {(const char *)data, size};
    compare(in);
    if (size <= OUT_MAX_BYTES / 2) {
        struct buf packed;
        buf_init(&packed, OUT_MAX_BYTES);
        snappy_pack(in, &packed);
        compare(buf_str(&packed));
        buf_release(&packed);
    }
    return 0;
}

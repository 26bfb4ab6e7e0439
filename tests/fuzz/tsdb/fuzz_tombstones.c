/* A file of tombstones: what is taken is what would be written, and answers stay within it. */
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tsdb/tombstones.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct tombstones *t = NULL;
    struct err err;
    if (size < 4) {
        return 0;
    }
    uint8_t *copy = mem_alloc(size);
    memcpy(copy, data, size);
    put_u32(copy + size - 4, hash_crc32c(0, copy, size - 4)); /* no input would find it */
    if (tombstones_decode(copy, size, &t, &err) == ERR_OK) {
        struct buf again;
        struct tombstones *second = NULL;
        struct tombstones *third = NULL;
        buf_init(&again, TOMBSTONES_BYTES_MAX);
        tombstones_encode(t, &again);
        ASSERT(tombstones_decode(again.ptr, again.len, &second, &err) == ERR_OK);
        ASSERT(tombstones_count(second) == tombstones_count(t));
        ASSERT(tombstones_with(second, NULL, 0, &third, &err) == ERR_OK);
        buf_clear(&again);
        tombstones_encode(third, &again);
        tombstones_unref(second);
        ASSERT(tombstones_decode(again.ptr, again.len, &second, &err) == ERR_OK);
        ASSERT(tombstones_count(second) == tombstones_count(t));
        tombstones_unref(t);
        tombstones_unref(second);
        tombstones_unref(third);
        buf_release(&again);
    }
    mem_free(copy);
    return 0;
}

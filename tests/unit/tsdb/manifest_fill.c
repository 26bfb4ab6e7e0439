#include "manifest_fill.h"

#include "tests/support/check_err.h"

static const uint32_t parents[] = {1, 2, 5};

struct manifest_partition manifest_test_partition(uint32_t number, int64_t start_h, int64_t hours) {
    return (struct manifest_partition){
        .number = number,
        .level = hours > 2 ? 2 : 1,
        .start_ms = start_h * HOUR_MS,
        .end_ms = (start_h + hours) * HOUR_MS,
        .min_ts_ms = start_h * HOUR_MS + 7,
        .max_ts_ms = (start_h + hours) * HOUR_MS - 9,
        .series = 100 + number,
        .samples = UINT64_MAX - number,
        .bytes = 12345,
        .parents = hours > 2 ? (uint32_t *)parents : NULL,
        .parent_count = hours > 2 ? 3 : 0,
    };
}

struct manifest_mark manifest_test_mark(int64_t start_h, uint32_t shard, uint32_t file) {
    return (struct manifest_mark){.start_ms = start_h * HOUR_MS,
                                  .end_ms = (start_h + 2) * HOUR_MS,
                                  .shard = shard,
                                  .l0_file = file,
                                  .wal_segment = file * 2};
}

void manifest_test_fill(struct manifest *m, uint32_t count) {
    manifest_init(m);
    for (uint32_t i = 0; i < count; i++) {
        const struct manifest_partition p =
            manifest_test_partition(i * 3 + 6, (int64_t)i * 6 - 12, i % 2 ? 6 : 2);
        const struct manifest_mark k = manifest_test_mark((int64_t)(i / 2) * 2, i % 2, i + 1);
        manifest_add(m, &p);
        manifest_set_mark(m, &k);
    }
}

void assert_same_manifest(const struct manifest *a, const struct manifest *b) {
    struct buf x;
    struct buf y;
    buf_init(&x, MANIFEST_BYTES_MAX);
    buf_init(&y, MANIFEST_BYTES_MAX);
    manifest_encode(a, &x);
    manifest_encode(b, &y);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.ptr, y.ptr, x.len);
    buf_release(&x);
    buf_release(&y);
}

/* manifest: partitions and marks keep their order, what was encoded is decoded. */
#include "tsdb/manifest.h"

#include "base/mem.h"
#include "manifest_fill.h"
#include "tests/support/check_err.h"

static void lists_keep_their_order(void **state) {
    (void)state;
    struct manifest m;
    manifest_init(&m);
    const struct manifest_partition p[] = {manifest_test_partition(9, 0, 2),
                                           manifest_test_partition(4, 2, 2),
                                           manifest_test_partition(6, 4, 6)};
    for (size_t i = 0; i < COUNT_OF(p); i++) {
        manifest_add(&m, &p[i]);
    }
    assert_int_equal(m.next_partition, 10);
    assert_int_equal(m.partitions[0].number, 4);
    assert_int_equal(manifest_find(&m, 6)->parents[2], 5);
    assert_null(manifest_find(&m, 5));
    manifest_remove(&m, 6);
    manifest_remove(&m, 6);
    assert_null(manifest_find(&m, 6));
    assert_int_equal(m.partition_count, 2);
    manifest_release(&m);
}

static void a_mark_covers_its_window_and_shard_only(void **state) {
    (void)state;
    struct manifest m;
    manifest_init(&m);
    const struct manifest_mark marks[] = {manifest_test_mark(4, 1, 3), manifest_test_mark(0, 0, 1),
                                          manifest_test_mark(0, 1, 2), manifest_test_mark(0, 1, 7)};
    for (size_t i = 0; i < COUNT_OF(marks); i++) {
        manifest_set_mark(&m, &marks[i]);
    }
    assert_int_equal(m.mark_count, 3);
    assert_int_equal(m.floors[0].l0_file, 1);
    assert_int_equal(m.floors[1].l0_file, 7);
    assert_int_equal(m.floors[1].wal_segment, 14);
    const struct {
        uint32_t shard;
        int64_t ts_ms;
        uint32_t file; /* 0 = no mark */
    } cases[] = {
        {1, -1, 0},
        {1, 0, 7},
        {0, 0, 1},
        {0, 2 * HOUR_MS - 1, 1},
        {0, 2 * HOUR_MS, 0},
        {1, 4 * HOUR_MS + 5, 3},
        {0, 4 * HOUR_MS + 5, 0},
        {1, 6 * HOUR_MS, 0},
        {2, 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct manifest_mark *k =
            manifest_mark_at(m.marks, m.mark_count, cases[i].shard, cases[i].ts_ms);
        assert_int_equal(k != NULL ? k->l0_file : 0, cases[i].file);
    }
    manifest_release(&m);
}

static void what_was_encoded_comes_back(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 40; i++) {
        struct manifest m;
        struct manifest got;
        struct manifest copy;
        struct buf bytes;
        struct err err;
        buf_init(&bytes, MANIFEST_BYTES_MAX);
        manifest_test_fill(&m, i);
        manifest_encode(&m, &bytes);
        assert_ok(manifest_decode((const uint8_t *)bytes.ptr, bytes.len, &got, &err), &err);
        assert_same_manifest(&m, &got);
        manifest_copy(&copy, &got);
        assert_same_manifest(&m, &copy);
        for (size_t n = 0; n < bytes.len; n++) {
            struct manifest cut;
            manifest_init(&cut);
            assert_err(manifest_decode((const uint8_t *)bytes.ptr, n, &cut, &err), ERR_CORRUPT,
                       "impossible content near byte", &err);
        }
        manifest_release(&copy);
        manifest_release(&got);
        manifest_release(&m);
        buf_release(&bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_keep_their_order),
        cmocka_unit_test(a_mark_covers_its_window_and_shard_only),
        cmocka_unit_test(what_was_encoded_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

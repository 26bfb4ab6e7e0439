/* manifest: what was stored comes back; damage of any bit is noticed and the file before it counts;
 * after a crash at any operation the old state or the new one is there, whole. */
#include "tsdb/manifest.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/check_err.h"
#include "tests/support/mem_vfs.h"

enum { HOUR_MS = 3600 * 1000 };

static const uint32_t parents[] = {1, 2, 5};

static struct manifest_partition partition(uint32_t number, int64_t start_h, int64_t hours) {
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

static struct manifest_mark mark(int64_t start_h, uint32_t shard, uint32_t file) {
    return (struct manifest_mark){.start_ms = start_h * HOUR_MS,
                                  .end_ms = (start_h + 2) * HOUR_MS,
                                  .shard = shard,
                                  .l0_file = file,
                                  .wal_segment = file * 2};
}

/* So many partitions and marks; before 1970, too. */
static void fill(struct manifest *m, uint32_t count) {
    manifest_init(m);
    for (uint32_t i = 0; i < count; i++) {
        const struct manifest_partition p =
            partition(i * 3 + 6, (int64_t)i * 6 - 12, i % 2 ? 6 : 2);
        const struct manifest_mark k = mark((int64_t)(i / 2) * 2, i % 2, i + 1);
        manifest_add(m, &p);
        manifest_set_mark(m, &k);
    }
}

static void assert_same(const struct manifest *a, const struct manifest *b) {
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

static void store(struct vfs *vfs, const struct manifest *m, uint32_t number) {
    struct err err;
    bool in_doubt = true;
    assert_ok(manifest_store(vfs, "d", m, number, &in_doubt, &err), &err);
    assert_false(in_doubt);
}

static void lists_keep_their_order(void **state) {
    (void)state;
    struct manifest m;
    manifest_init(&m);
    const struct manifest_partition p[] = {partition(9, 0, 2), partition(4, 2, 2),
                                           partition(6, 4, 6)};
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
    const struct manifest_mark marks[] = {mark(4, 1, 3), mark(0, 0, 1), mark(0, 1, 2),
                                          mark(0, 1, 7)};
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

static void what_was_stored_comes_back(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct err err;
    struct manifest_found found;
    assert_ok(vfs_mkdir(vfs, "d", &err), &err);
    struct manifest got;
    manifest_init(&got);
    assert_ok(manifest_load(vfs, "d", &got, &found, &err), &err);
    assert_int_equal(found.number, 0);
    assert_int_equal(got.next_partition, 1);
    manifest_release(&got);
    for (uint32_t i = 1; i < 40; i++) {
        struct manifest m;
        fill(&m, i - 1);
        store(vfs, &m, i);
        assert_ok(manifest_load(vfs, "d", &got, &found, &err), &err);
        assert_int_equal(found.number, i);
        assert_false(found.is_damaged);
        assert_same(&m, &got);
        struct manifest copy;
        manifest_copy(&copy, &got);
        assert_same(&m, &copy);
        manifest_release(&copy);
        manifest_release(&got);
        manifest_release(&m);
    }
    mem_vfs_free(disk);
}

static bool count_files(void *ctx, const char *name) {
    (void)name;
    ++*(size_t *)ctx;
    return true;
}

static void the_newest_two_files_are_kept(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct err err;
    struct manifest m;
    fill(&m, 3);
    assert_ok(vfs_mkdir(vfs, "d", &err), &err);
    for (uint32_t i = 1; i < 10; i++) {
        store(vfs, &m, i);
        size_t files = 0;
        assert_ok(vfs_list(vfs, "d", count_files, &files, &err), &err);
        assert_int_equal(files, i == 1 ? 1 : 2);
    }
    manifest_release(&m);
    mem_vfs_free(disk);
}

static void any_flipped_bit_is_noticed_and_the_file_before_counts(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct err err;
    struct manifest first;
    struct manifest second;
    char *bytes;
    size_t n;
    fill(&first, 4);
    fill(&second, 5);
    assert_ok(vfs_mkdir(vfs, "d", &err), &err);
    store(vfs, &first, 1);
    store(vfs, &second, 2);
    assert_ok(vfs_read_file(vfs, "d/MANIFEST-00000002", 1 << 20, &bytes, &n, &err), &err);
    struct vfs_file *f;
    assert_ok(vfs_open(vfs, "d/MANIFEST-00000002", VFS_WRITE, &f, &err), &err);
    for (size_t bit = 0; bit < n * 8; bit++) {
        uint8_t byte = (uint8_t)((uint8_t)bytes[bit / 8] ^ 1U << bit % 8);
        assert_ok(vfs_file_pwrite(f, &byte, 1, bit / 8, &err), &err);
        struct manifest got;
        struct manifest_found found;
        manifest_init(&got);
        assert_ok(manifest_load(vfs, "d", &got, &found, &err), &err);
        assert_true(found.is_damaged);
        assert_int_equal(found.number, 2);
        assert_non_null(strstr(found.damage.text, "MANIFEST-00000002"));
        assert_same(&got, &first);
        manifest_release(&got);
        byte = (uint8_t)bytes[bit / 8];
        assert_ok(vfs_file_pwrite(f, &byte, 1, bit / 8, &err), &err);
    }
    for (size_t cut = 0; cut < n; cut++) { /* each length is noticed, too */
        assert_ok(vfs_file_truncate(f, n - cut - 1, &err), &err);
        struct manifest got;
        struct manifest_found found;
        manifest_init(&got);
        assert_ok(manifest_load(vfs, "d", &got, &found, &err), &err);
        assert_true(found.is_damaged);
        manifest_release(&got);
    }
    vfs_file_close(f);
    mem_free(bytes);
    manifest_release(&first);
    manifest_release(&second);
    mem_vfs_free(disk);
}

static void an_only_file_that_is_damaged_gives_an_empty_manifest(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct err err;
    struct vfs_file *f;
    assert_ok(vfs_mkdir(vfs, "d", &err), &err);
    assert_ok(vfs_open(vfs, "d/MANIFEST-00000009", VFS_WRITE | VFS_CREATE, &f, &err), &err);
    vfs_file_close(f);
    struct manifest got;
    struct manifest_found found;
    manifest_init(&got);
    assert_ok(manifest_load(vfs, "d", &got, &found, &err), &err);
    assert_true(found.is_damaged);
    assert_int_equal(found.number, 9);
    assert_int_equal(got.partition_count, 0);
    manifest_release(&got);
    mem_vfs_free(disk);
}

/* Names like these are not manifests. */
static void other_names_are_left_alone(void **state) {
    (void)state;
    static const char *const names[] = {
        "d/MANIFEST-00000002.tmp", "d/MANIFEST-", "d/MANIFEST-7", "d/MANIFEST-0000000x",
        "d/MANIFEST-99999999999",  "d/00000003"};
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct err err;
    assert_ok(vfs_mkdir(vfs, "d", &err), &err);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct vfs_file *f;
        assert_ok(vfs_open(vfs, names[i], VFS_WRITE | VFS_CREATE, &f, &err), &err);
        vfs_file_close(f);
    }
    struct manifest m;
    struct manifest got;
    struct manifest_found found;
    fill(&m, 2);
    store(vfs, &m, 1);
    manifest_init(&got);
    assert_ok(manifest_load(vfs, "d", &got, &found, &err), &err);
    assert_int_equal(found.number, 1);
    assert_false(found.is_damaged);
    manifest_release(&got);
    manifest_release(&m);
    mem_vfs_free(disk);
}

static void check_crash(struct mem_vfs *disk, size_t op, enum mem_crash crash,
                        const struct manifest *all, uint32_t stored) {
    struct mem_vfs *after = mem_vfs_after_crash(disk, op, crash, op * 31 + crash);
    struct manifest got;
    struct manifest_found found;
    struct err err;
    manifest_init(&got);
    assert_ok(manifest_load(mem_vfs_base(after), "d", &got, &found, &err), &err);
    assert_false(found.is_damaged);
    assert_true(found.number >= stored);
    assert_true(found.number <= stored + 1);
    if (found.number != 0) {
        assert_same(&got, &all[found.number]);
    }
    manifest_release(&got);
    mem_vfs_free(after);
}

static void a_crash_leaves_the_old_or_the_new_manifest(void **state) {
    (void)state;
    enum { STORES = 5 };
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct manifest all[STORES + 1];
    size_t ops[STORES + 1];
    struct err err;
    assert_ok(vfs_mkdir(vfs, "d", &err), &err);
    assert_ok(vfs_sync_dir(vfs, ".", &err), &err);
    for (uint32_t i = 0; i <= STORES; i++) {
        fill(&all[i], i);
        if (i != 0) {
            store(vfs, &all[i], i);
        }
        ops[i] = mem_vfs_op_count(disk);
    }
    for (uint32_t i = 0; i < STORES; i++) {
        for (size_t op = ops[i]; op < ops[i + 1]; op++) {
            for (int crash = 0; crash < MEM_CRASH_COUNT; crash++) {
                check_crash(disk, op, (enum mem_crash)crash, all, i);
            }
        }
    }
    for (uint32_t i = 0; i <= STORES; i++) {
        manifest_release(&all[i]);
    }
    mem_vfs_free(disk);
}

static void a_full_disk_is_an_error_and_leaves_the_old_one(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct manifest m;
    struct manifest got;
    struct manifest_found found;
    struct err err;
    bool in_doubt = true;
    fill(&m, 3);
    assert_ok(vfs_mkdir(vfs, "d", &err), &err);
    store(vfs, &m, 1);
    mem_vfs_set_capacity(disk, 100);
    assert_int_equal(manifest_store(vfs, "d", &m, 2, &in_doubt, &err), ERR_NO_SPACE);
    assert_false(in_doubt);
    assert_non_null(strstr(err.text, "MANIFEST-00000002"));
    manifest_init(&got);
    assert_ok(manifest_load(vfs, "d", &got, &found, &err), &err);
    assert_int_equal(found.number, 1);
    assert_same(&got, &m);
    manifest_release(&got);
    manifest_release(&m);
    mem_vfs_free(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_keep_their_order),
        cmocka_unit_test(a_mark_covers_its_window_and_shard_only),
        cmocka_unit_test(what_was_stored_comes_back),
        cmocka_unit_test(the_newest_two_files_are_kept),
        cmocka_unit_test(any_flipped_bit_is_noticed_and_the_file_before_counts),
        cmocka_unit_test(an_only_file_that_is_damaged_gives_an_empty_manifest),
        cmocka_unit_test(other_names_are_left_alone),
        cmocka_unit_test(a_crash_leaves_the_old_or_the_new_manifest),
        cmocka_unit_test(a_full_disk_is_an_error_and_leaves_the_old_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

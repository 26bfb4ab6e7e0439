/* mem_vfs: a crash loses what was not synced, and nothing else. The tests of storage stand on
 * this, so the model itself is tested: each kind of crash at each operation of a small history. */
#include <string.h>

#include "base/mem.h"
#include "tests/support/check_err.h"
#include "tests/support/mem_vfs.h"

/* NULL: there is no such file. */
static char *content_of(struct mem_vfs *v, const char *path) {
    char *got = NULL;
    size_t len = 0;
    const enum err_code code = vfs_read_file(mem_vfs_base(v), path, 1 << 20, &got, &len, NULL);
    return code == ERR_OK ? got : NULL;
}

static void assert_disk(struct mem_vfs *v, const char *path, const char *want) {
    char *got = content_of(v, path);
    if (want == NULL) {
        assert_null(got);
    } else {
        assert_non_null(got);
        assert_string_equal(got, want);
    }
    mem_free(got);
}

static void assert_after(struct mem_vfs *v, size_t ops, enum mem_crash crash, const char *path,
                         const char *want) {
    struct mem_vfs *disk = mem_vfs_after_crash(v, ops, crash, 1);
    assert_disk(disk, path, want);
    mem_vfs_free(disk);
}

static struct vfs_file *create(struct mem_vfs *v, const char *path) {
    struct err err;
    struct vfs_file *file = NULL;
    assert_ok(vfs_open(mem_vfs_base(v), path, VFS_WRITE | VFS_CREATE, &file, &err), &err);
    return file;
}

static void put(struct vfs_file *file, const char *text, uint64_t offset) {
    struct err err;
    assert_ok(vfs_file_pwrite(file, text, strlen(text), offset, &err), &err);
}

static void data_needs_a_sync_and_a_name_needs_one_of_its_folder(void **state) {
    (void)state;
    struct err err;
    struct mem_vfs *v = mem_vfs_new();
    struct vfs_file *file = create(v, "/a"); /* 1 */
    put(file, "abc", 0);                     /* 2 */
    assert_int_equal(mem_vfs_op_count(v), 2);
    assert_after(v, 2, MEM_CRASH_LOSE, "/a", NULL);
    assert_after(v, 2, MEM_CRASH_KEEP, "/a", "abc");
    assert_after(v, 2, MEM_CRASH_KEEP_NAMES, "/a", "");
    assert_after(v, 2, MEM_CRASH_KEEP_DATA, "/a", NULL);
    assert_after(v, 1, MEM_CRASH_KEEP, "/a", "");
    assert_after(v, 0, MEM_CRASH_KEEP, "/a", NULL);

    assert_ok(vfs_file_sync(file, &err), &err); /* 3 */
    assert_after(v, 3, MEM_CRASH_LOSE, "/a", NULL);
    assert_after(v, 3, MEM_CRASH_KEEP_NAMES, "/a", "abc");
    assert_ok(vfs_sync_dir(mem_vfs_base(v), "/", &err), &err); /* 4 */
    assert_after(v, 4, MEM_CRASH_LOSE, "/a", "abc");
    put(file, "X", 1); /* 5 */
    assert_after(v, 5, MEM_CRASH_LOSE, "/a", "abc");
    assert_after(v, 5, MEM_CRASH_KEEP, "/a", "aXc");
    vfs_file_close(file);
    mem_vfs_free(v);
}

static void a_write_is_torn_between_sectors(void **state) {
    (void)state;
    struct err err;
    char block[2048];
    char *got = NULL;
    size_t len = 0;
    memset(block, 'x', sizeof(block));
    struct mem_vfs *v = mem_vfs_new();
    struct vfs_file *file = create(v, "/a");
    assert_ok(vfs_file_pwrite(file, block, sizeof(block), 0, &err), &err);
    struct mem_vfs *disk = mem_vfs_after_crash(v, 2, MEM_CRASH_TORN, 0);
    assert_ok(vfs_read_file(mem_vfs_base(disk), "/a", 4096, &got, &len, &err), &err);
    assert_int_equal(len, 1024);
    assert_memory_equal(got, block, len);
    mem_free(got);
    mem_vfs_free(disk);

    /* By chance: each sector whole or not at all, and both of them seen. */
    bool seen_some = false;
    for (uint64_t seed = 0; seed < 200; seed++) {
        disk = mem_vfs_after_crash(v, 2, MEM_CRASH_RANDOM, seed);
        if (vfs_read_file(mem_vfs_base(disk), "/a", 4096, &got, &len, &err) == ERR_OK) {
            size_t kept = 0;
            for (size_t i = 0; i < len; i += MEM_VFS_SECTOR_BYTES) {
                const char first = got[i];
                assert_true(first == 'x' || first == '\0');
                for (size_t k = i; k < i + MEM_VFS_SECTOR_BYTES && k < len; k++) {
                    assert_int_equal(got[k], first);
                }
                kept += first == 'x' ? 1 : 0;
            }
            seen_some = seen_some || (kept > 0 && kept < 4);
            mem_free(got);
        }
        mem_vfs_free(disk);
    }
    assert_true(seen_some);
    vfs_file_close(file);
    mem_vfs_free(v);
}

/* The history of a safe replacement: at no point and in no crash is the file gone or mixed. */
static void a_safe_replacement_survives_every_crash(void **state) {
    (void)state;
    struct err err;
    struct mem_vfs *v = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(v);
    assert_ok(vfs_replace_file(vfs, "/a", "old", 3, &err), &err);
    const size_t before = mem_vfs_op_count(v);
    assert_ok(vfs_replace_file(vfs, "/a", "newer", 5, &err), &err);
    const size_t after = mem_vfs_op_count(v);
    bool seen_old = false;
    bool seen_new = false;
    for (size_t n = before; n <= after; n++) {
        for (unsigned crash = 0; crash < MEM_CRASH_COUNT; crash++) {
            for (uint64_t seed = 0; seed < 20; seed++) {
                struct mem_vfs *disk = mem_vfs_after_crash(v, n, (enum mem_crash)crash, seed);
                char *got = content_of(disk, "/a");
                assert_non_null(got);
                const bool is_old = strcmp(got, "old") == 0;
                assert_true(is_old || strcmp(got, "newer") == 0);
                assert_true(n < after || !is_old);
                seen_old = seen_old || is_old;
                seen_new = seen_new || !is_old;
                mem_free(got);
                mem_vfs_free(disk);
            }
        }
    }
    assert_true(seen_old && seen_new);
    mem_vfs_free(v);
}

/* The model must also catch what is unsafe: a rename before the data is synced. */
static void a_rename_without_sync_is_caught(void **state) {
    (void)state;
    struct err err;
    struct mem_vfs *v = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(v);
    assert_ok(vfs_replace_file(vfs, "/a", "old", 3, &err), &err);
    struct vfs_file *file = create(v, "/b");
    put(file, "newer", 0);
    vfs_file_close(file);
    assert_ok(vfs_rename(vfs, "/b", "/a", &err), &err);
    assert_ok(vfs_sync_dir(vfs, "/", &err), &err);
    assert_after(v, mem_vfs_op_count(v), MEM_CRASH_LOSE, "/a", "");
    assert_after(v, mem_vfs_op_count(v), MEM_CRASH_KEEP, "/a", "newer");
    mem_vfs_free(v);
}

static void a_file_in_a_folder_that_was_lost_is_lost(void **state) {
    (void)state;
    struct err err;
    struct mem_vfs *v = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(v);
    assert_ok(vfs_mkdir(vfs, "/d", &err), &err);
    assert_ok(vfs_replace_file(vfs, "/d/a", "x", 1, &err), &err);
    assert_after(v, mem_vfs_op_count(v), MEM_CRASH_LOSE, "/d/a", NULL);
    assert_ok(vfs_sync_dir(vfs, "/", &err), &err);
    assert_after(v, mem_vfs_op_count(v), MEM_CRASH_LOSE, "/d/a", "x");
    mem_vfs_free(v);
}

static void a_crashed_disk_can_crash_again(void **state) {
    (void)state;
    struct err err;
    struct mem_vfs *v = mem_vfs_new();
    assert_ok(vfs_replace_file(mem_vfs_base(v), "/a", "one", 3, &err), &err);
    struct mem_vfs *second = mem_vfs_after_crash(v, mem_vfs_op_count(v), MEM_CRASH_LOSE, 0);
    mem_vfs_free(v);
    assert_int_equal(mem_vfs_op_count(second), 0);
    struct vfs_file *file = create(second, "/a");
    put(file, "two", 0);
    vfs_file_close(file);
    assert_after(second, 1, MEM_CRASH_LOSE, "/a", "one");
    assert_after(second, 1, MEM_CRASH_KEEP, "/a", "two");
    struct buf text;
    buf_init(&text, 1000);
    mem_vfs_describe_op(second, 0, &text);
    assert_str(buf_str(&text), "0: write node 1 at 0, 3 bytes");
    buf_release(&text);
    mem_vfs_free(second);
}

static void a_full_disk_refuses_and_recovers(void **state) {
    (void)state;
    struct err err;
    uint64_t left = 0;
    struct mem_vfs *v = mem_vfs_new();
    mem_vfs_set_capacity(v, 4);
    struct vfs_file *file = create(v, "/a");
    put(file, "abc", 0);
    assert_ok(vfs_free_bytes(mem_vfs_base(v), "/", &left, &err), &err);
    assert_int_equal(left, 1);
    assert_err(vfs_file_pwrite(file, "de", 2, 3, &err), ERR_NO_SPACE, "No space left", &err);
    assert_err(vfs_file_allocate(file, 5, &err), ERR_NO_SPACE, "No space left", &err);
    assert_ok(vfs_file_truncate(file, 1, &err), &err);
    assert_ok(vfs_file_pwrite(file, "de", 2, 1, &err), &err);
    vfs_file_close(file);
    mem_vfs_free(v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_needs_a_sync_and_a_name_needs_one_of_its_folder),
        cmocka_unit_test(a_write_is_torn_between_sectors),
        cmocka_unit_test(a_safe_replacement_survives_every_crash),
        cmocka_unit_test(a_rename_without_sync_is_caught),
        cmocka_unit_test(a_file_in_a_folder_that_was_lost_is_lost),
        cmocka_unit_test(a_crashed_disk_can_crash_again),
        cmocka_unit_test(a_full_disk_refuses_and_recovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

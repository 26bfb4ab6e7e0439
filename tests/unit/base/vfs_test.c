/* vfs: what the header promises, held by the real disk and by the one in memory alike; and the
 * helpers that work on any of them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/vfs.h"
#include "base/vfs_scratch.h"
#include "tests/support/check_err.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/mem_vfs.h"

struct fixture {
    struct vfs *vfs;
    struct mem_vfs *memory; /* NULL: the real disk */
    struct vfs_scratch *scratch;
    char folder[64];
    char path[128];
    char path2[128];
};

static const char *at(struct fixture *f, const char *name) {
    (void)snprintf(f->path, sizeof(f->path), "%s/%s", f->folder, name);
    return f->path;
}

static const char *at2(struct fixture *f, const char *name) {
    (void)snprintf(f->path2, sizeof(f->path2), "%s/%s", f->folder, name);
    return f->path2;
}

static int setup_system(void **state) {
    struct fixture *f = mem_zalloc(sizeof(*f));
    (void)snprintf(f->folder, sizeof(f->folder), P_tmpdir "/brasa-vfs-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    f->vfs = vfs_system();
    *state = f;
    return 0;
}

static int setup_memory(void **state) {
    struct fixture *f = mem_zalloc(sizeof(*f));
    (void)snprintf(f->folder, sizeof(f->folder), "/data");
    f->memory = mem_vfs_new();
    f->vfs = mem_vfs_base(f->memory);
    assert_ok(vfs_mkdir(f->vfs, f->folder, NULL), NULL);
    *state = f;
    return 0;
}

/* On a disk without room: nothing of it gets there. */
static int setup_scratch(void **state) {
    const int rc = setup_memory(state);
    struct fixture *f = *state;
    mem_vfs_set_capacity(f->memory, 0);
    f->scratch = vfs_scratch_new(f->vfs, 1 << 20);
    f->vfs = vfs_scratch_base(f->scratch);
    assert_ok(vfs_mkdir(f->vfs, f->folder, NULL), NULL);
    return rc;
}

static bool remove_name(void *ctx, const char *name) {
    struct fixture *f = ctx;
    if (vfs_unlink(f->vfs, at(f, name), NULL) != ERR_OK) {
        assert_ok(vfs_rmdir(f->vfs, at(f, name), NULL), NULL);
    }
    return true;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    assert_ok(vfs_list(f->vfs, f->folder, remove_name, f, NULL), NULL);
    assert_ok(vfs_rmdir(f->vfs, f->folder, NULL), NULL);
    vfs_scratch_free(f->scratch);
    mem_vfs_free(f->memory);
    mem_free(f);
    return 0;
}

static struct vfs_file *open_file(struct fixture *f, const char *name, unsigned flags) {
    struct vfs_file *file = NULL;
    struct err err;
    assert_ok(vfs_open(f->vfs, at(f, name), flags, &file, &err), &err);
    return file;
}

static void put(struct fixture *f, const char *name, const char *text) {
    struct err err;
    struct vfs_file *file = open_file(f, name, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE);
    assert_ok(vfs_file_pwrite(file, text, strlen(text), 0, &err), &err);
    vfs_file_close(file);
}

static void assert_content(struct fixture *f, const char *name, const char *want) {
    struct err err;
    char *got = NULL;
    size_t len = 0;
    assert_ok(vfs_read_file(f->vfs, at(f, name), 1 << 20, &got, &len, &err), &err);
    assert_str(((struct str){got, len}), want);
    mem_free(got);
}

static void what_is_written_is_read_at_its_offset(void **state) {
    struct fixture *f = *state;
    struct err err;
    char got[16] = {0};
    size_t n = 0;
    struct vfs_file *file = open_file(f, "a", VFS_WRITE | VFS_CREATE);
    assert_ok(vfs_file_pwrite(file, "world", 5, 6, &err), &err);
    assert_ok(vfs_file_pwrite(file, "hello", 5, 0, &err), &err);
    assert_ok(vfs_file_sync(file, &err), &err);
    assert_ok(vfs_file_pread(file, got, 11, 0, NULL, &err), &err);
    assert_memory_equal(got, "hello\0world", 11);
    assert_ok(vfs_file_pread(file, got, sizeof(got), 6, &n, &err), &err);
    assert_int_equal(n, 5);
    assert_ok(vfs_file_pread(file, got, 1, 100, &n, &err), &err);
    assert_int_equal(n, 0);
    vfs_file_close(file);
}

static void a_short_read_is_an_error_unless_asked_for(void **state) {
    struct fixture *f = *state;
    struct err err;
    char got[16];
    put(f, "a", "abc");
    struct vfs_file *file = open_file(f, "a", VFS_READ);
    assert_err(vfs_file_pread(file, got, 4, 0, NULL, &err), ERR_CORRUPT, "ends at byte 3", &err);
    vfs_file_close(file);
}

static void a_file_grows_and_shrinks(void **state) {
    struct fixture *f = *state;
    struct err err;
    uint64_t size = 0;
    char got[4];
    struct vfs_file *file = open_file(f, "a", VFS_WRITE | VFS_CREATE);
    assert_ok(vfs_file_pwrite(file, "abcdef", 6, 0, &err), &err);
    assert_ok(vfs_file_truncate(file, 2, &err), &err);
    assert_ok(vfs_file_allocate(file, 4, &err), &err);
    assert_ok(vfs_file_size(file, &size, &err), &err);
    assert_int_equal(size, 4);
    assert_ok(vfs_file_pread(file, got, 4, 0, NULL, &err), &err);
    assert_memory_equal(got, "ab\0\0", 4);
    assert_ok(vfs_file_allocate(file, 0, &err), &err);
    vfs_file_drop_cache(file, 0, 4);
    vfs_file_close(file);
}

static void open_does_what_its_flags_say(void **state) {
    struct fixture *f = *state;
    struct err err;
    struct vfs_file *file = NULL;
    assert_err(vfs_open(f->vfs, at(f, "no"), VFS_READ, &file, &err), ERR_NOT_FOUND,
               "No such file or directory", &err);
    assert_err(vfs_open(f->vfs, at(f, "no/file"), VFS_WRITE | VFS_CREATE, &file, &err),
               ERR_NOT_FOUND, "open ", &err);
    put(f, "a", "abc");
    assert_err(vfs_open(f->vfs, at(f, "a"), VFS_WRITE | VFS_CREATE | VFS_EXCLUSIVE, &file, &err),
               ERR_EXISTS, "File exists", &err);
    vfs_file_close(open_file(f, "a", VFS_WRITE | VFS_CREATE));
    assert_content(f, "a", "abc");
    file = open_file(f, "a", VFS_READ);
    assert_err(vfs_file_pwrite(file, "x", 1, 0, &err), ERR_IO, "write ", &err);
    vfs_file_close(file);
    vfs_file_close(open_file(f, "a", VFS_WRITE | VFS_TRUNCATE));
    assert_content(f, "a", "");
}

static bool count_name(void *ctx, const char *name) {
    size_t *count = ctx;
    assert_int_not_equal(name[0], '.');
    (*count)++;
    return true;
}

static bool stop_at_once(void *ctx, const char *name) {
    (void)name;
    (*(size_t *)ctx)++;
    return false;
}

static void folders_list_what_is_in_them(void **state) {
    struct fixture *f = *state;
    struct err err;
    size_t count = 0;
    put(f, "a", "1");
    put(f, "b", "2");
    assert_ok(vfs_mkdir(f->vfs, at(f, "sub"), &err), &err);
    assert_ok(vfs_mkdir(f->vfs, at(f, "sub"), &err), &err); /* it exists: fine */
    assert_err(vfs_mkdir(f->vfs, at(f, "a"), &err), ERR_EXISTS, "mkdir ", &err);
    assert_ok(vfs_list(f->vfs, f->folder, count_name, &count, &err), &err);
    assert_int_equal(count, 3);
    assert_ok(vfs_list(f->vfs, f->folder, stop_at_once, &count, &err), &err);
    assert_int_equal(count, 4);
    assert_err(vfs_list(f->vfs, at(f, "no"), count_name, &count, &err), ERR_NOT_FOUND, NULL, &err);
    assert_ok(vfs_sync_dir(f->vfs, f->folder, &err), &err);
    assert_err(vfs_sync_dir(f->vfs, at(f, "no"), &err), ERR_NOT_FOUND, NULL, &err);
}

static void names_can_be_changed(void **state) {
    struct fixture *f = *state;
    struct err err;
    put(f, "a", "one");
    put(f, "b", "two");
    assert_ok(vfs_rename(f->vfs, at(f, "a"), at2(f, "b"), &err), &err);
    assert_content(f, "b", "one");
    assert_err(vfs_rename(f->vfs, at(f, "a"), at2(f, "b"), &err), ERR_NOT_FOUND, NULL, &err);
    assert_ok(vfs_link(f->vfs, at(f, "b"), at2(f, "c"), &err), &err);
    assert_err(vfs_link(f->vfs, at(f, "b"), at2(f, "c"), &err), ERR_EXISTS, NULL, &err);
    assert_ok(vfs_unlink(f->vfs, at(f, "b"), &err), &err);
    assert_content(f, "c", "one");
    assert_err(vfs_unlink(f->vfs, at(f, "b"), &err), ERR_NOT_FOUND, NULL, &err);
    assert_ok(vfs_mkdir(f->vfs, at(f, "sub"), &err), &err);
    put(f, "sub/x", "1");
    assert_err(vfs_rmdir(f->vfs, at(f, "sub"), &err), ERR_EXISTS, "not empty", &err);
    assert_ok(vfs_rename(f->vfs, at(f, "sub"), at2(f, "sub2"), &err), &err);
    assert_content(f, "sub2/x", "1");
    assert_ok(vfs_unlink(f->vfs, at(f, "sub2/x"), &err), &err);
}

static void an_open_file_outlives_its_name(void **state) {
    struct fixture *f = *state;
    struct err err;
    char got[3];
    put(f, "a", "abc");
    struct vfs_file *file = open_file(f, "a", VFS_READ);
    assert_ok(vfs_unlink(f->vfs, at(f, "a"), &err), &err);
    assert_ok(vfs_file_pread(file, got, 3, 0, NULL, &err), &err);
    assert_memory_equal(got, "abc", 3);
    vfs_file_close(file);
}

static void stat_tells_size_and_kind(void **state) {
    struct fixture *f = *state;
    struct err err;
    struct vfs_stat st;
    put(f, "a", "abc");
    assert_ok(vfs_stat(f->vfs, at(f, "a"), &st, &err), &err);
    assert_int_equal(st.size_bytes, 3);
    assert_false(st.is_dir);
    assert_ok(vfs_stat(f->vfs, f->folder, &st, &err), &err);
    assert_true(st.is_dir);
    assert_err(vfs_stat(f->vfs, at(f, "no"), &st, &err), ERR_NOT_FOUND, "stat ", &err);
    uint64_t free_bytes = 0;
    assert_ok(vfs_free_bytes(f->vfs, f->folder, &free_bytes, &err), &err);
    assert_true(free_bytes > 0);
}

static void a_lock_is_held_by_one(void **state) {
    struct fixture *f = *state;
    struct err err;
    struct vfs_file *first = NULL;
    struct vfs_file *second = NULL;
    assert_ok(vfs_lock(f->vfs, at(f, "lock"), &first, &err), &err);
    assert_err(vfs_lock(f->vfs, at(f, "lock"), &second, &err), ERR_EXISTS, "lock ", &err);
    vfs_file_close(first);
    assert_ok(vfs_lock(f->vfs, at(f, "lock"), &second, &err), &err);
    vfs_file_close(second);
    vfs_file_close(NULL);
}

static void who_finds_a_lock_taken_is_told_by_whom(void **state) {
    struct fixture *f = *state;
    struct err err;
    struct vfs_file *first = NULL;
    struct vfs_file *second = NULL;
    char held[64];
    (void)snprintf(held, sizeof(held), "held by process %ld", (long)getpid());
    put(f, "lock", "4294967295999999999999"); /* longer than ours, of an earlier run */
    assert_ok(vfs_lock(f->vfs, at(f, "lock"), &first, &err), &err);
    assert_err(vfs_lock(f->vfs, at(f, "lock"), &second, &err), ERR_EXISTS, held, &err);
    static const char *const no_numbers[] = {
        "", "\n", "12", "-1\n", "1 2\n", "99999999999999999999\n", "0\n"};
    for (size_t i = 0; i < sizeof(no_numbers) / sizeof(no_numbers[0]); i++) {
        put(f, "lock", no_numbers[i]);
        assert_err(vfs_lock(f->vfs, at(f, "lock"), &second, &err), ERR_EXISTS,
                   "held by another process", &err);
    }
    vfs_file_close(first);
}

static void whole_files_are_read_up_to_their_limit(void **state) {
    struct fixture *f = *state;
    struct err err;
    char *got = NULL;
    size_t len = 0;
    put(f, "a", "0123456789");
    assert_ok(vfs_read_file(f->vfs, at(f, "a"), 10, &got, &len, &err), &err);
    assert_int_equal(len, 10);
    assert_string_equal(got, "0123456789");
    mem_free(got);
    got = NULL;
    assert_err(vfs_read_file(f->vfs, at(f, "a"), 9, &got, &len, &err), ERR_LIMIT, "more than 9",
               &err);
    assert_null(got);
    assert_err(vfs_read_file(f->vfs, at(f, "no"), 9, &got, &len, &err), ERR_NOT_FOUND, NULL, &err);
}

static void a_file_is_replaced_whole(void **state) {
    struct fixture *f = *state;
    struct err err;
    size_t count = 0;
    put(f, "a", "old and longer");
    assert_ok(vfs_replace_file(f->vfs, at(f, "a"), "new", 3, &err), &err);
    assert_content(f, "a", "new");
    assert_ok(vfs_replace_file(f->vfs, at(f, "a"), NULL, 0, &err), &err);
    assert_content(f, "a", "");
    assert_ok(vfs_list(f->vfs, f->folder, count_name, &count, &err), &err);
    assert_int_equal(count, 1);
}

/* Any failure on the way leaves the old content or the new one, and no second sync. */
static void a_failed_replace_leaves_the_old_file(void **state) {
    struct fixture *f = *state;
    struct fault_vfs *fault = fault_vfs_new(f->vfs);
    put(f, "a", "old");
    size_t n = 0;
    for (;; n++) {
        struct err err;
        fault_vfs_plan(fault, (struct fault_plan){.ops = FAULT_CHANGES | FAULT_OPEN,
                                                  .after = n,
                                                  .sys_errno = ENOSPC,
                                                  .sticky = true,
                                                  .short_write = true});
        const enum err_code code =
            vfs_replace_file(fault_vfs_base(fault), at(f, "a"), "new", 3, &err);
        const size_t failures = fault_vfs_failures(fault);
        if (failures == 0) {
            assert_ok(code, &err);
            break;
        }
        assert_int_equal(code, ERR_NO_SPACE);
        assert_content(f, "a", n < 4 ? "old" : "new"); /* open, write, sync, rename: the fifth */
    }
    assert_int_equal(n, 5);
    assert_content(f, "a", "new");
    assert_int_equal(fault_vfs_repeated_syncs(fault), 0);
    fault_vfs_free(fault);
    if (vfs_unlink(f->vfs, at(f, "a.tmp"), NULL) != ERR_OK) {
        return; /* the last attempt has used it up */
    }
    fail_msg("a temporary file is left");
}

static void special_files_without_a_size_are_read(void **state) {
    (void)state;
    struct err err;
    char *got = NULL;
    size_t len = 0;
    assert_ok(vfs_read_file(vfs_system(), "/proc/self/status", 1 << 20, &got, &len, &err), &err);
    assert_true(len > 100);
    mem_free(got);
}

int main(void) {
#define CASES(setup)                                                                               \
    cmocka_unit_test_setup_teardown(what_is_written_is_read_at_its_offset, setup, teardown),       \
        cmocka_unit_test_setup_teardown(a_short_read_is_an_error_unless_asked_for, setup,          \
                                        teardown),                                                 \
        cmocka_unit_test_setup_teardown(a_file_grows_and_shrinks, setup, teardown),                \
        cmocka_unit_test_setup_teardown(open_does_what_its_flags_say, setup, teardown),            \
        cmocka_unit_test_setup_teardown(folders_list_what_is_in_them, setup, teardown),            \
        cmocka_unit_test_setup_teardown(an_open_file_outlives_its_name, setup, teardown),          \
        cmocka_unit_test_setup_teardown(stat_tells_size_and_kind, setup, teardown),                \
        cmocka_unit_test_setup_teardown(a_lock_is_held_by_one, setup, teardown),                   \
        cmocka_unit_test_setup_teardown(whole_files_are_read_up_to_their_limit, setup, teardown),  \
        cmocka_unit_test_setup_teardown(a_file_is_replaced_whole, setup, teardown),                \
        cmocka_unit_test_setup_teardown(a_failed_replace_leaves_the_old_file, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASES(setup_system),
        CASES(setup_memory),
        CASES(setup_scratch),
        cmocka_unit_test_setup_teardown(names_can_be_changed, setup_system, teardown),
        cmocka_unit_test_setup_teardown(names_can_be_changed, setup_memory, teardown),
        cmocka_unit_test_setup_teardown(who_finds_a_lock_taken_is_told_by_whom, setup_system,
                                        teardown),
        cmocka_unit_test(special_files_without_a_size_are_read),
    };
#undef CASES
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* vfs_scratch: what is below is never changed, and what is read is what a disk would give that had
 * been copied before: held against one in memory by random work. (What holds for every vfs is in
 * vfs_test.c.) */
#include "base/vfs_scratch.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/check_err.h"
#include "tests/support/mem_vfs.h"

enum { FILES = 3, SIZE_MAX_BYTES = 3000, ROUNDS = 4000, BUDGET = 64 << 10 };

static void put(struct vfs *vfs, const char *path, const void *bytes, size_t n) {
    struct vfs_file *file = NULL;
    struct err err;
    assert_ok(vfs_open(vfs, path, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &file, &err), &err);
    assert_ok(vfs_file_pwrite(file, bytes, n, 0, &err), &err);
    vfs_file_close(file);
}

static void assert_content(struct vfs *vfs, const char *path, const char *want) {
    struct err err;
    char *got = NULL;
    size_t len = 0;
    assert_ok(vfs_read_file(vfs, path, 1 << 20, &got, &len, &err), &err);
    assert_int_equal(len, strlen(want));
    assert_memory_equal(got, want, len);
    mem_free(got);
}

static void assert_same(struct vfs *a, struct vfs *b, const char *path) {
    struct err err;
    char *got[2];
    size_t len[2];
    assert_ok(vfs_read_file(a, path, 1 << 20, &got[0], &len[0], &err), &err);
    assert_ok(vfs_read_file(b, path, 1 << 20, &got[1], &len[1], &err), &err);
    assert_int_equal(len[0], len[1]);
    assert_memory_equal(got[0], got[1], len[0]);
    mem_free(got[0]);
    mem_free(got[1]);
}

static void change(struct vfs *vfs, const char *path, unsigned kind, const uint8_t *bytes, size_t n,
                   uint64_t offset) {
    struct err err;
    struct vfs_file *file = NULL;
    assert_ok(vfs_open(vfs, path, VFS_WRITE, &file, &err), &err);
    if (kind == 0) {
        assert_ok(vfs_file_truncate(file, offset, &err), &err);
    } else if (kind == 1) {
        assert_ok(vfs_file_allocate(file, offset, &err), &err);
    } else {
        assert_ok(vfs_file_pwrite(file, bytes, n, offset, &err), &err);
    }
    vfs_file_close(file);
}

static void a_part_reads_the_same(struct vfs *a, struct vfs *b, const char *path, uint64_t offset,
                                  size_t n) {
    struct vfs *const both[] = {a, b};
    uint8_t got[2][SIZE_MAX_BYTES] = {{0}};
    size_t len[2] = {0};
    for (int i = 0; i < 2; i++) {
        struct err err;
        struct vfs_file *file = NULL;
        assert_ok(vfs_open(both[i], path, VFS_READ, &file, &err), &err);
        assert_ok(vfs_file_pread(file, got[i], n, offset, &len[i], &err), &err);
        vfs_file_close(file);
    }
    assert_int_equal(len[0], len[1]);
    assert_memory_equal(got[0], got[1], len[0]);
}

static void random_changes_read_as_those_of_a_copied_disk(void **state) {
    (void)state;
    struct rng rng = rng_seeded(11);
    static const char *const paths[FILES] = {"/d/a", "/d/b", "/d/c"};
    struct mem_vfs *below = mem_vfs_new();
    struct mem_vfs *copy = mem_vfs_new();
    struct vfs_scratch *scratch = vfs_scratch_new(mem_vfs_base(below), BUDGET);
    struct vfs *vfs = vfs_scratch_base(scratch);
    uint8_t bytes[SIZE_MAX_BYTES];
    struct err err;
    assert_ok(vfs_mkdir(mem_vfs_base(below), "/d", &err), &err);
    assert_ok(vfs_mkdir(mem_vfs_base(copy), "/d", &err), &err);
    assert_ok(vfs_scratch_add(scratch, "/d", &err), &err);
    for (int i = 0; i < FILES; i++) {
        memset(bytes, 'a' + i, sizeof(bytes));
        put(mem_vfs_base(below), paths[i], bytes, (size_t)i * 700);
        put(mem_vfs_base(copy), paths[i], bytes, (size_t)i * 700);
        assert_ok(vfs_scratch_add(scratch, paths[i], &err), &err);
    }
    const size_t ops = mem_vfs_op_count(below);
    for (int round = 0; round < ROUNDS; round++) {
        const char *path = paths[rng_u64(&rng) % FILES];
        const uint64_t offset = rng_u64(&rng) % (SIZE_MAX_BYTES / 2);
        const size_t n = (size_t)(rng_u64(&rng) % (SIZE_MAX_BYTES / 2));
        const unsigned kind = (unsigned)(rng_u64(&rng) % 6);
        memset(bytes, (int)(rng_u64(&rng) % 256), n);
        change(vfs, path, kind, bytes, n, offset);
        change(mem_vfs_base(copy), path, kind, bytes, n, offset);
        a_part_reads_the_same(vfs, mem_vfs_base(copy), path, rng_u64(&rng) % SIZE_MAX_BYTES, n);
        assert_same(vfs, mem_vfs_base(copy), path);
    }
    assert_int_equal(mem_vfs_op_count(below), ops);
    vfs_scratch_free(scratch);
    mem_vfs_free(copy);
    mem_vfs_free(below);
}

struct world {
    struct mem_vfs *below;
    struct vfs_scratch *scratch;
    struct vfs *vfs;
};

static int setup(void **state) {
    struct world *w = mem_zalloc(sizeof(*w));
    w->below = mem_vfs_new();
    w->scratch = vfs_scratch_new(mem_vfs_base(w->below), 100);
    w->vfs = vfs_scratch_base(w->scratch);
    assert_ok(vfs_mkdir(mem_vfs_base(w->below), "/d", NULL), NULL);
    assert_ok(vfs_scratch_add(w->scratch, "/d/", NULL), NULL);
    put(mem_vfs_base(w->below), "/d/a", "0123456789", 10);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    vfs_scratch_free(w->scratch);
    mem_vfs_free(w->below);
    mem_free(w);
    return 0;
}

static void what_was_added_stays_when_it_is_removed_or_grows_below(void **state) {
    struct world *w = *state;
    struct err err;
    struct vfs *below = mem_vfs_base(w->below);
    put(below, "/d/b", "bbb", 3);
    assert_ok(vfs_scratch_add(w->scratch, "/d/a", &err), &err);
    assert_ok(vfs_scratch_add(w->scratch, "//d//b", &err), &err);
    change(below, "/d/a", 2, (const uint8_t *)"more", 4, 10);
    assert_ok(vfs_unlink(below, "/d/b", &err), &err);
    put(below, "/d/new", "x", 1);
    assert_content(w->vfs, "/d/a", "0123456789");
    assert_content(w->vfs, "/d/b", "bbb");
    struct vfs_stat st;
    assert_err(vfs_stat(w->vfs, "/d/new", &st, &err), ERR_NOT_FOUND, "/d/new", &err);
    assert_err(vfs_scratch_add(w->scratch, "/d/none", &err), ERR_NOT_FOUND, "/d/none", &err);
}

static void space_that_was_taken_ahead_stays_empty(void **state) {
    struct world *w = *state;
    struct err err;
    struct vfs *below = mem_vfs_base(w->below);
    static uint8_t want[10000];
    memcpy(want, "0123456789", 10);
    put(below, "/d/zeros", want + 10, 5000);
    change(below, "/d/a", 1, NULL, 0, sizeof(want));
    assert_ok(vfs_scratch_add(w->scratch, "/d/a", &err), &err);
    assert_ok(vfs_scratch_end(w->scratch, "/d/a", &err), &err);
    assert_ok(vfs_scratch_add(w->scratch, "/d/zeros", &err), &err);
    assert_ok(vfs_scratch_end(w->scratch, "/d/zeros", &err), &err);
    assert_err(vfs_scratch_end(w->scratch, "/d/none", &err), ERR_NOT_FOUND, "/d/none", &err);
    change(below, "/d/a", 2, (const uint8_t *)"more", 4, 10);
    change(below, "/d/zeros", 2, (const uint8_t *)"more", 4, 0);
    char *got = NULL;
    size_t len = 0;
    assert_ok(vfs_read_file(w->vfs, "/d/a", 100000, &got, &len, &err), &err);
    assert_int_equal(len, sizeof(want));
    assert_memory_equal(got, want, len);
    mem_free(got);
    assert_ok(vfs_read_file(w->vfs, "/d/zeros", 100000, &got, &len, &err), &err);
    assert_int_equal(len, 5000);
    assert_memory_equal(got, want + 10, len);
    mem_free(got);
}

static void what_is_cut_below_reads_as_zeros(void **state) {
    struct world *w = *state;
    struct err err;
    assert_ok(vfs_scratch_add(w->scratch, "/d/a", &err), &err);
    change(mem_vfs_base(w->below), "/d/a", 0, NULL, 0, 4);
    char *got = NULL;
    size_t len = 0;
    assert_ok(vfs_read_file(w->vfs, "/d/a", 100, &got, &len, &err), &err);
    assert_int_equal(len, 10);
    assert_memory_equal(got, "0123\0\0\0\0\0", 10);
    mem_free(got);
}

static void changes_have_a_budget(void **state) {
    struct world *w = *state;
    struct err err;
    struct vfs_file *file = NULL;
    uint8_t bytes[101] = {0};
    assert_ok(vfs_scratch_add(w->scratch, "/d/a", &err), &err);
    assert_ok(vfs_open(w->vfs, "/d/a", VFS_WRITE, &file, &err), &err);
    assert_err(vfs_file_pwrite(file, bytes, 101, 10, &err), ERR_NO_SPACE, "/d/a", &err);
    assert_err(vfs_file_pwrite(file, bytes, 1, UINT64_C(1) << 60, &err), ERR_NO_SPACE, "100 bytes",
               &err);
    assert_err(vfs_file_pwrite(file, bytes, 101, 0, &err), ERR_NO_SPACE, NULL, &err);
    assert_content(w->vfs, "/d/a", "0123456789");
    assert_ok(vfs_file_allocate(file, UINT64_C(1) << 60, &err), &err); /* zeros are free */
    assert_ok(vfs_file_truncate(file, 10, &err), &err);
    assert_ok(vfs_file_pwrite(file, "abc", 3, 8, &err), &err);
    assert_content(w->vfs, "/d/a", "01234567abc");
    vfs_file_close(file);
    uint64_t left = 0;
    assert_ok(vfs_free_bytes(w->vfs, "/d", &left, &err), &err);
    assert_true(left < 100);
    assert_ok(vfs_unlink(w->vfs, "/d/a", &err), &err);
    assert_ok(vfs_free_bytes(w->vfs, "/d", &left, &err), &err);
    assert_int_equal(left, 100);
    assert_content(mem_vfs_base(w->below), "/d/a", "0123456789");
}

static void names_are_changed_here_and_not_below(void **state) {
    struct world *w = *state;
    struct err err;
    const size_t ops = mem_vfs_op_count(w->below);
    assert_ok(vfs_scratch_add(w->scratch, "/d/a", &err), &err);
    assert_ok(vfs_mkdir(w->vfs, "/d/s", &err), &err);
    put(w->vfs, "/d/s/x", "xx", 2);
    put(w->vfs, "/d/s.b", "b", 1); /* sorts between the folder and what is in it */
    assert_ok(vfs_rename(w->vfs, "/d/s", "/d/t", &err), &err);
    assert_content(w->vfs, "/d/t/x", "xx");
    assert_content(w->vfs, "/d/s.b", "b");
    assert_err(vfs_rmdir(w->vfs, "/d/t", &err), ERR_EXISTS, "not empty", &err);
    assert_err(vfs_rename(w->vfs, "/d/a", "/d/t", &err), ERR_EXISTS, "in the way", &err);
    assert_ok(vfs_rename(w->vfs, "/d/a", "/d/t/x", &err), &err);
    assert_content(w->vfs, "/d/t/x", "0123456789");
    assert_ok(vfs_rename(w->vfs, "/d/t/x", "/d/t/x", &err), &err);
    assert_err(vfs_link(w->vfs, "/d/t/x", "/d/y", &err), ERR_UNSUPPORTED, "/d/y", &err);
    vfs_scratch_forget(w->scratch, "/d/t");
    assert_ok(vfs_rmdir(w->vfs, "/d/t", &err), &err);
    assert_int_equal(mem_vfs_op_count(w->below), ops);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_read_as_those_of_a_copied_disk),
        T(what_was_added_stays_when_it_is_removed_or_grows_below),
        T(space_that_was_taken_ahead_stays_empty),
        T(what_is_cut_below_reads_as_zeros),
        T(changes_have_a_budget),
        T(names_are_changed_here_and_not_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

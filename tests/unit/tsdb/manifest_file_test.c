/* manifest_file: what was stored comes back; damage of any bit of one of the two files costs nothing and
 * is named, of both makes the number before count; after a crash at any operation the old state or the
 * new one is there, whole. */
#include "tsdb/manifest_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "manifest_fill.h"
#include "tests/support/check_err.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/mem_vfs.h"

#define FIRST "d/MANIFEST-00000002"
#define SECOND "d/MANIFEST-00000002.copy"

enum { SIZE_MAX_BYTES = 1 << 20 };

static const char *const paths[MANIFEST_FILES] = {FIRST, SECOND};

/* Numbers 1 and 2, of 4 and 5 partitions. */
struct two {
    struct mem_vfs *disk;
    struct vfs *vfs;
    struct manifest before;
    struct manifest newest;
    char *bytes[MANIFEST_FILES]; /* of the newest */
    size_t n;                    /* of each */
};

/* What a load gives. */
struct loaded {
    struct manifest said;
    struct manifest_found found;
};

static void store(struct vfs *vfs, const struct manifest *m, uint32_t number) {
    struct err err;
    bool in_doubt = true;
    assert_ok(manifest_store(vfs, "d", m, number, &in_doubt, &err), &err);
    assert_false(in_doubt);
}

static void load(struct vfs *vfs, struct loaded *out) {
    struct err err;
    manifest_init(&out->said);
    assert_ok(manifest_load(vfs, "d", &out->said, &out->found, &err), &err);
}

static void begin(struct two *t) {
    struct err err;
    size_t n = 0;
    *t = (struct two){.disk = mem_vfs_new()};
    t->vfs = mem_vfs_base(t->disk);
    assert_ok(vfs_mkdir(t->vfs, "d", &err), &err);
    manifest_test_fill(&t->before, 4);
    manifest_test_fill(&t->newest, 5);
    store(t->vfs, &t->before, 1);
    store(t->vfs, &t->newest, 2);
    for (int i = 0; i < MANIFEST_FILES; i++) {
        t->n = n;
        assert_ok(vfs_read_file(t->vfs, paths[i], SIZE_MAX_BYTES, &t->bytes[i], &n, &err), &err);
        assert_true(i == 0 || t->n == n);
    }
}

static void end(struct two *t) {
    mem_free(t->bytes[0]);
    mem_free(t->bytes[1]);
    manifest_release(&t->before);
    manifest_release(&t->newest);
    mem_vfs_free(t->disk);
}

/* All of the file. */
static void put(struct vfs *vfs, const char *path, const void *bytes, size_t n) {
    struct vfs_file *f;
    struct err err;
    assert_ok(vfs_open(vfs, path, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &f, &err), &err);
    assert_ok(vfs_file_pwrite(f, bytes, n, 0, &err), &err);
    vfs_file_close(f);
}

static void flip(struct two *t, int file, size_t bit) {
    t->bytes[file][bit / 8] = (char)(t->bytes[file][bit / 8] ^ 1 << bit % 8);
    put(t->vfs, paths[file], t->bytes[file], t->n);
}

struct named {
    const char *path;
    size_t count;
    size_t of_path;
};

static void note_damage(void *ctx, const struct err *damage) {
    struct named *n = ctx;
    char text[128]; /* as messages have it */
    (void)snprintf(text, sizeof(text), "manifest %s:", n->path);
    n->count++;
    n->of_path += strstr(damage->text, text) != NULL;
}

/* verify speaks of this file (NULL: of none), and of no other. */
static void assert_named(struct vfs *vfs, const char *path) {
    struct named n = {.path = path != NULL ? path : "-"};
    struct err err;
    assert_ok(manifest_verify(vfs, "d", note_damage, &n, &err), &err);
    assert_int_equal(n.of_path, path != NULL);
    assert_int_equal(n.count, path != NULL);
}

/* The newest counts though it lacks this file, and is whole once it was repaired. */
static void assert_costs_nothing(struct two *t, int file, bool is_there) {
    struct loaded l;
    struct err err;
    load(t->vfs, &l);
    assert_int_equal(l.found.number, 2);
    assert_false(l.found.is_damaged);
    assert_false(l.found.is_alone);
    assert_true(l.found.lacks[file]);
    assert_false(l.found.lacks[1 - file]);
    assert_same_manifest(&l.said, &t->newest);
    assert_int_equal(l.found.damage.code, is_there ? ERR_CORRUPT : ERR_OK);
    assert_named(t->vfs, is_there ? paths[file] : NULL);
    assert_ok(manifest_repair(t->vfs, "d", &l.said, &l.found, &err), &err);
    manifest_release(&l.said);
    load(t->vfs, &l);
    assert_false(l.found.lacks[0] || l.found.lacks[1]);
    assert_same_manifest(&l.said, &t->newest);
    assert_named(t->vfs, NULL);
    manifest_release(&l.said);
}

static void what_was_stored_comes_back(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct loaded l;
    struct err err;
    assert_ok(vfs_mkdir(vfs, "d", &err), &err);
    load(vfs, &l);
    assert_int_equal(l.found.number, 0);
    assert_int_equal(l.said.next_partition, 1);
    manifest_release(&l.said);
    for (uint32_t i = 1; i < 40; i++) {
        struct manifest m;
        manifest_test_fill(&m, i - 1);
        store(vfs, &m, i);
        load(vfs, &l);
        assert_int_equal(l.found.number, i);
        assert_false(l.found.is_damaged || l.found.is_alone);
        assert_false(l.found.lacks[0] || l.found.lacks[1]);
        assert_int_equal(l.found.damage.code, ERR_OK);
        assert_same_manifest(&m, &l.said);
        manifest_release(&l.said);
        manifest_release(&m);
    }
    mem_vfs_free(disk);
}

static bool count_files(void *ctx, const char *name) {
    (void)name;
    ++*(size_t *)ctx;
    return true;
}

static void the_newest_two_numbers_are_kept_and_nothing_else(void **state) {
    (void)state;
    static const char *const left[] = {"d/MANIFEST-00000001.tmp", "d/MANIFEST-00000001.copy.tmp"};
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct err err;
    struct manifest m;
    manifest_test_fill(&m, 3);
    assert_ok(vfs_mkdir(vfs, "d", &err), &err);
    for (size_t i = 0; i < COUNT_OF(left); i++) {
        put(vfs, left[i], "x", 1);
    }
    for (uint32_t i = 1; i < 10; i++) {
        store(vfs, &m, i); /* temporary files of a number that failed go with it */
        size_t files = 0;
        assert_ok(vfs_list(vfs, "d", count_files, &files, &err), &err);
        assert_int_equal(files, i == 1 ? 2 : 4);
    }
    manifest_release(&m);
    mem_vfs_free(disk);
}

static void any_flipped_bit_of_one_file_costs_nothing_and_is_named(void **state) {
    (void)state;
    struct two t;
    begin(&t);
    for (int file = 0; file < MANIFEST_FILES; file++) {
        for (size_t bit = 0; bit < t.n * 8; bit++) {
            flip(&t, file, bit);
            assert_costs_nothing(&t, file, true);
            t.bytes[file][bit / 8] = (char)(t.bytes[file][bit / 8] ^ 1 << bit % 8);
        }
    }
    end(&t);
}

static void a_file_of_any_other_length_costs_nothing(void **state) {
    (void)state;
    struct two t;
    begin(&t);
    for (int file = 0; file < MANIFEST_FILES; file++) {
        for (size_t n = 0; n < t.n; n++) {
            put(t.vfs, paths[file], t.bytes[file], n);
            assert_costs_nothing(&t, file, true);
        }
        char *longer = mem_zalloc(t.n + 1);
        memcpy(longer, t.bytes[file], t.n);
        put(t.vfs, paths[file], longer, t.n + 1);
        assert_costs_nothing(&t, file, true);
        mem_free(longer);
    }
    end(&t);
}

static void a_file_that_is_gone_costs_nothing(void **state) {
    (void)state;
    struct two t;
    struct err err;
    begin(&t);
    for (int file = 0; file < MANIFEST_FILES; file++) {
        assert_ok(vfs_unlink(t.vfs, paths[file], &err), &err);
        assert_costs_nothing(&t, file, false);
    }
    end(&t);
}

static void a_file_in_the_place_of_the_other_is_damage(void **state) {
    (void)state;
    struct two t;
    begin(&t);
    for (int file = 0; file < MANIFEST_FILES; file++) {
        put(t.vfs, paths[file], t.bytes[1 - file], t.n);
        assert_costs_nothing(&t, file, true);
    }
    end(&t);
}

/* An older program wrote the number once more without its copy. */
static void a_copy_that_says_something_else_does_not_count(void **state) {
    (void)state;
    struct two t;
    struct manifest other;
    begin(&t);
    manifest_test_fill(&other, 7);
    store(t.vfs, &other, 2);
    put(t.vfs, FIRST, t.bytes[0], t.n);
    assert_costs_nothing(&t, 1, true);
    manifest_release(&other);
    end(&t);
}

static void damage_of_both_files_makes_the_number_before_count(void **state) {
    (void)state;
    struct two t;
    struct loaded l;
    begin(&t);
    flip(&t, 0, t.n * 4);
    flip(&t, 1, t.n * 4 + 9);
    for (int gone = 0; gone < 2; gone++) { /* numbers without a copy, too */
        load(t.vfs, &l);
        assert_true(l.found.is_damaged);
        assert_int_equal(l.found.number, 2);
        assert_non_null(strstr(l.found.damage.text, FIRST));
        assert_same_manifest(&l.said, &t.before);
        manifest_release(&l.said);
        if (gone == 0) {
            assert_int_equal(vfs_unlink(t.vfs, SECOND, NULL), ERR_OK);
        }
    }
    end(&t);
}

static void the_number_before_counts_from_either_file(void **state) {
    (void)state;
    static const char *const older[] = {"d/MANIFEST-00000001", "d/MANIFEST-00000001.copy"};
    struct two t;
    struct loaded l;
    struct err err;
    begin(&t);
    put(t.vfs, FIRST, "x", 1);
    put(t.vfs, SECOND, "x", 1);
    for (size_t i = 0; i < COUNT_OF(older); i++) {
        assert_ok(vfs_unlink(t.vfs, older[i], &err), &err);
        load(t.vfs, &l);
        assert_true(l.found.is_damaged);
        if (i == 0) {
            assert_same_manifest(&l.said, &t.before);
        } else {
            assert_int_equal(l.said.partition_count, 0);
        }
        manifest_release(&l.said);
    }
    end(&t);
}

static void damage_of_any_number_is_named(void **state) {
    (void)state;
    struct two t;
    begin(&t);
    put(t.vfs, "d/MANIFEST-00000001", "x", 1);
    assert_named(t.vfs, "d/MANIFEST-00000001");
    end(&t);
}

/* Files of programs that wrote no copy. */
static void numbers_without_copies_are_read(void **state) {
    (void)state;
    struct two t;
    struct err err;
    begin(&t);
    assert_ok(vfs_unlink(t.vfs, SECOND, &err), &err);
    assert_ok(vfs_unlink(t.vfs, "d/MANIFEST-00000001.copy", &err), &err);
    assert_costs_nothing(&t, 1, false);
    store(t.vfs, &t.before, 3);
    struct loaded l;
    load(t.vfs, &l);
    assert_int_equal(l.found.number, 3);
    assert_false(l.found.lacks[0] || l.found.lacks[1]);
    manifest_release(&l.said);
    end(&t);
}

static void an_only_file_that_is_damaged_gives_an_empty_manifest(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct err err;
    struct loaded l;
    assert_ok(vfs_mkdir(vfs, "d", &err), &err);
    put(vfs, "d/MANIFEST-00000009", "", 0);
    load(vfs, &l);
    assert_true(l.found.is_damaged && l.found.is_alone);
    assert_int_equal(l.found.number, 9);
    assert_int_equal(l.said.partition_count, 0);
    manifest_release(&l.said);
    mem_vfs_free(disk);
}

static void another_version_in_either_file_is_refused(void **state) {
    (void)state;
    struct two t;
    begin(&t);
    for (int file = 0; file < MANIFEST_FILES; file++) {
        struct manifest m;
        struct manifest_found found;
        struct err err;
        uint8_t *bytes = (uint8_t *)t.bytes[file];
        bytes[8]++;
        put_u32(bytes + 28, hash_crc32c(0, bytes, 28));
        put(t.vfs, paths[file], bytes, t.n);
        manifest_init(&m);
        assert_err(manifest_load(t.vfs, "d", &m, &found, &err), ERR_UNSUPPORTED, paths[file], &err);
        store(t.vfs, &t.newest, 2);
    }
    end(&t);
}

/* Names like these are not manifests. */
static void other_names_are_left_alone(void **state) {
    (void)state;
    static const char *const names[] = {"d/MANIFEST-00000002.tmp",
                                        "d/MANIFEST-",
                                        "d/MANIFEST-7",
                                        "d/MANIFEST-0000000x",
                                        "d/MANIFEST-99999999999",
                                        "d/00000003",
                                        "d/MANIFEST-000000000007",
                                        "d/MANIFEST-00000000",
                                        "d/MANIFEST-4294967295", /* no number is next */
                                        "d/MANIFEST-00000007.copy.tmp",
                                        "d/MANIFEST-00000007.copy2",
                                        "d/MANIFEST-00000007.c",
                                        "d/MANIFEST-00000007.tmp.copy"};
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct err err;
    struct manifest m;
    struct loaded l;
    assert_ok(vfs_mkdir(vfs, "d", &err), &err);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        put(vfs, names[i], "x", 1);
    }
    manifest_test_fill(&m, 2);
    store(vfs, &m, 1);
    load(vfs, &l);
    assert_int_equal(l.found.number, 1);
    assert_false(l.found.is_damaged);
    assert_named(vfs, NULL);
    manifest_release(&l.said);
    manifest_release(&m);
    mem_vfs_free(disk);
}

static void the_last_number_is_not_stored(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct err err;
    struct manifest m;
    struct loaded l;
    bool in_doubt = true;
    assert_ok(vfs_mkdir(vfs, "d", &err), &err);
    manifest_test_fill(&m, 2);
    store(vfs, &m, UINT32_MAX - 1);
    assert_err(manifest_store(vfs, "d", &m, UINT32_MAX, &in_doubt, &err), ERR_NO_SPACE,
               "no number is left for a manifest in d", &err);
    assert_false(in_doubt);
    load(vfs, &l);
    assert_int_equal(l.found.number, UINT32_MAX - 1);
    assert_same_manifest(&l.said, &m);
    manifest_release(&l.said);
    manifest_release(&m);
    mem_vfs_free(disk);
}

static void a_file_that_cannot_be_read_is_not_damage(void **state) {
    (void)state;
    struct two t;
    struct loaded l;
    struct err err;
    begin(&t);
    struct fault_vfs *faults = fault_vfs_new(t.vfs);
    for (size_t i = 0; i < MANIFEST_FILES; i++) { /* the other one counts */
        fault_vfs_plan(faults,
                       (struct fault_plan){.ops = FAULT_OPEN, .after = i, .sys_errno = EIO});
        load(fault_vfs_base(faults), &l);
        assert_false(l.found.is_damaged);
        assert_true(l.found.lacks[i] && !l.found.lacks[1 - i]);
        assert_int_equal(l.found.damage.code, ERR_IO);
        assert_same_manifest(&l.said, &t.newest);
        manifest_release(&l.said);
    }
    flip(&t, 0, 99);
    fault_vfs_plan(faults, (struct fault_plan){.ops = FAULT_OPEN, .after = 1, .sys_errno = EIO});
    manifest_init(&l.said);
    assert_err(manifest_load(fault_vfs_base(faults), "d", &l.said, &l.found, &err), ERR_IO, SECOND,
               &err);
    assert_false(l.found.is_damaged);
    fault_vfs_free(faults);
    end(&t);
}

/* Old or new, and whole when it was repaired. */
static void check_crash(struct mem_vfs *disk, size_t op, enum mem_crash crash,
                        const struct manifest *all, uint32_t stored) {
    struct mem_vfs *after = mem_vfs_after_crash(disk, op, crash, op * 31 + crash);
    struct loaded l;
    struct err err;
    load(mem_vfs_base(after), &l);
    assert_false(l.found.is_damaged);
    assert_int_equal(l.found.damage.code, ERR_OK);
    assert_true(l.found.number >= stored);
    assert_true(l.found.number <= stored + 1);
    assert_named(mem_vfs_base(after), NULL);
    const uint32_t number = l.found.number;
    if (number != 0) {
        assert_same_manifest(&l.said, &all[number]);
        assert_ok(manifest_repair(mem_vfs_base(after), "d", &l.said, &l.found, &err), &err);
        manifest_release(&l.said);
        load(mem_vfs_base(after), &l);
        assert_int_equal(l.found.number, number);
        assert_false(l.found.lacks[0] || l.found.lacks[1]);
    }
    manifest_release(&l.said);
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
        manifest_test_fill(&all[i], i);
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

/* Whichever call fails: an error, and what a restart finds is the old one unless it is in doubt; the
 * next number is stored as if nothing had been. */
static void a_store_that_fails_leaves_the_old_one_or_doubt(void **state) {
    (void)state;
    bool was_in_doubt = false;
    for (size_t i = 0;; i++) {
        struct two t;
        struct loaded l;
        struct manifest next;
        struct err err;
        bool in_doubt = false;
        begin(&t);
        manifest_test_fill(&next, 6);
        struct fault_vfs *faults = fault_vfs_new(t.vfs);
        const unsigned ops = (FAULT_CHANGES | FAULT_OPEN) & ~(unsigned)FAULT_UNLINK;
        fault_vfs_plan(faults, (struct fault_plan){.ops = ops, .after = i, .sys_errno = EIO});
        const enum err_code code =
            manifest_store(fault_vfs_base(faults), "d", &next, 3, &in_doubt, &err);
        const bool failed = fault_vfs_failures(faults) != 0;
        assert_int_equal(code, failed ? ERR_IO : ERR_OK);
        assert_true(!failed || strstr(err.text, "writing manifest d/MANIFEST-00000003") != NULL);
        fault_vfs_free(faults);
        load(t.vfs, &l);
        assert_true(in_doubt || !failed || l.found.number == 2);
        assert_same_manifest(&l.said, l.found.number == 2 ? &t.newest : &next);
        was_in_doubt |= in_doubt;
        manifest_release(&l.said);
        store(t.vfs, &next, 4);
        size_t files = 0;
        assert_ok(vfs_list(t.vfs, "d", count_files, &files, &err), &err);
        assert_true(files <= 4);
        manifest_release(&next);
        end(&t);
        if (!failed) {
            break;
        }
    }
    assert_true(was_in_doubt);
}

/* Of any size: both files, or none. */
static void a_full_disk_is_an_error_and_leaves_the_old_one(void **state) {
    (void)state;
    struct two t;
    begin(&t);
    for (size_t room = 0; room < 2 * t.n; room += 7) {
        struct loaded l;
        struct err err;
        bool in_doubt = true;
        mem_vfs_set_capacity(t.disk, 4 * t.n + room);
        manifest_test_fill(&l.said, 12);
        assert_err(manifest_store(t.vfs, "d", &l.said, 3, &in_doubt, &err), ERR_NO_SPACE,
                   "MANIFEST-00000003", &err);
        manifest_release(&l.said);
        assert_false(in_doubt);
        load(t.vfs, &l);
        assert_int_equal(l.found.number, 2);
        assert_false(l.found.lacks[0] || l.found.lacks[1]);
        assert_same_manifest(&l.said, &t.newest);
        manifest_release(&l.said);
    }
    end(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_stored_comes_back),
        cmocka_unit_test(the_newest_two_numbers_are_kept_and_nothing_else),
        cmocka_unit_test(any_flipped_bit_of_one_file_costs_nothing_and_is_named),
        cmocka_unit_test(a_file_of_any_other_length_costs_nothing),
        cmocka_unit_test(a_file_that_is_gone_costs_nothing),
        cmocka_unit_test(a_file_in_the_place_of_the_other_is_damage),
        cmocka_unit_test(a_copy_that_says_something_else_does_not_count),
        cmocka_unit_test(damage_of_both_files_makes_the_number_before_count),
        cmocka_unit_test(the_number_before_counts_from_either_file),
        cmocka_unit_test(damage_of_any_number_is_named),
        cmocka_unit_test(numbers_without_copies_are_read),
        cmocka_unit_test(an_only_file_that_is_damaged_gives_an_empty_manifest),
        cmocka_unit_test(another_version_in_either_file_is_refused),
        cmocka_unit_test(other_names_are_left_alone),
        cmocka_unit_test(the_last_number_is_not_stored),
        cmocka_unit_test(a_file_that_cannot_be_read_is_not_damage),
        cmocka_unit_test(a_crash_leaves_the_old_or_the_new_manifest),
        cmocka_unit_test(a_store_that_fails_leaves_the_old_one_or_doubt),
        cmocka_unit_test(a_full_disk_is_an_error_and_leaves_the_old_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

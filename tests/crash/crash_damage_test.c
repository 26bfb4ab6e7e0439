/* Damage of every kind to every file of a directory.
 *
 * Bits flip, files are cut, extended, zeroed, deleted, doubled, pages of 4 KiB are swapped within a
 * file and between files. The database must open and give no sample that was not written; `verify`
 * must find what costs samples and name the file; what is lost is bounded by what was damaged.
 *
 * DAMAGE_STRIDE=1 flips every byte, the default is every 97th. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "crash_world.h"
#include "tests/support/check_err.h"
#include "tsdb/verify.h"

enum { FILES_MAX = 128, PAGE = 4096 };

struct file {
    char path[160];
    uint8_t *bytes;
    size_t size;
    size_t used; /* zeros behind were taken ahead */
};

struct files {
    struct vfs *vfs;
    struct file items[FILES_MAX];
    size_t count;
    char dir[160];
};

static struct crash_world world;
static struct files files;

static bool take(void *ctx, const char *name) {
    struct files *all = ctx;
    struct file *f = &all->items[all->count];
    struct vfs_stat st;
    char path[320];
    (void)snprintf(path, sizeof(path), "%s/%s", all->dir, name);
    assert_int_equal(vfs_stat(all->vfs, path, &st, NULL), ERR_OK);
    if (st.is_dir) {
        char dir[160];
        memcpy(dir, all->dir, sizeof(dir));
        (void)snprintf(all->dir, sizeof(all->dir), "%.150s", path);
        assert_int_equal(vfs_list(all->vfs, path, take, all, NULL), ERR_OK);
        memcpy(all->dir, dir, sizeof(dir));
    } else if (st.size_bytes != 0) {
        char *bytes = NULL;
        assert_true(all->count < FILES_MAX);
        (void)snprintf(f->path, sizeof(f->path), "%.150s", path);
        assert_int_equal(vfs_read_file(all->vfs, path, 1 << 24, &bytes, &f->size, NULL), ERR_OK);
        f->bytes = (uint8_t *)bytes;
        for (size_t i = 0; i < f->size; i++) {
            f->used = f->bytes[i] != 0 ? i + 1 : f->used;
        }
        all->count++;
    }
    return true;
}

static int set_up(void **state) {
    (void)state;
    crash_world_write(&world);
    files = (struct files){.vfs = mem_vfs_base(world.disk), .dir = "db"};
    assert_int_equal(vfs_list(files.vfs, "db", take, &files, NULL), ERR_OK);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    for (size_t i = 0; i < files.count; i++) {
        mem_free(files.items[i].bytes);
    }
    crash_world_release(&world);
    return 0;
}

static struct mem_vfs *copy_disk(void) {
    return mem_vfs_after_crash(world.disk, mem_vfs_op_count(world.disk), MEM_CRASH_KEEP, 0);
}

static void put(struct mem_vfs *disk, const char *path, size_t offset, const void *bytes,
                size_t n) {
    struct vfs_file *f;
    struct err err;
    assert_ok(vfs_open(mem_vfs_base(disk), path, VFS_WRITE | VFS_CREATE, &f, &err), &err);
    assert_ok(vfs_file_pwrite(f, bytes, n, offset, &err), &err);
    vfs_file_close(f);
}

static void cut(struct mem_vfs *disk, const char *path, size_t size) {
    struct vfs_file *f;
    struct err err;
    assert_ok(vfs_open(mem_vfs_base(disk), path, VFS_WRITE, &f, &err), &err);
    assert_ok(vfs_file_truncate(f, size, &err), &err);
    vfs_file_close(f);
}

struct named {
    const char *path;
    bool found;
    size_t count;
};

static void note_finding(void *ctx, const struct verify_finding *f) {
    struct named *named = ctx;
    named->count++;
    named->found |= strstr(f->path, named->path) != NULL || strstr(f->text, named->path) != NULL;
}

/* Opens the disk, frees it. Returns the samples that are left; *out_named: verify spoke of the file,
 * *out_unfinished: of an unfinished end. */
static size_t survive(struct mem_vfs *disk, const char *path, bool *out_named,
                      bool *out_unfinished) {
    struct named named = {.path = path};
    struct verify_result result;
    struct crash_found found;
    struct err err;
    const size_t ops = mem_vfs_op_count(disk);
    const enum err_code code =
        verify_database(mem_vfs_base(disk), "db", note_finding, &named, &result, &err);
    assert_true(code == ERR_OK || code == ERR_UNSUPPORTED);
    *out_named = named.found;
    *out_unfinished = result.unfinished_bytes != 0 || code == ERR_UNSUPPORTED;
    for (size_t i = ops; i < mem_vfs_op_count(disk); i++) { /* it changes nothing */
        struct buf text;
        buf_init(&text, 4096);
        mem_vfs_describe_op(disk, i, &text);
        assert_non_null(strstr(buf_str(&text).ptr, "sync"));
        buf_release(&text);
    }
    crash_open_and_read(&world, mem_vfs_base(disk), &found, NULL);
    mem_vfs_free(disk);
    return found.samples;
}

static void an_intact_directory_has_no_findings(void **state) {
    (void)state;
    bool named;
    bool unfinished;
    assert_int_equal(survive(copy_disk(), "", &named, &unfinished), CRASH_SAMPLES);
    assert_false(named);
    assert_false(unfinished);
}

static void a_flipped_bit_costs_little_and_is_named(void **state) {
    (void)state;
    const char *stride_text = getenv("DAMAGE_STRIDE");
    const size_t stride = stride_text != NULL ? (size_t)atoi(stride_text) : 97;
    size_t flips = 0;
    size_t unnamed = 0;
    for (size_t i = 0; i < files.count; i++) {
        const struct file *f = &files.items[i];
        size_t least = CRASH_SAMPLES;
        for (size_t at = i % stride; at < f->used; at += stride, flips++) {
            const uint8_t byte = f->bytes[at] ^ (uint8_t)(1U << (at + flips) % 8);
            struct mem_vfs *disk = copy_disk();
            bool named;
            bool unfinished;
            put(disk, f->path, at, &byte, 1);
            const size_t left = survive(disk, f->path, &named, &unfinished);
            if (!named && !unfinished) {
                print_message("%s at %zu: %zu samples left, and no word of it\n", f->path, at,
                              left);
                unnamed++;
            }
            least = left < least ? left : least;
        }
        print_message("%s: %zu bytes, at least %zu of %d samples left\n", f->path, f->used, least,
                      CRASH_SAMPLES);
    }
    print_message("%zu flips\n", flips);
    assert_int_equal(unnamed, 0);
}

static void files_may_be_cut_extended_zeroed_and_deleted(void **state) {
    (void)state;
    static const uint8_t zeros[PAGE];
    uint8_t noise[PAGE];
    memset(noise, 0xa5, sizeof(noise));
    bool named;
    bool unfinished;
    for (size_t i = 0; i < files.count; i++) {
        const struct file *f = &files.items[i];
        const size_t cuts[] = {0, 1, 31, 32, f->used / 3, f->used / 2, f->used - 1};
        for (size_t k = 0; k < COUNT_OF(cuts); k++) {
            struct mem_vfs *disk = copy_disk();
            cut(disk, f->path, cuts[k]);
            (void)survive(disk, f->path, &named, &unfinished);
        }
        struct mem_vfs *disk = copy_disk();
        put(disk, f->path, f->size, noise, sizeof(noise));
        (void)survive(disk, f->path, &named, &unfinished);
        assert_true(named || unfinished);
        disk = copy_disk();
        put(disk, f->path, f->size, zeros, sizeof(zeros));
        const size_t left = survive(disk, f->path, &named, &unfinished);
        if (strstr(f->path, "/partitions/") == NULL) {
            assert_int_equal(left, CRASH_SAMPLES); /* space that was taken ahead */
        } else {
            assert_true(left == CRASH_SAMPLES || named);
        }
        disk = copy_disk();
        put(disk, f->path, f->used / 2, zeros, f->used - f->used / 2 < PAGE ? 64 : PAGE);
        (void)survive(disk, f->path, &named, &unfinished);
        disk = copy_disk();
        assert_int_equal(vfs_unlink(mem_vfs_base(disk), f->path, NULL), ERR_OK);
        (void)survive(disk, f->path, &named, &unfinished);
    }
}

static void pages_may_be_swapped_and_files_doubled(void **state) {
    (void)state;
    bool named;
    bool unfinished;
    for (size_t i = 0; i < files.count; i++) {
        const struct file *f = &files.items[i];
        const struct file *other = &files.items[(i + 1) % files.count];
        const size_t half = f->used / 2 < PAGE ? f->used / 2 : PAGE;
        struct mem_vfs *disk = copy_disk(); /* two halves change places */
        put(disk, f->path, 0, f->bytes + half, half);
        put(disk, f->path, half, f->bytes, half);
        (void)survive(disk, f->path, &named, &unfinished);
        assert_true(named || unfinished);
        disk = copy_disk(); /* a write that went to another file */
        put(disk, f->path, f->used / 3, other->bytes, other->used < PAGE ? other->used : PAGE);
        (void)survive(disk, f->path, &named, &unfinished);
        disk = copy_disk(); /* the file once more, with the next numbers */
        for (unsigned number = 50; number < 52; number++) {
            char path[170];
            (void)snprintf(path, sizeof(path), "%.*s%08u", (int)strlen(f->path) - 8, f->path,
                           number);
            put(disk, path, 0, f->bytes, f->size);
        }
        (void)survive(disk, f->path, &named, &unfinished);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_intact_directory_has_no_findings),
        cmocka_unit_test(a_flipped_bit_costs_little_and_is_named),
        cmocka_unit_test(files_may_be_cut_extended_zeroed_and_deleted),
        cmocka_unit_test(pages_may_be_swapped_and_files_doubled),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

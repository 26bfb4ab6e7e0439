/* Damage of every kind to every file of a directory.
 *
 * Bits flip, files are cut, extended, zeroed, deleted, doubled, pages of 4 KiB are swapped within a
 * file and between files. The database must open and give no sample that was not written or was
 * deleted; what is lost is bounded by what was damaged (damage_kinds.h); `verify` must speak of what
 * was flipped. Who only reads the directory changes nothing and gets the same.
 *
 * DAMAGE_STRIDE=1 flips every byte, the default is every 97th and at least 16 of a file. ctest runs it in
 * parts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "damage_kinds.h"
#include "damage_world.h"
#include "tests/support/check_err.h"
#include "tests/support/test_part.h"
#include "tsdb/verify.h"

enum {
    FILES_MAX = 160,
    PATH_BYTES = 192,
    PAGE = 4096,
    STRIDE = 97,
    FLIPS_MIN = 16,
    KINDS_MAX = 64
};

struct file {
    char path[PATH_BYTES];
    uint8_t *bytes;
    size_t size;
    size_t used; /* zeros behind were taken ahead */
    const struct damage_kind *kind;
    int64_t start; /* of the partition that it is part of */
    int64_t end;
};

/* A database and its files. */
struct files {
    struct vfs *vfs;
    const char *root;
    struct file items[FILES_MAX];
    size_t count;
    char dir[PATH_BYTES];
    int64_t head_ms; /* what is before is in partitions */
    bool kinds[KINDS_MAX];
};

static struct damage_world world;
static struct damage_found expected;
static struct files files;
static struct files copied; /* of the snapshot */
static size_t damaged_at;   /* where a byte is changed, for messages */

/* ---- the files ---- */

static void classify(struct files *all, struct file *f) {
    const char *path = f->path + strlen(all->root) + 1;
    for (size_t i = 0; i < damage_kind_count; i++) {
        if (damage_kind_has(&damage_kinds[i], path, f->bytes, f->used)) {
            f->kind = f->kind != NULL ? f->kind : &damage_kinds[i];
            all->kinds[i] = true;
        }
    }
    if (f->kind == NULL) {
        print_message("%s is of no kind that is known\n", f->path);
    }
    assert_non_null(f->kind);
}

static void take_file(struct files *all, const char *path) {
    struct file *f = &all->items[all->count];
    char *bytes = NULL;
    assert_true(all->count < FILES_MAX);
    (void)snprintf(f->path, sizeof(f->path), "%.190s", path);
    assert_int_equal(vfs_read_file(all->vfs, path, 1 << 24, &bytes, &f->size, NULL), ERR_OK);
    f->bytes = (uint8_t *)bytes;
    for (size_t i = 0; i < f->size; i++) {
        f->used = f->bytes[i] != 0 ? i + 1 : f->used;
    }
    classify(all, f);
    all->count++;
}

static bool take(void *ctx, const char *name) {
    struct files *all = ctx;
    struct vfs_stat st;
    char path[2 * PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/%s", all->dir, name);
    assert_int_equal(vfs_stat(all->vfs, path, &st, NULL), ERR_OK);
    assert_true(strlen(path) < PATH_BYTES);
    if (!st.is_dir) {
        take_file(all, path);
    } else if (strcmp(name, "snapshots") == 0) {
        for (size_t i = 0; i < damage_kind_count; i++) { /* it has files of its own */
            all->kinds[i] |= strcmp(damage_kinds[i].path, "snapshots/<name>/") == 0;
        }
    } else {
        char dir[PATH_BYTES];
        memcpy(dir, all->dir, sizeof(dir));
        (void)snprintf(all->dir, sizeof(all->dir), "%.190s", path);
        assert_int_equal(vfs_list(all->vfs, path, take, all, NULL), ERR_OK);
        memcpy(all->dir, dir, sizeof(dir));
    }
    return true;
}

/* Both files of a partition are of its window. */
static void note_windows(struct files *all) {
    for (size_t i = 0; i < all->count; i++) {
        struct file *f = &all->items[i];
        const char *name = strrchr(f->path, '/');
        if (strcmp(name, "/index") != 0) {
            continue;
        }
        assert_true(damage_partition_window(f->bytes, f->size, &f->start, &f->end));
        all->head_ms = f->end > all->head_ms ? f->end : all->head_ms;
        for (size_t k = 0; k < all->count; k++) {
            struct file *other = &all->items[k];
            if (strncmp(other->path, f->path, (size_t)(name - f->path) + 1) == 0) {
                other->start = f->start;
                other->end = f->end;
            }
        }
    }
}

static void take_files(struct files *all, const char *root) {
    *all = (struct files){.vfs = mem_vfs_base(world.disk), .root = root};
    (void)snprintf(all->dir, sizeof(all->dir), "%s", root);
    assert_int_equal(vfs_list(all->vfs, root, take, all, NULL), ERR_OK);
    note_windows(all);
}

static int set_up(void **state) {
    (void)state;
    assert_true(damage_kind_count <= KINDS_MAX);
    damage_world_write(&world);
    damage_expected(&expected);
    take_files(&files, "db");
    take_files(&copied, world.snapshot);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    struct files *both[] = {&files, &copied};
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < both[k]->count; i++) {
            mem_free(both[k]->items[i].bytes);
        }
    }
    damage_world_release(&world);
    return 0;
}

/* ---- damage ---- */

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

/* ---- what comes of it ---- */

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

struct outcome {
    bool named;      /* verify spoke of the file */
    bool unfinished; /* or of an unfinished end */
    size_t findings;
    struct damage_found found;
};

/* A sync of what is there changes nothing. */
static void no_changes_since(struct mem_vfs *disk, size_t ops) {
    for (size_t i = ops; i < mem_vfs_op_count(disk); i++) {
        struct buf text;
        buf_init(&text, 4096);
        mem_vfs_describe_op(disk, i, &text);
        if (strstr(buf_str(&text).ptr, ": sync") == NULL) {
            print_message("a change: %s\n", buf_str(&text).ptr);
            fail();
        }
        buf_release(&text);
    }
}

/* Verifies, reads without changing anything, opens; frees the disk. False: the damage is in a version. */
static bool survive(const struct files *all, struct mem_vfs *disk, const char *path,
                    struct outcome *out) {
    struct named named = {.path = path};
    struct verify_result result;
    struct damage_found only_read;
    struct err err;
    const size_t ops = mem_vfs_op_count(disk);
    const enum err_code code =
        verify_database(mem_vfs_base(disk), all->root, note_finding, &named, &result, &err);
    assert_true(code == ERR_OK || code == ERR_UNSUPPORTED);
    const bool refused = code == ERR_UNSUPPORTED;
    *out = (struct outcome){.named = named.found || refused,
                            .unfinished = !refused && result.unfinished_bytes != 0,
                            .findings = named.count};
    const bool is_read = damage_read(&world, mem_vfs_base(disk), all->root, true, &only_read);
    no_changes_since(disk, ops);
    const bool is_open = damage_read(&world, mem_vfs_base(disk), all->root, false, &out->found);
    assert_int_equal(is_read, is_open);
    if (is_open) {
        assert_memory_equal(&only_read, &out->found, sizeof(only_read));
    }
    mem_vfs_free(disk);
    return is_open;
}

static bool may_miss(const struct files *all, const struct file *f, enum damage_loss loss,
                     int row) {
    const int64_t ts = damage_row_ms(row);
    switch (loss) {
    case LOSS_ROWS:
    case LOSS_HEAD:
        return ts >= all->head_ms;
    case LOSS_PARTITION:
        return ts >= f->start && ts < f->end;
    case LOSS_NONE:
    case LOSS_NOTE:
    case LOSS_NOTES:
        break;
    }
    return false;
}

/* Rows of a job with a sample that is missing, all of which may be. */
static size_t missing_rows(const struct files *all, const struct file *f, enum damage_loss loss,
                           const struct damage_found *found, int first, int end) {
    size_t count = 0;
    for (int row = 0; row < DAMAGE_ROWS; row++) {
        bool misses = false;
        for (int series = first; series < end; series++) {
            const bool missing = expected.rows[series][row] && !found->rows[series][row];
            if (missing && !may_miss(all, f, loss, row)) {
                print_message("%s, damaged at %zu: row %d of series %d is lost\n", f->path,
                              damaged_at, row, series);
                fail();
            }
            misses |= missing;
        }
        count += misses;
    }
    return count;
}

static void check_loss(const struct files *all, const struct file *f, enum damage_loss loss,
                       const struct damage_found *found) {
    const size_t scraped = missing_rows(all, f, loss, found, 0, DAMAGE_SCRAPED);
    const size_t pushed = missing_rows(all, f, loss, found, DAMAGE_SCRAPED, DAMAGE_SERIES);
    const size_t notes =
        expected.exemplars - found->exemplars + (expected.families - found->families);
    if (loss == LOSS_ROWS) {
        assert_true((scraped == 0 || pushed == 0) && scraped + pushed <= 64);
    }
    assert_true(notes == 0 || (loss == LOSS_NOTE && notes == 1) || loss == LOSS_NOTES);
}

static void check_file_damage(const struct files *all, struct mem_vfs *disk, const struct file *f,
                              struct outcome *out) {
    if (survive(all, disk, f->path, out)) {
        check_loss(all, f, f->kind->whole, &out->found);
    }
    assert_true(f->kind->verified || out->findings == 0);
}

/* ---- tests ---- */

static void every_kind_of_file_is_there(void **state) {
    (void)state;
    for (size_t i = 0; i < damage_kind_count; i++) {
        if (!files.kinds[i]) {
            print_message("no file is %s, %s\n", damage_kinds[i].path, damage_kinds[i].variant);
        }
        assert_true(files.kinds[i]);
    }
}

static bool is_kind(const char *path, size_t n) {
    for (size_t i = 0; i < damage_kind_count; i++) {
        if (strlen(damage_kinds[i].path) == n && memcmp(damage_kinds[i].path, path, n) == 0) {
            return true;
        }
    }
    print_message("FORMAT.md has %.*s, the table of kinds has not\n", (int)n, path);
    return false;
}

/* The paths in backticks in the first column of its table; a new one wants damage of its own. */
static void the_kinds_are_those_of_the_format(void **state) {
    (void)state;
    char *text = NULL;
    size_t size = 0;
    struct err err;
    size_t documented = 0;
    size_t distinct = 0;
    assert_ok(vfs_read_file(vfs_system(), "tsdb/FORMAT.md", 1 << 20, &text, &size, &err), &err);
    const char *end = strstr(text, "\n## 1.");
    assert_non_null(end);
    for (const char *line = strstr(text, "\n| `"); line != NULL && line < end;
         line = strstr(line + 1, "\n| `")) {
        const char *cell_end = strchr(line + 3, '|');
        const char *at = strchr(line, '`');
        while (at != NULL && at < cell_end) {
            const char *close = strchr(at + 1, '`');
            assert_true(is_kind(at + 1, (size_t)(close - at - 1)));
            documented++;
            at = strchr(close + 1, '`');
        }
    }
    for (size_t i = 0; i < damage_kind_count; i++) {
        distinct += i == 0 || strcmp(damage_kinds[i].path, damage_kinds[i - 1].path) != 0;
    }
    assert_int_equal(documented, distinct);
    mem_free(text);
}

static void an_intact_directory_has_no_findings(void **state) {
    (void)state;
    const struct files *both[] = {&files, &copied};
    for (size_t i = 0; i < 2; i++) {
        struct outcome out;
        assert_true(survive(both[i], copy_disk(), "", &out));
        assert_memory_equal(&out.found, &expected, sizeof(expected));
        assert_int_equal(out.findings, 0);
        assert_false(out.unfinished);
    }
}

static size_t stride_of(const struct file *f) {
    const char *text = getenv("DAMAGE_STRIDE");
    const size_t stride = text != NULL ? (size_t)atoi(text) : STRIDE;
    const size_t most = f->used / FLIPS_MIN + 1;
    assert_true(stride != 0);
    return stride < most ? stride : most;
}

/* Returns false when verify has no word of it. */
static bool check_flip(const struct files *all, const struct file *f, size_t at, uint8_t bit) {
    const uint8_t byte = f->bytes[at] ^ bit;
    struct mem_vfs *disk = copy_disk();
    struct outcome out;
    put(disk, f->path, at, &byte, 1);
    damaged_at = at;
    if (survive(all, disk, f->path, &out)) {
        check_loss(all, f, f->kind->flip, &out.found);
    }
    if (!f->kind->verified) {
        assert_int_equal(out.findings, 0);
        return true;
    }
    if (!out.named && !out.unfinished) {
        print_message("%s: no word of a change at %zu\n", f->path, at);
    }
    return out.named || out.unfinished;
}

static void flip_all(const struct files *all, struct test_part *part, size_t every) {
    size_t flips = 0;
    size_t unnamed = 0;
    for (size_t i = 0; i < all->count; i++) {
        const struct file *f = &all->items[i];
        const size_t stride = stride_of(f) * every;
        for (size_t at = i % stride; at < f->used; at += stride, flips++) {
            if (test_part_has(part, flips)) {
                unnamed += !check_flip(all, f, at, (uint8_t)(1U << (at + flips) % 8));
            }
        }
    }
    print_message("%zu flips in %zu files of %s\n", flips, all->count, all->root);
    assert_int_equal(unnamed, 0);
}

static void a_flipped_bit_costs_little_and_is_named(void **state) {
    flip_all(&files, *state, 1);
}

static void a_snapshot_takes_damage_as_well(void **state) {
    flip_all(&copied, *state, 4);
}

static void check_sizes(const struct file *f) {
    static const uint8_t zeros[PAGE];
    const size_t cuts[] = {0, 1, 31, 32, f->used / 3, f->used / 2, f->used - (f->used != 0)};
    uint8_t noise[PAGE];
    struct outcome out;
    memset(noise, 0xa5, sizeof(noise));
    for (size_t k = 0; k < COUNT_OF(cuts); k++) {
        struct mem_vfs *disk = copy_disk();
        cut(disk, f->path, cuts[k] < f->used ? cuts[k] : f->used);
        check_file_damage(&files, disk, f, &out);
    }
    struct mem_vfs *disk = copy_disk();
    put(disk, f->path, f->size, noise, sizeof(noise));
    check_file_damage(&files, disk, f, &out);
    assert_true(out.named || out.unfinished || !f->kind->verified);
    disk = copy_disk();
    put(disk, f->path, f->size, zeros, sizeof(zeros));
    check_file_damage(&files, disk, f, &out);
    if (f->start == f->end) { /* space that was taken ahead */
        assert_int_equal(out.found.samples, expected.samples);
    }
    disk = copy_disk();
    put(disk, f->path, f->used / 2, zeros, f->used - f->used / 2 < PAGE ? 64 : PAGE);
    check_file_damage(&files, disk, f, &out);
    disk = copy_disk();
    assert_int_equal(vfs_unlink(mem_vfs_base(disk), f->path, NULL), ERR_OK);
    check_file_damage(&files, disk, f, &out);
}

static void files_may_be_cut_extended_zeroed_and_deleted(void **state) {
    for (size_t i = 0; i < files.count; i++) {
        if (test_part_has(*state, i)) {
            check_sizes(&files.items[i]);
        }
    }
}

/* The file once more, with the next numbers, or in the folder of another partition. */
static void double_file(struct mem_vfs *disk, const struct file *f) {
    const char *name = strrchr(f->path, '/') + 1;
    char path[PATH_BYTES];
    if (f->start != f->end) {
        struct err err;
        (void)snprintf(path, sizeof(path), "%s/partitions/00000050", files.root);
        assert_ok(vfs_mkdir(mem_vfs_base(disk), path, &err), &err);
        (void)snprintf(path, sizeof(path), "%s/partitions/00000050/%s", files.root, name);
        put(disk, path, 0, f->bytes, f->size);
        return;
    }
    const char *suffix = strstr(name, ".copy") != NULL ? ".copy" : "";
    const int front = (int)(strlen(f->path) - strlen(suffix)) - 8;
    for (unsigned number = 50; number < 52 && strlen(name) >= 8; number++) {
        (void)snprintf(path, sizeof(path), "%.*s%08u%s", front, f->path, number, suffix);
        put(disk, path, 0, f->bytes, f->size);
    }
}

static void check_places(const struct file *f, const struct file *other) {
    const size_t half = f->used / 2 < PAGE ? f->used / 2 : PAGE;
    struct outcome out;
    struct mem_vfs *disk = copy_disk(); /* two halves change places */
    put(disk, f->path, 0, f->bytes + half, half);
    put(disk, f->path, half, f->bytes, half);
    check_file_damage(&files, disk, f, &out);
    assert_true(out.named || out.unfinished || !f->kind->verified);
    disk = copy_disk(); /* a write that went to another file */
    put(disk, f->path, f->used / 3, other->bytes, other->used < PAGE ? other->used : PAGE);
    check_file_damage(&files, disk, f, &out);
    disk = copy_disk(); /* the other file in its place */
    cut(disk, f->path, 0);
    put(disk, f->path, 0, other->bytes, other->size);
    check_file_damage(&files, disk, f, &out);
    disk = copy_disk();
    double_file(disk, f);
    check_file_damage(&files, disk, f, &out);
}

static void pages_may_be_swapped_and_files_doubled(void **state) {
    for (size_t i = 0; i < files.count; i++) {
        if (files.items[i].used != 0 && test_part_has(*state, i)) {
            check_places(&files.items[i], &files.items[(i + 1) % files.count]);
        }
    }
}

static void partitions_are_taken_as_they_are_when_all_manifests_are_gone(void **state) {
    (void)state;
    struct mem_vfs *disk = copy_disk();
    struct outcome out;
    size_t gone = 0;
    for (size_t i = 0; i < files.count; i++) {
        if (strstr(files.items[i].path, "/MANIFEST-") != NULL) {
            assert_int_equal(vfs_unlink(mem_vfs_base(disk), files.items[i].path, NULL), ERR_OK);
            gone++;
        }
    }
    assert_int_equal(gone, 4);
    assert_true(survive(&files, disk, "MANIFEST", &out));
    assert_memory_equal(&out.found, &expected, sizeof(expected));
}

int main(int argc, char **argv) {
    struct test_part part = test_part_of(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_file_is_there),
        cmocka_unit_test(the_kinds_are_those_of_the_format),
        cmocka_unit_test(an_intact_directory_has_no_findings),
        cmocka_unit_test(partitions_are_taken_as_they_are_when_all_manifests_are_gone),
        cmocka_unit_test_prestate(a_flipped_bit_costs_little_and_is_named, &part),
        cmocka_unit_test_prestate(a_snapshot_takes_damage_as_well, &part),
        cmocka_unit_test_prestate(files_may_be_cut_extended_zeroed_and_deleted, &part),
        cmocka_unit_test_prestate(pages_may_be_swapped_and_files_doubled, &part),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

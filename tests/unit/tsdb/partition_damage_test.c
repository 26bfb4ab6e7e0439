/* A partition with a byte that is not what was written, or without its end: what is read is right or
 * missing, and the damage is named. Each byte of both files is damaged in turn (strided for large ones).
 * ctest runs that in several parts. */
#include <string.h>

#include "tests/support/check_err.h"
#include "tests/support/test_part.h"
#include "tests/support/thread_check.h"
#include "tests/unit/tsdb/partition_world.h"

static void xor_byte(struct partition_world *w, const char *path, uint64_t offset, uint8_t bits) {
    struct err err;
    struct vfs_file *f;
    uint8_t byte;
    assert_ok(vfs_open(w->vfs, path, VFS_WRITE, &f, &err), &err);
    assert_ok(vfs_file_pread(f, &byte, 1, offset, NULL, &err), &err);
    byte ^= bits;
    assert_ok(vfs_file_pwrite(f, &byte, 1, offset, &err), &err);
    vfs_file_close(f);
}

static void on_damage(void *ctx, const struct err *err) {
    struct partition_world *w = ctx;
    assert_non_null(strstr(err->text, "/part/"));
    assert_non_null(strstr(err->text, "offset"));
    w->damage_count++;
}

/* Reads all there is; no value may differ. Returns how many samples are missing. */
static uint64_t read_damaged(struct partition_world *w, struct partition *p) {
    struct err err;
    struct arena arena;
    struct partition_hit *hits;
    size_t count = 0;
    uint64_t seen = 0;
    arena_init(&arena, 0);
    if (partition_select(p, NULL, 0, INT64_MIN, INT64_MAX, &arena, NULL, &hits, &count, &err) ==
        ERR_OK) {
        uint32_t *numbers = arena_alloc(&arena, (count + 1) * sizeof(*numbers));
        struct storage_samples *got = arena_alloc(&arena, (count + 1) * sizeof(*got));
        for (size_t i = 0; i < count; i++) {
            numbers[i] = hits[i].series;
        }
        assert_ok(partition_read(p, numbers, count, INT64_MIN, INT64_MAX, &arena, NULL, got, &err),
                  &err);
        for (size_t i = 0; i < count; i++) {
            struct world_sample *want;
            const struct world_series *s = &w->series[numbers[i]];
            const size_t n = world_samples(w, s, INT64_MIN, INT64_MAX, &arena, &want);
            assert_true(got[i].count == 0 || world_same_samples(want, n, &got[i]));
            seen += got[i].count;
        }
    } else {
        assert_non_null(strstr(err.text, "offset"));
    }
    arena_release(&arena);
    return w->samples - seen;
}

static void check_flip(struct partition_world *w, const char *path, uint64_t offset) {
    struct err err;
    struct partition *p;
    const struct partition_options options = {
        .vfs = w->vfs, .dir = "/part", .cache = w->cache, .damage = on_damage, .damage_ctx = w};
    xor_byte(w, path, offset, (uint8_t)(1U << offset % 8));
    w->damage_count = 0;
    const enum err_code code = partition_open(&options, &p, &err);
    if (code != ERR_OK) {
        assert_true(code == ERR_CORRUPT || code == ERR_UNSUPPORTED);
        assert_non_null(strstr(err.text, "/part"));
    } else {
        const uint64_t missing = read_damaged(w, p);
        assert_true(missing == 0 || w->damage_count != 0);
        const size_t before = w->damage_count;
        assert_int_equal(read_damaged(w, p), missing);
        assert_int_equal(w->damage_count, before); /* once per place */
        uint64_t damaged = 0;
        assert_ok(partition_verify(p, NULL, &damaged, &err), &err);
        assert_true(damaged != 0);
        partition_close(p);
    }
    xor_byte(w, path, offset, (uint8_t)(1U << offset % 8));
}

static void a_flipped_bit_is_named_and_gives_no_wrong_value(void **state) {
    size_t flips = 0;
    for (int round = 0; round < 5; round++) {
        const bool small = round % 2 == 0;
        struct partition_world w;
        partition_world_init(&w, &(struct world_options){.seed = 41 + (uint64_t)round,
                                                         .targets = small ? 1 : 20,
                                                         .metrics = small ? 5 : 12,
                                                         .rows_max = small ? 40 : 4000,
                                                         .pack = round == 2 || round == 3,
                                                         .plain_index = round == 0});
        const uint64_t least = THREAD_CHECK ? 50 : 1;
        const uint64_t index_step = small ? least : w.info.index_bytes / 100 * least + 1;
        const uint64_t data_step = small ? least : w.info.data_bytes / 100 * least + 1;
        for (uint64_t i = 0; i < w.info.index_bytes && round != 2 && round != 3; i += index_step) {
            if (test_part_has(*state, flips++)) {
                check_flip(&w, "/part/index", i);
            }
        }
        for (uint64_t i = 0; i < w.info.data_bytes && round < 4; i += data_step) {
            if (test_part_has(*state, flips++)) {
                check_flip(&w, "/part/data", i);
            }
        }
        assert_int_equal(read_damaged(&w, w.p), 0);
        partition_world_release(&w);
    }
}

static void a_file_that_was_cut_short_is_corrupt(void **state) {
    (void)state;
    struct partition_world w;
    struct err err;
    struct partition *p;
    partition_world_init(
        &w, &(struct world_options){.seed = 51, .targets = 3, .metrics = 12, .rows_max = 300});
    const struct partition_options options = {
        .vfs = w.vfs, .dir = "/part", .cache = w.cache, .damage = on_damage, .damage_ctx = &w};
    struct vfs_file *f;
    assert_ok(vfs_open(w.vfs, "/part/data", VFS_WRITE, &f, &err), &err);
    assert_ok(vfs_file_truncate(f, w.info.data_bytes / 2, &err), &err);
    vfs_file_close(f);
    assert_ok(partition_open(&options, &p, &err), &err);
    assert_true(read_damaged(&w, p) != 0);
    assert_true(w.damage_count != 0);
    partition_close(p);
    for (uint64_t size = w.info.index_bytes - 1; size > 0; size /= 2) {
        assert_ok(vfs_open(w.vfs, "/part/index", VFS_WRITE, &f, &err), &err);
        assert_ok(vfs_file_truncate(f, size, &err), &err);
        vfs_file_close(f);
        assert_err(partition_open(&options, &p, &err), ERR_CORRUPT, "/part/index", &err);
    }
    partition_world_release(&w);
}

int main(int argc, char **argv) {
    struct test_part part = test_part_of(argc, argv);
    const struct CMUnitTest flips[] = {
        cmocka_unit_test_prestate(a_flipped_bit_is_named_and_gives_no_wrong_value, &part),
    };
    const struct CMUnitTest others[] = {
        cmocka_unit_test(a_file_that_was_cut_short_is_corrupt),
    };
    const int failed = cmocka_run_group_tests(flips, NULL, NULL);
    return failed + (part.number == 1 ? cmocka_run_group_tests(others, NULL, NULL) : 0);
}

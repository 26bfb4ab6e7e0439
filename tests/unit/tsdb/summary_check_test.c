/* What verification says of summaries that are not those of their samples: each thing a summary can say, said
 * wrongly; and a partition with such a summary, its checksums right. */
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/check_err.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/partition_index.h"
#include "tsdb/partition_writer.h"
#include "tsdb/storage.h"
#include "tsdb/summary_check.h"

/* ---- a summary ---- */

enum { ROWS = 4, BLOCKS = 2 };

struct column {
    struct num values[BLOCKS][ROWS];
    uint8_t states[BLOCKS][ROWS];
    struct block_summary blocks[BLOCKS];
    struct series_summary summary;
};

/* 1 2 3 4, 4 5 6 7; and all that is true of them. */
static struct column *make(void) {
    struct column *c = mem_zalloc(sizeof(*c));
    for (int b = 0; b < BLOCKS; b++) {
        for (int i = 0; i < ROWS; i++) {
            c->values[b][i] = num_of_double(1 + b * (ROWS - 1) + i);
            c->states[b][i] = SLOT_VALUE;
        }
        c->blocks[b] = (struct block_summary){.plain = true,
                                              .rises = true,
                                              .has_range = true,
                                              .has_sum = true,
                                              .min = 1 + b * (ROWS - 1),
                                              .max = ROWS + b * (ROWS - 1),
                                              .excess = 0 + 1 + 2 + 3};
    }
    c->summary = (struct series_summary){.blocks = c->blocks, .count = BLOCKS};
    return c;
}

static const char *check(struct column *c) {
    struct summary_check of;
    const char *wrong = NULL;
    summary_check_begin(&of, &c->summary);
    for (int b = 0; b < BLOCKS && wrong == NULL; b++) {
        wrong = summary_check_block(&of, c->values[b], c->states[b], ROWS);
    }
    mem_free(c);
    return wrong;
}

static void what_is_true_passes(void **state) {
    (void)state;
    assert_null(check(make()));
    struct column *c = make();
    c->summary.blocks = NULL; /* nothing is known */
    c->values[0][0] = num_raw(f64_stale());
    assert_null(check(c));
    c = make(); /* a summary may say less than it could */
    memset(c->blocks, 0, sizeof(c->blocks));
    assert_null(check(c));
    c = make();
    for (int i = 0; i < BLOCKS * ROWS; i++) {
        c->values[i / ROWS][i % ROWS] = num_of_double(0.5);
    }
    c->summary.steady = true;
    memset(c->blocks, 0, sizeof(c->blocks));
    c->blocks[0].plain = c->blocks[1].plain = true;
    assert_null(check(c));
}

static void each_thing_that_is_not_so_is_named(void **state) {
    (void)state;
    struct column *c = make();
    c->states[1][2] = SLOT_ABSENT;
    assert_string_equal(check(c), "a value in each row");
    c = make();
    c->states[0][0] = SLOT_STALE;
    assert_string_equal(check(c), "a value in each row");
    c = make();
    c->values[1][3] = num_raw(f64_of_bits(UINT64_C(0x7FF8000000000001)));
    assert_string_equal(check(c), "a value in each row");
    c = make();
    c->values[1][2] = num_of_double(4.5);
    assert_string_equal(check(c), "no value that falls");
    c = make(); /* falls from block to block */
    c->values[1][0] = num_of_double(3.5);
    assert_string_equal(check(c), "no value that falls");
    c = make();
    c->blocks[1].min--;
    assert_string_equal(check(c), "a smallest and a largest value");
    c = make();
    c->blocks[0].max++;
    assert_string_equal(check(c), "a smallest and a largest value");
    c = make();
    c->blocks[0].scale = 1;
    assert_string_equal(check(c), "a smallest and a largest value");
    c = make();
    c->blocks[1].excess++;
    assert_string_equal(check(c), "a sum");
    c = make();
    c->summary.steady = true;
    assert_string_equal(check(c), "one value");
}

/* ---- a partition ---- */

enum { PART_BLOCKS = 16, PART_ROWS = 480, STEP_MS = 15000 };

struct damage {
    size_t count;
    struct err last;
};

static void on_damage(void *ctx, const struct err *err) {
    struct damage *d = ctx;
    d->count++;
    d->last = *err;
}

/* One series, integers below 1000. */
static void write_partition(struct vfs *vfs) {
    enum { ALL = PART_BLOCKS * PART_ROWS };
    struct partition_writer *w;
    struct partition_info info;
    struct arena arena;
    struct err err;
    uint32_t block_rows[PART_BLOCKS];
    uint32_t timeline;
    arena_init(&arena, 0);
    int64_t *ts = arena_alloc(&arena, ALL * sizeof(*ts));
    struct num *values = arena_alloc(&arena, ALL * sizeof(*values));
    uint8_t *states = arena_alloc(&arena, ALL);
    struct rng rng = rng_seeded(3);
    for (uint32_t i = 0; i < ALL; i++) {
        block_rows[i / PART_ROWS] = PART_ROWS;
        ts[i] = 1000 + (int64_t)i * STEP_MS;
        values[i] = num_of_double((double)rng_below(&rng, 1000));
        states[i] = SLOT_VALUE;
    }
    const struct partition_writer_options options = {.vfs = vfs,
                                                     .dir = "/part",
                                                     .number = 4,
                                                     .level = 2,
                                                     .pack_index_below = 1,
                                                     .summaries = true,
                                                     .end_ms = (int64_t)ALL * STEP_MS + 1000};
    const struct label target[] = {{STR("job"), STR("j")}};
    const struct label metric[] = {{LABEL_NAME, STR("m")}};
    const struct partition_column column = {
        .key = {.kind = COLUMN_FLOAT}, .values = values, .states = states};
    assert_ok(partition_writer_begin(&options, &w, &err), &err);
    assert_ok(partition_writer_timeline(w, ts, ALL, block_rows, PART_BLOCKS, &timeline, &err),
              &err);
    assert_ok(partition_writer_series(w, labels_of(&arena, target, 1), labels_of(&arena, metric, 1),
                                      timeline, &column, 1, &err),
              &err);
    assert_ok(partition_writer_finish(w, &info, &err), &err);
    partition_writer_free(w);
    arena_release(&arena);
}

static void put_file(struct vfs *vfs, const char *path, const uint8_t *bytes, size_t n) {
    struct err err;
    struct vfs_file *f;
    assert_ok(vfs_open(vfs, path, VFS_WRITE, &f, &err), &err);
    assert_ok(vfs_file_pwrite(f, bytes, n, 0, &err), &err);
    vfs_file_close(f);
}

static uint64_t verify(struct vfs *vfs, struct damage *damage, uint64_t *section, uint64_t *size) {
    struct partition *p;
    struct err err;
    uint64_t damaged;
    const struct partition_options options = {
        .vfs = vfs, .dir = "/part", .damage = on_damage, .damage_ctx = damage};
    *damage = (struct damage){0};
    assert_ok(partition_open(&options, &p, &err), &err);
    assert_ok(partition_verify(p, NULL, &damaged, &err), &err);
    *section = p->sections[SECTION_SUMMARIES].offset;
    *size = p->sections[SECTION_SUMMARIES].size;
    partition_close(p);
    return damaged;
}

/* Each bit of the summary is flipped in turn, and the checksums made to fit. What is then said of the
 * blocks is either still true, as when a block is said not to rise, or verification tells. */
static void a_wrong_summary_behind_right_checksums_is_found(void **state) {
    (void)state;
    enum { CRC_BEHIND_TRAILER = 12, TRAILER = 24 };
    struct mem_vfs *mem = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(mem);
    struct damage damage;
    uint64_t section;
    uint64_t size;
    char *text;
    size_t n;
    write_partition(vfs);
    assert_int_equal(verify(vfs, &damage, &section, &size), 0);
    assert_true(size > 40);
    assert_int_equal(vfs_read_file(vfs, "/part/index", 1 << 20, &text, &n, NULL), ERR_OK);
    uint8_t *index = (uint8_t *)text;
    uint8_t *trailer = index + n - TRAILER;
    const uint64_t frame = load_u64(trailer);
    assert_true(frame < PARTITION_PIECE_BYTES); /* one piece */
    size_t found = 0;
    size_t bits = 0;
    for (uint64_t bit = 8 * 4; bit < size * 8; bit++, bits++) { /* behind the list's table */
        index[section + bit / 8] ^= (uint8_t)(1U << bit % 8);
        put_u32(trailer - 4, hash_crc32c(partition_crc_seed(4, 0), index, frame));
        put_u32(trailer + CRC_BEHIND_TRAILER,
                hash_crc32c(0, index + frame, (size_t)(trailer - index) - frame));
        put_file(vfs, "/part/index", index, n);
        uint64_t same_section;
        uint64_t same_size;
        const uint64_t damaged = verify(vfs, &damage, &same_section, &same_size);
        assert_int_equal(damaged, damage.count);
        if (damaged != 0) {
            found++;
            assert_non_null(strstr(damage.last.text, "partition file /part/index: "));
            assert_non_null(strstr(damage.last.text, "summar"));
            assert_non_null(strstr(damage.last.text, "offset"));
        }
        index[section + bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    print_message("%zu of %zu flipped bits told\n", found, bits);
    assert_true(found > bits * 9 / 10);
    mem_free(text);
    mem_vfs_free(mem);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_true_passes),
        cmocka_unit_test(each_thing_that_is_not_so_is_named),
        cmocka_unit_test(a_wrong_summary_behind_right_checksums_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

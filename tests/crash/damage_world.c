#include "damage_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/histogram.h"
#include "base/mem.h"
#include "base/value.h"
#include "query/active_file.h"
#include "tests/support/check_err.h"
#include "tsdb/frozen.h"
#include "tsdb/storage.h"

#define BASE_MS (INT64_C(20) * 18 * 3600000) /* where windows of 18 h begin */
#define STEP_MS INT64_C(180000)

enum { SLOTS = DAMAGE_SCRAPED, HISTOGRAM = 7, LATE = SLOTS + 2, LATE_ROWS = 5 };
enum { WINDOW_ROWS = 40 };                /* of two hours */
enum { DELETED = 1, DELETED_SERIES = 2 }; /* which slot; of how many */

int64_t damage_row_ms(int row) {
    return BASE_MS + row * STEP_MS;
}

/* ---- what is written ---- */

static uint64_t mixed(uint64_t x) {
    x = (x + 1) * UINT64_C(0x9E3779B97F4A7C15);
    return (x ^ x >> 29) * UINT64_C(0xBF58476D1CE4E5B9) >> 12;
}

static double value_of(int series, int row) {
    switch (series == SLOTS ? series : series % 8) {
    case 0: /* no decimals, the same again each five hours: something for zstd */
    case 5:
        return (double)mixed((uint64_t)(row % 100 * 8 + series)) / 3;
    case 1:
        return row * 7;
    case 2:
    case 3: /* what is next to its like is stored as the difference */
        return (double)(mixed((uint64_t)row) % 10000) / 100;
    case 4:
        return 3;
    default: /* as much data as makes an index small beside it */
        return (double)mixed((uint64_t)(row * 8 + series)) / 3;
    }
}

static bool is_deleted(int series, int row) {
    return series >= DELETED && series < DELETED + DELETED_SERIES &&
           ((row >= 100 && row <= 120) || (row >= 545 && row <= 550));
}

/* The late series has each second row in time, and each tenth of the others late. */
static bool is_written(int series, int row) {
    return series != LATE || row % 2 == 0 || (row % 10 == 5 && row + LATE_ROWS < DAMAGE_ROWS);
}

static void histogram_of(int row, struct histogram *h, double counts[2],
                         struct histogram_span *span) {
    counts[0] = row;
    counts[1] = row / 2;
    *span = (struct histogram_span){.offset = 1, .length = 2};
    *h = (struct histogram){.schema = 1,
                            .zero_threshold = 0.25,
                            .zero_count = 1,
                            .count = 1 + row + row / 2,
                            .sum = (double)row / 4,
                            .positive = {span, counts, 1, 2}};
}

static struct labels series_labels(struct arena *arena, int series) {
    struct labels_builder b;
    struct labels out;
    struct err err;
    char name[16];
    (void)snprintf(name, sizeof(name), "m%d", series);
    labels_builder_init(&b, arena);
    labels_builder_set(&b, LABEL_NAME, str_of(name));
    labels_builder_set(&b, STR("job"), series < SLOTS ? STR("scrape") : STR("push"));
    assert_ok(labels_builder_finish(&b, &out, &err), &err);
    return out;
}

static struct labels one_label(struct arena *arena, const char *name, const char *value) {
    struct labels_builder b;
    struct labels out;
    struct err err;
    labels_builder_init(&b, arena);
    labels_builder_set(&b, str_of(name), str_of(value));
    assert_ok(labels_builder_finish(&b, &out, &err), &err);
    return out;
}

static struct tsdb_options options_of(struct damage_world *w, struct vfs *vfs, const char *root) {
    struct tsdb_options o;
    tsdb_options_default(&o);
    o.path = root;
    o.vfs = vfs;
    o.clock = &w->clock.clock;
    o.rng = rng_seeded(11);
    o.shard_count = 1;
    o.no_background = true;
    o.wal_segment_bytes = 4096;
    o.wal_allocate_bytes = 512;
    o.segment_file_bytes = 16384;
    o.max_exemplars = 1000;
    o.late_window_ms = 3600000;
    return o;
}

/* ---- writing ---- */

static void scrape_row(struct storage *st, struct storage_group *g, struct arena *arena, int row) {
    struct num values[SLOTS];
    uint8_t states[SLOTS];
    const struct histogram *histograms[SLOTS] = {NULL};
    struct histogram h;
    struct histogram_span span;
    double counts[2];
    struct storage_row_result result;
    struct err err;
    for (int i = 0; i < SLOTS; i++) {
        uint32_t slot;
        assert_ok(storage_group_series(st, g, series_labels(arena, i), &slot, &err), &err);
        assert_int_equal(slot, i);
        values[i] = num_of_double(value_of(i, row));
        states[i] = SLOT_VALUE;
    }
    histogram_of(row, &h, counts, &span);
    values[HISTOGRAM] = (struct num){0};
    states[HISTOGRAM] = SLOT_HISTOGRAM;
    histograms[HISTOGRAM] = &h;
    const struct storage_row r = {.ts_ms = damage_row_ms(row),
                                  .slot_count = SLOTS,
                                  .values = values,
                                  .states = states,
                                  .histograms = histograms};
    assert_ok(storage_group_commit(st, g, &r, &result, &err), &err);
    assert_int_equal(result.accepted, SLOTS);
}

static void push_row(struct storage *st, struct arena *arena, int row) {
    struct storage_appender *a;
    struct err err;
    assert_ok(storage_appender_begin(st, &a, &err), &err);
    for (int i = SLOTS; i < DAMAGE_SERIES; i++) {
        if (i != LATE || row % 2 == 0) {
            assert_int_equal(storage_append(st, a, series_labels(arena, i), damage_row_ms(row),
                                            value_of(i, row)),
                             ERR_OK);
        }
    }
    if (row % 10 == 0 && row >= LATE_ROWS) {
        const int late = row - LATE_ROWS;
        assert_int_equal(storage_append(st, a, series_labels(arena, LATE), damage_row_ms(late),
                                        value_of(LATE, late)),
                         ERR_OK);
    }
    if (row % 20 == 7) {
        const struct storage_exemplar e = {
            .labels = one_label(arena, "trace", "t"), .value = row, .ts_ms = damage_row_ms(row)};
        assert_int_equal(storage_append_exemplar(st, a, series_labels(arena, SLOTS), &e), ERR_OK);
    }
    assert_ok(storage_appender_commit(st, a, &err), &err);
}

static void put_families(struct storage *st) {
    for (int i = 0; i < DAMAGE_FAMILIES; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "m%d", i);
        const struct storage_metadata m = {STR("gauge"), str_of(name), STR("s")};
        storage_metadata_put(st, str_of(name), &m);
    }
}

static void delete_some(struct storage *st, struct arena *arena) {
    struct err err;
    for (int i = DELETED; i < DELETED + DELETED_SERIES; i++) {
        struct matcher m;
        char name[8];
        (void)snprintf(name, sizeof(name), "m%d", i);
        assert_ok(matcher_init(arena, MATCH_EQUAL, LABEL_NAME, str_of(name), &m, &err), &err);
        assert_ok(storage_delete_series(st, &m, 1, damage_row_ms(100), damage_row_ms(120), &err),
                  &err);
        assert_ok(storage_delete_series(st, &m, 1, damage_row_ms(545), damage_row_ms(550), &err),
                  &err);
    }
}

static void put_file(struct vfs *vfs, const char *path, const char *bytes, size_t n) {
    struct vfs_file *f;
    struct err err;
    assert_ok(vfs_open(vfs, path, VFS_WRITE | VFS_CREATE, &f, &err), &err);
    assert_ok(vfs_file_pwrite(f, bytes, n, 0, &err), &err);
    vfs_file_close(f);
}

/* A query that runs when the process dies, and bytes that were damaged once. */
static void write_side_files(struct vfs *vfs) {
    struct active_file *active;
    struct err err;
    char *bytes = NULL;
    size_t n = 0;
    assert_ok(active_file_open(vfs, "db/queries.active", 4, NULL, &active, &err), &err);
    assert_int_equal(active_file_begin(active, STR("sum(rate(m1[5m]))"), BASE_MS / 1000), 0);
    assert_ok(vfs_read_file(vfs, "db/queries.active", 1 << 20, &bytes, &n, &err), &err);
    active_file_close(active);
    put_file(vfs, "db/queries.active", bytes, n);
    mem_free(bytes);
    assert_ok(vfs_mkdir(vfs, "db/quarantine", &err), &err);
    put_file(vfs, "db/lock", "locked", 6); /* a disk in memory makes none */
    put_file(vfs, "db/quarantine/BRASAWAL-0-1-32", "damaged once", 12);
}

void damage_world_write(struct damage_world *w) {
    struct arena arena;
    struct tsdb *db;
    struct storage_group *g;
    struct err err;
    *w = (struct damage_world){.disk = mem_vfs_new()};
    arena_init(&arena, 0);
    fake_clock_init(&w->clock, BASE_MS * NS_PER_MS);
    const struct tsdb_options o = options_of(w, mem_vfs_base(w->disk), "db");
    assert_ok(tsdb_open(&o, &db, NULL, &err), &err);
    struct storage *st = tsdb_storage(db);
    assert_ok(storage_group_open(st, 0, one_label(&arena, "job", "scrape"), &g, &err), &err);
    for (int row = 0; row < DAMAGE_ROWS; row++) {
        scrape_row(st, g, &arena, row);
        push_row(st, &arena, row);
        fake_clock_advance_ns(&w->clock, STEP_MS * NS_PER_MS);
        if (row % 7 == 6 || row + 1 == DAMAGE_ROWS) {
            tsdb_maintain(db);
        }
    }
    put_families(st);
    delete_some(st, &arena);
    tsdb_maintain(db);
    char name[TSDB_SNAPSHOT_NAME_MAX];
    assert_ok(tsdb_snapshot(db, false, name, &err), &err);
    (void)snprintf(w->snapshot, sizeof(w->snapshot), "db/snapshots/%s", name);
    for (int i = 0; i < 3; i++) {
        tsdb_maintain(db);
    }
    storage_group_close(st, g);
    tsdb_close(db);
    write_side_files(mem_vfs_base(w->disk));
    struct mem_vfs *whole =
        mem_vfs_after_crash(w->disk, mem_vfs_op_count(w->disk), MEM_CRASH_KEEP, 0);
    mem_vfs_free(w->disk);
    w->disk = whole; /* copied faster than a long history */
    arena_release(&arena);
}

void damage_world_release(struct damage_world *w) {
    mem_vfs_free(w->disk);
}

/* ---- reading ---- */

void damage_expected(struct damage_found *out) {
    *out = (struct damage_found){.exemplars = DAMAGE_EXEMPLARS, .families = DAMAGE_FAMILIES};
    for (int i = 0; i < DAMAGE_SERIES; i++) {
        for (int row = 0; row < DAMAGE_ROWS; row++) {
            out->rows[i][row] = is_written(i, row) && !is_deleted(i, row);
            out->samples += out->rows[i][row];
        }
    }
}

static void check_histogram(int row, const struct histogram *got) {
    struct histogram want;
    struct histogram_span span;
    double counts[2];
    histogram_of(row, &want, counts, &span);
    assert_non_null(got);
    assert_true(got->schema == want.schema && f64_same_bits(got->count, want.count) &&
                f64_same_bits(got->sum, want.sum) && f64_same_bits(got->zero_count, 1));
    struct histogram_cursor c = histogram_cursor_of(&got->positive);
    int32_t index;
    double count;
    for (int32_t i = 1; i <= 2; i++) {
        assert_true(histogram_cursor_next(&c, &index, &count));
        assert_int_equal(index, i);
        assert_true(f64_same_bits(count, counts[i - 1]));
    }
}

static void note_samples(struct damage_found *out, int series, const struct storage_samples *got) {
    for (size_t k = 0; k < got->count; k++) {
        const int row = (int)((got->ts[k] - BASE_MS) / STEP_MS);
        assert_true(row >= 0 && row < DAMAGE_ROWS && damage_row_ms(row) == got->ts[k]);
        assert_true(is_written(series, row));
        if (is_deleted(series, row)) {
            print_message("m%d: row %d was deleted\n", series, row);
        }
        assert_false(is_deleted(series, row));
        if (series == HISTOGRAM) {
            assert_non_null(got->histograms);
            check_histogram(row, got->histograms[k]);
        } else {
            assert_true(f64_same_bits(got->values[k], value_of(series, row)));
        }
        assert_false(out->rows[series][row]);
        out->rows[series][row] = true;
        out->samples++;
    }
}

static void read_samples(struct storage *st, struct storage_querier *q, struct arena *arena,
                         struct damage_found *out) {
    struct storage_selection *sel;
    struct err err;
    size_t n;
    assert_ok(storage_select(st, q, NULL, 0, NULL, &sel, &err), &err);
    const struct storage_series *series = storage_selection_series(st, sel, &n);
    assert_in_range(n, 0, DAMAGE_SERIES);
    for (size_t i = 0; i < n; i++) {
        struct storage_samples got;
        const struct labels metric = storage_set_labels(st, q, series[i].metric_set);
        const struct labels all =
            labels_merge(arena, metric, storage_set_labels(st, q, series[i].target_set));
        const struct str name = labels_get(all, LABEL_NAME);
        assert_true(name.len > 1);
        const int number = atoi(arena_cstr(arena, str_from(name, 1)));
        assert_in_range(number, 0, DAMAGE_SERIES - 1);
        assert_int_equal(labels_cmp(all, series_labels(arena, number)), 0);
        for (int row = 0; row < DAMAGE_ROWS; row += WINDOW_ROWS) { /* a read fails as a whole */
            const enum err_code code =
                storage_read(st, q, sel, i, 1, damage_row_ms(row),
                             damage_row_ms(row + WINDOW_ROWS) - 1, arena, &got, &err);
            if (code == ERR_OK) {
                note_samples(out, number, &got);
            } else {
                assert_int_equal(code, ERR_CORRUPT);
            }
        }
    }
}

static void read_notes(struct storage *st, struct storage_querier *q, struct arena *arena,
                       struct damage_found *out) {
    struct storage_exemplar_series *series;
    struct storage_family *families;
    struct err err;
    size_t n;
    bool seen[DAMAGE_ROWS] = {false};
    assert_ok(storage_exemplars(st, q, NULL, 0, &series, &n, &err), &err);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(labels_cmp(series[i].labels, series_labels(arena, SLOTS)), 0);
        for (size_t k = 0; k < series[i].count; k++) {
            const int row = (int)series[i].exemplars[k].value;
            assert_true(row % 20 == 7 && row > 0 && row < DAMAGE_ROWS && !seen[row]);
            assert_true(series[i].exemplars[k].ts_ms == damage_row_ms(row));
            seen[row] = true;
            out->exemplars++;
        }
    }
    assert_int_equal(storage_metadata_list(st, arena, &families, &out->families), ERR_OK);
    for (size_t i = 0; i < out->families; i++) {
        assert_true(str_eq(families[i].name, families[i].metadata.help));
    }
}

static void read_all(struct tsdb *db, struct damage_found *out) {
    struct storage *st = tsdb_storage(db);
    struct arena arena;
    struct storage_querier *q;
    struct err err;
    *out = (struct damage_found){0};
    arena_init(&arena, 0);
    assert_ok(storage_querier_open(st, 0, INT64_MAX, &arena, NULL, &q, &err), &err);
    read_samples(st, q, &arena, out);
    read_notes(st, q, &arena, out);
    arena_release(&arena);
}

bool damage_read(struct damage_world *w, struct vfs *vfs, const char *root, bool read_only,
                 struct damage_found *out) {
    struct vfs_scratch *scratch = NULL;
    struct tsdb *db;
    struct err err;
    if (read_only) {
        assert_ok(frozen_take(vfs, root, &scratch, &err), &err);
    }
    struct tsdb_options o = options_of(w, read_only ? vfs_scratch_base(scratch) : vfs, root);
    o.no_lock_file = read_only;
    const enum err_code code = tsdb_open(&o, &db, NULL, &err);
    if (code == ERR_UNSUPPORTED) {
        vfs_scratch_free(scratch);
        return false;
    }
    assert_ok(code, &err);
    read_all(db, out);
    if (!read_only) { /* nor does maintenance change what there is */
        struct damage_found again;
        tsdb_maintain(db);
        read_all(db, &again);
        assert_memory_equal(&again, out, sizeof(again));
    }
    tsdb_close(db);
    vfs_scratch_free(scratch);
    return true;
}

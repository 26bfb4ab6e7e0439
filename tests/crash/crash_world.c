#include "crash_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/value.h"
#include "tests/support/check_err.h"
#include "tsdb/storage.h"

#define BASE_MS INT64_C(1000000000)
#define STEP_MS INT64_C(60000)

double crash_value(int series, int64_t row) {
    return series % 3 == 0 ? 3 : series % 3 == 1 ? (double)(row * (series + 1)) : (double)row / 4;
}

struct tsdb_options crash_options(struct crash_world *w, struct vfs *vfs) {
    struct tsdb_options o;
    tsdb_options_default(&o);
    o.path = "db";
    o.vfs = vfs;
    o.clock = &w->clock.clock;
    o.rng = rng_seeded(7);
    o.shard_count = 1;
    o.no_background = true;
    o.wal_segment_bytes = 2048;
    o.wal_allocate_bytes = 512;
    o.segment_file_bytes = 4096;
    return o;
}

static struct labels series_labels(struct arena *arena, int series) {
    struct labels_builder b;
    struct labels out;
    struct err err;
    char name[16];
    (void)snprintf(name, sizeof(name), "m%d", series);
    labels_builder_init(&b, arena);
    labels_builder_set(&b, LABEL_NAME, str_of(name));
    labels_builder_set(&b, STR("job"), series < CRASH_SLOTS ? STR("scrape") : STR("push"));
    assert_ok(labels_builder_finish(&b, &out, &err), &err);
    return out;
}

static void scrape_row(struct storage *st, struct storage_group *g, struct arena *arena,
                       int64_t row) {
    struct num values[CRASH_SLOTS];
    uint8_t states[CRASH_SLOTS];
    struct storage_row_result result;
    struct err err;
    for (int i = 0; i < CRASH_SLOTS; i++) {
        uint32_t slot;
        assert_ok(storage_group_series(st, g, series_labels(arena, i), &slot, &err), &err);
        assert_int_equal(slot, i);
        values[i] = num_of_double(crash_value(i, row));
        states[i] = SLOT_VALUE;
    }
    const struct storage_row r = {.ts_ms = BASE_MS + row * STEP_MS,
                                  .slot_count = CRASH_SLOTS,
                                  .values = values,
                                  .states = states};
    assert_ok(storage_group_commit(st, g, &r, &result, &err), &err);
    assert_int_equal(result.accepted, CRASH_SLOTS);
}

static void push_row(struct storage *st, struct arena *arena, int64_t row) {
    struct storage_appender *a;
    struct err err;
    assert_ok(storage_appender_begin(st, &a, &err), &err);
    for (int i = CRASH_SLOTS; i < CRASH_SERIES; i++) {
        assert_int_equal(storage_append(st, a, series_labels(arena, i), BASE_MS + row * STEP_MS,
                                        crash_value(i, row)),
                         ERR_OK);
    }
    assert_ok(storage_appender_commit(st, a, &err), &err);
}

void crash_world_write(struct crash_world *w) {
    struct arena arena;
    struct tsdb *db;
    struct storage_group *g;
    struct labels_builder b;
    struct labels target;
    struct err err;
    *w = (struct crash_world){.disk = mem_vfs_new()};
    arena_init(&arena, 0);
    fake_clock_init(&w->clock, BASE_MS * NS_PER_MS);
    const struct tsdb_options o = crash_options(w, mem_vfs_base(w->disk));
    assert_ok(tsdb_open(&o, &db, NULL, &err), &err);
    labels_builder_init(&b, &arena);
    labels_builder_set(&b, STR("job"), STR("scrape"));
    assert_ok(labels_builder_finish(&b, &target, &err), &err);
    struct storage *st = tsdb_storage(db);
    assert_ok(storage_group_open(st, 0, target, &g, &err), &err);
    int64_t synced = 0;
    for (int64_t row = 0; row < CRASH_ROWS; row++) {
        scrape_row(st, g, &arena, row);
        push_row(st, &arena, row);
        w->acked_at[row] = mem_vfs_op_count(w->disk);
        fake_clock_advance_ns(&w->clock, STEP_MS * NS_PER_MS);
        if (row % 7 == 6 || row + 1 == CRASH_ROWS) {
            tsdb_maintain(db);
            for (; synced <= row; synced++) {
                w->durable_at[synced] = mem_vfs_op_count(w->disk);
            }
        }
    }
    storage_group_close(st, g);
    tsdb_close(db);
    arena_release(&arena);
}

void crash_world_release(struct crash_world *w) {
    mem_vfs_free(w->disk);
}

static void note_samples(struct crash_found *out, int series, const struct storage_samples *got) {
    for (size_t k = 0; k < got->count; k++) {
        const int64_t row = (got->ts[k] - BASE_MS) / STEP_MS;
        assert_int_equal((got->ts[k] - BASE_MS) % STEP_MS, 0);
        assert_in_range(row, 0, CRASH_ROWS - 1);
        assert_true(f64_same_bits(got->values[k], crash_value(series, row)));
        assert_false(out->rows[series][row]);
        out->rows[series][row] = true;
        out->samples++;
    }
}

void crash_read(struct tsdb *db, struct crash_found *out) {
    struct storage *st = tsdb_storage(db);
    struct arena arena;
    struct err err;
    struct storage_querier *q;
    struct storage_selection *sel;
    size_t n;
    memset(out, 0, sizeof(*out));
    arena_init(&arena, 0);
    assert_ok(storage_querier_open(st, 0, INT64_MAX, &arena, NULL, &q, &err), &err);
    assert_ok(storage_select(st, q, NULL, 0, NULL, &sel, &err), &err);
    const struct storage_series *series = storage_selection_series(st, sel, &n);
    assert_in_range(n, 0, CRASH_SERIES);
    for (size_t i = 0; i < n; i++) {
        struct storage_samples got;
        const struct labels metric = storage_set_labels(st, q, series[i].metric_set);
        const struct labels all =
            labels_merge(&arena, metric, storage_set_labels(st, q, series[i].target_set));
        const struct str name = labels_get(all, LABEL_NAME);
        assert_true(name.len > 1);
        const int number = atoi(arena_cstr(&arena, str_from(name, 1)));
        assert_in_range(number, 0, CRASH_SERIES - 1);
        assert_true(str_eq(labels_get(all, STR("job")),
                           number < CRASH_SLOTS ? STR("scrape") : STR("push")));
        const enum err_code code = storage_read(st, q, sel, i, 1, 0, INT64_MAX, &arena, &got, &err);
        if (code == ERR_OK) {
            note_samples(out, number, &got);
        } else {
            assert_int_equal(code, ERR_CORRUPT);
            out->unreadable++;
        }
    }
    arena_release(&arena);
}

void crash_open_and_read(struct crash_world *w, struct vfs *vfs, struct crash_found *out,
                         struct tsdb_replay_stats *stats) {
    struct tsdb *db;
    struct err err;
    struct crash_found again;
    const struct tsdb_options o = crash_options(w, vfs);
    assert_ok(tsdb_open(&o, &db, stats, &err), &err);
    crash_read(db, out);
    tsdb_maintain(db);
    crash_read(db, &again);
    assert_int_equal(again.samples, out->samples);
    tsdb_close(db);
}

#include "tests/unit/tsdb/partition_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/check_err.h"
#include "tsdb/chunk/block.h"
#include "tsdb/page_cache.h"

static const int64_t window_start = INT64_C(1699999200000);
static const int64_t window_ms = INT64_C(7200000);

/* ---- the model ---- */

static struct str text(struct partition_world *w, const char *prefix, uint64_t n) {
    return arena_printf(&w->arena, "%s%llu", prefix, (unsigned long long)n);
}

static void make_timeline(struct partition_world *w, uint32_t rows_max) {
    struct world_timeline *t = &w->timelines[w->timeline_count++];
    t->rows = 1 + (uint32_t)rng_below(&w->rng, rows_max);
    t->ts = arena_alloc(&w->arena, t->rows * sizeof(*t->ts));
    const int64_t step = window_ms / t->rows;
    int64_t at = window_start + (int64_t)rng_below(&w->rng, (uint64_t)step);
    for (uint32_t i = 0; i < t->rows; i++) {
        t->ts[i] = at;
        at += step > 8 ? step - (int64_t)rng_below(&w->rng, 4) : 1;
    }
}

/* Counters, gauges, constants, noise; some with gaps or ends. */
static void make_column(struct partition_world *w, uint32_t rows, struct num *values,
                        uint8_t *states) {
    const uint64_t form = rng_below(&w->rng, 6);
    const uint64_t gaps = rng_below(&w->rng, 8);
    int64_t at = (int64_t)rng_below(&w->rng, 100000);
    for (uint32_t i = 0; i < rows; i++) {
        at += form == 0 ? (int64_t)rng_below(&w->rng, 50) : 0;
        at += form == 1 ? (int64_t)rng_below(&w->rng, 2000) - 1000 : 0;
        values[i] = (struct num){.m = at, .scale = form == 1 ? 3 : 0, .kind = NUM_DECIMAL};
        if (form == 2) {
            values[i] = num_raw((double)rng_below(&w->rng, 1000000) / 7.0);
        }
        if (form == 3) {
            values[i] = num_of_i64((int64_t)form);
        }
        states[i] = SLOT_VALUE;
        if (gaps == 0) {
            states[i] = (uint8_t)rng_below(&w->rng, 3);
        } else if (gaps == 1) {
            states[i] = i < rows / 2 ? SLOT_VALUE : i == rows / 2 ? SLOT_STALE : SLOT_ABSENT;
        } else if (gaps == 2) {
            states[i] = i < rows / 3 ? SLOT_ABSENT : SLOT_VALUE;
        }
    }
}

static void add_series(struct partition_world *w, struct labels target, struct labels metric,
                       uint32_t timeline) {
    struct world_series *s = &w->series[w->series_count++];
    *s = (struct world_series){.target = target, .metric = metric, .timeline = timeline};
    s->labels = labels_merge(&w->arena, target, metric);
    s->column_count = 1;
    s->keys = arena_zalloc(&w->arena, sizeof(*s->keys));
    s->values = arena_alloc(&w->arena, sizeof(struct num *));
    s->states = arena_alloc(&w->arena, sizeof(uint8_t *));
    const uint32_t rows = w->timelines[timeline].rows;
    s->values[0] = arena_zalloc(&w->arena, rows * sizeof(struct num));
    s->states[0] = arena_zalloc(&w->arena, rows);
    make_column(w, rows, s->values[0], s->states[0]);
}

/* Of one target: names with some labels; a few names are shared by few targets only. */
static void make_target(struct partition_world *w, uint32_t number, uint32_t metrics) {
    const struct label pairs[] = {{STR("instance"), text(w, "host-", number)},
                                  {STR("job"), text(w, "job", number % 3)},
                                  {STR("zone"), text(w, "z", number % 2)}};
    const struct labels target = labels_of(&w->arena, pairs, number % 5 == 4 ? 3 : 2);
    const uint32_t timeline = number % (uint32_t)w->timeline_count;
    for (uint32_t m = 0; m < metrics; m++) {
        const struct str name = text(w, "metric_", m);
        const uint32_t copies = m % 4 == 3 ? 1 + (uint32_t)rng_below(&w->rng, 12) : 1;
        if (m % 7 == 6 && number % 3 != 0) {
            continue;
        }
        for (uint32_t k = 0; k < copies; k++) {
            const struct label own[] = {{LABEL_NAME, name},
                                        {STR("le"), text(w, "", k * 10)},
                                        {STR("mode"), text(w, "mode-", k % 3)},
                                        {STR("Upper"), text(w, "u", m % 2)}};
            const size_t n = m % 4 == 3 ? (m % 8 == 3 ? 4 : 3) : 1;
            add_series(w, target, labels_of(&w->arena, own, n), timeline);
        }
    }
    if (number % 4 == 0) { /* a series without a name, and one with all labels in one set */
        const struct label odd[] = {{STR("odd"), text(w, "v", number)}};
        add_series(w, target, labels_of(&w->arena, odd, 1), timeline);
        const struct label whole[] = {{LABEL_NAME, STR("whole")}, {STR("n"), text(w, "", number)}};
        add_series(w, (struct labels){0}, labels_of(&w->arena, whole, 2), timeline);
        add_series(w, (struct labels){0}, labels_of(&w->arena, whole, 2),
                   (timeline + 1) % (uint32_t)w->timeline_count);
    }
}

static int by_labels(const void *a, const void *b) {
    const struct world_series *x = a;
    const struct world_series *y = b;
    const int order = partition_series_cmp(x->target, x->metric, y->target, y->metric);
    return order != 0 ? order : (x->timeline > y->timeline) - (x->timeline < y->timeline);
}

static bool has_sample(const struct partition_world *w, const struct world_series *s) {
    for (uint32_t i = 0; i < w->timelines[s->timeline].rows; i++) {
        if (s->states[0][i] != SLOT_ABSENT) {
            return true;
        }
    }
    return false;
}

static void number_series(struct partition_world *w) {
    size_t kept = 0;
    qsort(w->series, w->series_count, sizeof(*w->series), by_labels);
    for (size_t i = 0; i < w->series_count; i++) {
        if (!has_sample(w, &w->series[i])) {
            continue;
        }
        w->series[kept] = w->series[i];
        struct world_series *s = &w->series[kept];
        s->number = (uint32_t)kept;
        s->repeat = kept != 0 && labels_eq(w->series[kept - 1].labels, s->labels);
        for (uint32_t row = 0; row < w->timelines[s->timeline].rows; row++) {
            w->samples += s->states[0][row] != SLOT_ABSENT;
        }
        kept++;
    }
    w->series_count = kept;
}

/* ---- writing ---- */

static void write_all(struct partition_world *w, struct partition_writer *writer) {
    struct err err;
    for (size_t i = 0; i < w->timeline_count; i++) {
        uint32_t number;
        assert_ok(partition_writer_timeline(writer, w->timelines[i].ts, w->timelines[i].rows, NULL,
                                            0, &number, &err),
                  &err);
        assert_int_equal(number, i);
    }
    for (size_t i = 0; i < w->series_count; i++) {
        const struct world_series *s = &w->series[i];
        struct partition_column columns[64];
        assert_true(s->column_count <= 64);
        for (uint32_t c = 0; c < s->column_count; c++) {
            columns[c] = (struct partition_column){
                .key = s->keys[c], .values = s->values[c], .states = s->states[c]};
        }
        assert_ok(partition_writer_series(writer, s->target, s->metric, s->timeline, columns,
                                          s->column_count, &err),
                  &err);
    }
}

void partition_world_write(struct partition_world *w, const char *dir) {
    struct err err;
    struct partition_writer *writer;
    const uint32_t parents[] = {3, 9};
    const struct partition_writer_options options = {
        .vfs = w->vfs,
        .dir = dir,
        .number = 12,
        .level = 2,
        .pack = w->pack,
        .pack_index_below = w->plain_index ? 1 : 0,
        .start_ms = window_start,
        .end_ms = window_start + window_ms,
        .parents = parents,
        .parent_count = 2,
        .hash_seed = 7,
    };
    assert_ok(partition_writer_begin(&options, &writer, &err), &err);
    write_all(w, writer);
    assert_ok(partition_writer_finish(writer, &w->info, &err), &err);
    partition_writer_free(writer);
    w->dir = dir;
}

static void on_damage(void *ctx, const struct err *err) {
    struct partition_world *w = ctx;
    w->damage_count++;
    w->damage = *err;
}

void partition_world_open(struct partition_world *w) {
    struct err err;
    const struct partition_options options = {
        .vfs = w->vfs, .dir = w->dir, .cache = w->cache, .damage = on_damage, .damage_ctx = w};
    assert_ok(partition_open(&options, &w->p, &err), &err);
}

void partition_world_copy(struct partition_world *w, const char *dir) {
    struct err err;
    struct partition_writer *writer;
    const struct partition_writer_options options = {.vfs = w->vfs,
                                                     .dir = dir,
                                                     .number = 13,
                                                     .level = 2,
                                                     .pack = w->pack,
                                                     .pack_index_below = w->plain_index ? 1 : 0,
                                                     .start_ms = window_start,
                                                     .end_ms = window_start + window_ms};
    assert_ok(partition_writer_begin(&options, &writer, &err), &err);
    struct arena arena;
    arena_init(&arena, 0);
    for (uint32_t i = 0; i < w->info.timeline_count; i++) {
        struct partition_timeline t;
        uint32_t number;
        assert_ok(partition_timeline(w->p, i, &arena, &t, &err), &err);
        assert_ok(partition_writer_timeline(writer, t.ts, t.rows, t.block_rows, t.block_count,
                                            &number, &err),
                  &err);
    }
    struct partition_cursor *c = partition_cursor_new(w->p);
    struct partition_series s;
    struct partition_skipped skipped;
    bool more = true;
    for (;;) {
        assert_ok(partition_cursor_next(c, &s, &more, &skipped, &err), &err);
        if (!more) {
            break;
        }
        struct partition_timeline t;
        arena_reset(&arena);
        assert_ok(partition_timeline(w->p, s.timeline, &arena, &t, &err), &err);
        struct partition_column *columns = arena_zalloc(&arena, s.column_count * sizeof(*columns));
        for (uint32_t i = 0; i < s.column_count; i++) {
            struct partition_block *blocks = arena_zalloc(&arena, t.block_count * sizeof(*blocks));
            struct num *values = arena_zalloc(&arena, t.rows * sizeof(*values));
            uint8_t *states = arena_zalloc(&arena, t.rows);
            for (uint32_t b = 0, row = 0; b < t.block_count; row += t.block_rows[b++]) {
                const struct partition_bytes *bytes = &s.blocks[i * t.block_count + b];
                blocks[b] = (struct partition_block){.bytes = bytes->ptr, .n = bytes->n};
                if (block_reference(bytes->ptr, bytes->n) != 0) {
                    blocks[b].encode = true;
                    assert_ok(partition_cursor_decode(c, i, b, values + row, states + row, &err),
                              &err);
                }
            }
            columns[i] = (struct partition_column){
                .key = s.keys[i], .values = values, .states = states, .blocks = blocks};
        }
        assert_ok(partition_writer_series(writer, s.target, s.metric, s.timeline, columns,
                                          s.column_count, &err),
                  &err);
    }
    partition_cursor_free(c);
    struct partition_info info;
    assert_ok(partition_writer_finish(writer, &info, &err), &err);
    assert_int_equal(info.sample_count, w->info.sample_count);
    partition_writer_free(writer);
    arena_release(&arena);
}

void partition_world_init(struct partition_world *w, const struct world_options *o) {
    *w = (struct partition_world){.rng = rng_seeded(o->seed)};
    arena_init(&w->arena, 0);
    w->mem = mem_vfs_new();
    w->cache = page_cache_new(128 << 10);
    w->pack = o->pack;
    w->plain_index = o->plain_index;
    w->vfs = mem_vfs_base(w->mem);
    w->timelines = arena_alloc(&w->arena, 16 * sizeof(*w->timelines));
    const size_t timelines = 1 + rng_below(&w->rng, 9);
    while (w->timeline_count < timelines) {
        make_timeline(w, o->rows_max);
    }
    const size_t capacity = (size_t)o->targets * (o->metrics * 12 + 3) + 1;
    w->series = arena_alloc(&w->arena, capacity * sizeof(*w->series));
    for (uint32_t i = 0; i < o->targets; i++) {
        make_target(w, i, o->metrics);
    }
    number_series(w);
    partition_world_write(w, "/part");
    partition_world_open(w);
}

void partition_world_release(struct partition_world *w) {
    partition_close(w->p);
    page_cache_free(w->cache);
    mem_vfs_free(w->mem);
    arena_release(&w->arena);
}

/* ---- comparing ---- */

size_t world_samples(const struct partition_world *w, const struct world_series *s, int64_t mint,
                     int64_t maxt, struct arena *arena, struct world_sample **out) {
    const struct world_timeline *t = &w->timelines[s->timeline];
    size_t n = 0;
    *out = arena_alloc(arena, (t->rows + 1) * sizeof(**out));
    for (uint32_t i = 0; i < t->rows; i++) {
        if (t->ts[i] >= mint && t->ts[i] <= maxt && s->states[0][i] != SLOT_ABSENT) {
            const double v =
                s->states[0][i] == SLOT_STALE ? f64_stale() : num_double(s->values[0][i]);
            (*out)[n++] = (struct world_sample){t->ts[i], f64_bits(v)};
        }
    }
    return n;
}

bool world_same_samples(const struct world_sample *want, size_t n,
                        const struct storage_samples *got) {
    return got->count == n && world_no_other_samples(want, n, got);
}

bool world_no_other_samples(const struct world_sample *want, size_t n,
                            const struct storage_samples *got) {
    size_t k = 0;
    for (size_t i = 0; i < got->count; i++) {
        while (k < n && want[k].ts_ms < got->ts[i]) {
            k++;
        }
        if (k == n || want[k].ts_ms != got->ts[i] || want[k].bits != f64_bits(got->values[i])) {
            return false;
        }
    }
    return true;
}

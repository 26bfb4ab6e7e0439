/* Cutting a window from the head.
 *
 * The runs of a group are in the order of rows, the partition wants the order of series: by name, over
 * all groups. So the series are sorted first (a few bytes each), and then read in slices of that
 * order: of each run the blocks that the slice needs are collected as they are, compressed, which
 * makes a slice of 8 MiB tens of thousands of series and lets each page be read few times. Only when
 * a series is written is it decoded, one at a time.
 *
 * A damaged run, page or block costs its samples and nothing else; it is reported. An I/O error
 * stops the cut, which is tried again later: nothing is lost. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "tsdb/compactor_impl.h"
#include "tsdb/span.h"

enum {
    TIMELINE_ROWS_MAX = 1 << 13, /* more rows of a group become several timelines */
    RUN_ARENA_BYTES = 1 << 30,
    QUIET_S = 15 * 60,
};

/* ---- which window ---- */

struct finding {
    struct compactor *c;
    int64_t before_ms; /* windows that begin before are done with */
    int64_t late_ms;   /* windows that begin before are not looked at */
    int64_t found_ms;
    int64_t newest_commit_ns;
};

static void note_window(struct finding *f, int64_t ts_ms) {
    const int64_t start_ms = span_start(f->c->db->options.partition_ms, ts_ms);
    if (start_ms < f->before_ms && start_ms >= f->late_ms && start_ms < f->found_ms) {
        f->found_ms = start_ms;
    }
}

static void look_at_group(struct finding *f, struct head_group *g) {
    const struct manifest *m = &f->c->manifest;
    mutex_lock(&g->mu);
    for (uint32_t i = 0; i < g->run_count; i++) {
        const struct head_run *run = &g->runs[i];
        const struct manifest_mark *mark =
            manifest_mark_at(m->marks, m->mark_count, g->shard->number, run->min_ts_ms);
        if (mark == NULL || run->at.file >= mark->l0_file) {
            note_window(f, run->min_ts_ms);
        }
    }
    if (g->rows != 0) {
        note_window(f, g->row_ts_ms[0]);
    }
    mutex_unlock(&g->mu);
}

static int64_t newest_commit(struct tsdb *db, uint32_t count) {
    int64_t newest = 0;
    for (uint32_t id = 1; id < count; id++) {
        struct head_group *g = head_group_get(db, id);
        if (g == NULL || g->shard == NULL) {
            continue;
        }
        mutex_lock(&g->shard->mu);
        newest = g->last_commit_ns > newest ? g->last_commit_ns : newest;
        mutex_unlock(&g->shard->mu);
    }
    return newest;
}

static uint32_t count_groups(struct tsdb *db) {
    mutex_lock(&db->index.mu);
    const uint32_t n = db->group_count;
    mutex_unlock(&db->index.mu);
    return n;
}

/* Windows that begin before this are complete. */
static int64_t complete_before(struct compactor *c, enum compactor_extent extent,
                               uint32_t group_count) {
    struct tsdb *db = c->db;
    const int64_t length_ms = db->options.partition_ms;
    const int64_t needed_ms = length_ms + length_ms / 2;
    int64_t newest_ms = atomic_load(&db->max_ts_ms);
    if (extent == COMPACT_ALL) {
        return INT64_MAX;
    }
    const int64_t wall_ms = clock_unix_ms(db->options.clock);
    const bool quiet =
        clock_mono_ns(db->options.clock) - newest_commit(db, group_count) > QUIET_S * NS_PER_S &&
        wall_ms - c->first_round_unix_ms > QUIET_S * INT64_C(1000);
    if (wall_ms > newest_ms && (quiet || extent == COMPACT_OLD)) {
        newest_ms = wall_ms;
    }
    return newest_ms < INT64_MIN + needed_ms ? INT64_MIN : newest_ms - needed_ms;
}

bool compactor_find_window(struct compactor *c, enum compactor_extent extent, bool late,
                           int64_t *out_start_ms) {
    const uint32_t count = count_groups(c->db);
    struct finding f = {.c = c,
                        .before_ms = complete_before(c, extent, count),
                        .late_ms = INT64_MIN,
                        .found_ms = INT64_MAX};
    for (size_t i = 0; i < c->manifest.partition_count && !late; i++) {
        const int64_t end_ms = c->manifest.partitions[i].end_ms;
        f.late_ms = end_ms > f.late_ms ? end_ms : f.late_ms;
    }
    for (uint32_t id = 1; id < count; id++) {
        struct head_group *g = head_group_get(c->db, id);
        if (g != NULL && g->shard != NULL) {
            look_at_group(&f, g);
        }
    }
    *out_start_ms = f.found_ms;
    return f.found_ms != INT64_MAX;
}

/* ---- what is in it ---- */

struct cut_run {
    struct segment_store *store;
    struct segment_location at;
    uint32_t rows;
    int64_t min_ts_ms;
    int64_t max_ts_ms;
};

struct cut_timeline { /* runs of one group */
    uint32_t group;
    uint32_t shard;
    size_t first_run;
    uint32_t run_count;
    uint32_t rows;
    uint32_t slot_count; /* at most */
    uint32_t slot_bytes; /* of all runs, on the average */
    uint32_t number;     /* in the partition */
};

struct cut_series {
    struct labels target; /* sets of the index: they stay where they are */
    struct labels metric;
    uint32_t timeline;
    uint32_t slot;
    uint32_t first_column; /* hidden ones beside the slot */
    uint32_t column_count;
};

struct cut {
    struct compactor *c;
    struct tsdb *db;
    struct partition_writer *writer;
    struct partition_writer_options options;
    int64_t start_ms;
    int64_t end_ms;
    struct manifest_mark marks[COMPACTOR_SHARDS_MAX];
    size_t mark_count;
    struct cut_run *runs; /* by timeline */
    size_t run_count;
    size_t run_capacity;
    struct cut_timeline *timelines; /* by group */
    size_t timeline_count;
    size_t timeline_capacity;
    struct cut_series *series;
    size_t series_count;
    struct group_column *columns;
    size_t column_count;
    size_t column_capacity;
    uint64_t damaged;
    int64_t since_ns;
};

static void add_run(struct cut *cut, const struct head_group *g, const struct head_run *run) {
    struct cut_timeline *t =
        cut->timeline_count != 0 ? &cut->timelines[cut->timeline_count - 1] : NULL;
    const struct cut_run *last = t != NULL ? &cut->runs[cut->run_count - 1] : NULL;
    if (t == NULL || t->group != g->id || t->rows + run->rows > TIMELINE_ROWS_MAX ||
        run->min_ts_ms <= last->max_ts_ms) {
        if (cut->timeline_count == cut->timeline_capacity) {
            cut->timeline_capacity = mem_grow(cut->timeline_capacity, cut->timeline_count + 1);
            cut->timelines =
                mem_resize(cut->timelines, cut->timeline_capacity, sizeof(*cut->timelines));
        }
        t = &cut->timelines[cut->timeline_count++];
        *t = (struct cut_timeline){
            .group = g->id, .shard = g->shard->number, .first_run = cut->run_count};
    }
    if (cut->run_count == cut->run_capacity) {
        cut->run_capacity = mem_grow(cut->run_capacity, cut->run_count + 1);
        cut->runs = mem_resize(cut->runs, cut->run_capacity, sizeof(*cut->runs));
    }
    cut->runs[cut->run_count++] = (struct cut_run){.store = g->shard->store,
                                                   .at = run->at,
                                                   .rows = run->rows,
                                                   .min_ts_ms = run->min_ts_ms,
                                                   .max_ts_ms = run->max_ts_ms};
    t->run_count++;
    t->rows += run->rows;
}

/* The group's runs of the window, with what was still open. */
static enum err_code take_group(struct cut *cut, struct head_group *g, struct err *err)
    REQUIRES(g->shard->mu) {
    const struct manifest *m = &cut->c->manifest;
    enum err_code code = head_replay_locked(g, err);
    if (code == ERR_OK && g->rows != 0 && g->row_ts_ms[0] < cut->end_ms) {
        code = head_seal(g, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    for (uint32_t i = 0; i < g->run_count; i++) {
        const struct head_run *run = &g->runs[i];
        if (run->min_ts_ms < cut->start_ms || run->min_ts_ms >= cut->end_ms) {
            continue;
        }
        const struct manifest_mark *mark =
            manifest_mark_at(m->marks, m->mark_count, g->shard->number, run->min_ts_ms);
        if (mark == NULL || run->at.file >= mark->l0_file) {
            add_run(cut, g, run);
        }
    }
    return ERR_OK;
}

/* All runs of the shard, and the mark behind them: nobody writes meanwhile. */
static enum err_code take_shard_locked(struct cut *cut, struct head_shard *shard, uint32_t count,
                                       struct err *err) REQUIRES(shard->mu) {
    const size_t before = cut->run_count;
    for (uint32_t id = 1; id < count; id++) {
        struct head_group *g = head_group_get(cut->db, id);
        if (g == NULL || g->shard != shard) {
            continue;
        }
        head_shard_held(g->shard);
        const enum err_code code = take_group(cut, g, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    if (cut->run_count != before) {
        struct manifest_mark *mark = &cut->marks[cut->mark_count++];
        *mark = (struct manifest_mark){
            .start_ms = cut->start_ms, .end_ms = cut->end_ms, .shard = shard->number};
        mark->l0_file = segment_cut(shard->store);
        wal_cut(shard->wal);
        mark->wal_segment = wal_current_segment(shard->wal);
    }
    return ERR_OK;
}

/* Runs that are not durable may be sealed again, behind the mark: then they are not cut now. */
static enum err_code check_durable(struct cut *cut, struct head_shard *shard, size_t first_run,
                                   struct err *err) {
    enum err_code code = segment_sync(shard->store, err);
    for (size_t i = first_run; i < cut->run_count && code == ERR_OK; i++) {
        if (!segment_is_durable(shard->store, cut->runs[i].at)) {
            code = err_set(err, ERR_UNAVAILABLE, "sealed runs are not durable yet");
        }
    }
    return code;
}

static enum err_code take_runs(struct cut *cut, struct err *err) {
    const uint32_t count = count_groups(cut->db);
    for (uint32_t i = 0; i < cut->db->shard_count; i++) {
        struct head_shard *shard = cut->db->shards[i];
        const size_t first_run = cut->run_count;
        mutex_lock(&shard->mu);
        enum err_code code = take_shard_locked(cut, shard, count, err);
        mutex_unlock(&shard->mu);
        if (code == ERR_OK && cut->run_count != first_run) {
            code = check_durable(cut, shard, first_run, err);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

/* ---- damage ---- */

static void report(struct cut *cut, const struct err *err) {
    cut->damaged++;
    atomic_fetch_add(&cut->db->damage_count, 1);
    metric_inc(cut->db->metrics.wal_corruptions);
    log_error(cut->db->options.log, "tsdb", "damaged samples are left behind", log_err(err));
}

static bool is_damage(enum err_code code) {
    return code == ERR_CORRUPT || code == ERR_NOT_FOUND || code == ERR_UNSUPPORTED;
}

/* ---- timelines ---- */

/* Appends a run's times; a run that cannot be read is marked by rows = 0. */
static enum err_code load_times(struct cut *cut, struct cut_timeline *t, struct cut_run *run,
                                int64_t *ts, struct err *err) {
    struct arena arena;
    struct segment_run *open;
    arena_init(&arena, RUN_ARENA_BYTES);
    enum err_code code = segment_run_open(run->store, run->at, &arena, &open, err);
    if (code == ERR_OK) {
        const struct segment_run_info *info = segment_run_info(open);
        if (info->group == t->group && info->rows == run->rows) {
            memcpy(ts + t->rows, segment_run_ts(open), run->rows * sizeof(*ts));
            t->rows += run->rows;
            t->slot_count = info->slot_count > t->slot_count ? info->slot_count : t->slot_count;
            t->slot_bytes += run->at.bytes / (info->slot_count + 1) + 1;
        } else {
            code = err_set(err, ERR_CORRUPT,
                           "a run at offset %" PRIu32 " of segment %" PRIu32
                           " is not the one that was there",
                           run->at.offset, run->at.file);
        }
        segment_run_close(open);
    }
    arena_release(&arena);
    if (is_damage(code)) {
        report(cut, err);
        run->rows = 0;
        code = ERR_OK;
    }
    return code;
}

static enum err_code write_timeline(struct cut *cut, struct cut_timeline *t, struct err *err) {
    int64_t *ts = mem_array(t->rows, sizeof(*ts));
    enum err_code code = ERR_OK;
    t->rows = 0;
    for (uint32_t i = 0; i < t->run_count && code == ERR_OK; i++) {
        code = load_times(cut, t, &cut->runs[t->first_run + i], ts, err);
    }
    if (code == ERR_OK && t->rows != 0) {
        code = partition_writer_timeline(cut->writer, ts, t->rows, NULL, 0, &t->number, err);
    }
    mem_free(ts);
    return code;
}

static enum err_code write_timelines(struct cut *cut, struct err *err) {
    for (size_t i = 0; i < cut->timeline_count; i++) {
        enum err_code code = write_timeline(cut, &cut->timelines[i], err);
        code = code != ERR_OK ? code : compactor_breathe(cut->c, &cut->since_ns, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

/* ---- series in order ---- */

static size_t count_slots(const struct cut *cut) {
    size_t n = 0;
    for (size_t i = 0; i < cut->timeline_count; i++) {
        n += cut->timelines[i].rows != 0 ? cut->timelines[i].slot_count : 0;
    }
    return n;
}

static void list_timeline(struct cut *cut, uint32_t timeline) REQUIRES(cut->db->index.mu) {
    const struct cut_timeline *t = &cut->timelines[timeline];
    const struct index *index = &cut->db->index;
    const struct index_group *g = &index->live->groups[t->group];
    const struct labels target = label_sets_get(&index->live->targets.sets, g->target_set);
    const struct labels none = label_sets_get(&index->live->targets.sets, 0);
    const uint32_t slots = t->slot_count < g->slot_count ? t->slot_count : g->slot_count;
    for (uint32_t slot = 0; slot < slots && t->rows != 0; slot++) {
        const uint32_t set = g->slots[slot];
        if (set == INDEX_SLOT_LOST) {
            continue;
        }
        cut->series[cut->series_count++] = (struct cut_series){
            .timeline = timeline,
            .slot = slot,
            .target = set & INDEX_SLOT_WHOLE ? none : target,
            .metric = label_sets_get(&index->live->metrics.sets, set & ~INDEX_SLOT_WHOLE),
        };
    }
}

/* The hidden columns of the series from first on, all of the group. */
static void list_columns(struct cut *cut, struct head_group *g, size_t first) {
    mutex_lock(&g->mu);
    for (size_t i = first; i < cut->series_count && g->columns != NULL; i++) {
        struct cut_series *s = &cut->series[i];
        const struct column_bundle *b = group_columns_of(g->columns, s->slot);
        if (b == NULL) {
            continue;
        }
        if (cut->column_count + b->count > cut->column_capacity) {
            cut->column_capacity = mem_grow(cut->column_capacity, cut->column_count + b->count);
            cut->columns = mem_resize(cut->columns, cut->column_capacity, sizeof(*cut->columns));
        }
        s->first_column = (uint32_t)cut->column_count;
        s->column_count = b->count;
        memcpy(cut->columns + cut->column_count, b->columns, b->count * sizeof(*b->columns));
        cut->column_count += b->count;
    }
    mutex_unlock(&g->mu);
}

static void list_series(struct cut *cut) {
    cut->series = mem_array(count_slots(cut) + 1, sizeof(*cut->series));
    for (uint32_t i = 0; i < cut->timeline_count; i++) {
        const size_t first = cut->series_count;
        mutex_lock(&cut->db->index.mu);
        list_timeline(cut, i);
        mutex_unlock(&cut->db->index.mu);
        list_columns(cut, head_group_get(cut->db, cut->timelines[i].group), first);
    }
}

/* Equal labels: the lower group wins at equal times, so it comes first. */
static int by_labels(const void *a, const void *b, void *ctx) {
    const struct cut *cut = ctx;
    const struct cut_series *x = a;
    const struct cut_series *y = b;
    const int order = partition_series_cmp(x->target, x->metric, y->target, y->metric);
    if (order != 0) {
        return order;
    }
    if (x->timeline != y->timeline) {
        const uint32_t g = cut->timelines[x->timeline].group;
        const uint32_t h = cut->timelines[y->timeline].group;
        return g != h ? (g < h ? -1 : 1) : (x->timeline < y->timeline ? -1 : 1);
    }
    return (x->slot > y->slot) - (x->slot < y->slot);
}

/* ---- slices ---- */

struct piece { /* a block, then the block that it builds on, in the slice's bytes */
    uint32_t at;
    uint16_t bytes;
    uint16_t reference_bytes;
};

struct slice {
    struct cut *cut;
    const struct cut_series *series;
    size_t count;
    uint32_t *order;       /* by timeline, then slot */
    uint32_t *first_piece; /* of each series: by column, one per run */
    struct piece *pieces;
    size_t piece_count;
    bool is_written; /* or in part */
    struct buf bytes;
    /* of one series: */
    struct num *values;
    uint8_t *states;
    size_t capacity; /* of both */
    struct partition_column *columns;
    size_t column_capacity;
    struct block_ints ints;
    struct block_ints reference;
};

static int by_place(const void *a, const void *b, void *ctx) {
    const struct slice *slice = ctx;
    const struct cut_series *x = &slice->series[*(const uint32_t *)a];
    const struct cut_series *y = &slice->series[*(const uint32_t *)b];
    if (x->timeline != y->timeline) {
        return x->timeline < y->timeline ? -1 : 1;
    }
    return (x->slot > y->slot) - (x->slot < y->slot);
}

static enum err_code take_piece(struct slice *slice, struct segment_run *run, uint32_t slot,
                                struct piece *to, struct err *err) {
    const uint8_t *block;
    const uint8_t *reference = NULL;
    size_t n;
    size_t m = 0;
    enum err_code code = segment_run_block(run, slot, &block, &n, err);
    const unsigned back = code == ERR_OK ? block_reference(block, n) : 0;
    if (back != 0) {
        code = back > slot ? err_set(err, ERR_CORRUPT, "a block builds on none")
                           : segment_run_block(run, slot - back, &reference, &m, err);
    }
    if (code != ERR_OK || n == 0) {
        return code;
    }
    *to = (struct piece){(uint32_t)slice->bytes.len, (uint16_t)n, (uint16_t)m};
    buf_append(&slice->bytes, block, n);
    if (m != 0) {
        buf_append(&slice->bytes, reference, m);
    }
    return slice->bytes.len <= 2 * slice->cut->c->memory_bytes || slice->count == 1
               ? ERR_OK
               : err_set(err, ERR_LIMIT, "a slice is larger than it should be");
}

/* Run number i of all columns of a series; damage of one does not keep the others. */
static enum err_code take_pieces(struct slice *slice, struct segment_run *run, uint32_t number,
                                 uint32_t run_count, uint32_t i, struct err *err) {
    const struct cut_series *s = &slice->series[number];
    struct piece *pieces = slice->pieces + slice->first_piece[number] + i;
    enum err_code code = take_piece(slice, run, s->slot, pieces, err);
    for (uint32_t k = 0; k < s->column_count && (code == ERR_OK || is_damage(code)); k++) {
        const uint32_t slot = slice->cut->columns[s->first_column + k].slot;
        struct err other;
        const enum err_code taken =
            take_piece(slice, run, slot, pieces + (size_t)(k + 1) * run_count, &other);
        if (taken != ERR_OK) {
            code = taken;
            *err = other;
        }
    }
    return code;
}

static void note_slice_memory(const struct slice *slice, const struct arena *run) {
    compactor_note_memory(slice->cut->c,
                          slice->bytes.capacity + run->used_bytes +
                              slice->piece_count * sizeof(*slice->pieces) +
                              slice->count * (sizeof(*slice->order) + sizeof(*slice->first_piece)));
}

/* The blocks of order[from .. to - 1], all of one timeline, from its run number i. */
static enum err_code take_run(struct slice *slice, size_t from, size_t to, uint32_t i,
                              struct err *err) {
    struct cut *cut = slice->cut;
    const struct cut_timeline *t = &cut->timelines[slice->series[slice->order[from]].timeline];
    const struct cut_run *at = &cut->runs[t->first_run + i];
    struct arena arena;
    struct segment_run *run = NULL;
    bool reported = false;
    if (at->rows == 0) {
        return ERR_OK;
    }
    arena_init(&arena, RUN_ARENA_BYTES);
    enum err_code code = segment_run_open(at->store, at->at, &arena, &run, err);
    for (size_t k = from; k < to && code == ERR_OK; k++) {
        code = take_pieces(slice, run, slice->order[k], t->run_count, i, err);
        if (is_damage(code)) {
            if (!reported) {
                report(cut, err);
            }
            reported = true;
            code = ERR_OK;
        }
        if (arena.used_bytes > cut->c->memory_bytes / 2) { /* pages of a very large run */
            note_slice_memory(slice, &arena);
            segment_run_close(run);
            run = NULL;
            arena_reset(&arena);
            if (code == ERR_OK) {
                code = segment_run_open(at->store, at->at, &arena, &run, err);
            }
        }
    }
    note_slice_memory(slice, &arena);
    segment_run_close(run);
    arena_release(&arena);
    if (is_damage(code)) {
        report(cut, err);
        code = ERR_OK;
    }
    return code;
}

static enum err_code fill_slice(struct slice *slice, struct err *err) {
    struct cut *cut = slice->cut;
    enum err_code code = ERR_OK;
    for (size_t from = 0; from < slice->count && code == ERR_OK;) {
        const uint32_t timeline = slice->series[slice->order[from]].timeline;
        size_t to = from + 1;
        while (to < slice->count && slice->series[slice->order[to]].timeline == timeline) {
            to++;
        }
        for (uint32_t i = 0; i < cut->timelines[timeline].run_count && code == ERR_OK; i++) {
            code = take_run(slice, from, to, i, err);
        }
        code = code != ERR_OK ? code : compactor_breathe(cut->c, &cut->since_ns, err);
        from = to;
    }
    return code;
}

/* ---- one series ---- */

static void put_rows(const struct block_ints *ints, struct num *values, uint8_t *states) {
    for (uint32_t i = 0; i < ints->count; i++) {
        const uint32_t row = ints->dense ? i : ints->rows[i];
        const bool stale = ints->has_stale && ints->stale[i] != 0;
        states[row] = stale ? SLOT_STALE : SLOT_VALUE;
        values[row] = (struct num){.m = ints->m[i],
                                   .scale = ints->decimal ? ints->scale : 0,
                                   .kind = ints->decimal ? NUM_DECIMAL : NUM_RAW};
    }
}

static enum err_code decode_piece(struct slice *slice, const struct piece *piece, uint32_t rows) {
    const uint8_t *bytes = (const uint8_t *)slice->bytes.ptr + piece->at;
    const struct block_ints *reference = NULL;
    if (piece->reference_bytes != 0) {
        const enum err_code code = block_decode_ints(bytes + piece->bytes, piece->reference_bytes,
                                                     rows, NULL, &slice->reference);
        if (code != ERR_OK) {
            return code;
        }
        reference = &slice->reference;
    }
    return block_decode_ints(bytes, piece->bytes, rows, reference, &slice->ints);
}

/* Values and states of a column over all rows of its timeline; false: it has none. */
static bool decode_column(struct slice *slice, const struct cut_timeline *t,
                          const struct piece *pieces, struct num *values, uint8_t *states) {
    struct cut *cut = slice->cut;
    uint32_t row = 0;
    bool any = false;
    memset(states, SLOT_ABSENT, t->rows);
    for (uint32_t i = 0; i < t->run_count; i++) {
        const struct cut_run *run = &cut->runs[t->first_run + i];
        if (pieces[i].bytes != 0 && decode_piece(slice, &pieces[i], run->rows) == ERR_OK) {
            put_rows(&slice->ints, values + row, states + row);
            any = true;
        } else if (pieces[i].bytes != 0) {
            struct err err;
            (void)err_set(&err, ERR_CORRUPT,
                          "damaged block of group %" PRIu32 ", segment %" PRIu32
                          ", run at offset %" PRIu32,
                          t->group, run->at.file, run->at.offset);
            report(cut, &err);
        }
        row += run->rows;
    }
    return any;
}

/* Room for all columns of a series over the rows of its timeline. */
static void reserve_columns(struct slice *slice, const struct cut_series *s, uint32_t rows) {
    const size_t columns = (size_t)s->column_count + 1;
    if (columns > slice->column_capacity) {
        slice->column_capacity = mem_grow(slice->column_capacity, columns);
        slice->columns =
            mem_resize(slice->columns, slice->column_capacity, sizeof(*slice->columns));
    }
    if (columns * rows > slice->capacity) {
        slice->capacity = mem_grow(slice->capacity, columns * rows);
        mem_free(slice->values);
        mem_free(slice->states);
        slice->values = mem_array(slice->capacity, sizeof(*slice->values));
        slice->states = mem_alloc(slice->capacity);
    }
}

/* With the partition's number of its layout; false when it cannot be written. */
static bool column_key_of(struct cut *cut, struct column_key *key, struct err *err) {
    if (key->layout == 0) {
        return true;
    }
    const struct hist_layout *layout = hist_layouts_get(cut->db->layouts, key->layout);
    key->layout = layout != NULL ? partition_writer_layout(cut->writer, layout) : 0;
    if (key->layout == 0) {
        (void)err_set(err, ERR_LIMIT, "too many layouts of histograms, or one that is lost");
    }
    return key->layout != 0;
}

static int by_key(const void *a, const void *b) {
    return column_key_cmp(((const struct partition_column *)a)->key,
                          ((const struct partition_column *)b)->key);
}

static enum err_code write_series_of(struct slice *slice, size_t number, struct err *err) {
    struct cut *cut = slice->cut;
    const struct cut_series *s = &slice->series[number];
    const struct cut_timeline *t = &cut->timelines[s->timeline];
    uint32_t n = 0;
    reserve_columns(slice, s, t->rows);
    for (uint32_t k = 0; k <= s->column_count; k++) {
        struct column_key key = {0};
        struct num *values = slice->values + (size_t)n * t->rows;
        uint8_t *states = slice->states + (size_t)n * t->rows;
        const struct piece *pieces =
            slice->pieces + slice->first_piece[number] + (size_t)k * t->run_count;
        if (!decode_column(slice, t, pieces, values, states)) {
            continue;
        }
        if (k != 0) {
            key = cut->columns[s->first_column + k - 1].key;
            if (!column_key_of(cut, &key, err)) {
                report(cut, err);
                continue;
            }
        }
        slice->columns[n++] =
            (struct partition_column){.key = key, .values = values, .states = states};
    }
    if (n == 0) {
        return ERR_OK;
    }
    qsort(slice->columns, n, sizeof(*slice->columns), by_key);
    return partition_writer_series(cut->writer, s->target, s->metric, t->number, slice->columns, n,
                                   err);
}

static enum err_code write_slice(struct slice *slice, struct err *err) {
    struct cut *cut = slice->cut;
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < slice->count && code == ERR_OK; i++) {
        code = write_series_of(slice, i, err);
        if (code == ERR_OK && i % 64 == 0) {
            code = compactor_breathe(cut->c, &cut->since_ns, err);
        }
    }
    return code;
}

static struct block_ints new_ints(uint32_t rows) {
    const uint32_t capacity = block_decode_capacity(rows);
    return (struct block_ints){.m = mem_array(capacity, sizeof(int64_t)),
                               .stale = mem_alloc(capacity),
                               .rows = mem_array(capacity, sizeof(uint16_t))};
}

static void free_ints(struct block_ints *ints) {
    mem_free(ints->m);
    mem_free(ints->stale);
    mem_free(ints->rows);
}

/* How many series from first on are a slice, by the average sizes of blocks. */
static size_t slice_count(const struct cut *cut, size_t first) {
    size_t bytes = 0;
    size_t n = 0;
    while (first + n < cut->series_count && (n == 0 || bytes < cut->c->memory_bytes)) {
        const struct cut_timeline *t = &cut->timelines[cut->series[first + n].timeline];
        const size_t columns = (size_t)cut->series[first + n].column_count + 1;
        bytes +=
            columns * (t->run_count * sizeof(struct piece) + t->slot_bytes) + 2 * sizeof(uint32_t);
        n++;
    }
    return n;
}

static enum err_code cut_slice(struct slice *slice, size_t first, size_t count, struct err *err) {
    struct cut *cut = slice->cut;
    size_t pieces = 0;
    slice->series = cut->series + first;
    slice->count = count;
    slice->order = mem_array(count, sizeof(*slice->order));
    slice->first_piece = mem_array(count, sizeof(*slice->first_piece));
    for (uint32_t i = 0; i < count; i++) {
        slice->order[i] = i;
        slice->first_piece[i] = (uint32_t)pieces;
        pieces += ((size_t)slice->series[i].column_count + 1) *
                  cut->timelines[slice->series[i].timeline].run_count;
    }
    slice->pieces = mem_zalloc((pieces + 1) * sizeof(*slice->pieces));
    slice->piece_count = pieces;
    buf_clear(&slice->bytes);
    qsort_r(slice->order, count, sizeof(*slice->order), by_place, slice);
    enum err_code code = fill_slice(slice, err);
    slice->is_written = code == ERR_OK;
    code = code != ERR_OK ? code : write_slice(slice, err);
    mem_free(slice->order);
    mem_free(slice->first_piece);
    mem_free(slice->pieces);
    return code;
}

static enum err_code write_series(struct cut *cut, struct err *err) {
    enum { SLICE_BYTES_MAX = 1 << 30 };
    struct slice slice = {
        .cut = cut, .ints = new_ints(BLOCK_ROWS_MAX), .reference = new_ints(BLOCK_ROWS_MAX)};
    enum err_code code = ERR_OK;
    buf_init(&slice.bytes, SLICE_BYTES_MAX);
    for (size_t first = 0; first < cut->series_count && code == ERR_OK;) {
        size_t count = slice_count(cut, first);
        while ((code = cut_slice(&slice, first, count, err)) == ERR_LIMIT && count > 1 &&
               !slice.is_written) {
            count /= 2; /* the blocks are larger than most */
        }
        first += count;
    }
    buf_release(&slice.bytes);
    mem_free(slice.values);
    mem_free(slice.states);
    mem_free(slice.columns);
    free_ints(&slice.ints);
    free_ints(&slice.reference);
    return code;
}

/* ---- the whole ---- */

static enum err_code write_partition(struct cut *cut, struct err *err) {
    cut->options = (struct partition_writer_options){
        .level = 1, .start_ms = cut->start_ms, .end_ms = cut->end_ms};
    enum err_code code = compactor_begin(cut->c, &cut->options, &cut->writer, err);
    code = code != ERR_OK ? code : write_timelines(cut, err);
    if (code == ERR_OK) {
        list_series(cut);
        qsort_r(cut->series, cut->series_count, sizeof(*cut->series), by_labels, cut);
        code = write_series(cut, err);
    }
    return code;
}

enum err_code compactor_cut(struct compactor *c, int64_t start_ms, struct err *err) {
    struct cut *cut = mem_zalloc(sizeof(*cut));
    cut->c = c;
    cut->db = c->db;
    cut->start_ms = start_ms;
    cut->end_ms = span_end(c->db->options.partition_ms, start_ms);
    cut->since_ns = clock_mono_ns(c->db->options.clock);
    enum err_code code = take_runs(cut, err);
    if (code == ERR_OK && cut->run_count != 0) {
        code = write_partition(cut, err);
        if (code == ERR_OK) {
            code = compactor_commit(c,
                                    &(struct compactor_change){.writer = cut->writer,
                                                               .options = &cut->options,
                                                               .marks = cut->marks,
                                                               .mark_count = cut->mark_count},
                                    err);
        } else {
            partition_writer_free(cut->writer);
        }
    }
    mem_free(cut->runs);
    mem_free(cut->timelines);
    mem_free(cut->series);
    mem_free(cut->columns);
    mem_free(cut);
    return code;
}

/* ---- afterwards ---- */

static bool is_cut(const struct compactor *c, const struct head_group *g,
                   const struct head_run *run) {
    return compactor_has_run(c, g->shard->number, run->min_ts_ms, run->at.file);
}

static void forget_runs(struct compactor *c, struct head_group *g) REQUIRES(g->shard->mu) {
    uint32_t kept = 0;
    uint32_t synced = 0;
    uint32_t upto = 0;
    mutex_lock(&g->mu);
    for (uint32_t i = 0; i < g->run_count; i++) {
        if (!is_cut(c, g, &g->runs[i])) {
            synced += i < g->synced_runs;
            upto += i < g->synced_upto;
            g->runs[kept++] = g->runs[i];
        }
    }
    if (kept != g->run_count) {
        g->run_count = kept;
        g->synced_runs = synced;
        g->synced_upto = upto;
        int64_t min_ts_ms = g->rows != 0 ? g->row_ts_ms[0] : INT64_MAX;
        min_ts_ms = kept != 0 ? g->runs[0].min_ts_ms : min_ts_ms;
        atomic_store_explicit(&g->min_ts_ms, min_ts_ms, memory_order_relaxed);
        if (g->run_capacity > 2 * kept + 8) {
            g->run_capacity = kept + 4;
            g->runs = mem_resize(g->runs, g->run_capacity, sizeof(*g->runs));
        }
    }
    mutex_unlock(&g->mu);
}

static void mark_files(const struct head_group *g, const uint32_t *files, size_t n, bool *used)
    REQUIRES(g->shard->mu) {
    for (uint32_t i = 0; i < g->run_count; i++) {
        size_t low = 0;
        size_t high = n;
        while (high - low > 1) {
            const size_t middle = low + (high - low) / 2;
            if (files[middle] <= g->runs[i].at.file) {
                low = middle;
            } else {
                high = middle;
            }
        }
        used[low] |= n != 0 && files[low] == g->runs[i].at.file;
    }
}

/* Files below the shard's floor without a run that somebody needs. */
static enum err_code drop_files(struct compactor *c, struct head_shard *shard, uint32_t groups,
                                struct err *err) REQUIRES(shard->mu) {
    uint32_t *files;
    const size_t n = segment_files(shard->store, &files);
    bool *used = mem_zalloc(n + 1);
    enum err_code code = ERR_OK;
    for (uint32_t id = 1; id < groups; id++) {
        struct head_group *g = head_group_get(c->db, id);
        if (g != NULL && g->shard == shard) {
            head_shard_held(g->shard);
            forget_runs(c, g);
            mark_files(g, files, n, used);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!used[i] && files[i] < c->manifest.floors[shard->number].l0_file) {
            struct err failure;
            const enum err_code dropped = segment_drop_file(shard->store, files[i], &failure);
            if (dropped != ERR_OK && code == ERR_OK) {
                code = dropped;
                *err = failure;
            }
        }
    }
    mem_free(used);
    mem_free(files);
    return code;
}

static void note_oldest(struct compactor *c, uint32_t groups) {
    int64_t oldest_ms = INT64_MAX;
    for (uint32_t id = 1; id < groups; id++) {
        struct head_group *g = head_group_get(c->db, id);
        const int64_t ts_ms = g != NULL ? atomic_load(&g->min_ts_ms) : INT64_MAX;
        oldest_ms = ts_ms < oldest_ms ? ts_ms : oldest_ms;
    }
    if (oldest_ms != INT64_MAX) {
        atomic_store(&c->db->min_ts_ms, oldest_ms);
    }
}

void compactor_clean_head(struct compactor *c) {
    if (!c->head_is_full || !view_is_oldest(&c->db->views, c->cleanup_view)) {
        return;
    }
    const uint32_t groups = count_groups(c->db);
    bool all_gone = true;
    for (uint32_t i = 0; i < c->db->shard_count; i++) {
        struct head_shard *shard = c->db->shards[i];
        struct err err;
        mutex_lock(&shard->mu);
        const enum err_code code = drop_files(c, shard, groups, &err);
        mutex_unlock(&shard->mu);
        if (code != ERR_OK) {
            all_gone = false;
            metric_inc(c->metrics.truncations_failed);
            log_warn(c->db->options.log, "tsdb", "sealed runs that are in partitions stay on disk",
                     log_u64("shard", i), log_err(&err));
        }
    }
    note_oldest(c, groups);
    metric_inc(c->metrics.truncations);
    c->head_is_full = !all_gone;
}

/* Cutting a window from the head.
 *
 * The runs of a group are in the order of rows, the partition wants the order of series: by name, over
 * all groups. So the series are sorted first (a few bytes each), and then read in slices of that
 * order: of each run the blocks that the slice needs are collected as they are, compressed, which
 * makes a slice of 1 to 8 MiB thousands of series and lets each page be read few times. Only when
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
#include "tsdb/compactor_cut.h"
#include "tsdb/head_recover.h"
#include "tsdb/span.h"

enum {
    TIMELINE_ROWS_MAX = 1 << 13, /* more rows of a group become several timelines */
    RUN_ARENA_BYTES = 1 << 30,
    /* A slice is small beside the head, and there are no more than about thirty. */
    SLICE_BYTES_PER_SERIES = 8,
    SLICE_BYTES_MIN = 1 << 20,
    SLICE_BYTES_MAX = 8 << 20,
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

static int64_t oldest_row_ms(struct head_group *g) {
    mutex_lock(&g->mu);
    const int64_t oldest_ms = head_oldest_row_ms(g);
    mutex_unlock(&g->mu);
    return oldest_ms;
}

/* The group's runs of the window, with what was still open. */
static enum err_code take_group(struct cut *cut, struct head_group *g, struct err *err)
    REQUIRES(g->shard->mu) {
    const struct manifest *m = &cut->c->manifest;
    enum err_code code = head_replay_locked(g, err);
    if (code == ERR_OK && oldest_row_ms(g) < cut->end_ms) {
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
    const uint32_t count = compactor_count_groups(cut->db);
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

void cut_report(struct cut *cut, const struct err *err) {
    cut->damaged++;
    atomic_fetch_add(&cut->db->damage_count, 1);
    metric_inc(cut->db->metrics.wal_corruptions);
    log_error(cut->db->options.log, "tsdb", "damaged samples are left behind", log_err(err));
}

bool cut_is_damage(enum err_code code) {
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
    if (cut_is_damage(code)) {
        cut_report(cut, err);
        run->rows = 0;
        code = ERR_OK;
    }
    return code;
}

static enum err_code load_all_times(struct cut *cut, struct cut_timeline *t, struct err *err) {
    enum err_code code = ERR_OK;
    t->ts = mem_array(t->rows + (size_t)1, sizeof(*t->ts));
    t->rows = 0;
    t->slot_bytes = 0;
    for (uint32_t i = 0; i < t->run_count && code == ERR_OK; i++) {
        struct cut_run *run = &cut->runs[t->first_run + i];
        code = run->rows != 0 ? load_times(cut, t, run, t->ts, err) : ERR_OK;
    }
    return code;
}

enum err_code cut_load_times(struct cut *cut, struct cut_timeline *t, struct err *err) {
    if (t->ts != NULL) {
        return ERR_OK;
    }
    const uint32_t rows = t->rows;
    const enum err_code code = load_all_times(cut, t, err);
    return code == ERR_OK && t->rows != rows /* the series that are written have so many rows */
               ? err_set(err, ERR_IO, "a run was damaged while it was cut")
               : code;
}

static void note_spans(struct cut_timeline *t) {
    const uint32_t n = partition_balanced_blocks(t->rows);
    t->spans_ms = mem_array((size_t)n + 1, sizeof(*t->spans_ms));
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t first = partition_balanced_row(t->rows, n, i);
        const uint32_t end = partition_balanced_row(t->rows, n, i + 1);
        t->spans_ms[i] = t->ts[end - 1] - t->ts[first];
    }
}

/* A block of a series is what Prometheus calls a chunk. Its name says seconds and it observes
 * milliseconds: so do we, for the boards that know it. */
static void observe_written(void *ctx, const struct partition_written *written) {
    const struct cut *cut = ctx;
    const struct compactor_metrics *m = &cut->c->metrics;
    metric_observe(m->chunk_range_ms, (double)cut->writing->spans_ms[written->block]);
    metric_observe(m->chunk_bytes, (double)written->bytes);
    metric_observe(m->chunk_samples, (double)written->samples);
}

static enum err_code write_timeline(struct cut *cut, struct cut_timeline *t, struct err *err) {
    enum err_code code = load_all_times(cut, t, err);
    if (code == ERR_OK && t->rows != 0) {
        note_spans(t);
        code = partition_writer_timeline(cut->writer, t->ts, t->rows, NULL, 0, &t->number, err);
    }
    mem_free(t->ts);
    t->ts = NULL;
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
    struct cut_timeline *t = &cut->timelines[timeline];
    const struct index *index = &cut->db->index;
    const struct index_group *g = &index->live->groups[t->group];
    const uint32_t slots = t->slot_count < g->slot_count ? t->slot_count : g->slot_count;
    t->target = label_sets_get(&index->live->targets.sets, g->target_set);
    for (uint32_t slot = 0; slot < slots && t->rows != 0; slot++) {
        const uint32_t set = g->slots[slot];
        if (set == INDEX_SLOT_LOST) {
            continue;
        }
        cut->series[cut->series_count++] = (struct cut_series){
            .timeline_bits = timeline << 1,
            .place = slot << 1 | ((set & INDEX_SLOT_WHOLE) != 0 ? 1U : 0U),
            .metric = label_sets_get(&index->live->metrics.sets, set & ~INDEX_SLOT_WHOLE).data,
        };
    }
}

/* What the series has beside its slot, to be changed. */
static struct cut_extra *add_extra(struct cut *cut, struct cut_series *s) {
    if ((s->timeline_bits & 1) == 0) {
        if (cut->extra_count == cut->extra_capacity) {
            cut->extra_capacity = mem_grow(cut->extra_capacity, cut->extra_count + 1);
            cut->extras = mem_resize(cut->extras, cut->extra_capacity, sizeof(*cut->extras));
        }
        cut->extras[cut->extra_count] = (struct cut_extra){.slot_bits = s->place};
        s->place = (uint32_t)cut->extra_count++;
        s->timeline_bits |= 1;
    }
    return &cut->extras[s->place];
}

/* The hidden columns of the series from first on, all of the timeline's group. */
static void list_columns(struct cut *cut, struct cut_timeline *t, size_t first) {
    struct head_group *g = head_group_get(cut->db, t->group);
    mutex_lock(&g->mu);
    if (g->lost_count != 0) {
        t->lost = mem_array(g->lost_count, sizeof(*t->lost));
        memcpy(t->lost, g->lost_slots, g->lost_count * sizeof(*t->lost));
        t->lost_count = g->lost_count;
        t->doubted = mem_zalloc((t->rows / 64 + (size_t)1) * sizeof(*t->doubted));
    }
    for (size_t i = first; i < cut->series_count && g->columns != NULL; i++) {
        struct cut_series *s = &cut->series[i];
        const struct column_bundle *b = group_columns_of(g->columns, cut_slot(cut, s));
        if (b == NULL) {
            continue;
        }
        if (cut->column_count + b->count > cut->column_capacity) {
            cut->column_capacity = mem_grow(cut->column_capacity, cut->column_count + b->count);
            cut->columns = mem_resize(cut->columns, cut->column_capacity, sizeof(*cut->columns));
        }
        struct cut_extra *extra = add_extra(cut, s);
        extra->first_column = (uint32_t)cut->column_count;
        extra->column_count = b->count;
        memcpy(cut->columns + cut->column_count, b->columns, b->count * sizeof(*b->columns));
        cut->column_count += b->count;
    }
    mutex_unlock(&g->mu);
}

/* A run has no more slots than something is in: that of a histogram's series may be behind all of its
 * columns. */
static void reach_owners(struct cut *cut, struct cut_timeline *t) {
    struct head_group *g = head_group_get(cut->db, t->group);
    mutex_lock(&g->mu);
    for (uint32_t i = 0; g->columns != NULL && i < g->columns->count; i++) {
        const uint32_t owner = g->columns->bundles[i].owner;
        t->slot_count = owner >= t->slot_count ? owner + 1 : t->slot_count;
    }
    mutex_unlock(&g->mu);
}

static enum err_code list_series(struct cut *cut, struct err *err) {
    for (size_t i = 0; i < cut->timeline_count; i++) {
        reach_owners(cut, &cut->timelines[i]);
    }
    cut->series_bytes = (count_slots(cut) + 1) * sizeof(*cut->series);
    cut->series = mem_reserve(cut->series_bytes);
    if (cut->series == NULL) {
        return err_set(err, ERR_LIMIT, "no memory to sort the series of a window");
    }
    for (uint32_t i = 0; i < cut->timeline_count; i++) {
        const size_t first = cut->series_count;
        mutex_lock(&cut->db->index.mu);
        list_timeline(cut, i);
        mutex_unlock(&cut->db->index.mu);
        list_columns(cut, &cut->timelines[i], first);
    }
    return ERR_OK;
}

void cut_release_series(struct cut *cut, size_t count) {
    enum { STEP_BYTES = 64 << 10 }; /* of whole pages, whatever they are */
    const size_t done = count == cut->series_count
                            ? cut->series_bytes
                            : count * sizeof(*cut->series) / STEP_BYTES * STEP_BYTES;
    if (cut->series != NULL && done > cut->released_bytes) {
        mem_unreserve((uint8_t *)cut->series + cut->released_bytes, done - cut->released_bytes);
        cut->released_bytes = done;
    }
}

/* Equal labels: the lower group wins at equal times, so it comes first. */
static int by_labels(const void *a, const void *b, void *ctx) {
    const struct cut *cut = ctx;
    const struct cut_series *x = &cut->series[*(const uint32_t *)a];
    const struct cut_series *y = &cut->series[*(const uint32_t *)b];
    const int order =
        partition_series_cmp(cut_target(cut, x), cut_metric(x), cut_target(cut, y), cut_metric(y));
    if (order != 0) {
        return order;
    }
    const uint32_t t = cut_timeline_of(x);
    const uint32_t u = cut_timeline_of(y);
    if (t != u) {
        const uint32_t g = cut->timelines[t].group;
        const uint32_t h = cut->timelines[u].group;
        return g != h ? (g < h ? -1 : 1) : (t < u ? -1 : 1);
    }
    const uint32_t place = cut_slot_bits(cut, x);
    const uint32_t other = cut_slot_bits(cut, y);
    return (place > other) - (place < other);
}

/* Sorts their numbers, which needs room for two more numbers a series and not for two more series, and
 * then moves each to its place. */
static void sort_series(struct cut *cut) {
    const size_t n = cut->series_count;
    uint32_t *order = mem_array(n + 1, sizeof(*order));
    for (size_t i = 0; i < n; i++) {
        order[i] = (uint32_t)i;
    }
    qsort_r(order, n, sizeof(*order), by_labels, cut);
    for (size_t i = 0; i < n; i++) {
        const struct cut_series first = cut->series[i];
        size_t at = i;
        while (order[at] != i) { /* a circle of moves */
            const size_t from = order[at];
            cut->series[at] = cut->series[from];
            order[at] = (uint32_t)at;
            at = from;
        }
        cut->series[at] = first;
        order[at] = (uint32_t)at;
    }
    mem_free(order);
}

/* Which of the series have deleted samples in the window; their times are needed, then. */
static void find_deleted(struct cut *cut) {
    struct arena scratch;
    if (cut->tombstones == NULL) {
        return;
    }
    arena_init(&scratch, 0);
    for (size_t i = 0; i < cut->series_count; i++) {
        struct cut_series *s = &cut->series[i];
        const struct tombstone *t =
            tombstones_find_pair(cut->tombstones, cut_target(cut, s), cut_metric(s), &scratch);
        if (t != NULL && tombstone_overlaps(t, cut->start_ms, cut->end_ms - 1)) {
            add_extra(cut, s)->deleted = t;
        }
        arena_reset(&scratch);
    }
    arena_release(&scratch);
}

/* ---- the whole ---- */

static size_t slice_bytes(size_t series_count) {
    const size_t bytes = series_count * SLICE_BYTES_PER_SERIES;
    return bytes < SLICE_BYTES_MIN   ? SLICE_BYTES_MIN
           : bytes > SLICE_BYTES_MAX ? SLICE_BYTES_MAX
                                     : bytes;
}

static enum err_code write_partition(struct cut *cut, struct err *err) {
    cut->options = (struct partition_writer_options){.level = 1,
                                                     .start_ms = cut->start_ms,
                                                     .end_ms = cut->end_ms,
                                                     .on_written = observe_written,
                                                     .on_written_ctx = cut};
    enum err_code code = compactor_begin(cut->c, &cut->options, &cut->writer, err);
    code = code != ERR_OK ? code : write_timelines(cut, err);
    code = code != ERR_OK ? code : list_series(cut, err);
    if (code == ERR_OK) {
        find_deleted(cut);
        cut->memory_bytes =
            cut->c->memory_bytes != 0 ? cut->c->memory_bytes : slice_bytes(cut->series_count);
        sort_series(cut);
        code = cut_write_series(cut, err);
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
    cut->tombstones = tsdb_tombstones(c->db);
    const uint64_t clean_of = tombstones_number(cut->tombstones);
    enum err_code code = take_runs(cut, err);
    if (code == ERR_OK && cut->run_count != 0) {
        code = write_partition(cut, err);
        if (code == ERR_OK) {
            code = compactor_commit(c,
                                    &(struct compactor_change){.writer = cut->writer,
                                                               .options = &cut->options,
                                                               .marks = cut->marks,
                                                               .mark_count = cut->mark_count,
                                                               .clean_of = clean_of},
                                    err);
        } else {
            partition_writer_free(cut->writer);
        }
    }
    for (size_t i = 0; i < cut->timeline_count; i++) {
        mem_free(cut->timelines[i].ts);
        mem_free(cut->timelines[i].lost);
        mem_free(cut->timelines[i].doubted);
        mem_free(cut->timelines[i].spans_ms);
    }
    tombstones_unref(cut->tombstones);
    mem_free(cut->runs);
    mem_free(cut->timelines);
    cut_release_series(cut, cut->series_count);
    mem_free(cut->extras);
    mem_free(cut->columns);
    mem_free(cut);
    return code;
}

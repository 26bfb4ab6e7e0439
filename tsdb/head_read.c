/* Samples of one group, for readers.
 *
 * METHOD. Under group->mu only copies are made: row times, the list of runs that overlap, and per
 * wanted slot its state and open chunk, which is some ten bytes. Decoding happens outside. All
 * rows of the group in the range, sealed and open, form one time column; a series that has a
 * sample in each of them shares it, series with equal gaps share a smaller one. */
#include <string.h>

#include "base/check.h"
#include "tsdb/chunk/open_chunk.h"
#include "tsdb/head_read.h"
#include "tsdb/head_reader.h"
#include "tsdb/head_recover.h"
#include "tsdb/time_bound.h"

enum err_code read_over_budget(struct group_read *r) {
    return err_set(r->err, ERR_LIMIT, "query needs more memory than its budget to read samples");
}

static bool overlaps(const struct head_read *read, int64_t min_ts, int64_t max_ts) {
    return max_ts >= read->min_ts_ms && min_ts <= read->max_ts_ms;
}

static void cut_part(const struct head_read *read, struct read_part *p) {
    p->from = time_lower_bound(p->ts, p->rows, read->min_ts_ms);
    p->to = read->max_ts_ms == INT64_MAX ? p->rows
                                         : time_lower_bound(p->ts, p->rows, read->max_ts_ms + 1);
}

/* ---- copies under the lock ---- */

static size_t open_bytes(const struct group_read *r, const uint32_t *slots, size_t n)
    REQUIRES(r->group->mu) {
    const struct head_group *g = r->group;
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += slots[i] < g->slot_count ? g->chunks[slots[i]].len : 0;
    }
    return bytes;
}

static enum err_code copy_open(struct group_read *r, const uint32_t *slots, size_t n,
                               struct read_part *window) REQUIRES(r->group->mu) {
    const struct head_group *g = r->group;
    struct arena *arena = r->read->arena;
    int64_t *ts = arena_try_alloc(arena, g->rows, sizeof(*ts));
    r->open = arena_try_alloc(arena, n, sizeof(*r->open));
    uint8_t *bytes = arena_try_alloc(arena, open_bytes(r, slots, n) + 1, 1);
    if (ts == NULL || r->open == NULL || bytes == NULL) {
        return read_over_budget(r);
    }
    memcpy(ts, g->row_ts_ms, g->rows * sizeof(*ts));
    *window = (struct read_part){.ts = ts, .rows = g->rows};
    for (size_t i = 0; i < n; i++) {
        const uint32_t slot = slots[i];
        r->open[i] = (struct open_slot){0};
        if (slot >= g->slot_count) {
            continue;
        }
        const struct head_chunk *c = &g->chunks[slot];
        if (c->len != 0) {
            memcpy(bytes, slab_at(&g->shard->slab, c->ref), c->len);
        }
        r->open[i] = (struct open_slot){
            .last = {.m = g->m[slot], .form = g->forms[slot]},
            .bytes = bytes,
            .len = c->len,
            .rows = g->kind == GROUP_PUSHED ? g->confirmed[slot] : g->rows,
        };
        bytes += c->len;
    }
    return ERR_OK;
}

/* Runs in the range, oldest first; their number may be large, their entries are small. */
static enum err_code copy_runs(struct group_read *r, struct segment_location **out,
                               size_t *out_count) REQUIRES(r->group->mu) {
    const struct head_group *g = r->group;
    size_t n = 0;
    struct segment_location *at =
        arena_try_alloc(r->read->arena, g->run_count + (size_t)1, sizeof(*at));
    if (at == NULL) {
        return read_over_budget(r);
    }
    for (uint32_t i = 0; i < g->run_count; i++) {
        const struct head_run *run = &g->runs[i];
        if (overlaps(r->read, run->min_ts_ms, run->max_ts_ms) &&
            (r->read->view == NULL ||
             !view_covers_run(r->read->view, g->shard->number, run->min_ts_ms, run->at))) {
            at[n++] = run->at;
        }
    }
    *out = at;
    *out_count = n;
    return ERR_OK;
}

static void close_run(void *run) {
    segment_run_close(run);
}

static enum err_code open_parts(struct group_read *r, const struct segment_location *at, size_t n,
                                const struct read_part *window) {
    const struct head_read *read = r->read;
    r->parts = arena_try_alloc(read->arena, n + 1, sizeof(*r->parts));
    if (r->parts == NULL) {
        return read_over_budget(r);
    }
    for (size_t i = 0; i < n; i++) {
        struct segment_run *run;
        const enum err_code code =
            segment_run_open_cached(r->group->shard->store, at[i], read->arena, &run, r->err);
        if (code == ERR_NOT_FOUND) {
            continue; /* retention dropped it meanwhile */
        }
        if (code != ERR_OK) {
            return code;
        }
        arena_link(read->arena, close_run, run);
        struct read_part p = {
            .run = run, .ts = segment_run_ts(run), .rows = segment_run_info(run)->rows};
        cut_part(read, &p);
        if (p.from < p.to) {
            r->parts[r->part_count++] = p;
        }
    }
    if (window->rows != 0) {
        struct read_part p = *window;
        cut_part(read, &p);
        if (p.from < p.to) {
            r->parts[r->part_count++] = p;
        }
    }
    return ERR_OK;
}

/* The hidden columns of the wanted slots. Replaces the list of slots: the hidden ones follow, then those
 * that were columns of nobody knows which. */
static enum err_code copy_bundles(struct group_read *r, const uint32_t **io_slots, size_t *io_n)
    REQUIRES(r->group->mu) {
    const struct group_columns *columns = r->group->columns;
    const size_t n = *io_n;
    size_t total = 0;
    size_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        const struct column_bundle *b = group_columns_of(columns, (*io_slots)[i]);
        const size_t count = b != NULL ? b->count : 0;
        total += count;
        largest = count > largest ? count : largest;
    }
    if (total == 0) {
        return ERR_OK;
    }
    struct arena *arena = r->read->arena;
    const size_t lost = r->group->lost_count;
    uint32_t *slots = arena_try_alloc(arena, n + total + lost, sizeof(*slots));
    r->bundles = arena_try_alloc(arena, n, sizeof(*r->bundles));
    r->columns = arena_try_alloc(arena, total, sizeof(*r->columns));
    r->buffers = arena_try_alloc(arena, largest + 1, sizeof(*r->buffers));
    r->hist = arena_try_alloc(arena, largest + 1, sizeof(*r->hist));
    if (slots == NULL || r->bundles == NULL || r->columns == NULL || r->buffers == NULL ||
        r->hist == NULL) {
        return read_over_budget(r);
    }
    memset(r->buffers, 0, (largest + 1) * sizeof(*r->buffers));
    memcpy(slots, *io_slots, n * sizeof(*slots));
    for (size_t i = 0; i < n; i++) {
        const struct column_bundle *b = group_columns_of(columns, slots[i]);
        r->bundles[i] = (struct read_bundle){.first = (uint32_t)r->column_count,
                                             .count = b != NULL ? b->count : 0};
        for (uint32_t k = 0; k < r->bundles[i].count; k++) {
            slots[n + r->column_count] = b->columns[k].slot;
            r->columns[r->column_count++] = b->columns[k];
        }
    }
    r->lost = slots + n + total;
    r->lost_count = lost;
    if (lost != 0) {
        memcpy(slots + n + total, r->group->lost_slots, lost * sizeof(*slots));
    }
    *io_slots = slots;
    *io_n = n + total + lost;
    return ERR_OK;
}

/* Rows of a late group are in no order. */
static bool window_overlaps(const struct group_read *r) REQUIRES(r->group->mu) {
    const struct head_group *g = r->group;
    return g->rows != 0 &&
           (g->late || overlaps(r->read, g->row_ts_ms[0], g->row_ts_ms[g->rows - 1]));
}

static enum err_code take_snapshot(struct group_read *r, const uint32_t *slots, size_t n) {
    struct read_part window = {0};
    struct segment_location *at = NULL;
    size_t run_count = 0;
    mutex_lock(&r->group->mu);
    enum err_code code = copy_runs(r, &at, &run_count);
    if (code == ERR_OK && r->group->columns != NULL) {
        code = copy_bundles(r, &slots, &n);
    }
    if (code == ERR_OK && window_overlaps(r)) {
        code = copy_open(r, slots, n, &window);
    }
    mutex_unlock(&r->group->mu);
    if (code == ERR_OK && r->group->late && window.rows != 0) {
        code = read_sort_window(r, &window, n);
    }
    return code != ERR_OK ? code : open_parts(r, at, run_count, &window);
}

/* ---- the shared column ---- */

static enum err_code build_column(struct group_read *r) {
    uint32_t rows_max = r->rows_max;
    for (size_t i = 0; i < r->part_count; i++) {
        r->parts[i].at = r->rows;
        r->rows += r->parts[i].to - r->parts[i].from;
        rows_max = r->parts[i].rows > rows_max ? r->parts[i].rows : rows_max;
    }
    struct arena *arena = r->read->arena;
    r->rows_max = rows_max;
    const uint32_t capacity = block_decode_capacity(rows_max);
    int64_t *ts = arena_try_alloc(arena, r->rows, sizeof(*ts));
    r->present = arena_try_alloc(arena, (r->rows + 63) / 64, sizeof(*r->present));
    r->column.rows = arena_try_alloc(arena, capacity, sizeof(*r->column.rows));
    if (ts == NULL || r->present == NULL || r->column.rows == NULL) {
        return read_over_budget(r);
    }
    for (size_t i = 0; i < r->part_count; i++) {
        const struct read_part *p = &r->parts[i];
        memcpy(ts + p->at, p->ts + p->from, (p->to - p->from) * sizeof(*ts));
    }
    r->ts = ts;
    return ERR_OK;
}

/* ---- one slot ---- */

/* Decoded right where the samples go, with the rows of the run before and behind the range. */
static enum err_code read_sealed(struct group_read *r, const struct read_part *p, uint32_t slot,
                                 double *to, struct storage_samples *out) {
    struct block_column c = {.values = to, .rows = r->column.rows};
    const enum err_code code = segment_run_column(p->run, slot, &c, r->err);
    if (code != ERR_OK) {
        return code;
    }
    if (c.dense) {
        const uint32_t end = c.count < p->to ? c.count : p->to;
        const uint32_t n = end > p->from ? end - p->from : 0;
        if (p->from != 0 && n != 0) {
            memmove(to, to + p->from, n * sizeof(*to));
        }
        out->count += n;
        read_mark_rows(r, p->at, p->at + n);
    }
    for (uint32_t i = 0, n = 0; i < c.count && !c.dense; i++) {
        const uint32_t row = c.rows[i];
        if (row >= p->from && row < p->to) {
            to[n++] = to[i];
            out->count++;
            read_mark(r, p->at + (row - p->from));
        }
    }
    out->has_stale |= c.has_stale;
    return ERR_OK;
}

static enum err_code read_open(struct group_read *r, const struct read_part *p,
                               const struct open_slot *slot, double *to,
                               struct storage_samples *out) {
    struct open_chunk_iter it;
    struct open_chunk_span span;
    bool more = false;
    const uint32_t rows = slot->rows < p->to ? slot->rows : p->to;
    enum err_code code = open_chunk_begin(&it, slot->bytes, slot->len, slot->last, rows);
    while (code == ERR_OK && (code = open_chunk_next(&it, &span, &more)) == ERR_OK && more) {
        if (span.state == SLOT_ABSENT || span.end <= p->from) {
            continue;
        }
        const double v = span.state == SLOT_STALE ? f64_stale() : num_double(span.value);
        const uint32_t from = span.begin < p->from ? p->from : span.begin;
        const uint32_t n = span.end - from;
        for (uint32_t i = 0; i < n; i++) {
            to[i] = v;
        }
        to += n;
        out->count += n;
        read_mark_rows(r, p->at + (from - p->from), p->at + (span.end - p->from));
        out->has_stale |= span.state == SLOT_STALE;
    }
    ASSERT(code == ERR_OK); /* memory that we wrote */
    return code;
}

enum err_code read_choose_column(struct group_read *r, struct storage_samples *out) {
    if (out->count == r->rows) {
        out->ts = r->ts;
        return ERR_OK;
    }
    const size_t words = (r->rows + 63) / 64;
    for (const struct read_pattern *p = r->patterns; p != NULL; p = p->next) {
        if (memcmp(p->present, r->present, words * sizeof(*p->present)) == 0) {
            out->ts = p->ts;
            return ERR_OK;
        }
    }
    struct arena *arena = r->read->arena;
    struct read_pattern *p = arena_try_alloc(arena, 1, sizeof(*p));
    uint64_t *present = arena_try_alloc(arena, words, sizeof(*present));
    int64_t *ts = arena_try_alloc(arena, out->count, sizeof(*ts));
    if (p == NULL || present == NULL || ts == NULL) {
        return read_over_budget(r);
    }
    memcpy(present, r->present, words * sizeof(*present));
    size_t n = 0;
    for (size_t row = 0; row < r->rows; row++) {
        if (present[row / 64] >> row % 64 & 1) {
            ts[n++] = r->ts[row];
        }
    }
    *p = (struct read_pattern){.present = present, .ts = ts, .next = r->patterns};
    r->patterns = p;
    out->ts = ts;
    return ERR_OK;
}

/* A block is decoded up to a vector behind the rows of its run. */
static size_t floats_room(const struct group_read *r) {
    return r->rows + block_decode_capacity(r->rows_max);
}

static enum err_code read_floats(struct group_read *r, uint32_t slot, const struct open_slot *open,
                                 struct sample_room *room, struct storage_samples *out) {
    *out = (struct storage_samples){0};
    double *values = sample_room_begin(room, r->read->arena, floats_room(r));
    if (values == NULL) {
        return read_over_budget(r);
    }
    memset(r->present, 0, (r->rows + 63) / 64 * sizeof(*r->present));
    for (size_t i = 0; i < r->part_count; i++) {
        const struct read_part *p = &r->parts[i];
        double *to = values + out->count;
        const enum err_code code =
            p->run != NULL ? read_sealed(r, p, slot, to, out) : read_open(r, p, open, to, out);
        if (code != ERR_OK) {
            return code;
        }
    }
    out->values = values;
    sample_room_end(room, values + out->count);
    return read_choose_column(r, out);
}

static enum err_code read_slot(struct group_read *r, const uint32_t *slots, size_t n, size_t i,
                               struct sample_room *room, struct storage_samples *out) {
    const bool plain = r->bundles == NULL || r->bundles[i].count == 0;
    return plain ? read_floats(r, slots[i], r->open != NULL ? &r->open[i] : NULL, room, out)
                 : read_bundle(r, slots[i], i, n, out);
}

enum err_code read_slots(struct group_read *r, const uint32_t *slots, size_t n,
                         struct storage_samples *out) {
    enum err_code code = build_column(r);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        if (i % 256 == 0 && (code = cancel_check(r->read->cancel)) != ERR_OK) {
            return err_set(r->err, code, "query stopped while it read samples");
        }
        code = read_slot(r, slots, n, i, NULL, &out[i]);
    }
    return code;
}

/* ---- all of them ---- */

struct head_reader {
    struct group_read group;
    const uint32_t *slots;
    size_t count;
    struct storage_samples *ready; /* of each slot, of a late group; NULL: read when asked for */
};

static enum err_code read_late(struct head_reader *reader) {
    struct group_read *r = &reader->group;
    reader->ready = arena_try_alloc(r->read->arena, reader->count, sizeof(*reader->ready));
    if (reader->ready == NULL) {
        return read_over_budget(r);
    }
    memset(reader->ready, 0, reader->count * sizeof(*reader->ready));
    return read_late_slots(r, reader->slots, reader->count, reader->ready);
}

enum err_code head_reader_open(const struct head_read *read, struct head_group *g,
                               const uint32_t *slots, size_t n, struct head_reader **out,
                               struct err *err) {
    struct head_reader *reader = arena_try_alloc(read->arena, 1, sizeof(*reader));
    struct group_read start = {.read = read, .group = g, .err = err};
    if (reader == NULL) {
        return read_over_budget(&start);
    }
    *reader = (struct head_reader){.group = start, .slots = slots, .count = n};
    *out = reader;
    enum err_code code = head_replay(g, err);
    if (code == ERR_OK) {
        code = take_snapshot(&reader->group, slots, n);
    }
    if (code != ERR_OK || reader->group.part_count == 0) {
        return code;
    }
    return g->late && reader->group.part_count > 1 ? read_late(reader)
                                                   : build_column(&reader->group);
}

size_t head_reader_room(const struct head_reader *reader) {
    return reader->ready == NULL && reader->group.part_count != 0 ? floats_room(&reader->group) : 0;
}

enum err_code head_reader_read(struct head_reader *reader, size_t i, struct sample_room *room,
                               struct storage_samples *out) {
    *out = reader->ready != NULL ? reader->ready[i] : (struct storage_samples){0};
    return reader->ready != NULL || reader->group.part_count == 0
               ? ERR_OK
               : read_slot(&reader->group, reader->slots, reader->count, i, room, out);
}

size_t head_filter_hits(struct head_group *g, int64_t min_ts_ms, int64_t max_ts_ms,
                        struct index_hit *hits, size_t n) {
    if (atomic_load_explicit(&g->max_ts_ms, memory_order_relaxed) < min_ts_ms ||
        atomic_load_explicit(&g->min_ts_ms, memory_order_relaxed) > max_ts_ms) {
        return 0;
    }
    if (!atomic_load_explicit(&g->replayed, memory_order_acquire)) {
        return n;
    }
    size_t kept = 0;
    mutex_lock(&g->mu);
    bool only_open = g->run_count == 0 || g->runs[g->run_count - 1].max_ts_ms < min_ts_ms;
    for (uint32_t i = 0; i < g->run_count && g->late; i++) { /* in no order */
        only_open &= g->runs[i].max_ts_ms < min_ts_ms;
    }
    for (size_t i = 0; i < n; i++) {
        const uint32_t slot = hits[i].slot;
        const bool empty =
            only_open && (slot >= g->slot_count ||
                          (g->chunks[slot].len == 0 && (g->forms[slot] & FORM_PRESENT) == 0 &&
                           group_columns_of(g->columns, slot) == NULL));
        if (!empty) {
            hits[kept++] = hits[i];
        }
    }
    mutex_unlock(&g->mu);
    return kept;
}

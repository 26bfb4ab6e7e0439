/* Samples of one group, for readers.
 *
 * METHOD. Under group->mu only copies are made: row times, the list of runs that overlap, and per
 * wanted slot its state and open chunk, which is some ten bytes. Decoding happens outside. All
 * rows of the group in the range, sealed and open, form one time column; a series that has a
 * sample in each of them shares it, series with equal gaps share a smaller one. */
#include <string.h>

#include "base/check.h"
#include "tsdb/chunk/open_chunk.h"
#include "tsdb/head.h"

struct part {                /* rows [from, to) of a run or of the window, at column offset at */
    struct segment_run *run; /* NULL: the window */
    const int64_t *ts;
    uint32_t rows; /* of the whole run */
    uint32_t from;
    uint32_t to;
    size_t at;
};

struct open_slot { /* copy of a slot's open rows */
    struct value_state last;
    const uint8_t *bytes;
    uint32_t len;
    uint32_t rows;
};

struct pattern { /* series with these rows present share this column */
    const uint64_t *present;
    const int64_t *ts;
    struct pattern *next;
};

struct group_read {
    const struct head_read *read;
    struct head_group *group;
    struct err *err;
    struct part *parts;
    size_t part_count;
    struct open_slot *open;
    const int64_t *ts; /* the column */
    size_t rows;
    struct block_column column; /* scratch of a decode */
    uint64_t *present;          /* scratch of a slot */
    struct pattern *patterns;
};

static enum err_code over_budget(struct group_read *r) {
    return err_set(r->err, ERR_LIMIT, "query needs more memory than its budget to read samples");
}

static bool overlaps(const struct head_read *read, int64_t min_ts, int64_t max_ts) {
    return max_ts >= read->min_ts_ms && min_ts <= read->max_ts_ms;
}

/* First of n ascending times that is >= t. */
static uint32_t lower_bound(const int64_t *ts, uint32_t n, int64_t t) {
    uint32_t low = 0;
    while (n != 0) {
        const uint32_t half = n / 2;
        if (ts[low + half] < t) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}

static void cut_part(const struct head_read *read, struct part *p) {
    p->from = lower_bound(p->ts, p->rows, read->min_ts_ms);
    p->to =
        read->max_ts_ms == INT64_MAX ? p->rows : lower_bound(p->ts, p->rows, read->max_ts_ms + 1);
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
                               struct part *window) REQUIRES(r->group->mu) {
    const struct head_group *g = r->group;
    struct arena *arena = r->read->arena;
    int64_t *ts = arena_try_alloc(arena, g->rows, sizeof(*ts));
    r->open = arena_try_alloc(arena, n, sizeof(*r->open));
    uint8_t *bytes = arena_try_alloc(arena, open_bytes(r, slots, n) + 1, 1);
    if (ts == NULL || r->open == NULL || bytes == NULL) {
        return over_budget(r);
    }
    memcpy(ts, g->row_ts_ms, g->rows * sizeof(*ts));
    *window = (struct part){.ts = ts, .rows = g->rows};
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
        return over_budget(r);
    }
    for (uint32_t i = 0; i < g->run_count; i++) {
        if (overlaps(r->read, g->runs[i].min_ts_ms, g->runs[i].max_ts_ms)) {
            at[n++] = g->runs[i].at;
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
                                const struct part *window) {
    const struct head_read *read = r->read;
    r->parts = arena_try_alloc(read->arena, n + 1, sizeof(*r->parts));
    if (r->parts == NULL) {
        return over_budget(r);
    }
    for (size_t i = 0; i < n; i++) {
        struct segment_run *run;
        const enum err_code code =
            segment_run_open(r->group->shard->store, at[i], read->arena, &run, r->err);
        if (code == ERR_NOT_FOUND) {
            continue; /* retention dropped it meanwhile */
        }
        if (code != ERR_OK) {
            return code;
        }
        arena_link(read->arena, close_run, run);
        struct part p = {
            .run = run, .ts = segment_run_ts(run), .rows = segment_run_info(run)->rows};
        cut_part(read, &p);
        if (p.from < p.to) {
            r->parts[r->part_count++] = p;
        }
    }
    if (window->rows != 0) {
        struct part p = *window;
        cut_part(read, &p);
        if (p.from < p.to) {
            r->parts[r->part_count++] = p;
        }
    }
    return ERR_OK;
}

static enum err_code take_snapshot(struct group_read *r, const uint32_t *slots, size_t n) {
    struct part window = {0};
    struct segment_location *at = NULL;
    size_t run_count = 0;
    mutex_lock(&r->group->mu);
    enum err_code code = copy_runs(r, &at, &run_count);
    if (code == ERR_OK && r->group->rows != 0 &&
        overlaps(r->read, r->group->row_ts_ms[0], r->group->row_ts_ms[r->group->rows - 1])) {
        code = copy_open(r, slots, n, &window);
    }
    mutex_unlock(&r->group->mu);
    return code != ERR_OK ? code : open_parts(r, at, run_count, &window);
}

/* ---- the shared column ---- */

static enum err_code build_column(struct group_read *r) {
    uint32_t rows_max = 0;
    for (size_t i = 0; i < r->part_count; i++) {
        r->parts[i].at = r->rows;
        r->rows += r->parts[i].to - r->parts[i].from;
        rows_max = r->parts[i].rows > rows_max ? r->parts[i].rows : rows_max;
    }
    struct arena *arena = r->read->arena;
    const uint32_t capacity = block_decode_capacity(rows_max);
    int64_t *ts = arena_try_alloc(arena, r->rows, sizeof(*ts));
    r->present = arena_try_alloc(arena, (r->rows + 63) / 64, sizeof(*r->present));
    r->column.values = arena_try_alloc(arena, capacity, sizeof(*r->column.values));
    r->column.rows = arena_try_alloc(arena, capacity, sizeof(*r->column.rows));
    if (ts == NULL || r->present == NULL || r->column.values == NULL || r->column.rows == NULL) {
        return over_budget(r);
    }
    for (size_t i = 0; i < r->part_count; i++) {
        const struct part *p = &r->parts[i];
        memcpy(ts + p->at, p->ts + p->from, (p->to - p->from) * sizeof(*ts));
    }
    r->ts = ts;
    return ERR_OK;
}

/* ---- one slot ---- */

static void mark(struct group_read *r, size_t row) {
    r->present[row / 64] |= UINT64_C(1) << row % 64;
}

static enum err_code read_sealed(struct group_read *r, const struct part *p, uint32_t slot,
                                 double *values, struct storage_samples *out) {
    struct block_column *c = &r->column;
    const enum err_code code = segment_run_column(p->run, slot, c, r->err);
    if (code != ERR_OK) {
        return code;
    }
    for (uint32_t i = 0; i < c->count; i++) {
        const uint32_t row = c->dense ? i : c->rows[i];
        if (row >= p->from && row < p->to) {
            values[out->count++] = c->values[i];
            mark(r, p->at + (row - p->from));
        }
    }
    out->has_stale |= c->has_stale;
    return ERR_OK;
}

static enum err_code read_open(struct group_read *r, const struct part *p,
                               const struct open_slot *slot, double *values,
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
        for (uint32_t row = span.begin < p->from ? p->from : span.begin; row < span.end; row++) {
            values[out->count++] = v;
            mark(r, p->at + (row - p->from));
        }
        out->has_stale |= span.state == SLOT_STALE;
    }
    ASSERT(code == ERR_OK); /* memory that we wrote */
    return code;
}

/* The times of the rows that are marked, shared with series that have the same ones. */
static enum err_code choose_column(struct group_read *r, struct storage_samples *out) {
    if (out->count == r->rows) {
        out->ts = r->ts;
        return ERR_OK;
    }
    const size_t words = (r->rows + 63) / 64;
    for (const struct pattern *p = r->patterns; p != NULL; p = p->next) {
        if (memcmp(p->present, r->present, words * sizeof(*p->present)) == 0) {
            out->ts = p->ts;
            return ERR_OK;
        }
    }
    struct arena *arena = r->read->arena;
    struct pattern *p = arena_try_alloc(arena, 1, sizeof(*p));
    uint64_t *present = arena_try_alloc(arena, words, sizeof(*present));
    int64_t *ts = arena_try_alloc(arena, out->count, sizeof(*ts));
    if (p == NULL || present == NULL || ts == NULL) {
        return over_budget(r);
    }
    memcpy(present, r->present, words * sizeof(*present));
    size_t n = 0;
    for (size_t row = 0; row < r->rows; row++) {
        if (present[row / 64] >> row % 64 & 1) {
            ts[n++] = r->ts[row];
        }
    }
    *p = (struct pattern){.present = present, .ts = ts, .next = r->patterns};
    r->patterns = p;
    out->ts = ts;
    return ERR_OK;
}

static enum err_code read_slot(struct group_read *r, uint32_t slot, const struct open_slot *open,
                               struct storage_samples *out) {
    *out = (struct storage_samples){0};
    double *values = arena_try_alloc(r->read->arena, r->rows, sizeof(*values));
    if (values == NULL) {
        return over_budget(r);
    }
    memset(r->present, 0, (r->rows + 63) / 64 * sizeof(*r->present));
    for (size_t i = 0; i < r->part_count; i++) {
        const struct part *p = &r->parts[i];
        const enum err_code code = p->run != NULL ? read_sealed(r, p, slot, values, out)
                                                  : read_open(r, p, open, values, out);
        if (code != ERR_OK) {
            return code;
        }
    }
    out->values = values;
    return choose_column(r, out);
}

enum err_code head_read_group(const struct head_read *read, struct head_group *g,
                              const uint32_t *slots, size_t n, struct storage_samples *out,
                              struct err *err) {
    struct group_read r = {.read = read, .group = g, .err = err};
    memset(out, 0, n * sizeof(*out));
    head_replay(g);
    enum err_code code = take_snapshot(&r, slots, n);
    if (code != ERR_OK || r.part_count == 0) {
        return code;
    }
    code = build_column(&r);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        if (i % 256 == 0 && (code = cancel_check(read->cancel)) != ERR_OK) {
            return err_set(err, code, "query stopped while it read samples");
        }
        code = read_slot(&r, slots[i], r.open != NULL ? &r.open[i] : NULL, &out[i]);
    }
    return code;
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
    const bool only_open = g->run_count == 0 || g->runs[g->run_count - 1].max_ts_ms < min_ts_ms;
    for (size_t i = 0; i < n; i++) {
        const uint32_t slot = hits[i].slot;
        const bool empty =
            only_open && (slot >= g->slot_count ||
                          (g->chunks[slot].len == 0 && (g->forms[slot] & FORM_PRESENT) == 0));
        if (!empty) {
            hits[kept++] = hits[i];
        }
    }
    mutex_unlock(&g->mu);
    return kept;
}

/* Sealing: a window of open rows becomes a run of the shard's L0 segments, or some.
 *
 * A run never crosses a boundary of partitions: what is cut from the head later is whole runs. Rows
 * of a window that does (one in many) become a run per part; all are in the file before any counts.
 * When a crash leaves only the first of them, replay takes the rows from the log again
 * (head_replay.c).
 *
 * The writer does it itself, right after the row that fills the window: encoding 622 series of 64
 * rows takes a fraction of a millisecond, once in 64 rows, and groups are staggered; so a scrape
 * is not delayed in a way anybody could see, and no second thread needs the state. Memory is given
 * back only after the run is in the file. */
#include "base/arena.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "tsdb/chunk/open_chunk.h"
#include "tsdb/head.h"
#include "tsdb/head_recover.h"
#include "tsdb/late_group.h"
#include "tsdb/span.h"

enum err_code head_slot_column(const struct head_group *g, uint32_t slot, struct num *values,
                               uint8_t *states) {
    const struct head_chunk *c = &g->chunks[slot];
    const uint32_t rows = g->kind == GROUP_PUSHED ? g->confirmed[slot] : g->rows;
    struct open_chunk_iter it;
    struct open_chunk_span span;
    bool more = false;
    const uint8_t *bytes = c->len != 0 ? slab_at(&g->shard->slab, c->ref) : NULL;
    enum err_code code = open_chunk_begin(&it, bytes, c->len, head_slot_state(g, slot), rows);
    while (code == ERR_OK && (code = open_chunk_next(&it, &span, &more)) == ERR_OK && more) {
        for (uint32_t row = span.begin; row < span.end; row++) {
            values[row] = span.value;
            states[row] = span.state;
        }
    }
    for (uint32_t row = rows; row < g->rows; row++) {
        values[row] = (struct num){0};
        states[row] = SLOT_ABSENT;
    }
    return code;
}

void head_forget_window(struct head_group *g) {
    for (uint32_t slot = 0; slot < g->slot_count; slot++) {
        struct head_chunk *c = &g->chunks[slot];
        if (c->len != 0) {
            slab_free(&g->shard->slab, c->ref, slab_class(c->len));
            *c = (struct head_chunk){0};
        }
        g->forms[slot] &= (uint8_t) ~(FORM_PRESENT | FORM_KNOWN);
        if (g->kind == GROUP_PUSHED) {
            g->confirmed[slot] = 0;
        }
    }
    g->first_row += g->rows;
    g->rows = 0;
}

static void add_run(struct head_group *g, const struct segment_run_info *info) REQUIRES(g->mu) {
    if (g->run_count == g->run_capacity) {
        g->run_capacity = g->run_capacity + g->run_capacity / 4 + 2;
        g->runs = mem_resize(g->runs, g->run_capacity, sizeof(*g->runs));
    }
    g->runs[g->run_count++] = (struct head_run){
        .min_ts_ms = info->min_ts_ms,
        .max_ts_ms = info->max_ts_ms,
        .first_row = info->first_row,
        .rows = info->rows,
        .at = info->at,
    };
}

static void publish_runs(struct head_group *g, const struct segment_run_info *runs, uint32_t n)
    REQUIRES(g->shard->mu) {
    mutex_lock(&g->mu);
    for (uint32_t i = 0; i < n; i++) {
        add_run(g, &runs[i]);
    }
    head_forget_window(g);
    mutex_unlock(&g->mu);
    if (g->unsynced_wal == 0) {
        g->unsynced_wal = g->wal_segment;
    }
    g->wal_segment = 0;
    g->wal_gap = false;
}

/* The rows to be sealed: by time, those of a late group within each part (part_end). */
struct sealing {
    const int64_t *ts_ms;
    uint32_t *order; /* their numbers in the window; NULL: as they are */
    struct num *values;
    uint8_t *states; /* scratch, with order */
};

/* The row behind those that follow row from and are in one partition with it. So the rows of a run are those
 * of the log with its numbers, also of a late group: a run that is lost is found again there. */
static uint32_t part_end(const struct head_group *g, const int64_t *ts_ms, uint32_t from,
                         uint32_t rows) REQUIRES(g->shard->mu) {
    const int64_t length_ms = g->shard->db->options.partition_ms;
    const int64_t start_ms = span_start(length_ms, ts_ms[from]);
    const int64_t end_ms = span_end(length_ms, start_ms);
    uint32_t to = rows;
    if (g->late || ts_ms[to - 1] >= end_ms) {
        to = from + 1;
        while (to < rows && ts_ms[to] >= start_ms && ts_ms[to] < end_ms) {
            to++;
        }
    }
    return to;
}

static void order_late_rows(const struct head_group *g, struct sealing *s, int64_t *ts_ms)
    REQUIRES(g->shard->mu) {
    for (uint32_t from = 0; from < g->rows;) {
        const uint32_t to = part_end(g, g->row_ts_ms, from, g->rows);
        late_row_order(g->row_ts_ms + from, to - from, s->order + from);
        for (uint32_t i = from; i < to; i++) {
            s->order[i] += from;
            ts_ms[i] = g->row_ts_ms[s->order[i]];
        }
        from = to;
    }
}

static struct sealing begin_sealing(const struct head_group *g) REQUIRES(g->shard->mu) {
    struct sealing s = {.ts_ms = g->row_ts_ms};
    if (g->late) {
        int64_t *ts_ms = mem_array(g->rows, sizeof(*ts_ms));
        s.order = mem_array(g->rows, sizeof(*s.order));
        s.values = mem_array(g->rows, sizeof(*s.values));
        s.states = mem_array(g->rows, sizeof(*s.states));
        order_late_rows(g, &s, ts_ms);
        s.ts_ms = ts_ms;
    }
    return s;
}

static void end_sealing(struct sealing *s) {
    if (s->order != NULL) {
        mem_free((int64_t *)s->ts_ms);
        mem_free(s->order);
        mem_free(s->values);
        mem_free(s->states);
    }
}

/* The column in the order of the rows. */
static void reorder(struct sealing *s, uint32_t rows, const struct num *values,
                    const uint8_t *states) {
    for (uint32_t i = 0; i < rows; i++) {
        s->values[i] = values[s->order[i]];
        s->states[i] = states[s->order[i]];
    }
}

/* A slot of a scraped group that has a value of one form in every row, as most have. Nothing else. */
static bool add_plain_column(struct head_group *g, uint32_t slot, uint32_t from)
    REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    const struct head_chunk *c = &g->chunks[slot];
    uint8_t form = g->forms[slot];
    if (g->kind != GROUP_SCRAPED) {
        return false;
    }
    if (c->len == 0) {
        segment_add_constant(shard->store, value_state_num(head_slot_state(g, slot)));
        return true;
    }
    if (!open_chunk_integers(slab_at(&shard->slab, c->ref), c->len, g->rows, shard->seal_integers,
                             &form)) {
        return false;
    }
    const struct num like = value_state_num((struct value_state){.form = form});
    segment_add_integers(shard->store, shard->seal_integers + from, like);
    return true;
}

/* The first run of a window begins a file: the one before goes when its window is cut, and is not
 * kept for a few runs of the next. */
static void begin_window(struct head_group *g, int64_t ts_ms) REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    const int64_t start_ms = span_start(shard->db->options.partition_ms, ts_ms);
    if (start_ms > shard->l0_window_ms) {
        (void)segment_cut(shard->store);
        shard->l0_window_ms = start_ms;
    }
}

static enum err_code write_part(struct head_group *g, struct sealing *s, uint32_t from, uint32_t to,
                                struct segment_run_info *out, struct err *err)
    REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    begin_window(g, s->ts_ms[from]);
    segment_begin(shard->store, g->id, g->first_row + from, s->ts_ms + from, to - from);
    for (uint32_t slot = 0; slot < g->slot_count; slot++) {
        if (g->chunks[slot].len == 0 && (g->forms[slot] & FORM_PRESENT) == 0) {
            segment_add_block(shard->store, NULL, 0);
            continue;
        }
        if (LIKELY(add_plain_column(g, slot, from))) {
            continue;
        }
        const enum err_code decoded =
            head_slot_column(g, slot, shard->seal_values, shard->seal_states);
        ASSERT(decoded == ERR_OK); /* our own bytes, in memory */
        if (s->order != NULL) {
            reorder(s, g->rows, shard->seal_values, shard->seal_states);
            segment_add_column(shard->store, s->values + from, s->states + from);
        } else {
            segment_add_column(shard->store, shard->seal_values + from, shard->seal_states + from);
        }
    }
    return segment_commit(shard->store, out, err);
}

enum err_code head_seal(struct head_group *g, struct err *err) {
    head_drop_covered(g);
    return g->rows == 0 ? ERR_OK : head_seal_rows(g, g->rows, err);
}

enum err_code head_seal_rows(struct head_group *g, uint32_t rows, struct err *err) {
    struct head_shard *shard = g->shard;
    enum err_code code = head_flush_definitions(shard->db, err);
    if (code != ERR_OK) {
        return code;
    }
    struct segment_run_info one;
    struct segment_run_info *runs = &one;
    uint32_t n = 0;
    struct sealing s = begin_sealing(g);
    if (part_end(g, s.ts_ms, 0, rows) < rows) {
        runs = mem_array(rows, sizeof(*runs));
    }
    for (uint32_t from = 0; from < rows && code == ERR_OK;) {
        const uint32_t to = part_end(g, s.ts_ms, from, rows);
        code = write_part(g, &s, from, to, &runs[n++], err);
        from = to;
    }
    if (code == ERR_OK) {
        publish_runs(g, runs, n);
        g->seal_at = g->late ? LATE_SEAL_ROWS : HEAD_SEAL_ROWS;
    } else {
        code = err_wrap(err, "sealing %u rows of group %u", rows, g->id);
    }
    end_sealing(&s);
    if (runs != &one) {
        mem_free(runs);
    }
    return code;
}

enum err_code head_reseal(struct head_group *g, uint32_t run, struct err *err) {
    enum { BUDGET_BYTES = 1 << 30 };
    struct segment_store *store = g->shard->store;
    struct arena arena;
    struct segment_run *old = NULL;
    arena_init(&arena, BUDGET_BYTES);
    enum err_code code = segment_run_open(store, g->runs[run].at, &arena, &old, err);
    if (code != ERR_OK) {
        goto out;
    }
    const struct segment_run_info *info = segment_run_info(old);
    segment_begin(store, g->id, info->first_row, segment_run_ts(old), info->rows);
    for (uint32_t slot = 0; slot < info->slot_count && code == ERR_OK; slot++) {
        const uint8_t *bytes;
        size_t n;
        code = segment_run_block(old, slot, &bytes, &n, err);
        if (code == ERR_OK) {
            segment_add_block(store, bytes, n);
        }
    }
    struct segment_run_info made;
    if (code == ERR_OK) {
        code = segment_commit(store, &made, err);
    }
    if (code == ERR_OK) {
        mutex_lock(&g->mu);
        g->runs[run].at = made.at;
        mutex_unlock(&g->mu);
    }
out:
    segment_run_close(old);
    arena_release(&arena);
    return code;
}

void head_seal_if_due(struct head_group *g) {
    struct head_shard *shard = g->shard;
    if (g->rows < g->seal_at || shard->seal_failed) {
        return;
    }
    struct err err;
    if (head_seal(g, &err) != ERR_OK) {
        shard->seal_failed = true;
        head_shard_held(shard);
        head_shard_failed(shard, &err);
        log_error(shard->db->options.log, "tsdb", "rows could not be sealed, they stay in memory",
                  log_u64("shard", shard->number), log_err(&err));
    }
}

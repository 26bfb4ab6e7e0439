/* Rows into a group: compare with the last values, log, publish.
 *
 * INVARIANTS
 *   A1  A row is in the WAL before it is in memory, or the group has wal_gap set, or the WAL is in
 *       its failed state: then memory is the authority and is written again later.
 *   A2  Row 0 of a window is complete in the WAL and takes no token in memory: it sets the value
 *       states directly. So a window can be read without what was before it.
 *   A3  A row becomes visible at once, under group->mu.
 *   A4  Between windows no state is known or present. Mantissa and scale stay, for comparing a
 *       repeated sample and as a guess of the scale. */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tsdb/chunk/open_chunk.h"
#include "tsdb/head.h"
#include "tsdb/head_recover.h"
#include "tsdb/head_row.h"

struct head_change *head_changes(struct head_shard *shard, size_t n) {
    if (n > shard->change_capacity) {
        mem_free(shard->changes);
        shard->change_capacity = mem_grow(shard->change_capacity, n);
        shard->changes = mem_array(shard->change_capacity, sizeof(*shard->changes));
    }
    return shard->changes;
}

struct head_bounds head_bounds(struct tsdb *db) {
    const int64_t newest = atomic_load_explicit(&db->max_ts_ms, memory_order_relaxed);
    return (struct head_bounds){
        .min_ms = newest < INT64_MIN + HEAD_PAST_MS ? INT64_MIN : newest - HEAD_PAST_MS,
        .max_ms = clock_unix_ms(db->options.clock) + HEAD_FUTURE_MS,
        .newest_ms = newest,
        .window_ms = atomic_load_explicit(&db->late_window_ms, memory_order_relaxed),
    };
}

enum err_code head_late_verdict(struct tsdb *db, const struct head_bounds *bounds, int64_t ts_ms,
                                enum err_code reason) {
    if (bounds->window_ms == 0 && reason == ERR_OUT_OF_BOUNDS) {
        return reason;
    }
    /* Without any sample there is nothing to be late for. */
    const uint64_t late_ms =
        bounds->newest_ms > ts_ms ? (uint64_t)bounds->newest_ms - (uint64_t)ts_ms : 0;
    if (late_ms != 0) {
        metric_observe(db->metrics.late_delta_s, (double)late_ms / 1000);
    }
    if (bounds->window_ms == 0) {
        return reason;
    }
    return late_ms <= (uint64_t)bounds->window_ms ? ERR_OK : ERR_TOO_OLD;
}

static void note_extreme(_Atomic int64_t *at, int64_t v, bool larger) {
    int64_t old = atomic_load_explicit(at, memory_order_relaxed);
    while ((larger ? v > old : v < old) &&
           !atomic_compare_exchange_weak_explicit(at, &old, v, memory_order_relaxed,
                                                  memory_order_relaxed)) {
    }
}

void head_note_time(struct head_group *g, int64_t ts_ms) {
    note_extreme(&g->min_ts_ms, ts_ms, false);
    note_extreme(&g->max_ts_ms, ts_ms, true);
    note_extreme(&g->shard->db->min_ts_ms, ts_ms, false);
    note_extreme(&g->shard->db->max_ts_ms, ts_ms, true);
}

/* ---- memory ---- */

/* Adds a token at a row that is not before the end of the chunk. */
static void put_token(struct head_group *g, uint32_t slot, uint32_t row, struct value_op op)
    REQUIRES(g->mu) {
    struct slab *slab = &g->shard->slab;
    struct head_chunk *c = &g->chunks[slot];
    uint8_t bytes[OPEN_CHUNK_BASE_MAX + OP_BYTES_MAX + sizeof(uint64_t)];
    uint8_t *end = bytes;
    put_u64(end, 0);
    if (c->len == 0) {
        struct value_state base = head_slot_state(g, slot);
        if ((base.form & FORM_KNOWN) == 0) {
            base = (struct value_state){0};
        }
        end = open_chunk_put_base(end, base);
        c->end_row = 0;
    }
    end = value_op_put(end, row - c->end_row, op);
    const size_t more = (size_t)(end - bytes);
    const unsigned size_class = slab_class(c->len + more);
    if (c->len == 0 || size_class != slab_class(c->len)) {
        const uint32_t ref = slab_alloc(slab, size_class);
        ASSERT(ref != 0); /* 64 GiB of open chunks */
        if (c->len != 0) {
            memcpy(slab_at(slab, ref), slab_at(slab, c->ref), c->len);
            slab_free(slab, c->ref, slab_class(c->len));
        } else {
            g->shard->chunks_created++;
        }
        c->ref = ref;
    }
    uint8_t *to = slab_at(slab, c->ref) + c->len;
    if (LIKELY(more <= sizeof(uint64_t) &&
               slab_class_bytes(size_class) - c->len >= sizeof(uint64_t))) {
        memcpy(to, bytes, sizeof(uint64_t)); /* one store; what is behind is not used yet */
    } else {
        memcpy(to, bytes, more);
    }
    c->len = (uint16_t)(c->len + more);
    c->end_row = (uint16_t)(row + 1);
}

static enum err_code apply_op(struct head_group *g, uint32_t slot, uint32_t row, struct value_op op)
    REQUIRES(g->mu) {
    struct value_state state = head_slot_state(g, slot);
    const bool sets_window = row == 0 && op.code == OP_SET; /* A2 */
    const bool same = op.code == 0 && (state.form & FORM_PRESENT) != 0;
    if (value_op_apply(op, &state) != ERR_OK) {
        return ERR_CORRUPT;
    }
    if (!sets_window && !same) {
        put_token(g, slot, row, op);
    }
    g->m[slot] = state.m;
    g->forms[slot] = state.form;
    return ERR_OK;
}

/* ---- before the last row ---- */

/* The operation to a value, with its own mantissa and scale: what a log says about later rows refers to
 * them. False: nothing changes. */
static bool exact_op(struct value_state state, struct num v, struct value_op *out) {
    const uint8_t form = value_form(v);
    const uint8_t have = state.form & (FORM_SCALE_MASK | FORM_RAW);
    if ((state.form & FORM_KNOWN) != 0 && form == have) {
        return value_op_of(state, v, out);
    }
    *out = (struct value_op){.code = OP_SET, .form = form, .bits = (uint64_t)v.m};
    return true;
}

/* Builds the slot's chunk and state anew from the samples of its rows in the shard's scratch. */
static void rebuild_slot(struct head_group *g, uint32_t slot, uint32_t end) REQUIRES(g->mu)
    REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    struct head_chunk *c = &g->chunks[slot];
    if (c->len != 0) {
        slab_free(&shard->slab, c->ref, slab_class(c->len));
        *c = (struct head_chunk){0};
    }
    g->forms[slot] &= (uint8_t) ~(FORM_PRESENT | FORM_KNOWN);
    for (uint32_t row = 0; row < end; row++) {
        struct value_op op = {.code = OP_ABSENT};
        bool changes = (g->forms[slot] & FORM_PRESENT) != 0;
        if (shard->seal_states[row] == SLOT_VALUE) {
            changes = exact_op(head_slot_state(g, slot), shard->seal_values[row], &op);
        } else if (shard->seal_states[row] == SLOT_STALE) {
            op.code = OP_STALE;
            changes = true;
        }
        const enum err_code applied = changes ? apply_op(g, slot, row, op) : ERR_OK;
        ASSERT(applied == ERR_OK);
    }
}

enum err_code head_insert_cell(struct head_group *g, uint32_t row,
                               const struct head_change *change) {
    struct head_shard *shard = g->shard;
    if (change->op.code != OP_SET && change->op.code != OP_STALE) {
        return ERR_CORRUPT;
    }
    struct value_state state = {0};
    const enum err_code decoded =
        head_slot_column(g, change->slot, shard->seal_values, shard->seal_states);
    ASSERT(decoded == ERR_OK); /* our own bytes, in memory */
    enum err_code code = value_op_apply(change->op, &state);
    if (code == ERR_OK) {
        const bool is_value = change->op.code == OP_SET;
        shard->seal_values[row] = is_value ? value_state_num(state) : (struct num){0};
        shard->seal_states[row] = is_value ? SLOT_VALUE : SLOT_STALE;
        rebuild_slot(g, change->slot, g->confirmed[change->slot]);
    }
    return code;
}

/* For head_apply_row, whose callers hold both locks. */
static enum err_code insert_held(struct head_group *g, uint32_t row,
                                 const struct head_change *change) REQUIRES(g->mu) {
    head_shard_held(g->shard);
    return head_insert_cell(g, row, change);
}

enum { PRESENT_KNOWN = FORM_PRESENT | FORM_KNOWN };

/* A pushed slot that was not named in the rows since it was last confirmed is absent there. */
static enum err_code apply_pushed(struct head_group *g, uint32_t row, int64_t ts_ms,
                                  const struct head_change *change) REQUIRES(g->mu) {
    const uint32_t slot = change->slot;
    const uint32_t confirmed = g->confirmed[slot];
    if (row < confirmed) {
        return g->late ? insert_held(g, row, change) : ERR_CORRUPT;
    }
    if (LIKELY(change->op.code == 0 && confirmed == row && g->columns == NULL &&
               (g->forms[slot] & PRESENT_KNOWN) == PRESENT_KNOWN)) {
        g->confirmed[slot] = (uint16_t)(row + 1);
        g->last_ts_ms[slot] = ts_ms;
        return ERR_OK; /* the same again */
    }
    enum err_code code = ERR_OK;
    if (confirmed < row && (g->forms[slot] & FORM_PRESENT) != 0) {
        code = apply_op(g, slot, confirmed, (struct value_op){.code = OP_ABSENT});
    }
    if (code == ERR_OK) {
        code = apply_op(g, slot, row, change->op);
    }
    if (code == ERR_OK) {
        g->confirmed[slot] = (uint16_t)(row + 1);
        g->last_ts_ms[slot] = ts_ms;
        const struct column_bundle *b = group_columns_at(g->columns, slot);
        if (UNLIKELY(b != NULL)) {
            g->last_ts_ms[b->owner] = ts_ms;
        }
    }
    return code;
}

enum err_code head_apply_row(struct head_group *g, uint32_t row, int64_t ts_ms, uint8_t flags,
                             const struct head_change *changes, size_t n) {
    ASSERT(row <= g->rows && row < HEAD_ROWS_MAX);
    enum err_code code = ERR_OK;
    mutex_lock(&g->mu);
    if (row == g->rows) {
        if (g->rows == g->row_capacity) {
            g->row_capacity = g->row_capacity == 0 ? 4 : g->row_capacity * 2;
            g->row_ts_ms = mem_resize(g->row_ts_ms, g->row_capacity, sizeof(*g->row_ts_ms));
        }
        g->row_ts_ms[g->rows++] = ts_ms;
    }
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        code = flags & ROW_PUSHED ? apply_pushed(g, row, ts_ms, &changes[i])
                                  : apply_op(g, changes[i].slot, row, changes[i].op);
    }
    head_note_time(g, ts_ms);
    mutex_unlock(&g->mu);
    return code;
}

/* ---- dropping the first rows of a window ---- */

/* Builds the slot's chunk and state anew from its samples of the rows that stay. */
static void drop_slot_rows(struct head_group *g, uint32_t slot, uint32_t dropped) REQUIRES(g->mu)
    REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    struct head_chunk *c = &g->chunks[slot];
    const bool pushed = g->kind == GROUP_PUSHED;
    const uint32_t end = pushed ? g->confirmed[slot] : g->rows;
    const enum err_code decoded = head_slot_column(g, slot, shard->seal_values, shard->seal_states);
    ASSERT(decoded == ERR_OK); /* our own bytes, in memory */
    if (c->len != 0) {
        slab_free(&shard->slab, c->ref, slab_class(c->len));
        *c = (struct head_chunk){0};
    }
    g->forms[slot] &= (uint8_t) ~(FORM_PRESENT | FORM_KNOWN);
    for (uint32_t row = dropped; row < end; row++) {
        const bool present = (g->forms[slot] & FORM_PRESENT) != 0;
        struct value_op op = {.code = OP_ABSENT};
        bool changes = present;
        if (shard->seal_states[row] == SLOT_VALUE) {
            changes = value_op_of(head_slot_state(g, slot), shard->seal_values[row], &op);
        } else if (shard->seal_states[row] == SLOT_STALE) {
            op.code = OP_STALE;
            changes = true;
        }
        const enum err_code applied = changes ? apply_op(g, slot, row - dropped, op) : ERR_OK;
        ASSERT(applied == ERR_OK);
    }
    if (pushed) {
        g->confirmed[slot] = (uint16_t)(end > dropped ? end - dropped : 0);
    }
}

void head_drop_covered(struct head_group *g) {
    if (g->covered_row <= g->first_row) {
        return;
    }
    const uint64_t covered = g->covered_row - g->first_row;
    mutex_lock(&g->mu);
    if (covered >= g->rows) {
        head_forget_window(g);
        g->first_row = g->covered_row;
    } else {
        const uint32_t dropped = (uint32_t)covered;
        for (uint32_t slot = 0; slot < g->slot_count; slot++) {
            drop_slot_rows(g, slot, dropped);
        }
        g->rows -= dropped;
        memmove(g->row_ts_ms, g->row_ts_ms + dropped, g->rows * sizeof(*g->row_ts_ms));
        g->first_row = g->covered_row;
    }
    mutex_unlock(&g->mu);
}

/* ---- log ---- */

enum err_code head_log_row(struct head_group *g, const struct head_row_header *header,
                           const struct head_change *changes, size_t n, struct err *err) {
    struct head_shard *shard = g->shard;
    if (UNLIKELY(!g->busy)) {
        head_note_busy(g);
    }
    enum err_code code = head_flush_definitions(shard->db, err);
    if (code == ERR_OK && g->wal_gap) {
        code = head_log_window(g, err);
    }
    if (code != ERR_OK) {
        g->wal_gap = true; /* A1 */
        return code;
    }
    buf_clear(&shard->payload);
    head_row_encode(&shard->payload, header, changes, n);
    if (!buf_ok(&shard->payload)) {
        g->wal_gap = true;
        return err_set(err, ERR_LIMIT, "a row of %zu changed series is too large for the log", n);
    }
    struct wal_position at;
    code = wal_append(shard->wal,
                      (struct wal_payload){.type = HEAD_RECORD_ROW,
                                           .bytes = buf_str(&shard->payload).ptr,
                                           .size = shard->payload.len},
                      &at, err);
    if (code != ERR_OK) {
        metric_inc(shard->db->metrics.wal_writes_failed);
        head_shard_held(shard);
        head_shard_failed(shard, code == ERR_UNAVAILABLE || code == ERR_LIMIT ? NULL : err);
        g->wal_gap |= code == ERR_LIMIT;
        return code == ERR_UNAVAILABLE
                   ? err_set(err, ERR_IO, "the write-ahead log failed before; the row is in memory")
                   : code;
    }
    if (g->wal_segment == 0) {
        g->wal_segment = at.segment;
    }
    if (shard->db->options.wal_sync_interval_ns == 0) {
        code = head_sync_shard(shard, err);
    }
    return code;
}

/* ---- scraped rows ---- */

/* The end of the slot's chunk will be written soon; most chunks are not in any cache. */
static inline void prefetch_chunk(const struct head_group *g, uint32_t slot) {
    const struct head_chunk *c = &g->chunks[slot];
    if (c->len != 0) {
        __builtin_prefetch(slab_at(&g->shard->slab, c->ref) + c->len, 1);
    }
}

/* What the row changes, compared with the last values. */
static size_t collect_changes(struct head_group *g, const struct storage_row *row,
                              struct head_change *out, uint32_t *out_accepted)
    REQUIRES(g->shard->mu) {
    const uint32_t given = row->slot_count < g->slot_count ? row->slot_count : g->slot_count;
    size_t n = 0;
    uint32_t accepted = 0;
    for (uint32_t slot = 0; slot < given; slot++) {
        const uint8_t state = row->states[slot];
        struct value_op op;
        if (LIKELY(state == SLOT_VALUE)) {
            accepted++;
            const struct num v = row->values[slot];
            if (LIKELY(!value_op_of(head_slot_state(g, slot), v, &op))) {
                continue;
            }
            if (UNLIKELY(v.kind == NUM_RAW && (uint64_t)v.m == STALE_NAN_BITS)) {
                op = (struct value_op){.code = OP_STALE};
            }
        } else if (state == SLOT_STALE) {
            accepted++;
            op = (struct value_op){.code = OP_STALE};
        } else if (g->forms[slot] & FORM_PRESENT) {
            op = (struct value_op){.code = OP_ABSENT};
        } else {
            continue;
        }
        prefetch_chunk(g, slot);
        out[n++] = (struct head_change){.slot = slot, .op = op};
    }
    for (uint32_t slot = given; slot < g->slot_count; slot++) {
        if (g->forms[slot] & FORM_PRESENT) {
            out[n++] =
                (struct head_change){.slot = slot, .op = (struct value_op){.code = OP_ABSENT}};
        }
    }
    *out_accepted = accepted;
    return n;
}

/* ---- rows with more than floats ---- */

static bool is_histogram_state(uint8_t state) {
    return state == SLOT_HISTOGRAM || state == SLOT_FLOAT_HISTOGRAM;
}

/* Cells of all that hidden slots say about the row; counts what was accepted. */
static void collect_cells(struct head_group *g, const struct storage_row *row, uint32_t given,
                          uint32_t *out_accepted) REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    head_shard_held(shard);
    shard->cells.count = 0;
    for (uint32_t slot = 0; slot < given; slot++) {
        struct head_sample s = {.slot = slot, .state = row->states[slot]};
        if (s.state == SLOT_ABSENT || group_columns_hides(g->columns, slot)) {
            continue;
        }
        if (is_histogram_state(s.state)) {
            s.histogram = row->histograms != NULL ? row->histograms[slot] : NULL;
            if (s.histogram == NULL) {
                continue;
            }
        } else if (s.state == SLOT_VALUE) {
            s.value = row->values[slot];
            const bool ends = s.value.kind == NUM_RAW && (uint64_t)s.value.m == STALE_NAN_BITS;
            s.state = ends ? SLOT_STALE : SLOT_VALUE;
        }
        s.start_ts_ms = row->start_ts_ms != NULL ? row->start_ts_ms[slot] : 0;
        const enum err_code code = head_sample_cells(g, &s, &shard->cells, NULL);
        *out_accepted += code == ERR_OK ? 1 : 0;
        if (code != ERR_OK && row->rejects != NULL) {
            row->rejects[slot] = (uint8_t)code;
        }
    }
}

/* The row as one of plain values for all slots, hidden ones too. */
static struct storage_row widen(struct head_group *g, const struct storage_row *row,
                                uint32_t *out_accepted) REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    head_shard_held(shard);
    const uint32_t given = row->slot_count < g->slot_count ? row->slot_count : g->slot_count;
    collect_cells(g, row, given, out_accepted);
    if (g->slot_count > shard->wide_capacity) {
        shard->wide_capacity = mem_grow(shard->wide_capacity, g->slot_count);
        shard->wide_values =
            mem_resize(shard->wide_values, shard->wide_capacity, sizeof(*shard->wide_values));
        shard->wide_states = mem_resize(shard->wide_states, shard->wide_capacity, 1);
    }
    if (g->slot_count != 0) {
        memset(shard->wide_states, SLOT_ABSENT, g->slot_count);
    }
    for (size_t i = 0; i < shard->cells.count; i++) {
        const struct head_cell *cell = &shard->cells.items[i];
        shard->wide_states[cell->slot] = cell->state;
        shard->wide_values[cell->slot] = cell->value;
    }
    return (struct storage_row){
        .ts_ms = row->ts_ms,
        .slot_count = g->slot_count,
        .values = shard->wide_values,
        .states = shard->wide_states,
    };
}

static enum err_code commit_new_row(struct head_group *g, const struct storage_row *row,
                                    struct storage_row_result *out, struct err *err)
    REQUIRES(g->shard->mu) {
    if (UNLIKELY(g->rows == HEAD_ROWS_MAX || g->shard->is_failing)) {
        const enum err_code code = head_make_room(g, g->rows == HEAD_ROWS_MAX, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    struct storage_row wide;
    uint32_t samples = 0;
    const bool plain = g->columns == NULL && row->histograms == NULL && row->start_ts_ms == NULL;
    if (UNLIKELY(!plain)) {
        wide = widen(g, row, &samples);
        row = &wide;
    }
    struct head_change *changes = head_changes(g->shard, g->slot_count);
    const size_t n = collect_changes(g, row, changes, &out->accepted);
    out->accepted = plain ? out->accepted : samples;
    const struct head_row_header header = {
        .group = g->id,
        .row = g->first_row + g->rows,
        .flags = g->rows == 0 ? ROW_FULL : 0,
        .ts_ms = row->ts_ms,
    };
    const enum err_code code = head_log_row(g, &header, changes, n, err);
    const enum err_code applied = head_apply_row(g, g->rows, row->ts_ms, header.flags, changes, n);
    ASSERT(applied == ERR_OK);
    head_seal_if_due(g);
    return code;
}

/* Some series have samples of their own times that are newer than the row, or may have. */
static enum err_code commit_overtaken_row(struct head_group *g, const struct head_bounds *bounds,
                                          const struct storage_row *row,
                                          struct storage_row_result *out, struct err *err)
    REQUIRES(g->shard->mu) {
    struct storage_row rest = *row;
    uint8_t *states = NULL;
    enum err_code code = head_commit_overtaken(g, bounds, &rest, &states, out, err);
    struct storage_row_result result = {0};
    const enum err_code rest_code = commit_new_row(g, &rest, &result, err);
    out->accepted += result.accepted;
    mem_free(states);
    return code != ERR_OK ? code : rest_code;
}

static void refuse_row(const struct storage_row *row, struct storage_row_result *out) {
    for (uint32_t slot = 0; slot < row->slot_count; slot++) {
        const bool refused = row->states[slot] != SLOT_ABSENT;
        out->out_of_bounds += refused ? 1U : 0U;
        if (refused && row->rejects != NULL) {
            row->rejects[slot] = ERR_OUT_OF_BOUNDS;
        }
    }
}

static void count_metrics(struct tsdb *db, const struct storage_row_result *r) {
    metric_add(db->metrics.samples_appended, r->accepted);
    if (UNLIKELY((r->out_of_order | r->out_of_bounds | r->too_old) != 0)) {
        metric_add(db->metrics.out_of_order, r->out_of_order);
        metric_add(db->metrics.out_of_bounds, r->out_of_bounds);
        metric_add(db->metrics.too_old, r->too_old);
    }
}

enum err_code head_group_commit(struct head_group *g, const struct storage_row *row,
                                struct storage_row_result *out, struct err *err) {
    struct tsdb *db = g->shard->db;
    struct storage_row_result result = {0};
    enum err_code code = ERR_OK;
    if (row->rejects != NULL && row->slot_count != 0) {
        memset(row->rejects, ERR_OK, row->slot_count);
    }
    mutex_lock(&g->shard->mu);
    code = head_replay_locked(g, err);
    if (code != ERR_OK) {
        mutex_unlock(&g->shard->mu);
        *out = result;
        return code;
    }
    const struct head_bounds bounds = head_bounds(db);
    const bool too_old = row->ts_ms < bounds.min_ms && bounds.window_ms == 0;
    if (row->ts_ms > bounds.max_ms || too_old) {
        refuse_row(row, &result);
    } else if (row->ts_ms < bounds.min_ms) {
        code = head_commit_late_row(g, &bounds, row, &result, err);
    } else if (row->ts_ms > atomic_load_explicit(&g->max_ts_ms, memory_order_relaxed)) {
        code = LIKELY(row->ts_ms > g->sides_newest_ms)
                   ? commit_new_row(g, row, &result, err)
                   : commit_overtaken_row(g, &bounds, row, &result, err);
    } else {
        code = head_commit_late_row(g, &bounds, row, &result, err);
    }
    if (row->own_time_count != 0) {
        const enum err_code own_code = head_commit_own_times(
            g, &bounds, row->own_times, row->own_time_count, row, &result, err);
        code = code == ERR_OK ? own_code : code;
    }
    g->last_commit_ns = clock_mono_ns(db->options.clock);
    mutex_unlock(&g->shard->mu);
    if (UNLIKELY(row->exemplar_count != 0)) {
        head_commit_exemplars(g, row);
    }
    count_metrics(db, &result);
    *out = result;
    return code;
}

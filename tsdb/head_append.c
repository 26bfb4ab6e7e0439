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
    };
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

/* A pushed slot that was not named in the rows since it was last confirmed is absent there. */
static enum err_code apply_pushed(struct head_group *g, uint32_t row, int64_t ts_ms,
                                  const struct head_change *change) REQUIRES(g->mu) {
    const uint32_t slot = change->slot;
    const uint32_t confirmed = g->confirmed[slot];
    if (row < confirmed) {
        return ERR_CORRUPT;
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

/* ---- log ---- */

enum err_code head_log_row(struct head_group *g, const struct head_row_header *header,
                           const struct head_change *changes, size_t n, struct err *err) {
    struct head_shard *shard = g->shard;
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

static enum err_code commit_new_row(struct head_group *g, const struct storage_row *row,
                                    struct storage_row_result *out, struct err *err)
    REQUIRES(g->shard->mu) {
    if (g->rows == HEAD_ROWS_MAX) {
        const enum err_code code = head_seal(g, err);
        if (code != ERR_OK) {
            return err_wrap(err, "%u rows wait to be written, no more are taken", g->rows);
        }
    }
    struct head_change *changes = head_changes(g->shard, g->slot_count);
    const size_t n = collect_changes(g, row, changes, &out->accepted);
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

/* ---- samples that do not fit the group's column ---- */

/* Time of the slot's newest sample in a row; INT64_MIN when no row of the window has one. */
static int64_t newest_row_of(const struct head_group *g, uint32_t slot) REQUIRES(g->shard->mu) {
    if (g->forms[slot] & FORM_PRESENT) {
        return g->row_ts_ms[g->rows - 1];
    }
    const struct head_chunk *c = &g->chunks[slot];
    struct open_chunk_iter it;
    struct open_chunk_span span;
    int64_t newest = INT64_MIN;
    bool more = false;
    const uint8_t *bytes = c->len != 0 ? slab_at(&g->shard->slab, c->ref) : NULL;
    enum err_code code = open_chunk_begin(&it, bytes, c->len, head_slot_state(g, slot), g->rows);
    while (code == ERR_OK && (code = open_chunk_next(&it, &span, &more)) == ERR_OK && more) {
        if (span.state != SLOT_ABSENT) {
            newest = g->row_ts_ms[span.end - 1];
        }
    }
    ASSERT(code == ERR_OK);
    return newest;
}

static bool same_as_last(const struct head_group *g, uint32_t slot, struct num v, uint8_t state) {
    if (state == SLOT_STALE) {
        return (g->forms[slot] & FORM_PRESENT) == 0;
    }
    return f64_same_bits(num_double(value_state_num(head_slot_state(g, slot))), num_double(v));
}

/* Prometheus' rule for one sample of a scraped slot (spec: ingestion). ERR_EXISTS: stored already. */
static enum err_code check_own_time(const struct head_group *g, uint32_t slot, int64_t ts_ms,
                                    struct num v, uint8_t state, struct head_bounds bounds)
    REQUIRES(g->shard->mu) {
    if (ts_ms > bounds.max_ms) {
        return ERR_OUT_OF_BOUNDS;
    }
    int64_t newest = newest_row_of(g, slot);
    if (newest == INT64_MIN && g->run_count != 0) {
        newest = g->runs[g->run_count - 1].max_ts_ms; /* at the most */
    }
    if (ts_ms > newest) {
        return ts_ms < bounds.min_ms ? ERR_OUT_OF_BOUNDS : ERR_OK;
    }
    if (ts_ms == newest) {
        return same_as_last(g, slot, v, state) ? ERR_EXISTS : ERR_DUPLICATE;
    }
    return ts_ms < bounds.min_ms ? ERR_OUT_OF_BOUNDS : ERR_OUT_OF_ORDER;
}

static void count_result(struct storage_row_result *out, enum err_code code) {
    switch ((int)code) {
    case ERR_OK:
    case ERR_EXISTS:
        out->accepted++;
        break;
    case ERR_DUPLICATE:
        out->duplicate++;
        break;
    case ERR_OUT_OF_BOUNDS:
        out->out_of_bounds++;
        break;
    case ERR_TOO_OLD:
        out->too_old++;
        break;
    default:
        out->out_of_order++;
        break;
    }
}

/* New side groups of one commit: slots with equal times share one. */
struct side_groups {
    struct {
        int64_t ts_ms;
        uint32_t group;
    } made[16];
    size_t count;
};

static enum err_code side_place(struct head_group *g, uint32_t slot, int64_t ts_ms,
                                struct side_groups *groups, struct head_side *out, struct err *err)
    REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    head_shard_held(shard);
    if (slot >= g->side_capacity) {
        const uint32_t capacity = g->slot_count;
        g->sides = mem_resize(g->sides, capacity, sizeof(*g->sides));
        memset(g->sides + g->side_capacity, 0, (capacity - g->side_capacity) * sizeof(*g->sides));
        g->side_capacity = capacity;
    }
    struct head_side *side = &g->sides[slot];
    if (side->group == 0) {
        mutex_lock(&shard->db->index.mu);
        const uint32_t metric_set = shard->db->index.groups[g->id].slots[slot];
        mutex_unlock(&shard->db->index.mu);
        if (!head_push_find(shard, g->target_set, metric_set, side)) {
            size_t i = 0;
            while (i < groups->count && groups->made[i].ts_ms != ts_ms) {
                i++;
            }
            const uint32_t to =
                i < groups->count
                    ? groups->made[i].group
                    : head_group_new(shard->db, shard, g->target_set, GROUP_PUSHED)->id;
            if (i == groups->count && i < COUNT_OF(groups->made)) {
                groups->made[groups->count].ts_ms = ts_ms;
                groups->made[groups->count++].group = to;
            }
            struct head_group *made = head_group_get(shard->db, to);
            head_shard_held(made->shard);
            uint32_t new_slot;
            const enum err_code code = head_new_series(made, metric_set, &new_slot, err);
            if (code != ERR_OK) {
                return code;
            }
            *side = (struct head_side){.group = to, .slot = new_slot};
        }
    }
    *out = *side;
    return ERR_OK;
}

static enum err_code commit_own_times(struct head_group *g, const struct storage_own_time *own,
                                      size_t n, struct storage_row_result *out, struct err *err)
    REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    head_shard_held(shard);
    const struct head_bounds bounds = head_bounds(shard->db);
    struct push_sample *samples = mem_array(n, sizeof(*samples));
    struct side_groups groups = {0};
    size_t kept = 0;
    enum err_code result = ERR_OK;
    for (size_t i = 0; i < n; i++) {
        if (own[i].slot >= g->slot_count) {
            continue;
        }
        uint8_t state = own[i].state;
        if (own[i].value.kind == NUM_RAW && (uint64_t)own[i].value.m == STALE_NAN_BITS) {
            state = SLOT_STALE;
        }
        enum err_code code =
            check_own_time(g, own[i].slot, own[i].ts_ms, own[i].value, state, bounds);
        struct head_side side = {0};
        if (code == ERR_OK) {
            code = side_place(g, own[i].slot, own[i].ts_ms, &groups, &side, err);
            if (code != ERR_OK) {
                result = code;
                continue;
            }
            struct head_group *to = head_group_get(shard->db, side.group);
            head_shard_held(to->shard);
            head_replay_locked(to);
            code = head_push_check(to, side.slot, own[i].ts_ms, own[i].value, state);
        }
        count_result(out, code);
        if (code == ERR_OK) {
            samples[kept++] = (struct push_sample){
                .group = side.group,
                .slot = side.slot,
                .ts_ms = own[i].ts_ms,
                .value = own[i].value,
                .state = state,
            };
        }
    }
    if (kept != 0) {
        const enum err_code code = head_push(shard, samples, kept, err);
        result = code != ERR_OK ? code : result;
    }
    mem_free(samples);
    return result;
}

/* A row whose time is not after the newest: each sample for itself. */
static enum err_code commit_late_row(struct head_group *g, const struct storage_row *row,
                                     struct storage_row_result *out, struct err *err)
    REQUIRES(g->shard->mu) {
    const uint32_t given = row->slot_count < g->slot_count ? row->slot_count : g->slot_count;
    struct storage_own_time *own = mem_array(given + (size_t)1, sizeof(*own));
    size_t n = 0;
    for (uint32_t slot = 0; slot < given; slot++) {
        if (row->states[slot] != SLOT_ABSENT) {
            own[n++] = (struct storage_own_time){
                .slot = slot,
                .state = row->states[slot],
                .ts_ms = row->ts_ms,
                .value = row->states[slot] == SLOT_VALUE ? row->values[slot] : (struct num){0},
            };
        }
    }
    const enum err_code code = commit_own_times(g, own, n, out, err);
    mem_free(own);
    return code;
}

static void refuse_row(const struct storage_row *row, struct storage_row_result *out) {
    for (uint32_t slot = 0; slot < row->slot_count; slot++) {
        out->out_of_bounds += row->states[slot] != SLOT_ABSENT ? 1U : 0U;
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
    mutex_lock(&g->shard->mu);
    head_replay_locked(g);
    const struct head_bounds bounds = head_bounds(db);
    if (row->ts_ms > bounds.max_ms || row->ts_ms < bounds.min_ms) {
        refuse_row(row, &result);
    } else if (row->ts_ms > atomic_load_explicit(&g->max_ts_ms, memory_order_relaxed)) {
        code = commit_new_row(g, row, &result, err);
    } else {
        code = commit_late_row(g, row, &result, err);
    }
    if (row->own_time_count != 0) {
        const enum err_code own_code =
            commit_own_times(g, row->own_times, row->own_time_count, &result, err);
        code = code == ERR_OK ? own_code : code;
    }
    g->last_commit_ns = clock_mono_ns(db->options.clock);
    mutex_unlock(&g->shard->mu);
    count_metrics(db, &result);
    *out = result;
    return code;
}

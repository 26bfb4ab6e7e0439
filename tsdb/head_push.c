/* Pushed samples: rules, remote write, imports, and scraped samples with own timestamps.
 *
 * GROUPS. Series that are pushed together share a group, so that they share a time column: a new
 * series joins the group of the transaction's other series with the same target set (its job and
 * instance), a group made for the first of them. Next time they come together again. A row names
 * the slots that have a sample; all others are absent in it, whatever came before.
 *
 * ORDER. Prometheus orders samples per series, a group orders rows. A sample whose time is that of
 * an open row is added to the row; one that lies between rows cannot be, so its series moves to
 * another group: a new slot there, and the newest place of a pair of sets is the one that counts.
 * Readers merge both. */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tsdb/head.h"
#include "tsdb/head_recover.h"
#include "tsdb/head_row.h"

static bool takes_pushes(const struct head_shard *shard, const struct head_group *g,
                         uint32_t target_set) {
    return g->target_set == target_set && g->shard == shard && !g->open && !g->late &&
           g->kind != GROUP_SCRAPED;
}

/* The newest place among the users of the metric set: for sets that few series have. */
static struct head_side find_by_users(const struct tsdb *db, const struct head_shard *shard,
                                      uint32_t target_set, uint32_t metric_set)
    REQUIRES(db->index.mu) {
    const bool whole = (metric_set & INDEX_SLOT_WHOLE) != 0;
    struct head_side found = {0};
    struct index_use_iter it = index_uses_locked(&db->index, metric_set & ~INDEX_SLOT_WHOLE);
    uint32_t group;
    uint32_t slot;
    bool is_whole;
    while (index_next_use(&it, &group, &slot, &is_whole)) {
        if (is_whole == whole && group >= found.group &&
            takes_pushes(shard, db->groups[group], target_set)) {
            found = (struct head_side){.group = group, .slot = slot};
        }
    }
    return found;
}

/* The same among the groups of the target set, newest first: for metric sets that many targets
 * share. Senders keep their order, so the slot behind the last one found is the best guess. */
static struct head_side find_by_groups(const struct tsdb *db, const struct head_shard *shard,
                                       uint32_t target_set, uint32_t metric_set)
    REQUIRES(db->index.mu) {
    uint32_t id = db->index.live->target_groups[target_set];
    for (; id != 0; id = db->index.live->groups[id].next_same_target) {
        struct head_group *g = db->groups[id];
        if (!takes_pushes(shard, g, target_set)) {
            continue;
        }
        const uint32_t slot = index_find_series_locked(&db->index, id, metric_set, g->next_slot);
        if (slot != INDEX_NONE) {
            g->next_slot = slot + 1;
            return (struct head_side){.group = id, .slot = slot};
        }
    }
    return (struct head_side){0};
}

enum err_code head_push_find(struct head_shard *shard, uint32_t target_set, uint32_t metric_set,
                             struct head_side *out, struct err *err) {
    enum { FEW_USERS = 8 };
    struct tsdb *db = shard->db;
    mutex_lock(&db->index.mu);
    const bool few =
        index_use_count_locked(&db->index, metric_set & ~INDEX_SLOT_WHOLE) <= FEW_USERS;
    const struct head_side found = few ? find_by_users(db, shard, target_set, metric_set)
                                       : find_by_groups(db, shard, target_set, metric_set);
    struct head_group *g = found.group != 0 ? db->groups[found.group] : NULL;
    mutex_unlock(&db->index.mu);
    if (g == NULL) {
        return ERR_NOT_FOUND;
    }
    head_shard_held(g->shard);
    const enum err_code code = head_replay_locked(g, err);
    if (code != ERR_OK) {
        return code;
    }
    if (g->kind == GROUP_SCRAPED || (g->kind == GROUP_UNDECIDED && g->rows != 0)) {
        return ERR_NOT_FOUND; /* its rows in the WAL say so */
    }
    if (g->kind == GROUP_UNDECIDED) {
        mutex_lock(&g->mu);
        head_group_make_pushed(g);
        mutex_unlock(&g->mu);
        head_restore_times(g);
    }
    *out = found;
    return ERR_OK;
}

/* Is it the same as the series' newest sample, which has its time? */
static bool same_as_newest(struct head_group *g, const struct push_sample *s,
                           const struct histogram *h) REQUIRES(g->shard->mu) {
    const uint32_t count_slot = head_newest_count(g, s->slot);
    const uint32_t slot = count_slot != UINT32_MAX ? count_slot : s->slot;
    const bool was_stale = g->confirmed[slot] != 0 && (g->forms[slot] & FORM_PRESENT) == 0;
    const bool ends = h != NULL ? hist_is_stale(h) : s->state == SLOT_STALE;
    if (was_stale || ends) {
        return was_stale && ends;
    }
    if (h != NULL) {
        return count_slot != UINT32_MAX &&
               head_same_histogram(g, s->slot, count_slot, h, s->state == SLOT_FLOAT_HISTOGRAM);
    }
    const double last = num_double(value_state_num(head_slot_state(g, slot)));
    return count_slot == UINT32_MAX && f64_same_bits(last, num_double(s->value));
}

enum err_code head_push_check(struct head_group *g, const struct push_sample *s,
                              const struct push_extra *extras) {
    const int64_t newest = g->last_ts_ms[s->slot];
    if (s->ts_ms > newest) {
        return ERR_OK;
    }
    if (s->ts_ms < newest) {
        return ERR_OUT_OF_ORDER;
    }
    const struct histogram *h = s->extra != 0 ? extras[s->extra - 1].histogram : NULL;
    return same_as_newest(g, s, h) ? ERR_EXISTS : ERR_DUPLICATE;
}

static int by_row(const void *a, const void *b) {
    const struct push_sample *x = a;
    const struct push_sample *y = b;
    if (x->group != y->group) {
        return x->group < y->group ? -1 : 1;
    }
    if (x->ts_ms != y->ts_ms) {
        return x->ts_ms < y->ts_ms ? -1 : 1;
    }
    return (x->slot > y->slot) - (x->slot < y->slot);
}

/* Mostly they are in order already: the group's series in the order of their slots. */
static void sort_samples(struct push_sample *samples, size_t n) {
    for (size_t i = 1; i < n; i++) {
        if (by_row(&samples[i - 1], &samples[i]) > 0) {
            qsort(samples, n, sizeof(*samples), by_row);
            return;
        }
    }
}

/* Late, in a row before others of the slot: what comes between must not matter. */
static bool is_inserted(const struct head_group *g, uint32_t slot, uint32_t row)
    REQUIRES(g->shard->mu) {
    return g->late && row < g->confirmed[slot];
}

static struct head_change change_of(const struct head_group *g, uint32_t row, uint32_t slot,
                                    uint8_t state, struct num value) REQUIRES(g->shard->mu) {
    struct value_op op = {.code = OP_STALE};
    if (state == SLOT_VALUE && is_inserted(g, slot, row)) {
        op =
            (struct value_op){.code = OP_SET, .form = value_form(value), .bits = (uint64_t)value.m};
    } else if (state == SLOT_VALUE && !value_op_of(head_slot_state(g, slot), value, &op)) {
        op = (struct value_op){.code = 0}; /* the same again must be named here */
    }
    return (struct head_change){.slot = slot, .op = op};
}

static int by_slot(const void *a, const void *b) {
    const struct head_cell *x = a;
    const struct head_cell *y = b;
    return (x->slot > y->slot) - (x->slot < y->slot);
}

/* Changes of a row with more than floats. A sample that has no room is left out: *io_result. */
static struct head_change *wide_changes(struct head_group *g, uint32_t row,
                                        const struct push_sample *samples, size_t n,
                                        const struct push_extra *extras, size_t *out_count,
                                        enum err_code *io_result, struct err *err)
    REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    head_shard_held(shard);
    struct head_cells *cells = &shard->cells;
    cells->count = 0;
    for (size_t i = 0; i < n; i++) {
        struct head_sample s = {
            .slot = samples[i].slot, .state = samples[i].state, .value = samples[i].value};
        if (samples[i].extra != 0) {
            s.histogram = extras[samples[i].extra - 1].histogram;
            s.start_ts_ms = extras[samples[i].extra - 1].start_ts_ms;
        }
        const enum err_code code = head_sample_cells(g, &s, cells, err);
        *io_result = code != ERR_OK ? code : *io_result;
    }
    qsort(head_cells_room(cells, 1) - cells->count, cells->count, sizeof(*cells->items), by_slot);
    struct head_change *changes = head_changes(shard, cells->count + 1);
    for (size_t i = 0; i < cells->count; i++) {
        const struct head_cell *cell = &cells->items[i];
        changes[i] = change_of(g, row, cell->slot, cell->state, cell->value);
    }
    *out_count = cells->count;
    return changes;
}

static bool has_extras(const struct push_sample *samples, size_t n) {
    uint32_t any = 0;
    for (size_t i = 0; i < n; i++) {
        any |= samples[i].extra;
    }
    return any != 0;
}

/* Logs and publishes what becomes of slots in a row. */
static enum err_code push_changes(struct head_group *g, uint32_t row, int64_t ts_ms,
                                  const struct head_change *changes, size_t n, struct err *err)
    REQUIRES(g->shard->mu) {
    const bool full = row == 0 && g->rows == 0;
    const struct head_row_header header = {
        .group = g->id,
        .row = g->first_row + row,
        .flags = (uint8_t)(ROW_PUSHED | (full ? ROW_FULL : 0)),
        .ts_ms = ts_ms,
    };
    if (full || !g->late) { /* late rows may trickle in for hours, and they hold the log */
        g->last_commit_ns = clock_mono_ns(g->shard->db->options.clock);
    }
    const enum err_code code = head_log_row(g, &header, changes, n, err);
    const enum err_code applied = head_apply_row(g, row, ts_ms, header.flags, changes, n);
    ASSERT(applied == ERR_OK);
    return code;
}

enum err_code head_push_row(struct head_group *g, uint32_t row, const struct push_sample *samples,
                            size_t n, const struct push_extra *extras, struct err *err) {
    head_shard_held(g->shard);
    enum err_code result = ERR_OK;
    struct head_change *changes;
    if (LIKELY(g->columns == NULL && !has_extras(samples, n))) {
        changes = head_changes(g->shard, n);
        for (size_t i = 0; i < n; i++) {
            changes[i] = change_of(g, row, samples[i].slot, samples[i].state, samples[i].value);
        }
    } else {
        changes = wide_changes(g, row, samples, n, extras, &n, &result, err);
        if (n == 0) {
            return result;
        }
    }
    const enum err_code code = push_changes(g, row, samples[0].ts_ms, changes, n, err);
    return code != ERR_OK ? code : result;
}

/* The changes of a new row at the end of a group without columns. False: a sample is not newer than its
 * series. */
static bool next_changes(const struct head_group *g, const struct push_sample *samples, size_t n,
                         struct head_change *changes) REQUIRES(g->shard->mu) {
    const int64_t ts_ms = samples[0].ts_ms;
    for (size_t i = 0; i < n; i++) {
        const uint32_t slot = samples[i].slot;
        if (UNLIKELY(ts_ms <= g->last_ts_ms[slot])) {
            return false;
        }
        struct head_change *change = &changes[i];
        change->slot = slot;
        if (UNLIKELY(samples[i].state != SLOT_VALUE)) {
            change->op = (struct value_op){.code = OP_STALE};
        } else if (value_op_of(head_slot_state(g, slot), samples[i].value, &change->op)) {
            const struct head_chunk *c = &g->chunks[slot];
            if (LIKELY(c->len != 0)) { /* what the change is appended to */
                __builtin_prefetch(slab_at(&g->shard->slab, c->ref) + c->len, 1);
            }
        } else {
            change->op = (struct value_op){.code = 0};
        }
    }
    return true;
}

bool head_push_next_row(struct head_group *g, const struct push_sample *samples, size_t n,
                        enum err_code *out, struct err *err) {
    head_shard_held(g->shard);
    const int64_t ts_ms = samples[0].ts_ms;
    if (g->columns != NULL || g->late || g->rows == HEAD_ROWS_MAX || g->shard->is_failing ||
        ts_ms <= atomic_load_explicit(&g->max_ts_ms, memory_order_relaxed)) {
        return false;
    }
    struct head_change *changes = head_changes(g->shard, n);
    if (!next_changes(g, samples, n, changes)) {
        return false;
    }
    *out = push_changes(g, g->rows, ts_ms, changes, n, err);
    head_seal_if_due(g);
    return true;
}

/* The row for a time: an open one, or a new one at the end. False: it would lie between rows. */
static bool row_for(const struct head_group *g, int64_t ts_ms, uint32_t *out)
    REQUIRES(g->shard->mu) {
    if (ts_ms > atomic_load_explicit(&g->max_ts_ms, memory_order_relaxed)) {
        *out = g->rows;
        return true;
    }
    uint32_t low = 0;
    uint32_t high = g->rows;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (g->row_ts_ms[middle] < ts_ms) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *out = low;
    return low < g->rows && g->row_ts_ms[low] == ts_ms;
}

/* Moves the series of samples[0 .. n - 1] with all their later samples to a new group. */
static enum err_code move_series(struct head_group *g, struct push_sample *samples, size_t n,
                                 size_t total, struct err *err) REQUIRES(g->shard->mu) {
    struct tsdb *db = g->shard->db;
    head_shard_held(g->shard);
    struct head_group *to = head_group_new(db, g->shard, g->target_set, GROUP_PUSHED);
    head_shard_held(to->shard);
    for (size_t i = 0; i < n; i++) {
        const uint32_t slot = samples[i].slot;
        mutex_lock(&db->index.mu);
        const uint32_t metric_set = db->index.live->groups[g->id].slots[slot];
        mutex_unlock(&db->index.mu);
        uint32_t new_slot;
        const enum err_code code = head_place_series(to, metric_set, &new_slot, err);
        if (code != ERR_OK) {
            return code;
        }
        mutex_lock(&to->mu);
        to->last_ts_ms[new_slot] = g->last_ts_ms[slot];
        mutex_unlock(&to->mu);
        for (size_t k = i; k < total; k++) {
            if (samples[k].group == g->id && samples[k].slot == slot) {
                samples[k].group = to->id;
                samples[k].slot = new_slot;
            }
        }
    }
    return ERR_OK;
}

enum err_code head_push(struct head_shard *shard, struct push_sample *samples, size_t n,
                        const struct push_extra *extras, struct err *err) {
    enum err_code result = ERR_OK;
    sort_samples(samples, n);
    for (size_t at = 0; at < n;) {
        struct head_group *g = head_group_get(shard->db, samples[at].group);
        head_shard_held(g->shard);
        size_t end = at + 1;
        while (end < n && samples[end].group == samples[at].group &&
               samples[end].ts_ms == samples[at].ts_ms) {
            end++;
        }
        uint32_t row;
        enum err_code code;
        if (!row_for(g, samples[at].ts_ms, &row)) {
            code = move_series(g, samples + at, end - at, n - at, err);
            if (code != ERR_OK) {
                return code;
            }
            sort_samples(samples + at, n - at);
            continue;
        }
        if (UNLIKELY(row == HEAD_ROWS_MAX || g->shard->is_failing)) {
            code = head_make_room(g, row == HEAD_ROWS_MAX, err);
            if (code != ERR_OK) {
                return code;
            }
            row = row == HEAD_ROWS_MAX ? 0 : row;
        }
        code = head_push_row(g, row, samples + at, end - at, extras, err);
        result = code != ERR_OK ? code : result;
        head_seal_if_due(g);
        at = end;
    }
    return result;
}

/* Samples that do not fit a scraped group's column of times: with a timestamp of their own, or of a
 * row that is not after the newest. Each is checked by Prometheus' rules (spec: ingestion) and goes
 * to a pushed group at the side. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/chunk/open_chunk.h"
#include "tsdb/head.h"
#include "tsdb/head_recover.h"
#include "tsdb/late_group.h"

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

/* The same of a series: its float or one of its histograms. */
static int64_t newest_of_series(const struct head_group *g, uint32_t slot) REQUIRES(g->shard->mu) {
    int64_t newest = newest_row_of(g, slot);
    const struct column_bundle *b = group_columns_of(g->columns, slot);
    for (uint32_t i = 0; b != NULL && i < b->count; i++) {
        if (b->columns[i].key.kind == COLUMN_COUNT) {
            const int64_t ts_ms = newest_row_of(g, b->columns[i].slot);
            newest = ts_ms > newest ? ts_ms : newest;
        }
    }
    return newest;
}

/* The newest sample ends the series, or there is none in a row. */
static bool has_ended(const struct head_group *g, uint32_t slot) {
    return (g->forms[slot] & FORM_PRESENT) == 0;
}

static bool same_as_last(struct head_group *g, const struct storage_own_time *s, uint8_t state)
    REQUIRES(g->shard->mu) {
    const uint32_t count_slot = head_newest_count(g, s->slot);
    const uint32_t value_slot = count_slot != UINT32_MAX ? count_slot : s->slot;
    if (state == SLOT_STALE || (s->histogram != NULL && hist_is_stale(s->histogram))) {
        return has_ended(g, value_slot);
    }
    if (s->histogram != NULL) {
        return count_slot != UINT32_MAX && head_same_histogram(g, s->slot, count_slot, s->histogram,
                                                               state == SLOT_FLOAT_HISTOGRAM);
    }
    return count_slot == UINT32_MAX &&
           f64_same_bits(num_double(value_state_num(head_slot_state(g, s->slot))),
                         num_double(s->value));
}

/* Prometheus' rule for one sample of a scraped slot (spec: ingestion). ERR_EXISTS: stored already. */
static enum err_code check_own_time(struct head_group *g, const struct storage_own_time *s,
                                    uint8_t state, struct head_bounds bounds)
    REQUIRES(g->shard->mu) {
    const int64_t ts_ms = s->ts_ms;
    if (ts_ms > bounds.max_ms) {
        return ERR_OUT_OF_BOUNDS;
    }
    int64_t newest = newest_of_series(g, s->slot);
    if (newest == INT64_MIN && g->run_count != 0) {
        newest = g->runs[g->run_count - 1].max_ts_ms; /* at the most */
    }
    if (ts_ms > newest) {
        return ts_ms < bounds.min_ms ? ERR_OUT_OF_BOUNDS : ERR_OK;
    }
    if (ts_ms == newest) {
        return same_as_last(g, s, state) ? ERR_EXISTS : ERR_DUPLICATE;
    }
    return ts_ms < bounds.min_ms ? ERR_OUT_OF_BOUNDS : ERR_OUT_OF_ORDER;
}

void head_count_result(struct storage_row_result *out, enum err_code code) {
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
    case ERR_LIMIT:
    case ERR_IO:
    case ERR_NO_SPACE:
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
        const uint32_t metric_set = shard->db->index.live->groups[g->id].slots[slot];
        mutex_unlock(&shard->db->index.mu);
        enum err_code code = head_push_find(shard, g->target_set, metric_set, side, err);
        if (code != ERR_OK && code != ERR_NOT_FOUND) {
            return code;
        }
        if (code == ERR_NOT_FOUND) {
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
            code = head_place_series(made, metric_set, &new_slot, err);
            if (code != ERR_OK) {
                return code;
            }
            *side = (struct head_side){.group = to, .slot = new_slot};
        }
    }
    *out = *side;
    return ERR_OK;
}

/* Samples on their way to side groups. */
struct late_samples {
    struct push_sample *samples;
    size_t count;
    struct push_sample *behind; /* older than the newest of their series, for late groups */
    size_t behind_count;
    struct push_extra *extras;
    size_t extra_count;
    uint32_t
        *newest; /* per slot of the scraped group, 1 + its newest sample here; NULL: slots ascend */
};

static struct push_sample late_sample(struct late_samples *late, const struct storage_own_time *own,
                                      uint8_t state, struct head_side place) {
    struct push_sample s = {
        .group = place.group,
        .slot = place.slot,
        .ts_ms = own->ts_ms,
        .value = own->value,
        .state = state,
    };
    const bool is_histogram = state == SLOT_HISTOGRAM || state == SLOT_FLOAT_HISTOGRAM;
    if (is_histogram || own->start_ts_ms != 0) {
        late->extras[late->extra_count++] = (struct push_extra){
            .histogram = is_histogram ? own->histogram : NULL, .start_ts_ms = own->start_ts_ms};
        s.extra = (uint32_t)late->extra_count;
    }
    return s;
}

/* The newest sample of a slot that this commit took; NULL when there is none. */
static const struct push_sample *newest_late(const struct late_samples *late, uint32_t slot) {
    const uint32_t at = late->newest != NULL ? late->newest[slot] : 0;
    return at != 0 ? &late->samples[at - 1] : NULL;
}

static bool same_late(const struct late_samples *late, const struct push_sample *a,
                      const struct push_sample *b) {
    const struct histogram *x = a->extra != 0 ? late->extras[a->extra - 1].histogram : NULL;
    const struct histogram *y = b->extra != 0 ? late->extras[b->extra - 1].histogram : NULL;
    if (a->state != b->state || (x == NULL) != (y == NULL)) {
        return false;
    }
    return x != NULL ? histogram_equal(x, y)
                     : a->state == SLOT_STALE ||
                           f64_same_bits(num_double(a->value), num_double(b->value));
}

/* Against the series' newest sample: one of this commit, else the stored one. */
static enum err_code check_late(struct head_group *to, const struct late_samples *late,
                                uint32_t slot, const struct push_sample *s)
    REQUIRES(to->shard->mu) {
    const struct push_sample *before = newest_late(late, slot);
    if (before == NULL) {
        return head_push_check(to, s, late->extras);
    }
    if (s->ts_ms != before->ts_ms) {
        return s->ts_ms > before->ts_ms ? ERR_OK : ERR_OUT_OF_ORDER;
    }
    return same_late(late, before, s) ? ERR_EXISTS : ERR_DUPLICATE;
}

/* Can a slot come twice? */
static bool slots_ascend(const struct storage_own_time *own, size_t n) {
    for (size_t i = 1; i < n; i++) {
        if (own[i].slot <= own[i - 1].slot) {
            return false;
        }
    }
    return true;
}

/* A sample that is newer than the group's of its series: is it newer than those at the side? */
static enum err_code take_newer(struct head_group *g, const struct storage_own_time *own,
                                uint8_t state, struct side_groups *groups,
                                struct late_samples *late, struct err *err) REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    head_shard_held(shard);
    struct head_side side = {0};
    enum err_code code = side_place(g, own->slot, own->ts_ms, groups, &side, err);
    if (code != ERR_OK) {
        return code == ERR_IO || code == ERR_NO_SPACE ? code : ERR_LIMIT;
    }
    struct head_group *to = head_group_get(shard->db, side.group);
    head_shard_held(to->shard);
    code = head_replay_locked(to, err);
    if (code != ERR_OK) {
        return code;
    }
    struct push_sample *s = &late->samples[late->count];
    *s = late_sample(late, own, state, side);
    code = check_late(to, late, own->slot, s);
    if (code != ERR_OK) {
        late->extra_count -= s->extra != 0 ? 1 : 0;
        return code;
    }
    late->count++;
    if (late->newest != NULL) {
        late->newest[own->slot] = (uint32_t)late->count;
    }
    if (g->sides_newest_ms < own->ts_ms) {
        g->sides_newest_ms = own->ts_ms;
    }
    return ERR_OK;
}

/* Checks a sample; to late when it is to be stored. */
static enum err_code take_own_time(struct head_group *g, const struct storage_own_time *own,
                                   struct head_bounds bounds, struct side_groups *groups,
                                   struct late_samples *late, struct err *err)
    REQUIRES(g->shard->mu) {
    struct tsdb *db = g->shard->db;
    uint8_t state = own->state;
    if (state == SLOT_VALUE && own->value.kind == NUM_RAW &&
        (uint64_t)own->value.m == STALE_NAN_BITS) {
        state = SLOT_STALE;
    }
    const bool old = own->ts_ms < bounds.min_ms;
    enum err_code code = ERR_OUT_OF_BOUNDS;
    if (bounds.window_ms == 0 || !old) {
        code = check_own_time(g, own, state, bounds);
    }
    if (code == ERR_OK) {
        code = take_newer(g, own, state, groups, late, err);
    }
    if (own->ts_ms > bounds.max_ms || (code != ERR_OUT_OF_ORDER && code != ERR_OUT_OF_BOUNDS)) {
        return code;
    }
    code = head_late_verdict(db, &bounds, own->ts_ms, code);
    if (code == ERR_OK && own->state == SLOT_STALE) {
        return ERR_OUT_OF_ORDER; /* an end that others have written past is none */
    }
    if (code == ERR_OK) {
        late->behind[late->behind_count++] =
            late_sample(late, own, state, (struct head_side){.group = g->id, .slot = own->slot});
    }
    return code;
}

static enum err_code reject_code(enum err_code code) {
    return code == ERR_EXISTS ? ERR_OK : code;
}

/* The row itself has a sample of the series; that one says what became of it. */
static bool has_value(const struct storage_row *row, uint32_t slot) {
    return row->states[slot] != SLOT_ABSENT && row->states[slot] != SLOT_STALE;
}

enum err_code head_commit_own_times(struct head_group *g, const struct head_bounds *bounds,
                                    const struct storage_own_time *own, size_t n,
                                    const struct storage_row *row, struct storage_row_result *out,
                                    struct err *err) {
    struct head_shard *shard = g->shard;
    head_shard_held(shard);
    struct late_samples late = {
        .samples = mem_array(n + 1, sizeof(*late.samples)),
        .behind = mem_array(n + 1, sizeof(*late.behind)),
        .extras = mem_array(n + 1, sizeof(*late.extras)),
        .newest = slots_ascend(own, n) ? NULL : mem_zalloc(g->slot_count * sizeof(*late.newest)),
    };
    struct side_groups groups = {0};
    enum err_code result = ERR_OK;
    for (size_t i = 0; i < n; i++) {
        if (own[i].slot >= g->slot_count || own[i].state == SLOT_ABSENT ||
            group_columns_hides(g->columns, own[i].slot)) {
            continue;
        }
        const bool had_one = newest_late(&late, own[i].slot) != NULL;
        const enum err_code code = take_own_time(g, &own[i], *bounds, &groups, &late, err);
        head_count_result(out, code);
        if (row->rejects != NULL && own[i].slot < row->slot_count && !had_one &&
            (own != row->own_times || !has_value(row, own[i].slot))) {
            row->rejects[own[i].slot] = (uint8_t)reject_code(code);
        }
        result = code == ERR_LIMIT || code == ERR_IO || code == ERR_NO_SPACE ? code : result;
    }
    if (late.count != 0) {
        const enum err_code code = head_push(shard, late.samples, late.count, late.extras, err);
        result = code != ERR_OK ? code : result;
    }
    if (late.behind_count != 0) {
        size_t stored;
        const enum err_code code =
            late_push(shard, late.behind, late.behind_count, late.extras, &stored, err);
        result = code != ERR_OK ? code : result;
    }
    mem_free(late.newest);
    mem_free(late.samples);
    mem_free(late.behind);
    mem_free(late.extras);
    return result;
}

/* The row's sample of a slot as one with a time of its own; false: it has none. */
static bool own_time_of(const struct storage_row *row, uint32_t slot,
                        struct storage_own_time *out) {
    const uint8_t state = row->states[slot];
    const bool is_histogram = state == SLOT_HISTOGRAM || state == SLOT_FLOAT_HISTOGRAM;
    const struct histogram *h =
        is_histogram && row->histograms != NULL ? row->histograms[slot] : NULL;
    if (state == SLOT_ABSENT || (is_histogram && h == NULL)) {
        return false;
    }
    *out = (struct storage_own_time){
        .slot = slot,
        .state = state,
        .ts_ms = row->ts_ms,
        .value = state == SLOT_VALUE ? row->values[slot] : (struct num){0},
        .histogram = h,
        .start_ts_ms = row->start_ts_ms != NULL ? row->start_ts_ms[slot] : 0,
    };
    return true;
}

enum err_code head_commit_late_row(struct head_group *g, const struct head_bounds *bounds,
                                   const struct storage_row *row, struct storage_row_result *out,
                                   struct err *err) {
    const uint32_t given = row->slot_count < g->slot_count ? row->slot_count : g->slot_count;
    struct storage_own_time *own = mem_array(given + (size_t)1, sizeof(*own));
    size_t n = 0;
    for (uint32_t slot = 0; slot < given; slot++) {
        n += own_time_of(row, slot, &own[n]) ? 1 : 0;
    }
    const enum err_code code = head_commit_own_times(g, bounds, own, n, row, out, err);
    mem_free(own);
    return code;
}

/* ---- rows that samples with own times overtook ---- */

/* Newest sample of all pushed groups that the group's series may be in. */
static int64_t newest_at_sides(const struct head_group *g) REQUIRES(g->shard->mu) {
    struct tsdb *db = g->shard->db;
    int64_t newest_ms = INT64_MIN;
    mutex_lock(&db->index.mu);
    uint32_t id = db->index.live->target_groups[g->target_set];
    for (; id != 0; id = db->index.live->groups[id].next_same_target) {
        const struct head_group *to = db->groups[id];
        if (to != g && to->shard == g->shard && !to->late && to->kind != GROUP_SCRAPED) {
            const int64_t ts_ms = atomic_load(&to->max_ts_ms);
            newest_ms = ts_ms > newest_ms ? ts_ms : newest_ms;
        }
    }
    mutex_unlock(&db->index.mu);
    return newest_ms;
}

/* Has the series a sample at the side that is not older? */
static enum err_code is_overtaken(struct head_group *g, uint32_t slot, int64_t ts_ms, bool *out,
                                  struct err *err) REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    head_shard_held(shard);
    struct head_side side = slot < g->side_capacity ? g->sides[slot] : (struct head_side){0};
    enum err_code code = ERR_OK;
    *out = false;
    if (side.group == 0) {
        mutex_lock(&shard->db->index.mu);
        const uint32_t metric_set = shard->db->index.live->groups[g->id].slots[slot];
        mutex_unlock(&shard->db->index.mu);
        code = metric_set == INDEX_SLOT_LOST
                   ? ERR_NOT_FOUND
                   : head_push_find(shard, g->target_set, metric_set, &side, err);
    }
    if (code != ERR_OK) {
        return code == ERR_NOT_FOUND ? ERR_OK : code;
    }
    struct head_group *to = head_group_get(shard->db, side.group);
    head_shard_held(to->shard);
    code = head_replay_locked(to, err);
    *out = code == ERR_OK && to->last_ts_ms[side.slot] >= ts_ms;
    return code;
}

enum err_code head_commit_overtaken(struct head_group *g, const struct head_bounds *bounds,
                                    struct storage_row *io_row, uint8_t **out_states,
                                    struct storage_row_result *out, struct err *err) {
    if (g->sides_newest_ms == INT64_MAX) {
        g->sides_newest_ms = newest_at_sides(g);
    }
    if (io_row->ts_ms > g->sides_newest_ms || io_row->slot_count == 0) {
        return ERR_OK;
    }
    const uint32_t given = io_row->slot_count < g->slot_count ? io_row->slot_count : g->slot_count;
    struct storage_own_time *own = mem_array(given + (size_t)1, sizeof(*own));
    uint8_t *states = mem_array(io_row->slot_count, sizeof(*states));
    enum err_code code = ERR_OK;
    size_t n = 0;
    memcpy(states, io_row->states, io_row->slot_count);
    for (uint32_t slot = 0; slot < given && code == ERR_OK; slot++) {
        bool overtaken = false;
        if (!group_columns_hides(g->columns, slot) && own_time_of(io_row, slot, &own[n])) {
            code = is_overtaken(g, slot, io_row->ts_ms, &overtaken, err);
        }
        if (overtaken) {
            states[slot] = SLOT_ABSENT;
            n++;
        }
    }
    if (code == ERR_OK && n != 0) {
        code = head_commit_own_times(g, bounds, own, n, io_row, out, err);
    }
    mem_free(own);
    io_row->states = states;
    *out_states = states;
    return code;
}

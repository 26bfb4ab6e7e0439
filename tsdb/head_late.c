/* Samples that do not fit a scraped group's column of times: with a timestamp of their own, or of a
 * row that is not after the newest. Each is checked by Prometheus' rules (spec: ingestion) and goes
 * to a pushed group at the side. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/chunk/open_chunk.h"
#include "tsdb/head.h"

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
            code = head_new_series(made, metric_set, &new_slot, err);
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
    struct push_extra *extras;
    size_t extra_count;
    uint32_t
        *newest; /* per slot of the scraped group, 1 + its newest sample here; NULL: slots ascend */
};

static void add_late(struct late_samples *late, const struct storage_own_time *own, uint8_t state,
                     struct head_side side) {
    struct push_sample *s = &late->samples[late->count++];
    *s = (struct push_sample){
        .group = side.group,
        .slot = side.slot,
        .ts_ms = own->ts_ms,
        .value = own->value,
        .state = state,
    };
    const bool is_histogram = state == SLOT_HISTOGRAM || state == SLOT_FLOAT_HISTOGRAM;
    if (is_histogram || own->start_ts_ms != 0) {
        late->extras[late->extra_count++] = (struct push_extra){
            .histogram = is_histogram ? own->histogram : NULL, .start_ts_ms = own->start_ts_ms};
        s->extra = (uint32_t)late->extra_count;
    }
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

/* Checks a sample; to late when it is to be stored. */
static enum err_code take_own_time(struct head_group *g, const struct storage_own_time *own,
                                   struct head_bounds bounds, struct side_groups *groups,
                                   struct late_samples *late, struct err *err)
    REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    head_shard_held(shard);
    uint8_t state = own->state;
    if (state == SLOT_VALUE && own->value.kind == NUM_RAW &&
        (uint64_t)own->value.m == STALE_NAN_BITS) {
        state = SLOT_STALE;
    }
    enum err_code code = check_own_time(g, own, state, bounds);
    struct head_side side = {0};
    if (code != ERR_OK) {
        return code;
    }
    code = side_place(g, own->slot, own->ts_ms, groups, &side, err);
    if (code != ERR_OK) {
        return code == ERR_IO || code == ERR_NO_SPACE ? code : ERR_LIMIT;
    }
    struct head_group *to = head_group_get(shard->db, side.group);
    head_shard_held(to->shard);
    code = head_replay_locked(to, err);
    if (code != ERR_OK) {
        return code;
    }
    add_late(late, own, state, side);
    const struct push_sample *s = &late->samples[late->count - 1];
    code = check_late(to, late, own->slot, s);
    if (code != ERR_OK) {
        late->extra_count -= s->extra != 0 ? 1 : 0;
        late->count--;
    } else if (late->newest != NULL) {
        late->newest[own->slot] = (uint32_t)late->count;
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

enum err_code head_commit_own_times(struct head_group *g, const struct storage_own_time *own,
                                    size_t n, const struct storage_row *row,
                                    struct storage_row_result *out, struct err *err) {
    struct head_shard *shard = g->shard;
    head_shard_held(shard);
    const struct head_bounds bounds = head_bounds(shard->db);
    struct late_samples late = {
        .samples = mem_array(n + 1, sizeof(*late.samples)),
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
        const enum err_code code = take_own_time(g, &own[i], bounds, &groups, &late, err);
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
    mem_free(late.newest);
    mem_free(late.samples);
    mem_free(late.extras);
    return result;
}

enum err_code head_commit_late_row(struct head_group *g, const struct storage_row *row,
                                   struct storage_row_result *out, struct err *err) {
    const uint32_t given = row->slot_count < g->slot_count ? row->slot_count : g->slot_count;
    struct storage_own_time *own = mem_array(given + (size_t)1, sizeof(*own));
    size_t n = 0;
    for (uint32_t slot = 0; slot < given; slot++) {
        const uint8_t state = row->states[slot];
        const bool is_histogram = state == SLOT_HISTOGRAM || state == SLOT_FLOAT_HISTOGRAM;
        const struct histogram *h =
            is_histogram && row->histograms != NULL ? row->histograms[slot] : NULL;
        if (state == SLOT_ABSENT || (is_histogram && h == NULL)) {
            continue;
        }
        own[n++] = (struct storage_own_time){
            .slot = slot,
            .state = state,
            .ts_ms = row->ts_ms,
            .value = state == SLOT_VALUE ? row->values[slot] : (struct num){0},
            .histogram = h,
            .start_ts_ms = row->start_ts_ms != NULL ? row->start_ts_ms[slot] : 0,
        };
    }
    const enum err_code code = head_commit_own_times(g, own, n, row, out, err);
    mem_free(own);
    return code;
}

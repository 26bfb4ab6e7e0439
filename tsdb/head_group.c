/* Groups: their making, their slots, their memory. */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tsdb/head.h"
#include "tsdb/late_group.h"

static struct head_group *group_alloc(uint32_t id, uint32_t target_set, struct labels target) {
    struct head_group *g = mem_zalloc(sizeof(*g));
    mutex_init(&g->mu);
    g->id = id;
    g->target_set = target_set;
    g->target = target;
    /* Spread over half a window, so that groups that start together do not seal together. */
    g->sides_newest_ms = INT64_MAX;
    g->seal_at = HEAD_SEAL_ROWS / 2 + id * 7 % (HEAD_SEAL_ROWS / 2) + 1;
    atomic_init(&g->min_ts_ms, INT64_MAX);
    atomic_init(&g->max_ts_ms, INT64_MIN);
    return g;
}

static void enter(struct tsdb *db, struct head_group *g) REQUIRES(db->index.mu) {
    if (g->id >= db->group_capacity) {
        const uint32_t capacity = (uint32_t)mem_grow(db->group_capacity, g->id + (size_t)1);
        db->groups = mem_resize(db->groups, capacity, sizeof(struct head_group *));
        memset(db->groups + db->group_capacity, 0,
               (capacity - db->group_capacity) * sizeof(struct head_group *));
        db->group_capacity = capacity;
    }
    db->groups[g->id] = g;
    if (g->id >= db->group_count) {
        db->group_count = g->id + 1;
    }
}

/* A late group's rows have any times: those of the group before, were they still in the log, would pass
 * for its own. */
static bool suits(const struct head_number *number, bool late) {
    return !late || number->segment < atomic_load(&number->shard->gone_before);
}

/* A number of a group that is gone, above all of the target's groups; its group is 0 = none. */
static struct head_number take_number(struct tsdb *db, uint32_t target_set, bool late)
    REQUIRES(db->index.mu) {
    enum { TRIES = 16 };
    const uint32_t newest = db->index.live->target_groups[target_set];
    uint32_t at = db->free_group_count;
    for (uint32_t i = 0; i < TRIES && at > 0; i++) {
        const struct head_number number = db->free_groups[--at];
        if (number.group > newest && suits(&number, late)) {
            db->free_groups[at] = db->free_groups[--db->free_group_count];
            return number;
        }
    }
    return (struct head_number){0};
}

static struct head_group *new_group(struct tsdb *db, struct head_shard *shard, uint32_t target_set,
                                    enum head_group_kind kind, bool late) {
    mutex_lock(&db->index.mu);
    const struct head_number again = take_number(db, target_set, late);
    uint32_t id = again.group;
    if (id != 0) {
        index_reuse_group_locked(&db->index, id, target_set);
        head_note_group_locked(db, id, late ? target_set | SERIES_GROUP_LATE : target_set);
    } else {
        id = index_add_group_locked(&db->index, target_set);
    }
    struct head_group *g =
        group_alloc(id, target_set, label_sets_get(&db->index.live->targets.sets, target_set));
    g->shard = shard;
    g->first_row = again.first_row;
    g->kind = (uint8_t)kind;
    g->late = late;
    g->seal_at = late ? LATE_SEAL_ROWS : g->seal_at;
    atomic_init(&g->replayed, true);
    enter(db, g);
    atomic_store(&db->has_pending, true);
    mutex_unlock(&db->index.mu);
    return g;
}

struct head_group *head_group_new(struct tsdb *db, struct head_shard *shard, uint32_t target_set,
                                  enum head_group_kind kind) {
    return new_group(db, shard, target_set, kind, false);
}

struct head_group *head_group_new_late(struct tsdb *db, struct head_shard *shard,
                                       uint32_t target_set) {
    atomic_store(&db->has_late, true);
    return new_group(db, shard, target_set, GROUP_PUSHED, true);
}

struct head_group *head_group_adopt(struct tsdb *db, uint32_t id) {
    mutex_lock(&db->index.mu);
    const uint32_t target_set = db->index.live->groups[id].target_set;
    struct head_group *g =
        group_alloc(id, target_set, label_sets_get(&db->index.live->targets.sets, target_set));
    atomic_init(&g->replayed, true);
    enter(db, g);
    mutex_unlock(&db->index.mu);
    return g;
}

void head_group_free(struct head_group *g) {
    if (g == NULL) {
        return;
    }
    mem_free(g->m);
    mem_free(g->chunks);
    mem_free(g->forms);
    mem_free(g->confirmed);
    mem_free(g->last_ts_ms);
    mem_free(g->row_ts_ms);
    mem_free(g->runs);
    mem_free(g->replay);
    mem_free(g->cut);
    mem_free(g->sides);
    mem_free(g->lives.states);
    mem_free(g->lives.idle);
    mem_free(g->lives.free);
    group_columns_free(g->columns);
    mem_free(g->lost_slots);
    mutex_release(&g->mu);
    mem_free(g);
}

struct head_group *head_group_get(struct tsdb *db, uint32_t id) {
    mutex_lock(&db->index.mu);
    struct head_group *g = id < db->group_count ? db->groups[id] : NULL;
    mutex_unlock(&db->index.mu);
    return g;
}

static void grow_pushed(struct head_group *g, uint32_t from, uint32_t capacity) {
    g->confirmed = mem_resize(g->confirmed, capacity, sizeof(*g->confirmed));
    g->last_ts_ms = mem_resize(g->last_ts_ms, capacity, sizeof(*g->last_ts_ms));
    for (uint32_t i = from; i < capacity; i++) {
        g->confirmed[i] = 0;
        g->last_ts_ms[i] = INT64_MIN;
    }
}

int64_t head_oldest_row_ms(const struct head_group *g) {
    int64_t oldest_ms = g->rows != 0 ? g->row_ts_ms[0] : INT64_MAX;
    for (uint32_t row = 1; g->late && row < g->rows; row++) { /* in the order of arrival */
        oldest_ms = g->row_ts_ms[row] < oldest_ms ? g->row_ts_ms[row] : oldest_ms;
    }
    return oldest_ms;
}

void head_group_reserve(struct head_group *g, uint32_t slot_count) {
    if (slot_count > g->slot_capacity) {
        /* By an eighth: most groups are filled once and then stay. */
        uint32_t capacity = g->slot_capacity + g->slot_capacity / 8 + 8;
        capacity = capacity < slot_count ? slot_count : capacity;
        g->m = mem_resize(g->m, capacity, sizeof(*g->m));
        g->chunks = mem_resize(g->chunks, capacity, sizeof(*g->chunks));
        g->forms = mem_resize(g->forms, capacity, sizeof(*g->forms));
        const size_t more = capacity - g->slot_capacity;
        memset(g->m + g->slot_capacity, 0, more * sizeof(*g->m));
        memset(g->chunks + g->slot_capacity, 0, more * sizeof(*g->chunks));
        memset(g->forms + g->slot_capacity, 0, more * sizeof(*g->forms));
        if (g->kind == GROUP_PUSHED) {
            grow_pushed(g, g->slot_capacity, capacity);
        }
        g->slot_capacity = capacity;
    }
    if (slot_count > g->slot_count) {
        g->slot_count = slot_count;
    }
}

void head_group_restore_slots(struct head_group *g) {
    struct tsdb *db = g->shard->db;
    mutex_lock(&db->index.mu);
    const uint32_t count = db->index.live->groups[g->id].slot_count;
    mutex_unlock(&db->index.mu);
    mutex_lock(&g->mu);
    head_group_reserve(g, count);
    mutex_unlock(&g->mu);
}

void head_group_make_pushed(struct head_group *g) {
    if (g->kind != GROUP_PUSHED) {
        ASSERT(g->rows == 0);
        g->kind = GROUP_PUSHED;
        grow_pushed(g, 0, g->slot_capacity);
    }
}

bool head_split_labels(struct labels labels, struct labels target, struct buf *to) {
    struct labels_iter all = labels_begin(labels);
    struct labels_iter wanted = labels_begin(target);
    struct label want = {0};
    bool has_want = labels_next(&wanted, &want);
    buf_clear(to);
    for (;;) {
        const uint8_t *start = all.at;
        struct label have;
        if (!labels_next(&all, &have)) {
            return !has_want;
        }
        if (has_want && str_eq(have.name, want.name)) {
            if (!str_eq(have.value, want.value)) {
                return false;
            }
            has_want = labels_next(&wanted, &want);
        } else {
            buf_append(to, start, (size_t)(all.at - start));
        }
    }
}

static enum err_code too_many_series(const struct tsdb *db, uint64_t limit, struct err *err) {
    metric_inc(db->metrics.refused_series);
    return err_set(err, ERR_LIMIT, "the storage has %llu series, which is the limit",
                   (unsigned long long)limit);
}

enum err_code head_new_series(struct head_group *g, uint32_t metric_set, uint32_t *out_slot,
                              struct err *err) {
    const struct tsdb *db = g->shard->db;
    const uint64_t limit = g->late ? 0 : db->options.max_series; /* late: a series that there is */
    if (limit != 0 && atomic_load(&db->series_count) >= limit) {
        return too_many_series(db, limit, err);
    }
    return head_place_series(g, metric_set, out_slot, err);
}

enum err_code head_place_series(struct head_group *g, uint32_t metric_set, uint32_t *out_slot,
                                struct err *err) {
    struct tsdb *db = g->shard->db;
    const uint32_t again = head_take_free_slot(g);
    mutex_lock(&db->index.mu);
    const uint32_t count = again != UINT32_MAX ? 0 : db->index.live->groups[g->id].slot_count;
    if (count < INDEX_SLOT_MAX) {
        const uint32_t target_set = metric_set & INDEX_SLOT_WHOLE ? 0 : g->target_set;
        if (again != UINT32_MAX) {
            *out_slot = again;
            index_put_series_locked(&db->index, g->id, again, metric_set);
        } else {
            *out_slot = index_add_series_locked(&db->index, g->id, metric_set);
        }
        head_note_series_locked(db, g->id, *out_slot, target_set, metric_set & ~INDEX_SLOT_WHOLE);
    }
    mutex_unlock(&db->index.mu);
    if (count >= INDEX_SLOT_MAX) {
        return err_set(err, ERR_LIMIT, "a target has %u series, which is the limit", count);
    }
    mutex_lock(&g->mu);
    head_group_reserve(g, *out_slot + 1);
    mutex_unlock(&g->mu);
    if (!g->late) {
        atomic_fetch_add(&db->series_count, 1);
        metric_inc(db->metrics.series_created);
    }
    return ERR_OK;
}

enum err_code head_group_slot(struct head_group *g, struct labels labels, uint32_t *out_slot,
                              struct err *err) {
    struct tsdb *db = g->shard->db;
    if (labels.size == 0) {
        return err_set(err, ERR_INVALID, "empty labelset: invalid sample");
    }
    struct buf *rest = &g->shard->labels;
    const bool split = head_split_labels(labels, g->target, rest);
    if (!buf_ok(rest)) {
        return err_set(err, ERR_LIMIT, "labels of a series are longer than %zu bytes",
                       rest->max_bytes);
    }
    const struct labels metric =
        split ? (struct labels){(const uint8_t *)buf_str(rest).ptr, rest->len} : labels;
    uint32_t slot = INDEX_NONE;
    mutex_lock(&db->index.mu);
    const uint32_t known = label_sets_find(&db->index.live->metrics.sets, metric);
    if (known != LABEL_SET_NONE) {
        slot = index_find_series_locked(&db->index, g->id, split ? known : known | INDEX_SLOT_WHOLE,
                                        g->next_slot);
    }
    mutex_unlock(&db->index.mu);
    if (slot == INDEX_NONE) {
        /* Refuse before the set is interned: a refused series must not cost memory. */
        const uint64_t limit = db->options.max_series;
        if (limit != 0 && atomic_load(&db->series_count) >= limit) {
            return too_many_series(db, limit, err);
        }
        mutex_lock(&db->index.mu);
        const uint32_t set = index_metric_locked(&db->index, metric);
        mutex_unlock(&db->index.mu);
        if (set == INDEX_NONE) {
            return err_set(err, ERR_LIMIT, "the storage has no room for more label sets");
        }
        const enum err_code code =
            head_new_series(g, split ? set : set | INDEX_SLOT_WHOLE, &slot, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    g->next_slot = slot + 1;
    *out_slot = slot;
    return ERR_OK;
}

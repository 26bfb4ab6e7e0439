/* Senders keep the order of series, and a group has its series in the order in which they first came.
 * So the series behind the newest one of a transaction are looked up at once, a few and then more while
 * they are right: with one turn of the locks for all, and their labels are compared where they are,
 * without taking them apart or hashing them. Who remembers labels by their numbers needs not even those. */
#include "tsdb/appender_impl.h"

enum {
    FIRST = 4, /* looked up behind a series that was not expected */
    GROWTH = 4,
    SKIP_MAX = 4, /* series that a sender may leave out */
    CACHE_LINE_BYTES = 64,
};

/* The newest group of the target set that is not one of late samples: a series that moved has a place
 * in a later group, which is the one that counts. */
static uint32_t newest_group(const struct index *index, struct head_group *const *groups,
                             uint32_t target_set) REQUIRES(index->mu) {
    uint32_t id = index->live->target_groups[target_set];
    while (id != 0 && UNLIKELY(groups[id]->late)) {
        id = index->live->groups[id].next_same_target;
    }
    return id;
}

static void look_up_sets(struct tsdb *db, struct expected *e) REQUIRES(db->index.mu) {
    const struct index_group *slots = &db->index.live->groups[e->group->id];
    const uint32_t known = slots->slot_count > e->slot ? slots->slot_count - e->slot : 0;
    e->count = e->count < known ? e->count : known;
    if (newest_group(&db->index, db->groups, e->group->target_set) != e->group->id) {
        e->count = 0;
    }
    for (uint32_t i = 0; i < e->count; i++) {
        const uint32_t set = slots->slots[e->slot + i];
        e->sets[i] = LIKELY(set < INDEX_SLOT_WHOLE) ? set : STORAGE_SET_NONE;
    }
    e->has_metrics = false;
}

void expected_want_metrics(struct storage_appender *a) {
    struct expected *e = &a->expected;
    if (LIKELY(e->has_metrics)) {
        return;
    }
    struct index *index = &a->db->index;
    mutex_lock(&index->mu);
    for (uint32_t i = 0; i < e->count; i++) {
        e->metrics[i] = LIKELY(e->sets[i] != STORAGE_SET_NONE)
                            ? label_sets_get(&index->live->metrics.sets, e->sets[i])
                            : (struct labels){0};
    }
    mutex_unlock(&index->mu);
    e->has_metrics = true;
    for (uint32_t i = e->at; i < e->count; i++) { /* they are compared at once */
        for (size_t at = 0; at < e->metrics[i].size; at += CACHE_LINE_BYTES) {
            __builtin_prefetch(e->metrics[i].data + at);
        }
    }
}

bool expected_look(struct storage_appender *a) {
    struct expected *e = &a->expected;
    if (LIKELY(e->at < e->count)) {
        return true;
    }
    struct head_group *g = e->group;
    if (g == NULL || e->more == 0 || g->kind != GROUP_PUSHED) {
        return false;
    }
    struct tsdb *db = a->db;
    struct head_shard *shard = g->shard;
    e->slot += e->at;
    e->at = 0;
    e->given = UINT32_MAX;
    mutex_lock(&shard->mu);
    head_shard_held(g->shard);
    const uint32_t known = g->slot_count > e->slot ? g->slot_count - e->slot : 0;
    e->count = e->more < known ? e->more : known;
    mutex_lock(&db->index.mu);
    look_up_sets(db, e);
    mutex_unlock(&db->index.mu);
    for (uint32_t i = 0; i < e->count; i++) {
        e->newest_ms[i] = g->last_ts_ms[e->slot + i];
    }
    mutex_unlock(&shard->mu);
    e->more = e->count == 0 ? 0 : e->more < EXPECTED_MAX / GROWTH ? e->more * GROWTH : EXPECTED_MAX;
    return e->count != 0;
}

void expected_follow(struct storage_appender *a, struct head_group *g, uint32_t slot) {
    struct expected *e = &a->expected;
    e->given = UINT32_MAX;
    if (e->group == g && slot >= e->slot && slot - e->slot < e->count) {
        e->at = slot - e->slot + 1;
        return;
    }
    e->group = g;
    e->slot = slot + 1;
    e->at = e->count = 0;
    e->more = FIRST;
}

/* Takes the bytes from .. to from the front of set; false when it does not begin with them. */
static bool take_front(struct labels *set, const uint8_t *from, const uint8_t *to) {
    const size_t n = (size_t)(to - from);
    if (n == 0) {
        return true;
    }
    if (n > set->size || memcmp(set->data, from, n) != 0) {
        return false;
    }
    *set = (struct labels){set->data + n, set->size - n};
    return true;
}

/* Are labels those of target and metric together, as they are parted for storing? */
static bool is_split(struct labels labels, struct labels target, struct labels metric) {
    if (labels.size != target.size + metric.size) {
        return false;
    }
    struct labels_iter it = labels_begin(labels);
    struct label pair;
    const uint8_t *metric_from = it.at;
    const uint8_t *start = it.at;
    while (labels_next(&it, &pair)) {
        if (appender_is_target_label(pair.name)) {
            if (!take_front(&metric, metric_from, start) || !take_front(&target, start, it.at)) {
                return false;
            }
            metric_from = it.at;
        }
        start = it.at;
    }
    return take_front(&metric, metric_from, start) && metric.size == 0 && target.size == 0;
}

static bool is_at(const struct expected *e, uint32_t i, struct labels labels) {
    return e->metrics[i].data != NULL && is_split(labels, e->group->target, e->metrics[i]);
}

bool expected_find(struct storage_appender *a, struct labels labels) {
    struct expected *e = &a->expected;
    if (!expected_look(a)) {
        return false;
    }
    expected_want_metrics(a);
    for (uint32_t i = e->at; i < e->count && i - e->at <= SKIP_MAX; i++) {
        if (is_at(e, i, labels)) {
            e->at = i;
            return true;
        }
    }
    return false;
}

bool expected_was(struct storage_appender *a, struct labels labels) {
    const struct expected *e = &a->expected;
    if (e->at == 0) {
        return false;
    }
    expected_want_metrics(a);
    return is_at(e, e->at - 1, labels);
}

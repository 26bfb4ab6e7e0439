/* Building the head's index, and point look-ups in it. Queries: index_match.c, index_labels.c. */
#include "tsdb/index.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"

/* ---- life ---- */

/* Arrays by set number follow the sets' own growth. */
static void cover_target_sets(struct index *index) {
    const uint32_t want = index->live->targets.sets.capacity;
    if (index->live->target_capacity < want) {
        index->live->target_groups =
            mem_resize(index->live->target_groups, want, sizeof(*index->live->target_groups));
        memset(index->live->target_groups + index->live->target_capacity, 0,
               (want - index->live->target_capacity) * sizeof(*index->live->target_groups));
        index->live->target_capacity = want;
    }
}

static void cover_metric_sets(struct index *index) {
    const uint32_t want = index->live->metrics.sets.capacity;
    if (index->live->use_capacity < want) {
        index->live->uses = mem_resize(index->live->uses, want, sizeof(*index->live->uses));
        memset(index->live->uses + index->live->use_capacity, 0,
               (want - index->live->use_capacity) * sizeof(*index->live->uses));
        index->live->use_capacity = want;
    }
}

void index_init(struct index *index, uint64_t seed) {
    *index = (struct index){.seed = seed, .live = mem_zalloc(sizeof(*index->live))};
    mutex_init(&index->mu);
    index->live->number = 1;
    index->live->group_count = 1;
    index_space_init(&index->live->targets, seed);
    index_space_init(&index->live->metrics, seed);
    cover_target_sets(index);
    cover_metric_sets(index);
    index->live->group_capacity = 8;
    index->live->groups = mem_zalloc(index->live->group_capacity * sizeof(*index->live->groups));
}

static void tables_free(struct index_tables *t) {
    if (t == NULL) {
        return;
    }
    for (uint32_t i = 1; i < t->group_count; i++) {
        mem_free(t->groups[i].slots);
    }
    for (uint32_t i = 0; i < t->list_count; i++) {
        mem_free(t->lists[i].bytes);
    }
    mem_free(t->groups);
    mem_free(t->target_groups);
    mem_free(t->uses);
    mem_free(t->lists);
    index_space_release(&t->targets);
    index_space_release(&t->metrics);
    mem_free(t);
}

void index_release(struct index *index) {
    tables_free(index->live);
    tables_free(index->retired);
    mutex_release(&index->mu);
}

/* ---- generations ---- */

struct index_tables *index_pin(struct index *index) {
    mutex_lock(&index->mu);
    struct index_tables *t = index->live;
    t->pins++;
    mutex_unlock(&index->mu);
    return t;
}

void index_unpin(struct index *index, struct index_tables *tables) {
    mutex_lock(&index->mu);
    const bool last = --tables->pins == 0 && tables == index->retired;
    if (last) {
        index->retired = NULL;
    }
    mutex_unlock(&index->mu);
    if (last) {
        tables_free(tables);
    }
}

void index_replace_locked(struct index *index, struct index *from) {
    ASSERT(index->retired == NULL);
    struct index_tables *old = index->live;
    index->live = from->live;
    index->live->number = old->number + 1;
    from->live = NULL;
    if (old->pins != 0) {
        index->retired = old;
    } else {
        from->retired = old; /* freed with from, outside of the lock */
    }
}

bool index_has_retired(struct index *index) {
    mutex_lock(&index->mu);
    const bool has = index->retired != NULL;
    mutex_unlock(&index->mu);
    return has;
}

/* ---- sets, groups, series ---- */

uint32_t index_target_locked(struct index *index, struct labels labels) {
    const uint32_t set = index_space_intern(&index->live->targets, labels);
    cover_target_sets(index);
    return set;
}

uint32_t index_metric_locked(struct index *index, struct labels labels) {
    const uint32_t set = index_space_intern(&index->live->metrics, labels);
    cover_metric_sets(index);
    return set;
}

bool index_define_target_locked(struct index *index, uint32_t set, struct labels labels) {
    const bool ok = index_space_define(&index->live->targets, set, labels);
    cover_target_sets(index);
    return ok;
}

bool index_define_metric_locked(struct index *index, uint32_t set, struct labels labels) {
    const bool ok = index_space_define(&index->live->metrics, set, labels);
    cover_metric_sets(index);
    return ok;
}

enum { COVER_STEP = 2048 };

static bool cover_step_locked(struct index *index, const struct index_tables *t)
    REQUIRES(index->mu) {
    struct index_tables *tables = t == index->retired ? index->retired : index->live;
    ASSERT(t == tables);
    return index_space_cover(&tables->targets, COVER_STEP) &&
           index_space_cover(&tables->metrics, COVER_STEP);
}

bool index_cover_some(struct index *index) {
    mutex_lock(&index->mu);
    const bool all = cover_step_locked(index, index->live);
    mutex_unlock(&index->mu);
    return !all;
}

enum err_code index_cover(struct index *index, const struct index_tables *t,
                          const struct cancel *cancel, struct err *err) {
    for (;;) {
        mutex_lock(&index->mu);
        const bool all = cover_step_locked(index, t);
        mutex_unlock(&index->mu);
        const enum err_code code = all ? ERR_OK : cancel_check(cancel);
        if (all) {
            return ERR_OK;
        }
        if (code != ERR_OK) {
            return err_set(err, code, "query stopped while the index was made");
        }
    }
}

void index_skip_locked(struct index *index, uint32_t targets, uint32_t metrics) {
    label_sets_skip(&index->live->targets.sets, targets);
    cover_target_sets(index);
    label_sets_skip(&index->live->metrics.sets, metrics);
    cover_metric_sets(index);
}

static void chain_group(struct index_tables *t, uint32_t group) {
    struct index_group *g = &t->groups[group];
    g->next_same_target = t->target_groups[g->target_set];
    t->target_groups[g->target_set] = group;
}

uint32_t index_add_group_locked(struct index *index, uint32_t target_set) {
    ASSERT(target_set < index->live->targets.sets.count);
    if (index->live->group_count == index->live->group_capacity) {
        index->live->group_capacity =
            (uint32_t)mem_grow(index->live->group_capacity, index->live->group_count + (size_t)1);
        index->live->groups = mem_resize(index->live->groups, index->live->group_capacity,
                                         sizeof(*index->live->groups));
    }
    const uint32_t group = index->live->group_count++;
    index->live->groups[group] = (struct index_group){.target_set = target_set};
    if (!index->defers) {
        chain_group(index->live, group);
    }
    return group;
}

void index_add_free_group_locked(struct index *index) {
    const uint32_t group = index_add_group_locked(index, 0);
    index->live->target_groups[0] = index->live->groups[group].next_same_target;
    index->live->groups[group].next_same_target = 0;
}

void index_reuse_group_locked(struct index *index, uint32_t group, uint32_t target_set) {
    struct index_group *g = &index->live->groups[group];
    ASSERT(index->defers || g->slot_count == 0);
    mem_free(g->slots);
    *g = (struct index_group){.target_set = target_set};
    if (!index->defers) {
        chain_group(index->live, group);
    }
}

static uint32_t append_slot(struct index_group *g, uint32_t entry) {
    if (g->slot_count == g->slot_capacity) {
        /* By an eighth: most groups are filled once and then stay. */
        g->slot_capacity += g->slot_capacity / 8 + 8;
        g->slots = mem_resize(g->slots, g->slot_capacity, sizeof(*g->slots));
    }
    g->slots[g->slot_count] = entry;
    return g->slot_count++;
}

static void list_add(struct index_uses *list, uint32_t group, uint32_t slot_bits) {
    uint8_t pair[2 * UVARINT_MAX];
    uint8_t *end = put_varint(pair, (int64_t)group - list->last_group);
    end = put_varint(end, (int64_t)slot_bits - list->last_slot_bits);
    const uint32_t need = list->len + (uint32_t)(end - pair);
    if (need > list->capacity) {
        list->capacity = (uint32_t)mem_grow(list->capacity, need);
        list->bytes = mem_resize(list->bytes, list->capacity, 1);
    }
    memcpy(list->bytes + list->len, pair, (size_t)(end - pair));
    list->len = need;
    list->last_group = group;
    list->last_slot_bits = slot_bits;
    list->count++;
}

static void add_use(struct index *index, uint32_t metric_set, uint32_t group, uint32_t slot_bits) {
    struct index_use *use = &index->live->uses[metric_set];
    if (use->group == 0) {
        *use = (struct index_use){group, slot_bits};
        return;
    }
    if (use->group != INDEX_NONE) {
        if (index->live->list_count == index->live->list_capacity) {
            index->live->list_capacity =
                (uint32_t)mem_grow(index->live->list_capacity, index->live->list_count + (size_t)1);
            index->live->lists = mem_resize(index->live->lists, index->live->list_capacity,
                                            sizeof(*index->live->lists));
        }
        struct index_uses *list = &index->live->lists[index->live->list_count];
        *list = (struct index_uses){0};
        list_add(list, use->group, use->slot_bits);
        *use = (struct index_use){INDEX_NONE, index->live->list_count++};
    }
    list_add(&index->live->lists[use->slot_bits], group, slot_bits);
}

uint32_t index_add_series_locked(struct index *index, uint32_t group, uint32_t metric_set) {
    ASSERT(group != 0 && group < index->live->group_count);
    const uint32_t set = metric_set & ~INDEX_SLOT_WHOLE;
    ASSERT(set < index->live->metrics.sets.count);
    const uint32_t slot = append_slot(&index->live->groups[group], metric_set);
    ASSERT(slot < INDEX_SLOT_MAX);
    if (!index->defers) {
        add_use(index, set, group, slot << 1 | (metric_set & INDEX_SLOT_WHOLE ? 1U : 0U));
        index->live->series_count++;
    }
    return slot;
}

void index_put_series_locked(struct index *index, uint32_t group, uint32_t slot,
                             uint32_t metric_set) {
    struct index_group *g = &index->live->groups[group];
    ASSERT(slot < g->slot_count);
    ASSERT(index->defers || g->slots[slot] == INDEX_SLOT_LOST);
    g->slots[slot] = metric_set;
    if (!index->defers) {
        add_use(index, metric_set & ~INDEX_SLOT_WHOLE, group,
                slot << 1 | (metric_set & INDEX_SLOT_WHOLE ? 1U : 0U));
        index->live->series_count++;
    }
}

void index_lose_slot_locked(struct index *index, uint32_t group, uint32_t slot) {
    ASSERT(index->defers);
    index->live->groups[group].slots[slot] = INDEX_SLOT_LOST;
}

void index_begin_replay(struct index *index) {
    index->defers = true;
    label_sets_defer(&index->live->targets.sets);
    label_sets_defer(&index->live->metrics.sets);
}

uint32_t index_finish_replay(struct index *index) {
    struct index_tables *t = index->live;
    const uint32_t twice =
        label_sets_finish(&t->targets.sets) + label_sets_finish(&t->metrics.sets);
    index->defers = false;
    for (uint32_t id = 1; id < t->group_count; id++) {
        const struct index_group *g = &t->groups[id];
        chain_group(t, id);
        for (uint32_t slot = 0; slot < g->slot_count; slot++) {
            const uint32_t entry = g->slots[slot];
            if (entry != INDEX_SLOT_LOST) {
                add_use(index, entry & ~INDEX_SLOT_WHOLE, id,
                        slot << 1 | (entry & INDEX_SLOT_WHOLE ? 1U : 0U));
                t->series_count++;
            }
        }
    }
    return twice;
}

void index_add_lost_slot_locked(struct index *index, uint32_t group) {
    append_slot(&index->live->groups[group], INDEX_SLOT_LOST);
}

uint32_t index_count_uses(const struct index_tables *t, uint32_t metric_set) {
    const struct index_use *use = &t->uses[metric_set];
    if (use->group == INDEX_NONE) {
        return t->lists[use->slot_bits].count;
    }
    return use->group != 0 ? 1 : 0;
}

uint32_t index_use_count_locked(const struct index *index, uint32_t metric_set) {
    return index_count_uses(index->live, metric_set);
}

struct index_use_iter index_uses_locked(const struct index *index, uint32_t metric_set) {
    return index_iterate_uses(index->live, metric_set);
}

struct index_use_iter index_iterate_uses(const struct index_tables *t, uint32_t metric_set) {
    const struct index_use *use = &t->uses[metric_set];
    if (use->group != INDEX_NONE) {
        return (struct index_use_iter){
            .group = use->group, .slot_bits = use->slot_bits, .single = use->group != 0};
    }
    const struct index_uses *list = &t->lists[use->slot_bits];
    return (struct index_use_iter){.at = list->bytes, .end = list->bytes + list->len};
}

static int64_t take_varint(const uint8_t **at) {
    uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
        const uint8_t b = *(*at)++;
        v |= (uint64_t)(b & 0x7F) << shift;
        if (b < 0x80) {
            return zigzag_decode(v);
        }
    }
}

bool index_next_use(struct index_use_iter *it, uint32_t *out_group, uint32_t *out_slot,
                    bool *out_whole) {
    if (it->single) {
        it->single = false;
    } else if (it->at < it->end) {
        it->group = (uint32_t)(it->group + take_varint(&it->at));
        it->slot_bits = (uint32_t)(it->slot_bits + take_varint(&it->at));
    } else {
        return false;
    }
    *out_group = it->group;
    *out_slot = it->slot_bits >> 1;
    *out_whole = (it->slot_bits & 1) != 0;
    return true;
}

/* Goes through the shorter of the two lists that know: the group's slots or the set's users. */
uint32_t index_find_series_locked(const struct index *index, uint32_t group, uint32_t metric_set,
                                  uint32_t hint) {
    const struct index_group *g = &index->live->groups[group];
    if (hint < g->slot_count && g->slots[hint] == metric_set) {
        return hint;
    }
    const uint32_t set = metric_set & ~INDEX_SLOT_WHOLE;
    const uint32_t users = index_use_count_locked(index, set);
    if (g->slot_count / 8 <= users) { /* a user costs about eight slots */
        for (uint32_t slot = 0; slot < g->slot_count; slot++) {
            if (g->slots[slot] == metric_set) {
                return slot;
            }
        }
        return INDEX_NONE;
    }
    struct index_use_iter it = index_uses_locked(index, set);
    uint32_t user;
    uint32_t slot;
    bool whole;
    while (index_next_use(&it, &user, &slot, &whole)) {
        if (user == group && whole == ((metric_set & INDEX_SLOT_WHOLE) != 0)) {
            return slot;
        }
    }
    return INDEX_NONE;
}

/* One number for equal label sets, wherever they are. What a partition's set is in the head is
 * remembered with the partition, so that repeated queries look it up in an array. */
#include "tsdb/querier_impl.h"
#include "tsdb/tsdb_ops.h"

struct labels tsdb_set_labels(struct storage_querier *q, uint32_t set) {
    if ((set & QUERIER_FOREIGN) != 0) {
        return label_sets_get(&q->foreign, set & ~QUERIER_FOREIGN);
    }
    struct index *index = &q->db->index;
    mutex_lock(&index->mu);
    const struct label_sets *sets =
        set % 2 != 0 ? &q->tables->metrics.sets : &q->tables->targets.sets;
    const struct labels labels = label_sets_get(sets, set / 2);
    mutex_unlock(&index->mu);
    return labels;
}

static void release_foreign(void *sets) {
    label_sets_release(sets);
}

static enum err_code foreign_set(struct storage_querier *q, struct labels labels, uint32_t *out,
                                 struct err *err) {
    if (!q->has_foreign) {
        label_sets_init(&q->foreign, q->db->index.seed);
        arena_link(q->arena, release_foreign, &q->foreign);
        q->has_foreign = true;
    }
    const uint32_t set = label_sets_intern(&q->foreign, labels);
    if (set == LABEL_SET_NONE) {
        return querier_over_budget(err);
    }
    *out = set | QUERIER_FOREIGN;
    return ERR_OK;
}

enum err_code querier_partition_set(struct storage_querier *q, struct partition *p,
                                    enum partition_space space, uint32_t set, uint32_t *out,
                                    struct err *err) {
    const bool target = space == PARTITION_TARGETS;
    *out = 0;
    if (set == 0) {
        return ERR_OK;
    }
    _Atomic uint64_t *known = partition_known_set(p, space, set);
    const uint64_t generation = (uint64_t)q->tables->number << 32;
    const uint64_t found = atomic_load_explicit(known, memory_order_relaxed);
    uint32_t number = (uint32_t)found;
    if (LIKELY(number != 0 && found == (generation | number))) {
        *out = target ? querier_target(number) : querier_metric(number);
        return ERR_OK;
    }
    struct labels labels;
    const enum err_code code = partition_set_labels(p, space, set, q->arena, &labels, err);
    if (code != ERR_OK) {
        return code;
    }
    struct index *index = &q->db->index;
    mutex_lock(&index->mu);
    number = label_sets_find(target ? &q->tables->targets.sets : &q->tables->metrics.sets, labels);
    mutex_unlock(&index->mu);
    if (number == LABEL_SET_NONE) {
        return foreign_set(q, labels, out, err);
    }
    atomic_store_explicit(known, generation | number, memory_order_relaxed);
    *out = target ? querier_target(number) : querier_metric(number);
    return ERR_OK;
}

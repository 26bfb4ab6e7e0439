/* Places with equal labels are one series. Labels are compared by the numbers of their sets where equal
 * labels are split alike, and spelled out only where they are not. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "tsdb/querier_impl.h"
#include "tsdb/tsdb_ops.h"

static bool same_names(struct labels a, struct labels b) {
    struct labels_iter x = labels_begin(a);
    struct labels_iter y = labels_begin(b);
    struct label p;
    struct label r;
    for (;;) {
        const bool more = labels_next(&x, &p);
        if (more != labels_next(&y, &r)) {
            return false;
        }
        if (!more) {
            return true;
        }
        if (!str_eq(p.name, r.name)) {
            return false;
        }
    }
}

bool querier_split_alike(struct storage_querier *q, const struct querier_hits *hits) {
    enum { SEEN = 1024 };
    uint32_t seen[SEEN]; /* sets that were compared, by their low bits: targets alternate */
    memset(seen, 0xFF, sizeof(seen));
    for (size_t i = 0; i < hits->count; i++) {
        const uint32_t target = hits->items[i].target;
        if (seen[target / 2 % SEEN] == target) {
            continue;
        }
        seen[target / 2 % SEEN] = target;
        if (!same_names(tsdb_set_labels(q, target), tsdb_set_labels(q, hits->items[0].target))) {
            return false;
        }
    }
    return true;
}

static int by_u32(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

enum err_code querier_each_once(struct storage_querier *q, const struct querier_hits *hits,
                                bool *out, struct err *err) {
    *out = false;
    if (hits->partitions != 0) {
        *out = hits->partitions == 1 && !hits->repeats &&
               hits->items[0].place.kind == hits->items[hits->count - 1].place.kind;
        return ERR_OK;
    }
    uint32_t *sets = arena_try_alloc(q->scratch, hits->count, sizeof(*sets));
    if (sets == NULL) {
        return querier_over_budget(err);
    }
    size_t groups = 0;
    for (size_t i = 0; i < hits->count; i++) {
        const struct querier_hit *hit = &hits->items[i];
        if (i == 0 || hit->place.source != hit[-1].place.source) {
            sets[groups++] = hit->target;
        } else if (hit->target != hit[-1].target) {
            return ERR_OK; /* a whole slot among others */
        }
    }
    qsort(sets, groups, sizeof(*sets), by_u32);
    for (size_t i = 1; i < groups; i++) {
        if (sets[i] == sets[i - 1]) {
            return ERR_OK;
        }
    }
    *out = true;
    return ERR_OK;
}

/* Sums of pairs, by set: a sum does not depend on how the labels are split. */
struct sums {
    struct storage_querier *q;
    uint32_t *sets; /* open addressing: set + 1 */
    uint64_t *values;
    size_t mask;
    size_t count;
};

static bool sums_grow(struct sums *s) {
    const struct sums old = *s;
    s->mask = old.sets == NULL ? 255 : old.mask * 2 + 1;
    s->sets = arena_try_alloc(s->q->scratch, s->mask + 1, sizeof(*s->sets));
    s->values = arena_try_alloc(s->q->scratch, s->mask + 1, sizeof(*s->values));
    if (s->sets == NULL || s->values == NULL) {
        return false;
    }
    memset(s->sets, 0, (s->mask + 1) * sizeof(*s->sets));
    for (size_t i = 0; old.sets != NULL && i <= old.mask; i++) {
        if (old.sets[i] != 0) {
            size_t at = (old.sets[i] * UINT32_C(2654435761)) & s->mask;
            while (s->sets[at] != 0) {
                at = (at + 1) & s->mask;
            }
            s->sets[at] = old.sets[i];
            s->values[at] = old.values[i];
        }
    }
    return true;
}

static uint64_t pair_sum(struct labels labels) {
    uint64_t sum = 0;
    struct labels_iter it = labels_begin(labels);
    const uint8_t *start = it.at;
    struct label pair;
    while (labels_next(&it, &pair)) {
        sum += hash_keyed(start, (size_t)(it.at - start), 0);
        start = it.at;
    }
    return sum;
}

static bool sum_of(struct sums *s, uint32_t set, uint64_t *out) {
    if ((s->sets == NULL || s->count * 2 > s->mask) && !sums_grow(s)) {
        return false;
    }
    size_t at = ((set + 1) * UINT32_C(2654435761)) & s->mask;
    while (s->sets[at] != 0 && s->sets[at] != set + 1) {
        at = (at + 1) & s->mask;
    }
    if (s->sets[at] == 0) {
        s->sets[at] = set + 1;
        s->values[at] = pair_sum(tsdb_set_labels(s->q, set));
        s->count++;
    }
    *out = s->values[at];
    return true;
}

static bool same_labels(struct storage_querier *q, const struct querier_hit *a,
                        const struct querier_hit *b) {
    if (a->target == b->target && a->metric == b->metric) {
        return true;
    }
    struct arena scratch;
    arena_init(&scratch, 0);
    const struct labels x =
        labels_merge(&scratch, tsdb_set_labels(q, a->target), tsdb_set_labels(q, a->metric));
    const struct labels y =
        labels_merge(&scratch, tsdb_set_labels(q, b->target), tsdb_set_labels(q, b->metric));
    const bool same = labels_eq(x, y);
    arena_release(&scratch);
    return same;
}

enum err_code querier_group_equal(struct storage_querier *q, const struct querier_hits *hits,
                                  bool alike, uint32_t *series_of, size_t *out_count,
                                  struct err *err) {
    const size_t n = hits->count;
    const struct querier_hit *items = hits->items;
    size_t mask = 15;
    while (mask < n * 2) {
        mask = mask * 2 + 1;
    }
    struct sums sums = {.q = q};
    uint32_t *table = arena_try_alloc(q->scratch, mask + 1, sizeof(*table)); /* hit + 1 */
    uint64_t *keys = arena_try_alloc(q->scratch, n, sizeof(*keys));
    if (table == NULL || keys == NULL) {
        return querier_over_budget(err);
    }
    memset(table, 0, (mask + 1) * sizeof(*table));
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (i % QUERIER_HITS_BETWEEN_CHECKS == 0 && querier_stopped(q, err) != ERR_OK) {
            return querier_stopped(q, err);
        }
        uint64_t metric_sum = items[i].metric;
        keys[i] = (uint64_t)items[i].target << 32;
        if (!alike && (!sum_of(&sums, items[i].target, &keys[i]) ||
                       !sum_of(&sums, items[i].metric, &metric_sum))) {
            return querier_over_budget(err);
        }
        keys[i] += metric_sum;
        size_t at = (keys[i] * UINT64_C(0x9e3779b97f4a7c15) >> 20) & mask;
        while (table[at] != 0 && (keys[table[at] - 1] != keys[i] ||
                                  (!alike && !same_labels(q, &items[table[at] - 1], &items[i])))) {
            at = (at + 1) & mask;
        }
        if (table[at] == 0) {
            table[at] = (uint32_t)i + 1;
            series_of[i] = (uint32_t)count++;
        } else {
            series_of[i] = series_of[table[at] - 1];
        }
    }
    *out_count = count;
    return ERR_OK;
}

/* Selecting and reading series, of the head and of partitions.
 *
 * A selection is a list of series; a series has one or more places: its slot in a group of the head,
 * a series of each partition that has samples of it, and more of them for a pushed series that was
 * moved, a target that came back with other target labels, two targets that claim the same series.
 * Places with equal labels are merged; of samples of the same time the first place's stays, in the
 * order of enum place_kind.
 *
 * A querier holds a view: the partitions that were live when it was opened, and with them the
 * knowledge which sealed runs of the head they replace (view.h). What a damaged partition cannot
 * say is left out; the partition reports it. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/sort.h"
#include "tsdb/querier_impl.h"

static enum err_code over_budget(struct err *err) {
    return querier_over_budget(err);
}

static void release_tombstones(void *t) {
    tombstones_unref(t);
}

static void release_querier(void *querier) {
    struct storage_querier *q = querier;
    view_unref(q->view);
    index_unpin(&q->db->index, q->tables);
}

enum err_code tsdb_querier_open(struct storage *st, int64_t mint, int64_t maxt, struct arena *arena,
                                const struct cancel *cancel, struct storage_querier **out,
                                struct err *err) {
    struct storage_querier *q = arena_try_alloc(arena, 1, sizeof(*q));
    if (q == NULL) {
        return err_set(err, ERR_LIMIT, "query needs more memory than its budget");
    }
    *q = (struct storage_querier){
        .db = (struct tsdb *)st,
        .min_ts_ms = mint,
        .max_ts_ms = maxt,
        .arena = arena,
        .cancel = cancel,
    };
    q->tombstones = tsdb_tombstones(q->db);
    if (q->tombstones != NULL) {
        arena_link(arena, release_tombstones, q->tombstones);
    }
    q->tables = index_pin(&q->db->index); /* before the view: what these lack is in partitions */
    q->view = view_ref_newest(&q->db->views);
    arena_link(arena, release_querier, q);
    *out = q;
    return ERR_OK;
}

enum err_code tsdb_exemplars(struct storage_querier *q, const struct matcher *matchers, size_t n,
                             struct storage_exemplar_series **out, size_t *out_count,
                             struct err *err) {
    return exemplars_select(notes_exemplars(q->db->notes), matchers, n, q->min_ts_ms, q->max_ts_ms,
                            q->arena, out, out_count, err);
}

/* ---- hits of the head ---- */

/* What may be taken beside what the query has; its end gives it back to the system. */
static void begin_scratch(const struct storage_querier *q, struct arena *scratch) {
    const size_t budget = q->arena->budget_bytes;
    const size_t used = q->arena->used_bytes + (q->scratch != NULL ? q->scratch->used_bytes : 0);
    arena_init(scratch, budget == 0 ? 0 : budget > used ? budget - used : 1);
    scratch->pool = q->arena->pool;
}

static int by_place(const void *a, const void *b) {
    const struct index_hit *x = a;
    const struct index_hit *y = b;
    if (x->group != y->group) {
        return x->group < y->group ? -1 : 1;
    }
    return (x->slot > y->slot) - (x->slot < y->slot);
}

/* What is done between two looks whether the query was ended: some 0.2 ms. */
enum { HITS_BETWEEN_CHECKS = 4096, SORTED_AT_ONCE = 4096 };

static enum err_code stopped(const struct storage_querier *q, struct err *err) {
    const enum err_code code = cancel_check(q->cancel);
    return code == ERR_OK ? ERR_OK : err_set(err, code, "query stopped while it looked for series");
}

static enum err_code sort_hits(struct storage_querier *q, struct index_hit *hits, size_t n,
                               struct err *err) {
    size_t in_order = 1;
    while (in_order < n && by_place(&hits[in_order - 1], &hits[in_order]) <= 0) {
        in_order++;
    }
    if (in_order >= n) {
        return ERR_OK;
    }
    if (n <= SORTED_AT_ONCE) {
        qsort(hits, n, sizeof(*hits), by_place);
        return ERR_OK;
    }
    struct arena scratch;
    begin_scratch(q, &scratch);
    void **pointers = arena_try_alloc(&scratch, n, 2 * sizeof(void *));
    enum err_code code = pointers != NULL ? ERR_OK : over_budget(err);
    if (code == ERR_OK &&
        sort_items(hits, n, sizeof(*hits), by_place, pointers, q->cancel) != ERR_OK) {
        code = stopped(q, err);
    }
    arena_release(&scratch);
    return code;
}

/* Leaves out series without samples in the range, where that is cheap to know. */
static enum err_code filter_hits(struct storage_querier *q, struct index_hit *hits, size_t n,
                                 size_t *out_kept, struct err *err) {
    size_t kept = 0;
    size_t checked = 0;
    for (size_t at = 0; at < n;) {
        if (at - checked >= HITS_BETWEEN_CHECKS) {
            checked = at;
            const enum err_code code = stopped(q, err);
            if (code != ERR_OK) {
                return code;
            }
        }
        size_t end = at + 1;
        while (end < n && hits[end].group == hits[at].group) {
            end++;
        }
        struct head_group *g = head_group_get(q->db, hits[at].group);
        const size_t left = head_filter_hits(g, q->min_ts_ms, q->max_ts_ms, hits + at, end - at);
        memmove(hits + kept, hits + at, left * sizeof(*hits));
        kept += left;
        at = end;
    }
    *out_kept = kept;
    return stopped(q, err);
}

/* ---- hits of all sources ---- */

struct hit {
    uint32_t target; /* as callers see them */
    uint32_t metric;
    struct place place;
};

struct hits {
    struct hit *items; /* by precedence */
    size_t count;
    size_t capacity;
    bool repeats;      /* places of one series in one partition */
    size_t partitions; /* with hits */
};

static struct hit *add_hits(struct storage_querier *q, struct hits *hits, size_t n) {
    if (hits->capacity - hits->count < n) {
        const size_t need = hits->count + n;
        const size_t capacity = need > hits->capacity * 2 ? need : hits->capacity * 2;
        struct hit *items = arena_try_alloc(q->scratch, capacity, sizeof(*items));
        if (items == NULL) {
            return NULL;
        }
        if (hits->count != 0) {
            memcpy(items, hits->items, hits->count * sizeof(*items));
        }
        hits->items = items;
        hits->capacity = capacity;
    }
    struct hit *to = hits->items != NULL ? hits->items + hits->count : NULL;
    hits->count += n;
    return to;
}

/* Late groups behind the others, which count before them. */
static void put_late_last(struct storage_querier *q, struct hit *hits, size_t n,
                          struct hit *scratch) {
    size_t kept = 0;
    size_t late = 0;
    for (size_t at = 0; at < n;) {
        const uint32_t group = hits[at].place.source;
        const bool is_late = head_group_get(q->db, group)->late;
        for (; at < n && hits[at].place.source == group; at++) {
            if (is_late) {
                scratch[late] = hits[at];
                scratch[late++].place.kind = PLACE_HEAD_LATE;
            } else {
                hits[kept++] = hits[at];
            }
        }
    }
    if (late != 0) {
        memcpy(hits + kept, scratch, late * sizeof(*hits));
    }
}

static enum err_code take_head_hits(struct storage_querier *q, struct index_hit *hits, size_t n,
                                    struct hits *to, struct err *err) {
    size_t count = 0;
    enum err_code code = sort_hits(q, hits, n, err);
    if (code == ERR_OK) {
        code = filter_hits(q, hits, n, &count, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    struct hit *out = add_hits(q, to, count);
    if (out == NULL && count != 0) {
        return over_budget(err);
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = (struct hit){.target = querier_target(hits[i].target_set),
                              .metric = querier_metric(hits[i].metric_set),
                              .place = {hits[i].group, hits[i].slot, PLACE_HEAD}};
    }
    if (atomic_load_explicit(&q->db->has_late, memory_order_relaxed) && count != 0) {
        struct hit *scratch = arena_try_alloc(q->scratch, count, sizeof(*scratch));
        if (scratch == NULL) {
            return over_budget(err);
        }
        put_late_last(q, out, count, scratch);
    }
    return ERR_OK;
}

static enum err_code hits_of_head(struct storage_querier *q, const struct matcher *matchers,
                                  size_t n, struct hits *to, struct err *err) {
    struct index_hit *hits = NULL;
    size_t count = 0;
    struct arena found;
    begin_scratch(q, &found);
    enum err_code code =
        index_select(&q->db->index, q->tables, matchers, n, &found, q->cancel, &hits, &count, err);
    if (code == ERR_OK) {
        code = take_head_hits(q, hits, count, to, err);
    }
    arena_release(&found);
    return code;
}

struct partition_source {
    struct partition *partition;
    uint32_t number;
    enum place_kind kind;
};

/* Their labels may have to be spelled out. */
enum { DEFINED_BETWEEN_CHECKS = 256 };

static enum err_code take_partition_hits(struct storage_querier *q,
                                         const struct partition_source *from,
                                         const struct partition_hit *hits, size_t count,
                                         struct hits *to, struct err *err) {
    struct hit *out = add_hits(q, to, count);
    if (out == NULL) {
        return over_budget(err);
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        enum err_code code = i % DEFINED_BETWEEN_CHECKS == 0 ? stopped(q, err) : ERR_OK;
        if (code != ERR_OK) {
            return code;
        }
        struct hit *hit = &out[kept];
        *hit = (struct hit){.place = {from->number, hits[i].series, (uint8_t)from->kind}};
        code = querier_partition_set(q, from->partition, PARTITION_TARGETS, hits[i].target_set,
                                     &hit->target, err);
        code = code == ERR_OK ? querier_partition_set(q, from->partition, PARTITION_METRICS,
                                                      hits[i].metric_set, &hit->metric, err)
                              : code;
        if (code != ERR_OK && code != ERR_CORRUPT) {
            return code;
        }
        kept += code == ERR_OK ? 1 : 0;
        to->repeats |= hits[i].repeat;
    }
    to->count -= count - kept;
    to->partitions++;
    return ERR_OK;
}

static enum err_code hits_of_partition(struct storage_querier *q, uint32_t number,
                                       enum place_kind kind, const struct matcher *matchers,
                                       size_t n, struct hits *to, struct err *err) {
    const struct partition_source from = {querier_partition(q, number), number, kind};
    struct partition_hit *hits = NULL;
    size_t count = 0;
    struct arena found;
    begin_scratch(q, &found);
    enum err_code code = partition_select(from.partition, matchers, n, q->min_ts_ms, q->max_ts_ms,
                                          &found, q->cancel, &hits, &count, err);
    if (code == ERR_OK && count != 0) {
        code = take_partition_hits(q, &from, hits, count, to, err);
    } else if (code == ERR_CORRUPT) {
        code = ERR_OK;
    }
    arena_release(&found);
    return code;
}

static enum err_code find_hits(struct storage_querier *q, const struct matcher *matchers, size_t n,
                               struct hits *out, struct err *err) {
    enum err_code code = ERR_OK;
    *out = (struct hits){0};
    for (unsigned kind = PLACE_PARTITION; kind <= PLACE_LATE && code == ERR_OK; kind++) {
        if (kind == PLACE_HEAD) {
            code = hits_of_head(q, matchers, n, out, err);
        }
        if (kind == PLACE_HEAD || kind == PLACE_HEAD_LATE) {
            continue;
        }
        for (uint32_t i = 0; i < q->view->partition_count && code == ERR_OK; i++) {
            const bool late = partition_info(querier_partition(q, i))->out_of_order;
            if (late == (kind == PLACE_LATE) && querier_wants(q, i)) {
                code = hits_of_partition(q, i, (enum place_kind)kind, matchers, n, out, err);
            }
        }
    }
    return code;
}

/* ---- equal labels ---- */

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

/* Do all target sets have the same names? Then equal labels are split in the same way, and equal
 * series have equal pairs of sets. */
static bool split_alike(struct storage_querier *q, const struct hits *hits) {
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

/* Hits of one source each series of which is there once, when the sets are split alike: groups with
 * target sets of their own, or one partition without repeats. */
static enum err_code each_once(struct storage_querier *q, const struct hits *hits, bool *out,
                               struct err *err) {
    *out = false;
    if (hits->partitions != 0) {
        *out = hits->partitions == 1 && !hits->repeats &&
               hits->items[0].place.kind == hits->items[hits->count - 1].place.kind;
        return ERR_OK;
    }
    uint32_t *sets = arena_try_alloc(q->scratch, hits->count, sizeof(*sets));
    if (sets == NULL) {
        return over_budget(err);
    }
    size_t groups = 0;
    for (size_t i = 0; i < hits->count; i++) {
        const struct hit *hit = &hits->items[i];
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

static bool same_labels(struct storage_querier *q, const struct hit *a, const struct hit *b) {
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

/* series_of[i] becomes the number of the series that hit i belongs to, in order of first hit. alike:
 * equal labels have equal pairs of sets. */
static enum err_code group_equal(struct storage_querier *q, const struct hits *hits, bool alike,
                                 uint32_t *series_of, size_t *out_count, struct err *err) {
    const size_t n = hits->count;
    const struct hit *items = hits->items;
    size_t mask = 15;
    while (mask < n * 2) {
        mask = mask * 2 + 1;
    }
    struct sums sums = {.q = q};
    uint32_t *table = arena_try_alloc(q->scratch, mask + 1, sizeof(*table)); /* hit + 1 */
    uint64_t *keys = arena_try_alloc(q->scratch, n, sizeof(*keys));
    if (table == NULL || keys == NULL) {
        return over_budget(err);
    }
    memset(table, 0, (mask + 1) * sizeof(*table));
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (i % HITS_BETWEEN_CHECKS == 0 && stopped(q, err) != ERR_OK) {
            return stopped(q, err);
        }
        uint64_t metric_sum = items[i].metric;
        keys[i] = (uint64_t)items[i].target << 32;
        if (!alike && (!sum_of(&sums, items[i].target, &keys[i]) ||
                       !sum_of(&sums, items[i].metric, &metric_sum))) {
            return over_budget(err);
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

/* ---- building a selection ---- */

static struct storage_series series_from(const struct hit *hit) {
    return (struct storage_series){
        .target_set = hit->target,
        .metric_set = hit->metric,
        .ref = (uint64_t)hit->place.source << 32 | hit->place.slot,
    };
}

/* Several hits per series: places of one series next to each other. */
static enum err_code fill_merged(struct storage_querier *q, struct storage_selection *sel,
                                 const struct hits *hits, bool alike, struct err *err) {
    const size_t n = hits->count;
    uint32_t *series_of = arena_try_alloc(q->scratch, n, sizeof(*series_of));
    if (series_of == NULL) {
        return over_budget(err);
    }
    const enum err_code code = group_equal(q, hits, alike, series_of, &sel->count, err);
    if (code != ERR_OK) {
        return code;
    }
    sel->first_place = arena_try_alloc(q->arena, sel->count + 2, sizeof(*sel->first_place));
    sel->series = arena_try_alloc(q->arena, sel->count + 1, sizeof(*sel->series));
    if (sel->first_place == NULL || sel->series == NULL) {
        return over_budget(err);
    }
    uint32_t *first = sel->first_place;
    memset(first, 0, (sel->count + 2) * sizeof(*first));
    for (size_t i = 0; i < n; i++) {
        first[series_of[i] + 2]++;
    }
    for (size_t i = 2; i < sel->count + 2; i++) {
        first[i] += first[i - 1];
    }
    size_t seen = 0;
    for (size_t i = 0; i < n; i++) { /* afterwards first[s + 1] is the end of series s */
        const uint32_t s = series_of[i];
        if (s == seen) {
            sel->series[seen++] = series_from(&hits->items[i]);
        }
        sel->places[first[s + 1]++] = hits->items[i].place;
    }
    return ERR_OK;
}

struct sort_item {
    struct labels labels;
    uint32_t series;
};

static int by_labels(const void *a, const void *b) {
    return labels_cmp(((const struct sort_item *)a)->labels, ((const struct sort_item *)b)->labels);
}

/* The place list for another order of the series. */
static enum err_code permute(struct storage_querier *q, struct storage_selection *sel,
                             const struct sort_item *items, struct err *err) {
    const size_t n = sel->count;
    const size_t place_count = sel->first_place != NULL ? sel->first_place[n] : n;
    struct storage_series *series = arena_try_alloc(q->arena, n, sizeof(*series));
    struct place *places = arena_try_alloc(q->arena, place_count, sizeof(*places));
    uint32_t *first =
        sel->first_place != NULL ? arena_try_alloc(q->arena, n + 1, sizeof(*first)) : NULL;
    if (series == NULL || places == NULL || (sel->first_place != NULL && first == NULL)) {
        return over_budget(err);
    }
    uint32_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t s = items[i].series;
        series[i] = sel->series[s];
        const uint32_t from = sel->first_place != NULL ? sel->first_place[s] : s;
        const uint32_t to = sel->first_place != NULL ? sel->first_place[s + 1] : s + 1;
        if (first != NULL) {
            first[i] = at;
        }
        for (uint32_t p = from; p < to; p++) {
            places[at++] = sel->places[p];
        }
    }
    if (first != NULL) {
        first[n] = at;
    }
    *sel = (struct storage_selection){
        .series = series, .first_place = first, .places = places, .count = n};
    return ERR_OK;
}

/* Sorts the items, whose labels are spelled out in scratch first. */
static enum err_code spell_and_sort(struct storage_querier *q, const struct storage_selection *sel,
                                    struct sort_item *items, struct arena *scratch,
                                    struct err *err) {
    enum { LABELS_BETWEEN_CHECKS = 1024 };
    enum err_code code = ERR_OK;
    void **pointers = arena_try_alloc(scratch, sel->count, 2 * sizeof(void *));
    if (pointers == NULL) {
        return over_budget(err);
    }
    for (size_t i = 0; i < sel->count && code == ERR_OK; i++) {
        const struct storage_series *s = &sel->series[i];
        items[i].series = (uint32_t)i;
        items[i].labels = labels_merge(scratch, tsdb_set_labels(q, s->target_set),
                                       tsdb_set_labels(q, s->metric_set));
        if (scratch->budget_bytes != 0 && scratch->used_bytes > scratch->budget_bytes) {
            return over_budget(err);
        }
        code = i % LABELS_BETWEEN_CHECKS == 0 ? cancel_check(q->cancel) : ERR_OK;
    }
    if (code == ERR_OK) {
        code = sort_items(items, sel->count, sizeof(*items), by_labels, pointers, q->cancel);
    }
    return code == ERR_OK ? ERR_OK : err_set(err, code, "query stopped while it sorted its series");
}

static enum err_code sort_selection(struct storage_querier *q, struct storage_selection *sel,
                                    struct err *err) {
    struct arena scratch;
    begin_scratch(q, &scratch);
    struct sort_item *items = arena_try_alloc(&scratch, sel->count, sizeof(*items));
    enum err_code code =
        items != NULL ? spell_and_sort(q, sel, items, &scratch, err) : over_budget(err);
    if (code == ERR_OK) {
        code = permute(q, sel, items, err);
    }
    arena_release(&scratch);
    return code;
}

/* Has a series of which something is deleted another sample in the querier's range? */
static enum err_code is_left(struct storage_querier *q, const struct storage_selection *sel,
                             size_t series, bool *out, struct err *err) {
    struct arena scratch;
    struct storage_samples samples;
    arena_init(&scratch, q->arena->budget_bytes);
    const enum err_code code =
        tsdb_read(q, sel, series, 1, q->min_ts_ms, q->max_ts_ms, &scratch, &samples, err);
    *out = code == ERR_OK && samples.count != 0;
    arena_release(&scratch);
    return code;
}

static void move_series(struct storage_selection *sel, size_t from, size_t to) {
    sel->series[to] = sel->series[from];
    sel->deleted[to] = sel->deleted[from];
    if (sel->first_place == NULL) {
        sel->places[to] = sel->places[from];
        return;
    }
    const uint32_t begin = sel->first_place[from];
    const uint32_t n = sel->first_place[from + 1] - begin;
    memmove(sel->places + sel->first_place[to], sel->places + begin, n * sizeof(*sel->places));
    sel->first_place[to + 1] = sel->first_place[to] + n;
}

/* For those who want the series alone: leaves out the ones that are deleted as a whole. */
static enum err_code drop_deleted(struct storage_querier *q, struct storage_selection *sel,
                                  struct err *err) {
    size_t kept = 0;
    for (size_t i = 0; i < sel->count; i++) {
        bool left = true;
        const enum err_code code =
            sel->deleted[i] != NULL ? is_left(q, sel, i, &left, err) : ERR_OK;
        if (code != ERR_OK) {
            return code;
        }
        if (left && kept != i) {
            move_series(sel, i, kept);
        }
        kept += left ? 1 : 0;
    }
    sel->count = kept;
    return ERR_OK;
}

/* Notes what is deleted of each series. */
static enum err_code mark_deleted(struct storage_querier *q, struct storage_selection *sel,
                                  const struct storage_select_hints *hints, struct err *err) {
    enum { LABELS_BETWEEN_CHECKS = 1024 };
    const struct tombstone **deleted = arena_try_alloc(q->arena, sel->count + 1, sizeof(*deleted));
    if (deleted == NULL) {
        return over_budget(err);
    }
    struct arena scratch;
    bool any = false;
    enum err_code code = ERR_OK;
    arena_init(&scratch, 0);
    for (size_t i = 0; i < sel->count && code == ERR_OK; i++) {
        const struct storage_series *s = &sel->series[i];
        deleted[i] = tombstones_find_pair(q->tombstones, tsdb_set_labels(q, s->target_set),
                                          tsdb_set_labels(q, s->metric_set), &scratch);
        any |= deleted[i] != NULL;
        arena_reset(&scratch);
        code = i % LABELS_BETWEEN_CHECKS == 0 ? cancel_check(q->cancel) : ERR_OK;
    }
    arena_release(&scratch);
    if (code != ERR_OK) {
        return err_set(err, code, "query stopped while it looked for deleted series");
    }
    sel->deleted = any ? deleted : NULL;
    return any && hints != NULL && hints->series_only ? drop_deleted(q, sel, err) : ERR_OK;
}

/* Hits that are a series each. */
static enum err_code fill_single(struct storage_querier *q, struct storage_selection *sel,
                                 const struct hits *hits, struct err *err) {
    sel->series = arena_try_alloc(q->arena, hits->count + 1, sizeof(*sel->series));
    if (sel->series == NULL) {
        return over_budget(err);
    }
    for (size_t i = 0; i < hits->count; i++) {
        sel->series[i] = series_from(&hits->items[i]);
        sel->places[i] = hits->items[i].place;
    }
    return ERR_OK;
}

static enum err_code build_selection(struct storage_querier *q, const struct matcher *matchers,
                                     size_t n, struct storage_selection *sel, struct err *err) {
    struct hits hits;
    enum err_code code = find_hits(q, matchers, n, &hits, err);
    if (code != ERR_OK) {
        return code;
    }
    *sel = (struct storage_selection){.count = hits.count};
    sel->places = arena_try_alloc(q->arena, hits.count + 1, sizeof(*sel->places));
    if (sel->places == NULL) {
        return over_budget(err);
    }
    code = stopped(q, err);
    if (code != ERR_OK) {
        return code;
    }
    const bool alike = split_alike(q, &hits);
    bool once = hits.count <= 1;
    if (!once && alike) {
        code = each_once(q, &hits, &once, err);
    }
    if (code == ERR_OK) {
        code = stopped(q, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    return once ? fill_single(q, sel, &hits, err) : fill_merged(q, sel, &hits, alike, err);
}

enum err_code tsdb_select(struct storage_querier *q, const struct matcher *matchers, size_t n,
                          const struct storage_select_hints *hints, struct storage_selection **out,
                          struct err *err) {
    struct storage_selection *sel = arena_try_alloc(q->arena, 1, sizeof(*sel));
    if (sel == NULL) {
        return over_budget(err);
    }
    struct arena scratch;
    begin_scratch(q, &scratch);
    q->scratch = &scratch;
    enum err_code code = build_selection(q, matchers, n, sel, err);
    q->scratch = NULL;
    arena_release(&scratch);
    if (code == ERR_OK && hints != NULL && hints->sorted && sel->count > 1) {
        code = sort_selection(q, sel, err);
    }
    if (code == ERR_OK && q->tombstones != NULL) {
        code = mark_deleted(q, sel, hints, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (hints != NULL && hints->limit != 0 && sel->count > hints->limit) {
        sel->count = hints->limit;
    }
    *out = sel;
    return ERR_OK;
}

const struct storage_series *tsdb_selection_series(const struct storage_selection *sel,
                                                   size_t *out_count) {
    *out_count = sel->count;
    return sel->series;
}

/* ---- reading ---- */

struct wanted { /* one place of the batch */
    struct place place;
    uint32_t order; /* its number in the batch */
};

static bool same_source(const struct place *a, const struct place *b) {
    return a->kind == b->kind && a->source == b->source;
}

static int by_wanted(const void *a, const void *b) {
    const struct place *x = &((const struct wanted *)a)->place;
    const struct place *y = &((const struct wanted *)b)->place;
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    if (x->source != y->source) {
        return x->source < y->source ? -1 : 1;
    }
    return (x->slot > y->slot) - (x->slot < y->slot);
}

static void sort_wanted(struct wanted *wanted, size_t n) {
    for (size_t i = 1; i < n; i++) {
        if (by_wanted(&wanted[i - 1], &wanted[i]) > 0) {
            qsort(wanted, n, sizeof(*wanted), by_wanted);
            return;
        }
    }
}

/* Reads all places, source by source; results[order]. */
static enum err_code read_places(struct storage_querier *q, struct wanted *wanted, size_t n,
                                 const struct head_read *read, struct storage_samples *results,
                                 struct err *err) {
    uint32_t *slots = arena_try_alloc(read->arena, n, sizeof(*slots));
    struct storage_samples *got = arena_try_alloc(read->arena, n, sizeof(*got));
    if (slots == NULL || got == NULL) {
        return over_budget(err);
    }
    sort_wanted(wanted, n);
    for (size_t at = 0; at < n;) {
        const struct place *place = &wanted[at].place;
        size_t end = at;
        while (end < n && same_source(&wanted[end].place, place)) {
            slots[end - at] = wanted[end].place.slot;
            end++;
        }
        const bool head = place->kind == PLACE_HEAD || place->kind == PLACE_HEAD_LATE;
        const enum err_code code = head
                                       ? head_read_group(read, head_group_get(q->db, place->source),
                                                         slots, end - at, got, err)
                                       : partition_read(querier_partition(q, place->source), slots,
                                                        end - at, read->min_ts_ms, read->max_ts_ms,
                                                        read->arena, q->cancel, got, err);
        if (code != ERR_OK) {
            return code;
        }
        for (size_t i = at; i < end; i++) {
            results[wanted[i].order] = got[i - at];
        }
        at = end;
    }
    return ERR_OK;
}

enum err_code tsdb_read(struct storage_querier *q, const struct storage_selection *sel,
                        size_t first, size_t count, int64_t mint, int64_t maxt,
                        struct arena *scratch, struct storage_samples *out, struct err *err) {
    ASSERT(first <= sel->count && count <= sel->count - first);
    if (count == 0) {
        return ERR_OK;
    }
    const bool merged = sel->first_place != NULL;
    const size_t from = merged ? sel->first_place[first] : first;
    const size_t to = merged ? sel->first_place[first + count] : first + count;
    struct wanted *wanted = arena_try_alloc(scratch, to - from, sizeof(*wanted));
    struct storage_samples *results =
        merged ? arena_try_alloc(scratch, to - from, sizeof(*results)) : out;
    if (wanted == NULL || results == NULL) {
        return over_budget(err);
    }
    for (size_t i = from; i < to; i++) {
        wanted[i - from] = (struct wanted){sel->places[i], (uint32_t)(i - from)};
    }
    const struct head_read read = {
        .db = q->db,
        .min_ts_ms = mint,
        .max_ts_ms = maxt,
        .arena = scratch,
        .cancel = q->cancel,
        .view = q->view,
    };
    struct querier_joins joins = {.cancel = q->cancel};
    enum err_code code = read_places(q, wanted, to - from, &read, results, err);
    for (size_t i = 0; merged && i < count && code == ERR_OK; i++) {
        const size_t begin = sel->first_place[first + i] - from;
        const size_t end = sel->first_place[first + i + 1] - from;
        code = querier_join(&joins, scratch, results + begin, end - begin, &out[i], err);
    }
    for (size_t i = 0; sel->deleted != NULL && i < count && code == ERR_OK; i++) {
        const struct tombstone *t = sel->deleted[first + i];
        code = t != NULL ? tombstone_filter(t, scratch, &out[i], err) : ERR_OK;
    }
    return code;
}

/* ---- labels ---- */

struct str_list {
    struct str *items; /* sorted, unique */
    size_t count;
};

/* Both sorted; at most limit (0 = all). */
static enum err_code unite(struct storage_querier *q, struct str_list *io, struct str_list b,
                           size_t limit, struct err *err) {
    if (b.count == 0) {
        return ERR_OK;
    }
    const struct str_list a = *io;
    struct str *items = arena_try_alloc(q->arena, a.count + b.count, sizeof(*items));
    if (items == NULL) {
        return over_budget(err);
    }
    size_t n = 0;
    for (size_t i = 0, k = 0; (i < a.count || k < b.count) && (limit == 0 || n < limit); n++) {
        const int order = i == a.count ? 1 : k == b.count ? -1 : str_cmp(a.items[i], b.items[k]);
        items[n] = order <= 0 ? a.items[i] : b.items[k];
        i += order <= 0 ? 1 : 0;
        k += order >= 0 ? 1 : 0;
    }
    *io = (struct str_list){items, n};
    return ERR_OK;
}

/* Of the head, then of each partition in the range. name: whose values; NULL: names. */
static enum err_code collect_labels(struct storage_querier *q, const struct str *name,
                                    const struct matcher *matchers, size_t n, size_t limit,
                                    struct str_list *out, struct err *err) {
    struct index *index = &q->db->index;
    enum err_code code =
        name == NULL ? index_label_names(index, q->tables, matchers, n, limit, q->arena, q->cancel,
                                         &out->items, &out->count, err)
                     : index_label_values(index, q->tables, *name, matchers, n, limit, q->arena,
                                          q->cancel, &out->items, &out->count, err);
    for (uint32_t i = 0; i < q->view->partition_count && code == ERR_OK; i++) {
        struct partition *p = querier_partition(q, i);
        struct str_list more = {0};
        if (!querier_wants(q, i)) {
            continue;
        }
        code = name == NULL ? partition_label_names(p, matchers, n, limit, q->arena, q->cancel,
                                                    &more.items, &more.count, err)
                            : partition_label_values(p, *name, matchers, n, limit, q->arena,
                                                     q->cancel, &more.items, &more.count, err);
        if (code == ERR_OK) {
            code = unite(q, out, more, limit, err);
        } else if (code == ERR_CORRUPT) {
            code = ERR_OK;
        }
    }
    return code;
}

enum err_code tsdb_label_names(struct storage_querier *q, const struct matcher *matchers, size_t n,
                               size_t limit, struct str **out, size_t *out_count, struct err *err) {
    struct str_list list = {0};
    const enum err_code code = collect_labels(q, NULL, matchers, n, limit, &list, err);
    *out = list.items;
    *out_count = list.count;
    return code;
}

enum err_code tsdb_label_values(struct storage_querier *q, struct str name,
                                const struct matcher *matchers, size_t n, size_t limit,
                                struct str **out, size_t *out_count, struct err *err) {
    struct str_list list = {0};
    const enum err_code code = collect_labels(q, &name, matchers, n, limit, &list, err);
    *out = list.items;
    *out_count = list.count;
    return code;
}

/* Selecting and reading series.
 *
 * A selection is a list of series; a series has one or more places (group, slot): a pushed series
 * that was moved, a target that came back with other target labels, two targets that claim the
 * same series. Places with equal labels are merged; where they have samples of the same time, that
 * of the lower group number wins.
 *
 * Set numbers that callers see: target set * 2, metric set * 2 + 1, and 0 for either empty set. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/sort.h"
#include "tsdb/head.h"

struct storage_querier {
    struct tsdb *db;
    int64_t min_ts_ms;
    int64_t max_ts_ms;
    struct arena *arena;
    const struct cancel *cancel;
};

struct place {
    uint32_t group;
    uint32_t slot;
};

struct storage_selection {
    struct storage_series *series;
    uint32_t *first_place; /* count + 1 numbers into places; NULL: one place each */
    struct place *places;
    size_t count;
};

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
    *out = q;
    return ERR_OK;
}

enum err_code tsdb_exemplars(struct storage_querier *q, const struct matcher *matchers, size_t n,
                             struct storage_exemplar_series **out, size_t *out_count,
                             struct err *err) {
    return exemplars_select(notes_exemplars(q->db->notes), matchers, n, q->min_ts_ms, q->max_ts_ms,
                            q->arena, out, out_count, err);
}

static enum err_code over_budget(struct err *err) {
    return err_set(err, ERR_LIMIT, "query needs more memory than its budget to select series");
}

static uint32_t public_target(uint32_t set) {
    return set * 2;
}

static uint32_t public_metric(uint32_t set) {
    return set == 0 ? 0 : set * 2 + 1;
}

struct labels tsdb_set_labels(struct storage_querier *q, uint32_t set) {
    struct index *index = &q->db->index;
    mutex_lock(&index->mu);
    const struct label_sets *sets = set % 2 != 0 ? &index->metrics.sets : &index->targets.sets;
    const struct labels labels = label_sets_get(sets, set / 2);
    mutex_unlock(&index->mu);
    return labels;
}

/* ---- hits ---- */

static int by_place(const void *a, const void *b) {
    const struct index_hit *x = a;
    const struct index_hit *y = b;
    if (x->group != y->group) {
        return x->group < y->group ? -1 : 1;
    }
    return (x->slot > y->slot) - (x->slot < y->slot);
}

static void sort_hits(struct index_hit *hits, size_t n) {
    for (size_t i = 1; i < n; i++) {
        if (by_place(&hits[i - 1], &hits[i]) > 0) {
            qsort(hits, n, sizeof(*hits), by_place);
            return;
        }
    }
}

/* Leaves out series without samples in the range, where that is cheap to know. */
static size_t filter_hits(struct storage_querier *q, struct index_hit *hits, size_t n) {
    size_t kept = 0;
    for (size_t at = 0; at < n;) {
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
    return kept;
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

static int by_u32(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Can two hits have equal labels? Not when each group has another target set and all target sets
 * have the same names: then each pair of groups differs in a target label's value. Hits are sorted
 * by place. */
static enum err_code may_repeat(struct storage_querier *q, const struct index_hit *hits, size_t n,
                                bool *out, struct err *err) {
    size_t groups = 0;
    bool repeat = false;
    uint32_t *sets = arena_try_alloc(q->arena, n, sizeof(*sets));
    if (sets == NULL) {
        return over_budget(err);
    }
    for (size_t i = 0; i < n && !repeat; i++) {
        const uint32_t set = hits[i].target_set;
        if (i == 0 || hits[i].group != hits[i - 1].group) {
            repeat = groups != 0 && !same_names(tsdb_set_labels(q, public_target(set)),
                                                tsdb_set_labels(q, public_target(sets[0])));
            sets[groups++] = set;
        } else {
            repeat = set != hits[i - 1].target_set; /* a whole slot among others */
        }
    }
    if (!repeat) {
        qsort(sets, groups, sizeof(*sets), by_u32);
        for (size_t i = 1; i < groups; i++) {
            repeat |= sets[i] == sets[i - 1];
        }
    }
    *out = repeat;
    return ERR_OK;
}

/* Does not depend on how the labels are split: the sum over all pairs. */
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

static bool same_labels(struct storage_querier *q, const struct index_hit *a,
                        const struct index_hit *b) {
    if (a->target_set == b->target_set && a->metric_set == b->metric_set) {
        return true;
    }
    struct arena scratch;
    arena_init(&scratch, 0);
    const struct labels x = labels_merge(&scratch, tsdb_set_labels(q, public_target(a->target_set)),
                                         tsdb_set_labels(q, public_metric(a->metric_set)));
    const struct labels y = labels_merge(&scratch, tsdb_set_labels(q, public_target(b->target_set)),
                                         tsdb_set_labels(q, public_metric(b->metric_set)));
    const bool same = labels_eq(x, y);
    arena_release(&scratch);
    return same;
}

/* series_of[i] becomes the number of the series that hit i belongs to, in order of first hit. */
static enum err_code group_equal(struct storage_querier *q, const struct index_hit *hits, size_t n,
                                 uint32_t *series_of, size_t *out_count, struct err *err) {
    size_t mask = 15;
    while (mask < n * 2) {
        mask = mask * 2 + 1;
    }
    uint32_t *table = arena_try_alloc(q->arena, mask + 1, sizeof(*table)); /* hit + 1 */
    uint64_t *sums = arena_try_alloc(q->arena, n, sizeof(*sums));
    if (table == NULL || sums == NULL) {
        return over_budget(err);
    }
    memset(table, 0, (mask + 1) * sizeof(*table));
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        sums[i] = pair_sum(tsdb_set_labels(q, public_target(hits[i].target_set))) +
                  pair_sum(tsdb_set_labels(q, public_metric(hits[i].metric_set)));
        size_t at = sums[i] & mask;
        while (table[at] != 0 && (sums[table[at] - 1] != sums[i] ||
                                  !same_labels(q, &hits[table[at] - 1], &hits[i]))) {
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

static struct storage_series series_from(const struct index_hit *hit) {
    return (struct storage_series){
        .target_set = public_target(hit->target_set),
        .metric_set = public_metric(hit->metric_set),
        .ref = (uint64_t)hit->group << 32 | hit->slot,
    };
}

/* Several hits per series: places of one series next to each other. */
static enum err_code fill_merged(struct storage_querier *q, struct storage_selection *sel,
                                 const struct index_hit *hits, size_t n, struct err *err) {
    uint32_t *series_of = arena_try_alloc(q->arena, n, sizeof(*series_of));
    if (series_of == NULL) {
        return over_budget(err);
    }
    const enum err_code code = group_equal(q, hits, n, series_of, &sel->count, err);
    if (code != ERR_OK) {
        return code;
    }
    sel->first_place = arena_try_alloc(q->arena, sel->count + 2, sizeof(*sel->first_place));
    if (sel->first_place == NULL) {
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
            sel->series[seen++] = series_from(&hits[i]);
        }
        sel->places[first[s + 1]++] = (struct place){hits[i].group, hits[i].slot};
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
    *sel = (struct storage_selection){series, first, places, n};
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
    const size_t budget = q->arena->budget_bytes;
    const size_t left = budget > q->arena->used_bytes ? budget - q->arena->used_bytes : 1;
    arena_init(&scratch, budget == 0 ? 0 : left);
    scratch.pool = q->arena->pool;
    struct sort_item *items = arena_try_alloc(&scratch, sel->count, sizeof(*items));
    enum err_code code =
        items != NULL ? spell_and_sort(q, sel, items, &scratch, err) : over_budget(err);
    if (code == ERR_OK) {
        code = permute(q, sel, items, err);
    }
    arena_release(&scratch);
    return code;
}

enum err_code tsdb_select(struct storage_querier *q, const struct matcher *matchers, size_t n,
                          const struct storage_select_hints *hints, struct storage_selection **out,
                          struct err *err) {
    struct index_hit *hits = NULL;
    size_t count = 0;
    enum err_code code =
        index_select(&q->db->index, matchers, n, q->arena, q->cancel, &hits, &count, err);
    if (code != ERR_OK) {
        return code;
    }
    sort_hits(hits, count);
    count = filter_hits(q, hits, count);
    struct storage_selection *sel = arena_try_alloc(q->arena, 1, sizeof(*sel));
    struct storage_series *series = arena_try_alloc(q->arena, count + 1, sizeof(*series));
    struct place *places = arena_try_alloc(q->arena, count + 1, sizeof(*places));
    if (sel == NULL || series == NULL || places == NULL) {
        return over_budget(err);
    }
    *sel = (struct storage_selection){.series = series, .places = places, .count = count};
    bool repeats = false;
    if (count > 1) {
        code = may_repeat(q, hits, count, &repeats, err);
    }
    if (code == ERR_OK && repeats) {
        code = fill_merged(q, sel, hits, count, err);
    }
    for (size_t i = 0; i < count && !repeats; i++) {
        series[i] = series_from(&hits[i]);
        places[i] = (struct place){hits[i].group, hits[i].slot};
    }
    if (code == ERR_OK && hints != NULL && hints->sorted && sel->count > 1) {
        code = sort_selection(q, sel, err);
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

static int by_wanted(const void *a, const void *b) {
    const struct wanted *x = a;
    const struct wanted *y = b;
    if (x->place.group != y->place.group) {
        return x->place.group < y->place.group ? -1 : 1;
    }
    return (x->place.slot > y->place.slot) - (x->place.slot < y->place.slot);
}

/* Reads all places, group by group; results[order]. */
static enum err_code read_places(struct storage_querier *q, struct wanted *wanted, size_t n,
                                 const struct head_read *read, struct storage_samples *results,
                                 struct err *err) {
    uint32_t *slots = arena_try_alloc(read->arena, n, sizeof(*slots));
    struct storage_samples *got = arena_try_alloc(read->arena, n, sizeof(*got));
    if (slots == NULL || got == NULL) {
        return over_budget(err);
    }
    qsort(wanted, n, sizeof(*wanted), by_wanted);
    for (size_t at = 0; at < n;) {
        size_t end = at;
        while (end < n && wanted[end].place.group == wanted[at].place.group) {
            slots[end - at] = wanted[end].place.slot;
            end++;
        }
        const enum err_code code = head_read_group(
            read, head_group_get(q->db, wanted[at].place.group), slots, end - at, got, err);
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

/* What samples have beside values, for a merge: room for n of both, or NULL where neither has it. */
static bool merge_extras(struct arena *arena, const struct storage_samples *a,
                         const struct storage_samples *b, size_t n,
                         const struct histogram ***out_histograms, int64_t **out_start_ts) {
    const bool has_histograms = a->histograms != NULL || b->histograms != NULL;
    const bool has_start_ts = a->start_ts != NULL || b->start_ts != NULL;
    *out_histograms = has_histograms ? arena_try_alloc(arena, n, sizeof(struct histogram *)) : NULL;
    *out_start_ts = has_start_ts ? arena_try_alloc(arena, n, sizeof(**out_start_ts)) : NULL;
    return (!has_histograms || *out_histograms != NULL) && (!has_start_ts || *out_start_ts != NULL);
}

/* A histogram behind one of another place was not compared with it. */
static enum err_code unhinted(struct arena *arena, const struct histogram **io, struct err *err) {
    if (*io == NULL || (*io)->hint != HINT_NOT_RESET) {
        return ERR_OK;
    }
    struct histogram *copy = arena_try_alloc(arena, 1, sizeof(*copy));
    if (copy == NULL) {
        return over_budget(err);
    }
    *copy = **io;
    copy->hint = HINT_UNKNOWN;
    *io = copy;
    return ERR_OK;
}

/* Both in time order; of two samples with one time, a's stays. */
static enum err_code merge_samples(struct arena *arena, const struct storage_samples *a,
                                   const struct storage_samples *b, struct storage_samples *out,
                                   struct err *err) {
    if (a->count == 0 || b->count == 0) {
        *out = a->count == 0 ? *b : *a;
        return ERR_OK;
    }
    int64_t *ts = arena_try_alloc(arena, a->count + b->count, sizeof(*ts));
    double *values = arena_try_alloc(arena, a->count + b->count, sizeof(*values));
    const struct histogram **histograms;
    int64_t *start_ts;
    if (ts == NULL || values == NULL ||
        !merge_extras(arena, a, b, a->count + b->count, &histograms, &start_ts)) {
        return over_budget(err);
    }
    size_t i = 0;
    size_t k = 0;
    size_t n = 0;
    bool was_a = false;
    while (i < a->count || k < b->count) {
        const bool from_a = k == b->count || (i < a->count && a->ts[i] <= b->ts[k]);
        const struct storage_samples *from = from_a ? a : b;
        const size_t at = from_a ? i : k;
        ts[n] = from->ts[at];
        values[n] = from->values[at];
        if (start_ts != NULL) {
            start_ts[n] = from->start_ts != NULL ? from->start_ts[at] : 0;
        }
        if (histograms != NULL) {
            histograms[n] = from->histograms != NULL ? from->histograms[at] : NULL;
            if (n != 0 && from_a != was_a && unhinted(arena, &histograms[n], err) != ERR_OK) {
                return ERR_LIMIT;
            }
        }
        was_a = from_a;
        k += !from_a || (k < b->count && b->ts[k] == ts[n]) ? 1 : 0;
        i += from_a ? 1 : 0;
        n++;
    }
    *out = (struct storage_samples){
        .ts = ts,
        .values = values,
        .count = n,
        .has_stale = a->has_stale || b->has_stale,
        .histograms = histograms,
        .start_ts = start_ts,
    };
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
    };
    enum err_code code = read_places(q, wanted, to - from, &read, results, err);
    for (size_t i = 0; merged && i < count && code == ERR_OK; i++) {
        const size_t begin = sel->first_place[first + i] - from;
        const size_t end = sel->first_place[first + i + 1] - from;
        out[i] = results[begin];
        for (size_t p = begin + 1; p < end && code == ERR_OK; p++) {
            code = merge_samples(scratch, &out[i], &results[p], &out[i], err);
        }
    }
    return code;
}

/* ---- labels ---- */

enum err_code tsdb_label_names(struct storage_querier *q, const struct matcher *matchers, size_t n,
                               size_t limit, struct str **out, size_t *out_count, struct err *err) {
    return index_label_names(&q->db->index, matchers, n, limit, q->arena, q->cancel, out, out_count,
                             err);
}

enum err_code tsdb_label_values(struct storage_querier *q, struct str name,
                                const struct matcher *matchers, size_t n, size_t limit,
                                struct str **out, size_t *out_count, struct err *err) {
    return index_label_values(&q->db->index, name, matchers, n, limit, q->arena, q->cancel, out,
                              out_count, err);
}

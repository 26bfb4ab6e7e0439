/* Samples of a selection: the places of a batch are read source by source, then those of a series are
 * joined. */
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/value.h"
#include "tsdb/querier_impl.h"

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
                                 const struct head_read *read,
                                 const struct storage_windows *windows,
                                 struct storage_samples *results, struct err *err) {
    uint32_t *slots = arena_try_alloc(read->arena, n, sizeof(*slots));
    struct storage_samples *got = arena_try_alloc(read->arena, n, sizeof(*got));
    if (slots == NULL || got == NULL) {
        return querier_over_budget(err);
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
        const enum err_code code =
            head ? head_read_group(read, head_group_get(q->db, place->source), slots, end - at, got,
                                   err)
                 : partition_read_windows(querier_partition(q, place->source), slots, end - at,
                                          read->min_ts_ms, read->max_ts_ms, windows, read->arena,
                                          q->cancel, got, err);
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

/* What is promised of samples whose sums are wanted (storage.h, CONDENSED). */
static bool sums_are_exact(const struct storage_samples *samples) {
    const double most = (double)NUM_MANTISSA_LIMIT;
    double magnitude = 0;
    for (size_t i = 0; i < samples->count; i++) {
        const double v = samples->values[i];
        if (samples->has_stale && f64_is_stale(v)) {
            continue;
        }
        if (!(fabs(v) <= most) || trunc(v) != v) {
            return false;
        }
        magnitude += fabs(v);
    }
    return magnitude <= most;
}

/* Can they be handed out as they are? */
static bool condensed_fit(const struct storage_samples *samples, enum storage_want want) {
    return samples->rank == NULL || (samples->histograms == NULL && samples->start_ts == NULL &&
                                     (want != STORAGE_WANT_SUM || sums_are_exact(samples)));
}

/* Deleted samples are in summaries, too. */
static bool any_deleted(const struct storage_selection *sel, size_t first, size_t count) {
    for (size_t i = 0; sel->deleted != NULL && i < count; i++) {
        if (sel->deleted[first + i] != NULL) {
            return true;
        }
    }
    return false;
}

enum err_code tsdb_read(struct storage_querier *q, const struct storage_selection *sel,
                        size_t first, size_t count, int64_t mint, int64_t maxt,
                        struct arena *scratch, struct storage_samples *out, struct err *err) {
    return tsdb_read_windows(q, sel, first, count, mint, maxt, NULL, scratch, out, err);
}

enum err_code tsdb_read_windows(struct storage_querier *q, const struct storage_selection *sel,
                                size_t first, size_t count, int64_t mint, int64_t maxt,
                                const struct storage_windows *windows, struct arena *scratch,
                                struct storage_samples *out, struct err *err) {
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
        return querier_over_budget(err);
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
    windows = windows != NULL && any_deleted(sel, first, count) ? NULL : windows;
    enum err_code code = read_places(q, wanted, to - from, &read, windows, results, err);
    for (size_t i = 0; merged && i < count && code == ERR_OK; i++) {
        const size_t begin = sel->first_place[first + i] - from;
        const size_t end = sel->first_place[first + i + 1] - from;
        joins.unfit = false;
        code = querier_join(&joins, scratch, results + begin, end - begin, &out[i], err);
        if (code == ERR_OK && joins.unfit) {
            code = tsdb_read(q, sel, first + i, 1, mint, maxt, scratch, &out[i], err);
        }
    }
    for (size_t i = 0; windows != NULL && i < count && code == ERR_OK; i++) {
        if (!condensed_fit(&out[i], windows->want)) {
            code = tsdb_read(q, sel, first + i, 1, mint, maxt, scratch, &out[i], err);
        }
    }
    for (size_t i = 0; sel->deleted != NULL && i < count && code == ERR_OK; i++) {
        const struct tombstone *t = sel->deleted[first + i];
        code = t != NULL ? tombstone_filter(t, scratch, &out[i], err) : ERR_OK;
    }
    return code;
}

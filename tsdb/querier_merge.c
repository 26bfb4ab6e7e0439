/* Samples of one series from several places.
 *
 * Places that follow each other in time (partitions, then the head) are laid one behind the other;
 * series with the same columns of times share the joined one. They come in the order in which they
 * count, not in that of time: a merge of old partitions is newer than what was cut meanwhile. Places
 * that overlap are merged sample by sample. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tsdb/histogram_hint.h"
#include "tsdb/querier_impl.h"

static enum err_code over_budget(struct err *err) {
    return err_set(err, ERR_LIMIT, "query needs more memory than its budget to read samples");
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

enum { MERGED_BETWEEN_CHECKS = 16384 };

/* Both in time order; of two samples with one time, a's stays. */
static enum err_code merge_samples(const struct querier_joins *joins, struct arena *arena,
                                   const struct storage_samples *a, const struct storage_samples *b,
                                   struct storage_samples *out, struct err *err) {
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
            /* one behind one of another place was not compared with it */
            if (n != 0 && from_a != was_a && !histogram_forget_neighbour(arena, &histograms[n])) {
                return over_budget(err);
            }
        }
        if (n % MERGED_BETWEEN_CHECKS == MERGED_BETWEEN_CHECKS - 1 &&
            cancel_check(joins->cancel) != ERR_OK) {
            return err_set(err, cancel_check(joins->cancel), "query stopped while it read samples");
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

/* ---- one behind the other ---- */

struct join_part {
    const int64_t *ts;
    size_t count;
};

struct querier_join { /* columns of times, joined */
    const struct join_part *parts;
    size_t part_count;
    const int64_t *joined;
    const uint32_t *rank; /* NULL: of all an element is a sample */
    struct querier_join *next;
};

/* The numbers of samples before elements of all; NULL: none is condensed. */
static bool join_ranks(struct arena *arena, const struct storage_samples *parts, size_t n,
                       size_t count, const uint32_t **out) {
    bool condensed = false;
    for (size_t i = 0; i < n; i++) {
        condensed |= parts[i].rank != NULL;
    }
    *out = NULL;
    if (!condensed) {
        return true;
    }
    uint32_t *rank = arena_try_alloc(arena, count + 1, sizeof(*rank));
    if (rank == NULL) {
        return false;
    }
    uint32_t before = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const struct storage_samples *p = &parts[i];
        for (size_t k = 0; k < p->count; k++) {
            rank[at++] = before + (p->rank != NULL ? p->rank[k] : (uint32_t)k);
        }
        before += p->rank != NULL ? p->rank[p->count] : (uint32_t)p->count;
    }
    rank[at] = before;
    *out = rank;
    return true;
}

static struct querier_join **slot_of(struct querier_joins *joins,
                                     const struct storage_samples *parts, size_t n) {
    uintptr_t key = n;
    for (size_t i = 0; i < n; i++) {
        key = key * 31 + ((uintptr_t)parts[i].ts >> 4);
    }
    return &joins->table[(key ^ key >> 8) % COUNT_OF(joins->table)];
}

static bool is_join_of(const struct querier_join *j, const struct storage_samples *parts,
                       size_t n) {
    bool same = j->part_count == n;
    for (size_t i = 0; i < n && same; i++) {
        same = j->parts[i].ts == parts[i].ts && j->parts[i].count == parts[i].count;
    }
    return same;
}

/* The times of all parts, n of them, count in all. One list for all: one per part would take memory as
 * the square of how many there are. */
static enum err_code join_times(struct querier_joins *joins, struct arena *arena,
                                const struct storage_samples *parts, size_t n, size_t count,
                                const struct querier_join **out, struct err *err) {
    struct querier_join **slot = slot_of(joins, parts, n);
    struct querier_join *j = *slot;
    while (j != NULL && !is_join_of(j, parts, n)) {
        j = j->next;
    }
    *out = j;
    if (j != NULL) {
        return ERR_OK;
    }
    int64_t *ts = arena_try_alloc(arena, count, sizeof(*ts));
    struct join_part *key = arena_try_alloc(arena, n, sizeof(*key));
    const uint32_t *rank;
    j = arena_try_alloc(arena, 1, sizeof(*j));
    if (ts == NULL || key == NULL || j == NULL || !join_ranks(arena, parts, n, count, &rank)) {
        return over_budget(err);
    }
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        key[i] = (struct join_part){parts[i].ts, parts[i].count};
        memcpy(ts + at, parts[i].ts, parts[i].count * sizeof(*ts));
        at += parts[i].count;
    }
    *j = (struct querier_join){key, n, ts, rank, *slot};
    *slot = j;
    *out = j;
    return ERR_OK;
}

/* Puts the samples of a part at offset at. */
static enum err_code put_part(struct arena *arena, const struct storage_samples *part, size_t at,
                              double *values, const struct histogram **histograms,
                              int64_t *start_ts, struct err *err) {
    memcpy(values + at, part->values, part->count * sizeof(*values));
    for (size_t i = 0; histograms != NULL && i < part->count; i++) {
        histograms[at + i] = part->histograms != NULL ? part->histograms[i] : NULL;
    }
    for (size_t i = 0; start_ts != NULL && i < part->count; i++) {
        start_ts[at + i] = part->start_ts != NULL ? part->start_ts[i] : 0;
    }
    return at == 0 || histograms == NULL || histogram_forget_neighbour(arena, &histograms[at])
               ? ERR_OK
               : over_budget(err);
}

/* Were they read one behind the other? */
static bool lie_in_line(const struct storage_samples *parts, size_t n) {
    for (size_t i = 1; i < n; i++) {
        if (parts[i].values != parts[i - 1].values + parts[i - 1].count) {
            return false;
        }
    }
    return true;
}

static enum err_code copy_parts(struct arena *arena, const struct storage_samples *parts, size_t n,
                                struct storage_samples *io, struct err *err) {
    double *values = arena_try_alloc(arena, io->count, sizeof(*values));
    const struct histogram **histograms;
    int64_t *start_ts;
    size_t at = 0;
    if (values == NULL || !merge_extras(arena, io, io, io->count, &histograms, &start_ts)) {
        return over_budget(err);
    }
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < n && code == ERR_OK; at += parts[i++].count) {
        code = put_part(arena, &parts[i], at, values, histograms, start_ts, err);
    }
    io->values = values;
    io->histograms = histograms;
    io->start_ts = start_ts;
    return code;
}

static enum err_code lay_in_line(struct querier_joins *joins, struct arena *arena,
                                 const struct storage_samples *parts, size_t n,
                                 struct storage_samples *out, struct err *err) {
    struct storage_samples all = {.values = parts[0].values};
    const struct querier_join *joined;
    for (size_t i = 0; i < n; i++) {
        all.count += parts[i].count;
        all.has_stale |= parts[i].has_stale;
        all.histograms = parts[i].histograms != NULL ? parts[i].histograms : all.histograms;
        all.start_ts = parts[i].start_ts != NULL ? parts[i].start_ts : all.start_ts;
    }
    enum err_code code = join_times(joins, arena, parts, n, all.count, &joined, err);
    if (code == ERR_OK) {
        all.ts = joined->joined;
        all.rank = joined->rank;
    }
    if (code == ERR_OK &&
        (all.histograms != NULL || all.start_ts != NULL || !lie_in_line(parts, n))) {
        code = copy_parts(arena, parts, n, &all, err);
    }
    *out = all;
    return code;
}

/* ---- all of them ---- */

static bool in_line(const struct storage_samples *parts, size_t n) {
    for (size_t i = 1; i < n; i++) {
        if (parts[i].ts[0] <= parts[i - 1].ts[parts[i - 1].count - 1]) {
            return false;
        }
    }
    return true;
}

enum { SORTED_MAX = 1024 }; /* more parts than that are late samples, which overlap */

/* The parts in the order of time; NULL: the arena's budget is spent. */
static struct storage_samples *by_time(struct arena *arena, const struct storage_samples *parts,
                                       size_t n) {
    struct storage_samples *sorted = arena_try_alloc(arena, n, sizeof(*sorted));
    for (size_t i = 0; sorted != NULL && i < n; i++) { /* they are few, and mostly in order */
        size_t at = i;
        while (at != 0 && sorted[at - 1].ts[0] > parts[i].ts[0]) {
            sorted[at] = sorted[at - 1];
            at--;
        }
        sorted[at] = parts[i];
    }
    return sorted;
}

enum err_code querier_join(struct querier_joins *joins, struct arena *arena,
                           struct storage_samples *parts, size_t n, struct storage_samples *out,
                           struct err *err) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].count != 0) {
            parts[kept++] = parts[i];
        }
    }
    *out = kept != 0 ? parts[0] : (struct storage_samples){0};
    if (kept <= 1) {
        return ERR_OK;
    }
    if (in_line(parts, kept)) {
        return lay_in_line(joins, arena, parts, kept, out, err);
    }
    if (kept <= SORTED_MAX) {
        const struct storage_samples *sorted = by_time(arena, parts, kept);
        if (sorted == NULL) {
            return over_budget(err);
        }
        if (in_line(sorted, kept)) {
            return lay_in_line(joins, arena, sorted, kept, out, err);
        }
    }
    for (size_t i = 0; i < kept; i++) {
        joins->unfit |= parts[i].rank != NULL;
    }
    if (joins->unfit) {
        return ERR_OK;
    }
    enum err_code code = ERR_OK;
    while (kept > 1 && code == ERR_OK) { /* neighbours, so that many small ones cost little */
        size_t merged = 0;
        for (size_t i = 0; i < kept && code == ERR_OK; i += 2) {
            const struct storage_samples a = parts[i];
            code = i + 1 < kept
                       ? merge_samples(joins, arena, &a, &parts[i + 1], &parts[merged], err)
                       : ERR_OK;
            parts[merged] = i + 1 < kept ? parts[merged] : a;
            merged++;
        }
        kept = merged;
    }
    *out = parts[0];
    return code;
}

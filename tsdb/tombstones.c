/* The set is one array of series by hash of their labels, found by binary search, and one arena. */
#include "tsdb/tombstones.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/histogram.h"
#include "base/mem.h"
#include "tsdb/histogram_hint.h"
#include "tsdb/storage.h"

struct entry {
    uint64_t hash;
    struct tombstone t;
};

struct tombstones {
    atomic_uint refs;
    struct arena arena; /* labels and intervals */
    struct entry *entries;
    size_t count;
    uint64_t number;
};

/* Of the file, at the most. */
enum { HEAD_BYTES = 64, VARINT_MAX = 10, SERIES_INTERVALS = 4096 };

struct tombstones *tombstones_ref(struct tombstones *t) {
    if (t != NULL) {
        atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    }
    return t;
}

void tombstones_unref(struct tombstones *t) {
    if (t != NULL && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1) {
        arena_release(&t->arena);
        mem_free(t->entries);
        mem_free(t);
    }
}

size_t tombstones_count(const struct tombstones *t) {
    return t != NULL ? t->count : 0;
}

const struct tombstone *tombstones_at(const struct tombstones *t, size_t i) {
    return &t->entries[i].t;
}

size_t tombstones_index(const struct tombstones *t, const struct tombstone *series) {
    return (size_t)((const struct entry *)((const char *)series - offsetof(struct entry, t)) -
                    t->entries);
}

uint64_t tombstones_number(const struct tombstones *t) {
    return t != NULL ? t->number : 0;
}

void tombstones_set_number(struct tombstones *t, uint64_t number) {
    t->number = number;
}

/* ---- making ---- */

struct item { /* one interval on its way into a set */
    uint64_t hash;
    struct labels labels;
    struct tombstone_interval interval;
};

static int by_series(const struct item *x, const struct item *y) {
    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    return labels_cmp(x->labels, y->labels);
}

static int by_series_and_time(const void *a, const void *b) {
    const struct item *x = a;
    const struct item *y = b;
    const int order = by_series(x, y);
    return order != 0 ? order
                      : (x->interval.min_ts_ms > y->interval.min_ts_ms) -
                            (x->interval.min_ts_ms < y->interval.min_ts_ms);
}

/* Joins the intervals of one series, which ascend by their begin. */
static uint32_t join_intervals(const struct item *items, size_t n, struct tombstone_interval *to) {
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++) {
        const struct tombstone_interval *next = &items[i].interval;
        struct tombstone_interval *last = count != 0 ? &to[count - 1] : NULL;
        if (last != NULL &&
            (last->max_ts_ms == INT64_MAX || next->min_ts_ms <= last->max_ts_ms + 1)) {
            last->max_ts_ms = next->max_ts_ms > last->max_ts_ms ? next->max_ts_ms : last->max_ts_ms;
        } else {
            to[count++] = *next;
        }
    }
    return count;
}

/* Sorts the items. */
static struct tombstones *make(struct item *items, size_t n, size_t *out_bytes) {
    struct tombstones *t = mem_zalloc(sizeof(*t));
    atomic_init(&t->refs, 1);
    arena_init(&t->arena, 0);
    t->entries = mem_array(n + 1, sizeof(*t->entries));
    if (n > 1) {
        qsort(items, n, sizeof(*items), by_series_and_time);
    }
    for (size_t at = 0; at < n;) {
        size_t end = at + 1;
        while (end < n && by_series(&items[at], &items[end]) == 0) {
            end++;
        }
        struct tombstone_interval *intervals =
            arena_alloc(&t->arena, (end - at) * sizeof(*intervals));
        const uint32_t count = join_intervals(items + at, end - at, intervals);
        t->entries[t->count++] = (struct entry){
            .hash = items[at].hash,
            .t = {labels_copy(&t->arena, items[at].labels), intervals, count},
        };
        *out_bytes += (items[at].labels.size + (size_t)VARINT_MAX * 2) *
                          (count / SERIES_INTERVALS + (size_t)1) +
                      (size_t)VARINT_MAX * 2 * count;
        at = end;
    }
    return t;
}

enum err_code tombstones_with(const struct tombstones *old, const struct tombstone_addition *more,
                              size_t n, struct tombstones **out, struct err *err) {
    size_t total = n;
    for (size_t i = 0; i < tombstones_count(old); i++) {
        total += old->entries[i].t.count;
    }
    struct item *items = mem_array(total + 1, sizeof(*items));
    size_t count = 0;
    for (size_t i = 0; i < tombstones_count(old); i++) {
        const struct entry *e = &old->entries[i];
        for (uint32_t k = 0; k < e->t.count; k++) {
            items[count++] = (struct item){e->hash, e->t.labels, e->t.intervals[k]};
        }
    }
    for (size_t i = 0; i < n; i++) {
        items[count++] =
            (struct item){labels_hash(more[i].labels), more[i].labels, more[i].interval};
    }
    size_t bytes = HEAD_BYTES;
    struct tombstones *t = make(items, count, &bytes);
    mem_free(items);
    if (bytes > TOMBSTONES_BYTES_MAX) {
        tombstones_unref(t);
        return err_set(err, ERR_LIMIT, "too many deleted series, clean the tombstones first");
    }
    *out = t;
    return ERR_OK;
}

/* ---- asking ---- */

const struct tombstone *tombstones_find(const struct tombstones *t, struct labels labels) {
    if (t == NULL || t->count == 0) {
        return NULL;
    }
    const uint64_t hash = labels_hash(labels);
    size_t low = 0;
    size_t high = t->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (t->entries[middle].hash < hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < t->count && t->entries[low].hash == hash; low++) {
        if (labels_eq(t->entries[low].t.labels, labels)) {
            return &t->entries[low].t;
        }
    }
    return NULL;
}

const struct tombstone *tombstones_find_pair(const struct tombstones *t, struct labels a,
                                             struct labels b, struct arena *scratch) {
    return tombstones_count(t) != 0 ? tombstones_find(t, labels_merge(scratch, a, b)) : NULL;
}

/* The first interval that ends at or behind it; count = none. */
static uint32_t first_behind(const struct tombstone *t, int64_t ts_ms) {
    uint32_t low = 0;
    uint32_t high = t->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (t->intervals[middle].max_ts_ms < ts_ms) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool tombstone_covers(const struct tombstone *t, int64_t ts_ms) {
    return tombstone_overlaps(t, ts_ms, ts_ms);
}

bool tombstone_overlaps(const struct tombstone *t, int64_t min_ts_ms, int64_t max_ts_ms) {
    const uint32_t i = first_behind(t, min_ts_ms);
    return i < t->count && t->intervals[i].min_ts_ms <= max_ts_ms;
}

static enum err_code over_budget(struct err *err) {
    return err_set(err, ERR_LIMIT, "query needs more memory than its budget to read samples");
}

static enum err_code filter_histograms(struct arena *arena, const struct storage_samples *from,
                                       const uint32_t *rows, size_t n,
                                       const struct histogram ***out, struct err *err) {
    const struct histogram **histograms = arena_try_alloc(arena, n + 1, sizeof(*histograms));
    enum err_code code = histograms != NULL ? ERR_OK : over_budget(err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        const bool follows = rows[i] == (i != 0 ? rows[i - 1] + 1 : 0);
        histograms[i] = from->histograms[rows[i]];
        code = follows || histogram_forget_neighbour(arena, &histograms[i]) ? ERR_OK
                                                                            : over_budget(err);
    }
    *out = histograms;
    return code;
}

enum err_code tombstone_filter(const struct tombstone *t, struct arena *arena,
                               struct storage_samples *io, struct err *err) {
    const struct storage_samples from = *io;
    uint32_t *rows = arena_try_alloc(arena, from.count + 1, sizeof(*rows));
    size_t n = 0;
    if (rows == NULL) {
        return over_budget(err);
    }
    for (size_t i = 0; i < from.count; i++) {
        rows[n] = (uint32_t)i;
        n += tombstone_covers(t, from.ts[i]) ? 0 : 1;
    }
    if (n == from.count) {
        return ERR_OK;
    }
    int64_t *ts = arena_try_alloc(arena, n + 1, sizeof(*ts));
    double *values = arena_try_alloc(arena, n + 1, sizeof(*values));
    int64_t *start_ts =
        from.start_ts != NULL ? arena_try_alloc(arena, n + 1, sizeof(*start_ts)) : NULL;
    if (ts == NULL || values == NULL || (from.start_ts != NULL && start_ts == NULL)) {
        return over_budget(err);
    }
    for (size_t i = 0; i < n; i++) {
        ts[i] = from.ts[rows[i]];
        values[i] = from.values[rows[i]];
    }
    for (size_t i = 0; i < n && start_ts != NULL; i++) {
        start_ts[i] = from.start_ts[rows[i]];
    }
    io->ts = ts; /* has_stale may stay: it means that there may be some */
    io->values = values;
    io->count = n;
    io->start_ts = start_ts;
    return from.histograms != NULL
               ? filter_histograms(arena, &from, rows, n,
                                   (const struct histogram ***)&io->histograms, err)
               : ERR_OK;
}

#include "tsdb/exemplars.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "base/utf8.h"
#include "base/value.h"

enum { NONE = UINT32_MAX, ENTRIES_MIN = 64 };

struct entry {
    uint32_t series;
    uint32_t next; /* of the series, by time; NONE: the newest */
    uint32_t tag;
    uint32_t labels_bytes;
    uint8_t *labels;
    int64_t ts_ms;
    double value;
};

struct series {
    uint8_t *labels; /* NULL: the place is free */
    size_t labels_bytes;
    uint64_t hash;
    uint32_t next; /* in its bucket, or in the list of free places */
    uint32_t oldest;
    uint32_t newest;
};

struct exemplars {
    struct mutex mu;
    struct entry *entries; /* a ring once max are there */
    size_t count;
    size_t capacity;
    size_t max;
    size_t oldest;
    struct series *series;
    uint32_t series_count; /* places, free ones too */
    uint32_t series_capacity;
    uint32_t series_used;
    uint32_t free_series;
    uint32_t *buckets; /* first of a chain */
    uint32_t bucket_mask;
    uint64_t added;
    uint64_t out_of_order;
};

static size_t bounded(size_t max) {
    return max > EXEMPLARS_MAX ? EXEMPLARS_MAX : max;
}

struct exemplars *exemplars_new(size_t max) {
    struct exemplars *ring = mem_zalloc(sizeof(*ring));
    mutex_init(&ring->mu);
    ring->max = bounded(max);
    ring->free_series = NONE;
    ring->bucket_mask = 63;
    ring->buckets = mem_alloc((ring->bucket_mask + (size_t)1) * sizeof(*ring->buckets));
    memset(ring->buckets, 0xFF, (ring->bucket_mask + (size_t)1) * sizeof(*ring->buckets));
    return ring;
}

static void free_all(struct exemplars *ring) {
    for (size_t i = 0; i < ring->count; i++) {
        mem_free(ring->entries[i].labels);
    }
    for (uint32_t i = 0; i < ring->series_count; i++) {
        mem_free(ring->series[i].labels);
    }
    mem_free(ring->entries);
    mem_free(ring->series);
    mem_free(ring->buckets);
}

void exemplars_free(struct exemplars *ring) {
    if (ring == NULL) {
        return;
    }
    free_all(ring);
    mutex_release(&ring->mu);
    mem_free(ring);
}

static struct labels series_labels(const struct series *s) {
    return (struct labels){s->labels, s->labels_bytes};
}

static struct storage_exemplar exemplar_of(const struct entry *e) {
    return (struct storage_exemplar){
        .labels = {e->labels, e->labels_bytes}, .value = e->value, .ts_ms = e->ts_ms};
}

/* ---- series ---- */

static uint32_t find_series(const struct exemplars *ring, struct labels labels, uint64_t hash)
    REQUIRES(ring->mu) {
    uint32_t at = ring->buckets[hash & ring->bucket_mask];
    while (at != NONE && (ring->series[at].hash != hash ||
                          !labels_eq(series_labels(&ring->series[at]), labels))) {
        at = ring->series[at].next;
    }
    return at;
}

static void grow_buckets(struct exemplars *ring) REQUIRES(ring->mu) {
    ring->bucket_mask = ring->bucket_mask * 2 + 1;
    const size_t bytes = (ring->bucket_mask + (size_t)1) * sizeof(*ring->buckets);
    mem_free(ring->buckets);
    ring->buckets = mem_alloc(bytes);
    memset(ring->buckets, 0xFF, bytes);
    for (uint32_t i = 0; i < ring->series_count; i++) {
        struct series *s = &ring->series[i];
        if (s->labels != NULL) {
            s->next = ring->buckets[s->hash & ring->bucket_mask];
            ring->buckets[s->hash & ring->bucket_mask] = i;
        }
    }
}

static uint8_t *copy_bytes(struct labels labels) {
    uint8_t *copy = mem_alloc(labels.size + 1);
    if (labels.size != 0) {
        memcpy(copy, labels.data, labels.size);
    }
    return copy;
}

static uint32_t add_series(struct exemplars *ring, struct labels labels, uint64_t hash)
    REQUIRES(ring->mu) {
    if (ring->series_used > ring->bucket_mask) {
        grow_buckets(ring);
    }
    uint32_t at = ring->free_series;
    if (at != NONE) {
        ring->free_series = ring->series[at].next;
    } else {
        if (ring->series_count == ring->series_capacity) {
            ring->series_capacity =
                (uint32_t)mem_grow(ring->series_capacity, ring->series_count + (size_t)1);
            ring->series = mem_resize(ring->series, ring->series_capacity, sizeof(*ring->series));
        }
        at = ring->series_count++;
    }
    ring->series[at] = (struct series){
        .labels = copy_bytes(labels),
        .labels_bytes = labels.size,
        .hash = hash,
        .next = ring->buckets[hash & ring->bucket_mask],
        .oldest = NONE,
        .newest = NONE,
    };
    ring->buckets[hash & ring->bucket_mask] = at;
    ring->series_used++;
    return at;
}

static void remove_series(struct exemplars *ring, uint32_t number) REQUIRES(ring->mu) {
    struct series *s = &ring->series[number];
    uint32_t *link = &ring->buckets[s->hash & ring->bucket_mask];
    while (*link != number) {
        link = &ring->series[*link].next;
    }
    *link = s->next;
    mem_free(s->labels);
    *s = (struct series){.next = ring->free_series};
    ring->free_series = number;
    ring->series_used--;
}

/* ---- rules ---- */

static bool labels_fit(struct labels labels) {
    size_t runes = 0;
    struct labels_iter it = labels_begin(labels);
    struct label pair;
    while (labels_next(&it, &pair)) {
        const struct str texts[2] = {pair.name, pair.value};
        for (int i = 0; i < 2; i++) {
            for (size_t at = 0; at < texts[i].len && runes <= EXEMPLAR_RUNES_MAX; runes++) {
                size_t bytes = 1;
                (void)utf8_rune((struct str){texts[i].ptr + at, texts[i].len - at}, &bytes);
                at += bytes != 0 ? bytes : 1;
            }
        }
    }
    return runes <= EXEMPLAR_RUNES_MAX;
}

static enum err_code check_locked(const struct exemplars *ring, uint32_t series,
                                  const struct storage_exemplar *e) REQUIRES(ring->mu) {
    if (ring->max == 0) {
        return ERR_UNSUPPORTED;
    }
    if (!labels_fit(e->labels)) {
        return ERR_INVALID;
    }
    if (series == NONE) {
        return ERR_OK;
    }
    const struct storage_exemplar newest = exemplar_of(&ring->entries[ring->series[series].newest]);
    if (e->ts_ms == newest.ts_ms && f64_same_bits(e->value, newest.value) &&
        labels_eq(e->labels, newest.labels)) {
        return ERR_DUPLICATE;
    }
    const bool before =
        e->ts_ms < newest.ts_ms ||
        (e->ts_ms == newest.ts_ms &&
         (e->value < newest.value ||
          (e->value == newest.value && labels_hash(e->labels) < labels_hash(newest.labels))));
    return before ? ERR_OUT_OF_ORDER : ERR_OK;
}

enum err_code exemplars_check(struct exemplars *ring, struct labels series,
                              const struct storage_exemplar *exemplar) {
    const uint64_t hash = hash_keyed(series.data, series.size, 0);
    mutex_lock(&ring->mu);
    const enum err_code code = check_locked(ring, find_series(ring, series, hash), exemplar);
    ring->out_of_order += code == ERR_OUT_OF_ORDER;
    mutex_unlock(&ring->mu);
    return code;
}

/* ---- the ring ---- */

/* The oldest of all is the oldest of its series. */
static void drop_oldest(struct exemplars *ring) REQUIRES(ring->mu) {
    struct entry *e = &ring->entries[ring->oldest];
    struct series *s = &ring->series[e->series];
    ASSERT(s->oldest == ring->oldest);
    s->oldest = e->next;
    if (e->next == NONE) {
        remove_series(ring, e->series);
    }
    mem_free(e->labels);
    *e = (struct entry){0};
}

static size_t take_place(struct exemplars *ring) REQUIRES(ring->mu) {
    if (ring->count < ring->max) {
        if (ring->count == ring->capacity) {
            size_t capacity = ring->capacity < ENTRIES_MIN ? ENTRIES_MIN : ring->capacity * 2;
            capacity = capacity > ring->max ? ring->max : capacity;
            ring->entries = mem_resize(ring->entries, capacity, sizeof(*ring->entries));
            ring->capacity = capacity;
        }
        return ring->count++;
    }
    const size_t at = ring->oldest;
    drop_oldest(ring);
    ring->oldest = at + 1 == ring->max ? 0 : at + 1;
    return at;
}

static void put(struct exemplars *ring, struct labels series, uint64_t hash,
                const struct storage_exemplar *e, uint32_t tag) REQUIRES(ring->mu) {
    const size_t at = take_place(ring); /* may end a series, so look for it afterwards */
    uint32_t number = find_series(ring, series, hash);
    if (number == NONE) {
        number = add_series(ring, series, hash);
    }
    struct series *s = &ring->series[number];
    ring->entries[at] = (struct entry){
        .series = number,
        .next = NONE,
        .tag = tag,
        .labels = copy_bytes(e->labels),
        .labels_bytes = (uint32_t)e->labels.size,
        .ts_ms = e->ts_ms,
        .value = e->value,
    };
    if (s->newest != NONE) {
        ring->entries[s->newest].next = (uint32_t)at;
    } else {
        s->oldest = (uint32_t)at;
    }
    s->newest = (uint32_t)at;
}

enum err_code exemplars_add(struct exemplars *ring, struct labels series,
                            const struct storage_exemplar *exemplar, uint32_t tag) {
    const uint64_t hash = hash_keyed(series.data, series.size, 0);
    mutex_lock(&ring->mu);
    const enum err_code code = check_locked(ring, find_series(ring, series, hash), exemplar);
    if (code == ERR_OK) {
        put(ring, series, hash, exemplar, tag);
        ring->added++;
    }
    ring->out_of_order += code == ERR_OUT_OF_ORDER;
    mutex_unlock(&ring->mu);
    return code;
}

static size_t nth_oldest(const struct exemplars *ring, size_t n) REQUIRES(ring->mu) {
    return ring->count == 0 ? 0 : (ring->oldest + n) % ring->count;
}

void exemplars_resize(struct exemplars *ring, size_t max) {
    max = bounded(max);
    struct exemplars *fresh = exemplars_new(max);
    mutex_lock(&ring->mu);
    mutex_lock(&fresh->mu);
    const size_t first = ring->count > max ? ring->count - max : 0;
    for (size_t i = first; i < ring->count; i++) {
        const struct entry *e = &ring->entries[nth_oldest(ring, i)];
        const struct storage_exemplar exemplar = exemplar_of(e);
        const struct series *s = &ring->series[e->series];
        put(fresh, series_labels(s), s->hash, &exemplar, e->tag);
    }
    free_all(ring);
    ring->entries = fresh->entries;
    ring->count = fresh->count;
    ring->capacity = fresh->capacity;
    ring->max = max;
    ring->oldest = 0;
    ring->series = fresh->series;
    ring->series_count = fresh->series_count;
    ring->series_capacity = fresh->series_capacity;
    ring->series_used = fresh->series_used;
    ring->free_series = fresh->free_series;
    ring->buckets = fresh->buckets;
    ring->bucket_mask = fresh->bucket_mask;
    mutex_unlock(&fresh->mu);
    mutex_unlock(&ring->mu);
    mutex_release(&fresh->mu);
    mem_free(fresh);
}

uint32_t exemplars_oldest_tag(struct exemplars *ring) {
    mutex_lock(&ring->mu);
    const uint32_t tag = ring->count != 0 ? ring->entries[nth_oldest(ring, 0)].tag : UINT32_MAX;
    mutex_unlock(&ring->mu);
    return tag;
}

enum err_code exemplars_visit(struct exemplars *ring, exemplars_visit_fn *visit, void *ctx,
                              struct err *err) {
    enum err_code code = ERR_OK;
    mutex_lock(&ring->mu);
    for (size_t i = 0; i < ring->count && code == ERR_OK; i++) {
        struct entry *e = &ring->entries[nth_oldest(ring, i)];
        const struct storage_exemplar exemplar = exemplar_of(e);
        code = visit(ctx, series_labels(&ring->series[e->series]), &exemplar, &e->tag, err);
    }
    mutex_unlock(&ring->mu);
    return code;
}

/* ---- queries ---- */

static enum err_code over_budget(struct err *err) {
    return err_set(err, ERR_LIMIT, "exemplars need more memory than the query's budget");
}

static bool copy_labels(struct arena *arena, struct labels labels, struct labels *out) {
    uint8_t *copy = arena_try_alloc(arena, labels.size + 1, 1);
    if (copy != NULL && labels.size != 0) {
        memcpy(copy, labels.data, labels.size);
    }
    *out = (struct labels){copy, labels.size};
    return copy != NULL;
}

static enum err_code match(const struct matcher *matchers, size_t n, struct labels labels,
                           bool *out, struct err *err) {
    enum err_code code = ERR_OK;
    *out = true;
    for (size_t i = 0; i < n && *out && code == ERR_OK; i++) {
        code = matcher_match(&matchers[i], labels_get(labels, matchers[i].name), out, err);
    }
    return code;
}

static enum err_code copy_series(const struct exemplars *ring, const struct series *s,
                                 int64_t min_ts_ms, int64_t max_ts_ms, struct arena *arena,
                                 struct storage_exemplar_series *out, struct err *err)
    REQUIRES(ring->mu) {
    size_t n = 0;
    for (uint32_t at = s->oldest; at != NONE; at = ring->entries[at].next) {
        n += ring->entries[at].ts_ms >= min_ts_ms && ring->entries[at].ts_ms <= max_ts_ms;
    }
    *out = (struct storage_exemplar_series){.count = n};
    if (n == 0) {
        return ERR_OK;
    }
    struct storage_exemplar *to = arena_try_alloc(arena, n, sizeof(*to));
    if (to == NULL || !copy_labels(arena, series_labels(s), &out->labels)) {
        return over_budget(err);
    }
    out->exemplars = to;
    for (uint32_t at = s->oldest; at != NONE; at = ring->entries[at].next) {
        const struct entry *e = &ring->entries[at];
        if (e->ts_ms >= min_ts_ms && e->ts_ms <= max_ts_ms) {
            *to = exemplar_of(e);
            if (!copy_labels(arena, to->labels, &to->labels)) {
                return over_budget(err);
            }
            to++;
        }
    }
    return ERR_OK;
}

static int by_labels(const void *a, const void *b) {
    const struct storage_exemplar_series *x = a;
    const struct storage_exemplar_series *y = b;
    return labels_cmp(x->labels, y->labels);
}

enum err_code exemplars_select(struct exemplars *ring, const struct matcher *matchers, size_t n,
                               int64_t min_ts_ms, int64_t max_ts_ms, struct arena *arena,
                               struct storage_exemplar_series **out, size_t *out_count,
                               struct err *err) {
    enum err_code code = ERR_OK;
    mutex_lock(&ring->mu);
    size_t count = 0;
    *out = arena_try_alloc(arena, ring->series_used + (size_t)1, sizeof(**out));
    if (*out == NULL) {
        code = over_budget(err);
    }
    for (uint32_t i = 0; i < ring->series_count && code == ERR_OK; i++) {
        const struct series *s = &ring->series[i];
        bool wanted = false;
        if (s->labels != NULL) {
            code = match(matchers, n, series_labels(s), &wanted, err);
        }
        if (wanted && code == ERR_OK) {
            code = copy_series(ring, s, min_ts_ms, max_ts_ms, arena, &(*out)[count], err);
            count += (*out)[count].count != 0 ? 1 : 0;
        }
    }
    mutex_unlock(&ring->mu);
    *out_count = count;
    if (code == ERR_OK && count > 1) {
        qsort(*out, count, sizeof(**out), by_labels);
    }
    return code;
}

void exemplars_stats_get(struct exemplars *ring, struct exemplar_stats *out) {
    mutex_lock(&ring->mu);
    *out = (struct exemplar_stats){.count = ring->count,
                                   .series = ring->series_used,
                                   .max = ring->max,
                                   .added = ring->added,
                                   .out_of_order = ring->out_of_order};
    if (ring->count != 0) {
        out->oldest_ts_ms = ring->entries[nth_oldest(ring, 0)].ts_ms;
    }
    mutex_unlock(&ring->mu);
}

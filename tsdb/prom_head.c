/* SERIES. The log names series by refs; after a series went and came back two refs may mean the same
 * labels. A series here is a label set; refs map to it.
 *
 * DELETIONS. An interval hides samples of its series, wherever in the log they are: Prometheus
 * clamps it to what the series held. The interval of all times drops what came before it in the
 * log, known by the number of the entry. */
#include "tsdb/prom_head.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tsdb/prom_wal.h"

enum { NO_SERIES = UINT32_MAX };
#define LABELS_MEMORY_MAX ((size_t)8 << 30)
#define HISTOGRAM_MEMORY_MAX ((size_t)1 << 30) /* loaded at once */

struct wal_series {
    struct labels labels;
    uint64_t hash;
};

struct wal_ref {
    uint64_t ref;
    uint64_t dropped_at; /* entries of this ref below this number are gone; 0: none */
    uint32_t series;
    bool used;
};

struct wal_deletion {
    uint32_t series;
    int64_t mint;
    int64_t maxt;
};

struct wal_range { /* of the samples of a segment; min > max: none */
    int64_t min;
    int64_t max;
    uint64_t first_entry; /* number of the segment's first sample */
};

struct loaded_sample {
    uint32_t place;
    struct prom_sample sample;
};

struct prom_head {
    struct prom_wal *wal;
    struct arena arena; /* labels */
    struct wal_series *series;
    uint32_t series_count;
    uint32_t series_capacity;
    uint32_t *by_labels; /* hash table of series + 1 */
    size_t by_labels_mask;
    struct wal_ref *refs; /* hash table */
    size_t ref_count;
    size_t ref_mask;
    struct wal_deletion *deletions;
    size_t deletion_count;
    size_t deletion_capacity;
    struct wal_range *ranges; /* one a segment */
    struct prom_head_stats stats;
    int64_t min_valid_ms;
    struct log *log;

    /* the segment being read */
    size_t segment;
    uint64_t entry;

    /* what is loaded */
    struct arena histograms;
    struct loaded_sample *unsorted;
    size_t unsorted_count;
    size_t unsorted_capacity;
    size_t load_max;
    struct prom_sample *sorted;
    size_t *starts; /* one more than places */
    uint32_t first;
    uint32_t last;

    /* the request being worked on */
    const uint32_t *places;
    int64_t mint;
    int64_t maxt;
    int64_t next_ms;
};

/* ---- tables ---- */

static struct wal_ref *ref_at(struct wal_ref *refs, size_t mask, uint64_t ref) {
    size_t at = (size_t)(ref * 0x9E3779B97F4A7C15ULL >> 20) & mask;
    while (refs[at].used && refs[at].ref != ref) {
        at = (at + 1) & mask;
    }
    return &refs[at];
}

static struct wal_ref *add_ref(struct prom_head *h, uint64_t ref) {
    if (h->ref_count > h->ref_mask / 2) {
        const size_t mask = h->ref_mask * 2 + 1;
        struct wal_ref *refs = mem_zalloc((mask + 1) * sizeof(*refs));
        for (size_t i = 0; i <= h->ref_mask; i++) {
            if (h->refs[i].used) {
                *ref_at(refs, mask, h->refs[i].ref) = h->refs[i];
            }
        }
        mem_free(h->refs);
        h->refs = refs;
        h->ref_mask = mask;
    }
    struct wal_ref *at = ref_at(h->refs, h->ref_mask, ref);
    if (!at->used) {
        *at = (struct wal_ref){.ref = ref, .series = NO_SERIES, .used = true};
        h->ref_count++;
    }
    return at;
}

static uint32_t *labels_at(const struct prom_head *h, uint32_t *table, size_t mask, uint64_t hash,
                           struct labels labels) {
    size_t at = (size_t)hash & mask;
    while (table[at] != 0) {
        const struct wal_series *s = &h->series[table[at] - 1];
        if (s->hash == hash && labels_eq(s->labels, labels)) {
            break;
        }
        at = (at + 1) & mask;
    }
    return &table[at];
}

static void grow_labels_table(struct prom_head *h) {
    const size_t mask = h->by_labels_mask * 2 + 1;
    uint32_t *table = mem_zalloc((mask + 1) * sizeof(*table));
    for (uint32_t i = 0; i < h->series_count; i++) {
        *labels_at(h, table, mask, h->series[i].hash, h->series[i].labels) = i + 1;
    }
    mem_free(h->by_labels);
    h->by_labels = table;
    h->by_labels_mask = mask;
}

static enum err_code find_or_add(struct prom_head *h, struct labels labels, uint32_t *out,
                                 struct err *err) {
    const uint64_t hash = labels_hash(labels);
    if (h->series_count > h->by_labels_mask / 2) {
        grow_labels_table(h);
    }
    uint32_t *at = labels_at(h, h->by_labels, h->by_labels_mask, hash, labels);
    if (*at == 0) {
        uint8_t *copy = arena_try_alloc(&h->arena, labels.size, 1);
        if (copy == NULL || h->series_count == NO_SERIES - 1) {
            return err_set(err, ERR_LIMIT, "too many series in the write-ahead log: %u",
                           h->series_count);
        }
        memcpy(copy, labels.data, labels.size);
        if (h->series_count == h->series_capacity) {
            h->series_capacity =
                (uint32_t)mem_grow(h->series_capacity, (size_t)h->series_count + 1);
            h->series = mem_resize(h->series, h->series_capacity, sizeof(*h->series));
        }
        h->series[h->series_count++] = (struct wal_series){{copy, labels.size}, hash};
        *at = h->series_count;
    }
    *out = *at - 1;
    return ERR_OK;
}

/* ---- the first walk ---- */

static enum err_code see_series(void *ctx, uint64_t ref, struct labels labels, struct err *err) {
    struct prom_head *h = ctx;
    uint32_t series = 0;
    const enum err_code code = find_or_add(h, labels, &series, err);
    if (code == ERR_OK) {
        add_ref(h, ref)->series = series;
    }
    return code;
}

static bool wanted_time(const struct prom_head *h, int64_t ts_ms) {
    return ts_ms >= h->min_valid_ms || prom_wal_segment_is_late(h->wal, h->segment);
}

static enum err_code see_sample(void *ctx, uint64_t ref, int64_t ts_ms, int64_t start_ms,
                                double value, struct err *err) {
    struct prom_head *h = ctx;
    struct wal_range *range = &h->ranges[h->segment];
    (void)start_ms;
    (void)value;
    (void)err;
    h->entry++;
    if (!wanted_time(h, ts_ms)) {
        return ERR_OK;
    }
    const struct wal_ref *r = ref_at(h->refs, h->ref_mask, ref);
    if (!r->used || r->series == NO_SERIES) {
        h->stats.unknown_series++;
        return ERR_OK;
    }
    h->stats.samples++;
    range->min = ts_ms < range->min ? ts_ms : range->min;
    range->max = ts_ms > range->max ? ts_ms : range->max;
    return ERR_OK;
}

static enum err_code see_deletion(void *ctx, uint64_t ref, int64_t mint, int64_t maxt,
                                  struct err *err) {
    struct prom_head *h = ctx;
    (void)err;
    struct wal_ref *r = add_ref(h, ref);
    if (mint == INT64_MIN && maxt == INT64_MAX) {
        r->dropped_at = h->entry;
        return ERR_OK;
    }
    if (r->series == NO_SERIES) {
        return ERR_OK;
    }
    if (h->deletion_count == h->deletion_capacity) {
        h->deletion_capacity = mem_grow(h->deletion_capacity, h->deletion_count + 1);
        h->deletions = mem_resize(h->deletions, h->deletion_capacity, sizeof(*h->deletions));
    }
    h->deletions[h->deletion_count++] = (struct wal_deletion){r->series, mint, maxt};
    return ERR_OK;
}

static enum err_code see_histogram(void *ctx, uint64_t ref, int64_t ts_ms, int64_t start_ms,
                                   const struct histogram *histogram, bool floats,
                                   struct err *err) {
    (void)histogram;
    (void)floats;
    return see_sample(ctx, ref, ts_ms, start_ms, 0, err);
}

static int by_series(const void *a, const void *b) {
    const struct wal_deletion *x = a;
    const struct wal_deletion *y = b;
    return (x->series > y->series) - (x->series < y->series);
}

static enum err_code walk(struct prom_head *h, struct err *err) {
    static const struct prom_wal_handler handler = {see_series,    see_sample, see_deletion,
                                                    see_histogram, NULL,       NULL};
    const size_t count = prom_wal_segment_count(h->wal);
    h->ranges = mem_array(count + 1, sizeof(*h->ranges));
    h->stats.segments = count;
    for (h->segment = 0; h->segment < count; h->segment++) {
        struct wal_range *range = &h->ranges[h->segment];
        *range = (struct wal_range){INT64_MAX, INT64_MIN, h->entry};
        const enum err_code code =
            prom_wal_read(h->wal, h->segment, &handler, h, &h->stats.torn_bytes, err);
        if (code == ERR_CORRUPT) {
            h->stats.damaged_segments++;
            log_warn(h->log, "tsdb", "Rest of a damaged log segment skipped",
                     log_str("err", str_of(err != NULL ? err->text : "")));
        } else if (code != ERR_OK) {
            return code;
        }
        h->stats.min_ms = range->min < h->stats.min_ms ? range->min : h->stats.min_ms;
        h->stats.max_ms = range->max > h->stats.max_ms ? range->max : h->stats.max_ms;
    }
    if (h->deletion_count != 0) {
        qsort(h->deletions, h->deletion_count, sizeof(*h->deletions), by_series);
    }
    return ERR_OK;
}

enum err_code prom_head_open(struct vfs *vfs, const char *dir, int64_t min_valid_ms,
                             struct log *log, struct prom_head **out, struct err *err) {
    enum { TABLE_START = 1024 };
    struct prom_head *h = mem_zalloc(sizeof(*h));
    arena_init(&h->arena, LABELS_MEMORY_MAX);
    arena_init(&h->histograms, HISTOGRAM_MEMORY_MAX);
    h->min_valid_ms = min_valid_ms;
    h->log = log;
    h->load_max = PROM_LOAD_MAX;
    h->stats.min_ms = INT64_MAX;
    h->stats.max_ms = INT64_MIN;
    h->ref_mask = TABLE_START - 1;
    h->refs = mem_zalloc(TABLE_START * sizeof(*h->refs));
    h->by_labels_mask = TABLE_START - 1;
    h->by_labels = mem_zalloc(TABLE_START * sizeof(*h->by_labels));
    enum err_code code = prom_wal_open(vfs, dir, &h->wal, err);
    if (code == ERR_OK) {
        code = walk(h, err);
    }
    if (code != ERR_OK) {
        prom_head_close(h);
        return code;
    }
    *out = h;
    return ERR_OK;
}

void prom_head_close(struct prom_head *h) {
    if (h == NULL) {
        return;
    }
    prom_wal_close(h->wal);
    arena_release(&h->arena);
    arena_release(&h->histograms);
    mem_free(h->series);
    mem_free(h->by_labels);
    mem_free(h->refs);
    mem_free(h->deletions);
    mem_free(h->ranges);
    mem_free(h->unsorted);
    mem_free(h->sorted);
    mem_free(h->starts);
    mem_free(h);
}

const struct prom_head_stats *prom_head_stats(const struct prom_head *head) {
    return &head->stats;
}

uint32_t prom_head_series_count(const struct prom_head *head) {
    return head->series_count;
}

struct labels prom_head_labels(const struct prom_head *head, uint32_t series) {
    return head->series[series].labels;
}

/* ---- loading ---- */

void prom_head_limit(struct prom_head *h, size_t samples) {
    h->load_max = samples != 0 ? samples : PROM_LOAD_MAX;
}

static bool deleted(const struct prom_head *h, uint32_t series, int64_t ts_ms) {
    size_t low = 0;
    size_t high = h->deletion_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (h->deletions[middle].series < series) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < h->deletion_count && h->deletions[low].series == series; low++) {
        if (ts_ms >= h->deletions[low].mint && ts_ms <= h->deletions[low].maxt) {
            return true;
        }
    }
    return false;
}

static enum err_code load(struct prom_head *h, uint64_t ref, struct prom_sample sample,
                          struct err *err) {
    const int64_t ts_ms = sample.ts_ms;
    const uint64_t entry = ++h->entry;
    if (ts_ms < h->mint || !wanted_time(h, ts_ms)) {
        return ERR_OK;
    }
    if (ts_ms > h->maxt) {
        h->next_ms = ts_ms < h->next_ms ? ts_ms : h->next_ms;
        return ERR_OK;
    }
    const struct wal_ref *r = ref_at(h->refs, h->ref_mask, ref);
    if (!r->used || r->series == NO_SERIES || entry <= r->dropped_at) {
        return ERR_OK;
    }
    const uint32_t place = h->places[r->series];
    if (place < h->first || place >= h->last || deleted(h, r->series, ts_ms)) {
        return ERR_OK;
    }
    if (h->unsorted_count == h->load_max) {
        return err_set(err, ERR_LIMIT, "more than %zu samples of the log at once", h->load_max);
    }
    if (h->unsorted_count == h->unsorted_capacity) {
        h->unsorted_capacity = mem_grow(h->unsorted_capacity, h->unsorted_count + 1);
        h->unsorted = mem_resize(h->unsorted, h->unsorted_capacity, sizeof(*h->unsorted));
    }
    if (sample.histogram != NULL) {
        sample.histogram = histogram_copy(&h->histograms, sample.histogram);
        if (sample.histogram == NULL) {
            return err_set(err, ERR_LIMIT, "too many histograms of the log at once");
        }
    }
    h->unsorted[h->unsorted_count++] = (struct loaded_sample){place, sample};
    return ERR_OK;
}

static enum err_code load_sample(void *ctx, uint64_t ref, int64_t ts_ms, int64_t start_ms,
                                 double value, struct err *err) {
    return load(ctx, ref,
                (struct prom_sample){.ts_ms = ts_ms, .value = value, .start_ms = start_ms}, err);
}

static enum err_code load_histogram(void *ctx, uint64_t ref, int64_t ts_ms, int64_t start_ms,
                                    const struct histogram *histogram, bool floats,
                                    struct err *err) {
    return load(
        ctx, ref,
        (struct prom_sample){
            .ts_ms = ts_ms, .value = floats ? 1 : 0, .histogram = histogram, .start_ms = start_ms},
        err);
}

/* By place, in the order of the log within each. */
static void sort_loaded(struct prom_head *h) {
    const size_t places = h->last - h->first;
    mem_free(h->starts);
    mem_free(h->sorted);
    h->starts = mem_zalloc((places + 2) * sizeof(*h->starts));
    h->sorted = mem_array(h->unsorted_count + 1, sizeof(*h->sorted));
    for (size_t i = 0; i < h->unsorted_count; i++) {
        h->starts[h->unsorted[i].place - h->first + 2]++;
    }
    for (size_t i = 2; i < places + 2; i++) {
        h->starts[i] += h->starts[i - 1];
    }
    for (size_t i = 0; i < h->unsorted_count; i++) {
        h->sorted[h->starts[h->unsorted[i].place - h->first + 1]++] = h->unsorted[i].sample;
    }
}

static void unload(struct prom_head *h) {
    h->first = 0;
    h->last = 0;
    h->unsorted_count = 0;
}

enum err_code prom_head_load(struct prom_head *h, const uint32_t *places, uint32_t first,
                             uint32_t last, int64_t mint, int64_t maxt, int64_t *out_next_ms,
                             struct err *err) {
    static const struct prom_wal_handler handler = {.sample = load_sample,
                                                    .histogram = load_histogram};
    h->places = places;
    h->mint = mint;
    h->maxt = maxt;
    h->first = first;
    h->last = last;
    h->next_ms = INT64_MAX;
    h->unsorted_count = 0;
    arena_reset(&h->histograms);
    for (h->segment = 0; h->segment < h->stats.segments; h->segment++) {
        const struct wal_range *range = &h->ranges[h->segment];
        uint64_t torn;
        if (range->min > range->max || range->max < mint) {
            continue;
        }
        if (range->min > maxt) {
            h->next_ms = range->min < h->next_ms ? range->min : h->next_ms;
            continue;
        }
        torn = 0;
        h->entry = range->first_entry;
        const enum err_code code = prom_wal_read(h->wal, h->segment, &handler, h, &torn, err);
        if (code != ERR_OK && code != ERR_CORRUPT) { /* damage was reported by the first walk */
            unload(h);
            return code;
        }
    }
    sort_loaded(h);
    *out_next_ms = h->next_ms;
    return ERR_OK;
}

void prom_head_unload(struct prom_head *h) {
    unload(h);
    mem_free(h->unsorted);
    mem_free(h->sorted);
    h->unsorted = NULL;
    h->sorted = NULL;
    h->unsorted_capacity = 0;
    arena_reset(&h->histograms);
}

const struct prom_sample *prom_head_loaded(const struct prom_head *h, uint32_t place,
                                           size_t *out_count) {
    if (place < h->first || place >= h->last) {
        *out_count = 0;
        return NULL;
    }
    const size_t from = h->starts[place - h->first];
    *out_count = h->starts[place - h->first + 1] - from;
    return h->sorted + from;
}

/* ---- exemplars and metadata ---- */

struct note_walk {
    const struct prom_head *head;
    const struct prom_head_notes *notes;
    void *ctx;
};

/* NULL: the series is not known. */
static const struct wal_series *series_of(const struct prom_head *h, uint64_t ref) {
    const struct wal_ref *r = ref_at(h->refs, h->ref_mask, ref);
    return r->used && r->series != NO_SERIES ? &h->series[r->series] : NULL;
}

static enum err_code note_exemplar(void *ctx, uint64_t ref, const struct storage_exemplar *e,
                                   struct err *err) {
    const struct note_walk *w = ctx;
    const struct wal_series *s = series_of(w->head, ref);
    return s != NULL ? w->notes->exemplar(w->ctx, s->labels, e, err) : ERR_OK;
}

static enum err_code note_metadata(void *ctx, uint64_t ref, const struct storage_metadata *m,
                                   struct err *err) {
    const struct note_walk *w = ctx;
    const struct wal_series *s = series_of(w->head, ref);
    return s != NULL ? w->notes->metadata(w->ctx, s->labels, m, err) : ERR_OK;
}

enum err_code prom_head_read_notes(struct prom_head *h, const struct prom_head_notes *notes,
                                   void *ctx, struct err *err) {
    static const struct prom_wal_handler handler = {.exemplar = note_exemplar,
                                                    .metadata = note_metadata};
    struct note_walk w = {h, notes, ctx};
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < h->stats.segments; i++) {
        uint64_t torn = 0;
        code = prom_wal_read(h->wal, i, &handler, &w, &torn, err);
        code = code == ERR_CORRUPT ? ERR_OK : code; /* damage was reported by the first walk */
    }
    return code;
}

#include "scrape/ingest_extras.h"

#include <stdlib.h>
#include <string.h>

#include "base/histogram.h"
#include "base/mem.h"
#include "scrape/page_reader.h"

/* Scratch memory beyond this is given back after a scrape. */
enum { EXTRAS_KEEP_COUNT = 1 << 16, EXTRAS_KEEP_BYTES = 4 * 1024 * 1024 };

void ingest_extras_begin(struct ingest_scratch *s) {
    if (s->has_starts) {
        memset(s->starts, 0, s->starts_capacity * sizeof(s->starts[0]));
        s->has_starts = false;
    }
    s->zero_count = 0;
    s->exemplar_count = 0;
    buf_clear(&s->comments);
    if (s->row_arena.used_bytes > 0) {
        arena_reset(&s->row_arena);
    }
}

void ingest_extras_trim(struct ingest_scratch *s) {
    if (s->histograms_capacity > EXTRAS_KEEP_COUNT) {
        mem_free(s->histograms);
        s->histograms = NULL;
        s->histograms_capacity = 0;
    }
    if (s->starts_capacity > EXTRAS_KEEP_COUNT) {
        mem_free(s->starts);
        s->starts = NULL;
        s->starts_capacity = 0;
        s->has_starts = false;
    }
    if (s->zero_capacity > EXTRAS_KEEP_COUNT) {
        mem_free(s->zeros);
        s->zeros = NULL;
        s->zero_capacity = 0;
    }
    if (s->exemplar_capacity > EXTRAS_KEEP_COUNT) {
        mem_free(s->exemplars);
        s->exemplars = NULL;
        s->exemplar_capacity = 0;
    }
    if (s->rejects_capacity > EXTRAS_KEEP_COUNT) {
        mem_free(s->rejects);
        s->rejects = NULL;
        s->rejects_capacity = 0;
    }
    if (s->comments.capacity > EXTRAS_KEEP_BYTES) {
        buf_release(&s->comments);
    }
    arena_reset(&s->row_arena);
}

/* ---- histograms ---- */

void page_put_histogram(struct ingest_scratch *s, uint32_t slot, const struct histogram *h) {
    if (slot >= s->histograms_capacity) {
        s->histograms_capacity = (uint32_t)mem_grow(s->histograms_capacity, s->slot_count);
        s->histograms = mem_resize(s->histograms, s->histograms_capacity, sizeof(s->histograms[0]));
    }
    s->histograms[slot] = h;
}

/* ---- start timestamps ---- */

static void reserve_starts(struct ingest_scratch *s, uint32_t count) {
    if (count > s->starts_capacity) {
        const uint32_t capacity = (uint32_t)mem_grow(s->starts_capacity, count);
        s->starts = mem_resize(s->starts, capacity, sizeof(s->starts[0]));
        memset(s->starts + s->starts_capacity, 0,
               (capacity - s->starts_capacity) * sizeof(s->starts[0]));
        s->starts_capacity = capacity;
    }
}

/* The histogram that stands for no observations yet, of the shape of h. */
static const struct histogram *empty_histogram(struct arena *arena, const struct histogram *h) {
    struct histogram *const empty = arena_zalloc(arena, sizeof(*empty));
    empty->schema = h->schema;
    empty->zero_threshold = h->zero_threshold;
    empty->bounds = h->bounds;
    empty->bound_count = h->bound_count;
    empty->hint = HINT_RESET;
    return empty;
}

/* Every scrape brings the start timestamp again; the zero is written when it is another one. */
static void put_zero(struct page_reader *r, uint32_t slot, const struct expo_entry *sample) {
    struct ingest *const ig = r->ig;
    struct ingest_scratch *const s = r->s;
    if (slot >= ig->zero_starts_count) {
        const uint32_t count = (uint32_t)mem_grow(ig->zero_starts_count, slot + 1);
        ig->zero_starts = mem_resize(ig->zero_starts, count, sizeof(ig->zero_starts[0]));
        memset(ig->zero_starts + ig->zero_starts_count, 0,
               (count - ig->zero_starts_count) * sizeof(ig->zero_starts[0]));
        ig->zero_starts_count = count;
    }
    if (ig->zero_starts[slot] == sample->start_ts_ms) {
        return;
    }
    if (s->zero_count == s->zero_capacity) {
        s->zero_capacity = mem_grow(s->zero_capacity, s->zero_count + 1);
        s->zeros = mem_resize(s->zeros, s->zero_capacity, sizeof(s->zeros[0]));
    }
    s->zeros[s->zero_count++] = (struct storage_own_time){
        .slot = slot,
        .state = page_sample_state(sample),
        .ts_ms = sample->start_ts_ms,
        .histogram =
            sample->histogram != NULL ? empty_histogram(&s->row_arena, sample->histogram) : NULL,
    };
}

void page_put_start(struct page_reader *r, uint32_t slot, const struct expo_entry *sample,
                    bool own_time) {
    struct ingest_scratch *const s = r->s;
    const unsigned features = r->scrape->features;
    const int64_t ts_ms = own_time ? sample->timestamp_ms : r->scrape->ts_ms;
    if ((features & SCRAPE_START_ZERO) != 0 && sample->start_ts_ms < ts_ms) {
        put_zero(r, slot, sample);
    }
    if ((features & SCRAPE_START_STORE) == 0) {
        return;
    }
    if (own_time) {
        s->own[s->own_count - 1].start_ts_ms = sample->start_ts_ms;
    } else {
        reserve_starts(s, slot + 1);
        s->starts[slot] = sample->start_ts_ms;
        s->has_starts = true;
    }
}

const int64_t *ingest_row_starts(struct ingest_scratch *s) {
    if (!s->has_starts) {
        return NULL;
    }
    reserve_starts(s, s->slot_count);
    return s->starts;
}

uint8_t *ingest_row_rejects(struct ingest_scratch *s) {
    if (s->slot_count > s->rejects_capacity) {
        s->rejects_capacity = (uint32_t)mem_grow(s->rejects_capacity, s->slot_count);
        s->rejects = mem_resize(s->rejects, s->rejects_capacity, 1);
    }
    if (s->slot_count > 0) {
        memset(s->rejects, ERR_OK, s->slot_count);
    }
    return s->rejects;
}

void ingest_commit_zeros(struct ingest *ig, struct ingest_scratch *s) {
    if (s->zero_count == 0) {
        return;
    }
    for (size_t i = 0; i < s->zero_count; i++) {
        ig->zero_starts[s->zeros[i].slot] = s->zeros[i].ts_ms;
    }
    const struct storage_row row = {
        .ts_ms = INT64_MIN, .own_times = s->zeros, .own_time_count = s->zero_count};
    struct storage_row_result result;
    struct err err;
    (void)!storage_group_commit(ig->storage, ig->group, &row, &result, &err);
}

/* ---- exemplars ---- */

void page_take_exemplar(struct page_reader *r, struct expo_entry *sample) {
    const struct expo_exemplar *const from = &r->s->parser.exemplar;
    if (!from->present || (r->scrape->features & SCRAPE_EXEMPLARS) == 0) {
        return;
    }
    struct labels labels;
    if (!expo_exemplar_labels(from->labels, from->label_count, &r->s->row_arena, &labels)) {
        return;
    }
    struct storage_exemplar *const exemplar = arena_alloc(&r->s->row_arena, sizeof(*exemplar));
    *exemplar =
        (struct storage_exemplar){.labels = labels, .value = from->value, .ts_ms = from->ts_ms};
    sample->exemplars = exemplar;
    sample->exemplar_count = 1;
}

static int by_time(const void *a, const void *b) {
    const struct storage_exemplar *const x = &((const struct storage_row_exemplar *)a)->exemplar;
    const struct storage_exemplar *const y = &((const struct storage_row_exemplar *)b)->exemplar;
    if (x->ts_ms != y->ts_ms) {
        return x->ts_ms < y->ts_ms ? -1 : 1;
    }
    if (x->value != y->value) {
        return x->value < y->value ? -1 : 1;
    }
    return labels_cmp(x->labels, y->labels);
}

void page_put_exemplars(struct page_reader *r, uint32_t slot, const struct expo_entry *sample,
                        bool own_time) {
    struct ingest_scratch *const s = r->s;
    const int64_t ts_ms = own_time ? sample->timestamp_ms : r->scrape->ts_ms;
    const size_t first = s->exemplar_count;
    if (s->exemplar_count + sample->exemplar_count > s->exemplar_capacity) {
        s->exemplar_capacity =
            mem_grow(s->exemplar_capacity, s->exemplar_count + sample->exemplar_count);
        s->exemplars = mem_resize(s->exemplars, s->exemplar_capacity, sizeof(s->exemplars[0]));
    }
    for (size_t i = 0; i < sample->exemplar_count; i++) {
        struct storage_exemplar exemplar = sample->exemplars[i];
        if (exemplar.ts_ms == EXPO_NO_TIME) {
            if (sample->histogram != NULL) {
                continue;
            }
            exemplar.ts_ms = ts_ms;
        }
        s->exemplars[s->exemplar_count++] =
            (struct storage_row_exemplar){.slot = slot, .exemplar = exemplar};
    }
    if (s->exemplar_count - first > 1) {
        qsort(s->exemplars + first, s->exemplar_count - first, sizeof(s->exemplars[0]), by_time);
    }
}

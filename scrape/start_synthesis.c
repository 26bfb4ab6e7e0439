#include "scrape/start_synthesis.h"

#include <string.h>

#include "base/check.h"
#include "base/histogram.h"
#include "base/histogram_sum.h"
#include "base/mem.h"

struct start_state {
    int64_t start_ts_ms;                /* 0: no first sample yet */
    double last, origin;                /* of floats */
    struct histogram *last_histogram;   /* one block each; NULL: the series has floats */
    struct histogram *origin_histogram; /* NULL: nothing is subtracted */
};

/* ---- states ---- */

static void clear(struct start_state *state) {
    if (state->origin_histogram != state->last_histogram) {
        mem_free(state->origin_histogram);
    }
    mem_free(state->last_histogram);
    *state = (struct start_state){0};
}

void start_synthesis_release(struct start_synthesis *synthesis) {
    for (uint32_t i = 0; i < synthesis->count; i++) {
        clear(&synthesis->states[i]);
    }
    mem_free(synthesis->states);
    *synthesis = (struct start_synthesis){0};
}

void start_synthesis_forget(struct start_synthesis *synthesis, uint32_t slot) {
    if (slot < synthesis->count) {
        clear(&synthesis->states[slot]);
    }
}

bool start_synthesis_has(const struct start_synthesis *synthesis, uint32_t slot) {
    return slot < synthesis->count && synthesis->states[slot].start_ts_ms != 0;
}

static struct start_state *state_of(struct start_synthesis *synthesis, uint32_t slot) {
    if (slot >= synthesis->count) {
        const uint32_t count = (uint32_t)mem_grow(synthesis->count, slot + 1);
        synthesis->states = mem_resize(synthesis->states, count, sizeof(synthesis->states[0]));
        memset(synthesis->states + synthesis->count, 0,
               (count - synthesis->count) * sizeof(synthesis->states[0]));
        synthesis->count = count;
    }
    return &synthesis->states[slot];
}

/* ---- floats ---- */

static bool apply_float(struct start_state *state, int64_t ts_ms, struct expo_entry *sample) {
    const double value = num_double(sample->value);
    if (state->start_ts_ms == 0) {
        *state = (struct start_state){.start_ts_ms = ts_ms, .last = value, .origin = value};
        sample->start_ts_ms = ts_ms;
        return true;
    }
    if (value < state->last) {
        state->origin = 0;
        state->start_ts_ms = ts_ms - 1;
    }
    state->last = value;
    if (state->origin != 0) { /* an exact decimal stays one where nothing is subtracted */
        sample->value = num_of_double(value - state->origin);
    }
    sample->start_ts_ms = state->start_ts_ms;
    return false;
}

/* ---- histograms ---- */

/* Takes n bytes of the block that at walks through; without a block, counts them. */
static void *take(char **at, size_t *bytes, const void *from, size_t n) {
    void *const to = *at;
    *bytes += (n + 7) / 8 * 8;
    if (to != NULL) {
        if (n > 0) {
            memcpy(to, from, n);
        }
        *at += (n + 7) / 8 * 8;
    }
    return to;
}

static size_t place(const struct histogram *h, char *at) {
    size_t bytes = 0;
    struct histogram *const to = take(&at, &bytes, h, sizeof(*h));
    struct histogram_side sides[] = {h->positive, h->negative};
    for (size_t i = 0; i < 2; i++) {
        sides[i].spans =
            take(&at, &bytes, sides[i].spans, sides[i].span_count * sizeof(*sides[i].spans));
        sides[i].counts = take(&at, &bytes, sides[i].counts, sides[i].count * sizeof(double));
    }
    double *const bounds = take(&at, &bytes, h->bounds, h->bound_count * sizeof(double));
    if (to != NULL) {
        to->positive = sides[0];
        to->negative = sides[1];
        to->bounds = bounds;
    }
    return bytes;
}

/* A copy in one block of memory. */
static struct histogram *clone(const struct histogram *h) {
    char *const block = mem_alloc(place(h, NULL));
    (void)place(h, block);
    return (struct histogram *)(void *)block;
}

static void set_last(struct start_state *state, const struct histogram *h) {
    if (state->last_histogram != state->origin_histogram) {
        mem_free(state->last_histogram);
    }
    state->last_histogram = clone(h);
}

static void drop_origin(struct start_state *state) {
    if (state->origin_histogram != state->last_histogram) {
        mem_free(state->origin_histogram);
    }
    state->origin_histogram = NULL;
}

static bool apply_histogram(struct start_state *state, int64_t ts_ms, struct arena *arena,
                            struct expo_entry *sample) {
    const struct histogram *const h = sample->histogram;
    if (state->start_ts_ms == 0) {
        state->last_histogram = clone(h);
        state->origin_histogram = state->last_histogram;
        state->start_ts_ms = ts_ms;
        sample->start_ts_ms = ts_ms;
        return true;
    }
    if (histogram_detect_reset(h, state->last_histogram)) {
        drop_origin(state);
        state->start_ts_ms = ts_ms - 1;
    }
    set_last(state, h);
    sample->start_ts_ms = state->start_ts_ms;
    if (state->origin_histogram == NULL) {
        return false;
    }
    struct histogram_flags flags = {.reconciled = false};
    struct histogram *added = histogram_subtract(arena, h, state->origin_histogram, &flags);
    added = added != NULL ? histogram_compact(arena, added) : NULL;
    if (added == NULL) { /* no memory for it: it is a first one again */
        clear(state);
        return true;
    }
    added->hint = h->hint;
    added->float_counts = h->float_counts;
    sample->histogram = added;
    return false;
}

bool start_synthesis_apply(struct start_synthesis *synthesis, uint32_t slot, int64_t ts_ms,
                           struct arena *arena, struct expo_entry *sample) {
    if (!sample->cumulative && !start_synthesis_has(synthesis, slot)) {
        return false;
    }
    struct start_state *const state = state_of(synthesis, slot);
    if (state->start_ts_ms != 0 && (sample->histogram != NULL) != (state->last_histogram != NULL)) {
        clear(state); /* floats and histograms are not counted on from each other */
    }
    return sample->histogram != NULL ? apply_histogram(state, ts_ms, arena, sample)
                                     : apply_float(state, ts_ms, sample);
}

size_t start_synthesis_memory_bytes(const struct start_synthesis *synthesis) {
    size_t bytes = synthesis->count * sizeof(synthesis->states[0]);
    for (uint32_t i = 0; i < synthesis->count; i++) {
        const struct start_state *const state = &synthesis->states[i];
        bytes += state->last_histogram != NULL ? place(state->last_histogram, NULL) : 0;
        bytes += state->origin_histogram != NULL && state->origin_histogram != state->last_histogram
                     ? place(state->origin_histogram, NULL)
                     : 0;
    }
    return bytes;
}

/* ---- families ---- */

static struct str cut(struct str name, const char *suffix) {
    const struct str s = str_of(suffix);
    return str_ends(name, s) ? str_sub(name, 0, name.len - s.len) : name;
}

/* The first suffix that the name ends in, cut off; the name itself without one. */
static struct str cut_any(struct str name, const char *const *suffixes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const struct str short_name = cut(name, suffixes[i]);
        if (short_name.len < name.len) {
            return short_name;
        }
    }
    return name;
}

bool start_synthesis_wants(struct str name, struct str family, enum expo_type type) {
    static const char *const histogram[] = {"_bucket", "_sum", "_count"};
    static const char *const summary[] = {"_sum", "_count"};
    if (!str_starts(name, family)) {
        return false;
    }
    switch (type) {
    case EXPO_COUNTER:
        return str_eq(cut(name, "_total"), cut(family, "_total"));
    case EXPO_HISTOGRAM:
        return str_eq(cut_any(name, histogram, COUNT_OF(histogram)), family);
    case EXPO_SUMMARY: {
        const struct str base = cut_any(name, summary, COUNT_OF(summary));
        return base.len < name.len && str_eq(base, family);
    }
    case EXPO_UNKNOWN:
    case EXPO_GAUGE:
    case EXPO_GAUGEHISTOGRAM:
    case EXPO_INFO:
    case EXPO_STATESET:
        return false;
    }
    UNREACHABLE("a family of no type");
}

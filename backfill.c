#include "backfill.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/value.h"
#include "scrape/expo.h"
#include "tsdb/prom_block_writer.h"

enum {
    WINDOWS_MAX = 1 << 22, /* about 950 years of two hours */
    TABLE_START = 1024,
    SERIES_SAMPLES_MAX = 64 << 20,
    PROGRESS_EVERY = 4096,
};

struct backfill_series {
    struct labels labels;
    uint64_t hash;
    struct prom_samples samples;
};

/* One window. */
struct gathering {
    struct arena arena; /* labels */
    struct backfill_series *series;
    uint32_t count;
    uint32_t capacity;
    uint32_t *table; /* series + 1 */
    size_t mask;
};

struct backfill {
    struct str page;
    const struct backfill_options *options;
    struct backfill_result *result;
    struct expo_parser *parser;
    struct arena scratch; /* of one sample */
    int64_t first_window;
    size_t window_count;
    bool *windows; /* those that have samples */
    uint64_t done;
};

/* ---- the page ---- */

/* The next sample; *out_more is false at the end. */
static enum err_code next_sample(struct backfill *b, struct expo_entry *out, bool *out_more,
                                 struct err *err) {
    do {
        const enum err_code code = expo_next(b->parser, out, err);
        if (code != ERR_OK) {
            return code;
        }
    } while (out->kind != EXPO_SAMPLE && out->kind != EXPO_END);
    *out_more = out->kind == EXPO_SAMPLE;
    return ERR_OK;
}

static int64_t window_of(const struct backfill *b, int64_t ts_ms) {
    const int64_t length = b->options->block_ms;
    return ts_ms / length - (ts_ms % length < 0);
}

static enum err_code find_times(struct backfill *b, int64_t *out_min, int64_t *out_max,
                                struct err *err) {
    struct expo_entry entry;
    bool more = true;
    *out_min = INT64_MAX;
    *out_max = INT64_MIN;
    expo_init(b->parser, EXPO_FORMAT_OPENMETRICS, b->page);
    for (;;) {
        const enum err_code code = next_sample(b, &entry, &more, err);
        if (code != ERR_OK) {
            return err_wrap(err, "getting min and max timestamp: next");
        }
        if (!more) {
            return ERR_OK;
        }
        if (!entry.has_timestamp) {
            return err_set(err, ERR_INVALID,
                           "getting min and max timestamp: expected timestamp for series got none: "
                           "%.*s",
                           STR_ARG(entry.series));
        }
        b->result->samples++;
        *out_min = entry.timestamp_ms < *out_min ? entry.timestamp_ms : *out_min;
        *out_max = entry.timestamp_ms > *out_max ? entry.timestamp_ms : *out_max;
    }
}

/* Which windows have samples: the page was good once, so that it is now. */
static enum err_code mark_windows(struct backfill *b, int64_t min, int64_t max, struct err *err) {
    struct expo_entry entry;
    bool more = true;
    b->first_window = window_of(b, min);
    const uint64_t count = (uint64_t)window_of(b, max) - (uint64_t)b->first_window + 1;
    if (count > WINDOWS_MAX) {
        return err_set(err, ERR_LIMIT, "samples from %lld to %lld ms are too far apart",
                       (long long)min, (long long)max);
    }
    b->window_count = (size_t)count;
    b->windows = mem_zalloc(b->window_count);
    expo_init(b->parser, EXPO_FORMAT_OPENMETRICS, b->page);
    enum err_code code = next_sample(b, &entry, &more, err);
    for (; code == ERR_OK && more; code = next_sample(b, &entry, &more, err)) {
        b->windows[window_of(b, entry.timestamp_ms) - b->first_window] = true;
    }
    return code;
}

/* ---- gathering a window ---- */

static void gathering_init(struct gathering *g) {
    *g = (struct gathering){.mask = TABLE_START - 1};
    arena_init(&g->arena, 0);
    g->table = mem_zalloc(TABLE_START * sizeof(*g->table));
}

static void gathering_release(struct gathering *g) {
    for (uint32_t i = 0; i < g->count; i++) {
        prom_samples_release(&g->series[i].samples);
    }
    mem_free(g->series);
    mem_free(g->table);
    arena_release(&g->arena);
}

static uint32_t *place_of(const struct gathering *g, uint32_t *table, size_t mask, uint64_t hash,
                          struct labels labels) {
    size_t at = (size_t)hash & mask;
    while (table[at] != 0) {
        const struct backfill_series *s = &g->series[table[at] - 1];
        if (s->hash == hash && labels_eq(s->labels, labels)) {
            break;
        }
        at = (at + 1) & mask;
    }
    return &table[at];
}

static void grow(struct gathering *g) {
    const size_t mask = g->mask * 2 + 1;
    uint32_t *table = mem_zalloc((mask + 1) * sizeof(*table));
    for (uint32_t i = 0; i < g->count; i++) {
        *place_of(g, table, mask, g->series[i].hash, g->series[i].labels) = i + 1;
    }
    mem_free(g->table);
    g->table = table;
    g->mask = mask;
}

static struct backfill_series *find_series(struct gathering *g, struct labels labels) {
    const uint64_t hash = labels_hash(labels);
    if (g->count > g->mask / 2) {
        grow(g);
    }
    uint32_t *at = place_of(g, g->table, g->mask, hash, labels);
    if (*at == 0) {
        if (g->count == g->capacity) {
            g->capacity = (uint32_t)mem_grow(g->capacity, (size_t)g->count + 1);
            g->series = mem_resize(g->series, g->capacity, sizeof(*g->series));
        }
        struct backfill_series *s = &g->series[g->count++];
        *s = (struct backfill_series){.labels = labels_copy(&g->arena, labels), .hash = hash};
        prom_samples_init(&s->samples, SERIES_SAMPLES_MAX);
        *at = g->count;
    }
    return &g->series[*at - 1];
}

static enum err_code labels_of_sample(struct backfill *b, struct labels *out, struct err *err) {
    struct labels_builder builder;
    size_t n = 0;
    labels_builder_init(&builder, &b->scratch);
    const struct label *labels = expo_labels(b->parser, &b->scratch, &n);
    for (size_t i = 0; i < n; i++) {
        labels_builder_set(&builder, labels[i].name, labels[i].value);
    }
    for (size_t i = 0; i < b->options->label_count; i++) {
        labels_builder_set(&builder, b->options->labels[i].name, b->options->labels[i].value);
    }
    return labels_builder_finish(&builder, out, err);
}

static enum err_code add_sample(struct backfill *b, struct gathering *g,
                                const struct expo_entry *entry, struct err *err) {
    struct labels labels;
    enum err_code code = labels_of_sample(b, &labels, err);
    if (code != ERR_OK) {
        return code;
    }
    struct backfill_series *s = find_series(g, labels);
    const struct prom_sample *last =
        s->samples.count != 0 ? &s->samples.items[s->samples.count - 1] : NULL;
    const double value = num_double(entry->value);
    if (last != NULL && entry->timestamp_ms <= last->ts_ms) {
        const bool again = entry->timestamp_ms == last->ts_ms;
        if (again && f64_same_bits(last->value, value)) {
            return ERR_OK;
        }
        return err_set(err, ERR_INVALID,
                       "block creation: process blocks: add sample: %s: %.*s at %lld ms",
                       again ? "duplicate sample for timestamp" : "out of order sample",
                       STR_ARG(entry->series), (long long)entry->timestamp_ms);
    }
    return prom_samples_add(&s->samples, entry->timestamp_ms, value) == ERR_OK
               ? ERR_OK
               : err_set(err, ERR_LIMIT, "more than %d samples of one series in a block",
                         SERIES_SAMPLES_MAX);
}

static enum err_code gather(struct backfill *b, int64_t window, struct gathering *g,
                            struct err *err) {
    struct expo_entry entry;
    bool more = true;
    expo_init(b->parser, EXPO_FORMAT_OPENMETRICS, b->page);
    enum err_code code = next_sample(b, &entry, &more, err);
    for (; code == ERR_OK && more; code = next_sample(b, &entry, &more, err)) {
        if (window_of(b, entry.timestamp_ms) != window) {
            continue;
        }
        code = add_sample(b, g, &entry, err);
        arena_reset(&b->scratch);
        if (code != ERR_OK) {
            return code;
        }
        if (++b->done % PROGRESS_EVERY == 0 && b->options->progress != NULL) {
            progress_update(b->options->progress, b->done, b->result->samples);
        }
    }
    return code;
}

/* ---- writing it ---- */

static int by_labels(const void *a, const void *b) {
    const struct backfill_series *x = a;
    const struct backfill_series *y = b;
    return labels_cmp(x->labels, y->labels);
}

static enum err_code write_window(struct backfill *b, struct gathering *g, struct err *err) {
    const struct prom_block_writer_options options = {.vfs = b->options->vfs,
                                                      .clock = b->options->clock,
                                                      .rng = b->options->rng,
                                                      .path = b->options->path};
    struct prom_block_writer *w = NULL;
    struct prom_block_meta meta = {.series_count = 0};
    enum err_code code = prom_block_writer_new(&options, &w, err);
    if (g->count != 0) {
        qsort(g->series, g->count, sizeof(*g->series), by_labels);
    }
    for (uint32_t i = 0; i < g->count && code == ERR_OK; i++) {
        const struct backfill_series *s = &g->series[i];
        code = prom_block_writer_add(w, s->labels, s->samples.items, s->samples.count, err);
    }
    code = code == ERR_OK ? prom_block_writer_finish(w, &meta, err) : code;
    b->result->blocks += code == ERR_OK && meta.series_count != 0;
    prom_block_writer_free(w);
    return code;
}

static enum err_code write_blocks(struct backfill *b, struct err *err) {
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < b->window_count && code == ERR_OK; i++) {
        if (!b->windows[i]) {
            continue;
        }
        struct gathering g;
        gathering_init(&g);
        code = gather(b, b->first_window + (int64_t)i, &g, err);
        code = code == ERR_OK ? write_window(b, &g, err) : code;
        gathering_release(&g);
    }
    return code;
}

enum err_code backfill_openmetrics(struct str page, const struct backfill_options *options,
                                   struct backfill_result *out, struct err *err) {
    int64_t min = 0;
    int64_t max = 0;
    struct backfill b = {.page = page, .options = options, .result = out};
    *out = (struct backfill_result){0};
    b.parser = mem_alloc(sizeof(*b.parser));
    arena_init(&b.scratch, 0);
    enum err_code code = find_times(&b, &min, &max, err);
    if (code == ERR_OK && out->samples != 0) {
        code = mark_windows(&b, min, max, err);
        code = code == ERR_OK ? write_blocks(&b, err) : code;
    }
    mem_free(b.windows);
    mem_free(b.parser);
    arena_release(&b.scratch);
    return code;
}

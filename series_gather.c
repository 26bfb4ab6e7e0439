#include "series_gather.h"

#include <stdlib.h>

#include "base/mem.h"

enum { TABLE_START = 1024, SERIES_SAMPLES_MAX = 64 << 20 };

void series_gather_init(struct series_gather *g) {
    *g = (struct series_gather){.mask = TABLE_START - 1};
    arena_init(&g->arena, 0);
    g->table = mem_zalloc(TABLE_START * sizeof(*g->table));
}

void series_gather_release(struct series_gather *g) {
    for (uint32_t i = 0; i < g->count; i++) {
        prom_samples_release(&g->series[i].samples);
    }
    mem_free(g->series);
    mem_free(g->table);
    arena_release(&g->arena);
}

static uint32_t *place_of(const struct series_gather *g, uint32_t *table, size_t mask,
                          uint64_t hash, struct labels labels) {
    size_t at = (size_t)hash & mask;
    while (table[at] != 0) {
        const struct gathered_series *s = &g->series[table[at] - 1];
        if (s->hash == hash && labels_eq(s->labels, labels)) {
            break;
        }
        at = (at + 1) & mask;
    }
    return &table[at];
}

static void grow(struct series_gather *g) {
    const size_t mask = g->mask * 2 + 1;
    uint32_t *table = mem_zalloc((mask + 1) * sizeof(*table));
    for (uint32_t i = 0; i < g->count; i++) {
        *place_of(g, table, mask, g->series[i].hash, g->series[i].labels) = i + 1;
    }
    mem_free(g->table);
    g->table = table;
    g->mask = mask;
}

struct prom_samples *series_gather_samples(struct series_gather *g, struct labels labels) {
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
        struct gathered_series *s = &g->series[g->count++];
        *s = (struct gathered_series){.labels = labels_copy(&g->arena, labels), .hash = hash};
        prom_samples_init(&s->samples, SERIES_SAMPLES_MAX);
        *at = g->count;
    }
    return &g->series[*at - 1].samples;
}

static int by_labels(const void *a, const void *b) {
    const struct gathered_series *x = a;
    const struct gathered_series *y = b;
    return labels_cmp(x->labels, y->labels);
}

enum err_code series_gather_write(struct series_gather *g,
                                  const struct prom_block_writer_options *options,
                                  bool *out_written, struct err *err) {
    struct prom_block_writer *w = NULL;
    struct prom_block_meta meta = {.series_count = 0};
    enum err_code code = prom_block_writer_new(options, &w, err);
    if (g->count != 0) {
        qsort(g->series, g->count, sizeof(*g->series), by_labels);
    }
    for (uint32_t i = 0; i < g->count && code == ERR_OK; i++) {
        const struct gathered_series *s = &g->series[i];
        code = prom_block_writer_add(w, s->labels, s->samples.items, s->samples.count, err);
    }
    code = code == ERR_OK ? prom_block_writer_finish(w, &meta, err) : code;
    *out_written = code == ERR_OK && meta.series_count != 0;
    prom_block_writer_free(w);
    return code;
}

#include "tsdb/analyze.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/duration.h"
#include "base/hash.h"
#include "base/labels.h"
#include "base/mem.h"
#include "tsdb/chunk_analysis.h"
#include "tsdb/manifest_file.h"
#include "tsdb/partition.h"
#include "tsdb/prom_db.h"
#include "tsdb/storage_dump.h"

enum { TABLE_START = 1024, PATH_BYTES_MAX = 4096 };

/* ---- counting ---- */

enum tally_number { SERIES, UNCOVERED, VALUES, VALUE_BYTES, SAMPLES, BYTES, NUMBERS };

struct tally {
    struct str key;
    double numbers[NUMBERS];
};

struct tallies {
    struct tally *items;
    uint32_t count;
    uint32_t capacity;
    uint32_t *table; /* item + 1 */
    size_t mask;
};

struct analysis {
    const struct analyze_options *options;
    struct arena arena; /* keys */
    struct tallies pairs;
    struct tallies names;
    struct tallies metrics;
    struct buf key;
    uint64_t series;  /* all */
    uint64_t matched; /* by the options' matchers */
    uint64_t entries;
    int64_t span_ms; /* of the block */
    bool ours;
};

static uint32_t *place_of(const struct tallies *t, uint32_t *table, size_t mask, struct str key) {
    size_t at = (size_t)hash_xxh64(key.ptr, key.len) & mask;
    while (table[at] != 0 && !str_eq(t->items[table[at] - 1].key, key)) {
        at = (at + 1) & mask;
    }
    return &table[at];
}

static struct tally *find(struct analysis *a, struct tallies *t, struct str key, bool *out_new) {
    if (t->table == NULL || t->count > t->mask / 2) {
        const size_t mask = t->table == NULL ? TABLE_START - 1 : t->mask * 2 + 1;
        uint32_t *table = mem_zalloc((mask + 1) * sizeof(*table));
        for (uint32_t i = 0; i < t->count; i++) {
            *place_of(t, table, mask, t->items[i].key) = i + 1;
        }
        mem_free(t->table);
        t->table = table;
        t->mask = mask;
    }
    uint32_t *at = place_of(t, t->table, t->mask, key);
    *out_new = *at == 0;
    if (*at == 0) {
        if (t->count == t->capacity) {
            t->capacity = (uint32_t)mem_grow(t->capacity, (size_t)t->count + 1);
            t->items = mem_resize(t->items, t->capacity, sizeof(*t->items));
        }
        t->items[t->count++] = (struct tally){.key = arena_str(&a->arena, key)};
        *at = t->count;
    }
    return &t->items[*at - 1];
}

static void count_series(struct analysis *a, struct labels labels, int64_t span_ms, double samples,
                         double bytes) {
    struct labels_iter it = labels_begin(labels);
    struct label label;
    const double uncovered = (double)a->span_ms - (double)span_ms;
    bool added;
    a->matched++;
    while (labels_next(&it, &label)) {
        buf_clear(&a->key);
        buf_append_str(&a->key, label.name);
        buf_append_char(&a->key, '=');
        buf_append_str(&a->key, label.value);
        struct tally *pair = find(a, &a->pairs, buf_str(&a->key), &added);
        struct tally *name = find(a, &a->names, label.name, &(bool){false});
        pair->numbers[SERIES]++;
        pair->numbers[UNCOVERED] += uncovered;
        name->numbers[UNCOVERED] += uncovered;
        name->numbers[VALUES] += added;
        name->numbers[VALUE_BYTES] += added ? (double)label.value.len : 0;
        a->entries++;
    }
    struct tally *metric = find(a, &a->metrics, labels_get(labels, LABEL_NAME), &added);
    metric->numbers[SERIES]++;
    metric->numbers[SAMPLES] += samples;
    metric->numbers[BYTES] += bytes;
}

static enum err_code is_wanted(struct analysis *a, struct labels labels, bool *out,
                               struct err *err) {
    a->series++;
    return matchers_match(a->options->matchers, a->options->matcher_count, labels, out, err);
}

/* ---- printing ---- */

struct ranked {
    double number;
    struct str key;
};

static int by_number(const void *a, const void *b) {
    const struct ranked *x = a;
    const struct ranked *y = b;
    return x->number != y->number ? (x->number > y->number ? -1 : 1) : str_cmp(x->key, y->key);
}

static void print_section(struct buf *to, const char *title, const struct tallies *t,
                          enum tally_number number, double divisor, size_t limit) {
    struct ranked *ranked = mem_array((size_t)t->count + 1, sizeof(*ranked));
    for (uint32_t i = 0; i < t->count; i++) {
        const uint64_t whole = (uint64_t)(t->items[i].numbers[number] / divisor);
        ranked[i] = (struct ranked){(double)whole, t->items[i].key};
    }
    qsort(ranked, t->count, sizeof(*ranked), by_number);
    buf_printf(to, "\n%s\n", title);
    for (uint32_t i = 0; i < t->count && i < limit; i++) {
        buf_printf(to, "%llu ", (unsigned long long)ranked[i].number);
        buf_append_str(to, ranked[i].key);
        buf_append_char(to, '\n');
    }
    mem_free(ranked);
}

static void print(const struct analysis *a, const char *id, struct buf *to) {
    const size_t limit = a->options->limit;
    const bool selects = a->options->matcher_count != 0;
    const double span = a->span_ms > 0 ? (double)a->span_ms : 1;
    buf_printf(to, "Block ID: %s\nDuration: ", id);
    const bool fits = a->span_ms <= INT64_MAX / 1000000;
    duration_format_go_ns(to, fits ? a->span_ms * 1000000 : INT64_MAX);
    buf_printf(to, "\nTotal Series: %llu\n", (unsigned long long)a->series);
    if (selects) {
        buf_printf(to, "Matcher: %s\n", a->options->selector);
    }
    buf_printf(to, "Label names: %u\n", a->names.count);
    if (selects) {
        buf_printf(to, "Matched series: %llu\n", (unsigned long long)a->matched);
    }
    buf_printf(to,
               "Postings (unique label pairs): %u\nPostings entries (total label pairs): %llu\n",
               a->pairs.count, (unsigned long long)a->entries);
    print_section(to, "Label pairs most involved in churning:", &a->pairs, UNCOVERED, span, limit);
    print_section(to, "Label names most involved in churning:", &a->names, UNCOVERED, span, limit);
    print_section(to, "Most common label pairs:", &a->pairs, SERIES, 1, limit);
    print_section(to, "Label names with highest cumulative label value length:", &a->names,
                  VALUE_BYTES, 1, limit);
    print_section(to, "Highest cardinality labels:", &a->names, VALUES, 1, limit);
    print_section(to, "Highest cardinality metric names:", &a->metrics, SERIES, 1, limit);
    if (a->ours) {
        print_section(to, "Metric names with most samples:", &a->metrics, SAMPLES, 1, limit);
        print_section(to, "Metric names with most bytes of samples:", &a->metrics, BYTES, 1, limit);
    }
}

/* ---- blocks of Prometheus ---- */

static enum err_code count_block_series(struct analysis *a, struct prom_block *block,
                                        const struct prom_series *series,
                                        struct chunk_analysis *chunks, struct err *err) {
    bool wanted = false;
    enum err_code code = is_wanted(a, prom_series_labels(series), &wanted, err);
    if (code != ERR_OK || !wanted) {
        return code;
    }
    count_series(a, prom_series_labels(series),
                 series->chunks[series->chunk_count - 1].maxt - series->chunks[0].mint, 0, 0);
    for (size_t i = 0; code == ERR_OK && a->options->extended && i < series->chunk_count; i++) {
        code = chunk_analysis_add(chunks, block, &series->chunks[i], err);
    }
    return code;
}

static enum err_code count_block(struct analysis *a, const struct prom_db_block *from,
                                 struct chunk_analysis *chunks, struct err *err) {
    struct prom_block *block = NULL;
    struct prom_series series;
    enum err_code code = prom_block_open(a->options->vfs, from->dir, &block, err);
    if (code != ERR_OK) {
        return code;
    }
    a->span_ms = from->meta.maxt - from->meta.mint;
    prom_series_init(&series);
    uint64_t offset = prom_index_first(prom_block_index(block));
    while (code == ERR_OK) {
        code = prom_index_next(prom_block_index(block), &offset, &series, err);
        if (code == ERR_OK && series.chunk_count != 0) {
            code = count_block_series(a, block, &series, chunks, err);
        }
    }
    prom_series_release(&series);
    prom_block_close(block);
    return code == ERR_NOT_FOUND ? ERR_OK : code;
}

static enum err_code analyze_prometheus(struct analysis *a, struct buf *to, struct err *err) {
    const char *id = a->options->block;
    struct chunk_analysis chunks;
    struct prom_db db;
    const struct prom_db_block *chosen = NULL;
    enum err_code code = prom_db_init(&db, a->options->vfs, a->options->path, false, NULL, err);
    for (size_t i = 0; code == ERR_OK && i < db.block_count; i++) {
        const char *ulid = db.blocks[i].meta.ulid;
        if (id != NULL ? strcmp(ulid, id) == 0
                       : chosen == NULL || strcmp(ulid, chosen->meta.ulid) > 0) {
            chosen = &db.blocks[i];
        }
    }
    if (code == ERR_OK && chosen == NULL) {
        code = id == NULL ? err_set(err, ERR_NOT_FOUND, "no blocks found")
                          : err_set(err, ERR_NOT_FOUND, "block %s not found", id);
    }
    chunk_analysis_init(&chunks);
    code = code == ERR_OK ? count_block(a, chosen, &chunks, err) : code;
    if (code == ERR_OK) {
        print(a, chosen->meta.ulid, to);
        if (a->options->extended) {
            chunk_analysis_print(&chunks, to);
        }
    }
    chunk_analysis_release(&chunks);
    prom_db_release(&db);
    return code;
}

/* ---- partitions ---- */

/* From the first block of rows that the series has something in to the last, and its bytes. */
static enum err_code count_partition_series(struct analysis *a, struct partition *p,
                                            const struct partition_series *s, struct arena *scratch,
                                            struct err *err) {
    struct partition_timeline line;
    int64_t first_ms = INT64_MAX;
    int64_t last_ms = INT64_MIN;
    double samples = 0;
    double bytes = 0;
    const struct labels labels = labels_merge(scratch, s->target, s->metric);
    bool wanted = false;
    enum err_code code = is_wanted(a, labels, &wanted, err);
    if (code != ERR_OK || !wanted) {
        return code;
    }
    code = partition_timeline(p, s->timeline, scratch, &line, err);
    if (code != ERR_OK) {
        return code;
    }
    for (uint32_t block = 0, row = 0; block < s->block_count; row += line.block_rows[block++]) {
        bool present = false;
        for (uint32_t column = 0; column < s->column_count; column++) {
            const size_t n = s->blocks[(size_t)column * s->block_count + block].n;
            present = present || n != 0;
            bytes += (double)n;
        }
        if (present && line.block_rows[block] != 0) {
            first_ms = line.ts[row] < first_ms ? line.ts[row] : first_ms;
            last_ms = line.ts[row + line.block_rows[block] - 1];
            samples += line.block_rows[block];
        }
    }
    count_series(a, labels, first_ms <= last_ms ? last_ms - first_ms : 0, samples, bytes);
    return ERR_OK;
}

static enum err_code count_partition(struct analysis *a, const char *dir, struct err *err) {
    const struct partition_options options = {.vfs = a->options->vfs, .dir = dir};
    struct partition *p = NULL;
    struct partition_series series;
    struct partition_skipped skipped;
    struct arena scratch;
    bool more = true;
    enum err_code code = partition_open(&options, &p, err);
    if (code != ERR_OK) {
        return code;
    }
    const struct partition_info *info = partition_info(p);
    a->span_ms = info->min_ts_ms <= info->max_ts_ms ? info->max_ts_ms - info->min_ts_ms + 1 : 0;
    struct partition_cursor *c = partition_cursor_new(p);
    arena_init(&scratch, 0);
    while (code == ERR_OK && more) {
        code = partition_cursor_next(c, &series, &more, &skipped, err);
        if (code == ERR_OK && more) {
            code = count_partition_series(a, p, &series, &scratch, err);
            arena_reset(&scratch);
        }
    }
    arena_release(&scratch);
    partition_cursor_free(c);
    partition_close(p);
    return code;
}

static enum err_code analyze_ours(struct analysis *a, struct buf *to, struct err *err) {
    const char *path = a->options->path;
    const char *id = a->options->block;
    char dir[PATH_BYTES_MAX];
    char name[PARTITION_NAME_MAX] = "";
    struct manifest manifest;
    struct manifest_found found;
    int64_t newest = INT64_MIN;
    if (a->options->extended) {
        return err_set(err, ERR_UNSUPPORTED,
                       "%s has no chunks: --extended is for blocks of Prometheus", path);
    }
    (void)snprintf(dir, sizeof(dir), "%s/partitions", path);
    manifest_init(&manifest);
    enum err_code code = manifest_load(a->options->vfs, dir, &manifest, &found, err);
    for (size_t i = 0; code == ERR_OK && i < manifest.partition_count; i++) {
        char candidate[PARTITION_NAME_MAX];
        const struct manifest_partition *m = &manifest.partitions[i];
        partition_name(candidate, m->number, false);
        if (id != NULL ? strcmp(candidate, id) == 0 : m->end_ms > newest) {
            newest = m->end_ms;
            memcpy(name, candidate, sizeof(name));
        }
    }
    manifest_release(&manifest);
    if (code == ERR_OK && name[0] == '\0') {
        code = id == NULL ? err_set(err, ERR_NOT_FOUND, "no partitions found")
                          : err_set(err, ERR_NOT_FOUND, "partition %s not found", id);
    }
    if (code == ERR_OK) {
        (void)snprintf(dir, sizeof(dir), "%s/partitions/%s", path, name);
        a->ours = true;
        code = count_partition(a, dir, err);
    }
    if (code == ERR_OK) {
        print(a, name, to);
    }
    return code;
}

static void release(struct tallies *t) {
    mem_free(t->items);
    mem_free(t->table);
}

enum err_code analyze_block(const struct analyze_options *options, struct buf *to,
                            struct err *err) {
    enum { KEY_BYTES_MAX = 64 << 20 };
    struct analysis a = {.options = options};
    arena_init(&a.arena, 0);
    buf_init(&a.key, KEY_BYTES_MAX);
    const enum err_code code = storage_is_database(options->vfs, options->path)
                                   ? analyze_ours(&a, to, err)
                                   : analyze_prometheus(&a, to, err);
    release(&a.pairs);
    release(&a.names);
    release(&a.metrics);
    buf_release(&a.key);
    arena_release(&a.arena);
    return code;
}

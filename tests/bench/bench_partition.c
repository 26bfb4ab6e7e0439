/* What a partition costs on real pages: nanoseconds per sample written and read, per series found,
 * and bytes of data and index.
 *
 *     bench_partition PAGES DATA [TARGETS] [STRIDE] [ROWS] [pack]
 *
 * PAGES holds one exporter's pages as <unix milliseconds>.txt, 5 s apart; DATA is an empty folder.
 * Each of TARGETS (100) targets has every STRIDE-th (3) page, phase-shifted, ROWS (all) of them; a
 * run through the pages begins again at the first. With "pack", pages are packed where it pays. Text
 * is parsed before the clock starts. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tsdb/partition_writer.h"

enum { PAGES_MAX = 512, SLOTS_MAX = 16384, PAGE_BYTES_MAX = 8 << 20, ROWS_MAX = 4096 };
enum { READ_BATCH = 256, ROUNDS = 5, SCRATCH_KEEP_BYTES = 4 << 20 };

struct page {
    struct num values[SLOTS_MAX];
    uint8_t states[SLOTS_MAX];
};

struct slot {
    struct str key; /* "name{labels}" */
    struct labels labels;
};

struct series {
    uint32_t target;
    uint32_t slot;
};

struct bench {
    struct arena arena;
    char *names[PAGES_MAX];
    size_t page_count;
    struct page *pages;
    struct slot slots[SLOTS_MAX];
    uint32_t slot_count;
    struct labels *targets;
    uint32_t target_count;
    struct series *series; /* in order */
    size_t series_count;
    uint32_t stride;
    uint32_t rows;
    bool pack;
};

static void must(enum err_code code, const struct err *err) {
    if (code != ERR_OK) {
        (void)fprintf(stderr, "bench_partition: %s\n", err->text);
        exit(1);
    }
}

/* Of this thread, so that other work on the machine does not count. */
static int64_t cpu_ns(void) {
    struct timespec ts;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* ---- pages ---- */

static bool on_name(void *ctx, const char *name) {
    struct bench *b = ctx;
    if (b->page_count < PAGES_MAX && str_ends(str_of(name), STR(".txt"))) {
        b->names[b->page_count++] = arena_cstr(&b->arena, str_of(name));
    }
    return true;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static uint32_t slot_of(struct bench *b, struct str key, uint32_t hint) {
    if (hint < b->slot_count && str_eq(b->slots[hint].key, key)) {
        return hint;
    }
    for (uint32_t i = 0; i < b->slot_count; i++) {
        if (str_eq(b->slots[i].key, key)) {
            return i;
        }
    }
    ASSERT(b->slot_count < SLOTS_MAX);
    b->slots[b->slot_count].key = arena_str(&b->arena, key);
    return b->slot_count++;
}

static void parse_page(struct bench *b, struct str text, struct page *page) {
    uint32_t next = 0;
    while (text.len != 0) {
        const ptrdiff_t end = str_find_char(text, '\n');
        const struct str line = str_sub(text, 0, end < 0 ? text.len : (size_t)end);
        text = str_from(text, line.len + 1);
        const ptrdiff_t space = str_rfind_char(line, ' ');
        if (line.len == 0 || line.ptr[0] == '#' || space < 0) {
            continue;
        }
        next = slot_of(b, str_sub(line, 0, (size_t)space), next);
        if (num_parse(str_from(line, (size_t)space + 1), &page->values[next]) == NUMBER_OK) {
            page->states[next] = SLOT_VALUE;
        }
        next++;
    }
}

static void load_pages(struct bench *b, const char *dir) {
    struct err err;
    must(vfs_list(vfs_system(), dir, on_name, b, &err), &err);
    qsort(b->names, b->page_count, sizeof(b->names[0]), by_name);
    b->pages = mem_zalloc(b->page_count * sizeof(*b->pages));
    for (size_t i = 0; i < b->page_count; i++) {
        char path[4096];
        char *text;
        size_t len;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, b->names[i]);
        must(vfs_read_file(vfs_system(), path, PAGE_BYTES_MAX, &text, &len, &err), &err);
        parse_page(b, (struct str){text, len}, &b->pages[i]);
        mem_free(text);
    }
}

/* name{a="b",c="d"}: values of the pages hold no escapes that matter here. */
static struct labels key_labels(struct arena *arena, struct str key) {
    struct labels_builder lb;
    struct labels out;
    struct err err;
    labels_builder_init(&lb, arena);
    const ptrdiff_t brace = str_find_char(key, '{');
    labels_builder_set(&lb, LABEL_NAME, brace < 0 ? key : str_sub(key, 0, (size_t)brace));
    struct str rest = brace < 0 ? STR("") : str_from(key, (size_t)brace + 1);
    ptrdiff_t eq;
    while ((eq = str_find(rest, STR("=\""))) >= 0) {
        const struct str name = str_sub(rest, 0, (size_t)eq);
        rest = str_from(rest, (size_t)eq + 2);
        const ptrdiff_t quote = str_find_char(rest, '"');
        labels_builder_set(&lb, name, str_sub(rest, 0, (size_t)quote));
        rest = str_from(rest, (size_t)quote + 1);
        if (str_starts(rest, STR(","))) {
            rest = str_from(rest, 1);
        }
    }
    must(labels_builder_finish(&lb, &out, &err), &err);
    return out;
}

/* ---- writing ---- */

static struct bench *sorted; /* for qsort */

static int by_labels(const void *a, const void *b) {
    const struct series *x = a;
    const struct series *y = b;
    return partition_series_cmp(sorted->targets[x->target], sorted->slots[x->slot].labels,
                                sorted->targets[y->target], sorted->slots[y->slot].labels);
}

static void make_series(struct bench *b) {
    b->targets = arena_alloc(&b->arena, b->target_count * sizeof(*b->targets));
    for (uint32_t t = 0; t < b->target_count; t++) {
        char instance[32];
        (void)snprintf(instance, sizeof(instance), "10.0.%u.%u:9100", t / 250, t % 250);
        const struct label pairs[] = {{STR("instance"), str_of(instance)},
                                      {STR("job"), STR("node")}};
        b->targets[t] = labels_of(&b->arena, pairs, 2);
    }
    for (uint32_t i = 0; i < b->slot_count; i++) {
        b->slots[i].labels = key_labels(&b->arena, b->slots[i].key);
    }
    b->series = mem_array((size_t)b->target_count * b->slot_count, sizeof(*b->series));
    for (uint32_t t = 0; t < b->target_count; t++) {
        for (uint32_t i = 0; i < b->slot_count; i++) {
            b->series[b->series_count++] = (struct series){t, i};
        }
    }
    sorted = b;
    qsort(b->series, b->series_count, sizeof(*b->series), by_labels);
}

static void write_timelines(struct bench *b, struct partition_writer *w, int64_t start_ms) {
    int64_t *ts = mem_array(b->rows, sizeof(*ts));
    struct err err;
    uint64_t random = 88172645463325252;
    for (uint32_t t = 0; t < b->target_count; t++) {
        uint32_t number;
        for (uint32_t row = 0; row < b->rows; row++) { /* scrapers are a few ms late */
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            ts[row] = start_ms + t * 37 + (int64_t)row * 5000 * b->stride + (int64_t)(random % 4);
        }
        must(partition_writer_timeline(w, ts, b->rows, NULL, 0, &number, &err), &err);
    }
    mem_free(ts);
}

static void write_partition(struct bench *b, const char *dir, struct partition_info *info) {
    const int64_t start_ms = INT64_C(1795344000000);
    const struct partition_writer_options options = {
        .vfs = vfs_system(),
        .dir = dir,
        .number = 1,
        .level = 1,
        .pack = b->pack,
        .start_ms = start_ms,
        .end_ms = start_ms + (int64_t)b->rows * 5000 * b->stride + 100000,
        .hash_seed = 1,
    };
    struct partition_writer *w;
    struct err err;
    struct num *values = mem_array(b->rows, sizeof(*values));
    uint8_t *states = mem_array(b->rows, 1);
    must(partition_writer_begin(&options, &w, &err), &err);
    write_timelines(b, w, start_ms);
    int64_t series_ns = 0;
    for (size_t i = 0; i < b->series_count; i++) {
        const struct series s = b->series[i];
        for (uint32_t row = 0; row < b->rows; row++) {
            const struct page *page =
                &b->pages[((size_t)row * b->stride + s.target * 7) % b->page_count];
            values[row] = page->values[s.slot];
            states[row] = page->states[s.slot];
        }
        const struct partition_column column = {.values = values, .states = states};
        const int64_t start = cpu_ns();
        must(partition_writer_series(w, b->targets[s.target], b->slots[s.slot].labels, s.target,
                                     &column, 1, &err),
             &err);
        series_ns += cpu_ns() - start;
    }
    const int64_t start = cpu_ns();
    must(partition_writer_finish(w, info, &err), &err);
    const int64_t finish_ns = cpu_ns() - start;
    partition_writer_free(w);
    mem_free(values);
    mem_free(states);
    const double samples = (double)info->sample_count;
    (void)printf("%u targets, %" PRIu32
                 " series, %u rows of %u s: write %.2f ns/sample, index %.0f "
                 "ns/series\n",
                 b->target_count, info->series_count, b->rows, 5 * b->stride,
                 (double)series_ns / samples, (double)finish_ns / (double)info->series_count);
    (void)printf("data %.4f B/sample, index %.2f B/series = %.4f B/sample, together %.4f "
                 "B/sample\n",
                 (double)info->data_bytes / samples,
                 (double)info->index_bytes / (double)info->series_count,
                 (double)info->index_bytes / samples,
                 (double)(info->data_bytes + info->index_bytes) / samples);
}

/* ---- reading ---- */

struct measured {
    int64_t select_ns;
    int64_t read_ns;
    size_t series;
    size_t samples;
};

static struct measured query_once(struct partition *p, const struct matcher *m, size_t n) {
    struct measured out = {0};
    struct arena arena;
    struct arena scratch;
    struct err err;
    struct partition_hit *hits;
    arena_init(&arena, 0);
    arena_init(&scratch, 0);
    const int64_t start = cpu_ns();
    must(partition_select(p, m, n, INT64_MIN, INT64_MAX, &arena, NULL, &hits, &out.series, &err),
         &err);
    out.select_ns = cpu_ns() - start;
    for (size_t at = 0; at < out.series; at += READ_BATCH) {
        uint32_t series[READ_BATCH];
        struct storage_samples got[READ_BATCH];
        const size_t batch = out.series - at < READ_BATCH ? out.series - at : READ_BATCH;
        for (size_t i = 0; i < batch; i++) {
            series[i] = hits[at + i].series;
        }
        const int64_t from = cpu_ns();
        must(partition_read(p, series, batch, INT64_MIN, INT64_MAX, &scratch, NULL, got, &err),
             &err);
        for (size_t i = 0; i < batch; i++) {
            out.samples += got[i].count;
        }
        arena_rewind(&scratch, SCRATCH_KEEP_BYTES);
        out.read_ns += cpu_ns() - from;
    }
    arena_release(&scratch);
    arena_release(&arena);
    return out;
}

static void measure_query(struct partition *p, const char *name, const struct matcher *m,
                          size_t n) {
    struct measured best = query_once(p, m, n);
    for (int i = 1; i < ROUNDS; i++) {
        const struct measured next = query_once(p, m, n);
        best.select_ns = next.select_ns < best.select_ns ? next.select_ns : best.select_ns;
        best.read_ns = next.read_ns < best.read_ns ? next.read_ns : best.read_ns;
    }
    (void)printf("%-44s %7zu series, select %8.3f ms %6.1f ns/series, read %8.3f ms %5.2f "
                 "ns/sample\n",
                 name, best.series, (double)best.select_ns / 1e6,
                 (double)best.select_ns / (double)(best.series + 1), (double)best.read_ns / 1e6,
                 (double)best.read_ns / (double)(best.samples + 1));
}

static struct matcher matcher_of(struct arena *arena, enum matcher_type type, const char *name,
                                 const char *value) {
    struct matcher m;
    struct err err;
    must(matcher_init(arena, type, str_of(name), str_of(value), &m, &err), &err);
    return m;
}

static void measure_queries(struct bench *b, struct partition *p) {
    const struct str busiest = labels_get(b->slots[b->slot_count / 2].labels, LABEL_NAME);
    char *name = arena_cstr(&b->arena, busiest);
    const struct matcher cpu =
        matcher_of(&b->arena, MATCH_EQUAL, "__name__", "node_cpu_seconds_total");
    const struct matcher some = matcher_of(&b->arena, MATCH_EQUAL, "__name__", name);
    const struct matcher one = matcher_of(&b->arena, MATCH_EQUAL, "instance", "10.0.0.7:9100");
    const struct matcher regex = matcher_of(&b->arena, MATCH_REGEX, "__name__", "node_.*");
    const struct matcher both[] = {cpu, one};
    measure_query(p, "{}", NULL, 0);
    measure_query(p, "{__name__=\"node_cpu_seconds_total\"}", &cpu, 1);
    measure_query(p, name, &some, 1);
    measure_query(p, "{instance=\"10.0.0.7:9100\"}", &one, 1);
    measure_query(p, "node_cpu_seconds_total of one instance", both, 2);
    measure_query(p, "{__name__=~\"node_.*\"}", &regex, 1);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        (void)fprintf(stderr,
                      "usage: bench_partition PAGES DATA [TARGETS] [STRIDE] [ROWS] [pack]\n");
        return 2;
    }
    struct bench *b = mem_zalloc(sizeof(*b));
    b->target_count = argc > 3 ? (uint32_t)atoi(argv[3]) : 100;
    b->stride = argc > 4 ? (uint32_t)atoi(argv[4]) : 3;
    arena_init(&b->arena, 0);
    load_pages(b, argv[1]);
    b->rows = argc > 5 ? (uint32_t)atoi(argv[5]) : (uint32_t)b->page_count / b->stride;
    b->pack = argc > 6 && strcmp(argv[6], "pack") == 0;
    ASSERT(b->rows >= 1 && b->rows <= ROWS_MAX && b->page_count != 0);
    make_series(b);
    char dir[4096];
    (void)snprintf(dir, sizeof(dir), "%s/00000001", argv[2]);
    struct partition_info info;
    struct partition *p;
    struct err err;
    write_partition(b, dir, &info);
    const struct partition_options options = {.vfs = vfs_system(), .dir = dir};
    must(partition_open(&options, &p, &err), &err);
    measure_queries(b, p);
    partition_close(p);
    mem_free(b->series);
    mem_free(b->pages);
    arena_release(&b->arena);
    mem_free(b);
    return 0;
}

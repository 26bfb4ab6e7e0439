/* What the head costs on real pages: CPU nanoseconds per sample of a commit, bytes of memory per series,
 * bytes of WAL and L0 per sample, the times of selecting, reading and opening again, and what it costs
 * and saves to make partitions of it all.
 *
 *     bench_head PAGES DATA [TARGETS] [ROWS] [PAGES A ROW]
 *
 * PAGES holds one exporter's pages as <unix milliseconds>.txt; DATA is an empty folder. Each of
 * TARGETS (1600) targets replays ROWS (150) of them, phase-shifted, each PAGES A ROW (1) behind the last
 * one, 5 s a page. Text is parsed
 * before the clock starts: this measures the storage, not the scraper. Memory is the anonymous part
 * of the resident set above what the parsed pages took. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/value.h"
#include "base/vfs.h"
#include "tsdb/storage.h"
#include "tsdb/tsdb.h"

enum { PAGES_MAX = 512, SLOTS_MAX = 8192, PAGE_BYTES_MAX = 8 << 20 };

struct page {
    struct num values[SLOTS_MAX];
    uint8_t states[SLOTS_MAX];
};

struct bench {
    struct arena arena;
    char *names[PAGES_MAX];
    size_t page_count;
    struct page *pages;
    struct str keys[SLOTS_MAX]; /* "name{labels}" of a slot */
    uint32_t slot_count;
};

struct bench_clock {
    struct clock clock;
    int64_t unix_ns;
};

static int64_t bench_unix(struct clock *clock) {
    return ((struct bench_clock *)clock)->unix_ns;
}

static int64_t bench_mono(struct clock *clock) {
    (void)clock;
    return clock_mono_ns(clock_system());
}

static void must(enum err_code code, const struct err *err) {
    if (code != ERR_OK) {
        fprintf(stderr, "bench_head: %s\n", err->text);
        exit(1);
    }
}

static int64_t now_ns(void) {
    return clock_mono_ns(clock_system());
}

/* Of this thread, so that other work on the machine does not count. */
static int64_t cpu_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
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
    if (hint < b->slot_count && str_eq(b->keys[hint], key)) {
        return hint;
    }
    for (uint32_t i = 0; i < b->slot_count; i++) {
        if (str_eq(b->keys[i], key)) {
            return i;
        }
    }
    ASSERT(b->slot_count < SLOTS_MAX);
    b->keys[b->slot_count] = arena_str(&b->arena, key);
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
        snprintf(path, sizeof(path), "%s/%s", dir, b->names[i]);
        must(vfs_read_file(vfs_system(), path, PAGE_BYTES_MAX, &text, &len, &err), &err);
        parse_page(b, (struct str){text, len}, &b->pages[i]);
        mem_free(text);
    }
}

/* ---- labels ---- */

static struct labels target_labels(struct arena *arena, uint32_t target) {
    char instance[32];
    snprintf(instance, sizeof(instance), "10.0.%u.%u:9100", target / 250, target % 250);
    const struct label pairs[] = {{STR("instance"), str_of(instance)}, {STR("job"), STR("node")}};
    return labels_of(arena, pairs, 2);
}

/* name{a="b",c="d"}: values of the corpus hold no escapes that matter here. */
static struct labels key_labels(struct arena *arena, struct str key, struct labels target) {
    struct labels_builder lb;
    struct labels out;
    struct err err;
    labels_builder_init(&lb, arena);
    labels_builder_reset(&lb, target);
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

/* ---- measures ---- */

static double status_bytes(const char *name) {
    char *text;
    size_t len;
    struct err err;
    double kib = 0;
    must(vfs_read_file(vfs_system(), "/proc/self/status", 1 << 16, &text, &len, &err), &err);
    const char *at = strstr(text, name);
    if (at != NULL) {
        for (at += strlen(name); *at == ' ' || *at == '\t'; at++) {
        }
        for (; *at >= '0' && *at <= '9'; at++) {
            kib = kib * 10 + (*at - '0');
        }
    }
    mem_free(text);
    return kib * 1024;
}

static double anon_bytes(void) {
    return status_bytes("RssAnon:");
}

/* What is resident now is the most that was ever. */
static double forget_peak(void) {
    FILE *f = fopen("/proc/self/clear_refs", "w");
    (void)malloc_trim(0); /* what was freed before must not hide what is needed */
    if (f != NULL) {
        (void)fputs("5", f);
        (void)fclose(f);
    }
    return status_bytes("VmRSS:");
}

static void measure_query(struct storage *st, const char *name, const struct matcher *m, size_t n) {
    struct err err;
    struct arena arena;
    struct storage_querier *q;
    struct storage_selection *sel;
    size_t count;
    size_t samples = 0;
    arena_init(&arena, 0);
    const int64_t start = cpu_ns();
    must(storage_querier_open(st, 0, INT64_MAX, &arena, NULL, &q, &err), &err);
    must(storage_select(st, q, m, n, NULL, &sel, &err), &err);
    storage_selection_series(st, sel, &count);
    const int64_t selected = cpu_ns();
    for (size_t at = 0; at < count; at += 1024) {
        struct arena scratch;
        arena_init(&scratch, 0);
        const size_t batch = count - at < 1024 ? count - at : 1024;
        struct storage_samples *out = arena_alloc(&scratch, batch * sizeof(*out));
        must(storage_read(st, q, sel, at, batch, 0, INT64_MAX, &scratch, out, &err), &err);
        for (size_t i = 0; i < batch; i++) {
            samples += out[i].count;
        }
        arena_release(&scratch);
    }
    const int64_t read = cpu_ns();
    printf("%-34s %8zu series, select %8.3f ms, read %9zu samples %8.3f ms, %5.2f ns/sample\n",
           name, count, (double)(selected - start) / 1e6, samples, (double)(read - selected) / 1e6,
           samples == 0 ? 0 : (double)(read - selected) / (double)samples);
    arena_release(&arena);
}

static void measure_queries(struct storage *st, struct arena *arena) {
    static const struct {
        const char *title;
        enum matcher_type type;
        struct str name;
        struct str value;
    } all[] = {
        {"{__name__=\"node_cpu_seconds_total\"}", MATCH_EQUAL, STR_INIT("__name__"),
         STR_INIT("node_cpu_seconds_total")},
        {"{instance=\"10.0.1.7:9100\"}", MATCH_EQUAL, STR_INIT("instance"),
         STR_INIT("10.0.1.7:9100")},
        {"{__name__=~\"node_network.*\"}", MATCH_REGEX, STR_INIT("__name__"),
         STR_INIT("node_network.*")},
    };
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        struct matcher m;
        struct err err;
        must(matcher_init(arena, all[i].type, all[i].name, all[i].value, &m, &err), &err);
        measure_query(st, all[i].title, &m, 1);
    }
}

static void measure_compaction(struct tsdb *db, uint64_t samples, double base_bytes) {
    struct storage_stats before;
    struct storage_stats after;
    struct err err;
    tsdb_maintain(db);
    must(tsdb_compact(db, false, &err), &err); /* there is nothing yet: what opening left */
    storage_stats(tsdb_storage(db), &before);
    const double resident = forget_peak();
    const double memory = anon_bytes();
    const int64_t start = cpu_ns();
    must(tsdb_compact(db, true, &err), &err);
    const int64_t took = cpu_ns() - start;
    const double peak = status_bytes("VmHWM:") - resident;
    const double more = anon_bytes() - memory;
    tsdb_maintain(db);
    storage_stats(tsdb_storage(db), &after);
    printf(
        "cut %.1f ns/sample, %.3f B/sample on disk before (with definitions), %.3f after; memory "
        "%.1f MB, %+.1f MB at most meanwhile, %+.1f MB after the cut\n",
        (double)took / (double)samples, (double)before.disk_bytes / (double)samples,
        (double)after.disk_bytes / (double)samples, (memory - base_bytes) / 1e6, peak / 1e6,
        more / 1e6);
}

/* The measured_ functions are not inlined: scripts/bench -i counts the instructions in them. */
NOINLINE static void measured_commit(struct storage *st, struct storage_group *group,
                                     const struct storage_row *row,
                                     struct storage_row_result *result) {
    struct err err;
    must(storage_group_commit(st, group, row, result, &err), &err);
}

NOINLINE static struct tsdb *measured_reopen(const struct tsdb_options *options,
                                             struct tsdb_replay_stats *replay) {
    struct tsdb *db;
    struct err err;
    must(tsdb_open(options, &db, replay, &err), &err);
    return db;
}

NOINLINE static void measured_replay(struct tsdb *db) {
    tsdb_maintain(db);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: bench_head PAGES DATA [TARGETS] [ROWS] [PAGES A ROW]\n");
        return 2;
    }
    const uint32_t targets = argc > 3 ? (uint32_t)atoi(argv[3]) : 1600;
    const uint32_t rows = argc > 4 ? (uint32_t)atoi(argv[4]) : 150;
    const uint32_t stride = argc > 5 ? (uint32_t)atoi(argv[5]) : 1;
    static const struct clock_ops clock_ops = {bench_unix, bench_mono};
    struct bench_clock clock = {.clock.ops = &clock_ops, .unix_ns = INT64_C(1795344000) * NS_PER_S};
    struct bench *b = mem_zalloc(sizeof(*b));
    struct err err;
    arena_init(&b->arena, 0);
    load_pages(b, argv[1]);
    struct storage_group **groups = mem_array(targets, sizeof(*groups));
    const double base_bytes = anon_bytes();

    struct tsdb_options options;
    tsdb_options_default(&options);
    options.path = argv[2];
    options.clock = &clock.clock;
    options.shard_count = 1;
    options.no_background = true;
    struct tsdb *db;
    must(tsdb_open(&options, &db, NULL, &err), &err);
    struct storage *st = tsdb_storage(db);

    int64_t register_ns = 0;
    for (uint32_t t = 0; t < targets; t++) {
        struct arena scratch;
        arena_init(&scratch, 0);
        const struct labels target = target_labels(&scratch, t);
        must(storage_group_open(st, 0, target, &groups[t], &err), &err);
        struct labels *labels = mem_array(b->slot_count, sizeof(*labels));
        for (uint32_t i = 0; i < b->slot_count; i++) {
            labels[i] = key_labels(&scratch, b->keys[i], target);
        }
        const int64_t start = cpu_ns();
        for (uint32_t i = 0; i < b->slot_count; i++) {
            uint32_t slot;
            must(storage_group_series(st, groups[t], labels[i], &slot, &err), &err);
        }
        register_ns += cpu_ns() - start;
        mem_free(labels);
        arena_release(&scratch);
    }
    const double series = (double)targets * b->slot_count;
    printf("%u targets x %u series = %.0f, register %.0f ns/series, %.1f B/series registered\n",
           targets, b->slot_count, series, (double)register_ns / series,
           (anon_bytes() - base_bytes) / series);

    int64_t commit_ns = 0;
    int64_t worst_ns = 0;
    uint64_t samples = 0;
    for (uint32_t row = 0; row < rows; row++) {
        clock.unix_ns += stride * 5 * NS_PER_S;
        const int64_t cpu_start = cpu_ns();
        for (uint32_t t = 0; t < targets; t++) {
            const struct page *page = &b->pages[(row * stride + t * 7) % b->page_count];
            const struct storage_row r = {
                .ts_ms = clock.unix_ns / NS_PER_MS + t % 5,
                .slot_count = b->slot_count,
                .values = page->values,
                .states = page->states,
            };
            struct storage_row_result result;
            const int64_t start = now_ns();
            measured_commit(st, groups[t], &r, &result);
            const int64_t took = now_ns() - start;
            worst_ns = took > worst_ns ? took : worst_ns;
            samples += result.accepted;
        }
        commit_ns += cpu_ns() - cpu_start;
        if (row % 10 == 9) {
            tsdb_maintain(db);
        }
    }
    struct storage_stats stats;
    storage_stats(st, &stats);
    printf("commit %.2f ns/sample with log and seal, worst row %.3f ms, %.1f B/series in memory, "
           "%.2f B/sample on disk\n",
           (double)commit_ns / (double)samples, (double)worst_ns / 1e6,
           (anon_bytes() - base_bytes) / series, (double)stats.disk_bytes / (double)samples);
    measure_queries(st, &b->arena);

    for (uint32_t t = 0; t < targets; t++) {
        storage_group_close(st, groups[t]);
    }
    tsdb_close(db);
    struct tsdb_replay_stats replay;
    db = measured_reopen(&options, &replay);
    const int64_t start = now_ns();
    measured_replay(db);
    printf("open %.1f ms: %" PRIu64 " series, %" PRIu64 " WAL records, %" PRIu64
           " bytes; replay of all rows and sync %.1f ms\n",
           (double)replay.duration_ns / 1e6, replay.series, replay.wal_records, replay.wal_bytes,
           (double)(now_ns() - start) / 1e6);
    measure_compaction(db, samples, base_bytes);
    measure_queries(tsdb_storage(db), &b->arena);
    tsdb_close(db);
    printf("in measured_commit: %" PRIu64 "\nin measured_reopen: %.0f\nin measured_replay: %" PRIu64
           "\n",
           samples, series, samples);
    mem_free(groups);
    mem_free(b->pages);
    arena_release(&b->arena);
    mem_free(b);
    return 0;
}

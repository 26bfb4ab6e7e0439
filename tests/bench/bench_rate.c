/* Decoding and rate() over real pages, one core: what a range query costs per sample from storage to
 * the sums, without HTTP.
 *
 *     bench_rate DATA PAGES [TARGETS [head|both|partitions]]
 *
 * DATA is an empty folder, PAGES holds one exporter's pages as <unix milliseconds>.txt. Each of TARGETS
 * (100) targets gets all of them, 15 s apart; steps of 1 m. One line for the head, one when the first 80
 * minutes are in a partition, one for partitions alone: nanoseconds of CPU per stored sample of the counters (names in _total, _bucket, _count,
 * _sum), the best of 15, for reading them and for rate[5m] by target. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/value.h"
#include "base/vfs.h"
#include "query/query.h"
#include "tsdb/storage.h"
#include "tsdb/tsdb.h"

enum { PAGES_MAX = 4096, SERIES_MAX = 1 << 16, PAGE_BYTES_MAX = 64 << 20, ROUNDS = 15 };
#define ROW_MS INT64_C(15000)
#define COUNTERS "{__name__=~\".+_(total|bucket|count|sum)\"}"

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

struct bench {
    struct bench_clock clock;
    struct tsdb *db;
    struct arena arena;
    const char *names[PAGES_MAX];
    size_t page_count;
    uint32_t target_count;
    struct storage_group **groups;
    struct label *instances;
    struct num values[SERIES_MAX];
    uint8_t states[SERIES_MAX];
    uint32_t slot_count;
};

static void must(enum err_code code, const struct err *err) {
    if (code != ERR_OK) {
        (void)fprintf(stderr, "bench_rate: %s\n", err->text);
        exit(1);
    }
}

/* ---- pages ---- */

static bool on_name(void *ctx, const char *name) {
    struct bench *b = ctx;
    if (b->page_count < PAGES_MAX && str_ends(str_of(name), STR(".txt"))) {
        b->names[b->page_count++] = arena_cstr(&b->arena, str_of(name));
    }
    return true;
}

static int by_name(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* The labels of a sample are one label here, with the name, which rate drops. */
static uint32_t slot_of(struct bench *b, uint32_t target, struct str series) {
    struct arena scratch;
    struct err err;
    uint32_t slot = 0;
    const ptrdiff_t brace = str_find_char(series, '{');
    const struct label labels[] = {
        {STR("__name__"), brace < 0 ? series : str_sub(series, 0, (size_t)brace)},
        b->instances[target],
        {STR("series"), series}};
    arena_init(&scratch, 0);
    must(storage_group_series(tsdb_storage(b->db), b->groups[target],
                              labels_of(&scratch, labels, 3), &slot, &err),
         &err);
    arena_release(&scratch);
    ASSERT(slot < SERIES_MAX);
    b->slot_count = slot < b->slot_count ? b->slot_count : slot + 1;
    return slot;
}

/* "name{...} value" into the row at hand. */
static void read_line(struct bench *b, uint32_t target, struct str line) {
    const ptrdiff_t space = str_rfind_char(line, ' ');
    struct num value;
    if (line.len == 0 || line.ptr[0] == '#' || space < 0 ||
        num_parse(str_from(line, (size_t)space + 1), &value) != NUMBER_OK) {
        return;
    }
    const uint32_t slot = slot_of(b, target, str_sub(line, 0, (size_t)space));
    b->values[slot] = value;
    b->states[slot] = SLOT_VALUE;
}

static void read_page(struct bench *b, uint32_t target, struct str text) {
    memset(b->states, SLOT_ABSENT, sizeof(b->states));
    while (text.len > 0) {
        const ptrdiff_t end = str_find_char(text, '\n');
        read_line(b, target, end < 0 ? text : str_sub(text, 0, (size_t)end));
        text = end < 0 ? STR("") : str_from(text, (size_t)end + 1);
    }
}

static void write_rows(struct bench *b, const char *dir) {
    struct err err;
    for (size_t i = 0; i < b->page_count; i++) {
        char path[512];
        char *text = NULL;
        size_t len = 0;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, b->names[i]);
        must(vfs_read_file(vfs_system(), path, PAGE_BYTES_MAX, &text, &len, &err), &err);
        b->clock.unix_ns += ROW_MS * NS_PER_MS;
        for (uint32_t t = 0; t < b->target_count; t++) {
            read_page(b, t, (struct str){text, len});
            const struct storage_row row = {.ts_ms = b->clock.unix_ns / NS_PER_MS + t,
                                            .slot_count = b->slot_count,
                                            .values = b->values,
                                            .states = b->states};
            struct storage_row_result result;
            must(storage_group_commit(tsdb_storage(b->db), b->groups[t], &row, &result, &err),
                 &err);
        }
        mem_free(text);
    }
}

/* ---- queries ---- */

static double cpu_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Nanoseconds of the best round, per sample that is stored in the range. */
static double measure(struct bench *b, struct query_engine *engine, const char *text,
                      uint64_t *out_samples) {
    const int64_t end_ms = b->clock.unix_ns / NS_PER_MS;
    const struct query query = {.text = str_of(text),
                                .start_ms = end_ms - (int64_t)b->page_count * ROW_MS + 300000,
                                .end_ms = end_ms,
                                .step_ms = 60000};
    double best_ns = 1e300;
    for (int round = 0; round < ROUNDS; round++) {
        struct arena arena;
        struct query_result result;
        struct err err;
        arena_init(&arena, 0);
        const double from_ns = cpu_ns();
        must(query_run(engine, tsdb_storage(b->db), &query, &arena, &result, &err), &err);
        const double ns = cpu_ns() - from_ns;
        best_ns = ns < best_ns ? ns : best_ns;
        *out_samples = result.stats.samples_fetched;
        arena_release(&arena);
    }
    return best_ns / (double)(*out_samples != 0 ? *out_samples : 1);
}

/* only: "", or the one place that counts */
static void measure_both(struct bench *b, const char *where, const char *only) {
    if (only[0] != 0 && strcmp(only, where) != 0) {
        return;
    }
    struct query_options options;
    uint64_t samples = 0;
    query_options_default(&options);
    options.workers = 0;
    struct query_engine *engine = query_engine_new(&options);
    const double read_ns =
        measure(b, engine, "count by (instance) (count_over_time(" COUNTERS "[5m]))", &samples);
    const double rate_ns =
        measure(b, engine, "sum by (instance) (rate(" COUNTERS "[5m]))", &samples);
    (void)printf("%-10s %12" PRIu64 " samples: read %6.2f ns, read and rate %6.2f ns a sample\n",
                 where, samples, read_ns, rate_ns);
    query_engine_free(engine);
}

static void open_groups(struct bench *b) {
    struct err err;
    b->groups = mem_array(b->target_count, sizeof(*b->groups));
    b->instances = mem_array(b->target_count, sizeof(*b->instances));
    for (uint32_t t = 0; t < b->target_count; t++) {
        b->instances[t] =
            (struct label){STR("instance"), arena_printf(&b->arena, "node-%u:9100", t)};
        must(storage_group_open(tsdb_storage(b->db), 0, labels_of(&b->arena, &b->instances[t], 1),
                                &b->groups[t], &err),
             &err);
    }
}

int main(int argc, char **argv) {
    static const struct clock_ops clock_ops = {bench_unix, bench_mono};
    if (argc < 3) {
        (void)fprintf(stderr, "usage: bench_rate DATA PAGES [TARGETS]\n");
        return 2;
    }
    struct bench *b = mem_zalloc(sizeof(*b));
    b->clock =
        (struct bench_clock){.clock.ops = &clock_ops, .unix_ns = INT64_C(1795344000) * NS_PER_S};
    b->target_count = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 100;
    arena_init(&b->arena, 0);
    struct tsdb_options options;
    struct err err;
    tsdb_options_default(&options);
    options.path = argv[1];
    options.clock = &b->clock.clock;
    options.shard_count = 1;
    options.no_background = true;
    must(vfs_list(vfs_system(), argv[2], on_name, b, &err), &err);
    qsort(b->names, b->page_count, sizeof(*b->names), by_name);
    must(tsdb_open(&options, &b->db, NULL, &err), &err);
    open_groups(b);
    write_rows(b, argv[2]);
    const char *where = argc > 4 ? argv[4] : "";
    measure_both(b, "head", where);
    tsdb_maintain(b->db);
    measure_both(b, "both", where);
    must(tsdb_compact(b->db, true, &err), &err);
    measure_both(b, "partitions", where);
    for (uint32_t t = 0; t < b->target_count; t++) {
        storage_group_close(tsdb_storage(b->db), b->groups[t]);
    }
    tsdb_close(b->db);
    arena_release(&b->arena);
    mem_free(b->groups);
    mem_free(b->instances);
    mem_free(b);
    return 0;
}

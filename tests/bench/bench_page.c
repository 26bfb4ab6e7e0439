/* Nanoseconds per sample from page to row: parse, look up, append; of one thread's CPU time.
 *
 *   bench_page [-ncx0123] [-d FOLDER] FILE...   pages of one target, in order
 *
 * All pages but the first are measured. Rows go to a storage that drops them, or with -d into a
 * database in an empty folder, log and sealing included. A page that ends in "# EOF" is read as
 * OpenMetrics, a file named *.pb as protobuf. n scrapes native histograms, c classic ones too, x
 * converts classic ones; 0 to 3 choose how known lines are read (enum line_kernel) instead of the
 * fastest way. Prints ns/sample, MB/s and the memory of the target per line. Pages are read
 * before; the best of several rounds counts. BENCH_ROUNDS in the
 * environment says how many. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/vfs.h"
#include "scrape/ingest.h"
#include "tests/support/row_storage.h"
#include "tsdb/tsdb.h"

enum { ROUNDS = 60, PAGE_MAX = 256 * 1024 * 1024, SLACK = 64 };

struct page {
    char *text;
    size_t size;
    enum expo_format format;
};

struct bench_clock {
    struct clock clock; /* first */
    int64_t unix_ns;    /* of the row at hand */
};

struct bench {
    struct bench_clock clock;
    struct ingest *ingest;
    struct ingest_scratch *scratch;
    struct scrape_config config;
    struct scrape_histograms histograms;
    struct labels target;
    struct tsdb *db; /* NULL: rows are dropped */
    struct row_storage *rows;
    int64_t ts_ms;
    uint64_t samples, bytes;
};

static int64_t bench_unix(struct clock *clock) {
    return ((struct bench_clock *)(void *)clock)->unix_ns;
}

static int64_t bench_mono(struct clock *clock) {
    (void)clock;
    return clock_mono_ns(clock_system());
}

static int64_t cpu_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void fail(const char *what) {
    (void)fprintf(stderr, "bench_page: %s\n", what);
    exit(1);
}

static void feed(struct bench *b, const struct page *page) {
    const struct ingest_report report = {.up = true};
    struct ingest_scrape scrape = {.config = &b->config,
                                   .target = b->target,
                                   .clock = &b->clock.clock,
                                   .format = page->format,
                                   .histograms = b->histograms,
                                   .ts_ms = b->ts_ms,
                                   .now_ms = b->ts_ms};
    struct err err;
    b->clock.unix_ns = b->ts_ms * NS_PER_MS;
    ingest_begin(b->ingest, b->scratch);
    if (ingest_page(b->ingest, b->scratch, &scrape, (struct str){page->text, page->size}, SLACK,
                    &err) != ERR_OK ||
        ingest_commit(b->ingest, b->scratch, &scrape, &report, &err) != ERR_OK) {
        fail(err.text);
    }
    b->ts_ms += 5000;
    b->samples += scrape.scraped;
    b->bytes += page->size;
}

static struct page *read_pages(int n, char **paths) {
    struct page *const pages = mem_array((size_t)n, sizeof(pages[0]));
    for (int i = 0; i < n; i++) {
        struct err err;
        if (vfs_read_file(vfs_system(), paths[i], PAGE_MAX, &pages[i].text, &pages[i].size, &err) !=
            ERR_OK) {
            fail(err.text);
        }
        const bool openmetrics =
            str_ends((struct str){pages[i].text, pages[i].size}, STR("# EOF\n"));
        pages[i].format = openmetrics ? EXPO_FORMAT_OPENMETRICS : EXPO_FORMAT_TEXT;
        if (str_ends(str_of(paths[i]), STR(".pb"))) {
            pages[i].format = EXPO_FORMAT_PROTOBUF;
        }
        pages[i].text = mem_resize(pages[i].text, pages[i].size + SLACK, 1);
    }
    return pages;
}

static void open_database(struct bench *b, const char *folder) {
    struct tsdb_options options;
    struct err err;
    tsdb_options_default(&options);
    options.path = folder;
    options.clock = &b->clock.clock;
    options.shard_count = 1;
    options.no_background = true;
    if (tsdb_open(&options, &b->db, NULL, &err) != ERR_OK) {
        fail(err.text);
    }
}

/* Takes what comes before the files from the arguments. */
static void read_settings(struct bench *b, int *argc, char ***argv) {
    static const struct clock_ops clock_ops = {bench_unix, bench_mono};
    const char *letters = "";
    b->clock.clock.ops = &clock_ops;
    b->clock.unix_ns = b->ts_ms * NS_PER_MS;
    while (*argc > 1 && (*argv)[1][0] == '-') {
        if (strcmp((*argv)[1], "-d") == 0 && *argc > 2) {
            open_database(b, (*argv)[2]);
            *argv += 1;
            *argc -= 1;
        } else {
            letters = (*argv)[1];
        }
        *argv += 1;
        *argc -= 1;
    }
    b->histograms = (struct scrape_histograms){.native = strchr(letters, 'n') != NULL,
                                               .classic_too = strchr(letters, 'c') != NULL,
                                               .convert = strchr(letters, 'x') != NULL};
    for (int kernel = 0; kernel < LINE_KERNEL_COUNT; kernel++) {
        if (strchr(letters, '0' + kernel) != NULL &&
            !ingest_scratch_use(b->scratch, (enum line_kernel)kernel)) {
            fail("this machine does not have that kernel");
        }
    }
}

int main(int argc, char **argv) {
    struct arena arena;
    arena_init(&arena, 0);
    const struct label job = {STR("job"), STR("bench")};
    struct bench b = {.scratch = ingest_scratch_new(),
                      .config = {.job_name = STR("bench"), .honor_timestamps = true},
                      .target = labels_of(&arena, &job, 1),
                      .ts_ms = 1700000000000};
    read_settings(&b, &argc, &argv);
    const int n = argc - 1;
    if (n < 2) {
        (void)fprintf(stderr, "usage: bench_page [-ncx0123] [-d FOLDER] FILE FILE...\n");
        return 2;
    }
    struct page *const pages = read_pages(n, argv + 1);
    b.rows = row_storage_new(false);
    b.ingest = ingest_new(b.db != NULL ? tsdb_storage(b.db) : row_storage_as_storage(b.rows), 0);
    const int64_t first_ns = cpu_ns();
    feed(&b, &pages[0]);
    const double cold = (double)(cpu_ns() - first_ns) / (double)b.samples;
    const char *const asked = getenv("BENCH_ROUNDS");
    const int rounds = asked != NULL ? atoi(asked) : ROUNDS;
    double best = 1e30;
    double rate = 0;
    double all_ns = 0;
    uint64_t all = 0;
    for (int round = 0; round < rounds; round++) {
        b.samples = 0;
        b.bytes = 0;
        const int64_t start_ns = cpu_ns();
        for (int i = 1; i < n; i++) {
            feed(&b, &pages[i]);
        }
        const double ns = (double)(cpu_ns() - start_ns);
        all_ns += ns;
        all += b.samples;
        if (ns / (double)b.samples < best) {
            best = ns / (double)b.samples;
            rate = (double)b.bytes / ns * 1000;
        }
    }
    (void)printf("first page %.0f ns/sample, then %.1f ns/sample (all rounds %.1f), %.0f MB/s, %zu "
                 "lines, %.0f bytes a line, %llu samples\n",
                 cold, best, all_ns / (double)all, rate, ingest_line_count(b.ingest),
                 (double)ingest_memory_bytes(b.ingest) / (double)ingest_line_count(b.ingest),
                 (unsigned long long)all);
    ingest_free(b.ingest);
    ingest_scratch_free(b.scratch);
    row_storage_free(b.rows);
    if (b.db != NULL) {
        tsdb_close(b.db);
    }
    arena_release(&arena);
    for (int i = 0; i < n; i++) {
        mem_free(pages[i].text);
    }
    mem_free(pages);
    return 0;
}

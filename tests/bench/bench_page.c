/* Nanoseconds per sample from page to row: parse, look up, append; of one thread's CPU time.
 *
 *   bench_page [-ncx0123] [-d FOLDER] FILE...   pages of one target, in order
 *
 * All pages but the first are measured. Rows go to a storage that drops them, or with -d into a
 * database in an empty folder, log and sealing included. A page that ends in "# EOF" is read as
 * OpenMetrics, a file named *.pb as protobuf. n scrapes native histograms, c classic ones too, x
 * converts classic ones; 0 to 3 choose how known lines are read (enum line_kernel) instead of the
 * fastest way. BENCH_ROUNDS in the environment says how often all pages are gone through; rows are
 * sealed every 64 pages, so fewer pages than that make rounds without sealing, which then is in the
 * mean only.
 *
 * What counts is the CPU time of the one thread from the page in memory to the row committed, report
 * series and the kernel's part of writes included; not receiving, unpacking or fdatasync, which are
 * other threads' in the server. Layers of the mean: parsing with look-up (ingest_page); append (what
 * ingest_commit takes in a row that is not sealed, less its write: comparing, the log's record, chunks);
 * that write; and sealing (what rows that seal take more, their writes included). A reading of the
 * clock takes a few hundred ns, which are measured and taken off; they blur layers by a few tenths
 * of a ns a sample. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/vfs.h"
#include "scrape/ingest.h"
#include "tests/bench/timed_vfs.h"
#include "tests/support/row_storage.h"
#include "tsdb/head.h"
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

struct layers { /* CPU time so far */
    int64_t parse_ns;
    int64_t row_ns; /* commits that do not seal */
    int64_t write_ns;
    uint64_t rows;
    int64_t seal_ns; /* commits that do */
    uint64_t seals;
};

struct bench {
    struct bench_clock clock;
    struct timed_vfs disk;
    struct layers layers;
    int64_t reading_ns; /* what reading the clock takes */
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

static void fail(const char *what) {
    (void)fprintf(stderr, "bench_page: %s\n", what);
    exit(1);
}

static int64_t reading_ns(void) {
    enum { TIMES = 20000 };
    const int64_t start_ns = timed_cpu_ns();
    for (int i = 0; i < TIMES; i++) {
        (void)timed_cpu_ns();
    }
    return (timed_cpu_ns() - start_ns) / TIMES;
}

/* Whether the row that was just committed was sealed with those before it. */
static bool was_sealed(struct bench *b) {
    bool sealed = false;
    for (uint32_t id = 1; b->db != NULL && id < b->db->group_count; id++) {
        sealed |= b->db->groups[id] != NULL && b->db->groups[id]->rows == 0;
    }
    return sealed;
}

/* begin, behind the page, behind the commit. The reading between two is in one of them. */
static void account(struct bench *b, const int64_t at_ns[3], int64_t write_ns) {
    struct layers *const l = &b->layers;
    const int64_t commit_ns = at_ns[2] - at_ns[1] - (write_ns != 0 ? 3 : 1) * b->reading_ns;
    l->parse_ns += at_ns[1] - at_ns[0] - b->reading_ns;
    if (was_sealed(b)) {
        l->seal_ns += commit_ns;
        l->seals++;
    } else {
        l->row_ns += commit_ns;
        l->write_ns += write_ns != 0 ? write_ns - b->reading_ns : 0;
        l->rows++;
    }
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
    const int64_t written_ns = b->disk.write_ns;
    int64_t at_ns[3] = {timed_cpu_ns()};
    ingest_begin(b->ingest, b->scratch);
    enum err_code code = ingest_page(b->ingest, b->scratch, &scrape,
                                     (struct str){page->text, page->size}, SLACK, &err);
    at_ns[1] = timed_cpu_ns();
    if (code == ERR_OK) {
        code = ingest_commit(b->ingest, b->scratch, &scrape, &report, &err);
    }
    at_ns[2] = timed_cpu_ns();
    if (code != ERR_OK) {
        fail(err.text);
    }
    account(b, at_ns, b->disk.write_ns - written_ns);
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
    options.vfs = &b->disk.vfs;
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

static double layers_ns(const struct layers *l) {
    return (double)(l->parse_ns + l->row_ns + l->seal_ns);
}

static void print(const struct bench *b, const struct layers *sum, uint64_t samples, double cold,
                  double best, double rate) {
    const double n = (double)samples;
    const double row_ns = sum->rows != 0 ? (double)sum->row_ns / (double)sum->rows : 0;
    const double write_ns = sum->rows != 0 ? (double)sum->write_ns / (double)sum->rows : 0;
    const double commits = (double)(sum->rows + sum->seals);
    const double parse = (double)sum->parse_ns / n;
    const double append = (row_ns - write_ns) * commits / n;
    const double sealing = ((double)sum->seal_ns - row_ns * (double)sum->seals) / n;
    (void)printf(
        "first page %.0f ns/sample; then %.1f in the best round, mean %.1f: parse and look-up "
        "%.1f + append %.1f = %.1f, log write %.1f, sealing %.1f (%llu times); %.0f MB/s, "
        "%zu lines, %.0f bytes a line, %llu samples\n",
        cold, best, layers_ns(sum) / n, parse, append, parse + append, write_ns * commits / n,
        sealing, (unsigned long long)sum->seals, rate, ingest_line_count(b->ingest),
        (double)ingest_memory_bytes(b->ingest) / (double)ingest_line_count(b->ingest),
        (unsigned long long)samples);
}

static void run(struct bench *b, const struct page *pages, int n, double cold) {
    const char *const asked = getenv("BENCH_ROUNDS");
    const int rounds = asked != NULL ? atoi(asked) : ROUNDS;
    struct layers sum = {0};
    double best = 1e30;
    double rate = 0;
    uint64_t samples = 0;
    for (int round = 0; round < rounds; round++) {
        b->samples = 0;
        b->bytes = 0;
        b->layers = (struct layers){0};
        for (int i = 1; i < n; i++) {
            feed(b, &pages[i]);
        }
        const struct layers *const l = &b->layers;
        sum.parse_ns += l->parse_ns;
        sum.row_ns += l->row_ns;
        sum.write_ns += l->write_ns;
        sum.rows += l->rows;
        sum.seal_ns += l->seal_ns;
        sum.seals += l->seals;
        samples += b->samples;
        if (layers_ns(l) / (double)b->samples < best) {
            best = layers_ns(l) / (double)b->samples;
            rate = (double)b->bytes / layers_ns(l) * 1000;
        }
    }
    print(b, &sum, samples, cold, best, rate);
}

int main(int argc, char **argv) {
    struct arena arena;
    arena_init(&arena, 0);
    const struct label job = {STR("job"), STR("bench")};
    struct bench b = {.scratch = ingest_scratch_new(),
                      .config = {.job_name = STR("bench"), .honor_timestamps = true},
                      .target = labels_of(&arena, &job, 1),
                      .ts_ms = 1700000000000};
    timed_vfs_init(&b.disk);
    b.reading_ns = reading_ns();
    read_settings(&b, &argc, &argv);
    const int n = argc - 1;
    if (n < 2) {
        (void)fprintf(stderr, "usage: bench_page [-ncx0123] [-d FOLDER] FILE FILE...\n");
        return 2;
    }
    struct page *const pages = read_pages(n, argv + 1);
    b.rows = row_storage_new(false);
    b.ingest = ingest_new(b.db != NULL ? tsdb_storage(b.db) : row_storage_as_storage(b.rows), 0);
    feed(&b, &pages[0]);
    const double cold = layers_ns(&b.layers) / (double)b.samples;
    run(&b, pages, n, cold);
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

/* Nanoseconds per sample from page to row: parse, look up, put into the row of a storage that
 * drops it.
 *
 *   bench_page [-ncx] FILE...     pages of one target, in order; all but the first are measured
 *
 * A page that ends in "# EOF" is read as OpenMetrics, a file named *.pb as protobuf. n scrapes
 * native histograms, c classic ones too, x converts classic ones. Prints ns/sample, MB/s and the memory of the
 * target per line. Pages are read before; the best of several rounds counts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/vfs.h"
#include "scrape/ingest.h"
#include "tests/support/row_storage.h"

enum { ROUNDS = 60, PAGE_MAX = 256 * 1024 * 1024, SLACK = 64 };

struct page {
    char *text;
    size_t size;
    enum expo_format format;
};

struct bench {
    struct clock *clock;
    struct ingest *ingest;
    struct ingest_scratch *scratch;
    struct scrape_config config;
    struct scrape_histograms histograms;
    struct labels target;
    int64_t ts_ms;
    uint64_t samples, bytes;
};

static void feed(struct bench *b, const struct page *page) {
    const struct ingest_report report = {.up = true};
    struct ingest_scrape scrape = {.config = &b->config,
                                   .target = b->target,
                                   .clock = b->clock,
                                   .format = page->format,
                                   .histograms = b->histograms,
                                   .ts_ms = b->ts_ms,
                                   .now_ms = b->ts_ms};
    struct err err;
    ingest_begin(b->ingest, b->scratch);
    if (ingest_page(b->ingest, b->scratch, &scrape, (struct str){page->text, page->size}, SLACK,
                    &err) != ERR_OK ||
        ingest_commit(b->ingest, b->scratch, &scrape, &report, &err) != ERR_OK) {
        (void)fprintf(stderr, "bench_page: %s\n", err.text);
        exit(1);
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
            (void)fprintf(stderr, "bench_page: %s\n", err.text);
            exit(1);
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

int main(int argc, char **argv) {
    const char *const settings = argc > 1 && argv[1][0] == '-' ? argv[1] : "";
    argv += settings[0] != '\0';
    argc -= settings[0] != '\0';
    const int n = argc - 1;
    if (n < 2) {
        (void)fprintf(stderr, "usage: bench_page [-ncx] FILE FILE...\n");
        return 2;
    }
    struct page *const pages = read_pages(n, argv + 1);
    struct row_storage *const rows = row_storage_new(false);
    struct arena arena;
    arena_init(&arena, 0);
    const struct label job = {STR("job"), STR("bench")};
    struct bench b = {.clock = clock_system(),
                      .ingest = ingest_new(row_storage_as_storage(rows), 0),
                      .scratch = ingest_scratch_new(),
                      .config = {.job_name = STR("bench"), .honor_timestamps = true},
                      .histograms = {.native = strchr(settings, 'n') != NULL,
                                     .classic_too = strchr(settings, 'c') != NULL,
                                     .convert = strchr(settings, 'x') != NULL},
                      .target = labels_of(&arena, &job, 1),
                      .ts_ms = 1700000000000};
    const int64_t first_ns = clock_mono_ns(b.clock);
    feed(&b, &pages[0]);
    const double cold = (double)(clock_mono_ns(b.clock) - first_ns) / (double)b.samples;
    double best = 1e30;
    double rate = 0;
    for (int round = 0; round < ROUNDS; round++) {
        b.samples = 0;
        b.bytes = 0;
        const int64_t start_ns = clock_mono_ns(b.clock);
        for (int i = 1; i < n; i++) {
            feed(&b, &pages[i]);
        }
        const double ns = (double)(clock_mono_ns(b.clock) - start_ns);
        if (ns / (double)b.samples < best) {
            best = ns / (double)b.samples;
            rate = (double)b.bytes / ns * 1000;
        }
    }
    (void)printf("first page %.0f ns/sample, then %.1f ns/sample, %.0f MB/s, %zu lines, %.0f "
                 "bytes a line\n",
                 cold, best, rate, ingest_line_count(b.ingest),
                 (double)ingest_memory_bytes(b.ingest) / (double)ingest_line_count(b.ingest));
    ingest_free(b.ingest);
    ingest_scratch_free(b.scratch);
    row_storage_free(rows);
    arena_release(&arena);
    for (int i = 0; i < n; i++) {
        mem_free(pages[i].text);
    }
    mem_free(pages);
    return 0;
}

/* Any bytes as a page of lines whose classic histograms are converted while their series are kept:
 * no crash, and the series are those of the page read without conversion, errors included. In
 * OpenMetrics (where "_created" lines may go) with start timestamps: no crash, and a target that
 * knows the page reads from it what a fresh one reads.
 *
 * With labels of type and unit: the units that are looked for behind known lines are those that the
 * parser meets on its way. Start timestamps that are made change no error. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "scrape/ingest.h"
#include "tests/support/row_storage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reader {
    struct row_storage *rows;
    struct ingest *ingest;
    struct ingest_scratch *scratch;
    struct err err;
    uint64_t duplicates;
};

static void reader_init(struct reader *r) {
    r->rows = row_storage_new(true);
    r->ingest = ingest_new(row_storage_as_storage(r->rows), 0);
    r->scratch = ingest_scratch_new();
}

static void reader_release(struct reader *r) {
    ingest_free(r->ingest);
    ingest_scratch_free(r->scratch);
    row_storage_free(r->rows);
}

static enum err_code read_page(struct reader *r, struct str body, enum expo_format format,
                               struct scrape_histograms histograms, unsigned features,
                               int64_t ts_ms) {
    static const struct scrape_config config = {.honor_timestamps = true};
    const struct ingest_report report = {.up = true};
    struct ingest_scrape scrape = {.config = &config,
                                   .clock = clock_system(),
                                   .format = format,
                                   .ts_ms = ts_ms,
                                   .now_ms = ts_ms,
                                   .histograms = histograms,
                                   .features = features};
    r->err.text[0] = '\0';
    ingest_begin(r->ingest, r->scratch);
    const enum err_code code = ingest_page(r->ingest, r->scratch, &scrape, body, 1, &r->err);
    struct err err;
    const enum err_code committed = ingest_commit(r->ingest, r->scratch, &scrape, &report, &err);
    ASSERT(committed == ERR_OK);
    r->duplicates = scrape.duplicates;
    return code;
}

/* The samples that are numbers, as a sum that does not mind the order. */
static uint64_t digest(const char *log) {
    uint64_t sum = 0;
    for (const char *at = log; *at != '\0';) {
        const size_t n = strcspn(at, "\n");
        if (memmem(at, n, "{schema:", 8) == NULL) {
            uint64_t h = 1469598103934665603U;
            for (size_t i = 0; i < n; i++) {
                h = (h ^ (unsigned char)at[i]) * 1099511628211U;
            }
            sum += h;
        }
        at += n + (at[n] != '\0');
    }
    return sum;
}

static void compare_text(struct str body) {
    static const struct scrape_histograms both = {.convert = true, .classic_too = true};
    static const struct scrape_histograms none = {0};
    struct reader converting;
    struct reader plain;
    reader_init(&converting);
    reader_init(&plain);
    for (int64_t ts_ms = 1000; ts_ms <= 2000; ts_ms += 1000) {
        const enum err_code code = read_page(&converting, body, EXPO_FORMAT_TEXT, both, 0, ts_ms);
        const enum err_code want = read_page(&plain, body, EXPO_FORMAT_TEXT, none, 0, ts_ms);
        ASSERT(code == want);
        ASSERT(strcmp(converting.err.text, plain.err.text) == 0);
        /* A converted series may be one that the page has, too; then one of them is refused. */
        const uint64_t sum = digest(row_storage_take(converting.rows, false));
        const uint64_t wanted = digest(row_storage_take(plain.rows, false));
        ASSERT(converting.duplicates != plain.duplicates || sum == wanted);
    }
    reader_release(&plain);
    reader_release(&converting);
}

static void compare_openmetrics(struct str body) {
    static const struct scrape_histograms convert = {.convert = true};
    static const unsigned features = SCRAPE_EXEMPLARS | SCRAPE_START_STORE;
    struct reader known;
    struct reader fresh;
    struct buf log;
    reader_init(&known);
    reader_init(&fresh);
    buf_init(&log, 1 << 28);
    (void)read_page(&known, body, EXPO_FORMAT_OPENMETRICS, convert, features, 1000);
    (void)row_storage_take(known.rows, false);
    const enum err_code code =
        read_page(&known, body, EXPO_FORMAT_OPENMETRICS, convert, features, 2000);
    const enum err_code want =
        read_page(&fresh, body, EXPO_FORMAT_OPENMETRICS, convert, features, 2000);
    ASSERT(code == want);
    ASSERT(strcmp(known.err.text, fresh.err.text) == 0);
    if (code == ERR_OK) {
        buf_append_cstr(&log, row_storage_take(known.rows, false));
        ASSERT(strcmp(log.ptr != NULL ? log.ptr : "", row_storage_take(fresh.rows, false)) == 0);
    }
    buf_release(&log);
    reader_release(&fresh);
    reader_release(&known);
}

/* The same page, read in two ways: the results, errors included, must not differ. */
static void compare_ways(struct str body, const unsigned features[2], bool rows_too) {
    static const struct scrape_histograms none = {0};
    struct reader readers[2];
    enum err_code codes[2];
    for (size_t i = 0; i < 2; i++) {
        reader_init(&readers[i]);
    }
    for (int64_t ts_ms = 1000; ts_ms <= 2000; ts_ms += 1000) {
        for (size_t i = 0; i < 2; i++) {
            codes[i] =
                read_page(&readers[i], body, EXPO_FORMAT_OPENMETRICS, none, features[i], ts_ms);
        }
        ASSERT(codes[0] == codes[1]);
        ASSERT(strcmp(readers[0].err.text, readers[1].err.text) == 0);
        struct buf log;
        buf_init(&log, 1 << 28);
        buf_append_cstr(&log, row_storage_take(readers[0].rows, false));
        const char *const other = row_storage_take(readers[1].rows, false);
        ASSERT(!rows_too || strcmp(log.ptr != NULL ? log.ptr : "", other) == 0);
        buf_release(&log);
    }
    for (size_t i = 0; i < 2; i++) {
        reader_release(&readers[i]);
    }
}

static void compare_meta_labels(struct str body) {
    /* Without a start timestamp in it, looking for them only makes the page be read in turn. */
    static const unsigned in_turn[] = {SCRAPE_META_LABELS, SCRAPE_META_LABELS | SCRAPE_START_STORE};
    static const unsigned made[] = {SCRAPE_META_LABELS, SCRAPE_META_LABELS | SCRAPE_START_MAKE};
    compare_ways(body, in_turn, memmem(body.ptr, body.len, "_created", 8) == NULL);
    compare_ways(body, made, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *const page = malloc(size + 8);
    memcpy(page, data, size);
    memcpy(page + size, "# EOF\n", 6);
    compare_text((struct str){page, size});
    compare_openmetrics((struct str){page, size + 6});
    compare_meta_labels((struct str){page, size + 6});
    free(page);
    return 0;
}

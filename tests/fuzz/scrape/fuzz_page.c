/* Two pages of one target, split at the first byte 0xFF: the second is read with the template of
 * the first and, by another target, without. Errors, counts and rows must be the same. Rows are
 * left out when a TYPE line occurs: a known text keeps the labels its first type gave it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "scrape/ingest.h"
#include "tests/support/row_storage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reader {
    struct row_storage *rows;
    struct ingest *ingest;
    struct ingest_scratch *scratch;
    struct ingest_scrape scrape;
    struct err err;
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

static enum err_code read_page(struct reader *r, const uint8_t *data, size_t size, int64_t ts_ms) {
    static const struct scrape_config config = {.honor_timestamps = true};
    const struct ingest_report report = {.up = true};
    char *const page = malloc(size + 1); /* of exact size but for one */
    memcpy(page, data, size);
    r->err.text[0] = '\0';
    r->scrape = (struct ingest_scrape){
        .config = &config, .clock = clock_system(), .ts_ms = ts_ms, .now_ms = ts_ms};
    ingest_begin(r->ingest, r->scratch);
    const enum err_code code =
        ingest_page(r->ingest, r->scratch, &r->scrape, (struct str){page, size}, 1, &r->err);
    struct err err;
    const enum err_code committed = ingest_commit(r->ingest, r->scratch, &r->scrape, &report, &err);
    ASSERT(committed == ERR_OK);
    free(page);
    return code;
}

/* Samples without markers, which only the target with a past has; an unordered sum will do. */
static uint64_t digest(const char *log) {
    uint64_t sum = 0;
    for (const char *at = log; *at != '\0';) {
        const size_t n = strcspn(at, "\n");
        const struct str line = {at, n};
        if (!str_ends(line, STR(" stale"))) {
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *const cut = size > 0 ? memchr(data, 0xFF, size) : NULL;
    if (cut == NULL) {
        return 0;
    }
    const size_t first = (size_t)(cut - data);
    const uint8_t *const page = cut + 1;
    const size_t n = size - first - 1;
    struct reader known;
    struct reader fresh;
    reader_init(&known);
    reader_init(&fresh);
    (void)read_page(&known, data, first, 1000);
    (void)row_storage_take(known.rows, false);
    const enum err_code code = read_page(&known, page, n, 2000);
    const enum err_code want = read_page(&fresh, page, n, 2000);
    ASSERT(code == want);
    ASSERT(strcmp(known.err.text, fresh.err.text) == 0);
    ASSERT(known.scrape.scraped == fresh.scrape.scraped);
    if (memmem(data, size, "TYPE", 4) == NULL) {
        ASSERT(known.scrape.added == fresh.scrape.added);
        ASSERT(known.scrape.duplicates == fresh.scrape.duplicates);
        ASSERT(digest(row_storage_take(known.rows, false)) ==
               digest(row_storage_take(fresh.rows, false)));
    }
    reader_release(&fresh);
    reader_release(&known);
    return 0;
}

/* Two pages of one target, split at the first byte 0xFF: the second is read with the template of
 * the first and, by another target, without. Errors, counts and rows must be the same, whichever
 * formats the two are in (to pages in OpenMetrics their end is added). Rows are left out when a
 * TYPE line occurs: a known text keeps the labels its first type gave it. A twin of the first target
 * shares what it knows of the first page and must not see what becomes of that in the second. */
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

static void reader_init(struct reader *r, struct blob_store *blobs) {
    r->rows = row_storage_new(true);
    r->ingest = ingest_new(row_storage_as_storage(r->rows), 0);
    if (blobs != NULL) {
        ingest_use_blobs(r->ingest, blobs);
    }
    r->scratch = ingest_scratch_new();
}

static void reader_release(struct reader *r) {
    ingest_free(r->ingest);
    ingest_scratch_free(r->scratch);
    row_storage_free(r->rows);
}

static enum err_code read_page(struct reader *r, struct str body, enum expo_format format,
                               int64_t ts_ms) {
    static const struct str ends[] = {
        [EXPO_FORMAT_TEXT] = STR_INIT(""), [EXPO_FORMAT_OPENMETRICS] = STR_INIT("# EOF\n")};
    static const struct scrape_config config = {.honor_timestamps = true};
    const struct ingest_report report = {.up = true};
    const size_t size = body.len + ends[format].len;
    char *const page = malloc(size + 1); /* of exact size but for one */
    memcpy(page, body.ptr, body.len);
    memcpy(page + body.len, ends[format].ptr, ends[format].len);
    r->err.text[0] = '\0';
    r->scrape = (struct ingest_scrape){.config = &config,
                                       .clock = clock_system(),
                                       .format = format,
                                       .ts_ms = ts_ms,
                                       .now_ms = ts_ms};
    /* Every kernel of the machine has its turn. */
    (void)ingest_scratch_use(r->scratch, (enum line_kernel)(body.len % LINE_KERNEL_COUNT));
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

static void compare(struct str first, enum expo_format first_format, struct str page,
                    enum expo_format format, bool has_type) {
    struct blob_store *const blobs = blob_store_new();
    struct reader known;
    struct reader twin;
    struct reader lone_twin;
    struct reader fresh;
    reader_init(&known, blobs);
    reader_init(&twin, blobs);
    reader_init(&lone_twin, NULL);
    reader_init(&fresh, NULL);
    (void)read_page(&known, first, first_format, 1000);
    (void)read_page(&twin, first, first_format, 1000);
    (void)read_page(&lone_twin, first, first_format, 1000);
    (void)row_storage_take(known.rows, false);
    const enum err_code code = read_page(&known, page, format, 2000);
    const enum err_code want = read_page(&fresh, page, format, 2000);
    ASSERT(code == want);
    ASSERT(strcmp(known.err.text, fresh.err.text) == 0);
    ASSERT(known.scrape.scraped == fresh.scrape.scraped);
    if (!has_type) {
        ASSERT(known.scrape.added == fresh.scrape.added);
        ASSERT(known.scrape.duplicates == fresh.scrape.duplicates);
        ASSERT(digest(row_storage_take(known.rows, false)) ==
               digest(row_storage_take(fresh.rows, false)));
    }
    (void)read_page(&twin, first, first_format, 2000);
    (void)read_page(&lone_twin, first, first_format, 2000);
    ASSERT(strcmp(row_storage_take(twin.rows, true), row_storage_take(lone_twin.rows, true)) == 0);
    reader_release(&fresh);
    reader_release(&lone_twin);
    reader_release(&twin);
    reader_release(&known);
    blob_store_free(blobs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *const cut = size > 0 ? memchr(data, 0xFF, size) : NULL;
    if (cut == NULL) {
        return 0;
    }
    const struct str first = {(const char *)data, (size_t)(cut - data)};
    const struct str page = {(const char *)cut + 1, size - first.len - 1};
    const bool has_type = memmem(data, size, "TYPE", 4) != NULL;
    compare(first, EXPO_FORMAT_TEXT, page, EXPO_FORMAT_TEXT, has_type);
    compare(first, EXPO_FORMAT_OPENMETRICS, page, EXPO_FORMAT_OPENMETRICS, has_type);
    compare(first, EXPO_FORMAT_TEXT, page, EXPO_FORMAT_OPENMETRICS, has_type);
    compare(first, EXPO_FORMAT_OPENMETRICS, page, EXPO_FORMAT_TEXT, has_type);
    return 0;
}

/* known_lines: every kernel of this machine reads a known page as the parser reads it.
 *
 * Pages are made of all kinds of values, of keys and comments of every length around the widths of
 * vectors, and of small changes to pages that are known. The rows of a target that knows the page
 * must be those of one that sees it for the first time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/labels.h"
#include "base/mem.h"
#include "base/rng.h"
#include "scrape/ingest.h"
#include "tests/support/check_err.h"
#include "tests/support/fake_clock.h"
#include "tests/support/row_storage.h"

enum { PAGES = 60, LINES = 60, START_MS = 1700000000 };

struct reader {
    struct row_storage *rows;
    struct ingest *ingest;
    struct ingest_scratch *scratch;
};

static void reader_init(struct reader *r, enum line_kernel kernel) {
    r->rows = row_storage_new(true);
    r->ingest = ingest_new(row_storage_as_storage(r->rows), 0);
    r->scratch = ingest_scratch_new();
    assert_true(ingest_scratch_use(r->scratch, kernel));
}

static void reader_release(struct reader *r) {
    ingest_free(r->ingest);
    ingest_scratch_free(r->scratch);
    row_storage_free(r->rows);
}

/* What is stored of the page; borrowed. Only the bytes that may be read are there. */
static const char *read_page(struct reader *r, struct str page, int64_t ts_ms, uint64_t limit) {
    enum { ROOM = 64 };
    static const struct ingest_report report = {.up = true};
    const struct scrape_config config = {.honor_timestamps = true, .sample_limit = limit};
    struct ingest_scrape scrape = {.config = &config,
                                   .clock = clock_system(),
                                   .format = EXPO_FORMAT_TEXT,
                                   .ts_ms = ts_ms,
                                   .now_ms = START_MS};
    struct err err = {0};
    char *const copy = malloc(page.len + ROOM);
    memcpy(copy, page.ptr, page.len);
    memset(copy + page.len, '1', ROOM);
    ingest_begin(r->ingest, r->scratch);
    const enum err_code code =
        ingest_page(r->ingest, r->scratch, &scrape, (struct str){copy, page.len}, ROOM, &err);
    free(copy);
    struct err commit_err;
    assert_ok(ingest_commit(r->ingest, r->scratch, &scrape, &report, &commit_err), &commit_err);
    return code == ERR_OK ? row_storage_take(r->rows, false) : "failed\n";
}

static int by_text(const void *a, const void *b) {
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Rows come in the order of slots, which is that in which a target saw its series. */
static void sort_rows(struct buf *to, const char *rows) {
    struct str lines[2 * LINES];
    size_t n = 0;
    for (struct str rest = str_of(rows); rest.len > 0;) {
        assert_true(n < COUNT_OF(lines));
        lines[n] = str_sub(rest, 0, (size_t)str_find_char(rest, '\n') + 1);
        rest = str_from(rest, lines[n++].len);
    }
    qsort(lines, n, sizeof(lines[0]), by_text);
    buf_clear(to);
    for (size_t i = 0; i < n; i++) {
        buf_append_str(to, lines[i]);
    }
    buf_append_char(to, '\0');
}

static void append_digits(struct buf *to, struct rng *rng, size_t n) {
    for (size_t i = 0; i < n; i++) {
        buf_append_char(to, (char)('0' + rng_u64(rng) % 10));
    }
}

static void append_value(struct buf *to, struct rng *rng) {
    static const char *const odd[] = {
        "0",
        "-0",
        "0.0",
        "+Inf",
        "-Inf",
        "NaN",
        ".5",
        "5.",
        "-1.25",
        "+7",
        "0e+00",
        "1e+08",
        "1e+10",
        "1.5e+01",
        "1.5e+00",
        "9e-22",
        "9e-23",
        "1e-05",
        "2.50e-05",
        "0.000100",
        "00012",
        "1e+400",
        "12e",
        "1.2.3",
        "1e+9",
        "1e+009",
        "9007199254740991",
        "9007199254740993",
        "1.797693134862315e+308",
        "4503599627370497.5",
        "123456789012345",
        "1234567.12345678",
        "99999999.9999999",
    };
    switch (rng_u64(rng) % 6) {
    case 0:
        append_digits(to, rng, 1 + rng_u64(rng) % 20);
        return;
    case 1:
        append_digits(to, rng, 1 + rng_u64(rng) % 9);
        buf_append_char(to, '.');
        append_digits(to, rng, rng_u64(rng) % 18);
        return;
    case 2:
        append_digits(to, rng, 1);
        buf_append_char(to, '.');
        append_digits(to, rng, 1 + rng_u64(rng) % 16);
        buf_printf(to, "e%c%02u", rng_u64(rng) % 2 == 0 ? '+' : '-', (unsigned)(rng_u64(rng) % 25));
        return;
    default: {
        const char *const text = odd[rng_u64(rng) % COUNT_OF(odd)];
        const bool refused =
            strcmp(text, "1e+400") == 0 || strcmp(text, "12e") == 0 || strcmp(text, "1.2.3") == 0;
        buf_append_cstr(to, refused && rng_u64(rng) % 50 != 0 ? "1" : text);
        return;
    }
    }
}

/* shape decides on lines, value on what is behind them. */
static void make_page(struct buf *to, uint64_t shape, uint64_t value) {
    struct rng lines = rng_seeded(shape);
    struct rng values = rng_seeded(value);
    buf_clear(to);
    for (int i = 0; i < LINES; i++) {
        const bool left_out = rng_u64(&values) % 40 == 0;
        const size_t comment = rng_u64(&lines) % 4 == 0 ? rng_u64(&lines) % 150 : 0;
        const size_t key = rng_u64(&lines) % 140;
        if (left_out) {
            continue;
        }
        if (comment > 0) {
            buf_printf(
                to, "# HELP m%d %.*s\n", i, (int)comment,
                "a text that is long enough to need several vectors, and ends where it ends: "
                "nowhere in particular, as long as it is long enough for all of this");
        }
        buf_printf(to, "m%d", i);
        for (size_t n = 0; n < key; n++) {
            buf_append_char(to, (char)('a' + n % 26));
        }
        buf_append_char(to, ' ');
        append_value(to, &values);
        buf_append_cstr(to, rng_u64(&values) % 30 == 0 ? " 1699999999\n" : "\n");
    }
}

static void check_kernel(enum line_kernel kernel, uint64_t limit) {
    struct reader known;
    struct buf page;
    struct buf want;
    struct buf got;
    buf_init(&page, 1 << 20);
    buf_init(&got, 1 << 20);
    buf_init(&want, 1 << 20);
    for (uint64_t shape = 0; shape < 4; shape++) {
        reader_init(&known, kernel);
        for (uint64_t value = 0; value < PAGES; value++) {
            struct reader fresh;
            reader_init(&fresh, LINE_KERNEL_PLAIN);
            make_page(&page, shape, value * 7 + shape);
            sort_rows(&want, read_page(&fresh, buf_str(&page), START_MS, limit));
            /* what ends is another matter: the page is read twice, the second time with all of it */
            const int64_t now_ms = START_MS;
            row_storage_rewind(known.rows);
            (void)read_page(&known, buf_str(&page), now_ms, limit);
            (void)row_storage_take(known.rows, true);
            row_storage_rewind(known.rows);
            sort_rows(&got, read_page(&known, buf_str(&page), now_ms, limit));
            assert_string_equal(got.ptr, want.ptr);
            (void)row_storage_take(known.rows, true);
            reader_release(&fresh);
        }
        reader_release(&known);
    }
    buf_release(&want);
    buf_release(&got);
    buf_release(&page);
}

static void every_kernel_reads_what_the_parser_reads(void **state) {
    (void)state;
    for (int k = 0; k < LINE_KERNEL_COUNT; k++) {
        struct ingest_scratch *const probe = ingest_scratch_new();
        const bool there = ingest_scratch_use(probe, (enum line_kernel)k);
        ingest_scratch_free(probe);
        if (there) {
            check_kernel((enum line_kernel)k, 0);
            check_kernel((enum line_kernel)k, 30);
        }
    }
}

static void the_portable_and_the_base_kernel_are_always_there(void **state) {
    (void)state;
    struct ingest_scratch *const probe = ingest_scratch_new();
    assert_true(ingest_scratch_use(probe, LINE_KERNEL_PLAIN));
    assert_true(ingest_scratch_use(probe, LINE_KERNEL_BASE));
    ingest_scratch_free(probe);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_reads_what_the_parser_reads),
        cmocka_unit_test(the_portable_and_the_base_kernel_are_always_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* ingest: pages of the Go client library and made-up ones, in protobuf, OpenMetrics and text, give
 * the samples that the parsers of Prometheus give.
 *
 * tests/golden/scrape holds pages and, beside each, what is wanted of it under some settings:
 * <page>.<settings>.want, where n scrapes native histograms, c classic ones too, x converts classic
 * ones and s keeps start timestamps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/labels.h"
#include "base/mem.h"
#include "scrape/ingest.h"
#include "tests/support/check_err.h"
#include "tests/support/fake_clock.h"
#include "tests/support/row_storage.h"

#define FOLDER "tests/golden/scrape/"
#define NOW_MS INT64_C(1700000000000)

static void read_file(const char *name, struct buf *to) {
    char path[256];
    char bytes[4096];
    (void)snprintf(path, sizeof(path), FOLDER "%s", name);
    FILE *const f = fopen(path, "rb");
    assert_non_null(f);
    for (size_t n = 1; n > 0;) {
        n = fread(bytes, 1, sizeof(bytes), f);
        buf_append(to, bytes, n);
    }
    (void)fclose(f);
    assert_true(buf_ok(to));
}

static struct str take_line(struct str *text) {
    const ptrdiff_t end = str_find_char(*text, '\n');
    const struct str line = end < 0 ? *text : str_sub(*text, 0, (size_t)end);
    *text = str_from(*text, line.len + (end >= 0));
    return line;
}

static void check_lines(const char *name, int round, struct str got, struct str want) {
    while (got.len > 0 || want.len > 0) {
        const struct str a = take_line(&got);
        const struct str b = take_line(&want);
        if (!str_eq(a, b)) {
            fail_msg("%s, round %d: got\n%.*s\nwant\n%.*s", name, round, STR_ARG(a), STR_ARG(b));
        }
    }
}

/* A target that is scraped twice: the second page is one of known lines. */
struct target {
    struct row_storage *rows;
    struct ingest *ingest;
    struct ingest_scratch *scratch;
    struct fake_clock clock;
    int64_t now_ms;
};

static void check_page(struct target *t, const char *page, enum expo_format format,
                       const char *settings, int round) {
    static const struct scrape_config config = {.job_name = STR_INIT("j"),
                                                .honor_timestamps = true};
    const struct ingest_report report = {.up = true};
    struct buf body;
    struct buf want;
    char name[128];
    buf_init(&body, 1 << 20);
    buf_init(&want, 1 << 20);
    (void)snprintf(name, sizeof(name), "%s.%s.want", page, settings[0] == '\0' ? "none" : settings);
    read_file(page, &body);
    read_file(name, &want);
    struct ingest_scrape scrape = {
        .config = &config,
        .clock = &t->clock.clock,
        .format = format,
        .ts_ms = t->now_ms,
        .now_ms = t->now_ms,
        .histograms = {.native = strchr(settings, 'n') != NULL,
                       .classic_too = strchr(settings, 'c') != NULL,
                       .convert = strchr(settings, 'x') != NULL},
        .features =
            SCRAPE_EXEMPLARS | (strchr(settings, 's') != NULL ? (unsigned)SCRAPE_START_STORE : 0U),
    };
    struct err err = {0};
    ingest_begin(t->ingest, t->scratch);
    const enum err_code code = ingest_page(t->ingest, t->scratch, &scrape, buf_str(&body), 0, &err);
    struct err commit_err;
    assert_ok(ingest_commit(t->ingest, t->scratch, &scrape, &report, &commit_err), &commit_err);
    struct buf got;
    buf_init(&got, 1 << 20);
    if (code != ERR_OK) {
        buf_printf(&got, "error: %s\n", err.text);
        (void)row_storage_take(t->rows, false);
    } else {
        buf_append_cstr(&got, row_storage_take(t->rows, false));
        assert_int_equal(scrape.series_added > 0, round == 0);
    }
    check_lines(name, round, buf_str(&got), buf_str(&want));
    buf_release(&got);
    buf_release(&want);
    buf_release(&body);
}

static void check_settings(const char *page, enum expo_format format, const char *settings) {
    struct target t = {.now_ms = NOW_MS};
    fake_clock_init(&t.clock, NOW_MS * NS_PER_MS);
    t.rows = row_storage_new(true);
    t.ingest = ingest_new(row_storage_as_storage(t.rows), 0);
    t.scratch = ingest_scratch_new();
    check_page(&t, page, format, settings, 0);
    /* the same time again, for the same text: a fresh storage takes it */
    row_storage_rewind(t.rows);
    check_page(&t, page, format, settings, 1);
    ingest_free(t.ingest);
    ingest_scratch_free(t.scratch);
    row_storage_free(t.rows);
}

static void pages_in_protobuf_give_the_samples_of_prometheus(void **state) {
    static const char *const pages[] = {"client.pb", "random0.pb", "random1.pb", "random2.pb",
                                        "random3.pb"};
    static const char *const settings[] = {"", "n", "ncs", "nx", "cx", "ncx"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(pages); i++) {
        for (size_t k = 0; k < COUNT_OF(settings); k++) {
            check_settings(pages[i], EXPO_FORMAT_PROTOBUF, settings[k]);
        }
    }
}

static void pages_in_openmetrics_give_the_samples_of_prometheus(void **state) {
    static const char *const settings[] = {"", "x", "cx", "s", "xs", "cxs"};
    (void)state;
    for (size_t k = 0; k < COUNT_OF(settings); k++) {
        check_settings("client.om", EXPO_FORMAT_OPENMETRICS, settings[k]);
    }
}

static void pages_in_text_give_the_samples_of_prometheus(void **state) {
    static const char *const settings[] = {"", "x", "cx"};
    (void)state;
    for (size_t k = 0; k < COUNT_OF(settings); k++) {
        check_settings("client.txt", EXPO_FORMAT_TEXT, settings[k]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_in_protobuf_give_the_samples_of_prometheus),
        cmocka_unit_test(pages_in_openmetrics_give_the_samples_of_prometheus),
        cmocka_unit_test(pages_in_text_give_the_samples_of_prometheus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Equal bytes kept once, and targets of equal shape that share what they know of their pages. */
#include "tests/support/check_err.h"

#include <string.h>

#include "base/mem.h"
#include "base/mutex.h"
#include "scrape/blob_store.h"
#include "scrape/ingest.h"
#include "tests/support/row_storage.h"

static void equal_bytes_are_one_blob_until_the_last_reference_goes(void **state) {
    (void)state;
    struct blob_store *const store = blob_store_new();
    char text[] = "abc";
    const void *const a = blob_intern(store, text, 3);
    const void *const b = blob_intern(store, "abc", 3);
    const void *const c = blob_intern(store, "abd", 3);
    text[0] = 'x';
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_memory_equal(a, "abc", 3);
    assert_int_equal(blob_store_count(store), 2);
    assert_int_equal(blob_share_bytes(store, c), 2 * blob_share_bytes(store, a) + 1);
    blob_unref(store, a);
    assert_memory_equal(b, "abc", 3);
    blob_unref(store, b);
    blob_unref(store, c);
    assert_int_equal(blob_store_count(store), 0);
    blob_store_free(store);
}

static void many_blobs_of_any_size_are_found_again(void **state) {
    (void)state;
    enum { COUNT = 1000 };
    struct blob_store *const store = blob_store_new();
    const void *blobs[COUNT];
    char bytes[COUNT];
    memset(bytes, 'z', sizeof(bytes));
    for (size_t i = 0; i < COUNT; i++) {
        blobs[i] = blob_intern(store, i > 0 ? bytes : NULL, i);
    }
    assert_int_equal(blob_store_count(store), COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_ptr_equal(blob_intern(store, bytes, i), blobs[i]);
        blob_unref(store, blobs[i]);
        blob_unref(store, blobs[i]);
    }
    assert_int_equal(blob_store_count(store), 0);
    blob_store_free(store);
}

static void intern_often(void *ctx) {
    struct blob_store *const store = ctx;
    for (int i = 0; i < 2000; i++) {
        const int key = i % 7;
        const void *const blob = blob_intern(store, &key, sizeof(key));
        assert_memory_equal(blob, &key, sizeof(key));
        blob_unref(store, blob);
    }
}

static void threads_may_share_a_store(void **state) {
    (void)state;
    struct blob_store *const store = blob_store_new();
    struct thread threads[3];
    for (size_t i = 0; i < 3; i++) {
        thread_start(&threads[i], "blobs", intern_often, store);
    }
    for (size_t i = 0; i < 3; i++) {
        thread_join(&threads[i]);
    }
    assert_int_equal(blob_store_count(store), 0);
    blob_store_free(store);
}

/* ---- targets ---- */

struct fixture {
    struct blob_store *store;
    struct row_storage *rows;
    struct ingest_scratch *scratch;
    struct scrape_config config;
    int64_t ts_ms;
};

static int setup(void **state) {
    struct fixture *const f = mem_zalloc(sizeof(*f));
    f->store = blob_store_new();
    f->rows = row_storage_new(true);
    f->scratch = ingest_scratch_new();
    f->ts_ms = 1000;
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *const f = *state;
    ingest_scratch_free(f->scratch);
    row_storage_free(f->rows);
    blob_store_free(f->store);
    mem_free(f);
    return 0;
}

static struct ingest *open_target(struct fixture *f) {
    struct ingest *const ig = ingest_new(row_storage_as_storage(f->rows), 0);
    ingest_use_blobs(ig, f->store);
    return ig;
}

/* The lines without their timestamps. */
static void strip_times(const char *log, char *to) {
    for (bool in_time = true; *log != '\0'; log++) {
        if (!in_time) {
            *to++ = *log;
        }
        in_time = in_time ? *log != ' ' : *log == '\n';
    }
    *to = '\0';
}

/* Feeds a page and expects the row, without report series and time. */
static void expect(struct fixture *f, struct ingest *ig, const char *text, const char *want) {
    const struct ingest_report report = {.up = true};
    struct ingest_scrape scrape = {
        .config = &f->config, .clock = clock_system(), .ts_ms = f->ts_ms, .now_ms = f->ts_ms};
    struct err err = {0};
    const size_t n = strlen(text);
    f->ts_ms += 1000;
    ingest_begin(ig, f->scratch);
    char *const page = mem_strndup(text, n);
    assert_ok(ingest_page(ig, f->scratch, &scrape, (struct str){page, n}, 1, &err), &err);
    mem_free(page);
    assert_ok(ingest_commit(ig, f->scratch, &scrape, &report, &err), &err);
    char got[256];
    const char *const log = row_storage_take(f->rows, false);
    assert_true(strlen(log) < sizeof(got));
    strip_times(log, got);
    assert_string_equal(got, want);
}

static void targets_of_one_shape_share_it_and_part_when_one_changes(void **state) {
    struct fixture *const f = *state;
    struct ingest *const a = open_target(f);
    struct ingest *const b = open_target(f);
    expect(f, a, "# HELP x y\nx 1\ny 2\n", "x 1\ny 2\n");
    const size_t alone = ingest_memory_bytes(a);
    expect(f, b, "# HELP x y\nx 3\ny 4\n", "x 3\ny 4\n");
    assert_int_equal(blob_store_count(f->store), 3); /* text, entries, slots */
    assert_true(ingest_memory_bytes(a) < alone);
    expect(f, a, "# HELP x y\nx 4\ny 4\n", "x 4\ny 4\n");
    expect(f, a, "# HELP x y\nx 5\nz 6\ny 7\n", "x 5\ny 7\nz 6\n");
    assert_int_equal(blob_store_count(f->store), 6);
    expect(f, b, "# HELP x y\nx 8\ny 9\n", "x 8\ny 9\n");
    expect(f, b, "# HELP x y\nx 8\nz 2\ny 9\n", "x 8\ny 9\nz 2\n");
    assert_int_equal(blob_store_count(f->store), 3);
    assert_int_equal(ingest_line_count(a), 3);
    ingest_free(a);
    expect(f, b, "# HELP x y\nx 0\nz 1\ny 2\n", "x 0\ny 2\nz 1\n");
    ingest_free(b);
    assert_int_equal(blob_store_count(f->store), 0);
}

static void a_vanished_line_ends_for_one_target_only(void **state) {
    struct fixture *const f = *state;
    struct ingest *const a = open_target(f);
    struct ingest *const b = open_target(f);
    expect(f, a, "x 1\ny 2\n", "x 1\ny 2\n");
    expect(f, b, "x 1\ny 2\n", "x 1\ny 2\n");
    expect(f, a, "x 1\n", "x 1\ny stale\n");
    expect(f, b, "x 1\ny 3\n", "x 1\ny 3\n");
    expect(f, a, "x 1\ny 4\n", "x 1\ny 4\n");
    ingest_forget_lines(a);
    expect(f, b, "x 1\ny 5\n", "x 1\ny 5\n");
    expect(f, a, "x 1\ny 6\n", "x 1\ny 6\n");
    ingest_free(a);
    ingest_free(b);
}

static void a_page_that_changes_each_time_is_not_shared(void **state) {
    struct fixture *const f = *state;
    struct ingest *const ig = open_target(f);
    expect(f, ig, "a 1\n", "a 1\n");
    expect(f, ig, "b 1\n", "a stale\nb 1\n");
    assert_int_equal(blob_store_count(f->store), 0);
    expect(f, ig, "c 1\n", "b stale\nc 1\n");
    assert_int_equal(blob_store_count(f->store), 0);
    expect(f, ig, "c 2\n", "c 2\n");
    assert_int_equal(blob_store_count(f->store), 3);
    ingest_free(ig);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_bytes_are_one_blob_until_the_last_reference_goes),
        cmocka_unit_test(many_blobs_of_any_size_are_found_again),
        cmocka_unit_test(threads_may_share_a_store),
        CASE(targets_of_one_shape_share_it_and_part_when_one_changes),
        CASE(a_vanished_line_ends_for_one_target_only),
        CASE(a_page_that_changes_each_time_is_not_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

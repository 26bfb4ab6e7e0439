/* Histograms of which a column is lost: its definition, or its samples. They are left out; none is read, or
 * cut, without a part. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compact_world.h"
#include "tests/support/check_err.h"

enum { T = COMPACT_BASE_MS, BUCKETS = 80 };

static struct storage_group *open_group(struct world *w) {
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "h job=j");
    return g;
}

/* With so many buckets, whose counts depend on the time. */
static void put(struct world *w, struct storage_group *g, int64_t ts_ms, uint32_t buckets) {
    double counts[BUCKETS];
    struct histogram_span span = {.offset = 0, .length = buckets};
    struct histogram h = {.float_counts = true, .zero_threshold = 0.001, .sum = (double)ts_ms};
    for (uint32_t i = 0; i < buckets; i++) {
        counts[i] = (double)((uint64_t)ts_ms * (i + 7) * 2654435761U % 1000003) / 7;
        h.count += counts[i];
    }
    h.positive = (struct histogram_side){
        .spans = &span, .span_count = 1, .counts = counts, .count = buckets};
    const struct num none = {0};
    const uint8_t state = SLOT_FLOAT_HISTOGRAM;
    const struct histogram *histograms = &h;
    const struct storage_row row = {.ts_ms = ts_ms,
                                    .slot_count = 1,
                                    .values = &none,
                                    .states = &state,
                                    .histograms = &histograms};
    struct storage_row_result result;
    struct err err;
    assert_ok(storage_group_commit(w->st, g, &row, &result, &err), &err);
    assert_int_equal(result.accepted, 1);
}

static const char *dump(struct world *w) {
    return world_dump(w, "__name__=h", INT64_MIN, INT64_MAX);
}

static void compact_all(struct world *w) {
    struct err err;
    assert_ok(tsdb_compact(w->db, true, &err), &err);
}

static off_t size_of(const struct world *w, const char *file) {
    char path[128];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/%s", w->dir, file);
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static void cut_file(const struct world *w, const char *file, off_t size) {
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", w->dir, file);
    assert_int_equal(truncate(path, size), 0);
}

static void flip(const struct world *w, const char *file, off_t at) {
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", w->dir, file);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    const int byte = fgetc(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 4, f), byte ^ 4);
    assert_int_equal(fclose(f), 0);
}

/* So that rows of damaged runs are not read from it. */
static void remove_log(const struct world *w) {
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/wal/00/00000001", w->dir);
    assert_int_equal(unlink(path), 0);
}

static void histograms_with_a_column_that_nobody_defines_are_left_out(void **state) {
    struct world w;
    (void)state;
    world_init(&w);
    w.options.no_compaction = false;
    world_open(&w);
    struct storage_group *g = open_group(&w);
    int64_t ts_ms = T;
    for (int i = 0; i < 100; i++) {
        put(&w, g, ts_ms++, 2);
    }
    const char *before = dump(&w);
    const off_t known = size_of(&w, "series/00000001");
    for (int i = 0; i < 100; i++) { /* in one run with those before, and in one without */
        put(&w, g, ts_ms++, 3);
    }
    assert_true(size_of(&w, "series/00000001") > known);
    assert_true(strlen(dump(&w)) > strlen(before));
    storage_group_close(w.st, g);
    world_crash(&w);
    cut_file(&w, "series/00000001", known);
    world_open(&w);
    assert_string_equal(dump(&w), before);

    g = open_group(&w); /* what comes is whole again, in new columns */
    put(&w, g, ts_ms, 2);
    put(&w, g, ts_ms + 1, 3);
    const char *after = dump(&w);
    assert_memory_equal(after, before, strlen(before) - 1);
    assert_non_null(strstr(after + strlen(before) - 1, ",+1="));
    assert_non_null(strstr(after + strlen(before) - 1, ",+2="));
    storage_group_close(w.st, g);
    world_close(&w);
    world_open(&w);
    assert_string_equal(dump(&w), after);
    const uint64_t damage = w.replayed.damaged_records;
    compact_all(&w);
    assert_string_equal(dump(&w), after);
    world_close(&w);
    world_open(&w);
    assert_string_equal(dump(&w), after);
    assert_true(w.replayed.damaged_records <= damage); /* it has left the head */
    world_release(&w);
}

/* Each sample of a dump is one of another, but for hints, which a neighbour that is gone takes along. */
static size_t check_samples(char *some, const char *all) {
    size_t n = 0;
    char *save = NULL;
    for (char *word = strtok_r(some, " \n", &save); word != NULL;
         word = strtok_r(NULL, " \n", &save)) {
        if (strchr(word, ':') != NULL) {
            char *hint = strstr(word, ",same,");
            if (hint != NULL) {
                memmove(hint, hint + 5, strlen(hint + 5) + 1);
            }
            assert_non_null(strstr(all, word));
            n++;
        }
    }
    return n;
}

static char *without_hints(struct world *w, const char *text) {
    char *copy = arena_cstr(&w->arena, str_of(text));
    for (char *at = copy; (at = strstr(at, ",same,")) != NULL;) {
        memmove(at, at + 5, strlen(at + 5) + 1);
    }
    return copy;
}

static void a_cut_leaves_out_histograms_with_a_column_on_a_damaged_page(void **state) {
    struct world w;
    size_t counts[8];
    bool any_left_out = false;
    (void)state;
    world_init(&w);
    w.options.no_compaction = false;
    world_open(&w);
    struct storage_group *g = open_group(&w);
    for (int i = 0; i < 200; i++) {
        put(&w, g, T + i, BUCKETS);
        if (i % 10 == 0) {
            tsdb_maintain(w.db);
        }
    }
    const char *whole = without_hints(&w, dump(&w));
    storage_group_close(w.st, g);
    world_close(&w);
    for (int place = 0; place < 8; place++) { /* the first one is sound */
        struct world copy;
        world_init(&copy);
        const off_t size = size_of(&w, "l0/00/00000001");
        rmdir(copy.dir);
        copy.options.no_compaction = false;
        world_copy(&copy, &w);
        remove_log(&copy);
        if (place != 0) {
            flip(&copy, "l0/00/00000001", size / 8 * place);
        }
        world_open(&copy);
        compact_all(&copy);
        counts[place] = check_samples(arena_cstr(&copy.arena, str_of(dump(&copy))), whole);
        any_left_out |= counts[place] < counts[0];
        assert_in_range(counts[place], 1, counts[0]);
        world_release(&copy);
    }
    assert_true(any_left_out);
    world_release(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histograms_with_a_column_that_nobody_defines_are_left_out),
        cmocka_unit_test(a_cut_leaves_out_histograms_with_a_column_on_a_damaged_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

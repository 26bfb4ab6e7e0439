/* The database's own metrics: each name that dashboards know, with the value that is true. */
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "compact_world.h"
#include "tests/support/check_err.h"

enum { S = COMPACT_BASE_MS, W = COMPACT_WINDOW_MS };

struct measured {
    struct world w;
    struct metric_registry *registry;
};

static void begin(struct measured *m) {
    compact_world_init(&m->w);
    m->registry = metric_registry_new();
    m->w.options.registry = m->registry;
    m->w.options.max_exemplars = 10;
    world_open(&m->w);
}

static void end(struct measured *m) {
    world_close(&m->w);
    world_release(&m->w);
    metric_registry_free(m->registry);
}

/* The value behind "\n<series> "; the test fails when there is none. */
static double value_of(struct measured *m, const char *series) {
    struct buf text;
    char key[160];
    double value = 0;
    buf_init(&text, 1 << 20);
    buf_append(&text, "\n", 1);
    metric_render(m->registry, &text);
    (void)snprintf(key, sizeof(key), "\n%s ", series);
    const char *all = arena_cstr(&m->w.arena, buf_str(&text));
    const char *at = strstr(all, key);
    if (at == NULL) {
        print_message("no %s\n", series);
    }
    assert_non_null(at);
    at += strlen(key);
    assert_int_equal(number_parse_double((struct str){at, strcspn(at, "\n")}, &value), NUMBER_OK);
    buf_release(&text);
    return value;
}

#define T "prometheus_tsdb_"

static void append(struct measured *m, const char *labels, int64_t ts_ms) {
    struct storage_appender *a;
    struct err err;
    assert_ok(storage_appender_begin(m->w.st, &a, &err), &err);
    assert_int_equal(world_append(&m->w, a, labels, ts_ms, 1), ERR_OK);
    assert_ok(storage_appender_commit(m->w.st, a, &err), &err);
}

static void fill(struct measured *m, int windows) {
    for (int i = 0; i < windows * 8; i++) {
        append(m, "a job=j", S + i * (W / 8));
    }
}

static bool is(double got, double want) {
    if (got != want) {
        print_message("%f, not %f\n", got, want);
    }
    return got == want;
}

static void of_the_head(void **state) {
    (void)state;
    struct measured m;
    begin(&m);
    fill(&m, 1);
    append(&m, "b job=j", S + W);
    tsdb_maintain(m.w.db);
    assert_true(is(value_of(&m, T "head_series"), 2));
    assert_true(is(value_of(&m, T "head_series_created_total"), 2));
    assert_true(is(value_of(&m, T "head_samples_appended_total{type=\"float\"}"), 9));
    assert_true(is(value_of(&m, T "head_min_time"), S));
    assert_true(is(value_of(&m, T "head_max_time_seconds"), (S + W) / 1000.0));
    assert_true(value_of(&m, T "head_chunks") <= value_of(&m, T "head_chunks_created_total"));
    assert_true(is(value_of(&m, T "head_chunks_created_total") -
                       value_of(&m, T "head_chunks_removed_total"),
                   value_of(&m, T "head_chunks")));
    assert_true(value_of(&m, T "wal_storage_size_bytes") > 0);
    assert_true(value_of(&m, T "wal_fsync_duration_seconds_count") > 0);
    assert_true(value_of(&m, T "wal_segment_current") >= 1);
    assert_true(is(value_of(&m, T "wal_corruptions_total"), 0));
    assert_true(is(value_of(&m, T "wal_writes_failed_total"), 0));
    assert_true(is(value_of(&m, T "blocks_loaded"), 0));
    end(&m);
}

static void of_compaction_and_deletion(void **state) {
    (void)state;
    struct measured m;
    struct err err;
    struct matcher matcher;
    begin(&m);
    fill(&m, 6);
    const double before = value_of(&m, T "compactions_total");
    assert_true(is(before, 0));
    assert_ok(tsdb_compact(m.w.db, true, &err), &err);
    tsdb_maintain(m.w.db);
    const double compactions = value_of(&m, T "compactions_total");
    assert_true(compactions >= 6);
    assert_true(is(value_of(&m, T "compaction_duration_seconds_count"), compactions));
    assert_true(is(value_of(&m, T "compactions_triggered_total"), 2));
    assert_true(is(value_of(&m, T "compactions_failed_total"), 0));
    assert_true(is(value_of(&m, T "compaction_populating_block"), 0));
    assert_true(value_of(&m, T "blocks_loaded") >= 1);
    assert_true(value_of(&m, T "storage_blocks_bytes") > 0);
    assert_true(is(value_of(&m, T "lowest_timestamp"), S));
    assert_true(value_of(&m, T "head_truncations_total") >= 1);
    assert_true(value_of(&m, T "wal_truncations_total") >= 1);
    assert_true(is(value_of(&m, T "wal_truncate_duration_seconds_count"),
                   value_of(&m, T "wal_truncations_total")));
    assert_true(is(value_of(&m, T "wal_truncations_failed_total"), 0));
    /* each sample is of one block that was cut, merges cut none */
    const double blocks = value_of(&m, T "compaction_chunk_samples_count");
    assert_true(blocks >= 6);
    assert_true(is(value_of(&m, T "compaction_chunk_size_bytes_count"), blocks));
    assert_true(is(value_of(&m, T "compaction_chunk_range_seconds_count"), blocks));
    assert_true(is(value_of(&m, T "compaction_chunk_samples_sum"),
                   value_of(&m, T "head_samples_appended_total{type=\"float\"}")));
    assert_true(value_of(&m, T "compaction_chunk_size_bytes_sum") >= blocks);
    assert_true(value_of(&m, T "compaction_chunk_range_seconds_sum") > 0);
    assert_true(value_of(&m, T "compaction_chunk_range_seconds_sum") <= blocks * W);
    assert_true(
        is(value_of(&m, T "compaction_chunk_range_seconds_bucket{le=\"2.62144e+07\"}"), blocks));
    const size_t n = world_matchers(&m.w, "__name__=a", &matcher, 1);
    assert_ok(storage_delete_series(m.w.st, &matcher, n, S, S + W, &err), &err);
    assert_ok(storage_clean_tombstones(m.w.st, &err), &err);
    assert_true(is(value_of(&m, T "tombstone_cleanup_seconds_count"), 1));
    assert_true(value_of(&m, T "lowest_timestamp") > S);
    end(&m);
}

static void of_the_page_cache(void **state) {
    (void)state;
    struct measured m;
    struct err err;
    begin(&m);
    fill(&m, 6);
    assert_ok(tsdb_compact(m.w.db, true, &err), &err);
    tsdb_maintain(m.w.db);
    const double misses = value_of(&m, "brasa_tsdb_page_cache_misses_total");
    const double hits = value_of(&m, "brasa_tsdb_page_cache_hits_total");
    for (int i = 0; i < 2; i++) {
        (void)world_dump(&m.w, "__name__=a", INT64_MIN, INT64_MAX);
    }
    tsdb_maintain(m.w.db);
    assert_true(value_of(&m, "brasa_tsdb_page_cache_misses_total") > misses);
    assert_true(value_of(&m, "brasa_tsdb_page_cache_hits_total") > hits);
    assert_true(value_of(&m, "brasa_tsdb_page_cache_bytes") > 0);
    assert_true(is(value_of(&m, "brasa_tsdb_page_cache_max_bytes"), 8 << 20));
    assert_true(is(value_of(&m, "brasa_tsdb_page_cache_refused_total"), 0));
    end(&m);
}

static void of_retention(void **state) {
    (void)state;
    struct measured m;
    struct err err;
    begin(&m);
    fill(&m, 6);
    assert_ok(tsdb_compact(m.w.db, true, &err), &err);
    const double loaded = value_of(&m, T "blocks_loaded");
    tsdb_set_retention(m.w.db, &(struct retention_limits){.time_ms = W, .size_bytes = 1 << 30});
    tsdb_maintain(m.w.db);
    assert_true(is(value_of(&m, T "retention_limit_seconds"), W / 1000.0));
    assert_true(is(value_of(&m, T "retention_limit_bytes"), 1 << 30));
    assert_true(is(value_of(&m, T "time_retentions_total"), 1));
    assert_true(is(value_of(&m, T "size_retentions_total"), 0));
    assert_true(value_of(&m, T "blocks_loaded") < loaded);
    tsdb_set_retention(m.w.db, &(struct retention_limits){.size_bytes = 1});
    tsdb_maintain(m.w.db);
    assert_true(is(value_of(&m, T "size_retentions_total"), 1));
    assert_true(is(value_of(&m, T "blocks_loaded"), 0));
    assert_true(is(value_of(&m, T "storage_blocks_bytes"), 0));
    end(&m);
}

static void of_exemplars(void **state) {
    (void)state;
    struct measured m;
    struct storage_appender *a;
    struct err err;
    begin(&m);
    append(&m, "a job=j", S);
    assert_ok(storage_appender_begin(m.w.st, &a, &err), &err);
    const struct storage_exemplar e = {
        .labels = world_labels(&m.w, "trace=1"), .value = 1, .ts_ms = S};
    const struct storage_exemplar old = {
        .labels = world_labels(&m.w, "trace=2"), .value = 1, .ts_ms = S - 1};
    assert_int_equal(storage_append_exemplar(m.w.st, a, world_labels(&m.w, "a job=j"), &e), ERR_OK);
    assert_ok(storage_appender_commit(m.w.st, a, &err), &err);
    assert_ok(storage_appender_begin(m.w.st, &a, &err), &err);
    assert_int_equal(storage_append_exemplar(m.w.st, a, world_labels(&m.w, "a job=j"), &old),
                     ERR_OUT_OF_ORDER);
    storage_appender_rollback(m.w.st, a);
    tsdb_maintain(m.w.db);
    assert_true(is(value_of(&m, T "exemplar_exemplars_appended_total"), 1));
    assert_true(is(value_of(&m, T "exemplar_out_of_order_exemplars_total"), 1));
    assert_true(is(value_of(&m, T "exemplar_exemplars_in_storage"), 1));
    assert_true(is(value_of(&m, T "exemplar_series_with_exemplars_in_storage"), 1));
    assert_true(is(value_of(&m, T "exemplar_last_exemplars_timestamp_seconds"), S / 1000.0));
    assert_true(is(value_of(&m, T "exemplar_max_exemplars"), 10));
    end(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_the_head),       cmocka_unit_test(of_compaction_and_deletion),
        cmocka_unit_test(of_the_page_cache), cmocka_unit_test(of_retention),
        cmocka_unit_test(of_exemplars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

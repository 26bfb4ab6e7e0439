/* Partitions: what was written comes back, found by any matcher. Random partitions against a plain
 * model. Damage: partition_damage_test.c. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/check_err.h"
#include "tests/unit/tsdb/partition_world.h"
#include "tsdb/id_list.h"

static void read_and_compare(struct partition_world *w, int64_t mint, int64_t maxt, size_t first,
                             size_t n, size_t step) {
    struct err err;
    struct arena arena;
    arena_init(&arena, 0);
    uint32_t *numbers = arena_alloc(&arena, (n + 1) * sizeof(*numbers));
    struct storage_samples *got = arena_alloc(&arena, (n + 1) * sizeof(*got));
    size_t count = 0;
    for (size_t i = first; i < w->series_count && count < n; i += step) {
        numbers[count++] = (uint32_t)i;
    }
    assert_ok(partition_read(w->p, numbers, count, mint, maxt, &arena, NULL, got, &err), &err);
    for (size_t i = 0; i < count; i++) {
        struct world_sample *want;
        const size_t rows = world_samples(w, &w->series[numbers[i]], mint, maxt, &arena, &want);
        assert_true(world_same_samples(want, rows, &got[i]));
    }
    arena_release(&arena);
}

static void every_sample_comes_back(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct partition_world w;
        partition_world_init(&w, &(struct world_options){.seed = seed,
                                                         .targets = 1 + (uint32_t)seed * 2,
                                                         .metrics = 14,
                                                         .rows_max = seed % 3 == 0 ? 9000 : 600,
                                                         .pack = seed % 2 == 0,
                                                         .plain_index = seed % 4 == 1});
        assert_int_equal(w.info.series_count, w.series_count);
        assert_int_equal(w.info.sample_count, w.samples);
        assert_int_equal(partition_info(w.p)->sample_count, w.samples);
        assert_int_equal(partition_info(w.p)->parents[1], 9);
        assert_int_equal(partition_info(w.p)->index_bytes, w.info.index_bytes);
        read_and_compare(&w, INT64_MIN, INT64_MAX, 0, w.series_count, 1);
        for (int i = 0; i < 20; i++) {
            const int64_t from = w.info.min_ts_ms + (int64_t)rng_below(&w.rng, 7200000) - 100000;
            const int64_t to = from + (int64_t)rng_below(&w.rng, i % 2 == 0 ? 7200000 : 60000);
            read_and_compare(&w, from, to, rng_below(&w.rng, 20), w.series_count,
                             1 + rng_below(&w.rng, 40));
        }
        assert_int_equal(w.damage_count, 0);
        uint64_t damaged = 1;
        struct err err;
        assert_ok(partition_verify(w.p, NULL, &damaged, &err), &err);
        assert_int_equal(damaged, 0);
        partition_world_release(&w);
    }
}

static void series_of_a_timeline_share_the_times(void **state) {
    (void)state;
    struct partition_world w;
    partition_world_init(
        &w, &(struct world_options){.seed = 5, .targets = 3, .metrics = 20, .rows_max = 700});
    struct err err;
    struct arena arena;
    arena_init(&arena, 0);
    const size_t n = w.series_count;
    uint32_t *numbers = arena_alloc(&arena, n * sizeof(*numbers));
    struct storage_samples *got = arena_alloc(&arena, n * sizeof(*got));
    for (size_t i = 0; i < n; i++) {
        numbers[i] = (uint32_t)i;
    }
    assert_ok(partition_read(w.p, numbers, n, INT64_MIN, INT64_MAX, &arena, NULL, got, &err), &err);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) {
            if (w.series[i].timeline == w.series[k].timeline && got[i].count == got[k].count &&
                got[i].count != 0 &&
                memcmp(got[i].ts, got[k].ts, got[i].count * sizeof(*got[i].ts)) == 0) {
                assert_ptr_equal(got[i].ts, got[k].ts);
            }
        }
    }
    arena_release(&arena);
    partition_world_release(&w);
}

/* ---- matchers ---- */

static struct matcher make_matcher(struct arena *arena, enum matcher_type type, const char *name,
                                   const char *value) {
    struct matcher m;
    struct err err;
    assert_ok(matcher_init(arena, type, str_of(name), str_of(value), &m, &err), &err);
    return m;
}

static void check_select(struct partition_world *w, const struct matcher *m, size_t n) {
    struct err err;
    struct arena arena;
    struct partition_hit *hits;
    size_t count;
    arena_init(&arena, 0);
    assert_ok(partition_select(w->p, m, n, INT64_MIN, INT64_MAX, &arena, NULL, &hits, &count, &err),
              &err);
    size_t at = 0;
    for (size_t i = 0; i < w->series_count; i++) {
        bool match;
        assert_ok(matchers_match(m, n, w->series[i].labels, &match, &err), &err);
        if (!match) {
            continue;
        }
        assert_true(at < count);
        assert_int_equal(hits[at].series, i);
        assert_int_equal(hits[at].repeat, w->series[i].repeat);
        struct labels target;
        struct labels metric;
        assert_ok(partition_set_labels(w->p, PARTITION_TARGETS, hits[at].target_set, &arena,
                                       &target, &err),
                  &err);
        assert_ok(partition_set_labels(w->p, PARTITION_METRICS, hits[at].metric_set, &arena,
                                       &metric, &err),
                  &err);
        assert_true(labels_eq(target, w->series[i].target));
        assert_true(labels_eq(metric, w->series[i].metric));
        at++;
    }
    assert_int_equal(at, count);
    arena_release(&arena);
}

static int by_str(const void *a, const void *b) {
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* name NULL: label names. */
static void check_labels(struct partition_world *w, const char *name, const struct matcher *m,
                         size_t n) {
    struct err err;
    struct arena arena;
    arena_init(&arena, 0);
    struct str *want = arena_alloc(&arena, (w->series_count + 1) * 8 * sizeof(*want));
    size_t want_count = 0;
    for (size_t i = 0; i < w->series_count; i++) {
        bool match;
        assert_ok(matchers_match(m, n, w->series[i].labels, &match, &err), &err);
        struct labels_iter it = labels_begin(w->series[i].labels);
        struct label pair;
        while (match && labels_next(&it, &pair)) {
            if (name == NULL || str_eq(pair.name, str_of(name))) {
                want[want_count++] = name == NULL ? pair.name : pair.value;
            }
        }
    }
    qsort(want, want_count, sizeof(*want), by_str);
    size_t kept = 0;
    for (size_t i = 0; i < want_count; i++) {
        if (kept == 0 || !str_eq(want[kept - 1], want[i])) {
            want[kept++] = want[i];
        }
    }
    for (size_t limit = 0; limit < 4; limit += 3) {
        struct str *got;
        size_t count;
        assert_ok(name == NULL
                      ? partition_label_names(w->p, m, n, limit, &arena, NULL, &got, &count, &err)
                      : partition_label_values(w->p, str_of(name), m, n, limit, &arena, NULL, &got,
                                               &count, &err),
                  &err);
        assert_int_equal(count, limit != 0 && kept > limit ? limit : kept);
        for (size_t i = 0; i < count; i++) {
            assert_true(str_eq(got[i], want[i]));
        }
    }
    arena_release(&arena);
}

static void any_matcher_finds_what_a_look_at_each_series_finds(void **state) {
    (void)state;
    static const char *const names[] = {"__name__", "instance", "job",   "zone", "le",
                                        "mode",     "odd",      "Upper", "n",    "none"};
    static const char *const values[] = {"",
                                         "host-1",
                                         "metric_3",
                                         "metric_.*",
                                         ".+",
                                         ".*",
                                         "job1|job2",
                                         "host-[13579].*",
                                         "metric_(1|3|7|whole)",
                                         ".*_1",
                                         ".*e.*",
                                         "mode-1|",
                                         "metric_11?",
                                         "z0",
                                         "|u1",
                                         "whole",
                                         "0",
                                         "[0-9]+"};
    for (uint64_t seed = 21; seed < 25; seed++) {
        struct partition_world w;
        partition_world_init(&w, &(struct world_options){.seed = seed,
                                                         .targets = 3 + (uint32_t)(seed - 21) * 30,
                                                         .metrics = 16,
                                                         .rows_max = 20});
        struct arena arena;
        arena_init(&arena, 0);
        for (int round = 0; round < 300; round++) {
            struct matcher m[4];
            const size_t n = rng_below(&w.rng, 5);
            for (size_t i = 0; i < n; i++) {
                m[i] = make_matcher(&arena, (enum matcher_type)rng_below(&w.rng, 4),
                                    names[rng_below(&w.rng, COUNT_OF(names))],
                                    values[rng_below(&w.rng, COUNT_OF(values))]);
            }
            check_select(&w, m, n);
            if (round % 4 == 0) {
                check_labels(&w, NULL, m, n);
                check_labels(&w, names[rng_below(&w.rng, COUNT_OF(names))], m, n);
            }
        }
        arena_release(&arena);
        partition_world_release(&w);
    }
}

static void series_without_rows_in_the_range_are_left_out(void **state) {
    (void)state;
    struct partition_world w;
    struct err err;
    struct arena arena;
    struct partition_hit *hits;
    size_t count;
    partition_world_init(
        &w, &(struct world_options){.seed = 3, .targets = 30, .metrics = 5, .rows_max = 3});
    arena_init(&arena, 0);
    const int64_t at = w.info.min_ts_ms + 3000000;
    assert_ok(partition_select(w.p, NULL, 0, at, at + 600000, &arena, NULL, &hits, &count, &err),
              &err);
    size_t k = 0;
    for (size_t i = 0; i < w.series_count; i++) {
        const struct world_timeline *t = &w.timelines[w.series[i].timeline];
        if (t->ts[0] <= at + 600000 && t->ts[t->rows - 1] >= at) {
            assert_true(k < count);
            assert_int_equal(hits[k++].series, i);
        }
    }
    assert_int_equal(k, count);
    assert_ok(partition_select(w.p, NULL, 0, w.info.max_ts_ms + 1, INT64_MAX, &arena, NULL, &hits,
                               &count, &err),
              &err);
    assert_int_equal(count, 0);
    arena_release(&arena);
    partition_world_release(&w);
}

/* ---- packing ---- */

static void what_is_packed_takes_less_and_says_so(void **state) {
    (void)state;
    for (uint32_t rows_max = 60; rows_max <= 6000; rows_max *= 100) {
        struct partition_world w[2];
        for (int i = 0; i < 2; i++) {
            partition_world_init(&w[i], &(struct world_options){.seed = 81,
                                                                .targets = 12,
                                                                .metrics = 14,
                                                                .rows_max = rows_max,
                                                                .pack = i == 1,
                                                                .plain_index = i == 0});
            uint8_t version;
            struct vfs_file *f;
            struct err err;
            assert_ok(vfs_open(w[i].vfs, "/part/data", VFS_READ, &f, &err), &err);
            assert_ok(vfs_file_pread(f, &version, 1, 8, NULL, &err), &err);
            assert_int_equal(version, 6);
            vfs_file_close(f);
        }
        if (rows_max == 60) {
            assert_true(w[1].info.index_bytes < w[0].info.index_bytes * 7 / 10);
        } else { /* small beside the data */
            assert_int_equal(w[1].info.index_bytes, w[0].info.index_bytes);
        }
        assert_int_equal(w[0].samples, w[1].samples);
        assert_true(w[1].info.data_bytes < w[0].info.data_bytes);
        partition_world_release(&w[0]);
        partition_world_release(&w[1]);
    }
}

/* ---- merging ---- */

static void a_copy_of_the_blocks_is_the_same_partition(void **state) {
    (void)state;
    for (uint64_t seed = 31; seed < 35; seed++) {
        struct partition_world w;
        partition_world_init(&w, &(struct world_options){.seed = seed,
                                                         .targets = 9,
                                                         .metrics = 16,
                                                         .rows_max = seed % 2 == 0 ? 3000 : 100,
                                                         .pack = seed > 32});
        partition_world_copy(&w, "/copy");
        partition_close(w.p);
        w.dir = "/copy";
        partition_world_open(&w);
        read_and_compare(&w, INT64_MIN, INT64_MAX, 0, w.series_count, 1);
        partition_world_release(&w);
    }
}

static void series_that_come_out_of_order_are_refused(void **state) {
    (void)state;
    struct partition_world w;
    struct err err;
    struct partition_writer *writer;
    partition_world_init(
        &w, &(struct world_options){.seed = 1, .targets = 2, .metrics = 3, .rows_max = 5});
    const struct partition_writer_options options = {
        .vfs = w.vfs, .dir = "/x", .number = 1, .start_ms = 0, .end_ms = 1};
    assert_ok(partition_writer_begin(&options, &writer, &err), &err);
    uint32_t timeline;
    const int64_t ts = 1;
    assert_ok(partition_writer_timeline(writer, &ts, 1, NULL, 0, &timeline, &err), &err);
    const struct num value = num_of_i64(1);
    const uint8_t present = SLOT_VALUE;
    const struct partition_column column = {.values = &value, .states = &present};
    const struct world_series *s = w.series;
    assert_ok(partition_writer_series(writer, s[1].target, s[1].metric, 0, &column, 1, &err), &err);
    assert_err(partition_writer_series(writer, s[0].target, s[0].metric, 0, &column, 1, &err),
               ERR_INVALID, "out of order", &err);
    struct partition_info info;
    assert_err(partition_writer_finish(writer, &info, &err), ERR_INVALID, "out of order", &err);
    partition_writer_free(writer);
    struct vfs_stat stat;
    assert_err(vfs_stat(w.vfs, "/x", &stat, &err), ERR_NOT_FOUND, NULL, &err);
    partition_world_release(&w);
}

/* ---- id lists ---- */

static void id_lists_come_back(void **state) {
    (void)state;
    struct rng rng = rng_seeded(77);
    for (int round = 0; round < 2000; round++) {
        uint32_t ids[1500];
        const size_t n = rng_below(&rng, round % 3 == 0 ? 5 : 1500);
        const uint64_t gap = UINT64_C(1) << rng_below(&rng, 12);
        uint64_t at = rng_below(&rng, 1000);
        for (size_t i = 0; i < n; i++) {
            ids[i] = (uint32_t)at;
            at += 1 + (rng_below(&rng, 4) == 0 ? rng_below(&rng, gap) : 0);
        }
        struct buf buf;
        buf_init(&buf, 1 << 20);
        id_list_encode(&buf, ids, n);
        buf_append_char(&buf, 'x');
        struct cursor from = cursor_of(buf.ptr, buf.len);
        struct cursor skip = from;
        struct id_list_iter it;
        uint32_t start;
        uint32_t end;
        size_t k = 0;
        id_list_begin(&from, (uint32_t)at + 1, &it);
        while (id_list_next(&it, &start, &end)) {
            for (uint32_t id = start; id < end; id++) {
                assert_true(k < n);
                assert_int_equal(ids[k++], id);
            }
        }
        assert_int_equal(k, n);
        assert_false(it.from.failed);
        assert_int_equal(cursor_left(&from), 1);
        id_list_skip(&skip);
        assert_int_equal(cursor_left(&skip), 1);
        if (n != 0) { /* an id too large for its space is refused */
            from = cursor_of(buf.ptr, buf.len);
            id_list_begin(&from, ids[n - 1], &it);
            while (id_list_next(&it, &start, &end)) {
                assert_true(end <= ids[n - 1]);
            }
            assert_true(it.from.failed);
        }
        buf_release(&buf);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(id_lists_come_back),
        cmocka_unit_test(every_sample_comes_back),
        cmocka_unit_test(series_of_a_timeline_share_the_times),
        cmocka_unit_test(any_matcher_finds_what_a_look_at_each_series_finds),
        cmocka_unit_test(series_without_rows_in_the_range_are_left_out),
        cmocka_unit_test(what_is_packed_takes_less_and_says_so),
        cmocka_unit_test(a_copy_of_the_blocks_is_the_same_partition),
        cmocka_unit_test(series_that_come_out_of_order_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

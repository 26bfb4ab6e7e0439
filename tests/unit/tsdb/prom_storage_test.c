/* prom_storage: of a log of Prometheus, every selection and every list of names and values is what a
 * look at all series finds, start times included; however little of the log may be decoded at once; too much of it is
 * refused by a limit that is named. */
#include "tsdb/prom_storage.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/check_err.h"
#include "tests/support/mem_vfs.h"
#include "tests/support/prom_files.h"

enum { SERIES = 120, SAMPLES = 6, STEP_MS = 1000, STRING_MAX = 16 };

/* Labels of series i; its samples are at its number of seconds, then every second. */
static size_t pairs_of(unsigned i, char texts[8][STRING_MAX], const char *out[9]) {
    size_t n = 0;
    /* no two series are equal */
    const unsigned values[] = {i % 5, i % 11, i / 2, i % 3 == 0 ? i : i % 3};
    static const char *const names[] = {"__name__", "a", "only", "zone"};
    for (size_t k = 0; k < COUNT_OF(names); k++) {
        if ((k == 1 && i % 3 == 0) || (k == 2 && i % 10 != 0)) {
            continue; /* some lack it */
        }
        (void)snprintf(texts[n], STRING_MAX, "%s%u", k == 0 ? "m" : "v", values[k]);
        out[2 * n] = names[k];
        out[2 * n + 1] = texts[n];
        n++;
    }
    out[2 * n] = NULL;
    return n;
}

static struct mem_vfs *prometheus(void) {
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct vfs_file *f = NULL;
    struct buf record;
    struct buf segment;
    struct err err;
    buf_init(&record, 1 << 20);
    buf_init(&segment, 1 << 20);
    for (unsigned i = 0; i < SERIES; i++) {
        char texts[8][STRING_MAX];
        const char *labels[9];
        struct prom_write_sample samples[SAMPLES];
        (void)pairs_of(i, texts, labels);
        buf_clear(&record);
        prom_write_series_record(&record, i + 1, labels);
        prom_write_record(&segment, buf_str(&record), PROM_PLAIN);
        for (unsigned k = 0; k < SAMPLES; k++) {
            samples[k] = (struct prom_write_sample){
                i + 1, {.ts_ms = (int64_t)(i + k) * STEP_MS, .value = i + k / 8.0}};
        }
        buf_clear(&record);
        if (i % 2 == 0) {
            prom_write_samples_record(&record, samples, SAMPLES);
        } else {
            prom_write_samples_v2_record(&record, samples, SAMPLES); /* with start times */
        }
        prom_write_record(&segment, buf_str(&record), PROM_SNAPPY);
    }
    assert_ok(vfs_mkdir(vfs, "/p", &err), &err);
    assert_ok(vfs_mkdir(vfs, "/p/wal", &err), &err);
    assert_ok(vfs_mkdir(vfs, "/p/chunks_head", &err), &err);
    assert_ok(vfs_open(vfs, "/p/wal/00000000", VFS_WRITE | VFS_CREATE, &f, &err), &err);
    assert_ok(vfs_file_pwrite(f, segment.ptr, segment.len, 0, &err), &err);
    vfs_file_close(f);
    buf_release(&record);
    buf_release(&segment);
    return disk;
}

struct case_matcher {
    enum matcher_type type;
    const char *name, *value;
};

struct selection_case {
    struct case_matcher matchers[3];
    int64_t mint, maxt;
};

/* Of each kind alone and together, with and without hits; narrow and empty ranges. */
static const struct selection_case cases[] = {
    {{{MATCH_EQUAL, "__name__", "m1"}}, 0, 200000},
    {{{MATCH_EQUAL, "__name__", "m1"}, {MATCH_EQUAL, "zone", "v0"}}, 0, 200000},
    {{{MATCH_EQUAL, "zone", "v1"}, {MATCH_EQUAL, "only", "v15"}}, 0, 200000},
    {{{MATCH_EQUAL, "only", "v15"}}, 0, 200000},
    {{{MATCH_EQUAL, "__name__", "m9"}}, 0, 200000},
    {{{MATCH_EQUAL, "nolabel", "x"}}, 0, 200000},
    {{{MATCH_EQUAL, "nolabel", ""}}, 0, 200000},
    {{{MATCH_EQUAL, "a", ""}}, 0, 200000},
    {{{MATCH_NOT_EQUAL, "a", ""}}, 0, 200000},
    {{{MATCH_NOT_EQUAL, "a", "v3"}}, 0, 200000},
    {{{MATCH_REGEX, "__name__", "m[13]"}}, 0, 200000},
    {{{MATCH_REGEX, "__name__", ".+"}}, 0, 200000},
    {{{MATCH_REGEX, "a", ".*"}}, 0, 200000},
    {{{MATCH_REGEX, "a", "v1|"}, {MATCH_NOT_REGEX, "__name__", "m[0-3]"}}, 0, 200000},
    {{{MATCH_NOT_REGEX, "only", "v1.*"}, {MATCH_REGEX, "a", "v[0-4]"}}, 0, 200000},
    {{{MATCH_NOT_REGEX, "only", "|v5"}}, 0, 200000},
    {{{MATCH_REGEX, "zone", "none"}, {MATCH_EQUAL, "__name__", "m2"}}, 0, 200000},
    {{{MATCH_EQUAL, "__name__", "m1"}}, 50000, 60000},
    {{{MATCH_EQUAL, "__name__", "m1"}}, 500000, 600000},
    {{{MATCH_NOT_EQUAL, "zone", "v1"}}, 119000, 119000},
    {{{0, NULL, NULL}}, 0, 3000},
};

struct opened {
    struct mem_vfs *disk;
    struct prom_storage *ps;
    struct storage *st;
    struct storage_querier *q;
    struct arena arena;
};

static void open_with(struct opened *o, size_t log_samples_max) {
    struct err err;
    o->disk = prometheus();
    const struct prom_storage_options options = {
        .vfs = mem_vfs_base(o->disk), .path = "/p", .log_samples_max = log_samples_max};
    assert_ok(prom_storage_open(&options, &o->ps, &err), &err);
    o->st = prom_storage_as_storage(o->ps);
    arena_init(&o->arena, 0);
}

static void close_all(struct opened *o) {
    arena_release(&o->arena);
    prom_storage_close(o->ps);
    mem_vfs_free(o->disk);
}

static size_t matchers_of(struct arena *arena, const struct selection_case *c,
                          struct matcher out[3]) {
    size_t n = 0;
    for (; n < 3 && c->matchers[n].name != NULL; n++) {
        const struct case_matcher *m = &c->matchers[n];
        struct err err;
        assert_ok(matcher_init(arena, m->type, str_of(m->name), str_of(m->value), &out[n], &err),
                  &err);
    }
    return n;
}

/* Labels of series i in the arena, if they match and it has samples in the range. */
static bool expected(struct opened *o, unsigned i, const struct selection_case *c,
                     const struct matcher *matchers, size_t n, struct labels *out) {
    char texts[8][STRING_MAX];
    const char *pairs[9];
    struct labels_builder b;
    struct err err;
    bool matches = false;
    const size_t count = pairs_of(i, texts, pairs);
    labels_builder_init(&b, &o->arena);
    for (size_t k = 0; k < count; k++) {
        labels_builder_set(&b, arena_str(&o->arena, str_of(pairs[2 * k])),
                           arena_str(&o->arena, str_of(pairs[2 * k + 1])));
    }
    assert_ok(labels_builder_finish(&b, out, &err), &err);
    assert_ok(matchers_match(matchers, n, *out, &matches, &err), &err);
    return matches && (int64_t)i * STEP_MS <= c->maxt &&
           (int64_t)(i + SAMPLES - 1) * STEP_MS >= c->mint;
}

/* As prom_write_samples_v2_record gives them. */
static const int64_t start_times[SAMPLES] = {17, 17, 12, 0, 0, 12};

static void expect_samples(struct opened *o, const struct storage_selection *sel, size_t at,
                           unsigned i, const struct selection_case *c) {
    struct storage_samples samples;
    struct err err;
    size_t n = 0;
    assert_ok(storage_read(o->st, o->q, sel, at, 1, c->mint, c->maxt, &o->arena, &samples, &err),
              &err);
    for (unsigned k = 0; k < SAMPLES; k++) {
        const int64_t ts_ms = (int64_t)(i + k) * STEP_MS;
        if (ts_ms >= c->mint && ts_ms <= c->maxt) {
            assert_true(n < samples.count && samples.ts[n] == ts_ms);
            assert_true(f64_same_bits(samples.values[n], i + k / 8.0));
            assert_int_equal(samples.start_ts != NULL ? samples.start_ts[n] : 0,
                             i % 2 == 0 ? 0 : start_times[k]);
            n++;
        }
    }
    assert_int_equal(samples.count, n);
}

static void expect_case(struct opened *o, const struct selection_case *c) {
    struct matcher matchers[3];
    struct storage_selection *sel = NULL;
    struct err err;
    size_t count = 0;
    size_t found = 0;
    const size_t n = matchers_of(&o->arena, c, matchers);
    assert_ok(storage_querier_open(o->st, c->mint, c->maxt, &o->arena, NULL, &o->q, &err), &err);
    assert_ok(storage_select(o->st, o->q, matchers, n, NULL, &sel, &err), &err);
    const struct storage_series *series = storage_selection_series(o->st, sel, &count);
    for (unsigned i = 0; i < SERIES; i++) {
        struct labels labels;
        if (!expected(o, i, c, matchers, n, &labels)) {
            continue;
        }
        size_t at = 0;
        while (at < count &&
               !labels_eq(storage_set_labels(o->st, o->q, series[at].metric_set), labels)) {
            at++;
        }
        assert_true(at < count);
        expect_samples(o, sel, at, i, c);
        found++;
    }
    assert_int_equal(count, found);
}

static void every_selection_is_that_of_a_look_at_all_series(void **state) {
    static const size_t limits[] = {0, SAMPLES, 100};
    (void)state;
    for (size_t k = 0; k < COUNT_OF(limits); k++) {
        struct opened o;
        open_with(&o, limits[k]);
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            expect_case(&o, &cases[i]);
        }
        close_all(&o);
    }
}

/* The values of a label, and all names, by a look at all series; both in no order, without doubles. */
static void expect_strings(struct opened *o, const struct selection_case *c, const char *name) {
    struct matcher matchers[3];
    struct err err;
    struct str *got = NULL;
    size_t count = 0;
    size_t hits = 0;
    const size_t n = matchers_of(&o->arena, c, matchers);
    bool *seen = arena_zalloc(&o->arena, SERIES * 4);
    assert_ok(storage_querier_open(o->st, c->mint, c->maxt, &o->arena, NULL, &o->q, &err), &err);
    assert_ok(name == NULL ? storage_label_names(o->st, o->q, matchers, n, 0, &got, &count, &err)
                           : storage_label_values(o->st, o->q, str_of(name), matchers, n, 0, &got,
                                                  &count, &err),
              &err);
    for (size_t i = 1; i < count; i++) {
        assert_true(str_cmp(got[i - 1], got[i]) < 0);
    }
    for (unsigned i = 0; i < SERIES; i++) {
        struct labels labels;
        struct label label;
        if (!expected(o, i, c, matchers, n, &labels)) {
            continue;
        }
        for (struct labels_iter it = labels_begin(labels); labels_next(&it, &label);) {
            const struct str text = name == NULL ? label.name : label.value;
            if (name != NULL && !str_eq(label.name, str_of(name))) {
                continue;
            }
            size_t at = 0;
            while (at < count && !str_eq(got[at], text)) {
                at++;
            }
            assert_true(at < count);
            hits += seen[at] ? 0 : 1;
            seen[at] = true;
        }
    }
    assert_int_equal(hits, count);
}

static void names_and_values_are_those_of_series_with_samples(void **state) {
    static const char *const names[] = {NULL, "__name__", "a", "only", "none"};
    static const struct selection_case open_ends[] = {{{{0, NULL, NULL}}, 0, 200000},
                                                      {{{0, NULL, NULL}}, 118000, 119000},
                                                      {{{0, NULL, NULL}}, 900000, 900001}};
    struct opened o;
    (void)state;
    open_with(&o, 0);
    for (size_t k = 0; k < COUNT_OF(names); k++) {
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            expect_strings(&o, &cases[i], names[k]);
        }
        for (size_t i = 0; i < COUNT_OF(open_ends); i++) {
            expect_strings(&o, &open_ends[i], names[k]);
        }
    }
    close_all(&o);
}

static void more_of_the_log_than_may_be_kept_is_refused(void **state) {
    (void)state;
    struct mem_vfs *disk = prometheus();
    struct prom_storage *ps = NULL;
    struct err err;
    const struct prom_storage_options options = {
        .vfs = mem_vfs_base(disk), .path = "/p", .log_bytes_max = 2048};
    assert_err(prom_storage_open(&options, &ps, &err), ERR_LIMIT,
               "opening /p: the samples of the write-ahead log need more than 2048 bytes of memory",
               &err);
    assert_null(ps);
    mem_vfs_free(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_selection_is_that_of_a_look_at_all_series),
        cmocka_unit_test(names_and_values_are_those_of_series_with_samples),
        cmocka_unit_test(more_of_the_log_than_may_be_kept_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

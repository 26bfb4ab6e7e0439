/* What is written as a block of Prometheus is read back as it was: chunks, index, whole blocks. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/value.h"
#include "tests/support/check_err.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/prom_block_writer.h"
#include "tsdb/prom_encode.h"
#include "tsdb/prom_histogram.h"

enum { SAMPLES = 500, BUCKETS = 6, SERIES = 300 };

struct made {
    struct prom_sample samples[SAMPLES];
    struct histogram h[SAMPLES];
    double counts[SAMPLES][BUCKETS];
    struct histogram_span spans[SAMPLES][2];
    struct histogram_span negative;
    double bounds[3];
};

static double random_value(struct rng *rng) {
    switch (rng_below(rng, 6)) {
    case 0:
        return f64_of_bits(rng_u64(rng));
    case 1:
        return f64_stale();
    case 2:
        return -0.0;
    case 3:
        return (double)rng_below(rng, 1000) / 8;
    default:
        return (double)rng_below(rng, 3);
    }
}

static int64_t random_step(struct rng *rng) {
    static const int64_t steps[] = {
        15000, 15000, 15000, 15001, 1, 8191 + 15000, 200000, INT64_C(1) << 21, INT64_C(1) << 40};
    return steps[rng_below(rng, COUNT_OF(steps))];
}

/* kind: 0 exponential, 1 custom bounds, 2 gauge. Counts grow, and now and then fall. */
static void make_histogram(struct made *m, size_t i, int kind, bool floats, struct rng *rng) {
    struct histogram *h = &m->h[i];
    const bool changed = rng_below(rng, 30) == 0;
    const bool reset = i == 0 || rng_below(rng, 40) == 0;
    for (int k = 0; k < BUCKETS; k++) {
        const double before = reset ? 0 : m->counts[i - 1][k];
        m->counts[i][k] = before + (double)rng_below(rng, 1 + (k == 0 ? 1 << 20 : 9)) +
                          (floats && k == 1 ? 0.25 : 0);
    }
    m->spans[i][0] = (struct histogram_span){.offset = kind == 1 ? 0 : -3 + changed, .length = 2};
    m->spans[i][1] = (struct histogram_span){.offset = kind == 1 ? 1 : 70000, .length = 1};
    *h = (struct histogram){
        .schema = kind == 1 ? HISTOGRAM_SCHEMA_CUSTOM : 2,
        .hint = kind == 2 ? HINT_GAUGE : HINT_UNKNOWN,
        .zero_threshold = kind == 1 ? 0 : (i % 100 < 50 ? 0.001 : ldexp(0.5, -10)),
        .zero_count = kind == 1 ? 0 : m->counts[i][5],
        .sum = random_value(rng),
        .positive = {.spans = m->spans[i], .span_count = 2, .counts = m->counts[i], .count = 3},
        .negative = {.spans = &m->negative,
                     .span_count = 1,
                     .counts = m->counts[i] + 3,
                     .count = 2},
        .bounds = kind == 1 ? m->bounds : NULL,
        .bound_count = kind == 1 ? 3 : 0,
    };
    if (kind == 1) {
        h->negative = (struct histogram_side){0};
    }
    for (int k = 0; k < BUCKETS; k++) {
        h->count += m->counts[i][k];
    }
    if (f64_is_stale(h->sum)) {
        *h = (struct histogram){.sum = f64_stale()};
    }
}

static void make(struct made *m, int kind, bool floats, struct rng *rng) {
    int64_t ts_ms = INT64_C(1700000000000);
    m->negative = (struct histogram_span){.offset = 4, .length = 2};
    m->bounds[0] = 0.25;
    m->bounds[1] = 0.1 + 0.2; /* no thousandths */
    m->bounds[2] = 1e9;
    for (size_t i = 0; i < SAMPLES; i++) {
        m->samples[i] = (struct prom_sample){.ts_ms = ts_ms};
        if (kind < 0 || rng_below(rng, 50) == 0) {
            m->samples[i].value = random_value(rng);
            m->h[i] = (struct histogram){0};
            memset(m->counts[i], 0, sizeof(m->counts[i]));
        } else {
            make_histogram(m, i, kind, floats, rng);
            m->samples[i].histogram = &m->h[i];
            m->samples[i].value = floats ? 1 : 0;
        }
        ts_ms += random_step(rng);
    }
}

static void check_same(const struct prom_sample *got, const struct prom_sample *want) {
    assert_int_equal(got->ts_ms, want->ts_ms);
    assert_int_equal(got->histogram != NULL, want->histogram != NULL);
    if (want->histogram == NULL) {
        assert_true(f64_same_bits(got->value, want->value));
    } else if (f64_is_stale(want->histogram->sum)) {
        assert_true(f64_is_stale(got->histogram->sum));
    } else {
        assert_true(histogram_equal(got->histogram, want->histogram));
        assert_int_equal(got->histogram->hint == HINT_GAUGE, want->histogram->hint == HINT_GAUGE);
        assert_true((got->value != 0) == (want->value != 0));
    }
}

/* All chunks of the samples; returns how many there are. */
static size_t check_chunks(const struct made *m) {
    struct prom_encoder encoder = {0};
    struct prom_samples got;
    struct arena arena;
    struct buf data;
    struct err err;
    size_t chunks = 0;
    arena_init(&arena, 0);
    buf_init(&data, 16 << 20);
    prom_samples_init(&got, SAMPLES);
    got.arena = &arena;
    for (size_t at = 0; at < SAMPLES; chunks++) {
        size_t taken;
        buf_clear(&data);
        const enum prom_encoding encoding =
            prom_chunk_encode(&encoder, m->samples + at, SAMPLES - at, &data, &taken);
        assert_true(taken > 0 && taken <= PROM_CHUNK_SAMPLES);
        assert_int_equal(prom_chunk_count((uint8_t)encoding, buf_str(&data)), taken);
        assert_ok(encoding == PROM_CHUNK_XOR
                      ? prom_chunk_read((uint8_t)encoding, buf_str(&data), INT64_MIN, INT64_MAX,
                                        &got, &err)
                      : prom_histogram_chunk_read((uint8_t)encoding, buf_str(&data), INT64_MIN,
                                                  INT64_MAX, &got, &err),
                  &err);
        at += taken;
        assert_int_equal(got.count, at);
    }
    for (size_t i = 0; i < SAMPLES; i++) {
        check_same(&got.items[i], &m->samples[i]);
    }
    prom_samples_release(&got);
    buf_release(&data);
    arena_release(&arena);
    return chunks;
}

static void floats_of_any_bits_come_back(void **state) {
    (void)state;
    static struct made m;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct rng rng = rng_seeded(seed);
        make(&m, -1, false, &rng);
        assert_int_equal(check_chunks(&m), (SAMPLES + PROM_CHUNK_SAMPLES - 1) / PROM_CHUNK_SAMPLES);
    }
}

static void histograms_of_all_kinds_come_back(void **state) {
    (void)state;
    static struct made m;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        for (int kind = 0; kind < 3; kind++) {
            struct rng rng = rng_seeded(seed);
            make(&m, kind, seed % 2 == 0, &rng);
            assert_true(check_chunks(&m) < SAMPLES);
        }
    }
}

static void a_reset_begins_a_chunk_that_says_so(void **state) {
    (void)state;
    struct histogram_span span = {.length = 1};
    double counts[] = {5, 9, 2};
    struct histogram h[3];
    struct prom_sample samples[3];
    struct prom_encoder encoder = {0};
    struct buf data;
    size_t taken;
    buf_init(&data, 1 << 16);
    for (int i = 0; i < 3; i++) {
        h[i] = (struct histogram){
            .count = counts[i],
            .positive = {.spans = &span, .span_count = 1, .counts = &counts[i], .count = 1}};
        samples[i] = (struct prom_sample){.ts_ms = i, .histogram = &h[i]};
    }
    assert_int_equal(prom_chunk_encode(&encoder, samples, 3, &data, &taken), PROM_CHUNK_HISTOGRAM);
    assert_int_equal(taken, 2);
    assert_int_equal((uint8_t)data.ptr[2], 0);
    buf_clear(&data);
    assert_int_equal(prom_chunk_encode(&encoder, samples + 2, 1, &data, &taken),
                     PROM_CHUNK_HISTOGRAM);
    assert_int_equal((uint8_t)data.ptr[2], 0x80);
    buf_release(&data);
}

/* ---- blocks ---- */

static struct labels series_labels(struct arena *arena, int i) {
    char number[16];
    char job[16];
    (void)snprintf(number, sizeof(number), "%05d", i);
    (void)snprintf(job, sizeof(job), "job%d", i % 3);
    const struct label pairs[] = {{LABEL_NAME, STR("m")},
                                  {STR("i"), arena_str(arena, str_of(number))},
                                  {STR("job"), arena_str(arena, str_of(job))}};
    return labels_of(arena, pairs, COUNT_OF(pairs));
}

static void check_block(struct vfs *vfs, const struct prom_block_meta *meta, const struct made *m,
                        struct arena *arena) {
    char dir[64];
    struct prom_block *block;
    struct prom_block_meta found;
    struct prom_series series;
    struct prom_samples got;
    struct err err;
    (void)snprintf(dir, sizeof(dir), "out/%s", meta->ulid);
    assert_ok(prom_block_meta_read(vfs, dir, &found, &err), &err);
    assert_int_equal(found.sample_count, SERIES * 10);
    assert_int_equal(found.series_count, SERIES);
    assert_int_equal(found.mint, m->samples[0].ts_ms);
    assert_int_equal(found.maxt, m->samples[SERIES + 9].ts_ms);
    prom_block_meta_release(&found);
    assert_ok(prom_block_open(vfs, dir, &block, &err), &err);
    prom_series_init(&series);
    prom_samples_init(&got, SAMPLES);
    got.arena = arena;
    uint64_t offset = prom_index_first(prom_block_index(block));
    for (int i = 0; i < SERIES; i++) {
        struct prom_read_result read = {.next_ms = INT64_MAX};
        assert_ok(prom_index_next(prom_block_index(block), &offset, &series, &err), &err);
        assert_true(labels_eq(prom_series_labels(&series), series_labels(arena, i)));
        got.count = 0;
        assert_ok(prom_block_read(block, &series, INT64_MIN, INT64_MAX, &got, &read, &err), &err);
        assert_int_equal(got.count, 10);
        for (int k = 0; k < 10; k++) {
            check_same(&got.items[k], &m->samples[i + k]);
        }
    }
    assert_int_equal(prom_index_next(prom_block_index(block), &offset, &series, &err),
                     ERR_NOT_FOUND);
    prom_series_release(&series);
    prom_samples_release(&got);
    prom_block_close(block);
}

static void a_block_is_read_as_it_was_written(void **state) {
    (void)state;
    static struct made m;
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct rng rng = rng_seeded(7);
    struct prom_block_writer *w;
    struct prom_block_meta meta;
    struct arena arena;
    struct err err;
    const struct prom_block_writer_options options = {.vfs = vfs,
                                                      .clock = clock_system(),
                                                      .rng = &rng,
                                                      .path = "out",
                                                      .segment_bytes_max = 20000};
    arena_init(&arena, 0);
    make(&m, 0, false, &rng);
    assert_ok(prom_block_writer_new(&options, &w, &err), &err);
    for (int i = 0; i < SERIES; i++) {
        assert_ok(prom_block_writer_add(w, series_labels(&arena, i), m.samples + i, 10, &err),
                  &err);
    }
    assert_err(prom_block_writer_add(w, series_labels(&arena, 5), m.samples, 10, &err), ERR_INVALID,
               "not in order", &err);
    assert_ok(prom_block_writer_finish(w, &meta, &err), &err);
    prom_block_writer_free(w);
    assert_true(prom_is_ulid(str_of(meta.ulid)));
    meta.maxt = m.samples[SERIES + 8].ts_ms + 1;
    m.samples[SERIES + 9].ts_ms = meta.maxt;
    check_block(vfs, &meta, &m, &arena);
    arena_release(&arena);
    mem_vfs_free(disk);
}

static bool count_entry(void *ctx, const char *name) {
    (void)name;
    ++*(int *)ctx;
    return true;
}

static void a_block_that_is_given_up_leaves_nothing(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct rng rng = rng_seeded(7);
    struct prom_block_writer *w;
    struct prom_block_meta meta;
    struct arena arena;
    struct err err;
    int entries = 0;
    const struct prom_sample sample = {.ts_ms = 1};
    const struct prom_block_writer_options options = {
        .vfs = vfs, .clock = clock_system(), .rng = &rng, .path = "out"};
    arena_init(&arena, 0);
    assert_ok(prom_block_writer_new(&options, &w, &err), &err);
    assert_ok(prom_block_writer_add(w, series_labels(&arena, 0), &sample, 1, &err), &err);
    prom_block_writer_free(w);
    assert_ok(prom_block_writer_new(&options, &w, &err), &err);
    assert_ok(prom_block_writer_finish(w, &meta, &err), &err); /* no series: no block */
    assert_string_equal(meta.ulid, "");
    prom_block_writer_free(w);
    assert_ok(vfs_list(vfs, "out", count_entry, &entries, &err), &err);
    assert_int_equal(entries, 0);
    arena_release(&arena);
    mem_vfs_free(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats_of_any_bits_come_back),
        cmocka_unit_test(histograms_of_all_kinds_come_back),
        cmocka_unit_test(a_reset_begins_a_chunk_that_says_so),
        cmocka_unit_test(a_block_is_read_as_it_was_written),
        cmocka_unit_test(a_block_that_is_given_up_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

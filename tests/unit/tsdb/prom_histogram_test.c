/* Chunks of native histograms: all four encodings come back as a second encoder wrote them. */
#include <math.h>
#include <string.h>

#include "base/value.h"
#include "tests/support/check_err.h"
#include "tests/support/prom_files.h"
#include "tsdb/prom_histogram.h"

enum { N = 40, BUCKETS = 5 };

struct made {
    struct histogram h[N];
    double counts[N][BUCKETS];
    struct prom_sample samples[N];
    struct histogram_span spans[2];
    struct histogram_span negative;
    double bounds[3];
};

static void make(struct made *m, int kind, bool stale_end) {
    m->spans[0] = (struct histogram_span){.offset = kind == 1 ? 0 : -3, .length = 2};
    m->spans[1] = (struct histogram_span){.offset = kind == 1 ? 1 : 70000, .length = 1};
    m->negative = (struct histogram_span){.offset = 4, .length = 2};
    m->bounds[0] = 0.25;
    m->bounds[1] = 3;
    m->bounds[2] = 1e9;
    for (int i = 0; i < N; i++) {
        struct histogram *h = &m->h[i];
        for (int k = 0; k < BUCKETS; k++) {
            m->counts[i][k] = (double)(i * i * (k + 1) + (i % 7 == 3 ? 100000000 : 0));
        }
        *h = (struct histogram){
            .schema = kind == 1 ? HISTOGRAM_SCHEMA_CUSTOM : 2,
            .hint = kind == 2 ? HINT_GAUGE : HINT_UNKNOWN,
            .zero_threshold = kind == 1 ? 0 : 0.001,
            .zero_count = kind == 1 ? 0 : i % 5,
            .count = 1000.0 * i,
            .sum = i * 0.1,
            .positive = {.spans = m->spans, .span_count = 2, .counts = m->counts[i], .count = 3},
            .negative = {.spans = &m->negative,
                         .span_count = 1,
                         .counts = m->counts[i] + 3,
                         .count = 2},
            .bounds = m->bounds,
            .bound_count = 3,
        };
        if (kind == 1) {
            h->negative = (struct histogram_side){0};
        } else {
            h->bounds = NULL;
            h->bound_count = 0;
        }
        m->samples[i] = (struct prom_sample){.ts_ms = INT64_C(1700000000000) + i * 15000 + i % 3,
                                             .histogram = h};
        m->samples[i].start_ms = m->samples[i].ts_ms - 1 - i / 3 * 500;
    }
    if (stale_end) {
        m->h[N - 1].sum = f64_stale();
    }
}

static const uint8_t encodings[] = {PROM_CHUNK_HISTOGRAM, PROM_CHUNK_FLOAT_HISTOGRAM,
                                    PROM_CHUNK_HISTOGRAM_ST, PROM_CHUNK_FLOAT_HISTOGRAM_ST};

static void check_round_trip(uint8_t encoding, const struct made *m) {
    struct prom_samples got;
    struct arena arena;
    struct buf data;
    struct err err;
    const bool has_start =
        encoding == PROM_CHUNK_HISTOGRAM_ST || encoding == PROM_CHUNK_FLOAT_HISTOGRAM_ST;
    arena_init(&arena, 0);
    buf_init(&data, 1 << 20);
    prom_samples_init(&got, N);
    got.arena = &arena;
    prom_write_histograms(&data, encoding, m->samples, N);
    assert_ok(prom_histogram_chunk_read(encoding, buf_str(&data), INT64_MIN, INT64_MAX, &got, &err),
              &err);
    assert_int_equal(got.count, N);
    for (int i = 0; i < N; i++) {
        assert_int_equal(got.items[i].ts_ms, m->samples[i].ts_ms);
        assert_int_equal(got.items[i].start_ms, has_start ? m->samples[i].start_ms : 0);
        if (f64_is_stale(m->h[i].sum)) {
            assert_true(f64_is_stale(got.items[i].histogram->sum));
            continue;
        }
        assert_true(histogram_equal(got.items[i].histogram, &m->h[i]));
        assert_int_equal(got.items[i].histogram->hint, m->h[i].hint);
    }
    got.count = 0;
    assert_ok(prom_histogram_chunk_read(encoding, buf_str(&data), m->samples[5].ts_ms,
                                        m->samples[9].ts_ms, &got, &err),
              &err);
    assert_int_equal(got.count, 5);
    for (size_t cut = 0; cut + 1 < data.len; cut++) {
        got.count = 0;
        arena_reset(&arena);
        assert_err(prom_histogram_chunk_read(encoding, (struct str){data.ptr, cut}, INT64_MIN,
                                             INT64_MAX, &got, &err),
                   ERR_CORRUPT, NULL, &err);
    }
    prom_samples_release(&got);
    buf_release(&data);
    arena_release(&arena);
}

static void all_encodings_come_back(void **state) {
    (void)state;
    static struct made m;
    for (size_t e = 0; e < COUNT_OF(encodings); e++) {
        for (int kind = 0; kind < 3; kind++) {
            make(&m, kind, kind == 0);
            check_round_trip(encodings[e], &m);
        }
    }
}

static void a_schema_that_is_too_fine_is_lowered(void **state) {
    (void)state;
    static struct made m;
    struct prom_samples got;
    struct arena arena;
    struct buf data;
    struct err err;
    arena_init(&arena, 0);
    buf_init(&data, 1 << 20);
    prom_samples_init(&got, N);
    got.arena = &arena;
    make(&m, 0, false);
    for (int i = 0; i < N; i++) {
        m.h[i].schema = 9;
    }
    prom_write_histograms(&data, PROM_CHUNK_HISTOGRAM, m.samples, N);
    assert_ok(prom_histogram_chunk_read(PROM_CHUNK_HISTOGRAM, buf_str(&data), INT64_MIN, INT64_MAX,
                                        &got, &err),
              &err);
    assert_int_equal(got.items[3].histogram->schema, 8);
    assert_true(got.items[3].histogram->count == m.h[3].count);
    for (int i = 0; i < N; i++) {
        m.h[i].schema = 60;
    }
    buf_clear(&data);
    prom_write_histograms(&data, PROM_CHUNK_HISTOGRAM, m.samples, N);
    assert_err(prom_histogram_chunk_read(PROM_CHUNK_HISTOGRAM, buf_str(&data), INT64_MIN, INT64_MAX,
                                         &got, &err),
               ERR_CORRUPT, "unknown schema", &err);
    prom_samples_release(&got);
    buf_release(&data);
    arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_encodings_come_back),
        cmocka_unit_test(a_schema_that_is_too_fine_is_lowered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

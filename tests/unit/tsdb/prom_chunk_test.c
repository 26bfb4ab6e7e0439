/* prom_chunk: what a writer of the format packs comes out bit for bit, whatever the values; a chunk
 * that was cut or changed never yields more than it may. Random chunks print their seed. */
#include <stdlib.h>
#include <string.h>

#include "base/value.h"
#include "tests/support/check_err.h"
#include "tests/support/prom_files.h"
#include "tsdb/prom_chunk.h"

enum { SAMPLES_MAX = 70000 };

static uint64_t random_state = 42;

static uint64_t random_u64(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static double random_value(uint64_t kind, double before) {
    switch (kind % 6) {
    case 0:
        return before;
    case 1:
        return (double)(random_u64() % 1000);
    case 2:
        return f64_of_bits(random_u64());
    case 3:
        return f64_stale();
    case 4:
        return before + 0.1;
    default:
        return -0.0;
    }
}

static size_t random_samples(struct prom_sample *out, size_t n, unsigned step_bits) {
    int64_t ts = (int64_t)(random_u64() >> 20);
    double value = 0;
    for (size_t i = 0; i < n; i++) {
        ts += 1 + (int64_t)(random_u64() & ((UINT64_C(1) << step_bits) - 1));
        value = random_value(random_u64(), value);
        out[i] = (struct prom_sample){.ts_ms = ts, .value = value};
    }
    return n;
}

static void assert_same(const struct prom_samples *got, const struct prom_sample *want, size_t n) {
    assert_int_equal(got->count, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(got->items[i].ts_ms, want[i].ts_ms);
        assert_true(f64_same_bits(got->items[i].value, want[i].value));
        assert_int_equal(got->items[i].start_ms, want[i].start_ms);
    }
}

/* Start times as a chunk can have them: that of the first sample until st_from, then any. */
static void give_start_times(struct prom_sample *samples, size_t n, unsigned st_from,
                             bool first_st) {
    for (size_t i = 0; i < n; i++) {
        int64_t *start = &samples[i].start_ms;
        if (i == 0) {
            *start = first_st ? samples[0].ts_ms - (int64_t)(random_u64() % 100000) : 0;
        } else if (st_from == 0 || i < st_from) {
            *start = samples[0].start_ms;
        } else if (i == st_from || i % 3 == 0) {
            *start = i % 7 == 0 ? 0 : samples[i].ts_ms - (int64_t)(random_u64() >> (i % 64));
        } else {
            *start = samples[i - 1].start_ms;
        }
    }
}

static void check_round_trip(uint8_t encoding, struct prom_sample *samples, size_t n,
                             unsigned st_from, bool first_st) {
    give_start_times(samples, n, st_from, first_st && encoding == PROM_CHUNK_XOR2);
    struct err err;
    struct buf data;
    struct prom_samples got;
    buf_init(&data, 8 << 20);
    prom_samples_init(&got, SAMPLES_MAX);
    if (encoding == PROM_CHUNK_XOR) {
        prom_write_xor(&data, samples, n);
    } else {
        prom_write_xor2(&data, samples, n, st_from, first_st);
    }
    assert_true(buf_ok(&data));
    assert_ok(prom_chunk_read(encoding, buf_str(&data), INT64_MIN, INT64_MAX, &got, &err), &err);
    assert_same(&got, samples, n);
    prom_samples_release(&got);
    buf_release(&data);
}

static void what_was_packed_comes_out_bit_for_bit(void **state) {
    (void)state;
    static const unsigned step_bits[] = {0, 4, 13, 14, 17, 20, 30, 40};
    static struct prom_sample samples[300];
    for (size_t round = 0; round < 400; round++) {
        const size_t n = random_samples(samples, round % COUNT_OF(samples), step_bits[round % 8]);
        check_round_trip(PROM_CHUNK_XOR, samples, n, 0, false);
        check_round_trip(PROM_CHUNK_XOR2, samples, n, 0, round % 2 == 0);
        check_round_trip(PROM_CHUNK_XOR2, samples, n, (unsigned)(1 + round % 127), round % 3 == 0);
    }
}

static void differences_at_the_borders_of_field_widths_survive(void **state) {
    (void)state;
    static const int64_t changes[] = {1,      8191,   8192,   8193, 65535, 65536, 65537,
                                      524287, 524288, 524289, 4095, 4096,  4097,  1 << 30};
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        for (int sign = -1; sign <= 1; sign += 2) {
            const int64_t base = INT64_C(2) << 30;
            struct prom_sample samples[] = {{0, 1, NULL, 0},
                                            {base, 1, NULL, 0},
                                            {2 * base + sign * changes[i], 2, NULL, 0},
                                            {3 * base + sign, 2, NULL, 0}};
            check_round_trip(PROM_CHUNK_XOR, samples, 4, 0, false);
            check_round_trip(PROM_CHUNK_XOR2, samples, 4, 0, false);
        }
    }
}

static void only_samples_of_the_range_are_added(void **state) {
    (void)state;
    static const struct prom_sample samples[] = {
        {10, 1, NULL, 0}, {20, 2, NULL, 0}, {30, 3, NULL, 0}, {40, 4, NULL, 0}};
    struct err err;
    struct buf data;
    struct prom_samples got;
    buf_init(&data, 4096);
    prom_samples_init(&got, 10);
    prom_write_xor(&data, samples, 4);
    assert_int_equal(prom_chunk_count(PROM_CHUNK_XOR, buf_str(&data)), 4);
    assert_ok(prom_chunk_read(PROM_CHUNK_XOR, buf_str(&data), 20, 30, &got, &err), &err);
    assert_same(&got, samples + 1, 2);
    assert_ok(prom_chunk_read(PROM_CHUNK_XOR, buf_str(&data), 41, INT64_MAX, &got, &err), &err);
    assert_int_equal(got.count, 2);
    prom_samples_release(&got);
    buf_release(&data);
}

static void a_chunk_that_was_cut_anywhere_is_corrupt(void **state) {
    (void)state;
    static struct prom_sample samples[50];
    const size_t n = random_samples(samples, 50, 20);
    struct buf data;
    buf_init(&data, 1 << 20);
    prom_write_xor(&data, samples, n);
    for (size_t cut = 0; cut + 1 < data.len; cut++) {
        struct err err;
        struct prom_samples got;
        prom_samples_init(&got, SAMPLES_MAX);
        const struct str part = {data.ptr, cut};
        assert_err(prom_chunk_read(PROM_CHUNK_XOR, part, INT64_MIN, INT64_MAX, &got, &err),
                   ERR_CORRUPT, "chunk", &err);
        assert_same(&got, samples, got.count);
        prom_samples_release(&got);
    }
    buf_release(&data);
}

static void a_full_list_and_other_encodings_are_refused(void **state) {
    (void)state;
    static const struct prom_sample samples[] = {
        {10, 1, NULL, 0}, {20, 2, NULL, 0}, {30, 3, NULL, 0}};
    static const struct prom_sample backwards[] = {
        {10, 1, NULL, 0}, {20, 2, NULL, 0}, {15, 3, NULL, 0}};
    struct err err;
    struct buf data;
    struct prom_samples got;
    buf_init(&data, 4096);
    prom_samples_init(&got, 2);
    prom_write_xor(&data, samples, 3);
    assert_err(prom_chunk_read(PROM_CHUNK_XOR, buf_str(&data), 0, 100, &got, &err), ERR_LIMIT,
               "more than 2 samples", &err);
    for (uint8_t encoding = 0; encoding < 8; encoding++) {
        if (!prom_chunk_is_float(encoding)) {
            assert_err(prom_chunk_read(encoding, buf_str(&data), 0, 100, &got, &err),
                       ERR_UNSUPPORTED, "holds no floats", &err);
        }
    }
    assert_true(prom_chunk_is_histogram(PROM_CHUNK_FLOAT_HISTOGRAM_ST));
    assert_int_equal(prom_chunk_count(PROM_CHUNK_HISTOGRAM_ST, (struct str){"\xC0\x05", 2}), 5);
    assert_int_equal(prom_chunk_count(7, buf_str(&data)), 0);
    buf_clear(&data);
    got.count = 0;
    prom_write_xor(&data, backwards, 3);
    assert_err(prom_chunk_read(PROM_CHUNK_XOR, buf_str(&data), 0, 100, &got, &err), ERR_CORRUPT,
               "not after the one before", &err);
    prom_samples_release(&got);
    buf_release(&data);
}

static void lists_are_ordered_and_the_first_of_equal_times_stays(void **state) {
    (void)state;
    static const struct prom_sample mixed[] = {{5, 1, NULL, 0}, {9, 2, NULL, 0}, {3, 3, NULL, 0},
                                               {5, 4, NULL, 0}, {9, 5, NULL, 0}, {1, 6, NULL, 0}};
    static const struct prom_sample want[] = {
        {1, 6, NULL, 0}, {3, 3, NULL, 0}, {5, 1, NULL, 0}, {9, 2, NULL, 0}};
    struct prom_samples list;
    prom_samples_init(&list, 100);
    prom_samples_order(&list);
    assert_int_equal(list.count, 0);
    for (size_t i = 0; i < COUNT_OF(mixed); i++) {
        assert_int_equal(prom_samples_add(&list, mixed[i].ts_ms, mixed[i].value), ERR_OK);
    }
    prom_samples_order(&list);
    assert_same(&list, want, COUNT_OF(want));
    prom_samples_release(&list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_packed_comes_out_bit_for_bit),
        cmocka_unit_test(differences_at_the_borders_of_field_widths_survive),
        cmocka_unit_test(only_samples_of_the_range_are_added),
        cmocka_unit_test(a_chunk_that_was_cut_anywhere_is_corrupt),
        cmocka_unit_test(a_full_list_and_other_encodings_are_refused),
        cmocka_unit_test(lists_are_ordered_and_the_first_of_equal_times_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

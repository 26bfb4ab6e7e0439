/* Sealed blocks: what was encoded comes back bit for bit, in every form, and no bytes make the decoder
 * leave its buffers. */
#include "tests/support/check_err.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/tsdb/block_world.h"
#include "tsdb/chunk/column_kernels.h"
#include "tsdb/storage.h"

enum { RANDOM_COLUMNS = 4000 };

static void columns_of_every_recipe_come_back_bit_for_bit(void **state) {
    (void)state;
    struct world_column *c = mem_alloc(sizeof(*c));
    for (uint64_t i = 0; i < RANDOM_COLUMNS; i++) {
        uint64_t seed = i;
        world_make_column(c, &seed);
        (void)world_round_trip(c);
    }
    mem_free(c);
}

/* Sealing gives what has one form as integers: the block must not depend on it. */
static void a_column_of_one_form_is_the_same_block_however_it_is_given(void **state) {
    (void)state;
    struct block_encoder *const other = block_encoder_new();
    struct world_column *c = mem_alloc(sizeof(*c));
    int64_t *m = mem_array(BLOCK_ROWS_MAX, sizeof(*m));
    for (uint64_t round = 0; round < 300; round++) {
        uint64_t seed = round;
        world_all_values(c, 1 + world_below(&seed, 130));
        uint8_t *const a = mem_alloc(block_bytes_max(c->rows));
        uint8_t *const b = mem_alloc(block_bytes_max(c->rows));
        const bool raw = world_below(&seed, 5) == 0;
        const unsigned scale = raw ? 0 : world_below(&seed, 4) * 3;
        const uint64_t step = world_below(&seed, 3) == 0 ? 0 : 1 + world_below(&seed, 3) * 999;
        block_encoder_begin(world_encoder);
        block_encoder_begin(other);
        for (unsigned slot = 0; slot < 12; slot++) {
            const uint32_t noise = 1 + world_below(&seed, 3) * 50;
            int64_t v = raw ? (int64_t)f64_bits(0.1 + slot) : (int64_t)slot * 1000;
            for (uint32_t i = 0; i < c->rows; i++) {
                v += (int64_t)(step + world_below(&seed, noise)) * (slot % 2 == 0 ? 1 : 1000);
                m[i] = v;
                c->values[i] =
                    raw ? (struct num){.m = v, .kind = NUM_RAW} : world_decimal(v, scale);
            }
            struct num like = c->values[0];
            like.m = 0; /* not looked at */
            const size_t want = block_encode(world_encoder, c->values, c->states, c->rows, a);
            const size_t got = block_encode_integers(other, m, like, c->rows, b);
            assert_int_equal(got, want);
            assert_memory_equal(a, b, want);
            for (uint32_t i = 0; i < c->rows; i++) {
                c->values[i] = c->values[0];
            }
            const size_t constant = block_encode(world_encoder, c->values, c->states, c->rows, a);
            assert_int_equal(block_encode_constant(other, c->values[0], c->rows, b), constant);
            assert_memory_equal(a, b, constant);
        }
        mem_free(a);
        mem_free(b);
    }
    mem_free(m);
    mem_free(c);
    block_encoder_free(other);
}

static void each_form_is_chosen_where_it_is_the_smallest(void **state) {
    (void)state;
    struct world_column *c = mem_alloc(sizeof(*c));
    world_all_values(c, 64);
    uint64_t seed = 1;
    for (uint32_t i = 0; i < 64; i++) {
        c->values[i] = world_decimal(42, 0);
    }
    assert_int_equal(world_round_trip(c).kind, BLOCK_CONST);
    for (uint32_t i = 0; i < 64; i++) {
        c->values[i] = world_decimal(5 * i, 1);
    }
    assert_int_equal(world_round_trip(c).kind, BLOCK_DELTA_CONST);
    for (uint32_t i = 0; i < 64; i++) {
        c->values[i] = world_decimal(1000000 + world_below(&seed, 200), 0);
    }
    assert_int_equal(world_round_trip(c).kind, BLOCK_FOR);
    int64_t m = 0;
    for (uint32_t i = 0; i < 64; i++) {
        m += 1000 + world_below(&seed, 7);
        c->values[i] = world_decimal(m, 0);
    }
    assert_int_equal(world_round_trip(c).kind, BLOCK_DELTA);
    int64_t step = 0;
    m = 0;
    for (uint32_t i = 0; i < 64; i++) {
        step += 100000 + world_below(&seed, 3);
        m += step;
        c->values[i] = world_decimal(m, 0);
    }
    assert_int_equal(world_round_trip(c).kind, BLOCK_DELTA2);
    m = 7;
    for (uint32_t i = 0; i < 64; i++) {
        m += i % 3 == 1 ? 1000 + world_below(&seed, 1000) : 0;
        c->values[i] = world_decimal(m, 0);
    }
    assert_int_equal(world_round_trip(c).kind, BLOCK_SPARSE);
    memset(c->states, SLOT_STALE, 64);
    assert_int_equal(world_round_trip(c).kind, BLOCK_NONE);
    mem_free(c);
}

static void a_common_power_of_two_and_common_decimal_zeros_cost_nothing(void **state) {
    (void)state;
    struct world_column *c = mem_alloc(sizeof(*c));
    world_all_values(c, 64);
    for (uint32_t i = 0; i < 64; i++) {
        c->values[i] = world_decimal(INT64_C(4096) * (i * i % 61), 0);
    }
    assert_int_equal(world_round_trip(c).shift, 12);
    for (uint32_t i = 0; i < 64; i++) {
        c->values[i] = world_decimal(10 * (int64_t)(i * i % 61), 1); /* "15.0" */
    }
    const struct block_info info = world_round_trip(c);
    assert_int_equal(info.scale, 0);
    assert_false(info.raw);
    mem_free(c);
}

static void a_small_constant_takes_one_byte(void **state) {
    (void)state;
    struct world_column *c = mem_alloc(sizeof(*c));
    struct world_decoded d;
    world_all_values(c, 64);
    world_decoded_init(&d, 64);
    for (int64_t m = -2; m < 20; m++) {
        size_t n = 0;
        for (uint32_t i = 0; i < 64; i++) {
            c->values[i] = world_decimal(m * 10, 1);
        }
        uint8_t *bytes = world_encode(c, &n);
        assert_int_equal(n == 1, m >= 0 && m < 16);
        assert_decodes_to(c, bytes, n);
        free(bytes);
    }
    const uint8_t longer[] = {0, 0};
    assert_int_equal(block_decode(longer, 2, 64, NULL, &d.doubles), ERR_CORRUPT);
    assert_int_equal(block_decode_ints(longer, 2, 64, NULL, &d.ints), ERR_CORRUPT);
    world_decoded_release(&d);
    mem_free(c);
}

static void special_doubles_keep_their_bits(void **state) {
    (void)state;
    static const uint64_t bits[] = {
        0x8000000000000000ULL,
        0x7ff0000000000000ULL,
        0xfff0000000000000ULL,
        STALE_NAN_BITS,
        NORMAL_NAN_BITS,
        0xfff8000000000000ULL,
        0x0000000000000001ULL,
        0x7fefffffffffffffULL,
        0xffffffffffffffffULL,
        0x3fb999999999999aULL,
        0,
        0x4340000000000001ULL,
    };
    struct world_column *c = mem_alloc(sizeof(*c));
    world_all_values(c, COUNT_OF(bits));
    for (uint32_t i = 0; i < c->rows; i++) {
        c->values[i] = num_raw(f64_of_bits(bits[i]));
    }
    assert_true(world_round_trip(c).raw);
    for (uint32_t i = 0; i < COUNT_OF(bits); i++) { /* each among decimals */
        world_all_values(c, 5);
        for (uint32_t k = 0; k < 5; k++) {
            c->values[k] = k == 2 ? num_raw(f64_of_bits(bits[i])) : world_decimal(k * 15, 1);
        }
        (void)world_round_trip(c);
    }
    mem_free(c);
}

static void sums_of_decimals_that_were_added_as_doubles_come_back(void **state) {
    (void)state;
    struct world_column *c = mem_alloc(sizeof(*c));
    for (uint64_t i = 0; i < 300; i++) {
        uint64_t seed = 40000 + i;
        double sum = (double)world_below(&seed, 100000) / 1e3;
        world_all_values(c, 2 + world_below(&seed, 150));
        for (uint32_t row = 0; row < c->rows; row++) {
            for (uint32_t k = world_below(&seed, 10); k > 0; k--) {
                sum += (double)world_below(&seed, 1000000) / (i % 2 == 0 ? 1e9 : 1e6);
            }
            c->values[row] = num_of_double(i % 7 == 3 ? -sum : sum);
        }
        if (i % 5 == 0) {
            c->values[c->rows / 2] =
                num_raw(f64_of_bits(i % 2 == 0 ? NORMAL_NAN_BITS : 0x8000000000000000ULL));
        }
        (void)world_round_trip(c);
    }
    double sum = 1234.567;
    world_all_values(c, 64);
    for (uint32_t row = 0; row < 64; row++) {
        sum += 0.000123457 * (row % 7) + 0.000000031 * (row % 5);
        c->values[row] = num_of_double(sum);
    }
    assert_int_equal(world_round_trip(c).kind, BLOCK_EXTENDED);
    mem_free(c);
}

static void scales_that_do_not_meet_in_53_bits_become_raw(void **state) {
    (void)state;
    struct world_column *c = mem_alloc(sizeof(*c));
    world_all_values(c, 3);
    c->values[0] = world_decimal(NUM_MANTISSA_LIMIT - 1, 0);
    c->values[1] = world_decimal(1, 22);
    c->values[2] = world_decimal(0, 22);
    assert_true(world_round_trip(c).raw);
    c->values[1] = world_decimal(10, 1); /* is 1: only looks as if it had a scale */
    assert_false(world_round_trip(c).raw);
    mem_free(c);
}

static void every_pattern_of_absent_and_stale_rows_comes_back(void **state) {
    (void)state;
    struct world_column *c = mem_alloc(sizeof(*c));
    for (uint32_t pattern = 0; pattern < 3 * 3 * 3 * 3 * 3 * 3; pattern++) {
        c->rows = 6;
        for (uint32_t i = 0, p = pattern; i < 6; i++, p /= 3) {
            c->states[i] = (uint8_t)(p % 3);
            c->values[i] = world_decimal((int64_t)i * i * 3 - 4, 2);
        }
        (void)world_round_trip(c);
    }
    mem_free(c);
}

static void a_column_without_samples_takes_no_bytes(void **state) {
    (void)state;
    struct world_column *c = mem_zalloc(sizeof(*c));
    size_t n = 1;
    c->rows = 64;
    uint8_t *bytes = world_encode(c, &n);
    assert_int_equal(n, 0);
    assert_decodes_to(c, bytes, 0);
    free(bytes);
    mem_free(c);
}

static void a_shortened_block_is_corrupt(void **state) {
    (void)state;
    struct world_column *c = mem_alloc(sizeof(*c));
    for (uint64_t i = 0; i < 300; i++) {
        uint64_t seed = 1000 + i;
        world_make_column(c, &seed);
        if (c->rows > 120) {
            continue;
        }
        size_t n = 0;
        struct world_decoded d;
        uint8_t *bytes = world_encode(c, &n);
        world_decoded_init(&d, c->rows);
        for (size_t cut = 1; cut < n; cut++) {
            uint8_t *exact = malloc(cut);
            assert_non_null(exact);
            memcpy(exact, bytes, cut);
            assert_int_equal(block_decode(exact, cut, c->rows, NULL, &d.doubles), ERR_CORRUPT);
            assert_int_equal(block_decode_ints(exact, cut, c->rows, NULL, &d.ints), ERR_CORRUPT);
            free(exact);
        }
        world_decoded_release(&d);
        free(bytes);
    }
    mem_free(c);
}

static void flipped_bits_never_leave_the_buffers(void **state) {
    (void)state;
    struct world_column *c = mem_alloc(sizeof(*c));
    for (uint64_t i = 0; i < 200; i++) {
        uint64_t seed = 5000 + i;
        world_make_column(c, &seed);
        size_t n = 0;
        struct world_decoded d;
        uint8_t *bytes = world_encode(c, &n);
        world_decoded_init(&d, c->rows);
        for (size_t bit = 0; bit<n * 8; bit += n> 400 ? 13 : 1) {
            bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            const enum err_code code = block_decode(bytes, n, c->rows, NULL, &d.doubles);
            assert_true(code == ERR_OK || code == ERR_CORRUPT || code == ERR_UNSUPPORTED);
            assert_int_equal(block_decode_ints(bytes, n, c->rows, NULL, &d.ints), code);
            assert_true(code != ERR_OK || d.doubles.count <= c->rows);
            bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        }
        assert_decodes_to(c, bytes, n);
        world_decoded_release(&d);
        free(bytes);
    }
    mem_free(c);
}

static void a_patch_beyond_the_values_is_corrupt(void **state) {
    (void)state;
    struct world_decoded d;
    world_decoded_init(&d, 3);
    /* FOR with a base of 0, width 0, one patch of one bit at position 2; at position 3 */
    const uint8_t good[] = {BLOCK_FOR | 0x20, 0, 0x80, 0x04, 0x0c};
    const uint8_t bad[] = {BLOCK_FOR | 0x20, 0, 0x80, 0x04, 0x0e};
    assert_int_equal(block_decode(good, sizeof(good), 3, NULL, &d.doubles), ERR_OK);
    assert_true(d.doubles.values[0] == 0 && d.doubles.values[1] == 0 && d.doubles.values[2] == 1);
    assert_int_equal(block_decode(bad, sizeof(bad), 3, NULL, &d.doubles), ERR_CORRUPT);
    world_decoded_release(&d);
}

static void reserved_forms_are_not_guessed_at(void **state) {
    (void)state;
    struct world_decoded d;
    world_decoded_init(&d, 4);
    const uint8_t extended[] = {BLOCK_EXTENDED, 1, 0};
    assert_int_equal(block_decode(extended, 3, 4, NULL, &d.doubles), ERR_UNSUPPORTED);
    world_decoded_release(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_of_every_recipe_come_back_bit_for_bit),
        cmocka_unit_test(a_column_of_one_form_is_the_same_block_however_it_is_given),
        cmocka_unit_test(each_form_is_chosen_where_it_is_the_smallest),
        cmocka_unit_test(a_common_power_of_two_and_common_decimal_zeros_cost_nothing),
        cmocka_unit_test(a_small_constant_takes_one_byte),
        cmocka_unit_test(special_doubles_keep_their_bits),
        cmocka_unit_test(sums_of_decimals_that_were_added_as_doubles_come_back),
        cmocka_unit_test(scales_that_do_not_meet_in_53_bits_become_raw),
        cmocka_unit_test(every_pattern_of_absent_and_stale_rows_comes_back),
        cmocka_unit_test(a_column_without_samples_takes_no_bytes),
        cmocka_unit_test(a_shortened_block_is_corrupt),
        cmocka_unit_test(flipped_bits_never_leave_the_buffers),
        cmocka_unit_test(a_patch_beyond_the_values_is_corrupt),
        cmocka_unit_test(reserved_forms_are_not_guessed_at),
    };
    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}

/* Sealed blocks: what was encoded comes back bit for bit, in every form, and no bytes make the
 * decoder leave its memory.
 *
 * Columns are made by recipe from a seeded generator, so that every form and flag comes up; blocks
 * and outputs are exactly sized heap blocks, so that the address sanitizer sees one byte too far. */
#include "tests/support/check_err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tsdb/chunk/block.h"
#include "tsdb/storage.h"

enum { RANDOM_COLUMNS = 4000 };

static uint64_t random_u64(uint64_t *state) { /* splitmix64 */
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static uint32_t below(uint64_t *state, uint32_t n) {
    return (uint32_t)(random_u64(state) % n);
}

struct column {
    uint32_t rows;
    struct num values[BLOCK_ROWS_MAX];
    uint8_t states[BLOCK_ROWS_MAX];
};

static struct num decimal(int64_t m, unsigned scale) {
    return (struct num){.m = m, .scale = (uint8_t)scale, .kind = NUM_DECIMAL};
}

static struct block_encoder *encoder;

static int set_up(void **state) {
    (void)state;
    encoder = block_encoder_new();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    block_encoder_free(encoder);
    return 0;
}

/* Encodes into an exactly sized heap block. */
static uint8_t *encode(const struct column *c, size_t *out_n) {
    uint8_t *wide = mem_alloc(block_bytes_max(c->rows));
    *out_n = block_encode(encoder, c->values, c->states, c->rows, wide);
    uint8_t *exact = malloc(*out_n > 0 ? *out_n : 1);
    assert_non_null(exact);
    memcpy(exact, wide, *out_n);
    mem_free(wide);
    return exact;
}

struct decoded {
    struct block_column doubles;
    struct block_ints ints;
};

static void decoded_init(struct decoded *d, uint32_t rows) {
    const size_t capacity = block_decode_capacity(rows);
    d->doubles = (struct block_column){.values = mem_array(capacity, sizeof(double)),
                                       .rows = mem_array(capacity, sizeof(uint16_t))};
    d->ints = (struct block_ints){.m = mem_array(capacity, sizeof(int64_t)),
                                  .stale = mem_array(capacity, 1),
                                  .rows = mem_array(capacity, sizeof(uint16_t))};
}

static void decoded_release(struct decoded *d) {
    mem_free(d->doubles.values);
    mem_free(d->doubles.rows);
    mem_free(d->ints.m);
    mem_free(d->ints.stale);
    mem_free(d->ints.rows);
}

static double int_as_double(const struct block_ints *ints, uint32_t i) {
    return ints->decimal ? (double)ints->m[i] / num_power_of_ten[ints->scale]
                         : f64_of_bits((uint64_t)ints->m[i]);
}

static void assert_decodes_to(const struct column *c, const uint8_t *bytes, size_t n) {
    struct decoded d;
    decoded_init(&d, c->rows);
    assert_int_equal(block_decode(bytes, n, c->rows, &d.doubles), ERR_OK);
    assert_int_equal(block_decode_ints(bytes, n, c->rows, &d.ints), ERR_OK);
    assert_int_equal(d.doubles.count, d.ints.count);
    assert_int_equal(d.doubles.dense, d.ints.dense);
    assert_int_equal(d.doubles.has_stale, d.ints.has_stale);
    uint32_t at = 0;
    for (uint32_t row = 0; row < c->rows; row++) {
        if (c->states[row] == SLOT_ABSENT) {
            continue;
        }
        assert_true(at < d.doubles.count);
        assert_int_equal(d.doubles.dense ? at : d.doubles.rows[at], row);
        assert_int_equal(d.ints.dense ? at : d.ints.rows[at], row);
        const bool stale = c->states[row] == SLOT_STALE;
        const uint64_t want = stale ? STALE_NAN_BITS : f64_bits(num_double(c->values[row]));
        assert_int_equal(f64_bits(d.doubles.values[at]), want);
        if (d.ints.has_stale) {
            assert_int_equal(d.ints.stale[at], stale);
        }
        assert_true(stale || f64_bits(int_as_double(&d.ints, at)) == want);
        at++;
    }
    assert_int_equal(at, d.doubles.count);
    decoded_release(&d);
}

static struct block_info round_trip(const struct column *c) {
    size_t n = 0;
    struct block_info info;
    uint8_t *bytes = encode(c, &n);
    assert_true(n <= block_bytes_max(c->rows));
    assert_decodes_to(c, bytes, n);
    assert_int_equal(block_inspect(bytes, n, c->rows, &info), ERR_OK);
    free(bytes);
    return info;
}

static void all_values(struct column *c, uint32_t rows) {
    c->rows = rows;
    memset(c->states, SLOT_VALUE, sizeof(c->states));
}

/* ---- recipes ---- */

static void make_values(struct column *c, uint64_t *seed) {
    const uint32_t recipe = below(seed, 10);
    const unsigned scale = below(seed, 4) == 0 ? below(seed, 8) : 0;
    const unsigned bits = 1 + below(seed, 45);
    int64_t m = (int64_t)(random_u64(seed) >> (12 + below(seed, 50)));
    int64_t step = (int64_t)below(seed, 10000);
    m /= 2;
    for (uint32_t i = 0; i < c->rows; i++) {
        const int64_t noise = (int64_t)(random_u64(seed) >> (64 - bits));
        switch (recipe) {
        case 0: /* constant */
            break;
        case 1: /* line */
            m += step;
            break;
        case 2: /* level with noise */
            c->values[i] = decimal(noise - (noise & 1 ? noise / 2 : 0), scale);
            continue;
        case 3: /* counter */
            m += step + noise % 64;
            break;
        case 4: /* accelerating counter */
            step += (int64_t)below(seed, 16);
            m += step;
            break;
        case 5: /* rare changes */
            m += below(seed, 12) == 0 ? noise : 0;
            break;
        case 6: /* multiples of a page, with outliers */
            m = (noise % 32) * 4096 + (below(seed, 20) == 0 ? INT64_C(1) << 40 : 0);
            break;
        case 7: /* any bits */
            c->values[i] = num_raw(f64_of_bits(random_u64(seed)));
            continue;
        case 8: /* doubles that have no short decimal */
            c->values[i] = num_of_double((double)noise / 3.0);
            continue;
        default: /* all scales at once */
            c->values[i] = decimal((int64_t)below(seed, 1000000), below(seed, NUM_SCALE_MAX + 1));
            continue;
        }
        m %= NUM_MANTISSA_LIMIT;
        c->values[i] = decimal(m, scale);
    }
}

static void make_states(struct column *c, uint64_t *seed) {
    const uint32_t recipe = below(seed, 4);
    for (uint32_t i = 0; i < c->rows; i++) {
        c->states[i] = SLOT_VALUE;
        if (recipe == 1) {
            c->states[i] = (uint8_t)below(seed, 3);
        } else if (recipe == 2) { /* ended */
            c->states[i] = i < c->rows / 2    ? SLOT_VALUE
                           : i == c->rows / 2 ? SLOT_STALE
                                              : SLOT_ABSENT;
        }
    }
}

static void make_column(struct column *c, uint64_t *seed) {
    static const uint32_t lengths[] = {1, 2, 3, 7, 8, 9, 31, 63, 64, 65, 120, 255, 2048};
    c->rows = lengths[below(seed, below(seed, 50) == 0 ? COUNT_OF(lengths) : 11)];
    make_values(c, seed);
    make_states(c, seed);
}

/* ---- tests ---- */

static void columns_of_every_recipe_come_back_bit_for_bit(void **state) {
    (void)state;
    struct column *c = mem_alloc(sizeof(*c));
    for (uint64_t i = 0; i < RANDOM_COLUMNS; i++) {
        uint64_t seed = i;
        make_column(c, &seed);
        (void)round_trip(c);
    }
    mem_free(c);
}

static void each_form_is_chosen_where_it_is_the_smallest(void **state) {
    (void)state;
    struct column *c = mem_alloc(sizeof(*c));
    all_values(c, 64);
    uint64_t seed = 1;
    for (uint32_t i = 0; i < 64; i++) {
        c->values[i] = decimal(42, 0);
    }
    assert_int_equal(round_trip(c).kind, BLOCK_CONST);
    for (uint32_t i = 0; i < 64; i++) {
        c->values[i] = decimal(5 * i, 1);
    }
    assert_int_equal(round_trip(c).kind, BLOCK_DELTA_CONST);
    for (uint32_t i = 0; i < 64; i++) {
        c->values[i] = decimal(1000000 + below(&seed, 200), 0);
    }
    assert_int_equal(round_trip(c).kind, BLOCK_FOR);
    int64_t m = 0;
    for (uint32_t i = 0; i < 64; i++) {
        m += 1000 + below(&seed, 7);
        c->values[i] = decimal(m, 0);
    }
    assert_int_equal(round_trip(c).kind, BLOCK_DELTA);
    int64_t step = 0;
    m = 0;
    for (uint32_t i = 0; i < 64; i++) {
        step += 100000 + below(&seed, 3);
        m += step;
        c->values[i] = decimal(m, 0);
    }
    assert_int_equal(round_trip(c).kind, BLOCK_DELTA2);
    m = 7;
    for (uint32_t i = 0; i < 64; i++) {
        m += i % 3 == 1 ? 1000 + below(&seed, 1000) : 0;
        c->values[i] = decimal(m, 0);
    }
    assert_int_equal(round_trip(c).kind, BLOCK_SPARSE);
    memset(c->states, SLOT_STALE, 64);
    assert_int_equal(round_trip(c).kind, BLOCK_NONE);
    mem_free(c);
}

static void a_common_power_of_two_and_common_decimal_zeros_cost_nothing(void **state) {
    (void)state;
    struct column *c = mem_alloc(sizeof(*c));
    all_values(c, 64);
    for (uint32_t i = 0; i < 64; i++) {
        c->values[i] = decimal(INT64_C(4096) * (i * i % 61), 0);
    }
    assert_int_equal(round_trip(c).shift, 12);
    for (uint32_t i = 0; i < 64; i++) {
        c->values[i] = decimal(10 * (int64_t)(i * i % 61), 1); /* "15.0" */
    }
    const struct block_info info = round_trip(c);
    assert_int_equal(info.scale, 0);
    assert_false(info.raw);
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
    struct column *c = mem_alloc(sizeof(*c));
    all_values(c, COUNT_OF(bits));
    for (uint32_t i = 0; i < c->rows; i++) {
        c->values[i] = num_raw(f64_of_bits(bits[i]));
    }
    assert_true(round_trip(c).raw);
    for (uint32_t i = 0; i < COUNT_OF(bits); i++) { /* each among decimals */
        all_values(c, 5);
        for (uint32_t k = 0; k < 5; k++) {
            c->values[k] = k == 2 ? num_raw(f64_of_bits(bits[i])) : decimal(k * 15, 1);
        }
        (void)round_trip(c);
    }
    mem_free(c);
}

static void scales_that_do_not_meet_in_53_bits_become_raw(void **state) {
    (void)state;
    struct column *c = mem_alloc(sizeof(*c));
    all_values(c, 3);
    c->values[0] = decimal(NUM_MANTISSA_LIMIT - 1, 0);
    c->values[1] = decimal(1, 22);
    c->values[2] = decimal(0, 22);
    assert_true(round_trip(c).raw);
    c->values[1] = decimal(10, 1); /* is 1: only looks as if it had a scale */
    assert_false(round_trip(c).raw);
    mem_free(c);
}

static void every_pattern_of_absent_and_stale_rows_comes_back(void **state) {
    (void)state;
    struct column *c = mem_alloc(sizeof(*c));
    for (uint32_t pattern = 0; pattern < 3 * 3 * 3 * 3 * 3 * 3; pattern++) {
        c->rows = 6;
        for (uint32_t i = 0, p = pattern; i < 6; i++, p /= 3) {
            c->states[i] = (uint8_t)(p % 3);
            c->values[i] = decimal((int64_t)i * i * 3 - 4, 2);
        }
        (void)round_trip(c);
    }
    mem_free(c);
}

static void a_column_without_samples_takes_no_bytes(void **state) {
    (void)state;
    struct column *c = mem_zalloc(sizeof(*c));
    size_t n = 1;
    c->rows = 64;
    uint8_t *bytes = encode(c, &n);
    assert_int_equal(n, 0);
    assert_decodes_to(c, bytes, 0);
    free(bytes);
    mem_free(c);
}

static void a_shortened_block_is_corrupt(void **state) {
    (void)state;
    struct column *c = mem_alloc(sizeof(*c));
    for (uint64_t i = 0; i < 300; i++) {
        uint64_t seed = 1000 + i;
        make_column(c, &seed);
        if (c->rows > 120) {
            continue;
        }
        size_t n = 0;
        struct decoded d;
        uint8_t *bytes = encode(c, &n);
        decoded_init(&d, c->rows);
        for (size_t cut = 1; cut < n; cut++) {
            uint8_t *exact = malloc(cut);
            assert_non_null(exact);
            memcpy(exact, bytes, cut);
            assert_int_equal(block_decode(exact, cut, c->rows, &d.doubles), ERR_CORRUPT);
            assert_int_equal(block_decode_ints(exact, cut, c->rows, &d.ints), ERR_CORRUPT);
            free(exact);
        }
        decoded_release(&d);
        free(bytes);
    }
    mem_free(c);
}

static void flipped_bits_never_leave_the_buffers(void **state) {
    (void)state;
    struct column *c = mem_alloc(sizeof(*c));
    for (uint64_t i = 0; i < 200; i++) {
        uint64_t seed = 5000 + i;
        make_column(c, &seed);
        size_t n = 0;
        struct decoded d;
        uint8_t *bytes = encode(c, &n);
        decoded_init(&d, c->rows);
        for (size_t bit = 0; bit<n * 8; bit += n> 400 ? 13 : 1) {
            bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            const enum err_code code = block_decode(bytes, n, c->rows, &d.doubles);
            assert_true(code == ERR_OK || code == ERR_CORRUPT || code == ERR_UNSUPPORTED);
            assert_int_equal(block_decode_ints(bytes, n, c->rows, &d.ints), code);
            assert_true(code != ERR_OK || d.doubles.count <= c->rows);
            bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        }
        assert_decodes_to(c, bytes, n);
        decoded_release(&d);
        free(bytes);
    }
    mem_free(c);
}

static void a_patch_beyond_the_values_is_corrupt(void **state) {
    (void)state;
    struct decoded d;
    decoded_init(&d, 3);
    /* FOR with a base of 0, width 0, one patch of one bit at position 2; at position 3 */
    const uint8_t good[] = {BLOCK_FOR | 0x20, 0, 0x80, 0x04, 0x0c};
    const uint8_t bad[] = {BLOCK_FOR | 0x20, 0, 0x80, 0x04, 0x0e};
    assert_int_equal(block_decode(good, sizeof(good), 3, &d.doubles), ERR_OK);
    assert_true(d.doubles.values[0] == 0 && d.doubles.values[1] == 0 && d.doubles.values[2] == 1);
    assert_int_equal(block_decode(bad, sizeof(bad), 3, &d.doubles), ERR_CORRUPT);
    decoded_release(&d);
}

static void reserved_forms_are_not_guessed_at(void **state) {
    (void)state;
    struct decoded d;
    decoded_init(&d, 4);
    const uint8_t reference[] = {BLOCK_CONST | 0x80, 2};
    const uint8_t extended[] = {BLOCK_EXTENDED, 0, 0};
    assert_int_equal(block_decode(reference, 2, 4, &d.doubles), ERR_UNSUPPORTED);
    assert_int_equal(block_decode(extended, 3, 4, &d.doubles), ERR_UNSUPPORTED);
    decoded_release(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_of_every_recipe_come_back_bit_for_bit),
        cmocka_unit_test(each_form_is_chosen_where_it_is_the_smallest),
        cmocka_unit_test(a_common_power_of_two_and_common_decimal_zeros_cost_nothing),
        cmocka_unit_test(special_doubles_keep_their_bits),
        cmocka_unit_test(scales_that_do_not_meet_in_53_bits_become_raw),
        cmocka_unit_test(every_pattern_of_absent_and_stale_rows_comes_back),
        cmocka_unit_test(a_column_without_samples_takes_no_bytes),
        cmocka_unit_test(a_shortened_block_is_corrupt),
        cmocka_unit_test(flipped_bits_never_leave_the_buffers),
        cmocka_unit_test(a_patch_beyond_the_values_is_corrupt),
        cmocka_unit_test(reserved_forms_are_not_guessed_at),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

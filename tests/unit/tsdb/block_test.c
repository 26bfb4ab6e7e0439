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
#include "tsdb/chunk/column_kernels.h"
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
    block_encoder_begin(encoder);
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

static void assert_is_column(const struct column *c, const struct decoded *d) {
    assert_int_equal(d->doubles.count, d->ints.count);
    assert_int_equal(d->doubles.dense, d->ints.dense);
    assert_int_equal(d->doubles.has_stale, d->ints.has_stale);
    uint32_t at = 0;
    for (uint32_t row = 0; row < c->rows; row++) {
        if (c->states[row] == SLOT_ABSENT) {
            continue;
        }
        assert_true(at < d->doubles.count);
        assert_int_equal(d->doubles.dense ? at : d->doubles.rows[at], row);
        assert_int_equal(d->ints.dense ? at : d->ints.rows[at], row);
        const bool stale = c->states[row] == SLOT_STALE;
        const uint64_t want = stale ? STALE_NAN_BITS : f64_bits(num_double(c->values[row]));
        assert_int_equal(f64_bits(d->doubles.values[at]), want);
        if (d->ints.has_stale) {
            assert_int_equal(d->ints.stale[at], stale);
        }
        assert_true(stale || f64_bits(int_as_double(&d->ints, at)) == want);
        at++;
    }
    assert_int_equal(at, d->doubles.count);
}

static void assert_decodes_to(const struct column *c, const uint8_t *bytes, size_t n) {
    struct decoded d;
    decoded_init(&d, c->rows);
    assert_int_equal(block_decode(bytes, n, c->rows, NULL, &d.doubles), ERR_OK);
    assert_int_equal(block_decode_ints(bytes, n, c->rows, NULL, &d.ints), ERR_OK);
    assert_is_column(c, &d);
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

/* Sealing gives what has one form as integers: the block must not depend on it. */
static void a_column_of_one_form_is_the_same_block_however_it_is_given(void **state) {
    (void)state;
    struct block_encoder *const other = block_encoder_new();
    struct column *c = mem_alloc(sizeof(*c));
    int64_t *m = mem_array(BLOCK_ROWS_MAX, sizeof(*m));
    for (uint64_t round = 0; round < 300; round++) {
        uint64_t seed = round;
        all_values(c, 1 + below(&seed, 130));
        uint8_t *const a = mem_alloc(block_bytes_max(c->rows));
        uint8_t *const b = mem_alloc(block_bytes_max(c->rows));
        const bool raw = below(&seed, 5) == 0;
        const unsigned scale = raw ? 0 : below(&seed, 4) * 3;
        const uint64_t step = below(&seed, 3) == 0 ? 0 : 1 + below(&seed, 3) * 999;
        block_encoder_begin(encoder);
        block_encoder_begin(other);
        for (unsigned slot = 0; slot < 12; slot++) {
            const uint32_t noise = 1 + below(&seed, 3) * 50;
            int64_t v = raw ? (int64_t)f64_bits(0.1 + slot) : (int64_t)slot * 1000;
            for (uint32_t i = 0; i < c->rows; i++) {
                v += (int64_t)(step + below(&seed, noise)) * (slot % 2 == 0 ? 1 : 1000);
                m[i] = v;
                c->values[i] = raw ? (struct num){.m = v, .kind = NUM_RAW} : decimal(v, scale);
            }
            struct num like = c->values[0];
            like.m = 0; /* not looked at */
            const size_t want = block_encode(encoder, c->values, c->states, c->rows, a);
            const size_t got = block_encode_integers(other, m, like, c->rows, b);
            assert_int_equal(got, want);
            assert_memory_equal(a, b, want);
            for (uint32_t i = 0; i < c->rows; i++) {
                c->values[i] = c->values[0];
            }
            const size_t constant = block_encode(encoder, c->values, c->states, c->rows, a);
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

static void a_small_constant_takes_one_byte(void **state) {
    (void)state;
    struct column *c = mem_alloc(sizeof(*c));
    struct decoded d;
    all_values(c, 64);
    decoded_init(&d, 64);
    for (int64_t m = -2; m < 20; m++) {
        size_t n = 0;
        for (uint32_t i = 0; i < 64; i++) {
            c->values[i] = decimal(m * 10, 1);
        }
        uint8_t *bytes = encode(c, &n);
        assert_int_equal(n == 1, m >= 0 && m < 16);
        assert_decodes_to(c, bytes, n);
        free(bytes);
    }
    const uint8_t longer[] = {0, 0};
    assert_int_equal(block_decode(longer, 2, 64, NULL, &d.doubles), ERR_CORRUPT);
    assert_int_equal(block_decode_ints(longer, 2, 64, NULL, &d.ints), ERR_CORRUPT);
    decoded_release(&d);
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

static void sums_of_decimals_that_were_added_as_doubles_come_back(void **state) {
    (void)state;
    struct column *c = mem_alloc(sizeof(*c));
    for (uint64_t i = 0; i < 300; i++) {
        uint64_t seed = 40000 + i;
        double sum = (double)below(&seed, 100000) / 1e3;
        all_values(c, 2 + below(&seed, 150));
        for (uint32_t row = 0; row < c->rows; row++) {
            for (uint32_t k = below(&seed, 10); k > 0; k--) {
                sum += (double)below(&seed, 1000000) / (i % 2 == 0 ? 1e9 : 1e6);
            }
            c->values[row] = num_of_double(i % 7 == 3 ? -sum : sum);
        }
        if (i % 5 == 0) {
            c->values[c->rows / 2] =
                num_raw(f64_of_bits(i % 2 == 0 ? NORMAL_NAN_BITS : 0x8000000000000000ULL));
        }
        (void)round_trip(c);
    }
    double sum = 1234.567;
    all_values(c, 64);
    for (uint32_t row = 0; row < 64; row++) {
        sum += 0.000123457 * (row % 7) + 0.000000031 * (row % 5);
        c->values[row] = num_of_double(sum);
    }
    assert_int_equal(round_trip(c).kind, BLOCK_EXTENDED);
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
            assert_int_equal(block_decode(exact, cut, c->rows, NULL, &d.doubles), ERR_CORRUPT);
            assert_int_equal(block_decode_ints(exact, cut, c->rows, NULL, &d.ints), ERR_CORRUPT);
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
            const enum err_code code = block_decode(bytes, n, c->rows, NULL, &d.doubles);
            assert_true(code == ERR_OK || code == ERR_CORRUPT || code == ERR_UNSUPPORTED);
            assert_int_equal(block_decode_ints(bytes, n, c->rows, NULL, &d.ints), code);
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
    assert_int_equal(block_decode(good, sizeof(good), 3, NULL, &d.doubles), ERR_OK);
    assert_true(d.doubles.values[0] == 0 && d.doubles.values[1] == 0 && d.doubles.values[2] == 1);
    assert_int_equal(block_decode(bad, sizeof(bad), 3, NULL, &d.doubles), ERR_CORRUPT);
    decoded_release(&d);
}

static void reserved_forms_are_not_guessed_at(void **state) {
    (void)state;
    struct decoded d;
    decoded_init(&d, 4);
    const uint8_t extended[] = {BLOCK_EXTENDED, 1, 0};
    assert_int_equal(block_decode(extended, 3, 4, NULL, &d.doubles), ERR_UNSUPPORTED);
    decoded_release(&d);
}

/* ---- references ---- */

enum { FAMILY = 12 };

/* Slots of a run one behind the other, as a histogram's buckets. */
struct family {
    struct column columns[FAMILY];
    uint8_t bytes[FAMILY][BLOCK_BYTES_FIXED_MAX + BLOCK_ROWS_MAX * BLOCK_BYTES_PER_ROW_MAX];
    size_t sizes[FAMILY];
    uint32_t referring;
};

static void encode_family(struct family *f) {
    block_encoder_begin(encoder);
    f->referring = 0;
    for (uint32_t i = 0; i < FAMILY; i++) {
        const struct column *c = &f->columns[i];
        f->sizes[i] = block_encode(encoder, c->values, c->states, c->rows, f->bytes[i]);
        f->referring += block_reference(f->bytes[i], f->sizes[i]) != 0;
    }
}

static enum err_code decode_member(const struct family *f, uint32_t i, struct decoded *d) {
    const uint32_t rows = f->columns[i].rows;
    const unsigned back = block_reference(f->bytes[i], f->sizes[i]);
    struct decoded other;
    decoded_init(&other, rows);
    assert_true(back <= i && back <= BLOCK_BACK_MAX);
    if (back != 0) { /* depth 1 */
        assert_int_equal(
            block_decode_ints(f->bytes[i - back], f->sizes[i - back], rows, NULL, &other.ints),
            ERR_OK);
    }
    const struct block_ints *reference = back != 0 ? &other.ints : NULL;
    const enum err_code code = block_decode(f->bytes[i], f->sizes[i], rows, reference, &d->doubles);
    assert_int_equal(block_decode_ints(f->bytes[i], f->sizes[i], rows, reference, &d->ints), code);
    decoded_release(&other);
    return code;
}

static void assert_family_comes_back(struct family *f) {
    encode_family(f);
    for (uint32_t i = 0; i < FAMILY; i++) {
        const struct column *c = &f->columns[i];
        struct decoded d;
        decoded_init(&d, c->rows);
        assert_int_equal(decode_member(f, i, &d), ERR_OK);
        assert_is_column(c, &d);
        decoded_release(&d);
    }
}

/* Every member follows one course with its own offset, scale or noise. */
static void make_family(struct family *f, uint64_t *seed) {
    const uint32_t rows = 1 + below(seed, below(seed, 30) == 0 ? 2048 : 130);
    const unsigned scale = below(seed, 3);
    const bool raw = below(seed, 5) == 0;
    for (uint32_t i = 0; i < FAMILY; i++) {
        all_values(&f->columns[i], rows);
    }
    int64_t m = (int64_t)below(seed, 1 << 30);
    for (uint32_t row = 0; row < rows; row++) {
        m += (int64_t)below(seed, 100000);
        for (uint32_t i = 0; i < FAMILY; i++) {
            const int64_t own = m + (int64_t)i * 1000 + (below(seed, 9) == 0 ? below(seed, 50) : 0);
            const unsigned finer = i % 4 == 3 ? 2 : 0;
            const int64_t steps[] = {1, 10, 100};
            struct num v = decimal(own * steps[finer] + (finer > 0 ? (int64_t)below(seed, 3) : 0),
                                   scale + finer);
            v = raw && i % 3 != 0 ? num_raw(num_double(v) / 3.0) : v;
            f->columns[i].values[row] = v;
        }
    }
    if (below(seed, 3) == 0) { /* gaps in one, which then is no reference */
        make_states(&f->columns[below(seed, FAMILY)], seed);
    }
}

static void slots_that_move_together_refer_to_each_other_and_come_back(void **state) {
    (void)state;
    struct family *f = mem_alloc(sizeof(*f));
    uint32_t referring = 0;
    for (uint64_t i = 0; i < 300; i++) {
        uint64_t seed = 9000 + i;
        make_family(f, &seed);
        assert_family_comes_back(f);
        referring += f->referring;
    }
    assert_true(referring > 300 * FAMILY / 3);
    mem_free(f);
}

static void mantissas_at_their_limits_come_back_from_references(void **state) {
    (void)state;
    struct family *f = mem_alloc(sizeof(*f));
    for (uint32_t i = 0; i < FAMILY; i++) {
        all_values(&f->columns[i], 64);
        for (uint32_t row = 0; row < 64; row++) {
            const int64_t m = NUM_MANTISSA_LIMIT - 1 - (int64_t)(row * row * 977 % 4096);
            f->columns[i].values[row] = decimal(i % 3 == 1 ? -m : m, i % 5 == 2 ? 15 : i % 2);
        }
    }
    assert_family_comes_back(f);
    assert_true(f->referring > 0);
    mem_free(f);
}

/* Two slots, the second refers to the first. */
static void make_pair(struct family *f) {
    uint64_t seed = 3;
    int64_t m = 0;
    for (uint32_t i = 0; i < FAMILY; i++) {
        all_values(&f->columns[i], 64);
    }
    for (uint32_t row = 0; row < 64; row++) {
        m += (int64_t)below(&seed, 1 << 20);
        for (uint32_t i = 0; i < FAMILY; i++) {
            f->columns[i].values[row] = decimal(m + i, 0);
        }
    }
    encode_family(f);
    assert_int_equal(block_reference(f->bytes[1], f->sizes[1]), 1);
}

static void a_slot_behind_a_skipped_one_or_in_a_new_run_refers_to_nothing(void **state) {
    (void)state;
    struct family *f = mem_alloc(sizeof(*f));
    make_pair(f);
    const struct column *c = &f->columns[0];
    block_encoder_begin(encoder);
    size_t n = block_encode(encoder, c->values, c->states, c->rows, f->bytes[0]);
    for (uint32_t i = 0; i < BLOCK_BACK_MAX; i++) {
        block_encoder_skip(encoder);
    }
    n = block_encode(encoder, c[1].values, c[1].states, c->rows, f->bytes[1]);
    assert_int_equal(block_reference(f->bytes[1], n), 0);
    n = block_encode(encoder, c[2].values, c[2].states, c->rows, f->bytes[2]);
    assert_int_equal(block_reference(f->bytes[2], n), 1);
    block_encoder_begin(encoder);
    n = block_encode(encoder, c[2].values, c[2].states, c->rows, f->bytes[2]);
    assert_int_equal(block_reference(f->bytes[2], n), 0);
    mem_free(f);
}

static void a_reference_that_is_missing_or_does_not_fit_is_corrupt(void **state) {
    (void)state;
    struct family *f = mem_alloc(sizeof(*f));
    make_pair(f);
    struct decoded d;
    struct decoded other;
    decoded_init(&d, 64);
    decoded_init(&other, 64);
    const uint8_t *bytes = f->bytes[1];
    const size_t n = f->sizes[1];
    assert_int_equal(block_decode(bytes, n, 64, NULL, &d.doubles), ERR_CORRUPT);
    assert_int_equal(block_decode_ints(bytes, n, 64, NULL, &d.ints), ERR_CORRUPT);
    assert_int_equal(block_decode_ints(f->bytes[0], f->sizes[0], 64, NULL, &other.ints), ERR_OK);
    const struct block_ints good = other.ints;
    struct block_ints bad[4] = {good, good, good, good};
    bad[0].count = 63;
    bad[1].dense = false;
    bad[2].has_stale = true;
    bad[3].decimal = false;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(block_decode(bytes, n, 64, &bad[i], &d.doubles), ERR_CORRUPT);
    }
    assert_int_equal(block_decode(bytes, n, 64, &good, &d.doubles), ERR_OK);
    for (size_t bit = 0; bit < n * 8; bit++) {
        uint8_t *exact = malloc(n);
        assert_non_null(exact);
        memcpy(exact, bytes, n);
        exact[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        const enum err_code code = block_decode(exact, n, 64, &good, &d.doubles);
        assert_true(code == ERR_OK || code == ERR_CORRUPT || code == ERR_UNSUPPORTED);
        free(exact);
    }
    decoded_release(&d);
    decoded_release(&other);
    mem_free(f);
}

/* ---- loops ---- */

static void every_set_of_loops_does_the_same(void **state) {
    (void)state;
    uint64_t seed = 77;
    const struct column_kernels *plain = &column_kernels_portable;
    for (uint32_t i = 0; i < 3000; i++) {
        const size_t n = below(&seed, 140);
        const unsigned width = 1 + below(&seed, KERNEL_WIDTH_MAX);
        const size_t bit = below(&seed, 30);
        const size_t size = (bit + n * width + 7) / 8 + below(&seed, 3);
        uint8_t *packed = malloc(size + 1);
        uint64_t *a = malloc((n + 1) * sizeof(*a));
        uint64_t *b = malloc((n + 1) * sizeof(*b));
        double *x = malloc((n + 1) * sizeof(*x));
        double *y = malloc((n + 1) * sizeof(*y));
        assert_true(packed != NULL && a != NULL && b != NULL && x != NULL && y != NULL);
        for (size_t k = 0; k < size; k++) {
            packed[k] = (uint8_t)random_u64(&seed);
        }
        const struct placement p = {random_u64(&seed), (uint8_t)below(&seed, 64)};
        const uint64_t base = random_u64(&seed) >> below(&seed, 64);
        const double power = num_power_of_ten[below(&seed, NUM_SCALE_MAX + 1)];
        const struct column_kernels *other;
        for (size_t k = 1; (other = column_kernels_at(k)) != NULL; k++) {
            plain->unpack(packed, size, bit, width, n, a);
            other->unpack(packed, size, bit, width, n, b);
            assert_memory_equal(a, b, n * sizeof(*a));
            plain->sum(a, n, i % 2 == 0, base, p.first);
            other->sum(b, n, i % 2 == 0, base, p.first);
            assert_memory_equal(a, b, n * sizeof(*a));
            plain->divide(a, n, p, power, x);
            other->divide(b, n, p, power, y);
            assert_memory_equal(x, y, n * sizeof(*x));
            plain->place(a, n, p, a);
            other->place(b, n, p, b);
            assert_memory_equal(a, b, n * sizeof(*a));
            plain->ramp(a, n, p.first, base);
            other->ramp(b, n, p.first, base);
            assert_memory_equal(a, b, n * sizeof(*a));
            assert_int_equal(plain->ascends((int64_t *)a, n), other->ascends((int64_t *)b, n));
            other->fill(b, n, base);
            for (size_t row = 0; row < n; row++) {
                assert_true(b[row] == base);
            }
        }
        free(packed);
        free(a);
        free(b);
        free(x);
        free(y);
    }
}

static void a_step_that_does_not_ascend_is_seen_wherever_it_is(void **state) {
    (void)state;
    enum { ROWS = 23 };
    const struct column_kernels *set;
    for (size_t k = 0; (set = column_kernels_at(k)) != NULL; k++) {
        for (size_t n = 0; n <= ROWS; n++) {
            int64_t v[ROWS];
            for (size_t i = 0; i < n; i++) {
                v[i] = i == 0 ? INT64_MIN : (int64_t)i * 15000 - 100000;
            }
            assert_true(set->ascends(v, n));
            for (size_t i = 1; i < n; i++) {
                const int64_t was = v[i];
                v[i] = v[i - 1];
                assert_false(set->ascends(v, n));
                v[i] = was;
            }
        }
    }
}

static void the_plain_loops_unpack_sum_and_divide(void **state) {
    (void)state;
    const struct column_kernels *plain = column_kernels_at(0);
    const uint8_t packed[] = {0x0d, 0xf8, 0x03}; /* behind one bit, 5 bits each: 6, 0, 31, 3 */
    uint64_t v[4];
    double doubles[4];
    assert_ptr_equal(plain, &column_kernels_portable);
    plain->unpack(packed, sizeof(packed), 1, 5, 4, v);
    assert_true(v[0] == 6 && v[1] == 0 && v[2] == 31 && v[3] == 3);
    plain->sum(v, 4, true, 0, 100); /* 3, 0, -16, -2 */
    assert_true(v[0] == 103 && v[1] == 103 && v[2] == 87 && v[3] == 85);
    plain->divide(v, 4, (struct placement){(uint64_t)-200, 1}, 10, doubles);
    assert_true(doubles[0] == 0.6 && doubles[2] == -2.6 && doubles[3] == -3.0);
    plain->ramp(v, 4, 1000, 10);
    assert_true(v[0] == 1103 && v[1] == 1113 && v[2] == 1107 && v[3] == 1115);
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
        cmocka_unit_test(slots_that_move_together_refer_to_each_other_and_come_back),
        cmocka_unit_test(mantissas_at_their_limits_come_back_from_references),
        cmocka_unit_test(a_slot_behind_a_skipped_one_or_in_a_new_run_refers_to_nothing),
        cmocka_unit_test(a_reference_that_is_missing_or_does_not_fit_is_corrupt),
        cmocka_unit_test(every_set_of_loops_does_the_same),
        cmocka_unit_test(a_step_that_does_not_ascend_is_seen_wherever_it_is),
        cmocka_unit_test(the_plain_loops_unpack_sum_and_divide),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

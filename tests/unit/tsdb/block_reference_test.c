/* Sealed blocks: slots of a run that move together refer to each other and come back bit for bit. */
#include "tests/support/check_err.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/tsdb/block_world.h"
#include "tsdb/chunk/column_kernels.h"
#include "tsdb/storage.h"

enum { FAMILY = 12 };

/* Slots of a run one behind the other, as a histogram's buckets. */
struct family {
    struct world_column columns[FAMILY];
    uint8_t bytes[FAMILY][BLOCK_BYTES_FIXED_MAX + BLOCK_ROWS_MAX * BLOCK_BYTES_PER_ROW_MAX];
    size_t sizes[FAMILY];
    uint32_t referring;
};

static void encode_family(struct family *f) {
    block_encoder_begin(world_encoder);
    f->referring = 0;
    for (uint32_t i = 0; i < FAMILY; i++) {
        const struct world_column *c = &f->columns[i];
        f->sizes[i] = block_encode(world_encoder, c->values, c->states, c->rows, f->bytes[i]);
        f->referring += block_reference(f->bytes[i], f->sizes[i]) != 0;
    }
}

static enum err_code decode_member(const struct family *f, uint32_t i, struct world_decoded *d) {
    const uint32_t rows = f->columns[i].rows;
    const unsigned back = block_reference(f->bytes[i], f->sizes[i]);
    struct world_decoded other;
    world_decoded_init(&other, rows);
    assert_true(back <= i && back <= BLOCK_BACK_MAX);
    if (back != 0) { /* depth 1 */
        assert_int_equal(
            block_decode_ints(f->bytes[i - back], f->sizes[i - back], rows, NULL, &other.ints),
            ERR_OK);
    }
    const struct block_ints *reference = back != 0 ? &other.ints : NULL;
    const enum err_code code = block_decode(f->bytes[i], f->sizes[i], rows, reference, &d->doubles);
    assert_int_equal(block_decode_ints(f->bytes[i], f->sizes[i], rows, reference, &d->ints), code);
    world_decoded_release(&other);
    return code;
}

static void assert_family_comes_back(struct family *f) {
    encode_family(f);
    for (uint32_t i = 0; i < FAMILY; i++) {
        const struct world_column *c = &f->columns[i];
        struct world_decoded d;
        world_decoded_init(&d, c->rows);
        assert_int_equal(decode_member(f, i, &d), ERR_OK);
        assert_is_column(c, &d);
        world_decoded_release(&d);
    }
}

/* Every member follows one course with its own offset, scale or noise. */
static void make_family(struct family *f, uint64_t *seed) {
    const uint32_t rows = 1 + world_below(seed, world_below(seed, 30) == 0 ? 2048 : 130);
    const unsigned scale = world_below(seed, 3);
    const bool raw = world_below(seed, 5) == 0;
    for (uint32_t i = 0; i < FAMILY; i++) {
        world_all_values(&f->columns[i], rows);
    }
    int64_t m = (int64_t)world_below(seed, 1 << 30);
    for (uint32_t row = 0; row < rows; row++) {
        m += (int64_t)world_below(seed, 100000);
        for (uint32_t i = 0; i < FAMILY; i++) {
            const int64_t own =
                m + (int64_t)i * 1000 + (world_below(seed, 9) == 0 ? world_below(seed, 50) : 0);
            const unsigned finer = i % 4 == 3 ? 2 : 0;
            const int64_t steps[] = {1, 10, 100};
            struct num v =
                world_decimal(own * steps[finer] + (finer > 0 ? (int64_t)world_below(seed, 3) : 0),
                              scale + finer);
            v = raw && i % 3 != 0 ? num_raw(num_double(v) / 3.0) : v;
            f->columns[i].values[row] = v;
        }
    }
    if (world_below(seed, 3) == 0) { /* gaps in one, which then is no reference */
        world_make_states(&f->columns[world_below(seed, FAMILY)], seed);
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
        world_all_values(&f->columns[i], 64);
        for (uint32_t row = 0; row < 64; row++) {
            const int64_t m = NUM_MANTISSA_LIMIT - 1 - (int64_t)(row * row * 977 % 4096);
            f->columns[i].values[row] = world_decimal(i % 3 == 1 ? -m : m, i % 5 == 2 ? 15 : i % 2);
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
        world_all_values(&f->columns[i], 64);
    }
    for (uint32_t row = 0; row < 64; row++) {
        m += (int64_t)world_below(&seed, 1 << 20);
        for (uint32_t i = 0; i < FAMILY; i++) {
            f->columns[i].values[row] = world_decimal(m + i, 0);
        }
    }
    encode_family(f);
    assert_int_equal(block_reference(f->bytes[1], f->sizes[1]), 1);
}

static void a_slot_behind_a_skipped_one_or_in_a_new_run_refers_to_nothing(void **state) {
    (void)state;
    struct family *f = mem_alloc(sizeof(*f));
    make_pair(f);
    const struct world_column *c = &f->columns[0];
    block_encoder_begin(world_encoder);
    size_t n = block_encode(world_encoder, c->values, c->states, c->rows, f->bytes[0]);
    for (uint32_t i = 0; i < BLOCK_BACK_MAX; i++) {
        block_encoder_skip(world_encoder);
    }
    n = block_encode(world_encoder, c[1].values, c[1].states, c->rows, f->bytes[1]);
    assert_int_equal(block_reference(f->bytes[1], n), 0);
    n = block_encode(world_encoder, c[2].values, c[2].states, c->rows, f->bytes[2]);
    assert_int_equal(block_reference(f->bytes[2], n), 1);
    block_encoder_begin(world_encoder);
    n = block_encode(world_encoder, c[2].values, c[2].states, c->rows, f->bytes[2]);
    assert_int_equal(block_reference(f->bytes[2], n), 0);
    mem_free(f);
}

static void a_reference_that_is_missing_or_does_not_fit_is_corrupt(void **state) {
    (void)state;
    struct family *f = mem_alloc(sizeof(*f));
    make_pair(f);
    struct world_decoded d;
    struct world_decoded other;
    world_decoded_init(&d, 64);
    world_decoded_init(&other, 64);
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
    world_decoded_release(&d);
    world_decoded_release(&other);
    mem_free(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_that_move_together_refer_to_each_other_and_come_back),
        cmocka_unit_test(mantissas_at_their_limits_come_back_from_references),
        cmocka_unit_test(a_slot_behind_a_skipped_one_or_in_a_new_run_refers_to_nothing),
        cmocka_unit_test(a_reference_that_is_missing_or_does_not_fit_is_corrupt),
    };
    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}

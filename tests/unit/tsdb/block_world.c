#include "tests/unit/tsdb/block_world.h"

#include "tests/support/check_err.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tsdb/chunk/column_kernels.h"
#include "tsdb/storage.h"

uint64_t world_random(uint64_t *state) { /* splitmix64 */
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

uint32_t world_below(uint64_t *state, uint32_t n) {
    return (uint32_t)(world_random(state) % n);
}

struct num world_decimal(int64_t m, unsigned scale) {
    return (struct num){.m = m, .scale = (uint8_t)scale, .kind = NUM_DECIMAL};
}

struct block_encoder *world_encoder;

int world_set_up(void **state) {
    (void)state;
    world_encoder = block_encoder_new();
    return 0;
}

int world_tear_down(void **state) {
    (void)state;
    block_encoder_free(world_encoder);
    return 0;
}

uint8_t *world_encode(const struct world_column *c, size_t *out_n) {
    uint8_t *wide = mem_alloc(block_bytes_max(c->rows));
    block_encoder_begin(world_encoder);
    *out_n = block_encode(world_encoder, c->values, c->states, c->rows, wide);
    uint8_t *exact = malloc(*out_n > 0 ? *out_n : 1);
    assert_non_null(exact);
    memcpy(exact, wide, *out_n);
    mem_free(wide);
    return exact;
}

void world_decoded_init(struct world_decoded *d, uint32_t rows) {
    const size_t capacity = block_decode_capacity(rows);
    d->doubles = (struct block_column){.values = mem_array(capacity, sizeof(double)),
                                       .rows = mem_array(capacity, sizeof(uint16_t))};
    d->ints = (struct block_ints){.m = mem_array(capacity, sizeof(int64_t)),
                                  .stale = mem_array(capacity, 1),
                                  .rows = mem_array(capacity, sizeof(uint16_t))};
}

void world_decoded_release(struct world_decoded *d) {
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

void assert_is_column(const struct world_column *c, const struct world_decoded *d) {
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

void assert_decodes_to(const struct world_column *c, const uint8_t *bytes, size_t n) {
    struct world_decoded d;
    world_decoded_init(&d, c->rows);
    assert_int_equal(block_decode(bytes, n, c->rows, NULL, &d.doubles), ERR_OK);
    assert_int_equal(block_decode_ints(bytes, n, c->rows, NULL, &d.ints), ERR_OK);
    assert_is_column(c, &d);
    world_decoded_release(&d);
}

struct block_info world_round_trip(const struct world_column *c) {
    size_t n = 0;
    struct block_info info;
    uint8_t *bytes = world_encode(c, &n);
    assert_true(n <= block_bytes_max(c->rows));
    assert_decodes_to(c, bytes, n);
    assert_int_equal(block_inspect(bytes, n, c->rows, &info), ERR_OK);
    free(bytes);
    return info;
}

void world_all_values(struct world_column *c, uint32_t rows) {
    c->rows = rows;
    memset(c->states, SLOT_VALUE, sizeof(c->states));
}

static void world_make_values(struct world_column *c, uint64_t *seed) {
    const uint32_t recipe = world_below(seed, 10);
    const unsigned scale = world_below(seed, 4) == 0 ? world_below(seed, 8) : 0;
    const unsigned bits = 1 + world_below(seed, 45);
    int64_t m = (int64_t)(world_random(seed) >> (12 + world_below(seed, 50)));
    int64_t step = (int64_t)world_below(seed, 10000);
    m /= 2;
    for (uint32_t i = 0; i < c->rows; i++) {
        const int64_t noise = (int64_t)(world_random(seed) >> (64 - bits));
        switch (recipe) {
        case 0: /* constant */
            break;
        case 1: /* line */
            m += step;
            break;
        case 2: /* level with noise */
            c->values[i] = world_decimal(noise - (noise & 1 ? noise / 2 : 0), scale);
            continue;
        case 3: /* counter */
            m += step + noise % 64;
            break;
        case 4: /* accelerating counter */
            step += (int64_t)world_below(seed, 16);
            m += step;
            break;
        case 5: /* rare changes */
            m += world_below(seed, 12) == 0 ? noise : 0;
            break;
        case 6: /* multiples of a page, with outliers */
            m = (noise % 32) * 4096 + (world_below(seed, 20) == 0 ? INT64_C(1) << 40 : 0);
            break;
        case 7: /* any bits */
            c->values[i] = num_raw(f64_of_bits(world_random(seed)));
            continue;
        case 8: /* doubles that have no short decimal */
            c->values[i] = num_of_double((double)noise / 3.0);
            continue;
        default: /* all scales at once */
            c->values[i] = world_decimal((int64_t)world_below(seed, 1000000),
                                         world_below(seed, NUM_SCALE_MAX + 1));
            continue;
        }
        m %= NUM_MANTISSA_LIMIT;
        c->values[i] = world_decimal(m, scale);
    }
}

void world_make_states(struct world_column *c, uint64_t *seed) {
    const uint32_t recipe = world_below(seed, 4);
    for (uint32_t i = 0; i < c->rows; i++) {
        c->states[i] = SLOT_VALUE;
        if (recipe == 1) {
            c->states[i] = (uint8_t)world_below(seed, 3);
        } else if (recipe == 2) { /* ended */
            c->states[i] = i < c->rows / 2    ? SLOT_VALUE
                           : i == c->rows / 2 ? SLOT_STALE
                                              : SLOT_ABSENT;
        }
    }
}

void world_make_column(struct world_column *c, uint64_t *seed) {
    static const uint32_t lengths[] = {1, 2, 3, 7, 8, 9, 31, 63, 64, 65, 120, 255, 2048};
    c->rows = lengths[world_below(seed, world_below(seed, 50) == 0 ? COUNT_OF(lengths) : 11)];
    world_make_values(c, seed);
    world_make_states(c, seed);
}

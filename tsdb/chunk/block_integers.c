/* Decimals of one scale, or raw bits. The scale is the largest of a value, or where the integers would be
 * too large with it, the smallest that all values have. */
#include "base/check.h"
#include "tsdb/chunk/block_encoder.h"
#include "tsdb/chunk/value_op.h"
#include "tsdb/storage.h"

static int64_t magnitude(int64_t m) {
    return m < 0 ? -m : m;
}

/* m * 10^up, or false when that leaves the range of a mantissa. */
static bool scale_up(int64_t m, unsigned up, int64_t *out) {
    if (m == 0 || up == 0) {
        *out = m;
        return true;
    }
    if (up >= COUNT_OF(value_scale_steps) ||
        magnitude(m) > (NUM_MANTISSA_LIMIT - 1) / value_scale_steps[up]) {
        return false;
    }
    *out = m * value_scale_steps[up];
    return true;
}

void block_integers_strip(struct block_encoder *e) {
    while (e->scale > 0) {
        for (uint32_t i = 0; i < e->count; i++) {
            if (e->m[i] % 10 != 0) {
                return;
            }
        }
        for (uint32_t i = 0; i < e->count; i++) {
            e->m[i] /= 10;
        }
        e->scale--;
    }
}

/* The scale that a value needs at least. */
static unsigned least_scale(struct num n) {
    unsigned scale = n.m == 0 ? 0 : n.scale;
    while (scale > 0 && n.m % 10 == 0) {
        n.m /= 10;
        scale--;
    }
    return scale;
}

/* Integers of one scale; false when the values have none. */
static bool to_decimals(struct block_encoder *e, const struct num *values, const uint8_t *states) {
    unsigned scale = 0;
    for (uint32_t i = 0; i < e->rows; i++) {
        if (states[i] != SLOT_VALUE) {
            continue;
        }
        if (values[i].kind != NUM_DECIMAL) {
            return false;
        }
        ASSERT(values[i].scale <= NUM_SCALE_MAX && magnitude(values[i].m) < NUM_MANTISSA_LIMIT);
        scale = values[i].scale > scale ? values[i].scale : scale;
    }
    for (int attempt = 0; attempt < 2; attempt++) {
        uint32_t n = 0;
        bool fits = true;
        for (uint32_t i = 0; i < e->rows && fits; i++) {
            if (states[i] != SLOT_VALUE) {
                continue;
            }
            struct num v = values[i];
            if (v.scale > scale) { /* second attempt: what is cut off are zeros */
                const unsigned keep = least_scale(v);
                while (v.scale > keep && v.scale > scale) {
                    v.m /= 10;
                    v.scale--;
                }
            }
            fits = scale_up(v.m, scale - v.scale, &e->m[n++]);
        }
        if (fits) {
            e->scale = (uint8_t)scale;
            block_integers_strip(e);
            return true;
        }
        scale = 0;
        for (uint32_t i = 0; i < e->rows; i++) {
            if (states[i] == SLOT_VALUE) {
                const unsigned least = least_scale(values[i]);
                scale = least > scale ? least : scale;
            }
        }
    }
    return false;
}

static void to_raw(struct block_encoder *e, const struct num *values, const uint8_t *states) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->rows; i++) {
        if (states[i] == SLOT_VALUE) {
            e->m[n++] = (int64_t)f64_bits(num_double(values[i]));
        }
    }
    e->raw = true;
    e->scale = 0;
}

void block_integers_take(struct block_encoder *e, const struct num *values, const uint8_t *states) {
    if (!to_decimals(e, values, states)) {
        to_raw(e, values, states);
    }
}

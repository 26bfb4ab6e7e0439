/* FORMAT, as one bit string, lowest bit first, padded to a byte:
 *
 *     width:7  patched:1  [patch_count - 1 : p]  [patch_width:7]
 *     low[n] : width  [position[patch_count] : p]  [high[patch_count] : patch_width]
 *
 * where p = bit_length(n - 1) and the parts in brackets are there when patched is 1. Nothing at all
 * is written for n = 0. */
#include "tsdb/chunk/pfor.h"

#include <string.h>

#include "base/check.h"
#include "tsdb/chunk/bitpack.h"

enum { HEADER_BITS = 8, PATCH_WIDTH_BITS = 7 };

static unsigned position_bits(size_t n) {
    return bit_length((uint64_t)n - 1);
}

struct pfor_plan pfor_plan(const uint64_t *v, size_t n) {
    struct pfor_lengths lengths = {0};
    for (size_t i = 0; i < n; i++) {
        lengths.counts[i & 1][bit_length(v[i])]++;
    }
    return pfor_plan_of(&lengths, n);
}

struct pfor_plan pfor_plan_of(const struct pfor_lengths *lengths, size_t n) {
    ASSERT(n <= PFOR_COUNT_MAX);
    if (n == 0) {
        return (struct pfor_plan){0};
    }
    unsigned longest = 64;
    while (longest > 0 && (lengths->counts[0][longest] | lengths->counts[1][longest]) == 0) {
        longest--;
    }
    const unsigned position = position_bits(n);
    size_t best_bits = n * longest;
    struct pfor_plan best = {.width = (uint8_t)longest};
    size_t longer = 0; /* values that do not fit into width bits */
    for (unsigned width = longest; width-- > 0;) {
        longer += (size_t)lengths->counts[0][width + 1] + lengths->counts[1][width + 1];
        const size_t patches = position + PATCH_WIDTH_BITS + longer * (position + longest - width);
        if (patches >= best_bits) {
            break; /* a smaller width has no fewer and no shorter patches */
        }
        if (n * width + patches < best_bits) {
            best_bits = n * width + patches;
            best.width = (uint8_t)width;
            best.patch_width = (uint8_t)(longest - width);
            best.patch_count = (uint16_t)longer;
        }
    }
    best.bytes = (uint32_t)((HEADER_BITS + best_bits + 7) / 8);
    return best;
}

uint8_t *pfor_write(uint8_t *to, const uint64_t *v, size_t n, struct pfor_plan plan) {
    if (n == 0) {
        return to;
    }
    uint8_t *const begin = to;
    struct bit_writer w = bit_writer_at(to);
    const unsigned position = position_bits(n);
    const uint64_t mask = bit_mask(plan.width);
    bit_write(&w, plan.width | (plan.patch_count > 0 ? 0x80U : 0), HEADER_BITS);
    if (plan.patch_count > 0) {
        bit_write(&w, plan.patch_count - 1U, position);
        bit_write(&w, plan.patch_width, PATCH_WIDTH_BITS);
    }
    for (size_t i = 0; i < n; i++) {
        bit_write(&w, v[i] & mask, plan.width);
    }
    if (plan.patch_count > 0) {
        for (size_t i = 0; i < n; i++) {
            if (v[i] > mask) {
                bit_write(&w, i, position);
            }
        }
        for (size_t i = 0; i < n; i++) {
            if (v[i] > mask) {
                bit_write(&w, v[i] >> plan.width, plan.patch_width);
            }
        }
    }
    to = bit_writer_finish(&w);
    ASSERT((size_t)(to - begin) == plan.bytes);
    return to;
}

static enum err_code read_patches(const uint8_t *bytes, size_t size, size_t bit, size_t n,
                                  const struct pfor_plan *plan, uint64_t *out) {
    enum { AT_ONCE = 32 };
    const unsigned position = position_bits(n);
    size_t high_bit = bit + (size_t)plan->patch_count * position;
    for (size_t done = 0; done < plan->patch_count; done += AT_ONCE) {
        uint64_t at[AT_ONCE];
        uint64_t high[AT_ONCE];
        const size_t left = plan->patch_count - done;
        const size_t count = left < AT_ONCE ? left : AT_ONCE;
        bitpack_read(bytes, size, bit, position, count, at);
        bitpack_read(bytes, size, high_bit, plan->patch_width, count, high);
        for (size_t i = 0; i < count; i++) {
            if (at[i] >= n) {
                return ERR_CORRUPT;
            }
            out[at[i]] |= high[i] << plan->width;
        }
        bit += count * position;
        high_bit += count * plan->patch_width;
    }
    return ERR_OK;
}

enum err_code pfor_read(const uint8_t *bytes, size_t size, size_t n, uint64_t *out,
                        size_t *out_used) {
    *out_used = 0;
    if (n == 0) {
        return ERR_OK;
    }
    if (n > PFOR_COUNT_MAX || size == 0) {
        return ERR_CORRUPT;
    }
    struct pfor_plan plan = {.width = bytes[0] & 0x7F};
    const unsigned position = position_bits(n);
    size_t bit = HEADER_BITS;
    if (plan.width > 64) {
        return ERR_CORRUPT;
    }
    if ((bytes[0] & 0x80) != 0) {
        if (bit + position + PATCH_WIDTH_BITS > size * 8) {
            return ERR_CORRUPT;
        }
        const uint64_t head = bit_read(bytes, size, bit, position + PATCH_WIDTH_BITS);
        bit += position + PATCH_WIDTH_BITS;
        plan.patch_count = (uint16_t)((head & bit_mask(position)) + 1);
        plan.patch_width = (uint8_t)(head >> position);
        if (plan.patch_count > n || plan.patch_width == 0 || plan.width + plan.patch_width > 64) {
            return ERR_CORRUPT;
        }
    }
    const size_t end =
        bit + n * plan.width + (size_t)plan.patch_count * (position + plan.patch_width);
    if (end > size * 8) {
        return ERR_CORRUPT;
    }
    *out_used = (end + 7) / 8;
    bitpack_read(bytes, size, bit, plan.width, n, out);
    if (plan.patch_count > 0) {
        return read_patches(bytes, size, bit + n * plan.width, n, &plan, out);
    }
    return ERR_OK;
}

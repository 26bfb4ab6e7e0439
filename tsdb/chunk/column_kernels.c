/* The loops, three times: plain C, AVX2, AVX-512.
 *
 * UNPACKING. Eight values of w bits take w bytes, so from one eight to the next the same bits lie at
 * the same places w bytes further. With vectors, one shuffle brings the bytes of each value into
 * its 64-bit lane and one shift per lane drops the bits before it; both patterns are made once.
 *
 * SUMS. Each vector is summed up in itself in log2 steps; only adding the total of all vectors
 * before is serial. */
#include "tsdb/chunk/column_kernels.h"

#include <string.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/value.h"
#include "tsdb/chunk/bitpack.h"

/* ---- plain C ---- */

static void unpack_portable(const uint8_t *from, size_t size, size_t bit, unsigned width, size_t n,
                            uint64_t *out) {
    const uint64_t mask = bit_mask(width);
    size_t i = 0;
    for (; i < n && (bit >> 3) + 8 <= size; i++, bit += width) {
        out[i] = (load_u64(from + (bit >> 3)) >> (bit & 7)) & mask;
    }
    if (i < n) { /* these start within the last 8 bytes */
        uint8_t tail[24] = {0};
        const size_t skipped = bit >> 3;
        memcpy(tail, from + skipped, size - skipped);
        for (bit &= 7; i < n; i++, bit += width) {
            out[i] = (load_u64(tail + (bit >> 3)) >> (bit & 7)) & mask;
        }
    }
}

static void sum_portable(uint64_t *v, size_t n, bool zigzag, uint64_t base, uint64_t from) {
    for (size_t i = 0; i < n; i++) {
        from += zigzag ? (uint64_t)zigzag_decode(v[i]) : v[i] + base;
        v[i] = from;
    }
}

static ALWAYS_INLINE void place_loop(const uint64_t *d, size_t n, struct placement p, void *out) {
    for (size_t i = 0; i < n; i++) {
        const uint64_t m = p.first + (d[i] << p.shift);
        memcpy((uint8_t *)out + i * sizeof(m), &m, sizeof(m));
    }
}

/* (double)m for any int64, in operations that every vector unit has: the halves are put into the
 * mantissas of 2^52 and 3 * 2^83 and subtracted out again. One rounding, as the conversion. */
static ALWAYS_INLINE double double_of_i64(uint64_t m) {
    const uint64_t low = (m & 0xffffffffU) | 0x4330000000000000ULL;
    const uint64_t high = (m >> 32) ^ 0x4530000080000000ULL;
    return (f64_of_bits(high) - f64_of_bits(0x4530000080100000ULL)) + f64_of_bits(low);
}

/* No multiplication by a reciprocal: that would not be the nearest double. */
static ALWAYS_INLINE void divide_loop(const uint64_t *d, size_t n, struct placement p, double power,
                                      double *out) {
    if (power == 1) {
        for (size_t i = 0; i < n; i++) {
            out[i] = double_of_i64(p.first + (d[i] << p.shift));
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = double_of_i64(p.first + (d[i] << p.shift)) / power;
    }
}

static ALWAYS_INLINE void fill_loop(void *out, size_t n, uint64_t with) {
    for (size_t i = 0; i < n; i++) {
        memcpy((uint8_t *)out + i * sizeof(with), &with, sizeof(with));
    }
}

static void place_portable(const uint64_t *d, size_t n, struct placement p, void *out) {
    place_loop(d, n, p, out);
}

static void divide_portable(const uint64_t *d, size_t n, struct placement p, double power,
                            double *out) {
    divide_loop(d, n, p, power, out);
}

static void fill_portable(void *out, size_t n, uint64_t with) {
    fill_loop(out, n, with);
}

static void ramp_portable(uint64_t *v, size_t n, uint64_t from, uint64_t step) {
    for (size_t i = 0; i < n; i++, from += step) {
        v[i] += from;
    }
}

static bool ascends_portable(const int64_t *v, size_t n) {
    bool good = true;
    for (size_t i = 1; i < n; i++) {
        good &= v[i - 1] < v[i];
    }
    return good;
}

const struct column_kernels column_kernels_portable = {
    .name = "portable",
    .unpack = unpack_portable,
    .sum = sum_portable,
    .place = place_portable,
    .divide = divide_portable,
    .fill = fill_portable,
    .ramp = ramp_portable,
    .ascends = ascends_portable,
};

#if defined(__x86_64__)
#include <immintrin.h>

/* ---- AVX2 ---- */

#define AVX2 __attribute__((target("avx2")))

struct unpack_avx2_half { /* two pairs of values */
    __m256i bytes;
    __m256i shifts;
};

/* Values at .. at + 3, each pair in a lane that is loaded from the pair's first byte on. */
AVX2 static struct unpack_avx2_half avx2_half(size_t bit, unsigned width, unsigned at) {
    uint64_t bytes[4];
    uint64_t shifts[4];
    for (unsigned i = 0; i < 4; i++) {
        const size_t pair = (bit + (size_t)(at + i / 2 * 2) * width) >> 3;
        const size_t value = bit + (size_t)(at + i) * width;
        bytes[i] = 0x0706050403020100U + ((value >> 3) - pair) * 0x0101010101010101U;
        shifts[i] = value & 7;
    }
    return (struct unpack_avx2_half){_mm256_loadu_si256((const __m256i *)bytes),
                                     _mm256_loadu_si256((const __m256i *)shifts)};
}

AVX2 static inline __m256i avx2_lanes(const uint8_t *low, const uint8_t *high) {
    return _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)low)),
        _mm_loadu_si128((const __m128i *)(const void *)high), 1);
}

AVX2 static void unpack_avx2(const uint8_t *from, size_t size, size_t bit, unsigned width, size_t n,
                             uint64_t *out) {
    size_t i = 0;
    if (n >= 8) {
        const size_t starts[4] = {bit >> 3, (bit + (size_t)2 * width) >> 3,
                                  (bit + (size_t)4 * width) >> 3, (bit + (size_t)6 * width) >> 3};
        const struct unpack_avx2_half a = avx2_half(bit, width, 0);
        const struct unpack_avx2_half b = avx2_half(bit, width, 4);
        const __m256i mask = _mm256_set1_epi64x((long long)bit_mask(width));
        const uint8_t *p = from;
        for (; i + 8 <= n && (size_t)(p - from) + starts[3] + 16 <= size; i += 8, p += width) {
            const __m256i x =
                _mm256_shuffle_epi8(avx2_lanes(p + starts[0], p + starts[1]), a.bytes);
            const __m256i y =
                _mm256_shuffle_epi8(avx2_lanes(p + starts[2], p + starts[3]), b.bytes);
            _mm256_storeu_si256((__m256i *)(out + i),
                                _mm256_and_si256(_mm256_srlv_epi64(x, a.shifts), mask));
            _mm256_storeu_si256((__m256i *)(out + i + 4),
                                _mm256_and_si256(_mm256_srlv_epi64(y, b.shifts), mask));
        }
    }
    unpack_portable(from, size, bit + i * width, width, n - i, out + i);
}

AVX2 static void sum_avx2(uint64_t *v, size_t n, bool zigzag, uint64_t base, uint64_t from) {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i one = _mm256_set1_epi64x(1);
    const __m256i bases = _mm256_set1_epi64x((long long)base);
    __m256i before = _mm256_set1_epi64x((long long)from);
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(v + i));
        if (zigzag) {
            x = _mm256_xor_si256(_mm256_srli_epi64(x, 1),
                                 _mm256_sub_epi64(zero, _mm256_and_si256(x, one)));
        } else {
            x = _mm256_add_epi64(x, bases);
        }
        x = _mm256_add_epi64(x, _mm256_slli_si256(x, 8));
        /* the sum of the low half goes to both values of the high one */
        const __m256i low = _mm256_permute4x64_epi64(x, 0x55);
        x = _mm256_add_epi64(x, _mm256_blend_epi32(zero, low, 0xF0));
        _mm256_storeu_si256((__m256i *)(v + i), _mm256_add_epi64(x, before));
        before = _mm256_add_epi64(before, _mm256_permute4x64_epi64(x, 0xFF));
    }
    from = (uint64_t)_mm256_extract_epi64(before, 0);
    sum_portable(v + i, n - i, zigzag, base, from);
}

AVX2 static void place_avx2(const uint64_t *d, size_t n, struct placement p, void *out) {
    place_loop(d, n, p, out);
}

AVX2 static void divide_avx2(const uint64_t *d, size_t n, struct placement p, double power,
                             double *out) {
    divide_loop(d, n, p, power, out);
}

AVX2 static void fill_avx2(void *out, size_t n, uint64_t with) {
    fill_loop(out, n, with);
}

AVX2 static void ramp_avx2(uint64_t *v, size_t n, uint64_t from, uint64_t step) {
    const __m256i four = _mm256_set1_epi64x((long long)(4 * step));
    __m256i at = _mm256_setr_epi64x((long long)from, (long long)(from + step),
                                    (long long)(from + 2 * step), (long long)(from + 3 * step));
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const __m256i x = _mm256_loadu_si256((const __m256i *)(v + i));
        _mm256_storeu_si256((__m256i *)(v + i), _mm256_add_epi64(x, at));
        at = _mm256_add_epi64(at, four);
    }
    ramp_portable(v + i, n - i, from + i * step, step);
}

AVX2 static bool ascends_avx2(const int64_t *v, size_t n) {
    __m256i good = _mm256_set1_epi64x(-1);
    size_t i = 1;
    for (; i + 4 <= n; i += 4) {
        const __m256i before = _mm256_loadu_si256((const __m256i *)(v + i - 1));
        const __m256i x = _mm256_loadu_si256((const __m256i *)(v + i));
        good = _mm256_and_si256(good, _mm256_cmpgt_epi64(x, before));
    }
    return _mm256_movemask_epi8(good) == -1 && ascends_portable(v + i - 1, n - (i - 1));
}

static const struct column_kernels kernels_avx2 = {
    .name = "avx2",
    .unpack = unpack_avx2,
    .sum = sum_avx2,
    .place = place_avx2,
    .divide = divide_avx2,
    .fill = fill_avx2,
    .ramp = ramp_avx2,
    .ascends = ascends_avx2,
};

/* ---- AVX-512 with byte permutation ---- */

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")))

/* The lanes that hold the next of left elements. */
AVX512 static inline __mmask8 lanes_of(size_t left) {
    return (__mmask8)(left >= 8 ? 0xFFU : (1U << left) - 1);
}

AVX512 static void unpack_avx512(const uint8_t *from, size_t size, size_t bit, unsigned width,
                                 size_t n, uint64_t *out) {
    const __m512i lane = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    /* width and lane are small: the 32-bit product is the whole one */
    const __m512i starts =
        _mm512_add_epi64(_mm512_mul_epu32(lane, _mm512_set1_epi64((long long)width)),
                         _mm512_set1_epi64((long long)(bit & 7)));
    const __m512i shifts = _mm512_and_si512(starts, _mm512_set1_epi64(7));
    const __m512i first_bytes = _mm512_shuffle_epi8(
        _mm512_srli_epi64(starts, 3), _mm512_set4_epi32(0x08080808, 0x08080808, 0, 0));
    const __m512i bytes = _mm512_add_epi8(first_bytes, _mm512_set1_epi64(0x0706050403020100));
    const __m512i mask = _mm512_set1_epi64((long long)bit_mask(width));
    const uint8_t *p = from + (bit >> 3);
    size_t left = size - (bit >> 3);
    size_t i = 0;
    for (; i + 8 <= n && left >= 64; i += 8, p += width, left -= width) {
        const __m512i x = _mm512_permutexvar_epi8(bytes, _mm512_loadu_si512(p));
        _mm512_storeu_si512(out + i, _mm512_and_si512(_mm512_srlv_epi64(x, shifts), mask));
    }
    for (; i < n; i += 8, p += width, left -= width) {
        const __mmask64 readable = left >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << left) - 1;
        const __m512i x = _mm512_permutexvar_epi8(bytes, _mm512_maskz_loadu_epi8(readable, p));
        const __m512i y = _mm512_and_si512(_mm512_srlv_epi64(x, shifts), mask);
        if (i + 8 <= n) {
            _mm512_storeu_si512(out + i, y);
        } else {
            _mm512_mask_storeu_epi64(out + i, lanes_of(n - i), y);
        }
    }
}

AVX512 static inline __m512i term_avx512(__m512i x, bool zigzag, __m512i base) {
    if (!zigzag) {
        return _mm512_add_epi64(x, base);
    }
    const __m512i sign = _mm512_and_si512(x, _mm512_set1_epi64(1));
    return _mm512_xor_si512(_mm512_srli_epi64(x, 1),
                            _mm512_sub_epi64(_mm512_setzero_si512(), sign));
}

/* Each lane with all before it. */
AVX512 static inline __m512i sums_avx512(__m512i x) {
    const __m512i by_one = _mm512_set_epi64(6, 5, 4, 3, 2, 1, 0, 0);
    const __m512i by_two = _mm512_set_epi64(5, 4, 3, 2, 1, 0, 0, 0);
    const __m512i by_four = _mm512_set_epi64(3, 2, 1, 0, 0, 0, 0, 0);
    x = _mm512_add_epi64(x, _mm512_maskz_permutexvar_epi64(0xFE, by_one, x));
    x = _mm512_add_epi64(x, _mm512_maskz_permutexvar_epi64(0xFC, by_two, x));
    return _mm512_add_epi64(x, _mm512_maskz_permutexvar_epi64(0xF0, by_four, x));
}

AVX512 static void sum_avx512(uint64_t *v, size_t n, bool zigzag, uint64_t base, uint64_t from) {
    const __m512i last = _mm512_set1_epi64(7);
    const __m512i bases = _mm512_set1_epi64((long long)base);
    __m512i before = _mm512_set1_epi64((long long)from);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m512i x = sums_avx512(term_avx512(_mm512_loadu_si512(v + i), zigzag, bases));
        _mm512_storeu_si512(v + i, _mm512_add_epi64(x, before));
        before = _mm512_add_epi64(before, _mm512_permutexvar_epi64(last, x));
    }
    if (i < n) {
        const __mmask8 lanes = lanes_of(n - i);
        const __m512i x =
            sums_avx512(term_avx512(_mm512_maskz_loadu_epi64(lanes, v + i), zigzag, bases));
        _mm512_mask_storeu_epi64(v + i, lanes, _mm512_add_epi64(x, before));
    }
}

AVX512 static inline __m512i placed_avx512(__m512i d, struct placement p) {
    return _mm512_add_epi64(_mm512_set1_epi64((long long)p.first),
                            _mm512_sll_epi64(d, _mm_cvtsi32_si128(p.shift)));
}

AVX512 static void place_avx512(const uint64_t *d, size_t n, struct placement p, void *out) {
    uint64_t *to = out;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        _mm512_storeu_si512(to + i, placed_avx512(_mm512_loadu_si512(d + i), p));
    }
    if (i < n) {
        const __mmask8 lanes = lanes_of(n - i);
        _mm512_mask_storeu_epi64(to + i, lanes,
                                 placed_avx512(_mm512_maskz_loadu_epi64(lanes, d + i), p));
    }
}

AVX512 static inline __m512d quotient_avx512(__m512i d, struct placement p, double power) {
    const __m512d x = _mm512_cvtepi64_pd(placed_avx512(d, p));
    return power == 1 ? x : _mm512_div_pd(x, _mm512_set1_pd(power));
}

AVX512 static void divide_avx512(const uint64_t *d, size_t n, struct placement p, double power,
                                 double *out) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        _mm512_storeu_pd(out + i, quotient_avx512(_mm512_loadu_si512(d + i), p, power));
    }
    if (i < n) {
        const __mmask8 lanes = lanes_of(n - i);
        _mm512_mask_storeu_pd(out + i, lanes,
                              quotient_avx512(_mm512_maskz_loadu_epi64(lanes, d + i), p, power));
    }
}

AVX512 static void fill_avx512(void *out, size_t n, uint64_t with) {
    const __m512i x = _mm512_set1_epi64((long long)with);
    uint64_t *to = out;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        _mm512_storeu_si512(to + i, x);
    }
    if (i < n) {
        _mm512_mask_storeu_epi64(to + i, lanes_of(n - i), x);
    }
}

static const struct column_kernels kernels_avx512 = {
    .name = "avx512",
    .unpack = unpack_avx512,
    .sum = sum_avx512,
    .place = place_avx512,
    .divide = divide_avx512,
    .fill = fill_avx512,
    .ramp = ramp_avx2,
    .ascends = ascends_avx2,
};

static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2");
}

static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

const struct column_kernels *column_kernels_best(void) {
    return has_avx512() ? &kernels_avx512 : has_avx2() ? &kernels_avx2 : &column_kernels_portable;
}

const struct column_kernels *column_kernels_at(size_t i) {
    if (i == 0) {
        return &column_kernels_portable;
    }
    if (i == 1) {
        return has_avx2() ? &kernels_avx2 : NULL;
    }
    return i == 2 && has_avx512() ? &kernels_avx512 : NULL;
}

#else

const struct column_kernels *column_kernels_best(void) {
    return &column_kernels_portable;
}

const struct column_kernels *column_kernels_at(size_t i) {
    return i == 0 ? &column_kernels_portable : NULL;
}

#endif

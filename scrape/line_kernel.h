/* The two things that known lines spend their time in, with the widest vectors that the file which
 * includes this is compiled for: comparing bytes and finding the end of a value. With
 * LINE_KERNEL_SCALAR without vectors. Private to known_lines*.c. */
#ifndef SCRAPE_LINE_KERNEL_H
#define SCRAPE_LINE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"
#include "base/bytes.h"

#ifndef LINE_KERNEL_SCALAR
#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif
#endif

/* Bytes that kernel_value_length may read. */
enum { KERNEL_VALUE_BYTES = 32 };

/* ---- without vectors ---- */

static inline bool plain_same_bytes(const char *a, const char *b, size_t n) {
    return memcmp(a, b, n) == 0;
}

static inline size_t plain_value_length(const char *p) {
    for (size_t i = 0; i < KERNEL_VALUE_BYTES; i++) {
        if (p[i] == '\n' || p[i] == ' ') {
            return i;
        }
    }
    return 0;
}

/* 4 to 16 bytes, by words that overlap. */
static ALWAYS_INLINE bool same_few_bytes(const char *a, const char *b, size_t n) {
    if (n >= 8) {
        return ((load_u64(a) ^ load_u64(b)) | (load_u64(a + n - 8) ^ load_u64(b + n - 8))) == 0;
    }
    return ((load_u32(a) ^ load_u32(b)) | (load_u32(a + n - 4) ^ load_u32(b + n - 4))) == 0;
}

/* ---- the kernel ---- */

#if defined(LINE_KERNEL_SCALAR)

#define kernel_same_bytes plain_same_bytes
#define kernel_value_length plain_value_length

#elif defined(__AVX512BW__)

/* A masked load reads nothing beyond its mask. */
static ALWAYS_INLINE bool kernel_same_bytes(const char *a, const char *b, size_t n) {
    __mmask64 differ = 0;
    size_t i = 0;
    for (; n - i > 64; i += 64) {
        differ |= _mm512_cmpneq_epi8_mask(_mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i));
    }
    const __mmask64 rest = _bzhi_u64(~UINT64_C(0), (unsigned)(n - i));
    differ |= _mm512_mask_cmpneq_epi8_mask(rest, _mm512_maskz_loadu_epi8(rest, a + i),
                                           _mm512_maskz_loadu_epi8(rest, b + i));
    return differ == 0;
}

#elif defined(__AVX2__)

static ALWAYS_INLINE __m256i xor32(const char *a, const char *b) {
    return _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(const void *)a),
                            _mm256_loadu_si256((const __m256i *)(const void *)b));
}

/* The last vector overlaps the one before it. */
static ALWAYS_INLINE bool kernel_same_bytes(const char *a, const char *b, size_t n) {
    if (LIKELY(n >= 32)) {
        __m256i differ = xor32(a + n - 32, b + n - 32);
        for (size_t i = 0; i + 32 < n; i += 32) {
            differ = _mm256_or_si256(differ, xor32(a + i, b + i));
        }
        return _mm256_testz_si256(differ, differ) != 0;
    }
    if (n >= 16) {
        const __m128i low = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)a),
                                          _mm_loadu_si128((const __m128i *)(const void *)b));
        const __m128i high =
            _mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)(a + n - 16)),
                          _mm_loadu_si128((const __m128i *)(const void *)(b + n - 16)));
        const __m128i differ = _mm_or_si128(low, high);
        return _mm_testz_si128(differ, differ) != 0;
    }
    return n >= 4 ? same_few_bytes(a, b, n) : plain_same_bytes(a, b, n);
}

#elif defined(__SSE2__)

static ALWAYS_INLINE __m128i xor16(const char *a, const char *b) {
    return _mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)a),
                         _mm_loadu_si128((const __m128i *)(const void *)b));
}

static ALWAYS_INLINE bool kernel_same_bytes(const char *a, const char *b, size_t n) {
    if (LIKELY(n >= 16)) {
        __m128i differ = xor16(a + n - 16, b + n - 16); /* the last 16 bytes overlap */
        for (size_t i = 0; i + 16 < n; i += 16) {
            differ = _mm_or_si128(differ, xor16(a + i, b + i));
        }
        const __m128i same = _mm_cmpeq_epi8(differ, _mm_setzero_si128());
        return _mm_movemask_epi8(same) == 0xFFFF;
    }
    return n >= 4 ? same_few_bytes(a, b, n) : plain_same_bytes(a, b, n);
}

#elif defined(__ARM_NEON) && defined(__aarch64__)

static ALWAYS_INLINE bool kernel_same_bytes(const char *a, const char *b, size_t n) {
    if (LIKELY(n >= 16)) {
        const uint8_t *const x = (const uint8_t *)a;
        const uint8_t *const y = (const uint8_t *)b;
        uint8x16_t differ = veorq_u8(vld1q_u8(x + n - 16), vld1q_u8(y + n - 16));
        for (size_t i = 0; i + 16 < n; i += 16) {
            differ = vorrq_u8(differ, veorq_u8(vld1q_u8(x + i), vld1q_u8(y + i)));
        }
        return vmaxvq_u8(differ) == 0;
    }
    return n >= 4 ? same_few_bytes(a, b, n) : plain_same_bytes(a, b, n);
}

/* Four bits a byte instead of the one that x86 has. */
static ALWAYS_INLINE size_t kernel_value_length(const char *p) {
    for (size_t i = 0; i < KERNEL_VALUE_BYTES; i += 16) {
        const uint8x16_t x = vld1q_u8((const uint8_t *)p + i);
        const uint8x16_t hit =
            vorrq_u8(vceqq_u8(x, vdupq_n_u8('\n')), vceqq_u8(x, vdupq_n_u8(' ')));
        const uint64_t mask =
            vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(hit), 4)), 0);
        if (mask != 0) {
            return i + (size_t)__builtin_ctzll(mask) / 4;
        }
    }
    return 0;
}

#else

#define kernel_same_bytes plain_same_bytes
#define kernel_value_length plain_value_length

#endif

#if !defined(LINE_KERNEL_SCALAR) && defined(__AVX2__)

static ALWAYS_INLINE size_t kernel_value_length(const char *p) {
    const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)p);
    const __m256i hit = _mm256_or_si256(_mm256_cmpeq_epi8(x, _mm256_set1_epi8('\n')),
                                        _mm256_cmpeq_epi8(x, _mm256_set1_epi8(' ')));
    const unsigned mask = (unsigned)_mm256_movemask_epi8(hit);
    return mask != 0 ? (size_t)__builtin_ctz(mask) : 0;
}

#elif !defined(LINE_KERNEL_SCALAR) && defined(__SSE2__)

static ALWAYS_INLINE size_t kernel_value_length(const char *p) {
    const __m128i newline = _mm_set1_epi8('\n');
    const __m128i blank = _mm_set1_epi8(' ');
    for (size_t i = 0; i < KERNEL_VALUE_BYTES; i += 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        const __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(x, newline), _mm_cmpeq_epi8(x, blank));
        const unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask != 0) {
            return i + (size_t)__builtin_ctz(mask);
        }
    }
    return 0;
}

#endif
#endif

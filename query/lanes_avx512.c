#include "query/lanes_avx512.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <stdint.h>

/* ---- ends of windows ---- */

/* The distance between neighbours when it is one for all eight, else 0. */
LANES_AVX512 static inline uint32_t stride_of(const uint32_t at[LANES]) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const uint32_t stride = at[1] - at[0];
    const __m256i even = _mm256_add_epi32(_mm256_set1_epi32((int)at[0]),
                                          _mm256_mullo_epi32(lane, _mm256_set1_epi32((int)stride)));
    const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)at);
    return _mm256_cmpneq_epi32_mask(x, even) == 0 ? stride : 0;
}

/* p[at], p[at + 2] ..; reads p[0] .. p[15]. */
LANES_AVX512 static inline __m512d each_second(const double *p, long long at) {
    const __m512i which =
        _mm512_add_epi64(_mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), _mm512_set1_epi64(at));
    return _mm512_permutex2var_pd(_mm512_loadu_pd(p), which, _mm512_loadu_pd(p + 8));
}

/* p[at], p[at + 4] ..; reads p[0] .. p[31]. */
LANES_AVX512 static inline __m512d each_fourth(const double *p, long long at) {
    const __m512i which =
        _mm512_add_epi64(_mm512_setr_epi64(0, 4, 8, 12, 0, 4, 8, 12), _mm512_set1_epi64(at));
    const __m512d low = _mm512_permutex2var_pd(_mm512_loadu_pd(p), which, _mm512_loadu_pd(p + 8));
    const __m512d high =
        _mm512_permutex2var_pd(_mm512_loadu_pd(p + 16), which, _mm512_loadu_pd(p + 24));
    return _mm512_shuffle_f64x2(low, high, 0x44);
}

LANES_AVX512 static inline __m512d one_by_one(const double *v, const uint32_t at[LANES]) {
    return _mm512_setr_pd(v[at[0]], v[at[1]], v[at[2]], v[at[3]], v[at[4]], v[at[5]], v[at[6]],
                          v[at[7]]);
}

struct ends {
    __m512d first, last;
};

/* Windows of samples and steps at even distances begin and end at even distances. They are loaded in
 * whole vectors when these lie between the first window's begin and the last one's end. */
LANES_AVX512 static inline struct ends ends_of(const double *v, const uint32_t lows[LANES],
                                               const uint32_t highs[LANES]) {
    const uint32_t stride = stride_of(lows);
    const double *low = v + lows[0];
    const double *high = v + highs[0]; /* of the first window */
    if (stride == 0 || highs[0] - lows[0] < stride || stride_of(highs) != stride) {
        return (struct ends){one_by_one(v, lows), one_by_one(v - 1, highs)};
    }
    switch (stride) {
    case 1:
        return (struct ends){_mm512_loadu_pd(low), _mm512_loadu_pd(high - 1)};
    case 2:
        return (struct ends){each_second(low, 0), each_second(high - 2, 1)};
    case 4:
        return (struct ends){each_fourth(low, 0), each_fourth(high - 4, 3)};
    default:
        return (struct ends){one_by_one(v, lows), one_by_one(v - 1, highs)};
    }
}

/* The eight rates of steps at .. at + 7; false as in lanes.h. */
LANES_AVX512 static inline bool rate_eight(const struct lane_windows *w,
                                           const struct lane_rate *rate, size_t at, double *out) {
    const struct ends e = ends_of(w->v, w->low + at, w->high + at);
    const __m512d value = _mm512_sub_pd(e.last, e.first);
    if (rate->counter) {
        const __m512d zero = _mm512_setzero_pd();
        const __m512d some = _mm512_mul_pd(_mm512_loadu_pd(rate->to_start + at), value);
        const __m512d slack = _mm512_mul_pd(some, _mm512_set1_pd(1 + 1e-9));
        const __m512d reach = _mm512_mul_pd(e.first, _mm512_loadu_pd(rate->sampled + at));
        const __mmask8 rises = _mm512_cmp_pd_mask(value, zero, _CMP_GT_OQ);
        const __mmask8 above = _mm512_cmp_pd_mask(e.first, zero, _CMP_GE_OQ);
        const __mmask8 near = _mm512_cmp_pd_mask(reach, slack, _CMP_LE_OQ);
        if ((rises & above & near) != 0) {
            return false;
        }
    }
    _mm512_storeu_pd(out + at, _mm512_mul_pd(value, _mm512_loadu_pd(rate->factor + at)));
    return true;
}

LANES_AVX512 size_t rate_avx512(const struct lane_windows *w, const struct lane_rate *rate,
                                size_t eights, double *out) {
    size_t done = 0;
    while (done < eights && rate_eight(w, rate, done * LANES, out)) {
        done++;
    }
    return done;
}

/* ---- drops ---- */

/* Which of eight have a smaller successor. */
LANES_AVX512 static inline uint32_t drops_at(const double *v) {
    return _mm512_cmp_pd_mask(_mm512_loadu_pd(v + 1), _mm512_loadu_pd(v), _CMP_LT_OQ);
}

LANES_AVX512 size_t next_drop_avx512(const double *v, size_t count, size_t from) {
    enum { AT_ONCE = 4 * LANES };
    size_t i = from;
    for (; i + AT_ONCE < count; i += AT_ONCE) {
        const double *p = v + i;
        const uint32_t drops = drops_at(p) | drops_at(p + LANES) << LANES |
                               drops_at(p + 2 * LANES) << 2 * LANES |
                               drops_at(p + 3 * LANES) << 3 * LANES;
        if (drops != 0) {
            return i + (size_t)__builtin_ctz(drops);
        }
    }
    for (; i + 1 < count; i += LANES) {
        const size_t left = count - 1 - i;
        const __mmask8 lanes = (__mmask8)(left >= LANES ? 0xFFU : (1U << left) - 1);
        const __m512d now = _mm512_maskz_loadu_pd(lanes, v + i);
        const __m512d next = _mm512_maskz_loadu_pd(lanes, v + i + 1);
        const uint32_t drops = _mm512_mask_cmp_pd_mask(lanes, next, now, _CMP_LT_OQ);
        if (drops != 0) {
            return i + (size_t)__builtin_ctz(drops);
        }
    }
    return count;
}

#endif

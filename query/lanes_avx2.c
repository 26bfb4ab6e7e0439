#include "query/lanes_avx2.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* Without FMA: a product fused into a sum has other bits. */
#define LANES_AVX2 __attribute__((target("avx2")))

enum { FOUR = 4, HALVES = LANES / FOUR };

/* ---- compensated sums ---- */

struct four_sums {
    __m256d sum, c, infinite; /* infinite: a sum was, on the way */
};

LANES_AVX2 static inline __m256d magnitude(__m256d x) {
    return _mm256_andnot_pd(_mm256_set1_pd(-0.0), x);
}

/* kahan_add */
LANES_AVX2 static inline void four_add(struct four_sums *k, __m256d x) {
    const __m256d t = _mm256_add_pd(k->sum, x);
    const __m256d leads = _mm256_cmp_pd(magnitude(k->sum), magnitude(x), _CMP_GE_OQ);
    const __m256d larger = _mm256_blendv_pd(x, k->sum, leads);
    const __m256d smaller = _mm256_blendv_pd(k->sum, x, leads);
    const __m256d lost = _mm256_add_pd(_mm256_sub_pd(larger, t), smaller);
    const __m256d infinite = _mm256_cmp_pd(magnitude(t), _mm256_set1_pd(INFINITY), _CMP_EQ_OQ);
    k->c = _mm256_andnot_pd(infinite, _mm256_add_pd(k->c, lost));
    k->sum = t;
    k->infinite = _mm256_or_pd(k->infinite, infinite);
}

/* Lanes that are not active stay as they are. */
LANES_AVX2 static inline void four_add_some(struct four_sums *k, __m256d x, __m256d active) {
    struct four_sums next = *k;
    four_add(&next, x);
    k->sum = _mm256_blendv_pd(k->sum, next.sum, active);
    k->c = _mm256_blendv_pd(k->c, next.c, active);
    k->infinite = _mm256_blendv_pd(k->infinite, next.infinite, active);
}

/* ---- values of windows ---- */

/* Four windows of a column side by side. */
struct four_windows {
    const double *p[FOUR];
    uint32_t n[FOUR];
};

/* Eight of them; least, most: values of the shortest and the longest window. */
struct spans {
    uint32_t least, most;
    struct four_windows half[HALVES];
};

static inline struct spans spans_of(const struct lane_windows *w) {
    struct spans s = {.least = UINT32_MAX};
    for (size_t l = 0; l < LANES; l++) {
        const uint32_t n = w->high[l] - w->low[l];
        s.half[l / FOUR].p[l % FOUR] = w->v + w->low[l];
        s.half[l / FOUR].n[l % FOUR] = n;
        s.least = n < s.least ? n : s.least;
        s.most = n > s.most ? n : s.most;
    }
    return s;
}

/* The k-th value of every window. */
LANES_AVX2 static inline __m256d values_at(const double *const p[FOUR], uint32_t k) {
    return _mm256_setr_pd(p[0][k], p[1][k], p[2][k], p[3][k]);
}

/* The same where some windows are shorter: their last value. */
LANES_AVX2 static inline __m256d last_values_at(const double *const p[FOUR], const uint32_t n[FOUR],
                                                uint32_t k) {
    return _mm256_setr_pd(p[0][k < n[0] ? k : n[0] - 1], p[1][k < n[1] ? k : n[1] - 1],
                          p[2][k < n[2] ? k : n[2] - 1], p[3][k < n[3] ? k : n[3] - 1]);
}

/* Which windows have a k-th value. */
LANES_AVX2 static inline __m256d active_at(const uint32_t n[FOUR], uint32_t k) {
    const __m256i counts = _mm256_setr_epi64x(n[0], n[1], n[2], n[3]);
    return _mm256_castsi256_pd(_mm256_cmpgt_epi64(counts, _mm256_set1_epi64x(k)));
}

/* The k-th to k+3-th values of every window, by a transposition: a load takes four. */
LANES_AVX2 static inline void take_four(const double *const p[FOUR], uint32_t k,
                                        __m256d out[FOUR]) {
    const __m256d a = _mm256_loadu_pd(p[0] + k);
    const __m256d b = _mm256_loadu_pd(p[1] + k);
    const __m256d c = _mm256_loadu_pd(p[2] + k);
    const __m256d d = _mm256_loadu_pd(p[3] + k);
    const __m256d even_ab = _mm256_unpacklo_pd(a, b);
    const __m256d odd_ab = _mm256_unpackhi_pd(a, b);
    const __m256d even_cd = _mm256_unpacklo_pd(c, d);
    const __m256d odd_cd = _mm256_unpackhi_pd(c, d);
    out[0] = _mm256_permute2f128_pd(even_ab, even_cd, 0x20);
    out[1] = _mm256_permute2f128_pd(odd_ab, odd_cd, 0x20);
    out[2] = _mm256_permute2f128_pd(even_ab, even_cd, 0x31);
    out[3] = _mm256_permute2f128_pd(odd_ab, odd_cd, 0x31);
}

/* ---- sums ---- */

LANES_AVX2 static void sum_windows(const struct lane_windows *w, bool from_first,
                                   struct lane_sums *out) {
    const struct spans s = spans_of(w);
    const struct four_windows *a = &s.half[0];
    const struct four_windows *b = &s.half[1];
    struct four_sums k = {0};
    struct four_sums m = {0};
    uint32_t at = 0;
    if (from_first) {
        const __m256d most = _mm256_set1_pd(INFINITY);
        k.sum = values_at(a->p, 0);
        m.sum = values_at(b->p, 0);
        k.infinite = _mm256_cmp_pd(magnitude(k.sum), most, _CMP_EQ_OQ);
        m.infinite = _mm256_cmp_pd(magnitude(m.sum), most, _CMP_EQ_OQ);
        at = 1;
    }
    for (; at + FOUR <= s.least; at += FOUR) {
        __m256d x[FOUR];
        __m256d y[FOUR];
        take_four(a->p, at, x);
        take_four(b->p, at, y);
        for (size_t i = 0; i < FOUR; i++) {
            four_add(&k, x[i]);
            four_add(&m, y[i]);
        }
    }
    for (; at < s.least; at++) {
        four_add(&k, values_at(a->p, at));
        four_add(&m, values_at(b->p, at));
    }
    for (; at < s.most; at++) {
        four_add_some(&k, last_values_at(a->p, a->n, at), active_at(a->n, at));
        four_add_some(&m, last_values_at(b->p, b->n, at), active_at(b->n, at));
    }
    _mm256_storeu_pd(out->sum, k.sum);
    _mm256_storeu_pd(out->sum + FOUR, m.sum);
    _mm256_storeu_pd(out->c, k.c);
    _mm256_storeu_pd(out->c + FOUR, m.c);
    out->overflowed = _mm256_movemask_pd(_mm256_or_pd(k.infinite, m.infinite)) != 0;
}

LANES_AVX2 static void add_columns(double *sum, double *c, const double *x, size_t n) {
    for (size_t i = 0; i < n; i += FOUR) {
        struct four_sums k = {.sum = _mm256_loadu_pd(sum + i), .c = _mm256_loadu_pd(c + i)};
        four_add(&k, _mm256_loadu_pd(x + i));
        _mm256_storeu_pd(sum + i, k.sum);
        _mm256_storeu_pd(c + i, k.c);
    }
}

/* ---- variance ---- */

struct welford {
    struct four_sums mean, aux;
};

LANES_AVX2 static inline void welford_add(struct welford *s, __m256d x, uint32_t n) {
    const __m256d mean = _mm256_add_pd(s->mean.sum, s->mean.c);
    const __m256d delta = _mm256_sub_pd(x, mean);
    four_add(&s->mean, _mm256_div_pd(delta, _mm256_set1_pd(n)));
    const __m256d now = _mm256_add_pd(s->mean.sum, s->mean.c);
    four_add(&s->aux, _mm256_mul_pd(delta, _mm256_sub_pd(x, now)));
}

LANES_AVX2 static inline void welford_add_some(struct welford *s, __m256d x, uint32_t n,
                                               __m256d active) {
    const __m256d mean = _mm256_add_pd(s->mean.sum, s->mean.c);
    const __m256d delta = _mm256_sub_pd(x, mean);
    four_add_some(&s->mean, _mm256_div_pd(delta, _mm256_set1_pd(n)), active);
    const __m256d now = _mm256_add_pd(s->mean.sum, s->mean.c);
    four_add_some(&s->aux, _mm256_mul_pd(delta, _mm256_sub_pd(x, now)), active);
}

LANES_AVX2 static void variance_of_windows(const struct lane_windows *w, double out[LANES]) {
    const struct spans s = spans_of(w);
    struct welford f[HALVES] = {0};
    uint32_t at = 0;
    for (; at < s.least; at++) {
        welford_add(&f[0], values_at(s.half[0].p, at), at + 1);
        welford_add(&f[1], values_at(s.half[1].p, at), at + 1);
    }
    for (; at < s.most; at++) {
        for (size_t h = 0; h < HALVES; h++) {
            const struct four_windows *of = &s.half[h];
            welford_add_some(&f[h], last_values_at(of->p, of->n, at), at + 1, active_at(of->n, at));
        }
    }
    for (size_t h = 0; h < HALVES; h++) {
        const uint32_t *n = s.half[h].n;
        const __m256d count = _mm256_setr_pd(n[0], n[1], n[2], n[3]);
        const __m256d squares = _mm256_add_pd(f[h].aux.sum, f[h].aux.c);
        _mm256_storeu_pd(out + h * FOUR, _mm256_div_pd(squares, count));
    }
}

/* ---- lines ---- */

struct four_fit {
    struct four_sums y, xy;
    __m256d first, varies;
};

/* The double next to x. Either half of it is put behind the exponent that makes its lowest bit worth
 * what it is: 2^52 + the low half, 2^84 + 2^63 + the high half with its sign bit turned. Only the
 * last sum is rounded. */
LANES_AVX2 static inline __m256d doubles_of(__m256i x) {
    const __m256i low_ones = _mm256_set1_epi64x(0x4330000000000000);
    const __m256i high_ones = _mm256_set1_epi64x(0x4530000080000000);
    const __m256d biases = _mm256_set1_pd(0x1p84 + 0x1p63 + 0x1p52);
    const __m256i low = _mm256_blend_epi32(low_ones, x, 0x55);
    const __m256i high = _mm256_xor_si256(_mm256_srli_epi64(x, 32), high_ones);
    return _mm256_add_pd(_mm256_sub_pd(_mm256_castsi256_pd(high), biases),
                         _mm256_castsi256_pd(low));
}

LANES_AVX2 static inline __m256d times_value(__m256i at_ms, __m256d y) {
    return _mm256_mul_pd(_mm256_div_pd(doubles_of(at_ms), _mm256_set1_pd(1000)), y);
}

LANES_AVX2 static inline void fit_note(struct four_fit *f, __m256d y) {
    f->varies = _mm256_or_pd(f->varies, _mm256_cmp_pd(y, f->first, _CMP_NEQ_UQ));
}

/* Half of the windows, whose times begin at t. */
LANES_AVX2 static inline struct four_fit fit_of(const struct spans *s,
                                                const struct four_windows *of,
                                                const int64_t *const t[FOUR],
                                                const int64_t *reference_ms) {
    const __m256i reference = _mm256_loadu_si256((const __m256i *)(const void *)reference_ms);
    struct four_fit f = {.first = values_at(of->p, 0)};
    uint32_t k = 0;
    for (; k < s->least; k++) {
        const __m256i at = _mm256_setr_epi64x(t[0][k], t[1][k], t[2][k], t[3][k]);
        const __m256d y = values_at(of->p, k);
        four_add(&f.y, y);
        four_add(&f.xy, times_value(_mm256_sub_epi64(at, reference), y));
        fit_note(&f, y);
    }
    for (; k < s->most; k++) {
        uint32_t i[FOUR];
        for (size_t l = 0; l < FOUR; l++) {
            i[l] = k < of->n[l] ? k : of->n[l] - 1;
        }
        const __m256i at = _mm256_setr_epi64x(t[0][i[0]], t[1][i[1]], t[2][i[2]], t[3][i[3]]);
        const __m256d y = last_values_at(of->p, of->n, k);
        const __m256d active = active_at(of->n, k);
        four_add_some(&f.y, y, active);
        four_add_some(&f.xy, times_value(_mm256_sub_epi64(at, reference), y), active);
        fit_note(&f, y); /* a repeated last value changes nothing */
    }
    return f;
}

LANES_AVX2 static void line_of_windows(const struct lane_windows *w, const int64_t *ts,
                                       const int64_t reference_ms[LANES], struct lane_line *out) {
    const struct spans s = spans_of(w);
    for (size_t from = 0; from < LANES; from += FOUR) {
        const uint32_t *low = w->low + from;
        const int64_t *const t[FOUR] = {ts + low[0], ts + low[1], ts + low[2], ts + low[3]};
        const struct four_fit f = fit_of(&s, &s.half[from / FOUR], t, reference_ms + from);
        _mm256_storeu_pd(out->y + from, _mm256_add_pd(f.y.sum, f.y.c));
        _mm256_storeu_pd(out->xy + from, _mm256_add_pd(f.xy.sum, f.xy.c));
        const int varies = _mm256_movemask_pd(f.varies);
        for (size_t l = 0; l < FOUR; l++) {
            out->varies[from + l] = (varies >> l & 1) != 0;
        }
    }
}

/* ---- ends of windows ---- */

LANES_AVX2 static inline __m256d values_by(const double *v, const uint32_t at[FOUR]) {
    return _mm256_setr_pd(v[at[0]], v[at[1]], v[at[2]], v[at[3]]);
}

/* The rates of four steps; false as in lanes.h. */
LANES_AVX2 static inline bool rate_four(const struct lane_windows *w, const struct lane_rate *rate,
                                        size_t at, double *out) {
    const __m256d first = values_by(w->v, w->low + at);
    const __m256d last = values_by(w->v - 1, w->high + at);
    const __m256d value = _mm256_sub_pd(last, first);
    if (rate->counter) {
        const __m256d zero = _mm256_setzero_pd();
        const __m256d some = _mm256_mul_pd(_mm256_loadu_pd(rate->to_start + at), value);
        const __m256d slack = _mm256_mul_pd(some, _mm256_set1_pd(1 + 1e-9));
        const __m256d reach = _mm256_mul_pd(first, _mm256_loadu_pd(rate->sampled + at));
        const __m256d rises = _mm256_cmp_pd(value, zero, _CMP_GT_OQ);
        const __m256d above = _mm256_cmp_pd(first, zero, _CMP_GE_OQ);
        const __m256d near = _mm256_cmp_pd(reach, slack, _CMP_LE_OQ);
        if (_mm256_movemask_pd(_mm256_and_pd(_mm256_and_pd(rises, above), near)) != 0) {
            return false;
        }
    }
    _mm256_storeu_pd(out + at, _mm256_mul_pd(value, _mm256_loadu_pd(rate->factor + at)));
    return true;
}

LANES_AVX2 static size_t rate_of_windows(const struct lane_windows *w, const struct lane_rate *rate,
                                         size_t eights, double *out) {
    size_t done = 0;
    while (done < eights && rate_four(w, rate, done * LANES, out) &&
           rate_four(w, rate, done * LANES + FOUR, out)) {
        done++;
    }
    return done;
}

/* ---- drops ---- */

/* Which of four have a smaller successor. */
LANES_AVX2 static inline __m256d drops_at(const double *v) {
    return _mm256_cmp_pd(_mm256_loadu_pd(v + 1), _mm256_loadu_pd(v), _CMP_LT_OQ);
}

LANES_AVX2 static inline bool has_drop(const double *v) {
    const __m256d a = _mm256_or_pd(drops_at(v), drops_at(v + FOUR));
    const __m256d b = _mm256_or_pd(drops_at(v + 2 * FOUR), drops_at(v + 3 * FOUR));
    return _mm256_movemask_pd(_mm256_or_pd(a, b)) != 0;
}

LANES_AVX2 static size_t drop_in_column(const double *v, size_t count, size_t from) {
    enum { AT_ONCE = 4 * FOUR };
    size_t i = from;
    while (i + AT_ONCE < count && !has_drop(v + i)) {
        i += AT_ONCE;
    }
    for (; i + 1 < count; i++) {
        if (v[i + 1] < v[i]) {
            return i;
        }
    }
    return count;
}

const struct lane_kernels lanes_avx2 = {.name = "avx2",
                                        .sum = sum_windows,
                                        .variance = variance_of_windows,
                                        .line = line_of_windows,
                                        .rate = rate_of_windows,
                                        .next_drop = drop_in_column,
                                        .add = add_columns};

#endif

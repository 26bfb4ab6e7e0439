#include "query/lanes.h"

#include <string.h>

#include "base/attr.h"
#include "query/lanes_avx2.h"
#include "query/lanes_avx512.h"

typedef double lanes_f64 __attribute__((vector_size(LANES * sizeof(double))));
typedef uint64_t lanes_u64 __attribute__((vector_size(LANES * sizeof(uint64_t))));
typedef int64_t lanes_i64 __attribute__((vector_size(LANES * sizeof(int64_t))));

#define INFINITY_BITS INT64_C(0x7FF0000000000000)

/* Vectors are passed by pointer: by value their ABI would depend on the set. */

static ALWAYS_INLINE void magnitude(const lanes_f64 *x, lanes_f64 *out) {
    *out = (lanes_f64)((lanes_i64)*x & INT64_MAX);
}

static ALWAYS_INLINE void choose(const lanes_i64 *mask, const lanes_f64 *yes, const lanes_f64 *no,
                                 lanes_f64 *out) {
    *out = (lanes_f64)((*mask & (lanes_i64)*yes) | (~*mask & (lanes_i64)*no));
}

/* All ones where x is negative; by shifts that narrow sets have. */
static ALWAYS_INLINE void mask_of_sign(const lanes_i64 *x, lanes_i64 *out) {
    *out = -(lanes_i64)((lanes_u64)*x >> 63);
}

static ALWAYS_INLINE bool any_lane(const lanes_i64 *mask) {
    int64_t seen = 0;
    for (size_t l = 0; l < LANES; l++) {
        seen |= (*mask)[l];
    }
    return seen != 0;
}

static ALWAYS_INLINE bool any_negative(const lanes_i64 *x) {
    int64_t seen = 0;
    for (size_t l = 0; l < LANES; l++) {
        seen |= (*x)[l];
    }
    return seen < 0;
}

struct sums {
    lanes_f64 sum;
    lanes_f64 c;
    lanes_i64 infinite; /* a sum was, on the way */
};

/* kahan_add; lanes that are not active stay as they are. native: the machine compares whole lanes; where
 * it has only narrower vectors, compilers make scalar code of comparisons, and bits tell. */
static ALWAYS_INLINE void add_to(struct sums *k, const lanes_f64 *x, const lanes_i64 *active,
                                 bool native) {
    const lanes_f64 t = k->sum + *x;
    lanes_f64 size;
    lanes_f64 of_sum;
    lanes_f64 of_x;
    magnitude(&t, &size);
    magnitude(&k->sum, &of_sum);
    magnitude(x, &of_x);
    lanes_i64 infinite;
    lanes_i64 sum_leads;
    if (native) {
        infinite = size == __builtin_inf();
        sum_leads = of_sum >= of_x;
    } else { /* magnitudes order as integers but for NaN, which makes c NaN in either way */
        const lanes_i64 not_infinite = (lanes_i64)size ^ INFINITY_BITS;
        const lanes_i64 x_leads = (lanes_i64)of_sum - (lanes_i64)of_x;
        infinite = not_infinite - 1;
        mask_of_sign(&infinite, &infinite);
        mask_of_sign(&x_leads, &sum_leads);
        sum_leads = ~sum_leads;
    }
    lanes_f64 larger;
    lanes_f64 smaller;
    choose(&sum_leads, &k->sum, x, &larger);
    choose(&sum_leads, x, &k->sum, &smaller);
    lanes_f64 c = k->c + ((larger - t) + smaller);
    c = (lanes_f64)(~infinite & (lanes_i64)c);
    if (active == NULL) {
        k->sum = t;
        k->c = c;
        k->infinite |= infinite;
        return;
    }
    choose(active, &t, &k->sum, &k->sum);
    choose(active, &c, &k->c, &k->c);
    k->infinite |= infinite & *active;
}

/* ---- loops over windows ---- */

/* Where the windows begin; loops know them as registers. */
struct spans {
    uint32_t least, most; /* values of the shortest and the longest window */
    const double *p[LANES];
    uint32_t n[LANES];
};

static ALWAYS_INLINE struct spans spans_of(const struct lane_windows *w) {
    struct spans s = {.least = UINT32_MAX};
    for (size_t l = 0; l < LANES; l++) {
        const uint32_t n = w->high[l] - w->low[l];
        s.n[l] = n;
        s.p[l] = w->v + w->low[l];
        s.least = n < s.least ? n : s.least;
        s.most = n > s.most ? n : s.most;
    }
    return s;
}

/* The k-th value of every window. */
static ALWAYS_INLINE void load(const struct spans *s, uint32_t k, lanes_f64 *x) {
    *x = (lanes_f64){s->p[0][k], s->p[1][k], s->p[2][k], s->p[3][k],
                     s->p[4][k], s->p[5][k], s->p[6][k], s->p[7][k]};
}

/* The same where some windows are shorter: their last value, and they are not active. */
static ALWAYS_INLINE void load_some(const struct spans *s, uint32_t k, lanes_f64 *x,
                                    lanes_i64 *active) {
    for (size_t l = 0; l < LANES; l++) {
        (*x)[l] = s->p[l][k < s->n[l] ? k : s->n[l] - 1];
        (*active)[l] = k < s->n[l] ? -1 : 0;
    }
}

static ALWAYS_INLINE void sum_windows(const struct lane_windows *w, bool from_first, bool native,
                                      struct lane_sums *out) {
    const struct spans spans = spans_of(w);
    struct sums k;
    lanes_f64 x;
    lanes_i64 active;
    memset(&k, 0, sizeof(k));
    uint32_t at = 0;
    if (from_first) {
        load(&spans, at++, &k.sum);
        lanes_f64 size;
        magnitude(&k.sum, &size);
        k.infinite = size == __builtin_inf();
    }
    for (; at < spans.least; at++) {
        load(&spans, at, &x);
        add_to(&k, &x, NULL, native);
    }
    for (; at < spans.most; at++) {
        load_some(&spans, at, &x, &active);
        add_to(&k, &x, &active, native);
    }
    memcpy(out->sum, &k.sum, sizeof(out->sum));
    memcpy(out->c, &k.c, sizeof(out->c));
    out->overflowed = any_lane(&k.infinite);
}

struct welford {
    struct sums mean, aux;
};

static ALWAYS_INLINE void welford_add(struct welford *s, const lanes_f64 *x, double n,
                                      const lanes_i64 *active, bool native) {
    const lanes_f64 delta = *x - (s->mean.sum + s->mean.c);
    const lanes_f64 share = delta / n;
    add_to(&s->mean, &share, active, native);
    const lanes_f64 square = delta * (*x - (s->mean.sum + s->mean.c));
    add_to(&s->aux, &square, active, native);
}

static ALWAYS_INLINE void variance_of_windows(const struct lane_windows *w, bool native,
                                              double out[LANES]) {
    const struct spans spans = spans_of(w);
    struct welford s;
    memset(&s, 0, sizeof(s));
    lanes_f64 x;
    lanes_i64 active;
    for (uint32_t at = 0; at < spans.least; at++) {
        load(&spans, at, &x);
        welford_add(&s, &x, at + 1, NULL, native);
    }
    for (uint32_t at = spans.least; at < spans.most; at++) {
        load_some(&spans, at, &x, &active);
        welford_add(&s, &x, at + 1, &active, native);
    }
    for (size_t l = 0; l < LANES; l++) {
        out[l] = (s.aux.sum[l] + s.aux.c[l]) / (double)(w->high[l] - w->low[l]);
    }
}

struct fit {
    struct sums y, xy;
    lanes_f64 first;
    lanes_i64 varies;
};

static ALWAYS_INLINE void fit_add(struct fit *f, const lanes_i64 *at_ms, const lanes_f64 *y,
                                  const lanes_i64 *active, bool native) {
    const lanes_f64 xy = __builtin_convertvector(*at_ms, lanes_f64) / 1000 * *y;
    add_to(&f->y, y, active, native);
    add_to(&f->xy, &xy, active, native);
    f->varies |= *y != f->first; /* a repeated last value changes nothing */
}

static ALWAYS_INLINE void line_of_windows(const struct lane_windows *w, const int64_t *ts,
                                          const int64_t *reference_ms, bool native,
                                          struct lane_line *out) {
    const struct spans s = spans_of(w);
    const int64_t *t[LANES];
    for (size_t l = 0; l < LANES; l++) {
        t[l] = ts + w->low[l];
    }
    struct fit f;
    lanes_i64 reference;
    lanes_i64 active;
    lanes_f64 y;
    memset(&f, 0, sizeof(f));
    memcpy(&reference, reference_ms, sizeof(reference));
    load(&s, 0, &f.first);
    for (uint32_t k = 0; k < s.least; k++) {
        const lanes_i64 at =
            (lanes_i64){t[0][k], t[1][k], t[2][k], t[3][k], t[4][k], t[5][k], t[6][k], t[7][k]} -
            reference;
        load(&s, k, &y);
        fit_add(&f, &at, &y, NULL, native);
    }
    for (uint32_t k = s.least; k < s.most; k++) {
        lanes_i64 at;
        load_some(&s, k, &y, &active);
        for (size_t l = 0; l < LANES; l++) {
            at[l] = t[l][k < s.n[l] ? k : s.n[l] - 1] - reference_ms[l];
        }
        fit_add(&f, &at, &y, &active, native);
    }
    for (size_t l = 0; l < LANES; l++) {
        out->y[l] = f.y.sum[l] + f.y.c[l];
        out->xy[l] = f.xy.sum[l] + f.xy.c[l];
        out->varies[l] = f.varies[l] != 0;
    }
}

/* ---- one value per step ---- */

static ALWAYS_INLINE bool rate_of_windows(const struct lane_windows *w,
                                          const struct lane_rate *rate, double out[LANES]) {
    const double *v = w->v;
    const uint32_t *low = w->low;
    const uint32_t *high = w->high;
    const lanes_f64 first = {v[low[0]], v[low[1]], v[low[2]], v[low[3]],
                             v[low[4]], v[low[5]], v[low[6]], v[low[7]]};
    const lanes_f64 last = {v[high[0] - 1], v[high[1] - 1], v[high[2] - 1], v[high[3] - 1],
                            v[high[4] - 1], v[high[5] - 1], v[high[6] - 1], v[high[7] - 1]};
    const lanes_f64 value = last - first;
    lanes_f64 factor;
    memcpy(&factor, rate->factor, sizeof(factor));
    if (rate->counter) {
        lanes_f64 sampled;
        lanes_f64 to_start;
        memcpy(&sampled, rate->sampled, sizeof(sampled));
        memcpy(&to_start, rate->to_start, sizeof(to_start));
        const lanes_f64 rise = value + 0.0; /* never -0 */
        const lanes_f64 above = first + 0.0;
        const lanes_f64 over = to_start * value * (1 + 1e-9) - first * sampled;
        lanes_f64 size;
        magnitude(&over, &size);
        /* By signs, since compilers make scalar code of such comparisons: no rise, below zero, or
         * far enough from it. What is not finite is left to the exact way. */
        const lanes_i64 far = (lanes_i64)over & ((lanes_i64)size - INFINITY_BITS);
        const lanes_i64 near_zero = ~(((lanes_i64)rise - 1) | (lanes_i64)above | far);
        if (any_negative(&near_zero)) {
            return false;
        }
    }
    const lanes_f64 product = value * factor;
    memcpy(out, &product, sizeof(product));
    return true;
}

/* The sign of a difference tells of a drop; that of -0 or of no number does, too. */
static ALWAYS_INLINE bool may_drop(const double *v) {
    enum { AT_ONCE = 4 };
    lanes_i64 seen = {0};
    for (size_t i = 0; i < AT_ONCE; i++) {
        lanes_f64 now;
        lanes_f64 next;
        memcpy(&now, v + i * LANES, sizeof(now));
        memcpy(&next, v + i * LANES + 1, sizeof(next));
        seen |= (lanes_i64)(next - now);
    }
    return any_negative(&seen);
}

static ALWAYS_INLINE size_t drop_in_column(const double *v, size_t count, size_t from) {
    enum { AT_ONCE = 4 * LANES };
    for (size_t i = from; i + 1 < count;) {
        const size_t end = i + AT_ONCE < count ? i + AT_ONCE : count - 1;
        if (end - i == AT_ONCE && !may_drop(v + i)) {
            i = end;
            continue;
        }
        for (; i < end; i++) {
            if (v[i + 1] < v[i]) {
                return i;
            }
        }
    }
    return count;
}

static ALWAYS_INLINE void add_columns(double *sum, double *c, const double *x, size_t n,
                                      bool native) {
    for (size_t i = 0; i < n; i += LANES) {
        struct sums k;
        lanes_f64 more;
        memset(&k, 0, sizeof(k));
        memcpy(&k.sum, sum + i, sizeof(k.sum));
        memcpy(&k.c, c + i, sizeof(k.c));
        memcpy(&more, x + i, sizeof(more));
        add_to(&k, &more, NULL, native);
        memcpy(sum + i, &k.sum, sizeof(k.sum));
        memcpy(c + i, &k.c, sizeof(k.c));
    }
}

/* ---- sets ---- */

#define LANE_SUMS(set, attributes, native)                                                         \
    attributes static void sum_##set(const struct lane_windows *w, bool from_first,                \
                                     struct lane_sums *out) {                                      \
        sum_windows(w, from_first, native, out);                                                   \
    }                                                                                              \
    attributes static void variance_##set(const struct lane_windows *w, double out[LANES]) {       \
        variance_of_windows(w, native, out);                                                       \
    }                                                                                              \
    attributes static void line_##set(const struct lane_windows *w, const int64_t *ts,             \
                                      const int64_t reference_ms[LANES], struct lane_line *out) {  \
        line_of_windows(w, ts, reference_ms, native, out);                                         \
    }                                                                                              \
    attributes static void add_##set(double *sum, double *c, const double *x, size_t n) {          \
        add_columns(sum, c, x, n, native);                                                         \
    }

#define LANE_ENDS(set, attributes)                                                                 \
    attributes static size_t rate_##set(                                                           \
        const struct lane_windows *w, const struct lane_rate *rate, size_t eights, double *out) {  \
        size_t done = 0;                                                                           \
        for (; done < eights; done++) {                                                            \
            const size_t at = done * LANES;                                                        \
            const struct lane_windows eight = {w->v, w->low + at, w->high + at};                   \
            const struct lane_rate of = {rate->sampled + at, rate->to_start + at,                  \
                                         rate->factor + at, rate->counter};                        \
            if (!rate_of_windows(&eight, &of, out + at)) {                                         \
                break;                                                                             \
            }                                                                                      \
        }                                                                                          \
        return done;                                                                               \
    }                                                                                              \
    attributes static size_t next_drop_##set(const double *v, size_t count, size_t from) {         \
        return drop_in_column(v, count, from);                                                     \
    }

#define LANE_SET(set)                                                                              \
    static const struct lane_kernels set_##set = {.name = #set,                                    \
                                                  .sum = sum_##set,                                \
                                                  .variance = variance_##set,                      \
                                                  .line = line_##set,                              \
                                                  .rate = rate_##set,                              \
                                                  .next_drop = next_drop_##set,                    \
                                                  .add = add_##set};

LANE_SUMS(portable, , false)
LANE_ENDS(portable, )
LANE_SET(portable)

#if defined(__x86_64__)
LANE_SUMS(avx512, LANES_AVX512, true)
LANE_SET(avx512) /* with the ends of lanes_avx512.c */

static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

const struct lane_kernels *lane_kernels_best(void) {
    return has_avx512()                     ? &set_avx512
           : __builtin_cpu_supports("avx2") ? &lanes_avx2
                                            : &set_portable;
}

const struct lane_kernels *lane_kernels_at(size_t i) {
    const struct lane_kernels *sets[4] = {&set_portable};
    size_t n = 1;
    if (__builtin_cpu_supports("avx2")) {
        sets[n++] = &lanes_avx2;
    }
    if (has_avx512()) {
        sets[n] = &set_avx512;
    }
    return i < 3 ? sets[i] : NULL;
}
#else
const struct lane_kernels *lane_kernels_best(void) {
    return &set_portable;
}

const struct lane_kernels *lane_kernels_at(size_t i) {
    return i == 0 ? &set_portable : NULL;
}
#endif

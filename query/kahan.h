/* Kahan sum with Neumaier's improvement, in the order of operations of spec/promql.md sections 6
 * and 19. -ffp-contract=off keeps the compiler from fusing a product into a sum. Pure. */
#ifndef QUERY_KAHAN_H
#define QUERY_KAHAN_H

#include <math.h>

struct kahan {
    double sum;
    double c; /* compensation */
};

static inline void kahan_add(struct kahan *k, double x) {
    const double t = k->sum + x;
    if (__builtin_isinf(t)) {
        k->c = 0;
    } else if (__builtin_fabs(k->sum) >= __builtin_fabs(x)) {
        k->c += (k->sum - t) + x;
    } else {
        k->c += (x - t) + k->sum;
    }
    k->sum = t;
}

/* Mean of values added one by one: a compensated sum until that overflows, from then on an
 * incremental mean (spec section 19). */
struct kahan_mean {
    struct kahan k;
    double n;
    int incremental;
};

static inline void kahan_mean_add(struct kahan_mean *m, double x) {
    m->n += 1;
    if (m->n == 1) {
        m->k = (struct kahan){.sum = x};
        return;
    }
    if (!m->incremental) {
        struct kahan trial = m->k;
        kahan_add(&trial, x);
        if (!__builtin_isinf(trial.sum)) {
            m->k = trial;
            return;
        }
        m->incremental = 1;
        m->k.sum /= m->n - 1;
        m->k.c /= m->n - 1;
    }
    const double q = (m->n - 1) / m->n;
    m->k.sum *= q;
    m->k.c *= q;
    kahan_add(&m->k, x / m->n);
}

static inline double kahan_mean_value(const struct kahan_mean *m) {
    if (m->incremental) {
        return m->k.sum + m->k.c;
    }
    return m->k.sum / m->n + m->k.c / m->n;
}

#endif

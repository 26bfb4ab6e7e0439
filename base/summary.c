#include "base/summary.h"

#include "base/check.h"

void summary_init(struct summary *s) {
    *s = (struct summary){.period = -1};
    mutex_init(&s->mu);
    for (size_t i = 0; i < SUMMARY_PERIODS; i++) {
        quantile_digest_init(&s->periods[i]);
    }
}

void summary_release(struct summary *s) {
    for (size_t i = 0; i < SUMMARY_PERIODS; i++) {
        quantile_digest_release(&s->periods[i]);
    }
    mutex_release(&s->mu);
}

/* Clears what left the window. */
static void advance_locked(struct summary *s, int64_t mono_ns) REQUIRES(s->mu) {
    const int64_t now = mono_ns / SUMMARY_PERIOD_NS;
    if (s->period < 0 || now - s->period > SUMMARY_PERIODS) {
        s->period = now - SUMMARY_PERIODS;
    }
    while (s->period < now) {
        s->period++;
        quantile_digest_clear(&s->periods[(uint64_t)s->period % SUMMARY_PERIODS]);
    }
}

void summary_observe(struct summary *s, int64_t mono_ns, double value) {
    mutex_lock(&s->mu);
    advance_locked(s, mono_ns);
    quantile_digest_add(&s->periods[(uint64_t)s->period % SUMMARY_PERIODS], value);
    s->count++;
    s->sum += value;
    mutex_unlock(&s->mu);
}

void summary_read(struct summary *s, int64_t mono_ns, const double *quantiles, size_t n,
                  struct summary_view *out) {
    ASSERT(n <= SUMMARY_QUANTILES_MAX);
    struct quantile_digest all;
    quantile_digest_init(&all);
    mutex_lock(&s->mu);
    advance_locked(s, mono_ns);
    for (size_t i = 0; i < SUMMARY_PERIODS && n > 0; i++) {
        quantile_digest_merge(&all, &s->periods[i]);
    }
    out->count = s->count;
    out->sum = s->sum;
    mutex_unlock(&s->mu);
    for (size_t i = 0; i < n; i++) {
        out->quantiles[i] = quantile_digest_quantile(&all, quantiles[i]);
    }
    quantile_digest_release(&all);
}

#include "query/histogram_stats.h"

#include "base/histogram.h"
#include "base/value.h"

/* Which samples start a pass: the first that a window reads when nothing read before it reaches
 * into that window. A step reads on to the first sample that is not older than its window's end, so
 * that a sample is read first by the step whose window ends behind the sample before it. */
struct passes {
    const struct window_spec *spec;
    size_t step;
    int64_t start_ms; /* of the pass that the next sample is in */
};

/* Whether the sample next after the one at before_ms starts a pass. */
static bool starts_pass(struct passes *p, int64_t before_ms) {
    const size_t steps = p->spec->grid->count;
    while (p->step < steps && window_end(p->spec, p->step) <= before_ms) {
        p->step++;
    }
    if (p->step == steps) {
        return false; /* no step reads it */
    }
    return time_sub(window_end(p->spec, p->step), p->spec->range_ms) > before_ms;
}

static enum histogram_hint hint_of(const struct histogram *h, const struct histogram *before) {
    if (h->hint != HINT_UNKNOWN || before == NULL) {
        return h->hint;
    }
    return histogram_detect_reset(h, before) ? HINT_RESET : HINT_NOT_RESET;
}

enum err_code histogram_statistics(struct work *scratch, const struct storage_samples *samples,
                                   const struct window_spec *spec, struct storage_samples *out,
                                   struct err *err) {
    const size_t n = samples->count;
    struct histogram *all = work_zalloc(scratch, n, sizeof(*all), err);
    const struct histogram **column =
        all != NULL ? work_zalloc(scratch, n, sizeof(struct histogram *), err) : NULL;
    if (column == NULL) {
        return ERR_LIMIT;
    }
    struct passes passes = {.spec = spec};
    const struct histogram *before = NULL;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && starts_pass(&passes, samples->ts[i - 1])) {
            before = NULL;
        }
        const struct histogram *h = samples->histograms[i];
        if (h == NULL ||
            f64_is_stale(samples->values[i])) { /* markers are nothing to compare with */
            continue;
        }
        all[i] = (struct histogram){
            .schema = h->schema, .hint = hint_of(h, before), .count = h->count, .sum = h->sum};
        column[i] = &all[i];
        before = h;
    }
    *out = *samples;
    out->histograms = column;
    return ERR_OK;
}

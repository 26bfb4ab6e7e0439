/* histogram_quantile and histogram_fraction: classic buckets, and natives among them (spec sections
 * 7 and 17). */
#include <math.h>

#include "base/number.h"
#include "tests/reference/reference.h"

struct ref_le {
    double le, count;
};

/* The buckets of one classic histogram. */
struct classic {
    struct labels labels; /* without le */
    struct labels named;  /* of its first bucket */
    struct ref_le *buckets;
    size_t count;
    bool clashes; /* a native histogram has the same labels */
};

static bool almost(double a, double b) {
    const double sum = fabs(a) + fabs(b);
    if (a == b || (isnan(a) && isnan(b))) {
        return true;
    }
    if (a == 0 || b == 0 || sum < 2.2250738585072014e-308) {
        return fabs(a - b) < 1e-12 * 2.2250738585072014e-308;
    }
    return fabs(a - b) / fmin(sum, 1.7976931348623157e308) < 1e-12;
}

/* Sorted, equal bounds merged; false: the last is not +Inf. */
static bool tidy(struct ref_le *b, size_t *n) {
    for (size_t i = 0; i < *n; i++) {
        for (size_t k = i; k > 0 && b[k].le < b[k - 1].le; k--) {
            const struct ref_le x = b[k];
            b[k] = b[k - 1];
            b[k - 1] = x;
        }
    }
    if (b[*n - 1].le != (double)INFINITY) {
        return false;
    }
    size_t merged = 0;
    for (size_t i = 1; i < *n; i++) {
        if (b[i].le == b[merged].le) {
            b[merged].count += b[i].count;
        } else {
            b[++merged] = b[i];
        }
    }
    *n = merged + 1;
    return true;
}

static double classic_quantile(double phi, struct ref_le *b, size_t n, struct ref_note *forced) {
    if (isnan(phi)) {
        return NAN;
    }
    if (phi < 0 || phi > 1) {
        return phi < 0 ? -INFINITY : INFINITY;
    }
    if (!tidy(b, &n)) {
        return NAN;
    }
    double before = b[0].count;
    for (size_t i = 1; i < n; i++) {
        if (b[i].count == before) {
            continue;
        }
        if (almost(b[i].count, before)) {
            b[i].count = before;
        } else if (b[i].count < before) {
            const double diff = before - b[i].count;
            forced->min_bucket = forced->forced ? fmin(forced->min_bucket, b[i].le) : b[i].le;
            forced->max_bucket = forced->forced ? fmax(forced->max_bucket, b[i].le) : b[i].le;
            forced->max_diff = fmax(forced->max_diff, diff);
            forced->forced = true;
            b[i].count = before;
        } else {
            before = b[i].count;
        }
    }
    const double total = b[n - 1].count;
    if (n < 2 || total == 0) {
        return NAN;
    }
    double rank = phi * total;
    size_t at = 0; /* halving, which counts that are no numbers lead astray */
    for (size_t end = n - 1; at < end;) {
        const size_t mid = (at + end) / 2;
        if (b[mid].count >= rank) {
            end = mid;
        } else {
            at = mid + 1;
        }
    }
    if (at == n - 1) {
        return b[n - 2].le;
    }
    if (at == 0 && b[0].le <= 0) {
        return b[0].le;
    }
    const double start = at > 0 ? b[at - 1].le : 0;
    const double below = at > 0 ? b[at - 1].count : 0;
    rank -= below;
    return start + (b[at].le - start) * (rank / (b[at].count - below));
}

static double classic_fraction(double lower, double upper, struct ref_le *b, size_t n) {
    if (!tidy(b, &n)) {
        return NAN;
    }
    const double total = b[n - 1].count;
    if (total == 0 || isnan(lower) || isnan(upper)) {
        return NAN;
    }
    if (lower >= upper) {
        return 0;
    }
    const double wanted[2] = {lower, upper};
    double rank[2] = {0, 0};
    bool set[2] = {false, false};
    for (size_t i = 0; i < n; i++) {
        const double low = i > 0 ? b[i - 1].le : b[0].le > 0 ? 0 : -INFINITY;
        const double before = i > 0 ? b[i - 1].count : 0;
        for (int k = 0; k < 2; k++) {
            if (!set[k] && low >= wanted[k]) {
                rank[k] = before;
                set[k] = true;
            } else if (!set[k] && wanted[k] < b[i].le) {
                rank[k] =
                    low == (double)-INFINITY
                        ? b[i].count
                        : before + (b[i].count - before) * ((wanted[k] - low) / (b[i].le - low));
                set[k] = true;
            }
        }
    }
    for (int k = 0; k < 2; k++) {
        rank[k] = !set[k] || rank[k] > total ? total : rank[k];
    }
    return (rank[1] - rank[0]) / total;
}

/* ---- a vector of both ---- */

static size_t classics(struct ref *r, const struct ref_vector *v, uint32_t pos,
                       struct classic **out) {
    const struct str le_name = STR("le");
    struct classic *all = arena_zalloc(r->arena, (v->count + 1) * sizeof(*all));
    size_t n = 0;
    for (size_t i = 0; i < v->count; i++) {
        const struct ref_sample *s = &v->items[i];
        const struct str text = labels_get(s->labels, le_name);
        double le = 0;
        if (s->h != NULL) {
            continue;
        }
        if (text.len == 0 || number_parse_double(text, &le) != NUMBER_OK) {
            ref_warn(r, pos,
                     "bucket label \"le\" is missing or has a malformed value of \"%.*s\"%s",
                     STR_ARG(text), ref_for_name(r, s->labels));
            continue;
        }
        const struct labels of = labels_drop(r->arena, s->labels, &le_name, 1);
        size_t at = 0;
        while (at < n && !labels_eq(all[at].labels, of)) {
            at++;
        }
        struct classic *c = &all[at];
        if (at == n) {
            c->labels = of;
            c->named = s->labels;
            c->buckets = arena_alloc(r->arena, v->count * sizeof(*c->buckets));
            n++;
        }
        c->buckets[c->count++] = (struct ref_le){le, s->v};
    }
    *out = all;
    return n;
}

/* Two of the same labels, one of each kind: neither counts. */
static bool clashes(struct ref *r, const struct ref_sample *native, struct classic *all, size_t n,
                    uint32_t pos) {
    for (size_t i = 0; i < n; i++) {
        if (labels_eq(all[i].labels, native->labels)) {
            all[i].clashes = true;
            ref_warn(r, pos, "vector contains a mix of classic and native histograms%s",
                     ref_for_name(r, native->labels));
            return true;
        }
    }
    return false;
}

/* label: for phi, or empty. */
static struct ref_sample result_of(struct ref *r, struct labels labels, struct str label,
                                   double phi, double v) {
    struct ref_sample s = {.labels = labels, .v = v};
    ref_drop_name(r, &s);
    if (label.len > 0) {
        char text[NUMBER_TEXT_MAX];
        const size_t n = number_format_openmetrics(phi, text);
        s.labels = ref_set_label(r, s.labels, label, (struct str){text, n});
    }
    return s;
}

void ref_histogram_quantile(struct ref *r, double phi, const struct ref_vector *v, uint32_t pos,
                            struct str label, int64_t t, struct ref_vector *out) {
    struct classic *all = NULL;
    const size_t n = classics(r, v, pos, &all);
    for (size_t i = 0; i < v->count; i++) {
        const struct ref_sample *s = &v->items[i];
        enum ref_nan_effect effect = REF_NAN_NONE;
        if (s->h == NULL || clashes(r, s, all, n, pos)) {
            continue;
        }
        const double q = ref_native_quantile(r, phi, s->h, &effect);
        if (effect != REF_NAN_NONE) {
            ref_inform(r, pos, "input to histogram_quantile has NaN observations, result is %s%s",
                       effect == REF_NAN_RESULT ? "NaN" : "skewed higher",
                       ref_for_name(r, s->labels));
        }
        ref_push(r, out, result_of(r, s->labels, label, phi, q));
    }
    for (size_t i = 0; i < n; i++) {
        struct classic *c = &all[i];
        struct ref_note forced = {.pos = pos, .count = 1, .first_ms = t, .last_ms = t};
        if (c->clashes) {
            continue;
        }
        const double q = classic_quantile(phi, c->buckets, c->count, &forced);
        if (forced.forced) {
            forced.text =
                arena_printf(r->arena,
                             "input to histogram_quantile needed to be fixed for monotonicity (see "
                             "https://prometheus.io/docs/prometheus/latest/querying/functions/"
                             "#histogram_quantile)%s",
                             ref_for_name(r, c->named));
            ref_note_forced(r, &forced);
        }
        ref_push(r, out, result_of(r, c->labels, label, phi, q));
    }
}

struct ref_value ref_histogram_fraction(struct ref *r, double lower, double upper,
                                        const struct ref_vector *v, uint32_t pos) {
    struct ref_value out = {.type = VALUE_VECTOR};
    struct classic *all = NULL;
    const size_t n = classics(r, v, pos, &all);
    for (size_t i = 0; i < v->count; i++) {
        const struct ref_sample *s = &v->items[i];
        bool excluded = false;
        if (s->h == NULL || clashes(r, s, all, n, pos)) {
            continue;
        }
        const double f = ref_native_fraction(r, lower, upper, s->h, &excluded);
        if (excluded) {
            ref_inform(r, pos,
                       "input to histogram_fraction has NaN observations, which are excluded from "
                       "all fractions%s",
                       ref_for_name(r, s->labels));
        }
        ref_push(r, &out.vector, result_of(r, s->labels, STR(""), 0, f));
    }
    for (size_t i = 0; i < n; i++) {
        if (!all[i].clashes) {
            const double f = classic_fraction(lower, upper, all[i].buckets, all[i].count);
            ref_push(r, &out.vector, result_of(r, all[i].labels, STR(""), 0, f));
        }
    }
    ref_check_unique(r, &out.vector);
    return out;
}

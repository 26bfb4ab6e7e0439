#include "query/quantile.h"

#include <math.h>
#include <stdlib.h>

#include "query/eval.h"
#include "query/value_rank.h"

static int nan_first(const void *left, const void *right) {
    const double a = *(const double *)left;
    const double b = *(const double *)right;
    if (isnan(a) || isnan(b)) {
        return (isnan(b) != 0) - (isnan(a) != 0);
    }
    return (a > b) - (a < b);
}

/* So few are sorted faster by insertion than anything else is done with them. */
enum { INSERT_MAX = 24 };

void quantile_sort(double *values, size_t n) {
    if (n > INSERT_MAX) {
        qsort(values, n, sizeof(*values), nan_first);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        const double x = values[i];
        size_t at = i;
        while (at > 0 && nan_first(&values[at - 1], &x) > 0) {
            values[at] = values[at - 1];
            at--;
        }
        values[at] = x;
    }
}

bool quantile_find(double phi, size_t n, struct quantile_place *place, double *out) {
    if (isnan(phi) || phi < 0 || phi > 1) {
        *out = isnan(phi) ? NAN : phi < 0 ? -INFINITY : INFINITY;
        return false;
    }
    const double rank = phi * (double)(n - 1);
    const double floor_rank = floor(rank);
    *place = (struct quantile_place){(size_t)fmax(0, floor_rank), rank - floor_rank};
    return true;
}

static double between(const struct quantile_place *at, const double values[2]) {
    return values[0] * (1 - at->weight) + values[1] * at->weight;
}

double quantile_of_sorted(double phi, const double *sorted, size_t n) {
    struct quantile_place at;
    double out = NAN;
    if (n == 0 || !quantile_find(phi, n, &at, &out)) {
        return out;
    }
    const size_t high = at.low + 1 < n ? at.low + 1 : n - 1;
    const double values[2] = {sorted[at.low], sorted[high]};
    return between(&at, values);
}

enum err_code quantile_of_many(double phi, double *values, size_t n, struct work *work,
                               const struct cancel *cancel, double *out, struct err *err) {
    struct quantile_place at;
    double next[2];
    *out = NAN;
    if (n <= INSERT_MAX || !quantile_find(phi, n, &at, out)) {
        *out = quantile_of(phi, values, n);
        return ERR_OK;
    }
    enum err_code code = ERR_OK;
    switch (value_rank_find(values, n, at.low, cancel, next)) {
    case VALUE_RANK_FOUND:
        *out = between(&at, next);
        break;
    case VALUE_RANK_SORT:
        code = work_sort(work, values, n, sizeof(*values), nan_first, cancel, err);
        *out = quantile_of_sorted(phi, values, n);
        break;
    case VALUE_RANK_STOPPED:
        code = eval_check_cancel(cancel, "expression evaluation", err);
        break;
    }
    return code;
}

double quantile_of(double phi, double *values, size_t n) {
    if (n > 0 && phi >= 0 && phi <= 1) {
        quantile_sort(values, n);
    }
    return quantile_of_sorted(phi, values, n);
}

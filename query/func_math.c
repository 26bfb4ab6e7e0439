/* Element-wise functions with parameters (spec/promql.md section 7). */
#include <math.h>

#include "query/bits.h"
#include "query/eval_call.h"
#include "query/float_pick.h"

double math_sgn(double v) {
    if (v < 0) {
        return -1;
    }
    return v > 0 ? 1 : v;
}

double math_deg(double v) {
    return v * 180 / M_PI;
}

double math_rad(double v) {
    return v * M_PI / 180;
}

void row_round(const struct grid *grid, const struct scalar_column *params, size_t param_count,
               struct row *row) {
    for (size_t i = 0; i < grid->count; i++) {
        /* through the inverse, so that round(x, 0.1) gives short decimals */
        const double inverse = param_count > 0 ? 1 / scalar_at(&params[0], i) : 1;
        row->values[i] = floor(row->values[i] * inverse + 0.5) / inverse;
    }
}

void row_clamp(const struct grid *grid, const struct scalar_column *params, size_t param_count,
               struct row *row) {
    (void)param_count;
    for (size_t i = 0; i < grid->count; i++) {
        const double low = scalar_at(&params[0], i);
        const double high = scalar_at(&params[1], i);
        if (high < low) {
            bits_clear(row->present, i);
        } else {
            row->values[i] = float_max(low, float_min(high, row->values[i]));
        }
    }
}

void row_clamp_min(const struct grid *grid, const struct scalar_column *params, size_t param_count,
                   struct row *row) {
    (void)param_count;
    for (size_t i = 0; i < grid->count; i++) {
        row->values[i] = float_max(scalar_at(&params[0], i), row->values[i]);
    }
}

void row_clamp_max(const struct grid *grid, const struct scalar_column *params, size_t param_count,
                   struct row *row) {
    (void)param_count;
    for (size_t i = 0; i < grid->count; i++) {
        row->values[i] = float_min(scalar_at(&params[0], i), row->values[i]);
    }
}

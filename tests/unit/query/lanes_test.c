/* Kernels over windows give the bits of the plain loops they stand for: every set of lanes, and
 * windows that are slid, on values of all kinds. */
#include "tests/support/check_err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "query/kahan.h"
#include "query/lanes.h"
#include "query/quantile.h"
#include "query/window_order.h"

enum { COLUMN = 96, ROUNDS = 400 };

struct column {
    int64_t ts[COLUMN];
    double v[COLUMN];
    uint32_t low[LANES], high[LANES];
};

/* Rounds differ in what they hold: decimals, integers, few values, huge ones, specials. */
static double any_value(struct rng *rng, int round) {
    static const double SPECIALS[] = {0,         -0.0, 1,     -1,     INFINITY,
                                      -INFINITY, NAN,  1e308, -1e308, 5e-324};
    switch (round % 5) {
    case 0:
        return (double)rng_below(rng, 1000000) / 1000;
    case 1:
        return (double)(int64_t)rng_below(rng, 2000) - 1000;
    case 2:
        return rng_below(rng, 3) == 0 ? -0.0 : (double)rng_below(rng, 2);
    case 3:
        return ldexp((double)rng_below(rng, 1000) - 500, (int)rng_below(rng, 200));
    default:
        return SPECIALS[rng_below(rng, COUNT_OF(SPECIALS))];
    }
}

static void fill(struct rng *rng, int round, struct column *c) {
    for (size_t i = 0; i < COLUMN; i++) {
        c->ts[i] = 1700000000000 + (int64_t)i * 15000 + (int64_t)rng_below(rng, 20);
        c->v[i] = any_value(rng, round);
    }
    for (size_t l = 0; l < LANES; l++) {
        const size_t n = 2 + (round % 2 == 0 ? 7 : rng_below(rng, 40));
        c->low[l] = (uint32_t)rng_below(rng, COLUMN - n);
        c->high[l] = (uint32_t)(c->low[l] + n);
    }
}

/* Windows as samples and steps at even distances make them, some at the very end of the column. */
static void lie_evenly(struct rng *rng, struct column *c) {
    const uint32_t stride = 1 + (uint32_t)rng_below(rng, 5);
    const uint32_t n = 2 + (uint32_t)rng_below(rng, 20);
    const uint32_t last = COLUMN - n - 7 * stride;
    const uint32_t first = rng_below(rng, 2) == 0 ? last : (uint32_t)rng_below(rng, last);
    for (uint32_t l = 0; l < LANES; l++) {
        c->low[l] = first + l * stride;
        c->high[l] = c->low[l] + n - (n > 2 && rng_below(rng, 40) == 0 ? 1 : 0);
    }
}

static void assert_same(double a, double b) {
    if (!(isnan(a) && isnan(b))) {
        assert_memory_equal(&a, &b, sizeof(a));
    }
}

static void sums_are_those_of_the_plain_loop(void **state) {
    (void)state;
    struct rng rng = rng_seeded(1);
    for (int round = 0; round < ROUNDS; round++) {
        struct column c;
        fill(&rng, round, &c);
        const struct lane_windows w = {c.v, c.low, c.high};
        for (size_t s = 0; lane_kernels_at(s) != NULL; s++) {
            struct lane_sums sums;
            struct lane_sums means;
            lane_kernels_at(s)->sum(&w, false, &sums);
            lane_kernels_at(s)->sum(&w, true, &means);
            for (size_t l = 0; l < LANES; l++) {
                struct kahan k = {0};
                struct kahan_mean mean = {.n = 0};
                bool infinite = false;
                for (uint32_t i = c.low[l]; i < c.high[l]; i++) {
                    kahan_add(&k, c.v[i]);
                    kahan_mean_add(&mean, c.v[i]);
                    infinite = infinite || isinf(k.sum);
                }
                assert_true(!infinite || sums.overflowed);
                if (!sums.overflowed) {
                    assert_same(sums.sum[l], k.sum);
                    assert_same(sums.c[l], k.c);
                }
                assert_true(!mean.incremental || means.overflowed);
                if (!means.overflowed) {
                    assert_same(means.sum[l], mean.k.sum);
                    assert_same(means.c[l], mean.k.c);
                }
            }
        }
    }
}

static double variance(const double *v, size_t count) {
    struct kahan mean = {0};
    struct kahan aux = {0};
    double n = 0;
    for (size_t i = 0; i < count; i++) {
        n += 1;
        const double delta = v[i] - (mean.sum + mean.c);
        kahan_add(&mean, delta / n);
        kahan_add(&aux, delta * (v[i] - (mean.sum + mean.c)));
    }
    return (aux.sum + aux.c) / n;
}

static void variances_and_lines_are_those_of_the_plain_loop(void **state) {
    (void)state;
    struct rng rng = rng_seeded(2);
    for (int round = 0; round < ROUNDS; round++) {
        struct column c;
        int64_t reference_ms[LANES];
        fill(&rng, round, &c);
        for (size_t l = 0; l < LANES; l++) {
            reference_ms[l] = c.ts[c.low[l]] + (int64_t)rng_below(&rng, 100000);
        }
        const struct lane_windows w = {c.v, c.low, c.high};
        for (size_t s = 0; lane_kernels_at(s) != NULL; s++) {
            double out[LANES];
            struct lane_line line;
            lane_kernels_at(s)->variance(&w, out);
            lane_kernels_at(s)->line(&w, c.ts, reference_ms, &line);
            for (size_t l = 0; l < LANES; l++) {
                const size_t n = c.high[l] - c.low[l];
                assert_same(out[l], variance(c.v + c.low[l], n));
                struct kahan y = {0};
                struct kahan xy = {0};
                bool varies = false;
                for (uint32_t i = c.low[l]; i < c.high[l]; i++) {
                    kahan_add(&y, c.v[i]);
                    kahan_add(&xy, (double)(c.ts[i] - reference_ms[l]) / 1000 * c.v[i]);
                    varies = varies || c.v[i] != c.v[c.low[l]];
                }
                assert_same(line.y[l], y.sum + y.c);
                assert_same(line.xy[l], xy.sum + xy.c);
                assert_int_equal(line.varies[l], varies);
            }
        }
    }
}

static void rates_are_refused_near_zero_and_exact_elsewhere(void **state) {
    (void)state;
    size_t refused = 0;
    struct rng rng = rng_seeded(3);
    for (int round = 0; round < ROUNDS; round++) {
        struct column c;
        double sampled[LANES];
        double to_start[LANES];
        double factor[LANES];
        fill(&rng, round, &c);
        if (round % 4 != 0) {
            lie_evenly(&rng, &c);
        }
        for (size_t l = 0; l < LANES; l++) {
            sampled[l] = (double)rng_below(&rng, 300000) / 1000;
            to_start[l] = (double)rng_below(&rng, 1000) / 1000;
            factor[l] = 1 + (double)rng_below(&rng, 1000) / 999;
        }
        double *v = mem_array(COLUMN, sizeof(*v)); /* reads behind it are seen */
        memcpy(v, c.v, sizeof(c.v));
        const struct lane_windows w = {v, c.low, c.high};
        const struct lane_rate rate = {sampled, to_start, factor, round % 3 != 0};
        bool near = false;
        double want[LANES];
        for (size_t l = 0; l < LANES; l++) {
            const double first = c.v[c.low[l]];
            const double value = c.v[c.high[l] - 1] - first;
            near = near || (rate.counter && value > 0 && first >= 0 &&
                            sampled[l] * (first / value) < to_start[l]);
            want[l] = value * factor[l];
        }
        for (size_t s = 0; lane_kernels_at(s) != NULL; s++) {
            double out[LANES];
            if (lane_kernels_at(s)->rate(&w, &rate, 1, out) == 0) {
                refused++;
                assert_true(rate.counter);
                continue;
            }
            assert_false(near);
            for (size_t l = 0; l < LANES; l++) {
                assert_same(out[l], want[l]);
            }
        }
        mem_free(v);
    }
    assert_true(refused > 0);
}

static void drops_are_found_wherever_they_are(void **state) {
    (void)state;
    struct rng rng = rng_seeded(6);
    for (int round = 0; round < ROUNDS; round++) {
        struct column c;
        fill(&rng, round, &c);
        if (round % 2 == 0) { /* few of them */
            const size_t at = 1 + rng_below(&rng, COLUMN - 1);
            for (size_t i = 0; i < COLUMN; i++) {
                c.v[i] = i < at ? (double)i + 1 : (double)i - COLUMN;
            }
        }
        for (size_t s = 0; lane_kernels_at(s) != NULL; s++) {
            for (size_t count = 0; count <= COLUMN; count += 1 + rng_below(&rng, 9)) {
                const size_t from = rng_below(&rng, count + 3);
                size_t want = from;
                while (want + 1 < count && !(c.v[want + 1] < c.v[want])) {
                    want++;
                }
                want = want + 1 < count ? want : count;
                assert_int_equal(lane_kernels_at(s)->next_drop(c.v, count, from), want);
            }
        }
    }
}

static void columns_are_added_step_by_step(void **state) {
    (void)state;
    struct rng rng = rng_seeded(4);
    for (int round = 0; round < ROUNDS; round++) {
        struct column x;
        fill(&rng, round, &x);
        for (size_t s = 0; lane_kernels_at(s) != NULL; s++) {
            double sum[COLUMN];
            double c[COLUMN];
            struct kahan want[COLUMN];
            for (size_t i = 0; i < COLUMN; i++) {
                sum[i] = want[i].sum = any_value(&rng, round + 1);
                c[i] = want[i].c = 1e-9;
                kahan_add(&want[i], x.v[i]);
            }
            lane_kernels_at(s)->add(sum, c, x.v, COLUMN);
            for (size_t i = 0; i < COLUMN; i++) {
                assert_same(sum[i], want[i].sum);
                assert_same(c[i], want[i].c);
            }
        }
    }
}

static void a_slid_window_is_in_the_order_of_a_stable_sort(void **state) {
    (void)state;
    struct rng rng = rng_seeded(5);
    for (int round = 0; round < ROUNDS; round++) {
        struct column c;
        struct work_budget budget = {.max_bytes = 0};
        struct work work;
        struct window_order order;
        struct err err;
        fill(&rng, round, &c);
        work_begin(&work, &budget);
        assert_ok(window_order_init(&order, &work, c.v, COLUMN, COLUMN, NULL, &err), &err);
        size_t low = 0;
        size_t high = 0;
        while (low < COLUMN - 1) {
            low += rng_below(&rng, round % 7 == 0 ? 60 : 4);
            high = high < low ? low : high;
            high += rng_below(&rng, round % 7 == 0 ? 90 : 5);
            low = low > COLUMN ? COLUMN : low;
            high = high > COLUMN ? COLUMN : high;
            double want[COLUMN + 1];
            memcpy(want, c.v + low, (high - low) * sizeof(*want));
            quantile_sort(want, high - low);
            assert_int_equal(window_order_slide(&order, low, high), ERR_OK);
            for (size_t i = 0; i < high - low; i++) {
                double got[2];
                window_order_at(&order, i, got);
                assert_memory_equal(&got[0], &want[i], sizeof(*want));
            }
        }
        work_end(&work);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_the_plain_loop),
        cmocka_unit_test(variances_and_lines_are_those_of_the_plain_loop),
        cmocka_unit_test(rates_are_refused_near_zero_and_exact_elsewhere),
        cmocka_unit_test(drops_are_found_wherever_they_are),
        cmocka_unit_test(columns_are_added_step_by_step),
        cmocka_unit_test(a_slid_window_is_in_the_order_of_a_stable_sort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

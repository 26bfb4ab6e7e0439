/* quantile_digest: exact while few values, close to the true quantiles for many, never larger than
 * it says, whatever the order in which values come. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/quantile_digest.h"
#include "base/rng.h"
#include "tests/support/check_err.h"

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void nothing_has_no_quantile(void **state) {
    (void)state;
    struct quantile_digest d;
    quantile_digest_init(&d);
    assert_true(isnan(quantile_digest_quantile(&d, 0.5)));
    quantile_digest_add(&d, NAN);
    assert_true(isnan(quantile_digest_quantile(&d, 0.5)));
    quantile_digest_release(&d);
}

static void few_values_are_exact(void **state) {
    (void)state;
    struct quantile_digest d;
    quantile_digest_init(&d);
    for (int i = DIGEST_EXACT; i >= 1; i--) {
        quantile_digest_add(&d, i);
    }
    assert_true(quantile_digest_quantile(&d, 0) == 1);
    assert_true(quantile_digest_quantile(&d, 0.5) == DIGEST_EXACT / 2);
    assert_true(quantile_digest_quantile(&d, 1) == DIGEST_EXACT);
    quantile_digest_clear(&d);
    quantile_digest_add(&d, 7);
    assert_true(quantile_digest_quantile(&d, 0.01) == 7);
    quantile_digest_release(&d);
}

/* How far the rank of what the digest says is from the rank that was asked for. */
static double rank_error(const double *sorted, size_t n, double q, double answer) {
    size_t below = 0;
    size_t up_to = 0;
    while (below < n && sorted[below] < answer) {
        below++;
    }
    up_to = below;
    while (up_to < n && sorted[up_to] <= answer) {
        up_to++;
    }
    const double low = (double)below / (double)n;
    const double high = (double)up_to / (double)n;
    return q < low ? low - q : q > high ? q - high : 0;
}

static double value_of(int shape, size_t i, size_t n, struct rng *rng) {
    const double u = (double)(rng_u64(rng) >> 11) / 9007199254740992.0;
    switch (shape) {
    case 0: /* rising */
        return (double)i;
    case 1: /* falling */
        return (double)(n - i);
    case 2: /* skewed, as durations are */
        return exp(u * 20 - 15);
    case 3: /* nearly all the same */
        return i % 100 == 0 ? 15 + u : 15;
    default:
        return u < 0.5 ? -u : 1e9 * u;
    }
}

static void many_values_keep_their_ranks(void **state) {
    (void)state;
    static const double quantiles[] = {0.01, 0.05, 0.5, 0.9, 0.99};
    static const double allowed[] = {0.004, 0.01, 0.03, 0.015, 0.004};
    enum { N = 50000, SHAPES = 5 };
    double *const values = mem_array(N, sizeof(values[0]));
    for (int shape = 0; shape < SHAPES; shape++) {
        struct rng rng = rng_seeded(7);
        struct quantile_digest parts[2];
        struct quantile_digest all;
        quantile_digest_init(&all);
        for (size_t i = 0; i < 2; i++) {
            quantile_digest_init(&parts[i]);
        }
        for (size_t i = 0; i < N; i++) {
            values[i] = value_of(shape, i, N, &rng);
            quantile_digest_add(&parts[i * 2 / N], values[i]);
            assert_true(parts[i * 2 / N].count <= DIGEST_EXACT);
        }
        quantile_digest_merge(&all, &parts[0]);
        quantile_digest_merge(&all, &parts[1]);
        qsort(values, N, sizeof(values[0]), by_value);
        for (size_t i = 0; i < COUNT_OF(quantiles); i++) {
            const double answer = quantile_digest_quantile(&all, quantiles[i]);
            assert_true(rank_error(values, N, quantiles[i], answer) <= allowed[i]);
        }
        assert_true(quantile_digest_quantile(&all, 0) >= values[0]);
        assert_true(quantile_digest_quantile(&all, 1) <= values[N - 1]);
        quantile_digest_release(&all);
        quantile_digest_release(&parts[0]);
        quantile_digest_release(&parts[1]);
    }
    mem_free(values);
}

static void infinite_values_leave_the_others_alone(void **state) {
    (void)state;
    struct quantile_digest d;
    quantile_digest_init(&d);
    for (int i = 0; i < 2000; i++) {
        quantile_digest_add(&d, i % 1000 == 0 ? INFINITY : 5);
    }
    assert_true(quantile_digest_quantile(&d, 0.5) == 5);
    assert_false(isnan(quantile_digest_quantile(&d, 1)));
    quantile_digest_release(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_has_no_quantile),
        cmocka_unit_test(few_values_are_exact),
        cmocka_unit_test(many_values_keep_their_ranks),
        cmocka_unit_test(infinite_values_leave_the_others_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

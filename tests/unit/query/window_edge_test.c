/* Edges of windows equal a plain count, whatever the distances of times and steps, in one call or in
 * many. */
#include "tests/support/check_err.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "query/window_edge.h"

enum { TIMES = 300, STEPS = 200, ROUNDS = 20000 };

struct column {
    int64_t *ts; /* of just so many: reads behind are seen */
    size_t count;
};

/* Even runs, with gaps, times out of step, equal ones, or jitter all along. */
static struct column any_column(struct rng *rng, int64_t begin) {
    struct column c = {.count = rng_below(rng, 4) == 0 ? rng_below(rng, 4) : rng_below(rng, TIMES)};
    c.ts = mem_array(c.count + 1, sizeof(*c.ts));
    c.ts = mem_resize(c.ts, c.count > 0 ? c.count : 1, sizeof(*c.ts));
    const int64_t distances[] = {1, 7, 1000, 15000, 15001, INT64_C(1) << 40};
    const int64_t d = distances[rng_below(rng, COUNT_OF(distances))];
    const uint64_t one_in = UINT64_C(1) << rng_below(rng, 9);
    int64_t at = begin;
    for (size_t i = 0; i < c.count; i++) {
        c.ts[i] = at;
        at += d;
        if (rng_below(rng, one_in) == 0) {
            const uint64_t kind = rng_below(rng, 4);
            at += kind == 0 ? d * (int64_t)rng_below(rng, 40) : kind == 1 ? -d : 1;
        }
    }
    return c;
}

static void check(const struct column *c, int64_t first_ms, int64_t step_ms, size_t steps,
                  struct rng *rng) {
    uint32_t out[STEPS + 1];
    out[steps] = 12345;
    struct even_times even = {0};
    struct window_edge edge = {.first_ms = first_ms, .step_ms = step_ms, .even = &even};
    struct window_edge other = {.first_ms = first_ms, .step_ms = step_ms, .even = &even};
    const bool at_once = rng_below(rng, 2) == 0;
    const bool shared = rng_below(rng, 2) == 0;
    for (size_t from = 0; from < steps;) {
        const size_t to = at_once ? steps : from + 1 + rng_below(rng, steps - from);
        if (shared) {
            window_edge_find(&other, c->ts, c->count, from, to, out);
        }
        window_edge_find(&edge, c->ts, c->count, from, to, out);
        from = to;
    }
    size_t want = 0;
    for (size_t i = 0; i < steps; i++) {
        const int64_t limit = (int64_t)((uint64_t)first_ms + i * (uint64_t)step_ms);
        while (want < c->count && c->ts[want] <= limit) {
            want++;
        }
        assert_int_equal(out[i], want);
        assert_int_equal(window_edge_at(c->ts, c->count, limit), want);
    }
    assert_int_equal(out[steps], 12345);
}

static void edges_equal_a_plain_count(void **state) {
    (void)state;
    struct rng rng = rng_seeded(1);
    for (int round = 0; round < ROUNDS; round++) {
        const struct column c = any_column(&rng, 1000000);
        const int64_t steps_ms[] = {1, 3, 1000, 15000, 60000, 59999, 7 * 15000, INT64_C(1) << 41};
        const int64_t step_ms = steps_ms[rng_below(&rng, COUNT_OF(steps_ms))];
        const int64_t around = c.count > 0 ? c.ts[rng_below(&rng, c.count)] : 0;
        const int64_t first_ms =
            around - (int64_t)rng_below(&rng, 20) * step_ms + (int64_t)rng_below(&rng, 3) - 1;
        check(&c, first_ms, step_ms, 1 + rng_below(&rng, STEPS), &rng);
        mem_free(c.ts);
    }
}

static void times_and_edges_may_lie_at_the_ends_of_all_time(void **state) {
    (void)state;
    struct rng rng = rng_seeded(2);
    int64_t ts[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
    const struct column c = {ts, COUNT_OF(ts)};
    check(&c, INT64_MIN, INT64_MAX, 3, &rng);
    check(&c, INT64_MIN, INT64_MAX / 64, 128, &rng);
    check(&c, INT64_MAX, 1, 1, &rng);
    check(&c, INT64_MAX - 10, 5, 3, &rng);
    check(&(struct column){ts + 2, 1}, INT64_MIN, INT64_MAX / 64, 128, &rng);
    check(&(struct column){ts, 1}, INT64_MIN, 1, 100, &rng);
}

static void one_edge_needs_no_step(void **state) {
    (void)state;
    struct rng rng = rng_seeded(3);
    int64_t ts[] = {10, 20, 30};
    for (int64_t first = 9; first < 32; first++) {
        check(&(struct column){ts, COUNT_OF(ts)}, first, 0, 1, &rng);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edges_equal_a_plain_count),
        cmocka_unit_test(times_and_edges_may_lie_at_the_ends_of_all_time),
        cmocka_unit_test(one_edge_needs_no_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* rng, clock and generation: sequences repeat by their seed, draws are uniform, time goes forward,
 * and a generation ends with its last reference. */
#include "base/clock.h"
#include "base/generation.h"
#include "base/rng.h"
#include "tests/support/check_err.h"

static void a_seed_fixes_the_sequence(void **state) {
    (void)state;
    /* The first values of SplitMix64 from seed 1234567, as published with the algorithm. */
    static const uint64_t want[] = {UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
                                    UINT64_C(9817491932198370423), UINT64_C(4593380528125082431),
                                    UINT64_C(16408922859458223821)};
    struct rng rng = rng_seeded(1234567);
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        assert_true(rng_u64(&rng) == want[i]);
    }
}

static void draws_stay_below_and_are_uniform(void **state) {
    (void)state;
    struct rng rng = rng_seeded(1);
    int counts[3] = {0};
    for (int i = 0; i < 30000; i++) {
        const uint64_t v = rng_below(&rng, 3);
        assert_true(v < 3);
        counts[v]++;
    }
    for (int i = 0; i < 3; i++) {
        assert_in_range(counts[i], 9700, 10300);
    }
    assert_int_equal(rng_below(&rng, 1), 0);
    for (int i = 0; i < 1000; i++) {
        const uint64_t n = (UINT64_C(1) << 63) + 1;
        assert_true(rng_below(&rng, n) < n);
    }
}

static void the_systems_numbers_differ(void **state) {
    (void)state;
    struct rng rng = rng_system();
    assert_true(rng_u64(&rng) != rng_u64(&rng));
    assert_true(rng_below(&rng, 10) < 10);
}

static void time_goes_forward(void **state) {
    (void)state;
    struct clock *clock = clock_system();
    const int64_t before = clock_mono_ns(clock);
    assert_true(clock_mono_ns(clock) >= before);
    assert_true(clock_unix_ms(clock) > INT64_C(1600000000000));
}

static void count_release(void *object) {
    (*(int *)object)++;
}

static void a_generation_ends_with_its_last_reference(void **state) {
    (void)state;
    int released = 0;
    struct generation *g = generation_new(1 << 20);
    struct arena *arena = generation_arena(g);
    const struct str text = arena_str(arena, STR("kept"));
    arena_link(arena, count_release, &released);
    assert_ptr_equal(generation_ref(g), g);
    generation_unref(g);
    assert_int_equal(released, 0);
    assert_str(text, "kept");
    generation_unref(g);
    assert_int_equal(released, 1);
    generation_unref(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_fixes_the_sequence),
        cmocka_unit_test(draws_stay_below_and_are_uniform),
        cmocka_unit_test(the_systems_numbers_differ),
        cmocka_unit_test(time_goes_forward),
        cmocka_unit_test(a_generation_ends_with_its_last_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

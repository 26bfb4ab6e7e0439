/* Threads use one partition that nobody has read yet at the same time: checks of the index, the page
 * reports and the remembered sets are first used by all of them at once. */
#include <string.h>

#include "base/mutex.h"
#include "tests/support/check_err.h"
#include "tests/unit/tsdb/partition_world.h"

enum { THREADS = 4, ROUNDS = 3 };

struct reader {
    struct partition_world *w;
    size_t wrong;
};

static void read_all(void *ctx) {
    struct reader *r = ctx;
    struct partition_world *w = r->w;
    struct arena arena;
    arena_init(&arena, 0);
    for (int round = 0; round < ROUNDS; round++) {
        struct err err;
        struct partition_hit *hits;
        size_t count = 0;
        if (partition_select(w->p, NULL, 0, INT64_MIN, INT64_MAX, &arena, NULL, &hits, &count,
                             &err) != ERR_OK ||
            count != w->series_count) {
            r->wrong++;
            break;
        }
        uint32_t *numbers = arena_alloc(&arena, count * sizeof(*numbers));
        struct storage_samples *got = arena_alloc(&arena, count * sizeof(*got));
        for (size_t i = 0; i < count; i++) {
            numbers[i] = (uint32_t)i;
            _Atomic uint64_t *known =
                partition_known_set(w->p, PARTITION_METRICS, hits[i].metric_set);
            const uint64_t before = atomic_load(known);
            r->wrong += before != 0 && before != hits[i].metric_set + 1;
            atomic_store(known, hits[i].metric_set + 1);
        }
        r->wrong += partition_read(w->p, numbers, count, INT64_MIN, INT64_MAX, &arena, NULL, got,
                                   &err) != ERR_OK;
        for (size_t i = 0; i < count; i++) {
            struct world_sample *want;
            const size_t n = world_samples(w, &w->series[i], INT64_MIN, INT64_MAX, &arena, &want);
            r->wrong += !world_same_samples(want, n, &got[i]);
        }
        arena_reset(&arena);
    }
    arena_release(&arena);
}

static void threads_read_a_fresh_partition_at_once(void **state) {
    (void)state;
    struct partition_world w;
    struct reader readers[THREADS];
    struct thread threads[THREADS];
    partition_world_init(
        &w, &(struct world_options){
                .seed = 61, .targets = 12, .metrics = 12, .rows_max = 1500, .pack = true});
    for (size_t i = 0; i < THREADS; i++) {
        readers[i] = (struct reader){.w = &w};
        thread_start(&threads[i], "reader", read_all, &readers[i]);
    }
    for (size_t i = 0; i < THREADS; i++) {
        thread_join(&threads[i]);
        assert_int_equal(readers[i].wrong, 0);
    }
    assert_int_equal(w.damage_count, 0);
    partition_world_release(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_read_a_fresh_partition_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

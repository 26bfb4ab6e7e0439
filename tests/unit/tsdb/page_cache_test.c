/* Page cache: what is published comes back unchanged, within the bytes that it may take, and never
 * goes while somebody uses it.
 *
 * Every item's bytes are a function of its key, so any item that is found can be told right from
 * wrong alone. The long test compares with a model: what must be there, what must not. */
#include "tests/support/check_err.h"

#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "base/mutex.h"
#include "base/rng.h"
#include "tests/support/thread_check.h"
#include "tsdb/page_cache.h"

enum { CACHE_BYTES = 64 << 10 };

static uint8_t byte_of(struct page_key key) {
    return (uint8_t)(key.owner * 31 + key.place * 7 + 1);
}

static const void *put(struct page_cache *cache, struct page_key key, size_t bytes) {
    uint8_t *item = page_cache_begin(cache, key, bytes);
    if (item == NULL) {
        return NULL;
    }
    memset(item, byte_of(key), bytes);
    return page_cache_publish(cache, item);
}

static bool has(struct page_cache *cache, struct page_key key, size_t bytes) {
    const uint8_t *item = page_cache_get(cache, key);
    for (size_t i = 0; item != NULL && i < bytes; i++) {
        assert_int_equal(item[i], byte_of(key));
    }
    page_cache_unpin(cache, item);
    return item != NULL;
}

static uint64_t bytes_of(struct page_cache *cache) {
    struct page_cache_stats stats;
    page_cache_stats_get(cache, &stats);
    return stats.bytes;
}

static void what_is_published_is_found_by_its_key_alone(void **state) {
    (void)state;
    struct page_cache *cache = page_cache_new(CACHE_BYTES);
    const uint64_t a = page_cache_owner(cache);
    const uint64_t b = page_cache_owner(cache);
    assert_int_not_equal(a, b);
    page_cache_unpin(cache, put(cache, (struct page_key){a, 4096}, 100));
    assert_true(has(cache, (struct page_key){a, 4096}, 100));
    assert_false(has(cache, (struct page_key){b, 4096}, 100));
    assert_false(has(cache, (struct page_key){a, 4097}, 100));
    page_cache_free(cache);
}

static void without_a_cache_nothing_is_kept(void **state) {
    (void)state;
    assert_null(page_cache_begin(NULL, (struct page_key){1, 1}, 100));
    assert_null(page_cache_get(NULL, (struct page_key){1, 1}));
    page_cache_unpin(NULL, NULL);
    page_cache_drop(NULL, page_cache_owner(NULL));
    page_cache_age(NULL);
    page_cache_free(NULL);
}

static void it_never_takes_more_than_it_may(void **state) {
    (void)state;
    struct page_cache *cache = page_cache_new(CACHE_BYTES);
    for (uint64_t i = 0; i < 5000; i++) {
        page_cache_unpin(cache, put(cache, (struct page_key){1, i}, (size_t)(i * 37 % 1900)));
        assert_true(bytes_of(cache) <= CACHE_BYTES);
    }
    assert_true(bytes_of(cache) > CACHE_BYTES / 2);
    assert_null(page_cache_begin(cache, (struct page_key){2, 0}, CACHE_BYTES)); /* too large */
    page_cache_free(cache);
}

static void what_is_asked_for_stays(void **state) {
    (void)state;
    struct page_cache *cache = page_cache_new(CACHE_BYTES);
    for (uint64_t i = 0; i < 5000; i++) {
        if (i % 4 == 0) {
            assert_true(i < 4 || has(cache, (struct page_key){7, 7}, 64));
        }
        const struct page_key key = i == 0 ? (struct page_key){7, 7} : (struct page_key){1, i};
        page_cache_unpin(cache, put(cache, key, 64));
    }
    page_cache_free(cache);
}

static void when_all_is_in_use_there_is_no_room(void **state) {
    (void)state;
    const void *pins[2000];
    size_t n = 0;
    struct page_cache *cache = page_cache_new(CACHE_BYTES);
    uint64_t refused = 0;
    for (uint64_t i = 0; i < 2000; i++) {
        const void *item = put(cache, (struct page_key){1, i}, 200);
        if (item == NULL) {
            refused++;
        } else {
            pins[n++] = item;
        }
    }
    assert_true(refused > 0 && n > 100);
    for (uint64_t i = 0; i < 2000; i++) { /* still there, each of them */
        n -= has(cache, (struct page_key){1, i}, 200) ? 1 : 0;
    }
    assert_int_equal(n, 0);
    struct page_cache_stats stats;
    page_cache_stats_get(cache, &stats);
    assert_int_equal(stats.refused, refused);
    for (size_t i = 0; i < stats.items; i++) {
        page_cache_unpin(cache, pins[i]);
    }
    for (uint64_t i = 3000; i < 3100; i++) {
        const void *item = put(cache, (struct page_key){1, i}, 200);
        assert_non_null(item);
        page_cache_unpin(cache, item);
    }
    page_cache_free(cache);
}

static void the_first_of_two_with_the_same_key_counts(void **state) {
    (void)state;
    const struct page_key key = {3, 3};
    struct page_cache *cache = page_cache_new(CACHE_BYTES);
    void *late = page_cache_begin(cache, key, 300);
    const void *first = put(cache, key, 300);
    assert_ptr_equal(page_cache_publish(cache, late), first);
    page_cache_unpin(cache, first);
    page_cache_unpin(cache, first);
    page_cache_abandon(cache, page_cache_begin(cache, (struct page_key){3, 4}, 300));
    assert_false(has(cache, (struct page_key){3, 4}, 300));
    struct page_cache_stats stats;
    page_cache_stats_get(cache, &stats);
    assert_int_equal(stats.items, 1);
    page_cache_free(cache);
}

static void what_an_owner_had_goes_with_it_but_for_what_is_in_use(void **state) {
    (void)state;
    struct page_cache *cache = page_cache_new(CACHE_BYTES);
    const uint8_t *used = put(cache, (struct page_key){1, 0}, 100);
    for (uint64_t i = 1; i < 20; i++) {
        page_cache_unpin(cache, put(cache, (struct page_key){1 + i % 2, i}, 100));
    }
    page_cache_drop(cache, 1);
    for (uint64_t i = 0; i < 20; i++) {
        assert_false(has(cache, (struct page_key){1, i}, 100));
        assert_int_equal(has(cache, (struct page_key){2, i}, 100), i % 2);
    }
    assert_int_equal(used[99], byte_of((struct page_key){1, 0}));
    page_cache_unpin(cache, put(cache, (struct page_key){1, 0}, 100)); /* a new one of the name */
    assert_true(has(cache, (struct page_key){1, 0}, 100));
    page_cache_unpin(cache, used);
    page_cache_drop(cache, 1);
    page_cache_drop(cache, 2);
    assert_int_equal(bytes_of(cache), 0);
    page_cache_free(cache);
}

static void what_nobody_asked_for_between_two_calls_goes(void **state) {
    (void)state;
    struct page_cache *cache = page_cache_new(CACHE_BYTES);
    const void *pinned = put(cache, (struct page_key){1, 0}, 100);
    page_cache_unpin(cache, put(cache, (struct page_key){1, 1}, 100));
    page_cache_unpin(cache, put(cache, (struct page_key){1, 2}, 100));
    page_cache_age(cache);
    assert_true(has(cache, (struct page_key){1, 1}, 100));
    page_cache_age(cache);
    assert_true(has(cache, (struct page_key){1, 1}, 100));
    assert_false(has(cache, (struct page_key){1, 2}, 100));
    assert_true(has(cache, (struct page_key){1, 0}, 100));
    page_cache_unpin(cache, pinned);
    page_cache_age(cache);
    page_cache_age(cache);
    assert_int_equal(bytes_of(cache), 0);
    page_cache_free(cache);
}

/* ---- threads ---- */

struct crowd {
    struct page_cache *cache;
    _Atomic uint64_t seed;
    _Atomic uint64_t hits;
};

static void use(void *ctx) {
    struct crowd *crowd = ctx;
    struct rng rng = rng_seeded(atomic_fetch_add(&crowd->seed, 1));
    const int rounds = THREAD_CHECK ? 2000 : 20000;
    for (int i = 0; i < rounds; i++) {
        const uint64_t r = rng_u64(&rng);
        const struct page_key key = {1 + r % 3, r / 3 % 200};
        const size_t bytes = 50 + (size_t)(key.place * 11);
        const uint8_t *item = page_cache_get(crowd->cache, key);
        atomic_fetch_add(&crowd->hits, item != NULL ? 1 : 0);
        if (item == NULL) {
            item = put(crowd->cache, key, bytes);
        }
        if (item != NULL) {
            assert_int_equal(item[0], byte_of(key));
            assert_int_equal(item[bytes - 1], byte_of(key));
            page_cache_unpin(crowd->cache, item);
        }
        if (r % 997 == 0) {
            page_cache_drop(crowd->cache, key.owner);
        } else if (r % 991 == 0) {
            page_cache_age(crowd->cache);
        }
    }
}

static void many_threads_may_use_it(void **state) {
    (void)state;
    struct crowd crowd = {.cache = page_cache_new(CACHE_BYTES)};
    struct thread threads[4];
    for (size_t i = 0; i < 4; i++) {
        thread_start(&threads[i], "cache-user", use, &crowd);
    }
    for (size_t i = 0; i < 4; i++) {
        thread_join(&threads[i]);
    }
    assert_true(atomic_load(&crowd.hits) > 0);
    assert_true(bytes_of(crowd.cache) <= CACHE_BYTES);
    page_cache_free(crowd.cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_published_is_found_by_its_key_alone),
        cmocka_unit_test(without_a_cache_nothing_is_kept),
        cmocka_unit_test(it_never_takes_more_than_it_may),
        cmocka_unit_test(what_is_asked_for_stays),
        cmocka_unit_test(when_all_is_in_use_there_is_no_room),
        cmocka_unit_test(the_first_of_two_with_the_same_key_counts),
        cmocka_unit_test(what_an_owner_had_goes_with_it_but_for_what_is_in_use),
        cmocka_unit_test(what_nobody_asked_for_between_two_calls_goes),
        cmocka_unit_test(many_threads_may_use_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

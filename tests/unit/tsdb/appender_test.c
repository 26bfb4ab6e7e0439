/* Transactions over series in the order in which senders send them, and in any other: every way
 * to a series' place must be the same place. */
#include <stdio.h>

#include "base/rng.h"
#include "tests/support/check_err.h"
#include "tests/unit/tsdb/storage_world.h"

enum { SERIES = 12 };

static const char *const names[SERIES] = {
    "a instance=i job=j",
    "b instance=i job=j le=1",
    "b instance=i job=j le=2",
    "b code=200 instance=i job=j",
    "c instance=i job=j zone=z",
    "d abc=1 instance=i job=j x=2",
    "a instance=i2 job=j",
    "b instance=i2 job=j le=1",
    "e job=j",
    "e instance=i",
    "e",
    "f iobs=1 jobs=2",
};

static struct storage_appender *begin(struct world *w) {
    struct storage_appender *a = NULL;
    struct err err;
    assert_ok(storage_appender_begin(w->st, &a, &err), &err);
    return a;
}

static void commit(struct world *w, struct storage_appender *a) {
    struct err err;
    assert_ok(storage_appender_commit(w->st, a, &err), &err);
}

static void append_ok(struct world *w, struct storage_appender *a, const char *labels,
                      int64_t ts_ms, double value) {
    assert_int_equal(world_append(w, a, labels, ts_ms, value), ERR_OK);
}

/* All series at a time, in the order of a permutation. */
static void push_all(struct world *w, const size_t *order, int64_t ts_ms) {
    struct storage_appender *a = begin(w);
    for (size_t i = 0; i < SERIES; i++) {
        append_ok(w, a, names[order[i]], ts_ms, (double)order[i] + (double)ts_ms / 1e6);
    }
    commit(w, a);
}

static void shuffle(struct rng *rng, size_t *order) {
    for (size_t i = SERIES; i > 1; i--) {
        const size_t k = rng_below(rng, i);
        const size_t kept = order[i - 1];
        order[i - 1] = order[k];
        order[k] = kept;
    }
}

static void any_order_of_series_gives_the_same_data(void **state) {
    (void)state;
    struct world same;
    struct world mixed;
    world_init(&same);
    world_init(&mixed);
    world_open(&same);
    world_open(&mixed);
    size_t order[SERIES];
    size_t random[SERIES];
    struct rng rng = rng_seeded(11);
    for (size_t i = 0; i < SERIES; i++) {
        order[i] = random[i] = i;
    }
    for (int64_t ts = 1000; ts <= 200 * 1000; ts += 1000) {
        push_all(&same, order, ts);
        shuffle(&rng, random);
        push_all(&mixed, random, ts);
    }
    const char *want = world_dump(&same, "__name__=~.+", 0, INT64_MAX);
    assert_true(strlen(want) > SERIES * 200 * 8);
    assert_string_equal(world_dump(&mixed, "__name__=~.+", 0, INT64_MAX), want);
    world_close(&same);
    world_close(&mixed);
    world_release(&same);
    world_release(&mixed);
}

static void a_series_that_comes_twice_is_held_to_its_order(void **state) {
    (void)state;
    struct world w;
    world_init(&w);
    world_open(&w);
    for (int64_t ts = 1000; ts <= 3000; ts += 1000) { /* the second time on known ground */
        struct storage_appender *a = begin(&w);
        append_ok(&w, a, "a job=j", ts, 1);
        append_ok(&w, a, "b job=j", ts, 2);
        append_ok(&w, a, "c job=j", ts, 3);
        append_ok(&w, a, "b job=j", ts, 2); /* the same again */
        assert_int_equal(world_append(&w, a, "b job=j", ts, 7), ERR_DUPLICATE);
        assert_int_equal(world_append(&w, a, "c job=j", ts, 7), ERR_DUPLICATE);
        assert_int_equal(world_append(&w, a, "a job=j", ts - 1, 1), ERR_OUT_OF_ORDER);
        append_ok(&w, a, "a job=j", ts + 1, 4);
        append_ok(&w, a, "b job=j", ts + 1, 5);
        assert_int_equal(world_append(&w, a, "a job=j", ts, 1), ERR_OUT_OF_ORDER);
        commit(&w, a);
    }
    assert_string_equal(world_dump(&w, "job=j", 0, INT64_MAX),
                        "a{job=\"j\"} 1000:1 1001:4 2000:1 2001:4 3000:1 3001:4\n"
                        "b{job=\"j\"} 1000:2 1001:5 2000:2 2001:5 3000:2 3001:5\n"
                        "c{job=\"j\"} 1000:3 2000:3 3000:3\n");
    world_close(&w);
    world_release(&w);
}

static void the_same_series_many_times_in_one_transaction(void **state) {
    (void)state;
    struct world w;
    world_init(&w);
    world_open(&w);
    struct storage_appender *a = begin(&w);
    for (int64_t ts = 1; ts <= 500; ts++) {
        append_ok(&w, a, "a job=j", ts, (double)ts);
        append_ok(&w, a, "b job=j", ts, (double)-ts);
        assert_int_equal(world_append(&w, a, "a job=j", ts - 1, 0), ERR_OUT_OF_ORDER);
        assert_int_equal(world_append(&w, a, "b job=j", ts, 0), ERR_DUPLICATE);
    }
    commit(&w, a);
    assert_non_null(strstr(world_dump(&w, "__name__=a", 499, INT64_MAX), "499:499 500:500"));
    assert_non_null(strstr(world_dump(&w, "__name__=b", 499, INT64_MAX), "499:-499 500:-500"));
    world_close(&w);
    world_release(&w);
}

/* A series whose time lies between rows of its group gets a place in another one, and that place
 * counts from then on, also when it is the next one in the old group. */
static void a_series_that_moved_is_not_looked_for_where_it_was(void **state) {
    (void)state;
    struct world w;
    world_init(&w);
    world_open(&w);
    struct storage_appender *a = begin(&w);
    append_ok(&w, a, "a job=j", 1000, 1);
    append_ok(&w, a, "b job=j", 1000, 1);
    append_ok(&w, a, "c job=j", 1000, 1);
    commit(&w, a);
    a = begin(&w);
    append_ok(&w, a, "a job=j", 5000, 2);
    append_ok(&w, a, "c job=j", 5000, 2);
    commit(&w, a);
    a = begin(&w);
    append_ok(&w, a, "b job=j", 3000, 2); /* between 1000 and 5000: moves */
    commit(&w, a);
    for (int64_t ts = 6000; ts <= 8000; ts += 1000) {
        a = begin(&w);
        append_ok(&w, a, "a job=j", ts, 3);
        assert_int_equal(world_append(&w, a, "b job=j", 2000, 9), ERR_OUT_OF_ORDER);
        append_ok(&w, a, "b job=j", ts, 3);
        append_ok(&w, a, "c job=j", ts, 3);
        commit(&w, a);
    }
    const char *want = "a{job=\"j\"} 1000:1 5000:2 6000:3 7000:3 8000:3\n"
                       "b{job=\"j\"} 1000:1 3000:2 6000:3 7000:3 8000:3\n"
                       "c{job=\"j\"} 1000:1 5000:2 6000:3 7000:3 8000:3\n";
    assert_string_equal(world_dump(&w, "job=j", 0, INT64_MAX), want);
    world_close(&w);
    world_open(&w);
    a = begin(&w);
    append_ok(&w, a, "a job=j", 9000, 4);
    assert_int_equal(world_append(&w, a, "b job=j", 8000, 9), ERR_DUPLICATE);
    assert_int_equal(world_append(&w, a, "c job=j", 7000, 9), ERR_OUT_OF_ORDER);
    commit(&w, a);
    world_close(&w);
    world_release(&w);
}

/* Labels that share bytes with the expected ones, and names that look like instance and job. */
static void a_near_miss_of_the_next_series_is_another_series(void **state) {
    (void)state;
    static const char *const first[] = {"m a=1 instance=i job=j", "n a=1 instance=i job=j z=9"};
    static const char *const others[] = {
        "n a=1 instance=i job=j z=8", "n a=1 instance=i job=k z=9", "n a=1 instance=k job=j z=9",
        "n a=2 instance=i job=j z=9", "n a=1 instancf=i job=j z=9", "n a=1 instance=i jol=j z=9",
        "o a=1 instance=i job=j z=9", "n a=1 instance=i job=j",     "n a=1 instance=i job=j y=99",
        "n instance=i job=j",         "n a=1 instance=ij z=9",
    };
    struct world w;
    world_init(&w);
    world_open(&w);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct storage_appender *a = begin(&w);
        append_ok(&w, a, first[0], 1000 + (int64_t)i, 1);
        append_ok(&w, a, first[1], 1000 + (int64_t)i, 2);
        commit(&w, a);
        a = begin(&w);
        append_ok(&w, a, first[0], 1500 + (int64_t)i, 1);
        append_ok(&w, a, others[i], 5 + (int64_t)i, 3); /* as if it were the second: too old */
        storage_appender_rollback(w.st, a);
    }
    world_close(&w);
    world_release(&w);
}

/* Target and metric of an expected series together, as the builder packs them. */
static bool is_series(struct world *w, const struct storage_expected *e, size_t i,
                      const char *text) {
    struct labels_builder b;
    struct labels together;
    struct err err;
    const struct labels parts[] = {e->target, e->metrics[i]};
    labels_builder_init(&b, &w->arena);
    for (size_t k = 0; k < 2; k++) {
        struct labels_iter it = labels_begin(parts[k]);
        struct label pair;
        while (labels_next(&it, &pair)) {
            labels_builder_set(&b, pair.name, pair.value);
        }
    }
    assert_ok(labels_builder_finish(&b, &together, &err), &err);
    return labels_eq(together, world_labels(w, text));
}

static size_t count_samples(struct world *w, const char *matchers) {
    size_t n = 0;
    for (const char *at = world_dump(w, matchers, 0, INT64_MAX); (at = strchr(at, ':')); at++) {
        n++;
    }
    return n;
}

static void what_came_behind_a_series_before_is_expected_behind_it(void **state) {
    (void)state;
    enum { MANY = 200 };
    struct world w;
    world_init(&w);
    world_open(&w);
    char text[64];
    struct storage_expected e;
    struct storage_appender *a = begin(&w);
    assert_false(storage_expect(w.st, a, &e)); /* nothing is known */
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(text, sizeof(text), "m instance=i job=j n=%03d", i);
        append_ok(&w, a, text, 1000, i);
        assert_false(storage_expect(w.st, a, &e)); /* it is the last one of the group */
    }
    commit(&w, a);
    a = begin(&w);
    append_ok(&w, a, "m instance=i job=j n=000", 2000, 0);
    bool left_out[MANY] = {false};
    for (int next = 1; next < MANY;) {
        assert_true(storage_expect(w.st, a, &e));
        for (size_t i = 0; i < e.count; i++, next++) {
            (void)snprintf(text, sizeof(text), "m instance=i job=j n=%03d", next);
            assert_true(is_series(&w, &e, i, text));
            left_out[next] = next % 3 == 0 && i + 1 < e.count;
            if (!left_out[next]) {
                assert_int_equal(storage_append_expected(w.st, a, i, 2000, next), ERR_OK);
            }
        }
    }
    commit(&w, a);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(text, sizeof(text), "__name__=m n=%03d", i);
        assert_int_equal(count_samples(&w, text), left_out[i] ? 1 : 2);
    }
    world_close(&w);
    world_release(&w);
}

static void an_expected_sample_is_refused_as_any_other(void **state) {
    (void)state;
    struct world w;
    world_init(&w);
    world_open(&w);
    const int64_t now_ms = 1000 * 1000 * INT64_C(1000);
    struct storage_expected e;
    struct storage_appender *a = begin(&w);
    append_ok(&w, a, "a instance=i job=j", now_ms, 1);
    append_ok(&w, a, "b instance=i job=j", now_ms, 2);
    append_ok(&w, a, "c instance=i job=j", now_ms, 3);
    commit(&w, a);
    a = begin(&w);
    append_ok(&w, a, "a instance=i job=j", now_ms + 1, 1);
    assert_true(storage_expect(w.st, a, &e));
    assert_int_equal(e.count, 2);
    const int64_t far_ms = now_ms + 60 * 60 * INT64_C(1000);
    assert_int_equal(storage_append_expected(w.st, a, 0, far_ms, 2), ERR_OUT_OF_BOUNDS);
    assert_int_equal(storage_append_expected(w.st, a, 0, now_ms - 1, 2), ERR_OUT_OF_ORDER);
    assert_int_equal(storage_append_expected(w.st, a, 1, now_ms, 4), ERR_DUPLICATE);
    assert_int_equal(storage_append_expected(w.st, a, 1, now_ms, 3), ERR_OK); /* as it is */
    assert_int_equal(storage_append_expected(w.st, a, 1, now_ms + 1, 5), ERR_OK);
    assert_int_equal(storage_append_expected(w.st, a, 1, now_ms + 1, 6), ERR_DUPLICATE);
    assert_int_equal(storage_append_expected(w.st, a, 0, now_ms + 1, 7), ERR_OK);
    commit(&w, a);
    assert_int_equal(count_samples(&w, "__name__=b"), 2);
    assert_int_equal(count_samples(&w, "__name__=c"), 2);
    world_close(&w);
    world_release(&w);
}

static void a_row_of_expected_samples_is_taken_up_to_one_that_is_not_newer(void **state) {
    (void)state;
    struct world w;
    world_init(&w);
    world_open(&w);
    struct storage_appender *a = begin(&w);
    append_ok(&w, a, "a job=j", 1000, 1);
    append_ok(&w, a, "b job=j", 1000, 2);
    append_ok(&w, a, "c job=j", 1000, 3);
    append_ok(&w, a, "d job=j", 1000, 4);
    commit(&w, a);
    a = begin(&w);
    append_ok(&w, a, "c job=j", 5000, 5);
    commit(&w, a);
    const double values[] = {6, 7, 8};
    struct storage_expected numbers;
    struct storage_expected labels;
    a = begin(&w);
    append_ok(&w, a, "a job=j", 3000, 9);
    assert_true(storage_expect_sets(w.st, a, &numbers));
    assert_int_equal(numbers.count, 3);
    assert_null(numbers.metrics);
    assert_int_not_equal(numbers.sets[0], numbers.sets[1]);
    assert_int_equal(storage_append_expected_row(w.st, a, 0, 4000, values, 3),
                     0); /* another time */
    assert_int_equal(storage_append_expected_row(w.st, a, 0, 3000, values, 3), 1);
    assert_true(storage_expect(w.st, a, &labels)); /* those that are left */
    assert_int_equal(labels.count, 2);
    assert_true(is_series(&w, &labels, 0, "c job=j"));
    assert_int_equal(storage_append_expected(w.st, a, 0, 3000, 7), ERR_OUT_OF_ORDER);
    assert_int_equal(storage_append_expected_row(w.st, a, 1, 3000, values + 2, 1), 1);
    commit(&w, a);
    assert_string_equal(world_dump(&w, "job=j", 0, INT64_MAX), "a{job=\"j\"} 1000:1 3000:9\n"
                                                               "b{job=\"j\"} 1000:2 3000:6\n"
                                                               "c{job=\"j\"} 1000:3 5000:5\n"
                                                               "d{job=\"j\"} 1000:4 3000:8\n");
    world_close(&w);
    world_release(&w);
}

/* Samples of one time in the order of their series that are no new row at the end of their group. */
static void what_looks_like_the_next_row_and_is_not_is_stored_all_the_same(void **state) {
    (void)state;
    struct world w;
    world_init(&w);
    world_open(&w);
    struct storage_appender *a = begin(&w);
    append_ok(&w, a, "a job=j", 1000, 1);
    append_ok(&w, a, "b job=j", 1000, 2);
    append_ok(&w, a, "c job=j", 1000, 3);
    commit(&w, a);
    a = begin(&w);
    append_ok(&w, a, "a job=j", 2000, 4);
    commit(&w, a);
    a = begin(&w); /* to the row that is open */
    append_ok(&w, a, "b job=j", 2000, 5);
    commit(&w, a);
    a = begin(&w); /* between rows */
    append_ok(&w, a, "c job=j", 1500, 6);
    commit(&w, a);
    a = begin(&w); /* another transaction was faster, with a part of them */
    struct storage_appender *faster = begin(&w);
    append_ok(&w, a, "a job=j", 3000, 7);
    append_ok(&w, a, "b job=j", 3000, 8);
    append_ok(&w, faster, "b job=j", 4000, 9);
    commit(&w, faster);
    commit(&w, a);
    assert_string_equal(world_dump(&w, "job=j", 0, INT64_MAX), "a{job=\"j\"} 1000:1 2000:4 3000:7\n"
                                                               "b{job=\"j\"} 1000:2 2000:5 4000:9\n"
                                                               "c{job=\"j\"} 1000:3 1500:6\n");
    world_close(&w);
    world_release(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_of_series_gives_the_same_data),
        cmocka_unit_test(a_series_that_comes_twice_is_held_to_its_order),
        cmocka_unit_test(the_same_series_many_times_in_one_transaction),
        cmocka_unit_test(a_series_that_moved_is_not_looked_for_where_it_was),
        cmocka_unit_test(a_near_miss_of_the_next_series_is_another_series),
        cmocka_unit_test(what_came_behind_a_series_before_is_expected_behind_it),
        cmocka_unit_test(an_expected_sample_is_refused_as_any_other),
        cmocka_unit_test(a_row_of_expected_samples_is_taken_up_to_one_that_is_not_newer),
        cmocka_unit_test(what_looks_like_the_next_row_and_is_not_is_stored_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A budget that arenas and buffers share: what they take counts, what does not fit is refused by
 * whoever asked, and everything comes back. */
#include "base/budget.h"

#include "base/arena.h"
#include "base/buf.h"
#include "tests/support/check_err.h"

static void a_budget_is_passed_by_force_only(void **state) {
    (void)state;
    struct budget b;
    budget_init(&b, 100);
    assert_true(budget_take(&b, 60));
    assert_false(budget_take(&b, 41));
    assert_true(budget_take(&b, 40));
    assert_false(budget_take(&b, SIZE_MAX));
    budget_force(&b, 10);
    assert_int_equal(budget_used(&b), 110);
    budget_give(&b, 110);
    assert_int_equal(budget_used(&b), 0);
    budget_init(&b, 0);
    assert_true(budget_take(&b, SIZE_MAX / 2)); /* no limit */
}

static void arenas_share_a_pool(void **state) {
    (void)state;
    struct budget pool;
    budget_init(&pool, 64 * 1024);
    struct arena a;
    struct arena b;
    arena_init(&a, 0);
    arena_init(&b, 8 * 1024);
    a.pool = b.pool = &pool;
    assert_non_null(arena_try_alloc(&a, 50, 1024));
    assert_true(budget_used(&pool) == a.used_bytes);
    assert_null(arena_try_alloc(&b, 9, 1024)); /* its own budget */
    assert_false(b.pool_refused);
    assert_non_null(arena_try_alloc(&b, 6, 1024));
    assert_null(arena_try_alloc(&a, 10, 1024));
    assert_true(a.pool_refused);
    assert_true(budget_used(&pool) == a.used_bytes + b.used_bytes);
    (void)arena_alloc(&a, 10 * 1024); /* cannot fail: goes beyond */
    assert_true(budget_used(&pool) > pool.max_bytes);
    arena_reset(&a);
    assert_true(budget_used(&pool) == b.used_bytes && a.pool == &pool);
    arena_release(&b);
    assert_int_equal(budget_used(&pool), 0);
}

static void a_buffer_counts_its_capacity(void **state) {
    (void)state;
    struct budget pool;
    struct buf buf;
    budget_init(&pool, 10 * 1000);
    buf_init(&buf, 1000 * 1000);
    buf.pool = &pool;
    for (int i = 0; i < 100; i++) {
        buf_append_cstr(&buf, "0123456789");
    }
    assert_true(buf_ok(&buf) && budget_used(&pool) == buf.capacity);
    for (int i = 0; i < 1000; i++) {
        buf_append_cstr(&buf, "0123456789");
    }
    assert_false(buf_ok(&buf));
    assert_int_equal(budget_used(&pool), 0);
    buf_release(&buf);
    buf_append_cstr(&buf, "again");
    assert_true(budget_used(&pool) > 0);
    char *taken = buf_take(&buf, NULL);
    assert_int_equal(budget_used(&pool), 0);
    buf_init(&buf, 10);
    buf.ptr = taken;
    buf_release(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_budget_is_passed_by_force_only),
        cmocka_unit_test(arenas_share_a_pool),
        cmocka_unit_test(a_buffer_counts_its_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

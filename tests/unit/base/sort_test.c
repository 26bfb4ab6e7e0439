/* sort_items: the order of a stable sort for any input, and an end when it is told so. */
#include "base/sort.h"

#include <stdint.h>
#include <stdlib.h>

#include "tests/support/check_err.h"

struct item {
    uint32_t key, place;
    char rest[20];
};

static struct cancel *raise_soon; /* by the comparison that counts to 0 */
static size_t compares_left;

static int by_key(const void *left, const void *right) {
    const struct item *a = left;
    const struct item *b = right;
    if (raise_soon != NULL && --compares_left == 0) {
        cancel_raise(raise_soon);
    }
    return (a->key > b->key) - (a->key < b->key);
}

static struct item *make(size_t n, uint32_t keys) {
    struct item *items = calloc(n + 1, sizeof(*items));
    uint32_t x = 12345;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        items[i] = (struct item){.key = (x >> 8) % keys, .place = (uint32_t)i};
        items[i].rest[19] = (char)i;
    }
    return items;
}

static void any_input_is_sorted_and_equal_ones_stay_in_order(void **state) {
    (void)state;
    static const uint32_t KEYS[] = {1, 2, 10, 1000000};
    for (size_t n = 0; n < 5000; n = n < 70 ? n + 1 : n * 3 / 2) {
        for (size_t k = 0; k < COUNT_OF(KEYS); k++) {
            struct item *items = make(n, KEYS[k]);
            void **scratch = calloc(2 * n + 1, sizeof(void *));
            assert_int_equal(sort_items(items, n, sizeof(*items), by_key, scratch, NULL), ERR_OK);
            for (size_t i = 0; i < n; i++) {
                assert_int_equal((unsigned char)items[i].rest[19], items[i].place & 0xff);
                if (i > 0) {
                    assert_true(
                        items[i - 1].key < items[i].key ||
                        (items[i - 1].key == items[i].key && items[i - 1].place < items[i].place));
                }
            }
            free(scratch);
            free(items);
        }
    }
}

static void a_raised_flag_stops_it_soon_and_leaves_the_items(void **state) {
    (void)state;
    enum { COUNT = 100000 };
    struct item *items = make(COUNT, 1000000);
    void **scratch = calloc(2 * COUNT, sizeof(void *));
    static const size_t AFTER[] = {1, 1000, 100000, 500000, 1000000};
    for (size_t i = 0; i < COUNT_OF(AFTER); i++) {
        struct cancel cancel;
        cancel_init(&cancel, clock_system(), 0);
        raise_soon = &cancel;
        compares_left = AFTER[i];
        assert_int_equal(sort_items(items, COUNT, sizeof(*items), by_key, scratch, &cancel),
                         ERR_CANCELED);
        assert_true(SIZE_MAX - compares_left < 3000); /* compares after the flag */
        for (size_t k = 0; k < COUNT; k++) {
            assert_int_equal(items[k].place, k);
        }
    }
    raise_soon = NULL;
    free(scratch);
    free(items);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_input_is_sorted_and_equal_ones_stay_in_order),
        cmocka_unit_test(a_raised_flag_stops_it_soon_and_leaves_the_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Operators over columns: at each step what the operator gives of the two values there, whether 64 are
 * done at once or one, and whether the result lies in a column of its own or in one of the two. */
#include "tests/support/check_err.h"

#include <math.h>
#include <string.h>

#include "query/bits.h"
#include "query/eval.h"
#include "query/float_columns.h"

enum { STEPS = 300, WORDS = (STEPS + 63) / 64 };

static const enum binary_op OPS[] = {OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_MOD, OP_POW, OP_ATAN2,
                                     OP_EQL, OP_NEQ, OP_GTR, OP_LSS, OP_GTE, OP_LTE};

static bool compares(enum binary_op op) {
    return op >= OP_EQL && op <= OP_LTE;
}

struct columns {
    double left[STEPS], right[STEPS], own[STEPS];
    uint64_t there[WORDS], present[WORDS];
};

/* The words: all, all, all but some, few, and the rest of the steps. */
static void fill(struct columns *c) {
    static const double VALUES[] = {0, -0.0, 1, 2.5, -3, INFINITY, -INFINITY, NAN, 1e300, 5e-324};
    enum { COUNT = sizeof(VALUES) / sizeof(*VALUES) };
    memset(c, 0, sizeof(*c));
    for (size_t i = 0; i < STEPS; i++) {
        c->left[i] = VALUES[i % COUNT];
        c->right[i] = VALUES[i / COUNT % COUNT];
        if (i < 128 || (i < 192 && i % 11 != 0) || (i >= 192 && i % 9 == 0) || i >= 256) {
            bits_set(c->there, i);
        }
    }
}

static void check(enum binary_op op, bool filter, int place) {
    struct columns c;
    struct columns before;
    fill(&c);
    before = c;
    double *const places[] = {c.own, c.left, c.right};
    struct row out = {.values = places[place], .present = c.present};
    memcpy(c.present, c.there, sizeof(c.present));
    float_columns_join(op, filter, c.left, c.right, STEPS, &out);
    for (size_t i = 0; i < STEPS; i++) {
        const double v = eval_arithmetic(op, before.left[i], before.right[i]);
        const bool there = bits_get(c.there, i) && (!filter || v != 0);
        assert_true(bits_get(out.present, i) == there);
        const double want = filter ? before.left[i] : v;
        if (there && isnan(want)) {
            assert_true(isnan(out.values[i]));
        } else if (there) {
            assert_memory_equal(&out.values[i], &want, sizeof(want));
        }
    }
}

static void every_step_has_what_the_operator_gives(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(OPS) / sizeof(*OPS); i++) {
        for (int place = 0; place < 3; place++) {
            check(OPS[i], false, place);
            if (compares(OPS[i])) {
                check(OPS[i], true, place);
            }
        }
    }
}

static void absent_steps_are_left_alone(void **state) {
    (void)state;
    struct columns c;
    fill(&c);
    struct row out = {.values = c.own, .present = c.present};
    float_columns_join(OP_ADD, false, c.left, c.right, STEPS, &out);
    for (size_t i = 0; i < STEPS; i++) {
        assert_true(c.own[i] == 0 && !bits_get(c.present, i));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_has_what_the_operator_gives),
        cmocka_unit_test(absent_steps_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

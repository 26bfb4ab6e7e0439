/* Exemplars that a log holds twice or out of order reach the ring as they were noted. */
#include "tsdb/exemplar_gather.h"

#include <math.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "tests/support/check_err.h"

enum { MAX = 8 };

struct gather_world {
    struct arena arena;
    struct exemplar_gather *g;
    struct exemplars *ring;
    struct buf text;
};

static int setup(void **state) {
    static struct gather_world w;
    arena_init(&w.arena, 0);
    w.g = exemplar_gather_new(MAX);
    w.ring = exemplars_new(MAX);
    buf_init(&w.text, 1 << 16);
    *state = &w;
    return 0;
}

static int teardown(void **state) {
    struct gather_world *w = *state;
    exemplar_gather_free(w->g);
    exemplars_free(w->ring);
    buf_release(&w->text);
    arena_release(&w->arena);
    return 0;
}

static struct labels one_label(struct gather_world *w, const char *name, const char *value) {
    struct labels_builder b;
    struct labels out;
    struct err err;
    labels_builder_init(&b, &w->arena);
    labels_builder_set(&b, str_of(name), str_of(value));
    assert_ok(labels_builder_finish(&b, &out, &err), &err);
    return out;
}

static void add_value(struct gather_world *w, const char *series, int64_t ts_ms, double value,
                      uint32_t tag) {
    const struct storage_exemplar e = {
        .labels = one_label(w, "trace", "t"), .value = value, .ts_ms = ts_ms};
    exemplar_gather_add(w->g, one_label(w, "__name__", series), &e, tag);
}

static void add(struct gather_world *w, const char *series, int64_t ts_ms, uint32_t tag) {
    add_value(w, series, ts_ms, 1, tag);
}

static enum err_code print_one(void *ctx, struct labels series, const struct storage_exemplar *e,
                               uint32_t *io_tag, struct err *err) {
    struct buf *to = ctx;
    (void)err;
    labels_format_metric(to, series);
    buf_printf(to, ":%lld/%u ", (long long)e->ts_ms, *io_tag);
    return ERR_OK;
}

/* The ring, oldest first, each with time and tag. */
static const char *pour(struct gather_world *w) {
    struct err err;
    exemplar_gather_pour(w->g, w->ring);
    buf_clear(&w->text);
    assert_ok(exemplars_visit(w->ring, print_one, &w->text, &err), &err);
    return arena_cstr(&w->arena, buf_str(&w->text));
}

static void what_is_in_order_stays_as_it_is(void **state) {
    struct gather_world *w = *state;
    add(w, "a", 1, 1);
    add(w, "b", 9, 1);
    add(w, "a", 2, 2);
    add(w, "b", 10, 3);
    assert_string_equal(pour(w), "a:1/1 b:9/1 a:2/2 b:10/3 ");
}

static void what_comes_twice_counts_where_it_comes_last(void **state) {
    struct gather_world *w = *state;
    add(w, "a", 1, 1);
    add(w, "b", 5, 1);
    add(w, "a", 2, 1);
    add(w, "a", 1, 2);
    add(w, "a", 2, 2);
    assert_string_equal(pour(w), "b:5/1 a:1/2 a:2/2 ");
}

static void older_ones_behind_newer_ones_of_their_series_are_kept(void **state) {
    struct gather_world *w = *state;
    add(w, "a", 7, 2); /* a segment that came back, the one before it did not */
    add(w, "b", 3, 3);
    add(w, "a", 5, 3);
    add(w, "a", 6, 3);
    assert_string_equal(pour(w),
                        "a:5/2 b:3/2 a:6/2 a:7/2 "); /* all need what the newest one needs */
}

static void tags_never_promise_more_than_the_segments_hold(void **state) {
    struct gather_world *w = *state;
    add(w, "a", 2, 1);
    add(w, "a", 1, 4);
    add(w, "a", 3, 5);
    assert_string_equal(pour(w), "a:1/1 a:2/1 a:3/5 ");
    assert_int_equal(exemplars_oldest_tag(w->ring), 1);
}

static void values_of_one_time_ascend_and_no_number_is_lost(void **state) {
    struct gather_world *w = *state;
    add_value(w, "a", 1, (double)NAN, 1);
    add_value(w, "a", 1, 3, 1);
    add_value(w, "a", 1, -INFINITY, 1);
    add_value(w, "a", 1, 2, 1);
    add_value(w, "a", 1, (double)NAN, 2);
    assert_string_equal(pour(w), "a:1/1 a:1/1 a:1/1 a:1/2 ");
}

static void of_too_many_the_newest_stay(void **state) {
    struct gather_world *w = *state;
    for (int64_t i = 0; i < 12; i++) {
        add(w, i % 2 == 0 ? "a" : "b", i, (uint32_t)i);
    }
    assert_string_equal(pour(w), "a:4/4 b:5/5 a:6/6 b:7/7 a:8/8 b:9/9 a:10/10 b:11/11 ");
}

/* More than is gathered at once, all of it twice: memory and result stay those of the newest. */
static void a_long_log_is_gathered_in_parts(void **state) {
    struct gather_world *w = *state;
    for (int64_t i = 0; i < 5000; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "s%d", (int)(i % 977));
        add(w, name, i, (uint32_t)i);
        add(w, name, i, (uint32_t)i);
        arena_reset(&w->arena);
    }
    assert_string_equal(
        pour(w),
        "s107:4992/4992 s108:4993/4993 s109:4994/4994 s110:4995/4995 s111:4996/4996 s112:4997/4997 "
        "s113:4998/4998 s114:4999/4999 ");
}

static void a_gather_for_none_keeps_none(void **state) {
    struct gather_world *w = *state;
    exemplar_gather_free(w->g);
    w->g = exemplar_gather_new(0);
    add(w, "a", 1, 1);
    assert_string_equal(pour(w), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_in_order_stays_as_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(what_comes_twice_counts_where_it_comes_last, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(older_ones_behind_newer_ones_of_their_series_are_kept,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(tags_never_promise_more_than_the_segments_hold, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(values_of_one_time_ascend_and_no_number_is_lost, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(of_too_many_the_newest_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_log_is_gathered_in_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_gather_for_none_keeps_none, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

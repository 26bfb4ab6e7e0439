/* The life of alerts: each row of a table is one evaluation, with what the expression returned and what
 * must come out. Times are in minutes from an hour after the epoch. */
#include "alert/alert_state.h"
#include "tests/support/check_err.h"

enum { MINUTE = 60 * 1000, RESEND = MINUTE };

struct step {
    int at;        /* minutes */
    bool returned; /* by the expression */
    int for_min, keep_min;
    const char *want; /* i p f, or - for forgotten */
    bool sent;
};

static int64_t ms_of(int minutes) {
    return (int64_t)(60 + minutes) * MINUTE;
}

static struct labels one_label(struct arena *arena, const char *value) {
    const struct label l = {STR("a"), str_of(value)};
    return labels_of(arena, &l, 1);
}

static char letter(const struct alert *a) {
    return a == NULL                    ? '-'
           : a->state == ALERT_INACTIVE ? 'i'
           : a->state == ALERT_PENDING  ? 'p'
                                        : 'f';
}

static void run_steps(const struct step *steps, size_t count) {
    struct alert_set set = {.count = 0};
    struct arena arena;
    arena_init(&arena, 0);
    const struct labels labels = one_label(&arena, "x");
    for (size_t i = 0; i < count; i++) {
        const struct step *s = &steps[i];
        const int64_t ts = ms_of(s->at);
        if (s->returned) {
            alert_set_returned(&set, labels, (struct labels){NULL, 0}, s->at, ts);
        }
        const size_t active = alert_set_advance(&set, ts, (int64_t)s->for_min * MINUTE,
                                                (int64_t)s->keep_min * MINUTE);
        struct alert *a = alert_set_find(&set, labels);
        if (letter(a) != s->want[0]) {
            fail_msg("step %zu: state %c, want %s", i, letter(a), s->want);
        }
        assert_int_equal(active, a != NULL && a->state != ALERT_INACTIVE);
        const bool sent = a != NULL && alert_needs_sending(a, ts, RESEND);
        if (sent != s->sent) {
            fail_msg("step %zu: sent %d", i, sent);
        }
        if (sent) {
            a->last_sent_at_ms = ts;
        }
    }
    alert_set_release(&set);
    arena_release(&arena);
}

#define RUN(...)                                                                                   \
    do {                                                                                           \
        static const struct step steps[] = {__VA_ARGS__};                                          \
        run_steps(steps, sizeof(steps) / sizeof(steps[0]));                                        \
    } while (0)

static void without_for_an_alert_fires_at_once(void **state) {
    (void)state;
    RUN({0, true, 0, 0, "f", true}, {1, false, 0, 0, "i", true});
}

static void for_is_waited_out(void **state) {
    (void)state;
    RUN({0, true, 5, 0, "p", false}, {4, true, 5, 0, "p", false}, {5, true, 5, 0, "f", true});
}

static void a_pending_alert_that_vanishes_is_forgotten_unsent(void **state) {
    (void)state;
    RUN({0, true, 5, 0, "p", false}, {1, false, 5, 0, "-", false}, {2, true, 5, 0, "p", false});
}

static void keep_firing_for_bridges_gaps(void **state) {
    (void)state;
    RUN({0, true, 0, 3, "f", true}, {1, false, 0, 3, "f", false}, {3, false, 0, 3, "f", true},
        {4, false, 0, 3, "i", true});
    /* coming back starts the count anew */
    RUN({0, true, 0, 3, "f", true}, {1, false, 0, 3, "f", false}, {2, true, 0, 3, "f", true},
        {4, false, 0, 3, "f", true}, {6, false, 0, 3, "f", true}, {7, false, 0, 3, "i", true});
}

static void keep_firing_for_is_no_matter_of_pending_alerts(void **state) {
    (void)state;
    RUN({0, true, 5, 3, "p", false}, {1, false, 5, 3, "-", false});
}

static void a_longer_for_after_a_reload_makes_pending_again(void **state) {
    (void)state;
    RUN({0, true, 0, 0, "f", true}, {2, true, 10, 0, "p", false}, {10, true, 10, 0, "f", true});
}

static void firing_is_sent_again_after_the_delay(void **state) {
    (void)state;
    RUN({0, true, 0, 0, "f", true}, {1, true, 0, 0, "f", false}, {2, true, 0, 0, "f", true});
}

static void resolved_alerts_are_sent_for_fifteen_minutes(void **state) {
    (void)state;
    RUN({0, true, 0, 0, "f", true}, {1, false, 0, 0, "i", true}, {2, false, 0, 0, "i", false},
        {3, false, 0, 0, "i", true}, {16, false, 0, 0, "i", true}, {17, false, 0, 0, "-", false});
}

static void a_resolved_alert_that_returns_starts_anew(void **state) {
    (void)state;
    RUN({0, true, 2, 0, "p", false}, {2, true, 2, 0, "f", true}, {3, false, 2, 0, "i", true},
        {4, true, 2, 0, "p", false}, {6, true, 2, 0, "f", true});
}

static void times_are_those_of_the_last_change(void **state) {
    (void)state;
    struct alert_set set = {.count = 0};
    struct arena arena;
    arena_init(&arena, 0);
    const struct labels labels = one_label(&arena, "x");
    const struct labels first = one_label(&arena, "first");
    const struct labels second = one_label(&arena, "second");
    alert_set_returned(&set, labels, first, 1, ms_of(0));
    (void)alert_set_advance(&set, ms_of(0), MINUTE, 0);
    alert_set_returned(&set, labels, second, 2, ms_of(1));
    (void)alert_set_advance(&set, ms_of(1), MINUTE, 0);
    const struct alert *a = alert_set_find(&set, labels);
    assert_true(a->active_at_ms == ms_of(0));
    assert_true(a->fired_at_ms == ms_of(1));
    assert_true(labels_eq(a->annotations, second));
    assert_true(a->value == 2);
    (void)alert_set_advance(&set, ms_of(2), MINUTE, 0);
    assert_true(a->resolved_at_ms == ms_of(2));
    assert_true(labels_eq(a->annotations, second));
    alert_set_release(&set);
    arena_release(&arena);
}

/* 20,000 alerts come, half of them go: each is found, none is found twice. */
static void many_alerts_are_told_apart(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    struct alert_set set = {.count = 0};
    struct arena arena;
    arena_init(&arena, 0);
    struct labels *all = arena_alloc(&arena, COUNT * sizeof(*all));
    for (int i = 0; i < COUNT; i++) {
        all[i] = one_label(&arena, arena_printf(&arena, "%d", i).ptr);
        alert_set_returned(&set, all[i], (struct labels){NULL, 0}, i, ms_of(0));
    }
    assert_int_equal(alert_set_advance(&set, ms_of(0), MINUTE, 0), COUNT);
    for (int i = 0; i < COUNT; i += 2) {
        alert_set_returned(&set, all[i], (struct labels){NULL, 0}, i, ms_of(1));
    }
    assert_int_equal(alert_set_advance(&set, ms_of(1), MINUTE, 0), COUNT / 2);
    assert_int_equal(set.count, COUNT / 2);
    for (int i = 0; i < COUNT; i++) {
        const struct alert *a = alert_set_find(&set, all[i]);
        assert_true((a != NULL) == (i % 2 == 0));
        assert_true(a == NULL || a->value == i);
    }
    alert_set_clear(&set);
    assert_null(alert_set_find(&set, all[0]));
    alert_set_release(&set);
    arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_for_an_alert_fires_at_once),
        cmocka_unit_test(for_is_waited_out),
        cmocka_unit_test(a_pending_alert_that_vanishes_is_forgotten_unsent),
        cmocka_unit_test(keep_firing_for_bridges_gaps),
        cmocka_unit_test(keep_firing_for_is_no_matter_of_pending_alerts),
        cmocka_unit_test(a_longer_for_after_a_reload_makes_pending_again),
        cmocka_unit_test(firing_is_sent_again_after_the_delay),
        cmocka_unit_test(resolved_alerts_are_sent_for_fifteen_minutes),
        cmocka_unit_test(a_resolved_alert_that_returns_starts_anew),
        cmocka_unit_test(times_are_those_of_the_last_change),
        cmocka_unit_test(many_alerts_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

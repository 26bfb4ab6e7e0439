/* A query may be ended wherever it looks at its deadline: each query of hostile_world is ended at
 * looks chosen by a seed, and some at every single one. It must then say so with the right error,
 * hold no memory and leave no query in the list; run again, it gives what it gave before. */
#include "tests/support/check_err.h"

#include <stdio.h>
#include <string.h>

#include "base/budget.h"
#include "base/hash.h"
#include "tests/limits/hostile_world.h"

/* A clock that is past every deadline from its n-th look on, or raises a flag there. */
struct ending_clock {
    struct clock clock;
    uint64_t looks;
    uint64_t end_at; /* 0: never */
    struct cancel *raise;
};

static int64_t ending_mono(struct clock *clock) {
    struct ending_clock *c = (struct ending_clock *)clock;
    const bool over = ++c->looks >= c->end_at && c->end_at != 0;
    if (over && c->raise != NULL) {
        cancel_raise(c->raise);
    }
    return over && c->raise == NULL ? 9000 * NS_PER_S : 3600 * NS_PER_S;
}

static int64_t ending_unix(struct clock *clock) {
    (void)clock;
    return HOSTILE_END_S * NS_PER_S;
}

struct fixture {
    struct ending_clock clock;
    struct hostile_world world;
};

static int setup(void **state) {
    static const struct clock_ops ops = {ending_unix, ending_mono};
    static const struct hostile_size size = {.series = 200, .rows = 6, .long_rows = 1500};
    static struct fixture f;
    f = (struct fixture){.clock = {.clock = {&ops}}};
    hostile_world_begin(&f.world, &size, &f.clock.clock);
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    hostile_world_end(&f->world);
    return 0;
}

static uint64_t fingerprint(const struct query_result *result) {
    uint64_t sum = result->series_count;
    for (size_t i = 0; i < result->series_count; i++) {
        const struct result_series *s = &result->series[i];
        sum = sum * 31 + labels_hash(s->labels);
        for (size_t k = 0; k < s->count; k++) {
            uint64_t bits;
            memcpy(&bits, &s->values[k], sizeof(bits));
            sum = sum * 31 + (s->histograms != NULL && s->histograms[k] != NULL ? 1 : bits);
        }
    }
    return sum;
}

struct outcome {
    enum err_code code;
    char text[ERR_TEXT_MAX];
    uint64_t fingerprint;
    uint64_t looks;
};

static struct outcome run(struct fixture *f, const struct hostile_query *q, uint64_t end_at,
                          bool by_flag) {
    struct outcome o = {.code = ERR_OK};
    struct query_result result;
    struct cancel cancel;
    struct arena arena;
    struct err err = {.code = ERR_OK};
    arena_init(&arena, 0);
    cancel_init(&cancel, &f->clock.clock, 0);
    f->clock.looks = 0;
    f->clock.end_at = end_at;
    f->clock.raise = by_flag ? &cancel : NULL;
    o.code = hostile_query_run(&f->world, q, by_flag ? &cancel : NULL, &arena, &result, &err);
    o.looks = f->clock.looks;
    if (o.code == ERR_OK) {
        o.fingerprint = fingerprint(&result);
    } else {
        (void)snprintf(o.text, sizeof(o.text), "%s", err.text);
    }
    arena_release(&arena);
    return o;
}

static void assert_nothing_is_left(struct fixture *f) {
    struct query_running *running = NULL;
    size_t count = 0;
    struct arena arena;
    arena_init(&arena, 0);
    query_list_running(f->world.engine, &arena, &running, &count);
    assert_int_equal(count, 0);
    assert_int_equal(budget_used(query_engine_memory(f->world.engine)), 0);
    arena_release(&arena);
}

/* Ended at this look, or done before it mattered. */
static void end_at(struct fixture *f, const struct hostile_query *q, const struct outcome *whole,
                   uint64_t look, bool by_flag) {
    const struct outcome o = run(f, q, look, by_flag);
    const enum err_code expected = by_flag ? ERR_CANCELED : ERR_TIMEOUT;
    const char *said = by_flag ? "query was canceled in " : "query timed out in ";
    const bool ended = o.code == expected && strncmp(o.text, said, strlen(said)) == 0;
    const bool as_before = o.code == whole->code && o.fingerprint == whole->fingerprint &&
                           strcmp(o.text, whole->text) == 0;
    if (!ended && !as_before) {
        fail_msg("%s ended at look %llu of %llu by %s: error %d: %s", q->text,
                 (unsigned long long)look, (unsigned long long)whole->looks,
                 by_flag ? "flag" : "deadline", (int)o.code, o.text);
    }
    assert_nothing_is_left(f);
}

/* The first run may do what later ones find done. */
static struct outcome run_whole(struct fixture *f, const struct hostile_query *q) {
    (void)run(f, q, 0, false);
    return run(f, q, 0, false);
}

static uint64_t next(uint64_t *seed) {
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

static void a_query_ends_at_any_look(void **state) {
    struct fixture *f = *state;
    uint64_t seed = 1;
    for (size_t i = 0; i < hostile_query_count(); i++) {
        const struct hostile_query *q = hostile_query_at(i);
        const struct outcome whole = run_whole(f, q);
        for (int round = 0; round < 6; round++) {
            end_at(f, q, &whole, 1 + next(&seed) % (whole.looks + 1), round % 2 != 0);
        }
        const struct outcome again = run(f, q, 0, false);
        assert_int_equal(again.code, whole.code);
        assert_true(again.fingerprint == whole.fingerprint);
    }
}

static void some_queries_end_at_every_look(void **state) {
    struct fixture *f = *state;
    static const struct hostile_query QUERIES[] = {
        {"sum by (i) (rate(wide_total[5s]))", 2, 500},
        {"wide_total * on (i) group_left (text) wide_bucket", 0, 0},
        {"label_replace(big_label, \"x\", \"$1\", \"text\", \"(a|aa)+(.*)\")", 0, 0},
        {"topk(3, count by (__name__) ({__name__=~\".+\"}))", 0, 0},
        {"histogram_quantile(0.9, wide_bucket) or native", 2, 500},
        {"mad_over_time(sum by (le) (wide_bucket)[3s:100ms])", 0, 0},
    };
    for (size_t i = 0; i < sizeof(QUERIES) / sizeof(QUERIES[0]); i++) {
        const struct outcome whole = run_whole(f, &QUERIES[i]);
        assert_int_equal(whole.code, ERR_OK);
        for (uint64_t look = 1; look <= whole.looks; look++) {
            end_at(f, &QUERIES[i], &whole, look, look % 2 != 0);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_ends_at_any_look),
        cmocka_unit_test(some_queries_end_at_every_look),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

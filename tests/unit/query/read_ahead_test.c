/* Reading ahead: what threads there are changes no bit of a result, no error and no limit; queries
 * that are stopped leave nobody reading; the crew runs, or gives back, what was posted. */
#include "tests/support/check_err.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query/crew.h"
#include "query/query.h"
#include "query/script/fake_storage.h"
#include "tests/support/fake_clock.h"

enum { SERIES = 900, SAMPLES = 150, THREADS_MOST = 3 };

struct fixture {
    struct fake_clock clock;
    struct fake_storage *fs;
    struct query_engine *engines[THREADS_MOST + 1]; /* with so many workers */
    struct arena arena;
};

static struct query_engine *engine_with(struct fixture *f, uint32_t workers, size_t memory_bytes) {
    struct query_options options;
    query_options_default(&options);
    options.clock = &f->clock.clock;
    options.workers = workers;
    options.max_memory_bytes = memory_bytes;
    return query_engine_new(&options);
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    fake_clock_init(&f->clock, 0);
    f->fs = fake_storage_new();
    arena_init(&f->arena, 0);
    for (uint32_t i = 0; i <= THREADS_MOST; i++) {
        f->engines[i] = engine_with(f, i, 64 << 20);
    }
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    for (uint32_t i = 0; i <= THREADS_MOST; i++) {
        query_engine_free(f->engines[i]);
    }
    fake_storage_free(f->fs);
    arena_release(&f->arena);
    free(f);
    return 0;
}

/* Values whose sums depend on their order. */
static void fill(struct fixture *f) {
    char *const text = malloc((size_t)SAMPLES * 32);
    fake_storage_clear(f->fs);
    for (int s = 0; s < SERIES; s++) {
        char name[64];
        size_t n = 0;
        for (int i = 0; i < SAMPLES; i++) {
            n += (size_t)sprintf(text + n, "%d.%03d%s ", i * (s % 7 + 1), (i * 37 + s * 11) % 1000,
                                 s % 5 == 0 ? "e9" : "");
        }
        (void)snprintf(name, sizeof(name), "m_total{instance=\"%d\",n=\"%d\"}", s % 30, s);
        fake_storage_load(f->fs, 10000, name, text);
    }
    free(text);
}

static const char *const QUERIES[] = {
    "sum by (instance) (rate(m_total[5m]))",
    "sum(m_total)",
    "avg(avg_over_time(m_total[7m]))",
    "topk(3, quantile_over_time(0.9, m_total[4m]))",
    "stddev(stddev_over_time(m_total[3m]))",
    "m_total / on (instance, n) m_total",
    "max_over_time(sum(rate(m_total[5m]))[10m:1m])",
    "quantile_over_time(2, m_total[5m])",
};

static enum err_code run(struct fixture *f, struct query_engine *engine, const char *text,
                         struct cancel *cancel, struct query_result *out, struct err *err) {
    const struct query query = {
        .text = str_of(text), .start_ms = 0, .end_ms = 1500000, .step_ms = 30000, .cancel = cancel};
    return query_run(engine, fake_storage_as_storage(f->fs), &query, &f->arena, out, err);
}

static void assert_same_result(const struct query_result *a, const struct query_result *b) {
    assert_int_equal(a->series_count, b->series_count);
    assert_int_equal(a->warning_count, b->warning_count);
    assert_int_equal(a->stats.samples_read, b->stats.samples_read);
    assert_int_equal(a->stats.peak_samples, b->stats.peak_samples);
    for (size_t i = 0; i < a->series_count; i++) {
        const struct result_series *x = &a->series[i];
        const struct result_series *y = &b->series[i];
        assert_true(labels_eq(x->labels, y->labels));
        assert_int_equal(x->count, y->count);
        assert_memory_equal(x->ts, y->ts, x->count * sizeof(*x->ts));
        assert_memory_equal(x->values, y->values, x->count * sizeof(*x->values));
    }
}

static void results_have_the_same_bits_however_many_threads_read(void **state) {
    struct fixture *f = *state;
    struct err err;
    fill(f);
    for (size_t q = 0; q < COUNT_OF(QUERIES); q++) {
        struct query_result alone;
        assert_ok(run(f, f->engines[0], QUERIES[q], NULL, &alone, &err), &err);
        assert_true(alone.series_count > 0);
        for (size_t n = 1; n <= THREADS_MOST; n++) {
            struct query_result helped;
            assert_ok(run(f, f->engines[n], QUERIES[q], NULL, &helped, &err), &err);
            assert_same_result(&helped, &alone);
        }
    }
}

static void an_error_while_reading_ahead_is_the_querys(void **state) {
    struct fixture *f = *state;
    struct query_result result;
    struct err err;
    fill(f);
    for (int n = 0; n < 5; n++) {
        fake_storage_fail_read(f->fs, n, ERR_CORRUPT);
        assert_err(run(f, f->engines[2], QUERIES[0], NULL, &result, &err), ERR_CORRUPT,
                   "reading failed as asked", &err);
    }
    fake_storage_fail_read(f->fs, -1, ERR_OK);
    assert_ok(run(f, f->engines[2], QUERIES[0], NULL, &result, &err), &err);
}

static void a_cancelled_query_ends_whoever_reads_for_it(void **state) {
    struct fixture *f = *state;
    struct query_result result;
    struct err err;
    fill(f);
    for (int n = 0; n < 5; n++) {
        struct cancel cancel;
        cancel_init(&cancel, &f->clock.clock, 0);
        fake_storage_cancel_at_read(f->fs, n, &cancel);
        assert_err(run(f, f->engines[3], QUERIES[0], &cancel, &result, &err), ERR_CANCELED,
                   "query was canceled in expression evaluation", &err);
    }
}

static void a_share_of_memory_that_is_too_small_is_read_again_alone(void **state) {
    struct fixture *f = *state;
    struct query_result result;
    struct err err;
    size_t most = 0;
    fill(f);
    /* from too little for the query to plenty: with and without help, the same fits or does not */
    for (size_t kib = 256; kib <= 8192; kib *= 2) {
        struct query_engine *alone = engine_with(f, 0, kib << 10);
        struct query_engine *helped = engine_with(f, 3, kib << 10);
        const enum err_code code = run(f, alone, "sum(rate(m_total[5m]))", NULL, &result, &err);
        assert_true(code == ERR_OK || code == ERR_LIMIT);
        if (code == ERR_OK) {
            assert_ok(run(f, helped, "sum(rate(m_total[5m]))", NULL, &result, &err), &err);
            most = kib;
        }
        query_engine_free(alone);
        query_engine_free(helped);
    }
    assert_true(most > 0);
}

/* ---- the crew alone ---- */

static void count_up(void *ctx) {
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static void every_task_is_run_once_by_somebody(void **state) {
    (void)state;
    enum { TASKS = 200 };
    for (uint32_t size = 0; size <= 4; size += 2) {
        struct crew crew;
        struct crew_task tasks[TASKS];
        atomic_int runs = 0;
        int own = 0;
        crew_init(&crew, size);
        for (size_t i = 0; i < TASKS; i++) {
            tasks[i] = (struct crew_task){.run = count_up, .ctx = &runs};
            crew_post(&crew, &tasks[i]);
        }
        for (size_t i = TASKS; i-- > 0;) {
            if (crew_take_back(&crew, &tasks[i])) {
                own++;
            } else {
                crew_settle(&crew, &tasks[i]);
            }
            assert_int_equal(tasks[i].state, CREW_IDLE);
        }
        assert_int_equal(atomic_load(&runs) + own, TASKS);
        assert_true(size > 0 || own == TASKS);
        crew_release(&crew);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(results_have_the_same_bits_however_many_threads_read, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_error_while_reading_ahead_is_the_querys, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_query_ends_whoever_reads_for_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_share_of_memory_that_is_too_small_is_read_again_alone,
                                        setup, teardown),
        cmocka_unit_test(every_task_is_run_once_by_somebody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Everything that is read from a database takes its memory from a budget. With any budget it gives the
 * right answer, or says that the budget is too small; with enough it gives the answer. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "compact_world.h"
#include "tests/support/check_err.h"
#include "tests/support/thread_check.h"

enum { EXEMPLARS = 40, BUDGET_MAX = 64 << 20 };

struct task {
    const char *name;
    enum err_code (*run)(struct storage *st, struct storage_querier *q, struct arena *arena,
                         uint64_t *answer, struct err *err);
};

static uint64_t with_str(uint64_t hash, struct str s) {
    return hash_keyed(s.ptr, s.len, hash + 1);
}

static uint64_t with_samples(uint64_t hash, const struct storage_samples *s) {
    hash = hash_keyed(s->ts, s->count * sizeof(*s->ts), hash);
    return hash_keyed(s->values, s->count * sizeof(*s->values), hash);
}

static enum err_code read_series(struct storage *st, struct storage_querier *q, struct arena *arena,
                                 uint64_t *answer, struct err *err) {
    struct storage_selection *sel;
    size_t n = 0;
    enum err_code code = storage_select(st, q, NULL, 0, NULL, &sel, err);
    if (code != ERR_OK) {
        return code;
    }
    const struct storage_series *series = storage_selection_series(st, sel, &n);
    struct storage_samples *got = mem_array(n + 1, sizeof(*got));
    code = storage_read(st, q, sel, 0, n, 0, INT64_MAX, arena, got, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        const struct labels metric = storage_set_labels(st, q, series[i].metric_set);
        *answer = hash_keyed(metric.data, metric.size, *answer);
        *answer = with_samples(*answer, &got[i]);
    }
    mem_free(got);
    return code;
}

/* By a regular expression, in batches of three. */
static enum err_code read_some(struct storage *st, struct storage_querier *q, struct arena *arena,
                               uint64_t *answer, struct err *err) {
    struct storage_selection *sel;
    struct arena own;
    struct matcher m;
    size_t n = 0;
    arena_init(&own, 0);
    assert_ok(matcher_init(&own, MATCH_REGEX, STR("job"), STR("a|p.*"), &m, err), err);
    enum err_code code = storage_select(st, q, &m, 1, NULL, &sel, err);
    if (code == ERR_OK) {
        storage_selection_series(st, sel, &n);
    }
    for (size_t i = 0; i < n && code == ERR_OK; i += 3) {
        struct storage_samples got[3];
        const size_t count = n - i < 3 ? n - i : 3;
        code = storage_read(st, q, sel, i, count, 0, INT64_MAX, arena, got, err);
        for (size_t k = 0; k < count && code == ERR_OK; k++) {
            *answer = with_samples(*answer, &got[k]);
        }
    }
    arena_release(&own);
    return code;
}

static enum err_code list_labels(struct storage *st, struct storage_querier *q, struct arena *arena,
                                 uint64_t *answer, struct err *err) {
    struct str *names;
    size_t n = 0;
    (void)arena;
    enum err_code code = storage_label_names(st, q, NULL, 0, 0, &names, &n, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        struct str *values;
        size_t count = 0;
        *answer = with_str(*answer, names[i]);
        code = storage_label_values(st, q, names[i], NULL, 0, 0, &values, &count, err);
        for (size_t k = 0; k < count && code == ERR_OK; k++) {
            *answer = with_str(*answer, values[k]);
        }
    }
    return code;
}

static enum err_code list_exemplars(struct storage *st, struct storage_querier *q,
                                    struct arena *arena, uint64_t *answer, struct err *err) {
    struct storage_exemplar_series *series;
    size_t n = 0;
    (void)arena;
    const enum err_code code = storage_exemplars(st, q, NULL, 0, &series, &n, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        *answer = hash_keyed(series[i].labels.data, series[i].labels.size, *answer);
        for (size_t k = 0; k < series[i].count; k++) {
            *answer = hash_keyed(&series[i].exemplars[k].ts_ms, sizeof(int64_t), *answer);
        }
    }
    return code;
}

static enum err_code list_families(struct storage *st, struct storage_querier *q,
                                   struct arena *arena, uint64_t *answer, struct err *err) {
    struct storage_family *families;
    size_t n = 0;
    (void)q;
    (void)err;
    const enum err_code code = storage_metadata_list(st, arena, &families, &n);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        *answer = with_str(with_str(*answer, families[i].name), families[i].metadata.help);
    }
    return code;
}

static const struct task tasks[] = {
    {"all samples", read_series},  {"some samples", read_some}, {"label values", list_labels},
    {"exemplars", list_exemplars}, {"families", list_families},
};

static enum err_code run_within(struct world *w, const struct task *task, size_t budget_bytes,
                                uint64_t *answer, struct err *err) {
    struct arena arena;
    struct storage_querier *q;
    arena_init(&arena, budget_bytes);
    *answer = 0;
    enum err_code code = storage_querier_open(w->st, 0, INT64_MAX, &arena, NULL, &q, err);
    if (code == ERR_OK) {
        code = task->run(w->st, q, &arena, answer, err);
    }
    arena_release(&arena);
    return code;
}

static void note(struct world *w) {
    for (int i = 0; i < EXEMPLARS; i++) {
        struct storage_appender *a;
        struct err err;
        char name[16];
        (void)snprintf(name, sizeof(name), "e%d job=e", i % 7);
        const struct labels labels = world_labels(w, name);
        const struct storage_exemplar e = {
            .labels = labels, .value = i, .ts_ms = COMPACT_BASE_MS + i};
        assert_ok(storage_appender_begin(w->st, &a, &err), &err);
        assert_int_equal(storage_append(w->st, a, labels, COMPACT_BASE_MS + i, i), ERR_OK);
        assert_int_equal(storage_append_exemplar(w->st, a, labels, &e), ERR_OK);
        assert_ok(storage_appender_commit(w->st, a, &err), &err);
        const struct storage_metadata m = {STR("gauge"), STR("What it is."), STR("")};
        storage_metadata_put(w->st, str_of(name), &m);
    }
}

static void any_budget_gives_the_answer_or_says_that_it_is_too_small(void **state) {
    (void)state;
    struct world w;
    struct compact_play play;
    compact_world_init(&w);
    w.options.max_exemplars = EXEMPLARS;
    world_open(&w);
    note(&w);
    compact_play_begin(&play, &w, 3);
    for (int i = 0; i < 12; i++) {
        compact_play_for(&play, COMPACT_WINDOW_MS / 2);
        tsdb_maintain(w.db);
    }
    size_t partitions = 0;
    (void)compact_dump_partitions(&w, &partitions);
    assert_true(partitions > 0);
    for (size_t i = 0; i < COUNT_OF(tasks); i++) {
        uint64_t want = 0;
        uint64_t got = 0;
        struct err err;
        size_t refused = 0;
        size_t budget = 1;
        assert_ok(run_within(&w, &tasks[i], 0, &want, &err), &err);
        enum err_code code = ERR_LIMIT;
        for (; code == ERR_LIMIT && budget < BUDGET_MAX;
             budget += 256 + budget / (THREAD_CHECK ? 4 : 50)) {
            code = run_within(&w, &tasks[i], budget, &got, &err);
            refused += code == ERR_LIMIT;
        }
        assert_ok(code, &err);
        assert_true(got == want && want != 0);
        assert_true(refused > 0);
        print_message("%s: %zu budgets were too small, %zu bytes were not\n", tasks[i].name,
                      refused, budget);
    }
    compact_play_end(&play);
    world_release(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_budget_gives_the_answer_or_says_that_it_is_too_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

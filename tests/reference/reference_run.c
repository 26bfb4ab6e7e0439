/* Sets of data, in memory or in a database, and the queries on them. */
#include <stdio.h>
#include <string.h>

#include "query/expr.h"
#include "tests/reference/check_reference.h"
#include "tests/support/tsdb_mirror.h"

static struct query_engine *engine_new(const struct ref *base) {
    struct query_options options;
    query_options_default(&options);
    options.experimental_functions = true;
    options.extended_range_selectors = true;
    options.binop_fill_modifiers = true;
    options.use_start_timestamps = base->start_timestamps;
    options.delayed_name_removal = base->delayed_names;
    options.workers = 0;
    return query_engine_new(&options);
}

/* Many on the borders of windows, or a millisecond beside them. */
static struct reference_times make_times(struct choices *c) {
    static const int64_t BESIDE_MS[] = {-1000, 4000, 9000, 0, 5000, 1, -1};
    static const int64_t STEPS_MS[] = {7000, 15000, 23000, 31000, 30000, 60000};
    struct reference_times at = {.start_ms = DATA_START_MS +
                                             (int64_t)choose_one(c, 42) * DATA_STEP_MS +
                                             BESIDE_MS[choose_one(c, COUNT_OF(BESIDE_MS))]};
    at.end_ms = at.start_ms;
    if (choose_one(c, 2) == 0) {
        at.step_ms = STEPS_MS[choose_one(c, COUNT_OF(STEPS_MS))];
        at.end_ms += at.step_ms * choose_one(c, 12) + choose_one(c, 2) * 3000;
    }
    return at;
}

static enum reference_outcome check_one(struct choices *c, struct query_engine *engine,
                                        struct storage *storage, struct ref *r) {
    enum reference_outcome outcome = REFERENCE_SKIPPED;
    struct query_expr *expr = NULL;
    struct query_result got;
    struct buf made;
    struct err err;
    buf_init(&made, 65536);
    make_query(c, &made);
    const struct reference_times at = make_times(c);
    r->start_ms = at.start_ms;
    r->end_ms = at.end_ms;
    r->step_ms = at.step_ms;
    r->grid = (struct ref_grid){at.start_ms, at.end_ms, at.step_ms};
    if (at.step_ms != 0) {
        r->grid.end_ms = at.start_ms + (at.end_ms - at.start_ms) / at.step_ms * at.step_ms;
    }
    if (query_parse(engine, r->arena, buf_str(&made), &expr, &err) == ERR_OK) {
        const enum value_type type = expr->node->value_type;
        const struct query q = {.text = buf_str(&made),
                                .start_ms = at.start_ms,
                                .end_ms = at.end_ms,
                                .step_ms = at.step_ms,
                                .lookback_ms = r->lookback_ms};
        const enum err_code code = query_run(engine, storage, &q, r->arena, &got, &err);
        const struct reference_question asked = {expr->node, buf_str(&made), at};
        if (at.step_ms == 0 || type == VALUE_VECTOR || type == VALUE_SCALAR) {
            outcome = reference_compare(r, &asked, &got, code, &err);
        }
    }
    buf_release(&made);
    return outcome;
}

static void count_reason(struct reference_counts *counts, const char *what) {
    for (size_t i = 0; i < REFERENCE_REASONS_MAX; i++) {
        struct reference_reason *reason = &counts->reasons[i];
        if (reason->what == NULL || strcmp(reason->what, what) == 0) {
            reason->what = what;
            reason->count++;
            return;
        }
    }
}

static void ask(struct choices *c, const struct ref *base, struct storage *storage,
                unsigned queries, struct reference_counts *counts) {
    struct query_engine *engine = engine_new(base);
    struct arena arena;
    arena_init(&arena, 0);
    for (unsigned i = 0; i < queries; i++) {
        struct ref r = *base;
        r.arena = &arena;
        const enum reference_outcome outcome = check_one(c, engine, storage, &r);
        counts->outcomes[outcome]++;
        if (outcome == REFERENCE_SKIPPED) {
            count_reason(counts, r.beyond != NULL ? r.beyond : "no such query, or a limit");
        }
        if (outcome == REFERENCE_DIFFERENT) {
            (void)fprintf(stderr, "  lookback %lld ms%s%s%s\n", (long long)base->lookback_ms,
                          base->start_timestamps ? ", start timestamps" : "",
                          base->delayed_names ? ", delayed names" : "",
                          base->in_database ? ", database" : "");
        }
        counts->in_database += base->in_database;
        arena_reset(&arena);
    }
    arena_release(&arena);
    query_engine_free(engine);
}

void reference_check(struct choices *c, unsigned queries, struct reference_counts *counts) {
    struct fake_storage *fs = fake_storage_new();
    struct tsdb_mirror *mirror = NULL;
    struct storage *storage = fake_storage_as_storage(fs);
    struct arena data;
    struct ref base = {.default_step_ms = 60000};
    base.start_timestamps = choose_one(c, 3) == 0;
    base.lookback_ms = choose_one(c, 4) == 0 ? 45000 : 300000;
    base.delayed_names = choose_one(c, 4) == 0;
    base.in_database = choose_one(c, 3) == 0;
    const unsigned mirror_seed = choose_one(c, 256);
    arena_init(&data, 0);
    base.series = make_data(c, &data, fs, &base.series_count);
    if (base.in_database) {
        mirror = tsdb_mirror_new(mirror_seed);
        storage = tsdb_mirror_store(mirror)->fill(tsdb_mirror_store(mirror), storage);
    }
    if (storage != NULL) {
        ask(c, &base, storage, queries, counts);
    } else {
        (void)fprintf(stderr, "the database did not take the data\n");
        counts->outcomes[REFERENCE_DIFFERENT]++;
    }
    if (mirror != NULL) {
        tsdb_mirror_free(mirror);
    }
    arena_release(&data);
    fake_storage_free(fs);
}

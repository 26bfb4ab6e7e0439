#include "query/engine.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "query/active_file.h"
#include "query/bits.h"
#include "query/engine_options.h"
#include "query/eval.h"
#include "query/kept_samples.h"
#include "query/parse.h"
#include "query/profile.h"
#include "query/result.h"
#include "query/selector_state.h"
#include "query/shared_rows.h"
#include "query/step_stats.h"

/* ---- engine ---- */

void query_options_default(struct query_options *options) {
    *options = (struct query_options){
        .clock = clock_system(),
        .lookback_ms = INT64_C(5) * 60 * 1000,
        .timeout_ms = INT64_C(2) * 60 * 1000,
        .max_samples = 50 * 1000 * 1000,
        .max_memory_bytes = UINT64_C(1) << 30,
        .max_concurrency = 20,
        .workers = crew_default_size(),
        .default_step_ms = INT64_C(60) * 1000,
    };
}

static void register_metrics(struct query_engine *engine) {
    struct metric_registry *r = engine->options.registry;
    engine->running =
        metric_gauge(r, "prometheus_engine_queries",
                     "The current number of queries being executed or waiting.", NULL, 0);
    engine->samples_total =
        metric_counter(r, "prometheus_engine_query_samples_total",
                       "The total number of samples loaded by all queries.", NULL, 0);
    engine->samples_read_total =
        metric_counter(r, "prometheus_engine_query_samples_read_total",
                       "The total number of samples read by all queries.", NULL, 0);
    metric_set(metric_gauge(r, "prometheus_engine_queries_concurrent_max",
                            "The max number of concurrent queries.", NULL, 0),
               engine->options.max_concurrency);
    engine->log_enabled =
        metric_gauge(r, "prometheus_engine_query_log_enabled", "State of the query log.", NULL, 0);
    engine->log.failures = metric_counter(r, "prometheus_engine_query_log_failures_total",
                                          "The number of query log failures.", NULL, 0);
    static const double QUANTILES[] = {0.5, 0.9, 0.99};
    static const double BOUNDS_S[] = {0.01, 0.1, 1, 10};
    static const char *const SLICES[SLICE_COUNT] = {"queue_time", "prepare_time", "inner_eval",
                                                    "result_sort"};
    for (size_t i = 0; i < SLICE_COUNT; i++) {
        const struct label slice = {STR("slice"), str_of(SLICES[i])};
        engine->duration_s[i] =
            metric_histogram(r, "prometheus_engine_query_duration_histogram_seconds",
                             "The duration of various parts of PromQL query execution.", &slice, 1,
                             BOUNDS_S, COUNT_OF(BOUNDS_S));
        engine->duration_summary[i] =
            metric_summary(r, "prometheus_engine_query_duration_seconds", "Query timings", &slice,
                           1, QUANTILES, COUNT_OF(QUANTILES));
    }
}

static void observe(struct query_engine *engine, const struct query_stats *stats) {
    const int64_t ns[SLICE_COUNT] = {stats->queue_ns, stats->prepare_ns, stats->inner_eval_ns,
                                     stats->sort_ns};
    for (size_t i = 0; i < SLICE_COUNT; i++) {
        metric_observe(engine->duration_s[i], (double)ns[i] / 1e9);
        metric_summarize(engine->duration_summary[i], (double)ns[i] / 1e9);
    }
    metric_add(engine->samples_total, (double)stats->samples_read);
    metric_add(engine->samples_read_total, (double)stats->samples_fetched);
}

struct query_engine *query_engine_new(const struct query_options *options) {
    struct query_engine *engine = mem_zalloc(sizeof(*engine));
    engine->options = *options;
    if (engine->options.clock == NULL) {
        engine->options.clock = clock_system();
    }
    if (engine->options.vfs == NULL) {
        engine->options.vfs = vfs_system();
    }
    atomic_init(&engine->default_step_ms, options->default_step_ms);
    query_gate_init(&engine->gate, options->max_concurrency, 0);
    budget_init(&engine->memory, options->max_total_memory_bytes);
    crew_init(&engine->crew, options->workers);
    read_shelf_init(&engine->shelf);
    running_list_init(&engine->list);
    query_log_init(&engine->log);
    register_metrics(engine);
    return engine;
}

void query_engine_free(struct query_engine *engine) {
    if (engine == NULL) {
        return;
    }
    crew_release(&engine->crew);
    read_shelf_release(&engine->shelf);
    query_gate_release(&engine->gate);
    active_file_close(engine->active);
    query_log_release(&engine->log);
    running_list_release(&engine->list);
    ASSERT(budget_used(&engine->memory) == 0);
    mem_free(engine);
}

void query_engine_set_default_step(struct query_engine *engine, int64_t step_ms) {
    atomic_store_explicit(&engine->default_step_ms, step_ms, memory_order_relaxed);
}

struct budget *query_engine_memory(struct query_engine *engine) {
    return &engine->memory;
}

enum err_code query_engine_set_log(struct query_engine *engine, const char *path, struct err *err) {
    const enum err_code code = query_log_set(&engine->log, engine->options.vfs, path, err);
    metric_set(engine->log_enabled, query_log_on(&engine->log));
    return code;
}

enum err_code query_engine_record_active(struct query_engine *engine, const char *path,
                                         struct err *err) {
    const struct query_options *o = &engine->options;
    ASSERT(engine->active == NULL);
    return active_file_open(o->vfs, path, o->max_concurrency, o->log, &engine->active, err);
}

void query_list_running(struct query_engine *engine, struct arena *arena,
                        struct query_running **out, size_t *out_count) {
    running_list_copy(&engine->list, engine->options.clock, arena, out, out_count);
}

bool query_kill(struct query_engine *engine, uint64_t id) {
    return running_list_kill(&engine->list, id);
}

struct parse_options engine_parse_options(const struct query_engine *engine) {
    if (engine == NULL) { /* tools that only check texts: the language without features */
        return (struct parse_options){.experimental_functions = false};
    }
    return (struct parse_options){
        .experimental_functions = engine->options.experimental_functions,
        .extended_range_selectors = engine->options.extended_range_selectors,
        .binop_fill_modifiers = engine->options.binop_fill_modifiers,
    };
}

/* ---- one query ---- */

struct run {
    struct query_engine *engine;
    const struct query *query;
    struct arena *arena; /* the caller's: results */
    struct eval ev;
    struct node *ast;
    struct plan plan;
    struct query_result result;
};

static enum err_code open_querier(struct run *r, struct storage *storage, struct err *err) {
    struct eval *ev = &r->ev;
    ev->selectors =
        work_zalloc(&ev->base, (size_t)r->plan.selector_count + 1, sizeof(*ev->selectors), err);
    if (ev->selectors == NULL) {
        return ERR_LIMIT;
    }
    if (r->plan.selector_count == 0 || r->plan.mint > r->plan.maxt) {
        return ERR_OK;
    }
    work_grant(&ev->base);
    const enum err_code code = storage_querier_open(storage, r->plan.mint, r->plan.maxt,
                                                    &ev->base.arena, ev->cancel, &ev->querier, err);
    label_space_init(&ev->sets, &ev->base, storage, ev->querier);
    return code;
}

static enum err_code prepare(struct run *r, struct storage *storage, struct err *err) {
    const struct query *q = r->query;
    const struct query_engine *engine = r->engine;
    const struct plan_options options = {
        .start_ms = q->start_ms,
        .end_ms = q->step_ms == 0 ? q->start_ms : q->end_ms,
        .step_ms = q->step_ms,
        .lookback_ms = q->lookback_ms > 0 ? q->lookback_ms : engine->options.lookback_ms,
        .default_step_ms = atomic_load_explicit(&engine->default_step_ms, memory_order_relaxed),
    };
    const struct parse_options parse = engine_parse_options(engine);
    struct eval *ev = &r->ev;
    work_grant(&ev->base);
    enum err_code code = parse_expr(&ev->base.arena, q->text, &parse, &r->ast, err);
    if (code == ERR_OK) {
        code = plan_build(&ev->base.arena, r->ast, &options, &r->plan, err);
    }
    if (code == ERR_OK) {
        code = work_check(&ev->base, err);
    }
    if (code == ERR_OK) {
        code = eval_check_cancel(ev->cancel, "query execution", err);
    }
    return code == ERR_OK ? open_querier(r, storage, err) : code;
}

static enum err_code render_notes(struct run *r, struct err *err) {
    const struct annotations *notes = &r->ev.notes;
    struct query_result *out = &r->result;
    enum err_code code = annotations_render(notes, ANNOTATION_WARNING, r->query->text, r->arena,
                                            &out->warnings, &out->warning_count, err);
    if (code == ERR_OK) {
        code = annotations_render(notes, ANNOTATION_INFO, r->query->text, r->arena, &out->infos,
                                  &out->info_count, err);
    }
    return code;
}

static enum err_code keep_step_stats(struct run *r, struct err *err) {
    const struct step_stats *steps = r->ev.steps;
    struct query_stats *stats = &r->result.stats;
    uint64_t *copy = arena_try_alloc(r->arena, 2 * steps->count, sizeof(*copy));
    if (copy == NULL) {
        return work_over(&r->ev.base, err);
    }
    memcpy(copy, steps->samples, 2 * steps->count * sizeof(*copy));
    stats->step_samples = copy;
    stats->step_fetched = copy + steps->count;
    stats->step_count = steps->count;
    stats->step_start_ms = r->plan.grid.start_ms;
    stats->step_ms = r->plan.grid.step_ms;
    return ERR_OK;
}

static enum err_code evaluate(struct run *r, struct err *err) {
    const bool instant = r->query->step_ms == 0;
    enum err_code code = ERR_OK;
    r->ev.sorted_select = instant;
    if (r->query->per_step_stats && r->engine->options.per_step_stats) {
        code = step_stats_new(&r->ev, r->plan.grid.count, &r->ev.steps, err);
    }
    if (code == ERR_OK) {
        code = shared_rows_open(&r->ev, &r->plan, err);
    }
    if (code == ERR_OK) {
        code = kept_samples_open(&r->ev, &r->plan, err);
    }
    if (code == ERR_OK) {
        code = result_make(&r->ev, &r->plan, instant, r->arena, &r->result, err);
    }
    kept_samples_close(&r->ev);
    shared_rows_close(&r->ev);
    if (code == ERR_OK && r->ev.steps != NULL) {
        code = keep_step_stats(r, err);
    }
    return code == ERR_OK ? render_notes(r, err) : code;
}

/* The first try of a query that its caller runs again: nobody is told. */
static bool is_repeated(const struct query *query, enum err_code code) {
    return query->tentative && code == ERR_TIMEOUT;
}

static enum err_code run_admitted(struct run *r, struct storage *storage, struct err *err) {
    struct clock *clock = r->engine->options.clock;
    struct eval *ev = &r->ev;
    work_begin(&ev->base, &ev->budget);
    annotations_init(&ev->notes, &ev->base);
    const int64_t start_ns = clock_mono_ns(clock);
    enum err_code code = prepare(r, storage, err);
    const int64_t prepared_ns = clock_mono_ns(clock);
    if (code == ERR_OK && r->query->profile != NULL) {
        code = profile_make(r->query->profile, ev, &r->plan, err);
        ev->profile = r->query->profile;
    }
    if (code == ERR_OK && (ev->profile == NULL || ev->profile->analyze)) {
        code = evaluate(r, err);
    }
    const int64_t end_ns = clock_mono_ns(clock);
    work_end(&ev->base);
    struct query_stats *stats = &r->result.stats;
    stats->prepare_ns = prepared_ns - start_ns;
    stats->inner_eval_ns = end_ns - prepared_ns - stats->sort_ns;
    stats->eval_ns = end_ns - start_ns;
    stats->samples_read = ev->samples_read;
    stats->samples_fetched = ev->samples_fetched;
    stats->peak_samples = ev->samples_peak;
    stats->peak_bytes = ev->budget.peak_bytes;
    if (!is_repeated(r->query, code)) {
        observe(r->engine, stats);
    }
    return code;
}

static int64_t deadline_of(const struct query_engine *engine, const struct query *query,
                           int64_t now_ns) {
    int64_t timeout_ms = engine->options.timeout_ms;
    if (query->timeout_ms < 0) {
        return now_ns;
    }
    if (query->timeout_ms > 0 && (timeout_ms == 0 || query->timeout_ms < timeout_ms)) {
        timeout_ms = query->timeout_ms;
    }
    int64_t ns = 0;
    if (timeout_ms <= 0 || __builtin_mul_overflow(timeout_ms, NS_PER_MS, &ns)) {
        return 0;
    }
    return time_add(now_ns, ns);
}

/* What storage and the parts of the language say of a query that was ended, in one voice. */
static enum err_code final_error(enum err_code code, bool killed, struct err *err) {
    if (code == ERR_TIMEOUT && strncmp(err->text, "query timed out", 15) != 0) {
        return err_set(err, code, "query timed out in expression evaluation");
    }
    if (code == ERR_CANCELED && killed) {
        return err_set(err, code, "query was killed");
    }
    if (code == ERR_CANCELED && strncmp(err->text, "query was canceled", 18) != 0) {
        return err_set(err, code, "query was canceled in expression evaluation");
    }
    return code;
}

enum err_code query_run(struct query_engine *engine, struct storage *storage,
                        const struct query *query, struct arena *arena, struct query_result *out,
                        struct err *err) {
    struct clock *clock = engine->options.clock;
    const int64_t start_ns = clock_mono_ns(clock);
    const int64_t deadline_ns = deadline_of(engine, query, start_ns);
    /* the caller's may be shared by many queries */
    struct cancel cancel;
    cancel_init(&cancel, clock, deadline_ns);
    cancel.parent = query->cancel;
    struct running running = {.query = query, .cancel = &cancel};
    struct run r = {
        .engine = engine,
        .query = query,
        .arena = arena,
        .ev = {.storage = storage,
               .cancel = &cancel,
               .clock = clock,
               .budget = {.results = arena,
                          .results_before_bytes = arena->used_bytes,
                          .max_bytes = engine->options.max_memory_bytes,
                          .pool = &engine->memory},
               .running = &running,
               .crew = &engine->crew,
               .shelf = &engine->shelf,
               .delayed_names = engine->options.delayed_name_removal,
               .use_start_timestamps = engine->options.use_start_timestamps,
               .samples_max = engine->options.max_samples},
    };
    r.ev.budget.pause = eval_pause_of;
    r.ev.budget.pause_ctx = &r.ev;
    metric_add(engine->running, 1);
    running_begin(&engine->list, &running, clock);
    struct gate_pass pass;
    enum err_code code = query_gate_enter(&engine->gate, &cancel, clock, &pass, err);
    if (code == ERR_OK) {
        r.result.stats.queue_ns = clock_mono_ns(clock) - start_ns;
        atomic_store_explicit(&running.evaluating, true, memory_order_relaxed);
        r.ev.pass = &pass;
        const int slot =
            active_file_begin(engine->active, query->text, running.start_unix_ms / 1000);
        code = run_admitted(&r, storage, err);
        active_file_end(engine->active, slot);
    }
    query_gate_leave(&pass);
    const bool killed = running_end(&engine->list, &running);
    metric_add(engine->running, -1);
    r.result.stats.total_ns = clock_mono_ns(clock) - start_ns;
    code = final_error(code, killed, err);
    if (query_log_on(&engine->log) && !is_repeated(query, code)) {
        query_log_write(&engine->log, engine->options.log, clock_unix_ms(clock), query,
                        &r.result.stats, code == ERR_OK ? NULL : err);
    }
    if (code == ERR_OK) {
        *out = r.result;
    }
    return code;
}

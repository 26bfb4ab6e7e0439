/* PromQL engine: text and a time range in, typed result out. The only header of query/ that
 * other modules include.
 *
 * Owner: main makes one engine; web, rules and tools run queries on it from any thread. A query
 * runs on the calling thread, with the engine's workers reading ahead for it, lives in the caller's arena
 * and is bounded by its limits; cancel stops it within a millisecond. */
#ifndef QUERY_QUERY_H
#define QUERY_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json_out.h"
#include "base/labels.h"
#include "base/log.h"
#include "base/matcher.h"
#include "base/metric.h"
#include "base/str.h"
#include "tsdb/storage.h"

struct query_engine;

struct query_options {
    struct clock *clock;
    struct log *log;
    struct metric_registry *registry;
    int64_t lookback_ms;             /* default 5 m */
    int64_t timeout_ms;              /* default 2 m */
    uint64_t max_samples;            /* default 50 M, Prometheus' meaning */
    uint64_t max_memory_bytes;       /* per query */
    uint64_t max_total_memory_bytes; /* of all running queries and answers; 0 = no limit */
    uint32_t max_concurrency;        /* default 20 */
    uint32_t workers;        /* threads that all queries share; default: one less than processors */
    int64_t default_step_ms; /* of subqueries: global evaluation_interval */
    bool experimental_functions;
    bool extended_range_selectors;
    bool binop_fill_modifiers;
    bool delayed_name_removal;
    bool use_start_timestamps; /* of samples: resets that show in no value */
    bool per_step_stats;       /* struct query may ask for them */
    struct vfs *vfs;           /* of the query log and queries.active; NULL: the system's */
};

void query_options_default(struct query_options *options);
struct query_engine *query_engine_new(const struct query_options *options);
void query_engine_free(struct query_engine *engine);
/* After a reload: the new global evaluation_interval. Any thread. */
void query_engine_set_default_step(struct query_engine *engine, int64_t step_ms);

/* Records which queries are evaluated in this file and logs those that the last run left there.
 * Before the first query. */
MUST_CHECK enum err_code query_engine_record_active(struct query_engine *engine, const char *path,
                                                    struct err *err);
/* After a reload: the query log (JSON lines); opened again if it is open, NULL or "" ends it. After
 * a failure there is none. Any thread. */
MUST_CHECK enum err_code query_engine_set_log(struct query_engine *engine, const char *path,
                                              struct err *err);
/* What all running queries hold; answers that are kept for a client may take from it as well. */
struct budget *query_engine_memory(struct query_engine *engine);

/* Who asks: for the query log and the list of running queries. Either HTTP or a rule. */
struct query_origin {
    struct str client, method, path;  /* client: IP address */
    struct str rule_group, rule_file; /* group empty: HTTP */
};

struct query_profile;

struct query {
    struct str text;
    int64_t start_ms, end_ms;
    int64_t step_ms;                   /* 0 = instant, at start_ms */
    int64_t lookback_ms;               /* 0 = the engine's */
    int64_t timeout_ms;                /* 0 = the engine's; only shortens; below: over */
    const struct cancel *cancel;       /* may be NULL; may be shared */
    const struct query_origin *origin; /* may be NULL; borrowed until query_run returns */
    bool per_step_stats;               /* if the engine's options allow it */
    bool tentative; /* run again by its caller if it fails with ERR_TIMEOUT: then not logged */
    struct query_profile *profile; /* of query_explain; NULL for everybody else */
};

enum result_type { RESULT_VECTOR, RESULT_MATRIX, RESULT_SCALAR, RESULT_STRING };

/* One series of a vector (count 1) or matrix. ts in ms, ascending. */
struct result_series {
    struct labels labels;
    const int64_t *ts;
    const double *values;
    size_t count;
    const struct histogram *const *histograms; /* NULL: floats only; [i] NULL for a float */
};

struct query_stats {
    int64_t eval_ns, sort_ns, prepare_ns, inner_eval_ns, queue_ns, total_ns;
    uint64_t samples_read;    /* totalQueryableSamples: by each step that looks at it */
    uint64_t samples_fetched; /* samplesRead: what overlapping windows share counts once */
    uint64_t peak_samples;
    uint64_t peak_bytes;
    /* NULL unless asked for; of the query's steps, in the arena of the result */
    const uint64_t *step_samples, *step_fetched;
    size_t step_count;
    int64_t step_start_ms, step_ms;
};

/* {"timings":{...},"samples":{...}}, as the API and the query log show it. */
void query_stats_json(struct json_out *j, const struct query_stats *stats);

struct query_result {
    enum result_type type;
    struct result_series *series; /* vector, matrix */
    size_t series_count;
    int64_t ts_ms; /* scalar, string */
    double scalar;
    struct str string;
    struct str *warnings; /* "PromQL warning: ... (1:5)" */
    size_t warning_count;
    struct str *infos;
    size_t info_count;
    struct query_stats stats;
};

/* ERR_INVALID: does not parse (text "1:8: parse error: ..."); ERR_EXECUTION, ERR_TIMEOUT ("query
 * timed out in ..."), ERR_CANCELED, ERR_LIMIT (too many samples or bytes), ERR_UNSUPPORTED (a part
 * of the language this version lacks), others from storage. Results live in arena. */
MUST_CHECK enum err_code query_run(struct query_engine *engine, struct storage *storage,
                                   const struct query *query, struct arena *arena,
                                   struct query_result *out, struct err *err);

/* Writes one JSON value (web/README.md): the plan as a tree, what each node is expected to cost and,
 * with analyze, what it did cost when it was run. Errors as query_run; nothing is written then. */
MUST_CHECK enum err_code query_explain(struct query_engine *engine, struct storage *storage,
                                       const struct query *query, bool analyze, struct arena *arena,
                                       struct json_out *j, struct err *err);

/* ---- what runs ---- */

struct query_running {
    uint64_t id;     /* counts up from 1, never reused */
    struct str text; /* its beginning, as the two after it */
    struct str client, rule_group;
    int64_t start_ms, end_ms, step_ms;
    int64_t since_unix_ms;
    int64_t age_ns;
    bool evaluating; /* false: waits at the gate */
    bool killed;     /* and has not noticed yet */
    uint64_t samples;
    size_t bytes; /* of memory that it holds */
};

/* Oldest first, in arena. Any thread. */
void query_list_running(struct query_engine *engine, struct arena *arena,
                        struct query_running **out, size_t *out_count);
/* The query ends with ERR_CANCELED "query was killed". False: there is no such query any more. */
bool query_kill(struct query_engine *engine, uint64_t id);

/* ---- text tools, for the API, rules and promtool-like commands ---- */

struct query_expr; /* a parsed, checked expression in an arena */

/* engine may be NULL: the language without experimental features. */
MUST_CHECK enum err_code query_parse(struct query_engine *engine, struct arena *arena,
                                     struct str text, struct query_expr **out, struct err *err);
/* Canonical one-line text (spec section 23) / prettified (format_query). */
struct str query_print(struct arena *arena, const struct query_expr *expr);
struct str query_format(struct arena *arena, const struct query_expr *expr);
/* /api/v1/parse_query's tree. */
void query_tree_json(struct json_out *j, const struct query_expr *expr);
MUST_CHECK enum err_code query_parse_selector(struct arena *arena, struct str text,
                                              struct matcher **out, size_t *out_count,
                                              struct err *err);
/* Runs on every vector selector: rules use it to find dependencies. */
void query_each_selector(const struct query_expr *expr,
                         void (*fn)(void *ctx, const struct matcher *m, size_t n), void *ctx);
/* Matchers of a label in every selector: set replaces type and value where there are some and adds
 * one where there is none. The result is for printing: it is not checked again. */
MUST_CHECK enum err_code query_set_matcher(struct query_expr *expr, enum matcher_type type,
                                           struct str name, struct str value, struct err *err);
void query_delete_matchers(struct query_expr *expr, struct str name);
/* Adds @ at_ms to every selector and subquery that has no time of its own, but not to selectors
 * inside a subquery, which carries it. False: a function tells the time of the evaluation, so that
 * the result is not the same at every time. */
bool query_pin_times(struct query_expr *expr, int64_t at_ms);
/* metric{a="b"} to labels. */
MUST_CHECK enum err_code query_parse_metric(struct arena *arena, struct str text,
                                            struct labels *out, struct err *err);

#endif

/* The engine: admits queries, bounds them by time, samples and memory, runs them, and makes typed
 * results. query.h is its public face. Private to query/. */
#ifndef QUERY_ENGINE_H
#define QUERY_ENGINE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/metric.h"
#include "query/crew.h"
#include "query/gate.h"
#include "query/query.h"
#include "query/query_log.h"
#include "query/read_ahead.h"
#include "query/running.h"

/* Where the time of a query goes. */
enum query_slice { SLICE_QUEUE, SLICE_PREPARE, SLICE_EVAL, SLICE_SORT, SLICE_COUNT };

struct query_engine {
    struct query_options options;
    _Atomic int64_t default_step_ms;
    struct query_gate gate;
    struct budget memory; /* of all running queries */
    struct crew crew;
    struct read_shelf shelf;
    struct running_list list;
    struct query_log log;
    struct active_file *active; /* may be NULL */
    struct metric *running;
    struct metric *samples_total;
    struct metric *samples_read_total;
    struct metric *log_enabled;
    struct metric_histogram *duration_s[SLICE_COUNT];
    struct metric_summary *duration_summary[SLICE_COUNT]; /* the same in seconds */
};

#endif

/* The query log: one line of JSON for each query that ended (spec/promql.md section 11).
 *
 * Owner: the engine. Any thread; mu is held for one write to the page cache, so that lines stay
 * whole. A file that cannot be written is reported once and left alone until it is set again. */
#ifndef QUERY_QUERY_LOG_H
#define QUERY_QUERY_LOG_H

#include <stdatomic.h>

#include "base/metric.h"
#include "base/mutex.h"
#include "base/vfs.h"
#include "query/query.h"

struct query_log {
    atomic_bool on;
    struct mutex mu;
    struct vfs_file *file; /* under mu, as the next two */
    uint64_t end;
    bool failed;
    struct metric *failures; /* lines that were not written; set before the first one */
};

void query_log_init(struct query_log *log);
void query_log_release(struct query_log *log);
/* path NULL or "": no log. Opens again what is open already (rotation). After a failure there is
 * no log. */
MUST_CHECK enum err_code query_log_set(struct query_log *log, struct vfs *vfs, const char *path,
                                       struct err *err);

static inline bool query_log_on(const struct query_log *log) {
    return atomic_load_explicit(&log->on, memory_order_relaxed);
}

/* error is NULL when the query succeeded. */
void query_log_write(struct query_log *log, struct log *reports, int64_t unix_ms,
                     const struct query *query, const struct query_stats *stats,
                     const struct err *error);

#endif

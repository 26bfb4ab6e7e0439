/* One scrape_configs element at work: its targets and their loops.
 *
 * Owner: the manager. Runs on the io thread; the lists that the API shows are changed under mu,
 * which other threads take for reading. */
#ifndef SCRAPE_POOL_H
#define SCRAPE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/generation.h"
#include "base/mutex.h"
#include "scrape/ending_set.h"
#include "scrape/loop.h"
#include "scrape/scrape.h"
#include "scrape/scrape_metrics.h"
#include "scrape/sd.h"

struct pool {
    struct scrape_io *io;
    struct str job;                /* never changes: any thread may read it */
    struct generation *generation; /* a reference; config lives in it */
    const struct scrape_config *config;
    struct transport_client *client;       /* NULL: could not be made, tried again at each sync */
    struct transport_client **old_clients; /* until their requests ended */
    size_t old_client_count;
    size_t request_count;
    size_t target_count; /* of the last update */
    uint64_t seed;
    char *accept;            /* whole header line */
    char timeout_line[96];   /* header line of the last timeout asked for */
    int64_t timeout_line_ms; /* which one; 0 = none yet */
    char *limit_error;       /* target_limit is passed; NULL = no */
    bool gone;               /* left the configuration */
    struct pool_metrics metrics;
    struct ending_set ending; /* stopped, not freed yet */

    struct mutex mu;     /* guards what follows, and the reports of the loops */
    struct loop **loops; /* in order of discovery */
    size_t loop_count;
    struct target **dropped; /* references, limited by keep_dropped_targets */
    size_t dropped_kept;
    uint64_t dropped_count;
};

/* Never fails: a client that cannot be made is logged and tried again. */
struct pool *pool_new(struct scrape_io *io, struct generation *g,
                      const struct scrape_config *config);
/* A changed configuration. On an error the old one goes on. */
MUST_CHECK enum err_code pool_reload(struct pool *pool, struct generation *g,
                                     const struct scrape_config *config, struct err *err);
/* Stops all loops without markers; true once nothing of it is left and it may be freed. */
void pool_stop(struct pool *pool);
bool pool_empty(const struct pool *pool);
/* Loops that still exist are freed with it: no worker may run any more. */
void pool_free(struct pool *pool);

/* From a sync (pool_sync.h). */
void pool_make_client(struct pool *pool);
void pool_check_limit(struct pool *pool, size_t target_count);
/* The loop is in no list any more. */
void pool_stop_loop(struct pool *pool, struct loop *loop, bool markers);

/* From loops. */
void pool_loop_ended(struct loop *loop);
void pool_request_ended(struct pool *pool);
void pool_count_failure(struct pool *pool, enum scrape_failure failure);
/* The header line that tells a target its timeout; borrowed until the next call. */
struct str pool_timeout_line(struct pool *pool, int64_t timeout_ms);

#endif

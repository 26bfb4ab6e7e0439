/* One target's clock: when to scrape, the request, what came of it, and how the target ends
 * (spec/scrape.md sections 2 and 6).
 *
 * Owner: a pool. Everything here runs on the manager's io thread; what the API shows (struct
 * target_report) is written under the pool's lock. */
#ifndef SCRAPE_LOOP_H
#define SCRAPE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/generation.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "base/timer_heap.h"
#include "base/transport.h"
#include "scrape/failure_log.h"
#include "scrape/scrape.h"
#include "scrape/scrape_job.h"
#include "scrape/target.h"
#include "scrape/target_report.h"

struct pool;

/* What loops and pools need of their manager; io thread only. */
struct scrape_io {
    struct storage *storage;
    struct blob_store *blobs; /* what targets know of their pages */
    struct transport *transport;
    struct clock *clock;
    struct log *log;
    struct timer_heap timers; /* of struct loop */
    struct scrape_metrics metrics;
    uint64_t seed;
    bool adjust_timestamps;
    int64_t timestamp_tolerance_ns;
    uint64_t max_body_bytes;
    unsigned features; /* SCRAPE_* bits */
    bool deny_link_local;
    struct str failure_log_file; /* of jobs that name none */
    struct failure_log *failure_log;
    uint32_t next_shard;
    uint32_t shard_count;
    uint64_t waiting_bytes; /* of bodies on their way through the workers */
    void (*submit)(void *manager, uint32_t shard, struct scrape_job *job);
    struct scrape_job *(*take_job)(void *manager);
    void *manager;
};

/* RUNNING -loop_stop-> ENDING: waits for two more ticks and a tenth of the interval, so that a
 * target that comes back in time is not ended -> CLOSING: its ingest is on its way out -> freed. */
enum loop_state { LOOP_RUNNING, LOOP_ENDING, LOOP_CLOSING };

struct loop {
    struct timer timer; /* first: the heap hands it back */
    struct pool *pool;
    struct target *target; /* a reference */
    struct ingest *ingest;
    uint32_t shard;
    enum loop_state state;
    bool missed_tick;  /* one tick waits for the running scrape */
    bool forget_lines; /* at the next scrape */
    bool scraped;
    int ticks_left;        /* ENDING: until the markers are due; 0 = they are */
    int64_t marker_ts_ms;  /* ENDING */
    int64_t ideal_unix_ns; /* of the aligned timestamps; 0 = no scrape yet */
    int64_t last_start_mono_ns;
    int64_t last_work_ns;              /* that its last page took */
    struct transport_request *request; /* while one runs */
    struct scrape_job *job;            /* while a request or a worker has it */
    struct ingest_metadata metadata;   /* as the pool's metrics count it */
    struct {                           /* ending_set.c */
        struct loop *next;
        uint64_t hash;
        size_t place;
    } ending;
    struct target_report report; /* guarded by the pool's mu */
};

/* Starts its clock. target is a reference that is taken. */
struct loop *loop_new(struct pool *pool, struct target *target);
/* A new offset and, if the configuration changed series, new lines. */
void loop_restart(struct loop *loop, bool forget_lines);
/* Continues an ending loop as that of target (taken), whose samples carry the same labels. */
void loop_revive(struct loop *loop, struct target *target);
/* The target is gone. With markers: later, as spec section 6 says; without: at once. The loop
 * calls pool_loop_ended when it may be freed, perhaps from inside. */
void loop_stop(struct loop *loop, bool markers);
void loop_on_timer(struct loop *loop);
/* The worker is done with the loop's job. */
void loop_on_done(struct loop *loop);
/* Without any further work; no worker runs any more. */
void loop_free(struct loop *loop);

#endif

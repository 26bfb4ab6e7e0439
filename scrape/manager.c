/* The scrape manager: configuration and discovery in, pools at work, snapshots out.
 *
 * CONCURRENCY. The io thread alone touches pools, loops, timers and the transport. Others meet it
 * at four places under mu: the configuration to apply (the caller waits for its result), the
 * latest discovery update of each set, the jobs that workers have done, and the list of pools
 * that snapshots read. Lock order: mu, a pool's mu, an ingest's mu. Nothing blocks under a lock.
 *
 *     discovery thread --update--> mu --> io thread --job--> worker of the shard --job--> mu --> io
 *
 * While a shard has no job, the io thread runs those of its targets itself (run_here).
 *
 * Without threads (no_threads) the same code runs inside scrape_manager_step. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "scrape/loop.h"
#include "scrape/metadata.h"
#include "scrape/pool.h"
#include "scrape/pool_sync.h"
#include "scrape/scrape.h"
#include "scrape/target_snapshot.h"
#include "scrape/worker.h"

/* Jobs that are kept for the next requests, and the memory of their bodies. */
enum { SPARE_JOBS = 16, SPARE_BODY_BYTES = 1024 * 1024 };

/* What the io thread runs itself between two looks at its sockets and timers: jobs until they have
 * taken so long together, none with a larger body. One that took very long (a slow disk) sends all
 * to the workers for a while. */
enum {
    OWN_TURN_NS = 1000 * 1000,
    OWN_BODY_BYTES = 1024 * 1024,
    OWN_SLOW_NS = 10 * 1000 * 1000,
    GZIP_GROWTH = 8 /* of a page, roughly */
};
#define OWN_PAUSE_NS (10 * NS_PER_S)

/* Targets and loops of an update that are dealt with in one turn: about a millisecond. */
enum { SYNC_UNITS = 256 };

/* Comments of one target, when metadata is read. */
enum { COMMENTS_MAX = 256 * 1024 * 1024 };

/* The latest update of a set, until the io thread has seen it and after, for pools made later. */
struct set_update {
    struct sd_update *update;
    bool fresh;
};

struct apply_request {
    struct generation *generation;
    const struct scrape_config *configs;
    size_t count;
    struct labels external_labels;
    struct err *err;
    enum err_code code;
    bool done;
};

struct scrape_manager {
    struct scrape_io io; /* io thread */
    struct str fqdn;
    bool threaded, started;
    struct worker **workers;
    struct thread thread;
    struct scrape_job *spare; /* io thread */
    size_t spare_count, spare_body_bytes;
    struct scrape_job *own_done; /* io thread: those it ran itself, newest first */
    int64_t own_turn_ns;         /* io thread: what they took in this turn */
    int64_t own_resume_mono_ns;  /* io thread: until then the workers run all */
    struct pool_sync *sync;      /* io thread: the update that is being followed, or NULL */
    struct pool **leaving;       /* io thread: stopped, with loops that are not freed yet */
    size_t leaving_count;

    struct mutex mu; /* guards what follows */
    struct cond applied;
    bool stop;
    struct apply_request *apply;
    struct set_update *updates;
    size_t update_count;
    bool fresh;              /* one of the updates may be */
    struct scrape_job *done; /* newest first */
    struct pool **pools;     /* in order of the configuration; changed by the io thread only */
    size_t pool_count;
};

/* ---- seams for loops ---- */

/* A page of a target that was scraped before, and not a large one: its lines are known, and reading
 * them takes microseconds. A target whose lines are new ones each time is known by its last page. */
static bool is_quick(const struct scrape_job *job) {
    const size_t bytes = job->coding != CODING_NONE ? job->body.len * GZIP_GROWTH : job->body.len;
    const struct loop *const loop = job->loop;
    return job->kind == JOB_SCRAPE && !job->forget_lines && bytes <= OWN_BODY_BYTES &&
           loop->last_work_ns <= OWN_SLOW_NS && (bytes == 0 || ingest_line_count(job->ingest) > 0);
}

/* Runs the job on the io thread if that delays nothing else. */
static bool run_here(struct scrape_manager *m, struct worker *worker, struct scrape_job *job) {
    if (m->own_turn_ns >= OWN_TURN_NS || !is_quick(job)) {
        return false;
    }
    const int64_t start_ns = clock_mono_ns(m->io.clock);
    if (start_ns < m->own_resume_mono_ns || !worker_try(worker, job)) {
        return false;
    }
    const int64_t end_ns = clock_mono_ns(m->io.clock);
    m->own_turn_ns += end_ns - start_ns;
    if (end_ns - start_ns > OWN_SLOW_NS) {
        m->own_resume_mono_ns = end_ns + OWN_PAUSE_NS;
    }
    job->was_run_here = true;
    job->next = m->own_done;
    m->own_done = job;
    return true;
}

static void submit(void *ctx, uint32_t shard, struct scrape_job *job) {
    struct scrape_manager *const m = ctx;
    struct worker *const worker = m->workers[shard];
    if (!run_here(m, worker, job)) {
        worker_push(worker, job);
    }
}

static struct scrape_job *take_job(void *ctx) {
    struct scrape_manager *const m = ctx;
    struct scrape_job *const job = m->spare;
    if (job == NULL) {
        return scrape_job_new();
    }
    m->spare = job->next;
    m->spare_count--;
    m->spare_body_bytes -= job->body.capacity;
    job->next = NULL;
    return job;
}

static void give_job(void *ctx, struct scrape_job *job) {
    struct scrape_manager *const m = ctx;
    if (m->spare_count == SPARE_JOBS) {
        scrape_job_free(job);
        return;
    }
    scrape_job_clear(job);
    if (m->spare_body_bytes + job->body.capacity > SPARE_BODY_BYTES) {
        buf_release(&job->body);
    }
    m->spare_body_bytes += job->body.capacity;
    job->next = m->spare;
    m->spare = job;
    m->spare_count++;
}

/* On a worker. */
static void job_done(void *ctx, struct scrape_job *job) {
    struct scrape_manager *const m = ctx;
    mutex_lock(&m->mu);
    const bool first = m->done == NULL;
    job->next = m->done;
    m->done = job;
    mutex_unlock(&m->mu);
    if (first && m->threaded) {
        transport_wake(m->io.transport);
    }
}

/* ---- construction ---- */

static void init_io(struct scrape_manager *m, const struct scrape_options *options) {
    struct scrape_io *const io = &m->io;
    io->storage = options->storage;
    io->blobs = blob_store_new();
    io->transport = options->transport;
    io->clock = options->clock;
    io->log = options->log;
    io->seed = target_offset_seed(options->fqdn, (struct labels){NULL, 0});
    io->adjust_timestamps = options->adjust_timestamps;
    io->timestamp_tolerance_ns = options->timestamp_tolerance_ns;
    io->max_body_bytes = options->max_body_bytes;
    io->features = options->features;
    io->deny_link_local = options->deny_link_local;
    io->failure_log = failure_log_new(options->vfs != NULL ? options->vfs : vfs_system(),
                                      options->log, options->registry, !options->no_threads);
    io->failure_log_file =
        (struct str){mem_strndup(options->failure_log_file.ptr, options->failure_log_file.len),
                     options->failure_log_file.len};
    io->shard_count = storage_shard_count(options->storage);
    io->submit = submit;
    io->take_job = take_job;
    io->manager = m;
    scrape_metrics_init(&io->metrics, options->registry);
}

struct scrape_manager *scrape_manager_new(const struct scrape_options *options) {
    struct scrape_manager *const m = mem_zalloc(sizeof(*m));
    ASSERT(options->max_body_bytes > 0 && options->max_body_bytes < UINT32_MAX);
    m->threaded = !options->no_threads;
    m->fqdn = (struct str){mem_strndup(options->fqdn.ptr, options->fqdn.len), options->fqdn.len};
    init_io(m, options);
    ASSERT(m->io.shard_count > 0);
    m->workers = mem_array(m->io.shard_count, sizeof(struct worker *));
    mutex_init(&m->mu);
    cond_init(&m->applied);
    for (uint32_t i = 0; i < m->io.shard_count; i++) {
        m->workers[i] = worker_new(i, m->threaded, job_done, m);
    }
    return m;
}

/* ---- configuration ---- */

static void end_sync(struct scrape_manager *m) {
    pool_sync_free(m->sync);
    m->sync = NULL;
}

/* What a sync makes is of the configuration that it began with. */
static void complete_sync(struct scrape_manager *m) {
    for (size_t units = SIZE_MAX; m->sync != NULL && !pool_sync_step(m->sync, &units);) {
        end_sync(m);
    }
}

static struct pool *find_pool(struct pool **pools, size_t n, struct str job) {
    for (size_t i = 0; i < n; i++) {
        if (pools[i] != NULL && str_eq(pools[i]->job, job)) {
            return pools[i];
        }
    }
    return NULL;
}

/* Moves the pools that are left in old to the leaving ones. */
static void stop_pools(struct scrape_manager *m, struct pool **old, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (old[i] == NULL) {
            continue;
        }
        m->leaving = mem_resize(m->leaving, m->leaving_count + 1, sizeof(struct pool *));
        m->leaving[m->leaving_count++] = old[i];
        pool_stop(old[i]);
    }
}

static void free_left_pools(struct scrape_manager *m) {
    for (size_t i = m->leaving_count; i-- > 0;) {
        if (pool_empty(m->leaving[i])) {
            struct pool *const pool = m->leaving[i];
            m->leaving[i] = m->leaving[--m->leaving_count];
            pool_free(pool);
        }
    }
}

/* A new pool starts with the latest update of its set, if there was one. */
static void wake_updates(struct scrape_manager *m, struct str job) {
    mutex_lock(&m->mu);
    for (size_t i = 0; i < m->update_count; i++) {
        m->updates[i].fresh |= str_eq(sd_update_set_name(m->updates[i].update), job);
    }
    m->fresh = true;
    mutex_unlock(&m->mu);
}

static void forget_updates(struct scrape_manager *m) REQUIRES(m->mu) {
    for (size_t i = m->update_count; i-- > 0;) {
        struct sd_update *const update = m->updates[i].update;
        if (find_pool(m->pools, m->pool_count, sd_update_set_name(update)) == NULL) {
            sd_update_unref(update);
            m->updates[i] = m->updates[--m->update_count];
        }
    }
}

static enum err_code apply_now(struct scrape_manager *m, const struct apply_request *request) {
    complete_sync(m);
    struct pool **const old = m->pools;
    const size_t old_count = m->pool_count;
    struct pool **const pools = mem_array(request->count + 1, sizeof(struct pool *));
    enum err_code failed = ERR_OK;
    m->io.seed = target_offset_seed(m->fqdn, request->external_labels);
    failure_log_reopen(m->io.failure_log);
    struct pool **const rest = mem_array(old_count + 1, sizeof(struct pool *));
    if (old_count > 0) {
        memcpy(rest, old, old_count * sizeof(struct pool *));
    }
    for (size_t i = 0; i < request->count; i++) {
        const struct scrape_config *const config = &request->configs[i];
        struct pool *pool = find_pool(rest, old_count, config->job_name);
        if (pool == NULL) {
            pool = pool_new(&m->io, request->generation, config);
            wake_updates(m, config->job_name);
        } else {
            for (size_t j = 0; j < old_count; j++) {
                rest[j] = rest[j] == pool ? NULL : rest[j];
            }
            struct err err;
            const enum err_code code = pool_reload(pool, request->generation, config, &err);
            if (code != ERR_OK) {
                log_error(m->io.log, "scrape manager", "error reloading scrape pool", log_err(&err),
                          log_str("scrape_pool", config->job_name));
                failed = code;
            }
        }
        pools[i] = pool;
    }
    mutex_lock(&m->mu);
    m->pools = pools;
    m->pool_count = request->count;
    forget_updates(m);
    mutex_unlock(&m->mu);
    stop_pools(m, rest, old_count);
    mem_free(rest);
    mem_free(old);
    return failed == ERR_OK
               ? ERR_OK
               : err_set(request->err, failed, "failed to apply the new configuration");
}

static void handle_apply(struct scrape_manager *m) {
    mutex_lock(&m->mu);
    struct apply_request *const request = m->apply;
    m->apply = NULL;
    mutex_unlock(&m->mu);
    if (request == NULL) {
        return;
    }
    const enum err_code code = apply_now(m, request);
    mutex_lock(&m->mu);
    request->code = code;
    request->done = true;
    cond_broadcast(&m->applied);
    mutex_unlock(&m->mu);
}

enum err_code scrape_manager_apply(struct scrape_manager *m, struct generation *g,
                                   const struct scrape_config *configs, size_t n,
                                   struct labels external_labels, struct err *err) {
    struct apply_request request = {.generation = g,
                                    .configs = configs,
                                    .count = n,
                                    .external_labels = external_labels,
                                    .err = err};
    if (!m->threaded || !m->started) {
        return apply_now(m, &request);
    }
    mutex_lock(&m->mu);
    m->apply = &request;
    mutex_unlock(&m->mu);
    transport_wake(m->io.transport);
    mutex_lock(&m->mu);
    while (!request.done) {
        cond_wait(&m->applied, &m->mu);
    }
    mutex_unlock(&m->mu);
    return request.code;
}

/* ---- discovery ---- */

void scrape_manager_update(void *manager, struct sd_update *update) {
    struct scrape_manager *const m = manager;
    struct sd_update *old = NULL;
    size_t i = 0;
    mutex_lock(&m->mu);
    while (i < m->update_count &&
           !str_eq(sd_update_set_name(m->updates[i].update), sd_update_set_name(update))) {
        i++;
    }
    if (i == m->update_count) {
        m->updates = mem_resize(m->updates, i + 1, sizeof(m->updates[0]));
        m->update_count++;
    } else {
        old = m->updates[i].update;
    }
    m->updates[i] = (struct set_update){sd_update_ref(update), true};
    m->fresh = true;
    mutex_unlock(&m->mu);
    sd_update_unref(old);
    if (m->threaded) {
        transport_wake(m->io.transport);
    }
}

/* The next update that a pool has not seen, as a reference; NULL when there is none. */
static struct sd_update *take_update(struct scrape_manager *m, struct pool **out_pool) {
    struct sd_update *found = NULL;
    mutex_lock(&m->mu);
    for (size_t i = 0; m->fresh && i < m->update_count && found == NULL; i++) {
        struct sd_update *const update = m->updates[i].update;
        struct pool *const pool = find_pool(m->pools, m->pool_count, sd_update_set_name(update));
        if (m->updates[i].fresh && pool != NULL) {
            m->updates[i].fresh = false;
            found = sd_update_ref(update);
            *out_pool = pool;
        }
    }
    m->fresh = found != NULL;
    mutex_unlock(&m->mu);
    return found;
}

static bool begin_sync(struct scrape_manager *m) {
    struct pool *pool = NULL;
    struct sd_update *const update = take_update(m, &pool);
    m->sync = update != NULL ? pool_sync_new(pool, update) : NULL;
    sd_update_unref(update);
    return m->sync != NULL;
}

/* A slice of what is to be done; whether that was not all. */
static bool handle_updates(struct scrape_manager *m) {
    size_t units = SYNC_UNITS;
    while (m->sync != NULL || begin_sync(m)) {
        if (units == 0) {
            return true;
        }
        if (!pool_sync_step(m->sync, &units)) {
            end_sync(m);
        }
    }
    return false;
}

/* ---- work ---- */

static void end_jobs(struct scrape_manager *m, struct scrape_job *job) {
    while (job != NULL) {
        struct scrape_job *const next = job->next;
        loop_on_done(job->loop);
        give_job(m, job);
        job = next;
    }
}

static bool handle_done(struct scrape_manager *m) {
    mutex_lock(&m->mu);
    struct scrape_job *const done = m->done;
    m->done = NULL;
    mutex_unlock(&m->mu);
    struct scrape_job *const own = m->own_done;
    m->own_done = NULL;
    end_jobs(m, done);
    end_jobs(m, own);
    return done != NULL || own != NULL;
}

static void handle_timers(struct scrape_manager *m) {
    const int64_t now = clock_mono_ns(m->io.clock);
    for (struct timer *t = timer_heap_first(&m->io.timers); t != NULL && t->due_mono_ns <= now;
         t = timer_heap_first(&m->io.timers)) {
        loop_on_timer((struct loop *)(void *)t);
    }
}

/* All that can be done without waiting, but for the rest of a large update; the monotonic time of
 * the next timer, or now. */
static int64_t work(struct scrape_manager *m) {
    handle_apply(m);
    const bool more = handle_updates(m);
    do {
        handle_timers(m);
    } while (handle_done(m));
    free_left_pools(m);
    const struct timer *const first = timer_heap_first(&m->io.timers);
    if (more) {
        return clock_mono_ns(m->io.clock);
    }
    return first != NULL ? first->due_mono_ns : INT64_MAX;
}

static bool stopping(struct scrape_manager *m) {
    mutex_lock(&m->mu);
    const bool stop = m->stop;
    mutex_unlock(&m->mu);
    return stop;
}

static void run(void *ctx) {
    struct scrape_manager *const m = ctx;
    while (!stopping(m)) {
        const int64_t due = work(m);
        const int64_t now = clock_mono_ns(m->io.clock);
        const int64_t wait = due == INT64_MAX ? -1 : due > now ? due - now : 0;
        m->own_turn_ns = 0;
        transport_poll(m->io.transport, wait);
    }
}

int64_t scrape_manager_step(struct scrape_manager *m) {
    ASSERT(!m->threaded);
    (void)work(m);
    transport_poll(m->io.transport, 0);
    return work(m);
}

void scrape_manager_start(struct scrape_manager *m) {
    ASSERT(!m->started);
    m->started = true;
    if (m->threaded) {
        thread_start(&m->thread, "scrape-io", run, m);
    }
}

static void join(struct scrape_manager *m) {
    if (m->threaded && m->started) {
        mutex_lock(&m->mu);
        m->stop = true;
        mutex_unlock(&m->mu);
        transport_wake(m->io.transport);
        thread_join(&m->thread);
    }
    for (uint32_t i = 0; i < m->io.shard_count; i++) {
        worker_free(m->workers[i]);
    }
    mem_free(m->workers);
}

/* Jobs that were done after the io thread stopped: only their memory is of interest. */
static void discard_jobs(struct scrape_job *job) {
    while (job != NULL) {
        struct scrape_job *const next = job->next;
        struct loop *const loop = job->loop;
        if (loop != NULL) {
            loop->job = NULL;
        }
        scrape_job_free(job);
        job = next;
    }
}

void scrape_manager_free(struct scrape_manager *m) {
    if (m == NULL) {
        return;
    }
    join(m);
    discard_jobs(m->done);
    discard_jobs(m->own_done);
    discard_jobs(m->spare);
    pool_sync_free(m->sync);
    for (size_t i = 0; i < m->pool_count; i++) {
        pool_free(m->pools[i]);
    }
    for (size_t i = 0; i < m->leaving_count; i++) {
        pool_free(m->leaving[i]);
    }
    for (size_t i = 0; i < m->update_count; i++) {
        sd_update_unref(m->updates[i].update);
    }
    failure_log_free(m->io.failure_log);
    mem_free((void *)(uintptr_t)m->io.failure_log_file.ptr);
    blob_store_free(m->io.blobs);
    timer_heap_release(&m->io.timers);
    transport_free(m->io.transport);
    cond_release(&m->applied);
    mutex_release(&m->mu);
    mem_free(m->pools);
    mem_free(m->leaving);
    mem_free(m->updates);
    mem_free((void *)(uintptr_t)m->fqdn.ptr);
    mem_free(m);
}

/* ---- what the API shows ---- */

void scrape_targets(struct scrape_manager *m, struct arena *arena, struct targets_snapshot *out) {
    mutex_lock(&m->mu);
    target_snapshot_take(m->pools, m->pool_count, arena, out);
    mutex_unlock(&m->mu);
}

/* Comments and labels of the target at *at, which counts through all pools; false at the end. */
static bool copy_comments(struct scrape_manager *m, size_t *pool_at, size_t *loop_at,
                          struct buf *comments, enum expo_format *out_format, struct arena *arena,
                          struct labels *out_target) {
    bool found = false;
    mutex_lock(&m->mu);
    while (!found && *pool_at < m->pool_count) {
        struct pool *const pool = m->pools[*pool_at];
        mutex_lock(&pool->mu);
        if (*loop_at < pool->loop_count) {
            const struct loop *const loop = pool->loops[(*loop_at)++];
            *out_target = labels_copy(arena, loop->target->labels);
            *out_format = ingest_copy_comments(loop->ingest, comments);
            found = true;
        } else {
            (*pool_at)++;
            *loop_at = 0;
        }
        mutex_unlock(&pool->mu);
    }
    mutex_unlock(&m->mu);
    return found;
}

void scrape_each_metadata(struct scrape_manager *m, struct str family,
                          bool (*fn)(void *ctx, const struct metric_metadata *md), void *ctx) {
    struct arena arena;
    struct buf comments;
    size_t pool_at = 0;
    size_t loop_at = 0;
    arena_init(&arena, 0);
    buf_init(&comments, COMMENTS_MAX);
    for (bool go_on = true; go_on;) {
        struct labels target = {NULL, 0};
        enum expo_format format = EXPO_FORMAT_TEXT;
        buf_clear(&comments);
        go_on = copy_comments(m, &pool_at, &loop_at, &comments, &format, &arena, &target) &&
                metadata_each(buf_str(&comments), format, target, family, &arena, fn, ctx);
        arena_reset(&arena);
    }
    buf_release(&comments);
    arena_release(&arena);
}

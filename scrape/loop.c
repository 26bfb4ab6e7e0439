#include "scrape/loop.h"

#include "base/check.h"
#include "base/mem.h"
#include "scrape/pool.h"

/* While bodies of so many bytes wait for workers, new scrapes fail rather than pile up. */
#define WAITING_BYTES_MAX (UINT64_C(1) << 30)

/* Slots of an interval, and targets in a slot, roughly. */
enum { SLOTS_MIN = 16, SLOTS_MAX = 1 << 20, SLOT_TARGETS = 16 };

static struct scrape_io *io_of(const struct loop *loop) {
    return loop->pool->io;
}

static int64_t interval_ns(const struct loop *loop) {
    return loop->target->interval_ms * NS_PER_MS;
}

/* Scrapes of several targets at one time cost less than the same ones apart: one wake-up, and warm
 * code and caches for all but the first. So the interval is divided into at least SLOTS_MIN slots,
 * a power of two so that coarser and finer slots begin together, with a few targets in each. */
static int64_t slot_ns(const struct loop *loop) {
    size_t slots = SLOTS_MIN;
    while (slots < SLOTS_MAX && slots * SLOT_TARGETS < loop->pool->target_count) {
        slots *= 2;
    }
    return interval_ns(loop) / (int64_t)slots;
}

/* At the beginning of the slot behind the target's own point in the interval. */
static void schedule_first(struct loop *loop) {
    struct scrape_io *const io = io_of(loop);
    const int64_t unix_ns = clock_unix_ns(io->clock);
    const int64_t mono_ns = clock_mono_ns(io->clock);
    const int64_t offset =
        target_offset_ns(loop->target, loop->target->interval_ms, loop->pool->seed, unix_ns);
    const int64_t slot = slot_ns(loop);
    const int64_t after_slot = (unix_ns + offset) % interval_ns(loop) % slot;
    int64_t wait = offset + (after_slot > 0 ? slot - after_slot : 0);
    wait = wait > interval_ns(loop) ? wait - interval_ns(loop) : wait;
    loop->ideal_unix_ns = 0;
    loop->missed_tick = false;
    timer_heap_set(&io->timers, &loop->timer, mono_ns + wait);
}

struct loop *loop_new(struct pool *pool, struct target *target) {
    struct loop *const loop = mem_zalloc(sizeof(*loop));
    struct scrape_io *const io = pool->io;
    loop->pool = pool;
    loop->target = target;
    loop->shard = io->next_shard++ % io->shard_count;
    loop->ingest = ingest_new(io->storage, loop->shard);
    ingest_use_blobs(loop->ingest, io->blobs);
    schedule_first(loop);
    return loop;
}

void loop_free(struct loop *loop) {
    if (loop->request != NULL) {
        transport_cancel(io_of(loop)->transport, loop->request);
        loop->pool->request_count--;
    }
    scrape_job_free(loop->job);
    timer_heap_remove(&io_of(loop)->timers, &loop->timer);
    ingest_free(loop->ingest);
    target_unref(loop->target);
    target_report_release(&loop->report);
    mem_free(loop);
}

void loop_restart(struct loop *loop, bool forget_lines) {
    loop->forget_lines |= forget_lines;
    schedule_first(loop);
}

void loop_revive(struct loop *loop, struct target *target) {
    ASSERT(loop->state == LOOP_ENDING);
    target_unref(loop->target);
    loop->target = target;
    loop->state = LOOP_RUNNING;
    target_report_clear(&loop->report);
    loop_restart(loop, true);
}

/* ---- a scrape ---- */

/* Scrapes that come within the tolerance of their ideal time carry it, so that timestamps are
 * exactly an interval apart and compress to nothing. */
static int64_t sample_time_ns(struct loop *loop, int64_t now_ns) {
    const struct scrape_io *const io = io_of(loop);
    const int64_t interval = interval_ns(loop);
    if (now_ns < loop->ideal_unix_ns) { /* a clock set back */
        loop->ideal_unix_ns = now_ns;
    }
    loop->ideal_unix_ns += (now_ns - loop->ideal_unix_ns) / interval * interval;
    const int64_t tolerance =
        interval / 100 < io->timestamp_tolerance_ns ? interval / 100 : io->timestamp_tolerance_ns;
    const bool close = now_ns - loop->ideal_unix_ns <= tolerance;
    return io->adjust_timestamps && close ? loop->ideal_unix_ns : now_ns;
}

static struct scrape_job *new_job(struct loop *loop, enum job_kind kind) {
    struct pool *const pool = loop->pool;
    struct scrape_io *const io = pool->io;
    struct scrape_job *const job = io->take_job(io->manager);
    job->kind = kind;
    job->loop = loop;
    job->ingest = loop->ingest;
    job->target = target_ref(loop->target);
    job->generation = generation_ref(pool->generation);
    job->config = pool->config;
    job->metrics = &io->metrics;
    job->clock = io->clock;
    job->log = io->log;
    job->max_body_bytes = io->max_body_bytes;
    job->features = io->features;
    return job;
}

static void submit(struct loop *loop) {
    struct scrape_io *const io = io_of(loop);
    loop->job->waiting_bytes = loop->job->body.capacity;
    io->waiting_bytes += loop->job->waiting_bytes;
    io->submit(io->manager, loop->shard, loop->job);
}

static void on_answer(void *ctx, struct http_response *response) {
    struct loop *const loop = ctx;
    loop->request = NULL;
    scrape_job_answer(loop->job, response);
    pool_request_ended(loop->pool);
    submit(loop);
    if (loop->job->was_run_here) { /* its buffer may serve the next answer at once */
        scrape_job_return_body(loop->job, response);
    }
}

/* body_size_limit is of the page itself; compression can make a small one larger. */
static uint64_t transfer_limit(const struct pool *pool) {
    enum { GZIP_OVERHEAD_BYTES = 1024 };
    const uint64_t most = pool->io->max_body_bytes;
    const uint64_t limit = pool->config->body_size_limit;
    return limit == 0 || limit >= most / 2 ? most : limit + limit / 8 + GZIP_OVERHEAD_BYTES;
}

static enum err_code start_request(struct loop *loop, struct err *err) {
    struct pool *const pool = loop->pool;
    const struct target *const target = loop->target;
    const struct str headers[] = {
        str_of(pool->accept),
        pool->config->enable_compression ? STR("Accept-Encoding: gzip, zstd;q=0.5")
                                         : STR("Accept-Encoding: identity"),
        pool_timeout_line(pool, target->timeout_ms),
    };
    const struct http_request request = {
        .method = "GET",
        .url = target->url,
        .unix_socket = target->unix_socket,
        .headers = headers,
        .header_count = COUNT_OF(headers),
        .timeout_ms = target->timeout_ms,
        .deny_link_local = pool->io->deny_link_local,
        .max_body_bytes = transfer_limit(pool),
    };
    if (pool->client == NULL) {
        return err_set(err, ERR_UNAVAILABLE, "scrape pool has no HTTP client");
    }
    return transport_start(pool->io->transport, pool->client, &request, on_answer, loop,
                           &loop->request, err);
}

/* Ticks count from when the first scrape was due, so that those of a slot stay together, but from
 * the scrape itself if it was late by more than a slot. The wall clock was read first: ticks that
 * came early would never meet their ideal time. */
static void start_ticks(struct loop *loop, int64_t unix_ns, int64_t mono_ns) {
    const int64_t late_ns = mono_ns - (loop->timer.due_mono_ns - interval_ns(loop));
    loop->ideal_unix_ns = unix_ns;
    if (late_ns >= 0 && late_ns <= slot_ns(loop)) {
        loop->ideal_unix_ns -= late_ns;
    } else {
        timer_heap_set(&io_of(loop)->timers, &loop->timer, mono_ns + interval_ns(loop));
    }
}

static void scrape(struct loop *loop) {
    struct pool *const pool = loop->pool;
    const int64_t unix_ns = clock_unix_ns(pool->io->clock);
    const int64_t mono_ns = clock_mono_ns(pool->io->clock);
    struct scrape_job *const job = new_job(loop, JOB_SCRAPE);
    loop->job = job;
    job->start_unix_ns = unix_ns;
    job->start_mono_ns = mono_ns;
    if (loop->ideal_unix_ns == 0) {
        start_ticks(loop, unix_ns, mono_ns);
    }
    job->ts_ms = sample_time_ns(loop, job->start_unix_ns) / NS_PER_MS;
    job->forget_lines = loop->forget_lines;
    loop->forget_lines = false;
    if (loop->scraped) {
        const double interval_s = (double)(job->start_mono_ns - loop->last_start_mono_ns) / 1e9;
        metric_summarize(pool->metrics.interval_length, interval_s);
        metric_observe(pool->metrics.interval_histogram, interval_s);
    }
    loop->scraped = true;
    loop->last_start_mono_ns = job->start_mono_ns;
    if (pool->limit_error != NULL) {
        job->failure = FAILURE_TARGET_LIMIT;
        job->code = err_set(&job->err, ERR_LIMIT, "%s", pool->limit_error);
    } else if (pool->io->waiting_bytes > WAITING_BYTES_MAX) {
        job->failure = FAILURE_OVERLOAD;
        job->code = err_set(&job->err, ERR_LIMIT, "too many scraped bytes wait to be ingested");
    } else {
        job->code = start_request(loop, &job->err);
        job->failure = job->code != ERR_OK ? FAILURE_REQUEST : FAILURE_NONE;
        pool->request_count += job->code == ERR_OK;
    }
    if (job->code != ERR_OK) {
        submit(loop);
    }
}

/* One line when a target's state changes, however long it stays so. */
static void log_change(struct log *log, const struct scrape_job *job) {
    const struct str pool = job->config->job_name;
    if (job->code == ERR_OK) {
        log_info(log, "scrape manager", "Target is up again", log_str("scrape_pool", pool),
                 log_str("target", job->target->url));
    } else {
        log_warn(log, "scrape manager", "Target is down", log_str("scrape_pool", pool),
                 log_str("target", job->target->url),
                 log_str("reason", scrape_failure_name(job->failure)), log_err(&job->err));
    }
}

/* Whether the page did not arrive as a whole; what is wrong with its text is another matter. */
static bool is_of_fetch(enum scrape_failure failure) {
    return failure > FAILURE_NONE && failure <= FAILURE_ENCODING;
}

static void log_failure(const struct loop *loop, const struct scrape_job *job) {
    struct scrape_io *const io = io_of(loop);
    const struct str own = job->config->failure_log_file;
    const struct str path = own.len > 0 ? own : io->failure_log_file;
    if (path.len > 0 && is_of_fetch(job->failure)) {
        failure_log_write(io->failure_log, path, clock_unix_ns(io->clock), job->config->job_name,
                          job->target->url, str_of(job->err.text));
    }
}

/* The job's share of what all targets of the pool know of families. */
static void count_metadata(struct loop *loop, struct ingest_metadata now) {
    struct pool_metrics *const m = &loop->pool->metrics;
    if (now.families != loop->metadata.families || now.bytes != loop->metadata.bytes) {
        metric_add(m->metadata_entries, (double)now.families - (double)loop->metadata.families);
        metric_add(m->metadata_bytes, (double)now.bytes - (double)loop->metadata.bytes);
        loop->metadata = now;
    }
}

static void record(struct loop *loop, const struct scrape_job *job) {
    count_metadata(loop, job->metadata);
    mutex_lock(&loop->pool->mu);
    const bool changed = target_report_add(&loop->report, job);
    mutex_unlock(&loop->pool->mu);
    if (changed) {
        log_change(io_of(loop)->log, job);
    }
    if (job->code != ERR_OK) {
        pool_count_failure(loop->pool, job->failure);
        log_failure(loop, job);
    }
}

/* ---- the end ---- */

/* Hands the ingest to its worker for the last time. */
static void close_ingest(struct loop *loop, bool markers) {
    ASSERT(loop->job == NULL);
    loop->state = LOOP_CLOSING;
    count_metadata(loop, (struct ingest_metadata){0});
    timer_heap_remove(&io_of(loop)->timers, &loop->timer);
    loop->job = new_job(loop, JOB_END);
    loop->job->write_markers = markers;
    loop->job->ts_ms = loop->marker_ts_ms;
    loop->ingest = NULL;
    submit(loop);
}

void loop_stop(struct loop *loop, bool markers) {
    loop->missed_tick = false;
    if (markers && loop->scraped) {
        loop->state = LOOP_ENDING;
        loop->ticks_left = 3;
        return; /* its timer goes on */
    }
    loop->state = LOOP_ENDING;
    loop->ticks_left = 0;
    loop->scraped = false;
    timer_heap_remove(&io_of(loop)->timers, &loop->timer);
    if (loop->job == NULL) {
        close_ingest(loop, false);
    }
}

/* First tick: the markers' time. Second: one more interval for a target that comes back. Then a
 * tenth of the interval. */
static void end_tick(struct loop *loop) {
    struct scrape_io *const io = io_of(loop);
    loop->ticks_left--;
    if (loop->ticks_left == 2) {
        loop->marker_ts_ms = clock_unix_ns(io->clock) / NS_PER_MS;
    }
    if (loop->ticks_left > 0) {
        const int64_t wait = loop->ticks_left == 2 ? interval_ns(loop) : interval_ns(loop) / 10;
        timer_heap_set(&io->timers, &loop->timer, loop->timer.due_mono_ns + wait);
        return;
    }
    timer_heap_remove(&io->timers, &loop->timer);
    if (loop->job == NULL) {
        close_ingest(loop, true);
    }
}

/* ---- events ---- */

void loop_on_timer(struct loop *loop) {
    struct scrape_io *const io = io_of(loop);
    if (loop->state != LOOP_RUNNING) {
        end_tick(loop);
        return;
    }
    const int64_t late = clock_mono_ns(io->clock) - loop->timer.due_mono_ns;
    const int64_t ticks = late > 0 ? late / interval_ns(loop) + 1 : 1;
    timer_heap_set(&io->timers, &loop->timer, loop->timer.due_mono_ns + ticks * interval_ns(loop));
    if (loop->job != NULL) {
        loop->missed_tick = true;
        return;
    }
    scrape(loop);
}

void loop_on_done(struct loop *loop) {
    struct scrape_io *const io = io_of(loop);
    struct scrape_job *const job = loop->job;
    loop->job = NULL;
    ASSERT(job->waiting_bytes <= io->waiting_bytes);
    io->waiting_bytes -= job->waiting_bytes;
    if (loop->state == LOOP_CLOSING) {
        pool_loop_ended(loop);
        return;
    }
    record(loop, job);
    loop->last_work_ns = job->work_ns;
    if (loop->state == LOOP_ENDING) {
        if (loop->ticks_left == 0) {
            close_ingest(loop, loop->scraped);
        }
        return;
    }
    if (loop->missed_tick) {
        loop->missed_tick = false;
        scrape(loop);
    }
}

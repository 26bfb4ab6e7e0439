#include "scrape/pool.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/number.h"
#include "scrape/config_equal.h"
#include "scrape/content_type.h"

/* Scratch memory for one target's labels. */
enum { SYNC_SCRATCH_BYTES = 64 * 1024 };

/* ---- configuration ---- */

static char *make_accept(const struct scrape_io *io, const struct scrape_config *config) {
    struct buf line;
    size_t n = 0;
    buf_init(&line, 64 * 1024);
    buf_append_cstr(&line, "Accept: ");
    accept_header_append(&line, config, io->features);
    ASSERT(buf_ok(&line));
    return buf_take(&line, &n);
}

static void make_client(struct pool *pool) {
    struct err err;
    metric_inc(pool->io->metrics.pools_total);
    const enum err_code code = transport_client_new(pool->io->transport, &pool->config->http,
                                                    pool->generation, &pool->client, &err);
    if (code != ERR_OK) {
        metric_inc(pool->io->metrics.pools_failed_total);
        log_error(pool->io->log, "scrape manager", "error creating new scrape pool", log_err(&err),
                  log_str("scrape_pool", pool->config->job_name));
    }
}

struct pool *pool_new(struct scrape_io *io, struct generation *g,
                      const struct scrape_config *config) {
    struct pool *const pool = mem_zalloc(sizeof(*pool));
    pool->io = io;
    pool->job =
        (struct str){mem_strndup(config->job_name.ptr, config->job_name.len), config->job_name.len};
    pool->generation = generation_ref(g);
    pool->config = config;
    pool->seed = io->seed;
    pool->accept = make_accept(pool->io, config);
    mutex_init(&pool->mu);
    pool_metrics_init(&pool->metrics, io->metrics.registry, config->job_name, config->interval_ms);
    metric_set(pool->metrics.target_limit, (double)config->target_limit);
    make_client(pool);
    return pool;
}

static void free_old_clients(struct pool *pool) {
    for (size_t i = 0; i < pool->old_client_count; i++) {
        transport_client_free(pool->io->transport, pool->old_clients[i]);
    }
    mem_free(pool->old_clients);
    pool->old_clients = NULL;
    pool->old_client_count = 0;
}

/* Requests may still use the old client. */
static void replace_client(struct pool *pool, struct transport_client *client) {
    if (pool->client != NULL) {
        pool->old_clients = mem_resize(pool->old_clients, pool->old_client_count + 1,
                                       sizeof(struct transport_client *));
        pool->old_clients[pool->old_client_count++] = pool->client;
    }
    pool->client = client;
    if (pool->request_count == 0) {
        free_old_clients(pool);
    }
}

void pool_request_ended(struct pool *pool) {
    ASSERT(pool->request_count > 0);
    if (--pool->request_count == 0) {
        free_old_clients(pool);
    }
}

void pool_count_failure(struct pool *pool, enum scrape_failure failure) {
    metric_inc(
        pool_metrics_failures(&pool->metrics, pool->io->metrics.registry, pool->job, failure));
}

struct str pool_timeout_line(struct pool *pool, int64_t timeout_ms) {
    if (timeout_ms != pool->timeout_line_ms) {
        char number[NUMBER_TEXT_MAX];
        const size_t digits = number_format_f((double)timeout_ms / 1000, number);
        (void)snprintf(pool->timeout_line, sizeof(pool->timeout_line),
                       "X-Prometheus-Scrape-Timeout-Seconds: %.*s",
                       (int)(digits < 32 ? digits : 32), number);
        pool->timeout_line_ms = timeout_ms;
    }
    return str_of(pool->timeout_line);
}

static void check_target_limit(struct pool *pool) {
    const uint64_t limit = pool->config->target_limit;
    mem_free(pool->limit_error);
    pool->limit_error = NULL;
    if (limit != 0 && pool->loop_count > limit) {
        char text[128];
        (void)snprintf(text, sizeof(text),
                       "target_limit exceeded (number of targets: %zu, limit: %llu)",
                       pool->loop_count, (unsigned long long)limit);
        pool->limit_error = mem_strdup(text);
        metric_inc(pool->io->metrics.pool_exceeded_target_limit_total);
    }
}

enum err_code pool_reload(struct pool *pool, struct generation *g,
                          const struct scrape_config *config, struct err *err) {
    const enum config_difference difference = scrape_config_compare(pool->config, config);
    if (difference == CONFIG_SAME) {
        return ERR_OK;
    }
    const int64_t start_ns = clock_mono_ns(pool->io->clock);
    metric_inc(pool->io->metrics.pool_reloads_total);
    if (pool->client == NULL || !http_config_equal(&pool->config->http, &config->http)) {
        struct transport_client *client = NULL;
        const enum err_code code =
            transport_client_new(pool->io->transport, &config->http, g, &client, err);
        if (code != ERR_OK) {
            metric_inc(pool->io->metrics.pool_reloads_failed_total);
            return err_wrap(err, "scrape pool %.*s", STR_ARG(config->job_name));
        }
        replace_client(pool, client);
    }
    struct generation *const old = pool->generation;
    mutex_lock(&pool->mu);
    pool->generation = generation_ref(g);
    pool->config = config;
    mutex_unlock(&pool->mu);
    generation_unref(old);
    mem_free(pool->accept);
    pool->accept = make_accept(pool->io, config);
    metric_set(pool->metrics.target_limit, (double)config->target_limit);
    check_target_limit(pool);
    for (size_t i = 0; i < pool->loop_count; i++) {
        loop_restart(pool->loops[i], difference == CONFIG_OTHER);
    }
    pool_metrics_interval(&pool->metrics, pool->io->metrics.registry, config->interval_ms);
    metric_summarize(pool->metrics.reload_length,
                     (double)(clock_mono_ns(pool->io->clock) - start_ns) / 1e9);
    return ERR_OK;
}

/* ---- targets ---- */

/* What a discovery update says, before it meets what is there. */
struct fresh {
    struct target **targets; /* active; references */
    size_t count, capacity;
    struct target **dropped;
    size_t dropped_kept, dropped_capacity;
    uint64_t dropped_count;
};

static void push_target(struct target ***list, size_t *count, size_t *capacity,
                        struct target *target) {
    if (*count == *capacity) {
        *capacity = mem_grow(*capacity, *count + 1);
        *list = mem_resize(*list, *capacity, sizeof(struct target *));
    }
    (*list)[(*count)++] = target;
}

static void add_dropped(const struct pool *pool, struct fresh *fresh, struct target *target) {
    const uint64_t keep = pool->config->keep_dropped_targets;
    fresh->dropped_count++;
    if (keep == 0 || fresh->dropped_kept < keep) {
        push_target(&fresh->dropped, &fresh->dropped_kept, &fresh->dropped_capacity, target);
    } else {
        target_unref(target);
    }
}

static void build_group(struct pool *pool, const struct sd_group *group, struct arena *scratch,
                        struct fresh *fresh) {
    for (size_t i = 0; i < group->target_count; i++) {
        struct target *target = NULL;
        bool dropped = false;
        struct err err;
        if (scratch->used_bytes > SYNC_SCRATCH_BYTES) {
            arena_reset(scratch);
        }
        const enum err_code code = target_new(pool->config, group->targets[i], group->labels,
                                              scratch, &target, &dropped, &err);
        if (code != ERR_OK) {
            metric_inc(pool->metrics.sync_failed_total);
            (void)err_wrap(&err, "instance %zu in group %.*s", i, STR_ARG(group->source));
            log_error(pool->io->log, "scrape manager", "Creating target failed",
                      log_str("scrape_pool", pool->config->job_name), log_err(&err));
        } else if (dropped) {
            add_dropped(pool, fresh, target);
        } else {
            push_target(&fresh->targets, &fresh->count, &fresh->capacity, target);
        }
    }
}

static void build_targets(struct pool *pool, struct sd_update *update, struct fresh *fresh) {
    struct arena scratch;
    size_t n = 0;
    const struct sd_group *const groups = sd_update_groups(update, &n);
    arena_init(&scratch, 0);
    for (size_t i = 0; i < n; i++) {
        build_group(pool, &groups[i], &scratch, fresh);
    }
    arena_release(&scratch);
}

/* A loop or a target under its hash, in its place among its kind. */
struct by_hash {
    uint64_t hash;
    size_t place;
};

static int compare_by_hash(const void *a, const void *b) {
    const struct by_hash *const x = a;
    const struct by_hash *const y = b;
    const int c = (x->hash > y->hash) - (x->hash < y->hash);
    return c != 0 ? c : (x->place > y->place) - (x->place < y->place);
}

static void sort_by_hash(struct by_hash *items, size_t n) {
    if (n > 0) {
        qsort(items, n, sizeof(items[0]), compare_by_hash);
    }
}

/* An ending loop whose samples carry the labels of target. */
static struct loop *take_ending(struct pool *pool, const struct target *target) {
    for (size_t i = 0; i < pool->ending_count; i++) {
        struct loop *const loop = pool->ending[i];
        if (loop->state == LOOP_ENDING && loop->scraped &&
            labels_eq(loop->target->labels, target->labels)) {
            pool->ending[i] = pool->ending[--pool->ending_count];
            return loop;
        }
    }
    return NULL;
}

static void stop_loop(struct pool *pool, struct loop *loop, bool markers) {
    if (pool->ending_count == pool->ending_capacity) {
        pool->ending_capacity = mem_grow(pool->ending_capacity, pool->ending_count + 1);
        pool->ending = mem_resize(pool->ending, pool->ending_capacity, sizeof(struct loop *));
    }
    pool->ending[pool->ending_count++] = loop;
    loop_stop(loop, markers);
}

/* Pairs the targets with the loops there are: out[i] is the loop that target i keeps, or NULL.
 * Equal targets become one: all but the first are released and set to NULL. Loops that no target
 * keeps are moved to gone. */
static void match_loops(struct pool *pool, struct fresh *fresh, struct loop **out,
                        struct loop **gone, size_t *out_gone) {
    struct by_hash *const want = mem_array(fresh->count, sizeof(want[0]));
    struct by_hash *const have = mem_array(pool->loop_count, sizeof(have[0]));
    for (size_t i = 0; i < fresh->count; i++) {
        want[i] = (struct by_hash){fresh->targets[i]->hash, i};
    }
    for (size_t i = 0; i < pool->loop_count; i++) {
        have[i] = (struct by_hash){pool->loops[i]->target->hash, i};
    }
    sort_by_hash(want, fresh->count);
    sort_by_hash(have, pool->loop_count);
    size_t h = 0;
    for (size_t w = 0; w < fresh->count; w++) {
        const size_t place = want[w].place;
        if (w > 0 && want[w].hash == want[w - 1].hash) {
            target_unref(fresh->targets[place]);
            fresh->targets[place] = NULL;
            continue;
        }
        while (h < pool->loop_count && have[h].hash < want[w].hash) {
            gone[(*out_gone)++] = pool->loops[have[h++].place];
        }
        if (h < pool->loop_count && have[h].hash == want[w].hash) {
            out[place] = pool->loops[have[h++].place];
        }
    }
    while (h < pool->loop_count) {
        gone[(*out_gone)++] = pool->loops[have[h++].place];
    }
    mem_free(have);
    mem_free(want);
}

/* The loop for a target that has none yet. */
static struct loop *start_loop(struct pool *pool, struct target *target) {
    struct loop *const old = take_ending(pool, target);
    if (old != NULL) {
        loop_revive(old, target);
        return old;
    }
    return loop_new(pool, target);
}

static void release_targets(struct target **targets, size_t n) {
    for (size_t i = 0; i < n; i++) {
        target_unref(targets[i]);
    }
    mem_free(targets);
}

/* Puts the new lists in place. loops[i] may be NULL where target i is new. */
static void install(struct pool *pool, struct fresh *fresh, struct loop **loops) {
    size_t n = 0;
    mutex_lock(&pool->mu);
    for (size_t i = 0; i < fresh->count; i++) {
        struct target *const target = fresh->targets[i];
        if (target == NULL) {
            continue;
        }
        if (loops[i] == NULL) {
            loops[n++] = start_loop(pool, target);
        } else { /* the same but for its discovered labels */
            target_unref(loops[i]->target);
            loops[i]->target = target;
            loops[n++] = loops[i];
        }
    }
    struct loop **const old_loops = pool->loops;
    struct target **const old_dropped = pool->dropped;
    const size_t old_dropped_kept = pool->dropped_kept;
    pool->loops = loops;
    pool->loop_count = n;
    pool->dropped = fresh->dropped;
    pool->dropped_kept = fresh->dropped_kept;
    pool->dropped_count = fresh->dropped_count;
    mutex_unlock(&pool->mu);
    mem_free(old_loops);
    release_targets(old_dropped, old_dropped_kept);
}

void pool_sync(struct pool *pool, struct sd_update *update) {
    const int64_t start_ns = clock_mono_ns(pool->io->clock);
    struct fresh fresh = {0};
    if (pool->client == NULL) {
        make_client(pool);
    }
    build_targets(pool, update, &fresh);
    struct loop **const loops = mem_zalloc((fresh.count + 1) * sizeof(struct loop *));
    struct loop **const gone = mem_array(pool->loop_count + 1, sizeof(struct loop *));
    size_t gone_count = 0;
    match_loops(pool, &fresh, loops, gone, &gone_count);
    /* Stopped first: a target with other settings but the same labels takes a loop over. */
    for (size_t i = 0; i < gone_count; i++) {
        stop_loop(pool, gone[i], true);
    }
    pool->target_count = fresh.count;
    install(pool, &fresh, loops);
    mem_free(gone);
    mem_free(fresh.targets);
    check_target_limit(pool);
    metric_inc(pool->metrics.sync_total);
    metric_set(pool->metrics.targets, (double)pool->loop_count);
    const double took_s = (double)(clock_mono_ns(pool->io->clock) - start_ns) / 1e9;
    metric_summarize(pool->metrics.sync_length, took_s);
    metric_observe(pool->metrics.sync_histogram, took_s);
}

/* ---- the end ---- */

void pool_stop(struct pool *pool) {
    pool->gone = true;
    mutex_lock(&pool->mu);
    struct loop **const loops = pool->loops;
    const size_t n = pool->loop_count;
    pool->loops = NULL;
    pool->loop_count = 0;
    mutex_unlock(&pool->mu);
    /* Loops that were ending already end now: their context is gone. */
    const size_t ending = pool->ending_count;
    struct loop **const copy = mem_array(ending + 1, sizeof(struct loop *));
    for (size_t i = 0; i < ending; i++) {
        copy[i] = pool->ending[i];
    }
    for (size_t i = 0; i < ending; i++) {
        if (copy[i]->state == LOOP_ENDING) {
            loop_stop(copy[i], false);
        }
    }
    mem_free(copy);
    for (size_t i = 0; i < n; i++) {
        stop_loop(pool, loops[i], false);
    }
    mem_free(loops);
}

void pool_loop_ended(struct loop *loop) {
    struct pool *const pool = loop->pool;
    for (size_t i = 0; i < pool->ending_count; i++) {
        if (pool->ending[i] == loop) {
            pool->ending[i] = pool->ending[--pool->ending_count];
            loop_free(loop);
            return;
        }
    }
    UNREACHABLE("an ended loop is in its pool's list");
}

bool pool_empty(const struct pool *pool) {
    return pool->loop_count == 0 && pool->ending_count == 0;
}

void pool_free(struct pool *pool) {
    for (size_t i = 0; i < pool->loop_count; i++) {
        loop_free(pool->loops[i]);
    }
    for (size_t i = 0; i < pool->ending_count; i++) {
        loop_free(pool->ending[i]);
    }
    mem_free(pool->loops);
    mem_free(pool->ending);
    release_targets(pool->dropped, pool->dropped_kept);
    free_old_clients(pool);
    if (pool->client != NULL) {
        transport_client_free(pool->io->transport, pool->client);
    }
    pool_metrics_release(&pool->metrics, pool->io->metrics.registry);
    mutex_release(&pool->mu);
    generation_unref(pool->generation);
    mem_free((void *)(uintptr_t)pool->job.ptr);
    mem_free(pool->accept);
    mem_free(pool->limit_error);
    mem_free(pool);
}

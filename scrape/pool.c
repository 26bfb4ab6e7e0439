#include "scrape/pool.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/number.h"
#include "scrape/config_equal.h"
#include "scrape/content_type.h"

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

void pool_make_client(struct pool *pool) {
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
    pool_make_client(pool);
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

void pool_check_limit(struct pool *pool, size_t target_count) {
    const uint64_t limit = pool->config->target_limit;
    mem_free(pool->limit_error);
    pool->limit_error = NULL;
    if (limit != 0 && target_count > limit) {
        char text[128];
        (void)snprintf(text, sizeof(text),
                       "target_limit exceeded (number of targets: %zu, limit: %llu)", target_count,
                       (unsigned long long)limit);
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
    pool_check_limit(pool, pool->loop_count);
    for (size_t i = 0; i < pool->loop_count; i++) {
        loop_restart(pool->loops[i], difference == CONFIG_OTHER);
    }
    pool_metrics_interval(&pool->metrics, pool->io->metrics.registry, config->interval_ms);
    metric_summarize(pool->metrics.reload_length,
                     (double)(clock_mono_ns(pool->io->clock) - start_ns) / 1e9);
    return ERR_OK;
}

/* ---- the end ---- */

void pool_stop_loop(struct pool *pool, struct loop *loop, bool markers) {
    ending_set_add(&pool->ending, loop);
    loop_stop(loop, markers);
}

void pool_stop(struct pool *pool) {
    pool->gone = true;
    mutex_lock(&pool->mu);
    struct loop **const loops = pool->loops;
    const size_t n = pool->loop_count;
    pool->loops = NULL;
    pool->loop_count = 0;
    mutex_unlock(&pool->mu);
    /* Loops that were ending already end now: their context is gone. */
    const size_t ending = pool->ending.count;
    struct loop **const copy = mem_array(ending + 1, sizeof(struct loop *));
    for (size_t i = 0; i < ending; i++) {
        copy[i] = pool->ending.items[i];
    }
    for (size_t i = 0; i < ending; i++) {
        if (copy[i]->state == LOOP_ENDING) {
            loop_stop(copy[i], false);
        }
    }
    mem_free(copy);
    for (size_t i = 0; i < n; i++) {
        pool_stop_loop(pool, loops[i], false);
    }
    mem_free(loops);
}

void pool_loop_ended(struct loop *loop) {
    ending_set_remove(&loop->pool->ending, loop);
    loop_free(loop);
}

bool pool_empty(const struct pool *pool) {
    return pool->loop_count == 0 && pool->ending.count == 0;
}

void pool_free(struct pool *pool) {
    for (size_t i = 0; i < pool->loop_count; i++) {
        loop_free(pool->loops[i]);
    }
    for (size_t i = 0; i < pool->ending.count; i++) {
        loop_free(pool->ending.items[i]);
    }
    mem_free(pool->loops);
    ending_set_release(&pool->ending);
    for (size_t i = 0; i < pool->dropped_kept; i++) {
        target_unref(pool->dropped[i]);
    }
    mem_free(pool->dropped);
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

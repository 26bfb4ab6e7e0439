/* The threads beside the listeners': workers, which run slow handlers and make large answers, and the
 * watcher of clients that leave, or do not send what they began. */
#include <poll.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "web/exchange.h"

enum { WATCH_MAX = 1024, WATCH_INTERVAL_MS = 100, FIRST_WORKERS = 4 };

static void work(void *ctx);

/* Queries may wait for each other: one that needs microseconds must find a worker while all others
 * are busy for minutes. */
static void add_worker(struct http_server *server) {
    mutex_lock(&server->mu);
    if (!server->stopping && server->worker_count < HTTP_WORKERS_MAX) {
        atomic_fetch_add_explicit(&server->idle_count, 1, memory_order_relaxed);
        thread_start(&server->workers[server->worker_count++], "web-worker", work, server);
    }
    mutex_unlock(&server->mu);
}

bool workers_push(struct http_server *server, struct request *r) {
    if (atomic_fetch_sub_explicit(&server->idle_count, 1, memory_order_relaxed) <= 0) {
        add_worker(server);
    }
    if (queue_try_push(server->jobs, r)) {
        return true;
    }
    atomic_fetch_add_explicit(&server->idle_count, 1, memory_order_relaxed);
    return false;
}

/* ---- suspended requests ---- */

static void unlink_locked(struct request *r) {
    if (r->next != NULL) {
        r->next->previous = r->previous;
    }
    *r->previous = r->next;
}

bool request_suspend(struct request *r) {
    struct http_server *server = r->server;
    mutex_lock(&server->mu);
    if (server->stopping) {
        mutex_unlock(&server->mu);
        return false;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    r->fd = info != NULL ? info->connect_fd : -1;
    MHD_suspend_connection(r->connection);
    r->next = server->suspended;
    r->previous = &server->suspended;
    if (r->next != NULL) {
        r->next->previous = &r->next;
    }
    server->suspended = r;
    if (r->next == NULL) {
        cond_signal(&server->appeared);
    }
    mutex_unlock(&server->mu);
    return true;
}

void request_resume(struct request *r) {
    struct http_server *server = r->server;
    mutex_lock(&server->mu);
    unlink_locked(r);
    r->done = true;
    server->resuming_count++;
    struct MHD_Connection *connection = r->connection;
    mutex_unlock(&server->mu);
    MHD_resume_connection(connection);
    /* r may be gone by now */
    mutex_lock(&server->mu);
    server->resuming_count--;
    if (server->stopping) {
        cond_broadcast(&server->changed);
    }
    mutex_unlock(&server->mu);
}

static void run_handler(struct request *r) {
    struct web *web = r->server->web;
    const int64_t begin_ns = clock_mono_ns(web->options.clock);
    r->route->handler(web, &r->in, &r->out);
    brief_learn(r, clock_mono_ns(web->options.clock) - begin_ns);
}

static void work(void *ctx) {
    struct http_server *server = ctx;
    struct request *r = NULL;
    while ((r = queue_pop(server->jobs)) != NULL) {
        if (r->streams) {
            reply_make_piece(r);
        } else {
            run_handler(r);
        }
        request_resume(r);
        atomic_fetch_add_explicit(&server->idle_count, 1, memory_order_relaxed);
    }
}

static void cancel_abandoned_locked(struct http_server *server, struct pollfd *fds)
    REQUIRES(server->mu) {
    nfds_t count = 0;
    for (struct request *r = server->suspended; r != NULL && count < WATCH_MAX; r = r->next) {
        fds[count++] = (struct pollfd){.fd = r->fd, .events = POLLRDHUP};
    }
    (void)poll(fds, count, 0);
    nfds_t i = 0;
    for (struct request *r = server->suspended; r != NULL && i < count; r = r->next, i++) {
        if ((fds[i].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) {
            cancel_raise(&r->in.cancel);
        }
    }
}

/* How often connections are looked at that may be late. */
static int64_t sweep_interval_ns(const struct http_server *server) {
    const int64_t interval_ns = server->web->options.read_timeout_ms * NS_PER_MS / 8;
    const int64_t most_ns = 10 * NS_PER_S;
    return interval_ns < most_ns ? interval_ns : most_ns;
}

/* A client that went away cancels its query: looks ten times a second while there is somebody to
 * look at, so that short requests wake it no more often than that. Now and then it cuts those off
 * who have not sent a whole request in time. Sleeps while there are no connections. */
static void watch(void *ctx) {
    struct http_server *server = ctx;
    struct pollfd *fds = mem_array(WATCH_MAX, sizeof(*fds));
    int64_t sweep_ns = clock_mono_ns(clock_system());
    mutex_lock(&server->mu);
    while (!server->stopping) {
        if (server->suspended == NULL && connections_count(server->connections) == 0) {
            cond_wait(&server->appeared, &server->mu);
        } else if (server->suspended == NULL) {
            (void)cond_wait_until(&server->appeared, &server->mu, sweep_ns);
        }
        int64_t now = clock_mono_ns(clock_system());
        const int64_t until = now + WATCH_INTERVAL_MS * NS_PER_MS;
        while (!server->stopping && server->suspended != NULL && now < until) {
            (void)cond_wait_until(&server->changed, &server->mu, until);
            now = clock_mono_ns(clock_system());
        }
        cancel_abandoned_locked(server, fds);
        if (now >= sweep_ns) {
            connections_cut_late(server->connections, now);
            sweep_ns = now + sweep_interval_ns(server);
        }
    }
    mutex_unlock(&server->mu);
    mem_free(fds);
}

void workers_notice_connections(struct http_server *server) {
    mutex_lock(&server->mu);
    cond_signal(&server->appeared);
    mutex_unlock(&server->mu);
}

/* ---- life ---- */

void workers_start(struct http_server *server) {
    const uint32_t wanted = server->web->options.worker_count;
    const size_t count = wanted == 0                 ? FIRST_WORKERS
                         : wanted > HTTP_WORKERS_MAX ? HTTP_WORKERS_MAX
                                                     : wanted;
    for (size_t i = 0; i < count; i++) {
        add_worker(server);
    }
    thread_start(&server->watcher, "web-watch", watch, server);
}

void workers_begin_stop(struct http_server *server) {
    mutex_lock(&server->mu);
    server->stopping = true;
    for (struct request *r = server->suspended; r != NULL; r = r->next) {
        cancel_raise(&r->in.cancel);
    }
    cond_broadcast(&server->appeared);
    cond_broadcast(&server->changed);
    mutex_unlock(&server->mu);
    thread_join(&server->watcher);
}

void workers_drain(struct http_server *server) {
    mutex_lock(&server->mu);
    while (server->suspended != NULL || server->resuming_count != 0) {
        cond_wait(&server->changed, &server->mu);
    }
    mutex_unlock(&server->mu);
}

void workers_end(struct http_server *server) {
    queue_close(server->jobs);
    for (size_t i = 0; i < server->worker_count; i++) {
        thread_join(&server->workers[i]);
    }
}

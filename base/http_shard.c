/* SHARDS. libcurl walks the whole connection cache of a multi at the end of each transfer, which for
 * 4000 targets in one multi was most of the CPU of a request. So a client begins with one multi and
 * spreads its hosts over four times as many whenever it has more than SHARD_CONNECTIONS connections
 * in each. A multi in use takes some 35 KB. The hosts connect anew when the number changes, which
 * happens at most three times. (Most connections leave libcurl: http_kept.c.) */
#include "base/http_curl.h"

#include <sys/epoll.h>

#include "base/hash.h"
#include "base/mem.h"

enum {
    CONNECTION_COUNT_MAX = 20000, /* idle ones, as Prometheus keeps */
    SHARD_GROWTH = 4,
    SHARD_CONNECTIONS = 128
};

/* One epoll registration a socket; the tag finds the shard again, or finds it gone. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx) {
    (void)easy;
    struct http_shard *shard = ctx;
    const int epoll_fd = shard->t->epoll_fd;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL); /* gone already when it was closed */
        return 0;
    }
    struct epoll_event event = {.events = 0};
    event.events |= what != CURL_POLL_OUT ? (uint32_t)EPOLLIN : 0;
    event.events |= what != CURL_POLL_IN ? (uint32_t)EPOLLOUT : 0;
    event.data.u64 = (uint64_t)shard->id << 32 | (uint32_t)fd;
    const int op = socket_ctx != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(epoll_fd, op, fd, &event) != 0) {
        const int other = op == EPOLL_CTL_ADD ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
        if (epoll_ctl(epoll_fd, other, fd, &event) != 0) {
            return -1;
        }
    }
    must_multi(curl_multi_assign(shard->multi, fd, shard));
    return 0;
}

void http_shard_disarm(struct http_shard *shard) {
    if (shard->timer_mono_ns < 0) {
        return;
    }
    shard->timer_mono_ns = -1;
    if (shard->armed_prev != NULL) {
        shard->armed_prev->armed_next = shard->armed_next;
    } else {
        shard->t->armed = shard->armed_next;
    }
    if (shard->armed_next != NULL) {
        shard->armed_next->armed_prev = shard->armed_prev;
    }
}

static void arm(struct http_shard *shard, int64_t mono_ns) {
    if (shard->timer_mono_ns < 0) {
        shard->armed_prev = NULL;
        shard->armed_next = shard->t->armed;
        if (shard->armed_next != NULL) {
            shard->armed_next->armed_prev = shard;
        }
        shard->t->armed = shard;
    }
    shard->timer_mono_ns = mono_ns;
}

static int on_timer(CURLM *multi, long timeout_ms, void *ctx) {
    (void)multi;
    if (timeout_ms < 0) {
        http_shard_disarm(ctx);
    } else {
        arm(ctx, http_now_ns() + timeout_ms * NS_PER_MS);
    }
    return 0;
}

static uint32_t take_shard_id(struct curl_transport *t) {
    for (size_t i = 0; i < t->shard_count; i++) {
        if (t->shards[i] == NULL) {
            return (uint32_t)i;
        }
    }
    t->shards = mem_resize(t->shards, t->shard_count + 1, sizeof(struct http_shard *));
    return (uint32_t)t->shard_count++;
}

static struct http_shard *shard_new(struct curl_transport *t) {
    struct http_shard *shard = mem_zalloc(sizeof(*shard));
    shard->t = t;
    shard->timer_mono_ns = -1;
    shard->multi = curl_multi_init();
    ASSERT(shard->multi != NULL);
    must_multi(curl_multi_setopt(shard->multi, CURLMOPT_SOCKETFUNCTION, on_socket));
    must_multi(curl_multi_setopt(shard->multi, CURLMOPT_SOCKETDATA, shard));
    must_multi(curl_multi_setopt(shard->multi, CURLMOPT_TIMERFUNCTION, on_timer));
    must_multi(curl_multi_setopt(shard->multi, CURLMOPT_TIMERDATA, shard));
    must_multi(curl_multi_setopt(shard->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTION_COUNT_MAX));
    shard->id = take_shard_id(t);
    t->shards[shard->id] = shard;
    return shard;
}

void http_shard_free(struct http_shard *shard) {
    if (shard != NULL) {
        (void)curl_multi_cleanup(shard->multi);
        http_shard_disarm(shard);
        shard->t->shards[shard->id] = NULL;
        mem_free(shard);
    }
}

/* They are freed later, not from here: one of them may be what libcurl's messages are being read
 * from. */
void http_shard_retire_all(struct transport_client *client) {
    for (size_t i = 0; i < client->shard_count; i++) {
        struct http_shard *shard = client->shards[i];
        if (shard != NULL) {
            shard->retired_next = client->retired;
            client->retired = shard;
            client->shards[i] = NULL;
        }
    }
}

void http_shard_free_retired(struct transport_client *client) {
    struct http_shard **at = &client->retired;
    while (*at != NULL) {
        struct http_shard *shard = *at;
        if (shard->running_count == 0) {
            *at = shard->retired_next;
            http_shard_free(shard);
        } else {
            at = &shard->retired_next;
        }
    }
}

/* Requests to one host and port share a multi, and so its connections. */
struct http_shard *http_shard_of(struct transport_client *client, const struct url *url) {
    if (client->connection_count > client->shard_count * SHARD_CONNECTIONS &&
        client->shard_count < SHARD_COUNT_MAX && client->retired == NULL) {
        http_shard_retire_all(client); /* more of them, all new */
        client->shard_count *= SHARD_GROWTH;
    }
    uint64_t hash = hash_fnv1a64(FNV1A64_INIT, url->host.ptr, url->host.len);
    hash = hash_fnv1a64(hash, url->port.ptr, url->port.len);
    struct http_shard **at = &client->shards[(hash ^ hash >> 32) % client->shard_count];
    if (*at == NULL) {
        *at = shard_new(client->t);
    }
    return *at;
}

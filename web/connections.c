#include "web/connections.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/mutex.h"

enum { ADDRESS_BYTES = 16 };

struct connection {
    int fd;
    uint8_t address[ADDRESS_BYTES]; /* IPv4 as mapped into IPv6 */
    _Atomic int64_t late_mono_ns;   /* INT64_MAX: nothing is awaited */
    struct connection *next, **previous;
};

struct connections {
    size_t total_max, client_max;
    int64_t read_timeout_ns;
    struct mutex mu;
    /* under mu */
    struct connection *first;
    size_t count;
};

/* CONCURRENCY. mu guards the list, and keeps a descriptor from being closed between the watcher's
 * look at its deadline and its shutdown: a number that was given to somebody else meanwhile would be
 * the wrong one to shut down. */

static void address_of(const struct sockaddr *from, uint8_t to[ADDRESS_BYTES]) {
    memset(to, 0, ADDRESS_BYTES);
    if (from != NULL && from->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof(in));
        to[10] = to[11] = 0xff;
        memcpy(to + 12, &in.sin_addr, 4);
    } else if (from != NULL && from->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, from, sizeof(in6));
        memcpy(to, &in6.sin6_addr, ADDRESS_BYTES);
    }
}

struct connections *connections_new(size_t total_max, size_t client_max, int64_t read_timeout_ns) {
    struct connections *all = mem_zalloc(sizeof(*all));
    all->total_max = total_max;
    all->client_max = client_max;
    all->read_timeout_ns = read_timeout_ns;
    mutex_init(&all->mu);
    return all;
}

void connections_free(struct connections *all) {
    if (all != NULL) {
        mutex_release(&all->mu);
        mem_free(all);
    }
}

bool connections_admit(struct connections *all, const struct sockaddr *address) {
    uint8_t key[ADDRESS_BYTES];
    address_of(address, key);
    mutex_lock(&all->mu);
    size_t same = 0;
    for (const struct connection *c = all->client_max > 0 ? all->first : NULL; c != NULL;
         c = c->next) {
        same += memcmp(c->address, key, ADDRESS_BYTES) == 0;
    }
    const bool fine = (all->client_max == 0 || same < all->client_max) &&
                      (all->total_max == 0 || all->count < all->total_max);
    mutex_unlock(&all->mu);
    return fine;
}

struct connection *connection_open(struct connections *all, int fd, const struct sockaddr *address,
                                   int64_t now_mono_ns) {
    struct connection *c = mem_zalloc(sizeof(*c));
    c->fd = fd;
    address_of(address, c->address);
    connection_reads(all, c, now_mono_ns);
    mutex_lock(&all->mu);
    c->next = all->first;
    c->previous = &all->first;
    if (c->next != NULL) {
        c->next->previous = &c->next;
    }
    all->first = c;
    all->count++;
    mutex_unlock(&all->mu);
    return c;
}

void connection_close(struct connections *all, struct connection *c) {
    mutex_lock(&all->mu);
    if (c->next != NULL) {
        c->next->previous = c->previous;
    }
    *c->previous = c->next;
    all->count--;
    mutex_unlock(&all->mu);
    mem_free(c);
}

size_t connections_count(struct connections *all) {
    mutex_lock(&all->mu);
    const size_t count = all->count;
    mutex_unlock(&all->mu);
    return count;
}

void connection_reads(const struct connections *all, struct connection *c, int64_t now_mono_ns) {
    atomic_store_explicit(&c->late_mono_ns, now_mono_ns + all->read_timeout_ns,
                          memory_order_relaxed);
}

void connection_answers(struct connection *c) {
    atomic_store_explicit(&c->late_mono_ns, INT64_MAX, memory_order_relaxed);
}

void connections_cut_late(struct connections *all, int64_t now_mono_ns) {
    mutex_lock(&all->mu);
    for (const struct connection *c = all->first; c != NULL; c = c->next) {
        if (atomic_load_explicit(&c->late_mono_ns, memory_order_relaxed) <= now_mono_ns) {
            (void)shutdown(c->fd, SHUT_RDWR);
        }
    }
    mutex_unlock(&all->mu);
}

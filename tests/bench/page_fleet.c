/* Serves recorded pages as a fleet of targets.
 *
 *   page_fleet PORT STEP_SECONDS DIR
 *
 * GET /<exporter>/<index> on any loopback address answers DIR/<exporter>/<n>.txt, where n advances
 * every STEP_SECONDS and starts elsewhere for each index. A file <n>.txt.gz beside it goes to those
 * who accept gzip. Nothing is made per request, so that the fleet takes little of the machine. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/vfs.h"

enum { EXPORTERS_MAX = 64, PAGE_MAX = 64 * 1024 * 1024, CONNS_MAX = 1 << 17, EVENTS = 256 };

struct answer {
    char *body;
    size_t size;
    char head[192];
    size_t head_size;
};

struct page {
    struct answer plain, gzip; /* gzip.body may be NULL */
};

struct exporter {
    char *name;
    struct page *pages;
    size_t count;
};

struct conn {
    char in[4096];
    size_t in_size;
    const struct answer *out; /* NULL = none */
    size_t sent;
};

static struct exporter exporters[EXPORTERS_MAX];
static size_t exporter_count;
static long step_s;
static struct conn *conns[CONNS_MAX];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static struct answer read_answer(const char *path, const char *coding) {
    struct answer a = {0};
    struct err err;
    if (vfs_read_file(vfs_system(), path, PAGE_MAX, &a.body, &a.size, &err) != ERR_OK) {
        return (struct answer){0};
    }
    a.head_size = (size_t)snprintf(a.head, sizeof(a.head),
                                   "HTTP/1.1 200 OK\r\n"
                                   "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                                   "%sContent-Length: %zu\r\n\r\n",
                                   coding, a.size);
    return a;
}

static int is_page(const struct dirent *e) {
    const size_t n = strlen(e->d_name);
    return n > 4 && strcmp(e->d_name + n - 4, ".txt") == 0;
}

static int is_visible(const struct dirent *e) {
    return e->d_name[0] != '.';
}

static void load_exporter(const char *dir, const char *name) {
    struct exporter *const x = &exporters[exporter_count++];
    struct dirent **files = NULL;
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    const int n = scandir(path, &files, is_page, alphasort);
    x->name = mem_strdup(name);
    x->pages = mem_zalloc(((size_t)(n > 0 ? n : 0) + 1) * sizeof(x->pages[0]));
    for (int i = 0; i < n; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s/%s", dir, name, files[i]->d_name);
        struct page *const p = &x->pages[x->count];
        p->plain = read_answer(path, "");
        (void)strncat(path, ".gz", sizeof(path) - strlen(path) - 1);
        p->gzip = read_answer(path, "Content-Encoding: gzip\r\n");
        x->count += p->plain.size > 0;
        free(files[i]);
    }
    free(files);
}

static void load(const char *dir) {
    struct dirent **names = NULL;
    const int n = scandir(dir, &names, is_visible, alphasort);
    if (n < 0) {
        fail(dir);
    }
    for (int i = 0; i < n && exporter_count < EXPORTERS_MAX; i++) {
        load_exporter(dir, names[i]->d_name);
        free(names[i]);
    }
    free(names);
}

/* What "GET /<exporter>/<index> ..." asks for; NULL when there is no such thing. */
static const struct answer *find(const char *request) {
    const char *const name = request + strlen("GET /");
    const char *const slash = strchr(name, '/');
    if (strncmp(request, "GET /", 5) != 0 || slash == NULL) {
        return NULL;
    }
    const size_t n = (size_t)(slash - name);
    const unsigned long index = strtoul(slash + 1, NULL, 10);
    for (size_t i = 0; i < exporter_count; i++) {
        const struct exporter *const x = &exporters[i];
        if (strlen(x->name) == n && memcmp(x->name, name, n) == 0 && x->count > 0) {
            const unsigned long now = (unsigned long)(time(NULL) / step_s);
            const struct page *const p = &x->pages[(index * 37 + now) % x->count];
            return p->gzip.body != NULL && strstr(request, "gzip") != NULL ? &p->gzip : &p->plain;
        }
    }
    return NULL;
}

static void hang_up(int fd) {
    mem_free(conns[fd]);
    conns[fd] = NULL;
    (void)close(fd);
}

/* False when the peer is to be dropped. */
static bool send_more(int fd, struct conn *c) {
    while (c->out != NULL) {
        const struct answer *const a = c->out;
        const size_t head = c->sent < a->head_size ? a->head_size - c->sent : 0;
        const size_t body = head > 0 ? 0 : c->sent - a->head_size;
        struct iovec parts[2] = {{(char *)(uintptr_t)a->head + (a->head_size - head), head},
                                 {a->body + body, a->size - body}};
        const struct msghdr msg = {.msg_iov = parts, .msg_iovlen = 2};
        const ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            return errno == EAGAIN;
        }
        c->sent += (size_t)n;
        c->out = c->sent == a->head_size + a->size ? NULL : a;
    }
    return true;
}

static bool receive(int fd, struct conn *c) {
    const ssize_t n = recv(fd, c->in + c->in_size, sizeof(c->in) - 1 - c->in_size, MSG_DONTWAIT);
    if (n <= 0) {
        return n < 0 && errno == EAGAIN;
    }
    c->in_size += (size_t)n;
    c->in[c->in_size] = '\0';
    if (strstr(c->in, "\r\n\r\n") != NULL) {
        c->out = find(c->in);
        c->sent = 0;
        c->in_size = 0;
        return c->out != NULL;
    }
    return c->in_size < sizeof(c->in) - 1;
}

static void watch(int epoll, int op, int fd) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = fd};
    if (epoll_ctl(epoll, op, fd, &event) != 0) {
        fail("epoll_ctl");
    }
}

static void accept_all(int epoll, int listener) {
    for (;;) {
        const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        if (fd >= CONNS_MAX) {
            (void)close(fd);
            continue;
        }
        conns[fd] = mem_zalloc(sizeof(*conns[fd]));
        watch(epoll, EPOLL_CTL_ADD, fd);
    }
}

static int listen_on(int port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int one = 1;
    const struct sockaddr_in any = {.sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)port),
                                    .sin_addr.s_addr = htonl(INADDR_ANY)};
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (const struct sockaddr *)&any, sizeof(any)) != 0 || listen(fd, 4096) != 0) {
        fail("listen");
    }
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        (void)fprintf(stderr, "usage: page_fleet PORT STEP_SECONDS DIR\n");
        return 2;
    }
    const struct rlimit files = {CONNS_MAX, CONNS_MAX};
    (void)setrlimit(RLIMIT_NOFILE, &files);
    (void)signal(SIGPIPE, SIG_IGN);
    step_s = strtol(argv[2], NULL, 10) > 0 ? strtol(argv[2], NULL, 10) : 1;
    load(argv[3]);
    const int listener = listen_on((int)strtol(argv[1], NULL, 10));
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS];
    watch(epoll, EPOLL_CTL_ADD, listener);
    for (;;) {
        const int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            const int fd = events[i].data.fd;
            if (fd == listener) {
                accept_all(epoll, listener);
            } else if (conns[fd] != NULL &&
                       (!receive(fd, conns[fd]) || !send_more(fd, conns[fd]))) {
                hang_up(fd);
            }
        }
    }
}

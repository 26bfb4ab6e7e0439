#include "web/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "web/web.h"

static enum err_code resolve(struct str address, struct addrinfo **out, struct err *err) {
    const ptrdiff_t colon = str_rfind_char(address, ':');
    if (colon < 0) {
        return err_set(err, ERR_INVALID, "listen address \"%.*s\": missing port", STR_ARG(address));
    }
    struct str host = str_sub(address, 0, (size_t)colon);
    if (host.len >= 2 && host.ptr[0] == '[') {
        host = str_sub(host, 1, host.len - 2);
    }
    char node[256];
    char service[16];
    const struct str port = str_from(address, (size_t)colon + 1);
    if (host.len >= sizeof(node) || port.len >= sizeof(service)) {
        return err_set(err, ERR_INVALID, "listen address \"%.*s\": too long", STR_ARG(address));
    }
    memcpy(node, host.ptr, host.len);
    node[host.len] = '\0';
    memcpy(service, port.ptr, port.len);
    service[port.len] = '\0';
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    const int rc = getaddrinfo(host.len != 0 ? node : NULL, service, &hints, out);
    if (rc != 0) {
        return err_set(err, ERR_INVALID, "listen address \"%.*s\": %s", STR_ARG(address),
                       gai_strerror(rc));
    }
    return ERR_OK;
}

static uint16_t bound_port(int fd) {
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);
    if (getsockname(fd, (struct sockaddr *)&bound, &size) != 0) {
        return 0;
    }
    return ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                             : ((struct sockaddr_in *)&bound)->sin_port);
}

enum err_code listen_bind(struct str address, int *out_fd, uint16_t *out_port, struct err *err) {
    struct addrinfo *found = NULL;
    const enum err_code code = resolve(address, &found, err);
    if (code != ERR_OK) {
        return code;
    }
    const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int one = 1;
    int failed = fd < 0 ? errno : 0;
    if (failed == 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0) {
            failed = errno;
        }
    }
    freeaddrinfo(found);
    if (failed != 0) {
        if (fd >= 0) {
            (void)close(fd);
        }
        (void)err_set_errno(err, failed, "listen tcp %.*s: bind", STR_ARG(address));
        return failed == EADDRINUSE ? (err->code = ERR_EXISTS) : err->code;
    }
    *out_fd = fd;
    *out_port = bound_port(fd);
    return ERR_OK;
}

enum err_code web_bind(const struct str *listen, size_t count, struct web_sockets **out,
                       struct err *err) {
    if (count == 0 || count > LISTEN_MAX) {
        return err_set(err, ERR_INVALID, "between 1 and %d listen addresses are needed, got %zu",
                       LISTEN_MAX, count);
    }
    struct web_sockets *sockets = mem_zalloc(sizeof(*sockets));
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        code = listen_bind(listen[i], &sockets->items[i].fd, &sockets->items[i].port, err);
        sockets->count += code == ERR_OK ? 1 : 0;
    }
    if (code != ERR_OK) {
        web_sockets_close(sockets);
        return code;
    }
    *out = sockets;
    return ERR_OK;
}

void web_sockets_close(struct web_sockets *sockets) {
    for (size_t i = 0; sockets != NULL && i < sockets->count; i++) {
        if (sockets->items[i].fd >= 0) {
            (void)close(sockets->items[i].fd);
        }
    }
    mem_free(sockets);
}

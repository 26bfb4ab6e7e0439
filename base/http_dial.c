#include "base/http_dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

enum { HTTP_PORT = 80, PORT_MAX = 65535, KEEPALIVE_S = 60 };

/* Digits only, which is what the caller's split has found. */
static bool parse_port(struct str text, in_port_t *out) {
    unsigned port = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        port = port * 10 + (unsigned)(text.ptr[i] - '0');
        if (port > PORT_MAX) {
            return false;
        }
    }
    *out = htons((uint16_t)port);
    return port > 0;
}

bool dial_address(struct str authority, struct sockaddr_in *out) {
    const ptrdiff_t colon = str_find_char(authority, ':');
    const struct str host = colon < 0 ? authority : str_sub(authority, 0, (size_t)colon);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(HTTP_PORT)};
    char text[INET_ADDRSTRLEN];
    if (host.len == 0 || host.len >= sizeof(text)) {
        return false;
    }
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (inet_pton(AF_INET, text, &address.sin_addr) != 1 ||
        (colon >= 0 && !parse_port(str_from(authority, (size_t)colon + 1), &address.sin_port))) {
        return false;
    }
    *out = address;
    return true;
}

/* Without them a connection works all the same. */
static void set_options(int fd) {
    static const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_S},
    };
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
    }
}

int dial_start(const struct sockaddr_in *to, int *out_errno) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    set_options(fd);
    const bool failed = connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0;
    *out_errno = failed && errno != EINPROGRESS && errno != EINTR ? errno : 0;
    return fd;
}

int dial_end(int fd) {
    int fault = 0;
    socklen_t size = sizeof(fault);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &size) == 0 ? fault : errno;
}

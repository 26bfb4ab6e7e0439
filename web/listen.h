/* Listening sockets from "host:port" texts. */
#ifndef WEB_LISTEN_H
#define WEB_LISTEN_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"

/* Binds and listens; host may be empty (all addresses), a name or an address ([::1] for IPv6), the
 * port 0 lets the system choose. The caller owns *out_fd. ERR_EXISTS: the port is taken. */
MUST_CHECK enum err_code listen_bind(struct str address, int *out_fd, uint16_t *out_port,
                                     struct err *err);

enum { LISTEN_MAX = 16 };

/* Of all addresses, in their order; see web_bind. */
struct web_sockets {
    size_t count;
    struct {
        int fd; /* -1: taken by a server */
        uint16_t port;
    } items[LISTEN_MAX];
};

#endif

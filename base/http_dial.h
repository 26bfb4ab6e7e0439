/* A TCP connection to an authority that is an IPv4 address, begun here and ended by the owner's epoll.
 * Names, whose lookup may take long, and IPv6 are left to libcurl. Knows no HTTP; one thread. */
#ifndef BASE_HTTP_DIAL_H
#define BASE_HTTP_DIAL_H

#include <netinet/in.h>
#include <stdbool.h>

#include "base/attr.h"
#include "base/str.h"

/* The address in "1.2.3.4" or "1.2.3.4:9100", the port of http where none is said. False for all else. */
MUST_CHECK bool dial_address(struct str authority, struct sockaddr_in *out);

/* A socket that connects, with libcurl's options for such; -1 when the system has none. *out_errno is
 * why connecting failed at once, else 0: the socket then reports a hang-up at the next look. */
MUST_CHECK int dial_start(const struct sockaddr_in *to, int *out_errno);

/* Of a socket that reported something: 0 = it is connected, else why not. */
MUST_CHECK int dial_end(int fd);

#endif

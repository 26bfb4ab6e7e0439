/* Socket addresses: which of them lead to this machine's link only. */
#ifndef BASE_IP_ADDRESS_H
#define BASE_IP_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* 169.254.0.0/16 and fe80::/10, also where IPv6 carries the IPv4 address (mapped, compatible, 6to4,
 * NAT64), and fd00:ec2::254, at which one cloud serves its instance metadata. */
bool ip_is_link_local(const struct sockaddr *address);

#endif

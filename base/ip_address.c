#include "base/ip_address.h"

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"

static bool v4_is_link_local(const uint8_t *ip) {
    return ip[0] == 169 && ip[1] == 254;
}

static bool v6_is_link_local(const uint8_t *ip) {
    static const struct {
        uint8_t bytes[12];
        uint8_t len; /* the IPv4 address follows */
    } carriers[] = {
        {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 12}, /* mapped */
        {{0}, 12},                                        /* compatible */
        {{0, 0x64, 0xff, 0x9b}, 12},                      /* NAT64, RFC 6052 */
        {{0x20, 0x02}, 2},                                /* 6to4 */
    };
    static const uint8_t metadata[16] = {0xfd, 0, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54};
    bool local = (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80) || memcmp(ip, metadata, 16) == 0;
    for (size_t i = 0; i < COUNT_OF(carriers) && !local; i++) {
        const size_t len = carriers[i].len;
        local = memcmp(ip, carriers[i].bytes, len) == 0 && v4_is_link_local(ip + len);
    }
    return local;
}

bool ip_is_link_local(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof(in));
        return v4_is_link_local((const uint8_t *)&in.sin_addr);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof(in6));
        return v6_is_link_local(in6.sin6_addr.s6_addr);
    }
    return false;
}

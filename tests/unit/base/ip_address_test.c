/* ip_address: link-local addresses are known in every form in which a resolver can write them. */
#include "base/ip_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "base/attr.h"
#include "tests/support/check_err.h"

static bool is_local(const char *text) {
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
        return ip_is_link_local((const struct sockaddr *)&in);
    }
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return ip_is_link_local((const struct sockaddr *)&in6);
}

static void link_local_addresses_are_known_in_every_form(void **state) {
    (void)state;
    static const char *const local[] = {"169.254.0.0",       "169.254.169.254",
                                        "169.254.255.255",   "::ffff:169.254.169.254",
                                        "::169.254.169.254", "64:ff9b::169.254.169.254",
                                        "2002:a9fe:a9fe::",  "fe80::1",
                                        "febf:ffff::1",      "fd00:ec2::254"};
    for (size_t i = 0; i < COUNT_OF(local); i++) {
        assert_true(is_local(local[i]));
    }
}

static void all_others_are_left_alone(void **state) {
    (void)state;
    static const char *const other[] = {"127.0.0.1",
                                        "169.253.255.255",
                                        "169.255.0.0",
                                        "10.0.0.1",
                                        "::1",
                                        "::",
                                        "fec0::1",
                                        "::ffff:10.0.0.1",
                                        "2001:db8::a9fe:a9fe",
                                        "fd00::1",
                                        "fe00::1",
                                        "64:ff9b::10.0.0.1",
                                        "0.0.0.0"};
    for (size_t i = 0; i < COUNT_OF(other); i++) {
        assert_false(is_local(other[i]));
    }
    const struct sockaddr_un path = {.sun_family = AF_UNIX};
    assert_false(ip_is_link_local((const struct sockaddr *)&path));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link_local_addresses_are_known_in_every_form),
        cmocka_unit_test(all_others_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

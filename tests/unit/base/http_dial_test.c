/* http_dial: which authorities are addresses that need no lookup. */
#include <arpa/inet.h>

#include "base/http_dial.h"
#include "tests/support/check_err.h"

static void an_address_needs_no_lookup(void **state) {
    (void)state;
    static const struct {
        const char *authority;
        uint32_t address;
        uint16_t port;
    } cases[] = {
        {"127.0.0.1:9100", 0x7F000001, 9100},
        {"10.1.2.3", 0x0A010203, 80},
        {"255.255.255.255:65535", 0xFFFFFFFF, 65535},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct sockaddr_in got;
        assert_true(dial_address(str_of(cases[i].authority), &got));
        assert_int_equal(got.sin_family, AF_INET);
        assert_int_equal(ntohl(got.sin_addr.s_addr), cases[i].address);
        assert_int_equal(ntohs(got.sin_port), cases[i].port);
    }
}

static void all_else_is_left_to_others(void **state) {
    (void)state;
    static const char *const others[] = {
        "",
        "localhost:80",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "0x7f.0.0.1",
        "127.1:80",
        "01.2.3.4",
        "1.2.3.4:",
        "1.2.3.4:0",
        "1.2.3.4:65536",
        "1.2.3.4:8x",
        "1.2.3.4:99999999999",
        "[::1]:80",
        "u@1.2.3.4",
        "1.2.3.4 ",
        "111111111111111111111.2.3.4",
    };
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        struct sockaddr_in got;
        if (dial_address(str_of(others[i]), &got)) {
            fail_msg("\"%s\" was taken", others[i]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_needs_no_lookup),
        cmocka_unit_test(all_else_is_left_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

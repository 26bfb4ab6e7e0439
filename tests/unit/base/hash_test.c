/* hash: published check values of each function. */
#include "base/hash.h"

#include "tests/support/check_err.h"

static void crc32c_has_its_check_value_for_any_split(void **state) {
    (void)state;
    static const char digits[] = "123456789";
    for (size_t cut = 0; cut <= 9; cut++) {
        const uint32_t crc = hash_crc32c(hash_crc32c(0, digits, cut), digits + cut, 9 - cut);
        assert_int_equal(crc, 0xE3069283);
    }
    const uint8_t zeros[32] = {0};
    assert_int_equal(hash_crc32c(0, zeros, sizeof(zeros)), 0x8A9136AA);
    assert_int_equal(hash_crc32c(0, NULL, 0), 0);
}

static void xxh64_and_fnv1a_have_their_check_values(void **state) {
    (void)state;
    assert_true(hash_xxh64(NULL, 0) == 0xEF46DB3751D8E999ULL);
    assert_true(hash_xxh64("a", 1) == 0xD24EC4F1A98C6E5BULL);
    assert_true(hash_fnv1a64(FNV1A64_INIT, "", 0) == FNV1A64_INIT);
    assert_true(hash_fnv1a64(FNV1A64_INIT, "a", 1) == 0xAF63DC4C8601EC8CULL);
    assert_true(hash_keyed("a", 1, 1) != hash_keyed("a", 1, 2));
}

static void md5_has_its_check_value(void **state) {
    (void)state;
    static const uint8_t want[16] = {0x90, 0x01, 0x50, 0x98, 0x3C, 0xD2, 0x4F, 0xB0,
                                     0xD6, 0x96, 0x3F, 0x7D, 0x28, 0xE1, 0x7F, 0x72};
    uint8_t got[16];
    hash_md5("abc", 3, got);
    assert_memory_equal(got, want, 16);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_has_its_check_value_for_any_split),
        cmocka_unit_test(xxh64_and_fnv1a_have_their_check_values),
        cmocka_unit_test(md5_has_its_check_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

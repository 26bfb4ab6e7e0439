/* proto: fields come out as they were written, and whatever is cut, too long or of the wrong kind
 * ends the reader with its reason. */
#include "base/proto.h"
#include "base/rng.h"
#include "tests/support/check_err.h"
#include "tests/support/proto_writer.h"

static void expect_error(struct str bytes, const char *want) {
    struct proto p = proto_of(bytes);
    struct proto_field f;
    while (proto_next(&p, &f)) {
    }
    assert_false(proto_ok(&p));
    assert_string_equal(p.error, want);
    assert_false(proto_next(&p, &f)); /* and stays so */
}

static void fields_come_in_order(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    pb_uint(&b, 1, 0);
    pb_uint(&b, 2, UINT64_MAX);
    pb_double(&b, 3, -0.25);
    pb_bytes(&b, 4, STR("text"));
    pb_bytes(&b, 536870911, STR(""));
    buf_append(&b, "\x35\x01\x02\x03\x04", 5); /* field 6, fixed32 */
    struct proto p = proto_of(buf_str(&b));
    struct proto_field f;
    assert_true(proto_next(&p, &f));
    assert_int_equal(f.number, 1);
    assert_int_equal(f.wire, PROTO_VARINT);
    assert_true(f.value == 0);
    assert_true(proto_next(&p, &f));
    assert_true(f.number == 2 && f.value == UINT64_MAX);
    assert_true(proto_next(&p, &f));
    assert_true(f.number == 3 && proto_want(&p, &f, PROTO_FIXED64) && proto_double(&f) == -0.25);
    assert_true(proto_next(&p, &f));
    assert_str(f.bytes, "text");
    assert_true(proto_next(&p, &f));
    assert_true(f.number == 536870911 && f.bytes.len == 0);
    assert_true(proto_next(&p, &f));
    assert_true(f.wire == PROTO_FIXED32 && f.value == 0x04030201);
    assert_false(proto_next(&p, &f));
    assert_true(proto_ok(&p));
    buf_release(&b);
}

static void an_empty_message_has_no_fields(void **state) {
    (void)state;
    struct proto p = proto_of((struct str){NULL, 0});
    struct proto_field f;
    assert_false(proto_next(&p, &f));
    assert_true(proto_ok(&p));
}

static void varints_of_every_length_come_back(void **state) {
    (void)state;
    struct rng rng = rng_seeded(1);
    for (unsigned bits = 0; bits <= 64; bits++) {
        for (unsigned i = 0; i < 50; i++) {
            const uint64_t mask = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
            const uint64_t want = rng_u64(&rng) & mask;
            struct buf b;
            buf_init(&b, 64);
            pb_varint(&b, want);
            for (size_t cut = 0; cut < b.len; cut++) {
                struct proto p = proto_of(str_sub(buf_str(&b), 0, cut));
                uint64_t got;
                assert_false(proto_varint(&p, &got));
                assert_string_equal(p.error, "unexpected EOF");
            }
            struct proto p = proto_of(buf_str(&b));
            uint64_t got = 0;
            assert_true(proto_varint(&p, &got));
            assert_true(got == want && p.at == p.end);
            buf_release(&b);
        }
    }
}

static void what_is_cut_off_is_an_error(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 64);
    pb_double(&b, 1, 1);
    for (size_t cut = 1; cut < b.len; cut++) {
        expect_error(str_sub(buf_str(&b), 0, cut), "unexpected EOF");
    }
    buf_clear(&b);
    pb_bytes(&b, 2, STR("abc"));
    for (size_t cut = 1; cut < b.len; cut++) {
        expect_error(str_sub(buf_str(&b), 0, cut), "unexpected EOF");
    }
    expect_error(STR("\x0d\x01\x02"), "unexpected EOF"); /* fixed32 */
    buf_release(&b);
}

static void a_length_beyond_the_end_or_the_address_space_is_an_error(void **state) {
    (void)state;
    expect_error(STR("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "unexpected EOF");
    expect_error(STR("\x0a\x80\x80\x80\x80\x08zzzz"), "unexpected EOF");
}

static void varints_longer_than_64_bits_are_an_error(void **state) {
    (void)state;
    expect_error(STR("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), "proto: integer overflow");
    expect_error(STR("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
                 "proto: integer overflow");
}

static void groups_and_unknown_wire_types_are_refused(void **state) {
    (void)state;
    expect_error(STR("\x0b"), "proto: groups are not supported");
    expect_error(STR("\x0c"), "proto: groups are not supported");
    expect_error(STR("\x0e"), "proto: illegal wire type");
    expect_error(STR("\x0f"), "proto: illegal wire type");
}

static void field_numbers_out_of_range_are_refused(void **state) {
    (void)state;
    expect_error(STR("\x00\x01"), "proto: illegal tag");
    expect_error(STR("\x80\x80\x80\x80\x10\x01"), "proto: illegal tag");
}

static void a_field_of_another_type_than_wanted_is_an_error(void **state) {
    (void)state;
    struct proto p = proto_of(STR("\x08\x01"));
    struct proto_field f;
    assert_true(proto_next(&p, &f));
    assert_false(proto_want(&p, &f, PROTO_BYTES));
    assert_string_equal(p.error, "proto: wrong wire type for a field");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_come_in_order),
        cmocka_unit_test(an_empty_message_has_no_fields),
        cmocka_unit_test(varints_of_every_length_come_back),
        cmocka_unit_test(what_is_cut_off_is_an_error),
        cmocka_unit_test(a_length_beyond_the_end_or_the_address_space_is_an_error),
        cmocka_unit_test(varints_longer_than_64_bits_are_an_error),
        cmocka_unit_test(groups_and_unknown_wire_types_are_refused),
        cmocka_unit_test(field_numbers_out_of_range_are_refused),
        cmocka_unit_test(a_field_of_another_type_than_wanted_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

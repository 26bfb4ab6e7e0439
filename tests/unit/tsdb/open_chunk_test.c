/* Value operations, open chunks, WAL rows and slabs: what was written is read back, and bytes that
 * nobody wrote are refused. */
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/check_err.h"
#include "tsdb/chunk/open_chunk.h"
#include "tsdb/head.h"
#include "tsdb/head_row.h"

static void value_operations_lead_from_state_to_value(void **state) {
    (void)state;
    static const struct num values[] = {
        {.m = 0},
        {.m = 5},
        {.m = -5},
        {.m = 15, .scale = 1},
        {.m = 2},
        {.m = 200, .scale = 2},
        {.m = 9007199254740991},
        {.m = -9007199254740991},
        {.m = 1, .scale = 22},
        {.m = 0x7ff0000000000000, .kind = NUM_RAW},
        {.m = INT64_MIN, .kind = NUM_RAW},
        {.m = 3},
    };
    struct value_state s = {0};
    for (size_t round = 0; round < COUNT_OF(values) * COUNT_OF(values); round++) {
        const struct num v =
            values[round % 2 == 0 ? round / COUNT_OF(values) : round % COUNT_OF(values)];
        struct value_op op;
        if (value_op_of(s, v, &op)) {
            uint8_t bytes[OP_BYTES_MAX];
            const uint32_t gap = (uint32_t)round * 3;
            uint8_t *end = value_op_put(bytes, gap, op);
            assert_true(end <= bytes + sizeof(bytes));
            struct cursor from = cursor_of(bytes, (size_t)(end - bytes));
            struct value_op back;
            assert_int_equal(value_op_take(&from, &back), ERR_OK);
            assert_int_equal(cursor_left(&from), 0);
            assert_int_equal(back.gap, gap);
            assert_int_equal(value_op_apply(back, &s), ERR_OK);
        }
        assert_true(f64_same_bits(num_double(value_state_num(s)), num_double(v)));
        assert_false(value_op_of(s, v, &op));
    }
}

static void bytes_nobody_wrote_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
    } bad[] = {
        {"", 0},
        {"\x0d", 1},
        {"\x0f", 1},
        {"\x02\x01", 2},
        {"\x09\x40\x00", 3},
        {"\x09\x17\x02", 3},
        {"\x09\x20\x01\x02", 4},
        {"\xf1\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x01", 12},
        {"\x09\x00\x80\x80\x80\x80\x80\x80\x80\x40", 10},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct cursor from = cursor_of(bad[i].bytes, bad[i].n);
        struct value_op op;
        assert_int_equal(value_op_take(&from, &op), ERR_CORRUPT);
    }
    struct open_chunk_iter it;
    assert_int_equal(open_chunk_begin(&it, (const uint8_t *)"\x40", 1, (struct value_state){0}, 9),
                     ERR_CORRUPT); /* present, but not known */
    assert_int_equal(open_chunk_begin(&it, (const uint8_t *)"\x80", 1, (struct value_state){0}, 9),
                     ERR_CORRUPT);
}

static void rows_of_changes_round_trip(void **state) {
    (void)state;
    struct rng rng = rng_seeded(17);
    struct head_change changes[500];
    struct buf bytes;
    struct head_change *back = NULL;
    size_t capacity = 0;
    buf_init(&bytes, 1 << 20);
    for (int round = 0; round < 200; round++) {
        const size_t n = rng_below(&rng, COUNT_OF(changes));
        uint32_t slot = 0;
        for (size_t i = 0; i < n; i++, slot++) {
            slot += rng_below(&rng, 3) == 0 ? (uint32_t)rng_below(&rng, 60) : 0;
            const uint8_t code = (uint8_t)(rng_below(&rng, 2) * rng_below(&rng, OP_ABSENT + 1));
            changes[i] = (struct head_change){.slot = slot, .op = {.code = code}};
            if (code >= 1 && code <= 8) {
                changes[i].op.bits = rng_u64(&rng) >> (64 - 8 * code);
            } else if (code == OP_SET) {
                changes[i].op.form = 3;
                changes[i].op.bits = rng_u64(&rng) >> 20;
            }
        }
        const struct head_row_header header = {.group = 1 + (uint32_t)round,
                                               .row = rng_u64(&rng) >> 3,
                                               .flags = ROW_PUSHED,
                                               .ts_ms = -round};
        buf_clear(&bytes);
        head_row_encode(&bytes, &header, changes, n);
        assert_true(buf_ok(&bytes));
        struct cursor from = cursor_of(bytes.ptr, bytes.len);
        struct head_row_header got;
        size_t count;
        assert_int_equal(head_row_decode_header(&from, &got), ERR_OK);
        assert_int_equal(got.group, header.group);
        assert_int_equal(got.row, header.row);
        assert_int_equal(got.flags, header.flags);
        assert_int_equal(got.ts_ms, header.ts_ms);
        struct cursor again = from;
        assert_int_equal(head_row_decode_changes(&from, slot, &back, &capacity, &count), ERR_OK);
        assert_int_equal(count, n);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(back[i].slot, changes[i].slot);
            assert_int_equal(back[i].op.code, changes[i].op.code);
            assert_int_equal(back[i].op.bits, changes[i].op.bits);
        }
        if (n != 0) { /* the last slot is beyond the group */
            assert_int_equal(head_row_decode_changes(&again, slot - 1, &back, &capacity, &count),
                             ERR_CORRUPT);
        }
    }
    mem_free(back);
    buf_release(&bytes);
}

static void slabs_reuse_what_was_freed(void **state) {
    (void)state;
    struct slab *slab = mem_alloc(sizeof(*slab));
    uint32_t refs[3000];
    slab_init(slab);
    for (size_t bytes = 1; bytes <= SLAB_PAGE_BYTES; bytes += bytes / 3 + 1) {
        const unsigned c = slab_class(bytes);
        assert_true(slab_class_bytes(c) >= bytes);
        assert_true(c == 0 || slab_class_bytes(c - 1) < bytes);
    }
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < COUNT_OF(refs); i++) {
            refs[i] = slab_alloc(slab, i % 12);
            assert_int_not_equal(refs[i], 0);
            memset(slab_at(slab, refs[i]), (int)i, slab_class_bytes(i % 12));
        }
        for (uint32_t i = 0; i < COUNT_OF(refs); i++) {
            const uint8_t *at = slab_at(slab, refs[i]);
            assert_int_equal(at[0], (uint8_t)i);
            assert_int_equal(at[slab_class_bytes(i % 12) - 1], (uint8_t)i);
            slab_free(slab, refs[i], i % 12);
        }
        assert_int_equal(slab->live_bytes, 0);
    }
    const uint32_t pages = slab->page_count;
    const uint32_t whole = slab_alloc(slab, SLAB_CLASS_COUNT - 1);
    assert_int_not_equal(whole, 0);
    assert_int_equal(slab->page_count, pages + 1);
    slab_release(slab);
    mem_free(slab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value_operations_lead_from_state_to_value),
        cmocka_unit_test(bytes_nobody_wrote_are_refused),
        cmocka_unit_test(rows_of_changes_round_trip),
        cmocka_unit_test(slabs_reuse_what_was_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

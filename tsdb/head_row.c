/* Bytes of a row in the WAL.
 *
 *     uvarint group | uvarint row | u8 flags | varint time in ms | operations to the end
 *
 * An operation is that of chunk/value_op.h; its gap is the number of slots between. */
#include "tsdb/head_row.h"
#include "base/check.h"
#include "base/mem.h"
#include "tsdb/head.h"

enum { HEADER_MAX = 3 * UVARINT_MAX + 1, FLAGS_KNOWN = ROW_FULL | ROW_PUSHED };

static bool is_repeat(const struct head_change *change) {
    return change->op.code == 0;
}

void head_row_encode(struct buf *to, const struct head_row_header *header,
                     const struct head_change *changes, size_t n) {
    uint8_t *at = (uint8_t *)buf_reserve(to, HEADER_MAX + n * OP_BYTES_MAX);
    if (at == NULL) {
        return;
    }
    uint8_t *const start = at;
    at = put_uvarint(at, header->group);
    at = put_uvarint(at, header->row);
    at = put_u8(at, header->flags);
    at = put_varint(at, header->ts_ms);
    uint32_t next = 0;
    for (size_t i = 0; i < n;) {
        const uint32_t gap = changes[i].slot - next;
        size_t end = i + 1;
        while (is_repeat(&changes[i]) && end < n && is_repeat(&changes[end]) &&
               changes[end].slot == changes[end - 1].slot + 1) {
            end++;
        }
        const struct value_op repeat = {.code = OP_REPEAT, .bits = end - i - 1};
        at = value_op_put(at, gap, end - i > 2 ? repeat : changes[i].op);
        i = end - i > 2 ? end : i + 1;
        next = changes[i - 1].slot + 1;
    }
    to->len += (size_t)(at - start);
    to->ptr[to->len] = '\0';
}

enum err_code head_row_decode_header(struct cursor *from, struct head_row_header *out) {
    const uint64_t group = cursor_uvarint(from);
    const uint64_t row = cursor_uvarint(from);
    *out = (struct head_row_header){
        .group = (uint32_t)group,
        .row = row,
        .flags = cursor_u8(from),
        .ts_ms = cursor_varint(from),
    };
    const bool ok = !from->failed && group != 0 && group < UINT32_MAX &&
                    (out->flags & ~FLAGS_KNOWN) == 0 && row < SEGMENT_ROW_END;
    return ok ? ERR_OK : ERR_CORRUPT;
}

static void put_change(struct head_change **io_changes, size_t *io_capacity, size_t n,
                       struct head_change change) {
    if (n == *io_capacity) {
        *io_capacity = mem_grow(*io_capacity, n + 1);
        *io_changes = mem_resize(*io_changes, *io_capacity, sizeof(**io_changes));
    }
    (*io_changes)[n] = change;
}

enum err_code head_row_decode_changes(struct cursor *from, uint32_t slot_limit,
                                      struct head_change **io_changes, size_t *io_capacity,
                                      size_t *out_count) {
    uint64_t next = 0;
    size_t n = 0;
    while (cursor_left(from) != 0) {
        struct head_change change;
        if (value_op_take(from, &change.op) != ERR_OK) {
            return ERR_CORRUPT;
        }
        const bool repeat = change.op.code == OP_REPEAT;
        const uint64_t more = repeat ? change.op.bits : 0;
        next += change.op.gap;
        if (next >= slot_limit || more >= slot_limit - next) {
            return ERR_CORRUPT;
        }
        if (repeat) {
            change.op = (struct value_op){0};
        }
        for (uint64_t i = 0; i <= more; i++) {
            change.slot = (uint32_t)next++;
            put_change(io_changes, io_capacity, n++, change);
        }
    }
    *out_count = n;
    return ERR_OK;
}

/* Value operations: writing and reading their bytes. */
#include "tsdb/chunk/value_op.h"

#include "base/check.h"

const int64_t value_scale_steps[16] = {
    INT64_C(1),
    INT64_C(10),
    INT64_C(100),
    INT64_C(1000),
    INT64_C(10000),
    INT64_C(100000),
    INT64_C(1000000),
    INT64_C(10000000),
    INT64_C(100000000),
    INT64_C(1000000000),
    INT64_C(10000000000),
    INT64_C(100000000000),
    INT64_C(1000000000000),
    INT64_C(10000000000000),
    INT64_C(100000000000000),
    INT64_C(1000000000000000),
};

uint8_t *value_op_put_long(uint8_t *to, uint32_t gap, struct value_op op) {
    if (LIKELY(gap < OP_GAP_EXTENDED)) {
        to = put_u8(to, (uint8_t)(gap << 4 | op.code));
    } else {
        to = put_u8(to, (uint8_t)(OP_GAP_EXTENDED << 4 | op.code));
        to = put_uvarint(to, gap - OP_GAP_EXTENDED);
    }
    if (LIKELY(op.code <= OP_DELTA_MAX)) {
        for (unsigned i = 0; i < op.code; i++) {
            to = put_u8(to, (uint8_t)(op.bits >> 8 * i));
        }
    } else if (op.code == OP_SET) {
        to = put_u8(to, op.form);
        to = op.form & FORM_RAW ? put_u64(to, op.bits) : put_varint(to, (int64_t)op.bits);
    } else if (op.code == OP_REPEAT) {
        to = put_uvarint(to, op.bits);
    }
    return to;
}

static enum err_code take_set(struct cursor *from, struct value_op *out) {
    out->form = cursor_u8(from);
    if (out->form == FORM_RAW) {
        out->bits = cursor_u64(from);
        return ERR_OK;
    }
    const int64_t m = cursor_varint(from);
    out->bits = (uint64_t)m;
    return out->form <= NUM_SCALE_MAX && m < NUM_MANTISSA_LIMIT && m > -NUM_MANTISSA_LIMIT
               ? ERR_OK
               : ERR_CORRUPT;
}

enum err_code value_op_take(struct cursor *from, struct value_op *out) {
    const uint8_t head = cursor_u8(from);
    uint64_t gap = head >> 4;
    if (gap == OP_GAP_EXTENDED) {
        gap += cursor_uvarint(from);
    }
    if (gap > UINT32_MAX) {
        return ERR_CORRUPT;
    }
    *out = (struct value_op){.code = head & 0xF, .gap = (uint32_t)gap};
    if (out->code <= OP_DELTA_MAX) {
        const uint8_t *bytes = cursor_bytes(from, out->code);
        for (unsigned i = 0; bytes != NULL && i < out->code; i++) {
            out->bits |= (uint64_t)bytes[i] << 8 * i;
        }
    } else if (out->code == OP_SET) {
        if (take_set(from, out) != ERR_OK) {
            return ERR_CORRUPT;
        }
    } else if (out->code == OP_REPEAT) {
        out->bits = cursor_uvarint(from);
    } else if (out->code > OP_REPEAT) {
        return ERR_CORRUPT;
    }
    return from->failed ? ERR_CORRUPT : ERR_OK;
}

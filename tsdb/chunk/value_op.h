/* Value operations: the one way in which open chunks and WAL rows say what happened to a series.
 *
 * A series has a value state: its last mantissa and a form (scale, kind, present, known). An
 * operation takes one state to the next. Both writers emit an operation only when something
 * changed, and both formats frame it the same way:
 *
 *     [gap:4 | op:4] [gap - 15 as uvarint, if gap nibble is 15] [operand]
 *
 *     op 0 .. 8   difference to the last mantissa, zigzag, so many bytes little endian; present
 *     op 9        set: one byte scale | raw << 5, then the mantissa as varint, or 8 bytes; present
 *     op 10       stale in this row, absent after it
 *     op 11       absent
 *     op 12       repeat (WAL only): uvarint n, this and the next n slots have their last value
 *
 * gap counts what was left out since the operation before: rows in a chunk, slots in a WAL row.
 * The bytes are specified in FORMAT.md section 7. Pure. */
#ifndef TSDB_CHUNK_VALUE_OP_H
#define TSDB_CHUNK_VALUE_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/value.h"

enum value_op_code {
    OP_DELTA_MAX = 8,
    OP_SET = 9,
    OP_STALE = 10,
    OP_ABSENT = 11,
    OP_REPEAT = 12,
    OP_GAP_EXTENDED = 15,
    OP_BYTES_MAX = 1 + 5 + 1 + UVARINT_MAX,
};

enum {
    FORM_SCALE_MASK = 0x1F,
    FORM_RAW = 0x20,
    FORM_PRESENT = 0x40, /* has a value now; else absent */
    FORM_KNOWN = 0x80,   /* the mantissa may be the base of a difference */
};

struct value_state {
    int64_t m;
    uint8_t form;
};

struct value_op {
    uint8_t code;
    uint8_t form;  /* OP_SET: scale and raw bit */
    uint32_t gap;  /* filled by value_op_take */
    uint64_t bits; /* zigzag difference; mantissa for OP_SET; count for OP_REPEAT */
};

extern const int64_t value_scale_steps[16]; /* 10^0 .. 10^15 */

static inline uint8_t value_form(struct num v) {
    return v.kind == NUM_RAW ? FORM_RAW : v.scale;
}

static inline struct num value_state_num(struct value_state s) {
    return (struct num){
        .m = s.m,
        .scale = (uint8_t)(s.form & FORM_RAW ? 0 : s.form & FORM_SCALE_MASK),
        .kind = s.form & FORM_RAW ? NUM_RAW : NUM_DECIMAL,
    };
}

/* v with the finer scale of form, when it has an exact mantissa there: the quotient of two exact
 * integers is the same, so the double is the same bit for bit. */
static inline bool value_rescale(struct num v, uint8_t form, int64_t *out) {
    const unsigned scale = form & FORM_SCALE_MASK;
    if (v.scale > scale || scale - v.scale > 15) {
        return false;
    }
    return !__builtin_mul_overflow(v.m, value_scale_steps[scale - v.scale], out) &&
           *out<NUM_MANTISSA_LIMIT && * out> - NUM_MANTISSA_LIMIT;
}

/* The operation that takes state to the value v. False: nothing changed, no operation. */
static ALWAYS_INLINE bool value_op_of(struct value_state state, struct num v,
                                      struct value_op *out) {
    int64_t m = v.m;
    const uint8_t want = value_form(v);
    const uint8_t have = state.form & (FORM_SCALE_MASK | FORM_RAW);
    const bool comparable = (state.form & FORM_KNOWN) != 0 &&
                            (LIKELY(want == have) ||
                             (((want | have) & FORM_RAW) == 0 && value_rescale(v, state.form, &m)));
    if (UNLIKELY(!comparable)) {
        /* The scale of an earlier window is a good guess of what later values need. */
        const bool finer = ((want | have) & FORM_RAW) == 0 && value_rescale(v, state.form, &m);
        *out = (struct value_op){
            .code = OP_SET, .form = finer ? have : want, .bits = (uint64_t)(finer ? m : v.m)};
        return true;
    }
    if (LIKELY(m == state.m && (state.form & FORM_PRESENT) != 0)) {
        return false;
    }
    const uint64_t delta = zigzag_encode((int64_t)((uint64_t)m - (uint64_t)state.m));
    const unsigned bytes = delta == 0 ? 0 : (71 - (unsigned)__builtin_clzll(delta)) / 8;
    *out = (struct value_op){.code = (uint8_t)bytes, .bits = delta};
    return true;
}

/* Applies to a state; stale and absent leave the mantissa for a later difference. ERR_CORRUPT when
 * the result is no legal value (operations of our own never are). */
MUST_CHECK static inline enum err_code value_op_apply(struct value_op op,
                                                      struct value_state *state) {
    if (op.code <= OP_DELTA_MAX) {
        if ((state->form & FORM_KNOWN) == 0) {
            return ERR_CORRUPT;
        }
        const int64_t m = (int64_t)((uint64_t)state->m + (uint64_t)zigzag_decode(op.bits));
        if ((state->form & FORM_RAW) == 0 &&
            (m >= NUM_MANTISSA_LIMIT || m <= -NUM_MANTISSA_LIMIT)) {
            return ERR_CORRUPT;
        }
        state->m = m;
        state->form |= FORM_PRESENT;
        return ERR_OK;
    }
    if (op.code == OP_SET) {
        state->m = (int64_t)op.bits;
        state->form = op.form | FORM_PRESENT | FORM_KNOWN;
        return ERR_OK;
    }
    state->form &= (uint8_t)~FORM_PRESENT;
    return ERR_OK;
}

/* Writes up to OP_BYTES_MAX bytes, some of them beyond the operation; returns the byte behind it. */
uint8_t *value_op_put_long(uint8_t *to, uint32_t gap, struct value_op op);

static ALWAYS_INLINE uint8_t *value_op_put(uint8_t *to, uint32_t gap, struct value_op op) {
    if (LIKELY(gap < OP_GAP_EXTENDED && op.code < OP_DELTA_MAX)) {
        (void)put_u64(to, op.bits << 8 | gap << 4 | op.code);
        return to + 1 + op.code;
    }
    return value_op_put_long(to, gap, op);
}
/* ERR_CORRUPT for bytes that value_op_put never writes. */
MUST_CHECK enum err_code value_op_take(struct cursor *from, struct value_op *out);

#endif

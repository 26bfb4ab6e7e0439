/* Open chunk tokens. The iterator looks one operation ahead, so that a span ends where the next
 * operation begins. */
#include "tsdb/chunk/open_chunk.h"

#include "tsdb/storage.h"

uint8_t *open_chunk_put_base(uint8_t *to, struct value_state base) {
    to = put_u8(to, base.form);
    if (base.form & FORM_KNOWN) {
        to = base.form & FORM_RAW ? put_u64(to, (uint64_t)base.m) : put_varint(to, base.m);
    }
    return to;
}

static enum err_code take_base(struct cursor *from, struct value_state *out) {
    *out = (struct value_state){.form = cursor_u8(from)};
    if (out->form & FORM_KNOWN) {
        out->m = out->form & FORM_RAW ? (int64_t)cursor_u64(from) : cursor_varint(from);
    } else if (out->form & FORM_PRESENT) {
        return ERR_CORRUPT;
    }
    const uint8_t scale = out->form & FORM_SCALE_MASK;
    const bool legal =
        out->form & FORM_RAW
            ? scale == 0
            : scale <= NUM_SCALE_MAX && out->m < NUM_MANTISSA_LIMIT && out->m > -NUM_MANTISSA_LIMIT;
    return legal && !from->failed ? ERR_OK : ERR_CORRUPT;
}

/* The operand of n bytes (at most 8); words are read whole where there is room. */
static ALWAYS_INLINE uint64_t take_operand(const uint8_t *at, size_t left, unsigned n) {
    if (LIKELY(left >= sizeof(uint64_t))) {
        return n == 0 ? 0 : load_u64(at) & UINT64_MAX >> (64 - 8 * n);
    }
    uint64_t bits = 0;
    for (unsigned i = 0; i < n; i++) {
        bits |= (uint64_t)at[i] << 8 * i;
    }
    return bits;
}

bool open_chunk_integers(const uint8_t *bytes, size_t n, uint32_t rows, int64_t *m,
                         uint8_t *out_form) {
    struct cursor from = cursor_of(bytes, n);
    struct value_state base;
    if (take_base(&from, &base) != ERR_OK || (base.form & FORM_PRESENT) == 0) {
        return false;
    }
    const bool raw = (base.form & FORM_RAW) != 0;
    const uint8_t *at = bytes + (n - cursor_left(&from));
    const uint8_t *const end = bytes + n;
    int64_t value = base.m;
    uint32_t row = 0;
    while (at < end && row < rows) {
        const unsigned gap = *at >> 4;
        const unsigned size = *at & 0xF;
        at++;
        const size_t left = (size_t)(end - at);
        if (gap == OP_GAP_EXTENDED || size > OP_DELTA_MAX || size > left) {
            return false;
        }
        for (const uint32_t until = row + gap < rows ? row + gap : rows; row < until; row++) {
            m[row] = value;
        }
        if (row == rows) {
            break; /* of a row that is not asked for */
        }
        value = (int64_t)((uint64_t)value + (uint64_t)zigzag_decode(take_operand(at, left, size)));
        if (!raw && (value >= NUM_MANTISSA_LIMIT || value <= -NUM_MANTISSA_LIMIT)) {
            return false;
        }
        m[row++] = value;
        at += size;
    }
    for (; row < rows; row++) {
        m[row] = value;
    }
    *out_form = base.form;
    return true;
}

static enum err_code look_ahead(struct open_chunk_iter *it) {
    it->next_row = it->rows;
    if (cursor_left(&it->from) == 0) {
        return ERR_OK;
    }
    if (value_op_take(&it->from, &it->next) != ERR_OK || it->next.code == OP_REPEAT ||
        it->next.gap > UINT32_MAX - 1 - it->token_end) {
        return ERR_CORRUPT;
    }
    const uint32_t row = it->token_end + it->next.gap;
    it->token_end = row + 1;
    if (row < it->rows) {
        it->next_row = row;
    } else {
        it->from.at = it->from.end;
    }
    return ERR_OK;
}

enum err_code open_chunk_begin(struct open_chunk_iter *it, const uint8_t *bytes, size_t n,
                               struct value_state last, uint32_t rows) {
    *it = (struct open_chunk_iter){.state = last, .rows = rows};
    if (n == 0) {
        it->from = cursor_of("", 0);
        it->next_row = rows;
        return ERR_OK;
    }
    it->from = cursor_of(bytes, n);
    if (take_base(&it->from, &it->state) != ERR_OK) {
        return ERR_CORRUPT;
    }
    return look_ahead(it);
}

enum err_code open_chunk_next(struct open_chunk_iter *it, struct open_chunk_span *out,
                              bool *out_more) {
    *out_more = it->row < it->rows;
    if (!*out_more) {
        return ERR_OK;
    }
    bool stale = false;
    if (it->next_row == it->row) {
        stale = it->next.code == OP_STALE;
        if (value_op_apply(it->next, &it->state) != ERR_OK || look_ahead(it) != ERR_OK) {
            return ERR_CORRUPT;
        }
    }
    out->begin = it->row;
    out->end = stale ? it->row + 1 : it->next_row;
    out->state = stale ? SLOT_STALE : it->state.form & FORM_PRESENT ? SLOT_VALUE : SLOT_ABSENT;
    out->value = value_state_num(it->state);
    it->row = out->end;
    return ERR_OK;
}

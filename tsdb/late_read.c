/* Reading late groups: the open rows are brought into the order of time, and runs, which may overlap, are
 * read each for itself and joined. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/chunk/open_chunk.h"
#include "tsdb/head_read.h"
#include "tsdb/late_group.h"
#include "tsdb/querier_impl.h"

/* Scratch for one column of the window. */
struct window_column {
    uint32_t rows;
    const uint32_t *order;
    struct num *values;
    uint8_t *states;
    uint8_t *bytes; /* of the new chunk: room for the longest */
};

static void decode_rows(const struct open_slot *slot, struct window_column *c) {
    struct open_chunk_iter it;
    struct open_chunk_span span;
    bool more = false;
    memset(c->states, SLOT_ABSENT, c->rows);
    enum err_code code = open_chunk_begin(&it, slot->bytes, slot->len, slot->last, slot->rows);
    while (code == ERR_OK && (code = open_chunk_next(&it, &span, &more)) == ERR_OK && more) {
        for (uint32_t row = span.begin; row < span.end; row++) {
            c->values[row] = span.value;
            c->states[row] = span.state;
        }
    }
    ASSERT(code == ERR_OK); /* memory that we wrote */
}

static bool op_to(struct value_state state, uint8_t wanted, struct num value, struct value_op *op) {
    if (wanted == SLOT_VALUE) {
        return value_op_of(state, value, op);
    }
    *op = (struct value_op){.code = wanted == SLOT_STALE ? OP_STALE : OP_ABSENT};
    return wanted == SLOT_STALE || (state.form & FORM_PRESENT) != 0;
}

/* The rows by time, as a chunk: its length; 0 when none has a sample. */
static size_t encode_rows(struct window_column *c, struct value_state *out_last) {
    struct value_state state = {0};
    uint8_t *at = open_chunk_put_base(c->bytes, state);
    uint32_t end = 0;
    for (uint32_t i = 0; i < c->rows; i++) {
        const uint32_t row = c->order[i];
        struct value_op op;
        if (op_to(state, c->states[row], c->values[row], &op)) {
            const enum err_code applied = value_op_apply(op, &state);
            ASSERT(applied == ERR_OK);
            at = value_op_put(at, i - end, op);
            end = i + 1;
        }
    }
    *out_last = state;
    return end != 0 ? (size_t)(at - c->bytes) : 0;
}

static enum err_code sort_slot(struct group_read *r, struct window_column *c,
                               struct open_slot *io) {
    struct value_state last;
    decode_rows(io, c);
    const size_t len = encode_rows(c, &last);
    uint8_t *bytes = arena_try_alloc(r->read->arena, len + 1, 1);
    if (bytes == NULL) {
        return read_over_budget(r);
    }
    memcpy(bytes, c->bytes, len);
    *io = (struct open_slot){.last = last, .bytes = bytes, .len = (uint32_t)len, .rows = c->rows};
    return ERR_OK;
}

enum err_code read_sort_window(struct group_read *r, struct read_part *window, size_t n) {
    const uint32_t rows = window->rows;
    uint32_t *order = mem_array(rows, sizeof(*order));
    struct window_column c = {
        .rows = rows,
        .order = order,
        .values = mem_array(rows, sizeof(*c.values)),
        .states = mem_array(rows, sizeof(*c.states)),
        .bytes = mem_alloc(OPEN_CHUNK_BASE_MAX + (size_t)rows * OP_BYTES_MAX),
    };
    late_row_order(window->ts, rows, order);
    int64_t *ts = arena_try_alloc(r->read->arena, rows, sizeof(*ts));
    enum err_code code = ts != NULL ? ERR_OK : read_over_budget(r);
    for (uint32_t i = 0; i < rows && code == ERR_OK; i++) {
        ts[i] = window->ts[order[i]];
    }
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        code = sort_slot(r, &c, &r->open[i]);
    }
    window->ts = ts;
    mem_free(order);
    mem_free(c.values);
    mem_free(c.states);
    mem_free(c.bytes);
    return code;
}

/* Samples of each part: those of slot i of part p at i * parts + p. */
static enum err_code read_each_part(struct group_read *r, const uint32_t *slots, size_t n,
                                    struct storage_samples *got, struct storage_samples *all) {
    enum err_code code = ERR_OK;
    for (size_t p = 0; p < r->part_count; p++) { /* buffers are reused */
        r->rows_max = r->parts[p].rows > r->rows_max ? r->parts[p].rows : r->rows_max;
    }
    for (size_t p = 0; p < r->part_count && code == ERR_OK; p++) {
        struct group_read one = *r;
        one.parts = &r->parts[p];
        one.part_count = 1;
        one.rows = 0;
        one.patterns = NULL;
        memset(got, 0, n * sizeof(*got));
        code = read_slots(&one, slots, n, got);
        for (size_t i = 0; i < n && code == ERR_OK; i++) {
            all[i * r->part_count + p] = got[i];
        }
    }
    return code;
}

enum err_code read_late_slots(struct group_read *r, const uint32_t *slots, size_t n,
                              struct storage_samples *out) {
    struct arena *arena = r->read->arena;
    struct storage_samples *got = arena_try_alloc(arena, n, sizeof(*got));
    struct storage_samples *all = arena_try_alloc(arena, n, r->part_count * sizeof(*all));
    if (got == NULL || all == NULL) {
        return read_over_budget(r);
    }
    struct querier_joins joins = {0};
    enum err_code code = read_each_part(r, slots, n, got, all);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        code = querier_join(&joins, arena, all + i * r->part_count, r->part_count, &out[i], r->err);
    }
    return code;
}

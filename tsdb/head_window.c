/* A group's open rows as records: written when the log lacks rows that memory has, after a failure.
 *
 * It is a copy of the window: row times, and per slot the value state and the open chunk. FORMAT.md
 * section 9. A window larger than WINDOW_PART_BYTES is several records with a range of slots each. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/chunk/open_chunk.h"
#include "tsdb/head.h"
#include "tsdb/head_recover.h"
#include "tsdb/head_row.h"
#include "tsdb/late_group.h"

enum { WINDOW_PART_BYTES = 8 << 20, WINDOW_SLOT_MAX = 3 * UVARINT_MAX + 1 };

static void put_bytes(struct buf *to, const uint8_t *begin, const uint8_t *end) {
    buf_append(to, begin, (size_t)(end - begin));
}

static void encode_slot(const struct head_group *g, uint32_t slot, struct buf *to)
    REQUIRES(g->shard->mu) {
    const struct head_chunk *c = &g->chunks[slot];
    uint8_t bytes[WINDOW_SLOT_MAX];
    uint8_t *at = open_chunk_put_base(bytes, head_slot_state(g, slot));
    if (g->kind == GROUP_PUSHED) {
        at = put_uvarint(at, g->confirmed[slot]);
    }
    at = put_uvarint(at, c->len);
    put_bytes(to, bytes, at);
    if (c->len != 0) {
        buf_append(to, slab_at(&g->shard->slab, c->ref), c->len);
    }
}

/* One part of the window, slots from *io_slot on; FORMAT.md section 9. */
static void encode_part(const struct head_group *g, uint32_t *io_slot, struct buf *to)
    REQUIRES(g->shard->mu) {
    uint8_t bytes[6 * UVARINT_MAX];
    uint8_t *at = put_uvarint(bytes, g->id);
    at = put_uvarint(at, g->first_row);
    at = put_u8(at, g->kind == GROUP_PUSHED ? ROW_PUSHED : 0);
    at = put_uvarint(at, g->rows);
    buf_clear(to);
    put_bytes(to, bytes, at);
    int64_t before = 0;
    for (uint32_t i = 0; i < g->rows; i++) {
        at = put_varint(bytes, g->row_ts_ms[i] - before);
        put_bytes(to, bytes, at);
        before = g->row_ts_ms[i];
    }
    at = put_uvarint(bytes, *io_slot);
    put_bytes(to, bytes, at);
    while (*io_slot < g->slot_count && to->len < WINDOW_PART_BYTES) {
        encode_slot(g, (*io_slot)++, to);
    }
}

/* to = NULL: appends to the log. */
static enum err_code write_window(struct head_group *g, struct wal_rewriter *to, struct err *err)
    REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    uint32_t first_segment = 0;
    uint32_t slot = 0;
    do {
        encode_part(g, &slot, &shard->payload);
        if (!buf_ok(&shard->payload)) {
            return err_set(err, ERR_LIMIT, "the open rows of group %u are too large for the log",
                           g->id);
        }
        const struct wal_payload payload = {.type = HEAD_RECORD_WINDOW,
                                            .bytes = buf_str(&shard->payload).ptr,
                                            .size = shard->payload.len};
        struct wal_position at;
        const enum err_code code = to != NULL ? wal_rewrite(to, payload, &at, err)
                                              : wal_append(shard->wal, payload, &at, err);
        if (code != ERR_OK) {
            return code;
        }
        first_segment = first_segment == 0 ? at.segment : first_segment;
    } while (slot < g->slot_count);
    g->rewritten_segment = first_segment;
    return ERR_OK;
}

static void use_rewritten(struct head_group *g) REQUIRES(g->shard->mu) {
    g->wal_segment = g->rewritten_segment;
    g->wal_gap = false;
}

enum err_code head_log_window(struct head_group *g, struct err *err) {
    if (g->rows == 0) {
        g->wal_gap = false;
        return ERR_OK;
    }
    const enum err_code code = write_window(g, NULL, err);
    if (code == ERR_OK) {
        use_rewritten(g);
    }
    return code;
}

static uint32_t count_groups(struct tsdb *db) {
    mutex_lock(&db->index.mu);
    const uint32_t count = db->group_count;
    mutex_unlock(&db->index.mu);
    return count;
}

enum err_code head_rewrite_windows(void *ctx, struct wal_rewriter *to, struct err *err) {
    struct head_shard *shard = ctx;
    enum err_code code = ERR_OK;
    const uint32_t count = count_groups(shard->db);
    for (uint32_t id = 1; id < count && code == ERR_OK; id++) {
        struct head_group *g = head_group_get(shard->db, id);
        if (g == NULL || g->shard != shard) {
            continue;
        }
        head_shard_held(g->shard);
        if (head_replay_locked(g, NULL) == ERR_OK && g->rows != 0) { /* else the old files stay */
            code = write_window(g, to, err);
        }
    }
    return code;
}

void head_windows_rewritten(struct head_shard *shard) {
    const uint32_t count = count_groups(shard->db);
    for (uint32_t id = 1; id < count; id++) {
        struct head_group *g = head_group_get(shard->db, id);
        if (g != NULL && g->shard == shard) {
            head_shard_held(g->shard);
            if (g->rows != 0) {
                use_rewritten(g);
            }
        }
    }
}

struct window_slot {
    struct value_state state;
    uint32_t confirmed;
    const uint8_t *bytes;
    uint32_t len;
    uint32_t end_row;
};

/* Of a value that is not known, scale and mantissa are only hints from before the window. */
static bool same_state(struct value_state a, struct value_state b) {
    const uint8_t flags = FORM_PRESENT | FORM_KNOWN;
    return a.form & FORM_KNOWN ? a.form == b.form && a.m == b.m
                               : (a.form & flags) == (b.form & flags);
}

/* Reads a slot and walks its chunk once, so that what is in memory is always sound. */
static enum err_code decode_slot(struct cursor *from, bool pushed, uint32_t rows,
                                 struct window_slot *out) {
    *out = (struct window_slot){.state.form = cursor_u8(from), .confirmed = rows};
    if (out->state.form & FORM_KNOWN) {
        out->state.m = out->state.form & FORM_RAW ? (int64_t)cursor_u64(from) : cursor_varint(from);
    }
    if (pushed) {
        const uint64_t confirmed = cursor_uvarint(from);
        out->confirmed = confirmed <= rows ? (uint32_t)confirmed : UINT32_MAX;
    }
    const uint64_t len = cursor_uvarint(from);
    out->bytes = cursor_bytes(from, len <= UINT16_MAX ? len : SIZE_MAX);
    if (from->failed || out->confirmed > rows) {
        return ERR_CORRUPT;
    }
    out->len = (uint32_t)len;
    struct open_chunk_iter it;
    struct open_chunk_span span;
    bool more = false;
    enum err_code code = open_chunk_begin(&it, out->bytes, len, out->state, rows);
    while (code == ERR_OK && (code = open_chunk_next(&it, &span, &more)) == ERR_OK && more) {
    }
    const bool legal = it.token_end <= rows && (out->state.form & FORM_SCALE_MASK) <= NUM_SCALE_MAX;
    const bool agrees = len == 0 || same_state(it.state, out->state);
    out->end_row = it.token_end;
    return code == ERR_OK && legal && agrees ? ERR_OK : ERR_CORRUPT;
}

static void load_slot(struct head_group *g, uint32_t slot, const struct window_slot *s)
    REQUIRES(g->mu) {
    struct slab *slab = &g->shard->slab;
    struct head_chunk *c = &g->chunks[slot];
    if (c->len != 0) {
        slab_free(slab, c->ref, slab_class(c->len));
        *c = (struct head_chunk){0};
    }
    if (s->len != 0) {
        c->ref = slab_alloc(slab, slab_class(s->len));
        g->shard->chunks_created++;
        ASSERT(c->ref != 0);
        memcpy(slab_at(slab, c->ref), s->bytes, s->len);
        c->len = (uint16_t)s->len;
        c->end_row = (uint16_t)s->end_row;
    }
    g->m[slot] = s->state.m;
    g->forms[slot] = s->state.form;
    if (g->kind == GROUP_PUSHED) {
        g->confirmed[slot] = (uint16_t)s->confirmed;
        if (s->confirmed != 0) {
            g->last_ts_ms[slot] = g->row_ts_ms[s->confirmed - 1];
        }
    }
}

static enum err_code decode_times(struct cursor *from, uint32_t rows, int64_t *out) {
    int64_t before = 0;
    for (uint32_t i = 0; i < rows; i++) {
        int64_t ts;
        if (__builtin_add_overflow(before, cursor_varint(from), &ts)) {
            return ERR_CORRUPT;
        }
        out[i] = ts;
        before = ts;
    }
    return from->failed ? ERR_CORRUPT : ERR_OK;
}

/* Rows of a late group may come in any order. */
static bool times_fit(const struct head_group *g, const int64_t *ts, uint32_t rows) {
    for (uint32_t i = 1; i < rows && !g->late; i++) {
        if (ts[i] <= ts[i - 1]) {
            return false;
        }
    }
    return !g->late || late_times_differ(ts, rows);
}

static void load_times(struct head_group *g, const int64_t *ts, uint32_t rows) REQUIRES(g->mu) {
    if (rows > g->row_capacity) {
        g->row_capacity = rows;
        g->row_ts_ms = mem_resize(g->row_ts_ms, rows, sizeof(*g->row_ts_ms));
    }
    memcpy(g->row_ts_ms, ts, rows * sizeof(*ts));
    g->rows = rows;
    for (uint32_t i = 0; i < rows; i++) {
        head_note_time(g, ts[i]);
    }
}

struct window_header {
    uint32_t group;
    uint64_t first_row;
    bool pushed;
    uint32_t rows;
    int64_t *ts_ms; /* rows of them; mem_free */
    uint64_t first_slot;
};

static enum err_code take_header(struct cursor *from, struct window_header *out) {
    const uint64_t group = cursor_uvarint(from);
    const uint64_t first_row = cursor_uvarint(from);
    const bool pushed = (cursor_u8(from) & ROW_PUSHED) != 0;
    const uint64_t rows = cursor_uvarint(from);
    if (from->failed || group == 0 || group >= UINT32_MAX || first_row >= SEGMENT_ROW_END ||
        rows == 0 || rows > HEAD_ROWS_MAX) {
        return ERR_CORRUPT;
    }
    *out = (struct window_header){
        .group = (uint32_t)group,
        .first_row = first_row,
        .pushed = pushed,
        .rows = (uint32_t)rows,
        .ts_ms = mem_array(rows, sizeof(int64_t)),
    };
    enum err_code code = decode_times(from, out->rows, out->ts_ms);
    out->first_slot = cursor_uvarint(from);
    if (code != ERR_OK || from->failed) {
        mem_free(out->ts_ms);
        code = ERR_CORRUPT;
    }
    return code;
}

uint32_t head_scan_window(struct cursor *from, int64_t *out_first_ms, int64_t *out_last_ms) {
    struct window_header h;
    if (take_header(from, &h) != ERR_OK) {
        return 0;
    }
    *out_first_ms = h.ts_ms[0];
    *out_last_ms = h.ts_ms[0];
    for (uint32_t i = 1; i < h.rows; i++) {
        *out_first_ms = h.ts_ms[i] < *out_first_ms ? h.ts_ms[i] : *out_first_ms;
        *out_last_ms = h.ts_ms[i] > *out_last_ms ? h.ts_ms[i] : *out_last_ms;
    }
    mem_free(h.ts_ms);
    return h.group;
}

void head_window_rows(struct cursor from, head_window_row_fn *fn, void *ctx) {
    struct window_header h;
    if (take_header(&from, &h) == ERR_OK) {
        for (uint32_t i = 0; i < h.rows; i++) {
            fn(ctx, h.first_row + i, h.ts_ms[i]);
        }
        mem_free(h.ts_ms);
    }
}

static enum err_code load_slots(struct head_group *g, struct cursor *from,
                                const struct window_header *h) REQUIRES(g->mu) {
    uint64_t slot = h->first_slot;
    while (cursor_left(from) != 0) {
        struct window_slot s;
        if (slot >= g->slot_count || decode_slot(from, h->pushed, h->rows, &s) != ERR_OK) {
            return ERR_CORRUPT;
        }
        load_slot(g, (uint32_t)slot++, &s);
    }
    return ERR_OK;
}

/* Slots of which only the window is left keep their numbers. */
static enum err_code reserve_slots(struct head_group *g, struct cursor from,
                                   const struct window_header *h) REQUIRES(g->shard->mu) {
    uint64_t slot = h->first_slot;
    enum err_code code = ERR_OK;
    for (; code == ERR_OK && cursor_left(&from) != 0; slot++) {
        struct window_slot s;
        code = decode_slot(&from, h->pushed, h->rows, &s);
    }
    return code == ERR_OK && slot < INDEX_SLOT_MAX && head_reserve_slots(g, (uint32_t)slot)
               ? ERR_OK
               : ERR_CORRUPT;
}

/* Rows before the window were lost, or are in memory whole: the window begins behind them. */
static enum err_code begin_behind(struct head_group *g, const struct window_header *h,
                                  struct err *err) REQUIRES(g->shard->mu) {
    const enum err_code code = head_seal(g, err);
    if (code == ERR_OK) {
        mutex_lock(&g->mu);
        g->first_row = h->first_row;
        mutex_unlock(&g->mu);
    }
    return code;
}

enum err_code head_replay_window(struct head_group *g, struct cursor *from, struct err *err) {
    struct window_header h;
    if (take_header(from, &h) != ERR_OK) {
        return ERR_CORRUPT;
    }
    enum err_code code = times_fit(g, h.ts_ms, h.rows) ? reserve_slots(g, *from, &h) : ERR_CORRUPT;
    if (code == ERR_OK && h.first_row > g->first_row && h.first_row >= g->first_row + g->rows) {
        code = begin_behind(g, &h, err);
    }
    if (code == ERR_OK && h.first_row == g->first_row) { /* else it was sealed since */
        const bool known = g->kind != GROUP_UNDECIDED && g->rows != 0;
        if (known && h.pushed != (g->kind == GROUP_PUSHED)) {
            code = ERR_CORRUPT;
        } else {
            mutex_lock(&g->mu);
            if (h.pushed) {
                head_group_make_pushed(g);
            } else {
                g->kind = GROUP_SCRAPED;
            }
            load_times(g, h.ts_ms, h.rows);
            code = load_slots(g, from, &h);
            mutex_unlock(&g->mu);
        }
    }
    mem_free(h.ts_ms);
    return code;
}

/* One record of the log becomes a row, or more, of the open window. */
#include "base/check.h"
#include "base/mem.h"
#include "tsdb/head_recover.h"
#include "tsdb/head_replay.h"
#include "tsdb/head_row.h"
#include "tsdb/late_group.h"

uint64_t head_record_row(const struct wal_record *record) {
    struct cursor from = cursor_of(record->payload, record->size);
    cursor_uvarint(&from);
    return cursor_uvarint(&from);
}

uint64_t head_record_end(const struct wal_record *record) {
    struct cursor from = cursor_of(record->payload, record->size);
    struct head_row_header header;
    if (record->type == HEAD_RECORD_WINDOW) {
        cursor_uvarint(&from);
        const uint64_t first_row = cursor_uvarint(&from);
        (void)cursor_u8(&from);
        const uint64_t rows = cursor_uvarint(&from);
        return from.failed || rows > HEAD_ROWS_MAX || first_row >= SEGMENT_ROW_END
                   ? 0
                   : first_row + rows;
    }
    return record->type == HEAD_RECORD_ROW && head_row_decode_header(&from, &header) == ERR_OK
               ? header.row + 1
               : 0;
}

bool head_record_is_complete(const struct wal_record *record) {
    struct cursor from = cursor_of(record->payload, record->size);
    struct head_row_header header;
    return record->type == HEAD_RECORD_WINDOW ||
           (head_row_decode_header(&from, &header) == ERR_OK && (header.flags & ROW_FULL) != 0);
}

/* ---- one row ---- */

/* Turns a complete row into changes against the state in memory: what it does not name is absent
 * in a scraped group. Replaces the shard's changes. */
static size_t complete_changes(struct head_group *g, const struct head_change *named, size_t n)
    REQUIRES(g->shard->mu) {
    head_shard_held(g->shard);
    struct head_change *out = head_changes(g->shard, g->slot_count);
    size_t count = 0;
    size_t at = 0;
    for (uint32_t slot = 0; slot < g->slot_count; slot++) {
        if (at < n && named[at].slot == slot) {
            out[count++] = named[at++];
        } else if (g->forms[slot] & FORM_PRESENT) {
            out[count++] =
                (struct head_change){.slot = slot, .op = (struct value_op){.code = OP_ABSENT}};
        }
    }
    return count;
}

/* Would all changes apply? */
static bool fits(const struct head_group *g, uint32_t row, uint8_t flags,
                 const struct head_change *changes, size_t n) REQUIRES(g->shard->mu) {
    for (size_t i = 0; i < n; i++) {
        struct value_state state = head_slot_state(g, changes[i].slot);
        const bool early = (flags & ROW_PUSHED) != 0 && row < g->confirmed[changes[i].slot];
        const bool inserts =
            g->late && (changes[i].op.code == OP_SET || changes[i].op.code == OP_STALE);
        if ((early && !inserts) || value_op_apply(changes[i].op, &state) != ERR_OK) {
            return false;
        }
    }
    return true;
}

/* Rows ascend; those of a late group come in any order, each time once. */
static bool fits_time(const struct head_group *g, uint32_t row, int64_t ts_ms)
    REQUIRES(g->shard->mu) {
    if (row < g->rows) {
        return g->row_ts_ms[row] == ts_ms;
    }
    return g->late ? late_find_row(g, ts_ms) == g->rows
                   : g->rows == 0 || ts_ms > g->row_ts_ms[g->rows - 1];
}

/* By the first row that is used: one that is not may be of a group that had the number before. */
static bool decide_kind(struct head_group *g, bool pushed) REQUIRES(g->shard->mu) {
    if (g->kind == GROUP_UNDECIDED) {
        mutex_lock(&g->mu);
        if (pushed) {
            head_group_make_pushed(g);
        } else {
            g->kind = GROUP_SCRAPED;
        }
        mutex_unlock(&g->mu);
    }
    return pushed == (g->kind == GROUP_PUSHED);
}

/* Is there a value in a slot whose definition was lost? It may be a column of a histogram, which would be
 * another one without it. Later rows go on from it, so the answer must not depend on what is defined later:
 * lost numbers are not given again. */
static bool names_lost_slot(struct head_group *g, const struct head_change *changes, size_t n)
    REQUIRES(g->shard->mu) {
    struct index *index = &g->shard->db->index;
    bool lost = false;
    mutex_lock(&index->mu);
    const struct index_group *known = &index->live->groups[g->id];
    for (size_t i = 0; i < n && !lost; i++) {
        const uint32_t slot = changes[i].slot;
        lost = changes[i].op.code != OP_ABSENT && !group_columns_hides(g->columns, slot) &&
               (slot >= known->slot_count || known->slots[slot] == INDEX_SLOT_LOST);
    }
    mutex_unlock(&index->mu);
    return lost;
}

static enum err_code replay_row(struct head_group *g, struct cursor *from,
                                struct head_change **scratch, size_t *scratch_capacity)
    REQUIRES(g->shard->mu) {
    struct head_row_header header;
    size_t n = 0;
    if (head_row_decode_header(from, &header) != ERR_OK || header.row < g->first_row) {
        return ERR_OK; /* sealed already */
    }
    const bool pushed = (header.flags & ROW_PUSHED) != 0;
    const uint64_t row = header.row - g->first_row;
    if (row < g->rows && !pushed) {
        return ERR_OK; /* a repeated record */
    }
    /* The numbers of its slots are used up, whatever becomes of the row. */
    const bool sound = head_row_decode_changes(from, g->slot_count + HEAD_LOST_AT_ONCE_MAX, scratch,
                                               scratch_capacity, &n) == ERR_OK &&
                       (n == 0 || head_reserve_slots(g, (*scratch)[n - 1].slot + 1));
    if (row > g->rows || (row == 0 && g->rows == 0 && (header.flags & ROW_FULL) == 0)) {
        return ERR_NOT_FOUND; /* the row before was lost */
    }
    if (!decide_kind(g, pushed)) {
        return ERR_CORRUPT;
    }
    if (!sound || !fits_time(g, (uint32_t)row, header.ts_ms) || row >= HEAD_ROWS_MAX) {
        return ERR_CORRUPT;
    }
    const struct head_change *changes = *scratch;
    if (names_lost_slot(g, changes, n)) {
        return ERR_NOT_FOUND; /* as if the row were lost */
    }
    if ((header.flags & ROW_FULL) != 0 && !pushed) {
        n = complete_changes(g, changes, n);
        changes = g->shard->changes;
    }
    if (!fits(g, (uint32_t)row, header.flags, changes, n)) {
        return ERR_CORRUPT;
    }
    return head_apply_row(g, (uint32_t)row, header.ts_ms, header.flags, changes, n);
}

/* Rows are missing before this record. A complete row may start anew, after the rows that are in
 * memory were sealed. ERR_NOT_FOUND: it may not. */
static enum err_code skip_gap(struct head_group *g, const struct wal_record *record,
                              struct err *err) REQUIRES(g->shard->mu) {
    struct cursor from = cursor_of(record->payload, record->size);
    struct head_row_header header;
    if (head_row_decode_header(&from, &header) != ERR_OK || header.row < g->first_row ||
        (header.flags & ROW_FULL) == 0) {
        return ERR_NOT_FOUND;
    }
    const enum err_code code = head_seal(g, err);
    if (code != ERR_OK) {
        return code;
    }
    mutex_lock(&g->mu);
    g->first_row = header.row;
    mutex_unlock(&g->mu);
    return ERR_OK;
}

enum err_code head_replay_record(struct head_group *g, const struct wal_record *record,
                                 struct head_change **scratch, size_t *capacity, struct err *err) {
    struct cursor from = cursor_of(record->payload, record->size);
    if (record->type == HEAD_RECORD_WINDOW) {
        return head_replay_window(g, &from, err);
    }
    enum err_code code = replay_row(g, &from, scratch, capacity);
    if (code == ERR_NOT_FOUND) {
        code = skip_gap(g, record, err);
        if (code == ERR_OK) {
            from = cursor_of(record->payload, record->size);
            code = replay_row(g, &from, scratch, capacity);
        }
    }
    return code;
}

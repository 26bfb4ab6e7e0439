/* Recovery: from what the files say to open rows in memory.
 *
 * At opening only headers are looked at: each group gets the list of its runs and of its WAL
 * records. The records are decoded when the group is first written or read, or by the maintenance
 * thread. A run whose rows are still in the WAL is verified then; one that is damaged is dropped
 * together with the later ones, and its rows come from the WAL.
 *
 * A lost record breaks the chain of differences of its group until the next complete row: rows
 * between are skipped and counted, never guessed. */
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "tsdb/head.h"

/* ---- opening ---- */

/* Keeps runs in the order of rows. One with rows that others have too replaces them: it was
 * written again, later, after a failure. */
static void put_run(struct head_group *g, const struct segment_run_info *info) REQUIRES(g->mu) {
    const uint64_t end_row = info->first_row + info->rows;
    uint32_t at = g->run_count;
    while (at != 0 && g->runs[at - 1].first_row + g->runs[at - 1].rows > info->first_row) {
        at--;
    }
    uint32_t behind = at;
    while (behind < g->run_count && g->runs[behind].first_row < end_row) {
        behind++;
    }
    if (g->run_count == g->run_capacity) {
        g->run_capacity = g->run_capacity + g->run_capacity / 4 + 2;
        g->runs = mem_resize(g->runs, g->run_capacity, sizeof(*g->runs));
    }
    memmove(g->runs + at + 1, g->runs + behind, (g->run_count - behind) * sizeof(*g->runs));
    g->run_count = g->run_count - (behind - at) + 1;
    g->runs[at] = (struct head_run){
        .min_ts_ms = info->min_ts_ms,
        .max_ts_ms = info->max_ts_ms,
        .first_row = info->first_row,
        .rows = info->rows,
        .at = info->at,
    };
    g->first_row = end_row > g->first_row ? end_row : g->first_row;
}

static struct head_group *group_of(struct head_shard *shard, uint32_t id) {
    struct head_group *g = head_group_get(shard->db, id);
    if (g == NULL || (g->shard != NULL && g->shard != shard)) {
        atomic_fetch_add(&shard->db->damage_count, 1);
        return NULL;
    }
    g->shard = shard;
    return g;
}

enum err_code head_found_run(void *ctx, const struct segment_run_info *run, struct err *err) {
    (void)err;
    struct head_group *g = group_of(ctx, run->group);
    if (g != NULL && run->min_ts_ms <= run->max_ts_ms) {
        mutex_lock(&g->mu);
        put_run(g, run);
        mutex_unlock(&g->mu);
        head_note_time(g, run->min_ts_ms);
        head_note_time(g, run->max_ts_ms);
    }
    return ERR_OK;
}

/* Group and times of a record; group 0 when it is none of ours. */
static uint32_t scan_record(const struct wal_record *record, int64_t *out_first_ms,
                            int64_t *out_last_ms) {
    struct cursor from = cursor_of(record->payload, record->size);
    if (record->type == HEAD_RECORD_ROW) {
        struct head_row_header header;
        if (head_row_decode_header(&from, &header) == ERR_OK) {
            *out_first_ms = header.ts_ms;
            *out_last_ms = header.ts_ms;
            return header.group;
        }
    } else if (record->type == HEAD_RECORD_WINDOW) {
        return head_scan_window(&from, out_first_ms, out_last_ms);
    }
    return 0;
}

enum err_code head_found_record(void *ctx, const struct wal_record *record, struct err *err) {
    (void)err;
    int64_t first_ms;
    int64_t last_ms;
    const uint32_t id = scan_record(record, &first_ms, &last_ms);
    struct head_group *g = id != 0 ? group_of(ctx, id) : NULL;
    if (g == NULL) {
        return ERR_OK;
    }
    if (g->replay_count == g->replay_capacity) {
        g->replay_capacity = (uint32_t)mem_grow(g->replay_capacity, g->replay_count + (size_t)1);
        g->replay = mem_resize(g->replay, g->replay_capacity, sizeof(*g->replay));
    }
    g->replay[g->replay_count++] = record->at;
    head_note_time(g, first_ms);
    head_note_time(g, last_ms);
    atomic_store(&g->replayed, false);
    return ERR_OK;
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
        if (early || value_op_apply(changes[i].op, &state) != ERR_OK) {
            return false;
        }
    }
    return true;
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
    if (g->rows == 0 && g->kind == GROUP_UNDECIDED) {
        mutex_lock(&g->mu);
        if (pushed) {
            head_group_make_pushed(g);
        } else {
            g->kind = GROUP_SCRAPED;
        }
        mutex_unlock(&g->mu);
    }
    if (pushed != (g->kind == GROUP_PUSHED)) {
        return ERR_CORRUPT;
    }
    if (row > g->rows || (row == 0 && g->rows == 0 && (header.flags & ROW_FULL) == 0)) {
        return ERR_NOT_FOUND; /* the row before was lost */
    }
    const bool in_order = row < g->rows ? g->row_ts_ms[row] == header.ts_ms
                                        : g->rows == 0 || header.ts_ms > g->row_ts_ms[g->rows - 1];
    if (!in_order || row >= HEAD_ROWS_MAX ||
        head_row_decode_changes(from, g->slot_count, scratch, scratch_capacity, &n) != ERR_OK) {
        return ERR_CORRUPT;
    }
    const struct head_change *changes = *scratch;
    if ((header.flags & ROW_FULL) != 0 && !pushed) {
        n = complete_changes(g, changes, n);
        changes = g->shard->changes;
    }
    if (!fits(g, (uint32_t)row, header.flags, changes, n)) {
        return ERR_CORRUPT;
    }
    return head_apply_row(g, (uint32_t)row, header.ts_ms, header.flags, changes, n);
}

/* ---- a group ---- */

/* Where the group's rows in the WAL begin; UINT64_MAX when that cannot be told. */
static uint64_t first_logged_row(struct head_group *g) REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    struct wal_record record;
    if (wal_read(shard->wal, g->replay[0], &shard->read_bytes, &shard->read_capacity, &record,
                 NULL) != ERR_OK) {
        return UINT64_MAX;
    }
    struct cursor from = cursor_of(record.payload, record.size);
    cursor_uvarint(&from);
    return cursor_uvarint(&from);
}

static void drop_runs(struct head_group *g, uint32_t first, uint64_t next_row)
    REQUIRES(g->shard->mu) {
    mutex_lock(&g->mu);
    g->first_row = next_row;
    g->run_count = first;
    mutex_unlock(&g->mu);
}

/* Where the log still has rows, its word counts: from the first run there that is damaged, or that
 * was not found at opening, all runs are dropped and the rows come from the log. */
static void verify_runs(struct head_group *g) REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    const uint64_t logged = first_logged_row(g);
    uint32_t at = g->run_count;
    while (at != 0 && g->runs[at - 1].first_row >= logged) {
        at--;
    }
    uint64_t next_row = logged;
    if (at != 0 && g->runs[at - 1].first_row + g->runs[at - 1].rows > logged) {
        next_row = g->runs[at - 1].first_row + g->runs[at - 1].rows;
    }
    for (; at < g->run_count; at++) {
        struct err err;
        enum err_code code = ERR_OK;
        if (g->runs[at].first_row > next_row) {
            code = err_set(&err, ERR_CORRUPT, "the run of row %llu is missing",
                           (unsigned long long)next_row);
        } else {
            code = segment_verify(shard->store, g->runs[at].at, &err);
        }
        if (code != ERR_OK) {
            log_warn(shard->db->options.log, "tsdb", "rows of a damaged run are read from the log",
                     log_u64("group", g->id), log_err(&err));
            drop_runs(g, at, next_row);
            return;
        }
        next_row = g->runs[at].first_row + g->runs[at].rows;
    }
}

static void report_lost(struct head_group *g, const char *what, struct wal_position at) {
    struct tsdb *db = g->shard->db;
    atomic_fetch_add(&db->damage_count, 1);
    metric_inc(db->metrics.wal_corruptions);
    log_warn(db->options.log, "tsdb", "a row of the log cannot be used", log_text("why", what),
             log_u64("group", g->id), log_u64("shard", g->shard->number),
             log_u64("segment", at.segment), log_u64("offset", at.offset));
}

/* Rows are missing before this record. A complete row may start anew, after the rows that are in
 * memory were sealed. */
static enum err_code skip_gap(struct head_group *g, const struct wal_record *record)
    REQUIRES(g->shard->mu) {
    struct cursor from = cursor_of(record->payload, record->size);
    struct head_row_header header;
    if (head_row_decode_header(&from, &header) != ERR_OK || header.row < g->first_row ||
        (header.flags & ROW_FULL) == 0 || head_seal(g, NULL) != ERR_OK) {
        return ERR_NOT_FOUND;
    }
    mutex_lock(&g->mu);
    g->first_row = header.row;
    mutex_unlock(&g->mu);
    return ERR_OK;
}

static enum err_code replay_record(struct head_group *g, const struct wal_record *record,
                                   struct head_change **scratch, size_t *capacity)
    REQUIRES(g->shard->mu) {
    struct cursor from = cursor_of(record->payload, record->size);
    if (record->type == HEAD_RECORD_WINDOW) {
        return head_replay_window(g, &from);
    }
    enum err_code code = replay_row(g, &from, scratch, capacity);
    if (code == ERR_NOT_FOUND && skip_gap(g, record) == ERR_OK) {
        from = cursor_of(record->payload, record->size);
        code = replay_row(g, &from, scratch, capacity);
    }
    return code;
}

/* The next row must not have the number of a row that is in the log but could not be used. */
static void skip_lost_rows(struct head_group *g, uint64_t next_row) REQUIRES(g->shard->mu) {
    if (next_row <= g->first_row + g->rows) {
        return;
    }
    if (head_seal(g, NULL) == ERR_OK) {
        mutex_lock(&g->mu);
        g->first_row = next_row;
        mutex_unlock(&g->mu);
    }
}

static uint64_t row_after(const struct wal_record *record) {
    struct cursor from = cursor_of(record->payload, record->size);
    struct head_row_header header;
    return record->type == HEAD_RECORD_ROW && head_row_decode_header(&from, &header) == ERR_OK
               ? header.row + 1
               : 0;
}

/* Where the log was complete last: nothing before is needed from there on. */
struct complete_row {
    uint32_t record; /* of the group's list */
    uint64_t row;    /* UINT64_MAX: not yet */
};

static void note_complete(const struct wal_record *record, uint32_t i, struct complete_row *last) {
    struct cursor from = cursor_of(record->payload, record->size);
    if (record->type == HEAD_RECORD_WINDOW) {
        cursor_uvarint(&from);
        *last = (struct complete_row){.record = i, .row = cursor_uvarint(&from)};
        return;
    }
    struct head_row_header header;
    if (head_row_decode_header(&from, &header) == ERR_OK && (header.flags & ROW_FULL) != 0) {
        *last = (struct complete_row){.record = i, .row = header.row};
    }
}

/* The row right behind the last run needs what was before it: a window that was to become several
 * runs did so only in part (head_seal.c). Its runs are dropped, to be replayed from its complete
 * row. */
static bool drop_half_window(struct head_group *g, const struct wal_record *record,
                             const struct complete_row *last) REQUIRES(g->shard->mu) {
    struct cursor from = cursor_of(record->payload, record->size);
    struct head_row_header header;
    if (record->type != HEAD_RECORD_ROW || g->rows != 0 || last->row >= g->first_row ||
        head_row_decode_header(&from, &header) != ERR_OK || header.row != g->first_row) {
        return false;
    }
    uint32_t at = g->run_count;
    while (at != 0 && g->runs[at - 1].first_row >= last->row) {
        at--;
    }
    if (at == g->run_count || g->runs[at].first_row != last->row) {
        return false;
    }
    drop_runs(g, at, last->row);
    return true;
}

static void replay_records(struct head_group *g) REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    struct head_change *scratch = NULL;
    size_t capacity = 0;
    uint64_t next_row = 0;
    struct complete_row complete = {.row = UINT64_MAX};
    for (uint32_t i = 0; i < g->replay_count; i++) {
        struct wal_record record;
        enum err_code code = wal_read(shard->wal, g->replay[i], &shard->read_bytes,
                                      &shard->read_capacity, &record, NULL);
        if (code == ERR_OK) {
            const uint64_t after = row_after(&record);
            next_row = after > next_row ? after : next_row;
            note_complete(&record, i, &complete);
            code = replay_record(g, &record, &scratch, &capacity);
            if (code == ERR_NOT_FOUND && drop_half_window(g, &record, &complete)) {
                i = complete.record - 1; /* wraps for record 0: the loop takes it on */
                continue;
            }
        }
        if (code != ERR_OK) {
            report_lost(g, code == ERR_NOT_FOUND ? "rows before it are lost" : "damaged",
                        g->replay[i]);
        }
        if (g->rows != 0 && g->wal_segment == 0) {
            g->wal_segment = g->replay[i].segment;
        }
    }
    skip_lost_rows(g, next_row);
    mem_free(scratch);
}

void head_replay_locked(struct head_group *g) {
    if (atomic_load_explicit(&g->replayed, memory_order_acquire)) {
        return;
    }
    verify_runs(g);
    replay_records(g);
    mem_free(g->replay);
    g->replay = NULL;
    g->replay_count = 0;
    g->replay_capacity = 0;
    head_restore_times(g);
    atomic_store_explicit(&g->replayed, true, memory_order_release);
}

void head_replay(struct head_group *g) {
    if (!atomic_load_explicit(&g->replayed, memory_order_acquire)) {
        mutex_lock(&g->shard->mu);
        head_replay_locked(g);
        mutex_unlock(&g->shard->mu);
    }
}

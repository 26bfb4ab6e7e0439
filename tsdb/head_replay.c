/* Recovery: from what the files say to open rows in memory.
 *
 * At opening only headers are looked at: each group gets the list of its runs and of its WAL
 * records. The records are decoded when the group is first written or read, or by the maintenance
 * thread. A run whose rows are still in the WAL is verified then; rows of one that is damaged come
 * from the WAL and are sealed again.
 *
 * What cannot be read for now is not damage: the group stays as it was found, its log is kept, reads
 * and writes of it fail until the disk reads again.
 *
 * A lost record breaks the chain of differences of its group until the next complete row: rows
 * between are skipped and counted, never guessed. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "tsdb/compactor.h"
#include "tsdb/head.h"
#include "tsdb/late_group.h"

/* ---- opening ---- */

/* Keeps runs in the order of rows. One with rows that others have too replaces them: it was
 * written again, later, after a failure. But none replaces one that has more. */
static void put_run(struct head_group *g, const struct segment_run_info *info) REQUIRES(g->mu) {
    const uint64_t end_row = info->first_row + info->rows;
    uint32_t at = g->run_count;
    while (at != 0 && g->runs[at - 1].first_row + g->runs[at - 1].rows > info->first_row) {
        at--;
    }
    uint32_t behind = at;
    while (behind < g->run_count && g->runs[behind].first_row < end_row) {
        const uint64_t behind_end = g->runs[behind].first_row + g->runs[behind].rows;
        if (behind_end > end_row ||
            (behind_end == end_row && g->runs[behind].first_row < info->first_row)) {
            return; /* a part of what is there */
        }
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

/* A group whose definition was lost keeps its number: its rows must not become those of another. */
static struct head_group *group_of(struct head_shard *shard, uint32_t id) {
    struct head_group *g = head_reserve_group(shard->db, id) ? head_group_get(shard->db, id) : NULL;
    if (g == NULL || (g->shard != NULL && g->shard != shard)) {
        atomic_fetch_add(&shard->db->damage_count, 1);
        return NULL;
    }
    g->shard = shard;
    return g;
}

/* Rows up to there are in a partition. */
static void pass_rows(struct head_group *g, uint64_t end_row) {
    mutex_lock(&g->mu);
    g->first_row = end_row > g->first_row ? end_row : g->first_row;
    mutex_unlock(&g->mu);
}

/* Is all of a record in partitions? Then *out_end_row is the row behind it. */
static bool is_cut(const struct head_shard *shard, const struct wal_record *record,
                   int64_t first_ms, int64_t last_ms, uint64_t *out_end_row) {
    struct cursor from = cursor_of(record->payload, record->size);
    *out_end_row = 0;
    if (!compactor_has_row(shard->db->compactor, shard->number, first_ms, record->at.segment) ||
        !compactor_has_row(shard->db->compactor, shard->number, last_ms, record->at.segment)) {
        return false;
    }
    cursor_uvarint(&from);
    const uint64_t row = cursor_uvarint(&from);
    if (record->type == HEAD_RECORD_ROW) {
        *out_end_row = row + 1;
    } else {
        cursor_u8(&from);
        *out_end_row = row + cursor_uvarint(&from);
    }
    return !from.failed && *out_end_row > row;
}

enum err_code head_found_run(void *ctx, const struct segment_run_info *run, struct err *err) {
    (void)err;
    struct head_shard *shard = ctx;
    struct head_group *g = group_of(shard, run->group);
    if (g != NULL &&
        compactor_has_run(shard->db->compactor, shard->number, run->min_ts_ms, run->at.file)) {
        pass_rows(g, run->first_row + run->rows);
    } else if (g != NULL && run->min_ts_ms <= run->max_ts_ms &&
               head_reserve_slots(g, run->slot_count)) {
        mutex_lock(&g->mu);
        put_run(g, run);
        mutex_unlock(&g->mu);
        head_note_time(g, run->min_ts_ms);
        head_note_time(g, run->max_ts_ms);
    }
    return ERR_OK;
}

/* Number of the record's row, or of its first one: both kinds begin alike. */
static uint64_t first_row_of(const struct wal_record *record) {
    struct cursor from = cursor_of(record->payload, record->size);
    cursor_uvarint(&from);
    return cursor_uvarint(&from);
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
    uint64_t end_row;
    if (is_cut(g->shard, record, first_ms, last_ms, &end_row)) {
        pass_rows(g, end_row);
        return ERR_OK;
    }
    if (g->replay_count == g->replay_capacity) {
        g->replay_capacity = (uint32_t)mem_grow(g->replay_capacity, g->replay_count + (size_t)1);
        g->replay = mem_resize(g->replay, g->replay_capacity, sizeof(*g->replay));
    }
    const uint64_t row = first_row_of(record);
    if (g->replay_count == 0 || row < g->replay_first_row) {
        g->replay_first_row = row;
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
    if (!fits_time(g, (uint32_t)row, header.ts_ms) || row >= HEAD_ROWS_MAX ||
        head_row_decode_changes(from, g->slot_count + HEAD_LOST_AT_ONCE_MAX, scratch,
                                scratch_capacity, &n) != ERR_OK ||
        (n != 0 && !head_reserve_slots(g, (*scratch)[n - 1].slot + 1))) {
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

/* Rows that no sound run has and the log may have: [begin, end). */
struct hole {
    uint64_t begin;
    uint64_t end;
    bool fixed; /* a window record begins it */
};

struct holes { /* ascending; the last one has no end: it becomes the open rows */
    struct hole *items;
    size_t count;
    size_t capacity;
};

static void add_hole(struct holes *holes, uint64_t begin, uint64_t end) {
    if (begin < end) {
        if (holes->count == holes->capacity) {
            holes->capacity = mem_grow(holes->capacity, holes->count + 1);
            holes->items = mem_resize(holes->items, holes->capacity, sizeof(*holes->items));
        }
        holes->items[holes->count++] = (struct hole){.begin = begin, .end = end};
    }
}

static void remove_run(struct head_group *g, uint32_t at) REQUIRES(g->shard->mu) {
    mutex_lock(&g->mu);
    g->run_count--;
    memmove(g->runs + at, g->runs + at + 1, (g->run_count - at) * sizeof(*g->runs));
    mutex_unlock(&g->mu);
}

/* Verifies the runs whose rows the log may still have, and removes the damaged ones. What is then
 * missing between the runs, or behind them, is looked for in the log. */
static enum err_code find_holes(struct head_group *g, struct holes *holes, struct err *err)
    REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    const uint64_t logged = g->replay_count != 0 ? g->replay_first_row : g->first_row;
    uint32_t at = g->run_count;
    while (at != 0 && g->runs[at - 1].first_row >= logged) {
        at--;
    }
    uint64_t next_row = logged;
    if (at != 0 && g->runs[at - 1].first_row + g->runs[at - 1].rows > logged) {
        next_row = g->runs[at - 1].first_row + g->runs[at - 1].rows;
    }
    while (at < g->run_count) {
        const struct head_run *run = &g->runs[at];
        struct err damage;
        const enum err_code code = segment_verify(shard->store, run->at, &damage);
        if (code != ERR_OK && code != ERR_CORRUPT) {
            *err = damage;
            return code;
        }
        if (code == ERR_CORRUPT) {
            log_warn(shard->db->options.log, "tsdb", "rows of a damaged run are read from the log",
                     log_u64("group", g->id), log_err(&damage));
            remove_run(g, at);
            continue;
        }
        add_hole(holes, next_row, run->first_row);
        next_row = run->first_row + run->rows;
        at++;
    }
    add_hole(holes, next_row, UINT64_MAX);
    return ERR_OK;
}

static void begin_hole(struct head_group *g, const struct hole *hole) REQUIRES(g->shard->mu) {
    mutex_lock(&g->mu);
    g->first_row = hole->begin;
    mutex_unlock(&g->mu);
}

/* Rows that were found for a hole become a run. When that cannot be written, they stay open and the
 * runs behind them come from the log too: rows in memory are always the newest. */
static enum err_code end_hole(struct head_group *g, const struct holes *holes, size_t at,
                              struct err *out_err) REQUIRES(g->shard->mu) {
    struct hole *hole = &holes->items[at];
    struct err err;
    if (hole->begin < g->covered_row) {
        hole->begin = g->covered_row;
        head_drop_covered(g);
    }
    if (g->rows == 0 || head_seal(g, &err) == ERR_OK) {
        return ERR_OK;
    }
    if (at + 1 < holes->count && holes->items[at + 1].fixed) {
        *out_err = err;
        return err.code; /* a window that begins here cannot be joined to rows before it */
    }
    log_error(g->shard->db->options.log, "tsdb", "rows found again could not be sealed",
              log_u64("group", g->id), log_err(&err));
    for (uint32_t run = g->run_count; run != 0 && g->runs[run - 1].first_row >= hole->begin;
         run--) {
        remove_run(g, run - 1);
    }
    hole->end = UINT64_MAX;
    return ERR_OK;
}

static int by_first_row(const void *a, const void *b) {
    const struct head_run *x = a;
    const struct head_run *y = b;
    return (x->first_row > y->first_row) - (x->first_row < y->first_row);
}

/* Of two runs with the same rows: the one that goes further, has more, or was written later. */
static bool counts_more(const struct head_run *a, const struct head_run *b) {
    const uint64_t end_a = a->first_row + a->rows;
    const uint64_t end_b = b->first_row + b->rows;
    if (end_a != end_b) {
        return end_a > end_b;
    }
    return a->first_row != b->first_row ? a->first_row < b->first_row
                                        : segment_location_before(b->at, a->at);
}

/* Runs of holes were added at the end. */
static void order_runs(struct head_group *g) REQUIRES(g->shard->mu) {
    mutex_lock(&g->mu);
    if (g->run_count > 1) {
        qsort(g->runs, g->run_count, sizeof(*g->runs), by_first_row);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < g->run_count; i++) {
        const struct head_run run = g->runs[i];
        const bool overlaps =
            kept != 0 && g->runs[kept - 1].first_row + g->runs[kept - 1].rows > run.first_row;
        if (!overlaps) {
            g->runs[kept++] = run;
        } else if (counts_more(&run, &g->runs[kept - 1])) {
            g->runs[kept - 1] = run;
        }
    }
    g->run_count = kept;
    mutex_unlock(&g->mu);
}

/* Records that could not be used. Whether that costs a row is known at the end: a window that was
 * written later may have it. */
struct lost_list {
    struct lost {
        uint64_t row;
        struct wal_position at;
    } * items;
    size_t count;
    size_t capacity;
};

static void note_lost(struct lost_list *list, uint64_t row, struct wal_position at) {
    if (list->count == list->capacity) {
        list->capacity = mem_grow(list->capacity, list->count + 1);
        list->items = mem_resize(list->items, list->capacity, sizeof(*list->items));
    }
    list->items[list->count++] = (struct lost){row, at};
}

static bool has_row(const struct head_group *g, uint64_t row) REQUIRES(g->shard->mu) {
    if (row >= g->first_row && row < g->first_row + g->rows) {
        return true;
    }
    uint32_t low = 0;
    uint32_t high = g->run_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (g->runs[middle].first_row + g->runs[middle].rows <= row) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < g->run_count && g->runs[low].first_row <= row;
}

static void report_lost(struct head_group *g, const struct lost_list *list) REQUIRES(g->shard->mu) {
    struct tsdb *db = g->shard->db;
    const struct lost *first = NULL;
    uint64_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (!has_row(g, list->items[i].row)) {
            first = first != NULL ? first : &list->items[i];
            count++;
        }
    }
    if (count == 0) {
        return;
    }
    atomic_fetch_add(&db->damage_count, count);
    metric_add(db->metrics.wal_corruptions, (double)count);
    log_warn(db->options.log, "tsdb", "rows of the log cannot be used, what is before them is lost",
             log_u64("rows", count), log_u64("group", g->id), log_u64("shard", g->shard->number),
             log_u64("segment", first->at.segment), log_u64("offset", first->at.offset));
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

static enum err_code replay_record(struct head_group *g, const struct wal_record *record,
                                   struct head_change **scratch, size_t *capacity, struct err *err)
    REQUIRES(g->shard->mu) {
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

/* The next row must not have the number of a row that is in the log but could not be used. */
static enum err_code skip_lost_rows(struct head_group *g, uint64_t next_row, struct err *err)
    REQUIRES(g->shard->mu) {
    if (next_row <= g->first_row + g->rows) {
        return ERR_OK;
    }
    const enum err_code code = head_seal(g, err);
    if (code == ERR_OK) {
        mutex_lock(&g->mu);
        g->first_row = next_row;
        mutex_unlock(&g->mu);
    }
    return code;
}

/* Number behind the last row of a record. */
static uint64_t row_after(const struct wal_record *record) {
    struct cursor from = cursor_of(record->payload, record->size);
    struct head_row_header header;
    if (record->type == HEAD_RECORD_WINDOW) {
        cursor_uvarint(&from);
        const uint64_t first_row = cursor_uvarint(&from);
        (void)cursor_u8(&from);
        const uint64_t rows = cursor_uvarint(&from);
        return from.failed || rows > HEAD_ROWS_MAX || first_row >= UINT64_MAX / 2
                   ? 0
                   : first_row + rows;
    }
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

/* The first row of a hole needs what was before it: a window that was to become several runs did so
 * only in part (head_seal.c). The log is read from its complete row on then. Rows before the hole are
 * dropped before any is written: the complete row may lie within a run that has others before it. */
static void rewind_hole(struct head_group *g, struct hole *hole, uint64_t to)
    REQUIRES(g->shard->mu) {
    g->covered_row = g->covered_row > hole->begin ? g->covered_row : hole->begin;
    hole->begin = to;
    begin_hole(g, hole);
}

static bool needs_rewind(const struct head_group *g, const struct hole *hole, uint64_t row,
                         const struct complete_row *last) REQUIRES(g->shard->mu) {
    return g->rows == 0 && !hole->fixed && row == hole->begin && last->row < row;
}

/* The same for a window record: a part of its rows is in runs already. */
static bool begins_before(const struct head_group *g, const struct hole *hole,
                          const struct wal_record *record, uint64_t row) REQUIRES(g->shard->mu) {
    return record->type == HEAD_RECORD_WINDOW && row < hole->begin &&
           row_after(record) > g->first_row + g->rows;
}

/* A window record that begins within the open rows and goes further: they end before it. */
static bool begins_within(const struct head_group *g, const struct wal_record *record, uint64_t row)
    REQUIRES(g->shard->mu) {
    return record->type == HEAD_RECORD_WINDOW && row > g->first_row &&
           row < g->first_row + g->rows && row_after(record) > g->first_row + g->rows;
}

static void split_hole(struct head_group *g, struct holes *holes, size_t at, uint64_t row)
    REQUIRES(g->shard->mu) {
    const uint64_t end = holes->items[at].end;
    add_hole(holes, row, end); /* makes room */
    memmove(&holes->items[at + 2], &holes->items[at + 1],
            (holes->count - at - 2) * sizeof(*holes->items));
    holes->items[at + 1] = (struct hole){.begin = row, .end = end, .fixed = true};
    holes->items[at].end = row;
    mutex_lock(&g->mu);
    head_forget_window(g);
    mutex_unlock(&g->mu);
    begin_hole(g, &holes->items[at]);
}

/* Says nothing about the records: they are looked at again later. */
static bool is_disk_failure(enum err_code code) {
    return code != ERR_OK && code != ERR_CORRUPT && code != ERR_NOT_FOUND;
}

/* All records of the group, in the order of the log, into the holes. */
static enum err_code replay_records(struct head_group *g, struct holes *holes,
                                    struct lost_list *lost, uint64_t *out_next_row, struct err *err)
    REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    struct head_change *scratch = NULL;
    size_t capacity = 0;
    uint64_t next_row = 0;
    struct complete_row complete = {.row = UINT64_MAX};
    size_t at = 0;
    begin_hole(g, &holes->items[0]);
    for (uint32_t i = 0; i < g->replay_count; i++) {
        struct wal_record record;
        uint64_t row = UINT64_MAX;
        enum err_code code = wal_read(shard->wal, g->replay[i], &shard->read_bytes,
                                      &shard->read_capacity, &record, err);
        if (is_disk_failure(code)) {
            mem_free(scratch);
            return code;
        }
        if (code == ERR_OK) {
            row = first_row_of(&record);
            const uint64_t after = row_after(&record);
            next_row = after > next_row ? after : next_row;
            note_complete(&record, i, &complete);
            while (code == ERR_OK && row >= holes->items[at].end) {
                code = end_hole(g, holes, at, err);
                if (code == ERR_OK && holes->items[at].end != UINT64_MAX) {
                    begin_hole(g, &holes->items[++at]);
                }
            }
            if (code != ERR_OK) {
                mem_free(scratch);
                return code;
            }
            if (begins_within(g, &record, row)) {
                split_hole(g, holes, at, row);
                i = UINT32_MAX; /* once more from the first record */
                continue;
            }
            if (begins_before(g, &holes->items[at], &record, row)) {
                rewind_hole(g, &holes->items[at], row);
            }
            code = replay_record(g, &record, &scratch, &capacity, err);
            if (is_disk_failure(code)) {
                mem_free(scratch);
                return code;
            }
            if (code == ERR_NOT_FOUND && needs_rewind(g, &holes->items[at], row, &complete)) {
                rewind_hole(g, &holes->items[at], complete.row);
                i = complete.record - 1; /* wraps for record 0: the loop takes it on */
                continue;
            }
        }
        if (code != ERR_OK) {
            note_lost(lost, row, g->replay[i]);
        }
        if (g->rows != 0 && g->wal_segment == 0) {
            g->wal_segment = g->replay[i].segment;
        }
    }
    enum err_code code = ERR_OK;
    while (code == ERR_OK && holes->items[at].end != UINT64_MAX) {
        code = end_hole(g, holes, at, err);
        if (code == ERR_OK && holes->items[at].end != UINT64_MAX) {
            begin_hole(g, &holes->items[++at]);
        }
    }
    if (code == ERR_OK && holes->items[at].begin < g->covered_row) {
        code = end_hole(g, holes, at, err);
    }
    mem_free(scratch);
    *out_next_row = next_row;
    return code;
}

/* Reading failed half-way: as if it had not begun, but for runs that were written meanwhile. */
static void undo_replay(struct head_group *g, uint64_t first_row) REQUIRES(g->shard->mu) {
    mutex_lock(&g->mu);
    head_forget_window(g);
    g->first_row = first_row;
    mutex_unlock(&g->mu);
    g->covered_row = 0;
    g->wal_segment = 0;
    order_runs(g);
}

/* Runs that are not known to be durable need all of the log that was there. */
static void keep_log_of_runs(struct head_group *g) REQUIRES(g->shard->mu) {
    if (g->synced_runs < g->run_count && g->replay_count != 0) {
        g->unsynced_wal = g->replay[0].segment;
    }
}

enum err_code head_replay_locked(struct head_group *g, struct err *err) {
    if (atomic_load_explicit(&g->replayed, memory_order_acquire)) {
        return ERR_OK;
    }
    struct err unused;
    struct holes holes = {0};
    struct lost_list lost = {0};
    const uint64_t first_row = g->first_row;
    err = err != NULL ? err : &unused;
    uint64_t next_row = 0;
    enum err_code code = find_holes(g, &holes, err);
    if (code == ERR_OK) {
        code = replay_records(g, &holes, &lost, &next_row, err);
    }
    if (code == ERR_OK) {
        code = skip_lost_rows(g, next_row, err);
    }
    if (code != ERR_OK) {
        undo_replay(g, first_row);
        mem_free(holes.items);
        mem_free(lost.items);
        return err_wrap(err, "rows of group %u cannot be read", g->id);
    }
    order_runs(g);
    report_lost(g, &lost);
    keep_log_of_runs(g);
    mem_free(holes.items);
    mem_free(lost.items);
    mem_free(g->replay);
    g->replay = NULL;
    g->replay_count = 0;
    g->replay_capacity = 0;
    head_restore_times(g);
    atomic_store_explicit(&g->replayed, true, memory_order_release);
    return ERR_OK;
}

enum err_code head_replay(struct head_group *g, struct err *err) {
    enum err_code code = ERR_OK;
    if (!atomic_load_explicit(&g->replayed, memory_order_acquire)) {
        mutex_lock(&g->shard->mu);
        code = head_replay_locked(g, err);
        mutex_unlock(&g->shard->mu);
    }
    return code;
}

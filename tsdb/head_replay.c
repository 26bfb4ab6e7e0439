/* Recovery: from what the files say to open rows in memory.
 *
 * At opening each group got the list of its runs and of its WAL records (head_found.c). The records are
 * decoded when the group is first written or read, or by the maintenance thread. A run whose rows are
 * still in the WAL is verified then; rows of one that is damaged come from the WAL and are sealed
 * again.
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
#include "tsdb/head_recover.h"
#include "tsdb/head_replay.h"
#include "tsdb/head_row.h"

/* ---- a group ---- */

/* Rows that no sound run has and the log may have: [begin, end). */
struct hole {
    uint64_t begin;
    uint64_t end;
    bool fixed;      /* a window record begins it */
    bool is_filled;  /* all its rows were found */
    uint32_t window; /* the newest record that it was opened again for + 1 */
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

static int by_begin(const void *a, const void *b) {
    const struct head_rows *x = a;
    const struct head_rows *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

/* A hole, but for what is in partitions. */
static void add_holes(const struct head_group *g, struct holes *holes, uint64_t begin, uint64_t end)
    REQUIRES(g->shard->mu) {
    for (uint32_t i = 0; i < g->cut_count && g->cut[i].begin < end; i++) {
        if (g->cut[i].end > begin) {
            add_hole(holes, begin, g->cut[i].begin);
            begin = g->cut[i].end;
        }
    }
    add_hole(holes, begin, end);
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
    if (g->cut_count > 1) {
        qsort(g->cut, g->cut_count, sizeof(*g->cut), by_begin);
    }
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
        add_holes(g, holes, next_row, run->first_row);
        const uint64_t run_end = run->first_row + run->rows;
        next_row = run_end > next_row ? run_end : next_row;
        at++;
    }
    add_holes(g, holes, next_row, UINT64_MAX);
    return ERR_OK;
}

static void begin_hole(struct head_group *g, const struct hole *hole) REQUIRES(g->shard->mu) {
    mutex_lock(&g->mu);
    g->first_row = hole->begin;
    mutex_unlock(&g->mu);
}

static bool has_run_behind(const struct head_group *g, uint64_t row) REQUIRES(g->shard->mu) {
    for (uint32_t i = 0; i < g->run_count; i++) {
        if (g->runs[i].first_row >= row) {
            return true;
        }
    }
    return false;
}

/* Rows that were found for a hole become a run: those of it, for the rows behind its end are in runs or
 * in a later hole; *out_more: there were such. When it cannot be written, all stay open. Not before runs:
 * rows in memory are always the newest, and the log may not have those of the runs any more. */
static enum err_code end_hole(struct head_group *g, const struct holes *holes, size_t at,
                              bool *out_more, struct err *out_err) REQUIRES(g->shard->mu) {
    struct hole *hole = &holes->items[at];
    struct err err;
    *out_more = false;
    if (hole->begin < g->covered_row) {
        hole->begin = g->covered_row;
        head_drop_covered(g);
    }
    const uint64_t room = hole->end > g->first_row ? hole->end - g->first_row : 0;
    /* A late group's runs do not have its rows in the order of the log. */
    const uint32_t rows = g->late || g->rows < room ? g->rows : (uint32_t)room;
    const bool more = rows < g->rows;
    hole->is_filled |= rows != 0 && g->first_row == hole->begin && rows >= room;
    if (rows == 0) {
        mutex_lock(&g->mu);
        head_forget_window(g);
        mutex_unlock(&g->mu);
    }
    if (rows == 0 || head_seal_rows(g, rows, &err) == ERR_OK) {
        *out_more = more;
        return ERR_OK;
    }
    if ((at + 1 < holes->count && holes->items[at + 1].fixed) || has_run_behind(g, hole->begin)) {
        *out_err = err;
        return err.code; /* nor can a window that begins here be joined to rows before it */
    }
    log_error(g->shard->db->options.log, "tsdb", "rows found again could not be sealed",
              log_u64("group", g->id), log_err(&err));
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

static bool contains(const struct head_run *a, const struct head_run *b) {
    return a->first_row <= b->first_row && a->first_row + a->rows >= b->first_row + b->rows;
}

/* Runs of holes were added at the end. Of a late group, two may hold each a part of the same rows. */
static void order_runs(struct head_group *g) REQUIRES(g->shard->mu) {
    mutex_lock(&g->mu);
    if (g->run_count > 1) {
        qsort(g->runs, g->run_count, sizeof(*g->runs), by_first_row);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < g->run_count; i++) {
        const struct head_run run = g->runs[i];
        const bool overlaps =
            kept != 0 && g->runs[kept - 1].first_row + g->runs[kept - 1].rows > run.first_row &&
            (!g->late || contains(&run, &g->runs[kept - 1]) || contains(&g->runs[kept - 1], &run));
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

/* ---- all records, in the order of the log, into the holes ---- */

/* Where rows can be taken up again: a record that needs nothing before it. */
struct resume_point {
    uint32_t record; /* of the group's list */
    uint64_t row;    /* UINT64_MAX: nowhere yet */
};

struct replay_walk {
    struct head_group *g;
    struct holes holes;
    size_t at;                    /* hole */
    uint32_t next;                /* record */
    struct resume_point complete; /* the newest complete record before the next one */
    struct resume_point opened;   /* what the rows in memory began with */
    uint64_t next_row;            /* behind all rows that the log names */
    bool joined;                  /* a complete row came behind open ones */
    uint64_t returns;             /* how often the walk went back */
    uint32_t cut_rows;            /* of the open rows of a late group: first ones, in partitions */
    struct lost_list lost;
    struct head_change *changes; /* scratch */
    size_t change_capacity;
};

static void walk_release(struct replay_walk *w) {
    mem_free(w->holes.items);
    mem_free(w->lost.items);
    mem_free(w->changes);
}

/* Rows from here on, of which those before the hole are in runs: they are read for the sake of those
 * behind them, and dropped before any is written. */
static void rewind_hole(struct replay_walk *w, uint64_t to) REQUIRES(w->g->shard->mu) {
    struct hole *hole = &w->holes.items[w->at];
    struct head_group *g = w->g;
    head_shard_held(g->shard);
    if (!g->late && hole->begin > g->covered_row) {
        g->covered_row = hole->begin;
    }
    hole->begin = to;
    begin_hole(g, hole);
}

/* Each hole and each window record is a reason to go back once. More would be a mistake of ours: then
 * the records are taken as they come, and what does not fit is reported as lost. */
static bool may_return(const struct replay_walk *w) REQUIRES(w->g->shard->mu) {
    return w->returns < 2 * ((uint64_t)w->g->replay_count + w->holes.count);
}

static void resume_at(struct replay_walk *w, struct resume_point point) REQUIRES(w->g->shard->mu) {
    rewind_hole(w, point.row);
    w->next = point.record;
    w->returns++;
    w->complete.row = UINT64_MAX;
}

/* The hole ends, the next one begins. What was open may hold its first rows: they are read once more. */
static enum err_code next_hole(struct replay_walk *w, struct err *err) REQUIRES(w->g->shard->mu) {
    struct head_group *g = w->g;
    head_shard_held(g->shard);
    const uint64_t open_end = g->first_row + g->rows;
    bool more;
    const enum err_code code = end_hole(g, &w->holes, w->at, &more, err);
    if (code != ERR_OK || w->holes.items[w->at].end == UINT64_MAX) {
        return code;
    }
    if (w->holes.items[w->at].window != 0) {
        w->next = 0; /* those behind it are looked through again */
        w->complete.row = UINT64_MAX;
    }
    do {
        w->at++;
    } while (w->holes.items[w->at].is_filled);
    const struct hole *hole = &w->holes.items[w->at];
    begin_hole(g, hole);
    if (more && !hole->fixed && hole->begin < open_end && may_return(w)) {
        resume_at(w, w->opened);
    }
    return ERR_OK;
}

/* The first row that is found for a hole needs what was before it: a window that was to become several
 * runs did so only in part (head_seal.c). The log is read from its complete row on then. */
static bool needs_rewind(const struct replay_walk *w, uint64_t row) REQUIRES(w->g->shard->mu) {
    const struct hole *hole = &w->holes.items[w->at];
    return w->g->rows == 0 && !hole->fixed && row >= hole->begin && w->complete.row < hole->begin;
}

/* The same for a window record: a part of its rows is in runs already. Also when it goes no further than the
 * open rows: those behind it may build on values from before the hole, which it has. */
static bool begins_before(const struct replay_walk *w, const struct wal_record *record,
                          uint64_t row) REQUIRES(w->g->shard->mu) {
    const struct hole *hole = &w->holes.items[w->at];
    return record->type == HEAD_RECORD_WINDOW && row < hole->begin && !hole->fixed &&
           head_record_end(record) >= w->g->first_row + w->g->rows &&
           head_record_end(record) > hole->begin;
}

/* A window record that begins within the open rows and goes further: they end before it. */
static bool begins_within(const struct head_group *g, const struct wal_record *record, uint64_t row)
    REQUIRES(g->shard->mu) {
    return record->type == HEAD_RECORD_WINDOW && row > g->first_row &&
           row < g->first_row + g->rows && head_record_end(record) > g->first_row + g->rows;
}

/* A window record that begins before the open rows and has them too: rows before them had no record of
 * their own any more, and these began anew with a complete one. */
static bool reaches_back(const struct replay_walk *w, const struct wal_record *record, uint64_t row)
    REQUIRES(w->g->shard->mu) {
    return record->type == HEAD_RECORD_WINDOW && row >= w->holes.items[w->at].begin &&
           row < w->g->first_row && head_record_end(record) >= w->g->first_row + w->g->rows;
}

/* It takes the place of the open rows, and of runs that were made of rows before them. */
static void open_before_hole(struct replay_walk *w, uint64_t row) REQUIRES(w->g->shard->mu) {
    struct head_group *g = w->g;
    head_shard_held(g->shard);
    const uint64_t begin = w->holes.items[w->at].begin;
    for (uint32_t i = g->run_count; i-- > 0;) {
        if (g->runs[i].first_row >= begin &&
            g->runs[i].first_row + g->runs[i].rows <= g->first_row) {
            remove_run(g, i);
        }
    }
    mutex_lock(&g->mu);
    head_forget_window(g);
    mutex_unlock(&g->mu);
    rewind_hole(w, row);
}

/* The same within the hole. */
static void open_before(struct replay_walk *w, const struct wal_record *record, uint64_t row)
    REQUIRES(w->g->shard->mu) {
    struct head_group *g = w->g;
    head_shard_held(g->shard);
    struct hole *hole = &w->holes.items[w->at];
    const uint64_t after = head_record_end(record);
    const uint64_t end = after < hole->end ? after : hole->end;
    for (uint32_t i = g->run_count; i-- > 0;) {
        const struct head_run run = g->runs[i];
        const uint64_t run_end = run.first_row + run.rows;
        if (run.first_row >= row && run_end <= end) {
            remove_run(g, i);
        } else if (run.first_row < row && run_end > row && run_end > g->covered_row) {
            g->covered_row = run_end;
        }
    }
    mutex_lock(&g->mu);
    head_forget_window(g);
    g->first_row = row;
    mutex_unlock(&g->mu);
    hole->begin = row;
}

/* A window record that comes behind records of later rows may have rows of holes that have ended. */
static struct hole *find_earlier(struct replay_walk *w, const struct wal_record *record,
                                 uint64_t row) {
    for (size_t i = 0; record->type == HEAD_RECORD_WINDOW && i < w->at; i++) {
        struct hole *hole = &w->holes.items[i];
        if (!hole->is_filled && row < hole->end && head_record_end(record) > hole->begin &&
            hole->window <= w->next) {
            return hole;
        }
    }
    return NULL;
}

static void open_again(struct replay_walk *w, struct hole *hole) REQUIRES(w->g->shard->mu) {
    struct head_group *g = w->g;
    head_shard_held(g->shard);
    mutex_lock(&g->mu);
    head_forget_window(g);
    mutex_unlock(&g->mu);
    hole->window = w->next + 1;
    w->at = (size_t)(hole - w->holes.items);
    w->returns++;
    begin_hole(g, hole);
}

/* Once more from the first record, with a hole that ends at the row and one that begins with it. */
static void split_hole(struct replay_walk *w, uint64_t row) REQUIRES(w->g->shard->mu) {
    struct holes *holes = &w->holes;
    struct head_group *g = w->g;
    head_shard_held(g->shard);
    const size_t at = w->at;
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
    w->next = 0;
    w->returns++;
    w->complete.row = UINT64_MAX;
}

/* Rows of a late group are of any time, so it is not their numbers that say which are in partitions. The
 * first ones that are go before any is written: a deleted one may have no tombstone any more. */
static void cover_cut_rows(struct replay_walk *w, const struct wal_record *record,
                           uint64_t first_before, uint32_t rows_before) REQUIRES(w->g->shard->mu) {
    struct head_group *g = w->g;
    const struct head_shard *shard = g->shard;
    const bool anew = g->first_row != first_before || rows_before == 0;
    w->cut_rows = anew ? 0 : w->cut_rows;
    uint32_t row = anew ? 0 : rows_before;
    while (g->late && row < g->rows && row == w->cut_rows &&
           compactor_has_row(shard->db->compactor, shard->number, g->row_ts_ms[row],
                             record->at.segment)) {
        w->cut_rows = ++row;
    }
    if (w->cut_rows != 0 && g->first_row + w->cut_rows > g->covered_row) {
        g->covered_row = g->first_row + w->cut_rows;
    }
}

/* Says nothing about the records: they are looked at again later. */
static bool is_disk_failure(enum err_code code) {
    return code != ERR_OK && code != ERR_CORRUPT && code != ERR_NOT_FOUND;
}

/* Uses the next record, or goes somewhere else first. */
static enum err_code walk_record(struct replay_walk *w, const struct wal_record *record,
                                 struct err *err) REQUIRES(w->g->shard->mu) {
    struct head_group *g = w->g;
    head_shard_held(g->shard);
    const uint64_t row = head_record_row(record);
    const uint64_t after = head_record_end(record);
    const uint32_t number = w->next;
    w->next_row = after > w->next_row ? after : w->next_row;
    if (row >= w->holes.items[w->at].end) {
        return next_hole(w, err);
    }
    struct hole *earlier = may_return(w) ? find_earlier(w, record, row) : NULL;
    if (earlier != NULL) {
        open_again(w, earlier);
    }
    if (begins_within(g, record, row) && may_return(w)) {
        split_hole(w, row);
        return ERR_OK;
    }
    if (begins_before(w, record, row)) {
        open_before_hole(w, row);
    } else if (reaches_back(w, record, row)) {
        open_before(w, record, row);
    }
    const uint32_t rows_before = g->rows;
    const uint64_t first_before = g->first_row;
    enum err_code code = head_replay_record(g, record, &w->changes, &w->change_capacity, err);

    if (is_disk_failure(code)) {
        return code;
    }
    cover_cut_rows(w, record, first_before, rows_before);
    if (code == ERR_NOT_FOUND && needs_rewind(w, row) && may_return(w)) {
        resume_at(w, w->complete);
        return ERR_OK;
    }
    if (code != ERR_OK) {
        note_lost(&w->lost, row, g->replay[number]);
    }
    w->joined |= code == ERR_OK && record->type == HEAD_RECORD_ROW &&
                 head_record_is_complete(record) && rows_before != 0 && g->rows > rows_before;
    if (head_record_is_complete(record)) {
        w->complete = (struct resume_point){.record = number, .row = row};
    }
    if (g->rows != 0 && (rows_before == 0 || row == g->first_row)) {
        w->opened = (struct resume_point){.record = number, .row = g->first_row};
    }
    if (g->rows != 0 && g->wal_segment == 0) {
        g->wal_segment = g->replay[number].segment;
    }
    w->next = number + 1;
    return ERR_OK;
}

static enum err_code walk_next(struct replay_walk *w, struct err *err) REQUIRES(w->g->shard->mu) {
    struct head_group *g = w->g;
    head_shard_held(g->shard);
    struct head_shard *shard = g->shard;
    struct wal_record record;
    head_shard_held(shard);
    const enum err_code code = wal_read(shard->wal, g->replay[w->next], &shard->read_bytes,
                                        &shard->read_capacity, &record, err);
    if (is_disk_failure(code)) {
        return code;
    }
    if (code == ERR_OK) {
        return walk_record(w, &record, err);
    }
    note_lost(&w->lost, UINT64_MAX, g->replay[w->next]);
    w->next++;
    return ERR_OK;
}

static enum err_code walk(struct replay_walk *w, struct err *err) REQUIRES(w->g->shard->mu) {
    struct head_group *g = w->g;
    head_shard_held(g->shard);
    enum err_code code = ERR_OK;
    begin_hole(g, &w->holes.items[0]);
    while (code == ERR_OK &&
           (w->next < g->replay_count || w->holes.items[w->at].end != UINT64_MAX)) {
        code = w->next < g->replay_count ? walk_next(w, err) : next_hole(w, err);
    }
    if (code == ERR_OK && w->holes.items[w->at].begin < g->covered_row) {
        bool more;
        code = end_hole(g, &w->holes, w->at, &more, err);
    }
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

/* The run before a complete row was lost, so both are in one window. What is written next may build on
 * values from before that row, which a reader that begins with it would not have: the log gets the
 * window first. */
static void keep_joined(struct head_group *g, const struct replay_walk *w) REQUIRES(g->shard->mu) {
    g->wal_gap |= w->joined && g->rows != 0;
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
    struct replay_walk w = {.g = g, .complete.row = UINT64_MAX, .opened.row = UINT64_MAX};
    const uint64_t first_row = g->first_row;
    err = err != NULL ? err : &unused;
    enum err_code code = find_holes(g, &w.holes, err);
    head_shard_held(w.g->shard);
    code = code != ERR_OK ? code : walk(&w, err);
    code = code != ERR_OK ? code : skip_lost_rows(g, w.next_row, err);
    if (code != ERR_OK) {
        undo_replay(g, first_row);
        walk_release(&w);
        return err_wrap(err, "rows of group %u cannot be read", g->id);
    }
    order_runs(g);
    report_lost(g, &w.lost);
    keep_log_of_runs(g);
    keep_joined(g, &w);
    walk_release(&w);
    mem_free(g->replay);
    g->replay = NULL;
    g->replay_count = 0;
    g->replay_capacity = 0;
    mem_free(g->cut);
    g->cut = NULL;
    g->cut_count = 0;
    g->cut_capacity = 0;
    head_find_lost_slots(g);
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

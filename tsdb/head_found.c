/* What opening finds: each group gets the list of its runs and of its records in the log. Only headers
 * are looked at; rows are decoded later (head_replay.c). */
#include <string.h>

#include "base/mem.h"
#include "tsdb/compactor.h"
#include "tsdb/head_recover.h"
#include "tsdb/head_replay.h"
#include "tsdb/head_row.h"

static void replace_runs(struct head_group *g, uint32_t begin, uint32_t end,
                         const struct segment_run_info *info) REQUIRES(g->mu) {
    const uint64_t end_row = info->first_row + info->rows;
    if (g->run_count == g->run_capacity) {
        g->run_capacity = g->run_capacity + g->run_capacity / 4 + 2;
        g->runs = mem_resize(g->runs, g->run_capacity, sizeof(*g->runs));
    }
    memmove(g->runs + begin + 1, g->runs + end, (g->run_count - end) * sizeof(*g->runs));
    g->run_count = g->run_count - (end - begin) + 1;
    g->runs[begin] = (struct head_run){
        .min_ts_ms = info->min_ts_ms,
        .max_ts_ms = info->max_ts_ms,
        .first_row = info->first_row,
        .rows = info->rows,
        .at = info->at,
    };
    g->first_row = end_row > g->first_row ? end_row : g->first_row;
}

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
    replace_runs(g, at, behind, info);
}

/* The same for a late group, whose runs may hold each a part of the same rows: only one that has all of
 * another replaces it. */
static void put_late_run(struct head_group *g, const struct segment_run_info *info)
    REQUIRES(g->mu) {
    const uint64_t end_row = info->first_row + info->rows;
    uint32_t at = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < g->run_count; i++) {
        const struct head_run run = g->runs[i];
        const uint64_t run_end = run.first_row + run.rows;
        if (run.first_row <= info->first_row && run_end >= end_row && run.rows > info->rows) {
            return;
        }
        if (run.first_row >= info->first_row && run_end <= end_row) {
            continue;
        }
        g->runs[kept++] = run;
        at = run.first_row < info->first_row ? kept : at;
    }
    g->run_count = kept;
    replace_runs(g, at, at, info);
}

/* A group whose definition was lost keeps its number: its rows must not become those of another. */
static struct head_group *group_of(struct head_shard *shard, uint32_t id) {
    struct head_group *g = head_reserve_group(shard->db, id) ? head_group_get(shard->db, id) : NULL;
    if (g == NULL) {
        atomic_fetch_add(&shard->db->damage_count, 1);
    }
    return g;
}

/* The group has rows here that count. */
static bool bind_group(struct head_group *g, struct head_shard *shard) {
    if (g->shard != NULL && g->shard != shard) {
        atomic_fetch_add(&shard->db->damage_count, 1);
        return false;
    }
    if (g->shard == NULL && g->cut_shard != shard) {
        g->replay_count = 0; /* of another group with the number */
    }
    g->shard = shard;
    return true;
}

/* The group has rows here that are in partitions. They do not say where it is: its number may be that
 * of a group that ended, in another shard. Are records of them worth noting? */
static bool pass_group(struct head_group *g, struct head_shard *shard) {
    if (g->shard == NULL && g->cut_shard != shard) {
        g->cut_shard = shard;
        g->replay_count = 0;
    }
    return g->shard == NULL || g->shard == shard;
}

static void pass_rows(struct head_group *g, uint64_t begin, uint64_t end) {
    struct head_rows *last = g->cut_count != 0 ? &g->cut[g->cut_count - 1] : NULL;
    mutex_lock(&g->mu);
    g->first_row = end > g->first_row ? end : g->first_row;
    mutex_unlock(&g->mu);
    if (last != NULL && begin >= last->begin && begin <= last->end) {
        last->end = end > last->end ? end : last->end;
        return;
    }
    if (g->cut_count == g->cut_capacity) {
        g->cut_capacity = g->cut_capacity + g->cut_capacity / 2 + 1;
        g->cut = mem_resize(g->cut, g->cut_capacity, sizeof(*g->cut));
    }
    g->cut[g->cut_count++] = (struct head_rows){.begin = begin, .end = end};
}

enum err_code head_found_run(void *ctx, const struct segment_run_info *run, struct err *err) {
    (void)err;
    struct head_shard *shard = ctx;
    struct head_group *g = group_of(shard, run->group);

    if (g != NULL &&
        compactor_has_run(shard->db->compactor, shard->number, run->min_ts_ms, run->at.file)) {
        (void)pass_group(g, shard);
        pass_rows(g, run->first_row, run->first_row + run->rows);
    } else if (g != NULL && run->min_ts_ms <= run->max_ts_ms && bind_group(g, shard) &&
               head_reserve_slots(g, run->slot_count)) {
        mutex_lock(&g->mu);
        if (g->late) {
            put_late_run(g, run);
        } else {
            put_run(g, run);
        }
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

struct found_window {
    struct head_group *g;
    const struct head_shard *shard;
    uint32_t segment;
};

static void found_window_row(void *ctx, uint64_t row, int64_t ts_ms) {
    const struct found_window *found = ctx;
    const struct head_shard *shard = found->shard;
    if (compactor_has_row(shard->db->compactor, shard->number, ts_ms, found->segment)) {
        pass_rows(found->g, row, row + 1);
    }
}

static void pass_record(struct head_group *g, const struct head_shard *shard,
                        const struct wal_record *record, bool is_cut) {
    if (record->type == HEAD_RECORD_WINDOW) {
        struct found_window found = {.g = g, .shard = shard, .segment = record->at.segment};
        head_window_rows(cursor_of(record->payload, record->size), found_window_row, &found);
    } else if (is_cut) {
        const uint64_t row = head_record_row(record);
        pass_rows(g, row, row + 1);
    }
}

static void note_record(struct head_group *g, const struct wal_record *record) {
    if (g->replay_count == g->replay_capacity) {
        g->replay_capacity = (uint32_t)mem_grow(g->replay_capacity, g->replay_count + (size_t)1);
        g->replay = mem_resize(g->replay, g->replay_capacity, sizeof(*g->replay));
    }
    const uint64_t row = head_record_row(record);
    if (g->replay_count == 0 || row < g->replay_first_row) {
        g->replay_first_row = row;
    }
    g->replay[g->replay_count++] = record->at;
    g->found_segment = record->at.segment;
    atomic_store(&g->replayed, false);
}

/* Records of rows that are in partitions are noted too: rows behind them may build on them. */
enum err_code head_found_record(void *ctx, const struct wal_record *record, struct err *err) {
    (void)err;
    int64_t first_ms;
    int64_t last_ms;
    const uint32_t id = scan_record(record, &first_ms, &last_ms);
    struct head_shard *shard = ctx;
    struct head_group *g = id != 0 ? group_of(shard, id) : NULL;
    if (g == NULL) {
        return ERR_OK;
    }
    const struct compactor *c = shard->db->compactor;
    const bool is_cut = compactor_has_row(c, shard->number, first_ms, record->at.segment) &&
                        compactor_has_row(c, shard->number, last_ms, record->at.segment);

    if (is_cut ? pass_group(g, shard) : bind_group(g, shard)) {
        note_record(g, record);
        if (!is_cut) {
            head_note_time(g, first_ms);
            head_note_time(g, last_ms);
        }
    }
    pass_record(g, shard, record, is_cut);
    return ERR_OK;
}

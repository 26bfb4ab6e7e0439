/* Late samples on their way to rows.
 *
 * The samples of a call are sorted by target set, partition and time; each run of equal ones shares a group
 * and a row. Of a target set there are as many late groups as partitions that late samples came for at
 * once, at most GROUPS_MAX: then the fullest is sealed and used for the next partition. */
#include "tsdb/late_group.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/head_recover.h"
#include "tsdb/span.h"

enum { GROUPS_MAX = 16 };

/* ---- rows ---- */

uint32_t late_find_row(const struct head_group *g, int64_t ts_ms) {
    for (uint32_t row = g->rows; row-- > 0;) {
        if (g->row_ts_ms[row] == ts_ms) {
            return row;
        }
    }
    return g->rows;
}

struct row_time {
    int64_t ts_ms;
    uint32_t row;
};

static int by_time(const void *a, const void *b) {
    const struct row_time *x = a;
    const struct row_time *y = b;
    return (x->ts_ms > y->ts_ms) - (x->ts_ms < y->ts_ms);
}

static struct row_time *sorted_rows(const int64_t *ts_ms, uint32_t rows) {
    struct row_time *items = mem_array(rows + (size_t)1, sizeof(*items));
    for (uint32_t row = 0; row < rows; row++) {
        items[row] = (struct row_time){ts_ms[row], row};
    }
    qsort(items, rows, sizeof(*items), by_time);
    return items;
}

bool late_times_differ(const int64_t *ts_ms, uint32_t rows) {
    struct row_time *items = sorted_rows(ts_ms, rows);
    bool differ = true;
    for (uint32_t i = 1; i < rows; i++) {
        differ &= items[i].ts_ms != items[i - 1].ts_ms;
    }
    mem_free(items);
    return differ;
}

void late_row_order(const int64_t *ts_ms, uint32_t rows, uint32_t *to) {
    struct row_time *items = sorted_rows(ts_ms, rows);
    for (uint32_t i = 0; i < rows; i++) {
        to[i] = items[i].row;
    }
    mem_free(items);
}

/* ---- what is there ---- */

static bool slot_has_row(const struct head_group *g, uint32_t slot, uint32_t row)
    REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    head_shard_held(shard);
    if (row >= g->confirmed[slot]) {
        return false;
    }
    const enum err_code decoded = head_slot_column(g, slot, shard->seal_values, shard->seal_states);
    ASSERT(decoded == ERR_OK); /* our own bytes, in memory */
    return shard->seal_states[row] != SLOT_ABSENT;
}

/* Has the series a sample in the row, a float or a histogram? */
static bool series_has_row(const struct head_group *g, uint32_t slot, uint32_t row)
    REQUIRES(g->shard->mu) {
    const struct column_bundle *b = group_columns_of(g->columns, slot);
    bool has = slot_has_row(g, slot, row);
    for (uint32_t i = 0; b != NULL && i < b->count && !has; i++) {
        has = b->columns[i].key.kind == COLUMN_COUNT && slot_has_row(g, b->columns[i].slot, row);
    }
    return has;
}

/* ---- groups ---- */

/* Of the target's late groups: one whose open rows are of the partition, else one without any. The fullest
 * of the others, and how many there are, for when there is neither. */
struct candidates {
    struct head_group *fitting;
    struct head_group *empty;
    struct head_group *fullest;
    uint32_t count;
};

static bool is_candidate(const struct head_shard *shard, const struct head_group *g) {
    return g != NULL && g->late && g->shard == shard && !g->dead;
}

/* Late groups of the target set, at most GROUPS_MAX; their number. */
static uint32_t list_groups(const struct head_shard *shard, uint32_t target_set,
                            struct head_group **to) {
    struct tsdb *db = shard->db;
    uint32_t count = 0;
    mutex_lock(&db->index.mu);
    uint32_t id = db->index.live->target_groups[target_set];
    for (; id != 0 && count < GROUPS_MAX; id = db->index.live->groups[id].next_same_target) {
        if (is_candidate(shard, db->groups[id])) {
            to[count++] = db->groups[id];
        }
    }
    mutex_unlock(&db->index.mu);
    return count;
}

static enum err_code find_candidates(struct head_shard *shard, uint32_t target_set,
                                     int64_t start_ms, struct candidates *out, struct err *err)
    REQUIRES(shard->mu) {
    struct head_group *groups[GROUPS_MAX];
    *out = (struct candidates){.count = list_groups(shard, target_set, groups)};
    for (uint32_t i = 0; i < out->count; i++) {
        struct head_group *g = groups[i];
        head_shard_held(g->shard);
        const enum err_code code = head_replay_locked(g, err);
        if (code != ERR_OK) {
            return code;
        }
        if (g->rows == 0) {
            out->empty = g;
        } else if (span_start(shard->db->options.partition_ms, g->row_ts_ms[0]) == start_ms) {
            out->fitting = g;
        } else if (out->fullest == NULL || g->rows > out->fullest->rows) {
            out->fullest = g;
        }
    }
    return ERR_OK;
}

static enum err_code group_for(struct head_shard *shard, uint32_t target_set, int64_t start_ms,
                               struct head_group **out, struct err *err) REQUIRES(shard->mu) {
    struct candidates found;
    enum err_code code = find_candidates(shard, target_set, start_ms, &found, err);
    if (code != ERR_OK) {
        return code;
    }
    *out = found.fitting != NULL ? found.fitting : found.empty;
    if (*out == NULL && found.count == GROUPS_MAX) {
        struct head_group *g = found.fullest;
        head_shard_held(g->shard);
        code = head_seal(g, err);
        *out = g;
    } else if (*out == NULL) {
        *out = head_group_new_late(shard->db, shard, target_set);
    }
    return code;
}

uint64_t late_count_slots_locked(const struct tsdb *db) {
    uint64_t count = 0;
    for (uint32_t id = 1; id < db->group_count && id < db->index.live->group_count; id++) {
        const struct index_group *entries = &db->index.live->groups[id];
        const bool late = db->groups[id] != NULL && db->groups[id]->late;
        for (uint32_t slot = 0; late && slot < entries->slot_count; slot++) {
            count += entries->slots[slot] != INDEX_SLOT_LOST ? 1 : 0;
        }
    }
    return count;
}

/* ---- samples ---- */

struct late_item {
    struct push_sample sample; /* its slot becomes that in the late group */
    uint32_t target_set;
    uint32_t metric_set; /* maybe with INDEX_SLOT_WHOLE */
    int64_t start_ms;    /* of its partition */
    size_t order;        /* of arrival */
};

static int by_row(const void *a, const void *b) {
    const struct late_item *x = a;
    const struct late_item *y = b;
    if (x->target_set != y->target_set) {
        return x->target_set < y->target_set ? -1 : 1;
    }
    if (x->sample.ts_ms != y->sample.ts_ms) { /* and so by partition */
        return x->sample.ts_ms < y->sample.ts_ms ? -1 : 1;
    }
    return (x->order > y->order) - (x->order < y->order);
}

static int by_slot(const void *a, const void *b) {
    const struct late_item *x = a;
    const struct late_item *y = b;
    if (x->sample.slot != y->sample.slot) {
        return x->sample.slot < y->sample.slot ? -1 : 1;
    }
    return (x->order > y->order) - (x->order < y->order);
}

/* Sets and partitions of the samples. A series whose definition was lost has no labels to go by. */
static struct late_item *take_items(struct head_shard *shard, const struct push_sample *samples,
                                    size_t n, size_t *out_count) {
    struct late_item *items = mem_array(n + 1, sizeof(*items));
    struct index *index = &shard->db->index;
    size_t count = 0;
    mutex_lock(&index->mu);
    for (size_t i = 0; i < n; i++) {
        const struct index_group *g = &index->live->groups[samples[i].group];
        const uint32_t slot = samples[i].slot;
        const uint32_t set = slot < g->slot_count ? g->slots[slot] : INDEX_SLOT_LOST;
        if (set != INDEX_SLOT_LOST) {
            items[count++] = (struct late_item){
                .sample = samples[i],
                .target_set = g->target_set,
                .metric_set = set,
                .start_ms = span_start(shard->db->options.partition_ms, samples[i].ts_ms),
                .order = i};
        }
    }
    mutex_unlock(&index->mu);
    qsort(items, count, sizeof(*items), by_row);
    *out_count = count;
    return items;
}

static enum err_code find_slot(struct head_group *g, struct late_item *item, struct err *err)
    REQUIRES(g->shard->mu) {
    struct tsdb *db = g->shard->db;
    item->sample.group = g->id;
    mutex_lock(&db->index.mu);
    item->sample.slot = index_find_series_locked(&db->index, g->id, item->metric_set, g->next_slot);
    mutex_unlock(&db->index.mu);
    const enum err_code code = item->sample.slot != INDEX_NONE
                                   ? ERR_OK
                                   : head_new_series(g, item->metric_set, &item->sample.slot, err);
    g->next_slot = code == ERR_OK ? item->sample.slot + 1 : 0;
    return code;
}

/* Leaves the samples, by slot, that the row does not have; those without a slot went to the end. */
static size_t keep_new(const struct head_group *g, uint32_t row, const struct late_item *items,
                       size_t n, struct push_sample *to) REQUIRES(g->shard->mu) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const struct push_sample *s = &items[i].sample;
        const bool again = i != 0 && s->slot == items[i - 1].sample.slot;
        if (!again && (row == g->rows || !series_has_row(g, s->slot, row))) {
            to[kept++] = *s;
        }
    }
    return kept;
}

static void count_stored(struct tsdb *db, const struct push_sample *samples, size_t n) {
    size_t histograms = 0;
    for (size_t i = 0; i < n; i++) {
        histograms += samples[i].state == SLOT_HISTOGRAM ? 1 : 0;
        histograms += samples[i].state == SLOT_FLOAT_HISTOGRAM ? 1 : 0;
    }
    metric_add(db->metrics.late_histograms, (double)histograms);
    metric_add(db->metrics.late_floats, (double)(n - histograms));
}

/* Samples of one time. */
static enum err_code push_time(struct head_group *g, struct late_item *items, size_t n,
                               const struct push_extra *extras, struct push_sample *scratch,
                               size_t *io_stored, struct err *err) REQUIRES(g->shard->mu) {
    enum err_code result = ERR_OK;
    size_t placed = 0;
    for (size_t i = 0; i < n; i++) {
        const enum err_code code = find_slot(g, &items[i], err);
        result = code != ERR_OK ? code : result;
        if (code == ERR_OK) {
            items[placed++] = items[i];
        }
    }
    qsort(items, placed, sizeof(*items), by_slot);
    uint32_t row = late_find_row(g, items[0].sample.ts_ms);
    if (UNLIKELY(row == HEAD_ROWS_MAX || g->shard->is_failing)) {
        const enum err_code code = head_make_room(g, row == HEAD_ROWS_MAX, err);
        if (code != ERR_OK) {
            return code;
        }
        row = row == HEAD_ROWS_MAX ? 0 : row;
    }
    const size_t kept = keep_new(g, row, items, placed, scratch);
    if (kept != 0) {
        const enum err_code code = head_push_row(g, row, scratch, kept, extras, err);
        result = code != ERR_OK ? code : result;
        count_stored(g->shard->db, scratch, kept);
        *io_stored += kept;
        head_seal_if_due(g);
    }
    return result;
}

enum err_code late_push(struct head_shard *shard, const struct push_sample *samples, size_t n,
                        const struct push_extra *extras, size_t *out_stored, struct err *err) {
    size_t count;
    struct late_item *items = take_items(shard, samples, n, &count);
    struct push_sample *scratch = mem_array(count + 1, sizeof(*scratch));
    enum err_code result = ERR_OK;
    *out_stored = 0;
    for (size_t at = 0; at < count;) {
        size_t end = at + 1;
        while (end < count && items[end].target_set == items[at].target_set &&
               items[end].sample.ts_ms == items[at].sample.ts_ms) {
            end++;
        }
        struct head_group *g = NULL;
        enum err_code code = group_for(shard, items[at].target_set, items[at].start_ms, &g, err);
        if (code == ERR_OK) {
            head_shard_held(g->shard);
            code = push_time(g, items + at, end - at, extras, scratch, out_stored, err);
        }
        result = code != ERR_OK ? code : result;
        at = end;
    }
    mem_free(scratch);
    mem_free(items);
    return result;
}

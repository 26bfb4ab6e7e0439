/* Definitions on their way to the series log, and back at opening.
 *
 * New sets, groups and series are numbered in the index at once and written later, in one batch
 * before the first row that uses them. The log wants its numbers dense and in order; so there is
 * one list for all shards, and whoever commits first writes all of it. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/head.h"
#include "tsdb/head_recover.h"
#include "tsdb/late_group.h"
#include "tsdb/tsdb_ops.h"

void head_note_series_locked(struct tsdb *db, uint32_t group, uint32_t slot, uint32_t target_set,
                             uint32_t metric_set) {
    struct pending_definitions *p = &db->pending;
    const uint32_t series = p->next_series++;
    atomic_store(&db->has_pending, true);
    if (p->run_count != 0) {
        struct series_run *last = &p->runs[p->run_count - 1];
        if (last->group == group && last->target_set == target_set &&
            last->first_slot + last->count == slot &&
            last->first_metric_set + last->count == metric_set) {
            last->count++;
            return;
        }
    }
    if (p->run_count == p->run_capacity) {
        p->run_capacity = mem_grow(p->run_capacity, p->run_count + 1);
        p->runs = mem_resize(p->runs, p->run_capacity, sizeof(*p->runs));
    }
    p->runs[p->run_count++] = (struct series_run){
        .first_series = series,
        .group = group,
        .first_slot = slot,
        .target_set = target_set,
        .first_metric_set = metric_set,
        .count = 1,
    };
}

void head_note_column_locked(struct tsdb *db, const struct series_column *column) {
    struct pending_definitions *p = &db->pending;
    if (p->column_count == p->column_capacity) {
        p->column_capacity = mem_grow(p->column_capacity, p->column_count + 1);
        p->columns = mem_resize(p->columns, p->column_capacity, sizeof(*p->columns));
    }
    p->columns[p->column_count++] = *column;
    atomic_store(&db->has_pending, true);
}

void head_note_group_locked(struct tsdb *db, uint32_t group, uint32_t target_set) {
    struct pending_definitions *p = &db->pending;
    if (p->again_count == p->again_capacity) {
        p->again_capacity = mem_grow(p->again_capacity, p->again_count + 1);
        p->again = mem_resize(p->again, p->again_capacity, sizeof(*p->again));
    }
    p->again[p->again_count++] = (struct series_group){.group = group, .target_set = target_set};
    atomic_store(&db->has_pending, true);
}

static struct labels *labels_from(const struct label_sets *sets, uint32_t first) {
    struct labels *out = mem_array(sets->count - first + (size_t)1, sizeof(*out));
    for (uint32_t i = first; i < sets->count; i++) {
        out[i - first] = label_sets_get(sets, i);
    }
    return out;
}

/* The arrays of a batch. */
struct taken {
    struct labels *targets;
    struct labels *metrics;
    uint32_t *groups;
    const struct hist_layout **layouts;
    struct series_run *runs;
    struct series_column *columns;
    struct series_group *again;
};

/* Layouts from a number on; some of the last ones may be unused yet. */
static const struct hist_layout **layouts_from(struct hist_layouts *layouts, uint32_t first,
                                               uint32_t *out_count) {
    const uint32_t end = hist_layouts_count(layouts) + 1;
    const uint32_t count = end > first ? end - first : 0;
    const struct hist_layout **out = mem_array(count + (size_t)1, sizeof(struct hist_layout *));
    for (uint32_t i = 0; i < count; i++) {
        out[i] = hist_layouts_get(layouts, first + i);
    }
    *out_count = count;
    return out;
}

/* Takes what is pending out of the index; the arrays are the caller's. */
static void take_batch(struct tsdb *db, struct series_log_batch *out, struct taken *taken) {
    mutex_lock(&db->index.mu);
    struct pending_definitions *p = &db->pending;
    const struct index *index = &db->index;
    taken->targets = labels_from(&index->live->targets.sets, p->logged_targets);
    taken->metrics = labels_from(&index->live->metrics.sets, p->logged_metrics);
    const uint32_t group_count = index->live->group_count - p->logged_groups;
    taken->groups = mem_array(group_count + (size_t)1, sizeof(*taken->groups));
    for (uint32_t i = 0; i < group_count; i++) {
        const uint32_t id = p->logged_groups + i;
        const bool late = id < db->group_count && db->groups[id] != NULL && db->groups[id]->late;
        taken->groups[i] = index->live->groups[id].target_set | (late ? SERIES_GROUP_LATE : 0);
    }
    uint32_t layout_count;
    taken->layouts = layouts_from(db->layouts, p->logged_layouts, &layout_count);
    taken->runs = p->runs;
    taken->columns = p->columns;
    taken->again = p->again;
    *out = (struct series_log_batch){
        .first_target_set = p->logged_targets,
        .target_sets = taken->targets,
        .target_set_count = index->live->targets.sets.count - p->logged_targets,
        .first_metric_set = p->logged_metrics,
        .metric_sets = taken->metrics,
        .metric_set_count = index->live->metrics.sets.count - p->logged_metrics,
        .first_group = p->logged_groups,
        .group_target_sets = taken->groups,
        .group_count = group_count,
        .series = p->runs,
        .series_run_count = p->run_count,
        .first_layout = p->logged_layouts,
        .layouts = taken->layouts,
        .layout_count = layout_count,
        .columns = p->columns,
        .column_count = p->column_count,
        .again = p->again,
        .again_count = p->again_count,
    };
    p->again = NULL;
    p->again_count = 0;
    p->again_capacity = 0;
    p->runs = NULL;
    p->run_count = 0;
    p->run_capacity = 0;
    p->columns = NULL;
    p->column_count = 0;
    p->column_capacity = 0;
    mutex_unlock(&db->index.mu);
}

/* After a failure: what was taken goes before what came meanwhile. */
static void give_back(struct tsdb *db, const struct series_log_batch *batch, struct taken *taken) {
    mutex_lock(&db->index.mu);
    struct pending_definitions *p = &db->pending;
    const size_t runs = batch->series_run_count + p->run_count;
    taken->runs = mem_resize(taken->runs, runs + 1, sizeof(*taken->runs));
    if (p->run_count != 0) {
        memcpy(taken->runs + batch->series_run_count, p->runs, p->run_count * sizeof(*p->runs));
    }
    const size_t columns = batch->column_count + p->column_count;
    taken->columns = mem_resize(taken->columns, columns + 1, sizeof(*taken->columns));
    if (p->column_count != 0) {
        memcpy(taken->columns + batch->column_count, p->columns,
               p->column_count * sizeof(*p->columns));
    }
    const size_t again = batch->again_count + p->again_count;
    taken->again = mem_resize(taken->again, again + 1, sizeof(*taken->again));
    if (p->again_count != 0) {
        memcpy(taken->again + batch->again_count, p->again, p->again_count * sizeof(*p->again));
    }
    mem_free(p->again);
    p->again = taken->again;
    p->again_count = again;
    p->again_capacity = again + 1;
    mem_free(p->runs);
    mem_free(p->columns);
    p->runs = taken->runs;
    p->run_count = runs;
    p->run_capacity = runs + 1;
    p->columns = taken->columns;
    p->column_count = columns;
    p->column_capacity = columns + 1;
    mutex_unlock(&db->index.mu);
}

static bool has_pending_locked(const struct tsdb *db) REQUIRES(db->index.mu) {
    const struct pending_definitions *p = &db->pending;
    return p->run_count != 0 || p->column_count != 0 || p->again_count != 0 ||
           p->logged_targets < db->index.live->targets.sets.count ||
           p->logged_metrics < db->index.live->metrics.sets.count ||
           p->logged_groups < db->index.live->group_count;
}

enum err_code head_flush_definitions(struct tsdb *db, struct err *err) {
    if (!atomic_load(&db->has_pending)) { /* stays set until the batch is written */
        return ERR_OK;
    }
    struct series_log_batch batch;
    struct taken taken;
    mutex_lock(&db->define_mu);
    take_batch(db, &batch, &taken);
    const enum err_code code = series_log_append(db->series_log, &batch, err);
    if (code == ERR_OK) {
        mutex_lock(&db->index.mu);
        db->pending.logged_targets += (uint32_t)batch.target_set_count;
        db->pending.logged_metrics += (uint32_t)batch.metric_set_count;
        db->pending.logged_groups += (uint32_t)batch.group_count;
        db->pending.logged_layouts += (uint32_t)batch.layout_count;
        atomic_store(&db->has_pending, has_pending_locked(db));
        mutex_unlock(&db->index.mu);
        mem_free(taken.runs);
        mem_free(taken.columns);
        mem_free(taken.again);
    } else {
        give_back(db, &batch, &taken);
    }
    mutex_unlock(&db->define_mu);
    mem_free(taken.targets);
    mem_free(taken.metrics);
    mem_free(taken.groups);
    mem_free(taken.layouts);
    return code;
}

/* ---- replay: one thread, before anything else runs ---- */

static enum err_code on_target_set(void *ctx, uint32_t set, struct labels labels, struct err *err) {
    (void)err;
    struct tsdb *db = ctx;
    mutex_lock(&db->index.mu);
    if (set >= db->index.live->targets.sets.count &&
        !index_define_target_locked(&db->index, set, labels)) {
        atomic_fetch_add(&db->damage_count, 1);
    }
    mutex_unlock(&db->index.mu);
    return ERR_OK;
}

static enum err_code on_metric_set(void *ctx, uint32_t set, struct labels labels, struct err *err) {
    (void)err;
    struct tsdb *db = ctx;
    mutex_lock(&db->index.mu);
    if (set >= db->index.live->metrics.sets.count &&
        !index_define_metric_locked(&db->index, set, labels)) {
        atomic_fetch_add(&db->damage_count, 1);
    }
    mutex_unlock(&db->index.mu);
    return ERR_OK;
}

/* A number that was left out reads as the empty set, but is not one. */
static bool is_defined(const struct label_sets *sets, uint32_t set) {
    return set == 0 || (set < sets->count && label_sets_get(sets, set).size != 0);
}

/* What the definition says about the group's rows; it may have said otherwise before. */
static void set_late(struct tsdb *db, struct head_group *g, bool late) {
    mutex_lock(&g->mu);
    if (late) {
        head_group_make_pushed(g);
        atomic_store(&db->has_late, true);
    } else if (g->late) {
        g->kind = GROUP_UNDECIDED;
    }
    g->seal_at = late ? LATE_SEAL_ROWS : g->seal_at;
    g->late = late;
    mutex_unlock(&g->mu);
}

/* A group whose definition was lost stays in the numbering, with the empty target set. */
static enum err_code on_group(void *ctx, uint32_t group, uint32_t target_set, struct err *err) {
    (void)err;
    struct tsdb *db = ctx;
    const bool late = (target_set & SERIES_GROUP_LATE) != 0;
    target_set &= ~SERIES_GROUP_LATE;
    for (;;) {
        mutex_lock(&db->index.mu);
        const uint32_t next = db->index.live->group_count;
        if (next <= group) {
            const bool known =
                next == group && is_defined(&db->index.live->targets.sets, target_set);
            index_add_group_locked(&db->index, known ? target_set : 0);
        }
        mutex_unlock(&db->index.mu);
        if (next > group) {
            return ERR_OK;
        }
        set_late(db, head_group_adopt(db, next), late && next == group);
    }
}

/* The number had another meaning before: none of its slots counts. */
static enum err_code on_group_again(void *ctx, uint32_t group, uint32_t target_set,
                                    struct err *err) {
    struct tsdb *db = ctx;
    struct head_group *g = head_group_get(db, group);
    if (g == NULL) {
        return on_group(ctx, group, target_set, err);
    }
    mutex_lock(&db->index.mu);
    const uint32_t wanted = target_set & ~SERIES_GROUP_LATE;
    const uint32_t set = is_defined(&db->index.live->targets.sets, wanted) ? wanted : 0;
    index_reuse_group_locked(&db->index, group, set);
    const struct labels target = label_sets_get(&db->index.live->targets.sets, set);
    mutex_unlock(&db->index.mu);
    mutex_lock(&g->mu);
    g->target_set = set;
    g->target = target;
    group_columns_free(g->columns);
    g->columns = NULL;
    mutex_unlock(&g->mu);
    set_late(db, g, (target_set & SERIES_GROUP_LATE) != 0);
    return ERR_OK;
}

bool head_reserve_group(struct tsdb *db, uint32_t id) {
    mutex_lock(&db->index.mu);
    const uint32_t next = db->index.live->group_count;
    mutex_unlock(&db->index.mu);
    return id < next || (id - next < HEAD_LOST_AT_ONCE_MAX && on_group(db, id, 0, NULL) == ERR_OK);
}

bool head_reserve_slots(struct head_group *g, uint32_t slot_count) {
    struct tsdb *db = g->shard->db;
    mutex_lock(&db->index.mu);
    const uint32_t known = db->index.live->groups[g->id].slot_count;
    const bool believed = slot_count <= known || slot_count - known <= HEAD_LOST_AT_ONCE_MAX;
    for (uint32_t slot = known; believed && slot < slot_count; slot++) {
        index_add_lost_slot_locked(&db->index, g->id);
    }
    mutex_unlock(&db->index.mu);
    if (believed) {
        mutex_lock(&g->mu);
        head_group_reserve(g, slot_count);
        mutex_unlock(&g->mu);
    }
    return believed;
}

/* Of groups that have nothing to replay; the others follow then. */
static void find_lost_slots(struct tsdb *db) {
    for (uint32_t id = 1; id < db->group_count; id++) {
        struct head_group *g = db->groups[id];
        mutex_lock(&g->shard->mu);
        if (atomic_load(&g->replayed)) {
            head_find_lost_slots(g);
        }
        mutex_unlock(&g->shard->mu);
    }
}

void head_definitions_opened(struct tsdb *db, struct series_log_next next) {
    if (next.group > 1) {
        const enum err_code code = on_group(db, next.group - 1, 0, NULL);
        ASSERT(code == ERR_OK);
    }
    mutex_lock(&db->index.mu);
    atomic_fetch_add(&db->damage_count, index_finish_replay(&db->index));
    atomic_store(&db->series_count, db->index.live->series_count - late_count_slots_locked(db));
    index_skip_locked(&db->index, next.target_set, next.metric_set);
    hist_layouts_skip(db->layouts, next.layout);
    db->pending = (struct pending_definitions){
        .logged_targets = next.target_set,
        .logged_metrics = next.metric_set,
        .logged_groups = next.group,
        .logged_layouts = next.layout,
        .next_series = next.series,
    };
    for (uint32_t id = 1; id < db->group_count; id++) {
        struct head_group *g = db->groups[id];
        if (g->shard == NULL) {
            g->shard = g->cut_shard != NULL ? g->cut_shard : tsdb_shard_for(db, g->target);
        }
    }
    mutex_unlock(&db->index.mu);
    find_lost_slots(db);
}

static void add_replayed_series(struct tsdb *db, const struct series_run *run, uint32_t i)
    REQUIRES(db->index.mu) {
    const struct index_group *g = &db->index.live->groups[run->group];
    const uint32_t slot = run->first_slot + i;
    const uint32_t set = run->first_metric_set + i;
    const bool known = slot < g->slot_count; /* it comes twice, or another series had the slot */
    while (g->slot_count < slot) {
        index_add_lost_slot_locked(&db->index, run->group);
    }
    if (!is_defined(&db->index.live->metrics.sets, set)) {
        if (known) {
            index_lose_slot_locked(&db->index, run->group, slot);
        } else {
            index_add_lost_slot_locked(&db->index, run->group);
        }
        atomic_fetch_add(&db->damage_count, 1);
        return;
    }
    const bool whole = run->target_set != g->target_set;
    const uint32_t entry = whole ? set | INDEX_SLOT_WHOLE : set;
    if (known) {
        index_put_series_locked(&db->index, run->group, slot, entry);
    } else {
        index_add_series_locked(&db->index, run->group, entry);
    }
}

static enum err_code on_series(void *ctx, const struct series_run *run, struct err *err) {
    (void)err;
    struct tsdb *db = ctx;
    struct head_group *g = head_group_get(db, run->group);
    if (g == NULL || run->first_slot >= INDEX_SLOT_MAX ||
        run->count >= INDEX_SLOT_MAX - run->first_slot) {
        atomic_fetch_add(&db->damage_count, 1);
        return ERR_OK;
    }
    mutex_lock(&db->index.mu);
    for (uint32_t i = 0; i < run->count; i++) {
        add_replayed_series(db, run, i);
    }
    const uint32_t slot_count = db->index.live->groups[run->group].slot_count;
    mutex_unlock(&db->index.mu);
    mutex_lock(&g->mu);
    head_group_reserve(g, slot_count);
    for (uint32_t i = 0; i < run->count && g->columns != NULL; i++) {
        /* Columns of another series that had the slot; those of this one come behind it. */
        group_columns_drop(g->columns, run->first_slot + i);
        group_columns_drop_slot(g->columns, run->first_slot + i);
    }
    mutex_unlock(&g->mu);
    return ERR_OK;
}

static enum err_code on_layout(void *ctx, uint32_t number, const struct hist_layout *layout,
                               struct err *err) {
    (void)err;
    struct tsdb *db = ctx;
    if (number > hist_layouts_count(db->layouts) &&
        !hist_layouts_define(db->layouts, number, layout)) {
        atomic_fetch_add(&db->damage_count, 1);
    }
    return ERR_OK;
}

/* The slot gets its place in the group's numbering; the index knows nothing of it. */
static uint32_t reserve_hidden_slot(struct tsdb *db, const struct series_column *column) {
    mutex_lock(&db->index.mu);
    const struct index_group *g = &db->index.live->groups[column->group];
    while (g->slot_count <= column->slot) {
        index_add_lost_slot_locked(&db->index, column->group);
    }
    index_lose_slot_locked(&db->index, column->group, column->slot);
    const uint32_t count = g->slot_count;
    mutex_unlock(&db->index.mu);
    return count;
}

static enum err_code on_column(void *ctx, const struct series_column *column, struct err *err) {
    (void)err;
    struct tsdb *db = ctx;
    struct head_group *g = head_group_get(db, column->group);
    if (g == NULL || column->slot >= INDEX_SLOT_MAX || column->owner >= INDEX_SLOT_MAX ||
        (column->key.layout != 0 && hist_layouts_get(db->layouts, column->key.layout) == NULL)) {
        atomic_fetch_add(&db->damage_count, 1);
        return ERR_OK;
    }
    const uint32_t slot_count = reserve_hidden_slot(db, column);
    mutex_lock(&g->mu);
    head_group_reserve(g, slot_count);
    const struct column_bundle *known = group_columns_of(g->columns, column->owner);
    const bool again = known != NULL && column_bundle_slot(known, column->key) == column->slot;
    if (!again && g->columns != NULL) { /* another series had the slot */
        group_columns_drop(g->columns, column->slot);
        group_columns_drop_slot(g->columns, column->slot);
    }
    if (!again && !group_columns_add(&g->columns, column->owner, column->key, column->slot)) {
        atomic_fetch_add(&db->damage_count, 1);
    }
    mutex_unlock(&g->mu);
    return ERR_OK;
}

const struct series_log_handler head_series_log_handler = {
    .target_set = on_target_set,
    .metric_set = on_metric_set,
    .group = on_group,
    .group_again = on_group_again,
    .series = on_series,
    .layout = on_layout,
    .column = on_column,
};

/* What ended leaves memory and the series log.
 *
 * A series is dead when nobody writes it and none of its rows is in the window or in a run of the
 * head: partitions have labels of their own. Slots are found idle first, with the number of the next
 * row; when all rows before are gone, they are dead (head_slot_life). A group is dead when nobody has
 * it open and it has neither rows nor runs.
 *
 * When an eighth of the head is dead, new tables of the index are made of what lives, written to the
 * series log as an image, and then take the place of the old ones. Meanwhile nobody writes: all
 * shards are locked, and transactions wait at the gate. Queries go on, with the tables that they
 * pinned. While tables with the dead are pinned, nothing is reused: dead groups stay, empty, and
 * slots and group numbers get free with the collection after that.
 *
 * Numbers come again only when the marks that cut the old rows are in both manifests that are kept
 * (the compactor writes one more before). A group never gets a number below that of another group
 * with its target set: the order of numbers says which one is newer. */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "tsdb/head.h"
#include "tsdb/head_recover.h"
#include "tsdb/late_group.h"

enum {
    DEAD_SHARE = 8, /* one of so many */
};

/* ---- slots ---- */

static void reach_lives(struct head_group *g, uint32_t count) REQUIRES(g->shard->mu) {
    struct head_lives *l = &g->lives;
    if (count > l->capacity) {
        const uint32_t capacity = g->slot_capacity > count ? g->slot_capacity : count;
        l->states = mem_resize(l->states, capacity, sizeof(*l->states));
        memset(l->states + l->capacity, 0, capacity - l->capacity);
        l->capacity = capacity;
    }
}

void head_hold_slot(struct head_group *g, uint32_t slot) {
    reach_lives(g, slot + 1);
    g->lives.states[slot] = SLOT_HELD;
}

void head_release_slot(struct head_group *g, uint32_t slot) {
    if (slot < g->lives.capacity) {
        g->lives.states[slot] &= (uint8_t)~SLOT_HELD;
    }
}

void head_release_slots(struct head_group *g) {
    for (uint32_t slot = 0; slot < g->lives.capacity; slot++) {
        g->lives.states[slot] &= (uint8_t)~SLOT_HELD;
    }
}

uint32_t head_take_free_slot(struct head_group *g) {
    struct head_lives *l = &g->lives;
    if (l->free_count == 0) {
        return UINT32_MAX;
    }
    const uint32_t slot = l->free[--l->free_count];
    l->states[slot] = 0;
    return slot;
}

static bool slot_in_window(const struct head_group *g, uint32_t slot) REQUIRES(g->shard->mu) {
    return slot < g->slot_count &&
           (g->chunks[slot].len != 0 || (g->forms[slot] & FORM_PRESENT) != 0);
}

/* With its columns. */
static bool series_in_window(const struct head_group *g, uint32_t slot) REQUIRES(g->shard->mu) {
    const struct column_bundle *b = group_columns_of(g->columns, slot);
    bool in = slot_in_window(g, slot);
    for (uint32_t i = 0; b != NULL && i < b->count && !in; i++) {
        in = slot_in_window(g, b->columns[i].slot);
    }
    return in;
}

/* Pushed: the newest sample of the series. */
static int64_t newest_of(const struct head_group *g, uint32_t slot) REQUIRES(g->shard->mu) {
    if (g->kind != GROUP_PUSHED || slot >= g->slot_count) {
        return INT64_MIN;
    }
    const struct column_bundle *b = group_columns_of(g->columns, slot);
    int64_t newest_ms = g->last_ts_ms[slot];
    for (uint32_t i = 0; b != NULL && i < b->count; i++) {
        const int64_t ts_ms = g->last_ts_ms[b->columns[i].slot];
        newest_ms = ts_ms > newest_ms ? ts_ms : newest_ms;
    }
    return newest_ms;
}

/* Number of the first row that is left. */
static uint64_t oldest_row(const struct head_group *g) REQUIRES(g->shard->mu) {
    uint64_t row = g->first_row;
    for (uint32_t i = 0; i < g->run_count; i++) {
        row = g->runs[i].first_row < row ? g->runs[i].first_row : row;
    }
    return row;
}

static bool is_settled(const struct head_group *g) REQUIRES(g->shard->mu) {
    return atomic_load(&g->replayed) && g->replay_count == 0 && !g->wal_gap;
}

/* Pushed: whatever could be refused because a newer sample is stored is refused for its age alone. */
static bool is_too_old(const struct head_group *g, int64_t ts_ms) {
    const int64_t newest_ms = atomic_load(&g->shard->db->max_ts_ms);
    return ts_ms == INT64_MIN ||
           (newest_ms >= INT64_MIN + HEAD_PAST_MS && ts_ms < newest_ms - HEAD_PAST_MS);
}

/* Rows that could not be used may still be in the log: they would pass for rows of another group, or of
 * another series. */
static bool found_log_is_gone(const struct head_group *g) REQUIRES(g->shard->mu) {
    return g->found_segment == 0 || g->found_segment < atomic_load(&g->shard->gone_before);
}

static bool group_is_dead(const struct head_group *g) REQUIRES(g->shard->mu) {
    return !g->dead && !g->open && g->rows == 0 && g->run_count == 0 && is_settled(g) &&
           found_log_is_gone(g) &&
           (g->kind != GROUP_PUSHED || is_too_old(g, atomic_load(&g->max_ts_ms)));
}

static bool has_dying_slots(const struct head_group *g) REQUIRES(g->shard->mu) {
    return !g->dead && is_settled(g) && found_log_is_gone(g) &&
           (g->kind == GROUP_PUSHED || g->open);
}

/* A late group's rows have any times: one that is found in the log, when the newer rows were lost, does
 * not show that it was cut, and would pass for one of the slot's next series. */
static bool log_may_have(const struct head_group *g, const struct head_idle *idle)
    REQUIRES(g->shard->mu) {
    return g->late && idle->segment >= atomic_load(&g->shard->gone_before);
}

static bool idle_is_dead(const struct head_group *g, const struct head_idle *idle, uint64_t oldest)
    REQUIRES(g->shard->mu) {
    return g->lives.states[idle->slot] == SLOT_IDLE && idle->row <= oldest &&
           !log_may_have(g, idle) && !series_in_window(g, idle->slot) &&
           newest_of(g, idle->slot) == idle->last_ts_ms && is_too_old(g, idle->last_ts_ms);
}

/* Those of the list that are idle no more, or became so again since, go. */
static void renew_idle(struct head_group *g) REQUIRES(g->shard->mu) {
    struct head_lives *l = &g->lives;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < l->idle_count; i++) {
        const struct head_idle idle = l->idle[i];
        if (l->states[idle.slot] != SLOT_IDLE) {
            continue;
        }
        if (series_in_window(g, idle.slot) || newest_of(g, idle.slot) != idle.last_ts_ms) {
            l->states[idle.slot] = 0;
        } else {
            l->idle[kept++] = idle;
        }
    }
    l->idle_count = kept;
}

static void find_idle(struct head_group *g, uint32_t slot_count) REQUIRES(g->shard->mu) {
    struct head_lives *l = &g->lives;
    reach_lives(g, slot_count);
    renew_idle(g);
    for (uint32_t slot = 0; slot < slot_count; slot++) {
        if (l->states[slot] != 0 || group_columns_hides(g->columns, slot) ||
            series_in_window(g, slot)) {
            continue;
        }
        if (l->idle_count == l->idle_capacity) {
            l->idle_capacity = l->idle_capacity + l->idle_capacity / 2 + 8;
            l->idle = mem_resize(l->idle, l->idle_capacity, sizeof(*l->idle));
        }
        l->states[slot] = SLOT_IDLE;
        l->idle[l->idle_count++] = (struct head_idle){.slot = slot,
                                                      .row = g->first_row + g->rows,
                                                      .segment = wal_current_segment(g->shard->wal),
                                                      .last_ts_ms = newest_of(g, slot)};
    }
}

/* Dead slots of the collection before are free: nobody has older tables any more. */
static void free_dead(struct head_group *g) REQUIRES(g->shard->mu) {
    struct head_lives *l = &g->lives;
    if (l->dead_count == 0) {
        return;
    }
    l->free = mem_resize(l->free, l->free_count + (size_t)l->dead_count, sizeof(*l->free));
    for (uint32_t slot = l->capacity; slot-- > 0;) {
        if (l->states[slot] == SLOT_DEAD) {
            l->states[slot] = SLOT_FREE;
            l->free[l->free_count++] = slot;
        }
    }
    l->dead_count = 0;
    head_forget_lost_slots(g);
}

/* What a closed group keeps is in its runs. */
static void drop_state(struct head_group *g) REQUIRES(g->shard->mu) {
    if (g->open || g->kind != GROUP_SCRAPED || g->rows != 0 || g->slot_capacity == 0 ||
        !is_settled(g)) {
        return;
    }
    mutex_lock(&g->mu);
    mem_free(g->m);
    mem_free(g->chunks);
    mem_free(g->forms);
    g->m = NULL;
    g->chunks = NULL;
    g->forms = NULL;
    g->slot_count = 0;
    g->slot_capacity = 0;
    mutex_unlock(&g->mu);
    mem_free(g->lives.states);
    mem_free(g->lives.idle);
    mem_free(g->lives.free);
    g->lives = (struct head_lives){0};
}

/* ---- looking ---- */

static uint32_t count_groups(struct tsdb *db) {
    mutex_lock(&db->index.mu);
    const uint32_t n = db->group_count;
    mutex_unlock(&db->index.mu);
    return n;
}

/* The groups of the collection before. */
static void free_group(struct tsdb *db, struct head_group *g) {
    mutex_lock(&db->index.mu);
    if (db->free_group_count == db->free_group_capacity) {
        db->free_group_capacity =
            (uint32_t)mem_grow(db->free_group_capacity, db->free_group_count + (size_t)1);
        db->free_groups =
            mem_resize(db->free_groups, db->free_group_capacity, sizeof(*db->free_groups));
    }
    db->groups[g->id] = NULL;
    db->free_groups[db->free_group_count++] =
        (struct head_number){.group = g->id,
                             .first_row = g->first_row,
                             .shard = g->shard,
                             .segment = wal_current_segment(g->shard->wal)};
    mutex_unlock(&db->index.mu);
    head_group_free(g);
}

struct found {
    uint64_t dead;
    uint64_t all;
};

static void look_at(struct tsdb *db, struct head_group *g, struct found *found)
    REQUIRES(g->shard->mu) {
    mutex_lock(&db->index.mu);
    const struct index_group *entries = &db->index.live->groups[g->id];
    const uint32_t slot_count = entries->slot_count;
    mutex_unlock(&db->index.mu);
    found->all += slot_count + 1;
    drop_state(g);
    if (group_is_dead(g)) {
        found->dead += slot_count + 1;
    } else if (has_dying_slots(g)) {
        free_dead(g);
        find_idle(g, slot_count);
        const uint64_t oldest = oldest_row(g);
        for (uint32_t i = 0; i < g->lives.idle_count; i++) {
            found->dead += idle_is_dead(g, &g->lives.idle[i], oldest) ? 1 : 0;
        }
    }
}

/* Is a collection worth it? */
static bool look(struct tsdb *db, bool all) REQUIRES(db->walk_mu) {
    struct found found = {0};
    const uint32_t count = count_groups(db);
    for (uint32_t id = 1; id < count; id++) {
        struct head_group *g = head_group_get(db, id);
        if (g == NULL || g->shard == NULL) {
            continue;
        }
        struct head_shard *shard = g->shard;
        mutex_lock(&shard->mu);
        head_shard_held(g->shard);
        const bool dead = g->dead;
        if (!dead) {
            look_at(db, g, &found);
        }
        mutex_unlock(&shard->mu);
        if (dead) {
            free_group(db, g);
        }
    }
    return found.dead != 0 && (all || found.dead * DEAD_SHARE >= found.all);
}

/* A removed segment can come back after a loss of power until its folder is synced. */
static void note_gone(struct head_shard *shard) {
    struct err err;
    const uint32_t oldest = wal_oldest_segment(shard->wal);
    if (atomic_load(&shard->gone_before) >= oldest) {
        return;
    }
    if (wal_sync_removals(shard->wal, &err) != ERR_OK) {
        log_warn(shard->db->options.log, "tsdb", "groups that ended keep their numbers",
                 log_u64("shard", shard->number), log_err(&err));
        return;
    }
    atomic_store(&shard->gone_before, oldest);
}

bool head_collect_due(struct tsdb *db, bool all) {
    mutex_lock(&db->walk_mu);
    for (uint32_t i = 0; i < db->shard_count; i++) {
        note_gone(db->shards[i]);
    }
    const bool due = !index_has_retired(&db->index) && look(db, all);
    mutex_unlock(&db->walk_mu);
    return due;
}

/* ---- the new tables ---- */

struct collection {
    struct tsdb *db;
    struct index fresh;
    uint32_t *targets; /* new number + 1 by old one; 0 = none yet */
    uint32_t *metrics;
    struct series_group *groups;
    size_t group_count;
    size_t group_capacity;
    struct series_run *runs;
    size_t run_count;
    size_t run_capacity;
    struct series_column *columns;
    size_t column_count;
    size_t column_capacity;
};

static uint32_t move_set(struct collection *c, bool target, uint32_t set) REQUIRES(c->fresh.mu) {
    uint32_t *known = target ? &c->targets[set] : &c->metrics[set];
    if (*known == 0) {
        const struct index_tables *old = c->db->index.live;
        const struct labels labels =
            label_sets_get(target ? &old->targets.sets : &old->metrics.sets, set);
        const uint32_t number = target ? index_target_locked(&c->fresh, labels)
                                       : index_metric_locked(&c->fresh, labels);
        ASSERT(number != INDEX_NONE);
        *known = number + 1;
    }
    return *known - 1;
}

static void note_series(struct collection *c, uint32_t group, uint32_t slot, uint32_t target_set,
                        uint32_t metric_set) {
    struct series_run *last = c->run_count != 0 ? &c->runs[c->run_count - 1] : NULL;
    if (last != NULL && last->group == group && last->target_set == target_set &&
        last->first_slot + last->count == slot &&
        last->first_metric_set + last->count == metric_set) {
        last->count++;
        return;
    }
    const uint32_t first_series = last != NULL ? last->first_series + last->count : 1;
    if (c->run_count == c->run_capacity) {
        c->run_capacity = mem_grow(c->run_capacity, c->run_count + 1);
        c->runs = mem_resize(c->runs, c->run_capacity, sizeof(*c->runs));
    }
    c->runs[c->run_count++] = (struct series_run){
        .first_series = first_series,
        .group = group,
        .first_slot = slot,
        .target_set = target_set,
        .first_metric_set = metric_set,
        .count = 1,
    };
}

static void note_columns(struct collection *c, const struct head_group *g) REQUIRES(g->shard->mu) {
    for (uint32_t i = 0; g->columns != NULL && i < g->columns->count; i++) {
        const struct column_bundle *b = &g->columns->bundles[i];
        const bool dead = b->owner < g->lives.capacity && g->lives.states[b->owner] == SLOT_DEAD;
        for (uint32_t k = 0; k < b->count && !dead; k++) {
            if (c->column_count == c->column_capacity) {
                c->column_capacity = mem_grow(c->column_capacity, c->column_count + 1);
                c->columns = mem_resize(c->columns, c->column_capacity, sizeof(*c->columns));
            }
            c->columns[c->column_count++] = (struct series_column){.group = g->id,
                                                                   .slot = b->columns[k].slot,
                                                                   .owner = b->owner,
                                                                   .key = b->columns[k].key};
        }
    }
}

static void move_group(struct collection *c, const struct head_group *g) REQUIRES(g->shard->mu)
    REQUIRES(c->fresh.mu) {
    const struct index_group *old = &c->db->index.live->groups[g->id];
    const uint32_t target = move_set(c, true, old->target_set);
    const uint32_t id = index_add_group_locked(&c->fresh, target);
    ASSERT(id == g->id);
    if (c->group_count == c->group_capacity) {
        c->group_capacity = mem_grow(c->group_capacity, c->group_count + 1);
        c->groups = mem_resize(c->groups, c->group_capacity, sizeof(*c->groups));
    }
    c->groups[c->group_count++] = (struct series_group){
        .group = id, .target_set = target | (g->late ? SERIES_GROUP_LATE : 0)};
    for (uint32_t slot = 0; slot < old->slot_count; slot++) {
        const uint32_t entry = old->slots[slot];
        const bool dead = slot < g->lives.capacity && g->lives.states[slot] == SLOT_DEAD;
        if (entry == INDEX_SLOT_LOST || dead) {
            index_add_lost_slot_locked(&c->fresh, id);
            continue;
        }
        const uint32_t whole = entry & INDEX_SLOT_WHOLE;
        const uint32_t set = move_set(c, false, entry & ~INDEX_SLOT_WHOLE);
        (void)index_add_series_locked(&c->fresh, id, set | whole);
        note_series(c, id, slot, whole != 0 ? 0 : target, set);
    }
    note_columns(c, g);
}

/* The dead slots of a group, with their columns, get that state; or lose it when the collection
 * failed. */
static void mark_dead_slots(struct head_group *g) REQUIRES(g->shard->mu) {
    struct head_lives *l = &g->lives;
    const uint64_t oldest = oldest_row(g);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < l->idle_count; i++) {
        const struct head_idle idle = l->idle[i];
        if (idle_is_dead(g, &idle, oldest)) {
            l->states[idle.slot] = SLOT_DEAD;
            l->dead_count++;
        } else {
            l->idle[kept++] = idle;
        }
    }
    l->idle_count = kept;
}

static void unmark_dead_slots(struct head_group *g) REQUIRES(g->shard->mu) {
    for (uint32_t slot = 0; slot < g->lives.capacity && g->lives.dead_count != 0; slot++) {
        if (g->lives.states[slot] == SLOT_DEAD) {
            g->lives.states[slot] = 0;
        }
    }
    g->lives.dead_count = 0;
}

static void clear_slot(struct head_group *g, uint32_t slot) REQUIRES(g->shard->mu) REQUIRES(g->mu) {
    if (slot < g->slot_count) {
        g->m[slot] = 0;
        g->forms[slot] = 0;
        if (g->kind == GROUP_PUSHED) {
            g->confirmed[slot] = 0;
            g->last_ts_ms[slot] = INT64_MIN;
        }
    }
    if (slot < g->side_capacity) {
        g->sides[slot] = (struct head_side){0};
    }
}

/* Their hidden slots are dead as well. */
static void clear_dead_slots(struct head_group *g) REQUIRES(g->shard->mu) {
    struct head_lives *l = &g->lives;
    if (l->dead_count == 0) {
        return;
    }
    mutex_lock(&g->mu);
    for (uint32_t slot = 0; slot < l->capacity; slot++) {
        if (l->states[slot] != SLOT_DEAD) {
            continue;
        }
        const struct column_bundle *b = group_columns_of(g->columns, slot);
        for (uint32_t i = 0; b != NULL && i < b->count; i++) {
            clear_slot(g, b->columns[i].slot);
            l->states[b->columns[i].slot] = SLOT_DEAD;
            l->dead_count++;
        }
        group_columns_drop(g->columns, slot);
        clear_slot(g, slot);
    }
    mutex_unlock(&g->mu);
}

/* ---- one collection; all shards are locked ---- */

static struct labels *list_labels(const struct label_sets *sets) {
    struct labels *out = mem_array(sets->count, sizeof(*out));
    for (uint32_t i = 1; i < sets->count; i++) {
        out[i - 1] = label_sets_get(sets, i);
    }
    return out;
}

static enum err_code write_image(struct collection *c, struct series_log_next *out_next,
                                 struct err *err) {
    const struct index_tables *t = c->fresh.live;
    const uint32_t layout_count = hist_layouts_count(c->db->layouts);
    struct labels *targets = list_labels(&t->targets.sets);
    struct labels *metrics = list_labels(&t->metrics.sets);
    const struct hist_layout **layouts =
        mem_array(layout_count + (size_t)1, sizeof(struct hist_layout *));
    for (uint32_t i = 0; i < layout_count; i++) {
        layouts[i] = hist_layouts_get(c->db->layouts, i + 1);
    }
    const struct series_log_batch batch = {
        .first_target_set = 1,
        .target_sets = targets,
        .target_set_count = t->targets.sets.count - 1,
        .first_metric_set = 1,
        .metric_sets = metrics,
        .metric_set_count = t->metrics.sets.count - 1,
        .first_layout = 1,
        .layouts = layouts,
        .layout_count = layout_count,
        .again = c->groups,
        .again_count = c->group_count,
        .series = c->runs,
        .series_run_count = c->run_count,
        .columns = c->columns,
        .column_count = c->column_count,
    };
    *out_next = (struct series_log_next){.target_set = t->targets.sets.count,
                                         .metric_set = t->metrics.sets.count,
                                         .group = t->group_count,
                                         .series = (uint32_t)t->series_count + 1,
                                         .layout = layout_count + 1};
    const enum err_code code = series_log_replace(c->db->series_log, &batch, 1, *out_next, err);
    mem_free(targets);
    mem_free(metrics);
    mem_free(layouts);
    return code;
}

static void each_group(struct collection *c, void (*fn)(struct collection *, struct head_group *)) {
    for (uint32_t id = 1; id < c->db->group_count; id++) {
        struct head_group *g = c->db->groups[id];
        if (g != NULL && g->shard != NULL && !g->dead) {
            fn(c, g);
        }
    }
}

static void mark_group(struct collection *c, struct head_group *g) NO_THREAD_SAFETY {
    (void)c;
    if (!group_is_dead(g) && has_dying_slots(g)) {
        mark_dead_slots(g);
    }
}

static void unmark_group(struct collection *c, struct head_group *g) NO_THREAD_SAFETY {
    (void)c;
    unmark_dead_slots(g);
}

static void settle_group(struct collection *c, struct head_group *g) NO_THREAD_SAFETY {
    g->dead = group_is_dead(g);
    if (!g->dead) {
        clear_dead_slots(g);
    }
    const uint32_t target_set = c->db->index.live->groups[g->id].target_set; /* 0 when dead */
    mutex_lock(&g->mu);
    g->target_set = target_set;
    g->target = label_sets_get(&c->db->index.live->targets.sets, target_set);
    mutex_unlock(&g->mu);
}

/* Side groups and slots that are gone. */
static void settle_sides(struct collection *c, struct head_group *g) NO_THREAD_SAFETY {
    for (uint32_t slot = 0; slot < g->side_capacity; slot++) {
        struct head_side *side = &g->sides[slot];
        if (side->group == 0) {
            continue;
        }
        const struct head_group *to = c->db->groups[side->group];
        if (to == NULL || to->dead ||
            (side->slot < to->lives.capacity && to->lives.states[side->slot] == SLOT_DEAD)) {
            *side = (struct head_side){0};
        }
    }
}

static void build_tables(struct collection *c) NO_THREAD_SAFETY {
    const struct index_tables *old = c->db->index.live;
    index_init(&c->fresh, c->db->index.seed);
    c->targets = mem_zalloc(old->targets.sets.count * sizeof(*c->targets));
    c->metrics = mem_zalloc(old->metrics.sets.count * sizeof(*c->metrics));
    mutex_lock(&c->fresh.mu);
    for (uint32_t id = 1; id < old->group_count; id++) {
        const struct head_group *g = id < c->db->group_count ? c->db->groups[id] : NULL;
        if (g == NULL || g->dead || group_is_dead(g)) {
            index_add_free_group_locked(&c->fresh);
        } else {
            move_group(c, g);
        }
    }
    mutex_unlock(&c->fresh.mu);
}

/* The tables are the index; nothing is pending. */
static void use_tables(struct collection *c, const struct series_log_next *next) {
    struct tsdb *db = c->db;
    struct pending_definitions *p = &db->pending;
    mutex_lock(&db->index.mu);
    const uint64_t before = atomic_load(&db->series_count);
    index_replace_locked(&db->index, &c->fresh);
    mem_free(p->runs);
    mem_free(p->columns);
    mem_free(p->again);
    *p = (struct pending_definitions){
        .logged_targets = next->target_set,
        .logged_metrics = next->metric_set,
        .logged_groups = next->group,
        .logged_layouts = next->layout,
        .next_series = next->series,
    };
    atomic_store(&db->has_pending, false);
    const uint64_t after = db->index.live->series_count - late_count_slots_locked(db);
    atomic_store(&db->series_count, after);
    mutex_unlock(&db->index.mu);
    metric_add(db->metrics.series_removed, (double)(before - after));
}

static enum err_code collect_locked(struct tsdb *db, struct err *err) NO_THREAD_SAFETY {
    struct collection c = {.db = db};
    struct series_log_next next;
    each_group(&c, mark_group);
    build_tables(&c);
    const enum err_code code = write_image(&c, &next, err);
    if (code == ERR_OK) {
        use_tables(&c, &next);
        each_group(&c, settle_group);
        each_group(&c, settle_sides);
    } else {
        each_group(&c, unmark_group);
    }
    mem_free(c.targets);
    mem_free(c.metrics);
    mem_free(c.groups);
    mem_free(c.runs);
    mem_free(c.columns);
    index_release(&c.fresh);
    return code;
}

/* The writers' locks, all of them: downwards. */
static enum err_code collect_alone(struct tsdb *db, struct err *err) NO_THREAD_SAFETY {
    mutex_lock(&db->open_mu);
    for (uint32_t i = 0; i < db->shard_count; i++) {
        mutex_lock(&db->shards[i]->mu);
    }
    mutex_lock(&db->define_mu);
    const enum err_code code = collect_locked(db, err);
    mutex_unlock(&db->define_mu);
    for (uint32_t i = db->shard_count; i-- > 0;) {
        mutex_unlock(&db->shards[i]->mu);
    }
    mutex_unlock(&db->open_mu);
    return code;
}

enum err_code head_collect(struct tsdb *db, struct err *err) {
    const int64_t start_ns = clock_mono_ns(clock_system());
    enum err_code code = ERR_OK;
    mutex_lock(&db->walk_mu);
    if (!index_has_retired(&db->index) && head_gate_close(&db->gate)) {
        code = collect_alone(db, err);
        head_gate_reopen(&db->gate);
        metric_inc(db->metrics.collections);
        metric_add(db->metrics.collections_failed, code != ERR_OK ? 1 : 0);
        metric_add(db->metrics.collection_s,
                   (double)(clock_mono_ns(clock_system()) - start_ns) / 1e9);
    }
    mutex_unlock(&db->walk_mu);
    return code;
}

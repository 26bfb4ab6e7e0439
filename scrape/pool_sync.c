#include "scrape/pool_sync.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum {
    SCRATCH_BYTES = 64 * 1024, /* of labels, before the arena begins anew */
    BEGIN_UNITS = 16           /* what a sync costs beside its targets */
};

enum sync_stage {
    SYNC_INDEX,
    SYNC_MAKE,
    SYNC_KEEP,
    SYNC_LEAVE,
    SYNC_STOP,
    SYNC_START,
    SYNC_RELEASE,
    SYNC_DONE,
};

/* A target's hash, and the loop that it has in the old list. */
struct place {
    uint64_t hash;
    size_t loop; /* its number + 1; PLACE_FREE, or PLACE_TAKEN by a target of the update */
};

enum { PLACE_FREE = 0 };
#define PLACE_TAKEN SIZE_MAX

struct target_list { /* references */
    struct target **items;
    size_t count, capacity;
};

struct pool_sync {
    struct pool *pool;
    struct sd_update *update; /* a reference */
    const struct sd_group *groups;
    size_t group_count;
    int64_t start_mono_ns;
    enum sync_stage stage;
    size_t at, group_at; /* in the stage */

    struct place *places; /* by hash, open */
    size_t place_mask;
    struct arena scratch;
    struct target_list fresh; /* NULL: its loop has it */
    struct loop **loops;      /* by target; NULL: not started yet */
    size_t loop_capacity;
    struct target_list dropped;
    uint64_t dropped_count;

    bool *stays;  /* by old loop */
    bool *is_new; /* by target */
    struct loop **kept;
    size_t kept_count;
    struct loop **gone;
    size_t gone_count;
    struct target_list old_dropped;
};

/* ---- begin and end ---- */

static size_t target_count(const struct pool_sync *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->group_count; i++) {
        n += s->groups[i].target_count;
    }
    return n;
}

struct pool_sync *pool_sync_new(struct pool *pool, struct sd_update *update) {
    struct pool_sync *const s = mem_zalloc(sizeof(*s));
    s->pool = pool;
    s->update = sd_update_ref(update);
    s->groups = sd_update_groups(update, &s->group_count);
    s->start_mono_ns = clock_mono_ns(pool->io->clock);
    arena_init(&s->scratch, 0);
    const size_t need = 2 * (pool->loop_count + target_count(s)) + 1;
    size_t size = 1;
    while (size < need) {
        size *= 2;
    }
    s->places = mem_zalloc(size * sizeof(s->places[0]));
    s->place_mask = size - 1;
    s->stays = mem_zalloc(pool->loop_count + 1);
    if (pool->client == NULL) {
        pool_make_client(pool);
    }
    return s;
}

static void release_targets(struct target_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        target_unref(list->items[i]);
    }
    mem_free(list->items);
    *list = (struct target_list){0};
}

/* Loops that the pool does not show: those that wait to be stopped, and those that were started. */
static void free_hidden_loops(struct pool_sync *s) {
    for (size_t i = s->at; s->stage == SYNC_STOP && i < s->gone_count; i++) {
        loop_free(s->gone[i]);
    }
    for (size_t i = 0; s->stage == SYNC_START && i < s->at; i++) {
        if (s->is_new[i]) {
            loop_free(s->loops[i]);
        }
    }
}

void pool_sync_free(struct pool_sync *s) {
    if (s == NULL) {
        return;
    }
    free_hidden_loops(s);
    release_targets(&s->fresh);
    release_targets(&s->dropped);
    release_targets(&s->old_dropped);
    arena_release(&s->scratch);
    mem_free(s->places);
    mem_free(s->loops);
    mem_free(s->stays);
    mem_free(s->is_new);
    mem_free(s->kept);
    mem_free(s->gone);
    sd_update_unref(s->update);
    mem_free(s);
}

/* ---- targets and the loops they have ---- */

/* The place of the hash, or the free one where it belongs. */
static struct place *find_place(const struct pool_sync *s, uint64_t hash) {
    size_t i = (size_t)(hash ^ hash >> 32) & s->place_mask;
    while (s->places[i].loop != PLACE_FREE && s->places[i].hash != hash) {
        i = (i + 1) & s->place_mask;
    }
    return &s->places[i];
}

static void index_loop(struct pool_sync *s, size_t number) {
    const uint64_t hash = s->pool->loops[number]->target->hash;
    *find_place(s, hash) = (struct place){hash, number + 1};
}

static void push_target(struct target_list *list, struct target *target) {
    if (list->count == list->capacity) {
        list->capacity = mem_grow(list->capacity, list->count + 1);
        list->items = mem_resize(list->items, list->capacity, sizeof(list->items[0]));
    }
    list->items[list->count++] = target;
}

/* An active target; the first of equal ones counts. */
static void add_target(struct pool_sync *s, struct target *target) {
    struct place *const place = find_place(s, target->hash);
    struct loop *loop = NULL;
    if (place->loop == PLACE_TAKEN) {
        target_unref(target);
        return;
    }
    if (place->loop != PLACE_FREE) {
        loop = s->pool->loops[place->loop - 1];
        s->stays[place->loop - 1] = true;
    }
    *place = (struct place){target->hash, PLACE_TAKEN};
    if (s->fresh.count == s->loop_capacity) {
        s->loop_capacity = mem_grow(s->loop_capacity, s->fresh.count + 1);
        s->loops = mem_resize(s->loops, s->loop_capacity, sizeof(s->loops[0]));
    }
    s->loops[s->fresh.count] = loop;
    push_target(&s->fresh, target);
}

static void add_dropped(struct pool_sync *s, struct target *target) {
    const uint64_t keep = s->pool->config->keep_dropped_targets;
    s->dropped_count++;
    if (keep == 0 || s->dropped.count < keep) {
        push_target(&s->dropped, target);
    } else {
        target_unref(target);
    }
}

static void make_target(struct pool_sync *s, const struct sd_group *group, size_t i) {
    struct pool *const pool = s->pool;
    struct target *target = NULL;
    bool dropped = false;
    struct err err;
    if (s->scratch.used_bytes > SCRATCH_BYTES) {
        arena_reset(&s->scratch);
    }
    const enum err_code code = target_new(pool->config, group->targets[i], group->labels,
                                          &s->scratch, &target, &dropped, &err);
    if (code != ERR_OK) {
        metric_inc(pool->metrics.sync_failed_total);
        (void)err_wrap(&err, "instance %zu in group %.*s", i, STR_ARG(group->source));
        log_error(pool->io->log, "scrape manager", "Creating target failed",
                  log_str("scrape_pool", pool->config->job_name), log_err(&err));
    } else if (dropped) {
        add_dropped(s, target);
    } else {
        add_target(s, target);
    }
}

/* ---- the pool ---- */

static void keep_loop(struct pool_sync *s, size_t i) {
    struct loop *const loop = s->loops[i];
    if (loop != NULL) { /* the same target but for its discovered labels */
        mutex_lock(&s->pool->mu);
        target_unref(loop->target);
        loop->target = s->fresh.items[i];
        mutex_unlock(&s->pool->mu);
        s->fresh.items[i] = NULL;
        s->kept[s->kept_count++] = loop;
    }
}

/* Shows a list of loops, which is taken. */
static void show_loops(struct pool *pool, struct loop **loops, size_t n) {
    mutex_lock(&pool->mu);
    struct loop **const old = pool->loops;
    pool->loops = loops;
    pool->loop_count = n;
    mutex_unlock(&pool->mu);
    mem_free(old);
}

/* From here on the update is in force. Loops that are gone leave the list before they are stopped: a
 * stopped one may be freed at any time. */
static void show_kept(struct pool_sync *s) {
    struct pool *const pool = s->pool;
    show_loops(pool, s->kept, s->kept_count);
    s->kept = NULL;
    mutex_lock(&pool->mu);
    s->old_dropped = (struct target_list){.items = pool->dropped, .count = pool->dropped_kept};
    pool->dropped = s->dropped.items;
    pool->dropped_kept = s->dropped.count;
    pool->dropped_count = s->dropped_count;
    mutex_unlock(&pool->mu);
    s->dropped = (struct target_list){0};
    pool->target_count = s->fresh.count;
    pool_check_limit(pool, s->fresh.count);
    s->is_new = mem_zalloc(s->fresh.count + 1);
}

static void start_loop(struct pool_sync *s, size_t i) {
    struct target *const target = s->fresh.items[i];
    if (target == NULL) {
        return;
    }
    struct loop *const old = ending_set_take(&s->pool->ending, target->labels);
    if (old != NULL) {
        loop_revive(old, target);
    }
    s->loops[i] = old != NULL ? old : loop_new(s->pool, target);
    s->is_new[i] = true;
    s->fresh.items[i] = NULL;
}

static void finish(struct pool_sync *s) {
    struct pool *const pool = s->pool;
    metric_inc(pool->metrics.sync_total);
    metric_set(pool->metrics.targets, (double)pool->loop_count);
    const double took_s = (double)(clock_mono_ns(pool->io->clock) - s->start_mono_ns) / 1e9;
    metric_summarize(pool->metrics.sync_length, took_s);
    metric_observe(pool->metrics.sync_histogram, took_s);
}

/* ---- stages ---- */

/* How many items the stage has; SYNC_MAKE counts by group. */
static size_t stage_items(const struct pool_sync *s) {
    switch (s->stage) {
    case SYNC_INDEX:
    case SYNC_LEAVE:
        return s->pool->loop_count;
    case SYNC_MAKE:
        return s->group_at < s->group_count ? SIZE_MAX : 0;
    case SYNC_KEEP:
    case SYNC_START:
        return s->fresh.count;
    case SYNC_STOP:
        return s->gone_count;
    case SYNC_RELEASE:
        return s->old_dropped.count;
    case SYNC_DONE:
        return 0;
    }
    UNREACHABLE("no such stage");
}

static void do_item(struct pool_sync *s) {
    const size_t i = s->at++;
    switch (s->stage) {
    case SYNC_INDEX:
        index_loop(s, i);
        return;
    case SYNC_MAKE:
        if (i < s->groups[s->group_at].target_count) {
            make_target(s, &s->groups[s->group_at], i);
        } else {
            s->group_at++;
            s->at = 0;
        }
        return;
    case SYNC_KEEP:
        keep_loop(s, i);
        return;
    case SYNC_LEAVE:
        if (!s->stays[i]) {
            s->gone[s->gone_count++] = s->pool->loops[i];
        }
        return;
    case SYNC_STOP:
        pool_stop_loop(s->pool, s->gone[i], true);
        return;
    case SYNC_START:
        start_loop(s, i);
        return;
    case SYNC_RELEASE:
        target_unref(s->old_dropped.items[i]);
        s->old_dropped.items[i] = NULL;
        return;
    case SYNC_DONE:
        break;
    }
    UNREACHABLE("the stage has no items");
}

/* Between two stages, the first of which is done. */
static void next_stage(struct pool_sync *s) {
    s->at = 0;
    s->stage++;
    if (s->stage == SYNC_KEEP) {
        s->kept = mem_array(s->fresh.count + 1, sizeof(s->kept[0]));
        s->gone = mem_array(s->pool->loop_count + 1, sizeof(s->gone[0]));
    } else if (s->stage == SYNC_STOP) {
        show_kept(s);
    } else if (s->stage == SYNC_RELEASE) {
        show_loops(s->pool, s->loops, s->fresh.count);
        s->loops = NULL;
    } else if (s->stage == SYNC_DONE) {
        finish(s);
    }
}

bool pool_sync_step(struct pool_sync *s, size_t *io_units) {
    size_t units = *io_units;
    if (s->stage == SYNC_INDEX && s->at == 0) {
        units = units > BEGIN_UNITS ? units - BEGIN_UNITS : 1;
    }
    while (s->stage != SYNC_DONE && units > 0) {
        if (s->at < stage_items(s)) {
            do_item(s);
            units--;
        } else {
            next_stage(s);
        }
    }
    *io_units = units;
    return s->stage != SYNC_DONE;
}

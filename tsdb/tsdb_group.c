/* Groups of the storage interface: the series of one target, which one scrape loop owns and commits a
 * row at a time.
 *
 * A target has at most one open group. Opening it again after a restart finds the group on disk; what
 * kind it is is known only after its rows were replayed, so claiming and replaying take turns until a
 * scraped one is left, or a new one is made.
 *
 * CONCURRENCY. open_mu is held for the whole of an opening, so that two cannot make a group for one
 * target. index.mu guards the flag "open" and the list of a target's groups; a closing sets the flag
 * under the shard's mu as well, because a collection decides by it (head_collect.c). */
#include "tsdb/tsdb_ops.h"

#include "base/check.h"
#include "tsdb/head.h"
#include "tsdb/head_recover.h"

static struct head_group *group_of(struct storage_group *g) {
    return (struct head_group *)g;
}

/* The persisted group of a target that nobody has open, marked open; NULL if there is none. */
static enum err_code claim_group(struct tsdb *db, struct labels target, struct head_group **out,
                                 struct err *err) REQUIRES(db->open_mu) {
    enum err_code code = ERR_OK;
    *out = NULL;
    mutex_lock(&db->index.mu);
    const uint32_t set = label_sets_find(&db->index.live->targets.sets, target);
    uint32_t id = set == LABEL_SET_NONE ? 0 : db->index.live->target_groups[set];
    for (; id != 0; id = db->index.live->groups[id].next_same_target) {
        struct head_group *g = db->groups[id];
        if (g->open) {
            code = err_set(err, ERR_EXISTS, "a group with these target labels is open already");
            *out = NULL;
            break;
        }
        if (g->kind != GROUP_PUSHED) {
            *out = g;
        }
    }
    if (*out != NULL) {
        (*out)->open = true;
    }
    mutex_unlock(&db->index.mu);
    return code;
}

static void set_open(struct head_group *g, bool open) {
    mutex_lock(&g->shard->db->index.mu);
    g->open = open;
    mutex_unlock(&g->shard->db->index.mu);
}

/* What the group is, is known after replay only. */
static enum err_code become_scraped(struct head_group *g, bool *out_scraped, struct err *err) {
    mutex_lock(&g->shard->mu);
    const enum err_code code = head_replay_locked(g, err);
    if (code == ERR_OK && g->kind == GROUP_UNDECIDED) {
        mutex_lock(&g->mu);
        g->kind = GROUP_SCRAPED;
        mutex_unlock(&g->mu);
    }
    *out_scraped = g->kind == GROUP_SCRAPED;
    if (code == ERR_OK && *out_scraped) {
        head_group_restore_slots(g);
    }
    g->next_slot = 0;
    mutex_unlock(&g->shard->mu);
    return code;
}

static enum err_code new_group(struct tsdb *db, uint32_t shard, struct labels target,
                               struct head_group **out, struct err *err) {
    mutex_lock(&db->index.mu);
    const uint32_t set = index_target_locked(&db->index, target);
    mutex_unlock(&db->index.mu);
    if (set == INDEX_NONE) {
        return err_set(err, ERR_LIMIT, "the storage has no room for more label sets");
    }
    mutex_lock(&db->shards[shard]->mu);
    struct head_group *g = head_group_new(db, db->shards[shard], set, GROUP_SCRAPED);
    mutex_unlock(&db->shards[shard]->mu);
    set_open(g, true);
    *out = g;
    return ERR_OK;
}

enum err_code tsdb_group_open(struct storage *st, uint32_t shard, struct labels target,
                              struct storage_group **out, struct err *err) {
    struct tsdb *db = (struct tsdb *)st;
    ASSERT(shard < db->writer_count);
    struct head_group *g = NULL;
    enum err_code code;
    mutex_lock(&db->open_mu);
    for (;;) {
        code = claim_group(db, target, &g, err);
        if (code != ERR_OK || g == NULL) {
            break;
        }
        bool scraped = false;
        code = become_scraped(g, &scraped, err);
        if (code == ERR_OK && scraped) {
            break;
        }
        set_open(g, false);
        if (code != ERR_OK) {
            break;
        }
    }
    if (code == ERR_OK && g == NULL) {
        code = new_group(db, shard, target, &g, err);
    }
    mutex_unlock(&db->open_mu);
    if (code == ERR_OK) {
        *out = (struct storage_group *)g;
    }
    return code;
}

enum err_code tsdb_group_series(struct storage_group *handle, struct labels labels,
                                uint32_t *out_slot, struct err *err) {
    struct head_group *g = group_of(handle);
    mutex_lock(&g->shard->mu);
    const enum err_code code = head_group_slot(g, labels, out_slot, err);
    if (code == ERR_OK) {
        head_hold_slot(g, *out_slot);
    }
    mutex_unlock(&g->shard->mu);
    return code;
}

void tsdb_group_release(struct storage_group *handle, uint32_t slot) {
    struct head_group *g = group_of(handle);
    mutex_lock(&g->shard->mu);
    head_release_slot(g, slot);
    mutex_unlock(&g->shard->mu);
}

uint32_t tsdb_group_slot_count(const struct storage_group *handle) {
    const struct head_group *g = (const struct head_group *)handle;
    return g->slot_count; /* only this thread changes it */
}

enum err_code tsdb_group_commit(struct storage_group *handle, const struct storage_row *row,
                                struct storage_row_result *out, struct err *err) {
    return head_group_commit(group_of(handle), row, out, err);
}

void tsdb_group_close(struct storage_group *handle) {
    if (handle != NULL) {
        struct head_group *g = group_of(handle);
        mutex_lock(&g->shard->mu);
        head_release_slots(g);
        set_open(g, false); /* under the lock: a collection decides by it */
        mutex_unlock(&g->shard->mu);
    }
}

/* Newest samples of pushed series, read back after a restart: from sealed runs, and from partitions
 * that were cut so early that they have samples of the last hour, which is when nobody wrote for
 * a while or a tool cut all there was.
 *
 * A pushed series must refuse what is not newer than its newest sample. What is older than an hour
 * before the newest sample of all is refused anyway, so only what is newer is looked through. A series
 * without a sample there counts as new. */
#include "base/arena.h"
#include "base/matcher.h"
#include "base/mem.h"
#include "tsdb/head.h"
#include "tsdb/head_recover.h"
#include "tsdb/partition.h"

enum { ARENA_BYTES = 64 << 20, TARGET_LABELS_MAX = 64 };

static bool lacks_times(const struct head_group *g) REQUIRES(g->shard->mu) {
    for (uint32_t slot = 0; slot < g->slot_count; slot++) {
        if (g->last_ts_ms[slot] == INT64_MIN) {
            return true;
        }
    }
    return false;
}

static void restore_slot(struct head_group *g, uint32_t slot, const int64_t *ts,
                         const struct block_ints *column) REQUIRES(g->mu) {
    if (column->count == 0) {
        return;
    }
    const uint32_t last = column->count - 1;
    const uint32_t row = column->dense ? last : column->rows[last];
    g->last_ts_ms[slot] = ts[row];
    g->m[slot] = column->m[last];
    g->forms[slot] = column->decimal ? column->scale : FORM_RAW;
}

static enum err_code restore_from(struct head_group *g, struct segment_run *run,
                                  struct arena *arena) REQUIRES(g->shard->mu) {
    const struct segment_run_info *info = segment_run_info(run);
    const uint32_t capacity = block_decode_capacity(info->rows);
    struct block_ints column = {
        .m = arena_alloc(arena, capacity * sizeof(int64_t)),
        .stale = arena_alloc(arena, capacity),
        .rows = arena_alloc(arena, capacity * sizeof(uint16_t)),
    };
    const uint32_t slots = info->slot_count < g->slot_count ? info->slot_count : g->slot_count;
    for (uint32_t slot = 0; slot < slots; slot++) {
        if (g->last_ts_ms[slot] != INT64_MIN || g->confirmed[slot] != 0) {
            continue;
        }
        const enum err_code code = segment_run_ints(run, slot, &column, NULL);
        if (code != ERR_OK) {
            return code;
        }
        mutex_lock(&g->mu);
        restore_slot(g, slot, segment_run_ts(run), &column);
        mutex_unlock(&g->mu);
    }
    return ERR_OK;
}

/* ---- from partitions ---- */

/* The slot of a series of the group; INDEX_NONE: it has none. */
static uint32_t slot_of(struct head_group *g, struct labels labels) REQUIRES(g->shard->mu) {
    struct tsdb *db = g->shard->db;
    struct buf *rest = &g->shard->labels;
    uint32_t slot = INDEX_NONE;
    if (!head_split_labels(labels, g->target, rest) || !buf_ok(rest)) {
        return INDEX_NONE;
    }
    mutex_lock(&db->index.mu);
    const uint32_t set = label_sets_find(&db->index.live->metrics.sets,
                                         (struct labels){(const uint8_t *)rest->ptr, rest->len});
    if (set != LABEL_SET_NONE) {
        slot = index_find_series_locked(&db->index, g->id, set, g->next_slot);
    }
    mutex_unlock(&db->index.mu);
    g->next_slot = slot != INDEX_NONE ? slot + 1 : g->next_slot;
    return slot < g->slot_count ? slot : INDEX_NONE;
}

/* What the rows in memory go on from must stay. A group at the side may have older samples of a series than
 * partitions have from other groups. */
static bool has_open_rows(const struct head_group *g, uint32_t slot) REQUIRES(g->shard->mu) {
    const struct column_bundle *b = group_columns_of(g->columns, slot);
    bool has = g->confirmed[slot] != 0;
    for (uint32_t i = 0; b != NULL && i < b->count && !has; i++) {
        const uint32_t column = b->columns[i].slot;
        has = column < g->slot_count && g->confirmed[column] != 0;
    }
    return has;
}

static void restore_sample(struct head_group *g, uint32_t slot, const struct storage_samples *s)
    REQUIRES(g->shard->mu) {
    if (s->count == 0 || s->ts[s->count - 1] <= g->last_ts_ms[slot] || has_open_rows(g, slot)) {
        return;
    }
    const struct histogram *h = s->histograms != NULL ? s->histograms[s->count - 1] : NULL;
    mutex_lock(&g->mu);
    g->last_ts_ms[slot] = s->ts[s->count - 1];
    if (h != NULL) {
        head_columns_restore_newest(g, slot, h, s->ts[s->count - 1]);
    } else {
        const struct num value = num_of_double(s->values[s->count - 1]);
        g->m[slot] = value.m;
        g->forms[slot] = value.kind == NUM_DECIMAL ? value.scale : FORM_RAW;
    }
    mutex_unlock(&g->mu);
}

static enum err_code restore_from_partition(struct head_group *g, struct partition *p,
                                            int64_t since_ms, struct arena *arena)
    REQUIRES(g->shard->mu) {
    struct matcher matchers[TARGET_LABELS_MAX];
    struct labels_iter it = labels_begin(g->target);
    struct label label;
    struct partition_hit *hits = NULL;
    size_t count = 0;
    size_t n = 0;
    while (n < TARGET_LABELS_MAX && labels_next(&it, &label)) {
        matchers[n++] =
            (struct matcher){.type = MATCH_EQUAL, .name = label.name, .value = label.value};
    }
    enum err_code code =
        partition_select(p, matchers, n, since_ms, INT64_MAX, arena, NULL, &hits, &count, NULL);
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        struct labels target;
        struct labels metric;
        struct storage_samples samples;
        struct arena scratch;
        arena_init(&scratch, ARENA_BYTES);
        code =
            partition_set_labels(p, PARTITION_TARGETS, hits[i].target_set, &scratch, &target, NULL);
        code = code != ERR_OK ? code
                              : partition_set_labels(p, PARTITION_METRICS, hits[i].metric_set,
                                                     &scratch, &metric, NULL);
        const uint32_t slot =
            code == ERR_OK ? slot_of(g, labels_merge(&scratch, target, metric)) : INDEX_NONE;
        if (slot != INDEX_NONE) {
            code = partition_read(p, &hits[i].series, 1, since_ms, INT64_MAX, &scratch, NULL,
                                  &samples, NULL);
            if (code == ERR_OK) {
                restore_sample(g, slot, &samples);
            }
        }
        arena_release(&scratch);
    }
    return code;
}

/* Older samples than since_ms are refused without asking the series. */
static void restore_from_partitions(struct head_group *g) REQUIRES(g->shard->mu) {
    struct tsdb *db = g->shard->db;
    const int64_t newest_ms = atomic_load(&db->max_ts_ms);
    if (newest_ms < INT64_MIN + HEAD_PAST_MS || !lacks_times(g)) {
        return;
    }
    struct view *view = view_ref_newest(&db->views);
    for (size_t i = 0; i < view->partition_count; i++) {
        const struct view_partition *p = view->partitions[i];
        if (p->info.max_ts_ms >= newest_ms - HEAD_PAST_MS) {
            struct arena arena;
            arena_init(&arena, ARENA_BYTES);
            /* What cannot be read is unknown, as if it were not there. */
            (void)!restore_from_partition(g, p->reader, newest_ms - HEAD_PAST_MS, &arena);
            arena_release(&arena);
        }
    }
    view_unref(view);
}

void head_restore_times(struct head_group *g) {
    if (g->kind != GROUP_PUSHED || g->late) {
        return;
    }
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    const int64_t newest_ms = atomic_load(&g->shard->db->max_ts_ms);
    for (uint32_t i = g->run_count; i-- > 0 && lacks_times(g);) {
        struct segment_run *run;
        if (newest_ms >= INT64_MIN + HEAD_PAST_MS &&
            g->runs[i].max_ts_ms < newest_ms - HEAD_PAST_MS) {
            break; /* samples that old are refused without asking the series */
        }
        arena_reset(&arena);
        if (segment_run_open(g->shard->store, g->runs[i].at, &arena, &run, NULL) != ERR_OK) {
            break;
        }
        const enum err_code code = restore_from(g, run, &arena);
        segment_run_close(run);
        if (code != ERR_OK) {
            break;
        }
    }
    arena_release(&arena);
    mutex_lock(&g->mu);
    head_columns_restore_times(g);
    mutex_unlock(&g->mu);
    restore_from_partitions(g);
}

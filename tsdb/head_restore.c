/* Newest samples of pushed series, read back from sealed runs after a restart.
 *
 * A pushed series must refuse what is not newer than its newest sample; when that one is sealed
 * already, only the run knows it. The newest RUNS_MAX runs are looked through: a series that had
 * nothing in them counts as new, and an older sample for it then goes to a group of its own. */
#include "base/arena.h"
#include "base/mem.h"
#include "tsdb/head.h"

enum { RUNS_MAX = 4, ARENA_BYTES = 64 << 20 };

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

void head_restore_times(struct head_group *g) {
    if (g->kind != GROUP_PUSHED || g->late) {
        return;
    }
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (uint32_t i = 0; i < g->run_count && i < RUNS_MAX; i++) {
        struct segment_run *run;
        if (segment_run_open(g->shard->store, g->runs[g->run_count - 1 - i].at, &arena, &run,
                             NULL) != ERR_OK) {
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
}

#include "query/read_ahead.h"

#include "base/budget.h"
#include "base/check.h"

enum {
    BATCH_FIRST = 16,
    BATCH_LEAST = 8,
    BATCH_AIM_BYTES = 2 * 1024 * 1024,
    KEEP_BYTES = BATCH_AIM_BYTES,
    /* In samples: what a series costs beside its own, and what takes as long as waking a thread a
     * few times. */
    SERIES_COST = 256,
    HELP_FROM_COST = 64 * 1024,
};

/* ---- the shelf ---- */

void read_shelf_init(struct read_shelf *shelf) {
    mutex_init(&shelf->mu);
    shelf->count = 0;
}

void read_shelf_release(struct read_shelf *shelf) {
    for (size_t i = 0; i < shelf->count; i++) {
        arena_release(&shelf->arenas[i]);
    }
    mutex_release(&shelf->mu);
}

static void shelf_get(struct read_shelf *shelf, struct budget *pool, struct arena *out) {
    arena_init(out, 0);
    if (shelf != NULL) {
        mutex_lock(&shelf->mu);
        if (shelf->count > 0) {
            *out = shelf->arenas[--shelf->count];
        }
        mutex_unlock(&shelf->mu);
    }
    out->pool = pool;
    if (pool != NULL) {
        budget_force(pool, out->used_bytes);
    }
}

static void shelf_put(struct read_shelf *shelf, struct arena *arena) {
    arena_rewind(arena, KEEP_BYTES);
    if (arena->pool != NULL) {
        budget_give(arena->pool, arena->used_bytes);
        arena->pool = NULL;
    }
    if (shelf != NULL) {
        mutex_lock(&shelf->mu);
        if (shelf->count < SHELF_MAX) {
            shelf->arenas[shelf->count++] = *arena;
            arena_init(arena, 0);
        }
        mutex_unlock(&shelf->mu);
    }
    arena_release(arena);
}

/* ---- slots ---- */

/* As few as are ever in use at once: their memory is warm when it comes again. */
static size_t ring_size(const struct read_ahead *r) {
    return r->ev->crew != NULL ? r->ev->crew->size + 2 : 1;
}

static struct read_batch *slot_at(const struct read_ahead *r, size_t i) {
    return r->slots[(r->head + i) % ring_size(r)];
}

static void read_batch_now(struct read_batch *b) {
    const struct read_ahead *r = b->of;
    const struct eval *ev = r->ev;
    b->code = storage_read_windows(ev->storage, ev->querier, r->from.selection, b->first, b->count,
                                   r->from.mint, r->from.maxt, &r->from.windows, &b->arena,
                                   b->samples, &b->err);
}

static void run_task(void *ctx) {
    read_batch_now(ctx);
}

static size_t in_use_bytes(const struct arena *arena) {
    return arena->used_bytes - arena->spare_bytes;
}

/* What the query may still take, parts readers of it; 0 = no limit. */
static size_t share_of_rest(const struct read_ahead *r, size_t readers) {
    const size_t max = r->ev->budget.max_bytes;
    const size_t used = work_used_bytes(r->work);
    if (max == 0) {
        return 0;
    }
    return used < max ? (max - used) / readers + 1 : 1;
}

/* Where a batch of about n series ends: between two targets if there is such a place, for the
 * series of one lie in the same pages. */
static size_t batch_end(const struct read_source *from, size_t first, size_t n) {
    if (n >= from->count - first) {
        return from->count;
    }
    for (size_t end = first + n; end > first + n / 2; end--) {
        if (from->series[end - 1].target_set != from->series[end].target_set) {
            return end;
        }
    }
    return first + n;
}

/* A slot behind the others with the next series in it, nothing read yet. */
static enum err_code append_slot(struct read_ahead *r, struct read_batch **out, struct err *err) {
    struct read_batch **slot = &r->slots[(r->head + r->used) % ring_size(r)];
    if (*slot == NULL) {
        *slot = work_alloc(r->work, 1, sizeof(**slot), err);
        if (*slot == NULL) {
            return ERR_LIMIT;
        }
        (*slot)->of = r;
        (*slot)->task = (struct crew_task){.run = run_task, .ctx = *slot};
        shelf_get(r->ev->shelf, r->ev->budget.pool, &(*slot)->arena);
    }
    struct read_batch *b = *slot;
    b->first = r->next_series;
    r->next_series = batch_end(&r->from, b->first, r->batch_size);
    b->count = r->next_series - b->first;
    r->used++;
    *out = b;
    return ERR_OK;
}

static size_t cost_of(const struct read_batch *b) {
    size_t cost = SERIES_COST * b->count;
    for (size_t i = 0; i < b->count; i++) {
        cost += b->samples[i].count;
    }
    return cost;
}

/* From what the last batch took, and working on it: the size that brings a batch to its aim and
 * gives every thread a few of them, and whether the rest is worth waking threads for. */
static void size_batches(struct read_ahead *r, const struct read_batch *b, size_t more_bytes) {
    const size_t per_series = (in_use_bytes(&b->arena) + more_bytes) / b->count + 1;
    const size_t left = r->from.count - b->first - b->count;
    const size_t readers = r->ev->crew != NULL ? r->ev->crew->size + 1 : 1;
    const size_t max = r->ev->budget.max_bytes / 8; /* a small budget has small batches */
    size_t n = (max != 0 && max < BATCH_AIM_BYTES ? max : BATCH_AIM_BYTES) / per_series;
    n = n > READ_BATCH_MAX ? READ_BATCH_MAX : n < 1 ? 1 : n;
    r->helped = !r->alone && readers > 1 && left * (cost_of(b) / b->count) >= HELP_FROM_COST;
    if (r->helped && n > BATCH_LEAST && n > left / readers / 2) {
        n = left / readers / 2 > BATCH_LEAST ? left / readers / 2 : BATCH_LEAST;
    }
    r->batch_size = n;
}

static enum err_code ask_for_more(struct read_ahead *r, struct err *err) {
    const size_t slots = r->helped ? ring_size(r) : 1;
    while (r->used < slots && r->next_series < r->from.count) {
        struct read_batch *b = NULL;
        const enum err_code code = append_slot(r, &b, err);
        if (code != ERR_OK) {
            return code;
        }
        b->arena.budget_bytes = share_of_rest(r, 2 * slots);
        crew_post(r->ev->crew, &b->task);
    }
    return ERR_OK;
}

/* The first slot was posted and is read when this returns; meanwhile this thread reads others. */
static void await_first(struct read_ahead *r) {
    struct crew *crew = r->ev->crew;
    struct read_batch *first = slot_at(r, 0);
    if (crew_take_back(crew, &first->task)) {
        read_batch_now(first);
        return;
    }
    for (size_t i = 1; i < r->used && !crew_is_done(crew, &first->task); i++) {
        struct read_batch *b = slot_at(r, i);
        if (crew_take_back(crew, &b->task)) {
            read_batch_now(b);
            b->task.state = CREW_DONE; /* nobody else knows it any more */
        }
    }
    crew_settle(crew, &first->task);
}

static void drop_batch(struct read_batch *b) {
    arena_rewind(&b->arena, KEEP_BYTES);
}

/* Lets go of all that was read ahead: it is read again, by this thread alone. */
static void forget_ahead(struct read_ahead *r) {
    for (size_t i = 1; i < r->used; i++) {
        struct read_batch *b = slot_at(r, i);
        if (!crew_take_back(r->ev->crew, &b->task)) {
            crew_settle(r->ev->crew, &b->task);
        }
        arena_reset(&b->arena);
    }
    if (r->used > 1) {
        r->next_series = slot_at(r, 1)->first;
        r->used = 1;
    }
    r->helped = false;
}

/* A share may have been too small where all of the rest is not. */
static enum err_code read_alone(struct read_ahead *r, struct read_batch *b, struct err *err) {
    arena_reset(&b->arena);
    b->arena.budget_bytes = share_of_rest(r, 1);
    read_batch_now(b);
    if (b->code == ERR_LIMIT) {
        r->work->arena.pool_refused = b->arena.pool_refused;
        return work_over(r->work, err);
    }
    return ERR_OK;
}

void read_ahead_begin(struct read_ahead *r, struct eval *ev, struct work *work,
                      const struct read_source *from) {
    *r = (struct read_ahead){.ev = ev, .work = work, .from = *from, .batch_size = BATCH_FIRST};
}

/* The first slot's batch is read when this returns ERR_OK. */
static enum err_code read_first(struct read_ahead *r, bool posted, struct err *err) {
    struct read_batch *b = slot_at(r, 0);
    if (posted) {
        await_first(r);
    } else {
        b->arena.budget_bytes = share_of_rest(r, 1);
        read_batch_now(b);
    }
    if (b->code == ERR_LIMIT) {
        forget_ahead(r);
        r->alone = true;
        const enum err_code code = read_alone(r, b, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    if (b->code != ERR_OK) {
        *err = b->err;
    }
    return b->code;
}

enum err_code read_ahead_next(struct read_ahead *r, size_t more_bytes, struct read_batch **out,
                              struct err *err) {
    struct work_budget *budget = &r->ev->budget;
    *out = NULL;
    budget->lent_bytes = 0;
    if (r->handed_out) {
        size_batches(r, slot_at(r, 0), more_bytes);
        drop_batch(slot_at(r, 0));
        r->used--;
        r->head = r->used != 0 ? (r->head + 1) % ring_size(r) : r->head;
        r->handed_out = false;
    }
    if (r->used == 0 && r->next_series == r->from.count) {
        return ERR_OK;
    }
    struct read_batch *b = NULL;
    const bool posted = r->used > 0;
    enum err_code code = posted ? ERR_OK : append_slot(r, &b, err);
    if (code == ERR_OK && r->helped) {
        code = ask_for_more(r, err);
    }
    if (code == ERR_OK) {
        code = read_first(r, posted, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    r->handed_out = true;
    *out = slot_at(r, 0);
    budget->lent_bytes = in_use_bytes(&(*out)->arena);
    return work_check(r->work, err);
}

void read_ahead_end(struct read_ahead *r) {
    for (size_t i = 0; i < r->used; i++) {
        struct crew_task *task = &slot_at(r, i)->task;
        if (r->ev->crew != NULL && !crew_take_back(r->ev->crew, task)) {
            crew_settle(r->ev->crew, task);
        }
    }
    for (size_t i = 0; i < READ_SLOTS_MAX; i++) {
        if (r->slots[i] != NULL) {
            shelf_put(r->ev->shelf, &r->slots[i]->arena);
        }
    }
    r->ev->budget.lent_bytes = 0;
}

#include "query/work.h"

#include <string.h>

#include "base/budget.h"
#include "base/check.h"
#include "base/sort.h"

/* What a work that is used again and again keeps: it counts as used, so it is little. */
enum { KEEP_BYTES = 64 * 1024 };

static size_t used_by_all(const struct work_budget *budget) {
    size_t sum =
        budget->results != NULL ? budget->results->used_bytes - budget->results_before_bytes : 0;
    sum += budget->lent_bytes;
    for (const struct work *w = budget->top; w != NULL; w = w->below) {
        sum += w->arena.used_bytes;
    }
    return sum;
}

static size_t note_peak(struct work_budget *budget) {
    const size_t used = used_by_all(budget);
    if (used > budget->peak_bytes) {
        budget->peak_bytes = used;
    }
    return used;
}

static bool pool_refused(const struct work_budget *budget) {
    bool refused = budget->results != NULL && budget->results->pool_refused;
    for (const struct work *w = budget->top; w != NULL && !refused; w = w->below) {
        refused = w->arena.pool_refused;
    }
    return refused;
}

static enum err_code over(const struct work_budget *budget, struct err *err) {
    if (budget->pool != NULL && pool_refused(budget)) {
        return err_set(err, ERR_LIMIT,
                       "not enough memory for this query: all running queries together may use "
                       "%zu bytes",
                       budget->pool->max_bytes);
    }
    return err_set(err, ERR_LIMIT,
                   "query needs more than its limit of %zu bytes of memory (--query.max-memory)",
                   budget->max_bytes);
}

void work_begin(struct work *work, struct work_budget *budget) {
    arena_init(&work->arena, 0);
    work->arena.pool = budget->pool;
    work->budget = budget;
    work->below = budget->top;
    budget->top = work;
    if (budget->lasting == NULL) {
        budget->lasting = work;
    }
}

void work_end(struct work *work) {
    ASSERT(work->budget->top == work);
    (void)note_peak(work->budget);
    arena_release(&work->arena);
    work->budget->top = work->below;
}

void work_reset(struct work *work) {
    (void)note_peak(work->budget);
    arena_rewind(&work->arena, KEEP_BYTES);
}

void work_grant(struct work *work) {
    const size_t max = work->budget->max_bytes;
    if (max == 0) {
        return;
    }
    const size_t others = used_by_all(work->budget) - work->arena.used_bytes;
    /* 0 would mean no limit. */
    work->arena.budget_bytes = others < max ? max - others : 1;
}

void *work_alloc(struct work *work, size_t count, size_t bytes, struct err *err) {
    work_grant(work);
    void *ptr = arena_try_alloc(&work->arena, count, bytes);
    if (ptr == NULL) {
        (void)over(work->budget, err);
    }
    return ptr;
}

void *work_zalloc(struct work *work, size_t count, size_t bytes, struct err *err) {
    void *ptr = work_alloc(work, count, bytes, err);
    return ptr != NULL ? memset(ptr, 0, count * bytes) : NULL;
}

enum err_code work_pause(struct work_budget *budget, struct err *err) {
    budget->done_since_pause = 0;
    return budget->pause != NULL ? budget->pause(budget->pause_ctx, err) : ERR_OK;
}

size_t work_used_bytes(const struct work *work) {
    return used_by_all(work->budget);
}

enum err_code work_over(const struct work *work, struct err *err) {
    return over(work->budget, err);
}

enum err_code work_check(struct work *work, struct err *err) {
    const size_t used = note_peak(work->budget);
    if (work->budget->max_bytes != 0 && used > work->budget->max_bytes) {
        return over(work->budget, err);
    }
    return ERR_OK;
}

enum err_code work_sort(struct work *work, void *items, size_t count, size_t bytes,
                        int (*order)(const void *a, const void *b), const struct cancel *cancel,
                        struct err *err) {
    struct work tmp;
    work_begin(&tmp, work->budget);
    void **scratch = work_alloc(&tmp, count, 2 * sizeof(void *), err);
    enum err_code code = ERR_LIMIT;
    if (scratch != NULL) {
        code = sort_items(items, count, bytes, order, scratch, cancel);
        if (code != ERR_OK) {
            (void)err_set(err, code, "query %s in expression evaluation",
                          code == ERR_TIMEOUT ? "timed out" : "was canceled");
        }
    }
    work_end(&tmp);
    return code;
}

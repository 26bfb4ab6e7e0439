/* Working memory of one query: a stack of arenas that share one budget, so that what a part of an
 * expression needed is given back as soon as its value is known. The budget's arenas take from the
 * pool of all queries as well: whoever cannot get memory fails, the others go on.
 *
 * Owner: the evaluator. work_begin and work_end nest. Everything whose size data decides comes
 * from work_alloc (or is checked with work_check soon after), whose failure is ERR_LIMIT. One
 * thread at a time. */
#ifndef QUERY_WORK_H
#define QUERY_WORK_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/cancel.h"
#include "base/err.h"

struct work_budget {
    struct work *top;
    struct work *lasting;        /* the first that began: lives to the end of the query */
    const struct arena *results; /* the caller's, may be NULL: what it grows by counts as well */
    size_t results_before_bytes;
    size_t max_bytes; /* 0 = no limit */
    size_t peak_bytes;
    size_t lent_bytes;   /* held elsewhere for the query: the samples at hand */
    struct budget *pool; /* of all running queries; may be NULL */
    /* Looks whether the query was ended, see eval_pause; NULL: nobody can end it. */
    enum err_code (*pause)(void *ctx, struct err *err);
    void *pause_ctx;
    uint64_t done_since_pause;
};

/* Work is counted in samples of a sum. In these: what a row or a label set costs beside its samples,
 * and after how much of it a query pauses, which is some 0.2 ms. */
enum { WORK_ROW = 64, WORK_BETWEEN_PAUSES = 16384 };

struct work {
    struct arena arena;
    struct work_budget *budget;
    struct work *below;
};

void work_begin(struct work *work, struct work_budget *budget);
/* Frees all of it. Must be the newest that is open. */
void work_end(struct work *work);
/* Frees the content and keeps it open. */
void work_reset(struct work *work);

/* Where labels go: rows move from one work to another and take them along. */
static inline struct arena *work_lasting(struct work *work) {
    return &work->budget->lasting->arena;
}

/* count * bytes, not zeroed; NULL with *err set (ERR_LIMIT). */
MUST_CHECK void *work_alloc(struct work *work, size_t count, size_t bytes, struct err *err);
MUST_CHECK void *work_zalloc(struct work *work, size_t count, size_t bytes, struct err *err);
/* Lets work->arena, when handed to somebody else, grow to what the others leave. */
void work_grant(struct work *work);
/* As qsort, stable, within the budget and stoppable: errors as those of eval_pause. */
MUST_CHECK enum err_code work_sort(struct work *work, void *items, size_t count, size_t bytes,
                                   int (*order)(const void *a, const void *b),
                                   const struct cancel *cancel, struct err *err);
MUST_CHECK enum err_code work_pause(struct work_budget *budget, struct err *err);
/* After so much of it was done: pauses now and then. Errors as those of eval_pause. */
MUST_CHECK static inline enum err_code work_did(struct work_budget *budget, uint64_t n,
                                                struct err *err) {
    budget->done_since_pause += n;
    return budget->done_since_pause < WORK_BETWEEN_PAUSES ? ERR_OK : work_pause(budget, err);
}

/* A column may have millions of steps: where a slice of it ends that takes a pause's work; a whole
 * number of words of presence bits. */
static inline size_t work_slice_end(size_t begin, size_t count) {
    return count - begin < WORK_BETWEEN_PAUSES ? count : begin + WORK_BETWEEN_PAUSES;
}

/* What the whole query holds. */
size_t work_used_bytes(const struct work *work);
/* The error itself: for a part that found its granted arena full. */
enum err_code work_over(const struct work *work, struct err *err);
/* ERR_LIMIT when the query holds more than its budget: after calls that take from work->arena
 * without asking. */
MUST_CHECK enum err_code work_check(struct work *work, struct err *err);

#endif

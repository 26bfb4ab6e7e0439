/* The samples of a selector that is read again: min_over_time(x[5m]) and max_over_time(x[5m]) decode
 * x once. The first scan keeps a copy of what it reads, 4 MiB at most and an eighth of the query's
 * memory; a later one of the same range is served from it. Histograms and start times are not kept.
 *
 * Owner: one query, its thread. Private to query/. */
#ifndef QUERY_KEPT_SAMPLES_H
#define QUERY_KEPT_SAMPLES_H

#include <stdbool.h>

#include "query/eval.h"
#include "tsdb/storage.h"

enum kept_state { KEPT_NOTHING, KEPT_PART, KEPT_ALL, KEPT_GIVEN_UP };

struct kept_samples {
    struct work work;
    enum kept_state state;
    int64_t mint, maxt;
    struct storage_samples *samples; /* of all series of the selection */
    size_t count, capacity;
    const int64_t *last_ts; /* of the one that was added last, as it came, */
    size_t last_count;
    int64_t *last_copy; /* and its copy */
};

/* Works that stay open until kept_samples_close, as shared_rows_open. */
MUST_CHECK enum err_code kept_samples_open(struct eval *ev, const struct plan *plan,
                                           struct err *err);
void kept_samples_close(struct eval *ev);

/* What this selector's reads are kept in; NULL: nobody else reads the same. */
struct kept_samples *kept_samples_of(struct eval *ev, const struct plan_selector *selector);
/* Begins to keep count series of the range, unless something was kept before. */
void kept_samples_begin(struct kept_samples *k, size_t count, int64_t mint, int64_t maxt);
/* Columns of what is added from now on may lie where others lay before. */
void kept_samples_next_batch(struct kept_samples *k);
/* The next series of the range. */
void kept_samples_add(struct kept_samples *k, const struct storage_samples *samples);
/* All were added. */
void kept_samples_end(struct kept_samples *k, bool whole);

static inline bool kept_samples_have(const struct kept_samples *k, int64_t mint, int64_t maxt) {
    return k != NULL && k->state == KEPT_ALL && k->mint == mint && k->maxt == maxt;
}

#endif

/* The order of series by their labels, when labels are unions of two interned sets (storage.h).
 *
 * Series are many, sets are fewer, and names and values fewest: these are compared as text, once;
 * then a series is a short list of their ranks, and lists are sorted by place from the last one to
 * the first, each time by counting (LSD radix sort: Knuth, The Art of Computer Programming, volume 3,
 * 5.2.5; lists of unlike lengths: Aho, Hopcroft, Ullman, The Design and Analysis of Computer
 * Algorithms, 3.2). No label is spelled out for a series.
 *
 * Owner: the querier, while it selects. No state; safe to call from any number of threads. */
#ifndef TSDB_LABEL_ORDER_H
#define TSDB_LABEL_ORDER_H

#include "base/arena.h"
#include "base/cancel.h"
#include "base/labels.h"
#include "tsdb/storage.h"

struct label_order_source {
    const struct storage_series *series;
    size_t count;
    /* Lasts as long as the sorting. */
    struct labels (*set_labels)(void *ctx, uint32_t set);
    void *ctx;
    uint64_t seed; /* of the tables of strings, which strangers fill */
};

/* out_order (room for count numbers) becomes the places of the series in the order of labels_cmp of
 * labels_merge(target, metric); equal ones stay in order. All else is in scratch. ERR_LIMIT: its
 * budget; ERR_CANCELED and ERR_TIMEOUT: cancel (may be NULL), at which this looks every
 * millisecond at least. */
MUST_CHECK enum err_code label_order_sort(const struct label_order_source *source,
                                          struct arena *scratch, const struct cancel *cancel,
                                          uint32_t *out_order);

#endif

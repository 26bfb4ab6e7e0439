/* How many buckets histograms fill, of answers to range selectors (promtool query analyze,
 * spec/promtool.md section 3): classic histograms, which are series of _bucket with le, and native
 * ones. One thread. */
#ifndef BUCKET_STATS_H
#define BUCKET_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "query_answer.h"

/* Of numbers that came one by one; min is INT64_MAX without any. */
struct bucket_distribution {
    int64_t min, max;
    uint64_t count;
    double avg;
};

/* Over all series of one kind: their numbers of populated buckets, and of buckets at all. */
struct bucket_totals {
    struct bucket_distribution min_populated, avg_populated, max_populated, total;
};

struct bucket_stats {
    struct arena *arena; /* scratch */
    struct buf *to;
    struct bucket_totals native, classic;
};

/* Prints to `to`, which is borrowed until the end, what the lines that follow say. */
void bucket_stats_begin(struct bucket_stats *s, struct arena *arena, struct buf *to);
/* Prints a line for each histogram of the matrix: native ones in its order, then classic ones by
 * their labels. Those with less than two samples are left out. ERR_INVALID: the buckets of a classic
 * one are of different times. ERR_LIMIT: the arena's budget. What came before is printed. */
MUST_CHECK enum err_code bucket_stats_add(struct bucket_stats *s, const struct answer *matrix,
                                          struct err *err);
/* Prints the totals. */
void bucket_stats_end(struct bucket_stats *s);

#endif

/* What makes the head large: how many series have which metric, label name and pair. */
#ifndef TSDB_INDEX_STATS_H
#define TSDB_INDEX_STATS_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/cancel.h"
#include "base/err.h"
#include "tsdb/index.h"
#include "tsdb/storage.h"

/* Counted when asked, from the lists of sets: a count for each value would have to be kept up to date at
 * each new series. Takes index->mu for short steps; t: the live tables, or pinned ones, whose strings
 * out has. At most limit (>= 1) entries each; series that come or go meanwhile may be counted or not.
 * ERR_LIMIT when the arena's budget is passed; ERR_CANCELED, ERR_TIMEOUT. */
MUST_CHECK enum err_code index_cardinality(struct index *index, const struct index_tables *t,
                                           size_t limit, struct arena *arena,
                                           const struct cancel *cancel,
                                           struct storage_cardinality *out, struct err *err);

#endif

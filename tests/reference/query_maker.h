/* Data and queries from a stream of choices: bytes of a fuzzer's input while there are some, then a
 * generator started from the seed. The same bytes and seed make the same.
 * The first bytes are the data's: one for each series, three for each sample that is changed; those
 * behind are the queries'. */
#ifndef TESTS_REFERENCE_QUERY_MAKER_H
#define TESTS_REFERENCE_QUERY_MAKER_H

#include "base/buf.h"
#include "query/script/fake_storage.h"
#include "tests/reference/reference.h"

struct choices {
    const uint8_t *bytes;
    size_t left;
    uint64_t state;
};

/* 0 .. n-1 */
unsigned choose_one(struct choices *c, unsigned n);
bool choose_often(struct choices *c, unsigned percent);

enum { DATA_START_MS = 3600000, DATA_STEP_MS = 15000, DATA_SAMPLES = 40 };

/* The same series in the store and, by labels, as the reference evaluator takes them: counters with
 * resets, gauges, numbers at the borders, classic and native histograms of every layout, info
 * metrics; with gaps, stale markers and start timestamps. */
struct ref_series *make_data(struct choices *c, struct arena *arena, struct fake_storage *fs,
                             size_t *out_count);
/* A query that parses; of the language that the reference evaluator knows. */
void make_query(struct choices *c, struct buf *out);

#endif

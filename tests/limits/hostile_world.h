/* A database in memory with what hostile queries like: many series, long labels, one long series,
 * native histograms, in the head and in partitions; an engine whose clock belongs to the test, and a
 * list of queries that reach every operator and every loop over what a user sizes. */
#ifndef TESTS_LIMITS_HOSTILE_WORLD_H
#define TESTS_LIMITS_HOSTILE_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "query/query.h"
#include "tests/support/fake_clock.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/tsdb.h"

/* Queries end here; rows are a second apart up to it. */
enum { HOSTILE_END_S = 100000 };

struct hostile_size {
    uint32_t series;    /* of wide_total and of wide_bucket; a fifth of it of each other kind */
    uint32_t rows;      /* of each of them */
    uint32_t long_rows; /* of long_gauge */
};

struct hostile_world {
    struct mem_vfs *vfs;
    struct fake_clock storage_clock;
    struct tsdb *db;
    struct query_engine *engine;
};

/* clock: of the engine. The caller ends both with hostile_world_end. */
void hostile_world_begin(struct hostile_world *w, const struct hostile_size *size,
                         struct clock *clock);
void hostile_world_end(struct hostile_world *w);

struct hostile_query {
    const char *text;
    int64_t span_s; /* 0: instant */
    int64_t step_ms;
};

size_t hostile_query_count(void);
const struct hostile_query *hostile_query_at(size_t i);
/* Its result lives in arena. */
enum err_code hostile_query_run(struct hostile_world *w, const struct hostile_query *q,
                                const struct cancel *cancel, struct arena *arena,
                                struct query_result *out, struct err *err);

#endif

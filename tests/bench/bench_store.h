/* A database of made-up targets for benchmarks of queries, on a clock that the benchmark moves: 1
 * shard, no background thread. One thread; what fails ends the program. */
#ifndef TESTS_BENCH_BENCH_STORE_H
#define TESTS_BENCH_BENCH_STORE_H

#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/value.h"
#include "tsdb/storage.h"
#include "tsdb/tsdb.h"

struct bench_clock {
    struct clock clock;
    int64_t unix_ns; /* monotonic time is the machine's */
};

/* Target t is {instance="node-<t>:9100", job="job-<t % jobs>"}; its series i is called
 * names[i % 2], with n="<i>". */
struct bench_shape {
    uint32_t targets, per_target, jobs;
    const char *names[2];
};

struct bench_store {
    struct bench_clock clock;
    struct bench_shape shape;
    struct tsdb *db;
    struct storage *st;
    struct storage_group **groups;
    struct num *values; /* of the next row, the same for all targets; begin at 0 */
    uint8_t *states;
    uint64_t samples; /* written */
};

/* path: an empty folder. */
void bench_store_open(struct bench_store *b, const char *path, const struct bench_shape *shape);
/* The next of a fixed sequence of numbers, for values. */
uint64_t bench_store_random(uint64_t *seed);
/* A row of every target, so many seconds after the last one. */
void bench_store_row(struct bench_store *b, int64_t interval_s);
void bench_store_close(struct bench_store *b);
/* Prints the error and ends the program, if there is one. */
void bench_must(enum err_code code, const struct err *err);

#endif

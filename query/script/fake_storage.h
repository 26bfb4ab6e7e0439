/* In-memory storage behind the vtable of tsdb/storage.h, for tests of what reads and writes through
 * it. Labels instance and job are the target's set, the others the metric's; series with equal
 * timestamps in a read share one column. Groups are not offered. One thread, but several may read. */
#ifndef QUERY_SCRIPT_FAKE_STORAGE_H
#define QUERY_SCRIPT_FAKE_STORAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "tsdb/storage.h"

struct fake_storage;

struct fake_storage *fake_storage_new(void);
void fake_storage_free(struct fake_storage *fs);
struct storage *fake_storage_as_storage(struct fake_storage *fs);

/* Appends or, at a time that is there already, replaces. */
void fake_storage_put(struct fake_storage *fs, struct labels labels, int64_t ts_ms, double value);
/* "name{a=\"b\",c=\"d\"}", no escapes; values every step from 0 on: "1 2 _ stale NaN Inf -Inf". */
void fake_storage_load(struct fake_storage *fs, int64_t step_ms, const char *metric,
                       const char *values);
/* start_ms: the sample's start timestamp, 0 when not known. */
void fake_storage_put_started(struct fake_storage *fs, struct labels labels, int64_t ts_ms,
                              double value, int64_t start_ms);
/* h is copied, its hint as a store keeps it. */
void fake_storage_put_histogram(struct fake_storage *fs, struct labels labels, int64_t ts_ms,
                                const struct histogram *h, int64_t start_ms);
void fake_storage_clear(struct fake_storage *fs);
size_t fake_storage_series_count(const struct fake_storage *fs);

/* The n-th read from now (0 = the next) fails with code, or raises cancel. */
void fake_storage_fail_read(struct fake_storage *fs, int n, enum err_code code);
void fake_storage_cancel_at_read(struct fake_storage *fs, int n, struct cancel *cancel);
/* What the newest querier was opened for. */
void fake_storage_seen_range(const struct fake_storage *fs, int64_t *mint, int64_t *maxt);

#endif

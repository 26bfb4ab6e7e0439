/* A storage that takes rows and writes down what it was given, for tests of what writes by group.
 *
 * Every committed sample becomes a line "<ts> <metric> <value>" (value "stale" for a marker), in
 * the order of slots, own times behind them. A histogram's value is its layout in braces, one list
 * of counts for each span by its first index; in front of it stands "float" for one of float counts,
 * and its hint unless that is unknown. Behind a value stands "@<start timestamp>" if there is one.
 * Exemplars follow the row, as "<ts> <metric> # {labels} <value>". Rows not newer than the last of a
 * group are refused sample by sample, as the contract says. One shard; one thread at a time. */
#ifndef TESTS_SUPPORT_ROW_STORAGE_H
#define TESTS_SUPPORT_ROW_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "tsdb/storage.h"

struct row_storage;

/* record = false: rows are counted and dropped, for benchmarks. */
struct row_storage *row_storage_new(bool record);
void row_storage_free(struct row_storage *rs);
struct storage *row_storage_as_storage(struct row_storage *rs);

/* What was committed since the last call, with lines of the report series left out unless reports;
 * borrowed until the next call. */
const char *row_storage_take(struct row_storage *rs, bool reports);
/* The last value of a series named so with the label set as printed, e.g. "up{job=\"a\"}"; NaN
 * when there is none or it is stale. */
double row_storage_last(struct row_storage *rs, const char *metric);

/* The next row of every group is newer, whatever its time. */
void row_storage_rewind(struct row_storage *rs);
/* What rows are refused for, slot by slot, as ERR_OK for none: the slot of the series so named is
 * refused with code until further notice. */
void row_storage_refuse(struct row_storage *rs, const char *metric, enum err_code code);
/* New series beyond so many are ERR_LIMIT. */
void row_storage_set_series_max(struct row_storage *rs, size_t max);
size_t row_storage_series_count(const struct row_storage *rs);
size_t row_storage_open_groups(const struct row_storage *rs);
size_t row_storage_row_count(const struct row_storage *rs);

#endif

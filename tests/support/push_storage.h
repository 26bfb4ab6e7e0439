/* A storage that takes transactions and writes down what they committed, for tests of what pushes
 * samples. It keeps Prometheus' order within a series: older is ERR_OUT_OF_ORDER, the same time
 * ERR_DUPLICATE unless the value is the same. One thread. */
#ifndef TESTS_SUPPORT_PUSH_STORAGE_H
#define TESTS_SUPPORT_PUSH_STORAGE_H

#include "base/buf.h"
#include "tsdb/storage.h"

struct push_storage;

struct push_storage *push_storage_new(void);
void push_storage_free(struct push_storage *ps);
struct storage *push_storage_as_storage(struct push_storage *ps);
/* From now on it takes histograms, in any order, each a line "<labels> <ts> <text of histogram_format>";
 * aborts at one that histogram_check refuses. */
void push_storage_take_histograms(struct push_storage *ps);

/* Lines "<labels> <ts> <value as 16 hex digits>" that were committed since the last call. */
const char *push_storage_take(struct push_storage *ps);
/* The next begin, append (n-th from now, 0 = the next) or commit fails with code. */
void push_storage_fail_begin(struct push_storage *ps, enum err_code code);
void push_storage_fail_append(struct push_storage *ps, int n, enum err_code code);
void push_storage_fail_commit(struct push_storage *ps, enum err_code code);
/* Samples that came in rows (storage_append_expected_row) so far. */
size_t push_storage_in_rows(const struct push_storage *ps);
size_t push_storage_open_transactions(const struct push_storage *ps);
/* One line as above. */
void push_storage_line(struct buf *to, struct labels labels, int64_t ts_ms, double value);

#endif

/* The functions behind the storage interface of a database (tsdb/storage.h says what they do):
 * tsdb_group.c, appender.c, querier.c, tsdb_metrics.c. */
#ifndef TSDB_TSDB_OPS_H
#define TSDB_TSDB_OPS_H

#include "tsdb/head.h"

/* The shard that pushed series of a target set, and groups without any row yet, belong to. */
struct head_shard *tsdb_shard_for(struct tsdb *db, struct labels target);
enum err_code tsdb_group_open(struct storage *st, uint32_t shard, struct labels target,
                              struct storage_group **out, struct err *err);
enum err_code tsdb_group_series(struct storage_group *handle, struct labels labels,
                                uint32_t *out_slot, struct err *err);
void tsdb_group_release(struct storage_group *handle, uint32_t slot);
uint32_t tsdb_group_slot_count(const struct storage_group *handle);
enum err_code tsdb_group_commit(struct storage_group *handle, const struct storage_row *row,
                                struct storage_row_result *out, struct err *err);
void tsdb_group_close(struct storage_group *handle);

enum err_code tsdb_appender_begin(struct storage *st, struct storage_appender **out,
                                  struct err *err);
bool tsdb_expect(struct storage_appender *a, struct storage_expected *out);
bool tsdb_expect_sets(struct storage_appender *a, struct storage_expected *out);
size_t tsdb_append_expected_row(struct storage_appender *a, size_t i, int64_t ts_ms,
                                const double *values, size_t n);
enum err_code tsdb_append_expected(struct storage_appender *a, size_t i, int64_t ts_ms,
                                   double value);
enum err_code tsdb_append(struct storage_appender *a, struct labels labels, int64_t ts_ms,
                          double value);
enum err_code tsdb_append_sample(struct storage_appender *a, struct labels labels,
                                 const struct storage_sample *sample);
enum err_code tsdb_append_exemplar(struct storage_appender *a, struct labels labels,
                                   const struct storage_exemplar *exemplar);
enum err_code tsdb_appender_commit(struct storage_appender *a, struct err *err);
void tsdb_appender_rollback(struct storage_appender *a);
void tsdb_appender_in_order_only(struct storage_appender *a);

struct storage_querier;
enum err_code tsdb_querier_open(struct storage *st, int64_t mint, int64_t maxt, struct arena *arena,
                                const struct cancel *cancel, struct storage_querier **out,
                                struct err *err);
enum err_code tsdb_select(struct storage_querier *q, const struct matcher *matchers, size_t n,
                          const struct storage_select_hints *hints, struct storage_selection **out,
                          struct err *err);
const struct storage_series *tsdb_selection_series(const struct storage_selection *sel,
                                                   size_t *out_count);
struct labels tsdb_set_labels(struct storage_querier *q, uint32_t set);
enum err_code tsdb_read(struct storage_querier *q, const struct storage_selection *sel,
                        size_t first, size_t count, int64_t mint, int64_t maxt,
                        struct arena *scratch, struct storage_samples *out, struct err *err);
enum err_code tsdb_read_windows(struct storage_querier *q, const struct storage_selection *sel,
                                size_t first, size_t count, int64_t mint, int64_t maxt,
                                const struct storage_windows *windows, struct arena *scratch,
                                struct storage_samples *out, struct err *err);
enum err_code tsdb_exemplars(struct storage_querier *q, const struct matcher *matchers, size_t n,
                             struct storage_exemplar_series **out, size_t *out_count,
                             struct err *err);
enum err_code tsdb_label_names(struct storage_querier *q, const struct matcher *matchers, size_t n,
                               size_t limit, struct str **out, size_t *out_count, struct err *err);
enum err_code tsdb_label_values(struct storage_querier *q, struct str name,
                                const struct matcher *matchers, size_t n, size_t limit,
                                struct str **out, size_t *out_count, struct err *err);

enum err_code tsdb_cardinality(struct storage_querier *q, size_t limit,
                               struct storage_cardinality *out, struct err *err);

void tsdb_metrics_init(struct tsdb *db);
void tsdb_metrics_update(struct tsdb *db);

#endif

/* Late groups: samples older than the newest of their series, within out_of_order_time_window.
 *
 * A late group is a pushed group whose rows are in the order of arrival, each time once; a sample for a
 * time that has a row is put into it, wherever that is. Sealing brings the rows into the order of time, so
 * that a run is as any other; runs of a late group may overlap, and what arrived first counts. The
 * open rows of a group are of one partition: sealed, they are one run with the same row numbers.
 *
 * A series keeps its place in the group of its in-order samples, which decides what is late. In a late group
 * of its target set it has a slot too, as a series that moved has (head_push.c): readers merge the places,
 * and an in-order sample counts before a late one of the same time. WAL, replay, cutting and retention treat
 * late groups as pushed ones. That a group is late is in its definition (SERIES_GROUP_LATE).
 *
 * Owner and threads: as the head's; shard->mu. Private to tsdb/. */
#ifndef TSDB_LATE_GROUP_H
#define TSDB_LATE_GROUP_H

#include "tsdb/head.h"

/* Late rows come for any time of a partition: with many open ones, few runs have a part of each. */
enum { LATE_SEAL_ROWS = 1024 };

/* The open row with the time, or g->rows. */
uint32_t late_find_row(const struct head_group *g, int64_t ts_ms) REQUIRES(g->shard->mu);
/* Is each time there once? */
bool late_times_differ(const int64_t *ts_ms, uint32_t rows);
/* Numbers of rows in the order of their times; to has room for rows. */
void late_row_order(const int64_t *ts_ms, uint32_t rows, uint32_t *to);

/* Series of all late groups: they are counted elsewhere, as those of their in-order samples. */
uint64_t late_count_slots_locked(const struct tsdb *db) REQUIRES(db->index.mu);

/* Stores late samples, which are in the order of arrival; group and slot are those of the series' in-order
 * samples. What the open rows have already for the time stays; *out_stored were new. The last failure is
 * returned; what could be stored is. */
MUST_CHECK enum err_code late_push(struct head_shard *shard, const struct push_sample *samples,
                                   size_t n, const struct push_extra *extras, size_t *out_stored,
                                   struct err *err) REQUIRES(shard->mu);

#endif

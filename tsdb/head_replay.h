/* Records of the log as replay sees them. Private to head_found.c and head_replay*.c. */
#ifndef TSDB_HEAD_REPLAY_H
#define TSDB_HEAD_REPLAY_H

#include "tsdb/head.h"
#include "tsdb/head_recover.h"

/* Number of the record's row, or of its first one: both kinds begin alike. */
uint64_t head_record_row(const struct wal_record *record);
/* The number behind its last row; 0 when it is none of ours. */
uint64_t head_record_end(const struct wal_record *record);
/* Does it need nothing of what was before it? */
bool head_record_is_complete(const struct wal_record *record);

/* Adds the record's rows to the open window. What memory or a run has already is no failure. *io_changes
 * is scratch of *io_capacity (mem_free). ERR_NOT_FOUND: a row before is missing; ERR_CORRUPT: it does
 * not fit what is before it; else why rows before it could not be sealed. */
MUST_CHECK enum err_code head_replay_record(struct head_group *g, const struct wal_record *record,
                                            struct head_change **io_changes, size_t *io_capacity,
                                            struct err *err) REQUIRES(g->shard->mu);

#endif

/* From what the files say to open rows in memory: head_found.c, head_replay.c, head_replay_record.c,
 * head_window.c, head_lost.c, head_restore.c. */
#ifndef TSDB_HEAD_RECOVER_H
#define TSDB_HEAD_RECOVER_H

#include "tsdb/head.h"

/* At opening: notes a run or a WAL record for its group. */
MUST_CHECK enum err_code head_found_run(void *shard, const struct segment_run_info *run,
                                        struct err *err);
MUST_CHECK enum err_code head_found_record(void *shard, const struct wal_record *record,
                                           struct err *err);
/* Decodes the group's rows if that is still to be done. ERR_IO: the disk did not let them be read, which
 * says nothing about them; ERR_NO_SPACE (rare, see end_hole): they cannot be put in order without room.
 * The group is as before then, nothing may be added to it, the next call tries again. */
MUST_CHECK enum err_code head_replay_locked(struct head_group *g, struct err *err)
    REQUIRES(g->shard->mu);
MUST_CHECK enum err_code head_replay(struct head_group *g, struct err *err);
/* A record written by head_log_window or head_rewrite_windows becomes the open window. ERR_CORRUPT, or
 * why the rows before it could not be sealed. */
MUST_CHECK enum err_code head_replay_window(struct head_group *g, struct cursor *from,
                                            struct err *err) REQUIRES(g->shard->mu);
/* Its group (0 = damaged) and the times of its first and last row. */
uint32_t head_scan_window(struct cursor *from, int64_t *out_first_ms, int64_t *out_last_ms);
/* Calls fn for each of its rows. */
typedef void head_window_row_fn(void *ctx, uint64_t row, int64_t ts_ms);
void head_window_rows(struct cursor from, head_window_row_fn *fn, void *ctx);
/* At opening, or behind replay. */
void head_find_lost_slots(struct head_group *g) REQUIRES(g->shard->mu);
/* Those that are free now have nothing any more. */
void head_forget_lost_slots(struct head_group *g) REQUIRES(g->shard->mu);
/* Newest sample of a pushed group's series that have no open row, from the newest runs. */
void head_restore_times(struct head_group *g) REQUIRES(g->shard->mu);
/* For wal_rotate_after_failure: the windows of all groups of the shard. */
MUST_CHECK enum err_code head_rewrite_windows(void *shard, struct wal_rewriter *to,
                                              struct err *err);
/* After it worked: the windows are where they were written to. */
void head_windows_rewritten(struct head_shard *shard) REQUIRES(shard->mu);

#endif

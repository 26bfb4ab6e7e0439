/* The parts of a simulated life. Private to tests/sim. */
#ifndef TESTS_SIM_SIM_LIFE_H
#define TESTS_SIM_SIM_LIFE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/rng.h"
#include "sim_model.h"
#include "sim_notes.h"
#include "sim_play.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/storage.h"
#include "tsdb/tsdb.h"

struct sim {
    uint64_t seed;
    uint64_t step;
    bool verbose;
    struct sim_mode mode;
    bool failed;
    struct sim_totals *totals;
    struct rng rng;
    struct fake_clock clock;
    struct mem_vfs *disk;
    struct fault_vfs *faults;
    struct tsdb_options options;
    struct tsdb *db; /* NULL: down */
    struct storage *st;
    struct storage_group *groups[SIM_GROUPS];
    struct sim_model model;
    struct sim_notes notes;
    int64_t retention_ms; /* 0: all is kept */
    int64_t now_ms;       /* newest time that was used */
    bool dying;           /* what happens now may be cut off: nothing more is promised */
    bool disk_full;       /* the capacity was taken away */
    bool fails;           /* a plan is set */
    unsigned fail_ops;
    int fail_errno;
    size_t seen_failures;
    bool dirty;       /* something failed since the last good round */
    uint64_t damaged; /* records, at the last opening */
    unsigned snapshots;
    bool was_cut;    /* a loss of power may have left damage */
    bool unread;     /* a read failed, as the disk was told to */
    bool torn_bytes; /* half a write may have been left: damage may be reported */
};

/* ---- sim_disk.c ---- */

void sim_fail(struct sim *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
void sim_say(const struct sim *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool sim_chance(struct sim *p, uint64_t of);
bool sim_reads_fail(const struct sim *p);
/* What a failing disk lets the storage say of rows that it has not taken to memory yet. */
bool sim_may_be_unread(const struct sim *p, enum err_code code);
void sim_note_failures(struct sim *p);
void sim_set_plan(struct sim *p, struct fault_plan plan);
void sim_heal(struct sim *p);
void sim_fill_disk(struct sim *p, uint64_t left_bytes);
void sim_break_disk(struct sim *p);

/* ---- sim_late.c ---- */

int64_t sim_next_time(struct sim *p);
double sim_next_number(struct sim *p, const struct sim_series *s);
enum sim_promise sim_promise_of(const struct sim *p, enum err_code code);
void sim_check_commit(struct sim *p, enum err_code code, const struct err *err);
/* Samples behind the newest of their series, pushed or scraped. */
void sim_step_late(struct sim *p);

/* ---- sim_histogram.c ---- */

/* A float, or what the series of histograms have. */
struct sim_value sim_next_value(struct sim *p, struct sim_series *s);
/* The state of a slot that has it. */
uint8_t sim_state_of(const struct sim_value *v);
struct num sim_num_of(const struct sim_value *v);
MUST_CHECK enum err_code sim_append(struct sim *p, struct storage_appender *a,
                                    const struct sim_series *s, int64_t ts_ms,
                                    const struct sim_value *v);

/* ---- sim_read.c ---- */

struct sim_reading {
    int64_t mint;
    int64_t maxt;
    enum sim_promise promise; /* what must be there */
    bool settle;
    enum sim_promise kept; /* what is there, is at least */
    bool damaged;          /* series may be unreadable */
};

void sim_read_job(struct sim *p, size_t number, const struct sim_reading *r);
void sim_read_all(struct sim *p, const struct sim_reading *r);
void sim_step_query(struct sim *p);

/* ---- sim_notes.c ---- */

/* Drafts; what becomes of them is said after the commit. */
struct storage_exemplar sim_next_exemplar(struct sim *p, const struct sim_series *s, int64_t ts_ms);
void sim_push_exemplar(struct sim *p, struct storage_appender *a, const struct sim_series *s,
                       int64_t ts_ms);
void sim_keep_exemplars(struct sim *p, bool kept);
void sim_step_metadata(struct sim *p);
void sim_promise_notes(struct sim *p, enum sim_promise promise);
void sim_read_notes(struct sim *p, const struct sim_reading *r);

/* ---- sim_write.c ---- */

/* False when the limit of series is reached, and after a failure. */
bool sim_slot_of(struct sim *p, size_t number, struct sim_series *s, uint32_t *out);
void sim_step_row(struct sim *p);
void sim_step_push(struct sim *p);

/* ---- sim_delete.c, sim_snapshot.c, sim_damage.c ---- */

void sim_step_delete(struct sim *p);
void sim_step_snapshot(struct sim *p);
/* What `verify` says of a disk that is sound; of anything it finds the life fails. */
void sim_expect_no_findings(struct sim *p, struct mem_vfs *disk, const char *path);
/* Damages a copy of the disk, which is to be found and to cost nothing but samples. */
void sim_damage_copy(struct sim *p);

/* ---- sim_end.c ---- */

void sim_open_groups(struct sim *p);
bool sim_try_open(struct sim *p, struct tsdb_replay_stats *stats);
void sim_close(struct sim *p);
void sim_say_changes(struct sim *p, size_t count);
void sim_end_cleanly(struct sim *p);
void sim_end_by_kill(struct sim *p);
void sim_end_by_power(struct sim *p);

/* ---- sim_play.c ---- */

void sim_step_maintain(struct sim *p);
/* One of those that change the database. */
void sim_random_write(struct sim *p);

#endif

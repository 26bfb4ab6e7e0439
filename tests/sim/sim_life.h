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
    bool harsh; /* reads fail too, starts on a full disk, short partitions, retention */
    bool late;  /* samples come late */
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
    bool unread;      /* a read failed, as the disk was told to */
    bool torn_bytes;  /* half a write may have been left: damage may be reported */
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
double sim_next_value(struct sim *p, const struct sim_series *s);
enum sim_promise sim_promise_of(const struct sim *p, enum err_code code);
void sim_check_commit(struct sim *p, enum err_code code, const struct err *err);
/* Samples behind the newest of their series, pushed or scraped. */
void sim_step_late(struct sim *p);

#endif

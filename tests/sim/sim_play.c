/* A life is a few hundred steps: rows of scraped groups, pushed transactions, queries, maintenance,
 * time that passes, failing disks, full disks, and three ways to end: cleanly, by kill (the disk keeps
 * what was written), by loss of power (the disk keeps what was synced and any part of the rest).
 * Recovery itself may be ended too. After each end everything is read and compared.
 *
 * The process is "killed" by a disk that refuses every further change while the database is closed. */
#include "sim_play.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/value.h"
#include "sim_life.h"

enum { STEPS = 260, BEGIN_S = 1000000, QUERY_BUDGET_BYTES = 256 << 20 };

/* ---- reading ---- */

struct reading {
    int64_t mint;
    int64_t maxt;
    enum sim_promise promise; /* what must be there */
    bool settle;
    enum sim_promise kept; /* what is there, is at least */
};

static struct sim_series *find_series(struct sim *p, struct labels a, struct labels b,
                                      struct arena *arena) {
    const struct labels all = labels_merge(arena, a, b);
    for (size_t i = 0; i < SIM_SERIES; i++) {
        if (labels_cmp(all, p->model.series[i].labels) == 0) {
            return &p->model.series[i];
        }
    }
    return NULL;
}

static void compare_one(struct sim *p, struct sim_series *s, const struct storage_samples *got,
                        const struct reading *r) {
    const int64_t kept_from_ms = p->retention_ms != 0 ? p->now_ms - p->retention_ms : INT64_MIN;
    const char *wrong = sim_compare(s, got, r->mint, r->maxt, kept_from_ms, r->promise);
    if (wrong != NULL) {
        char job[64];
        const struct str value = labels_get(s->labels, STR("job"));
        (void)snprintf(job, sizeof(job), "%.*s", (int)value.len, value.ptr);
        sim_fail(p, "series %s of %s, promise %d: %s", s->name, job, r->promise, wrong);
    } else if (r->settle) {
        sim_settle(&p->model, s, got, r->kept);
    }
}

static void read_selection(struct sim *p, struct storage_querier *q, struct storage_selection *sel,
                           struct arena *arena, const char *job, const struct reading *r) {
    struct err err;
    size_t n = 0;
    const struct storage_series *series = storage_selection_series(p->st, sel, &n);
    struct storage_samples *got = mem_array(n + 1, sizeof(*got));
    bool seen[SIM_SERIES] = {false};
    const enum err_code code =
        storage_read(p->st, q, sel, 0, n, r->mint, r->maxt, arena, got, &err);
    if (sim_may_be_unread(p, code)) {
        sim_note_failures(p);
        p->unread = true; /* it said so; nothing is known of what is there */
        mem_free(got);
        return;
    }
    if (code != ERR_OK) {
        sim_fail(p, "reading %s: %s", job, err.text);
    }
    for (size_t i = 0; i < n && !p->failed; i++) {
        struct sim_series *s =
            find_series(p, storage_set_labels(p->st, q, series[i].target_set),
                        storage_set_labels(p->st, q, series[i].metric_set), arena);
        if (s == NULL || seen[s - p->model.series]) {
            sim_fail(p, "a series of %s %s", job, s == NULL ? "is unknown" : "came twice");
        } else {
            seen[s - p->model.series] = true;
            compare_one(p, s, &got[i], r);
        }
    }
    for (size_t i = 0; i < SIM_SERIES && !p->failed; i++) {
        if (!seen[i] && str_eq(labels_get(p->model.series[i].labels, STR("job")), str_of(job))) {
            compare_one(p, &p->model.series[i], &(struct storage_samples){0}, r);
        }
    }
    mem_free(got);
}

static void read_job(struct sim *p, size_t number, const struct reading *r) {
    struct arena arena;
    struct matcher m;
    struct err err;
    struct storage_querier *q = NULL;
    struct storage_selection *sel = NULL;
    char job[8];
    sim_job_name(number, job);
    arena_init(&arena, QUERY_BUDGET_BYTES);
    enum err_code code = matcher_init(&arena, MATCH_EQUAL, STR("job"), str_of(job), &m, &err);
    if (code == ERR_OK) {
        code = storage_querier_open(p->st, r->mint, r->maxt, &arena, NULL, &q, &err);
    }
    if (code == ERR_OK) {
        code = storage_select(p->st, q, &m, 1, NULL, &sel, &err);
    }
    if (code == ERR_OK) {
        read_selection(p, q, sel, &arena, job, r);
    } else if (sim_may_be_unread(p, code)) {
        p->unread = true;
    } else {
        sim_fail(p, "query of %s: %s", job, err.text);
    }
    p->totals->queries++;
    arena_release(&arena);
}

static void read_all(struct sim *p, const struct reading *r) {
    for (size_t i = 0; i < SIM_JOBS && !p->failed; i++) {
        read_job(p, i, r);
    }
}

static void step_query(struct sim *p) {
    const int64_t length = (int64_t)rng_below(&p->rng, 600000);
    const int64_t maxt = p->now_ms - (int64_t)rng_below(&p->rng, 600000);
    struct reading r = {.mint = maxt - length, .maxt = maxt, .promise = SIM_IN_MEMORY};
    if (sim_chance(p, 3)) {
        r.mint = INT64_MIN;
        r.maxt = INT64_MAX;
    }
    read_job(p, rng_below(&p->rng, SIM_JOBS), &r);
}

/* ---- writing ---- */

enum { ROW_SLOTS_MAX = 64 };

struct row_draft {
    struct num values[ROW_SLOTS_MAX];
    uint8_t states[ROW_SLOTS_MAX];
    double written[SIM_SLOTS];
    bool present[SIM_SLOTS];
    struct storage_own_time own;
    size_t own_series; /* SIM_SLOTS: none */
    uint32_t slot_count;
};

static bool draft_slot(struct sim *p, struct storage_group *g, struct sim_series *s,
                       struct row_draft *d, size_t i) {
    uint32_t slot = 0;
    struct err err;
    if (storage_group_series(p->st, g, s->labels, &slot, &err) != ERR_OK || slot >= ROW_SLOTS_MAX) {
        sim_fail(p, "no slot for %s: %s", s->name, err.text);
        return false;
    }
    const double v = sim_next_value(p, s);
    const struct num n = f64_is_stale(v) ? (struct num){0} : num_of_double(v);
    const uint8_t state = f64_is_stale(v) ? SLOT_STALE : SLOT_VALUE;
    d->written[i] = v;
    if (d->own_series == SIM_SLOTS && state == SLOT_VALUE && sim_chance(p, 25)) {
        d->own_series = i;
        d->own = (struct storage_own_time){
            .slot = slot, .state = state, .ts_ms = p->now_ms - 1, .value = n};
    } else {
        d->present[i] = true;
        d->values[slot] = n;
        d->states[slot] = state;
    }
    d->slot_count = slot >= d->slot_count ? slot + 1 : d->slot_count;
    return true;
}

static void step_row(struct sim *p) {
    const size_t number = rng_below(&p->rng, SIM_GROUPS);
    struct storage_group *g = p->groups[number];
    struct row_draft d = {.own_series = SIM_SLOTS};
    const int64_t ts_ms = sim_next_time(p);
    for (size_t i = 0; i < SIM_SLOTS; i++) {
        struct sim_series *s = sim_series_of(&p->model, number, i);
        const bool known = s->count != 0 || sim_chance(p, 8);
        if (known && !sim_chance(p, 12) && !draft_slot(p, g, s, &d, i)) {
            return;
        }
    }
    const struct storage_row row = {.ts_ms = ts_ms,
                                    .slot_count = d.slot_count,
                                    .values = d.values,
                                    .states = d.states,
                                    .own_times = &d.own,
                                    .own_time_count = d.own_series != SIM_SLOTS ? 1 : 0};
    struct storage_row_result result;
    struct err err;
    const enum err_code code = storage_group_commit(p->st, g, &row, &result, &err);
    sim_check_commit(p, code, &err);
    if (sim_may_be_unread(p, code) && result.accepted == 0) {
        sim_say(p, "row of group %zu: %s", number, err.text);
        return; /* nothing is added to rows that cannot be read */
    }
    uint32_t count = 0;
    if (d.own_series != SIM_SLOTS && result.out_of_order == 1) {
        d.own_series = SIM_SLOTS; /* a run may know only that it has nothing newer than its end */
    }
    for (size_t i = 0; i < SIM_SLOTS; i++) {
        if (d.present[i] || d.own_series == i) {
            sim_add(sim_series_of(&p->model, number, i), d.present[i] ? ts_ms : d.own.ts_ms,
                    d.written[i], sim_promise_of(p, code));
            count++;
        }
    }
    p->totals->samples += count;
    if (result.accepted != count) {
        sim_fail(p, "a row of %u samples: %u accepted", count, result.accepted);
    }
    sim_say(p, "row of group %zu at %lld, %u samples: code %d", number, (long long)ts_ms, count,
            code);
}

static void step_push(struct sim *p) {
    struct storage_appender *a = NULL;
    struct err err;
    double values[SIM_PUSHED];
    int64_t times[SIM_PUSHED];
    bool present[SIM_PUSHED] = {false};
    const int64_t ts_ms = sim_next_time(p);
    if (storage_appender_begin(p->st, &a, &err) != ERR_OK) {
        sim_fail(p, "no transaction: %s", err.text);
        return;
    }
    for (size_t i = 0; i < SIM_PUSHED; i++) {
        const struct sim_series *s = &p->model.series[SIM_SCRAPED + i];
        if (sim_chance(p, 3)) {
            continue;
        }
        const int64_t last = s->count != 0 ? s->samples[s->count - 1].ts_ms : INT64_MIN;
        const int64_t late = ts_ms - (int64_t)rng_below(&p->rng, 50);
        present[i] = true;
        values[i] = sim_next_value(p, s);
        times[i] = sim_chance(p, 6) && late > last && late > p->now_ms - 1000 ? late : ts_ms;
        const enum err_code code = storage_append(p->st, a, s->labels, times[i], values[i]);
        if (sim_may_be_unread(p, code)) {
            present[i] = false;
            sim_note_failures(p);
        } else if (code != ERR_OK) {
            sim_fail(p, "a pushed sample of %s at %lld is refused: code %d", s->name,
                     (long long)times[i], code);
        }
    }
    const enum err_code code = storage_appender_commit(p->st, a, &err);
    sim_check_commit(p, code, &err);
    for (size_t i = 0; i < SIM_PUSHED; i++) {
        if (present[i]) {
            sim_add(&p->model.series[SIM_SCRAPED + i], times[i], values[i],
                    sim_promise_of(p, code));
            p->totals->samples++;
        }
    }
    sim_say(p, "push at %lld: code %d", (long long)ts_ms, code);
}

static void step_maintain(struct sim *p) {
    sim_note_failures(p);
    const bool was_dirty = p->dirty;
    p->dirty = false;
    tsdb_maintain(p->db);
    sim_note_failures(p);
    const bool good = !p->dirty && !p->dying;
    if (good) { /* after a failure, the first good round repairs and the second one syncs */
        sim_promise_all(&p->model, was_dirty ? SIM_ACKED : SIM_DURABLE);
    }
    p->dirty |= was_dirty && !good;
    sim_say(p, "maintenance: %s", good ? "good" : "with failures");
}

static void step_wait(struct sim *p) {
    const int64_t minutes = 1 + (int64_t)rng_below(&p->rng, sim_chance(p, 4) ? 90 : 20);
    fake_clock_advance_ns(&p->clock, minutes * 60 * NS_PER_S);
    p->now_ms += minutes * 60000;
    sim_say(p, "%lld minutes pass", (long long)minutes);
}

/* ---- beginning and ending ---- */

/* A disk that has no room for data must not keep the database from opening. */
static bool may_refuse_to_open(const struct sim *p) {
    if (sim_reads_fail(p)) {
        return true;
    }
    const bool full =
        p->fail_errno == ENOSPC && (p->fail_ops & ~(unsigned)(FAULT_WRITE | FAULT_ALLOCATE)) == 0;
    return p->fails && !full;
}

static void open_groups(struct sim *p) {
    for (size_t i = 0; i < SIM_GROUPS && !p->failed; i++) {
        struct labels_builder b;
        struct labels target;
        struct arena arena;
        struct err err;
        char job[8];
        sim_job_name(i, job);
        arena_init(&arena, 0);
        labels_builder_init(&b, &arena);
        labels_builder_set(&b, STR("job"), str_of(job));
        enum err_code code = labels_builder_finish(&b, &target, &err);
        if (code == ERR_OK) {
            code = storage_group_open(p->st, 0, target, &p->groups[i], &err);
        }
        if (sim_may_be_unread(p, code)) {
            sim_heal(p);
            code = storage_group_open(p->st, 0, target, &p->groups[i], &err);
        }
        if (code != ERR_OK) {
            sim_fail(p, "group %s: %s", job, err.text);
        }
        arena_release(&arena);
    }
}

static bool try_open(struct sim *p, struct tsdb_replay_stats *stats) {
    struct err err;
    p->options.vfs = fault_vfs_base(p->faults);
    p->options.shard_count = 1 + (uint32_t)rng_below(&p->rng, 2);
    if (tsdb_open(&p->options, &p->db, stats, &err) != ERR_OK) {
        p->db = NULL;
        sim_note_failures(p);
        sim_say(p, "opening failed: %s", err.text);
        if (!may_refuse_to_open(p)) {
            sim_fail(p, "opening: %s", err.text);
        }
        return false;
    }
    p->st = tsdb_storage(p->db);
    return true;
}

static void close_groups(struct sim *p) {
    for (size_t i = 0; i < SIM_GROUPS && p->db != NULL; i++) {
        storage_group_close(p->st, p->groups[i]);
        p->groups[i] = NULL;
    }
}

static void close_db(struct sim *p) {
    close_groups(p);
    tsdb_close(p->db);
    p->db = NULL;
    sim_note_failures(p);
}

/* No change reaches the disk any more, after so many. */
static void plan_death(struct sim *p, size_t after) {
    sim_set_plan(p, (struct fault_plan){.ops = FAULT_CHANGES | FAULT_OPEN,
                                        .after = after,
                                        .sys_errno = EIO,
                                        .sticky = true,
                                        .short_write = p->torn_bytes || sim_chance(p, 4)});
    p->dying = true;
}

static void random_write(struct sim *p) {
    const uint64_t kind = rng_below(&p->rng, 8);
    if (kind < 4) {
        step_row(p);
    } else if (kind < 7) {
        step_push(p);
    } else {
        step_maintain(p);
    }
}

static void say_changes(struct sim *p, size_t count) {
    for (size_t i = 0; i < count && p->verbose; i++) {
        struct buf text;
        buf_init(&text, 4096);
        mem_vfs_describe_op(p->disk, i, &text);
        (void)printf("     change %s\n", buf_str(&text).ptr);
        buf_release(&text);
    }
}

/* The disk as it is after a loss of power at a moment since from. */
static void lose_power(struct sim *p, size_t from) {
    const size_t ops = mem_vfs_op_count(p->disk);
    const size_t at = from + rng_below(&p->rng, ops - from + 1);
    const enum mem_crash how = (enum mem_crash)rng_below(&p->rng, MEM_CRASH_COUNT);
    struct mem_vfs *after = mem_vfs_after_crash(p->disk, at, how, rng_u64(&p->rng));
    say_changes(p, at);
    sim_say(p, "power is lost at change %zu of %zu, kind %d", at, ops, how);
    close_db(p);
    fault_vfs_free(p->faults);
    mem_vfs_free(p->disk);
    p->disk = after;
    p->faults = fault_vfs_new(mem_vfs_base(after));
    p->seen_failures = 0;
    p->fails = false;
    p->totals->power_losses++;
}

static void check_replay(struct sim *p, const struct tsdb_replay_stats *stats, bool exact) {
    if (exact && !p->torn_bytes && stats->damaged_records > p->damaged) {
        sim_fail(p, "%llu damaged records after a kill",
                 (unsigned long long)stats->damaged_records);
    }
    p->damaged = stats->damaged_records; /* found anew at each opening */
}

/* Brings the database up again; the disk may still fail. */
static void restart(struct sim *p, enum sim_promise promise, enum sim_promise kept, bool exact) {
    struct tsdb_replay_stats stats = {0};
    p->dying = false;
    if (p->harsh && sim_chance(p, 6)) {
        sim_fill_disk(p, 0);
    }
    if (!try_open(p, &stats) && !p->failed) {
        sim_heal(p);
        (void)try_open(p, &stats);
    }
    if (p->failed) {
        return;
    }
    check_replay(p, &stats, exact);
    if (p->harsh &&
        (sim_reads_fail(p) || sim_chance(p, 6))) { /* what cannot be read for now is not gone */
        const struct reading early = {.mint = INT64_MIN, .maxt = INT64_MAX, .promise = promise};
        if (!sim_reads_fail(p)) {
            sim_set_plan(p, (struct fault_plan){.ops = FAULT_READ,
                                                .after = rng_below(&p->rng, 20),
                                                .sys_errno = EIO,
                                                .sticky = sim_chance(p, 2)});
        }
        if (sim_chance(p, 2)) {
            tsdb_maintain(p->db);
        }
        read_all(p, &early);
        sim_heal(p);
    }
    open_groups(p);
    if (!p->failed && sim_chance(p, 2)) {
        tsdb_maintain(p->db); /* rows are decoded by it, or by the first reader */
        sim_note_failures(p);
    }
    const struct reading r = {
        .mint = INT64_MIN, .maxt = INT64_MAX, .promise = promise, .settle = true, .kept = kept};
    p->unread = false;
    if (!p->failed) {
        read_all(p, &r);
    }
    if (p->unread && !p->failed) { /* what is there must be known before it goes on */
        sim_heal(p);
        read_all(p, &r);
    }
    p->dirty = true; /* two rounds until all of it is durable */
}

static void end_cleanly(struct sim *p) {
    const bool good = !p->dirty && !p->fails && !p->disk_full;
    say_changes(p, mem_vfs_op_count(p->disk));
    sim_say(p, "a clean end%s", good ? "" : " on a bad disk");
    close_db(p);
    p->totals->clean_ends++;
    restart(p, good ? SIM_IN_MEMORY : SIM_ACKED, good ? SIM_DURABLE : SIM_ACKED, true);
}

static void end_by_kill(struct sim *p) {
    sim_say(p, "killed");
    plan_death(p, rng_below(&p->rng, 6));
    for (uint64_t n = rng_below(&p->rng, 4); n > 0 && !p->failed; n--) {
        random_write(p);
    }
    sim_set_plan(p, (struct fault_plan){
                        .ops = FAULT_CHANGES | FAULT_OPEN, .sys_errno = EIO, .sticky = true});
    close_db(p);
    sim_set_plan(p, (struct fault_plan){0});
    p->totals->kills++;
    restart(p, SIM_ACKED, SIM_ACKED, true);
}

static void end_by_power(struct sim *p) {
    const size_t from = mem_vfs_op_count(p->disk);
    p->dying = true;
    for (uint64_t n = rng_below(&p->rng, 4); n > 0 && !p->failed; n--) {
        random_write(p);
    }
    sim_heal(p);
    lose_power(p, from);
    while (sim_chance(p, 2) && !p->failed) { /* and once more, while it recovers */
        struct tsdb_replay_stats stats;
        if (!try_open(p, &stats)) {
            return;
        }
        open_groups(p);
        tsdb_maintain(p->db);
        if (sim_chance(p, 2)) {
            random_write(p);
        }
        lose_power(p, 0);
    }
    if (!p->failed) {
        restart(p, SIM_DURABLE, SIM_DURABLE, false);
    }
}

static void play_step(struct sim *p) {
    if (p->late && sim_chance(p, 4)) {
        sim_step_late(p);
        return;
    }
    const uint64_t kind = rng_below(&p->rng, 1000);
    if (kind < 480) {
        step_row(p);
    } else if (kind < 680) {
        step_push(p);
    } else if (kind < 800) {
        step_query(p);
    } else if (kind < 880) {
        step_maintain(p);
    } else if (kind < 895) {
        step_wait(p);
    } else if (kind < 925) {
        sim_break_disk(p);
    } else if (kind < 975) {
        sim_heal(p);
    } else if (kind < 982) {
        end_cleanly(p);
    } else if (kind < 991) {
        end_by_kill(p);
    } else {
        end_by_power(p);
    }
}

static void release(struct sim *p) {
    if (p->db != NULL) {
        close_db(p);
    }
    fault_vfs_free(p->faults);
    mem_vfs_free(p->disk);
    log_free(p->options.log);
    sim_model_release(&p->model);
    mem_free(p);
}

bool sim_play(uint64_t seed, bool verbose, bool harsh, bool late, struct sim_totals *totals) {
    struct sim *p = mem_zalloc(sizeof(*p));
    struct tsdb_replay_stats stats;
    p->seed = seed;
    p->verbose = verbose;
    p->harsh = harsh;
    p->late = late;
    p->totals = totals;
    p->rng = rng_seeded(seed);
    fake_clock_init(&p->clock, BEGIN_S * NS_PER_S);
    p->now_ms = BEGIN_S * INT64_C(1000);
    p->disk = mem_vfs_new();
    p->faults = fault_vfs_new(mem_vfs_base(p->disk));
    sim_model_init(&p->model);
    tsdb_options_default(&p->options);
    p->options.late_window_ms = late ? SIM_LATE_MS : 0;
    p->options.path = "db";
    p->options.clock = &p->clock.clock;
    p->options.rng = rng_seeded(seed + 1);
    p->options.no_background = true;
    p->options.log = verbose ? log_new(&p->clock.clock, STDOUT_FILENO, LOG_INFO, LOG_LOGFMT) : NULL;
    if (harsh) {
        p->options.partition_ms = INT64_C(60000) * (sim_chance(p, 2)   ? 120
                                                    : sim_chance(p, 2) ? 20
                                                                       : 7);
        p->retention_ms = sim_chance(p, 3) ? 4 * p->options.partition_ms : 0;
        p->options.retention.time_ms = p->retention_ms;
    }
    p->options.wal_sync_interval_ns = sim_chance(p, 4) ? 0 : NS_PER_S;
    p->options.wal_allocate_bytes = sim_chance(p, 2) ? 512 : 4096;
    p->options.wal_segment_bytes = 1024U << rng_below(&p->rng, 6);
    p->options.segment_file_bytes = 2048U << rng_below(&p->rng, 5);
    if (try_open(p, &stats)) {
        open_groups(p);
    }
    for (; p->step < STEPS && !p->failed; p->step++) {
        play_step(p);
        sim_note_failures(p);
        if (verbose && !p->failed) {
            const struct reading r = {
                .mint = INT64_MIN, .maxt = INT64_MAX, .promise = SIM_IN_MEMORY};
            read_all(p, &r);
        }
    }
    totals->steps += p->step;
    totals->lost += p->model.lost;
    totals->simulated_s += (uint64_t)(p->now_ms / 1000 - BEGIN_S);
    const bool ok = !p->failed;
    release(p);
    return ok;
}

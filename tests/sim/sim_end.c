/* Three ways to end: cleanly, by kill (the disk keeps what was written), by loss of power (the disk
 * keeps what was synced and any part of the rest). Recovery itself may be ended too. After each end
 * everything is read and compared.
 *
 * The process is "killed" by a disk that refuses every further change while the database is closed. */
#include <errno.h>
#include <stdio.h>

#include "base/buf.h"
#include "sim_life.h"

/* A disk that has no room for data must not keep the database from opening. */
static bool may_refuse_to_open(const struct sim *p) {
    if (sim_reads_fail(p)) {
        return true;
    }
    const bool full =
        p->fail_errno == ENOSPC && (p->fail_ops & ~(unsigned)(FAULT_WRITE | FAULT_ALLOCATE)) == 0;
    return p->fails && !full;
}

void sim_open_groups(struct sim *p) {
    for (size_t i = 0; i < SIM_SERIES; i++) {
        p->model.series[i].has_slot = false;
    }
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

bool sim_try_open(struct sim *p, struct tsdb_replay_stats *stats) {
    struct err err;
    p->options.vfs = fault_vfs_base(p->faults);
    p->options.shard_count = 1 + (uint32_t)rng_below(&p->rng, 2);
    if (p->mode.snapshots) {
        p->options.rng = rng_seeded(rng_u64(&p->rng)); /* names of snapshots */
    }
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

void sim_close(struct sim *p) {
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

void sim_say_changes(struct sim *p, size_t count) {
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
    sim_say_changes(p, at);
    sim_say(p, "power is lost at change %zu of %zu, kind %d", at, ops, how);
    sim_close(p);
    fault_vfs_free(p->faults);
    mem_vfs_free(p->disk);
    p->disk = after;
    p->faults = fault_vfs_new(mem_vfs_base(after));
    p->seen_failures = 0;
    p->fails = false;
    p->was_cut = true;
    p->totals->power_losses++;
}

static void check_replay(struct sim *p, const struct tsdb_replay_stats *stats, bool exact) {
    if (exact && !p->torn_bytes && stats->damaged_records > p->damaged) {
        sim_fail(p, "%llu damaged records after a kill",
                 (unsigned long long)stats->damaged_records);
    }
    p->damaged = stats->damaged_records; /* found anew at each opening */
}

/* No write was torn and nothing was damaged by a loss of power: the disk is sound, whatever it lacks. */
static void verify_sound(struct sim *p) {
    if (p->mode.verify && !p->torn_bytes && !p->was_cut && !p->failed) {
        sim_expect_no_findings(p, p->disk, "db");
    }
}

/* Brings the database up again; the disk may still fail. */
static void restart(struct sim *p, enum sim_promise promise, enum sim_promise kept, bool exact) {
    struct tsdb_replay_stats stats = {0};
    p->dying = false;
    verify_sound(p);
    if (p->mode.harsh && sim_chance(p, 6)) {
        sim_fill_disk(p, 0);
    }
    if (!sim_try_open(p, &stats) && !p->failed) {
        sim_heal(p);
        (void)sim_try_open(p, &stats);
    }
    if (p->failed) {
        return;
    }
    check_replay(p, &stats, exact);
    if (p->mode.harsh &&
        (sim_reads_fail(p) || sim_chance(p, 6))) { /* what cannot be read for now is not gone */
        const struct sim_reading early = {.mint = INT64_MIN, .maxt = INT64_MAX, .promise = promise};
        if (!sim_reads_fail(p)) {
            sim_set_plan(p, (struct fault_plan){.ops = FAULT_READ,
                                                .after = rng_below(&p->rng, 20),
                                                .sys_errno = EIO,
                                                .sticky = sim_chance(p, 2)});
        }
        if (sim_chance(p, 2)) {
            tsdb_maintain(p->db);
        }
        sim_read_all(p, &early);
        sim_heal(p);
    }
    sim_open_groups(p);
    if (!p->failed && sim_chance(p, 2)) {
        tsdb_maintain(p->db); /* rows are decoded by it, or by the first reader */
        sim_note_failures(p);
    }
    const struct sim_reading r = {
        .mint = INT64_MIN, .maxt = INT64_MAX, .promise = promise, .settle = true, .kept = kept};
    p->unread = false;
    if (!p->failed) {
        sim_read_all(p, &r);
    }
    if (p->unread && !p->failed) { /* what is there must be known before it goes on */
        sim_heal(p);
        sim_read_all(p, &r);
    }
    p->dirty = true; /* two rounds until all of it is durable */
}

void sim_end_cleanly(struct sim *p) {
    const bool good = !p->dirty && !p->fails && !p->disk_full;
    sim_say_changes(p, mem_vfs_op_count(p->disk));
    sim_say(p, "a clean end%s", good ? "" : " on a bad disk");
    sim_close(p);
    p->totals->clean_ends++;
    restart(p, good ? SIM_IN_MEMORY : SIM_ACKED, good ? SIM_DURABLE : SIM_ACKED, true);
}

void sim_end_by_kill(struct sim *p) {
    sim_say(p, "killed");
    plan_death(p, rng_below(&p->rng, 6));
    for (uint64_t n = rng_below(&p->rng, 4); n > 0 && !p->failed; n--) {
        sim_random_write(p);
    }
    sim_set_plan(p, (struct fault_plan){
                        .ops = FAULT_CHANGES | FAULT_OPEN, .sys_errno = EIO, .sticky = true});
    sim_close(p);
    sim_set_plan(p, (struct fault_plan){0});
    p->totals->kills++;
    restart(p, SIM_ACKED, SIM_ACKED, true);
}

void sim_end_by_power(struct sim *p) {
    const size_t from = mem_vfs_op_count(p->disk);
    p->dying = true;
    for (uint64_t n = rng_below(&p->rng, 4); n > 0 && !p->failed; n--) {
        sim_random_write(p);
    }
    sim_heal(p);
    lose_power(p, from);
    while (sim_chance(p, 2) && !p->failed) { /* and once more, while it recovers */
        struct tsdb_replay_stats stats;
        if (!sim_try_open(p, &stats)) {
            return;
        }
        sim_open_groups(p);
        tsdb_maintain(p->db);
        if (sim_chance(p, 2)) {
            sim_random_write(p);
        }
        lose_power(p, 0);
    }
    if (!p->failed) {
        restart(p, SIM_DURABLE, SIM_DURABLE, false);
    }
}

/* A life is a few hundred steps: rows of scraped groups, pushed transactions, queries, maintenance,
 * time that passes, failing disks, full disks, what the modes add, and ends (sim_end.c). */
#include "sim_play.h"

#include <unistd.h>

#include "base/mem.h"
#include "sim_life.h"

enum { STEPS = 260, BEGIN_S = 1000000 };

void sim_step_maintain(struct sim *p) {
    sim_note_failures(p);
    const bool was_dirty = p->dirty;
    p->dirty = false;
    tsdb_maintain(p->db);
    sim_note_failures(p);
    const bool good = !p->dirty && !p->dying;
    if (good) { /* after a failure, the first good round repairs and the second one syncs */
        sim_promise_all(&p->model, was_dirty ? SIM_ACKED : SIM_DURABLE);
        sim_promise_notes(p, was_dirty ? SIM_ACKED : SIM_DURABLE);
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

void sim_random_write(struct sim *p) {
    const uint64_t kind = rng_below(&p->rng, 8);
    if (p->mode.deletes && sim_chance(p, 8)) {
        sim_step_delete(p);
    } else if (kind < 4) {
        sim_step_row(p);
    } else if (kind < 7) {
        sim_step_push(p);
    } else {
        sim_step_maintain(p);
    }
}

/* Steps of the modes; false: none. */
static bool play_more(struct sim *p) {
    if (p->mode.late && sim_chance(p, 4)) {
        sim_step_late(p);
    } else if (p->mode.deletes && sim_chance(p, 25)) {
        sim_step_delete(p);
    } else if (p->mode.snapshots && sim_chance(p, 60)) {
        sim_step_snapshot(p);
    } else if (p->mode.notes && sim_chance(p, 20)) {
        sim_step_metadata(p);
    } else {
        return false;
    }
    return true;
}

static void play_step(struct sim *p) {
    if (play_more(p)) {
        return;
    }
    const uint64_t kind = rng_below(&p->rng, 1000);
    if (kind < 480) {
        sim_step_row(p);
    } else if (kind < 680) {
        sim_step_push(p);
    } else if (kind < 800) {
        sim_step_query(p);
    } else if (kind < 880) {
        sim_step_maintain(p);
    } else if (kind < 895) {
        step_wait(p);
    } else if (kind < 925) {
        sim_break_disk(p);
    } else if (kind < 975) {
        sim_heal(p);
    } else if (kind < 982) {
        sim_end_cleanly(p);
    } else if (kind < 991) {
        sim_end_by_kill(p);
    } else {
        sim_end_by_power(p);
    }
}

static void release(struct sim *p) {
    if (p->db != NULL) {
        sim_close(p);
    }
    fault_vfs_free(p->faults);
    mem_vfs_free(p->disk);
    log_free(p->options.log);
    sim_model_release(&p->model);
    mem_free(p->notes.items);
    mem_free(p);
}

static void choose_options(struct sim *p) {
    tsdb_options_default(&p->options);
    p->options.late_window_ms = p->mode.late ? SIM_LATE_MS : 0;
    p->options.path = "db";
    p->options.clock = &p->clock.clock;
    p->options.rng = rng_seeded(p->seed + 1);
    p->options.no_background = true;
    p->options.log =
        p->verbose ? log_new(&p->clock.clock, STDOUT_FILENO, LOG_INFO, LOG_LOGFMT) : NULL;
    if (p->mode.harsh) {
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
    if (p->mode.notes) {
        p->options.max_exemplars = sim_chance(p, 3) ? 8 : 10000;
    }
    if (p->mode.limits && sim_chance(p, 4)) {
        p->options.max_series = SIM_SERIES / 2 + rng_below(&p->rng, SIM_SERIES / 2);
    }
}

/* The last end is clean, on a disk that works. */
static void end_with_damage(struct sim *p) {
    sim_heal(p);
    for (int i = 0; i < 2; i++) {
        sim_step_maintain(p);
    }
    sim_close(p);
    if (!p->torn_bytes && !p->was_cut && !p->failed) {
        sim_expect_no_findings(p, p->disk, "db");
    }
    if (!p->failed) {
        sim_damage_copy(p);
    }
}

static void sim_begin(struct sim *p) {
    struct tsdb_replay_stats stats;
    p->rng = rng_seeded(p->seed);
    fake_clock_init(&p->clock, BEGIN_S * NS_PER_S);
    p->now_ms = BEGIN_S * INT64_C(1000);
    p->disk = mem_vfs_new();
    p->faults = fault_vfs_new(mem_vfs_base(p->disk));
    sim_model_init(&p->model);
    choose_options(p);
    if (sim_try_open(p, &stats)) {
        sim_open_groups(p);
    }
}

bool sim_play(uint64_t seed, bool verbose, const struct sim_mode *mode, struct sim_totals *totals) {
    struct sim *p = mem_zalloc(sizeof(*p));
    p->seed = seed;
    p->verbose = verbose;
    p->mode = *mode;
    p->totals = totals;
    sim_begin(p);
    for (; p->step < STEPS && !p->failed; p->step++) {
        play_step(p);
        sim_note_failures(p);
        if (verbose && !p->failed) {
            const struct sim_reading r = {
                .mint = INT64_MIN, .maxt = INT64_MAX, .promise = SIM_IN_MEMORY};
            sim_read_all(p, &r);
        }
    }
    if (mode->verify && !p->failed) {
        end_with_damage(p);
    }
    totals->steps += p->step;
    totals->lost += p->model.lost;
    totals->simulated_s += (uint64_t)(p->now_ms / 1000 - BEGIN_S);
    const bool ok = !p->failed;
    release(p);
    return ok;
}

/* What the simulation says and decides by chance, and its disk: full, failing, healed. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "sim_life.h"

void sim_fail(struct sim *p, const char *fmt, ...) {
    if (p->failed) {
        return;
    }
    va_list args;
    p->failed = true;
    (void)printf("seed %llu, step %llu: ", (unsigned long long)p->seed,
                 (unsigned long long)p->step);
    va_start(args, fmt);
    (void)vprintf(fmt, args);
    va_end(args);
    const struct sim_mode *m = &p->mode;
    const bool plain =
        !m->histograms && !m->deletes && !m->snapshots && !m->notes && !m->limits && !m->verify;
    (void)printf("\n  replay with: storage_sim --verbose%s%s%s%s%s%s%s%s%s --seed %llu\n",
                 m->harsh ? " --harsh" : "", m->late ? " --late" : "", plain ? " --plain" : "",
                 m->histograms ? " --histograms" : "", m->deletes ? " --deletes" : "",
                 m->snapshots ? " --snapshots" : "", m->notes ? " --notes" : "",
                 m->limits ? " --limits" : "", m->verify ? " --verify" : "",
                 (unsigned long long)p->seed);
}

void sim_say(const struct sim *p, const char *fmt, ...) {
    if (!p->verbose) {
        return;
    }
    va_list args;
    (void)printf("%4llu ", (unsigned long long)p->step);
    va_start(args, fmt);
    (void)vprintf(fmt, args);
    va_end(args);
    (void)printf("\n");
    (void)fflush(stdout);
}

bool sim_chance(struct sim *p, uint64_t of) {
    return rng_below(&p->rng, of) == 0;
}

bool sim_reads_fail(const struct sim *p) {
    return p->fails && (p->fail_ops & FAULT_READ) != 0;
}

bool sim_may_be_unread(const struct sim *p, enum err_code code) {
    return (code == ERR_IO && p->fails) || (code == ERR_NO_SPACE && (p->fails || p->disk_full));
}

void sim_note_failures(struct sim *p) {
    const size_t n = fault_vfs_failures(p->faults);
    if (n > p->seen_failures) {
        p->totals->failed_calls += n - p->seen_failures;
        p->seen_failures = n;
        p->dirty = true;
    }
    p->dirty |= p->disk_full;
    if (fault_vfs_repeated_syncs(p->faults) != 0) {
        sim_fail(p, "a file was synced again after a failed sync");
    }
}

void sim_set_plan(struct sim *p, struct fault_plan plan) {
    sim_note_failures(p);
    fault_vfs_plan(p->faults, plan);
    p->seen_failures = 0;
    p->fails = plan.ops != 0;
    p->fail_ops = plan.ops;
    p->fail_errno = plan.sys_errno;
    p->torn_bytes |= plan.short_write;
}

void sim_heal(struct sim *p) {
    sim_set_plan(p, (struct fault_plan){0});
    mem_vfs_set_capacity(p->disk, UINT64_C(1) << 40);
    p->disk_full = false;
}

void sim_fill_disk(struct sim *p, uint64_t left_bytes) {
    uint64_t free_bytes = 0;
    const enum err_code code = vfs_free_bytes(mem_vfs_base(p->disk), "db", &free_bytes, NULL);
    if (code == ERR_OK && !p->disk_full) {
        mem_vfs_set_capacity(p->disk, (UINT64_C(1) << 40) - free_bytes + left_bytes);
        p->disk_full = true;
        sim_say(p, "the disk is full but for %llu bytes", (unsigned long long)left_bytes);
    }
}

void sim_break_disk(struct sim *p) {
    static const unsigned kinds[] = {
        FAULT_WRITE,
        FAULT_SYNC,
        FAULT_WRITE | FAULT_ALLOCATE,
        FAULT_WRITE | FAULT_SYNC | FAULT_ALLOCATE,
        FAULT_CHANGES,
        FAULT_SYNC_DIR,
        FAULT_UNLINK | FAULT_TRUNCATE,
        FAULT_OPEN,
        FAULT_OPEN | FAULT_CHANGES,
        FAULT_READ,
        FAULT_READ | FAULT_WRITE,
    };
    if (sim_chance(p, 4)) {
        if (!p->disk_full) {
            sim_fill_disk(p, rng_below(&p->rng, 3) * rng_below(&p->rng, 2000));
        }
        return;
    }
    const unsigned ops = kinds[rng_below(&p->rng, COUNT_OF(kinds) - (p->mode.harsh ? 0 : 2))];
    const struct fault_plan plan = {
        .ops = ops,
        .after = rng_below(&p->rng, 12),
        .sys_errno = sim_chance(p, 2) || (ops & FAULT_READ) != 0 ? EIO : ENOSPC,
        .sticky = sim_chance(p, 2),
        .short_write = sim_chance(p, 2),
    };
    sim_say(p, "the disk fails: ops %x after %zu, errno %d%s%s", plan.ops, plan.after,
            plan.sys_errno, plan.sticky ? ", for good" : "", plan.short_write ? ", half" : "");
    sim_set_plan(p, plan);
}

/* Disks that fail: what was accepted stays readable, commit says when it is not durable, and
 * maintenance repairs the log as soon as the disk works again. Every write and every sync of a short
 * history is failed once, and once for a while; afterwards a crash must lose nothing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "storage_world.h"
#include "tests/support/check_err.h"
#include "tests/support/fault_vfs.h"

enum { BASE = 1000000000, SLOTS = 4, ROWS = 90 };

struct faulty {
    struct world w;
    struct fault_vfs *vfs;
    struct storage_group *group;
    size_t refused; /* commits that said: not durable */
};

static void open_faulty(struct faulty *f) {
    world_init(&f->w);
    f->vfs = fault_vfs_new(vfs_system());
    f->w.options.vfs = fault_vfs_base(f->vfs);
    world_open(&f->w);
    f->group = world_group(&f->w, "job=j");
    for (int i = 0; i < SLOTS; i++) {
        char text[32];
        snprintf(text, sizeof(text), "m%d job=j", i);
        world_slot(&f->w, f->group, text);
    }
}

static void close_faulty(struct faulty *f) {
    world_release(&f->w);
    fault_vfs_free(f->vfs);
}

static void write_row(struct faulty *f, int row) {
    struct num values[SLOTS];
    uint8_t states[SLOTS];
    for (int i = 0; i < SLOTS; i++) {
        values[i] = num_of_i64(i == 0 ? 1 : row * i);
        states[i] = SLOT_VALUE;
    }
    const struct storage_row r = {
        .ts_ms = BASE + row, .slot_count = SLOTS, .values = values, .states = states};
    struct storage_row_result result;
    struct err err;
    const enum err_code code = storage_group_commit(f->w.st, f->group, &r, &result, &err);
    assert_int_equal(result.accepted, SLOTS);
    if (code != ERR_OK) {
        assert_true(code == ERR_IO || code == ERR_NO_SPACE);
        assert_true(strlen(err.text) > 0);
        f->refused++;
    }
}

static void check_rows(struct faulty *f, int rows) {
    char want[1 << 14];
    size_t n = 0;
    for (int i = 0; i < SLOTS; i++) {
        n += (size_t)snprintf(want + n, sizeof(want) - n, "m%d{job=\"j\"}", i);
        for (int row = 0; row < rows; row++) {
            n += (size_t)snprintf(want + n, sizeof(want) - n, " %d:%d", BASE + row,
                                  i == 0 ? 1 : row * i);
        }
        n += (size_t)snprintf(want + n, sizeof(want) - n, "\n");
    }
    assert_string_equal(world_dump(&f->w, "job=j", INT64_MIN, INT64_MAX), want);
}

/* Returns how often the plan made something fail. */
static size_t play(struct fault_plan plan, int heal_at) {
    struct faulty f = {0};
    open_faulty(&f);
    fault_vfs_plan(f.vfs, plan);
    size_t failures = 0;
    for (int row = 0; row < ROWS; row++) {
        if (row == heal_at) {
            failures = fault_vfs_failures(f.vfs);
            fault_vfs_plan(f.vfs, (struct fault_plan){0});
        }
        write_row(&f, row);
        if (row % 10 == 9) {
            tsdb_maintain(f.w.db);
        }
    }
    check_rows(&f, ROWS);
    tsdb_maintain(f.w.db); /* repairs, if it has not been done */
    tsdb_maintain(f.w.db);
    assert_int_equal(fault_vfs_repeated_syncs(f.vfs), 0);
    storage_group_close(f.w.st, f.group);
    f.group = NULL;
    world_crash(&f.w);
    world_open(&f.w);
    /* Half a record that a failed write left behind may be reported, but costs nothing. */
    assert_true(f.w.replayed.damaged_records <= (plan.short_write ? 1U : 0U));
    check_rows(&f, ROWS);
    close_faulty(&f);
    return failures;
}

static void each_write_fails_once(void **state) {
    (void)state;
    for (size_t n = 0;; n++) {
        const struct fault_plan plan = {.ops = FAULT_WRITE,
                                        .after = n,
                                        .sys_errno = n % 2 == 0 ? EIO : ENOSPC,
                                        .short_write = true};
        if (play(plan, 60) == 0) {
            assert_true(n > 20);
            break;
        }
    }
}

static void each_sync_fails_once(void **state) {
    (void)state;
    for (size_t n = 0;; n++) {
        const struct fault_plan plan = {.ops = FAULT_SYNC, .after = n, .sys_errno = EIO};
        if (play(plan, 60) == 0) {
            assert_true(n > 3);
            break;
        }
    }
}

static void a_full_disk_is_survived_and_left(void **state) {
    (void)state;
    for (size_t n = 0; n < 40; n += 3) {
        const struct fault_plan plan = {
            .ops = FAULT_WRITE | FAULT_ALLOCATE, .after = n, .sys_errno = ENOSPC, .sticky = true};
        assert_true(play(plan, 75) > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_write_fails_once),
        cmocka_unit_test(each_sync_fails_once),
        cmocka_unit_test(a_full_disk_is_survived_and_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Disks that fail: what was accepted stays readable, commit says when it is not durable, and
 * maintenance repairs the log as soon as the disk works again. Every write and every sync of a short
 * history is failed once, and once for a while, and the disk is full from every write on; afterwards a crash must lose nothing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "storage_world.h"
#include "tests/support/check_err.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/mem_vfs.h"
#include "tests/support/test_part.h"
#include "tests/support/thread_check.h"

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

/* Plays with each number of calls that succeed first; returns the first with which nothing failed. */
static size_t play_each(const struct test_part *part, struct fault_plan plan, int heal_at) {
    for (size_t n = 0;; n += THREAD_CHECK ? 5 : 1) {
        plan.after = n;
        if (test_part_has(part, n) && play(plan, heal_at) == 0) {
            return n;
        }
    }
}

static void each_write_fails_once(void **state) {
    for (int i = 0; i < 2; i++) {
        const struct fault_plan plan = {
            .ops = FAULT_WRITE, .sys_errno = i == 0 ? EIO : ENOSPC, .short_write = i == 0};
        assert_true(play_each(*state, plan, 60) > 20);
    }
}

/* Once, and from then on until the disk works again; of files and of folders. */
static void each_sync_fails(void **state) {
    for (int i = 0; i < 4; i++) {
        const struct fault_plan plan = {
            .ops = i < 2 ? FAULT_SYNC : FAULT_SYNC_DIR, .sys_errno = EIO, .sticky = i % 2 == 1};
        assert_true(play_each(*state, plan, 60) > (i < 2 ? 3 : 0));
    }
}

/* It is full from the n-th write on, for each n, until there is space again. */
static void a_disk_that_is_full_from_any_write_on_costs_nothing(void **state) {
    const struct fault_plan plan = {
        .ops = FAULT_WRITE | FAULT_ALLOCATE, .sys_errno = ENOSPC, .sticky = true};
    assert_true(play_each(*state, plan, 75) > 20);
}

/* ---- a full disk ---- */

struct full {
    struct faulty f;
    struct mem_vfs *disk;
};

static void init_full(struct full *d, struct mem_vfs *disk) {
    world_init(&d->f.w);
    d->disk = disk;
    d->f.w.options.vfs = mem_vfs_base(d->disk);
    d->f.w.options.path = "db";
}

static void open_full(struct full *d) {
    world_open(&d->f.w);
    d->f.group = world_group(&d->f.w, "job=j");
    for (int i = 0; i < SLOTS; i++) {
        char text[32];
        snprintf(text, sizeof(text), "m%d job=j", i);
        world_slot(&d->f.w, d->f.group, text);
    }
}

static void close_full(struct full *d) {
    storage_group_close(d->f.w.st, d->f.group);
    world_close(&d->f.w);
}

static void a_database_opens_without_a_free_byte_and_goes_on_when_there_are_some(void **state) {
    (void)state;
    struct full d = {.disk = NULL};
    init_full(&d, mem_vfs_new());
    open_full(&d);
    int row = 0;
    for (; row < 100; row++) {
        write_row(&d.f, row);
    }
    close_full(&d);
    mem_vfs_set_capacity(d.disk, 0);
    open_full(&d);
    check_rows(&d.f, row);
    for (; row < 110; row++) {
        write_row(&d.f, row);
        tsdb_maintain(d.f.w.db);
    }
    assert_int_equal(d.f.refused, 10); /* they are in memory only, and say so */
    check_rows(&d.f, row);
    mem_vfs_set_capacity(d.disk, 1 << 30);
    tsdb_maintain(d.f.w.db);
    write_row(&d.f, row++);
    assert_int_equal(d.f.refused, 10);
    tsdb_maintain(d.f.w.db);
    storage_group_close(d.f.w.st, d.f.group);
    struct mem_vfs *after =
        mem_vfs_after_crash(d.disk, mem_vfs_op_count(d.disk), MEM_CRASH_LOSE, 1);
    world_close(&d.f.w);
    world_release(&d.f.w);
    mem_vfs_free(d.disk);
    init_full(&d, after);
    open_full(&d);
    check_rows(&d.f, row);
    close_full(&d);
    world_release(&d.f.w);
    mem_vfs_free(d.disk);
}

static struct storage_stats stats_of(struct full *d) {
    struct storage_stats stats;
    storage_stats(d->f.w.st, &stats);
    return stats;
}

/* Nobody calls for maintenance: the database's own thread notices that there is space. */
static void rows_of_a_full_disk_are_written_by_itself_within_30_s_of_space(void **state) {
    (void)state;
    struct full d = {.disk = NULL};
    init_full(&d, mem_vfs_new());
    d.f.w.options.no_background = false;
    d.f.w.options.wal_allocate_bytes = 512;
    d.f.w.options.clock = clock_system();
    open_full(&d);
    int row = 0;
    for (; row < 10; row++) {
        write_row(&d.f, row);
    }
    mem_vfs_set_capacity(d.disk, 0);
    for (; row < 200; row++) {
        write_row(&d.f, row);
    }
    assert_true(d.f.refused > 100);
    assert_true(stats_of(&d).is_failing);
    check_rows(&d.f, row); /* queries go on */
    mem_vfs_set_capacity(d.disk, 1 << 30);
    const int64_t until_ns = clock_mono_ns(clock_system()) + 30 * NS_PER_S;
    while (stats_of(&d).is_failing && clock_mono_ns(clock_system()) < until_ns) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    assert_false(stats_of(&d).is_failing);
    d.f.refused = 0;
    write_row(&d.f, row++);
    assert_int_equal(d.f.refused, 0);
    storage_group_close(d.f.w.st, d.f.group);
    struct mem_vfs *after =
        mem_vfs_after_crash(d.disk, mem_vfs_op_count(d.disk), MEM_CRASH_KEEP, 1);
    world_close(&d.f.w);
    world_release(&d.f.w);
    mem_vfs_free(d.disk);
    init_full(&d, after);
    open_full(&d);
    check_rows(&d.f, row);
    close_full(&d);
    world_release(&d.f.w);
    mem_vfs_free(d.disk);
}

static void a_failing_disk_is_reported_by_log_metric_and_status(void **state) {
    (void)state;
    struct full d = {.disk = NULL};
    struct buf text;
    init_full(&d, mem_vfs_new());
    d.f.w.options.registry = metric_registry_new();
    buf_init(&text, 1 << 20);
    open_full(&d);
    write_row(&d.f, 0);
    tsdb_maintain(d.f.w.db);
    assert_false(stats_of(&d).is_failing);
    assert_int_equal(stats_of(&d).fault_count, 0);
    mem_vfs_set_capacity(d.disk, 0);
    for (int row = 1; row < 50; row++) {
        write_row(&d.f, row);
        tsdb_maintain(d.f.w.db);
    }
    assert_true(stats_of(&d).is_failing);
    assert_true(stats_of(&d).fault_count > 0 && stats_of(&d).last_fault_unix_ms > 0);
    assert_non_null(strstr(stats_of(&d).last_fault, "No space left"));
    metric_render(d.f.w.options.registry, &text);
    buf_append(&text, "", 1);
    assert_non_null(strstr(text.ptr, "\nbrasa_tsdb_disk_failing 1\n"));
    assert_null(strstr(text.ptr, "\nbrasa_tsdb_disk_faults_total 0\n"));
    mem_vfs_set_capacity(d.disk, 1 << 30);
    tsdb_maintain(d.f.w.db);
    tsdb_maintain(d.f.w.db);
    assert_false(stats_of(&d).is_failing);
    assert_true(stats_of(&d).fault_count > 0);
    check_rows(&d.f, 50);
    buf_release(&text);
    close_full(&d);
    metric_registry_free(d.f.w.options.registry);
    d.f.w.options.registry = NULL;
    world_release(&d.f.w);
    mem_vfs_free(d.disk);
}

/* One row of values that have nothing in common with the ones before. */
static enum err_code write_wide(struct full *d, int row) {
    struct num values[SLOTS];
    uint8_t states[SLOTS];
    for (int i = 0; i < SLOTS; i++) {
        values[i] = num_of_double(1.0 / (row + i + 3));
        states[i] = SLOT_VALUE;
    }
    const struct storage_row r = {
        .ts_ms = BASE + row, .slot_count = SLOTS, .values = values, .states = states};
    struct storage_row_result result;
    struct err err;
    return storage_group_commit(d->f.w.st, d->f.group, &r, &result, &err);
}

static void rows_of_a_failing_disk_have_a_budget_of_bytes(void **state) {
    (void)state;
    struct full d = {.disk = NULL};
    struct buf text;
    struct err err;
    init_full(&d, mem_vfs_new());
    d.f.w.options.registry = metric_registry_new();
    d.f.w.options.fault_memory_bytes = 8 << 10;
    buf_init(&text, 1 << 20);
    open_full(&d);
    assert_int_equal(write_wide(&d, 0), ERR_OK);
    mem_vfs_set_capacity(d.disk, 0);
    for (int row = 1; row < 1000; row++) {
        (void)!write_wide(&d, row);
    }
    const char *kept = world_dump(&d.f.w, "job=j", INT64_MIN, INT64_MAX);
    assert_true(strlen(kept) > 100 * SLOTS);
    assert_null(strstr(kept, " 1000000999:"));
    struct storage_appender *a;
    assert_ok(storage_appender_begin(d.f.w.st, &a, &err), &err);
    assert_int_equal(world_append(&d.f.w, a, "p x=y", BASE + 1000, 1), ERR_OK);
    assert_int_equal(storage_appender_commit(d.f.w.st, a, &err), ERR_NO_SPACE);
    metric_render(d.f.w.options.registry, &text);
    buf_append(&text, "", 1);
    assert_non_null(strstr(text.ptr, "brasa_tsdb_refused_rows_total{reason=\"memory\"}"));
    assert_null(strstr(text.ptr, "brasa_tsdb_refused_rows_total{reason=\"memory\"} 0\n"));
    mem_vfs_set_capacity(d.disk, 1 << 30);
    tsdb_maintain(d.f.w.db);
    assert_int_equal(write_wide(&d, 1001), ERR_OK);
    assert_non_null(strstr(world_dump(&d.f.w, "job=j", INT64_MIN, INT64_MAX), " 1000001001:"));
    buf_release(&text);
    close_full(&d);
    metric_registry_free(d.f.w.options.registry);
    d.f.w.options.registry = NULL;
    world_release(&d.f.w);
    mem_vfs_free(d.disk);
}

int main(int argc, char **argv) {
    struct test_part part = test_part_of(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(each_write_fails_once, &part),
        cmocka_unit_test_prestate(each_sync_fails, &part),
        cmocka_unit_test_prestate(a_disk_that_is_full_from_any_write_on_costs_nothing, &part),
        cmocka_unit_test(a_database_opens_without_a_free_byte_and_goes_on_when_there_are_some),
        cmocka_unit_test(rows_of_a_full_disk_are_written_by_itself_within_30_s_of_space),
        cmocka_unit_test(a_failing_disk_is_reported_by_log_metric_and_status),
        cmocka_unit_test(rows_of_a_failing_disk_have_a_budget_of_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

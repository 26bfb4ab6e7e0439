/* Sealed runs stay within the windows of partitions, and sealing a window in parts is as safe as
 * sealing it at once: at every crash on the way, all committed rows are there, once. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "storage_world.h"
#include "tests/support/check_err.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/head.h"
#include "tsdb/span.h"

enum { WINDOW = 100, BASE = 1000000000, SLOTS = 3, ROWS = 80 };

struct sealing {
    struct world w;
    struct mem_vfs *disk;
    struct storage_group *group;
};

static void open_on(struct sealing *s, struct mem_vfs *disk) {
    world_init(&s->w);
    s->disk = disk;
    s->w.options.vfs = mem_vfs_base(disk);
    s->w.options.path = "db";
    s->w.options.partition_ms = WINDOW;
    world_open(&s->w);
}

static void close_all(struct sealing *s) {
    world_release(&s->w);
    mem_vfs_free(s->disk);
}

/* Row i is at BASE + i * step. Slot 2 is there in every third row only. */
static double value_of(int row, int slot) {
    return slot == 2 && row % 3 != 0 ? ABSENT : slot == 0 ? 5 : row * 10 + slot;
}

static void write_rows(struct sealing *s, int step, int from, int to) {
    for (int row = from; row < to; row++) {
        double values[SLOTS];
        for (int slot = 0; slot < SLOTS; slot++) {
            values[slot] = value_of(row, slot);
        }
        world_row(&s->w, s->group, BASE + (int64_t)row * step, values, SLOTS);
    }
}

static void begin(struct sealing *s) {
    open_on(s, mem_vfs_new());
    s->group = world_group(&s->w, "job=j");
    world_slot(&s->w, s->group, "a job=j");
    world_slot(&s->w, s->group, "b job=j");
    world_slot(&s->w, s->group, "c job=j");
}

static const char *expected(struct world *w, int step, int rows) {
    struct buf text;
    buf_init(&text, 1 << 20);
    for (int slot = 0; slot < SLOTS; slot++) {
        buf_printf(&text, "%c{job=\"j\"}", 'a' + slot);
        for (int row = 0; row < rows; row++) {
            const double v = value_of(row, slot);
            if (v > ABSENT) {
                buf_printf(&text, " %lld:%d", BASE + (long long)row * step, (int)v);
            }
        }
        buf_append_char(&text, '\n');
    }
    const char *out = arena_cstr(&w->arena, buf_str(&text));
    buf_release(&text);
    return out;
}

static void check_runs(const struct sealing *s, int step) {
    const struct head_group *g = (const struct head_group *)s->group;
    uint64_t row = 0;
    assert_true(g->run_count > 0);
    for (uint32_t i = 0; i < g->run_count; i++) {
        const struct head_run *run = &g->runs[i];
        assert_int_equal(run->first_row, row);
        assert_int_equal(run->min_ts_ms, BASE + (int64_t)row * step);
        row += run->rows;
        assert_int_equal(run->max_ts_ms, BASE + (int64_t)(row - 1) * step);
        assert_int_equal(run->min_ts_ms / WINDOW, run->max_ts_ms / WINDOW);
    }
    assert_int_equal(row, g->first_row);
}

static void a_run_never_crosses_a_boundary(void **state) {
    (void)state;
    static const int steps[] = {1, 3, 7, 99, 100, 101, 250};
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct sealing s = {0};
        begin(&s);
        write_rows(&s, steps[i], 0, ROWS);
        check_runs(&s, steps[i]);
        assert_string_equal(world_dump(&s.w, "job=j", INT64_MIN, INT64_MAX),
                            expected(&s.w, steps[i], ROWS));
        storage_group_close(s.w.st, s.group);
        close_all(&s);
    }
}

static void windows_are_aligned_at_any_time(void **state) {
    (void)state;
    const struct {
        int64_t ts;
        int64_t start;
        int64_t end;
    } cases[] = {
        {0, 0, 100},
        {99, 0, 100},
        {100, 100, 200},
        {-1, -100, 0},
        {-100, -100, 0},
        {-101, -200, -100},
        {INT64_MIN, INT64_MIN, INT64_MIN + 8},
        {INT64_MAX, INT64_MAX - INT64_MAX % 100, INT64_MAX},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const int64_t start = span_start(WINDOW, cases[i].ts);
        assert_true(start == cases[i].start);
        assert_true(span_end(WINDOW, start) == cases[i].end);
    }
}

static void check_crash(struct mem_vfs *disk, size_t op, enum mem_crash crash, int step, int rows) {
    struct sealing after = {0};
    open_on(&after, mem_vfs_after_crash(disk, op, crash, op));
    const char *got = world_dump(&after.w, "job=j", INT64_MIN, INT64_MAX);
    const char *want = expected(&after.w, step, rows);
    const char *next = expected(&after.w, step, rows + 1);
    if (strcmp(got, want) != 0 && strcmp(got, next) != 0) {
        print_message("op %zu crash %d rows %d\ngot  %s\nwant %s\n", op, (int)crash, rows, got,
                      want);
        fail();
    }
    /* It goes on, and seals what was left half. */
    const int have = strcmp(got, want) == 0 ? rows : rows + 1;
    after.group = world_group(&after.w, "job=j");
    write_rows(&after, step, have, have + ROWS);
    assert_string_equal(world_dump(&after.w, "job=j", INT64_MIN, INT64_MAX),
                        expected(&after.w, step, have + ROWS));
    storage_group_close(after.w.st, after.group);
    close_all(&after);
}

static void a_crash_between_the_runs_of_a_window_loses_nothing(void **state) {
    (void)state;
    struct sealing s = {0};
    const int step = 7;
    begin(&s);
    size_t before = 0;
    size_t checked = 0;
    for (int row = 0; row < ROWS; row++) {
        const struct head_group *g = (const struct head_group *)s.group;
        const uint32_t runs = g->run_count;
        before = mem_vfs_op_count(s.disk);
        write_rows(&s, step, row, row + 1);
        if (g->run_count > runs + 1) {
            for (size_t op = before; op <= mem_vfs_op_count(s.disk); op++) {
                check_crash(s.disk, op, MEM_CRASH_KEEP, step, row);
                checked++;
            }
        }
    }
    check_runs(&s, step);
    assert_true(checked > 3);
    storage_group_close(s.w.st, s.group);
    close_all(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_never_crosses_a_boundary),
        cmocka_unit_test(windows_are_aligned_at_any_time),
        cmocka_unit_test(a_crash_between_the_runs_of_a_window_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

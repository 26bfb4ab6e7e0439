/* Power fails at every change of a reference history.
 *
 * After each operation that the history does to the disk, in each of the ways in which unsynced data
 * and names may be lost, the database must open, read nothing that was not written, and have every row
 * that was synced before; if only the process died, every row that was acknowledged. Then recovery
 * itself is cut off at its changes, and the same holds.
 *
 * CRASH_STATES=all tries every operation and 16 random states each, else every fifth. */
#include <stdio.h>
#include <stdlib.h>

#include "crash_world.h"
#include "tests/support/check_err.h"

static bool want_all(void) {
    return getenv("CRASH_STATES") != NULL;
}

/* Rows up to the last that must be there. */
static void check_rows(const struct crash_world *w, const struct crash_found *found, size_t op,
                       bool killed, const char *state) {
    for (int row = 0; row < CRASH_ROWS; row++) {
        const size_t at = killed ? w->acked_at[row] : w->durable_at[row];
        for (int series = 0; series < CRASH_SERIES && at <= op; series++) {
            if (!found->rows[series][row]) {
                print_message("crash at change %zu, %s: row %d of series %d is lost\n", op, state,
                              row, series);
            }
            assert_true(found->rows[series][row]);
        }
    }
    assert_int_equal(found->unreadable, 0);
}

/* Recovery of a disk is cut off at some of its changes. */
static size_t crash_recovery(struct crash_world *w, struct mem_vfs *disk, size_t op, size_t step,
                             uint64_t seed) {
    size_t states = 0;
    for (size_t n = seed % step; n < mem_vfs_op_count(disk); n += step) {
        const enum mem_crash how = (enum mem_crash)((seed + n) % MEM_CRASH_COUNT);
        struct mem_vfs *second = mem_vfs_after_crash(disk, n, how, seed + n);
        struct crash_found found;
        crash_open_and_read(w, mem_vfs_base(second), &found, NULL);
        char text[96];
        (void)snprintf(text, sizeof(text), "then at change %zu of recovery, kind %d, seed %llu", n,
                       how, (unsigned long long)(seed + n));
        check_rows(w, &found, op, false, text);
        mem_vfs_free(second);
        states++;
    }
    return states;
}

static void every_crash_state_recovers(void **state) {
    (void)state;
    static struct crash_world w;
    crash_world_write(&w);
    const size_t ops = mem_vfs_op_count(w.disk);
    const size_t stride = want_all() ? 1 : 5;
    const uint64_t random_states = want_all() ? 16 : 1;
    size_t first_level = 0;
    size_t second_level = 0;
    for (size_t op = 0; op <= ops; op += stride) {
        for (int how = 0; how < MEM_CRASH_COUNT; how++) {
            for (uint64_t k = 0; k < (how == MEM_CRASH_RANDOM ? random_states : 1); k++) {
                const uint64_t seed = op * 100 + (uint64_t)how * 20 + k;
                struct mem_vfs *disk = mem_vfs_after_crash(w.disk, op, (enum mem_crash)how, seed);
                struct crash_found found;
                struct tsdb_replay_stats stats;
                crash_open_and_read(&w, mem_vfs_base(disk), &found, &stats);
                char text[64];
                (void)snprintf(text, sizeof(text), "kind %d, seed %llu", how,
                               (unsigned long long)seed);
                check_rows(&w, &found, op, how == MEM_CRASH_KEEP, text);
                if (how == MEM_CRASH_KEEP || how == MEM_CRASH_LOSE) {
                    assert_int_equal(stats.damaged_records, 0);
                }
                second_level += crash_recovery(&w, disk, op, want_all() ? 5 : 29, seed);
                mem_vfs_free(disk);
                first_level++;
            }
        }
    }
    print_message("%zu changes, %zu states, %zu states of recovery\n", ops, first_level,
                  second_level);
    crash_world_release(&w);
}

/* States that lost a row once: change, way, seed; then the same of recovery. */
static void states_that_lost_a_row_recover(void **state) {
    static const struct {
        size_t op;
        int how;
        uint64_t seed;
        size_t again;
        int how_again;
        uint64_t seed_again;
    } found_states[] = {{400, 5, 40112, 32, 4, 40144}, {422, 5, 42300, 35, 5, 42335}};
    static struct crash_world w;
    (void)state;
    crash_world_write(&w);
    for (size_t i = 0; i < sizeof(found_states) / sizeof(found_states[0]); i++) {
        struct crash_found found;
        struct mem_vfs *disk = mem_vfs_after_crash(
            w.disk, found_states[i].op, (enum mem_crash)found_states[i].how, found_states[i].seed);
        crash_open_and_read(&w, mem_vfs_base(disk), &found, NULL);
        check_rows(&w, &found, found_states[i].op, false, "first");
        struct mem_vfs *second = mem_vfs_after_crash(disk, found_states[i].again,
                                                     (enum mem_crash)found_states[i].how_again,
                                                     found_states[i].seed_again);
        crash_open_and_read(&w, mem_vfs_base(second), &found, NULL);
        check_rows(&w, &found, found_states[i].op, false, "second");
        mem_vfs_free(second);
        mem_vfs_free(disk);
    }
    crash_world_release(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(states_that_lost_a_row_recover),
                                       cmocka_unit_test(every_crash_state_recovers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

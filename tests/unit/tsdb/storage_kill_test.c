/* kill -9 loses nothing that was acknowledged.
 *
 * A child process writes rows and transactions and reports each one after the storage accepted it,
 * over a pipe. The parent kills it at a random moment, opens the folder and looks for everything
 * that was reported; what was not reported may be there too, but whole. The next round goes on in
 * the same folder, so later rounds recover what earlier ones left: sealed runs, torn tails, dropped
 * WAL segments. A thread of the child queries meanwhile, and in every second folder another one cuts
 * windows of 200 rows into partitions and merges those.
 *
 * KILL_ROUNDS and KILL_SEED make it longer and different. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mutex.h"
#include "base/rng.h"
#include "storage_world.h"
#include "tests/support/check_err.h"

enum { ROUNDS = 40, ROUNDS_PER_FOLDER = 20, SLOTS = 30, PUSHED = 5, BASE = 1000000000 };
enum { WINDOW_MS = 200, MERGED_MS = 1600, ROWS_OF_A_PARTITION = 4 * WINDOW_MS };

/* Deterministic values: some constant, some counters, some with fractions. */
static double value_of(int slot, int64_t row) {
    return slot % 3 == 0 ? 7 : slot % 3 == 1 ? (double)(row * slot) : (double)(row % 10) / 8;
}

static void child_row(struct world *w, struct storage_group *g, int64_t row) {
    double values[SLOTS];
    for (int i = 0; i < SLOTS; i++) {
        values[i] = value_of(i, row);
    }
    const struct storage_row_result r = world_row(w, g, BASE + row, values, SLOTS);
    if (r.accepted != SLOTS) {
        _exit(3);
    }
}

static void child_push(struct world *w, int64_t row) {
    struct storage_appender *a;
    struct err err;
    if (storage_appender_begin(w->st, &a, &err) != ERR_OK) {
        _exit(4);
    }
    for (int i = 0; i < PUSHED; i++) {
        char text[48];
        snprintf(text, sizeof(text), "p%d job=push", i);
        if (world_append(w, a, text, BASE + row, value_of(i, row)) != ERR_OK) {
            _exit(5);
        }
    }
    if (storage_appender_commit(w->st, a, &err) != ERR_OK) {
        _exit(6);
    }
}

static void read_on(void *ctx) {
    struct world *w = ctx;
    for (;;) {
        struct arena arena;
        struct storage_querier *q;
        struct storage_selection *sel;
        struct storage_samples got[SLOTS + PUSHED];
        size_t n;
        arena_init(&arena, 0);
        if (storage_querier_open(w->st, 0, INT64_MAX, &arena, NULL, &q, NULL) != ERR_OK ||
            storage_select(w->st, q, NULL, 0, NULL, &sel, NULL) != ERR_OK) {
            _exit(8);
        }
        (void)storage_selection_series(w->st, sel, &n);
        if (n > SLOTS + PUSHED ||
            storage_read(w->st, q, sel, 0, n, 0, INT64_MAX, &arena, got, NULL) != ERR_OK) {
            _exit(9);
        }
        arena_release(&arena);
        const struct timespec pause = {0, 2000000};
        nanosleep(&pause, NULL);
    }
}

static void compact_on(void *ctx) {
    struct world *w = ctx;
    for (;;) {
        tsdb_maintain(w->db);
        const struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
    }
}

static void child(struct world *w, int64_t first_row, int report_fd) {
    w->options.no_background = false; /* syncing, dropping and replaying run beside the writer */
    w->options.wal_sync_interval_ns = 5 * NS_PER_MS;
    world_open(w);
    struct storage_group *g = world_group(w, "job=scrape");
    for (int i = 0; i < SLOTS; i++) {
        char text[48];
        snprintf(text, sizeof(text), "m%d job=scrape", i);
        world_slot(w, g, text);
    }
    struct thread reader;
    thread_start(&reader, "reader", read_on, w);
    struct thread compactor;
    if (!w->options.no_compaction) {
        thread_start(&compactor, "compactor", compact_on, w);
    }
    for (int64_t row = first_row;; row++) {
        child_row(w, g, row);
        child_push(w, row);
        if (write(report_fd, &row, sizeof(row)) != (ssize_t)sizeof(row)) {
            _exit(7);
        }
    }
}

/* Runs a child for a while; returns the last row it reported. */
static int64_t run_and_kill(struct world *w, int64_t first_row, unsigned run_us) {
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        child(w, first_row, fds[1]);
    }
    close(fds[1]);
    int64_t last = first_row - 1;
    int64_t row;
    /* Reads in step, so that the pipe never holds the child up. */
    struct timespec start;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        if (read(fds[0], &row, sizeof(row)) != (ssize_t)sizeof(row)) {
            break;
        }
        last = row;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000000 + (now.tv_nsec - start.tv_nsec) / 1000 < run_us);
    kill(pid, SIGKILL);
    while (read(fds[0], &row, sizeof(row)) == (ssize_t)sizeof(row)) {
        last = row;
    }
    close(fds[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    return last;
}

/* All series of a job hold rows 0 .. n - 1; returns n. */
static int64_t check_job(struct world *w, const char *job, size_t series_count, int64_t reported) {
    struct arena arena;
    struct err err;
    struct storage_querier *q;
    struct storage_selection *sel;
    struct storage_samples got[SLOTS];
    struct matcher m;
    size_t n;
    arena_init(&arena, 0);
    assert_ok(matcher_init(&arena, MATCH_EQUAL, STR("job"), str_of(job), &m, &err), &err);
    assert_ok(storage_querier_open(w->st, 0, INT64_MAX, &arena, NULL, &q, &err), &err);
    assert_ok(storage_select(w->st, q, &m, 1, NULL, &sel, &err), &err);
    const struct storage_series *series = storage_selection_series(w->st, sel, &n);
    assert_int_equal(n, series_count);
    assert_ok(storage_read(w->st, q, sel, 0, n, 0, INT64_MAX, &arena, got, &err), &err);
    for (size_t i = 0; i < n; i++) {
        const struct str name =
            labels_get(storage_set_labels(w->st, q, series[i].metric_set), LABEL_NAME);
        const int slot = atoi(arena_cstr(&arena, str_from(name, 1)));
        assert_true((int64_t)got[i].count > reported);
        assert_int_equal(got[i].count, got[0].count);
        for (size_t k = 0; k < got[i].count; k++) {
            assert_int_equal(got[i].ts[k], BASE + (int64_t)k);
            assert_true(f64_same_bits(got[i].values[k], value_of(slot, (int64_t)k)));
        }
    }
    const int64_t rows = (int64_t)got[0].count;
    arena_release(&arena);
    return rows;
}

static size_t count_partitions(const struct world *w) {
    char path[128];
    size_t n = 0;
    (void)snprintf(path, sizeof(path), "%s/partitions", w->dir);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        n += entry->d_name[0] != '.';
    }
    (void)closedir(dir);
    return n;
}

static void compact(struct world *w, int64_t scraped, int64_t pushed) {
    struct err err;
    assert_ok(tsdb_compact(w->db, false, &err), &err);
    assert_true(scraped < ROWS_OF_A_PARTITION || count_partitions(w) > 0);
    assert_int_equal(check_job(w, "scrape", SLOTS, scraped - 1), scraped);
    assert_int_equal(check_job(w, "push", PUSHED, pushed - 1), pushed);
}

/* Some rounds in one folder; returns the rows written. */
static int64_t rounds_in_a_folder(struct rng *rng, int rounds, bool compacts) {
    struct world w;
    int64_t next_row = 0;
    world_init(&w);
    w.options.no_compaction = !compacts;
    w.options.partition_ms = WINDOW_MS;
    w.options.partition_max_ms = MERGED_MS;
    for (int round = 0; round < rounds; round++) {
        const unsigned run_us = 5000 + (unsigned)rng_below(rng, compacts ? 200000 : 60000);
        const int64_t reported = run_and_kill(&w, next_row, run_us);
        world_open(&w);
        assert_int_equal(w.replayed.damaged_records, 0);
        const int64_t scraped = check_job(&w, "scrape", SLOTS, reported);
        const int64_t pushed = check_job(&w, "push", PUSHED, reported);
        if (compacts && round % 3 == 2) { /* the child is mostly killed before it has a partition */
            compact(&w, scraped, pushed);
        }
        assert_true(scraped == pushed || scraped == pushed + 1);
        if (scraped != pushed) {
            child_push(&w, pushed); /* so that both go on with one number */
        }
        next_row = scraped;
        world_close(&w);
    }
    world_release(&w);
    return next_row;
}

static int number_of(const char *name, int standard) {
    const char *text = getenv(name);
    return text != NULL ? atoi(text) : standard;
}

static void acknowledged_rows_survive_kill(void **state) {
    (void)state;
    const int rounds = number_of("KILL_ROUNDS", ROUNDS);
    struct rng rng = rng_seeded((uint64_t)number_of("KILL_SEED", 99));
    int64_t rows = 0;
    for (int done = 0; done < rounds; done += ROUNDS_PER_FOLDER) {
        const int left = rounds - done;
        rows += rounds_in_a_folder(&rng, left < ROUNDS_PER_FOLDER ? left : ROUNDS_PER_FOLDER,
                                   done / ROUNDS_PER_FOLDER % 2 == 1);
    }
    print_message("%d kills, %lld rows\n", rounds, (long long)rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(acknowledged_rows_survive_kill)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

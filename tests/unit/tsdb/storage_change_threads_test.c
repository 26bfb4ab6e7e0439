/* Deleting, cleaning, snapshots and compaction while others scrape, push and query.
 *
 * Scraped and pushed series have a row's number as value at the row's time. A reader must find each row that
 * was acknowledged before it began, of a series of which the beginning was deleted none of those that were
 * deleted before; so must one who opens a snapshot. Run it under ThreadSanitizer too. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/value.h"
#include "storage_world.h"
#include "tests/support/check_err.h"
#include "tests/support/thread_check.h"

enum { SERIES = 8, DELETED = 3, BASE = 1000000000, STEP_MS = 500, WINDOW_MS = 20000 };
enum { ROWS = THREAD_CHECK ? 600 : 1200, SNAPSHOTS = 3, DELETIONS = 12 };
/* Rows are sealed as soon as they come here: a series has hundreds of runs, each with room to decode in. */
enum { BUDGET = 512 << 20 };

enum job { SCRAPED, PUSHED, JOBS };

static const char *const job_names[JOBS] = {"scrape", "push"};

struct shared {
    struct world w;
    struct storage_group *group;
    atomic_int writers;       /* that are not done */
    atomic_int rows[JOBS];    /* acknowledged */
    atomic_int gone[DELETED]; /* rows from the first on that were deleted, of scraped series */
    atomic_int deletions;
    atomic_int queries;
    atomic_int failures;
};

static void note_failure(struct shared *s, const char *what, long long a, long long b) {
    if (atomic_fetch_add(&s->failures, 1) < 5) {
        (void)fprintf(stderr, "%s: %lld, %lld\n", what, a, b);
    }
}

static bool is_going_on(struct shared *s) {
    return atomic_load(&s->writers) > 0;
}

/* Writers go on until there was enough to disturb them, but not for ever. */
static bool is_enough(struct shared *s, int row) {
    return row >= ROWS && (atomic_load(&s->deletions) >= DELETIONS || row >= 4 * ROWS);
}

/* Whoever loops leaves the others some of the processor. */
static void rest(void) {
    (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static struct labels labels_at(struct arena *arena, enum job job, int i) {
    char name[16];
    (void)snprintf(name, sizeof(name), "m%d", i);
    const struct label pairs[] = {{LABEL_NAME, arena_str(arena, str_of(name))},
                                  {STR("job"), str_of(job_names[job])}};
    return labels_of(arena, pairs, 2);
}

/* ---- writers ---- */

static void *scrape(void *ctx) {
    struct shared *s = ctx;
    struct num values[SERIES];
    uint8_t states[SERIES];
    memset(states, SLOT_VALUE, sizeof(states));
    for (int row = 0; !is_enough(s, row); row++) {
        struct storage_row_result result;
        struct err err;
        for (int i = 0; i < SERIES; i++) {
            values[i] = num_of_i64(row);
        }
        const struct storage_row r = {.ts_ms = BASE + row * STEP_MS,
                                      .slot_count = SERIES,
                                      .values = values,
                                      .states = states};
        if (storage_group_commit(s->w.st, s->group, &r, &result, &err) != ERR_OK ||
            result.accepted != SERIES) {
            note_failure(s, "commit", row, result.accepted);
        }
        fake_clock_advance_ns(&s->w.clock, STEP_MS * NS_PER_MS);
        atomic_store(&s->rows[SCRAPED], row + 1);
        if (row % 5 == 0) {
            rest();
        }
    }
    atomic_fetch_sub(&s->writers, 1);
    return NULL;
}

static void push_row(struct shared *s, struct arena *arena, int row) {
    struct storage_appender *a;
    struct err err;
    if (storage_appender_begin(s->w.st, &a, &err) != ERR_OK) {
        note_failure(s, err.text, row, 0);
        return;
    }
    for (int i = 0; i < SERIES; i++) {
        const struct labels labels = labels_at(arena, PUSHED, i);
        const struct storage_exemplar e = {
            .labels = labels, .value = row, .ts_ms = BASE + row * STEP_MS};
        if (storage_append(s->w.st, a, labels, BASE + row * STEP_MS, row) != ERR_OK ||
            storage_append_exemplar(s->w.st, a, labels, &e) != ERR_OK) {
            note_failure(s, "append", row, i);
        }
    }
    if (storage_appender_commit(s->w.st, a, &err) != ERR_OK) {
        note_failure(s, "commit of a transaction", row, 0);
    }
}

static void *push(void *ctx) {
    struct shared *s = ctx;
    for (int row = 0; !is_enough(s, row); row++) {
        struct arena arena;
        arena_init(&arena, 0);
        push_row(s, &arena, row);
        char help[16];
        (void)snprintf(help, sizeof(help), "%d", row);
        storage_metadata_put(s->w.st, STR("m1"),
                             &(struct storage_metadata){STR("gauge"), str_of(help), STR("")});
        atomic_store(&s->rows[PUSHED], row + 1);
        arena_release(&arena);
        if (row % 5 == 0) {
            rest();
        }
    }
    atomic_fetch_sub(&s->writers, 1);
    return NULL;
}

/* ---- readers ---- */

/* What was promised when the reading began. */
struct promised {
    int rows;
    int gone[DELETED];
};

static struct promised promised_now(struct shared *s, enum job job) {
    struct promised p = {.rows = atomic_load(&s->rows[job])};
    for (int i = 0; i < DELETED && job == SCRAPED; i++) {
        p.gone[i] = atomic_load(&s->gone[i]);
    }
    return p;
}

static void check_series(struct shared *s, const struct storage_samples *got, int gone,
                         bool may_lack, int rows) {
    int next = gone;
    for (size_t k = 0; k < got->count; k++) {
        const int row = (int)((got->ts[k] - BASE) / STEP_MS);
        if (!f64_same_bits(got->values[k], row) || got->ts[k] != BASE + row * (int64_t)STEP_MS) {
            note_failure(s, "wrong sample", got->ts[k], row);
        }
        if (row < gone) {
            note_failure(s, "a deleted sample", row, gone);
        }
        if (!may_lack && row != next) {
            note_failure(s, "a row is missing", next, row);
        }
        next = row + 1;
    }
    if (!may_lack && next < rows) {
        note_failure(s, "acknowledged rows are missing", next, rows);
    }
}

static void read_job(struct shared *s, struct storage *st, enum job job,
                     const struct promised *promised) {
    struct arena arena;
    struct err err;
    struct storage_querier *q;
    struct storage_selection *sel;
    struct matcher m;
    arena_init(&arena, BUDGET);
    if (matcher_init(&arena, MATCH_EQUAL, STR("job"), str_of(job_names[job]), &m, &err) != ERR_OK ||
        storage_querier_open(st, 0, INT64_MAX, &arena, NULL, &q, &err) != ERR_OK ||
        storage_select(st, q, &m, 1, NULL, &sel, &err) != ERR_OK) {
        note_failure(s, err.text, 0, 0);
        arena_release(&arena);
        return;
    }
    size_t n = 0;
    const struct storage_series *series = storage_selection_series(st, sel, &n);
    for (size_t i = 0; i < n; i++) {
        struct storage_samples got;
        const struct str name =
            labels_get(labels_merge(&arena, storage_set_labels(st, q, series[i].metric_set),
                                    storage_set_labels(st, q, series[i].target_set)),
                       LABEL_NAME);
        const int number = name.len == 2 ? name.ptr[1] - '0' : SERIES;
        const bool is_deleted = job == SCRAPED && number < DELETED;
        if (storage_read(st, q, sel, i, 1, 0, INT64_MAX, &arena, &got, &err) != ERR_OK) {
            note_failure(s, err.text, 0, 0);
        } else {
            check_series(s, &got, is_deleted ? promised->gone[number] : 0, is_deleted,
                         promised->rows);
        }
    }
    arena_release(&arena);
}

static void read_exemplars(struct shared *s) {
    struct arena arena;
    struct err err;
    struct storage_querier *q;
    struct storage_exemplar_series *series;
    size_t n = 0;
    arena_init(&arena, BUDGET);
    if (storage_querier_open(s->w.st, 0, INT64_MAX, &arena, NULL, &q, &err) != ERR_OK ||
        storage_exemplars(s->w.st, q, NULL, 0, &series, &n, &err) != ERR_OK) {
        note_failure(s, err.text, 0, 0);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < series[i].count; k++) {
            const struct storage_exemplar *e = &series[i].exemplars[k];
            if (e->ts_ms != BASE + (int64_t)e->value * STEP_MS) {
                note_failure(s, "wrong exemplar", e->ts_ms, (long long)e->value);
            }
        }
    }
    arena_release(&arena);
}

static void *query(void *ctx) {
    struct shared *s = ctx;
    while (is_going_on(s)) {
        for (int job = 0; job < JOBS; job++) {
            const struct promised p = promised_now(s, (enum job)job);
            read_job(s, s->w.st, (enum job)job, &p);
        }
        read_exemplars(s);
        atomic_fetch_add(&s->queries, 1);
        rest();
    }
    return NULL;
}

/* ---- those that change what is stored ---- */

static void *maintain(void *ctx) {
    struct shared *s = ctx;
    while (is_going_on(s)) {
        tsdb_maintain(s->w.db);
        rest();
    }
    return NULL;
}

static void *delete_and_clean(void *ctx) {
    struct shared *s = ctx;
    for (int turn = 0; is_going_on(s); turn++) {
        struct arena arena;
        struct matcher m[2];
        struct err err;
        const int i = turn % DELETED;
        const int end = atomic_load(&s->rows[SCRAPED]) / 2;
        char name[8];
        (void)snprintf(name, sizeof(name), "m%d", i);
        arena_init(&arena, 0);
        if (matcher_init(&arena, MATCH_EQUAL, LABEL_NAME, str_of(name), &m[0], &err) != ERR_OK ||
            matcher_init(&arena, MATCH_EQUAL, STR("job"), STR("scrape"), &m[1], &err) != ERR_OK ||
            storage_delete_series(s->w.st, m, 2, BASE, BASE + end * STEP_MS - 1, &err) != ERR_OK ||
            (turn % 5 == 4 && storage_clean_tombstones(s->w.st, &err) != ERR_OK)) {
            note_failure(s, err.text, turn, end);
        }
        atomic_store(&s->gone[i], end);
        atomic_fetch_add(&s->deletions, 1);
        arena_release(&arena);
        rest();
    }
    return NULL;
}

static void read_snapshot(struct shared *s, const char *name, const struct promised *promised) {
    struct tsdb_options options = s->w.options;
    struct tsdb *db;
    struct err err;
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/snapshots/%s", s->w.dir, name);
    options.path = path;
    if (tsdb_open(&options, &db, NULL, &err) != ERR_OK) {
        note_failure(s, err.text, 0, 0);
        return;
    }
    for (int job = 0; job < JOBS; job++) {
        read_job(s, tsdb_storage(db), (enum job)job, &promised[job]);
    }
    tsdb_close(db);
}

static void *take_snapshots(void *ctx) {
    struct shared *s = ctx;
    for (int i = 1; i <= SNAPSHOTS; i++) {
        char name[TSDB_SNAPSHOT_NAME_MAX];
        struct err err;
        while (is_going_on(s) && atomic_load(&s->rows[SCRAPED]) < i * ROWS / (SNAPSHOTS + 1)) {
            rest();
        }
        const struct promised promised[JOBS] = {promised_now(s, SCRAPED), promised_now(s, PUSHED)};
        if (tsdb_snapshot(s->w.db, false, name, &err) != ERR_OK) {
            note_failure(s, err.text, i, 0);
        } else {
            read_snapshot(s, name, promised);
        }
    }
    return NULL;
}

/* ---- the test ---- */

static bool count_partition(void *ctx, const char *name) {
    *(size_t *)ctx += name[0] == '0';
    return true;
}

static size_t partitions(struct shared *s) {
    char path[96];
    size_t count = 0;
    struct err err;
    (void)snprintf(path, sizeof(path), "%s/partitions", s->w.dir);
    assert_ok(vfs_list(vfs_system(), path, count_partition, &count, &err), &err);
    return count;
}

static void open_world(struct shared *s) {
    world_init(&s->w);
    s->w.options.partition_ms = WINDOW_MS;
    s->w.options.max_exemplars = 200;
    world_open(&s->w);
    s->group = world_group(&s->w, "job=scrape");
    for (int i = 0; i < SERIES; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "m%d job=scrape", i);
        assert_int_equal(world_slot(&s->w, s->group, text), i);
    }
    atomic_store(&s->writers, 2);
}

static void check_all(struct shared *s) {
    for (int job = 0; job < JOBS; job++) {
        const struct promised p = promised_now(s, (enum job)job);
        assert_true(p.rows >= ROWS);
        read_job(s, s->w.st, (enum job)job, &p);
    }
}

static void
whoever_reads_gets_what_was_promised_while_others_delete_clean_compact_and_copy(void **state) {
    (void)state;
    void *(*const tasks[])(void *) = {scrape,           push,     query,         query,
                                      delete_and_clean, maintain, take_snapshots};
    struct shared *s = mem_zalloc(sizeof(*s));
    pthread_t threads[COUNT_OF(tasks)];
    open_world(s);
    for (size_t i = 0; i < COUNT_OF(tasks); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, tasks[i], s), 0);
    }
    for (size_t i = 0; i < COUNT_OF(tasks); i++) {
        pthread_join(threads[i], NULL);
    }
    check_all(s);
    for (int i = 0; i < 20; i++) {
        tsdb_maintain(s->w.db);
    }
    check_all(s);
    assert_true(partitions(s) > 0);
    print_message("%d deletions, %d rounds of queries, %zu partitions\n",
                  atomic_load(&s->deletions), atomic_load(&s->queries), partitions(s));
    storage_group_close(s->w.st, s->group);
    world_close(&s->w);
    world_open(&s->w);
    check_all(s);
    assert_int_equal(atomic_load(&s->failures), 0);
    world_release(&s->w);
    mem_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            whoever_reads_gets_what_was_promised_while_others_delete_clean_compact_and_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Writers and readers at once: a reader never sees a part of a row, and no sample changes.
 *
 * Each writer thread owns a group of its own shard and stores rows in which every series has the
 * row's number; a pusher does the same by transactions. Readers check that all series of a group
 * end at the same row and that each value is its row's number. Run it under ThreadSanitizer too. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "storage_world.h"
#include "tests/support/check_err.h"

enum { WRITERS = 2, SERIES = 20, ROWS = 1200, BASE = 1000000000 };

struct shared {
    struct world w;
    atomic_int running;
    atomic_int failures;
};

struct writer {
    struct shared *shared;
    uint32_t number;
    struct storage_group *group;
};

static void note_failure(struct shared *s, const char *what, long long a, long long b) {
    if (atomic_fetch_add(&s->failures, 1) < 5) {
        fprintf(stderr, "%s: %lld, %lld\n", what, a, b);
    }
}

static void *write_rows(void *ctx) {
    struct writer *me = ctx;
    struct storage *st = me->shared->w.st;
    struct num values[SERIES];
    uint8_t states[SERIES];
    memset(states, SLOT_VALUE, sizeof(states));
    for (int row = 0; row < ROWS; row++) {
        for (int i = 0; i < SERIES; i++) {
            values[i] = num_of_i64(row);
        }
        const struct storage_row r = {
            .ts_ms = BASE + row, .slot_count = SERIES, .values = values, .states = states};
        struct storage_row_result result;
        struct err err;
        if (storage_group_commit(st, me->group, &r, &result, &err) != ERR_OK ||
            result.accepted != SERIES) {
            note_failure(me->shared, "commit", row, result.accepted);
        }
    }
    atomic_fetch_sub(&me->shared->running, 1);
    return NULL;
}

static struct labels push_labels(struct arena *arena, int i) {
    char name[16];
    snprintf(name, sizeof(name), "pushed%d", i);
    const struct label pairs[] = {{LABEL_NAME, str_of(name)}, {STR("job"), STR("push")}};
    return labels_of(arena, pairs, 2);
}

static void *push_rows(void *ctx) {
    struct shared *s = ctx;
    struct arena arena;
    arena_init(&arena, 0);
    struct labels labels[SERIES];
    for (int i = 0; i < SERIES; i++) {
        labels[i] = push_labels(&arena, i);
    }
    for (int row = 0; row < ROWS; row++) {
        struct storage_appender *a;
        struct err err;
        if (storage_appender_begin(s->w.st, &a, &err) != ERR_OK) {
            break;
        }
        for (int i = 0; i < SERIES; i++) {
            if (storage_append(s->w.st, a, labels[i], BASE + row, row) != ERR_OK) {
                note_failure(s, "append", row, i);
            }
        }
        if (storage_appender_commit(s->w.st, a, &err) != ERR_OK) {
            note_failure(s, "commit of a transaction", row, 0);
        }
    }
    arena_release(&arena);
    atomic_fetch_sub(&s->running, 1);
    return NULL;
}

static void check_samples(struct shared *s, const struct storage_samples *got, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (got[i].count != got[0].count) {
            note_failure(s, "half a row", (long long)got[i].count, (long long)got[0].count);
        }
        for (size_t k = 0; k < got[i].count; k++) {
            if (got[i].ts[k] != BASE + (int64_t)k || !f64_same_bits(got[i].values[k], (double)k)) {
                note_failure(s, "wrong sample", got[i].ts[k], (long long)got[i].values[k]);
            }
        }
    }
}

static void read_job(struct shared *s, const char *job) {
    struct arena arena;
    struct err err;
    struct storage_querier *q;
    struct storage_selection *sel;
    struct matcher m;
    size_t n = 0;
    arena_init(&arena, 64 << 20);
    if (matcher_init(&arena, MATCH_EQUAL, STR("job"), str_of(job), &m, &err) == ERR_OK &&
        storage_querier_open(s->w.st, 0, INT64_MAX, &arena, NULL, &q, &err) == ERR_OK &&
        storage_select(s->w.st, q, &m, 1, NULL, &sel, &err) == ERR_OK) {
        storage_selection_series(s->w.st, sel, &n);
        struct storage_samples *got = arena_alloc(&arena, (n + 1) * sizeof(*got));
        if (storage_read(s->w.st, q, sel, 0, n, 0, INT64_MAX, &arena, got, &err) == ERR_OK) {
            check_samples(s, got, n);
        } else {
            note_failure(s, err.text, 0, 0);
        }
    } else {
        note_failure(s, err.text, 0, 0);
    }
    arena_release(&arena);
}

static void *read_all(void *ctx) {
    struct shared *s = ctx;
    static const char *const jobs[] = {"w0", "w1", "push"};
    for (size_t i = 0; atomic_load(&s->running) > 0; i++) {
        read_job(s, jobs[i % COUNT_OF(jobs)]);
    }
    return NULL;
}

static void *maintain(void *ctx) {
    struct shared *s = ctx;
    while (atomic_load(&s->running) > 0) {
        tsdb_maintain(s->w.db);
    }
    return NULL;
}

static void open_writer(struct shared *s, struct writer *writer, uint32_t number) {
    char text[48];
    struct err err;
    *writer = (struct writer){.shared = s, .number = number};
    snprintf(text, sizeof(text), "job=w%u", number);
    assert_ok(storage_group_open(s->w.st, number, world_labels(&s->w, text), &writer->group, &err),
              &err);
    for (int i = 0; i < SERIES; i++) {
        snprintf(text, sizeof(text), "m%d job=w%u", i, number);
        assert_int_equal(world_slot(&s->w, writer->group, text), i);
    }
}

static void readers_see_whole_rows(void **state) {
    (void)state;
    struct shared *s = mem_zalloc(sizeof(*s));
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS + 4];
    size_t n = 0;
    world_init(&s->w);
    s->w.options.shard_count = WRITERS;
    world_open(&s->w);
    atomic_init(&s->running, WRITERS + 1);
    for (uint32_t i = 0; i < WRITERS; i++) {
        open_writer(s, &writers[i], i);
    }
    for (uint32_t i = 0; i < WRITERS; i++) {
        pthread_create(&threads[n++], NULL, write_rows, &writers[i]);
    }
    pthread_create(&threads[n++], NULL, push_rows, s);
    pthread_create(&threads[n++], NULL, read_all, s);
    pthread_create(&threads[n++], NULL, read_all, s);
    pthread_create(&threads[n++], NULL, maintain, s);
    for (size_t i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
    }
    read_job(s, "w0");
    read_job(s, "push");
    assert_int_equal(atomic_load(&s->failures), 0);
    for (uint32_t i = 0; i < WRITERS; i++) {
        storage_group_close(s->w.st, writers[i].group);
    }
    world_release(&s->w);
    mem_free(s);
}

/* Several threads are the first to need a group after a restart. */
static void lazy_replay_happens_once(void **state) {
    (void)state;
    struct shared *s = mem_zalloc(sizeof(*s));
    struct writer writer;
    pthread_t threads[4];
    world_init(&s->w);
    world_open(&s->w);
    open_writer(s, &writer, 0);
    atomic_init(&s->running, 1);
    write_rows(&writer);
    storage_group_close(s->w.st, writer.group);
    world_crash(&s->w);
    world_open(&s->w);
    atomic_store(&s->running, 1);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        pthread_create(&threads[i], NULL, i == 0 ? maintain : read_all, s);
    }
    for (int i = 0; i < 20; i++) {
        read_job(s, "w0");
    }
    atomic_store(&s->running, 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&s->failures), 0);
    world_release(&s->w);
    mem_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_whole_rows),
        cmocka_unit_test(lazy_replay_happens_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

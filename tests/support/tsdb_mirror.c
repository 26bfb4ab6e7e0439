#include "tests/support/tsdb_mirror.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "tests/support/fake_clock.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/tsdb.h"

struct tsdb_mirror {
    struct promqltest_store store;
    struct mem_vfs *vfs;
    struct fake_clock clock;
    struct tsdb_options options;
    struct tsdb *db;
    uint64_t state;
};

static unsigned choose(struct tsdb_mirror *m, unsigned n) {
    m->state = m->state * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)((m->state >> 33) % n);
}

static bool complained(enum err_code code, const struct err *err) {
    if (code != ERR_OK) {
        (void)fprintf(stderr, "tsdb_mirror: %s\n", err->text);
    }
    return code != ERR_OK;
}

static void close_db(struct tsdb_mirror *m) {
    if (m->db != NULL) {
        tsdb_close(m->db);
        m->db = NULL;
    }
}

static bool open_db(struct tsdb_mirror *m) {
    struct tsdb_replay_stats stats;
    struct err err;
    close_db(m);
    return !complained(tsdb_open(&m->options, &m->db, &stats, &err), &err);
}

static void start_anew(struct tsdb_mirror *m) {
    close_db(m);
    mem_vfs_free(m->vfs);
    m->vfs = mem_vfs_new();
    fake_clock_init(&m->clock, 0);
    tsdb_options_default(&m->options);
    m->options.path = "data";
    m->options.vfs = mem_vfs_base(m->vfs);
    m->options.clock = &m->clock.clock;
    m->options.rng = rng_seeded(m->state);
    m->options.shard_count = 1 + choose(m, 2);
    m->options.no_background = true;
}

/* ---- copying ---- */

struct source {
    struct arena arena;
    struct labels *labels;
    struct storage_samples *samples;
    size_t *next; /* sample of each that is not copied yet */
    size_t count;
};

static bool read_all(struct storage *st, struct source *s) {
    struct storage_querier *q = NULL;
    struct storage_selection *selection = NULL;
    struct err err;
    if (complained(
            storage_querier_open(st, INT64_MIN / 2, INT64_MAX / 2, &s->arena, NULL, &q, &err),
            &err) ||
        complained(storage_select(st, q, NULL, 0, NULL, &selection, &err), &err)) {
        return false;
    }
    const struct storage_series *series = storage_selection_series(st, selection, &s->count);
    s->labels = arena_zalloc(&s->arena, (s->count + 1) * sizeof(*s->labels));
    s->samples = arena_zalloc(&s->arena, (s->count + 1) * sizeof(*s->samples));
    s->next = arena_zalloc(&s->arena, (s->count + 1) * sizeof(*s->next));
    for (size_t i = 0; i < s->count; i++) {
        s->labels[i] = labels_merge(&s->arena, storage_set_labels(st, q, series[i].target_set),
                                    storage_set_labels(st, q, series[i].metric_set));
    }
    return s->count == 0 || !complained(storage_read(st, q, selection, 0, s->count, INT64_MIN / 2,
                                                     INT64_MAX / 2, &s->arena, s->samples, &err),
                                        &err);
}

/* The time of the oldest sample that is left. */
static bool next_time(const struct source *s, int64_t *out) {
    bool any = false;
    for (size_t i = 0; i < s->count; i++) {
        const struct storage_samples *samples = &s->samples[i];
        if (s->next[i] < samples->count && (!any || samples->ts[s->next[i]] < *out)) {
            *out = samples->ts[s->next[i]];
            any = true;
        }
    }
    return any;
}

static bool append_one(struct storage *st, struct storage_appender *a, const struct source *s,
                       size_t i) {
    const struct storage_samples *from = &s->samples[i];
    const size_t at = s->next[i];
    const struct storage_sample sample = {
        .ts_ms = from->ts[at],
        .value = from->values[at],
        .histogram = from->histograms != NULL ? from->histograms[at] : NULL,
        .float_histogram = true,
        .start_ts_ms = from->start_ts != NULL ? from->start_ts[at] : 0,
    };
    const enum err_code code = storage_append_sample(st, a, s->labels[i], &sample);
    if (code != ERR_OK) {
        (void)fprintf(stderr, "tsdb_mirror: append at %lld: error %d\n", (long long)sample.ts_ms,
                      (int)code);
    }
    return code == ERR_OK;
}

static bool append_time(struct tsdb_mirror *m, struct source *s, int64_t t) {
    struct storage *st = tsdb_storage(m->db);
    struct storage_appender *a = NULL;
    struct err err;
    m->clock.unix_ns = t * 1000000;
    if (complained(storage_appender_begin(st, &a, &err), &err)) {
        return false;
    }
    for (size_t i = 0; i < s->count; i++) {
        if (s->next[i] < s->samples[i].count && s->samples[i].ts[s->next[i]] == t) {
            if (!append_one(st, a, s, i)) {
                storage_appender_rollback(st, a);
                return false;
            }
            s->next[i]++;
        }
    }
    return !complained(storage_appender_commit(st, a, &err), &err);
}

static bool copy_all(struct tsdb_mirror *m, struct source *s) {
    int64_t t = 0;
    struct err err;
    while (next_time(s, &t)) {
        if (!append_time(m, s, t)) {
            return false;
        }
        const unsigned what = choose(m, 40);
        if (what == 0) {
            tsdb_maintain(m->db);
        } else if (what == 1 && !open_db(m)) {
            return false;
        }
    }
    switch (choose(m, 4)) {
    case 0:
        return !complained(tsdb_compact(m->db, true, &err), &err);
    case 1:
        return open_db(m);
    case 2:
        return !complained(tsdb_compact(m->db, true, &err), &err) && open_db(m);
    default:
        return true;
    }
}

static struct storage *fill(struct promqltest_store *store, struct storage *from) {
    struct tsdb_mirror *m = (struct tsdb_mirror *)store;
    struct source s = {.count = 0};
    arena_init(&s.arena, 0);
    start_anew(m);
    const bool ok = open_db(m) && read_all(from, &s) && copy_all(m, &s);
    arena_release(&s.arena);
    return ok ? tsdb_storage(m->db) : NULL;
}

struct tsdb_mirror *tsdb_mirror_new(unsigned seed) {
    struct tsdb_mirror *m = mem_zalloc(sizeof(*m));
    m->store.fill = fill;
    m->state = seed * 0x9E3779B97F4A7C15U + 1;
    return m;
}

void tsdb_mirror_free(struct tsdb_mirror *m) {
    close_db(m);
    mem_vfs_free(m->vfs);
    mem_free(m);
}

struct promqltest_store *tsdb_mirror_store(struct tsdb_mirror *m) {
    return &m->store;
}

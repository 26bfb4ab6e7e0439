#include "tests/support/tsdb_mirror.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/histogram.h"
#include "base/histogram_text.h"
#include "base/mem.h"
#include "base/value.h"
#include "tests/support/fake_clock.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/tsdb.h"

enum { GROUPS = 2 };

struct tsdb_mirror {
    struct promqltest_store store;
    struct mem_vfs *vfs;
    struct fake_clock clock;
    struct tsdb_options options;
    struct tsdb *db;
    bool by_rows; /* as scrapes write; else as pushes do */
    struct storage_group *groups[GROUPS];
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
    for (size_t g = 0; g < GROUPS; g++) {
        if (m->groups[g] != NULL) {
            storage_group_close(tsdb_storage(m->db), m->groups[g]);
            m->groups[g] = NULL;
        }
    }
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
    m->by_rows = choose(m, 2) == 0;
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

/* ---- rows ---- */

static bool open_group(struct tsdb_mirror *m, struct arena *arena, size_t g) {
    const struct label target = {STR("mirror"), g == 0 ? STR("0") : STR("1")};
    struct storage *st = tsdb_storage(m->db);
    struct err err;
    return m->groups[g] != NULL ||
           !complained(storage_group_open(st, (uint32_t)g % storage_shard_count(st),
                                          labels_of(arena, &target, 1), &m->groups[g], &err),
                       &err);
}

/* A row as wide as there are series; which slots count is in states. */
struct mirror_row {
    struct num *values;
    uint8_t *states;
    const struct histogram **histograms;
    int64_t *starts;
};

static struct mirror_row row_new(struct arena *arena, size_t slots) {
    struct mirror_row row;
    row.values = arena_zalloc(arena, slots * sizeof(*row.values));
    row.states = arena_zalloc(arena, slots * sizeof(*row.states));
    row.histograms = arena_zalloc(arena, slots * sizeof(*row.histograms));
    row.starts = arena_zalloc(arena, slots * sizeof(*row.starts));
    return row;
}

static void row_put(const struct mirror_row *row, uint32_t slot, const struct storage_samples *from,
                    size_t at) {
    const struct histogram *h = from->histograms != NULL ? from->histograms[at] : NULL;
    row->histograms[slot] = h;
    row->starts[slot] = from->start_ts != NULL ? from->start_ts[at] : 0;
    if (h != NULL) {
        row->states[slot] = SLOT_FLOAT_HISTOGRAM;
    } else if (f64_is_stale(from->values[at])) {
        row->states[slot] = SLOT_STALE;
    } else {
        row->states[slot] = SLOT_VALUE;
        row->values[slot] = num_of_double(from->values[at]);
    }
}

static bool has_sample_at(const struct source *s, size_t i, int64_t t) {
    return s->next[i] < s->samples[i].count && s->samples[i].ts[s->next[i]] == t;
}

/* Every second series, of those with a sample at t. Slots of histograms lie apart, so that a row may
 * be wider than there are series. */
static bool append_row(struct tsdb_mirror *m, struct source *s, size_t g, int64_t t) {
    struct storage *st = tsdb_storage(m->db);
    struct storage_group *group = m->groups[g];
    uint32_t *slots = arena_zalloc(&s->arena, (s->count + 1) * sizeof(*slots));
    uint32_t count = 0;
    struct err err;
    for (size_t i = g; i < s->count; i += GROUPS) {
        if (has_sample_at(s, i, t) &&
            complained(storage_group_series(st, group, s->labels[i], &slots[i], &err), &err)) {
            return false;
        }
    }
    const uint32_t width = storage_group_slot_count(st, group);
    const struct mirror_row row = row_new(&s->arena, (size_t)width + 1);
    for (size_t i = g; i < s->count; i += GROUPS) {
        if (has_sample_at(s, i, t)) {
            row_put(&row, slots[i], &s->samples[i], s->next[i]++);
            count++;
        }
    }
    const struct storage_row made = {.ts_ms = t,
                                     .slot_count = width,
                                     .values = row.values,
                                     .states = row.states,
                                     .histograms = row.histograms,
                                     .start_ts_ms = row.starts};
    struct storage_row_result result = {0};
    if (count == 0) {
        return true;
    }
    if (complained(storage_group_commit(st, group, &made, &result, &err), &err)) {
        return false;
    }
    if (result.accepted != count) {
        (void)fprintf(stderr, "tsdb_mirror: row at %lld: %u of %u samples\n", (long long)t,
                      (unsigned)result.accepted, (unsigned)count);
    }
    return result.accepted == count;
}

static bool append_rows(struct tsdb_mirror *m, struct source *s, int64_t t) {
    bool ok = true;
    for (size_t g = 0; g < GROUPS && ok; g++) {
        ok = open_group(m, &s->arena, g) && append_row(m, s, g, t);
    }
    return ok;
}

/* ---- all ---- */

static bool append_time(struct tsdb_mirror *m, struct source *s, int64_t t) {
    struct storage *st = tsdb_storage(m->db);
    struct storage_appender *a = NULL;
    struct err err;
    m->clock.unix_ns = t * 1000000;
    if (m->by_rows) {
        return append_rows(m, s, t);
    }
    if (complained(storage_appender_begin(st, &a, &err), &err)) {
        return false;
    }
    for (size_t i = 0; i < s->count; i++) {
        if (has_sample_at(s, i, t)) {
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

/* ---- what came of it ---- */

/* A marker that ended histograms is one itself, with the stale NaN for its sum. */
static const struct histogram *histogram_at(const struct storage_samples *s, size_t at) {
    return s->histograms == NULL || f64_is_stale(s->values[at]) ? NULL : s->histograms[at];
}

static bool same_sample(const struct storage_samples *a, const struct storage_samples *b,
                        size_t at) {
    const struct histogram *x = histogram_at(a, at);
    const struct histogram *y = histogram_at(b, at);
    if ((x != NULL) != (y != NULL) || a->ts[at] != b->ts[at]) {
        return false;
    }
    const int64_t start_a = a->start_ts != NULL ? a->start_ts[at] : 0;
    const int64_t start_b = b->start_ts != NULL ? b->start_ts[at] : 0;
    return start_a == start_b &&
           (x != NULL ? histogram_equal(x, y) : f64_same_bits(a->values[at], b->values[at]));
}

static void tell_sample(struct buf *to, const struct storage_samples *s, size_t at) {
    if (at == s->count) {
        buf_append_cstr(to, "nothing");
    } else if (histogram_at(s, at) != NULL) {
        histogram_format(to, histogram_at(s, at));
    } else {
        buf_append_cstr(to, f64_is_stale(s->values[at]) ? "stale" : "");
        buf_append_number_g(to, s->values[at]);
    }
}

static bool same_series(struct labels labels, const struct storage_samples *x,
                        const struct storage_samples *y) {
    const size_t n = x->count < y->count ? x->count : y->count;
    size_t at = 0;
    while (at < n && same_sample(x, y, at)) {
        at++;
    }
    if (at < n || x->count != y->count) {
        struct buf text;
        buf_init(&text, 65536);
        labels_format(&text, labels);
        buf_append_cstr(&text, ", source: ");
        tell_sample(&text, x, at);
        buf_append_cstr(&text, ", database: ");
        tell_sample(&text, y, at);
        (void)fprintf(stderr, "tsdb_mirror: sample %zu of %.*s\n", at, STR_ARG(buf_str(&text)));
        buf_release(&text);
        return false;
    }
    return true;
}

static bool index_of(const struct source *s, struct labels labels, size_t *out) {
    for (size_t i = 0; i < s->count; i++) {
        if (labels_eq(s->labels[i], labels)) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* All of the source reads back, as it was. */
static bool check_all(struct tsdb_mirror *m, const struct source *s) {
    struct source got = {.count = 0};
    arena_init(&got.arena, 0);
    bool ok = read_all(tsdb_storage(m->db), &got);
    for (size_t i = 0; i < s->count && ok; i++) {
        size_t at = 0;
        ok = s->samples[i].count == 0 ||
             (index_of(&got, s->labels[i], &at) &&
              same_series(s->labels[i], &s->samples[i], &got.samples[at]));
    }
    arena_release(&got.arena);
    return ok;
}

static struct storage *fill(struct promqltest_store *store, struct storage *from) {
    struct tsdb_mirror *m = (struct tsdb_mirror *)store;
    struct source s = {.count = 0};
    arena_init(&s.arena, 0);
    start_anew(m);
    const bool ok = open_db(m) && read_all(from, &s) && copy_all(m, &s) && check_all(m, &s);
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

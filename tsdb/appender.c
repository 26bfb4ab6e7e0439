/* Transactions over arbitrary series: rules, pushed data, imports.
 *
 * A sample is checked when it is appended, against what is stored and against the transaction's
 * own samples, and stored at commit with one WAL record per group and row. New series exist from
 * append on, also after a rollback, as in Prometheus. How series get their groups: head_push.c.
 *
 * A commit is atomic per group and row; a reader may see one shard's part before another's. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tsdb/head.h"

enum { LABELS_MAX = 64 << 20 };

struct last_sample { /* newest sample of a series in this transaction */
    uint32_t group;  /* 0 = free */
    uint32_t slot;
    int64_t ts_ms;
    struct num value;
    uint8_t state;
};

struct cohort { /* group that new series with a target set join */
    uint32_t target_set;
    uint32_t group;
};

struct storage_appender {
    struct tsdb *db;
    struct head_bounds bounds;
    struct push_sample *samples;
    size_t count;
    size_t capacity;
    struct last_sample *table;
    size_t table_mask;
    size_t table_count;
    struct cohort *cohorts;
    size_t cohort_count;
    size_t cohort_capacity;
    struct buf target; /* scratch */
    struct buf metric;
};

enum err_code tsdb_appender_begin(struct storage *st, struct storage_appender **out,
                                  struct err *err) {
    (void)err;
    struct tsdb *db = (struct tsdb *)st;
    struct storage_appender *a = mem_zalloc(sizeof(*a));
    a->db = db;
    a->bounds = head_bounds(db);
    a->table_mask = 63;
    a->table = mem_zalloc((a->table_mask + 1) * sizeof(*a->table));
    buf_init(&a->target, LABELS_MAX);
    buf_init(&a->metric, LABELS_MAX);
    metric_inc(db->metrics.appenders_created);
    metric_inc(db->metrics.active_appenders);
    *out = a;
    return ERR_OK;
}

void tsdb_appender_rollback(struct storage_appender *a) {
    if (a == NULL) {
        return;
    }
    metric_add(a->db->metrics.active_appenders, -1);
    mem_free(a->samples);
    mem_free(a->table);
    mem_free(a->cohorts);
    buf_release(&a->target);
    buf_release(&a->metric);
    mem_free(a);
}

/* ---- newest samples of the transaction ---- */

static struct last_sample *table_at(struct last_sample *table, size_t mask, uint32_t group,
                                    uint32_t slot) {
    const uint64_t key = (uint64_t)group << 32 | slot;
    size_t at = (size_t)(key * 0x9E3779B97F4A7C15ULL >> 32) & mask;
    while (table[at].group != 0 && (table[at].group != group || table[at].slot != slot)) {
        at = (at + 1) & mask;
    }
    return &table[at];
}

static void remember(struct storage_appender *a, const struct push_sample *s) {
    if (a->table_count > a->table_mask / 2) {
        const size_t mask = a->table_mask * 2 + 1;
        struct last_sample *table = mem_zalloc((mask + 1) * sizeof(*table));
        for (size_t i = 0; i <= a->table_mask; i++) {
            const struct last_sample *old = &a->table[i];
            if (old->group != 0) {
                *table_at(table, mask, old->group, old->slot) = *old;
            }
        }
        mem_free(a->table);
        a->table = table;
        a->table_mask = mask;
    }
    struct last_sample *at = table_at(a->table, a->table_mask, s->group, s->slot);
    a->table_count += at->group == 0 ? 1 : 0;
    *at = (struct last_sample){s->group, s->slot, s->ts_ms, s->value, s->state};
}

static enum err_code check_against(const struct last_sample *last, const struct push_sample *s) {
    if (s->ts_ms > last->ts_ms) {
        return ERR_OK;
    }
    if (s->ts_ms < last->ts_ms) {
        return ERR_OUT_OF_ORDER;
    }
    const bool same =
        s->state == last->state &&
        (s->state == SLOT_STALE || f64_same_bits(num_double(s->value), num_double(last->value)));
    return same ? ERR_EXISTS : ERR_DUPLICATE;
}

/* ---- the place of a series ---- */

/* The target set of a pushed series is its job and instance. */
static bool is_target_label(struct str name) {
    return str_eq(name, STR("instance")) || str_eq(name, STR("job"));
}

static void split(struct storage_appender *a, struct labels labels) {
    buf_clear(&a->target);
    buf_clear(&a->metric);
    struct labels_iter it = labels_begin(labels);
    struct label pair;
    const uint8_t *start = it.at;
    while (labels_next(&it, &pair)) {
        buf_append(is_target_label(pair.name) ? &a->target : &a->metric, start,
                   (size_t)(it.at - start));
        start = it.at;
    }
}

static struct labels labels_in(const struct buf *b) {
    const struct str s = buf_str(b);
    return (struct labels){(const uint8_t *)s.ptr, s.len};
}

static uint32_t *cohort_of(struct storage_appender *a, uint32_t target_set) {
    for (size_t i = a->cohort_count; i-- > 0;) { /* usually the last one */
        if (a->cohorts[i].target_set == target_set) {
            return &a->cohorts[i].group;
        }
    }
    if (a->cohort_count == a->cohort_capacity) {
        a->cohort_capacity = mem_grow(a->cohort_capacity, a->cohort_count + 1);
        a->cohorts = mem_resize(a->cohorts, a->cohort_capacity, sizeof(*a->cohorts));
    }
    a->cohorts[a->cohort_count] = (struct cohort){.target_set = target_set};
    return &a->cohorts[a->cohort_count++].group;
}

static enum err_code intern(struct tsdb *db, struct labels target, struct labels metric,
                            uint32_t *out_target, uint32_t *out_metric) {
    const uint64_t limit = db->options.max_series;
    const bool full = limit != 0 && atomic_load(&db->series_count) >= limit;
    mutex_lock(&db->index.mu);
    *out_target = label_sets_find(&db->index.targets.sets, target);
    *out_metric = label_sets_find(&db->index.metrics.sets, metric);
    if (!full) { /* a refused series must not cost memory */
        if (*out_target == LABEL_SET_NONE) {
            *out_target = index_target_locked(&db->index, target);
        }
        if (*out_metric == LABEL_SET_NONE) {
            *out_metric = index_metric_locked(&db->index, metric);
        }
    }
    mutex_unlock(&db->index.mu);
    return *out_target == INDEX_NONE || *out_metric == INDEX_NONE ? ERR_LIMIT : ERR_OK;
}

static enum err_code place_of(struct storage_appender *a, struct head_shard *shard,
                              uint32_t target_set, uint32_t metric_set, struct head_side *out)
    REQUIRES(shard->mu) {
    uint32_t *cohort = cohort_of(a, target_set);
    if (head_push_find(shard, target_set, metric_set, out)) {
        *cohort = *cohort == 0 ? out->group : *cohort;
        return ERR_OK;
    }
    struct head_group *g = *cohort != 0 ? head_group_get(a->db, *cohort)
                                        : head_group_new(a->db, shard, target_set, GROUP_PUSHED);
    *cohort = g->id;
    head_shard_held(g->shard);
    uint32_t slot;
    const enum err_code code = head_new_series(g, metric_set, &slot, NULL);
    if (code == ERR_OK) {
        *out = (struct head_side){.group = g->id, .slot = slot};
    }
    return code;
}

/* Pushed groups of a target set are all in one shard: where the newest is, else where its hash
 * says. (After a start with another number of shards these differ.) */
static struct head_shard *shard_of(struct tsdb *db, uint32_t target_set, struct labels target) {
    struct head_shard *shard = NULL;
    mutex_lock(&db->index.mu);
    uint32_t id = db->index.target_groups[target_set];
    for (; id != 0 && shard == NULL; id = db->index.groups[id].next_same_target) {
        const struct head_group *g = db->groups[id];
        if (!g->open && g->kind != GROUP_SCRAPED) {
            shard = g->shard;
        }
    }
    mutex_unlock(&db->index.mu);
    return shard != NULL ? shard : tsdb_shard_for(db, target);
}

/* Finds the series and compares the sample with the newest one. */
static enum err_code place_and_check(struct storage_appender *a, struct push_sample *s) {
    struct tsdb *db = a->db;
    const struct labels target = labels_in(&a->target);
    uint32_t target_set;
    uint32_t metric_set;
    enum err_code code = intern(db, target, labels_in(&a->metric), &target_set, &metric_set);
    if (code != ERR_OK) {
        return code;
    }
    struct head_shard *shard = shard_of(db, target_set, target);
    struct head_side place;
    mutex_lock(&shard->mu);
    code = place_of(a, shard, target_set, metric_set, &place);
    if (code == ERR_OK) {
        s->group = place.group;
        s->slot = place.slot;
        const struct last_sample *last = table_at(a->table, a->table_mask, place.group, place.slot);
        code = last->group != 0 ? check_against(last, s)
                                : head_push_check(head_group_get(db, place.group), place.slot,
                                                  s->ts_ms, s->value, s->state);
    }
    mutex_unlock(&shard->mu);
    return code;
}

static void count_refusal(struct tsdb *db, enum err_code code) {
    if (code == ERR_OUT_OF_ORDER) {
        metric_inc(db->metrics.out_of_order);
    } else if (code == ERR_OUT_OF_BOUNDS) {
        metric_inc(db->metrics.out_of_bounds);
    }
}

enum err_code tsdb_append(struct storage_appender *a, struct labels labels, int64_t ts_ms,
                          double value) {
    if (labels.size == 0) {
        return ERR_INVALID;
    }
    enum err_code code =
        ts_ms < a->bounds.min_ms || ts_ms > a->bounds.max_ms ? ERR_OUT_OF_BOUNDS : ERR_OK;
    struct push_sample s = {
        .ts_ms = ts_ms,
        .state = f64_is_stale(value) ? SLOT_STALE : SLOT_VALUE,
        .value = f64_is_stale(value) ? (struct num){0} : num_of_double(value),
    };
    if (code == ERR_OK) {
        split(a, labels);
        code = buf_ok(&a->target) && buf_ok(&a->metric) ? place_and_check(a, &s) : ERR_LIMIT;
    }
    if (code == ERR_EXISTS) {
        return ERR_OK;
    }
    if (code != ERR_OK) {
        count_refusal(a->db, code);
        return code;
    }
    remember(a, &s);
    if (a->count == a->capacity) {
        a->capacity = mem_grow(a->capacity, a->count + 1);
        a->samples = mem_resize(a->samples, a->capacity, sizeof(*a->samples));
    }
    a->samples[a->count++] = s;
    return ERR_OK;
}

/* ---- commit ---- */

/* Another transaction may have been faster; what is not newer any more is left out. */
static size_t drop_late(struct head_shard *shard, struct push_sample *samples, size_t n)
    REQUIRES(shard->mu) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const struct head_group *g = head_group_get(shard->db, samples[i].group);
        if (samples[i].ts_ms > g->last_ts_ms[samples[i].slot]) {
            samples[kept++] = samples[i];
        } else {
            metric_inc(shard->db->metrics.out_of_order);
        }
    }
    return kept;
}

/* Moves the samples of a shard to the front; returns how many. */
static size_t take_shard(struct tsdb *db, const struct head_shard *shard,
                         struct push_sample *samples, size_t n) {
    size_t taken = 0;
    for (size_t i = 0; i < n; i++) {
        if (head_group_get(db, samples[i].group)->shard == shard) {
            const struct push_sample s = samples[i];
            samples[i] = samples[taken];
            samples[taken++] = s;
        }
    }
    return taken;
}

enum err_code tsdb_appender_commit(struct storage_appender *a, struct err *err) {
    struct tsdb *db = a->db;
    enum err_code result = ERR_OK;
    size_t done = 0;
    while (done < a->count) {
        struct push_sample *samples = a->samples + done;
        struct head_shard *shard = head_group_get(db, samples[0].group)->shard;
        const size_t taken = take_shard(db, shard, samples, a->count - done);
        mutex_lock(&shard->mu);
        const size_t kept = drop_late(shard, samples, taken);
        const enum err_code code = head_push(shard, samples, kept, err);
        mutex_unlock(&shard->mu);
        metric_add(db->metrics.samples_appended, (double)kept);
        result = code != ERR_OK ? code : result;
        done += taken;
    }
    tsdb_appender_rollback(a);
    return result;
}

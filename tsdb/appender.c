/* Transactions over arbitrary series: rules, pushed data, imports.
 *
 * A sample is checked when it is appended, against what is stored and against the transaction's
 * own samples, and stored at commit with one WAL record per group and row. New series exist from
 * append on, also after a rollback, as in Prometheus. How series get their groups: head_push.c.
 *
 * Series that come in the order of their group are found without a look-up: appender_expect.c. And as
 * long as places only ascend, no series can come twice, so the table of the transaction's newest
 * samples is made when one first goes back.
 *
 * A commit is atomic per group and row; a reader may see one shard's part before another's. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tsdb/appender_impl.h"
#include "tsdb/late_group.h"
#include "tsdb/tsdb_ops.h"

enum { LABELS_MAX = 64 << 20, SAMPLES_MIN = 256 };

enum err_code tsdb_appender_begin(struct storage *st, struct storage_appender **out,
                                  struct err *err) {
    (void)err;
    struct tsdb *db = (struct tsdb *)st;
    struct storage_appender *a = mem_zalloc(sizeof(*a));
    head_gate_enter(&db->gate);
    a->db = db;
    a->bounds = head_bounds(db);
    arena_init(&a->copies, 0);
    buf_init(&a->target, LABELS_MAX);
    buf_init(&a->metric, LABELS_MAX);
    metric_inc(db->metrics.appenders_created);
    metric_inc(db->metrics.active_appenders);
    *out = a;
    return ERR_OK;
}

void tsdb_appender_in_order_only(struct storage_appender *a) {
    a->in_order_only = true;
}

void tsdb_appender_rollback(struct storage_appender *a) {
    if (a == NULL) {
        return;
    }
    metric_add(a->db->metrics.active_appenders, -1);
    head_gate_leave(&a->db->gate);
    mem_free(a->samples);
    mem_free(a->late);
    mem_free(a->extras);
    mem_free(a->exemplars);
    arena_release(&a->copies);
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

static void table_put(struct storage_appender *a, const struct push_sample *s) {
    struct last_sample *at = table_at(a->table, a->table_mask, s->group, s->slot);
    a->table_count += at->group == 0 ? 1 : 0;
    *at = (struct last_sample){s->group, s->slot, s->ts_ms, s->value, s->state, s->extra};
}

/* A table twice as large as needed, of all samples so far. */
static void make_table(struct storage_appender *a) {
    size_t mask = 63;
    while (mask / 4 < a->count) {
        mask = mask * 2 + 1;
    }
    mem_free(a->table);
    a->table = mem_zalloc((mask + 1) * sizeof(*a->table));
    a->table_mask = mask;
    a->table_count = 0;
    for (size_t i = 0; i < a->count; i++) {
        table_put(a, &a->samples[i]);
    }
}

/* The transaction's newest sample at a place, or NULL. */
static const struct last_sample *find_last(struct storage_appender *a, uint32_t group,
                                           uint32_t slot) {
    if (a->table == NULL) {
        const struct push_sample *last = a->count != 0 ? &a->samples[a->count - 1] : NULL;
        if (last == NULL || last->group < group || (last->group == group && last->slot < slot)) {
            return NULL;
        }
        make_table(a);
    }
    const struct last_sample *at = table_at(a->table, a->table_mask, group, slot);
    return at->group != 0 ? at : NULL;
}

static void want_room(struct storage_appender *a, size_t n) {
    if (UNLIKELY(n > a->capacity - a->count)) {
        const size_t doubled = a->capacity < SAMPLES_MIN ? SAMPLES_MIN : a->capacity * 2;
        a->capacity = doubled - a->count < n ? a->count + n : doubled;
        a->samples = mem_resize(a->samples, a->capacity, sizeof(*a->samples));
    }
}

static void add_sample(struct storage_appender *a, const struct push_sample *s) {
    want_room(a, 1);
    const struct push_sample *last = a->count != 0 ? &a->samples[a->count - 1] : NULL;
    a->is_row =
        s->extra == 0 && (last == NULL || (a->is_row && last->group == s->group &&
                                           last->slot < s->slot && last->ts_ms == s->ts_ms));
    a->samples[a->count++] = *s;
    if (a->table != NULL && a->table_count > a->table_mask / 2) {
        make_table(a);
    } else if (a->table != NULL) {
        table_put(a, s);
    }
}

static void add_late(struct storage_appender *a, const struct push_sample *s) {
    if (a->late_count == a->late_capacity) {
        a->late_capacity = mem_grow(a->late_capacity, a->late_count + 1);
        a->late = mem_resize(a->late, a->late_capacity, sizeof(*a->late));
    }
    a->late[a->late_count++] = *s;
}

static const struct histogram *histogram_of(const struct storage_appender *a, uint32_t extra) {
    return extra != 0 ? a->extras[extra - 1].histogram : NULL;
}

static bool same_sample(const struct storage_appender *a, const struct last_sample *last,
                        const struct push_sample *s) {
    const struct histogram *before = histogram_of(a, last->extra);
    const struct histogram *now = histogram_of(a, s->extra);
    if (before != NULL && now != NULL) {
        return s->state == last->state && histogram_equal(before, now);
    }
    return before == NULL && now == NULL && s->state == last->state &&
           (s->state == SLOT_STALE || f64_same_bits(num_double(s->value), num_double(last->value)));
}

static enum err_code check_against(const struct storage_appender *a, const struct last_sample *last,
                                   const struct push_sample *s) {
    if (s->ts_ms > last->ts_ms) {
        return ERR_OK;
    }
    if (s->ts_ms < last->ts_ms) {
        return ERR_OUT_OF_ORDER;
    }
    return same_sample(a, last, s) ? ERR_EXISTS : ERR_DUPLICATE;
}

/* ---- the place of a series ---- */

static void split(struct storage_appender *a, struct labels labels) {
    buf_clear(&a->target);
    buf_clear(&a->metric);
    struct labels_iter it = labels_begin(labels);
    struct label pair;
    const uint8_t *start = it.at;
    while (labels_next(&it, &pair)) {
        buf_append(appender_is_target_label(pair.name) ? &a->target : &a->metric, start,
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
    *out_target = label_sets_find(&db->index.live->targets.sets, target);
    *out_metric = label_sets_find(&db->index.live->metrics.sets, metric);
    if (!full) { /* a refused series must not cost memory */
        if (*out_target == LABEL_SET_NONE) {
            *out_target = index_target_locked(&db->index, target);
        }
        if (*out_metric == LABEL_SET_NONE) {
            *out_metric = index_metric_locked(&db->index, metric);
        }
    }
    mutex_unlock(&db->index.mu);
    if (*out_target != INDEX_NONE && *out_metric != INDEX_NONE) {
        return ERR_OK;
    }
    metric_inc(db->metrics.refused_series);
    return ERR_LIMIT;
}

static enum err_code place_of(struct storage_appender *a, struct head_shard *shard,
                              uint32_t target_set, uint32_t metric_set, struct head_side *out)
    REQUIRES(shard->mu) {
    uint32_t *cohort = cohort_of(a, target_set);
    enum err_code code = head_push_find(shard, target_set, metric_set, out, NULL);
    if (code == ERR_OK) {
        *cohort = *cohort == 0 ? out->group : *cohort;
    }
    if (code != ERR_NOT_FOUND) {
        return code;
    }
    struct head_group *g = *cohort != 0 ? head_group_get(a->db, *cohort)
                                        : head_group_new(a->db, shard, target_set, GROUP_PUSHED);
    *cohort = g->id;
    head_shard_held(g->shard);
    uint32_t slot;
    code = head_new_series(g, metric_set, &slot, NULL);
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
    uint32_t id = db->index.live->target_groups[target_set];
    for (; id != 0 && shard == NULL; id = db->index.live->groups[id].next_same_target) {
        const struct head_group *g = db->groups[id];
        if (!g->open && g->kind != GROUP_SCRAPED) {
            shard = g->shard;
        }
    }
    mutex_unlock(&db->index.mu);
    return shard != NULL ? shard : tsdb_shard_for(db, target);
}

/* Refuses here what the group could refuse at commit: a histogram with so many new buckets. */
static bool has_room(const struct storage_appender *a, struct head_group *g, uint32_t slot,
                     const struct push_sample *s) REQUIRES(g->shard->mu) {
    const struct histogram *h = histogram_of(a, s->extra);
    const struct column_bundle *b = h != NULL ? group_columns_of(g->columns, slot) : NULL;
    const size_t known = b != NULL ? b->count : 0;
    /* Most of them are known; only near the limit is it worth counting. */
    return h == NULL || known + hist_cell_count_max(h) < GROUP_COLUMNS_MAX ||
           head_columns_room(g, slot, h, s->state == SLOT_FLOAT_HISTOGRAM,
                             a->extras[s->extra - 1].start_ts_ms != 0);
}

/* ERR_OK: newer than all of its series, stored or in this transaction. */
static enum err_code check_place(struct storage_appender *a, struct head_group *g,
                                 struct push_sample *s, uint32_t slot) REQUIRES(g->shard->mu) {
    if (!has_room(a, g, slot, s)) {
        return ERR_LIMIT;
    }
    s->group = g->id;
    s->slot = slot;
    const struct last_sample *last = find_last(a, g->id, slot);
    return last != NULL ? check_against(a, last, s) : head_push_check(g, s, a->extras);
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
        struct head_group *g = head_group_get(db, place.group);
        head_shard_held(g->shard);
        expected_follow(a, g, place.slot);
        code = check_place(a, g, s, place.slot);
    }
    mutex_unlock(&shard->mu);
    return code;
}

/* The sample is one of the series that is expected next. */
static enum err_code check_expected(struct storage_appender *a, struct push_sample *s) {
    struct expected *e = &a->expected;
    struct head_group *g = e->group;
    const int64_t newest_ms = e->newest_ms[e->at];
    s->group = g->id;
    s->slot = e->slot + e->at++;
    if (LIKELY(s->ts_ms > newest_ms && s->extra == 0 && find_last(a, s->group, s->slot) == NULL)) {
        return ERR_OK;
    }
    mutex_lock(&g->shard->mu);
    const enum err_code code = check_place(a, g, s, s->slot);
    mutex_unlock(&g->shard->mu);
    return code;
}

/* labels: NULL for the series that is expected next. */
static enum err_code find_and_check(struct storage_appender *a, const struct labels *labels,
                                    struct push_sample *s) {
    if (labels == NULL || expected_find(a, *labels)) {
        return check_expected(a, s);
    }
    split(a, *labels);
    return buf_ok(&a->target) && buf_ok(&a->metric) ? place_and_check(a, s) : ERR_LIMIT;
}

static void count_refusal(struct tsdb *db, const struct push_sample *s, enum err_code code) {
    const bool is_float = s->state == SLOT_VALUE || s->state == SLOT_STALE;
    if (code == ERR_OUT_OF_ORDER) {
        metric_inc(is_float ? db->metrics.out_of_order : db->metrics.out_of_order_histograms);
    } else if (code == ERR_OUT_OF_BOUNDS) {
        metric_inc(db->metrics.out_of_bounds);
    } else if (code == ERR_TOO_OLD) {
        metric_inc(db->metrics.too_old);
    }
}

/* The first sample of all is what late ones are compared with. */
static void begin_bounds(struct storage_appender *a, int64_t ts_ms) {
    if (a->bounds.window_ms != 0 && a->bounds.newest_ms == INT64_MIN) {
        a->bounds.newest_ms = ts_ms;
        a->bounds.min_ms = ts_ms < INT64_MIN + HEAD_PAST_MS ? INT64_MIN : ts_ms - HEAD_PAST_MS;
    }
}

/* *out_late: to be stored as a late sample. */
static enum err_code check_sample(struct storage_appender *a, const struct labels *labels,
                                  struct push_sample *s, bool *out_late) {
    *out_late = false;
    if (s->ts_ms > a->bounds.max_ms) {
        return ERR_OUT_OF_BOUNDS;
    }
    begin_bounds(a, s->ts_ms);
    const bool old = s->ts_ms < a->bounds.min_ms;
    if (old && a->bounds.window_ms == 0) {
        return ERR_OUT_OF_BOUNDS;
    }
    enum err_code code = find_and_check(a, labels, s);
    const bool refused = code == ERR_OK || code == ERR_EXISTS || code == ERR_DUPLICATE
                             ? old /* whatever the series has */
                             : code == ERR_OUT_OF_ORDER;
    if (refused) {
        code = head_late_verdict(a->db, &a->bounds, s->ts_ms, ERR_OUT_OF_ORDER);
        *out_late = code == ERR_OK;
    }
    return *out_late && a->in_order_only ? ERR_OUT_OF_ORDER : code;
}

static enum err_code append_checked(struct storage_appender *a, const struct labels *labels,
                                    struct push_sample *s) {
    bool late;
    const enum err_code code = check_sample(a, labels, s, &late);
    if (code == ERR_OK && late) {
        add_late(a, s);
    } else if (code == ERR_OK) {
        add_sample(a, s);
    } else if (code != ERR_EXISTS) {
        count_refusal(a->db, s, code);
    }
    return code;
}

static struct push_sample float_sample(int64_t ts_ms, double value) {
    return (struct push_sample){
        .ts_ms = ts_ms,
        .state = f64_is_stale(value) ? SLOT_STALE : SLOT_VALUE,
        .value = f64_is_stale(value) ? (struct num){0} : num_of_double(value),
    };
}

enum err_code tsdb_append(struct storage_appender *a, struct labels labels, int64_t ts_ms,
                          double value) {
    if (labels.size == 0) {
        return ERR_INVALID;
    }
    struct push_sample s = float_sample(ts_ms, value);
    const enum err_code code = append_checked(a, &labels, &s);
    return code == ERR_EXISTS ? ERR_OK : code;
}

bool tsdb_expect_sets(struct storage_appender *a, struct storage_expected *out) {
    struct expected *e = &a->expected;
    if (!expected_look(a)) {
        return false;
    }
    e->given = e->at;
    *out = (struct storage_expected){
        .target = e->group->target,
        .sets = e->sets + e->at,
        .count = e->count - e->at,
    };
    return true;
}

bool tsdb_expect(struct storage_appender *a, struct storage_expected *out) {
    if (!tsdb_expect_sets(a, out)) {
        return false;
    }
    expected_want_metrics(a);
    out->metrics = a->expected.metrics + a->expected.at;
    return true;
}

/* Adds samples of the series that are expected next, as far as they go on with the row of those before and
 * nothing is to be said about them. Returns how many. */
static size_t add_to_row(struct storage_appender *a, int64_t ts_ms, const double *values,
                         size_t n) {
    struct expected *e = &a->expected;
    const struct push_sample *last = a->count != 0 ? &a->samples[a->count - 1] : NULL;
    if (last == NULL || !a->is_row || a->table != NULL || last->group != e->group->id ||
        last->slot >= e->slot + e->at || last->ts_ms != ts_ms || ts_ms < a->bounds.min_ms ||
        ts_ms > a->bounds.max_ms) {
        return 0;
    }
    want_room(a, n);
    struct push_sample *to = &a->samples[a->count];
    size_t taken = 0;
    for (; taken < n && ts_ms > e->newest_ms[e->at + taken]; taken++, to++) {
        *to = float_sample(ts_ms, values[taken]);
        to->group = e->group->id;
        to->slot = e->slot + e->at + (uint32_t)taken;
    }
    a->count += taken;
    e->at += (uint32_t)taken;
    return taken;
}

size_t tsdb_append_expected_row(struct storage_appender *a, size_t i, int64_t ts_ms,
                                const double *values, size_t n) {
    struct expected *e = &a->expected;
    ASSERT(e->given < e->count && i < e->count - e->given && n <= e->count - e->given - i);
    e->at = e->given + (uint32_t)i;
    return add_to_row(a, ts_ms, values, n);
}

enum err_code tsdb_append_expected(struct storage_appender *a, size_t i, int64_t ts_ms,
                                   double value) {
    struct expected *e = &a->expected;
    ASSERT(e->given < e->count && i < e->count - e->given);
    e->at = e->given + (uint32_t)i;
    if (LIKELY(add_to_row(a, ts_ms, &value, 1) == 1)) {
        return ERR_OK;
    }
    struct push_sample s = float_sample(ts_ms, value);
    const enum err_code code = append_checked(a, NULL, &s);
    return code == ERR_EXISTS ? ERR_OK : code;
}

/* Puts what only few samples have behind the others; the caller takes it off when it is not kept. */
static void add_extra(struct storage_appender *a, const struct histogram *copy,
                      int64_t start_ts_ms) {
    if (a->extra_count == a->extra_capacity) {
        a->extra_capacity = mem_grow(a->extra_capacity, a->extra_count + 1);
        a->extras = mem_resize(a->extras, a->extra_capacity, sizeof(*a->extras));
    }
    a->extras[a->extra_count++] =
        (struct push_extra){.histogram = copy, .start_ts_ms = start_ts_ms};
}

enum err_code tsdb_append_sample(struct storage_appender *a, struct labels labels,
                                 const struct storage_sample *sample) {
    const struct histogram *h = sample->histogram;
    if (labels.size == 0 || (h != NULL && histogram_check(h, NULL) != ERR_OK)) {
        return ERR_INVALID;
    }
    struct push_sample s = h == NULL ? float_sample(sample->ts_ms, sample->value)
                                     : (struct push_sample){.ts_ms = sample->ts_ms};
    if (h == NULL && sample->start_ts_ms == 0) {
        const enum err_code code = append_checked(a, &labels, &s);
        return code == ERR_EXISTS ? ERR_OK : code;
    }
    if (h != NULL) {
        s.state = sample->float_histogram ? SLOT_FLOAT_HISTOGRAM : SLOT_HISTOGRAM;
        h = histogram_copy(&a->copies, h);
    }
    add_extra(a, h, sample->start_ts_ms);
    s.extra = (uint32_t)a->extra_count;
    const enum err_code code = append_checked(a, &labels, &s);
    a->extra_count -= code != ERR_OK ? 1 : 0;
    return code == ERR_EXISTS ? ERR_OK : code;
}

/* ---- exemplars ---- */

/* Has the series a place? Mostly it is that of the newest sample. */
static bool is_known(struct storage_appender *a, struct labels labels) {
    if (expected_was(a, labels)) {
        return true;
    }
    split(a, labels);
    if (!buf_ok(&a->target) || !buf_ok(&a->metric)) {
        return false;
    }
    struct index *index = &a->db->index;
    const struct labels target = labels_in(&a->target);
    mutex_lock(&index->mu);
    const uint32_t target_set = label_sets_find(&index->live->targets.sets, target);
    const uint32_t metric_set = label_sets_find(&index->live->metrics.sets, labels_in(&a->metric));
    mutex_unlock(&index->mu);
    if (target_set == LABEL_SET_NONE || metric_set == LABEL_SET_NONE) {
        return false;
    }
    struct head_shard *shard = shard_of(a->db, target_set, target);
    struct head_side place;
    mutex_lock(&shard->mu);
    const enum err_code code = head_push_find(shard, target_set, metric_set, &place, NULL);
    mutex_unlock(&shard->mu);
    return code == ERR_OK;
}

static struct labels copy_labels(struct arena *arena, struct labels labels) {
    uint8_t *copy = arena_alloc(arena, labels.size + 1);
    if (labels.size != 0) {
        memcpy(copy, labels.data, labels.size);
    }
    return (struct labels){copy, labels.size};
}

enum err_code tsdb_append_exemplar(struct storage_appender *a, struct labels labels,
                                   const struct storage_exemplar *exemplar) {
    const enum err_code code = exemplars_check(notes_exemplars(a->db->notes), labels, exemplar);
    if (code != ERR_OK) {
        return code;
    }
    if (!is_known(a, labels)) {
        return ERR_NOT_FOUND;
    }
    if (a->exemplar_count == a->exemplar_capacity) {
        a->exemplar_capacity = mem_grow(a->exemplar_capacity, a->exemplar_count + 1);
        a->exemplars = mem_resize(a->exemplars, a->exemplar_capacity, sizeof(*a->exemplars));
    }
    struct series_exemplar *item = &a->exemplars[a->exemplar_count++];
    *item =
        (struct series_exemplar){.series = copy_labels(&a->copies, labels), .exemplar = *exemplar};
    item->exemplar.labels = copy_labels(&a->copies, exemplar->labels);
    return ERR_OK;
}

/* ---- commit ---- */

/* The group of a sample; neighbours mostly share theirs. */
static struct head_group *group_of(struct tsdb *db, struct head_group *last, uint32_t id) {
    return last != NULL && last->id == id ? last : head_group_get(db, id);
}

/* Another transaction may have been faster; what is not newer any more is late or left out. */
static size_t drop_late(struct storage_appender *a, struct head_shard *shard,
                        struct push_sample *samples, size_t n) REQUIRES(shard->mu) {
    size_t kept = 0;
    struct head_group *g = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct push_sample s = samples[i];
        g = group_of(shard->db, g, s.group);
        if (s.ts_ms > g->last_ts_ms[s.slot]) {
            samples[kept++] = s;
            continue;
        }
        enum err_code code = s.ts_ms < g->last_ts_ms[s.slot] ? ERR_OUT_OF_ORDER : ERR_DUPLICATE;
        if (code == ERR_OUT_OF_ORDER && !a->in_order_only) {
            code = head_late_verdict(a->db, &a->bounds, s.ts_ms, code);
        }
        if (code == ERR_OK) {
            add_late(a, &s);
        } else {
            count_refusal(shard->db, &s, code);
        }
    }
    return kept;
}

/* Moves the samples of a shard to the front; returns how many. */
static size_t take_shard(struct tsdb *db, const struct head_shard *shard,
                         struct push_sample *samples, size_t n) {
    size_t taken = 0;
    struct head_group *g = NULL;
    for (size_t i = 0; i < n; i++) {
        g = group_of(db, g, samples[i].group);
        if (g->shard == shard) {
            if (i != taken) {
                const struct push_sample s = samples[i];
                samples[i] = samples[taken];
                samples[taken] = s;
            }
            taken++;
        }
    }
    return taken;
}

/* Stores the late samples of a shard, and takes them out of the list. */
static enum err_code commit_late(struct storage_appender *a, struct head_shard *shard,
                                 struct err *err) REQUIRES(shard->mu) {
    struct tsdb *db = a->db;
    struct push_sample *samples = mem_array(a->late_count + 1, sizeof(*samples));
    size_t stored;
    struct head_group *g = NULL;
    size_t n = 0;
    size_t left = 0;
    for (size_t i = 0; i < a->late_count; i++) {
        g = group_of(db, g, a->late[i].group);
        if (g->shard == shard) {
            samples[n++] = a->late[i];
        } else {
            a->late[left++] = a->late[i];
        }
    }
    a->late_count = left;
    const enum err_code code = late_push(shard, samples, n, a->extras, &stored, err);
    mem_free(samples);
    metric_add(db->metrics.samples_appended, (double)stored);
    return code;
}

/* Stores the samples if they are the next row of a group, as nearly all are. False: they are not. */
static bool commit_row(struct storage_appender *a, enum err_code *out, struct err *err) {
    struct head_group *g = head_group_get(a->db, a->samples[0].group);
    struct head_shard *shard = g->shard;
    mutex_lock(&shard->mu);
    head_shard_held(g->shard);
    const bool done = head_push_next_row(g, a->samples, a->count, out, err);
    mutex_unlock(&shard->mu);
    if (done) {
        metric_add(a->db->metrics.samples_appended, (double)a->count);
    }
    return done;
}

enum err_code tsdb_appender_commit(struct storage_appender *a, struct err *err) {
    struct tsdb *db = a->db;
    enum err_code result = ERR_OK;
    size_t done = a->is_row && commit_row(a, &result, err) ? a->count : 0;
    while (done < a->count) {
        struct push_sample *samples = a->samples + done;
        struct head_shard *shard = head_group_get(db, samples[0].group)->shard;
        const size_t taken = take_shard(db, shard, samples, a->count - done);
        mutex_lock(&shard->mu);
        const size_t kept = drop_late(a, shard, samples, taken);
        const enum err_code code = head_push(shard, samples, kept, a->extras, err);
        mutex_unlock(&shard->mu);
        metric_add(db->metrics.samples_appended, (double)kept);
        result = code != ERR_OK ? code : result;
        done += taken;
    }
    while (a->late_count != 0) {
        struct head_shard *shard = head_group_get(db, a->late[0].group)->shard;
        mutex_lock(&shard->mu);
        const enum err_code code = commit_late(a, shard, err);
        mutex_unlock(&shard->mu);
        result = code != ERR_OK ? code : result;
    }
    head_push_exemplars(db, a->exemplars, a->exemplar_count);
    tsdb_appender_rollback(a);
    return result;
}

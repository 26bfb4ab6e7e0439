#include "query/script/fake_storage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/histogram.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/value.h"

struct fake_series {
    struct labels labels;
    uint32_t target_set, metric_set;
    int64_t *ts;
    double *values;
    const struct histogram **histograms; /* NULL where there is a float */
    int64_t *start_ts;
    size_t count, capacity;
    bool has_histograms, has_start_ts;
};

struct fake_storage {
    struct storage storage; /* first: the ops get it */
    struct arena labels;
    struct labels *sets; /* sets[0] is empty */
    uint32_t set_count;
    struct fake_series *series;
    size_t series_count;
    _Atomic int fail_in, cancel_in; /* reads, of any thread; < 0: never */
    enum err_code fail_code;
    struct cancel *cancel;
    int64_t mint, maxt;
};

struct storage_querier {
    struct fake_storage *fs;
    struct arena *arena;
};

struct storage_selection {
    size_t *index; /* into fs->series */
    struct storage_series *series;
    size_t count;
};

struct storage_appender {
    struct fake_storage *fs;
    struct arena arena;
    struct fake_sample {
        struct labels labels;
        int64_t ts_ms;
        double value;
    } * samples;
    size_t count, capacity;
};

/* ---- content ---- */

static uint32_t intern(struct fake_storage *fs, struct labels set) {
    for (uint32_t i = 0; i < fs->set_count; i++) {
        if (labels_eq(fs->sets[i], set)) {
            return i;
        }
    }
    fs->sets = mem_resize(fs->sets, fs->set_count + 1, sizeof(*fs->sets));
    fs->sets[fs->set_count] = set;
    return fs->set_count++;
}

static struct fake_series *series_of(struct fake_storage *fs, struct labels labels) {
    for (size_t i = 0; i < fs->series_count; i++) {
        if (labels_eq(fs->series[i].labels, labels)) {
            return &fs->series[i];
        }
    }
    static const struct str TARGET[] = {STR_INIT("instance"), STR_INIT("job")};
    fs->series = mem_resize(fs->series, fs->series_count + 1, sizeof(*fs->series));
    struct fake_series *s = &fs->series[fs->series_count++];
    *s = (struct fake_series){.labels = labels_copy(&fs->labels, labels)};
    s->target_set = intern(fs, labels_keep(&fs->labels, s->labels, TARGET, COUNT_OF(TARGET)));
    s->metric_set = intern(fs, labels_drop(&fs->labels, s->labels, TARGET, COUNT_OF(TARGET)));
    return s;
}

/* Room for a sample at ts_ms; returns its index. */
static size_t make_room(struct fake_series *s, int64_t ts_ms) {
    size_t at = s->count;
    while (at > 0 && s->ts[at - 1] >= ts_ms) {
        at--;
    }
    if (at < s->count && s->ts[at] == ts_ms) {
        return at;
    }
    if (s->count == s->capacity) {
        s->capacity = mem_grow(s->capacity, s->count + 1);
        s->ts = mem_resize(s->ts, s->capacity, sizeof(*s->ts));
        s->values = mem_resize(s->values, s->capacity, sizeof(*s->values));
        s->histograms = mem_resize(s->histograms, s->capacity, sizeof(struct histogram *));
        s->start_ts = mem_resize(s->start_ts, s->capacity, sizeof(*s->start_ts));
    }
    const size_t behind = s->count - at;
    memmove(s->ts + at + 1, s->ts + at, behind * sizeof(*s->ts));
    memmove(s->values + at + 1, s->values + at, behind * sizeof(*s->values));
    memmove(s->histograms + at + 1, s->histograms + at, behind * sizeof(struct histogram *));
    memmove(s->start_ts + at + 1, s->start_ts + at, behind * sizeof(*s->start_ts));
    s->ts[at] = ts_ms;
    s->count++;
    return at;
}

void fake_storage_put_started(struct fake_storage *fs, struct labels labels, int64_t ts_ms,
                              double value, int64_t start_ms) {
    struct fake_series *s = series_of(fs, labels);
    const size_t at = make_room(s, ts_ms);
    s->values[at] = value;
    s->histograms[at] = NULL;
    s->start_ts[at] = start_ms;
    s->has_start_ts = s->has_start_ts || start_ms != 0;
}

void fake_storage_put(struct fake_storage *fs, struct labels labels, int64_t ts_ms, double value) {
    fake_storage_put_started(fs, labels, ts_ms, value, 0);
}

void fake_storage_put_histogram(struct fake_storage *fs, struct labels labels, int64_t ts_ms,
                                const struct histogram *h, int64_t start_ms) {
    fake_storage_put_started(fs, labels, ts_ms, 0, start_ms);
    struct fake_series *s = series_of(fs, labels);
    const size_t at = make_room(s, ts_ms);
    struct histogram *copy = histogram_copy(&fs->labels, h);
    ASSERT(copy != NULL);
    copy->hint = histogram_stored_hint(h, at > 0 ? s->histograms[at - 1] : NULL);
    s->histograms[at] = copy;
    s->has_histograms = true;
}

/* The piece up to the next of stop, which is skipped. */
static struct str take(const char **at, const char *stop) {
    const size_t n = strcspn(*at, stop);
    const struct str piece = {*at, n};
    *at += n + ((*at)[n] != '\0' ? 1 : 0);
    return piece;
}

static struct labels labels_of_text(struct arena *arena, const char *metric) {
    struct labels_builder b;
    labels_builder_init(&b, arena);
    labels_builder_set(&b, LABEL_NAME, take(&metric, "{"));
    while (*metric != '\0' && *metric != '}') {
        const struct str name = str_trim(take(&metric, "="));
        (void)take(&metric, "\"");
        labels_builder_set(&b, name, take(&metric, "\""));
        metric += strspn(metric, ", ");
    }
    struct labels labels;
    const enum err_code code = labels_builder_finish(&b, &labels, NULL);
    ASSERT(code == ERR_OK);
    return labels;
}

void fake_storage_load(struct fake_storage *fs, int64_t step_ms, const char *metric,
                       const char *values) {
    const struct labels labels = labels_of_text(&fs->labels, metric);
    for (int64_t i = 0; *values != '\0'; i++) {
        const struct str text = take(&values, " ");
        double v = 0;
        if (str_eq(text, STR("stale"))) {
            v = f64_stale();
        } else if (str_eq(text, STR("_")) || number_parse_double(text, &v) != NUMBER_OK) {
            continue;
        }
        fake_storage_put(fs, labels, i * step_ms, v);
    }
}

void fake_storage_clear(struct fake_storage *fs) {
    for (size_t i = 0; i < fs->series_count; i++) {
        mem_free(fs->series[i].ts);
        mem_free(fs->series[i].values);
        mem_free(fs->series[i].histograms);
        mem_free(fs->series[i].start_ts);
    }
    fs->series_count = 0;
    fs->set_count = 1;
    arena_reset(&fs->labels);
}

size_t fake_storage_series_count(const struct fake_storage *fs) {
    return fs->series_count;
}

/* ---- appender ---- */

static enum err_code appender_begin(struct storage *st, struct storage_appender **out,
                                    struct err *err) {
    (void)err;
    struct storage_appender *a = mem_zalloc(sizeof(*a));
    a->fs = (struct fake_storage *)st;
    arena_init(&a->arena, 0);
    *out = a;
    return ERR_OK;
}

static enum err_code append(struct storage_appender *a, struct labels labels, int64_t ts_ms,
                            double value) {
    if (a->count == a->capacity) {
        a->capacity = mem_grow(a->capacity, a->count + 1);
        a->samples = mem_resize(a->samples, a->capacity, sizeof(*a->samples));
    }
    a->samples[a->count++] = (struct fake_sample){labels_copy(&a->arena, labels), ts_ms, value};
    return ERR_OK;
}

static void appender_rollback(struct storage_appender *a) {
    arena_release(&a->arena);
    mem_free(a->samples);
    mem_free(a);
}

static enum err_code appender_commit(struct storage_appender *a, struct err *err) {
    (void)err;
    for (size_t i = 0; i < a->count; i++) {
        fake_storage_put(a->fs, a->samples[i].labels, a->samples[i].ts_ms, a->samples[i].value);
    }
    appender_rollback(a);
    return ERR_OK;
}

/* ---- querier ---- */

static enum err_code querier_open(struct storage *st, int64_t mint, int64_t maxt,
                                  struct arena *arena, const struct cancel *cancel,
                                  struct storage_querier **out, struct err *err) {
    (void)cancel;
    (void)err;
    struct storage_querier *q = arena_alloc(arena, sizeof(*q));
    *q = (struct storage_querier){(struct fake_storage *)st, arena};
    q->fs->mint = mint;
    q->fs->maxt = maxt;
    *out = q;
    return ERR_OK;
}

/* qsort has no context: the fakes are small enough for an insertion sort. */
static void sort_by_labels(const struct fake_storage *fs, size_t *index, size_t count) {
    for (size_t i = 1; i < count; i++) {
        for (size_t j = i;
             j > 0 && labels_cmp(fs->series[index[j]].labels, fs->series[index[j - 1]].labels) < 0;
             j--) {
            const size_t swapped = index[j];
            index[j] = index[j - 1];
            index[j - 1] = swapped;
        }
    }
}

static enum err_code select_series(struct storage_querier *q, const struct matcher *matchers,
                                   size_t n, const struct storage_select_hints *hints,
                                   struct storage_selection **out, struct err *err) {
    struct fake_storage *fs = q->fs;
    struct storage_selection *sel = arena_zalloc(q->arena, sizeof(*sel));
    sel->index = arena_alloc(q->arena, (fs->series_count + 1) * sizeof(*sel->index));
    sel->series = arena_alloc(q->arena, (fs->series_count + 1) * sizeof(*sel->series));
    for (size_t i = 0; i < fs->series_count; i++) {
        bool matched = false;
        const enum err_code code = matchers_match(matchers, n, fs->series[i].labels, &matched, err);
        if (code != ERR_OK) {
            return code;
        }
        if (matched) {
            sel->index[sel->count++] = i;
        }
    }
    if (hints != NULL && hints->sorted) {
        sort_by_labels(fs, sel->index, sel->count);
    }
    for (size_t i = 0; i < sel->count; i++) {
        const struct fake_series *s = &fs->series[sel->index[i]];
        sel->series[i] = (struct storage_series){s->target_set, s->metric_set, sel->index[i]};
    }
    *out = sel;
    return ERR_OK;
}

static const struct storage_series *selection_series(const struct storage_selection *sel,
                                                     size_t *out_count) {
    *out_count = sel->count;
    return sel->series;
}

static struct labels set_labels(struct storage_querier *q, uint32_t set) {
    return q->fs->sets[set];
}

static enum err_code read_one(const struct fake_series *s, int64_t mint, int64_t maxt,
                              struct arena *scratch, struct storage_samples *out, struct err *err) {
    size_t low = 0;
    size_t high = s->count;
    while (low < high && s->ts[low] < mint) {
        low++;
    }
    while (high > low && s->ts[high - 1] > maxt) {
        high--;
    }
    const size_t n = high - low;
    int64_t *ts = arena_try_alloc(scratch, n, sizeof(*ts));
    double *values = arena_try_alloc(scratch, n, sizeof(*values));
    if (ts == NULL || values == NULL) {
        return err_set(err, ERR_LIMIT, "scratch of the query is full");
    }
    *out = (struct storage_samples){.ts = ts, .values = values, .count = n};
    if (s->has_histograms) {
        out->histograms = s->histograms + low;
    }
    if (s->has_start_ts) {
        out->start_ts = s->start_ts + low;
    }
    for (size_t i = 0; i < n; i++) {
        ts[i] = s->ts[low + i];
        values[i] = s->values[low + i];
        out->has_stale = out->has_stale || f64_is_stale(values[i]);
    }
    return ERR_OK;
}

static enum err_code read_series(struct storage_querier *q, const struct storage_selection *sel,
                                 size_t first, size_t count, int64_t mint, int64_t maxt,
                                 struct arena *scratch, struct storage_samples *out,
                                 struct err *err) {
    struct fake_storage *fs = q->fs;
    if (fs->cancel_in >= 0 && fs->cancel_in-- == 0) {
        cancel_raise(fs->cancel);
    }
    if (fs->fail_in >= 0 && fs->fail_in-- == 0) {
        return err_set(err, fs->fail_code, "reading failed as asked");
    }
    for (size_t i = 0; i < count; i++) {
        const enum err_code code =
            read_one(&fs->series[sel->index[first + i]], mint, maxt, scratch, &out[i], err);
        if (code != ERR_OK) {
            return code;
        }
        const struct storage_samples *before = i > 0 ? &out[i - 1] : NULL;
        if (before != NULL && before->count == out[i].count &&
            memcmp(before->ts, out[i].ts, out[i].count * sizeof(*out[i].ts)) == 0) {
            out[i].ts = before->ts;
        }
    }
    return ERR_OK;
}

/* ---- object ---- */

/* Adds s to a sorted list of distinct texts. */
static void add_text(struct str *list, size_t *count, struct str s) {
    size_t at = 0;
    while (at < *count && str_cmp(list[at], s) < 0) {
        at++;
    }
    if (at < *count && str_eq(list[at], s)) {
        return;
    }
    memmove(list + at + 1, list + at, (*count - at) * sizeof(*list));
    list[at] = s;
    (*count)++;
}

/* Names, or the values of one label if name is not empty, of the series that match. */
static enum err_code list_texts(struct storage_querier *q, struct str name,
                                const struct matcher *matchers, size_t n, size_t limit,
                                struct str **out, size_t *out_count, struct err *err) {
    struct fake_storage *fs = q->fs;
    size_t room = 0;
    for (size_t i = 0; i < fs->series_count; i++) {
        room += labels_count(fs->series[i].labels);
    }
    struct str *list = arena_alloc(q->arena, (room + 1) * sizeof(*list));
    size_t count = 0;
    for (size_t i = 0; i < fs->series_count; i++) {
        bool matched = false;
        const enum err_code code = matchers_match(matchers, n, fs->series[i].labels, &matched, err);
        if (code != ERR_OK) {
            return code;
        }
        struct labels_iter it = labels_begin(fs->series[i].labels);
        struct label l;
        while (matched && labels_next(&it, &l)) {
            if (name.len == 0 || str_eq(name, l.name)) {
                add_text(list, &count, name.len == 0 ? l.name : l.value);
            }
        }
    }
    *out = list;
    *out_count = limit != 0 && count > limit ? limit : count;
    return ERR_OK;
}

static enum err_code label_names(struct storage_querier *q, const struct matcher *matchers,
                                 size_t n, size_t limit, struct str **out, size_t *out_count,
                                 struct err *err) {
    return list_texts(q, STR(""), matchers, n, limit, out, out_count, err);
}

static enum err_code label_values(struct storage_querier *q, struct str name,
                                  const struct matcher *matchers, size_t n, size_t limit,
                                  struct str **out, size_t *out_count, struct err *err) {
    return list_texts(q, name, matchers, n, limit, out, out_count, err);
}

static void stats(struct storage *st, struct storage_stats *out) {
    const struct fake_storage *fs = (const struct fake_storage *)st;
    *out = (struct storage_stats){
        .series_count = fs->series_count, .min_time_ms = INT64_MAX, .max_time_ms = INT64_MIN};
}

static const struct storage_ops OPS = {
    .appender_begin = appender_begin,
    .append = append,
    .appender_commit = appender_commit,
    .appender_rollback = appender_rollback,
    .querier_open = querier_open,
    .select = select_series,
    .selection_series = selection_series,
    .set_labels = set_labels,
    .read = read_series,
    .label_names = label_names,
    .label_values = label_values,
    .stats = stats,
};

struct fake_storage *fake_storage_new(void) {
    struct fake_storage *fs = mem_zalloc(sizeof(*fs));
    fs->storage.ops = &OPS;
    fs->fail_in = -1;
    fs->cancel_in = -1;
    arena_init(&fs->labels, 0);
    (void)intern(fs, (struct labels){0});
    return fs;
}

void fake_storage_free(struct fake_storage *fs) {
    if (fs == NULL) {
        return;
    }
    fake_storage_clear(fs);
    arena_release(&fs->labels);
    mem_free(fs->series);
    mem_free(fs->sets);
    mem_free(fs);
}

struct storage *fake_storage_as_storage(struct fake_storage *fs) {
    return &fs->storage;
}

void fake_storage_fail_read(struct fake_storage *fs, int n, enum err_code code) {
    fs->fail_in = n;
    fs->fail_code = code;
}

void fake_storage_cancel_at_read(struct fake_storage *fs, int n, struct cancel *cancel) {
    fs->cancel_in = n;
    fs->cancel = cancel;
}

void fake_storage_seen_range(const struct fake_storage *fs, int64_t *mint, int64_t *maxt) {
    *mint = fs->mint;
    *maxt = fs->maxt;
}

/* SERIES are numbered as prom_set does, in the order of their labels; number n is the metric set
 * n + 1 of every querier, the target set is empty. prom_postings tells which may match. THE LOG is read
 * once, at the opening, and kept as chunks. CONCURRENCY: mu guards the set, its blocks' scratch memory
 * and the list of samples; everything else is constant once open. */
#include "tsdb/prom_storage.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/mutex.h"
#include "base/value.h"
#include "tsdb/prom_db.h"
#include "tsdb/prom_head_chunks.h"
#include "tsdb/prom_postings.h"
#include "tsdb/prom_set.h"
#include "tsdb/storage_dump.h"

enum {
    SERIES_SAMPLES_MAX = 64 << 20, /* of one read */
    LOG_SAMPLES_MAX = 16 << 20,    /* of the log at once, while opening */
    CANCEL_EVERY = 4096,           /* series looked at between two looks at cancel */
};

#define HISTOGRAM_BYTES_MAX ((size_t)1 << 30)
#define LOG_BYTES_MAX ((size_t)8 << 30)

struct prom_storage {
    struct storage base;
    struct prom_db db;
    uint32_t series_count;
    struct prom_head_chunks log;
    struct prom_postings *postings;
    uint64_t chunk_count;
    uint64_t disk_bytes;
    int64_t mint;
    int64_t maxt;
    struct mutex mu;
    /* under mu */
    struct prom_set *set;
    struct prom_samples samples;
    struct arena histograms;
};

struct storage_querier {
    struct prom_storage *ps;
    struct arena *arena;
    const struct cancel *cancel;
    int64_t mint;
    int64_t maxt;
};

struct storage_selection {
    struct storage_series *series;
    size_t count;
};

static struct prom_storage *storage_of(struct storage *st) {
    return (struct prom_storage *)st; /* base is the first member */
}

/* ---- the log ---- */

static enum err_code keep_series(struct prom_storage *ps, uint32_t series, struct err *err) {
    size_t n;
    const struct prom_sample *loaded = prom_set_loaded(ps->set, series, &n);
    ps->samples.count = 0;
    for (size_t i = 0; i < n; i++) {
        if (prom_samples_add_sample(&ps->samples, &loaded[i]) != ERR_OK) {
            return err_set(err, ERR_LIMIT, "more than %d samples of one series",
                           SERIES_SAMPLES_MAX);
        }
    }
    prom_samples_order(&ps->samples);
    return prom_head_chunks_add(&ps->log, series, &ps->samples, err);
}

/* As many series at once as the log's samples in memory allow. */
static enum err_code keep_log(struct prom_storage *ps, size_t samples_max, struct err *err) {
    uint32_t step = ps->series_count;
    enum err_code code = ERR_OK;
    prom_head_limit(ps->db.head, samples_max != 0 ? samples_max : LOG_SAMPLES_MAX);
    for (uint32_t first = 0; code == ERR_OK && first < ps->series_count;) {
        int64_t next_ms;
        const uint32_t last = ps->series_count - first > step ? first + step : ps->series_count;
        code = prom_set_load(ps->set, first, last, INT64_MIN, INT64_MAX, &next_ms, err);
        if (code == ERR_LIMIT && step > 1) {
            step /= 2;
            code = ERR_OK;
            continue;
        }
        for (; code == ERR_OK && first < last; first++) {
            code = keep_series(ps, first, err);
        }
    }
    prom_set_unload(ps->set);
    return code;
}

/* ---- opening ---- */

struct looking {
    bool found;
};

static bool look_at(void *ctx, const char *name) {
    struct looking *l = ctx;
    l->found = l->found || prom_is_ulid(str_of(name)) || strcmp(name, "chunks_head") == 0;
    return true;
}

bool prom_storage_is_there(struct vfs *vfs, const char *path) {
    struct looking l = {false};
    return !storage_is_database(vfs, path) && vfs_list(vfs, path, look_at, &l, NULL) == ERR_OK &&
           l.found;
}

static void note_times(struct prom_storage *ps) {
    const struct prom_head_stats *head = prom_head_stats(ps->db.head);
    ps->mint = head->min_ms;
    ps->maxt = head->max_ms;
    for (size_t i = 0; i < ps->db.block_count; i++) {
        const struct prom_block_meta *meta = &ps->db.blocks[i].meta;
        uint64_t bytes = 0;
        if (prom_block_size(ps->db.vfs, ps->db.blocks[i].dir, &bytes, NULL) == ERR_OK) {
            ps->disk_bytes += bytes;
        }
        ps->chunk_count += meta->chunk_count;
        ps->mint = meta->mint < ps->mint ? meta->mint : ps->mint;
        ps->maxt = meta->maxt > ps->maxt ? meta->maxt - 1 : ps->maxt;
    }
}

static const struct storage_ops OPS;

enum err_code prom_storage_open(const struct prom_storage_options *options,
                                struct prom_storage **out, struct err *err) {
    struct prom_storage *ps = mem_zalloc(sizeof(*ps));
    ps->base.ops = &OPS;
    mutex_init(&ps->mu);
    arena_init(&ps->histograms, HISTOGRAM_BYTES_MAX);
    prom_samples_init(&ps->samples, SERIES_SAMPLES_MAX);
    ps->samples.arena = &ps->histograms;
    enum err_code code =
        prom_db_init(&ps->db, options->vfs, options->path, true, options->log, err);
    if (code == ERR_OK) {
        code = prom_set_open(&ps->db, 0, ps->db.block_count, true, PROM_BY_LABELS, &ps->set, err);
    }
    if (code == ERR_OK) {
        note_times(ps);
        ps->series_count = prom_set_count(ps->set);
        prom_head_chunks_init(&ps->log, ps->series_count,
                              options->log_bytes_max != 0 ? options->log_bytes_max : LOG_BYTES_MAX);
        code = prom_postings_new(ps->set, &ps->postings, err);
    }
    if (code == ERR_OK) {
        code = keep_log(ps, options->log_samples_max, err);
    }
    if (code != ERR_OK) {
        prom_storage_close(ps);
        return err_wrap(err, "opening %s", options->path);
    }
    *out = ps;
    return ERR_OK;
}

void prom_storage_close(struct prom_storage *ps) {
    if (ps == NULL) {
        return;
    }
    prom_postings_free(ps->postings);
    prom_set_close(ps->set);
    prom_db_release(&ps->db);
    prom_samples_release(&ps->samples);
    arena_release(&ps->histograms);
    prom_head_chunks_release(&ps->log);
    mutex_release(&ps->mu);
    mem_free(ps);
}

struct storage *prom_storage_as_storage(struct prom_storage *ps) {
    return &ps->base;
}

/* ---- finding series ---- */

static enum err_code op_querier_open(struct storage *st, int64_t mint, int64_t maxt,
                                     struct arena *arena, const struct cancel *cancel,
                                     struct storage_querier **out, struct err *err) {
    struct storage_querier *q = arena_try_alloc(arena, 1, sizeof(*q));
    if (q == NULL) {
        return err_set(err, ERR_LIMIT, "the query passes its memory limit");
    }
    *q = (struct storage_querier){storage_of(st), arena, cancel, mint, maxt};
    *out = q;
    return ERR_OK;
}

static bool has_samples(const struct storage_querier *q, uint32_t series) {
    return prom_head_chunks_overlap(&q->ps->log, series, q->mint, q->maxt) ||
           prom_set_overlaps(q->ps->set, series, q->mint, q->maxt);
}

/* Series that may match, from the first on. */
struct candidates {
    uint32_t *ids; /* NULL: all of them; owned */
    size_t count;
    size_t at;
};

static enum err_code candidates_init(struct storage_querier *q, const struct matcher *matchers,
                                     size_t n, struct candidates *out, struct err *err) {
    *out = (struct candidates){0};
    const enum err_code code =
        prom_postings_find(q->ps->postings, matchers, n, &out->ids, &out->count, err);
    if (code == ERR_OK && out->ids == NULL) {
        out->count = q->ps->series_count;
    }
    return code;
}

/* The next one that matches and has samples; ERR_OK and *out_found false at the end. */
static enum err_code next_match(struct storage_querier *q, const struct matcher *matchers, size_t n,
                                struct candidates *c, uint32_t *out, bool *out_found,
                                struct err *err) {
    *out_found = false;
    while (c->at < c->count) {
        const uint32_t series = c->ids != NULL ? c->ids[c->at] : (uint32_t)c->at;
        bool matches = false;
        enum err_code code = c->at++ % CANCEL_EVERY == 0 ? cancel_check(q->cancel) : ERR_OK;
        if (code != ERR_OK) {
            return err_set(err, code, "the query was stopped while it looked for series");
        }
        if (has_samples(q, series)) {
            code = matchers_match(matchers, n, prom_set_labels(q->ps->set, series), &matches, err);
        }
        if (code != ERR_OK || matches) {
            *out = series;
            *out_found = matches;
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code op_select(struct storage_querier *q, const struct matcher *matchers, size_t n,
                               const struct storage_select_hints *hints,
                               struct storage_selection **out, struct err *err) {
    const size_t limit = hints != NULL && hints->limit != 0 ? hints->limit : SIZE_MAX;
    struct storage_selection *sel = arena_try_alloc(q->arena, 1, sizeof(*sel));
    struct storage_series *found = NULL;
    size_t capacity = 0;
    size_t count = 0;
    struct candidates candidates;
    uint32_t at = 0;
    enum err_code code = candidates_init(q, matchers, n, &candidates, err);
    for (bool more = true; code == ERR_OK && count < limit;) {
        code = next_match(q, matchers, n, &candidates, &at, &more, err);
        if (code != ERR_OK || !more) {
            break;
        }
        if (count == capacity) {
            capacity = mem_grow(capacity, count + 1);
            found = mem_resize(found, capacity, sizeof(*found));
        }
        found[count++] = (struct storage_series){.metric_set = at + 1, .ref = at};
    }
    struct storage_series *series =
        code == ERR_OK ? arena_try_alloc(q->arena, count + 1, sizeof(*series)) : NULL;
    if (code == ERR_OK && (sel == NULL || series == NULL)) {
        code = err_set(err, ERR_LIMIT, "the query passes its memory limit");
    }
    if (code == ERR_OK) {
        if (count != 0) {
            memcpy(series, found, count * sizeof(*series));
        }
        *sel = (struct storage_selection){series, count};
        *out = sel;
    }
    mem_free(candidates.ids);
    mem_free(found);
    return code;
}

static const struct storage_series *op_selection_series(const struct storage_selection *sel,
                                                        size_t *out_count) {
    *out_count = sel->count;
    return sel->series;
}

static struct labels op_set_labels(struct storage_querier *q, uint32_t set) {
    return set == 0 ? (struct labels){0} : prom_set_labels(q->ps->set, set - 1);
}

/* ---- samples ---- */

static enum err_code over_budget(struct err *err) {
    return err_set(err, ERR_LIMIT, "the samples of a series pass the memory limit of the query");
}

/* The hints as a store of ours would give them, which remembers what came before. */
static const struct histogram *copy_histogram(struct arena *arena, const struct prom_sample *s,
                                              const struct histogram *before) {
    struct histogram *h = histogram_copy(arena, s->histogram);
    if (h != NULL) {
        h->hint = histogram_stored_hint(s->histogram, before);
        h->float_counts = s->value != 0;
    }
    return h;
}

static enum err_code hand_out_starts(const struct prom_samples *list, struct arena *arena,
                                     struct storage_samples *out, struct err *err) {
    int64_t *starts = NULL;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].start_ms != 0 && starts == NULL) {
            starts = arena_try_alloc(arena, list->count, sizeof(*starts));
            if (starts == NULL) {
                return over_budget(err);
            }
            memset(starts, 0, list->count * sizeof(*starts));
        }
        if (starts != NULL) {
            starts[i] = list->items[i].start_ms;
        }
    }
    out->start_ts = starts;
    return ERR_OK;
}

static enum err_code hand_out(const struct prom_samples *list, struct arena *arena,
                              struct storage_samples *out, struct err *err) {
    const size_t n = list->count;
    int64_t *ts = arena_try_alloc(arena, n + 1, sizeof(*ts));
    double *values = arena_try_alloc(arena, n + 1, sizeof(*values));
    const struct histogram **histograms = NULL;
    *out = (struct storage_samples){.ts = ts, .values = values, .count = n};
    if (ts == NULL || values == NULL) {
        return over_budget(err);
    }
    for (size_t i = 0; i < n; i++) {
        const struct prom_sample *s = &list->items[i];
        ts[i] = s->ts_ms;
        values[i] = s->histogram == NULL ? s->value : s->histogram->sum;
        out->has_stale = out->has_stale || f64_is_stale(values[i]);
        if (s->histogram == NULL) {
            continue;
        }
        if (histograms == NULL) {
            histograms = arena_try_alloc(arena, n + 1, sizeof(*histograms));
            if (histograms == NULL) {
                return over_budget(err);
            }
            memset(histograms, 0, (n + 1) * sizeof(*histograms));
        }
        const struct histogram *before = i != 0 ? list->items[i - 1].histogram : NULL;
        histograms[i] =
            copy_histogram(arena, s, before != NULL && !f64_is_stale(before->sum) ? before : NULL);
        if (histograms[i] == NULL) {
            return over_budget(err);
        }
    }
    out->histograms = histograms;
    return hand_out_starts(list, arena, out, err);
}

static enum err_code op_read(struct storage_querier *q, const struct storage_selection *sel,
                             size_t first, size_t count, int64_t mint, int64_t maxt,
                             struct arena *scratch, struct storage_samples *out, struct err *err) {
    struct prom_storage *ps = q->ps;
    enum err_code code = cancel_check(q->cancel);
    if (code != ERR_OK) {
        return err_set(err, code, "the query was stopped while it read samples");
    }
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        const uint32_t series = (uint32_t)sel->series[first + i].ref;
        struct prom_read_result read = {.next_ms = INT64_MAX};
        mutex_lock(&ps->mu);
        prom_set_range(ps->set, mint, maxt);
        code = prom_set_read(ps->set, series, &ps->samples, &read, err);
        if (code == ERR_OK) {
            code = prom_head_chunks_read(&ps->log, series, mint, maxt, &ps->samples, err);
            prom_samples_order(&ps->samples);
        }
        code = code == ERR_OK ? hand_out(&ps->samples, scratch, &out[i], err) : code;
        mutex_unlock(&ps->mu);
    }
    return code;
}

/* ---- names and values ---- */

static int by_text(const void *a, const void *b) {
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

struct collection { /* sorted and unique up to the last doubling */
    struct str *items;
    size_t count;
    size_t capacity;
};

static void tidy(struct collection *c) {
    size_t kept = 0;
    if (c->count != 0) {
        qsort(c->items, c->count, sizeof(*c->items), by_text);
    }
    for (size_t i = 0; i < c->count; i++) {
        if (kept == 0 || !str_eq(c->items[kept - 1], c->items[i])) {
            c->items[kept++] = c->items[i];
        }
    }
    c->count = kept;
}

static void collect(struct collection *c, struct str text) {
    if (c->count != 0 && str_eq(c->items[c->count - 1], text)) {
        return;
    }
    if (c->count == c->capacity) {
        tidy(c);
        if (c->count >= c->capacity / 2) {
            c->capacity = mem_grow(c->capacity, c->capacity * 2 + 64);
            c->items = mem_resize(c->items, c->capacity, sizeof(*c->items));
        }
    }
    c->items[c->count++] = text;
}

static void collect_from(struct collection *c, struct labels labels, const struct str *name) {
    struct labels_iter it = labels_begin(labels);
    struct label pair;
    while (labels_next(&it, &pair)) {
        if (name == NULL) {
            collect(c, pair.name);
        } else if (str_eq(pair.name, *name)) {
            collect(c, pair.value);
        }
    }
}

static bool pair_has_samples(const struct storage_querier *q, const struct prom_pair *pair) {
    struct id_list_iter it;
    struct cursor from;
    uint32_t start;
    uint32_t end;
    prom_postings_series(q->ps->postings, pair, &from, &it);
    while (id_list_next(&it, &start, &end)) {
        for (; start < end; start++) {
            if (has_samples(q, start)) {
                return true;
            }
        }
    }
    return false;
}

/* Without matchers: pairs tell, and one series with samples is enough for each. */
static enum err_code collect_pairs(struct collection *c, const struct storage_querier *q,
                                   const struct str *name, struct err *err) {
    const struct prom_postings *postings = q->ps->postings;
    size_t count;
    const struct prom_pair *pairs = prom_postings_pairs(postings, &count);
    const size_t first = name != NULL ? prom_postings_first(postings, *name) : 0;
    const size_t last = name != NULL ? prom_postings_last(postings, *name) : count;
    for (size_t i = first; i < last; i++) {
        const enum err_code code = i % CANCEL_EVERY == 0 ? cancel_check(q->cancel) : ERR_OK;
        if (code != ERR_OK) {
            return err_set(err, code, "the query was stopped while it looked for labels");
        }
        const struct str text = name != NULL ? pairs[i].value : pairs[i].name;
        const bool known = c->count != 0 && str_eq(c->items[c->count - 1], text);
        if (!known && pair_has_samples(q, &pairs[i])) {
            collect(c, text);
        }
    }
    return ERR_OK;
}

static enum err_code collect_matching(struct collection *c, struct storage_querier *q,
                                      const struct str *name, const struct matcher *matchers,
                                      size_t n, struct err *err) {
    struct candidates candidates;
    uint32_t at = 0;
    enum err_code code = candidates_init(q, matchers, n, &candidates, err);
    for (bool more = true; code == ERR_OK && more;) {
        code = next_match(q, matchers, n, &candidates, &at, &more, err);
        if (code == ERR_OK && more) {
            collect_from(c, prom_set_labels(q->ps->set, at), name);
        }
    }
    mem_free(candidates.ids);
    return code;
}

/* name NULL: the names. Strings are the set's, which outlives the querier. */
static enum err_code list_strings(struct storage_querier *q, const struct str *name,
                                  const struct matcher *matchers, size_t n, size_t limit,
                                  struct str **out, size_t *out_count, struct err *err) {
    struct collection c = {0};
    enum err_code code =
        n == 0 ? collect_pairs(&c, q, name, err) : collect_matching(&c, q, name, matchers, n, err);
    tidy(&c);
    const size_t count = limit != 0 && c.count > limit ? limit : c.count;
    struct str *items =
        code == ERR_OK ? arena_try_alloc(q->arena, count + 1, sizeof(*items)) : NULL;
    if (code == ERR_OK && items == NULL) {
        code = err_set(err, ERR_LIMIT, "the query passes its memory limit");
    }
    if (code == ERR_OK) {
        if (count != 0) {
            memcpy(items, c.items, count * sizeof(*items));
        }
        *out = items;
        *out_count = count;
    }
    mem_free(c.items);
    return code;
}

static enum err_code op_label_names(struct storage_querier *q, const struct matcher *matchers,
                                    size_t n, size_t limit, struct str **out, size_t *out_count,
                                    struct err *err) {
    return list_strings(q, NULL, matchers, n, limit, out, out_count, err);
}

static enum err_code op_label_values(struct storage_querier *q, struct str name,
                                     const struct matcher *matchers, size_t n, size_t limit,
                                     struct str **out, size_t *out_count, struct err *err) {
    return list_strings(q, &name, matchers, n, limit, out, out_count, err);
}

static void op_stats(struct storage *st, struct storage_stats *out) {
    const struct prom_storage *ps = storage_of(st);
    *out = (struct storage_stats){.series_count = ps->series_count,
                                  .chunk_count = ps->chunk_count + ps->log.chunk_count,
                                  .min_time_ms = ps->mint,
                                  .max_time_ms = ps->maxt,
                                  .disk_bytes = ps->disk_bytes};
}

/* ---- writing: refused ---- */

static enum err_code refuse(struct err *err) {
    return err_set(err, ERR_UNSUPPORTED, "the data of Prometheus is opened for reading only");
}

static uint32_t op_shard_count(struct storage *st) {
    (void)st;
    return 1;
}

static enum err_code op_group_open(struct storage *st, uint32_t shard, struct labels target,
                                   struct storage_group **out, struct err *err) {
    (void)st;
    (void)shard;
    (void)target;
    (void)out;
    return refuse(err);
}

static enum err_code op_group_series(struct storage_group *g, struct labels labels,
                                     uint32_t *out_slot, struct err *err) {
    (void)g;
    (void)labels;
    (void)out_slot;
    return refuse(err);
}

static uint32_t op_group_slot_count(const struct storage_group *g) {
    (void)g;
    return 0;
}

static enum err_code op_group_commit(struct storage_group *g, const struct storage_row *row,
                                     struct storage_row_result *out, struct err *err) {
    (void)g;
    (void)row;
    (void)out;
    return refuse(err);
}

static void op_group_close(struct storage_group *g) {
    (void)g;
}

static enum err_code op_appender_begin(struct storage *st, struct storage_appender **out,
                                       struct err *err) {
    (void)st;
    (void)out;
    return refuse(err);
}

static enum err_code op_append(struct storage_appender *a, struct labels labels, int64_t ts_ms,
                               double value) {
    (void)a;
    (void)labels;
    (void)ts_ms;
    (void)value;
    return ERR_UNSUPPORTED;
}

static enum err_code op_appender_commit(struct storage_appender *a, struct err *err) {
    (void)a;
    return refuse(err);
}

static void op_appender_rollback(struct storage_appender *a) {
    (void)a;
}

static const struct storage_ops OPS = {
    .shard_count = op_shard_count,
    .group_open = op_group_open,
    .group_series = op_group_series,
    .group_slot_count = op_group_slot_count,
    .group_commit = op_group_commit,
    .group_close = op_group_close,
    .appender_begin = op_appender_begin,
    .append = op_append,
    .appender_commit = op_appender_commit,
    .appender_rollback = op_appender_rollback,
    .querier_open = op_querier_open,
    .select = op_select,
    .selection_series = op_selection_series,
    .set_labels = op_set_labels,
    .read = op_read,
    .label_names = op_label_names,
    .label_values = op_label_values,
    .stats = op_stats,
};

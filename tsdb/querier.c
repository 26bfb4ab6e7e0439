/* Selecting and reading series, of the head and of partitions.
 *
 * A selection is a list of series; a series has one or more places: its slot in a group of the head,
 * a series of each partition that has samples of it, and more of them for a pushed series that was
 * moved, a target that came back with other target labels, two targets that claim the same series.
 * Places with equal labels are merged; of samples of the same time the first place's stays, in the
 * order of enum place_kind.
 *
 * A querier holds a view: the partitions that were live when it was opened, and with them the
 * knowledge which sealed runs of the head they replace (view.h). What a damaged partition cannot
 * say is left out; the partition reports it. */
#include <string.h>

#include "tsdb/label_order.h"
#include "tsdb/querier_impl.h"
#include "tsdb/tsdb_ops.h"

static void release_tombstones(void *t) {
    tombstones_unref(t);
}

static void release_querier(void *querier) {
    struct storage_querier *q = querier;
    view_unref(q->view);
    index_unpin(&q->db->index, q->tables);
}

enum err_code tsdb_querier_open(struct storage *st, int64_t mint, int64_t maxt, struct arena *arena,
                                const struct cancel *cancel, struct storage_querier **out,
                                struct err *err) {
    struct storage_querier *q = arena_try_alloc(arena, 1, sizeof(*q));
    if (q == NULL) {
        return err_set(err, ERR_LIMIT, "query needs more memory than its budget");
    }
    *q = (struct storage_querier){
        .db = (struct tsdb *)st,
        .min_ts_ms = mint,
        .max_ts_ms = maxt,
        .arena = arena,
        .cancel = cancel,
    };
    q->tombstones = tsdb_tombstones(q->db);
    if (q->tombstones != NULL) {
        arena_link(arena, release_tombstones, q->tombstones);
    }
    q->tables = index_pin(&q->db->index); /* before the view: what these lack is in partitions */
    q->view = view_ref_newest(&q->db->views);
    arena_link(arena, release_querier, q);
    *out = q;
    return ERR_OK;
}

enum err_code tsdb_exemplars(struct storage_querier *q, const struct matcher *matchers, size_t n,
                             struct storage_exemplar_series **out, size_t *out_count,
                             struct err *err) {
    return exemplars_select(notes_exemplars(q->db->notes), matchers, n, q->min_ts_ms, q->max_ts_ms,
                            q->arena, out, out_count, err);
}

void querier_begin_scratch(const struct storage_querier *q, struct arena *scratch) {
    const size_t budget = q->arena->budget_bytes;
    const size_t used = q->arena->used_bytes + (q->scratch != NULL ? q->scratch->used_bytes : 0);
    arena_init(scratch, budget == 0 ? 0 : budget > used ? budget - used : 1);
    scratch->pool = q->arena->pool;
}

enum err_code querier_stopped(const struct storage_querier *q, struct err *err) {
    const enum err_code code = cancel_check(q->cancel);
    return code == ERR_OK ? ERR_OK : err_set(err, code, "query stopped while it looked for series");
}

/* ---- building a selection ---- */

static struct storage_series series_from(const struct querier_hit *hit) {
    return (struct storage_series){
        .target_set = hit->target,
        .metric_set = hit->metric,
        .ref = (uint64_t)hit->place.source << 32 | hit->place.slot,
    };
}

/* Several hits per series: places of one series next to each other. */
static enum err_code fill_merged(struct storage_querier *q, struct storage_selection *sel,
                                 const struct querier_hits *hits, bool alike, struct err *err) {
    const size_t n = hits->count;
    uint32_t *series_of = arena_try_alloc(q->scratch, n, sizeof(*series_of));
    if (series_of == NULL) {
        return querier_over_budget(err);
    }
    const enum err_code code = querier_group_equal(q, hits, alike, series_of, &sel->count, err);
    if (code != ERR_OK) {
        return code;
    }
    sel->first_place = arena_try_alloc(q->arena, sel->count + 2, sizeof(*sel->first_place));
    sel->series = arena_try_alloc(q->arena, sel->count + 1, sizeof(*sel->series));
    if (sel->first_place == NULL || sel->series == NULL) {
        return querier_over_budget(err);
    }
    uint32_t *first = sel->first_place;
    memset(first, 0, (sel->count + 2) * sizeof(*first));
    for (size_t i = 0; i < n; i++) {
        first[series_of[i] + 2]++;
    }
    for (size_t i = 2; i < sel->count + 2; i++) {
        first[i] += first[i - 1];
    }
    size_t seen = 0;
    for (size_t i = 0; i < n; i++) { /* afterwards first[s + 1] is the end of series s */
        const uint32_t s = series_of[i];
        if (s == seen) {
            sel->series[seen++] = series_from(&hits->items[i]);
        }
        sel->places[first[s + 1]++] = hits->items[i].place;
    }
    return ERR_OK;
}

/* The place list for another order of the series. */
static enum err_code permute(struct storage_querier *q, struct storage_selection *sel,
                             const uint32_t *order, struct err *err) {
    const size_t n = sel->count;
    const size_t place_count = sel->first_place != NULL ? sel->first_place[n] : n;
    struct storage_series *series = arena_try_alloc(q->arena, n, sizeof(*series));
    struct place *places = arena_try_alloc(q->arena, place_count, sizeof(*places));
    uint32_t *first =
        sel->first_place != NULL ? arena_try_alloc(q->arena, n + 1, sizeof(*first)) : NULL;
    if (series == NULL || places == NULL || (sel->first_place != NULL && first == NULL)) {
        return querier_over_budget(err);
    }
    uint32_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t s = order[i];
        series[i] = sel->series[s];
        const uint32_t from = sel->first_place != NULL ? sel->first_place[s] : s;
        const uint32_t to = sel->first_place != NULL ? sel->first_place[s + 1] : s + 1;
        if (first != NULL) {
            first[i] = at;
        }
        for (uint32_t p = from; p < to; p++) {
            places[at++] = sel->places[p];
        }
    }
    if (first != NULL) {
        first[n] = at;
    }
    *sel = (struct storage_selection){
        .series = series, .first_place = first, .places = places, .count = n};
    return ERR_OK;
}

static struct labels labels_of_set(void *querier, uint32_t set) {
    return tsdb_set_labels(querier, set);
}

static enum err_code sort_selection(struct storage_querier *q, struct storage_selection *sel,
                                    struct err *err) {
    struct arena scratch;
    querier_begin_scratch(q, &scratch);
    const struct label_order_source source = {.series = sel->series,
                                              .count = sel->count,
                                              .set_labels = labels_of_set,
                                              .ctx = q,
                                              .seed = q->db->index.seed};
    uint32_t *order = arena_try_alloc(&scratch, sel->count, sizeof(*order));
    enum err_code code =
        order != NULL ? label_order_sort(&source, &scratch, q->cancel, order) : ERR_LIMIT;
    if (code == ERR_OK) {
        code = permute(q, sel, order, err);
    } else if (code == ERR_LIMIT) {
        code = querier_over_budget(err);
    } else {
        code = err_set(err, code, "query stopped while it sorted its series");
    }
    arena_release(&scratch);
    return code;
}

/* Has a series of which something is deleted another sample in the querier's range? */
static enum err_code is_left(struct storage_querier *q, const struct storage_selection *sel,
                             size_t series, bool *out, struct err *err) {
    struct arena scratch;
    struct storage_samples samples;
    arena_init(&scratch, q->arena->budget_bytes);
    const enum err_code code =
        tsdb_read(q, sel, series, 1, q->min_ts_ms, q->max_ts_ms, &scratch, &samples, err);
    *out = code == ERR_OK && samples.count != 0;
    arena_release(&scratch);
    return code;
}

static void move_series(struct storage_selection *sel, size_t from, size_t to) {
    sel->series[to] = sel->series[from];
    sel->deleted[to] = sel->deleted[from];
    if (sel->first_place == NULL) {
        sel->places[to] = sel->places[from];
        return;
    }
    const uint32_t begin = sel->first_place[from];
    const uint32_t n = sel->first_place[from + 1] - begin;
    memmove(sel->places + sel->first_place[to], sel->places + begin, n * sizeof(*sel->places));
    sel->first_place[to + 1] = sel->first_place[to] + n;
}

/* For those who want the series alone: leaves out the ones that are deleted as a whole. */
static enum err_code drop_deleted(struct storage_querier *q, struct storage_selection *sel,
                                  struct err *err) {
    size_t kept = 0;
    for (size_t i = 0; i < sel->count; i++) {
        bool left = true;
        const enum err_code code =
            sel->deleted[i] != NULL ? is_left(q, sel, i, &left, err) : ERR_OK;
        if (code != ERR_OK) {
            return code;
        }
        if (left && kept != i) {
            move_series(sel, i, kept);
        }
        kept += left ? 1 : 0;
    }
    sel->count = kept;
    return ERR_OK;
}

/* Notes what is deleted of each series. */
static enum err_code mark_deleted(struct storage_querier *q, struct storage_selection *sel,
                                  const struct storage_select_hints *hints, struct err *err) {
    enum { LABELS_BETWEEN_CHECKS = 1024 };
    const struct tombstone **deleted = arena_try_alloc(q->arena, sel->count + 1, sizeof(*deleted));
    if (deleted == NULL) {
        return querier_over_budget(err);
    }
    struct arena scratch;
    bool any = false;
    enum err_code code = ERR_OK;
    arena_init(&scratch, 0);
    for (size_t i = 0; i < sel->count && code == ERR_OK; i++) {
        const struct storage_series *s = &sel->series[i];
        deleted[i] = tombstones_find_pair(q->tombstones, tsdb_set_labels(q, s->target_set),
                                          tsdb_set_labels(q, s->metric_set), &scratch);
        any |= deleted[i] != NULL;
        arena_reset(&scratch);
        code = i % LABELS_BETWEEN_CHECKS == 0 ? cancel_check(q->cancel) : ERR_OK;
    }
    arena_release(&scratch);
    if (code != ERR_OK) {
        return err_set(err, code, "query stopped while it looked for deleted series");
    }
    sel->deleted = any ? deleted : NULL;
    return any && hints != NULL && hints->series_only ? drop_deleted(q, sel, err) : ERR_OK;
}

/* Hits that are a series each. */
static enum err_code fill_single(struct storage_querier *q, struct storage_selection *sel,
                                 const struct querier_hits *hits, struct err *err) {
    sel->series = arena_try_alloc(q->arena, hits->count + 1, sizeof(*sel->series));
    if (sel->series == NULL) {
        return querier_over_budget(err);
    }
    for (size_t i = 0; i < hits->count; i++) {
        sel->series[i] = series_from(&hits->items[i]);
        sel->places[i] = hits->items[i].place;
    }
    return ERR_OK;
}

static enum err_code build_selection(struct storage_querier *q, const struct matcher *matchers,
                                     size_t n, struct storage_selection *sel, struct err *err) {
    struct querier_hits hits;
    enum err_code code = querier_find_hits(q, matchers, n, &hits, err);
    if (code != ERR_OK) {
        return code;
    }
    *sel = (struct storage_selection){.count = hits.count};
    sel->places = arena_try_alloc(q->arena, hits.count + 1, sizeof(*sel->places));
    if (sel->places == NULL) {
        return querier_over_budget(err);
    }
    code = querier_stopped(q, err);
    if (code != ERR_OK) {
        return code;
    }
    const bool alike = querier_split_alike(q, &hits);
    bool once = hits.count <= 1;
    if (!once && alike) {
        code = querier_each_once(q, &hits, &once, err);
    }
    if (code == ERR_OK) {
        code = querier_stopped(q, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    return once ? fill_single(q, sel, &hits, err) : fill_merged(q, sel, &hits, alike, err);
}

enum err_code tsdb_select(struct storage_querier *q, const struct matcher *matchers, size_t n,
                          const struct storage_select_hints *hints, struct storage_selection **out,
                          struct err *err) {
    struct storage_selection *sel = arena_try_alloc(q->arena, 1, sizeof(*sel));
    if (sel == NULL) {
        return querier_over_budget(err);
    }
    struct arena scratch;
    querier_begin_scratch(q, &scratch);
    q->scratch = &scratch;
    enum err_code code = build_selection(q, matchers, n, sel, err);
    q->scratch = NULL;
    arena_release(&scratch);
    if (code == ERR_OK && hints != NULL && hints->sorted && sel->count > 1) {
        code = sort_selection(q, sel, err);
    }
    if (code == ERR_OK && q->tombstones != NULL) {
        code = mark_deleted(q, sel, hints, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (hints != NULL && hints->limit != 0 && sel->count > hints->limit) {
        sel->count = hints->limit;
    }
    *out = sel;
    return ERR_OK;
}

const struct storage_series *tsdb_selection_series(const struct storage_selection *sel,
                                                   size_t *out_count) {
    *out_count = sel->count;
    return sel->series;
}

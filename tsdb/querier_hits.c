/* Which places a selection has: slots of the head, series of partitions; in the order of precedence. */
#include <stdlib.h>
#include <string.h>

#include "base/sort.h"
#include "tsdb/querier_impl.h"

/* ---- hits of the head ---- */

static int by_place(const void *a, const void *b) {
    const struct index_hit *x = a;
    const struct index_hit *y = b;
    if (x->group != y->group) {
        return x->group < y->group ? -1 : 1;
    }
    return (x->slot > y->slot) - (x->slot < y->slot);
}

enum { SORTED_AT_ONCE = 4096 };

static enum err_code sort_hits(struct storage_querier *q, struct index_hit *hits, size_t n,
                               struct err *err) {
    size_t in_order = 1;
    while (in_order < n && by_place(&hits[in_order - 1], &hits[in_order]) <= 0) {
        in_order++;
    }
    if (in_order >= n) {
        return ERR_OK;
    }
    if (n <= SORTED_AT_ONCE) {
        qsort(hits, n, sizeof(*hits), by_place);
        return ERR_OK;
    }
    struct arena scratch;
    querier_begin_scratch(q, &scratch);
    void **pointers = arena_try_alloc(&scratch, n, 2 * sizeof(void *));
    enum err_code code = pointers != NULL ? ERR_OK : querier_over_budget(err);
    if (code == ERR_OK &&
        sort_items(hits, n, sizeof(*hits), by_place, pointers, q->cancel) != ERR_OK) {
        code = querier_stopped(q, err);
    }
    arena_release(&scratch);
    return code;
}

/* Leaves out series without samples in the range, where that is cheap to know. */
static enum err_code filter_hits(struct storage_querier *q, struct index_hit *hits, size_t n,
                                 size_t *out_kept, struct err *err) {
    size_t kept = 0;
    size_t checked = 0;
    for (size_t at = 0; at < n;) {
        if (at - checked >= QUERIER_HITS_BETWEEN_CHECKS) {
            checked = at;
            const enum err_code code = querier_stopped(q, err);
            if (code != ERR_OK) {
                return code;
            }
        }
        size_t end = at + 1;
        while (end < n && hits[end].group == hits[at].group) {
            end++;
        }
        struct head_group *g = head_group_get(q->db, hits[at].group);
        const size_t left = head_filter_hits(g, q->min_ts_ms, q->max_ts_ms, hits + at, end - at);
        memmove(hits + kept, hits + at, left * sizeof(*hits));
        kept += left;
        at = end;
    }
    *out_kept = kept;
    return querier_stopped(q, err);
}

/* ---- hits of all sources ---- */

static struct querier_hit *add_hits(struct storage_querier *q, struct querier_hits *hits,
                                    size_t n) {
    if (hits->capacity - hits->count < n) {
        const size_t need = hits->count + n;
        const size_t capacity = need > hits->capacity * 2 ? need : hits->capacity * 2;
        struct querier_hit *items = arena_try_alloc(q->scratch, capacity, sizeof(*items));
        if (items == NULL) {
            return NULL;
        }
        if (hits->count != 0) {
            memcpy(items, hits->items, hits->count * sizeof(*items));
        }
        hits->items = items;
        hits->capacity = capacity;
    }
    struct querier_hit *to = hits->items != NULL ? hits->items + hits->count : NULL;
    hits->count += n;
    return to;
}

/* Late groups behind the others, which count before them. */
static void put_late_last(struct storage_querier *q, struct querier_hit *hits, size_t n,
                          struct querier_hit *scratch) {
    size_t kept = 0;
    size_t late = 0;
    for (size_t at = 0; at < n;) {
        const uint32_t group = hits[at].place.source;
        const bool is_late = head_group_get(q->db, group)->late;
        for (; at < n && hits[at].place.source == group; at++) {
            if (is_late) {
                scratch[late] = hits[at];
                scratch[late++].place.kind = PLACE_HEAD_LATE;
            } else {
                hits[kept++] = hits[at];
            }
        }
    }
    if (late != 0) {
        memcpy(hits + kept, scratch, late * sizeof(*hits));
    }
}

static enum err_code take_head_hits(struct storage_querier *q, struct index_hit *hits, size_t n,
                                    struct querier_hits *to, struct err *err) {
    size_t count = 0;
    enum err_code code = sort_hits(q, hits, n, err);
    if (code == ERR_OK) {
        code = filter_hits(q, hits, n, &count, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    struct querier_hit *out = add_hits(q, to, count);
    if (out == NULL && count != 0) {
        return querier_over_budget(err);
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = (struct querier_hit){.target = querier_target(hits[i].target_set),
                                      .metric = querier_metric(hits[i].metric_set),
                                      .place = {hits[i].group, hits[i].slot, PLACE_HEAD}};
    }
    if (atomic_load_explicit(&q->db->has_late, memory_order_relaxed) && count != 0) {
        struct querier_hit *scratch = arena_try_alloc(q->scratch, count, sizeof(*scratch));
        if (scratch == NULL) {
            return querier_over_budget(err);
        }
        put_late_last(q, out, count, scratch);
    }
    return ERR_OK;
}

static enum err_code hits_of_head(struct storage_querier *q, const struct matcher *matchers,
                                  size_t n, struct querier_hits *to, struct err *err) {
    struct index_hit *hits = NULL;
    size_t count = 0;
    struct arena found;
    querier_begin_scratch(q, &found);
    enum err_code code =
        index_select(&q->db->index, q->tables, matchers, n, &found, q->cancel, &hits, &count, err);
    if (code == ERR_OK) {
        code = take_head_hits(q, hits, count, to, err);
    }
    arena_release(&found);
    return code;
}

struct partition_source {
    struct partition *partition;
    uint32_t number;
    enum place_kind kind;
};

/* Their labels may have to be spelled out. */
enum { DEFINED_BETWEEN_CHECKS = 256 };

static enum err_code take_partition_hits(struct storage_querier *q,
                                         const struct partition_source *from,
                                         const struct partition_hit *hits, size_t count,
                                         struct querier_hits *to, struct err *err) {
    struct querier_hit *out = add_hits(q, to, count);
    if (out == NULL) {
        return querier_over_budget(err);
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        enum err_code code = i % DEFINED_BETWEEN_CHECKS == 0 ? querier_stopped(q, err) : ERR_OK;
        if (code != ERR_OK) {
            return code;
        }
        struct querier_hit *hit = &out[kept];
        *hit = (struct querier_hit){.place = {from->number, hits[i].series, (uint8_t)from->kind}};
        code = querier_partition_set(q, from->partition, PARTITION_TARGETS, hits[i].target_set,
                                     &hit->target, err);
        code = code == ERR_OK ? querier_partition_set(q, from->partition, PARTITION_METRICS,
                                                      hits[i].metric_set, &hit->metric, err)
                              : code;
        if (code != ERR_OK && code != ERR_CORRUPT) {
            return code;
        }
        kept += code == ERR_OK ? 1 : 0;
        to->repeats |= hits[i].repeat;
    }
    to->count -= count - kept;
    to->partitions++;
    return ERR_OK;
}

static enum err_code hits_of_partition(struct storage_querier *q, uint32_t number,
                                       enum place_kind kind, const struct matcher *matchers,
                                       size_t n, struct querier_hits *to, struct err *err) {
    const struct partition_source from = {querier_partition(q, number), number, kind};
    struct partition_hit *hits = NULL;
    size_t count = 0;
    struct arena found;
    querier_begin_scratch(q, &found);
    enum err_code code = partition_select(from.partition, matchers, n, q->min_ts_ms, q->max_ts_ms,
                                          &found, q->cancel, &hits, &count, err);
    if (code == ERR_OK && count != 0) {
        code = take_partition_hits(q, &from, hits, count, to, err);
    } else if (code == ERR_CORRUPT) {
        code = ERR_OK;
    }
    arena_release(&found);
    return code;
}

enum err_code querier_find_hits(struct storage_querier *q, const struct matcher *matchers, size_t n,
                                struct querier_hits *out, struct err *err) {
    enum err_code code = ERR_OK;
    *out = (struct querier_hits){0};
    for (unsigned kind = PLACE_PARTITION; kind <= PLACE_LATE && code == ERR_OK; kind++) {
        if (kind == PLACE_HEAD) {
            code = hits_of_head(q, matchers, n, out, err);
        }
        if (kind == PLACE_HEAD || kind == PLACE_HEAD_LATE) {
            continue;
        }
        for (uint32_t i = 0; i < q->view->partition_count && code == ERR_OK; i++) {
            const bool late = partition_info(querier_partition(q, i))->out_of_order;
            if (late == (kind == PLACE_LATE) && querier_wants(q, i)) {
                code = hits_of_partition(q, i, (enum place_kind)kind, matchers, n, out, err);
            }
        }
    }
    return code;
}

/* Label names and values, of the head and of partitions. */
#include "tsdb/index_stats.h"
#include "tsdb/querier_impl.h"
#include "tsdb/tsdb_ops.h"

struct str_list {
    struct str *items; /* sorted, unique */
    size_t count;
};

/* Both sorted; at most limit (0 = all). */
static enum err_code unite(struct storage_querier *q, struct str_list *io, struct str_list b,
                           size_t limit, struct err *err) {
    if (b.count == 0) {
        return ERR_OK;
    }
    const struct str_list a = *io;
    struct str *items = arena_try_alloc(q->arena, a.count + b.count, sizeof(*items));
    if (items == NULL) {
        return querier_over_budget(err);
    }
    size_t n = 0;
    for (size_t i = 0, k = 0; (i < a.count || k < b.count) && (limit == 0 || n < limit); n++) {
        const int order = i == a.count ? 1 : k == b.count ? -1 : str_cmp(a.items[i], b.items[k]);
        items[n] = order <= 0 ? a.items[i] : b.items[k];
        i += order <= 0 ? 1 : 0;
        k += order >= 0 ? 1 : 0;
    }
    *io = (struct str_list){items, n};
    return ERR_OK;
}

/* Of the head, then of each partition in the range. name: whose values; NULL: names. */
static enum err_code collect_labels(struct storage_querier *q, const struct str *name,
                                    const struct matcher *matchers, size_t n, size_t limit,
                                    struct str_list *out, struct err *err) {
    struct index *index = &q->db->index;
    enum err_code code =
        name == NULL ? index_label_names(index, q->tables, matchers, n, limit, q->arena, q->cancel,
                                         &out->items, &out->count, err)
                     : index_label_values(index, q->tables, *name, matchers, n, limit, q->arena,
                                          q->cancel, &out->items, &out->count, err);
    for (uint32_t i = 0; i < q->view->partition_count && code == ERR_OK; i++) {
        struct partition *p = querier_partition(q, i);
        struct str_list more = {0};
        if (!querier_wants(q, i)) {
            continue;
        }
        code = name == NULL ? partition_label_names(p, matchers, n, limit, q->arena, q->cancel,
                                                    &more.items, &more.count, err)
                            : partition_label_values(p, *name, matchers, n, limit, q->arena,
                                                     q->cancel, &more.items, &more.count, err);
        if (code == ERR_OK) {
            code = unite(q, out, more, limit, err);
        } else if (code == ERR_CORRUPT) {
            code = ERR_OK;
        }
    }
    return code;
}

enum err_code tsdb_label_names(struct storage_querier *q, const struct matcher *matchers, size_t n,
                               size_t limit, struct str **out, size_t *out_count, struct err *err) {
    struct str_list list = {0};
    const enum err_code code = collect_labels(q, NULL, matchers, n, limit, &list, err);
    *out = list.items;
    *out_count = list.count;
    return code;
}

enum err_code tsdb_label_values(struct storage_querier *q, struct str name,
                                const struct matcher *matchers, size_t n, size_t limit,
                                struct str **out, size_t *out_count, struct err *err) {
    struct str_list list = {0};
    const enum err_code code = collect_labels(q, &name, matchers, n, limit, &list, err);
    *out = list.items;
    *out_count = list.count;
    return code;
}

enum err_code tsdb_cardinality(struct storage_querier *q, size_t limit,
                               struct storage_cardinality *out, struct err *err) {
    return index_cardinality(&q->db->index, q->tables, limit, q->arena, q->cancel, out, err);
}

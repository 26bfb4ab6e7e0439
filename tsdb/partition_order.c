/* The order of series in a partition: by metric name, then by their complete labels. */
#include "tsdb/partition_writer_impl.h"

struct union_iter {
    struct labels_iter a;
    struct labels_iter b;
    struct label next_a;
    struct label next_b;
    bool more_a;
    bool more_b;
};

static struct union_iter union_begin(struct labels a, struct labels b) {
    struct union_iter it = {.a = labels_begin(a), .b = labels_begin(b)};
    it.more_a = labels_next(&it.a, &it.next_a);
    it.more_b = labels_next(&it.b, &it.next_b);
    return it;
}

static bool union_next(struct union_iter *it, struct label *out) {
    if (it->more_a && (!it->more_b || str_cmp(it->next_a.name, it->next_b.name) < 0)) {
        *out = it->next_a;
        it->more_a = labels_next(&it->a, &it->next_a);
        return true;
    }
    if (it->more_b) {
        *out = it->next_b;
        it->more_b = labels_next(&it->b, &it->next_b);
        return true;
    }
    return false;
}

struct str partition_metric_name(struct labels target, struct labels metric) {
    const struct str name = labels_get(metric, LABEL_NAME);
    return name.len != 0 ? name : labels_get(target, LABEL_NAME);
}

int partition_series_cmp(struct labels target_a, struct labels metric_a, struct labels target_b,
                         struct labels metric_b) {
    int order = str_cmp(partition_metric_name(target_a, metric_a),
                        partition_metric_name(target_b, metric_b));
    struct union_iter a = union_begin(target_a, metric_a);
    struct union_iter b = union_begin(target_b, metric_b);
    while (order == 0) {
        struct label x;
        struct label y;
        const bool more_a = union_next(&a, &x);
        const bool more_b = union_next(&b, &y);
        if (!more_a || !more_b) {
            return (int)more_a - (int)more_b;
        }
        order = str_cmp(x.name, y.name);
        order = order != 0 ? order : str_cmp(x.value, y.value);
    }
    return order;
}

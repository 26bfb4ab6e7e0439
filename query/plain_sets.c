/* METHOD. Sets that are equal without their names get one number; a series is a pair of numbers, of
 * its target and of its metric. If all targets have the same label names and no metric has any of those,
 * a series' labels can be taken apart in one way only: equal labels are equal pairs. */
#include "query/plain_sets.h"

struct plain_pairs {
    struct eval *ev;
    struct work work;
    struct label_index parts;
    uint32_t *targets; /* by number of the set: number in parts + 1, 0 = not seen */
    uint32_t *metrics;
    size_t set_count;
    struct labels split; /* the first target */
    bool any_target;
    uint64_t *table; /* open addressing; 0 is free */
    size_t mask;
};

enum { COST_EACH = WORK_ROW / 8 };

static enum err_code begin(struct plain_pairs *p, size_t count, struct err *err) {
    size_t size = 64;
    while (size < 2 * count) {
        size *= 2;
    }
    const size_t sets = p->ev->sets.count;
    p->mask = size - 1;
    p->set_count = sets;
    p->table = work_zalloc(&p->work, size, sizeof(*p->table), err);
    p->targets =
        p->table != NULL ? work_zalloc(&p->work, sets, 2 * sizeof(*p->targets), err) : NULL;
    if (p->targets == NULL) {
        return ERR_LIMIT;
    }
    p->metrics = p->targets + sets;
    return label_index_init(&p->parts, &p->work, 16, err);
}

static bool same_names(struct labels left, struct labels right) {
    struct labels_iter a = labels_begin(left);
    struct labels_iter b = labels_begin(right);
    struct label x;
    struct label y;
    while (labels_next(&a, &x)) {
        if (!labels_next(&b, &y) || !str_eq(x.name, y.name)) {
            return false;
        }
    }
    return !labels_next(&b, &y);
}

static bool any_common_name(struct labels left, struct labels right) {
    struct labels_iter it = labels_begin(left);
    struct label label;
    while (labels_next(&it, &label)) {
        if (labels_has(right, label.name)) {
            return true;
        }
    }
    return false;
}

static bool splits_alike(struct plain_pairs *p, struct labels labels, bool target) {
    if (target && !p->any_target) {
        p->split = labels;
        p->any_target = true;
    }
    return target ? same_names(p->split, labels) : !any_common_name(p->split, labels);
}

/* *out: number + 1, or 0 for a set that is split in another way. Targets come before metrics. */
static enum err_code part_of(struct plain_pairs *p, uint32_t id, bool target, uint32_t *out,
                             struct err *err) {
    const struct label_set *set = label_space_get(&p->ev->sets, id, err);
    if (set == NULL) {
        return ERR_LIMIT;
    }
    *out = 0;
    if (set->number >= p->set_count) {
        return ERR_OK;
    }
    uint32_t *known = target ? &p->targets[set->number] : &p->metrics[set->number];
    if (*known == 0 && splits_alike(p, set->plain, target)) {
        uint32_t part = 0;
        const enum err_code code = label_index_find_or_add(&p->parts, set->plain, &part, err);
        if (code != ERR_OK) {
            return code;
        }
        *known = part + 1;
    }
    *out = *known;
    return ERR_OK;
}

/* False: it was there. */
static bool add_pair(struct plain_pairs *p, uint32_t a, uint32_t b) {
    const uint64_t pair = (uint64_t)a << 32 | b;
    size_t at = (size_t)(pair * UINT64_C(0x9E3779B97F4A7C15) >> 24) & p->mask;
    while (p->table[at] != 0) {
        if (p->table[at] == pair) {
            return false;
        }
        at = (at + 1) & p->mask;
    }
    p->table[at] = pair;
    return true;
}

static enum err_code compare(struct plain_pairs *p, const struct storage_series *series,
                             size_t count, enum plain_sets *out, struct err *err) {
    for (size_t i = 0; i < count; i++) {
        uint32_t target = 0;
        uint32_t metric = 0;
        enum err_code code = part_of(p, series[i].target_set, true, &target, err);
        code = code == ERR_OK ? part_of(p, series[i].metric_set, false, &metric, err) : code;
        code = code == ERR_OK ? eval_worked(p->ev, COST_EACH, err) : code;
        if (code != ERR_OK) {
            return code;
        }
        if (target == 0 || metric == 0) {
            *out = PLAIN_SETS_UNLIKE;
            return ERR_OK;
        }
        if (!add_pair(p, target, metric)) {
            *out = PLAIN_SETS_REPEAT;
            return ERR_OK;
        }
    }
    *out = PLAIN_SETS_DIFFER;
    return ERR_OK;
}

enum err_code plain_sets_compare(struct eval *ev, const struct storage_series *series, size_t count,
                                 enum plain_sets *out, struct err *err) {
    struct plain_pairs p = {.ev = ev};
    work_begin(&p.work, &ev->budget);
    enum err_code code = begin(&p, count, err);
    code = code == ERR_OK ? compare(&p, series, count, out, err) : code;
    work_end(&p.work);
    return code;
}

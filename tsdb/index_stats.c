#include "tsdb/index_stats.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* Sets looked at before the lock is given up: some 20 us of work. */
enum { SETS_PER_STEP = 8192 };

struct counter {
    struct index *index;
    const struct index_tables *t;
    struct arena *arena;
    const struct cancel *cancel;
    struct err *err;
    size_t limit;
    uint32_t *target_series; /* by target set: series that have all its labels */
    uint32_t target_count;
    uint32_t work; /* since the lock was taken */
    struct storage_cardinality *out;
};

static enum err_code stopped(const struct counter *c) {
    const enum err_code code = cancel_check(c->cancel);
    return code == ERR_OK ? ERR_OK : err_set(c->err, code, "stopped while series were counted");
}

/* ---- the largest ---- */

/* Is a before b in the answer? */
static bool is_before(const struct storage_count *a, const struct storage_count *b) {
    if (a->count != b->count) {
        return a->count > b->count;
    }
    const int names = str_cmp(a->name, b->name);
    return names != 0 ? names < 0 : str_cmp(a->value, b->value) < 0;
}

static int by_rank(const void *a, const void *b) {
    return is_before(a, b) ? -1 : is_before(b, a) ? 1 : 0;
}

static enum err_code make_top(struct counter *c, struct storage_top *top) {
    *top = (struct storage_top){.items = arena_try_alloc(c->arena, c->limit, sizeof(*top->items))};
    return top->items != NULL ? ERR_OK
                              : err_set(c->err, ERR_LIMIT, "too many entries for the budget");
}

/* A heap with the last of the answer on top. */
static void sift_down(struct storage_top *top, struct storage_count item) {
    size_t at = 0;
    for (size_t child = 1; child < top->count; child = 2 * at + 1) {
        if (child + 1 < top->count && is_before(&top->items[child], &top->items[child + 1])) {
            child++;
        }
        if (!is_before(&item, &top->items[child])) {
            break;
        }
        top->items[at] = top->items[child];
        at = child;
    }
    top->items[at] = item;
}

static void top_add(const struct counter *c, struct storage_top *top, struct storage_count item) {
    if (top->count == c->limit) {
        if (is_before(&item, &top->items[0])) {
            sift_down(top, item);
        }
        return;
    }
    size_t at = top->count++;
    while (at != 0 && is_before(&top->items[(at - 1) / 2], &item)) {
        top->items[at] = top->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    top->items[at] = item;
}

static void top_finish(struct storage_top *top) {
    qsort(top->items, top->count, sizeof(*top->items), by_rank);
}

/* ---- series of target sets ---- */

static uint32_t count_slots(const struct index_group *g, uint32_t from, uint32_t end) {
    uint32_t n = 0;
    for (uint32_t i = from; i < end; i++) {
        n += g->slots[i] != INDEX_SLOT_LOST && (g->slots[i] & INDEX_SLOT_WHOLE) == 0;
    }
    return n;
}

/* Some slots of some groups, from *group and *slot on; false at the end. */
static bool count_groups(struct counter *c, uint32_t *group, uint32_t *slot) {
    uint32_t left = SETS_PER_STEP;
    mutex_lock(&c->index->mu);
    while (*group < c->t->group_count && left > 0) {
        const struct index_group *g = &c->t->groups[*group];
        const uint32_t have = g->slot_count > *slot ? g->slot_count - *slot : 0;
        const uint32_t n = have < left ? have : left;
        if (g->target_set < c->target_count && n != 0) {
            c->target_series[g->target_set] += count_slots(g, *slot, *slot + n);
        }
        left -= n != 0 ? n : 1;
        *slot += n;
        if (n == have) {
            ++*group;
            *slot = 0;
        }
    }
    const bool more = *group < c->t->group_count;
    mutex_unlock(&c->index->mu);
    return more;
}

static enum err_code count_targets(struct counter *c) {
    enum err_code code = ERR_OK;
    uint32_t group = 1;
    uint32_t slot = 0;
    mutex_lock(&c->index->mu);
    c->target_count = c->t->targets.sets.count;
    mutex_unlock(&c->index->mu);
    c->target_series =
        arena_try_alloc(c->arena, (size_t)c->target_count + 1, sizeof(*c->target_series));
    if (c->target_series == NULL) {
        return err_set(c->err, ERR_LIMIT, "too many targets for the budget");
    }
    memset(c->target_series, 0, c->target_count * sizeof(*c->target_series));
    while (code == ERR_OK && count_groups(c, &group, &slot)) {
        code = stopped(c);
    }
    return code;
}

/* ---- values ---- */

static uint64_t series_with(struct counter *c, const struct index_space *space, uint32_t value) {
    struct postings_iter it = postings_begin(&space->values[value].sets);
    const bool is_target = space == &c->t->targets;
    uint64_t n = 0;
    uint32_t start;
    uint32_t end;
    while (postings_next_run(&it, &start, &end)) {
        c->work += end - start;
        for (uint32_t set = start; set < end; set++) {
            if (!is_target) {
                n += index_count_uses(c->t, set);
            } else if (set < c->target_count) {
                n += c->target_series[set];
            }
        }
    }
    return n;
}

/* As Prometheus keeps a label in memory: each text with its length in one byte, or four. */
static uint64_t text_bytes(struct str text) {
    return text.len + (text.len < 255 ? 1 : 4);
}

struct name_sum {
    struct str name;
    uint64_t values;
    uint64_t bytes;
};

static void add_value(struct counter *c, struct name_sum *sum, struct str value, uint64_t series) {
    if (series == 0) {
        return; /* of sets that nobody uses any more */
    }
    sum->values++;
    sum->bytes += (text_bytes(sum->name) + text_bytes(value)) * series;
    if (str_eq(sum->name, LABEL_NAME)) {
        top_add(c, &c->out->series_by_metric, (struct storage_count){value, STR(""), series});
    }
    top_add(c, &c->out->series_by_pair, (struct storage_count){sum->name, value, series});
}

/* Some values of a name, from *at on; false at the end. Those that other has too are counted together
 * when first is true, and else left out. */
static bool add_values(struct counter *c, struct name_sum *sum, const struct index_space *space,
                       const struct index_space *other, bool first, uint32_t *at) {
    mutex_lock(&c->index->mu);
    const uint32_t name = index_space_find_name(space, sum->name);
    const uint32_t other_name = index_space_find_name(other, sum->name);
    const uint32_t count = name == INDEX_NONE ? 0 : space->names[name].value_count;
    for (c->work = 0; *at < count && c->work < SETS_PER_STEP; ++*at, c->work++) {
        const uint32_t value = space->names[name].values[*at];
        const struct str text = index_space_text(space, value);
        const uint32_t twin =
            other_name == INDEX_NONE ? INDEX_NONE : index_space_find_value(other, other_name, text);
        if (twin == INDEX_NONE || first) {
            const uint64_t more = twin != INDEX_NONE ? series_with(c, other, twin) : 0;
            add_value(c, sum, text, series_with(c, space, value) + more);
        }
    }
    mutex_unlock(&c->index->mu);
    return *at < count;
}

static enum err_code count_name(struct counter *c, struct str name) {
    const struct index_space *spaces[] = {&c->t->targets, &c->t->metrics};
    struct name_sum sum = {.name = name};
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < 2 && code == ERR_OK; i++) {
        uint32_t at = 0;
        while (code == ERR_OK && add_values(c, &sum, spaces[i], spaces[1 - i], i == 0, &at)) {
            code = stopped(c);
        }
    }
    if (sum.values != 0) {
        c->out->pair_count += sum.values;
        top_add(c, &c->out->values_by_name, (struct storage_count){name, STR(""), sum.values});
        top_add(c, &c->out->bytes_by_name, (struct storage_count){name, STR(""), sum.bytes});
    }
    return code == ERR_OK ? stopped(c) : code;
}

/* The name with this number; one that targets have too comes with those. */
static bool find_name(const struct counter *c, const struct index_space *space, uint32_t id,
                      struct str *out, bool *out_is_counted) {
    mutex_lock(&c->index->mu);
    const bool found = id < space->name_count;
    if (found) {
        *out = space->names[id].name;
        *out_is_counted =
            space == &c->t->metrics && index_space_find_name(&c->t->targets, *out) != INDEX_NONE;
    }
    mutex_unlock(&c->index->mu);
    return found;
}

static enum err_code count_names(struct counter *c, const struct index_space *space) {
    enum err_code code = ERR_OK;
    struct str name;
    bool is_counted = false;
    for (uint32_t id = 0; code == ERR_OK && find_name(c, space, id, &name, &is_counted); id++) {
        code = is_counted ? ERR_OK : count_name(c, name);
    }
    return code;
}

enum err_code index_cardinality(struct index *index, const struct index_tables *t, size_t limit,
                                struct arena *arena, const struct cancel *cancel,
                                struct storage_cardinality *out, struct err *err) {
    struct counter c = {.index = index,
                        .t = t,
                        .arena = arena,
                        .cancel = cancel,
                        .err = err,
                        .limit = limit,
                        .out = out};
    struct storage_top *tops[] = {&out->series_by_metric, &out->values_by_name, &out->bytes_by_name,
                                  &out->series_by_pair};
    ASSERT(limit > 0);
    out->pair_count = 0;
    enum err_code code = index_cover(index, t, cancel, err);
    for (size_t i = 0; i < 4 && code == ERR_OK; i++) {
        code = make_top(&c, tops[i]);
    }
    code = code == ERR_OK ? count_targets(&c) : code;
    code = code == ERR_OK ? count_names(&c, &t->targets) : code;
    code = code == ERR_OK ? count_names(&c, &t->metrics) : code;
    for (size_t i = 0; i < 4 && code == ERR_OK; i++) {
        top_finish(tops[i]);
    }
    return code;
}

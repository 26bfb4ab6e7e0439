/* Label names and values: the dictionaries as they are, or only what matching series have.
 *
 * With matchers the series are listed once and marked by set; then each marked set is read once. So
 * the price is that of the select plus the number of distinct sets, never one intersection per
 * value. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tsdb/index.h"

struct collect {
    struct index *index;
    const struct index_tables *t;
    struct arena *arena;
    struct err *err;
    struct str *items;
    size_t count;
    size_t capacity;
};

static enum err_code add(struct collect *c, struct str s) {
    if (c->count == c->capacity) {
        const size_t capacity = c->capacity == 0 ? 64 : c->capacity * 2;
        struct str *items = arena_try_alloc(c->arena, capacity, sizeof(*items));
        if (items == NULL) {
            return err_set(c->err, ERR_LIMIT, "too many label names or values for the budget");
        }
        if (c->count != 0) {
            memcpy(items, c->items, c->count * sizeof(*items));
        }
        c->items = items;
        c->capacity = capacity;
    }
    c->items[c->count++] = s;
    return ERR_OK;
}

static int by_bytes(const void *a, const void *b) {
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void finish(struct collect *c, size_t limit, struct str **out, size_t *out_count) {
    if (c->count > 1) {
        qsort(c->items, c->count, sizeof(*c->items), by_bytes);
    }
    size_t kept = 0;
    for (size_t i = 0; i < c->count && (limit == 0 || kept < limit); i++) {
        if (kept == 0 || !str_eq(c->items[i], c->items[kept - 1])) {
            c->items[kept++] = c->items[i];
        }
    }
    *out = c->items;
    *out_count = kept;
}

/* ---- without matchers ---- */

static enum err_code all_names(struct collect *c, const struct index_space *space) {
    enum err_code code = ERR_OK;
    mutex_lock(&c->index->mu);
    for (uint32_t i = 0; i < space->name_count && code == ERR_OK; i++) {
        code = add(c, space->names[i].name);
    }
    mutex_unlock(&c->index->mu);
    return code;
}

static enum err_code all_values(struct collect *c, const struct index_space *space,
                                struct str name) {
    enum { STEP = 4096 };
    enum err_code code = ERR_OK;
    uint32_t at = 0;
    bool more = true;
    while (more && code == ERR_OK) {
        mutex_lock(&c->index->mu);
        const uint32_t id = index_space_find_name(space, name);
        const uint32_t count = id == INDEX_NONE ? 0 : space->names[id].value_count;
        for (uint32_t n = 0; at < count && n < STEP && code == ERR_OK; n++, at++) {
            code = add(c, index_space_text(space, space->names[id].values[at]));
        }
        more = at < count;
        mutex_unlock(&c->index->mu);
    }
    return code;
}

/* ---- with matchers ---- */

/* The labels of each set that the series use, once: sorts set numbers, then skips repeats. */
static int by_number(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static enum err_code add_from_sets(struct collect *c, const struct index_space *space,
                                   uint32_t *sets, size_t n, const struct str *name) {
    qsort(sets, n, sizeof(*sets), by_number);
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        if (i != 0 && sets[i] == sets[i - 1]) {
            continue;
        }
        mutex_lock(&c->index->mu);
        const struct labels labels = label_sets_get(&space->sets, sets[i]);
        mutex_unlock(&c->index->mu);
        struct labels_iter it = labels_begin(labels);
        struct label pair;
        while (code == ERR_OK && labels_next(&it, &pair)) {
            if (name == NULL) {
                code = add(c, pair.name);
            } else if (str_eq(pair.name, *name)) {
                code = add(c, pair.value);
            }
        }
    }
    return code;
}

static enum err_code from_series(struct collect *c, const struct matcher *matchers, size_t n,
                                 const struct cancel *cancel, const struct str *name) {
    struct index_hit *hits = NULL;
    size_t count = 0;
    enum err_code code =
        index_select(c->index, c->t, matchers, n, c->arena, cancel, &hits, &count, c->err);
    if (code != ERR_OK || count == 0) {
        return code;
    }
    uint32_t *sets = arena_try_alloc(c->arena, count, sizeof(*sets));
    if (sets == NULL) {
        return err_set(c->err, ERR_LIMIT, "too many series for the budget");
    }
    for (size_t i = 0; i < count; i++) {
        sets[i] = hits[i].target_set;
    }
    code = add_from_sets(c, &c->t->targets, sets, count, name);
    if (code == ERR_OK) {
        for (size_t i = 0; i < count; i++) {
            sets[i] = hits[i].metric_set;
        }
        code = add_from_sets(c, &c->t->metrics, sets, count, name);
    }
    return code;
}

enum err_code index_label_names(struct index *index, const struct index_tables *t,
                                const struct matcher *matchers, size_t n, size_t limit,
                                struct arena *arena, const struct cancel *cancel, struct str **out,
                                size_t *out_count, struct err *err) {
    struct collect c = {.index = index, .t = t, .arena = arena, .err = err};
    enum err_code code = index_cover(index, t, cancel, err);
    if (code != ERR_OK) {
        return code;
    }
    if (n == 0) {
        code = all_names(&c, &t->targets);
        if (code == ERR_OK) {
            code = all_names(&c, &t->metrics);
        }
    } else {
        code = from_series(&c, matchers, n, cancel, NULL);
    }
    if (code == ERR_OK) {
        finish(&c, limit, out, out_count);
    }
    return code;
}

enum err_code index_label_values(struct index *index, const struct index_tables *t, struct str name,
                                 const struct matcher *matchers, size_t n, size_t limit,
                                 struct arena *arena, const struct cancel *cancel, struct str **out,
                                 size_t *out_count, struct err *err) {
    struct collect c = {.index = index, .t = t, .arena = arena, .err = err};
    enum err_code code = index_cover(index, t, cancel, err);
    if (code != ERR_OK) {
        return code;
    }
    if (n == 0) {
        code = all_values(&c, &t->targets, name);
        if (code == ERR_OK) {
            code = all_values(&c, &t->metrics, name);
        }
    } else {
        code = from_series(&c, matchers, n, cancel, &name);
    }
    if (code == ERR_OK) {
        finish(&c, limit, out, out_count);
    }
    return code;
}

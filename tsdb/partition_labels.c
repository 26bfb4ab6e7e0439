/* Label names and values of a partition: the dictionaries as they are, or only what matching series
 * have. With matchers the series are listed once, their sets marked, and each marked set is read
 * once, block by block. */
#include <stdlib.h>
#include <string.h>

#include "tsdb/partition_index.h"

struct collect {
    struct partition *p;
    struct arena *arena;
    struct err *err;
    const struct str *name; /* whose values are wanted; NULL: names */
    struct str *items;
    size_t count;
    size_t capacity;
};

static enum err_code over_budget(struct collect *c) {
    return err_set(c->err, ERR_LIMIT, "too many label names or values for the budget");
}

static enum err_code add(struct collect *c, struct str s) {
    if (c->count == c->capacity) {
        const size_t capacity = c->capacity == 0 ? 64 : c->capacity * 2;
        struct str *items = arena_try_alloc(c->arena, capacity, sizeof(*items));
        if (items == NULL) {
            return over_budget(c);
        }
        if (c->count != 0) {
            memcpy(items, c->items, c->count * sizeof(*items));
        }
        c->items = items;
        c->capacity = capacity;
    }
    char *copy = arena_try_alloc(c->arena, s.len + 1, 1);
    if (copy == NULL) {
        return over_budget(c);
    }
    memcpy(copy, s.ptr, s.len);
    c->items[c->count++] = (struct str){copy, s.len};
    return ERR_OK;
}

static int by_bytes(const void *a, const void *b) {
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void sort_unique(struct collect *c) {
    if (c->count > 1) {
        qsort(c->items, c->count, sizeof(*c->items), by_bytes);
    }
    size_t kept = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (kept == 0 || !str_eq(c->items[i], c->items[kept - 1])) {
            c->items[kept++] = c->items[i];
        }
    }
    c->count = kept;
}

/* ---- the dictionaries ---- */

static enum err_code all_names(struct collect *c, size_t limit) {
    struct partition_name_iter it;
    enum err_code code = ERR_OK;
    bool more = true;
    partition_name_iter_init(&it);
    while (code == ERR_OK && (limit == 0 || c->count < limit)) {
        struct partition_name_entry entry;
        code = partition_next_name(c->p, &it, &entry, &more, c->err);
        if (code != ERR_OK || !more) {
            break;
        }
        code = add(c, entry.name);
    }
    partition_name_iter_release(&it);
    return code;
}

static enum err_code all_values(struct collect *c, size_t limit) {
    struct partition_name_entry entry;
    struct partition_value_iter it;
    bool found;
    bool more = true;
    enum err_code code = partition_find_name(c->p, *c->name, &entry, &found, c->err);
    if (code != ERR_OK || !found) {
        return code;
    }
    code = partition_value_iter_init(c->p, &entry.values, 0, &it, c->err);
    while (code == ERR_OK && (limit == 0 || c->count < limit)) {
        struct str value;
        code = partition_next_value(c->p, &it, &value, &more, c->err);
        if (code != ERR_OK || !more) {
            break;
        }
        code = add(c, value);
    }
    partition_value_iter_release(&it);
    return code;
}

/* ---- of marked sets ---- */

static enum err_code add_labels(struct collect *c, struct labels labels) {
    struct labels_iter it = labels_begin(labels);
    struct label pair;
    enum err_code code = ERR_OK;
    while (code == ERR_OK && labels_next(&it, &pair)) {
        if (c->name == NULL) {
            code = add(c, pair.name);
        } else if (str_eq(pair.name, *c->name)) {
            code = add(c, pair.value);
        }
    }
    /* names repeat in each set */
    if (c->name == NULL && c->count >= 1024) {
        sort_unique(c);
    }
    return code;
}

static bool any_marked(const uint8_t *marks, uint32_t from, uint32_t to) {
    for (uint32_t i = from; i < to; i++) {
        if (marks[i] != 0) {
            return true;
        }
    }
    return false;
}

static enum err_code add_sets(struct collect *c, enum partition_section section,
                              const uint8_t *marks, uint32_t set_count) {
    const struct partition_list list =
        partition_section_list(c->p, section, set_count - 1, PARTITION_LIST_GROUP);
    struct buf text;
    enum err_code code = ERR_OK;
    buf_init(&text, PARTITION_STRING_MAX);
    for (uint32_t first = 1; first < set_count && code == ERR_OK; first += list.group) {
        const uint32_t end = set_count - first < list.group ? set_count : first + list.group;
        struct cursor block;
        if (!any_marked(marks, first, end)) {
            continue;
        }
        buf_clear(&text);
        code = partition_list_block(c->p, &list, (first - 1) / list.group, &block, c->err);
        for (uint32_t set = first; set < end && code == ERR_OK; set++) {
            struct err ignored;
            if (!partition_take_string(&block, &text) ||
                labels_check((const uint8_t *)text.ptr, text.len, &ignored) != ERR_OK) {
                code = partition_bad_index(c->p, section, 0, c->err);
            } else if (marks[set] != 0) {
                code = add_labels(c, (struct labels){(const uint8_t *)text.ptr, text.len});
            }
        }
    }
    buf_release(&text);
    return code;
}

static enum err_code from_series(struct collect *c, const struct matcher *matchers, size_t n,
                                 const struct cancel *cancel) {
    struct partition_hit *hits;
    size_t count;
    enum err_code code = partition_select(c->p, matchers, n, INT64_MIN, INT64_MAX, c->arena, cancel,
                                          &hits, &count, c->err);
    if (code != ERR_OK || count == 0) {
        return code;
    }
    const struct partition_info *info = &c->p->info;
    uint8_t *targets = arena_try_alloc(c->arena, info->target_count, 1);
    uint8_t *metrics = arena_try_alloc(c->arena, info->metric_count, 1);
    if (targets == NULL || metrics == NULL) {
        return over_budget(c);
    }
    memset(targets, 0, info->target_count);
    memset(metrics, 0, info->metric_count);
    for (size_t i = 0; i < count; i++) {
        targets[hits[i].target_set] = 1;
        metrics[hits[i].metric_set] = 1;
    }
    code = add_sets(c, SECTION_TARGETS, targets, info->target_count);
    code = code == ERR_OK ? add_sets(c, SECTION_METRICS, metrics, info->metric_count) : code;
    sort_unique(c);
    return code;
}

static enum err_code finish(struct collect *c, enum err_code code, size_t limit, struct str **out,
                            size_t *out_count) {
    if (code == ERR_OK) {
        *out = c->items;
        *out_count = limit != 0 && c->count > limit ? limit : c->count;
    }
    return code;
}

enum err_code partition_label_names(struct partition *p, const struct matcher *matchers, size_t n,
                                    size_t limit, struct arena *arena, const struct cancel *cancel,
                                    struct str **out, size_t *out_count, struct err *err) {
    struct collect c = {.p = p, .arena = arena, .err = err};
    const enum err_code code = n == 0 ? all_names(&c, limit) : from_series(&c, matchers, n, cancel);
    return finish(&c, code, limit, out, out_count);
}

enum err_code partition_label_values(struct partition *p, struct str name,
                                     const struct matcher *matchers, size_t n, size_t limit,
                                     struct arena *arena, const struct cancel *cancel,
                                     struct str **out, size_t *out_count, struct err *err) {
    struct collect c = {.p = p, .arena = arena, .err = err, .name = &name};
    const enum err_code code =
        n == 0 ? all_values(&c, limit) : from_series(&c, matchers, n, cancel);
    return finish(&c, code, limit, out, out_count);
}

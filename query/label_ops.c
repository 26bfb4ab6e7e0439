#include "query/label_ops.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* Of a label set, beside its bytes. */
enum { LOOKUP_COST = WORK_ROW / 4 };

/* Sorted, as labels_drop wants them. */
static const struct str RESERVED_NAMES[] = {STR_INIT("__name__"), STR_INIT("__type__"),
                                            STR_INIT("__unit__")};

static bool has_reserved(struct labels labels) {
    struct labels_iter it = labels_begin(labels);
    struct label label;
    while (labels_next(&it, &label)) {
        for (size_t i = 0; i < COUNT_OF(RESERVED_NAMES); i++) {
            if (str_eq(label.name, RESERVED_NAMES[i])) {
                return true;
            }
        }
    }
    return false;
}

struct labels labels_plain(struct arena *arena, struct labels labels) {
    if (!has_reserved(labels)) {
        return labels;
    }
    return labels_drop(arena, labels, RESERVED_NAMES, COUNT_OF(RESERVED_NAMES));
}

/* ---- index of label sets ---- */

static uint32_t table_size(size_t expected) {
    uint32_t size = 16;
    while (size < UINT32_MAX / 4 && size / 2 < expected) {
        size *= 2;
    }
    return size;
}

enum err_code label_index_init(struct label_index *index, struct work *work, size_t expected,
                               struct err *err) {
    const uint32_t size = table_size(expected);
    *index = (struct label_index){.work = work, .capacity = size / 2, .slot_mask = size - 1};
    index->slots = work_zalloc(work, size, sizeof(*index->slots), err);
    index->sets = work_alloc(work, index->capacity, sizeof(*index->sets), err);
    return index->slots != NULL && index->sets != NULL ? ERR_OK : ERR_LIMIT;
}

static uint32_t *index_slot(const struct label_index *index, struct labels labels) {
    uint32_t at = (uint32_t)labels_hash(labels) & index->slot_mask;
    while (index->slots[at] != 0 && !labels_eq(index->sets[index->slots[at] - 1], labels)) {
        at = (at + 1) & index->slot_mask;
    }
    return &index->slots[at];
}

static enum err_code index_grow(struct label_index *index, struct err *err) {
    struct label_index bigger;
    enum err_code code = label_index_init(&bigger, index->work, (size_t)index->capacity * 2, err);
    if (code != ERR_OK) {
        return code;
    }
    memcpy(bigger.sets, index->sets, index->count * sizeof(*index->sets));
    for (uint32_t i = 0; i < index->count && code == ERR_OK; i++) {
        *index_slot(&bigger, index->sets[i]) = i + 1;
        code = work_did(index->work->budget, LOOKUP_COST + index->sets[i].size / 16, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    bigger.count = index->count;
    *index = bigger;
    return ERR_OK;
}

enum err_code label_index_find_or_add(struct label_index *index, struct labels labels,
                                      uint32_t *out, struct err *err) {
    uint32_t *slot = index_slot(index, labels);
    if (*slot == 0) {
        if (index->count == index->capacity) {
            const enum err_code code = index_grow(index, err);
            if (code != ERR_OK) {
                return code;
            }
            slot = index_slot(index, labels);
        }
        index->sets[index->count++] = labels;
        *slot = index->count;
    }
    *out = *slot - 1;
    return work_did(index->work->budget, LOOKUP_COST + labels.size / 16, err);
}

bool label_index_find(const struct label_index *index, struct labels labels, uint32_t *out) {
    const uint32_t *slot = index_slot(index, labels);
    if (*slot == 0) {
        return false;
    }
    *out = *slot - 1;
    return true;
}

/* ---- interned sets ---- */

void label_space_init(struct label_space *space, struct work *work, struct storage *storage,
                      struct storage_querier *querier) {
    *space = (struct label_space){.work = work, .storage = storage, .querier = querier};
}

static uint32_t spread(uint32_t id) {
    return id * UINT32_C(2654435769) >> 7;
}

static enum err_code space_grow(struct label_space *space, struct err *err) {
    const uint32_t size = space->mask == 0 ? 64 : (space->mask + 1) * 2;
    struct label_set **sets = work_zalloc(space->work, size, sizeof(*sets), err);
    uint32_t *ids = sets != NULL ? work_alloc(space->work, size, sizeof(*ids), err) : NULL;
    if (ids == NULL) {
        return ERR_LIMIT;
    }
    for (uint32_t i = 0; space->mask != 0 && i <= space->mask; i++) {
        if (space->sets[i] != NULL) {
            uint32_t at = spread(space->ids[i]) & (size - 1);
            while (sets[at] != NULL) {
                at = (at + 1) & (size - 1);
            }
            sets[at] = space->sets[i];
            ids[at] = space->ids[i];
        }
    }
    space->sets = sets;
    space->ids = ids;
    space->mask = size - 1;
    return ERR_OK;
}

const struct label_set *label_space_get(struct label_space *space, uint32_t id, struct err *err) {
    if ((space->count + 1) * 2 > space->mask && space_grow(space, err) != ERR_OK) {
        return NULL;
    }
    uint32_t at = spread(id) & space->mask;
    while (space->sets[at] != NULL) {
        if (space->ids[at] == id) {
            return space->sets[at];
        }
        at = (at + 1) & space->mask;
    }
    struct arena *arena = &space->work->arena;
    struct label_set *set = arena_alloc(arena, sizeof(*set));
    const struct labels all = storage_set_labels(space->storage, space->querier, id);
    *set = (struct label_set){
        .number = space->count++,
        .all = all,
        .plain = labels_plain(arena, all),
        .has_type_or_unit = labels_has(all, STR("__type__")) || labels_has(all, STR("__unit__")),
    };
    space->sets[at] = set;
    space->ids[at] = id;
    if (work_check(space->work, err) != ERR_OK) {
        return NULL;
    }
    return set;
}

/* ---- rows ---- */

void row_spell(struct row *row, struct arena *arena) {
    if (row->target == NULL) {
        return;
    }
    const struct labels a = row->plain ? row->target->plain : row->target->all;
    const struct labels b = row->plain ? row->metric->plain : row->metric->all;
    if (a.size == 0) {
        row->labels = b;
    } else if (b.size == 0) {
        row->labels = a;
    } else {
        row->labels = labels_merge(arena, a, b);
    }
    row->target = NULL;
    row->metric = NULL;
    row->plain = false;
}

void row_drop_name(struct row *row, bool delayed, struct arena *arena) {
    if (delayed) {
        row->drop_name = true;
    } else if (row->target != NULL) {
        row->plain = true;
    } else {
        row->labels = labels_plain(arena, row->labels);
    }
}

struct str row_name(const struct row *row) {
    if (row->target == NULL) {
        return labels_get(row->labels, LABEL_NAME);
    }
    if (row->plain) {
        return STR("");
    }
    const struct str name = labels_get(row->metric->all, LABEL_NAME);
    return name.len != 0 ? name : labels_get(row->target->all, LABEL_NAME);
}

/* ---- grouping ---- */

struct pair_slot {
    uint32_t a, b;  /* numbers of parts */
    uint32_t group; /* + 1; 0 is free */
};

static int by_text(const void *left, const void *right) {
    return str_cmp(*(const struct str *)left, *(const struct str *)right);
}

enum err_code label_groups_init(struct label_groups *groups, struct work *work,
                                const struct str *names, size_t name_count, enum group_mode mode,
                                struct err *err) {
    *groups = (struct label_groups){.work = work, .keep = mode == GROUP_BY};
    struct str *sorted = work_alloc(work, name_count + 1, sizeof(*sorted), err);
    if (sorted == NULL) {
        return ERR_LIMIT;
    }
    size_t n = 0;
    for (size_t i = 0; i < name_count; i++) {
        sorted[n++] = names[i];
    }
    if (mode == GROUP_WITHOUT) {
        sorted[n++] = LABEL_NAME;
    }
    qsort(sorted, n, sizeof(*sorted), by_text);
    for (size_t i = 0; i < n; i++) {
        if (groups->name_count == 0 || !str_eq(sorted[groups->name_count - 1], sorted[i])) {
            sorted[groups->name_count++] = sorted[i];
        }
    }
    groups->names = sorted;
    enum err_code code = label_index_init(&groups->keys, work, 16, err);
    if (code == ERR_OK) {
        code = label_index_init(&groups->parts, work, 16, err);
    }
    return code;
}

static struct labels project(const struct label_groups *groups, struct labels labels) {
    struct arena *arena = &groups->work->arena;
    if (!groups->keep) {
        return labels_drop(arena, labels, groups->names, groups->name_count);
    }
    if (groups->name_count == 0) {
        return (struct labels){0};
    }
    return labels_keep(arena, labels, groups->names, groups->name_count);
}

static enum err_code projected_part(struct label_groups *groups, const struct label_set *set,
                                    bool plain, uint32_t *out, struct err *err) {
    const size_t at = 2 * (size_t)set->number + (plain ? 1 : 0);
    if (at >= groups->projected_count) {
        const size_t size = (at + 1) * 2;
        uint32_t *grown = work_zalloc(groups->work, size, sizeof(*grown), err);
        if (grown == NULL) {
            return ERR_LIMIT;
        }
        if (groups->projected_count > 0) {
            memcpy(grown, groups->projected, groups->projected_count * sizeof(*grown));
        }
        groups->projected = grown;
        groups->projected_count = size;
    }
    if (groups->projected[at] == 0) {
        uint32_t part = 0;
        const struct labels key = project(groups, plain ? set->plain : set->all);
        const enum err_code code = label_index_find_or_add(&groups->parts, key, &part, err);
        if (code != ERR_OK) {
            return code;
        }
        groups->projected[at] = part + 1;
    }
    *out = groups->projected[at] - 1;
    return ERR_OK;
}

static struct pair_slot *pair_find(struct pair_slot *pairs, uint32_t mask, uint32_t a, uint32_t b) {
    uint32_t at = spread(a * UINT32_C(0x9E3779B1) ^ b * UINT32_C(0x85EBCA77)) & mask;
    while (pairs[at].group != 0 && (pairs[at].a != a || pairs[at].b != b)) {
        at = (at + 1) & mask;
    }
    return &pairs[at];
}

static enum err_code pairs_grow(struct label_groups *groups, struct err *err) {
    const uint32_t size = groups->pair_mask == 0 ? 64 : (groups->pair_mask + 1) * 2;
    struct pair_slot *pairs = work_zalloc(groups->work, size, sizeof(*pairs), err);
    if (pairs == NULL) {
        return ERR_LIMIT;
    }
    for (uint32_t i = 0; groups->pair_mask != 0 && i <= groups->pair_mask; i++) {
        const struct pair_slot old = groups->pairs[i];
        if (old.group != 0) {
            *pair_find(pairs, size - 1, old.a, old.b) = old;
        }
    }
    groups->pairs = pairs;
    groups->pair_mask = size - 1;
    return ERR_OK;
}

static enum err_code group_of_interned(struct label_groups *groups, const struct row *row,
                                       uint32_t *out, struct err *err) {
    uint32_t a = 0;
    uint32_t b = 0;
    enum err_code code = projected_part(groups, row->target, row->plain, &a, err);
    if (code == ERR_OK) {
        code = projected_part(groups, row->metric, row->plain, &b, err);
    }
    if (code == ERR_OK && (groups->pair_count + 1) * 2 > groups->pair_mask) {
        code = pairs_grow(groups, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    struct pair_slot *slot = pair_find(groups->pairs, groups->pair_mask, a, b);
    if (slot->group == 0) {
        const struct labels key =
            labels_merge(work_lasting(groups->work), groups->parts.sets[a], groups->parts.sets[b]);
        uint32_t group = 0;
        code = label_index_find_or_add(&groups->keys, key, &group, err);
        if (code != ERR_OK) {
            return code;
        }
        *slot = (struct pair_slot){.a = a, .b = b, .group = group + 1};
        groups->pair_count++;
    }
    *out = slot->group - 1;
    return ERR_OK;
}

enum err_code label_groups_of(struct label_groups *groups, const struct row *row, uint32_t *out,
                              struct err *err) {
    enum err_code code = ERR_OK;
    if (row->target != NULL) {
        code = group_of_interned(groups, row, out, err);
    } else {
        const uint32_t before = groups->keys.count;
        const struct labels key = project(groups, row->labels);
        code = label_index_find_or_add(&groups->keys, key, out, err);
        if (code == ERR_OK && *out == before) {
            groups->keys.sets[before] = labels_copy(work_lasting(groups->work), key);
        }
    }
    if (code == ERR_OK) {
        code = work_did(groups->work->budget, LOOKUP_COST, err);
    }
    return code == ERR_OK ? work_check(groups->work, err) : code;
}

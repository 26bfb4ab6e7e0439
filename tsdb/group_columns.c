#include "tsdb/group_columns.h"

#include <string.h>

#include "base/mem.h"

void group_columns_free(struct group_columns *columns) {
    if (columns == NULL) {
        return;
    }
    for (uint32_t i = 0; i < columns->count; i++) {
        mem_free(columns->bundles[i].columns);
    }
    mem_free(columns->bundles);
    mem_free(columns->bundle_of);
    mem_free(columns);
}

uint32_t column_bundle_find(const struct column_bundle *bundle, struct column_key key) {
    uint32_t low = 0;
    uint32_t high = bundle->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (column_key_cmp(bundle->columns[middle].key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t column_bundle_slot(const struct column_bundle *bundle, struct column_key key) {
    const uint32_t at = column_bundle_find(bundle, key);
    return at < bundle->count && column_key_cmp(bundle->columns[at].key, key) == 0
               ? bundle->columns[at].slot
               : UINT32_MAX;
}

static void reach_slot(struct group_columns *columns, uint32_t slot) {
    if (slot < columns->slot_capacity) {
        return;
    }
    const uint32_t capacity = slot + slot / 8 + 8;
    columns->bundle_of = mem_resize(columns->bundle_of, capacity, sizeof(*columns->bundle_of));
    memset(columns->bundle_of + columns->slot_capacity, 0,
           (capacity - columns->slot_capacity) * sizeof(*columns->bundle_of));
    columns->slot_capacity = capacity;
}

static struct column_bundle *bundle_for(struct group_columns *columns, uint32_t owner) {
    if (columns->bundle_of[owner] != 0) {
        return &columns->bundles[columns->bundle_of[owner] - 1];
    }
    if (columns->count == columns->capacity) {
        columns->capacity = columns->capacity + columns->capacity / 4 + 1;
        columns->bundles =
            mem_resize(columns->bundles, columns->capacity, sizeof(*columns->bundles));
    }
    columns->bundles[columns->count] = (struct column_bundle){.owner = owner};
    columns->bundle_of[owner] = ++columns->count;
    return &columns->bundles[columns->count - 1];
}

bool group_columns_add(struct group_columns **io_columns, uint32_t owner, struct column_key key,
                       uint32_t slot) {
    struct group_columns *columns = *io_columns;
    const struct column_bundle *at_slot = group_columns_at(columns, slot);
    const struct column_bundle *at_owner = group_columns_at(columns, owner);
    if (slot == owner || at_slot != NULL || key.kind == COLUMN_FLOAT ||
        (at_owner != NULL && (at_owner->owner != owner || at_owner->count >= GROUP_COLUMNS_MAX ||
                              column_bundle_slot(at_owner, key) != UINT32_MAX))) {
        return false;
    }
    if (columns == NULL) {
        columns = mem_zalloc(sizeof(*columns));
        *io_columns = columns;
    }
    reach_slot(columns, slot > owner ? slot : owner);
    struct column_bundle *b = bundle_for(columns, owner);
    if (b->count == b->capacity) {
        b->capacity = b->capacity + b->capacity / 4 + 4;
        b->columns = mem_resize(b->columns, b->capacity, sizeof(*b->columns));
    }
    const uint32_t at = column_bundle_find(b, key);
    memmove(b->columns + at + 1, b->columns + at, (b->count - at) * sizeof(*b->columns));
    b->columns[at] = (struct group_column){.key = key, .slot = slot};
    b->count++;
    columns->bundle_of[slot] = columns->bundle_of[owner];
    columns->hidden_count++;
    return true;
}

void group_columns_drop(struct group_columns *columns, uint32_t owner) {
    struct column_bundle *b = group_columns_of(columns, owner);
    if (b == NULL) {
        return;
    }
    for (uint32_t i = 0; i < b->count; i++) {
        columns->bundle_of[b->columns[i].slot] = 0;
    }
    columns->hidden_count -= b->count;
    columns->bundle_of[owner] = 0;
    mem_free(b->columns);
    struct column_bundle *last = &columns->bundles[--columns->count];
    if (b != last) { /* the last one takes its place */
        *b = *last;
        const uint32_t number = (uint32_t)(b - columns->bundles) + 1;
        columns->bundle_of[b->owner] = number;
        for (uint32_t i = 0; i < b->count; i++) {
            columns->bundle_of[b->columns[i].slot] = number;
        }
    }
}

void group_columns_drop_slot(struct group_columns *columns, uint32_t slot) {
    struct column_bundle *b = group_columns_at(columns, slot);
    if (b == NULL || b->owner == slot) {
        return;
    }
    uint32_t at = 0;
    while (b->columns[at].slot != slot) {
        at++;
    }
    memmove(b->columns + at, b->columns + at + 1, (b->count - at - 1) * sizeof(*b->columns));
    b->count--;
    columns->hidden_count--;
    columns->bundle_of[slot] = 0;
}

size_t group_columns_bytes(const struct group_columns *columns) {
    if (columns == NULL) {
        return 0;
    }
    size_t bytes = sizeof(*columns) + columns->capacity * sizeof(*columns->bundles) +
                   columns->slot_capacity * sizeof(*columns->bundle_of);
    for (uint32_t i = 0; i < columns->count; i++) {
        bytes += columns->bundles[i].capacity * sizeof(*columns->bundles[i].columns);
    }
    return bytes;
}

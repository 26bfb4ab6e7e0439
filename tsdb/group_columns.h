/* Which hidden slots a group has: the columns of its series beyond a plain float's (column.h).
 *
 * A bundle is a series that has such columns, named by the slot that has its labels, the owner. A
 * group without any pays one pointer. Part of the state of a group: guarded by its locks. */
#ifndef TSDB_GROUP_COLUMNS_H
#define TSDB_GROUP_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "tsdb/column.h"

/* Columns of one series, over all layouts that it ever had in the group. */
enum { GROUP_COLUMNS_MAX = 4096 };
/* As newest_layout of a bundle. */
#define COLUMN_BUNDLE_FLOAT UINT32_MAX

struct group_column {
    struct column_key key;
    uint32_t slot;
};

struct column_bundle {
    struct group_column *columns; /* ascending by key, without the owner's own float */
    uint32_t owner;
    uint32_t count;
    uint32_t capacity;
    uint32_t newest_layout; /* of the newest sample; 0: unknown. Writers only: shard->mu */
};

struct group_columns {
    struct column_bundle *bundles; /* in the order of making */
    uint32_t count;
    uint32_t capacity;
    uint32_t *bundle_of; /* by slot: number + 1 of its bundle, 0 = none */
    uint32_t slot_capacity;
    uint32_t hidden_count;
};

void group_columns_free(struct group_columns *columns);
/* Makes slot the column key of owner, and *io_columns when it is NULL. False when that cannot be: the
 * series has the column, a slot is both owner and hidden, or GROUP_COLUMNS_MAX is reached. */
MUST_CHECK bool group_columns_add(struct group_columns **io_columns, uint32_t owner,
                                  struct column_key key, uint32_t slot);

/* The series has no columns any more; its hidden slots are nobody's. */
void group_columns_drop(struct group_columns *columns, uint32_t owner);
/* The same of one hidden slot. */
void group_columns_drop_slot(struct group_columns *columns, uint32_t slot);

/* The bundle that a slot owns or is hidden in; NULL when there is none. columns may be NULL. */
static inline struct column_bundle *group_columns_at(const struct group_columns *columns,
                                                     uint32_t slot) {
    if (columns == NULL || slot >= columns->slot_capacity || columns->bundle_of[slot] == 0) {
        return NULL;
    }
    return &columns->bundles[columns->bundle_of[slot] - 1];
}

/* The bundle of a series by its own slot; NULL for a plain float. */
static inline struct column_bundle *group_columns_of(const struct group_columns *columns,
                                                     uint32_t owner) {
    struct column_bundle *b = group_columns_at(columns, owner);
    return b != NULL && b->owner == owner ? b : NULL;
}

static inline bool group_columns_hides(const struct group_columns *columns, uint32_t slot) {
    const struct column_bundle *b = group_columns_at(columns, slot);
    return b != NULL && b->owner != slot;
}

/* Number of the first column of a bundle that is not below the key. */
uint32_t column_bundle_find(const struct column_bundle *bundle, struct column_key key);
/* Its slot, or UINT32_MAX. */
uint32_t column_bundle_slot(const struct column_bundle *bundle, struct column_key key);
size_t group_columns_bytes(const struct group_columns *columns);

#endif

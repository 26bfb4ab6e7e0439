/* Label work of the evaluator, done once per interned set instead of once per series: spelling a
 * row's labels out, dropping names, grouping keys; and an index of label sets for what needs to
 * find equal ones.
 *
 * Owner: one query; everything lives in the work given at init. One thread at a time. */
#ifndef QUERY_LABEL_OPS_H
#define QUERY_LABEL_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/str.h"
#include "query/matrix.h"
#include "query/work.h"
#include "tsdb/storage.h"

/* Without __name__, __type__, __unit__. */
struct labels labels_plain(struct arena *arena, struct labels labels);

/* ---- an index of label sets: each different one gets the next number ---- */

struct label_index {
    struct work *work;
    struct labels *sets; /* by number; borrowed */
    uint32_t count;
    uint32_t capacity;
    uint32_t *slots; /* number + 1; 0 is free */
    uint32_t slot_mask;
};

MUST_CHECK enum err_code label_index_init(struct label_index *index, struct work *work,
                                          size_t expected, struct err *err);
/* labels are borrowed until the index ends. *out == the old count says that it was new. */
MUST_CHECK enum err_code label_index_find_or_add(struct label_index *index, struct labels labels,
                                                 uint32_t *out, struct err *err);
/* False when it is not there. */
bool label_index_find(const struct label_index *index, struct labels labels, uint32_t *out);

/* ---- the storage's interned sets ---- */

struct label_set {
    uint32_t number; /* dense, in order of first use by the query */
    struct labels all;
    struct labels plain; /* equals all when there is nothing to drop */
    bool has_type_or_unit;
};

struct label_space {
    struct work *work;
    struct storage *storage;
    struct storage_querier *querier;
    struct label_set **sets; /* open addressing over the storage's id */
    uint32_t *ids;
    uint32_t mask;
    uint32_t count;
};

void label_space_init(struct label_space *space, struct work *work, struct storage *storage,
                      struct storage_querier *querier);
/* NULL with *err set. */
MUST_CHECK const struct label_set *label_space_get(struct label_space *space, uint32_t id,
                                                   struct err *err);

/* ---- rows ---- */

/* Makes labels valid (in arena) and forgets the sets. */
void row_spell(struct row *row, struct arena *arena);
/* Removes the three names now, or, when delayed, marks the row. */
void row_drop_name(struct row *row, bool delayed, struct arena *arena);
/* "" when it has none. */
struct str row_name(const struct row *row);

/* ---- grouping of rows ---- */

enum group_mode {
    GROUP_BY,      /* only the names */
    GROUP_WITHOUT, /* all but the names and __name__ */
    GROUP_DROP,    /* all but the names */
};

struct label_groups {
    struct work *work;
    const struct str *names; /* sorted, unique; GROUP_WITHOUT: including __name__ */
    size_t name_count;
    bool keep; /* the names, else drop them */
    struct label_index keys;
    /* For interned rows: the projection of a set by its number, and the key of a pair of them. */
    uint32_t *projected; /* [2 * set number + plain]: number in parts + 1, 0 = not known */
    size_t projected_count;
    struct label_index parts;
    struct pair_slot *pairs;
    uint32_t pair_mask;
    uint32_t pair_count;
};

/* names in any order, repeats allowed; copied. */
MUST_CHECK enum err_code label_groups_init(struct label_groups *groups, struct work *work,
                                           const struct str *names, size_t name_count,
                                           enum group_mode mode, struct err *err);
/* The number of the row's group, dense, in order of first use; groups->keys.sets holds the
 * labels. */
MUST_CHECK enum err_code label_groups_of(struct label_groups *groups, const struct row *row,
                                         uint32_t *out, struct err *err);

#endif

/* The head's index: which series exist, and which of them have certain labels.
 *
 * Two spaces of interned label sets, target sets and metric sets, each with a dictionary of its
 * label names and values and, per value, the sets that have it. A series is a slot of a group: the
 * group has the target set, the slot the metric set; a slot marked whole has all its labels in
 * the metric set. So postings name sets, of which there are few, and not series, of which there
 * are many: 1,600 equal targets of 622 series are 1,600 + 622 sets, and what is stored per series
 * is its metric set in the group and its place in the metric set's list of users.
 *
 * A series' two sets never have a label name in common. Therefore a matcher that does not accept
 * the empty value is true when either set has one of its values, and one that does is false when
 * either set has one of the other values: no set needs to know what the other lacks.
 *
 * GENERATIONS. In a generation things are only added, so numbers of sets and label blobs stay as they
 * are. What ended leaves with its generation: the head makes new tables of what lives and puts them in
 * place of the old ones, which stay, unchanged, until the last querier that pinned them is gone.
 *
 * The owner is the head; mu guards everything but label blobs, which never move. Functions named
 * _locked want mu held; queries take it themselves, for short steps. */
#ifndef TSDB_INDEX_H
#define TSDB_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/matcher.h"
#include "base/mutex.h"
#include "base/str.h"
#include "tsdb/label_sets.h"
#include "tsdb/postings.h"

enum {
    INDEX_NONE = UINT32_MAX,
    /* In a group's list: this slot has no series (its definition was damaged). */
    INDEX_SLOT_LOST = UINT32_MAX,
    INDEX_SLOT_MAX = 1 << 30, /* slots of one group */
    INDEX_GUESSES = 16,
};
/* In a group's list: the metric set holds all labels. */
#define INDEX_SLOT_WHOLE 0x80000000U

struct index_name {
    struct str name;
    struct postings sets;
    uint32_t *values; /* ids, in order of first use */
    uint32_t value_count;
    uint32_t value_capacity;
    uint32_t last; /* of values: the one that was used last */
};

struct index_value {
    const char *text; /* in a label blob */
    uint32_t text_bytes;
    uint32_t name;
    struct postings sets;
};

struct index_table { /* open addressing: id + 1, 0 = free */
    uint32_t *slots;
    uint32_t mask;
};

struct index_space {
    struct label_sets sets;
    uint32_t covered; /* sets below are in the dictionary */
    struct index_name *names;
    uint32_t name_count;
    uint32_t name_capacity;
    struct index_table name_table;
    struct index_value *values;
    uint32_t *value_hashes; /* by value: a probe reads neighbours here, not all of a value */
    uint32_t value_count;
    uint32_t value_capacity;
    struct index_table value_table;
    uint32_t guesses[INDEX_GUESSES]; /* name of the label in this place of the newest set */
};

struct index_group {
    uint32_t target_set;
    uint32_t next_same_target; /* group, or 0 */
    uint32_t *slots;           /* metric set | INDEX_SLOT_WHOLE, or INDEX_SLOT_LOST */
    uint32_t slot_count;
    uint32_t slot_capacity;
};

struct index_uses { /* series with one metric set */
    uint8_t *bytes; /* zigzag varint pairs: group and slot * 2 + whole, as differences */
    uint32_t len;
    uint32_t capacity;
    uint32_t last_group;
    uint32_t last_slot_bits;
    uint32_t count;
};

struct index_tables { /* one generation */
    uint32_t number;  /* from 1 */
    uint32_t pins;    /* queriers that read them */
    struct index_space targets;
    struct index_space metrics;
    struct index_group *groups; /* by number; 0 is none */
    uint32_t group_count;       /* with the unused 0 */
    uint32_t group_capacity;
    uint32_t *target_groups; /* by target set: its newest group, or 0 */
    uint32_t target_capacity;
    struct index_use {  /* by metric set */
        uint32_t group; /* the only user; 0 = none; INDEX_NONE = list number in slot_bits */
        uint32_t slot_bits;
    } * uses;
    uint32_t use_capacity;
    struct index_uses *lists;
    uint32_t list_count;
    uint32_t list_capacity;
    uint64_t series_count;
};

struct index {
    struct mutex mu;
    uint64_t seed;
    struct index_tables *live;
    struct index_tables *retired; /* with pins; NULL: none */
    bool defers;                  /* replay: users and chains are made by index_finish_replay */
};

void index_init(struct index *index, uint64_t seed);
void index_release(struct index *index);

/* The live tables, kept until they are unpinned. Any thread. */
struct index_tables *index_pin(struct index *index);
void index_unpin(struct index *index, struct index_tables *tables);
/* The live tables of from, made by one thread, become those of index. */
void index_replace_locked(struct index *index, struct index *from) REQUIRES(index->mu);
/* Are older tables still pinned? */
bool index_has_retired(struct index *index);

/* ---- building ---- */

/* The number of a set, made if it is new; INDEX_NONE when the space is full. */
uint32_t index_target_locked(struct index *index, struct labels labels) REQUIRES(index->mu);
uint32_t index_metric_locked(struct index *index, struct labels labels) REQUIRES(index->mu);
/* For replay: with a given number. False when that cannot be (a damaged log). */
MUST_CHECK bool index_define_target_locked(struct index *index, uint32_t set, struct labels labels)
    REQUIRES(index->mu);
MUST_CHECK bool index_define_metric_locked(struct index *index, uint32_t set, struct labels labels)
    REQUIRES(index->mu);

/* Numbers below are given to nobody any more. */
void index_skip_locked(struct index *index, uint32_t targets, uint32_t metrics) REQUIRES(index->mu);

/* A new group, with the next number. */
uint32_t index_add_group_locked(struct index *index, uint32_t target_set) REQUIRES(index->mu);
/* A new series, in the group's next slot; metric_set may have INDEX_SLOT_WHOLE. */
uint32_t index_add_series_locked(struct index *index, uint32_t group, uint32_t metric_set)
    REQUIRES(index->mu);
/* A slot without a series, for replay of a damaged log. */
void index_add_lost_slot_locked(struct index *index, uint32_t group) REQUIRES(index->mu);

/* Gives a lost slot to a series; during replay any slot. */
void index_put_series_locked(struct index *index, uint32_t group, uint32_t slot,
                             uint32_t metric_set) REQUIRES(index->mu);
/* A slot loses its series; only during replay. */
void index_lose_slot_locked(struct index *index, uint32_t group, uint32_t slot) REQUIRES(index->mu);
/* A group that nobody uses any more (no slots; during replay any) begins anew. */
void index_reuse_group_locked(struct index *index, uint32_t group, uint32_t target_set)
    REQUIRES(index->mu);
/* A group number that is not in use. */
void index_add_free_group_locked(struct index *index) REQUIRES(index->mu);
/* Between these two nobody looks for sets or series, and definitions may replace each other. Returns how
 * many sets were defined with more than one number, which only damage does. The sets are in no dictionary
 * yet: a million unlike ones take longer to enter than all else at opening, and only queries look there. */
void index_begin_replay(struct index *index);
uint32_t index_finish_replay(struct index *index);
/* Enters some of the sets that are in no dictionary yet, about a millisecond's work; false when there is none. For
 * the background: a query enters what is missing itself. Any thread. */
bool index_cover_some(struct index *index);

/* The slot of the series, or INDEX_NONE. hint is tried first. */
uint32_t index_find_series_locked(const struct index *index, uint32_t group, uint32_t metric_set,
                                  uint32_t hint) REQUIRES(index->mu);

/* Number of series with a metric set. */
uint32_t index_use_count_locked(const struct index *index, uint32_t metric_set) REQUIRES(index->mu);

/* Users of a metric set, oldest first. */
struct index_use_iter {
    const uint8_t *at;
    const uint8_t *end;
    uint32_t group;
    uint32_t slot_bits;
    bool single;
};
struct index_use_iter index_uses_locked(const struct index *index, uint32_t metric_set)
    REQUIRES(index->mu);
bool index_next_use(struct index_use_iter *it, uint32_t *out_group, uint32_t *out_slot,
                    bool *out_whole);

/* ---- queries: take mu themselves ---- */

struct index_hit {
    uint32_t group;
    uint32_t slot;
    uint32_t target_set; /* 0 for a whole slot */
    uint32_t metric_set;
};

/* t: the live tables, or pinned ones. */

/* All series with all matchers true, in no particular order, each place once. ERR_LIMIT when the
 * arena's budget is passed or a regular expression gave up; ERR_CANCELED, ERR_TIMEOUT. */
MUST_CHECK enum err_code index_select(struct index *index, const struct index_tables *t,
                                      const struct matcher *matchers, size_t n, struct arena *arena,
                                      const struct cancel *cancel, struct index_hit **out,
                                      size_t *out_count, struct err *err);

/* Sorted and unique, at most limit (0 = all); strings live as long as the index. With n = 0 the
 * dictionary answers, else the series that match. */
MUST_CHECK enum err_code index_label_names(struct index *index, const struct index_tables *t,
                                           const struct matcher *matchers, size_t n, size_t limit,
                                           struct arena *arena, const struct cancel *cancel,
                                           struct str **out, size_t *out_count, struct err *err);
MUST_CHECK enum err_code index_label_values(struct index *index, const struct index_tables *t,
                                            struct str name, const struct matcher *matchers,
                                            size_t n, size_t limit, struct arena *arena,
                                            const struct cancel *cancel, struct str **out,
                                            size_t *out_count, struct err *err);

/* Private to index_*.c. */
/* Enters all sets of t; ERR_CANCELED, ERR_TIMEOUT. */
MUST_CHECK enum err_code index_cover(struct index *index, const struct index_tables *t,
                                     const struct cancel *cancel, struct err *err);
uint32_t index_count_uses(const struct index_tables *t, uint32_t metric_set);
struct index_use_iter index_iterate_uses(const struct index_tables *t, uint32_t metric_set);

/* ---- index_space.c: private to index.c; its lock is held ---- */

void index_space_init(struct index_space *space, uint64_t seed);
void index_space_release(struct index_space *space);
/* The ids, or INDEX_NONE. */
uint32_t index_space_find_name(const struct index_space *space, struct str name);
uint32_t index_space_find_value(const struct index_space *space, uint32_t name, struct str value);
/* The number of the set, made if it is new; INDEX_NONE when there is no room. */
uint32_t index_space_intern(struct index_space *space, struct labels labels);
/* As label_sets_define; the set is in no dictionary until index_space_cover. */
MUST_CHECK bool index_space_define(struct index_space *space, uint32_t set, struct labels labels);
/* Enters up to limit sets; true when there are no more. */
bool index_space_cover(struct index_space *space, uint32_t limit);
struct str index_space_text(const struct index_space *space, uint32_t value);

#endif

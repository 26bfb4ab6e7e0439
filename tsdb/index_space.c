/* A space of label sets and its dictionary: names, values, and which sets have them.
 *
 * GUESSES. Sets come in an order: lines of a page, pages of equal targets. So the label in the same place
 * of the set before has the name, and the value is mostly the one of that name that was used last, or that
 * which was first used behind it. A right guess is one comparison of neighbouring memory; a look-up in
 * the table of a million values is three cache misses.
 *
 * AHEAD. When many sets are entered at once, labels are looked at some places before their turn, so that these
 * misses overlap. */
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tsdb/index.h"

enum { TABLE_MIN = 64, AHEAD = 32, HALF_AHEAD = AHEAD / 2 };

/* ---- tables ---- */

static void table_init(struct index_table *t) {
    t->mask = TABLE_MIN - 1;
    t->slots = mem_zalloc(TABLE_MIN * sizeof(*t->slots));
}

static void table_put(struct index_table *t, uint32_t hash, uint32_t id) {
    uint32_t at = hash & t->mask;
    while (t->slots[at] != 0) {
        at = (at + 1) & t->mask;
    }
    t->slots[at] = id + 1;
}

/* Makes room for one more than count; true when the caller must put all ids again. */
static bool table_grow(struct index_table *t, uint32_t count) {
    if (count < t->mask / 4 * 3) {
        return false;
    }
    mem_free(t->slots);
    t->mask = t->mask * 2 + 1;
    t->slots = mem_zalloc((t->mask + (size_t)1) * sizeof(*t->slots));
    return true;
}

static uint32_t hash_text(const struct index_space *space, uint32_t salt, struct str text) {
    const uint64_t h = hash_keyed(text.ptr, text.len, space->sets.seed + salt);
    return (uint32_t)(h ^ h >> 32);
}

/* ---- dictionaries ---- */

uint32_t index_space_find_name(const struct index_space *space, struct str name) {
    const struct index_table *t = &space->name_table;
    for (uint32_t at = hash_text(space, 0, name) & t->mask; t->slots[at] != 0;
         at = (at + 1) & t->mask) {
        if (str_eq(space->names[t->slots[at] - 1].name, name)) {
            return t->slots[at] - 1;
        }
    }
    return INDEX_NONE;
}

static uint32_t add_name(struct index_space *space, struct str name) {
    if (space->name_count == space->name_capacity) {
        space->name_capacity =
            (uint32_t)mem_grow(space->name_capacity, space->name_count + (size_t)1);
        space->names = mem_resize(space->names, space->name_capacity, sizeof(*space->names));
    }
    const uint32_t id = space->name_count++;
    space->names[id] = (struct index_name){.name = name};
    if (table_grow(&space->name_table, space->name_count)) {
        for (uint32_t i = 0; i < id; i++) {
            table_put(&space->name_table, hash_text(space, 0, space->names[i].name), i);
        }
    }
    table_put(&space->name_table, hash_text(space, 0, name), id);
    return id;
}

struct str index_space_text(const struct index_space *space, uint32_t value) {
    const struct index_value *v = &space->values[value];
    return (struct str){v->text, v->text_bytes};
}

static uint32_t find_value(const struct index_space *space, uint32_t name, struct str value,
                           uint32_t hash) {
    const struct index_table *t = &space->value_table;
    for (uint32_t at = hash & t->mask; t->slots[at] != 0; at = (at + 1) & t->mask) {
        const uint32_t id = t->slots[at] - 1;
        if (space->value_hashes[id] == hash && space->values[id].name == name &&
            str_eq(index_space_text(space, id), value)) {
            return id;
        }
    }
    return INDEX_NONE;
}

uint32_t index_space_find_value(const struct index_space *space, uint32_t name, struct str value) {
    return find_value(space, name, value, hash_text(space, name + 1, value));
}

static uint32_t add_value(struct index_space *space, uint32_t name, struct str value,
                          uint32_t hash) {
    if (space->value_count == space->value_capacity) {
        space->value_capacity =
            (uint32_t)mem_grow(space->value_capacity, space->value_count + (size_t)1);
        space->values = mem_resize(space->values, space->value_capacity, sizeof(*space->values));
        space->value_hashes =
            mem_resize(space->value_hashes, space->value_capacity, sizeof(*space->value_hashes));
    }
    const uint32_t id = space->value_count++;
    space->values[id] =
        (struct index_value){.text = value.ptr, .text_bytes = (uint32_t)value.len, .name = name};
    space->value_hashes[id] = hash;
    struct index_name *owner = &space->names[name];
    if (owner->value_count == owner->value_capacity) {
        owner->value_capacity =
            owner->value_capacity == 0
                ? 1
                : (uint32_t)mem_grow(owner->value_capacity, owner->value_count + (size_t)1);
        owner->values = mem_resize(owner->values, owner->value_capacity, sizeof(*owner->values));
    }
    owner->values[owner->value_count++] = id;
    if (table_grow(&space->value_table, space->value_count)) {
        for (uint32_t i = 0; i < id; i++) {
            if (i + AHEAD < id) {
                __builtin_prefetch(&space->value_table.slots[space->value_hashes[i + AHEAD] &
                                                             space->value_table.mask],
                                   1);
            }
            table_put(&space->value_table, space->value_hashes[i], i);
        }
    }
    table_put(&space->value_table, hash, id);
    return id;
}

/* ---- sets ---- */

static uint32_t name_in_place(struct index_space *space, uint32_t place, struct str name) {
    uint32_t *guess = &space->guesses[place % INDEX_GUESSES];
    if (*guess < space->name_count && str_eq(space->names[*guess].name, name)) {
        return *guess;
    }
    const uint32_t id = index_space_find_name(space, name);
    *guess = id != INDEX_NONE ? id : add_name(space, name);
    return *guess;
}

/* Where in the name's list the value is; ids ascend there. */
static uint32_t place_of(const struct index_name *name, uint32_t id) {
    uint32_t low = 0;
    for (uint32_t n = name->value_count; n > 1; n -= n / 2) {
        low += name->values[low + n / 2] <= id ? n / 2 : 0;
    }
    return low;
}

struct entry { /* a label on its way into the dictionary */
    struct str text;
    uint32_t set;
    uint32_t name;
    uint32_t value; /* INDEX_NONE: to be looked up by the hash */
    uint32_t hash;
};

static uint32_t guess_value(const struct index_space *space, struct index_name *name,
                            struct str text) {
    for (uint32_t at = name->last; at < name->value_count && at - name->last <= 1; at++) {
        if (str_eq(index_space_text(space, name->values[at]), text)) {
            name->last = at;
            return name->values[at];
        }
    }
    return INDEX_NONE;
}

static void entry_begin(struct index_space *space, struct entry *e) {
    e->value = guess_value(space, &space->names[e->name], e->text);
    if (e->value == INDEX_NONE) {
        e->hash = hash_text(space, e->name + 1, e->text);
        __builtin_prefetch(&space->value_table.slots[e->hash & space->value_table.mask], 1);
    }
}

static void entry_prefetch(const struct index_space *space, const struct entry *e) {
    const struct index_table *t = &space->value_table;
    if (e->value == INDEX_NONE) {
        for (uint32_t at = e->hash & t->mask; t->slots[at] != 0; at = (at + 1) & t->mask) {
            __builtin_prefetch(&space->value_hashes[t->slots[at] - 1]);
        }
    }
}

static void entry_finish(struct index_space *space, const struct entry *e) {
    uint32_t id = e->value;
    if (id == INDEX_NONE) {
        struct index_name *name = &space->names[e->name];
        id = find_value(space, e->name, e->text, e->hash);
        if (id != INDEX_NONE) {
            name->last = place_of(name, id);
        } else {
            name->last = name->value_count;
            id = add_value(space, e->name, e->text, e->hash);
        }
    }
    postings_add(&space->names[e->name].sets, e->set);
    postings_add(&space->values[id].sets, e->set);
}

struct entries { /* a ring: begun, prefetched, finished */
    struct entry ring[AHEAD];
    uint64_t begun;
    uint64_t finished;
};

static void finish_next(struct index_space *space, struct entries *q) {
    if (q->finished + HALF_AHEAD < q->begun) {
        entry_prefetch(space, &q->ring[(q->finished + HALF_AHEAD) % AHEAD]);
    }
    entry_finish(space, &q->ring[q->finished++ % AHEAD]);
}

/* The text of labels is borrowed from the sets' blobs. */
bool index_space_cover(struct index_space *space, uint32_t limit) {
    const uint32_t left = space->sets.count - space->covered;
    const uint32_t end = left > limit ? space->covered + limit : space->sets.count;
    struct entries q;
    q.begun = q.finished = 0;
    for (uint32_t set = space->covered; set < end; set++) {
        struct labels_iter it = labels_begin(label_sets_get(&space->sets, set));
        struct label pair;
        for (uint32_t place = 0; labels_next(&it, &pair); place++) {
            if (q.begun - q.finished == AHEAD) {
                finish_next(space, &q);
            }
            struct entry *e = &q.ring[q.begun++ % AHEAD];
            *e = (struct entry){.text = pair.value, .set = set};
            e->name = name_in_place(space, place, pair.name);
            entry_begin(space, e);
        }
    }
    while (q.finished < q.begun) {
        finish_next(space, &q);
    }
    space->covered = end;
    return end == space->sets.count;
}

uint32_t index_space_intern(struct index_space *space, struct labels labels) {
    const uint32_t count = space->sets.count;
    const uint32_t set = label_sets_intern(&space->sets, labels);
    if (space->covered == count) { /* else they are entered in their order, later */
        (void)index_space_cover(space, 1);
    }
    return set == LABEL_SET_NONE ? INDEX_NONE : set;
}

bool index_space_define(struct index_space *space, uint32_t set, struct labels labels) {
    return label_sets_define(&space->sets, set, labels);
}

/* ---- life ---- */

void index_space_init(struct index_space *space, uint64_t seed) {
    *space = (struct index_space){0};
    label_sets_init(&space->sets, seed);
    space->covered = space->sets.count;
    table_init(&space->name_table);
    table_init(&space->value_table);
}

void index_space_release(struct index_space *space) {
    for (uint32_t i = 0; i < space->name_count; i++) {
        postings_release(&space->names[i].sets);
        mem_free(space->names[i].values);
    }
    for (uint32_t i = 0; i < space->value_count; i++) {
        postings_release(&space->values[i].sets);
    }
    mem_free(space->names);
    mem_free(space->values);
    mem_free(space->value_hashes);
    mem_free(space->name_table.slots);
    mem_free(space->value_table.slots);
    label_sets_release(&space->sets);
}

/* A space of label sets and its dictionary: names, values, and which sets have them.
 *
 * GUESSES. Sets come in an order: lines of a page, pages of equal targets. So the label in the same place
 * of the set before has the name, and the value is mostly the one of that name that was used last, or that
 * which was first used behind it. A right guess is one comparison of neighbouring memory; a look-up in
 * the table of a million values is three cache misses. */
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tsdb/index.h"

enum { TABLE_MIN = 64 };

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

static uint32_t find_value(const struct index_space *space, uint32_t name, struct str value,
                           uint32_t hash) {
    const struct index_table *t = &space->value_table;
    for (uint32_t at = hash & t->mask; t->slots[at] != 0; at = (at + 1) & t->mask) {
        const struct index_value *v = &space->values[t->slots[at] - 1];
        if (v->hash == hash && v->name == name && str_eq(v->text, value)) {
            return t->slots[at] - 1;
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
    }
    const uint32_t id = space->value_count++;
    space->values[id] = (struct index_value){.text = value, .hash = hash, .name = name};
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
            table_put(&space->value_table, space->values[i].hash, i);
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

static uint32_t value_of(struct index_space *space, uint32_t name_id, struct str text) {
    struct index_name *name = &space->names[name_id];
    for (uint32_t at = name->last; at < name->value_count && at - name->last <= 1; at++) {
        if (str_eq(space->values[name->values[at]].text, text)) {
            name->last = at;
            return name->values[at];
        }
    }
    const uint32_t hash = hash_text(space, name_id + 1, text);
    const uint32_t id = find_value(space, name_id, text, hash);
    if (id != INDEX_NONE) {
        name->last = place_of(name, id);
        return id;
    }
    name->last = name->value_count;
    return add_value(space, name_id, text, hash);
}

/* Enters the labels of a new set; their text is borrowed from its blob. */
static void add_postings(struct index_space *space, uint32_t set) {
    struct labels_iter it = labels_begin(label_sets_get(&space->sets, set));
    struct label pair;
    for (uint32_t place = 0; labels_next(&it, &pair); place++) {
        const uint32_t name = name_in_place(space, place, pair.name);
        const uint32_t value = value_of(space, name, pair.value);
        postings_add(&space->names[name].sets, set);
        postings_add(&space->values[value].sets, set);
    }
}

uint32_t index_space_intern(struct index_space *space, struct labels labels) {
    const uint32_t count = space->sets.count;
    const uint32_t set = label_sets_intern(&space->sets, labels);
    if (space->sets.count > count) {
        add_postings(space, set);
    }
    return set == LABEL_SET_NONE ? INDEX_NONE : set;
}

bool index_space_define(struct index_space *space, uint32_t set, struct labels labels) {
    if (!label_sets_define(&space->sets, set, labels)) {
        return false;
    }
    add_postings(space, set);
    return true;
}

/* ---- life ---- */

void index_space_init(struct index_space *space, uint64_t seed) {
    *space = (struct index_space){0};
    label_sets_init(&space->sets, seed);
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
    mem_free(space->name_table.slots);
    mem_free(space->value_table.slots);
    label_sets_release(&space->sets);
}

/* INVARIANTS
 *   O1  A pair's rank is its place among all pairs by name, then value: lists of ranks compare as
 *       the labels do, and of two ranks with different names the smaller one has the smaller name.
 *   O2  While place p is sorted, the lists that reach it are at the end of the array, by what is
 *       behind p; those that end with p are before all others and in the order of the series.
 *
 * WHY NOT sort the merged labels: comparing them costs a memory access or two each, 16 times for
 * each of 40,000 series; and each must be spelled out first. */
#include "tsdb/label_order.h"

#include <string.h>

#include "base/hash.h"
#include "base/sort.h"

enum {
    DIGIT_BITS = 11,
    DIGIT_COUNT = 1 << DIGIT_BITS,
    FEW = 32, /* that an insertion sort takes less time for than clearing the counts */
    BETWEEN_CHECKS = 2048,
    FIRST_CAPACITY = 256,
};

/* Strings by number, in order of first sight. */
struct dictionary {
    struct entry {
        struct str key;
        uint64_t hash;
    } * entries;
    uint32_t *table; /* 2 * capacity: number + 1 */
    size_t count;
    size_t capacity;
};

/* A set, and where its pairs are in sorting.pairs. */
struct set_pairs {
    uint32_t set;
    uint32_t count;
    size_t first;
};

struct placed {
    uint32_t rank; /* at the place that is sorted */
    uint32_t series;
};

struct sorting {
    const struct label_order_source *source;
    struct arena *scratch;
    const struct cancel *cancel;
    size_t done; /* since cancel was looked at */

    struct dictionary names;
    struct dictionary texts; /* pairs as they are packed: name and value */
    uint32_t *name_of;       /* by number of a pair, then by rank */

    struct set_pairs *sets;
    uint32_t *set_table; /* 2 * set_capacity: place in sets + 1 */
    size_t set_count;
    size_t set_capacity;
    uint32_t *pairs; /* numbers, then ranks, set by set */
    size_t pair_count;
    size_t pair_capacity;

    uint32_t *lists; /* ranks, series by series */
    size_t *list_end;
    size_t longest;
};

static void *take(struct sorting *s, size_t count, size_t bytes) {
    return arena_try_alloc(s->scratch, count, bytes);
}

static enum err_code look(struct sorting *s) {
    if (++s->done < BETWEEN_CHECKS) {
        return ERR_OK;
    }
    s->done = 0;
    return cancel_check(s->cancel);
}

/* ---- strings ---- */

static enum err_code dictionary_grow(struct sorting *s, struct dictionary *d) {
    const size_t capacity = d->capacity == 0 ? FIRST_CAPACITY : d->capacity * 2;
    struct entry *entries = take(s, capacity, sizeof(*entries));
    uint32_t *table = take(s, capacity * 2, sizeof(*table));
    if (entries == NULL || table == NULL || capacity > UINT32_MAX / 2) {
        return ERR_LIMIT;
    }
    memset(table, 0, capacity * 2 * sizeof(*table));
    const size_t mask = capacity * 2 - 1;
    for (size_t i = 0; i < d->count; i++) {
        entries[i] = d->entries[i];
        size_t at = entries[i].hash & mask;
        while (table[at] != 0) {
            at = (at + 1) & mask;
        }
        table[at] = (uint32_t)i + 1;
        const enum err_code code = look(s);
        if (code != ERR_OK) {
            return code;
        }
    }
    d->entries = entries;
    d->table = table;
    d->capacity = capacity;
    return ERR_OK;
}

/* A key that is new gets the next number. */
static enum err_code dictionary_number(struct sorting *s, struct dictionary *d, struct str key,
                                       uint32_t *out) {
    if (d->count == d->capacity) {
        const enum err_code code = dictionary_grow(s, d);
        if (code != ERR_OK) {
            return code;
        }
    }
    const uint64_t hash = hash_keyed(key.ptr, key.len, s->source->seed);
    const size_t mask = d->capacity * 2 - 1;
    size_t at = hash & mask;
    for (; d->table[at] != 0; at = (at + 1) & mask) {
        const struct entry *e = &d->entries[d->table[at] - 1];
        if (e->hash == hash && str_eq(e->key, key)) {
            *out = d->table[at] - 1;
            return ERR_OK;
        }
    }
    *out = (uint32_t)d->count;
    d->entries[d->count++] = (struct entry){.key = key, .hash = hash};
    d->table[at] = (uint32_t)d->count;
    return ERR_OK;
}

/* ---- sets ---- */

static size_t set_slot(const struct sorting *s, uint32_t set) {
    const size_t mask = s->set_capacity * 2 - 1;
    size_t at = (size_t)(set * UINT64_C(0x9E3779B97F4A7C15) >> 32) & mask;
    while (s->set_table[at] != 0 && s->sets[s->set_table[at] - 1].set != set) {
        at = (at + 1) & mask;
    }
    return at;
}

static enum err_code sets_grow(struct sorting *s) {
    const size_t capacity = s->set_capacity == 0 ? FIRST_CAPACITY : s->set_capacity * 2;
    struct set_pairs *sets = take(s, capacity, sizeof(*sets));
    uint32_t *table = take(s, capacity * 2, sizeof(*table));
    if (sets == NULL || table == NULL || capacity > UINT32_MAX / 2) {
        return ERR_LIMIT;
    }
    memset(table, 0, capacity * 2 * sizeof(*table));
    if (s->set_count > 0) {
        memcpy(sets, s->sets, s->set_count * sizeof(*sets));
    }
    s->sets = sets;
    s->set_table = table;
    s->set_capacity = capacity;
    for (size_t i = 0; i < s->set_count; i++) {
        table[set_slot(s, sets[i].set)] = (uint32_t)i + 1;
        const enum err_code code = look(s);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code add_pair(struct sorting *s, struct str text, struct str name) {
    if (s->pair_count == s->pair_capacity) {
        const size_t capacity = s->pair_capacity == 0 ? FIRST_CAPACITY : s->pair_capacity * 2;
        uint32_t *grown = take(s, capacity, sizeof(*grown));
        if (grown == NULL) {
            return ERR_LIMIT;
        }
        if (s->pair_count > 0) {
            memcpy(grown, s->pairs, s->pair_count * sizeof(*grown));
        }
        s->pairs = grown;
        s->pair_capacity = capacity;
    }
    uint32_t number = 0;
    enum err_code code = dictionary_number(s, &s->texts, text, &number);
    s->pairs[s->pair_count++] = number;
    if (code == ERR_OK && number + 1 == s->texts.count) { /* a new one, most likely */
        uint32_t unused = 0;
        code = dictionary_number(s, &s->names, name, &unused);
    }
    return code == ERR_OK ? look(s) : code;
}

/* Takes the pairs of a set that was not seen yet. */
static enum err_code add_set(struct sorting *s, uint32_t set) {
    if (s->set_capacity != 0 && s->set_table[set_slot(s, set)] != 0) {
        return ERR_OK;
    }
    enum err_code code = s->set_count == s->set_capacity ? sets_grow(s) : ERR_OK;
    if (code != ERR_OK) {
        return code;
    }
    struct set_pairs *added = &s->sets[s->set_count++];
    *added = (struct set_pairs){.set = set, .first = s->pair_count};
    s->set_table[set_slot(s, set)] = (uint32_t)s->set_count;
    struct labels_iter it = labels_begin(s->source->set_labels(s->source->ctx, set));
    while (it.at < it.end && code == ERR_OK) {
        const uint8_t *from = it.at;
        const struct str name = labels_take_string(&it.at);
        (void)labels_take_string(&it.at);
        const struct str text = {(const char *)from, (size_t)(it.at - from)};
        code = add_pair(s, text, name);
        added->count++;
    }
    return code;
}

static enum err_code add_sets(struct sorting *s) {
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < s->source->count && code == ERR_OK; i++) {
        const struct storage_series *series = &s->source->series[i];
        code = look(s);
        if (code == ERR_OK && (i == 0 || series->target_set != series[-1].target_set)) {
            code = add_set(s, series->target_set);
        }
        if (code == ERR_OK) {
            code = add_set(s, series->metric_set);
        }
    }
    return code;
}

/* ---- ranks ---- */

struct named {
    struct str text;
    uint64_t start; /* its first bytes, as a number in their order */
    uint32_t name;  /* of a pair: rank of its name */
    uint32_t number;
};

static int by_text(const void *left, const void *right) {
    const struct named *a = left;
    const struct named *b = right;
    if (a->name != b->name) {
        return a->name < b->name ? -1 : 1;
    }
    if (a->start != b->start) {
        return a->start < b->start ? -1 : 1;
    }
    return str_cmp(a->text, b->text);
}

static uint64_t start_of(struct str text) {
    uint64_t start = 0;
    const size_t n = text.len < sizeof(start) ? text.len : sizeof(start);
    for (size_t i = 0; i < n; i++) {
        start |= (uint64_t)(uint8_t)text.ptr[i] << (56 - 8 * i);
    }
    return start;
}

static enum err_code sort_named(struct sorting *s, struct named *items, size_t count) {
    void **pointers = take(s, count, 2 * sizeof(void *));
    if (pointers == NULL) {
        return ERR_LIMIT;
    }
    return sort_items(items, count, sizeof(*items), by_text, pointers, s->cancel);
}

/* rank[number] of the names. */
static enum err_code rank_names(struct sorting *s, uint32_t **out_rank) {
    const size_t count = s->names.count;
    struct named *items = take(s, count, sizeof(*items));
    uint32_t *rank = take(s, count, sizeof(*rank));
    if (items == NULL || rank == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        const struct str text = s->names.entries[i].key;
        items[i] = (struct named){.text = text, .start = start_of(text), .number = (uint32_t)i};
    }
    const enum err_code code = sort_named(s, items, count);
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        rank[items[i].number] = (uint32_t)i;
    }
    *out_rank = rank;
    return code;
}

static enum err_code spell_pairs(struct sorting *s, const uint32_t *name_rank,
                                 struct named *items) {
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < s->texts.count && code == ERR_OK; i++) {
        const uint8_t *at = (const uint8_t *)s->texts.entries[i].key.ptr;
        const struct str name = labels_take_string(&at);
        const struct str value = labels_take_string(&at);
        uint32_t number = 0;
        code = dictionary_number(s, &s->names, name, &number);
        if (code == ERR_OK) {
            items[i] = (struct named){.text = value,
                                      .start = start_of(value),
                                      .name = name_rank[number],
                                      .number = (uint32_t)i};
            code = look(s);
        }
    }
    return code;
}

/* The sets' numbers become ranks, and name_of tells a rank's name. */
static enum err_code rank_pairs(struct sorting *s) {
    const size_t count = s->texts.count;
    uint32_t *name_rank = NULL;
    enum err_code code = rank_names(s, &name_rank);
    if (code != ERR_OK) {
        return code;
    }
    struct named *items = take(s, count, sizeof(*items));
    uint32_t *rank = take(s, count, sizeof(*rank));
    s->name_of = take(s, count, sizeof(*s->name_of));
    if (items == NULL || rank == NULL || s->name_of == NULL) {
        return ERR_LIMIT;
    }
    code = spell_pairs(s, name_rank, items);
    if (code == ERR_OK) {
        code = sort_named(s, items, count);
    }
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        rank[items[i].number] = (uint32_t)i;
        s->name_of[i] = items[i].name;
        code = look(s);
    }
    for (size_t i = 0; i < s->pair_count && code == ERR_OK; i++) {
        s->pairs[i] = rank[s->pairs[i]];
        code = look(s);
    }
    return code;
}

/* ---- lists ---- */

/* Both by O1; of a name that is in both sets the metric set's pair counts. */
static size_t merge_ranks(const struct sorting *s, const struct set_pairs *target,
                          const struct set_pairs *metric, uint32_t *to) {
    if (s->pair_count == 0) {
        return 0; /* no label anywhere, so no memory for pairs */
    }
    const uint32_t *a = s->pairs + target->first;
    const uint32_t *b = s->pairs + metric->first;
    const uint32_t *a_end = a + target->count;
    const uint32_t *b_end = b + metric->count;
    size_t n = 0;
    while (a < a_end && b < b_end) {
        if (s->name_of[*a] == s->name_of[*b]) {
            a++;
        } else {
            to[n++] = *a < *b ? *a++ : *b++;
        }
    }
    while (a < a_end) {
        to[n++] = *a++;
    }
    while (b < b_end) {
        to[n++] = *b++;
    }
    return n;
}

static const struct set_pairs *pairs_of(const struct sorting *s, uint32_t set) {
    return &s->sets[s->set_table[set_slot(s, set)] - 1];
}

static enum err_code make_lists(struct sorting *s) {
    const size_t count = s->source->count;
    s->list_end = take(s, count, sizeof(*s->list_end));
    size_t total = 0;
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        total += pairs_of(s, s->source->series[i].target_set)->count;
        total += pairs_of(s, s->source->series[i].metric_set)->count;
        code = look(s);
    }
    s->lists = take(s, total, sizeof(*s->lists));
    if (s->list_end == NULL || s->lists == NULL) {
        return ERR_LIMIT;
    }
    size_t at = 0;
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        const struct storage_series *series = &s->source->series[i];
        const size_t n = merge_ranks(s, pairs_of(s, series->target_set),
                                     pairs_of(s, series->metric_set), s->lists + at);
        s->longest = n > s->longest ? n : s->longest;
        at += n;
        s->list_end[i] = at;
        code = look(s);
    }
    return code;
}

/* ---- sorting by place ---- */

static size_t list_start(const struct sorting *s, size_t i) {
    return i == 0 ? 0 : s->list_end[i - 1];
}

static void sort_few(struct placed *items, size_t n) {
    for (size_t i = 1; i < n; i++) {
        const struct placed x = items[i];
        size_t at = i;
        for (; at > 0 && items[at - 1].rank > x.rank; at--) {
            items[at] = items[at - 1];
        }
        items[at] = x;
    }
}

/* One digit, from from to to. */
static enum err_code sort_digit(struct sorting *s, const struct placed *from, size_t n,
                                unsigned shift, struct placed *to) {
    uint32_t next[DIGIT_COUNT] = {0};
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        next[from[i].rank >> shift & (DIGIT_COUNT - 1)]++;
        code = look(s);
    }
    uint32_t sum = 0;
    for (size_t d = 0; d < DIGIT_COUNT; d++) {
        const uint32_t here = next[d];
        next[d] = sum;
        sum += here;
    }
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        to[next[from[i].rank >> shift & (DIGIT_COUNT - 1)]++] = from[i];
        code = look(s);
    }
    return code;
}

/* Stable, by rank; *io and *other may change places. unlike: bits in which ranks differ. */
static enum err_code sort_ranks(struct sorting *s, struct placed **io, struct placed **other,
                                size_t from, size_t n, uint32_t unlike) {
    if (n <= FEW) {
        sort_few(*io + from, n);
        return ERR_OK;
    }
    for (unsigned shift = 0; shift < 32; shift += DIGIT_BITS) {
        if ((unlike >> shift & (DIGIT_COUNT - 1)) == 0) {
            continue;
        }
        const enum err_code code = sort_digit(s, *io + from, n, shift, *other + from);
        if (code != ERR_OK) {
            return code;
        }
        struct placed *sorted = *other;
        *other = *io;
        *io = sorted;
    }
    return ERR_OK;
}

/* by_length[length_end[l - 1] .. length_end[l]) are the series with lists of l ranks. */
static enum err_code group_by_length(struct sorting *s, uint32_t **out_series, size_t **out_end) {
    const size_t count = s->source->count;
    uint32_t *by_length = take(s, count, sizeof(*by_length));
    size_t *end = take(s, s->longest + 2, sizeof(*end));
    if (by_length == NULL || end == NULL) {
        return ERR_LIMIT;
    }
    memset(end, 0, (s->longest + 2) * sizeof(*end));
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        end[s->list_end[i] - list_start(s, i) + 1]++;
        code = look(s);
    }
    for (size_t l = 1; l <= s->longest + 1; l++) {
        end[l] += end[l - 1];
    }
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        by_length[end[s->list_end[i] - list_start(s, i)]++] = (uint32_t)i;
        code = look(s);
    }
    *out_series = by_length;
    *out_end = end;
    return code;
}

static enum err_code sort_lists(struct sorting *s, uint32_t *out_order) {
    const size_t count = s->source->count;
    uint32_t *by_length = NULL;
    size_t *length_end = NULL;
    struct placed *items = take(s, count, sizeof(*items));
    struct placed *other = take(s, count, sizeof(*other));
    enum err_code code = group_by_length(s, &by_length, &length_end);
    if (items == NULL || other == NULL) {
        return ERR_LIMIT;
    }
    size_t from = count;
    for (size_t place = s->longest; place-- > 0 && code == ERR_OK;) {
        /* O2 */
        const size_t first = length_end[place];
        const size_t ended = length_end[place + 1] - first;
        from -= ended;
        for (size_t i = 0; i < ended; i++) {
            items[from + i].series = by_length[first + i];
        }
        uint32_t unlike = 0;
        for (size_t i = from; i < count && code == ERR_OK; i++) {
            items[i].rank = s->lists[list_start(s, items[i].series) + place];
            unlike |= items[i].rank ^ items[from].rank;
            code = look(s);
        }
        if (code == ERR_OK) {
            code = sort_ranks(s, &items, &other, from, count - from, unlike);
        }
    }
    for (size_t i = 0; i < from && code == ERR_OK; i++) { /* without labels */
        out_order[i] = by_length[i];
        code = look(s);
    }
    for (size_t i = from; i < count && code == ERR_OK; i++) {
        out_order[i] = items[i].series;
        code = look(s);
    }
    return code;
}

enum err_code label_order_sort(const struct label_order_source *source, struct arena *scratch,
                               const struct cancel *cancel, uint32_t *out_order) {
    struct sorting s = {.source = source, .scratch = scratch, .cancel = cancel};
    if (source->count > UINT32_MAX) {
        return ERR_LIMIT;
    }
    enum err_code code = add_sets(&s);
    if (code == ERR_OK) {
        code = rank_pairs(&s);
    }
    if (code == ERR_OK) {
        code = make_lists(&s);
    }
    return code == ERR_OK ? sort_lists(&s, out_order) : code;
}

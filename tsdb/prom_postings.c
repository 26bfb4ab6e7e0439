/* MAKING. The first walk over the series gives each pair a number, in the order of first use, and notes
 * the numbers of each series' labels; counting them gives each pair the place of its list, the second
 * walk fills the lists, and each is packed for itself.
 *
 * FINDING takes one matcher that no series without the label passes: the equality with the fewest
 * series, else the first other one, for which all values of its name are tried. What it leaves is for
 * the caller to match: the shortest list decides the cost. */
#include "tsdb/prom_postings.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"

enum { TABLE_START = 1024, BITS = 64 };
#define PACKED_BYTES_MAX ((size_t)16 << 30)

struct prom_postings {
    struct prom_pair *pairs;
    size_t pair_count;
    struct buf packed;
    uint32_t series_count;
};

struct making {
    struct prom_pair *pairs;
    uint32_t count;
    uint32_t capacity;
    uint32_t *table; /* pair + 1 */
    size_t mask;
    uint32_t *labels; /* pair of each label of each series */
    size_t label_count;
    size_t label_capacity;
};

/* ---- pairs ---- */

static uint32_t *place_of(const struct making *m, uint32_t *table, size_t mask, struct str name,
                          struct str value) {
    size_t at = (size_t)hash_keyed(value.ptr, value.len, hash_xxh64(name.ptr, name.len)) & mask;
    while (table[at] != 0) {
        const struct prom_pair *pair = &m->pairs[table[at] - 1];
        if (str_eq(pair->value, value) && str_eq(pair->name, name)) {
            break;
        }
        at = (at + 1) & mask;
    }
    return &table[at];
}

static void grow_table(struct making *m) {
    const size_t mask = m->table == NULL ? TABLE_START - 1 : m->mask * 2 + 1;
    uint32_t *table = mem_zalloc((mask + 1) * sizeof(*table));
    for (uint32_t i = 0; i < m->count; i++) {
        *place_of(m, table, mask, m->pairs[i].name, m->pairs[i].value) = i + 1;
    }
    mem_free(m->table);
    m->table = table;
    m->mask = mask;
}

static enum err_code count_label(struct making *m, struct label label, struct err *err) {
    if (m->table == NULL || m->count > m->mask / 2) {
        grow_table(m);
    }
    uint32_t *at = place_of(m, m->table, m->mask, label.name, label.value);
    if (*at == 0) {
        if (m->count == UINT32_MAX - 1) {
            return err_set(err, ERR_LIMIT, "more than %u pairs of labels", m->count);
        }
        if (m->count == m->capacity) {
            m->capacity = (uint32_t)mem_grow(m->capacity, (size_t)m->count + 1);
            m->pairs = mem_resize(m->pairs, m->capacity, sizeof(*m->pairs));
        }
        m->pairs[m->count++] = (struct prom_pair){.name = label.name, .value = label.value};
        *at = m->count;
    }
    if (m->label_count == m->label_capacity) {
        m->label_capacity = mem_grow(m->label_capacity, m->label_count + 1);
        m->labels = mem_resize(m->labels, m->label_capacity, sizeof(*m->labels));
    }
    m->labels[m->label_count++] = *at - 1;
    m->pairs[*at - 1].series_count++;
    return ERR_OK;
}

static enum err_code count_labels(struct making *m, const struct prom_set *set, struct err *err) {
    enum err_code code = ERR_OK;
    for (uint32_t i = 0; code == ERR_OK && i < prom_set_count(set); i++) {
        struct labels_iter it = labels_begin(prom_set_labels(set, i));
        struct label label;
        while (code == ERR_OK && labels_next(&it, &label)) {
            code = count_label(m, label, err);
        }
    }
    return code;
}

/* ---- lists ---- */

static size_t count_of(struct labels labels) {
    struct labels_iter it = labels_begin(labels);
    struct label label;
    size_t n = 0;
    while (labels_next(&it, &label)) {
        n++;
    }
    return n;
}

static enum err_code pack(struct making *m, const struct prom_set *set, struct prom_postings *p,
                          struct err *err) {
    uint32_t *ids = mem_array(m->label_count + 1, sizeof(*ids));
    size_t *ends = mem_array((size_t)m->count + 1, sizeof(*ends));
    size_t at = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        ends[i] = at;
        at += m->pairs[i].series_count;
    }
    at = 0;
    for (uint32_t i = 0; i < prom_set_count(set); i++) {
        for (size_t left = count_of(prom_set_labels(set, i)); left > 0; left--) {
            ids[ends[m->labels[at++]]++] = i;
        }
    }
    for (uint32_t i = 0; i < m->count; i++) {
        struct prom_pair *pair = &m->pairs[i];
        pair->at = p->packed.len;
        id_list_encode(&p->packed, &ids[ends[i] - pair->series_count], pair->series_count);
    }
    mem_free(ids);
    mem_free(ends);
    return buf_ok(&p->packed)
               ? ERR_OK
               : err_set(err, ERR_LIMIT, "the labels of the series take too much memory");
}

static int by_name_and_value(const void *a, const void *b) {
    const struct prom_pair *x = a;
    const struct prom_pair *y = b;
    const int names = str_cmp(x->name, y->name);
    return names != 0 ? names : str_cmp(x->value, y->value);
}

enum err_code prom_postings_new(const struct prom_set *set, struct prom_postings **out,
                                struct err *err) {
    struct making m = {.count = 0};
    struct prom_postings *p = mem_zalloc(sizeof(*p));
    buf_init(&p->packed, PACKED_BYTES_MAX);
    p->series_count = prom_set_count(set);
    enum err_code code = count_labels(&m, set, err);
    if (code == ERR_OK) {
        code = pack(&m, set, p, err);
    }
    mem_free(m.table);
    mem_free(m.labels);
    p->pairs = m.pairs;
    p->pair_count = m.count;
    if (code != ERR_OK) {
        prom_postings_free(p);
        return code;
    }
    if (p->pair_count > 1) {
        qsort(p->pairs, p->pair_count, sizeof(*p->pairs), by_name_and_value);
    }
    *out = p;
    return ERR_OK;
}

void prom_postings_free(struct prom_postings *p) {
    if (p == NULL) {
        return;
    }
    mem_free(p->pairs);
    buf_release(&p->packed);
    mem_free(p);
}

/* ---- looking up ---- */

const struct prom_pair *prom_postings_pairs(const struct prom_postings *p, size_t *out_count) {
    *out_count = p->pair_count;
    return p->pairs;
}

/* The first pair that is not below name and value; behind them if after. */
static size_t bound(const struct prom_postings *p, struct str name, const struct str *value,
                    bool after) {
    size_t low = 0;
    size_t high = p->pair_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct prom_pair *pair = &p->pairs[middle];
        int order = str_cmp(pair->name, name);
        if (order == 0 && value != NULL) {
            order = str_cmp(pair->value, *value);
        }
        if (order < 0 || (order == 0 && after)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

size_t prom_postings_first(const struct prom_postings *p, struct str name) {
    return bound(p, name, NULL, false);
}

size_t prom_postings_last(const struct prom_postings *p, struct str name) {
    return bound(p, name, NULL, true);
}

void prom_postings_series(const struct prom_postings *p, const struct prom_pair *pair,
                          struct cursor *from, struct id_list_iter *out) {
    *from = cursor_of(p->packed.ptr + pair->at, p->packed.len - (size_t)pair->at);
    id_list_begin(from, p->series_count, out);
}

/* ---- finding ---- */

/* The pair that an equality wants; NULL: there is none. */
static const struct prom_pair *pair_of(const struct prom_postings *p, const struct matcher *m) {
    const size_t at = bound(p, m->name, &m->value, false);
    const struct prom_pair *pair = at < p->pair_count ? &p->pairs[at] : NULL;
    return pair != NULL && str_eq(pair->name, m->name) && str_eq(pair->value, m->value) ? pair
                                                                                        : NULL;
}

static void list_pair(const struct prom_postings *p, const struct prom_pair *pair, uint32_t **out,
                      size_t *out_count) {
    uint32_t *ids = mem_array((size_t)pair->series_count + 1, sizeof(*ids));
    struct id_list_iter it;
    struct cursor from;
    uint32_t start;
    uint32_t end;
    size_t n = 0;
    prom_postings_series(p, pair, &from, &it);
    while (id_list_next(&it, &start, &end)) {
        for (uint32_t id = start; id < end && n < pair->series_count; id++) {
            ids[n++] = id;
        }
    }
    *out = ids;
    *out_count = n;
}

static void mark_pair(const struct prom_postings *p, const struct prom_pair *pair,
                      uint64_t *marks) {
    struct id_list_iter it;
    struct cursor from;
    uint32_t start;
    uint32_t end;
    prom_postings_series(p, pair, &from, &it);
    while (id_list_next(&it, &start, &end)) {
        for (uint32_t id = start; id < end; id++) {
            marks[id / BITS] |= UINT64_C(1) << id % BITS;
        }
    }
}

static void list_marks(const uint64_t *marks, uint32_t series_count, uint32_t **out,
                       size_t *out_count) {
    const size_t words = series_count / BITS + 1;
    size_t n = 0;
    for (size_t i = 0; i < words; i++) {
        n += (size_t)__builtin_popcountll(marks[i]);
    }
    uint32_t *ids = mem_array(n + 1, sizeof(*ids));
    n = 0;
    for (size_t i = 0; i < words; i++) {
        for (uint64_t word = marks[i]; word != 0; word &= word - 1) {
            ids[n++] = (uint32_t)(i * BITS + (size_t)__builtin_ctzll(word));
        }
    }
    *out = ids;
    *out_count = n;
}

/* Series whose value of the matcher's name matches. */
static enum err_code find_values(const struct prom_postings *p, const struct matcher *m,
                                 uint32_t **out, size_t *out_count, struct err *err) {
    const size_t last = prom_postings_last(p, m->name);
    uint64_t *marks = mem_zalloc((p->series_count / BITS + (size_t)1) * sizeof(*marks));
    enum err_code code = ERR_OK;
    for (size_t i = prom_postings_first(p, m->name); code == ERR_OK && i < last; i++) {
        bool matches = false;
        code = matcher_match(m, p->pairs[i].value, &matches, err);
        if (code == ERR_OK && matches) {
            mark_pair(p, &p->pairs[i], marks);
        }
    }
    if (code == ERR_OK) {
        list_marks(marks, p->series_count, out, out_count);
    }
    mem_free(marks);
    return code;
}

enum err_code prom_postings_find(const struct prom_postings *p, const struct matcher *matchers,
                                 size_t n, uint32_t **out, size_t *out_count, struct err *err) {
    const struct prom_pair *fewest = NULL;
    const struct matcher *values = NULL;
    *out = NULL;
    *out_count = 0;
    for (size_t i = 0; i < n; i++) {
        const struct matcher *m = &matchers[i];
        if (m->type == MATCH_EQUAL && m->value.len != 0) {
            const struct prom_pair *pair = pair_of(p, m);
            if (pair == NULL) {
                *out = mem_array(1, sizeof(**out));
                return ERR_OK;
            }
            fewest = fewest == NULL || pair->series_count < fewest->series_count ? pair : fewest;
        } else if (values == NULL && !matcher_accepts_empty(m)) {
            values = m;
        }
    }
    if (fewest != NULL) {
        list_pair(p, fewest, out, out_count);
        return ERR_OK;
    }
    return values != NULL ? find_values(p, values, out, out_count, err) : ERR_OK;
}

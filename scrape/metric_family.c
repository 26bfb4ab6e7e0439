#include "scrape/metric_family.h"

#include <string.h>

#include "base/hash.h"

enum { FIRST_TABLE_SIZE = 1024 };

/* A family by its name, and an item by its family and labels, in one open table. */
struct entry {
    uint64_t hash;
    struct metric_family *family;
    struct metric_item *item; /* NULL: the family itself */
};

struct reader {
    struct str page;
    struct arena *arena;
    struct expo_parser parser;
    struct metric_family *first, *last;
    struct entry *table;
    size_t table_size; /* a power of two */
    size_t used;
};

/* ---- the table ---- */

static void insert(struct entry *table, size_t size, struct entry e) {
    size_t at = e.hash & (size - 1);
    while (table[at].family != NULL) {
        at = (at + 1) & (size - 1);
    }
    table[at] = e;
}

static void add_entry(struct reader *r, struct entry e) {
    if ((r->used + 1) * 2 > r->table_size) {
        const size_t size = r->table_size * 2;
        struct entry *table = arena_zalloc(r->arena, size * sizeof(*table));
        for (size_t i = 0; i < r->table_size; i++) {
            if (r->table[i].family != NULL) {
                insert(table, size, r->table[i]);
            }
        }
        r->table = table;
        r->table_size = size;
    }
    insert(r->table, r->table_size, e);
    r->used++;
}

/* ---- families ---- */

static struct metric_family *find_family(const struct reader *r, struct str name) {
    const uint64_t hash = hash_keyed(name.ptr, name.len, 0);
    for (size_t at = hash & (r->table_size - 1); r->table[at].family != NULL;
         at = (at + 1) & (r->table_size - 1)) {
        const struct entry *e = &r->table[at];
        if (e->hash == hash && e->item == NULL && str_eq(e->family->name, name)) {
            return e->family;
        }
    }
    return NULL;
}

static struct metric_family *family_of(struct reader *r, struct str name) {
    struct metric_family *f = find_family(r, name);
    if (f != NULL) {
        return f;
    }
    f = arena_alloc(r->arena, sizeof(*f));
    *f = (struct metric_family){.name = name, .type = EXPO_UNKNOWN};
    if (r->last != NULL) {
        r->last->next = f;
    } else {
        r->first = f;
    }
    r->last = f;
    add_entry(r, (struct entry){.hash = hash_keyed(name.ptr, name.len, 0), .family = f});
    return f;
}

static struct metric_family *typed_family(const struct reader *r, struct str name,
                                          struct str suffix, enum expo_type type) {
    if (!str_ends(name, suffix)) {
        return NULL;
    }
    struct metric_family *f = find_family(r, (struct str){name.ptr, name.len - suffix.len});
    return f != NULL && f->type == type ? f : NULL;
}

/* Where a sample belongs: to the histogram or summary whose part it is, else to its own name. */
static struct metric_family *family_of_sample(struct reader *r, struct str name) {
    struct metric_family *f = find_family(r, name);
    static const struct {
        const char *suffix;
        enum expo_type type;
    } PARTS[] = {
        {"_sum", EXPO_SUMMARY},   {"_count", EXPO_SUMMARY},   {"_bucket", EXPO_HISTOGRAM},
        {"_sum", EXPO_HISTOGRAM}, {"_count", EXPO_HISTOGRAM},
    };
    for (size_t i = 0; f == NULL && i < COUNT_OF(PARTS); i++) {
        f = typed_family(r, name, str_of(PARTS[i].suffix), PARTS[i].type);
    }
    return f != NULL ? f : family_of(r, name);
}

/* ---- items ---- */

static bool same_labels(const struct metric_item *item, const struct label *labels, size_t n) {
    if (item->label_count != n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!str_eq(item->labels[i].name, labels[i].name) ||
            !str_eq(item->labels[i].value, labels[i].value)) {
            return false;
        }
    }
    return true;
}

static uint64_t hash_item(const struct metric_family *f, const struct label *labels, size_t n) {
    uint64_t hash = hash_keyed(f->name.ptr, f->name.len, 1);
    for (size_t i = 0; i < n; i++) {
        hash = hash_keyed(labels[i].name.ptr, labels[i].name.len, hash);
        hash = hash_keyed(labels[i].value.ptr, labels[i].value.len, hash);
    }
    return hash;
}

static struct metric_item *find_item(const struct reader *r, uint64_t hash,
                                     const struct metric_family *f, const struct label *labels,
                                     size_t n) {
    for (size_t at = hash & (r->table_size - 1); r->table[at].family != NULL;
         at = (at + 1) & (r->table_size - 1)) {
        const struct entry *e = &r->table[at];
        if (e->hash == hash && e->family == f && e->item != NULL &&
            same_labels(e->item, labels, n)) {
            return e->item;
        }
    }
    return NULL;
}

static void add_sample(struct reader *r) {
    size_t n = 0;
    struct label *labels = expo_labels(&r->parser, r->arena, &n);
    struct str name = STR("");
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (str_eq(labels[i].name, LABEL_NAME)) {
            name = labels[i].value;
        } else {
            labels[kept++] = labels[i];
        }
    }
    struct metric_family *f = family_of_sample(r, name);
    const bool grouped = f->type == EXPO_HISTOGRAM || f->type == EXPO_SUMMARY;
    const struct str own = f->type == EXPO_HISTOGRAM ? STR("le") : STR("quantile");
    bool part = false;
    n = 0;
    for (size_t i = 0; i < kept; i++) {
        if (grouped && str_eq(labels[i].name, own)) {
            part = true;
        } else {
            labels[n++] = labels[i];
        }
    }
    const uint64_t hash = hash_item(f, labels, n);
    struct metric_item *item = grouped ? find_item(r, hash, f, labels, n) : NULL;
    if (item == NULL) {
        item = arena_alloc(r->arena, sizeof(*item));
        *item = (struct metric_item){.labels = labels, .label_count = n};
        if (f->last != NULL) {
            f->last->next = item;
        } else {
            f->first = item;
        }
        f->last = item;
        f->item_count++;
        if (grouped) {
            add_entry(r, (struct entry){hash, f, item});
        }
    }
    item->parts += part ? 1 : 0;
}

/* ---- the page ---- */

static size_t line_number(struct str page, size_t offset) {
    size_t line = 1;
    for (size_t i = 0; i < offset && i < page.len; i++) {
        line += page.ptr[i] == '\n' ? 1 : 0;
    }
    return line;
}

static enum expo_type type_named(struct str text) {
    static const enum expo_type TYPES[] = {EXPO_COUNTER, EXPO_GAUGE, EXPO_HISTOGRAM, EXPO_SUMMARY};
    for (size_t i = 0; i < COUNT_OF(TYPES); i++) {
        if (str_eq(text, str_of(expo_type_name(TYPES[i])))) {
            return TYPES[i];
        }
    }
    return EXPO_UNKNOWN;
}

enum err_code metric_families(struct str page, struct arena *arena, struct metric_family **out,
                              struct err *err) {
    struct reader *r = arena_zalloc(arena, sizeof(*r));
    r->page = page;
    r->arena = arena;
    r->table_size = FIRST_TABLE_SIZE;
    r->table = arena_zalloc(arena, r->table_size * sizeof(*r->table));
    expo_init(&r->parser, EXPO_FORMAT_TEXT, page);
    for (;;) {
        struct expo_entry entry;
        const size_t at = r->parser.at;
        const enum err_code code = expo_next(&r->parser, &entry, err);
        if (code != ERR_OK) {
            return err_wrap(err, "line %zu", line_number(page, at));
        }
        if (entry.kind == EXPO_END) {
            break;
        }
        if (entry.kind == EXPO_SAMPLE) {
            add_sample(r);
        } else if (entry.kind == EXPO_HELP) {
            family_of(r, entry.family)->has_help = true;
        } else if (entry.kind == EXPO_TYPE) {
            family_of(r, entry.family)->type = type_named(entry.text);
        }
    }
    *out = r->first;
    return ERR_OK;
}

#include "config_bind.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/duration.h"
#include "base/hash.h"
#include "base/http_config.h"
#include "base/utf8.h"
#include "base/yaml_scalar.h"
#include "config_size.h"

static enum err_code bind_section(struct binder *b, const struct yaml_node *node,
                                  const struct bind_table *table, void *self, struct err *err);

void binder_init(struct binder *b, struct arena *arena) {
    *b = (struct binder){.arena = arena};
}

void *bind_alloc(struct binder *b, size_t count, size_t bytes, struct err *err) {
    void *memory = arena_try_alloc(b->arena, count != 0 ? count : 1, bytes);
    if (memory == NULL) {
        (void)err_set(err, ERR_LIMIT, "configuration needs too much memory");
        return NULL;
    }
    memset(memory, 0, (count != 0 ? count : 1) * bytes);
    return memory;
}

const char *bind_quote(struct arena *arena, struct str s) {
    struct buf quoted;
    buf_init(&quoted, 4 * (size_t)ERR_TEXT_MAX + 16);
    utf8_quote(&quoted, str_sub(s, 0, ERR_TEXT_MAX));
    const char *text = arena_cstr(arena, buf_str(&quoted));
    buf_release(&quoted);
    return text;
}

/* ---- collected errors ---- */

void bind_type_error(struct binder *b, int line, const char *fmt, ...) {
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    const size_t used = strlen(b->type_errors);
    (void)snprintf(b->type_errors + used, sizeof(b->type_errors) - used, "\n  line %d: %s", line,
                   text);
    b->type_error_count++;
}

void bind_mismatch(struct binder *b, const struct yaml_node *node, const char *into) {
    const char *tag = yaml_tag_name(node);
    if (node->kind != YAML_SCALAR) {
        bind_type_error(b, node->line, "cannot unmarshal %s into %s", tag, into);
        return;
    }
    const bool cut = node->text.len > 10;
    bind_type_error(b, node->line, "cannot unmarshal %s `%.*s%s` into %s", tag,
                    cut ? 7 : (int)node->text.len, node->text.ptr, cut ? "..." : "", into);
}

/* ---- scalars ---- */

static enum err_code copy_text(struct binder *b, struct str *text, struct err *err) {
    char *copy = bind_alloc(b, text->len + 1, 1, err);
    if (copy == NULL) {
        return ERR_LIMIT;
    }
    memcpy(copy, text->ptr, text->len);
    *text = (struct str){copy, text->len};
    return ERR_OK;
}

enum err_code bind_string(struct binder *b, const struct yaml_node *node, const char *into,
                          struct str *out, bool *out_ok, struct err *err) {
    *out_ok = true;
    if (yaml_is_null(node)) {
        *out = STR("");
        return ERR_OK;
    }
    if (node->kind != YAML_SCALAR) {
        *out_ok = false;
        bind_mismatch(b, node, into);
        return ERR_OK;
    }
    enum err_code code = yaml_string(b->arena, node, out, err);
    if (code == ERR_OK && out->ptr == node->text.ptr) {
        code = copy_text(b, out, err); /* the document is released before the configuration */
    }
    return code;
}

static bool to_bool(const struct yaml_value *value, bool *out) {
    if (value->type != YAML_TYPE_BOOL && value->type != YAML_TYPE_NULL) {
        return false;
    }
    *out = value->type == YAML_TYPE_BOOL && value->as.b;
    return true;
}

/* Fractions are cut off, as go-yaml does. */
static bool to_int(const struct yaml_value *value, int64_t *out) {
    if (value->type == YAML_TYPE_INT) {
        *out = value->as.i;
        return true;
    }
    if (value->type == YAML_TYPE_FLOAT && value->as.f > -0x1p63 && value->as.f < 0x1p63) {
        *out = (int64_t)value->as.f;
        return true;
    }
    *out = 0;
    return value->type == YAML_TYPE_NULL;
}

static bool to_uint(const struct yaml_value *value, uint64_t *out) {
    if (value->type == YAML_TYPE_UINT) {
        *out = value->as.u;
        return true;
    }
    if (value->type == YAML_TYPE_FLOAT && value->as.f >= 0 && value->as.f < 0x1p64) {
        *out = (uint64_t)value->as.f;
        return true;
    }
    if (value->type == YAML_TYPE_INT && value->as.i >= 0) {
        *out = (uint64_t)value->as.i;
        return true;
    }
    *out = 0;
    return value->type == YAML_TYPE_NULL;
}

static bool to_float(const struct yaml_value *value, double *out) {
    switch (value->type) {
    case YAML_TYPE_INT:
        *out = (double)value->as.i;
        return true;
    case YAML_TYPE_UINT:
        *out = (double)value->as.u;
        return true;
    case YAML_TYPE_FLOAT:
        *out = value->as.f;
        return true;
    case YAML_TYPE_NULL:
        *out = 0;
        return true;
    case YAML_TYPE_BOOL:
    case YAML_TYPE_TIMESTAMP:
    case YAML_TYPE_MERGE:
    case YAML_TYPE_BINARY:
    case YAML_TYPE_STR:
        break;
    }
    return false;
}

/* Booleans and numbers: into the field, or a collected error. */
static void bind_number(struct binder *b, const struct yaml_node *node, enum bind_type type,
                        void *field) {
    static const char *const names[] = {
        [BIND_BOOL] = "bool", [BIND_TRISTATE] = "bool", [BIND_INT] = "int",
        [BIND_UINT] = "uint", [BIND_UINT64] = "uint64", [BIND_FLOAT] = "float64",
    };
    struct yaml_value value = {.type = YAML_TYPE_STR};
    if (node->kind == YAML_SCALAR) {
        value = yaml_resolve(node);
    }
    bool ok = false;
    if (type == BIND_BOOL) {
        ok = to_bool(&value, field);
    } else if (type == BIND_TRISTATE) {
        bool on = false;
        ok = to_bool(&value, &on);
        if (ok) {
            *(enum tristate *)field =
                value.type == YAML_TYPE_NULL ? TRI_UNSET : (on ? TRI_TRUE : TRI_FALSE);
        }
    } else if (type == BIND_INT) {
        ok = to_int(&value, field);
    } else if (type == BIND_FLOAT) {
        ok = to_float(&value, field);
    } else {
        ok = to_uint(&value, field);
    }
    if (!ok) {
        bind_mismatch(b, node, names[type]);
    }
}

/* Durations and sizes: strings with a grammar of their own; a bad one ends the load. */
static enum err_code bind_quantity(struct binder *b, const struct yaml_node *node,
                                   enum bind_type type, int64_t *field, struct err *err) {
    struct str text;
    bool ok = false;
    if (yaml_is_null(node)) {
        *field = 0;
        return ERR_OK;
    }
    const enum err_code code =
        bind_string(b, node, type == BIND_SIZE ? "units.Base2Bytes" : "string", &text, &ok, err);
    if (code != ERR_OK || !ok) {
        return code;
    }
    return type == BIND_SIZE ? size_parse(text, field, err) : duration_parse_ms(text, field, err);
}

static enum err_code bind_text(struct binder *b, const struct yaml_node *node, const char *into,
                               struct str *field, struct err *err) {
    struct str text;
    bool ok = false;
    const enum err_code code = bind_string(b, node, into, &text, &ok, err);
    if (code == ERR_OK && ok) {
        *field = text;
    }
    return code;
}

/* ---- lists ---- */

enum err_code bind_strings(struct binder *b, const struct yaml_node *node, const char *into,
                           const char *item_into, const struct str **out, size_t *out_count,
                           struct err *err) {
    if (yaml_is_null(node)) {
        *out = NULL;
        *out_count = 0;
        return ERR_OK;
    }
    if (node->kind != YAML_SEQUENCE) {
        bind_mismatch(b, node, into);
        return ERR_OK;
    }
    struct str *items = bind_alloc(b, node->count, sizeof(*items), err);
    if (items == NULL) {
        return ERR_LIMIT;
    }
    size_t count = 0;
    for (size_t i = 0; i < node->count; i++) {
        bool ok = false;
        const enum err_code code =
            bind_string(b, node->items[i], item_into, &items[count], &ok, err);
        if (code != ERR_OK) {
            return code;
        }
        count += ok;
    }
    *out = items;
    *out_count = count;
    return ERR_OK;
}

static enum err_code bind_secrets(struct binder *b, const struct yaml_node *node, void *list,
                                  size_t *out_count, struct err *err) {
    const struct str *texts = NULL;
    size_t count = 0;
    const enum err_code code =
        bind_strings(b, node, "[]config.Secret", "config.plain", &texts, &count, err);
    if (code != ERR_OK || b->type_error_count != 0) {
        return code;
    }
    struct secret *secrets = bind_alloc(b, count, sizeof(*secrets), err);
    if (secrets == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        secrets[i].reveal = texts[i];
    }
    memcpy(list, &secrets, sizeof(secrets));
    *out_count = count;
    return ERR_OK;
}

static enum err_code bind_list(struct binder *b, const struct yaml_node *node,
                               const struct bind_table *table, void *list, size_t *out_count,
                               struct err *err) {
    char *items = NULL;
    size_t count = 0;
    if (!yaml_is_null(node)) {
        if (node->kind != YAML_SEQUENCE) {
            bind_mismatch(b, node, table->list_name);
            return ERR_OK;
        }
        items = bind_alloc(b, node->count, table->size, err);
        if (items == NULL) {
            return ERR_LIMIT;
        }
        for (size_t i = 0; i < node->count; i++) {
            char *item = items + count * table->size;
            const size_t errors = b->type_error_count;
            const enum err_code code = bind_section(b, node->items[i], table, item, err);
            if (code != ERR_OK) {
                return code;
            }
            *(bool *)(item + table->null_offset) = yaml_is_null(node->items[i]);
            count += errors == b->type_error_count;
        }
    }
    memcpy(list, &items, sizeof(items));
    *out_count = count;
    return ERR_OK;
}

/* ---- sections ---- */

struct found_field {
    const struct bind_field *field;
    char *self;   /* the struct that the field's offsets are in */
    size_t index; /* among all fields of the section, inlined ones included */
};

static bool field_find(const struct bind_table *table, char *self, struct str key, size_t *index,
                       struct found_field *out) {
    for (size_t i = 0; i < table->field_count; i++) {
        const struct bind_field *field = &table->fields[i];
        if (field->type == BIND_INLINE) {
            if (field_find(field->table, self + field->offset, key, index, out)) {
                return true;
            }
            continue;
        }
        if (str_eq(key, str_of(field->key))) {
            *out = (struct found_field){field, self, *index};
            return true;
        }
        ++*index;
    }
    return false;
}

/* Nothing that could have had an effect. */
static bool is_empty(const struct yaml_node *node) {
    return yaml_is_null(node) || (node->kind != YAML_SCALAR && node->count == 0);
}

static enum err_code refuse(const struct yaml_node *key, const struct yaml_node *value,
                            struct err *err) {
    if (is_empty(value)) {
        return ERR_OK;
    }
    return err_set(err, ERR_UNSUPPORTED, "line %d: %.*s is not supported by this version of Brasa",
                   key->line, STR_ARG(key->text));
}

static enum err_code bind_field(struct binder *b, const struct found_field *found,
                                const struct yaml_node *key, const struct yaml_node *value,
                                struct err *err) {
    const struct bind_field *f = found->field;
    void *field = found->self + f->offset;
    void *count = found->self + f->count_offset;
    switch (f->type) {
    case BIND_BOOL:
    case BIND_TRISTATE:
    case BIND_INT:
    case BIND_UINT:
    case BIND_UINT64:
    case BIND_FLOAT:
        bind_number(b, value, f->type, field);
        return ERR_OK;
    case BIND_STR:
    case BIND_PATH:
        return bind_text(b, value, "string", field, err);
    case BIND_SECRET:
        return bind_text(b, value, "config.plain", &((struct secret *)field)->reveal, err);
    case BIND_DURATION:
    case BIND_SIZE:
        return bind_quantity(b, value, f->type, field, err);
    case BIND_STR_LIST:
    case BIND_PATH_LIST:
        return bind_strings(b, value, "[]string", "string", field, count, err);
    case BIND_SECRET_LIST:
        return bind_secrets(b, value, field, count, err);
    case BIND_OPTIONAL:
        *(bool *)count = !yaml_is_null(value);
        return bind_section(b, value, f->table, field, err);
    case BIND_SECTION:
        return bind_section(b, value, f->table, field, err);
    case BIND_LIST:
        return bind_list(b, value, f->table, field, count, err);
    case BIND_CUSTOM:
        return f->custom->bind(b, value, field, err);
    case BIND_UNSUPPORTED:
        return refuse(key, value, err);
    case BIND_INLINE:
        break;
    }
    UNREACHABLE("an inlined table has no key");
}

static bool is_merge(const struct yaml_node *key) {
    return key->kind == YAML_SCALAR && yaml_resolve(key).type == YAML_TYPE_MERGE;
}

/* What "<<" may hold: a mapping or a list of mappings, of which the first wins and is therefore
 * visited last. */
static enum err_code merge_check(const struct yaml_node *value, struct err *err) {
    bool ok = value->kind != YAML_SCALAR;
    for (size_t i = 0; ok && value->kind == YAML_SEQUENCE && i < value->count; i++) {
        ok = value->items[i]->kind == YAML_MAPPING;
    }
    return ok ? ERR_OK
              : err_set(err, ERR_INVALID,
                        "yaml: map merge requires map or sequence of maps as the value");
}

static size_t merge_count(const struct yaml_node *value) {
    return value->kind == YAML_MAPPING ? 1 : value->count;
}

static const struct yaml_node *merge_at(const struct yaml_node *value, size_t i) {
    return value->kind == YAML_MAPPING ? value : value->items[value->count - 1 - i];
}

static enum err_code bind_fields(struct binder *b, const struct yaml_node *mapping,
                                 const struct bind_table *table, void *self, struct err *err);

static enum err_code bind_merge(struct binder *b, const struct yaml_node *value,
                                const struct bind_table *table, void *self, struct err *err) {
    enum err_code code = merge_check(value, err);
    for (size_t i = 0; code == ERR_OK && i < merge_count(value); i++) {
        code = bind_fields(b, merge_at(value, i), table, self, err);
    }
    return code;
}

static enum err_code bind_fields(struct binder *b, const struct yaml_node *mapping,
                                 const struct bind_table *table, void *self, struct err *err) {
    bool done[BIND_FIELDS_MAX] = {false};
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i + 1 < mapping->count; i += 2) {
        const struct yaml_node *key = mapping->items[i];
        const struct yaml_node *value = mapping->items[i + 1];
        if (is_merge(key)) {
            code = bind_merge(b, value, table, self, err);
            continue;
        }
        struct found_field found;
        size_t index = 0;
        struct str name;
        bool ok = false;
        code = bind_string(b, key, "string", &name, &ok, err);
        if (code != ERR_OK || !ok) {
            continue;
        }
        if (!field_find(table, self, name, &index, &found)) {
            bind_type_error(b, key->line, "field %.*s not found in type %s", STR_ARG(name),
                            table->type_name);
            continue;
        }
        ASSERT(found.index < BIND_FIELDS_MAX);
        if (done[found.index]) {
            bind_type_error(b, key->line, "field %.*s already set in type %s", STR_ARG(name),
                            table->type_name);
            continue;
        }
        done[found.index] = true;
        code = bind_field(b, &found, key, value, err);
    }
    return code;
}

static enum err_code bind_section(struct binder *b, const struct yaml_node *node,
                                  const struct bind_table *table, void *self, struct err *err) {
    memset(self, 0, table->size);
    if (yaml_is_null(node)) {
        return ERR_OK;
    }
    if (table->defaults != NULL) {
        table->defaults(self);
    }
    if (node->kind != YAML_MAPPING) {
        bind_mismatch(b, node, table->type_name);
        return ERR_OK;
    }
    const size_t errors = b->type_error_count;
    const enum err_code code = bind_fields(b, node, table, self, err);
    if (code != ERR_OK || errors != b->type_error_count || table->check == NULL) {
        return code;
    }
    return table->check(b, self, err);
}

enum err_code bind_value(struct binder *b, const struct yaml_node *node,
                         const struct bind_table *table, void *self, struct err *err) {
    return bind_section(b, node, table, self, err);
}

enum err_code bind_member(struct binder *b, const struct yaml_node *node,
                          const struct bind_table *table, size_t index, void *self,
                          struct err *err) {
    const struct found_field found = {&table->fields[index], self, index};
    return bind_field(b, &found, node, node, err);
}

enum err_code bind_finish(const struct binder *b, struct err *err) {
    return b->type_error_count == 0
               ? ERR_OK
               : err_set(err, ERR_INVALID, "yaml: unmarshal errors:%s", b->type_errors);
}

enum err_code bind_document(struct binder *b, const struct yaml_node *node,
                            const struct bind_table *table, void *self, struct err *err) {
    if (!yaml_is_null(node)) {
        const enum err_code code = bind_section(b, node, table, self, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return bind_finish(b, err);
}

/* ---- mappings with keys of the user's ---- */

/* Open addressing; at most half full. */
struct key_set {
    struct str *slots; /* ptr NULL: free */
    size_t capacity;   /* power of two */
    size_t count;
};

static struct str *key_slot(struct str *slots, size_t capacity, struct str key) {
    size_t at = hash_xxh64(key.ptr, key.len) & (capacity - 1);
    while (slots[at].ptr != NULL && !str_eq(slots[at], key)) {
        at = (at + 1) & (capacity - 1);
    }
    return &slots[at];
}

static enum err_code key_set_add(struct binder *b, struct key_set *set, struct str key,
                                 bool *out_new, struct err *err) {
    if (2 * (set->count + 1) > set->capacity) {
        const size_t capacity = set->capacity != 0 ? 4 * set->capacity : 16;
        struct str *slots = bind_alloc(b, capacity, sizeof(*slots), err);
        if (slots == NULL) {
            return ERR_LIMIT;
        }
        for (size_t i = 0; i < set->capacity; i++) {
            if (set->slots[i].ptr != NULL) {
                *key_slot(slots, capacity, set->slots[i]) = set->slots[i];
            }
        }
        set->slots = slots;
        set->capacity = capacity;
    }
    struct str *slot = key_slot(set->slots, set->capacity, key);
    *out_new = slot->ptr == NULL;
    if (*out_new) {
        *slot = key;
        set->count++;
    }
    return ERR_OK;
}

struct pair_walk {
    struct binder *b;
    const char *into;
    bind_pair_fn *fn;
    void *ctx;
    struct key_set seen;
};

static enum err_code walk_pairs(struct pair_walk *walk, const struct yaml_node *mapping,
                                struct err *err) {
    struct binder *b = walk->b;
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i + 1 < mapping->count; i += 2) {
        const struct yaml_node *key = mapping->items[i];
        const struct yaml_node *value = mapping->items[i + 1];
        if (is_merge(key)) {
            code = merge_check(value, err);
            for (size_t k = 0; code == ERR_OK && k < merge_count(value); k++) {
                code = walk_pairs(walk, merge_at(value, k), err);
            }
            continue;
        }
        struct str name;
        bool ok = false;
        bool is_new = false;
        code = bind_string(b, key, "string", &name, &ok, err);
        if (code != ERR_OK || !ok) {
            continue;
        }
        code = key_set_add(b, &walk->seen, name, &is_new, err);
        if (code != ERR_OK) {
            return code;
        }
        if (!is_new) {
            bind_type_error(b, value->line, "key %s already set in map",
                            bind_quote(b->arena, name));
            continue;
        }
        code = walk->fn(b, walk->ctx, name, value, err);
    }
    return code;
}

enum err_code bind_pairs(struct binder *b, const struct yaml_node *node, const char *into,
                         bind_pair_fn *fn, void *ctx, struct err *err) {
    if (yaml_is_null(node)) {
        return ERR_OK;
    }
    if (node->kind != YAML_MAPPING) {
        bind_mismatch(b, node, into);
        return ERR_OK;
    }
    struct pair_walk walk = {.b = b, .into = into, .fn = fn, .ctx = ctx};
    return walk_pairs(&walk, node, err);
}

/* ---- relative paths ---- */

static void join_paths(struct arena *arena, struct str dir, void *list, size_t count) {
    struct str *paths = NULL;
    memcpy(&paths, list, sizeof(paths)); /* bound by bind_strings: ours to write */
    for (size_t i = 0; i < count; i++) {
        paths[i] = path_join(arena, dir, paths[i]);
    }
}

static void join_list(struct arena *arena, struct str dir, const struct bind_table *table,
                      const void *list, size_t count) {
    char *items = NULL;
    memcpy(&items, list, sizeof(items));
    for (size_t i = 0; i < count; i++) {
        bind_join(arena, dir, table, items + i * table->size);
    }
}

void bind_join(struct arena *arena, struct str dir, const struct bind_table *table, void *self) {
    for (size_t i = 0; i < table->field_count; i++) {
        const struct bind_field *f = &table->fields[i];
        char *field = (char *)self + f->offset;
        const void *count = (const char *)self + f->count_offset;
        if (f->type == BIND_PATH) {
            *(struct str *)field = path_join(arena, dir, *(struct str *)field);
        } else if (f->type == BIND_PATH_LIST) {
            join_paths(arena, dir, field, *(const size_t *)count);
        } else if (f->type == BIND_SECTION || f->type == BIND_OPTIONAL || f->type == BIND_INLINE) {
            bind_join(arena, dir, f->table, field);
        } else if (f->type == BIND_LIST) {
            join_list(arena, dir, f->table, field, *(const size_t *)count);
        } else if (f->type == BIND_CUSTOM && f->custom->join != NULL) {
            f->custom->join(arena, dir, field);
        }
    }
}

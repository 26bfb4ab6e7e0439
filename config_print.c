/* The printing half of config_bind.h: structs to YAML trees as spec/config.md section 15 shows
 * them. A field is left out when it is zero unless its table says "always". Secrets leave here
 * only as <secret>. */
#include "config_bind.h"

#include <assert.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/duration.h"
#include "base/http_config.h"
#include "base/mem.h"
#include "base/number.h"
#include "config_size.h"

enum { NUMBER_BUF = 512 };

/* ---- nodes ---- */

struct yaml_node *print_str(struct arena *arena, struct str text) {
    struct yaml_node *node = arena_zalloc(arena, sizeof(*node));
    node->kind = YAML_SCALAR;
    node->text = text;
    node->tag = STR("");
    return node;
}

struct yaml_node *print_plain(struct arena *arena, struct str text) {
    struct yaml_node *node = print_str(arena, text);
    node->plain = true;
    return node;
}

static struct yaml_node *collection(struct arena *arena, enum yaml_kind kind, size_t capacity) {
    struct yaml_node *node = arena_zalloc(arena, sizeof(*node));
    node->kind = kind;
    node->tag = STR("");
    node->items = arena_alloc(arena, (capacity + 1) * sizeof(struct yaml_node *));
    return node;
}

struct yaml_node *print_sequence(struct arena *arena, size_t capacity) {
    return collection(arena, YAML_SEQUENCE, capacity);
}

struct yaml_node *print_mapping(struct arena *arena, size_t pair_capacity) {
    return collection(arena, YAML_MAPPING, 2 * pair_capacity);
}

void print_item(struct yaml_node *sequence, struct yaml_node *item) {
    sequence->items[sequence->count++] = item;
}

void print_pair(struct yaml_node *mapping, struct yaml_node *key, struct yaml_node *value) {
    mapping->items[mapping->count++] = key;
    mapping->items[mapping->count++] = value;
}

struct yaml_node *print_strs(struct arena *arena, const struct str *items, size_t count) {
    struct yaml_node *list = print_sequence(arena, count);
    for (size_t i = 0; i < count; i++) {
        print_item(list, print_str(arena, items[i]));
    }
    return list;
}

/* ---- order of map keys ---- */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

/* The number that the differing digits belong to. A leading zero counts only after another
 * digit that is not zero. */
static size_t number_at(struct str s, size_t at, uint64_t start, uint64_t *out) {
    uint64_t value = start;
    while (at < s.len && is_digit(s.ptr[at])) {
        value = value * 10 + (uint64_t)(s.ptr[at] - '0');
        at++;
    }
    *out = value;
    return at;
}

static int key_cmp(struct str a, struct str b) {
    size_t i = 0;
    while (i < a.len && i < b.len && a.ptr[i] == b.ptr[i]) {
        i++;
    }
    if (i == a.len || i == b.len) {
        return (a.len > b.len) - (a.len < b.len);
    }
    const bool letter_a = is_letter(a.ptr[i]);
    const bool letter_b = is_letter(b.ptr[i]);
    if (letter_a != letter_b) {
        return letter_b ? -1 : 1;
    }
    const int by_char = (unsigned char)a.ptr[i] < (unsigned char)b.ptr[i] ? -1 : 1;
    if (letter_a) {
        return by_char;
    }
    uint64_t start = 0;
    if (a.ptr[i] == '0' || b.ptr[i] == '0') {
        for (size_t k = i; k > 0 && is_digit(a.ptr[k - 1]); k--) {
            if (a.ptr[k - 1] != '0') {
                start = 1;
                break;
            }
        }
    }
    uint64_t number_a = 0;
    uint64_t number_b = 0;
    const size_t end_a = number_at(a, i, start, &number_a);
    const size_t end_b = number_at(b, i, start, &number_b);
    if (number_a != number_b) {
        return number_a < number_b ? -1 : 1;
    }
    return end_a != end_b ? (end_a < end_b ? -1 : 1) : by_char;
}

struct node_pair {
    struct yaml_node *key, *value;
};

static int pair_cmp(const void *a, const void *b) {
    return key_cmp(((const struct node_pair *)a)->key->text,
                   ((const struct node_pair *)b)->key->text);
}

void print_sort(struct yaml_node *mapping) {
    static_assert(sizeof(struct node_pair) == 2 * sizeof(struct yaml_node *), "no padding");
    qsort(mapping->items, mapping->count / 2, sizeof(struct node_pair), pair_cmp);
}

/* ---- values ---- */

static struct yaml_node *plain_of(struct arena *arena, struct buf *text) {
    struct yaml_node *node = print_plain(arena, arena_str(arena, buf_str(text)));
    buf_release(text);
    return node;
}

static struct yaml_node *print_number(struct arena *arena, enum bind_type type, const void *field) {
    struct buf text;
    buf_init(&text, NUMBER_BUF);
    if (type == BIND_INT) {
        buf_append_i64(&text, *(const int64_t *)field);
    } else if (type == BIND_FLOAT) {
        buf_append_number_g(&text, *(const double *)field);
    } else {
        buf_append_u64(&text, *(const uint64_t *)field);
    }
    return plain_of(arena, &text);
}

static struct yaml_node *print_quantity(struct arena *arena, enum bind_type type, int64_t value) {
    struct buf text;
    buf_init(&text, NUMBER_BUF);
    if (type == BIND_DURATION) {
        duration_format_ms(&text, value);
    } else {
        size_format(&text, value);
    }
    return plain_of(arena, &text);
}

static struct yaml_node *print_bool(struct arena *arena, bool value) {
    return print_plain(arena, value ? STR("true") : STR("false"));
}

static struct yaml_node *print_secret(struct arena *arena, const struct secret *secret) {
    return secret->reveal.len != 0 ? print_str(arena, STR("<secret>"))
                                   : print_plain(arena, STR("null"));
}

static struct yaml_node *print_secrets(struct arena *arena, const void *list, size_t count) {
    const struct secret *secrets = NULL;
    memcpy(&secrets, list, sizeof(secrets));
    struct yaml_node *node = print_sequence(arena, count);
    for (size_t i = 0; i < count; i++) {
        print_item(node, print_secret(arena, &secrets[i]));
    }
    return node;
}

static struct yaml_node *print_list(struct arena *arena, const struct bind_table *table,
                                    const void *list, size_t count) {
    const char *items = NULL;
    memcpy(&items, list, sizeof(items));
    struct yaml_node *node = print_sequence(arena, count);
    for (size_t i = 0; i < count; i++) {
        print_item(node, bind_print(arena, table, items + i * table->size));
    }
    return node;
}

static bool is_zero(const struct bind_table *table, const void *self);

static bool field_is_zero(const struct bind_field *f, const void *self) {
    const char *field = (const char *)self + f->offset;
    const char *count = (const char *)self + f->count_offset;
    switch (f->type) {
    case BIND_BOOL:
        return !*(const bool *)field;
    case BIND_TRISTATE:
        return *(const enum tristate *)field == TRI_UNSET;
    case BIND_INT:
    case BIND_DURATION:
    case BIND_SIZE:
        return *(const int64_t *)field == 0;
    case BIND_UINT:
    case BIND_UINT64:
        return *(const uint64_t *)field == 0;
    case BIND_FLOAT:
        return *(const double *)field == 0; /* -0 too, as Go compares */
    case BIND_STR:
    case BIND_PATH:
        return ((const struct str *)field)->len == 0;
    case BIND_SECRET:
        return ((const struct secret *)field)->reveal.len == 0;
    case BIND_STR_LIST:
    case BIND_PATH_LIST:
    case BIND_SECRET_LIST:
    case BIND_LIST:
        return *(const size_t *)count == 0;
    case BIND_OPTIONAL:
        return !*(const bool *)count;
    case BIND_SECTION:
    case BIND_INLINE:
        return is_zero(f->table, field);
    case BIND_CUSTOM:
    case BIND_UNSUPPORTED:
        break; /* a custom field says so by printing nothing */
    }
    return f->type == BIND_UNSUPPORTED;
}

static bool is_zero(const struct bind_table *table, const void *self) {
    for (size_t i = 0; i < table->field_count; i++) {
        const struct bind_field *f = &table->fields[i];
        if (f->type == BIND_CUSTOM) {
            struct arena scratch;
            arena_init(&scratch, 0);
            const bool zero = f->custom->print(&scratch, (const char *)self + f->offset) == NULL;
            arena_release(&scratch);
            if (!zero) {
                return false;
            }
        } else if (!field_is_zero(f, self)) {
            return false;
        }
    }
    return true;
}

static struct yaml_node *print_field(struct arena *arena, const struct bind_field *f,
                                     const void *self) {
    const char *field = (const char *)self + f->offset;
    const size_t *count = (const size_t *)((const char *)self + f->count_offset);
    switch (f->type) {
    case BIND_BOOL:
        return print_bool(arena, *(const bool *)field);
    case BIND_TRISTATE:
        return print_bool(arena, *(const enum tristate *)field == TRI_TRUE);
    case BIND_INT:
    case BIND_UINT:
    case BIND_UINT64:
    case BIND_FLOAT:
        return print_number(arena, f->type, field);
    case BIND_DURATION:
    case BIND_SIZE:
        return print_quantity(arena, f->type, *(const int64_t *)field);
    case BIND_STR:
    case BIND_PATH:
        return print_str(arena, *(const struct str *)field);
    case BIND_SECRET:
        return print_secret(arena, (const struct secret *)field);
    case BIND_STR_LIST:
    case BIND_PATH_LIST:
        return print_strs(arena, *(const struct str *const *)field, *count);
    case BIND_SECRET_LIST:
        return print_secrets(arena, field, *count);
    case BIND_SECTION:
    case BIND_OPTIONAL:
        return bind_print(arena, f->table, field);
    case BIND_LIST:
        return print_list(arena, f->table, field, *count);
    case BIND_CUSTOM:
        return f->custom->print(arena, field);
    case BIND_INLINE:
    case BIND_UNSUPPORTED:
        break;
    }
    return NULL;
}

struct yaml_node *print_member(struct arena *arena, const struct bind_table *table, size_t index,
                               const void *self) {
    return print_field(arena, &table->fields[index], self);
}

static void print_fields(struct arena *arena, const struct bind_table *table, const void *self,
                         struct yaml_node *mapping) {
    for (size_t i = 0; i < table->field_count; i++) {
        const struct bind_field *f = &table->fields[i];
        if (f->type == BIND_INLINE) {
            print_fields(arena, f->table, (const char *)self + f->offset, mapping);
            continue;
        }
        if (!f->always && field_is_zero(f, self)) {
            continue;
        }
        struct yaml_node *value = print_field(arena, f, self);
        if (value != NULL) {
            print_pair(mapping, print_str(arena, str_of(f->key)), value);
        }
    }
}

struct yaml_node *bind_print(struct arena *arena, const struct bind_table *table,
                             const void *self) {
    struct yaml_node *mapping = print_mapping(arena, BIND_FIELDS_MAX);
    print_fields(arena, table, self, mapping);
    return mapping;
}

/* ---- paths ---- */

/* Go's filepath.Clean: no empty or "." parts, ".." taken back where that is possible. */
static struct str path_clean(struct arena *arena, struct str path) {
    char *out = arena_alloc(arena, path.len + 2);
    const bool rooted = path.len > 0 && path.ptr[0] == '/';
    size_t n = 0;
    size_t floor = 0; /* what ".." must not take back */
    if (rooted) {
        out[n++] = '/';
        floor = 1;
    }
    for (size_t at = 0; at < path.len;) {
        size_t end = at;
        while (end < path.len && path.ptr[end] != '/') {
            end++;
        }
        const struct str part = str_sub(path, at, end - at);
        at = end + 1;
        if (part.len == 0 || str_eq(part, STR("."))) {
            continue;
        }
        const bool up = str_eq(part, STR(".."));
        if (up && n > floor) {
            do {
                n--;
            } while (n > floor && out[n] != '/');
            continue;
        }
        if (up && rooted) {
            continue;
        }
        if (n > (rooted ? 1U : 0U)) {
            out[n++] = '/';
        }
        memcpy(out + n, part.ptr, part.len);
        n += part.len;
        if (up) {
            floor = n;
        }
    }
    if (n == 0) {
        out[n++] = '.';
    }
    out[n] = '\0';
    return (struct str){out, n};
}

struct str path_join(struct arena *arena, struct str dir, struct str path) {
    if (path.len == 0 || path.ptr[0] == '/') {
        return path;
    }
    if (dir.len == 0) {
        return path_clean(arena, path);
    }
    return path_clean(arena, arena_printf(arena, "%.*s/%.*s", STR_ARG(dir), STR_ARG(path)));
}

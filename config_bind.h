/* Binds YAML to structs by const tables, strictly, and prints structs by the same tables.
 *
 * The rules are go-yaml v2's, so that errors read as Prometheus users know them: wrong types,
 * unknown and repeated keys are collected ("yaml: unmarshal errors:\n  line 3: field foo not found
 * in type config.plain"); a value that does not parse, or a failed check of a section, ends the
 * load at once. A section's check runs only when the section had no collected errors. null sets
 * the zero value, which for lists of sections is an element with its null flag set.
 *
 * Everything lives in the binder's arena. One thread. */
#ifndef CONFIG_BIND_H
#define CONFIG_BIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "base/yaml_node.h"

/* Fields of one section, those of inlined sections included. */
enum { BIND_FIELDS_MAX = 128 };

struct regex;

struct binder {
    struct arena *arena;
    struct regex *default_regex; /* (.*), shared by all rules that write none; NULL until needed */
    size_t type_error_count;
    char type_errors[ERR_TEXT_MAX]; /* lines for the final message; what does not fit is left out */
};

/* The C type of each is in the comment. */
enum bind_type {
    BIND_BOOL,        /* bool */
    BIND_TRISTATE,    /* enum tristate */
    BIND_INT,         /* int64_t */
    BIND_UINT,        /* uint64_t, "uint" in errors */
    BIND_UINT64,      /* uint64_t */
    BIND_FLOAT,       /* double */
    BIND_STR,         /* struct str */
    BIND_PATH,        /* struct str, joined with the folder by bind_join */
    BIND_SECRET,      /* struct secret */
    BIND_DURATION,    /* int64_t ms */
    BIND_SIZE,        /* int64_t bytes */
    BIND_STR_LIST,    /* const struct str * and size_t */
    BIND_PATH_LIST,   /* the same */
    BIND_SECRET_LIST, /* const struct secret * and size_t */
    BIND_SECTION,     /* struct of a table */
    BIND_OPTIONAL,    /* the same, with a bool that says it is there */
    BIND_LIST,        /* pointer to structs of a table, and size_t */
    BIND_INLINE,      /* the keys of another table at this level */
    BIND_CUSTOM,      /* see struct bind_custom */
    BIND_UNSUPPORTED, /* known to Prometheus; refused unless it is null or empty */
};

enum tristate { TRI_UNSET, TRI_FALSE, TRI_TRUE };

/* A field with a form of its own. */
struct bind_custom {
    enum err_code (*bind)(struct binder *b, const struct yaml_node *node, void *field,
                          struct err *err);
    struct yaml_node *(*print)(struct arena *arena, const void *field); /* NULL: leave it out */
    void (*join)(struct arena *arena, struct str dir, void *field);     /* may be NULL */
};

struct bind_table;

struct bind_field {
    const char *key;
    enum bind_type type;
    bool always;         /* printed also when it is zero */
    size_t offset;       /* of the field in its struct */
    size_t count_offset; /* of a list's count, or of an optional section's bool */
    const struct bind_table *table;
    const struct bind_custom *custom;
};

struct bind_table {
    const char *type_name; /* in error texts: config.plain */
    const char *list_name; /* of a list of it: []*config.ScrapeConfig */
    size_t size;
    const struct bind_field *fields; /* in the order in which they are printed */
    size_t field_count;
    size_t null_offset;           /* BIND_LIST: of the element's bool "was null" */
    void (*defaults)(void *self); /* NULL: zero */
    enum err_code (*check)(struct binder *b, void *self, struct err *err); /* may be NULL */
};

#define BIND_AT(type_, key_, struct_, member_)                                                     \
    { .key = (key_), .type = (type_), .offset = offsetof(struct struct_, member_) }
#define BIND_ALWAYS(type_, key_, struct_, member_)                                                 \
    { .key = (key_), .type = (type_), .always = true, .offset = offsetof(struct struct_, member_) }
#define BIND_COUNTED(type_, key_, struct_, member_, count_)                                        \
    {                                                                                              \
        .key = (key_), .type = (type_), .offset = offsetof(struct struct_, member_),               \
        .count_offset = offsetof(struct struct_, count_)                                           \
    }
#define BIND_TABLE(type_, key_, struct_, member_, count_, table_)                                  \
    {                                                                                              \
        .key = (key_), .type = (type_), .offset = offsetof(struct struct_, member_),               \
        .count_offset = offsetof(struct struct_, count_), .table = (table_)                        \
    }
#define BIND_OWN(key_, struct_, member_, custom_)                                                  \
    {                                                                                              \
        .key = (key_), .type = BIND_CUSTOM, .offset = offsetof(struct struct_, member_),           \
        .custom = (custom_)                                                                        \
    }
#define BIND_REFUSE(key_)                                                                          \
    { .key = (key_), .type = BIND_UNSUPPORTED }

void binder_init(struct binder *b, struct arena *arena);
/* Binds a document: defaults, fields, check. node may be NULL (empty document: nothing is bound).
 * ERR_INVALID with the collected errors, or with the first hard one. */
MUST_CHECK enum err_code bind_document(struct binder *b, const struct yaml_node *node,
                                       const struct bind_table *table, void *self, struct err *err);
/* ERR_INVALID with the collected errors, if there are any. */
MUST_CHECK enum err_code bind_finish(const struct binder *b, struct err *err);
/* Joins the relative paths of a bound struct with a folder. */
void bind_join(struct arena *arena, struct str dir, const struct bind_table *table, void *self);
/* The struct as a mapping, in table order. */
struct yaml_node *bind_print(struct arena *arena, const struct bind_table *table, const void *self);

/* ---- for custom fields and checks ---- */

/* "line 3: cannot unmarshal !!str `abc` into int" */
void bind_mismatch(struct binder *b, const struct yaml_node *node, const char *into);
/* "line 3: <text>", collected */
void bind_type_error(struct binder *b, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* A string; *out_ok is false when the node is something else (collected). null gives "". */
MUST_CHECK enum err_code bind_string(struct binder *b, const struct yaml_node *node,
                                     const char *into, struct str *out, bool *out_ok,
                                     struct err *err);
/* A list of strings; null gives an empty one. into and item_into are the types in error texts. */
MUST_CHECK enum err_code bind_strings(struct binder *b, const struct yaml_node *node,
                                      const char *into, const char *item_into,
                                      const struct str **out, size_t *out_count, struct err *err);

/* A mapping whose keys the user chooses: calls fn per pair, keys in document order, merges
 * expanded; a repeated key is a collected error. */
typedef enum err_code bind_pair_fn(struct binder *b, void *ctx, struct str key,
                                   const struct yaml_node *value, struct err *err);
MUST_CHECK enum err_code bind_pairs(struct binder *b, const struct yaml_node *node,
                                    const char *into, bind_pair_fn *fn, void *ctx, struct err *err);

/* Zeroed; NULL with err set to ERR_LIMIT when the budget is used up. */
void *bind_alloc(struct binder *b, size_t count, size_t bytes, struct err *err);
/* Go's %q, for error texts; lives in the arena. */
const char *bind_quote(struct arena *arena, struct str s);

/* A section below a key of the user's. null gives the zero value. */
MUST_CHECK enum err_code bind_value(struct binder *b, const struct yaml_node *node,
                                    const struct bind_table *table, void *self, struct err *err);
/* The field at index of a table, bound from node / printed, without its key. */
MUST_CHECK enum err_code bind_member(struct binder *b, const struct yaml_node *node,
                                     const struct bind_table *table, size_t index, void *self,
                                     struct err *err);
struct yaml_node *print_member(struct arena *arena, const struct bind_table *table, size_t index,
                               const void *self);

/* Nodes for printing. */
struct yaml_node *print_str(struct arena *arena, struct str text);
struct yaml_node *print_plain(struct arena *arena, struct str text); /* numbers and booleans */
struct yaml_node *print_strs(struct arena *arena, const struct str *items, size_t count);
struct yaml_node *print_sequence(struct arena *arena, size_t capacity);
struct yaml_node *print_mapping(struct arena *arena, size_t pair_capacity);
/* The capacity must have been given at creation. */
void print_item(struct yaml_node *sequence, struct yaml_node *item);
void print_pair(struct yaml_node *mapping, struct yaml_node *key, struct yaml_node *value);
/* Sorts a mapping by key as go-yaml does for maps: numbers inside by value, letters last. */
void print_sort(struct yaml_node *mapping);

/* dir and path joined and cleaned as Go's filepath.Join; empty and absolute paths stay. */
struct str path_join(struct arena *arena, struct str dir, struct str path);

#endif

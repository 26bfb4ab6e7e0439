/* Parsed regular expressions: what the gate admits, and the three things done with it. Private
 * to regex*.c.
 *
 *   regex_gate.c      pattern text -> tree, or Go's error text
 *   regex_class.c     [...], \d, \pN and escapes, for the gate
 *   regex_shape.c     tree -> literals, prefixes, sets
 *   regex_emit.c      tree -> the same language in the engine's syntax
 *   regex_program.c   tree -> instructions of our own machine
 *
 * Nodes live in the arena given to regex_parse. Depth is bounded (REGEX_DEPTH_MAX), so walking a
 * tree recursively is safe. */
#ifndef BASE_REGEX_AST_H
#define BASE_REGEX_AST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/regex.h"
#include "base/str.h"

enum {
    REGEX_DEPTH_MAX = 200,   /* nested groups */
    REGEX_REPEAT_MAX = 1000, /* RE2: x{n,m}, and the product of nested ones */
    REGEX_SIZE_MAX = 100000, /* instructions after counted repeats are unrolled */
    REGEX_RUNE_MAX = 0x10FFFF,
};

enum regex_op {
    REGEX_EMPTY,
    REGEX_RUNE,
    REGEX_CLASS,
    REGEX_ANY_RUNE,
    REGEX_ANY_NOT_NEWLINE,
    REGEX_BEGIN_LINE,
    REGEX_END_LINE,
    REGEX_BEGIN_TEXT,
    REGEX_END_TEXT,
    REGEX_WORD_EDGE,
    REGEX_NO_WORD_EDGE,
    REGEX_CAPTURE,
    REGEX_REPEAT,
    REGEX_CONCAT,
    REGEX_ALTERNATE,
};

struct regex_range {
    uint32_t low, high;
};

/* \p{name}: the engine's spelling of it. */
struct regex_property {
    struct str engine_name;
    bool negated;
};

struct regex_class {
    bool negated;
    struct regex_range *ranges;
    size_t range_count, range_capacity;
    struct regex_property *properties;
    size_t property_count, property_capacity;
};

struct regex_node {
    enum regex_op op;
    bool fold; /* RUNE, CLASS: case-insensitive */
    bool lazy; /* REPEAT */
    uint32_t rune;
    int min, max; /* REPEAT; max -1 = no limit */
    int group;    /* CAPTURE, from 1 */
    struct str name;
    struct regex_class *class;
    struct regex_node *first, *last; /* children */
    struct regex_node *next;         /* sibling */
    uint32_t repeat_product;         /* largest product of counts on a path down, capped */
    uint64_t size;                   /* instructions */
    uint32_t set_number;             /* regex_program.c: of its runes, from 1 */
};

struct regex_tree {
    struct regex_node *root;
    int group_count;         /* without group 0 */
    struct str *group_names; /* [group_count + 1]; "" = unnamed */
};

/* Perl syntax as RE2 and Go's regexp take it, dot matching newline if dot_all. ERR_INVALID with
 * Go's text; ERR_LIMIT beyond our own limits. pattern must outlive the tree. */
MUST_CHECK enum err_code regex_parse(struct arena *arena, struct str pattern, bool dot_all,
                                     struct regex_tree *out, struct err *err);

/* The gate's reader: what is left of the pattern. */
struct regex_reader {
    struct str pattern;
    struct str rest;
    struct arena *arena;
    struct err *err;
    bool fold; /* (?i) holds here */
};

/* Each takes its text from r->rest and fails with Go's error text. */
MUST_CHECK enum err_code regex_take_rune(struct regex_reader *r, uint32_t *out);
MUST_CHECK enum err_code regex_take_escape(struct regex_reader *r, uint32_t *out);
MUST_CHECK enum err_code regex_take_class(struct regex_reader *r, struct regex_class **out);
/* \d \pL and the like; *out is NULL and nothing taken when the rest is not one. */
MUST_CHECK enum err_code regex_take_class_escape(struct regex_reader *r, struct regex_class **out);
/* ERR_INVALID: error parsing regexp: <what>: `<text>`. */
enum err_code regex_syntax_error(const struct regex_reader *r, const char *what, struct str text);

/* The engine's spelling of a Unicode property, or "" when there is none of that name. */
struct str regex_property_name(struct str name, struct arena *arena);

/* Appends the tree in the engine's syntax. */
void regex_emit(struct buf *to, const struct regex_node *node);

/* A prefix, anything (at least min_middle bytes), a suffix: decided without the engine, though no
 * shape of its own. */
struct regex_ends {
    bool decide;
    struct str prefix, suffix;
    size_t min_middle;
};

/* Strings live in arena. */
void regex_find_ends(struct arena *arena, const struct regex_node *root, struct regex_ends *out);

/* What literal analysis finds; strings live in arena. */
void regex_find_shape(struct arena *arena, const struct regex_node *root,
                      struct regex_analysis *out);

#endif

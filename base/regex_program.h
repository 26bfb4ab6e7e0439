/* A regexp as instructions for regex_walk, which follows all alternatives at once. Private to
 * regex*.c.
 *
 * Source: R. Cox, "Regular Expression Matching: the Virtual Machine Approach" (2009). Counted
 * repeats are unrolled; the order of branches is Perl's, as RE2 has it, and an empty turn of a loop
 * is treated as Go's regexp does. Immutable once made. */
#ifndef BASE_REGEX_PROGRAM_H
#define BASE_REGEX_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/regex_ast.h"

struct regex_engine;

enum regex_inst_op {
    INST_MATCH,
    INST_RUNE,        /* rune; then next */
    INST_SET,         /* a rune in sets[arg] */
    INST_ANY,         /* any rune */
    INST_NOT_NEWLINE, /* any but \n */
    INST_SPLIT,       /* next, or else arg */
    INST_SAVE,        /* the place goes to capture slot arg */
    INST_ASSERT,      /* of enum regex_place, arg holds here */
    INST_FAIL,
};

/* What may hold between two runes; bits. */
enum regex_place {
    PLACE_BEGIN_TEXT = 1,
    PLACE_END_TEXT = 2,
    PLACE_BEGIN_LINE = 4,
    PLACE_END_LINE = 8,
    PLACE_WORD_EDGE = 16,
    PLACE_NO_WORD_EDGE = 32,
};

struct regex_inst {
    enum regex_inst_op op;
    uint32_t next;
    uint32_t arg;
};

/* Runes of a class. ASCII by bit, others by range, or by the engine where Unicode's tables are
 * needed. */
struct regex_set {
    uint64_t ascii[2];
    bool negated;                     /* of ranges */
    const struct regex_range *ranges; /* sorted, apart from one another */
    size_t range_count;
    struct regex_engine *engine; /* not NULL: instead of ranges */
};

struct regex_program {
    struct regex_inst *insts;
    size_t inst_count;
    uint32_t start;
    bool anchored; /* matches at the begin of the subject only */
    struct regex_set *sets;
    size_t set_count;
};

/* root without the capture 0. Numbers classes in the tree. Scratch is the tree's arena. ERR_LIMIT. */
MUST_CHECK enum err_code regex_program_new(struct arena *scratch, struct regex_node *root,
                                           struct str pattern, struct regex_program **out,
                                           struct err *err);
void regex_program_free(struct regex_program *program);
bool regex_set_has(const struct regex_set *set, uint32_t rune);

#endif

/* Our own machine gives the answers of PCRE2's two matchers: whether there is a match, where, and
 * what its groups took. Where a loop may take an empty turn the languages differ about groups, and
 * only the first is compared. Input: pattern, a newline, subject. */
#include <stdint.h>

#include "base/check.h"
#include "base/regex_ast.h"
#include "base/regex_engine.h"
#include "base/regex_program.h"
#include "base/regex_walk.h"
#include "base/utf8.h"

enum { PATTERN_MAX = 200, SUBJECT_MAX = 200, STEPS_MAX = 2 * 1000 * 1000 };

static bool may_be_empty(const struct regex_node *node) {
    bool any = node->first == NULL;
    bool all = true;
    for (const struct regex_node *sub = node->first; sub != NULL; sub = sub->next) {
        const bool empty = may_be_empty(sub);
        any = any || empty;
        all = all && empty;
    }
    if (node->op == REGEX_RUNE || node->op == REGEX_CLASS || node->op == REGEX_ANY_RUNE ||
        node->op == REGEX_ANY_NOT_NEWLINE) {
        return false;
    }
    if (node->op == REGEX_REPEAT) {
        return node->min == 0 || all;
    }
    return node->op == REGEX_ALTERNATE ? any : all;
}

static bool has_empty_turns(const struct regex_node *node) {
    if (node->op == REGEX_REPEAT && may_be_empty(node->first)) {
        return true;
    }
    for (const struct regex_node *sub = node->first; sub != NULL; sub = sub->next) {
        if (has_empty_turns(sub)) {
            return true;
        }
    }
    return false;
}

static void compare(const struct regex_engine *engine, const struct regex_program *program,
                    const struct regex_tree *tree, struct str subject) {
    bool theirs = false;
    bool ours = false;
    struct regex_patience patience = {NULL, STEPS_MAX};
    if (regex_walk(program, subject, 0, 0, &patience, NULL, &ours, NULL) != ERR_OK) {
        return;
    }
    if (regex_engine_match(engine, subject, &theirs, NULL) == ERR_OK) {
        ASSERT(ours == theirs);
    }
    size_t expected[2 * (REGEX_GROUPS_MAX + 1)];
    size_t at[2 * (REGEX_GROUPS_MAX + 1)];
    const size_t slots = 2 * (size_t)(tree->group_count + 1);
    bool found = false;
    const enum err_code code = regex_walk(program, subject, 0, slots, &patience, at, &found, NULL);
    ASSERT(code == ERR_OK || code == ERR_LIMIT);
    if (code != ERR_OK) {
        return;
    }
    ASSERT(found == ours);
    if (!has_empty_turns(tree->root) &&
        regex_engine_find(engine, subject, 0, STEPS_MAX / 100, expected, &theirs, NULL) == ERR_OK) {
        ASSERT(found == theirs);
        for (size_t i = 0; i < slots && found; i++) {
            ASSERT(at[i] == expected[i]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct str all = {(const char *)data, size};
    const ptrdiff_t cut = str_find_char(all, '\n');
    const struct str pattern = str_sub(all, 0, cut < 0 ? size : (size_t)cut);
    const struct str subject = cut < 0 ? STR("") : str_from(all, (size_t)cut + 1);
    if (pattern.len > PATTERN_MAX || subject.len > SUBJECT_MAX || !utf8_valid(subject)) {
        return 0;
    }
    struct arena arena;
    struct regex_tree tree;
    struct regex_engine *engine = NULL;
    struct regex_program *program = NULL;
    arena_init(&arena, 0);
    if (regex_parse(&arena, pattern, size % 2 == 0, &tree, NULL) == ERR_OK &&
        tree.root->size <= 5000 &&
        regex_engine_new(tree.root, tree.group_count, pattern, &engine, NULL) == ERR_OK &&
        regex_program_new(&arena, tree.root, pattern, &program, NULL) == ERR_OK) {
        compare(engine, program, &tree, subject);
    }
    regex_program_free(program);
    regex_engine_free(engine);
    arena_release(&arena);
    return 0;
}

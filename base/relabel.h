/* Relabelling (spec/config.md section 6): rules applied in order to a label set.
 *
 * Rules are made once per configuration and immutable. ERR_LIMIT from a regex names the pattern
 * and fails the whole run. */
#ifndef BASE_RELABEL_H
#define BASE_RELABEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/regex.h"

enum relabel_action {
    RELABEL_REPLACE,
    RELABEL_KEEP,
    RELABEL_DROP,
    RELABEL_KEEP_EQUAL,
    RELABEL_DROP_EQUAL,
    RELABEL_HASHMOD,
    RELABEL_LABELMAP,
    RELABEL_LABELDROP,
    RELABEL_LABELKEEP,
    RELABEL_LOWERCASE,
    RELABEL_UPPERCASE,
    RELABEL_ACTION_COUNT
};

struct relabel_rule {
    enum relabel_action action;
    const struct str *source_labels;
    size_t source_count;
    struct str separator; /* default ";" */
    struct regex *regex;  /* default (.*); never NULL */
    uint64_t modulus;
    struct str target_label;
    struct str replacement; /* default "$1" */
    enum name_scheme scheme;
    /* which fields the file set: some actions refuse fields that were written out */
    bool has_source_labels, has_regex;
};

struct relabel_rules {
    const struct relabel_rule *rules;
    size_t count;
};

/* "replace", case-insensitive; ERR_INVALID: unknown relabel action "x". */
MUST_CHECK enum err_code relabel_action_parse(struct str text, enum relabel_action *out,
                                              struct err *err);
const char *relabel_action_name(enum relabel_action action);
/* The rules of section 6, "Validation", with their texts. */
MUST_CHECK enum err_code relabel_rule_check(const struct relabel_rule *rule, struct err *err);

/* Applies the rules to b. *out_keep is false when a rule dropped the set (b is then undefined).
 * Strings made on the way live in b's arena. */
MUST_CHECK enum err_code relabel_run(const struct relabel_rules *rules, struct labels_builder *b,
                                     bool *out_keep, struct err *err);
/* One rule, for the step viewer. */
MUST_CHECK enum err_code relabel_step(const struct relabel_rule *rule, struct labels_builder *b,
                                      bool *out_keep, struct err *err);

/* Whether both do the same, rule by rule. */
bool relabel_rules_equal(const struct relabel_rules *a, const struct relabel_rules *b);

#endif

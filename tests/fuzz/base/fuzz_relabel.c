/* Any rule that passes the check runs without harm: what comes out is a sound label set, and a
 * second run of the same rule on the same input gives the same set.
 * Input: action byte, scheme byte, then lines: regex, target, replacement, separator, values. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/relabel.h"
#include "base/utf8.h"

static struct str take_line(struct str *rest) {
    const ptrdiff_t cut = str_find_char(*rest, '\n');
    const struct str line = str_sub(*rest, 0, cut < 0 ? rest->len : (size_t)cut);
    *rest = cut < 0 ? STR("") : str_from(*rest, (size_t)cut + 1);
    return line;
}

static bool run(const struct relabel_rule *rule, struct arena *arena, struct str a, struct str b,
                struct labels *out) {
    struct labels_builder builder;
    bool keep = false;
    labels_builder_init(&builder, arena);
    labels_builder_set(&builder, STR("__name__"), STR("up"));
    labels_builder_set(&builder, STR("a"), a);
    labels_builder_set(&builder, STR("b"), b);
    const struct relabel_rules rules = {rule, 1};
    *out = (struct labels){NULL, 0};
    if (relabel_run(&rules, &builder, &keep, NULL) != ERR_OK || !keep) {
        return false;
    }
    ASSERT(labels_builder_finish(&builder, out, NULL) == ERR_OK);
    return true;
}

static void check_rule(const struct relabel_rule *rule, struct str a, struct str b) {
    struct arena arena;
    struct labels first;
    struct labels second;
    arena_init(&arena, 0);
    const bool kept = run(rule, &arena, a, b, &first);
    ASSERT(run(rule, &arena, a, b, &second) == kept);
    ASSERT(labels_eq(first, second));
    struct label label;
    struct str previous = STR("");
    for (struct labels_iter it = labels_begin(first); labels_next(&it, &label);) {
        ASSERT(label.value.len > 0);
        ASSERT(previous.len == 0 || str_cmp(previous, label.name) < 0);
        /* labelmap alone may make names that are not checked */
        ASSERT(rule->action == RELABEL_LABELMAP || label_name_valid(label.name, NAMES_UTF8));
        previous = label.name;
    }
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    static const struct str sources[] = {STR_INIT("a"), STR_INIT("b"), STR_INIT("missing")};
    struct str rest = {(const char *)data + 2, size - 2};
    struct regex *regex = NULL;
    if (regex_new(take_line(&rest), REGEX_WRAPPED, &regex, NULL) != ERR_OK) {
        return 0;
    }
    struct relabel_rule rule = {
        .action = (enum relabel_action)(data[0] % RELABEL_ACTION_COUNT),
        .source_labels = sources,
        .source_count = data[1] % 4,
        .regex = regex,
        .modulus = data[0] / RELABEL_ACTION_COUNT,
        .scheme = (data[1] & 4) != 0 ? NAMES_LEGACY : NAMES_UTF8,
    };
    rule.target_label = take_line(&rest);
    rule.replacement = take_line(&rest);
    rule.separator = take_line(&rest);
    const struct str value = take_line(&rest);
    if (relabel_rule_check(&rule, NULL) == ERR_OK) {
        check_rule(&rule, value, rest);
    }
    regex_free(regex);
    return 0;
}

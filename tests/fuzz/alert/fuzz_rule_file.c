/* Any text as a rule file: it is refused with errors that name the file, or gives groups whose rules are
 * whole: canonical expressions parse and print as themselves, labels are sound. */
#include <stdlib.h>

#include "alert/rule_file.h"
#include "query/query.h"

static void note(void *ctx, struct str text) {
    size_t *count = ctx;
    (*count)++;
    if (!str_starts(text, STR("f.yml: "))) {
        abort();
    }
}

static void check_rule(struct arena *arena, const struct rule *rule) {
    struct query_expr *expr = NULL;
    struct err err;
    if (rule->name.len == 0 || query_parse(NULL, arena, rule->expr, &expr, &err) != ERR_OK ||
        !str_eq(query_print(arena, expr), rule->expr)) {
        abort();
    }
    if (labels_check(rule->labels.data, rule->labels.size, &err) != ERR_OK ||
        labels_check(rule->annotations.data, rule->annotations.size, &err) != ERR_OK) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    arena_init(&arena, 0);
    struct rule_group_spec *groups = NULL;
    size_t group_count = 0;
    size_t error_count = 0;
    bool more = false;
    const struct str text = {(const char *)data, size};
    const bool ok = rule_file_parse(&arena, NULL, STR("f.yml"), text, note, &error_count, &groups,
                                    &group_count, &more);
    if (ok != (error_count == 0)) {
        abort();
    }
    for (size_t i = 0; ok && i < group_count; i++) {
        for (size_t k = 0; k < groups[i].rule_count; k++) {
            check_rule(&arena, &groups[i].rules[k]);
        }
    }
    arena_release(&arena);
    return 0;
}

#include "tool_language.h"

#include <string.h>

struct query_engine *tool_language(const struct tool_call *call) {
    struct query_options options;
    query_options_default(&options);
    options.experimental_functions = tool_feature(call, "promql-experimental-functions");
    options.extended_range_selectors = tool_feature(call, "promql-extended-range-selectors");
    options.binop_fill_modifiers = tool_feature(call, "promql-binop-fill-modifiers");
    return query_engine_new(&options);
}

/* promql-duration-expr is always on; older versions had the two before it as features as well. */
static bool is_known(struct str name) {
    static const struct str known[] = {
        STR_INIT("promql-experimental-functions"),
        STR_INIT("promql-delayed-name-removal"),
        STR_INIT("promql-extended-range-selectors"),
        STR_INIT("promql-binop-fill-modifiers"),
        STR_INIT("promql-at-modifier"),
        STR_INIT("promql-negative-offset"),
        STR_INIT("promql-duration-expr"),
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (str_eq(name, known[i])) {
            return true;
        }
    }
    return name.len == 0;
}

void tool_language_warn(const struct tool_call *call) {
    const struct tool_values lists = tool_list(call, "enable-feature");
    for (size_t i = 0; i < lists.count; i++) {
        struct str rest = str_of(lists.items[i]);
        while (rest.len > 0) {
            const ptrdiff_t comma = str_find_char(rest, ',');
            const size_t n = comma < 0 ? rest.len : (size_t)comma;
            const struct str name = str_sub(rest, 0, n);
            if (!is_known(name)) {
                (void)fprintf(call->io.out,
                              "  WARNING: Unknown feature passed to --enable-feature: %.*s\n",
                              STR_ARG(name));
            }
            rest = str_from(rest, n < rest.len ? n + 1 : n);
        }
    }
}

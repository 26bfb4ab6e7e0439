#include "cmd_promql.h"

#include <string.h>

#include "tool_language.h"

/* The matcher types in the order of enum matcher_type. */
static const char *const TYPES[] = {"=", "!=", "=~", "!~"};

struct edit_request {
    bool set, remove;
    enum matcher_type type;
    struct str name, value;
};

static int print_edited(struct tool_call *call, const struct edit_request *edit) {
    struct query_engine *engine = tool_language(call);
    struct query_expr *expr = NULL;
    struct err err;
    enum err_code code = query_parse(engine, call->arena, str_of(tool_arg(call, 0)), &expr, &err);
    if (code == ERR_OK && edit->set) {
        code = query_set_matcher(expr, edit->type, edit->name, edit->value, &err);
    } else if (code == ERR_OK && edit->remove) {
        query_delete_matchers(expr, edit->name);
    }
    if (code == ERR_OK) {
        (void)fprintf(call->io.out, "%.*s\n", STR_ARG(query_format(call->arena, expr)));
    } else {
        (void)fprintf(call->io.err, "%s\n", err.text);
    }
    query_engine_free(engine);
    return code == ERR_OK ? TOOL_OK : TOOL_FAILED;
}

int cmd_promql_format(struct tool_call *call) {
    const struct edit_request none = {.set = false};
    return print_edited(call, &none);
}

int cmd_promql_matcher_set(struct tool_call *call) {
    struct edit_request edit = {
        .set = true, .name = str_of(tool_arg(call, 1)), .value = str_of(tool_arg(call, 2))};
    const char *type = tool_text(call, "type");
    for (size_t i = 0; i < COUNT_OF(TYPES); i++) {
        if (strcmp(type, TYPES[i]) == 0) {
            edit.type = (enum matcher_type)i;
        }
    }
    return print_edited(call, &edit);
}

int cmd_promql_matcher_delete(struct tool_call *call) {
    const struct edit_request edit = {.remove = true, .name = str_of(tool_arg(call, 1))};
    return print_edited(call, &edit);
}

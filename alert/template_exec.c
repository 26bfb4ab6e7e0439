/* Executor: walks the tree, bounded in steps, depth and output. */
#include <stdarg.h>
#include <stdio.h>

#include "alert/template_lex.h"
#include "alert/template_tree.h"

enum { SCOPE_MAX = 1024 };

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

struct variable {
    struct str name;
    struct template_value value;
};

struct executor {
    const struct template *template;
    const struct template_data *data;
    struct arena *arena;
    struct buf *to;
    struct str running; /* name of the template that runs */
    struct variable variables[SCOPE_MAX];
    size_t variable_count;
    size_t steps;
    unsigned depth;
    struct err *err;
};

static enum err_code fail_at(struct executor *x, size_t pos, struct str source, const char *fmt,
                             ...) PRINTF_LIKE(4, 5);

static enum err_code fail_at(struct executor *x, size_t pos, struct str source, const char *fmt,
                             ...) {
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    const struct str before = str_sub(x->template->text, 0, pos);
    const ptrdiff_t newline = str_rfind_char(before, '\n');
    const size_t column = newline < 0 ? pos : pos - (size_t)newline - 1;
    const bool cut = source.len > 20;
    return err_set(
        x->err, ERR_INVALID,
        "error executing template %.*s: template: %.*s:%zu:%zu: executing \"%.*s\" at <%.*s%s>: %s",
        STR_ARG(x->template->name), STR_ARG(x->template->name),
        template_line(x->template->text, pos), column, STR_ARG(x->running),
        STR_ARG(str_sub(source, 0, cut ? 17 : source.len)), cut ? "..." : "", text);
}

static enum err_code step(struct executor *x, size_t pos, struct str source) {
    if (++x->steps > TEMPLATE_STEPS_MAX) {
        return fail_at(x, pos, source, "template takes more than %d steps", TEMPLATE_STEPS_MAX);
    }
    return ERR_OK;
}

static struct template_value *variable_of(struct executor *x, struct str name) {
    for (size_t i = x->variable_count; i > 0; i--) {
        if (str_eq(x->variables[i - 1].name, name)) {
            return &x->variables[i - 1].value;
        }
    }
    return NULL;
}

static enum err_code declare(struct executor *x, const struct template_pipe *pipe, struct str name,
                             struct template_value value) {
    if (pipe->assign) {
        struct template_value *known = variable_of(x, name);
        if (known != NULL) {
            *known = value;
        }
        return ERR_OK;
    }
    if (x->variable_count == SCOPE_MAX) {
        return fail_at(x, pipe->pos, pipe->source, "more than %d variables", SCOPE_MAX);
    }
    x->variables[x->variable_count++] = (struct variable){name, value};
    return ERR_OK;
}

static enum err_code eval_pipe(struct executor *x, const struct template_pipe *pipe,
                               struct template_value dot, struct template_value *out);

static enum err_code walk_fields(struct executor *x, const struct template_operand *o,
                                 struct template_value *value) {
    for (size_t i = 0; i < o->field_count; i++) {
        struct template_value field;
        struct err err;
        if (template_field(value, x->data, o->fields[i], &field, &err) != ERR_OK) {
            /* Go points at the field that failed: behind the fields before it */
            size_t pos = o->pos;
            for (size_t k = 0; k < i || (k == i && o->type == OPERAND_VARIABLE && k == 0); k++) {
                pos += k == 0 && o->type == OPERAND_VARIABLE ? o->name.len : o->fields[k].len + 1;
            }
            return fail_at(x, pos, o->source, "%s", err.text);
        }
        *value = field;
    }
    return ERR_OK;
}

static enum err_code call_function(struct executor *x, const struct template_operand *f,
                                   const struct template_command *c,
                                   const struct template_value *args, size_t count,
                                   struct template_value *out) {
    const struct template_function *fn = f->function;
    if (count < (size_t)fn->min_args || (fn->max_args >= 0 && count > (size_t)fn->max_args)) {
        const bool exact = fn->max_args == fn->min_args;
        return fail_at(x, f->pos, f->name, "wrong number of args for %s: want %s%d got %zu",
                       fn->name, exact ? "" : "at least ", fn->min_args, count);
    }
    const struct template_call call = {x->data, x->arena, args, count};
    struct err err;
    if (fn->run(&call, out, &err) != ERR_OK) {
        return fail_at(x, f->pos, c->source, "error calling %s: %s", fn->name, err.text);
    }
    return ERR_OK;
}

static enum err_code eval_operand(struct executor *x, const struct template_command *c,
                                  const struct template_operand *o, struct template_value dot,
                                  struct template_value *out) {
    enum err_code code = step(x, o->pos, o->source);
    if (code != ERR_OK) {
        return code;
    }
    switch (o->type) {
    case OPERAND_DOT:
    case OPERAND_FIELDS:
        *out = dot;
        break;
    case OPERAND_VARIABLE: {
        const struct template_value *v = variable_of(x, o->name);
        *out = v != NULL ? *v : (struct template_value){.type = TEMPLATE_ROOT};
        break;
    }
    case OPERAND_CONSTANT:
        *out = o->constant;
        break;
    case OPERAND_NIL:
        *out = (struct template_value){.type = TEMPLATE_NIL};
        break;
    case OPERAND_PIPE:
        code = eval_pipe(x, o->pipe, dot, out);
        break;
    case OPERAND_FUNCTION:
        code = call_function(x, o, c, NULL, 0, out);
        break;
    }
    return code == ERR_OK ? walk_fields(x, o, out) : code;
}

/* and, or: arguments are evaluated until one decides. */
static enum err_code eval_logic(struct executor *x, const struct template_command *c,
                                struct template_value dot, const struct template_value *final,
                                struct template_value *out) {
    const bool is_and = str_eq(c->operands[0].name, STR("and"));
    const size_t count = c->count - 1 + (final != NULL);
    if (count == 0) {
        return fail_at(x, c->pos, c->operands[0].name,
                       "wrong number of args for %s: want at least 1 got 0", is_and ? "and" : "or");
    }
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < c->count) {
            const enum err_code code = eval_operand(x, c, &c->operands[i + 1], dot, out);
            if (code != ERR_OK) {
                return code;
            }
        } else {
            *out = *final;
        }
        if (template_truth(out) != is_and) {
            return ERR_OK;
        }
    }
    return ERR_OK;
}

static enum err_code eval_command(struct executor *x, const struct template_command *c,
                                  struct template_value dot, const struct template_value *final,
                                  struct template_value *out) {
    const struct template_operand *first = &c->operands[0];
    if (first->type != OPERAND_FUNCTION || first->field_count != 0) {
        if (first->type == OPERAND_NIL) {
            return fail_at(x, first->pos, STR("nil"), "nil is not a command");
        }
        if (c->count > 1 || final != NULL) {
            return fail_at(x, first->pos, first->source, "can't give argument to non-function %.*s",
                           STR_ARG(first->source));
        }
        return eval_operand(x, c, first, dot, out);
    }
    if (str_eq(first->name, STR("and")) || str_eq(first->name, STR("or"))) {
        return eval_logic(x, c, dot, final, out);
    }
    struct template_value *args = arena_alloc(x->arena, (c->count + 1) * sizeof(*args));
    size_t count = 0;
    for (size_t i = 1; i < c->count; i++) {
        const enum err_code code = eval_operand(x, c, &c->operands[i], dot, &args[count++]);
        if (code != ERR_OK) {
            return code;
        }
    }
    if (final != NULL) {
        args[count++] = *final;
    }
    return call_function(x, first, c, args, count, out);
}

static enum err_code eval_pipe(struct executor *x, const struct template_pipe *pipe,
                               struct template_value dot, struct template_value *out) {
    struct template_value value = {.type = TEMPLATE_NIL};
    for (size_t i = 0; i < pipe->command_count; i++) {
        struct template_value result;
        const enum err_code code =
            eval_command(x, &pipe->commands[i], dot, i > 0 ? &value : NULL, &result);
        if (code != ERR_OK) {
            return code;
        }
        value = result;
    }
    *out = value;
    return ERR_OK;
}

/* ---- nodes ---- */

static enum err_code walk(struct executor *x, const struct template_node *node,
                          struct template_value dot, enum flow *flow);

static enum err_code walk_list(struct executor *x, const struct template_nodes *list,
                               struct template_value dot, enum flow *flow) {
    if (++x->depth > 2 * TEMPLATE_DEPTH_MAX) {
        return fail_at(x, 0, STR(""), "exceeded maximum template depth (%d)",
                       2 * TEMPLATE_DEPTH_MAX);
    }
    *flow = FLOW_ON;
    enum err_code code = ERR_OK;
    for (const struct template_node *n = list->first;
         n != NULL && code == ERR_OK && *flow == FLOW_ON; n = n->next) {
        code = walk(x, n, dot, flow);
    }
    x->depth--;
    return code;
}

/* if and with: variables declared in the pipeline live until {{end}} */
static enum err_code walk_branch(struct executor *x, const struct template_node *node,
                                 struct template_value dot, enum flow *flow) {
    const size_t scope = x->variable_count;
    struct template_value value;
    enum err_code code = eval_pipe(x, node->pipe, dot, &value);
    for (size_t i = 0; i < node->pipe->variable_count && code == ERR_OK; i++) {
        code = declare(x, node->pipe, node->pipe->variables[i], value);
    }
    if (code == ERR_OK) {
        const bool truth = template_truth(&value);
        const struct template_value inner = node->type == NODE_WITH && truth ? value : dot;
        code = walk_list(x, truth ? &node->body : &node->otherwise, inner, flow);
    }
    x->variable_count = scope;
    return code;
}

static enum err_code walk_element(struct executor *x, const struct template_node *node,
                                  struct template_value key, struct template_value value,
                                  bool *out_stop, enum flow *flow) {
    const struct template_pipe *pipe = node->pipe;
    const size_t scope = x->variable_count;
    enum err_code code = ERR_OK;
    if (pipe->variable_count == 1) {
        code = declare(x, pipe, pipe->variables[0], value);
    } else if (pipe->variable_count == 2) {
        code = declare(x, pipe, pipe->variables[0], key);
        if (code == ERR_OK) {
            code = declare(x, pipe, pipe->variables[1], value);
        }
    }
    if (code == ERR_OK) {
        code = step(x, node->pos, pipe->source);
    }
    if (code == ERR_OK) {
        code = walk_list(x, &node->body, value, flow);
    }
    *out_stop = *flow == FLOW_BREAK;
    *flow = FLOW_ON;
    x->variable_count = scope;
    return code;
}

static enum err_code range_over(struct executor *x, const struct template_node *node,
                                struct template_value over, size_t *out_count, enum flow *flow) {
    bool stop = false;
    enum err_code code = ERR_OK;
    *out_count = 0;
    if (over.type == TEMPLATE_SAMPLES) {
        for (; *out_count < over.samples.count && !stop && code == ERR_OK; (*out_count)++) {
            const struct template_value item = {.type = TEMPLATE_SAMPLE,
                                                .sample = &over.samples.items[*out_count]};
            code = walk_element(x, node, template_int((int64_t)*out_count), item, &stop, flow);
        }
    } else if (over.type == TEMPLATE_LABELS) {
        struct labels_iter it = labels_begin(over.labels);
        struct label l;
        for (; !stop && code == ERR_OK && labels_next(&it, &l); (*out_count)++) {
            code = walk_element(x, node, template_string(l.name), template_string(l.value), &stop,
                                flow);
        }
    } else if (over.type == TEMPLATE_ARGS) {
        for (; *out_count < over.args.count && !stop && code == ERR_OK; (*out_count)++) {
            const struct str key = arena_printf(x->arena, "arg%zu", *out_count);
            code = walk_element(x, node, template_string(key), over.args.items[*out_count], &stop,
                                flow);
        }
    } else if (over.type == TEMPLATE_INT) {
        for (; (int64_t)*out_count < over.i && !stop && code == ERR_OK; (*out_count)++) {
            code = walk_element(x, node, template_int((int64_t)*out_count),
                                template_int((int64_t)*out_count), &stop, flow);
        }
    } else if (over.type != TEMPLATE_NIL) {
        return fail_at(x, node->pipe->pos, node->pipe->source, "range can't iterate over a %s",
                       template_type_name(&over));
    }
    return code;
}

static enum err_code walk_range(struct executor *x, const struct template_node *node,
                                struct template_value dot, enum flow *flow) {
    struct template_value over;
    enum err_code code = eval_pipe(x, node->pipe, dot, &over);
    size_t count = 0;
    if (code == ERR_OK) {
        code = range_over(x, node, over, &count, flow);
    }
    if (code == ERR_OK && count == 0) {
        code = walk_list(x, &node->otherwise, dot, flow);
    }
    return code;
}

static enum err_code walk_call(struct executor *x, const struct template_node *node,
                               struct template_value dot) {
    const struct template_definition *d = x->template->definitions;
    while (d != NULL && !str_eq(d->name, node->text)) {
        d = d->next;
    }
    if (d == NULL) {
        return fail_at(x, node->pos, node->source, "template \"%.*s\" not defined",
                       STR_ARG(node->text));
    }
    struct template_value argument = {.type = TEMPLATE_NIL};
    enum err_code code = node->pipe != NULL ? eval_pipe(x, node->pipe, dot, &argument) : ERR_OK;
    if (code == ERR_OK) {
        code = step(x, node->pos, node->source);
    }
    if (code != ERR_OK) {
        return code;
    }
    const size_t scope = x->variable_count;
    const struct str caller = x->running;
    x->running = d->name;
    if (scope < SCOPE_MAX) {
        x->variables[x->variable_count++] = (struct variable){STR("$"), argument};
    }
    enum flow flow = FLOW_ON;
    code = walk_list(x, &d->body, argument, &flow);
    x->running = caller;
    x->variable_count = scope;
    return code;
}

static enum err_code walk_action(struct executor *x, const struct template_node *node,
                                 struct template_value dot) {
    struct template_value value;
    enum err_code code = eval_pipe(x, node->pipe, dot, &value);
    if (code != ERR_OK) {
        return code;
    }
    if (node->pipe->variable_count == 0) {
        template_print(x->to, &value);
        return ERR_OK;
    }
    return declare(x, node->pipe, node->pipe->variables[0], value);
}

static enum err_code walk(struct executor *x, const struct template_node *node,
                          struct template_value dot, enum flow *flow) {
    enum err_code code = step(x, node->pos, node->source);
    if (code == ERR_OK) {
        switch (node->type) {
        case NODE_TEXT:
            buf_append_str(x->to, node->text);
            break;
        case NODE_ACTION:
            code = walk_action(x, node, dot);
            break;
        case NODE_IF:
        case NODE_WITH:
            code = walk_branch(x, node, dot, flow);
            break;
        case NODE_RANGE:
            code = walk_range(x, node, dot, flow);
            break;
        case NODE_CALL:
            code = walk_call(x, node, dot);
            break;
        case NODE_BREAK:
            *flow = FLOW_BREAK;
            break;
        case NODE_CONTINUE:
            *flow = FLOW_CONTINUE;
            break;
        }
    }
    if (code == ERR_OK && !buf_ok(x->to)) {
        code = fail_at(x, node->pos, node->source, "output is larger than %d bytes",
                       TEMPLATE_OUTPUT_MAX);
    }
    return code;
}

enum err_code template_expand(const struct template *t, const struct template_data *data,
                              struct arena *arena, struct str *out, struct err *err) {
    struct buf text;
    buf_init(&text, TEMPLATE_OUTPUT_MAX);
    struct executor *x = arena_zalloc(arena, sizeof(*x));
    *x = (struct executor){
        .template = t, .data = data, .arena = arena, .to = &text, .running = t->name, .err = err};
    const struct template_value root = {.type = TEMPLATE_ROOT};
    enum flow flow = FLOW_ON;
    const enum err_code code = walk_list(x, &t->body, root, &flow);
    if (code == ERR_OK) {
        *out = arena_str(arena, buf_str(&text));
    }
    buf_release(&text);
    return code;
}

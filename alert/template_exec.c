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
    size_t start_bytes; /* of the arena */
    unsigned depth;
    /* what is looked at, for error texts: as Go, the last node that was entered */
    size_t at_pos;
    struct str at_source;
    struct err *err;
};

static enum err_code fail(struct executor *x, const char *fmt, ...) PRINTF_LIKE(2, 3);

static enum err_code fail(struct executor *x, const char *fmt, ...) {
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    const struct str before = str_sub(x->template->text, 0, x->at_pos);
    const ptrdiff_t newline = str_rfind_char(before, '\n');
    const size_t column = newline < 0 ? x->at_pos : x->at_pos - (size_t)newline - 1;
    return err_set(
        x->err, ERR_INVALID,
        "error executing template %.*s: template: %.*s:%zu:%zu: executing \"%.*s\" at <%.*s>: %s",
        STR_ARG(x->template->name), STR_ARG(x->template->name),
        template_line(x->template->text, x->at_pos), column, STR_ARG(x->running),
        STR_ARG(x->at_source), text);
}

static void look_at(struct executor *x, size_t pos, struct str source) {
    x->at_pos = pos;
    x->at_source = source;
}

static enum err_code step(struct executor *x) {
    if (++x->steps > TEMPLATE_STEPS_MAX) {
        return fail(x, "template takes more than %d steps", TEMPLATE_STEPS_MAX);
    }
    if (x->arena->used_bytes - x->start_bytes > TEMPLATE_MEMORY_MAX) {
        return fail(x, "template takes more than %d bytes", TEMPLATE_MEMORY_MAX);
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
        if (known == NULL) {
            return fail(x, "undefined variable: %.*s", STR_ARG(name));
        }
        *known = value;
        return ERR_OK;
    }
    if (x->variable_count == SCOPE_MAX) {
        return fail(x, "more than %d variables", SCOPE_MAX);
    }
    x->variables[x->variable_count++] = (struct variable){name, value};
    return ERR_OK;
}

static enum err_code eval_pipe(struct executor *x, const struct template_pipe *pipe,
                               struct template_value dot, struct template_value *out);
static enum err_code eval_args(struct executor *x, const struct template_command *c,
                               const struct template_function *fn, struct template_value dot,
                               const struct template_value *final, struct template_value *args,
                               size_t *out_count);

/* ---- functions and methods ---- */

static size_t fixed_args(const struct template_function *fn) {
    const size_t n = strlen(fn->args);
    return n > 0 && fn->args[n - 1] == '*' ? n - 2 : n;
}

static char arg_kind(const struct template_function *fn, size_t i) {
    const size_t fixed = fixed_args(fn);
    return i < fixed ? fn->args[i] : fn->args[strlen(fn->args) - 2];
}

static enum err_code check_count(struct executor *x, const struct template_function *fn,
                                 size_t count) {
    const size_t fixed = fixed_args(fn);
    const bool variadic = strlen(fn->args) != fixed;
    if (count < fixed || (count > fixed && !variadic)) {
        return fail(x, "wrong number of args for %s: want %s%zu got %zu", fn->name,
                    variadic ? "at least " : "", fixed, count);
    }
    return ERR_OK;
}

static const char *kind_name(char kind) {
    return kind == 's'   ? "string"
           : kind == 'q' ? "template.queryResult"
           : kind == 'p' ? "*template.sample"
                         : "*time.Duration";
}

static bool kind_fits(char kind, const struct template_value *v) {
    return kind == 'v' || (kind == 's' && v->type == TEMPLATE_STRING) ||
           (kind == 'q' && v->type == TEMPLATE_SAMPLES) ||
           (kind == 'p' && v->type == TEMPLATE_SAMPLE) ||
           (kind == 'd' && v->type == TEMPLATE_DURATION);
}

/* An argument that was computed, of the type the function wants. */
static enum err_code check_value(struct executor *x, char kind, const struct template_value *v) {
    if (kind_fits(kind, v)) {
        return ERR_OK;
    }
    if (v->type == TEMPLATE_NIL) {
        return fail(x, "invalid value; expected %s", kind_name(kind));
    }
    return fail(x, "wrong type for value; expected %s; got %s", kind_name(kind),
                template_type_name(v));
}

/* A constant as argument has errors of its own; a nil result is an empty one. */
static enum err_code check_constant(struct executor *x, char kind, const struct template_operand *o,
                                    struct template_value *v) {
    if (kind_fits(kind, v)) {
        return ERR_OK;
    }
    if (v->type == TEMPLATE_NIL && kind == 'q') {
        *v = (struct template_value){.type = TEMPLATE_SAMPLES};
        return ERR_OK;
    }
    if (v->type == TEMPLATE_NIL) {
        return fail(x, "cannot assign nil to %s", kind_name(kind));
    }
    return kind == 's' ? fail(x, "expected string; found %.*s", STR_ARG(o->source))
                       : fail(x, "can't handle %.*s for arg of type %s", STR_ARG(o->source),
                              kind_name(kind));
}

static enum err_code run_function(struct executor *x, const struct template_function *fn,
                                  size_t pos, struct str source, const struct template_value *args,
                                  size_t count, struct template_value *out) {
    const struct template_call call = {x->data, x->arena, args, count};
    struct err err;
    if (fn->run(&call, out, &err) != ERR_OK) {
        look_at(x, pos, source);
        return fail(x, "error calling %s: %s", fn->name, err.text);
    }
    return ERR_OK;
}

/* The last name of a chain: it alone may be a method with arguments. */
static enum err_code eval_field(struct executor *x, const struct template_command *c,
                                struct str name, struct template_value dot,
                                const struct template_value *final, bool last,
                                struct template_value *value) {
    const struct template_function *method = template_method_find(value->type, name);
    const bool with_args = last && (c->count > 1 || final != NULL);
    struct err err;
    if (method == NULL) {
        struct template_value field;
        if (template_field(value, name, &field, &err) != ERR_OK) {
            return fail(x, "%s", err.text);
        }
        if (with_args) {
            return value->type == TEMPLATE_LABELS || value->type == TEMPLATE_ARGS
                       ? fail(x, "%.*s is not a method but has arguments", STR_ARG(name))
                       : fail(x, "%.*s has arguments but cannot be invoked as function",
                              STR_ARG(name));
        }
        *value = field;
        return ERR_OK;
    }
    struct template_value *args =
        arena_alloc(x->arena, ((with_args ? c->count : 0) + 2) * sizeof(*args));
    args[0] = *value;
    size_t count = 0;
    enum err_code code = check_count(x, method, with_args ? c->count - 1 + (final != NULL) : 0);
    if (code == ERR_OK && with_args) {
        code = eval_args(x, c, method, dot, final, args + 1, &count);
    }
    const size_t pos = x->at_pos;
    const struct str source = x->at_source;
    return code == ERR_OK ? run_function(x, method, pos, source, args, count + 1, value) : code;
}

static enum err_code eval_fields(struct executor *x, const struct template_command *c,
                                 const struct template_operand *o, struct template_value dot,
                                 const struct template_value *final, bool first,
                                 struct template_value *value) {
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < o->field_count && code == ERR_OK; i++) {
        const bool last = first && i + 1 == o->field_count;
        code = eval_field(x, c, o->fields[i], dot, last ? final : NULL, last, value);
        /* .Value is an interface in Go: a field of it is looked up by that type */
        if (code == ERR_OK && value->type == TEMPLATE_FLOAT && i + 1 < o->field_count &&
            str_eq(o->fields[i], STR("Value"))) {
            return fail(x, "can't evaluate field %.*s in type interface {}",
                        STR_ARG(o->fields[i + 1]));
        }
    }
    return code;
}

static enum err_code call_function(struct executor *x, const struct template_command *c,
                                   const struct template_operand *f, bool with_args,
                                   struct template_value dot, const struct template_value *final,
                                   struct template_value *out) {
    look_at(x, f->pos, f->name);
    const size_t wanted = (with_args ? c->count - 1 : 0) + (final != NULL);
    enum err_code code = check_count(x, f->function, wanted);
    struct template_value *args = arena_alloc(x->arena, (wanted + 1) * sizeof(*args));
    size_t count = 0;
    if (code == ERR_OK && with_args) {
        code = eval_args(x, c, f->function, dot, final, args, &count);
    }
    return code == ERR_OK ? run_function(x, f->function, with_args ? c->pos : f->pos,
                                         with_args ? c->source : f->name, args, count, out)
                          : code;
}

/* ---- operands ---- */

static enum err_code not_a_function(struct executor *x, const struct template_command *c,
                                    const struct template_value *final) {
    if (c->count > 1 || final != NULL) {
        return fail(x, "can't give argument to non-function %.*s", STR_ARG(c->operands[0].source));
    }
    return ERR_OK;
}

/* first: the operand leads its command, whose other operands are its arguments. */
static enum err_code eval_operand(struct executor *x, const struct template_command *c,
                                  const struct template_operand *o, struct template_value dot,
                                  const struct template_value *final, bool first,
                                  struct template_value *out) {
    enum err_code code = step(x);
    if (code != ERR_OK) {
        return code;
    }
    if (o->type != OPERAND_PIPE) {
        look_at(x, o->pos, o->source);
    }
    if (first && o->field_count == 0 && o->type != OPERAND_FUNCTION) {
        code = not_a_function(x, c, final);
    }
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
        if (v == NULL) {
            return fail(x, "undefined variable: %.*s", STR_ARG(o->name));
        }
        *out = *v;
        break;
    }
    case OPERAND_CONSTANT:
        *out = o->constant;
        if (out->type == TEMPLATE_TOO_LARGE) {
            return fail(x, "%.*s overflows int", STR_ARG(out->s));
        }
        break;
    case OPERAND_NIL:
        *out = (struct template_value){.type = TEMPLATE_NIL};
        break;
    case OPERAND_PIPE:
        code = eval_pipe(x, o->pipe, dot, out);
        break;
    case OPERAND_FUNCTION:
        code = call_function(x, c, o, first && o->field_count == 0, dot,
                             first && o->field_count == 0 ? final : NULL, out);
        break;
    }
    return code == ERR_OK ? eval_fields(x, c, o, dot, final, first, out) : code;
}

static enum err_code eval_args(struct executor *x, const struct template_command *c,
                               const struct template_function *fn, struct template_value dot,
                               const struct template_value *final, struct template_value *args,
                               size_t *out_count) {
    size_t count = 0;
    enum err_code code = ERR_OK;
    for (size_t i = 1; i < c->count && code == ERR_OK; i++) {
        const struct template_operand *o = &c->operands[i];
        code = eval_operand(x, c, o, dot, NULL, false, &args[count]);
        const char kind = arg_kind(fn, count);
        if (code == ERR_OK && (o->type == OPERAND_CONSTANT || o->type == OPERAND_NIL)) {
            code = check_constant(x, kind, o, &args[count]);
        } else if (code == ERR_OK) {
            code = check_value(x, kind, &args[count]);
        }
        count++;
    }
    if (code == ERR_OK && final != NULL) {
        args[count] = *final;
        code = check_value(x, arg_kind(fn, count), &args[count]);
        count++;
    }
    *out_count = count;
    return code;
}

/* and, or: arguments are evaluated until one decides. */
static enum err_code eval_logic(struct executor *x, const struct template_command *c,
                                struct template_value dot, const struct template_value *final,
                                struct template_value *out) {
    const struct template_operand *f = &c->operands[0];
    const bool is_and = str_eq(f->name, STR("and"));
    const size_t count = c->count - 1 + (final != NULL);
    look_at(x, f->pos, f->name);
    enum err_code code = check_count(x, f->function, count);
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        if (i + 1 < c->count) {
            code = eval_operand(x, c, &c->operands[i + 1], dot, NULL, false, out);
        } else {
            *out = *final;
        }
        if (code == ERR_OK && template_truth(out) != is_and) {
            break;
        }
    }
    return code;
}

static enum err_code eval_command(struct executor *x, const struct template_command *c,
                                  struct template_value dot, const struct template_value *final,
                                  struct template_value *out) {
    const struct template_operand *first = &c->operands[0];
    if (first->type == OPERAND_NIL) {
        look_at(x, first->pos, first->source);
        const enum err_code code = not_a_function(x, c, final);
        return code == ERR_OK ? fail(x, "nil is not a command") : code;
    }
    if (first->type == OPERAND_FUNCTION && first->field_count == 0 &&
        (str_eq(first->name, STR("and")) || str_eq(first->name, STR("or")))) {
        return eval_logic(x, c, dot, final, out);
    }
    return eval_operand(x, c, first, dot, final, true, out);
}

static enum err_code eval_pipe(struct executor *x, const struct template_pipe *pipe,
                               struct template_value dot, struct template_value *out) {
    struct template_value value = {.type = TEMPLATE_NIL};
    look_at(x, pipe->pos, pipe->source);
    for (size_t i = 0; i < pipe->command_count; i++) {
        struct template_value result = {.type = TEMPLATE_NIL};
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
        return fail(x, "exceeded maximum template depth (%d)", 2 * TEMPLATE_DEPTH_MAX);
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
        code = step(x);
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
    } else if (over.type == TEMPLATE_INT && node->pipe->variable_count > 1) {
        code = fail(x, "can't use %lld to iterate over more than one variable", (long long)over.i);
    } else if (over.type == TEMPLATE_INT) {
        for (; (int64_t)*out_count < over.i && !stop && code == ERR_OK; (*out_count)++) {
            code = walk_element(x, node, template_int((int64_t)*out_count),
                                template_int((int64_t)*out_count), &stop, flow);
        }
    } else if (over.type != TEMPLATE_NIL) {
        struct buf shown;
        buf_init(&shown, ERR_TEXT_MAX);
        template_print_action(&shown, &over);
        code = fail(x, "range can't iterate over %.*s", STR_ARG(buf_str(&shown)));
        buf_release(&shown);
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
        return fail(x, "template \"%.*s\" not defined", STR_ARG(node->text));
    }
    struct template_value argument = {.type = TEMPLATE_NIL};
    enum err_code code = node->pipe != NULL ? eval_pipe(x, node->pipe, dot, &argument) : ERR_OK;
    if (code == ERR_OK) {
        code = step(x);
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
        template_print_action(x->to, &value);
        return ERR_OK;
    }
    return declare(x, node->pipe, node->pipe->variables[0], value);
}

static enum err_code walk(struct executor *x, const struct template_node *node,
                          struct template_value dot, enum flow *flow) {
    look_at(x, node->pos, node->source);
    enum err_code code = step(x);
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
        look_at(x, node->pos, node->source);
        code = fail(x, "output is larger than %d bytes", TEMPLATE_OUTPUT_MAX);
    }
    return code;
}

enum err_code template_expand(const struct template *t, const struct template_data *data,
                              struct arena *arena, struct str *out, struct err *err) {
    struct buf text;
    buf_init(&text, TEMPLATE_OUTPUT_MAX);
    struct executor *x = arena_zalloc(arena, sizeof(*x));
    *x = (struct executor){.template = t,
                           .data = data,
                           .arena = arena,
                           .to = &text,
                           .running = t->name,
                           .start_bytes = arena->used_bytes,
                           .err = err};
    const struct template_value root = {.type = TEMPLATE_ROOT, .root = data};
    x->variables[x->variable_count++] = (struct variable){STR("$"), root};
    enum flow flow = FLOW_ON;
    const enum err_code code = walk_list(x, &t->body, root, &flow);
    if (code == ERR_OK) {
        *out = arena_str(arena, buf_str(&text));
    }
    buf_release(&text);
    return code;
}

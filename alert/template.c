/* Parser: tokens to a tree, with text/template's messages. */
#include "alert/template_tree.h"

#include <stdarg.h>
#include <stdio.h>

#include "alert/template_constant.h"
#include "alert/template_lex.h"
#include "base/utf8.h"

static const char predefined[] = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}"
                                 "{{$externalURL := .ExternalURL}}{{$value := .Value}}";

enum { VARIABLES_MAX = 256, OPERANDS_MAX = 64, FIELDS_MAX = 32 };

struct parser {
    struct arena *arena;
    struct template *template;
    struct template_lexer lexer;
    struct template_token token; /* one look-ahead */
    struct str variables[VARIABLES_MAX];
    size_t variable_count;
    unsigned depth, range_depth;
    struct err *err;
};

static enum err_code fail(struct parser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

static enum err_code fail(struct parser *p, const char *fmt, ...) {
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return err_set(p->err, ERR_INVALID, "error parsing template %.*s: template: %.*s:%zu: %s",
                   STR_ARG(p->template->name), STR_ARG(p->template->name),
                   template_line(p->template->text, p->token.pos), text);
}

static enum err_code next(struct parser *p) {
    struct err err;
    const enum err_code code = template_lex(&p->lexer, &p->token, &err);
    if (code != ERR_OK) {
        p->token.pos = p->lexer.at;
        return fail(p, "%s", err.text);
    }
    return ERR_OK;
}

static enum err_code skip_space(struct parser *p) {
    return p->token.type == TOKEN_SPACE ? next(p) : ERR_OK;
}

static enum err_code next_solid(struct parser *p) {
    const enum err_code code = next(p);
    return code == ERR_OK ? skip_space(p) : code;
}

static bool is_keyword(const struct parser *p, const char *word) {
    return p->token.type == TOKEN_KEYWORD && str_eq(p->token.text, str_of(word));
}

static enum err_code unexpected(struct parser *p, const char *context) {
    const struct template_token *t = &p->token;
    if (t->type == TOKEN_EOF) {
        return fail(p, "unexpected EOF");
    }
    if (t->type == TOKEN_DOT ||
        (t->type == TOKEN_KEYWORD && !is_keyword(p, "true") && !is_keyword(p, "false"))) {
        return fail(p, "unexpected <%.*s> in %s", STR_ARG(t->text), context);
    }
    struct buf quoted;
    buf_init(&quoted, 4096);
    utf8_quote(&quoted, t->text.len > 10 ? str_sub(t->text, 0, 10) : t->text);
    const enum err_code code = fail(p, "unexpected %.*s%s in %s", STR_ARG(buf_str(&quoted)),
                                    t->text.len > 10 ? "..." : "", context);
    buf_release(&quoted);
    return code;
}

static struct str source_from(const struct parser *p, size_t start) {
    return str_trim(str_sub(p->template->text, start, p->token.pos - start));
}

static void append(struct template_nodes *list, struct template_node *node) {
    *list->last = node;
    list->last = &node->next;
}

static void nodes_init(struct template_nodes *list) {
    list->first = NULL;
    list->last = &list->first;
}

/* ---- operands ---- */

static enum err_code number_constant(struct parser *p, struct template_value *out) {
    const struct str text = p->token.text;
    int64_t i = 0;
    double f = 0;
    bool floating = false;
    for (size_t k = 0; k < text.len; k++) {
        floating = floating || strchr(".eEpP", text.ptr[k]) != NULL;
    }
    const enum template_integer integer = template_integer_parse(text, &i);
    if (integer == TEMPLATE_INTEGER_OK) {
        *out = template_int(i);
    } else if (integer == TEMPLATE_INTEGER_UNSIGNED) {
        /* an error only when it is used, as in Go */
        *out = (struct template_value){.type = TEMPLATE_TOO_LARGE, .s = text};
    } else if (!template_float_parse(p->arena, text, &f)) {
        return fail(p, "illegal number syntax: \"%.*s\"", STR_ARG(text));
    } else if (!floating) {
        return fail(p, "integer overflow: \"%.*s\"", STR_ARG(text));
    } else {
        *out = template_float(f);
    }
    return next(p);
}

static enum err_code string_constant(struct parser *p, struct template_value *out) {
    const struct str inner = str_sub(p->token.text, 1, p->token.text.len - 2);
    struct str text = inner;
    if (p->token.type != TOKEN_RAW_STRING && !template_unescape(p->arena, inner, &text)) {
        return fail(p, "invalid syntax");
    }
    if (p->token.type == TOKEN_CHAR) {
        size_t bytes = 0;
        if (text.len == 0) {
            return fail(p, "invalid syntax");
        }
        if ((utf8_rune(text, &bytes), bytes != text.len)) {
            return fail(p, "malformed character constant: %.*s", STR_ARG(p->token.text));
        }
        *out = template_int((int64_t)utf8_rune(text, &bytes));
    } else {
        *out = template_string(text);
    }
    return next(p);
}

static bool known_variable(const struct parser *p, struct str name) {
    for (size_t i = 0; i < p->variable_count; i++) {
        if (str_eq(p->variables[i], name)) {
            return true;
        }
    }
    return str_eq(name, STR("$"));
}

static enum err_code parse_pipeline(struct parser *p, const char *context,
                                    enum template_token_type end, struct template_pipe **out);

/* .A.B behind an operand. Errors of fields point at the first one that was chained on. */
static enum err_code parse_fields(struct parser *p, struct template_operand *o) {
    struct str fields[FIELDS_MAX];
    size_t count = 0;
    enum err_code code = ERR_OK;
    const size_t term_len = p->token.pos - o->pos;
    while (p->token.type == TOKEN_FIELD && code == ERR_OK) {
        if (o->type == OPERAND_CONSTANT || o->type == OPERAND_NIL || o->type == OPERAND_DOT) {
            struct buf quoted;
            buf_init(&quoted, 4096);
            utf8_quote(&quoted, str_sub(p->template->text, o->pos, term_len));
            code = fail(p, "unexpected . after term %.*s", STR_ARG(buf_str(&quoted)));
            buf_release(&quoted);
            return code;
        }
        if (count == FIELDS_MAX) {
            return fail(p, "field chain is longer than %d", FIELDS_MAX);
        }
        if ((o->type == OPERAND_FIELDS && count == 1) ||
            (o->type == OPERAND_VARIABLE && count == 0)) {
            o->pos = p->token.pos;
        }
        fields[count++] = str_from(p->token.text, 1);
        code = next(p);
    }
    if (count > 0) {
        o->fields = arena_alloc(p->arena, count * sizeof(*fields));
        memcpy(o->fields, fields, count * sizeof(*fields));
        o->field_count = count;
    }
    return code;
}

static enum err_code parse_word(struct parser *p, struct template_operand *o) {
    if (is_keyword(p, "true") || is_keyword(p, "false")) {
        o->type = OPERAND_CONSTANT;
        o->constant = template_bool(is_keyword(p, "true"));
    } else if (is_keyword(p, "nil")) {
        o->type = OPERAND_NIL;
    } else {
        o->type = OPERAND_FUNCTION;
        o->name = p->token.text;
        o->function = template_function_find(o->name);
        if (o->function == NULL) {
            return fail(p, "function \"%.*s\" not defined", STR_ARG(o->name));
        }
    }
    return next(p);
}

static enum err_code parse_parens(struct parser *p, struct template_operand *o) {
    enum err_code code = next_solid(p);
    if (code == ERR_OK) {
        code = parse_pipeline(p, "parenthesized pipeline", TOKEN_CLOSE, &o->pipe);
    }
    o->type = OPERAND_PIPE;
    return code == ERR_OK ? next(p) : code;
}

/* *out_none: the token starts no operand */
static enum err_code parse_operand(struct parser *p, struct template_operand *o, bool *out_none) {
    const size_t start = p->token.pos;
    *o = (struct template_operand){.pos = start};
    *out_none = false;
    enum err_code code = ERR_OK;
    switch ((int)p->token.type) {
    case TOKEN_DOT:
        o->type = OPERAND_DOT;
        code = next(p);
        break;
    case TOKEN_FIELD:
        o->type = OPERAND_FIELDS;
        break;
    case TOKEN_VARIABLE:
        o->type = OPERAND_VARIABLE;
        o->name = p->token.text;
        if (!known_variable(p, o->name)) {
            return fail(p, "undefined variable \"%.*s\"", STR_ARG(o->name));
        }
        code = next(p);
        break;
    case TOKEN_NUMBER:
        o->type = OPERAND_CONSTANT;
        code = number_constant(p, &o->constant);
        break;
    case TOKEN_STRING:
    case TOKEN_RAW_STRING:
    case TOKEN_CHAR:
        o->type = OPERAND_CONSTANT;
        code = string_constant(p, &o->constant);
        break;
    case TOKEN_OPEN:
        code = parse_parens(p, o);
        break;
    case TOKEN_IDENTIFIER:
        code = parse_word(p, o);
        break;
    case TOKEN_KEYWORD:
        if (!is_keyword(p, "true") && !is_keyword(p, "false") && !is_keyword(p, "nil")) {
            *out_none = true;
            return ERR_OK;
        }
        code = parse_word(p, o);
        break;
    default:
        *out_none = true;
        return ERR_OK;
    }
    if (code == ERR_OK) {
        code = parse_fields(p, o);
    }
    o->source = code == ERR_OK ? source_from(p, start) : STR("");
    return code;
}

static bool starts_operand(const struct parser *p) {
    switch ((int)p->token.type) {
    case TOKEN_DOT:
    case TOKEN_FIELD:
    case TOKEN_VARIABLE:
    case TOKEN_IDENTIFIER:
    case TOKEN_NUMBER:
    case TOKEN_CHAR:
    case TOKEN_STRING:
    case TOKEN_RAW_STRING:
    case TOKEN_OPEN:
        return true;
    case TOKEN_KEYWORD:
        return is_keyword(p, "true") || is_keyword(p, "false") || is_keyword(p, "nil");
    default:
        return false;
    }
}

static enum err_code parse_command(struct parser *p, struct template_command *out) {
    struct template_operand list[OPERANDS_MAX];
    const size_t start = p->token.pos;
    size_t count = 0;
    for (;;) {
        enum err_code code = skip_space(p);
        if (code != ERR_OK) {
            return code;
        }
        if (count == OPERANDS_MAX) {
            return fail(p, "more than %d arguments", OPERANDS_MAX);
        }
        bool none = false;
        code = parse_operand(p, &list[count], &none);
        if (code != ERR_OK) {
            return code;
        }
        if (!none) {
            count++;
        }
        if (!none && p->token.type == TOKEN_SPACE) {
            continue;
        }
        if (p->token.type == TOKEN_PIPE || p->token.type == TOKEN_RIGHT ||
            p->token.type == TOKEN_CLOSE) {
            break;
        }
        return unexpected(p, "operand");
    }
    if (count == 0) {
        return fail(p, "empty command");
    }
    out->operands = arena_alloc(p->arena, count * sizeof(*list));
    memcpy(out->operands, list, count * sizeof(*list));
    out->count = count;
    out->pos = start;
    out->source = source_from(p, start);
    return ERR_OK;
}

/* "$x :=", "$x =", "$i, $x :=": looks ahead and restores when it is none of these */
static enum err_code parse_declaration(struct parser *p, const char *context,
                                       struct template_pipe *pipe) {
    const struct parser before = *p;
    struct str names[2];
    size_t count = 0;
    for (;;) {
        if (p->token.type != TOKEN_VARIABLE) {
            break;
        }
        names[count++] = p->token.text;
        enum err_code code = next_solid(p);
        if (code != ERR_OK) {
            return code;
        }
        if (p->token.type == TOKEN_DECLARE || p->token.type == TOKEN_ASSIGN) {
            pipe->assign = p->token.type == TOKEN_ASSIGN;
            pipe->variable_count = count;
            memcpy(pipe->variables, names, sizeof(names));
            code = next_solid(p);
            for (size_t i = 0; i < count && code == ERR_OK; i++) {
                /* as in Go, = counts as a declaration here; the executor knows better */
                if (p->variable_count == VARIABLES_MAX) {
                    return fail(p, "more than %d variables", VARIABLES_MAX);
                }
                p->variables[p->variable_count++] = names[i];
            }
            return code;
        }
        if (p->token.type != TOKEN_COMMA || str_eq(str_of(context), STR("range")) == false ||
            count == 2) {
            if (p->token.type == TOKEN_COMMA) {
                return fail(p, "too many declarations in %s", context);
            }
            break;
        }
        code = next_solid(p);
        if (code != ERR_OK) {
            return code;
        }
    }
    struct err *err = p->err;
    *p = before;
    p->err = err;
    return ERR_OK;
}

static enum err_code check_pipeline(struct parser *p, const struct template_pipe *pipe,
                                    const char *context) {
    if (pipe->command_count == 0) {
        return fail(p, "missing value for %s", context);
    }
    for (size_t i = 1; i < pipe->command_count; i++) {
        const struct template_operand *first = &pipe->commands[i].operands[0];
        if (first->type == OPERAND_CONSTANT || first->type == OPERAND_DOT ||
            first->type == OPERAND_NIL) {
            return fail(p, "non executable command in pipeline stage %zu", i + 1);
        }
    }
    return ERR_OK;
}

static enum err_code parse_pipeline(struct parser *p, const char *context,
                                    enum template_token_type end, struct template_pipe **out) {
    if (++p->depth > TEMPLATE_DEPTH_MAX) {
        return fail(p, "nested deeper than %d", TEMPLATE_DEPTH_MAX);
    }
    struct template_pipe *pipe = arena_zalloc(p->arena, sizeof(*pipe));
    pipe->pos = p->token.pos;
    enum err_code code = skip_space(p);
    const size_t start = p->token.pos;
    size_t capacity = 0;
    if (code == ERR_OK) {
        code = parse_declaration(p, context, pipe);
    }
    while (code == ERR_OK && p->token.type != end) {
        if (!starts_operand(p)) {
            code = unexpected(p, context);
            break;
        }
        if (pipe->command_count == capacity) {
            capacity = capacity == 0 ? 2 : 2 * capacity;
            struct template_command *grown = arena_alloc(p->arena, capacity * sizeof(*grown));
            if (pipe->command_count > 0) {
                memcpy(grown, pipe->commands, pipe->command_count * sizeof(*grown));
            }
            pipe->commands = grown;
        }
        code = parse_command(p, &pipe->commands[pipe->command_count]);
        if (code == ERR_OK) {
            pipe->command_count++;
            if (p->token.type == TOKEN_PIPE) {
                code = next_solid(p);
            }
        }
    }
    if (code == ERR_OK) {
        pipe->source = source_from(p, start);
        code = check_pipeline(p, pipe, context);
    }
    p->depth--;
    *out = pipe;
    return code;
}

/* ---- nodes ---- */

enum list_end { END_EOF, END_END, END_ELSE };

static enum err_code parse_list(struct parser *p, struct template_nodes *out,
                                enum list_end *out_end);

static struct template_node *node_new(struct parser *p, enum template_node_type type, size_t pos) {
    struct template_node *node = arena_zalloc(p->arena, sizeof(*node));
    node->type = type;
    node->pos = pos;
    nodes_init(&node->body);
    nodes_init(&node->otherwise);
    return node;
}

static enum err_code expect_right(struct parser *p, const char *context) {
    const enum err_code code = skip_space(p);
    if (code != ERR_OK) {
        return code;
    }
    return p->token.type == TOKEN_RIGHT ? next(p) : unexpected(p, context);
}

static enum err_code parse_control(struct parser *p, enum template_node_type type, const char *word,
                                   size_t pos, struct template_nodes *to);

/* Behind {{else: "}}", or "if"/"with" that nest as in {{else}}{{if}} ... {{end}}{{end}}. */
static enum err_code parse_else(struct parser *p, struct template_node *node) {
    if (is_keyword(p, "if") && node->type == NODE_IF) {
        return parse_control(p, NODE_IF, "if", p->token.pos, &node->otherwise);
    }
    if (is_keyword(p, "with") && node->type == NODE_WITH) {
        return parse_control(p, NODE_WITH, "with", p->token.pos, &node->otherwise);
    }
    enum err_code code =
        expect_right(p, is_keyword(p, "if") || is_keyword(p, "with") ? "input" : "else");
    enum list_end end = END_EOF;
    if (code == ERR_OK) {
        code = parse_list(p, &node->otherwise, &end);
    }
    if (code == ERR_OK && end == END_EOF) {
        return fail(p, "unexpected EOF");
    }
    if (code == ERR_OK && end == END_ELSE) {
        return fail(p, "expected end; found {{else}}");
    }
    return code == ERR_OK ? expect_right(p, "end") : code;
}

static enum err_code parse_control(struct parser *p, enum template_node_type type, const char *word,
                                   size_t pos, struct template_nodes *to) {
    if (++p->depth > TEMPLATE_DEPTH_MAX) {
        return fail(p, "nested deeper than %d", TEMPLATE_DEPTH_MAX);
    }
    const size_t variables = p->variable_count;
    struct template_node *node = node_new(p, type, pos);
    enum err_code code = next_solid(p);
    if (code == ERR_OK) {
        code = parse_pipeline(p, word, TOKEN_RIGHT, &node->pipe);
    }
    if (code == ERR_OK) {
        code = next(p);
    }
    enum list_end end = END_EOF;
    p->range_depth += type == NODE_RANGE;
    if (code == ERR_OK) {
        code = parse_list(p, &node->body, &end);
    }
    p->range_depth -= type == NODE_RANGE;
    if (code == ERR_OK && end == END_EOF) {
        return fail(p, "unexpected EOF");
    }
    if (code == ERR_OK) {
        code = end == END_ELSE ? parse_else(p, node) : expect_right(p, "end");
    }
    p->variable_count = variables;
    p->depth--;
    append(to, node);
    return code;
}

static enum err_code parse_name(struct parser *p, const char *context, struct str *out,
                                size_t *out_pos) {
    const enum err_code code = next_solid(p);
    if (code != ERR_OK) {
        return code;
    }
    if (p->token.type != TOKEN_STRING && p->token.type != TOKEN_RAW_STRING) {
        return unexpected(p, context);
    }
    *out_pos = p->token.pos;
    struct template_value value;
    const enum err_code string = string_constant(p, &value);
    *out = value.s;
    return string;
}

static enum err_code parse_call(struct parser *p, const char *context, size_t pos,
                                struct template_nodes *to) {
    struct template_node *node = node_new(p, NODE_CALL, pos);
    enum err_code code = parse_name(p, context, &node->text, &node->pos);
    if (code == ERR_OK) {
        code = skip_space(p);
    }
    if (code == ERR_OK && p->token.type != TOKEN_RIGHT) {
        code = parse_pipeline(p, context, TOKEN_RIGHT, &node->pipe);
    }
    if (code == ERR_OK) {
        node->source = arena_printf(p->arena, "{{%.*s}}", STR_ARG(source_from(p, pos)));
        code = next(p);
    }
    append(to, node);
    return code;
}

static enum err_code parse_definition(struct parser *p, struct str name) {
    for (const struct template_definition *d = p->template->definitions; d != NULL; d = d->next) {
        if (str_eq(d->name, name)) {
            return fail(p, "template: multiple definition of template \"%.*s\"", STR_ARG(name));
        }
    }
    struct template_definition *definition = arena_zalloc(p->arena, sizeof(*definition));
    definition->name = name;
    nodes_init(&definition->body);
    /* a definition sees none of the variables around it */
    const size_t variables = p->variable_count;
    p->variable_count = 0;
    if (++p->depth > TEMPLATE_DEPTH_MAX) {
        return fail(p, "nested deeper than %d", TEMPLATE_DEPTH_MAX);
    }
    enum list_end end = END_EOF;
    enum err_code code = parse_list(p, &definition->body, &end);
    p->depth--;
    p->variable_count = variables;
    if (code == ERR_OK && end != END_END) {
        return fail(p, end == END_EOF ? "unexpected EOF" : "unexpected {{else}} in define clause");
    }
    definition->next = p->template->definitions;
    p->template->definitions = definition;
    return code == ERR_OK ? expect_right(p, "end") : code;
}

static enum err_code parse_define(struct parser *p) {
    struct str name;
    size_t pos = 0;
    enum err_code code = parse_name(p, "define clause", &name, &pos);
    if (code == ERR_OK) {
        code = expect_right(p, "define clause");
    }
    return code == ERR_OK ? parse_definition(p, name) : code;
}

static enum err_code parse_block(struct parser *p, size_t pos, struct template_nodes *to) {
    enum err_code code = parse_call(p, "block clause", pos, to);
    const struct template_node *call = NULL;
    for (const struct template_node *n = to->first; n != NULL; n = n->next) {
        call = n;
    }
    return code == ERR_OK ? parse_definition(p, call->text) : code;
}

static enum err_code parse_jump(struct parser *p, enum template_node_type type, size_t pos,
                                struct template_nodes *to) {
    if (p->range_depth == 0) {
        return fail(p, "{{%.*s}} outside {{range}}", STR_ARG(p->token.text));
    }
    append(to, node_new(p, type, pos));
    const enum err_code code = next(p);
    return code == ERR_OK ? expect_right(p, "break or continue") : code;
}

/* What stands behind {{. *out_end is set when the action ends the list. */
static enum err_code parse_action(struct parser *p, struct template_nodes *to, bool *out_ended,
                                  enum list_end *out_end) {
    enum err_code code = next_solid(p);
    if (code != ERR_OK) {
        return code;
    }
    const size_t pos = p->token.pos;
    if (is_keyword(p, "end") || is_keyword(p, "else")) {
        *out_ended = true;
        *out_end = is_keyword(p, "end") ? END_END : END_ELSE;
        if (p->depth == 0) {
            return fail(p, "unexpected {{%.*s}}", STR_ARG(p->token.text));
        }
        return next_solid(p);
    }
    if (is_keyword(p, "if")) {
        return parse_control(p, NODE_IF, "if", pos, to);
    }
    if (is_keyword(p, "range")) {
        return parse_control(p, NODE_RANGE, "range", pos, to);
    }
    if (is_keyword(p, "with")) {
        return parse_control(p, NODE_WITH, "with", pos, to);
    }
    if (is_keyword(p, "template")) {
        return parse_call(p, "template clause", pos, to);
    }
    if (is_keyword(p, "define")) {
        return p->depth == 0 ? parse_define(p) : unexpected(p, "command");
    }
    if (is_keyword(p, "block")) {
        return parse_block(p, pos, to);
    }
    if (is_keyword(p, "break")) {
        return parse_jump(p, NODE_BREAK, pos, to);
    }
    if (is_keyword(p, "continue")) {
        return parse_jump(p, NODE_CONTINUE, pos, to);
    }
    struct template_node *node = node_new(p, NODE_ACTION, pos);
    code = parse_pipeline(p, "command", TOKEN_RIGHT, &node->pipe);
    append(to, node);
    return code == ERR_OK ? next(p) : code;
}

static enum err_code parse_list(struct parser *p, struct template_nodes *out,
                                enum list_end *out_end) {
    *out_end = END_EOF;
    for (;;) {
        enum err_code code = ERR_OK;
        bool ended = false;
        if (p->token.type == TOKEN_EOF) {
            return ERR_OK;
        }
        if (p->token.type == TOKEN_TEXT) {
            if (p->token.text.len > 0) {
                struct template_node *node = node_new(p, NODE_TEXT, p->token.pos);
                node->text = p->token.text;
                append(out, node);
            }
            code = next(p);
        } else if (p->token.type == TOKEN_LEFT) {
            code = parse_action(p, out, &ended, out_end);
        } else {
            code = unexpected(p, "input");
        }
        if (code != ERR_OK || ended) {
            return code;
        }
    }
}

enum err_code template_parse(struct arena *arena, struct str name, struct str text,
                             struct template **out, struct err *err) {
    struct template *t = arena_zalloc(arena, sizeof(*t));
    t->name = arena_str(arena, name);
    t->text = arena_printf(arena, "%s%.*s", predefined, STR_ARG(text));
    nodes_init(&t->body);
    struct parser *p = arena_zalloc(arena, sizeof(*p));
    *p = (struct parser){.arena = arena, .template = t, .lexer = {.text = t->text}, .err = err};
    enum err_code code = next(p);
    enum list_end end = END_EOF;
    if (code == ERR_OK) {
        code = parse_list(p, &t->body, &end);
    }
    if (code == ERR_OK) {
        *out = t;
    }
    return code;
}

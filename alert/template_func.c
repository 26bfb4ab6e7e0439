/* text/template's own functions. */
#include "alert/template_value.h"
#include "base/url.h"

enum { TEXT_MAX = TEMPLATE_OUTPUT_MAX };

static enum err_code finish(const struct template_call *c, struct buf *text,
                            struct template_value *out, struct err *err) {
    if (!buf_ok(text)) {
        return err_set(err, ERR_LIMIT, "text is larger than %d bytes", TEXT_MAX);
    }
    *out = template_string(arena_str(c->arena, buf_str(text)));
    buf_release(text);
    return ERR_OK;
}

/* fmt.Sprint: a space between two operands when neither is a string */
static enum err_code run_print(const struct template_call *c, struct template_value *out,
                               struct err *err) {
    struct buf text;
    buf_init(&text, TEXT_MAX);
    for (size_t i = 0; i < c->count; i++) {
        if (i > 0 && c->args[i].type != TEMPLATE_STRING && c->args[i - 1].type != TEMPLATE_STRING) {
            buf_append_char(&text, ' ');
        }
        template_print(&text, &c->args[i]);
    }
    return finish(c, &text, out, err);
}

static enum err_code run_println(const struct template_call *c, struct template_value *out,
                                 struct err *err) {
    struct buf text;
    buf_init(&text, TEXT_MAX);
    for (size_t i = 0; i < c->count; i++) {
        buf_append_cstr(&text, i > 0 ? " " : "");
        template_print(&text, &c->args[i]);
    }
    buf_append_char(&text, '\n');
    return finish(c, &text, out, err);
}

/* Arguments printed as one string, then each byte through a table of replacements. */
struct replacement {
    char from;
    const char *to;
};

static enum err_code escape(const struct template_call *c, const struct replacement *table,
                            size_t n, struct template_value *out, struct err *err) {
    struct template_value whole;
    const enum err_code code = run_print(c, &whole, err);
    if (code != ERR_OK) {
        return code;
    }
    struct buf text;
    buf_init(&text, TEXT_MAX);
    for (size_t i = 0; i < whole.s.len; i++) {
        const char *to = NULL;
        for (size_t k = 0; k < n && to == NULL; k++) {
            to = table[k].from == whole.s.ptr[i] ? table[k].to : NULL;
        }
        if (to != NULL) {
            buf_append_cstr(&text, to);
        } else {
            buf_append_char(&text, whole.s.ptr[i]);
        }
    }
    return finish(c, &text, out, err);
}

static enum err_code run_html(const struct template_call *c, struct template_value *out,
                              struct err *err) {
    static const struct replacement table[] = {{'"', "&#34;"}, {'\'', "&#39;"},
                                               {'&', "&amp;"}, {'<', "&lt;"},
                                               {'>', "&gt;"},  {'\0', "\xEF\xBF\xBD"}};
    return escape(c, table, COUNT_OF(table), out, err);
}

static enum err_code run_js(const struct template_call *c, struct template_value *out,
                            struct err *err) {
    static const struct replacement table[] = {
        {'\\', "\\\\"},    {'\'', "\\'"},    {'"', "\\\""},    {'<', "\\u003C"},
        {'>', "\\u003E"},  {'&', "\\u0026"}, {'=', "\\u003D"}, {'\n', "\\u000A"},
        {'\r', "\\u000D"}, {'\t', "\\u0009"}};
    return escape(c, table, COUNT_OF(table), out, err);
}

static enum err_code run_urlquery(const struct template_call *c, struct template_value *out,
                                  struct err *err) {
    struct template_value whole;
    const enum err_code code = run_print(c, &whole, err);
    if (code != ERR_OK) {
        return code;
    }
    struct buf text;
    buf_init(&text, TEXT_MAX);
    url_query_escape(&text, whole.s);
    return finish(c, &text, out, err);
}

static enum err_code run_len(const struct template_call *c, struct template_value *out,
                             struct err *err) {
    const struct template_value *v = &c->args[0];
    switch ((int)v->type) {
    case TEMPLATE_STRING:
        *out = template_int((int64_t)v->s.len);
        return ERR_OK;
    case TEMPLATE_LABELS:
        *out = template_int((int64_t)labels_count(v->labels));
        return ERR_OK;
    case TEMPLATE_SAMPLES:
        *out = template_int((int64_t)v->samples.count);
        return ERR_OK;
    case TEMPLATE_ARGS:
        *out = template_int((int64_t)v->args.count);
        return ERR_OK;
    case TEMPLATE_NIL:
        return err_set(err, ERR_INVALID, "reflect: call of reflect.Value.Type on zero Value");
    default:
        return err_set(err, ERR_INVALID, "len of type %s", template_type_name(v));
    }
}

static enum err_code index_number(const struct template_value *v, size_t length, size_t *out,
                                  struct err *err) {
    if (v->type != TEMPLATE_INT) {
        return err_set(err, ERR_INVALID, "cannot index slice/array with type %s",
                       template_type_name(v));
    }
    if (v->i < 0 || (uint64_t)v->i >= length) {
        return err_set(err, ERR_INVALID, "index out of range: %lld", (long long)v->i);
    }
    *out = (size_t)v->i;
    return ERR_OK;
}

static enum err_code index_one(const struct template_value *v, const struct template_value *key,
                               struct template_value *out, struct err *err) {
    size_t at = 0;
    if (v->type == TEMPLATE_LABELS || v->type == TEMPLATE_ARGS) {
        if (key->type != TEMPLATE_STRING) {
            return err_set(err, ERR_INVALID, "value has type %s; should be string",
                           template_type_name(key));
        }
        return template_field(v, key->s, out, err);
    }
    if (v->type == TEMPLATE_SAMPLES) {
        const enum err_code code = index_number(key, v->samples.count, &at, err);
        if (code == ERR_OK) {
            *out =
                (struct template_value){.type = TEMPLATE_SAMPLE, .sample = &v->samples.items[at]};
        }
        return code;
    }
    if (v->type == TEMPLATE_STRING) {
        const enum err_code code = index_number(key, v->s.len, &at, err);
        if (code != ERR_OK) {
            /* Go's own panic text; other wrong indexes have a better one */
            return key->type == TEMPLATE_INT && key->i >= 0
                       ? err_set(err, code, "reflect: string index out of range")
                       : code;
        }
        *out = template_int((unsigned char)v->s.ptr[at]);
        return ERR_OK;
    }
    if (v->type == TEMPLATE_NIL) {
        return err_set(err, ERR_INVALID, "index of untyped nil");
    }
    return err_set(err, ERR_INVALID, "can't index item of type %s",
                   v->type == TEMPLATE_SAMPLE ? "template.sample" : template_type_name(v));
}

static enum err_code run_index(const struct template_call *c, struct template_value *out,
                               struct err *err) {
    struct template_value value = c->args[0];
    for (size_t i = 1; i < c->count; i++) {
        struct template_value next;
        const enum err_code code = index_one(&value, &c->args[i], &next, err);
        if (code != ERR_OK) {
            return code;
        }
        value = next;
    }
    *out = value;
    return ERR_OK;
}

static enum err_code run_slice(const struct template_call *c, struct template_value *out,
                               struct err *err) {
    const struct template_value *v = &c->args[0];
    if (v->type == TEMPLATE_NIL) {
        return err_set(err, ERR_INVALID, "slice of untyped nil");
    }
    if (c->count > 4) {
        return err_set(err, ERR_INVALID, "too many slice indexes: %zu", c->count - 1);
    }
    if (v->type != TEMPLATE_STRING && v->type != TEMPLATE_SAMPLES) {
        return err_set(err, ERR_INVALID, "can't slice item of type %s", template_type_name(v));
    }
    if (v->type == TEMPLATE_STRING && c->count == 4) {
        return err_set(err, ERR_INVALID, "cannot 3-index slice a string");
    }
    const size_t length = v->type == TEMPLATE_STRING ? v->s.len : v->samples.count;
    size_t bounds[3] = {0, length, length};
    for (size_t i = 1; i < c->count; i++) {
        const enum err_code code = index_number(&c->args[i], length + 1, &bounds[i - 1], err);
        if (code != ERR_OK) {
            return code;
        }
    }
    for (size_t i = 0; i < 2; i++) {
        if (bounds[i] > bounds[i + 1]) {
            return err_set(err, ERR_INVALID, "invalid slice index: %zu > %zu", bounds[i],
                           bounds[i + 1]);
        }
    }
    *out = *v;
    if (v->type == TEMPLATE_STRING) {
        out->s = str_sub(v->s, bounds[0], bounds[1] - bounds[0]);
    } else {
        out->samples.items = bounds[0] < length ? v->samples.items + bounds[0] : NULL;
        out->samples.count = bounds[1] - bounds[0];
    }
    return ERR_OK;
}

static enum err_code run_not(const struct template_call *c, struct template_value *out,
                             struct err *err) {
    (void)err;
    *out = template_bool(!template_truth(&c->args[0]));
    return ERR_OK;
}

/* ---- comparison: only values of one kind compare ---- */

static bool is_basic(const struct template_value *v) {
    return v->type == TEMPLATE_BOOL || v->type == TEMPLATE_INT || v->type == TEMPLATE_FLOAT ||
           v->type == TEMPLATE_STRING;
}

static enum err_code incompatible(const struct template_value *a, const struct template_value *b,
                                  struct err *err) {
    return err_set(err, ERR_INVALID, "incompatible types for comparison: %s and %s",
                   template_type_name(a), template_type_name(b));
}

static bool basic_equal(const struct template_value *a, const struct template_value *b) {
    switch ((int)a->type) {
    case TEMPLATE_BOOL:
        return a->b == b->b;
    case TEMPLATE_INT:
        return a->i == b->i;
    case TEMPLATE_FLOAT:
        return a->f == b->f; /* NaN differs from everything */
    default:
        return str_eq(a->s, b->s);
    }
}

static enum err_code equal(const struct template_value *a, const struct template_value *b,
                           bool *out, struct err *err) {
    *out = false;
    if (a->type == TEMPLATE_NIL || b->type == TEMPLATE_NIL) {
        *out = a->type == b->type;
        return ERR_OK;
    }
    if (is_basic(a) || is_basic(b)) {
        if (a->type != b->type) {
            return incompatible(a, b, err);
        }
        *out = basic_equal(a, b);
        return ERR_OK;
    }
    if (a->type == b->type &&
        (a->type == TEMPLATE_TIME || a->type == TEMPLATE_DURATION || a->type == TEMPLATE_SAMPLE)) {
        /* pointers in Go: equal only when they are the same one, which we do not know of times */
        *out = a->type == TEMPLATE_SAMPLE && a->sample == b->sample;
        return ERR_OK;
    }
    struct buf shown;
    buf_init(&shown, ERR_TEXT_MAX);
    template_print(&shown, b);
    (void)err_set(err, ERR_INVALID, "non-comparable type %.*s: %s", STR_ARG(buf_str(&shown)),
                  template_type_name(b));
    buf_release(&shown);
    return ERR_INVALID;
}

static enum err_code run_eq(const struct template_call *c, struct template_value *out,
                            struct err *err) {
    if (c->count == 1) {
        return err_set(err, ERR_INVALID, "missing argument for comparison");
    }
    bool same = false;
    for (size_t i = 1; i < c->count && !same; i++) {
        const enum err_code code = equal(&c->args[0], &c->args[i], &same, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    *out = template_bool(same);
    return ERR_OK;
}

static enum err_code run_ne(const struct template_call *c, struct template_value *out,
                            struct err *err) {
    const enum err_code code = run_eq(c, out, err);
    if (code == ERR_OK) {
        out->b = !out->b;
    }
    return code;
}

static enum err_code ordered(const struct template_call *c, int *out, struct err *err) {
    const struct template_value *a = &c->args[0];
    const struct template_value *b = &c->args[1];
    if (!is_basic(a) || !is_basic(b)) {
        return err_set(err, ERR_INVALID, "invalid type for comparison");
    }
    if (a->type != b->type) {
        return incompatible(a, b, err);
    }
    switch ((int)a->type) {
    case TEMPLATE_INT:
        *out = (a->i > b->i) - (a->i < b->i);
        return ERR_OK;
    case TEMPLATE_FLOAT:
        *out = a->f == b->f ? 0 : a->f < b->f ? -1 : 1;
        return ERR_OK;
    case TEMPLATE_STRING:
        *out = str_cmp(a->s, b->s);
        return ERR_OK;
    default:
        return err_set(err, ERR_INVALID, "invalid type for comparison");
    }
}

static bool either_nan(const struct template_call *c) {
    return c->args[0].type == TEMPLATE_FLOAT &&
           (c->args[0].f != c->args[0].f || c->args[1].f != c->args[1].f);
}

static enum err_code run_lt(const struct template_call *c, struct template_value *out,
                            struct err *err) {
    int order = 0;
    const enum err_code code = ordered(c, &order, err);
    *out = template_bool(order < 0);
    return code;
}

static enum err_code run_le(const struct template_call *c, struct template_value *out,
                            struct err *err) {
    int order = 0;
    const enum err_code code = ordered(c, &order, err);
    *out = template_bool(order <= 0);
    return code;
}

static enum err_code run_gt(const struct template_call *c, struct template_value *out,
                            struct err *err) {
    int order = 0;
    const enum err_code code = ordered(c, &order, err);
    *out = template_bool(code == ERR_OK && order > 0 && !either_nan(c));
    return code;
}

static enum err_code run_ge(const struct template_call *c, struct template_value *out,
                            struct err *err) {
    int order = 0;
    const enum err_code code = ordered(c, &order, err);
    *out = template_bool(code == ERR_OK && order >= 0 && !either_nan(c));
    return code;
}

static enum err_code run_call(const struct template_call *c, struct template_value *out,
                              struct err *err) {
    (void)out;
    if (c->args[0].type == TEMPLATE_NIL) {
        return err_set(err, ERR_INVALID, "call of nil");
    }
    struct buf shown;
    buf_init(&shown, ERR_TEXT_MAX);
    template_print(&shown, &c->args[0]);
    (void)err_set(err, ERR_INVALID, "non-function %.*s of type %s", STR_ARG(buf_str(&shown)),
                  template_type_name(&c->args[0]));
    buf_release(&shown);
    return ERR_INVALID;
}

/* and, or are evaluated by the executor, which stops at the argument that decides */
static const struct template_function functions[] = {
    {"and", "vv*", run_not},
    {"call", "vv*", run_call},
    {"eq", "vv*", run_eq},
    {"ge", "vv", run_ge},
    {"gt", "vv", run_gt},
    {"html", "v*", run_html},
    {"index", "vv*", run_index},
    {"js", "v*", run_js},
    {"le", "vv", run_le},
    {"len", "v", run_len},
    {"lt", "vv", run_lt},
    {"ne", "vv", run_ne},
    {"not", "v", run_not},
    {"or", "vv*", run_not},
    {"print", "v*", run_print},
    {"printf", "sv*", template_printf},
    {"println", "v*", run_println},
    {"slice", "vv*", run_slice},
    {"urlquery", "v*", run_urlquery},
};

const struct template_function *template_function_find(struct str name) {
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        if (str_eq(name, str_of(functions[i].name))) {
            return &functions[i];
        }
    }
    return template_function_prometheus(name);
}

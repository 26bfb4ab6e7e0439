/* The gate: reads RE2's syntax (Go's regexp with Perl flags) and refuses everything else with the
 * text Go gives. What it admits is the language of regular expressions proper: no look-around,
 * back-references, recursion or possessive operators ever reach the engine.
 *
 * Groups live on an explicit stack, so that nesting is bounded by REGEX_DEPTH_MAX and not by the
 * thread's stack. */
#include "base/regex_ast.h"

struct flags {
    bool fold, multi_line, dot_all, lazy;
};

/* An open group: the branch being read and the branches before it. */
struct frame {
    struct frame *outer;
    struct regex_node *alternate; /* NULL until the first '|' */
    struct regex_node *concat;
    struct regex_node *capture; /* NULL for (?: */
    struct flags outer_flags;
    int depth;
};

struct gate {
    struct regex_reader r;
    struct flags flags;
    struct frame *frame;
    struct str repeat; /* the rest at the operator just read; empty when it was none */
    int group_count;
    struct str *group_names;
};

/* nodes */

static uint64_t repeat_size(const struct regex_node *node, uint64_t inner) {
    if (node->max < 0) {
        return node->min == 0 ? 2 + inner : 1 + (uint64_t)node->min * inner;
    }
    return (uint64_t)node->max * inner + (uint64_t)(node->max - node->min);
}

/* Where the unrolled size and the product of nested counts follow from the children. */
static void measure(struct regex_node *node) {
    uint64_t size = node->op == REGEX_CAPTURE ? 2 : 0;
    uint32_t product = 1;
    for (const struct regex_node *sub = node->first; sub != NULL; sub = sub->next) {
        size += sub->size + (node->op == REGEX_ALTERNATE && sub != node->first ? 1 : 0);
        product = sub->repeat_product > product ? sub->repeat_product : product;
    }
    if (node->op == REGEX_REPEAT) {
        const int count = node->max < 0 ? node->min : node->max;
        size = repeat_size(node, size);
        product = node->max == 0 ? 1 : product * (uint32_t)(count > 0 ? count : 1);
    }
    const uint32_t cap = REGEX_REPEAT_MAX + 1;
    node->repeat_product = product > cap ? cap : product;
    node->size = size < 1 ? 1 : size > UINT32_MAX ? UINT32_MAX : size;
}

static struct regex_node *new_node(struct gate *g, enum regex_op op) {
    struct regex_node *node = arena_zalloc(g->r.arena, sizeof(*node));
    node->op = op;
    node->name = STR("");
    node->size = 1;
    node->repeat_product = 1;
    return node;
}

static void add_child(struct regex_node *parent, struct regex_node *child) {
    if (parent->last == NULL) {
        parent->first = child;
    } else {
        parent->last->next = child;
    }
    parent->last = child;
}

static void push(struct gate *g, struct regex_node *node) {
    add_child(g->frame->concat, node);
}

static void push_op(struct gate *g, enum regex_op op) {
    push(g, new_node(g, op));
}

static void push_rune(struct gate *g, uint32_t rune) {
    struct regex_node *node = new_node(g, REGEX_RUNE);
    node->rune = rune;
    node->fold = g->flags.fold;
    push(g, node);
}

static void push_class(struct gate *g, struct regex_class *class) {
    struct regex_node *node = new_node(g, REGEX_CLASS);
    node->class = class;
    node->fold = g->flags.fold;
    push(g, node);
}

/* A concatenation as its only part, if it has one. */
static struct regex_node *simplest(struct regex_node *concat) {
    if (concat->first == NULL) {
        concat->op = REGEX_EMPTY;
        return concat;
    }
    if (concat->first == concat->last) {
        return concat->first;
    }
    measure(concat);
    return concat;
}

/* groups */

static enum err_code open_group(struct gate *g, struct regex_node *capture, struct flags flags) {
    const int depth = g->frame != NULL ? g->frame->depth + 1 : 0;
    if (depth > REGEX_DEPTH_MAX) {
        return regex_syntax_error(&g->r, "expression nests too deeply", g->r.pattern);
    }
    struct frame *frame = arena_zalloc(g->r.arena, sizeof(*frame));
    *frame = (struct frame){
        .outer = g->frame,
        .concat = new_node(g, REGEX_CONCAT),
        .capture = capture,
        .outer_flags = g->flags,
        .depth = depth,
    };
    g->frame = frame;
    g->flags = flags;
    return ERR_OK;
}

static void end_branch(struct gate *g) {
    struct frame *frame = g->frame;
    if (frame->alternate == NULL) {
        frame->alternate = new_node(g, REGEX_ALTERNATE);
    }
    add_child(frame->alternate, simplest(frame->concat));
    frame->concat = new_node(g, REGEX_CONCAT);
}

/* The node of the innermost group, which is closed. */
static struct regex_node *close_group(struct gate *g) {
    struct frame *frame = g->frame;
    struct regex_node *node = NULL;
    if (frame->alternate != NULL) {
        end_branch(g);
        node = frame->alternate;
        measure(node);
    } else {
        node = simplest(frame->concat);
    }
    if (frame->capture != NULL) {
        add_child(frame->capture, node);
        measure(frame->capture);
        node = frame->capture;
    }
    g->flags = frame->outer_flags;
    g->frame = frame->outer;
    return node;
}

static enum err_code open_capture(struct gate *g, struct str name) {
    if (g->group_count == REGEX_GROUPS_MAX) {
        return err_set(g->r.err, ERR_LIMIT, "regexp has more than %d groups: `%.*s`",
                       REGEX_GROUPS_MAX, STR_ARG(g->r.pattern));
    }
    struct regex_node *capture = new_node(g, REGEX_CAPTURE);
    capture->group = ++g->group_count;
    capture->name = name;
    g->group_names[capture->group] = name;
    return open_group(g, capture, g->flags);
}

static bool capture_name_valid(struct str name) {
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        const bool word =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!word) {
            return false;
        }
    }
    return name.len > 0;
}

/* (?P<name> or (?<name>; prefix_bytes is the length up to the name. */
static enum err_code take_named_group(struct gate *g, size_t prefix_bytes) {
    const struct str start = g->r.rest;
    const ptrdiff_t end = str_find_char(start, '>');
    if (end < 0) {
        return regex_syntax_error(&g->r, "invalid named capture", start);
    }
    const struct str name = str_sub(start, prefix_bytes, (size_t)end - prefix_bytes);
    if (!capture_name_valid(name)) {
        return regex_syntax_error(&g->r, "invalid named capture",
                                  str_sub(start, 0, (size_t)end + 1));
    }
    g->r.rest = str_from(start, (size_t)end + 1);
    return open_capture(g, name);
}

static bool *flag_of(struct flags *flags, uint32_t c) {
    switch (c) {
    case 'i':
        return &flags->fold;
    case 'm':
        return &flags->multi_line;
    case 's':
        return &flags->dot_all;
    case 'U':
        return &flags->lazy;
    default:
        return NULL;
    }
}

/* (?flags) or (?flags:...) */
static enum err_code take_flags(struct gate *g) {
    const struct str start = g->r.rest;
    struct flags flags = g->flags;
    bool on = true;
    bool any_after_minus = false;
    g->r.rest = str_from(start, 2);
    while (g->r.rest.len > 0) {
        uint32_t c = 0;
        const enum err_code code = regex_take_rune(&g->r, &c);
        if (code != ERR_OK) {
            return code;
        }
        bool *flag = flag_of(&flags, c);
        if (flag != NULL) {
            *flag = on;
            any_after_minus = !on;
        } else if (c == '-' && on) {
            on = false;
        } else if ((c == ':' || c == ')') && (on || any_after_minus)) {
            if (c == ':') {
                return open_group(g, NULL, flags);
            }
            g->flags = flags;
            return ERR_OK;
        } else {
            break;
        }
    }
    return regex_syntax_error(&g->r, "invalid or unsupported Perl syntax",
                              str_sub(start, 0, start.len - g->r.rest.len));
}

static enum err_code take_group(struct gate *g) {
    const struct str rest = g->r.rest;
    if (rest.len >= 2 && rest.ptr[1] == '?') {
        if (rest.len > 4 && str_starts(rest, STR("(?P<"))) {
            return take_named_group(g, 4);
        }
        if (rest.len > 3 && str_starts(rest, STR("(?<"))) {
            return take_named_group(g, 3);
        }
        return take_flags(g);
    }
    g->r.rest = str_from(rest, 1);
    return open_capture(g, STR(""));
}

/* repetition */

static struct str taken(const struct gate *g, struct str start) {
    return str_sub(start, 0, start.len - g->r.rest.len);
}

/* g->r.rest stands behind the operator that began at start. */
static enum err_code apply_repeat(struct gate *g, struct str start, struct str previous, int min,
                                  int max) {
    bool lazy = g->flags.lazy;
    if (g->r.rest.len > 0 && g->r.rest.ptr[0] == '?') {
        g->r.rest = str_from(g->r.rest, 1);
        lazy = !lazy;
    }
    if (previous.len > 0) {
        return regex_syntax_error(&g->r, "invalid nested repetition operator", taken(g, previous));
    }
    struct regex_node *concat = g->frame->concat;
    struct regex_node *sub = concat->last;
    if (sub == NULL) {
        return regex_syntax_error(&g->r, "missing argument to repetition operator",
                                  taken(g, start));
    }
    /* The operand moves into a node of its own; its place in the list becomes the repeat. */
    struct regex_node *operand = arena_alloc(g->r.arena, sizeof(*operand));
    *operand = *sub;
    operand->next = NULL;
    *sub = (struct regex_node){
        .op = REGEX_REPEAT,
        .lazy = lazy,
        .min = min,
        .max = max,
        .name = STR(""),
        .first = operand,
        .last = operand,
    };
    measure(sub);
    if ((min >= 2 || max >= 2) && sub->repeat_product > REGEX_REPEAT_MAX) {
        return regex_syntax_error(&g->r, "invalid repeat count", taken(g, start));
    }
    g->repeat = start;
    return ERR_OK;
}

static enum err_code take_operator(struct gate *g, struct str previous) {
    const struct str start = g->r.rest;
    const char c = start.ptr[0];
    g->r.rest = str_from(start, 1);
    return apply_repeat(g, start, previous, c == '+' ? 1 : 0, c == '?' ? 1 : -1);
}

/* Digits without a leading zero; -1 when there are none, REGEX_REPEAT_MAX + 1 for any larger. */
static int take_count(struct str *rest) {
    size_t n = 0;
    int value = 0;
    while (n < rest->len && rest->ptr[n] >= '0' && rest->ptr[n] <= '9') {
        value = value > REGEX_REPEAT_MAX ? value : value * 10 + (rest->ptr[n] - '0');
        n++;
    }
    if (n == 0 || (n > 1 && rest->ptr[0] == '0')) {
        return -1;
    }
    *rest = str_from(*rest, n);
    return value > REGEX_REPEAT_MAX ? REGEX_REPEAT_MAX + 1 : value;
}

/* {n} {n,} {n,m} at text; the rest behind it, or false: then it is literal text. */
static bool scan_counts(struct str text, int *out_min, int *out_max, struct str *out_rest) {
    struct str rest = str_from(text, 1);
    *out_min = take_count(&rest);
    *out_max = *out_min;
    if (*out_min < 0 || rest.len == 0) {
        return false;
    }
    if (rest.ptr[0] == ',') {
        rest = str_from(rest, 1);
        if (rest.len > 0 && rest.ptr[0] == '}') {
            *out_max = -1;
        } else {
            *out_max = take_count(&rest);
            if (*out_max < 0) {
                return false;
            }
        }
    }
    if (rest.len == 0 || rest.ptr[0] != '}') {
        return false;
    }
    *out_rest = str_from(rest, 1);
    return true;
}

static enum err_code take_counts(struct gate *g, struct str previous) {
    const struct str start = g->r.rest;
    int min = 0;
    int max = 0;
    if (!scan_counts(start, &min, &max, &g->r.rest)) {
        g->r.rest = str_from(start, 1);
        push_rune(g, '{');
        return ERR_OK;
    }
    if (min > REGEX_REPEAT_MAX || max > REGEX_REPEAT_MAX || (max >= 0 && min > max)) {
        return regex_syntax_error(&g->r, "invalid repeat count", taken(g, start));
    }
    return apply_repeat(g, start, previous, min, max);
}

/* the rest of the syntax */

static enum err_code take_quoted(struct gate *g) {
    g->r.rest = str_from(g->r.rest, 2);
    const ptrdiff_t end = str_find(g->r.rest, STR("\\E"));
    const size_t left = end < 0 ? 0 : g->r.rest.len - (size_t)end;
    while (g->r.rest.len > left) {
        uint32_t rune = 0;
        const enum err_code code = regex_take_rune(&g->r, &rune);
        if (code != ERR_OK) {
            return code;
        }
        push_rune(g, rune);
    }
    g->r.rest = str_from(g->r.rest, end < 0 ? 0 : 2);
    return ERR_OK;
}

static enum err_code take_backslash(struct gate *g) {
    static const struct {
        char letter;
        enum regex_op op;
    } anchors[] = {{'A', REGEX_BEGIN_TEXT},
                   {'b', REGEX_WORD_EDGE},
                   {'B', REGEX_NO_WORD_EDGE},
                   {'z', REGEX_END_TEXT}};
    const char c = g->r.rest.len >= 2 ? g->r.rest.ptr[1] : '\0';
    for (size_t i = 0; i < COUNT_OF(anchors); i++) {
        if (c == anchors[i].letter) {
            g->r.rest = str_from(g->r.rest, 2);
            push_op(g, anchors[i].op);
            return ERR_OK;
        }
    }
    if (c == 'Q') {
        return take_quoted(g);
    }
    struct regex_class *class = NULL;
    enum err_code code = regex_take_class_escape(&g->r, &class);
    if (code == ERR_OK && class != NULL) {
        push_class(g, class);
        return ERR_OK;
    }
    uint32_t rune = 0;
    code = code == ERR_OK ? regex_take_escape(&g->r, &rune) : code;
    if (code == ERR_OK) {
        push_rune(g, rune);
    }
    return code;
}

static enum err_code take_class(struct gate *g) {
    struct regex_class *class = NULL;
    const enum err_code code = regex_take_class(&g->r, &class);
    if (code == ERR_OK) {
        push_class(g, class);
    }
    return code;
}

static enum err_code take_close(struct gate *g) {
    if (g->frame->outer == NULL) {
        return regex_syntax_error(&g->r, "unexpected )", g->r.pattern);
    }
    g->r.rest = str_from(g->r.rest, 1);
    push(g, close_group(g));
    return ERR_OK;
}

static enum err_code take_other(struct gate *g) {
    uint32_t rune = 0;
    const enum err_code code = regex_take_rune(&g->r, &rune);
    if (code == ERR_OK) {
        push_rune(g, rune);
    }
    return code;
}

static void take_symbol(struct gate *g, enum regex_op op) {
    g->r.rest = str_from(g->r.rest, 1);
    push_op(g, op);
}

static enum err_code take_item(struct gate *g) {
    const struct str previous = g->repeat;
    g->repeat = STR("");
    g->r.fold = g->flags.fold;
    switch (g->r.rest.ptr[0]) {
    case '(':
        return take_group(g);
    case ')':
        return take_close(g);
    case '|':
        g->r.rest = str_from(g->r.rest, 1);
        end_branch(g);
        return ERR_OK;
    case '[':
        return take_class(g);
    case '\\':
        return take_backslash(g);
    case '*':
    case '+':
    case '?':
        return take_operator(g, previous);
    case '{':
        return take_counts(g, previous);
    case '.':
        take_symbol(g, g->flags.dot_all ? REGEX_ANY_RUNE : REGEX_ANY_NOT_NEWLINE);
        return ERR_OK;
    case '^':
        take_symbol(g, g->flags.multi_line ? REGEX_BEGIN_LINE : REGEX_BEGIN_TEXT);
        return ERR_OK;
    case '$':
        take_symbol(g, g->flags.multi_line ? REGEX_END_LINE : REGEX_END_TEXT);
        return ERR_OK;
    default:
        return take_other(g);
    }
}

enum err_code regex_parse(struct arena *arena, struct str pattern, bool dot_all,
                          struct regex_tree *out, struct err *err) {
    struct gate g = {
        .r = {.pattern = pattern, .rest = pattern, .arena = arena, .err = err},
        .flags = {.dot_all = dot_all},
        .group_names = arena_zalloc(arena, (REGEX_GROUPS_MAX + 1) * sizeof(struct str)),
    };
    enum err_code code = open_group(&g, NULL, g.flags);
    while (code == ERR_OK && g.r.rest.len > 0) {
        code = take_item(&g);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (g.frame->outer != NULL) {
        return regex_syntax_error(&g.r, "missing closing )", pattern);
    }
    struct regex_node *root = close_group(&g);
    if (root->size > REGEX_SIZE_MAX) {
        return regex_syntax_error(&g.r, "expression too large", pattern);
    }
    *out = (struct regex_tree){root, g.group_count, g.group_names};
    return ERR_OK;
}

/* The tree in the engine's syntax. Everything is written in one canonical, fully escaped form, so
 * that nothing depends on which characters the engine finds special or on its defaults:
 * the engine is told UTF, dot matches all, multi-line anchors and LF as the only newline. */
#include "base/regex_ast.h"

static bool is_plain(uint32_t rune) {
    return (rune >= '0' && rune <= '9') || (rune >= 'a' && rune <= 'z') ||
           (rune >= 'A' && rune <= 'Z') || rune == '_';
}

static void emit_rune(struct buf *to, uint32_t rune) {
    if (is_plain(rune)) {
        buf_append_char(to, (char)rune);
    } else {
        buf_printf(to, "\\x{%x}", rune);
    }
}

/* Surrogates are no characters of UTF-8 and the engine refuses them. */
enum { SURROGATE_FIRST = 0xD800, SURROGATE_LAST = 0xDFFF };

static bool is_surrogate(uint32_t rune) {
    return rune >= SURROGATE_FIRST && rune <= SURROGATE_LAST;
}

static void emit_range(struct buf *to, struct regex_range range) {
    if (is_surrogate(range.low)) {
        range.low = SURROGATE_LAST + 1;
    }
    if (is_surrogate(range.high)) {
        range.high = SURROGATE_FIRST - 1;
    }
    if (range.low > range.high) {
        return;
    }
    emit_rune(to, range.low);
    if (range.high > range.low) {
        buf_append_char(to, '-');
        emit_rune(to, range.high);
    }
}

/* Ignoring case, the cased categories are all one: whoever is in Lu has a partner in Ll. */
static struct str folded_name(struct str name, bool fold) {
    const bool cased =
        str_eq(name, STR("Lu")) || str_eq(name, STR("Ll")) || str_eq(name, STR("Lt"));
    return fold && cased ? STR("L&") : name;
}

static void emit_property(struct buf *to, struct regex_property property, bool fold) {
    struct str name = folded_name(property.engine_name, fold);
    bool negated = property.negated;
    if (str_starts(name, STR("^"))) {
        negated = !negated;
        name = str_from(name, 1);
    }
    buf_append_cstr(to, negated ? "\\P{" : "\\p{");
    buf_append_str(to, name);
    buf_append_char(to, '}');
}

static void emit_class(struct buf *to, const struct regex_node *node) {
    const struct regex_class *class = node->class;
    const size_t start = to->len;
    buf_append_cstr(to, node->fold ? "(?i:[" : "[");
    if (class->negated) {
        buf_append_char(to, '^');
    }
    const size_t empty = to->len;
    for (size_t i = 0; i < class->range_count; i++) {
        emit_range(to, class->ranges[i]);
    }
    for (size_t i = 0; i < class->property_count; i++) {
        emit_property(to, class->properties[i], node->fold);
    }
    if (buf_ok(to) && to->len == empty) { /* \P{Any}, or nothing but surrogates */
        to->len = start;
        buf_append_cstr(to, class->negated ? "." : "(?!)");
        return;
    }
    buf_append_cstr(to, node->fold ? "])" : "]");
}

static void emit_literal(struct buf *to, const struct regex_node *node) {
    if (is_surrogate(node->rune)) {
        buf_append_cstr(to, "(?!)");
        return;
    }
    const bool cased = !(node->rune < 0x80 && !is_plain(node->rune)) &&
                       !(node->rune >= '0' && node->rune <= '9') && node->rune != '_';
    const bool fold = node->fold && cased;
    buf_append_cstr(to, fold ? "(?i:" : "");
    emit_rune(to, node->rune);
    buf_append_cstr(to, fold ? ")" : "");
}

static bool is_atom(const struct regex_node *node) {
    switch (node->op) {
    case REGEX_RUNE:
    case REGEX_CLASS:
    case REGEX_ANY_RUNE:
    case REGEX_ANY_NOT_NEWLINE:
    case REGEX_CAPTURE:
        return true;
    case REGEX_EMPTY:
    case REGEX_BEGIN_LINE:
    case REGEX_END_LINE:
    case REGEX_BEGIN_TEXT:
    case REGEX_END_TEXT:
    case REGEX_WORD_EDGE:
    case REGEX_NO_WORD_EDGE:
    case REGEX_REPEAT:
    case REGEX_CONCAT:
    case REGEX_ALTERNATE:
        return false;
    }
    return false;
}

static void emit_wrapped(struct buf *to, const struct regex_node *node, bool wrap) {
    buf_append_cstr(to, wrap ? "(?:" : "");
    regex_emit(to, node);
    buf_append_cstr(to, wrap ? ")" : "");
}

/* x+ is written as xx*: the engine counts the turns of a + and keeps one state for each count,
 * which makes (x+)+ as costly as the square of the subject; a * has one state. */
static void emit_repeat(struct buf *to, const struct regex_node *node) {
    const bool split =
        node->max < 0 && node->min == 1 && is_atom(node->first) && node->first->op != REGEX_CAPTURE;
    if (split) {
        regex_emit(to, node->first);
    }
    emit_wrapped(to, node->first, !is_atom(node->first));
    if (split) {
        buf_append_char(to, '*');
    } else if (node->max < 0 && node->min <= 1) {
        buf_append_char(to, node->min == 0 ? '*' : '+');
    } else if (node->min == 0 && node->max == 1) {
        buf_append_char(to, '?');
    } else if (node->max < 0) {
        buf_printf(to, "{%d,}", node->min);
    } else {
        buf_printf(to, "{%d,%d}", node->min, node->max);
    }
    if (node->lazy) {
        buf_append_char(to, '?');
    }
}

static void emit_children(struct buf *to, const struct regex_node *node, const char *separator) {
    for (const struct regex_node *sub = node->first; sub != NULL; sub = sub->next) {
        if (sub != node->first) {
            buf_append_cstr(to, separator);
        }
        emit_wrapped(to, sub, sub->op == REGEX_ALTERNATE);
    }
}

void regex_emit(struct buf *to, const struct regex_node *node) {
    switch (node->op) {
    case REGEX_EMPTY:
        buf_append_cstr(to, "(?:)");
        break;
    case REGEX_RUNE:
        emit_literal(to, node);
        break;
    case REGEX_CLASS:
        emit_class(to, node);
        break;
    case REGEX_ANY_RUNE:
        buf_append_char(to, '.');
        break;
    case REGEX_ANY_NOT_NEWLINE:
        buf_append_cstr(to, "[^\\x{a}]");
        break;
    case REGEX_BEGIN_LINE:
        buf_append_char(to, '^');
        break;
    case REGEX_END_LINE:
        buf_append_char(to, '$');
        break;
    case REGEX_BEGIN_TEXT:
        buf_append_cstr(to, "\\A");
        break;
    case REGEX_END_TEXT:
        buf_append_cstr(to, "\\z");
        break;
    case REGEX_WORD_EDGE:
        buf_append_cstr(to, "\\b");
        break;
    case REGEX_NO_WORD_EDGE:
        buf_append_cstr(to, "\\B");
        break;
    case REGEX_CAPTURE:
        buf_append_char(to, '(');
        regex_emit(to, node->first);
        buf_append_char(to, ')');
        break;
    case REGEX_REPEAT:
        emit_repeat(to, node);
        break;
    case REGEX_CONCAT:
        emit_children(to, node, "");
        break;
    case REGEX_ALTERNATE:
        emit_children(to, node, "|");
        break;
    }
}

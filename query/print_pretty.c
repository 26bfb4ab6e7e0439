/* Pretty-printed expressions: a node whose canonical text is at most LINE_MAX bytes stays on one
 * line, a longer one is split, its children two spaces further in (spec/promtool.md section 8). */
#include "query/function.h"
#include "query/parse.h"
#include "query/print.h"

enum { LINE_BYTES_MAX = 100 };

static void indent(struct buf *to, unsigned level) {
    for (unsigned i = 0; i < level; i++) {
        buf_append_cstr(to, "  ");
    }
}

static bool fits_line(const struct node *node) {
    struct buf line;
    buf_init(&line, LINE_BYTES_MAX);
    print_expr(&line, node);
    const bool fits = buf_ok(&line);
    buf_release(&line);
    return fits;
}

static void pretty(struct buf *to, const struct node *node, unsigned level, bool indented);

static void pretty_aggregate(struct buf *to, const struct aggregate *aggregate, unsigned level) {
    print_aggregate_head(to, aggregate);
    buf_append_cstr(to, "(\n");
    if (aggregate->param != NULL) {
        pretty(to, aggregate->param, level + 1, true);
        buf_append_cstr(to, ",\n");
    }
    pretty(to, aggregate->expr, level + 1, true);
    buf_append_char(to, '\n');
    indent(to, level);
    buf_append_char(to, ')');
}

static void pretty_call(struct buf *to, const struct call *call, unsigned level) {
    buf_append_cstr(to, call->function->name);
    buf_append_cstr(to, "(\n");
    for (size_t i = 0; i < call->arg_count; i++) {
        if (i > 0) {
            buf_append_cstr(to, ",\n");
        }
        pretty(to, call->args[i], level + 1, true);
    }
    buf_append_char(to, '\n');
    indent(to, level);
    buf_append_char(to, ')');
}

/* The left operand brings its own indentation, deeper than the operator's. */
static void pretty_binary(struct buf *to, const struct binary *binary, unsigned level,
                          bool indented) {
    pretty(to, binary->lhs, level + 1, indented);
    buf_append_char(to, '\n');
    indent(to, level);
    print_operator(to, binary);
    buf_append_char(to, '\n');
    pretty(to, binary->rhs, level + 1, true);
}

static void pretty_paren(struct buf *to, const struct node *inner, unsigned level) {
    buf_append_cstr(to, "(\n");
    pretty(to, inner, level + 1, true);
    buf_append_char(to, '\n');
    indent(to, level);
    buf_append_char(to, ')');
}

/* indented: the node starts a line and so writes its indentation. */
static void pretty(struct buf *to, const struct node *node, unsigned level, bool indented) {
    switch (node->type) {
    case NODE_UNARY: /* the sign sticks to what it stands before, which splits by itself */
        if (indented) {
            indent(to, level);
        }
        buf_append_char(to, node->unary.negative ? '-' : '+');
        pretty(to, node->unary.expr, level, false);
        return;
    case NODE_SUBQUERY: /* a short one is not indented: Prometheus prints it so */
        if (fits_line(node)) {
            print_expr(to, node);
            return;
        }
        pretty(to, node->subquery.expr, level, indented);
        print_subquery_suffix(to, &node->subquery);
        return;
    case NODE_BINARY:
        if (!fits_line(node)) {
            pretty_binary(to, &node->binary, level, indented);
            return;
        }
        break;
    case NODE_AGGREGATE:
    case NODE_CALL:
    case NODE_PAREN:
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_VECTOR_SELECTOR:
    case NODE_MATRIX_SELECTOR:
    case NODE_DURATION:
        break;
    }
    if (indented) {
        indent(to, level);
    }
    if (node->type == NODE_AGGREGATE && !fits_line(node)) {
        pretty_aggregate(to, &node->aggregate, level);
    } else if (node->type == NODE_CALL && !fits_line(node)) {
        pretty_call(to, &node->call, level);
    } else if (node->type == NODE_PAREN && !fits_line(node)) {
        pretty_paren(to, node->paren, level);
    } else {
        print_expr(to, node);
    }
}

void print_pretty(struct buf *to, const struct node *node) {
    pretty(to, node, 0, true);
}

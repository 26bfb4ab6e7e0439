/* Canonical one-line text of expressions (spec/promql.md section 23). */
#include <stdlib.h>

#include "base/check.h"
#include "base/duration.h"
#include "base/labels.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/utf8.h"
#include "query/function.h"
#include "query/parse.h"
#include "query/print.h"

enum { NS_PER_MS = 1000000 };

static void print_duration_ns(struct buf *to, int64_t ns) {
    duration_format_ms(to, ns / NS_PER_MS);
}

/* Seconds as a duration; what int64 nanoseconds cannot hold is cut, parts under a ms are lost. */
static void print_duration_s(struct buf *to, double seconds) {
    if (seconds < 0) {
        buf_append_char(to, '-');
        seconds = -seconds;
    }
    const double ns = seconds * 1e9;
    print_duration_ns(to, ns >= 9223372036854775808.0 ? INT64_MAX : (int64_t)ns);
}

static void print_number(struct buf *to, double value, bool is_duration) {
    if (is_duration) {
        print_duration_s(to, value);
    } else {
        buf_append_number_f(to, value);
    }
}

static void print_label_list(struct buf *to, const struct str *labels, size_t count) {
    buf_append_char(to, '(');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_append_cstr(to, ", ");
        }
        if (label_name_legacy(labels[i])) {
            buf_append_str(to, labels[i]);
        } else {
            utf8_quote(to, labels[i]);
        }
    }
    buf_append_char(to, ')');
}

/* ---- duration expressions ---- */

static const char *duration_op_sign(enum duration_op op) {
    switch (op) {
    case DUR_ADD:
        return "+";
    case DUR_SUB:
        return "-";
    case DUR_MUL:
        return "*";
    case DUR_DIV:
        return "/";
    case DUR_MOD:
        return "%";
    case DUR_POW:
        return "^";
    case DUR_LITERAL:
    case DUR_STEP:
    case DUR_RANGE:
    case DUR_MIN_OF:
    case DUR_MAX_OF:
    case DUR_NEGATE:
        break;
    }
    UNREACHABLE("not a binary duration operator");
}

static void print_duration_expr(struct buf *to, const struct duration_expr *expr) {
    if (expr->wrapped) {
        buf_append_char(to, '(');
    }
    switch (expr->op) {
    case DUR_LITERAL:
        print_number(to, expr->seconds, expr->literal_is_duration);
        break;
    case DUR_STEP:
        buf_append_cstr(to, "step()");
        break;
    case DUR_RANGE:
        buf_append_cstr(to, "range()");
        break;
    case DUR_NEGATE:
        buf_append_char(to, '-');
        print_duration_expr(to, &expr->lhs->duration);
        break;
    case DUR_MIN_OF:
    case DUR_MAX_OF:
        buf_append_cstr(to, expr->op == DUR_MIN_OF ? "min_of(" : "max_of(");
        print_duration_expr(to, &expr->lhs->duration);
        buf_append_cstr(to, ", ");
        print_duration_expr(to, &expr->rhs->duration);
        buf_append_char(to, ')');
        break;
    case DUR_ADD:
    case DUR_SUB:
    case DUR_MUL:
    case DUR_DIV:
    case DUR_MOD:
    case DUR_POW:
        print_duration_expr(to, &expr->lhs->duration);
        buf_printf(to, " %s ", duration_op_sign(expr->op));
        print_duration_expr(to, &expr->rhs->duration);
        break;
    }
    if (expr->wrapped) {
        buf_append_char(to, ')');
    }
}

static void print_duration(struct buf *to, int64_t ns, const struct node *expr) {
    if (expr != NULL) {
        print_duration_expr(to, &expr->duration);
    } else {
        print_duration_ns(to, ns);
    }
}

/* ---- selectors ---- */

static void print_at(struct buf *to, const struct time_modifiers *time) {
    switch (time->at) {
    case AT_NONE:
        break;
    case AT_TIME:
        buf_printf(to, " @ %.3f", (double)time->at_ms / 1000.0);
        break;
    case AT_START:
        buf_append_cstr(to, " @ start()");
        break;
    case AT_END:
        buf_append_cstr(to, " @ end()");
        break;
    }
}

/* Whether the text of an offset expression would be read again as an offset that ends early, for
 * what the source spelled with two signs ("offset --5*2"): such an offset goes on only behind a
 * parenthesis or a second sign. Prometheus prints these few without parentheses, with another
 * meaning. */
static bool offset_ends_early(const struct duration_expr *expr) {
    const struct duration_expr *first = expr;
    while (!first->wrapped && first->op >= DUR_ADD && first->op <= DUR_POW) {
        first = &first->lhs->duration;
    }
    if (first->wrapped) {
        return false;
    }
    if (first->op != DUR_NEGATE) {
        return first != expr;
    }
    const struct duration_expr *operand = &first->lhs->duration;
    if (operand->op == DUR_NEGATE && !operand->wrapped) {
        return false;
    }
    const bool one_operand = operand->wrapped || operand->op < DUR_ADD || operand->op > DUR_POW;
    return first != expr || !one_operand;
}

static void print_offset_expr(struct buf *to, const struct duration_expr *expr) {
    const bool parens = offset_ends_early(expr);
    buf_append_cstr(to, parens ? " offset (" : " offset ");
    print_duration_expr(to, expr);
    buf_append_cstr(to, parens ? ")" : "");
}

static void print_offset(struct buf *to, const struct time_modifiers *time) {
    if (time->offset_expr != NULL) {
        print_offset_expr(to, &time->offset_expr->duration);
    } else if (time->offset_ns != 0) {
        buf_append_cstr(to, time->offset_ns < 0 ? " offset -" : " offset ");
        print_duration_ns(to, time->offset_ns > 0            ? time->offset_ns
                              : time->offset_ns == INT64_MIN ? INT64_MAX
                                                             : -time->offset_ns);
    }
}

static void print_extended(struct buf *to, const struct vector_selector *selector) {
    if (selector->anchored) {
        buf_append_cstr(to, " anchored");
    } else if (selector->smoothed) {
        buf_append_cstr(to, " smoothed");
    }
}

/* The matcher that the bare name stands for. */
static bool is_name_matcher(const struct vector_selector *selector, const struct matcher *m) {
    return m->type == MATCH_EQUAL && m->value.len > 0 && str_eq(m->name, LABEL_NAME) &&
           str_eq(m->value, selector->name);
}

static int compare_texts(const void *a, const void *b) {
    return str_cmp(buf_str(a), buf_str(b));
}

/* Sorted as text. Their number and length are bounded by PARSE_TEXT_MAX. */
static void print_matchers(struct buf *to, const struct vector_selector *selector) {
    enum { MATCHER_TEXT_MAX = 8 * PARSE_TEXT_MAX }; /* quoting makes ten bytes of four at most */
    enum { MATCHER_TEXT_MIN = 4 };                  /* a="" */
    if (selector->matcher_count > 1 &&
        buf_reserve(to, MATCHER_TEXT_MIN * (selector->matcher_count - 1)) == NULL) {
        return; /* no room: the work would be lost, and the pretty printer asks often */
    }
    struct buf *texts = mem_array(selector->matcher_count, sizeof(*texts));
    size_t count = 0;
    for (size_t i = 0; i < selector->matcher_count; i++) {
        if (!is_name_matcher(selector, &selector->matchers[i])) {
            buf_init(&texts[count], MATCHER_TEXT_MAX);
            matcher_format(&texts[count], &selector->matchers[i]);
            count++;
        }
    }
    if (count > 0) {
        qsort(texts, count, sizeof(*texts), compare_texts);
        buf_append_char(to, '{');
        for (size_t i = 0; i < count; i++) {
            if (i > 0) {
                buf_append_char(to, ',');
            }
            buf_append_str(to, buf_str(&texts[i]));
            buf_release(&texts[i]);
        }
        buf_append_char(to, '}');
    }
    mem_free(texts);
}

static void print_selector_core(struct buf *to, const struct vector_selector *selector) {
    buf_append_str(to, selector->name);
    if (selector->matcher_count > 0) {
        print_matchers(to, selector);
    } else if (selector->name.len == 0) {
        buf_append_cstr(to, "{}"); /* of info(); Prometheus prints nothing, which does not parse */
    }
}

static void print_vector(struct buf *to, const struct vector_selector *selector) {
    print_selector_core(to, selector);
    print_at(to, &selector->time);
    print_extended(to, selector);
    print_offset(to, &selector->time);
}

/* Unlike above, anchored and smoothed stand before @. */
static void print_matrix(struct buf *to, const struct matrix_selector *matrix) {
    const struct vector_selector *selector = &matrix->selector->vector;
    print_selector_core(to, selector);
    buf_append_char(to, '[');
    print_duration(to, matrix->range_ns, matrix->range_expr);
    buf_append_char(to, ']');
    print_extended(to, selector);
    print_at(to, &selector->time);
    print_offset(to, &selector->time);
}

void print_subquery_suffix(struct buf *to, const struct subquery *subquery) {
    buf_append_char(to, '[');
    print_duration(to, subquery->range_ns, subquery->range_expr);
    buf_append_char(to, ':');
    if (subquery->step_ns != 0 || subquery->step_expr != NULL) {
        print_duration(to, subquery->step_ns, subquery->step_expr);
    }
    buf_append_char(to, ']');
    print_at(to, &subquery->time);
    print_offset(to, &subquery->time);
}

/* ---- aggregations and operators ---- */

void print_aggregate_head(struct buf *to, const struct aggregate *aggregate) {
    buf_append_cstr(to, aggregate_op_text(aggregate->op));
    if (aggregate->without || aggregate->grouping_count > 0) {
        buf_append_cstr(to, aggregate->without ? " without " : " by ");
        print_label_list(to, aggregate->grouping, aggregate->grouping_count);
        buf_append_char(to, ' ');
    }
}

static void print_aggregate(struct buf *to, const struct aggregate *aggregate) {
    print_aggregate_head(to, aggregate);
    buf_append_char(to, '(');
    if (aggregate->param != NULL) {
        print_expr(to, aggregate->param);
        buf_append_cstr(to, ", ");
    }
    print_expr(to, aggregate->expr);
    buf_append_char(to, ')');
}

static void print_fill(struct buf *to, const char *name, double value) {
    buf_printf(to, " %s (", name);
    buf_append_number_g(to, value);
    buf_append_char(to, ')');
}

static void print_matching(struct buf *to, const struct vector_matching *matching) {
    const bool group = matching->card == CARD_MANY_TO_ONE || matching->card == CARD_ONE_TO_MANY;
    if (matching->label_count > 0 || matching->on || group) {
        buf_append_cstr(to, matching->on ? " on " : " ignoring ");
        print_label_list(to, matching->labels, matching->label_count);
    }
    if (group) {
        buf_append_cstr(to, matching->card == CARD_MANY_TO_ONE ? " group_left " : " group_right ");
        print_label_list(to, matching->include, matching->include_count);
    }
    if (matching->has_fill_left && matching->has_fill_right &&
        matching->fill_left == matching->fill_right) {
        print_fill(to, "fill", matching->fill_left);
        return;
    }
    if (matching->has_fill_left) {
        print_fill(to, "fill_left", matching->fill_left);
    }
    if (matching->has_fill_right) {
        print_fill(to, "fill_right", matching->fill_right);
    }
}

void print_operator(struct buf *to, const struct binary *binary) {
    buf_append_cstr(to, binary_op_text(binary->op));
    if (binary->return_bool) {
        buf_append_cstr(to, " bool");
    }
    if (binary->matching != NULL) {
        print_matching(to, binary->matching);
    }
}

static void print_binary(struct buf *to, const struct binary *binary) {
    print_expr(to, binary->lhs);
    buf_append_char(to, ' ');
    print_operator(to, binary);
    buf_append_char(to, ' ');
    print_expr(to, binary->rhs);
}

static void print_call(struct buf *to, const struct call *call) {
    buf_append_cstr(to, call->function->name);
    buf_append_char(to, '(');
    for (size_t i = 0; i < call->arg_count; i++) {
        if (i > 0) {
            buf_append_cstr(to, ", ");
        }
        print_expr(to, call->args[i]);
    }
    buf_append_char(to, ')');
}

/* Quoting never makes a text shorter: a long one that cannot fit costs nothing. */
static void print_string(struct buf *to, struct str string) {
    if (buf_reserve(to, string.len + 2) != NULL) {
        utf8_quote(to, string);
    }
}

void print_expr(struct buf *to, const struct node *node) {
    if (!buf_ok(to)) {
        return;
    }
    switch (node->type) {
    case NODE_NUMBER:
        print_number(to, node->number.value, node->number.is_duration);
        return;
    case NODE_STRING:
        print_string(to, node->string);
        return;
    case NODE_VECTOR_SELECTOR:
        print_vector(to, &node->vector);
        return;
    case NODE_MATRIX_SELECTOR:
        print_matrix(to, &node->matrix);
        return;
    case NODE_SUBQUERY:
        print_expr(to, node->subquery.expr);
        print_subquery_suffix(to, &node->subquery);
        return;
    case NODE_CALL:
        print_call(to, &node->call);
        return;
    case NODE_AGGREGATE:
        print_aggregate(to, &node->aggregate);
        return;
    case NODE_BINARY:
        print_binary(to, &node->binary);
        return;
    case NODE_UNARY:
        buf_append_char(to, node->unary.negative ? '-' : '+');
        print_expr(to, node->unary.expr);
        return;
    case NODE_PAREN:
        buf_append_char(to, '(');
        print_expr(to, node->paren);
        buf_append_char(to, ')');
        return;
    case NODE_DURATION:
        print_duration_expr(to, &node->duration);
        return;
    }
    UNREACHABLE("node type");
}

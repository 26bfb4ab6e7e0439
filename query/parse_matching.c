/* Between a binary operator and its right operand: bool, on/ignoring, group_left/right, fill. */
#include <string.h>

#include "query/parser.h"

static bool parse_on_or_ignoring(struct parser *p, struct vector_matching *matching) {
    const enum token_type type = parse_peek(p);
    if (type != TOKEN_ON && type != TOKEN_IGNORING) {
        return type != TOKEN_ERROR;
    }
    (void)parse_take(p);
    struct str_list labels;
    if (!parse_grouping(p, &labels)) {
        return false;
    }
    matching->on = type == TOKEN_ON;
    matching->has_modifier = true;
    matching->labels = labels.items;
    matching->label_count = labels.count;
    return true;
}

static bool parse_group(struct parser *p, struct vector_matching *matching) {
    const enum token_type type = parse_peek(p);
    if (type != TOKEN_GROUP_LEFT && type != TOKEN_GROUP_RIGHT) {
        return type != TOKEN_ERROR;
    }
    (void)parse_take(p);
    matching->card = type == TOKEN_GROUP_LEFT ? CARD_MANY_TO_ONE : CARD_ONE_TO_MANY;
    const enum token_type next = parse_peek(p);
    if (next != TOKEN_LEFT_PAREN && token_starts_expression(next)) {
        return true; /* no list */
    }
    struct str_list labels;
    if (!parse_grouping(p, &labels)) {
        return false;
    }
    matching->include = labels.items;
    matching->include_count = labels.count;
    return true;
}

/* "(1)", "(-5m)" */
static bool parse_fill_value(struct parser *p, double *out) {
    if (!parse_expect(p, TOKEN_LEFT_PAREN)) {
        return false;
    }
    const bool negative = parse_accept(p, TOKEN_SUB);
    if (!negative) {
        (void)parse_accept(p, TOKEN_ADD);
    }
    const enum token_type type = parse_peek(p);
    if (type != TOKEN_NUMBER && type != TOKEN_DURATION) {
        return parse_unexpected(p);
    }
    double value = 0;
    if (!parse_number(p, parse_take(p), &value)) {
        return false;
    }
    *out = negative ? -value : value;
    return parse_expect(p, TOKEN_RIGHT_PAREN);
}

/* fill (x), fill_left (x), fill_right (x), or the last two together in either order. */
static bool parse_fill(struct parser *p, struct vector_matching *matching) {
    const enum token_type first = parse_peek(p);
    if (first == TOKEN_FILL) {
        (void)parse_take(p);
        matching->has_fill_left = true;
        matching->has_fill_right = true;
        if (!parse_fill_value(p, &matching->fill_left)) {
            return false;
        }
        matching->fill_right = matching->fill_left;
        return true;
    }
    for (enum token_type type = first; type == TOKEN_FILL_LEFT || type == TOKEN_FILL_RIGHT;
         type = parse_peek(p)) {
        const bool left = type == TOKEN_FILL_LEFT;
        if (left ? matching->has_fill_left : matching->has_fill_right) {
            break; /* a second one is not the operator's: it would be a metric's name */
        }
        (void)parse_take(p);
        if (!parse_fill_value(p, left ? &matching->fill_left : &matching->fill_right)) {
            return false;
        }
        *(left ? &matching->has_fill_left : &matching->has_fill_right) = true;
    }
    return p->code == ERR_OK;
}

bool parse_matching(struct parser *p, bool *out_bool, struct vector_matching **out) {
    struct vector_matching *matching = arena_try_alloc(p->arena, 1, sizeof(*matching));
    if (matching == NULL) {
        return parse_fail_memory(p);
    }
    memset(matching, 0, sizeof(*matching));
    *out_bool = parse_accept(p, TOKEN_BOOL);
    *out = matching;
    return parse_on_or_ignoring(p, matching) &&
           (!matching->has_modifier || parse_group(p, matching)) && parse_fill(p, matching);
}

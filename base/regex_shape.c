/* Literal analysis: most matchers people write are a literal, a set of literals, a prefix or a
 * word somewhere, and need no engine. What is said here must hold for every subject; when in
 * doubt the answer is REGEX_SHAPE_ENGINE. */
#include <stdlib.h>

#include "base/regex_ast.h"
#include "base/utf8.h"

enum {
    SET_PRODUCT_MAX = 1024,      /* literals from combining parts: a[bc]d?(e|f) */
    SET_COUNT_MAX = 32768,       /* from plain alternatives */
    SET_BYTES_MAX = 1024 * 1024, /* of all literals */
    CLASS_RUNES_MAX = 64,
    WORK_BYTES_MAX = 32 * 1024 * 1024, /* of memory on the way; then it is not worth it */
};

struct words {
    struct str *items;
    size_t count, capacity;
    size_t bytes;
};

static bool add_word(struct arena *arena, struct words *words, struct str word) {
    if (words->count == SET_COUNT_MAX || words->bytes + word.len > SET_BYTES_MAX ||
        arena->used_bytes > WORK_BYTES_MAX) {
        return false;
    }
    if (words->count == words->capacity) {
        const size_t capacity = words->capacity == 0 ? 8 : words->capacity * 2;
        struct str *grown = arena_alloc(arena, capacity * sizeof(*grown));
        if (words->count > 0) {
            memcpy(grown, words->items, words->count * sizeof(*grown));
        }
        words->items = grown;
        words->capacity = capacity;
    }
    words->items[words->count++] = word;
    words->bytes += word.len;
    return true;
}

static bool add_rune(struct arena *arena, struct words *words, uint32_t rune) {
    char bytes[4];
    const size_t n = utf8_encode(rune, bytes);
    return add_word(arena, words, arena_str(arena, (struct str){bytes, n}));
}

static struct str join(struct arena *arena, struct str a, struct str b) {
    if (a.len == 0 || b.len == 0) {
        return a.len == 0 ? b : a;
    }
    char *text = arena_alloc(arena, a.len + b.len);
    memcpy(text, a.ptr, a.len);
    memcpy(text + a.len, b.ptr, b.len);
    return (struct str){text, a.len + b.len};
}

/* words = every word of left followed by every word of right. */
static bool combine(struct arena *arena, const struct words *left, const struct words *right,
                    struct words *out) {
    if (left->count * right->count > SET_PRODUCT_MAX && left->count > 1 && right->count > 1) {
        return false;
    }
    for (size_t i = 0; i < left->count; i++) {
        for (size_t j = 0; j < right->count; j++) {
            if (!add_word(arena, out, join(arena, left->items[i], right->items[j]))) {
                return false;
            }
        }
    }
    return true;
}

/* Runes that stand for themselves only. U+FFFD is out because an invalid byte of a subject is
 * read as one, surrogates because no subject holds them. */
static bool is_exact(uint32_t rune, bool fold) {
    const bool cased = (rune >= 'a' && rune <= 'z') || (rune >= 'A' && rune <= 'Z') || rune >= 0x80;
    return !(fold && cased) && rune != 0xFFFD && !(rune >= 0xD800 && rune < 0xE000);
}

static bool list_class(struct arena *arena, const struct regex_node *node, struct words *out) {
    const struct regex_class *class = node->class;
    if (class->negated || class->property_count > 0 || class->range_count == 0) {
        return false;
    }
    size_t runes = 0;
    for (size_t i = 0; i < class->range_count; i++) {
        const struct regex_range range = class->ranges[i];
        runes += range.high - range.low + 1;
        if (runes > CLASS_RUNES_MAX) {
            return false;
        }
        for (uint32_t rune = range.low; rune <= range.high; rune++) {
            if (!is_exact(rune, node->fold) || !add_rune(arena, out, rune)) {
                return false;
            }
        }
    }
    return true;
}

static bool list_words(struct arena *arena, const struct regex_node *node, struct words *out);

/* The text of the runes from *node on; *node moves behind them, at most to end. */
static struct str literal_run(struct arena *arena, const struct regex_node **node,
                              const struct regex_node *end) {
    size_t count = 0;
    for (const struct regex_node *sub = *node;
         sub != end && sub->op == REGEX_RUNE && is_exact(sub->rune, sub->fold); sub = sub->next) {
        count++;
    }
    char *text = arena_alloc(arena, 4 * count);
    size_t n = 0;
    for (; count > 0; count--, *node = (*node)->next) {
        n += utf8_encode((*node)->rune, text + n);
    }
    return (struct str){text, n};
}

static bool list_alternate(struct arena *arena, const struct regex_node *node, struct words *out) {
    for (const struct regex_node *sub = node->first; sub != NULL; sub = sub->next) {
        if (!list_words(arena, sub, out)) {
            return false;
        }
    }
    return true;
}

/* Words of a run of siblings, first .. before end. */
static bool list_run(struct arena *arena, const struct regex_node *first,
                     const struct regex_node *end, struct words *out) {
    struct words sofar = {0};
    (void)add_word(arena, &sofar, STR(""));
    for (const struct regex_node *sub = first; sub != end;) {
        struct words part = {0};
        struct words longer = {0};
        const struct str literal = literal_run(arena, &sub, end);
        if (literal.len > 0) {
            (void)add_word(arena, &part, literal);
        } else if (list_words(arena, sub, &part)) {
            sub = sub->next;
        } else {
            return false;
        }
        if (!combine(arena, &sofar, &part, &longer)) {
            return false;
        }
        sofar = longer;
    }
    for (size_t i = 0; i < sofar.count; i++) {
        if (!add_word(arena, out, sofar.items[i])) {
            return false;
        }
    }
    return true;
}

static bool list_repeat(struct arena *arena, const struct regex_node *node, struct words *out) {
    if (node->max < 0 || node->max > CLASS_RUNES_MAX) {
        return false;
    }
    struct words once = {0};
    if (!list_words(arena, node->first, &once)) {
        return false;
    }
    struct words sofar = {0};
    (void)add_word(arena, &sofar, STR(""));
    for (int n = 0;; n++) {
        for (size_t i = 0; n >= node->min && i < sofar.count; i++) {
            if (!add_word(arena, out, sofar.items[i])) {
                return false;
            }
        }
        if (n == node->max) {
            return true;
        }
        struct words longer = {0};
        if (!combine(arena, &sofar, &once, &longer)) {
            return false;
        }
        sofar = longer;
    }
}

/* Adds all words of the node's language, or false: not finite, too many, or not exact. */
static bool list_words(struct arena *arena, const struct regex_node *node, struct words *out) {
    switch (node->op) {
    case REGEX_EMPTY:
        return add_word(arena, out, STR(""));
    case REGEX_RUNE:
        return is_exact(node->rune, node->fold) && add_rune(arena, out, node->rune);
    case REGEX_CLASS:
        return list_class(arena, node, out);
    case REGEX_CAPTURE:
        return list_words(arena, node->first, out);
    case REGEX_REPEAT:
        return list_repeat(arena, node, out);
    case REGEX_CONCAT:
        return list_run(arena, node->first, NULL, out);
    case REGEX_ALTERNATE:
        return list_alternate(arena, node, out);
    case REGEX_ANY_RUNE:
    case REGEX_ANY_NOT_NEWLINE:
    case REGEX_BEGIN_LINE:
    case REGEX_END_LINE:
    case REGEX_BEGIN_TEXT:
    case REGEX_END_TEXT:
    case REGEX_WORD_EDGE:
    case REGEX_NO_WORD_EDGE:
        return false;
    }
    return false;
}

static int compare_words(const void *a, const void *b) {
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void sort_unique(struct words *words) {
    qsort(words->items, words->count, sizeof(*words->items), compare_words);
    size_t kept = 0;
    for (size_t i = 0; i < words->count; i++) {
        if (i == 0 || !str_eq(words->items[kept - 1], words->items[i])) {
            words->items[kept++] = words->items[i];
        }
    }
    words->count = kept;
}

/* .* (0), .+ (1), or -1; looks through groups. */
static int any_run(const struct regex_node *node) {
    while (node->op == REGEX_CAPTURE) {
        node = node->first;
    }
    if (node->op != REGEX_REPEAT || node->max >= 0 || node->min > 1) {
        return -1;
    }
    const struct regex_node *sub = node->first;
    while (sub->op == REGEX_CAPTURE) {
        sub = sub->first;
    }
    return sub->op == REGEX_ANY_RUNE ? node->min : -1;
}

/* What lies between ^ and $: a run of siblings. */
struct body {
    const struct regex_node *first;
    const struct regex_node *end; /* first one not in it, or NULL */
};

/* A second ^ at the start or $ at the end says nothing new. */
static void strip_anchors(struct body *body) {
    while (body->first != body->end && body->first->op == REGEX_BEGIN_TEXT) {
        body->first = body->first->next;
    }
    const struct regex_node *end = body->first;
    for (const struct regex_node *sub = body->first; sub != body->end; sub = sub->next) {
        end = sub->op != REGEX_END_TEXT ? sub->next : end;
    }
    body->end = end;
}

static bool find_body(const struct regex_node *root, struct body *out) {
    if (root->op != REGEX_CONCAT || root->first->op != REGEX_BEGIN_TEXT ||
        root->last->op != REGEX_END_TEXT) {
        return false;
    }
    *out = (struct body){root->first->next, root->last};
    for (;;) {
        strip_anchors(out);
        /* one group or sequence in between is as good as its content */
        const bool single = out->first != out->end && out->first->next == out->end;
        if (!single || (out->first->op != REGEX_CONCAT && out->first->op != REGEX_CAPTURE)) {
            return true;
        }
        *out = (struct body){out->first->first, NULL};
    }
}

/* The only word of a run of siblings. */
static bool single_word(struct arena *arena, struct body run, struct str *out) {
    struct words words = {0};
    if (!list_run(arena, run.first, run.end, &words) || words.count != 1) {
        return false;
    }
    *out = words.items[0];
    return true;
}

/* Leading parts that are one literal, for a filter in front of the engine. */
static struct str required_prefix(struct arena *arena, struct body body) {
    struct body lead = {body.first, body.first};
    struct str word;
    while (lead.end != body.end &&
           single_word(arena, (struct body){lead.end, lead.end->next}, &word)) {
        lead.end = lead.end->next;
    }
    return single_word(arena, lead, &word) ? word : STR("");
}

static void find_open_shape(struct arena *arena, struct body body, struct regex_analysis *out) {
    const struct regex_node *last = body.first;
    while (last->next != body.end) {
        last = last->next;
    }
    const int left = any_run(body.first);
    const int right = body.first != last ? any_run(last) : -1;
    const struct body middle = {left >= 0 ? body.first->next : body.first,
                                right >= 0 ? last : body.end};
    struct str literal = STR("");
    if ((left < 0 && right < 0) || !single_word(arena, middle, &literal)) {
        return;
    }
    if (literal.len == 0) {
        const int least = (left > 0 ? 1 : 0) + (right > 0 ? 1 : 0);
        if (least <= 1) {
            out->shape = least == 0 ? REGEX_SHAPE_ANY : REGEX_SHAPE_NONEMPTY;
        }
    } else if (left < 0) {
        *out = (struct regex_analysis){
            .shape = REGEX_SHAPE_PREFIX, .literal = literal, .min_rest = (size_t)right};
    } else if (right < 0) {
        *out = (struct regex_analysis){
            .shape = REGEX_SHAPE_SUFFIX, .literal = literal, .min_rest = (size_t)left};
    } else if (left == 0 && right == 0) {
        *out = (struct regex_analysis){.shape = REGEX_SHAPE_CONTAINS, .literal = literal};
    }
}

void regex_find_shape(struct arena *arena, const struct regex_node *root,
                      struct regex_analysis *out) {
    *out = (struct regex_analysis){.shape = REGEX_SHAPE_ENGINE, .literal = STR("")};
    struct body body;
    if (!find_body(root, &body)) {
        return;
    }
    struct words words = {0};
    if (list_run(arena, body.first, body.end, &words)) {
        sort_unique(&words);
        out->shape = REGEX_SHAPE_SET;
        out->set = words.items;
        out->set_count = words.count;
        return;
    }
    find_open_shape(arena, body, out);
    if (out->shape == REGEX_SHAPE_ENGINE) {
        out->literal = required_prefix(arena, body);
    }
}

void regex_find_ends(struct arena *arena, const struct regex_node *root, struct regex_ends *out) {
    *out = (struct regex_ends){.decide = false, .prefix = STR(""), .suffix = STR("")};
    struct body body;
    if (!find_body(root, &body)) {
        return;
    }
    const struct regex_node *middle = body.first;
    while (middle != body.end && any_run(middle) < 0) {
        middle = middle->next;
    }
    if (middle == body.end) {
        return;
    }
    out->decide = single_word(arena, (struct body){body.first, middle}, &out->prefix) &&
                  single_word(arena, (struct body){middle->next, body.end}, &out->suffix);
    out->min_middle = (size_t)any_run(middle);
}

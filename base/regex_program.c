/* Instructions are made from the end of the pattern to its begin: whoever is made knows where to go
 * on, and only loops are filled in afterwards. */
#include "base/regex_program.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/regex_engine.h"
#include "base/sort.h"
#include "base/utf8.h"

enum { INSTS_MAX = 4 * REGEX_SIZE_MAX, ASCII_END = 0x80 };
enum { LONG_S = 0x17F, KELVIN_SIGN = 0x212A };

struct maker {
    struct regex_program *p;
    size_t inst_capacity, set_capacity;
    struct arena *arena;
    struct str pattern;
    enum err_code code;
    struct err *err;
};

/* ---- sets ---- */

static int by_low(const void *left, const void *right) {
    const struct regex_range *a = left;
    const struct regex_range *b = right;
    return (a->low > b->low) - (a->low < b->low);
}

static bool in_ranges(const struct regex_set *set, uint32_t rune) {
    size_t low = 0;
    size_t high = set->range_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (rune < set->ranges[mid].low) {
            high = mid;
        } else if (rune > set->ranges[mid].high) {
            low = mid + 1;
        } else {
            return true;
        }
    }
    return false;
}

/* The set's, sorted and joined. They live as long as the program. */
static void keep_ranges(struct maker *m, struct regex_set *set, const struct regex_range *from,
                        size_t count) {
    struct regex_range *to = mem_array(count + 1, sizeof(*to));
    void **room = arena_alloc(m->arena, (2 * count + 1) * sizeof(*room));
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        to[i] = from[i];
    }
    const enum err_code code = sort_items(to, count, sizeof(*to), by_low, room, NULL);
    ASSERT(code == ERR_OK); /* without a cancel nothing stops it */
    for (size_t i = 0; i < count; i++) {
        if (n > 0 && to[i].low <= to[n - 1].high) {
            to[n - 1].high = to[i].high > to[n - 1].high ? to[i].high : to[n - 1].high;
        } else {
            to[n++] = to[i];
        }
    }
    set->ranges = to;
    set->range_count = n;
}

static bool engine_has(const struct regex_engine *engine, uint32_t rune) {
    char bytes[4];
    bool has = false;
    const struct str text = {bytes, utf8_encode(rune, bytes)};
    return regex_engine_match(engine, text, &has, NULL) == ERR_OK && has;
}

static bool has_slowly(const struct regex_set *set, uint32_t rune) {
    return set->engine != NULL ? engine_has(set->engine, rune)
                               : in_ranges(set, rune) != set->negated;
}

bool regex_set_has(const struct regex_set *set, uint32_t rune) {
    return rune < ASCII_END ? (set->ascii[rune / 64] >> rune % 64 & 1) != 0 : has_slowly(set, rune);
}

static uint32_t add_set(struct maker *m, const struct regex_node *node) {
    struct regex_program *p = m->p;
    if (p->set_count == m->set_capacity) {
        m->set_capacity = mem_grow(m->set_capacity, p->set_count + 1);
        p->sets = mem_resize(p->sets, m->set_capacity, sizeof(*p->sets));
    }
    struct regex_set *set = &p->sets[p->set_count];
    *set = (struct regex_set){.negated = false};
    const struct regex_class *class = node->class;
    if (node->op == REGEX_RUNE && node->rune < ASCII_END) {
        const uint32_t lower = node->rune | 0x20;
        const struct regex_range folded[] = {
            {lower, lower},
            {lower & ~0x20U, lower & ~0x20U},
            {lower == 'k' ? KELVIN_SIGN : LONG_S, lower == 'k' ? KELVIN_SIGN : LONG_S}};
        keep_ranges(m, set, folded, lower == 'k' || lower == 's' ? 3 : 2);
    } else if (node->op == REGEX_CLASS && !node->fold && class->property_count == 0) {
        set->negated = class->negated;
        keep_ranges(m, set, class->ranges, class->range_count);
    } else {
        struct regex_node alone = *node;
        alone.next = NULL;
        m->code = regex_engine_new(&alone, 0, m->pattern, &set->engine, m->err);
        if (m->code != ERR_OK) {
            return 0;
        }
    }
    for (uint32_t rune = 0; rune < ASCII_END; rune++) {
        set->ascii[rune / 64] |= (uint64_t)has_slowly(set, rune) << rune % 64;
    }
    return (uint32_t)p->set_count++;
}

/* A node is unrolled many times and has one set. */
static uint32_t set_of(struct maker *m, struct regex_node *node) {
    if (node->set_number == 0) {
        node->set_number = add_set(m, node) + 1;
    }
    return node->set_number - 1;
}

/* ---- instructions ---- */

static uint32_t add(struct maker *m, enum regex_inst_op op, uint32_t next, uint32_t arg) {
    struct regex_program *p = m->p;
    if (p->inst_count == INSTS_MAX && m->code == ERR_OK) {
        m->code = err_set(m->err, ERR_LIMIT, "regexp is too large: `%.*s`", STR_ARG(m->pattern));
    }
    if (m->code != ERR_OK) {
        return 0;
    }
    if (p->inst_count == m->inst_capacity) {
        m->inst_capacity = mem_grow(m->inst_capacity, p->inst_count + 1);
        p->insts = mem_resize(p->insts, m->inst_capacity, sizeof(*p->insts));
    }
    p->insts[p->inst_count] = (struct regex_inst){.op = op, .next = next, .arg = arg};
    return (uint32_t)p->inst_count++;
}

static uint32_t make(struct maker *m, struct regex_node *node, uint32_t next);

static bool is_letter(uint32_t rune) {
    return (rune >= 'a' && rune <= 'z') || (rune >= 'A' && rune <= 'Z');
}

static uint32_t make_rune(struct maker *m, struct regex_node *node, uint32_t next) {
    const bool cased = is_letter(node->rune) || node->rune >= ASCII_END;
    return node->fold && cased ? add(m, INST_SET, next, set_of(m, node))
                               : add(m, INST_RUNE, next, node->rune);
}

static bool is_nullable(const struct regex_node *node) {
    bool all = true;
    bool any = false;
    switch (node->op) {
    case REGEX_RUNE:
    case REGEX_CLASS:
    case REGEX_ANY_RUNE:
    case REGEX_ANY_NOT_NEWLINE:
        return false;
    case REGEX_EMPTY:
    case REGEX_BEGIN_LINE:
    case REGEX_END_LINE:
    case REGEX_BEGIN_TEXT:
    case REGEX_END_TEXT:
    case REGEX_WORD_EDGE:
    case REGEX_NO_WORD_EDGE:
        return true;
    case REGEX_REPEAT:
        return node->min == 0 || is_nullable(node->first);
    case REGEX_CAPTURE:
    case REGEX_CONCAT:
    case REGEX_ALTERNATE:
        break;
    }
    for (const struct regex_node *sub = node->first; sub != NULL; sub = sub->next) {
        const bool nullable = is_nullable(sub);
        all = all && nullable;
        any = any || nullable;
    }
    return node->op == REGEX_ALTERNATE ? any : all;
}

/* Which way a repeat prefers: once more, or on. */
static uint32_t add_choice(struct maker *m, bool lazy, uint32_t more, uint32_t next) {
    return lazy ? add(m, INST_SPLIT, next, more) : add(m, INST_SPLIT, more, next);
}

/* x+, and x* of an x that is never empty. Of one that may be, x* is (x+)?: the first turn comes
 * before none at all, also where it takes nothing. */
static uint32_t make_loop(struct maker *m, struct regex_node *node, bool plus, uint32_t next) {
    const uint32_t choice = add_choice(m, node->lazy, 0, next);
    const uint32_t body = make(m, node->first, choice);
    if (m->code != ERR_OK) {
        return 0;
    }
    if (node->lazy) {
        m->p->insts[choice].arg = body;
    } else {
        m->p->insts[choice].next = body;
    }
    if (plus) {
        return body;
    }
    return is_nullable(node->first) ? add_choice(m, node->lazy, body, next) : choice;
}

static uint32_t make_repeat(struct maker *m, struct regex_node *node, uint32_t next) {
    int copies = node->min;
    uint32_t at = next;
    if (node->max < 0) {
        at = make_loop(m, node, copies > 0, next);
        copies -= copies > 0;
    }
    for (int i = node->min; i < node->max && m->code == ERR_OK; i++) {
        at = add_choice(m, node->lazy, make(m, node->first, at), next);
    }
    for (int i = 0; i < copies && m->code == ERR_OK; i++) {
        at = make(m, node->first, at);
    }
    return at;
}

/* From last to first. */
static uint32_t make_children(struct maker *m, const struct regex_node *node, uint32_t next) {
    size_t n = 0;
    for (const struct regex_node *sub = node->first; sub != NULL; sub = sub->next) {
        n++;
    }
    struct regex_node **subs = mem_array(n + 1, sizeof(struct regex_node *));
    n = 0;
    for (struct regex_node *sub = node->first; sub != NULL; sub = sub->next) {
        subs[n++] = sub;
    }
    uint32_t at = next;
    for (size_t i = n; i-- > 0 && m->code == ERR_OK;) {
        if (node->op == REGEX_CONCAT) {
            at = make(m, subs[i], at);
        } else {
            const uint32_t branch = make(m, subs[i], next);
            at = i + 1 == n ? branch : add(m, INST_SPLIT, branch, at);
        }
    }
    mem_free(subs);
    return at;
}

static uint32_t make(struct maker *m, struct regex_node *node, uint32_t next) {
    if (m->code != ERR_OK) {
        return 0;
    }
    switch (node->op) {
    case REGEX_EMPTY:
        return next;
    case REGEX_RUNE:
        return make_rune(m, node, next);
    case REGEX_CLASS:
        return add(m, INST_SET, next, set_of(m, node));
    case REGEX_ANY_RUNE:
        return add(m, INST_ANY, next, 0);
    case REGEX_ANY_NOT_NEWLINE:
        return add(m, INST_NOT_NEWLINE, next, 0);
    case REGEX_BEGIN_LINE:
        return add(m, INST_ASSERT, next, PLACE_BEGIN_LINE);
    case REGEX_END_LINE:
        return add(m, INST_ASSERT, next, PLACE_END_LINE);
    case REGEX_BEGIN_TEXT:
        return add(m, INST_ASSERT, next, PLACE_BEGIN_TEXT);
    case REGEX_END_TEXT:
        return add(m, INST_ASSERT, next, PLACE_END_TEXT);
    case REGEX_WORD_EDGE:
        return add(m, INST_ASSERT, next, PLACE_WORD_EDGE);
    case REGEX_NO_WORD_EDGE:
        return add(m, INST_ASSERT, next, PLACE_NO_WORD_EDGE);
    case REGEX_CAPTURE:
        next = add(m, INST_SAVE, next, 2 * (uint32_t)node->group + 1);
        next = make(m, node->first, next);
        return add(m, INST_SAVE, next, 2 * (uint32_t)node->group);
    case REGEX_REPEAT:
        return make_repeat(m, node, next);
    case REGEX_CONCAT:
    case REGEX_ALTERNATE:
        return make_children(m, node, next);
    }
    return add(m, INST_FAIL, next, 0);
}

enum err_code regex_program_new(struct arena *scratch, struct regex_node *root, struct str pattern,
                                struct regex_program **out, struct err *err) {
    struct regex_program *p = mem_zalloc(sizeof(*p));
    struct maker m = {.p = p, .arena = scratch, .pattern = pattern, .code = ERR_OK, .err = err};
    p->start = make(&m, root, add(&m, INST_MATCH, 0, 0));
    if (m.code != ERR_OK) {
        regex_program_free(p);
        return m.code;
    }
    const struct regex_inst *first = &p->insts[p->start];
    p->anchored = first->op == INST_ASSERT && first->arg == PLACE_BEGIN_TEXT;
    *out = p;
    return ERR_OK;
}

void regex_program_free(struct regex_program *program) {
    if (program == NULL) {
        return;
    }
    for (size_t i = 0; i < program->set_count; i++) {
        regex_engine_free(program->sets[i].engine);
        mem_free((void *)program->sets[i].ranges);
    }
    mem_free(program->sets);
    mem_free(program->insts);
    mem_free(program);
}

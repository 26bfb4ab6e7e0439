/* topk, bottomk, limitk. Each step of a group has a binary heap with the element to lose first on top,
 * as in the reference, since which of equal elements stay depends on it. The steps of a word of
 * presence bits go side by side, so that a row is read once and in whole lines; most of its values
 * do not beat the tops of their heaps, which a column of these tells. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "query/bits.h"
#include "query/pick.h"

/* ---- a heap ---- */

struct heap_item {
    double value;
    uint32_t row;
    const struct histogram *histogram; /* limitk: or NULL */
};

struct heap {
    struct heap_item *items;
    size_t count;
    bool largest_first; /* bottomk */
};

static bool heap_less(const struct heap *h, size_t i, size_t j) {
    const double a = h->items[i].value;
    const double b = h->items[j].value;
    if (isnan(a)) {
        return true;
    }
    return h->largest_first ? a > b : a < b;
}

static void heap_swap(struct heap *h, size_t i, size_t j) {
    const struct heap_item item = h->items[i];
    h->items[i] = h->items[j];
    h->items[j] = item;
}

static void heap_push(struct heap *h, struct heap_item item) {
    size_t at = h->count++;
    h->items[at] = item;
    while (at > 0) {
        const size_t parent = (at - 1) / 2;
        if (!heap_less(h, at, parent)) {
            return;
        }
        heap_swap(h, at, parent);
        at = parent;
    }
}

static void heap_replace_top(struct heap *h, struct heap_item item) {
    h->items[0] = item;
    size_t at = 0;
    for (size_t child = 1; child < h->count; child = 2 * at + 1) {
        if (child + 1 < h->count && heap_less(h, child + 1, child)) {
            child++;
        }
        if (!heap_less(h, child, at)) {
            return;
        }
        heap_swap(h, at, child);
        at = child;
    }
}

static void heap_offer(struct heap *h, size_t k, struct heap_item item) {
    if (h->count < k) {
        heap_push(h, item);
        return;
    }
    const double top = h->items[0].value;
    const bool better = h->largest_first ? top > item.value : top < item.value;
    if (better || (isnan(top) && !isnan(item.value))) {
        heap_replace_top(h, item);
    }
}

static int best_first(double a, double b, bool smallest) {
    if (isnan(a) || isnan(b)) {
        return (isnan(a) != 0) - (isnan(b) != 0);
    }
    const int order = (a < b) - (a > b);
    return smallest ? -order : order;
}

static int largest_first(const void *left, const void *right) {
    return best_first(((const struct heap_item *)left)->value,
                      ((const struct heap_item *)right)->value, false);
}

static int smallest_first(const void *left, const void *right) {
    return best_first(((const struct heap_item *)left)->value,
                      ((const struct heap_item *)right)->value, true);
}

/* Up to 12 elements equal ones keep their place in the heap, and those that are no numbers turn round,
 * as in the reference. */
static void heap_sort(struct heap *h) {
    int (*const order)(const void *, const void *) =
        h->largest_first ? smallest_first : largest_first;
    if (h->count > 12) {
        qsort(h->items, h->count, sizeof(*h->items), order);
        return;
    }
    for (size_t i = 1; i < h->count; i++) {
        for (size_t j = i; j > 0 && heap_less(h, j - 1, j); j--) {
            heap_swap(h, j, j - 1);
        }
    }
}

static enum err_code check_k(const struct pick *p, bool *out_empty, struct err *err) {
    char text[NUMBER_TEXT_MAX];
    const bool nan = pick_param_has_nan(p);
    const double max = pick_param_max(p);
    const double min = pick_param_min(p);
    *out_empty = !nan && max < 1;
    if (*out_empty) {
        return ERR_OK;
    }
    if (nan) {
        return err_set(err, ERR_EXECUTION, "Parameter value is NaN");
    }
    if (min <= -9223372036854775808.0) {
        const size_t n = number_format_g(min, text);
        return err_set(err, ERR_EXECUTION, "Scalar value %.*s underflows int64", (int)n, text);
    }
    if (max >= 9223372036854774784.0) {
        const size_t n = number_format_g(max, text);
        return err_set(err, ERR_EXECUTION, "Scalar value %.*s overflows int64", (int)n, text);
    }
    return ERR_OK;
}

/* ---- steps side by side ---- */

enum { BLOCK_MAX = 64, BLOCK_LEAST = 8, FEW = 64, MANY = 4096 };

/* Steps [from, from + steps) of one group, all in one word of presence bits; bit s is step from + s. */
struct block {
    size_t from;
    size_t steps;
    uint64_t wanted; /* any may be chosen */
    uint64_t full;   /* as many as wanted are */
    size_t k[BLOCK_MAX];
    double bar[BLOCK_MAX]; /* of full ones: the top's value */
    struct heap heaps[BLOCK_MAX];
};

/* The more is kept of a step, the fewer steps fit into the caches at once. */
static size_t block_steps(size_t k_max) {
    return k_max <= FEW ? BLOCK_MAX : k_max <= MANY ? BLOCK_LEAST : 1;
}

static enum err_code block_init(struct block *b, const struct pick *p, size_t k_max,
                                struct err *err) {
    const size_t steps = block_steps(k_max);
    struct heap_item *items = work_alloc(p->tmp, steps * k_max + 1, sizeof(*items), err);
    if (items == NULL) {
        return ERR_LIMIT;
    }
    for (size_t s = 0; s < steps; s++) {
        b->heaps[s] =
            (struct heap){.items = items + s * k_max, .largest_first = p->op == AGG_BOTTOMK};
    }
    return ERR_OK;
}

/* n: of the group's rows. */
static void block_begin(struct block *b, const struct pick *p, size_t n, size_t from,
                        size_t steps) {
    b->from = from;
    b->steps = p->grid->count - from < steps ? p->grid->count - from : steps;
    b->wanted = 0;
    b->full = 0;
    for (size_t s = 0; s < b->steps; s++) {
        const int64_t wanted = (int64_t)scalar_at(&p->param, from + s);
        b->k[s] = wanted < 0 ? 0 : ((uint64_t)wanted < n ? (size_t)wanted : n);
        b->wanted |= (uint64_t)(b->k[s] > 0) << s;
        b->heaps[s].count = 0;
    }
}

static bool block_takes_all(const struct block *b, size_t n) {
    for (size_t s = 0; s < b->steps; s++) {
        if (b->k[s] > 0 && b->k[s] < n) {
            return false;
        }
    }
    return true;
}

static uint64_t block_present(const struct block *b, const struct row *row) {
    return row->present[b->from / 64] >> (b->from % 64) & b->wanted;
}

/* Those of the full steps at which the value may be better than the top; no number may always. */
static uint64_t beats_bar(const struct block *b, const double *v, bool smallest, uint64_t there) {
    uint64_t beats = 0;
    for (; there != 0; there &= there - 1) {
        const size_t s = (size_t)__builtin_ctzll(there);
        if ((there >> s & 0xFF) == 0xFF) {
            const double *low = smallest ? v + s : b->bar + s;
            const double *high = smallest ? b->bar + s : v + s;
            bool any = false;
            for (size_t i = 0; i < 8; i++) {
                any |= !(low[i] >= high[i]);
            }
            beats |= any ? UINT64_C(0xFF) << s : 0;
            there &= ~(UINT64_C(0xFE) << s);
        } else if (!(smallest ? v[s] >= b->bar[s] : b->bar[s] >= v[s])) {
            beats |= UINT64_C(1) << s;
        }
    }
    return beats;
}

/* Returns how many values were looked at one by one. */
static size_t block_offer(struct block *b, const struct pick *p, uint32_t index) {
    const struct row *row = &p->rows.rows[index];
    const uint64_t there = block_present(b, row);
    uint64_t open = there & ~b->full;
    if (p->op != AGG_LIMITK && (there & b->full) != 0) {
        open |= beats_bar(b, row->values + b->from, p->op == AGG_BOTTOMK, there & b->full);
    }
    const size_t looks = (size_t)__builtin_popcountll(open);
    for (; open != 0; open &= open - 1) {
        const size_t s = (size_t)__builtin_ctzll(open);
        struct heap *h = &b->heaps[s];
        const struct histogram *histogram = row_histogram(row, b->from + s);
        const struct heap_item item = {histogram != NULL ? 0 : row->values[b->from + s], index,
                                       histogram};
        heap_offer(h, b->k[s], item);
        if (h->count == b->k[s]) {
            b->full |= UINT64_C(1) << s;
            b->bar[s] = h->items[0].value;
        }
    }
    return looks;
}

/* Rows in the order given, at one step. */
static enum err_code emit_items(const struct pick *p, const struct heap *h, struct row_sink *sink,
                                struct err *err) {
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < h->count && code == ERR_OK; i++) {
        struct row *row = sink->begin(sink, err);
        if (row == NULL) {
            return ERR_LIMIT;
        }
        row->labels = p->rows.rows[h->items[i].row].labels;
        row->drop_name = p->rows.rows[h->items[i].row].drop_name;
        row->values[0] = h->items[i].value;
        if (h->items[i].histogram != NULL) {
            if (row_add_histograms(row, p->tmp, 1, err) != ERR_OK) {
                return ERR_LIMIT;
            }
            row->histograms[0] = h->items[i].histogram;
        }
        bits_set(row->present, 0);
        code = sink->end(sink, row, err);
    }
    return code;
}

/* ---- groups ---- */

struct top {
    struct pick *p;
    struct block block;
    size_t steps;     /* of a block */
    size_t words;     /* of a row's bits */
    uint64_t *chosen; /* by row: presence in the result */
};

static enum err_code note_chosen(struct top *t, struct err *err) {
    const struct block *b = &t->block;
    enum err_code code = ERR_OK;
    for (size_t s = 0; s < b->steps; s++) {
        for (size_t i = 0; i < b->heaps[s].count && code == ERR_OK; i++) {
            bits_set(t->chosen + b->heaps[s].items[i].row * t->words, b->from + s);
            code = eval_worked(t->p->ev, 1, err);
        }
    }
    return code;
}

/* The rows of one group, at the steps of a block. */
static enum err_code choose(struct top *t, const uint32_t *rows, size_t n, struct err *err) {
    struct block *b = &t->block;
    const bool all = block_takes_all(b, n) && t->p->grid->count > 1;
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        if (t->p->op == AGG_LIMITK && b->full == b->wanted) {
            break;
        }
        size_t looks = 0;
        if (all) {
            t->chosen[rows[i] * t->words + b->from / 64] |=
                block_present(b, &t->p->rows.rows[rows[i]]) << (b->from % 64);
        } else {
            looks = block_offer(b, t->p, rows[i]);
        }
        code = eval_worked(t->p->ev, 8 + 16 * looks, err);
    }
    return code == ERR_OK && !all ? note_chosen(t, err) : code;
}

static enum err_code choose_all(struct top *t, const struct pick_members *members,
                                struct row_sink *sink, struct err *err) {
    const struct pick *p = t->p;
    enum err_code code = ERR_OK;
    for (uint32_t g = 0; g < p->groups.keys.count && code == ERR_OK; g++) {
        const uint32_t *rows = members->rows + members->first[g];
        const size_t n = members->first[g + 1] - members->first[g];
        for (size_t from = 0; from < p->grid->count && code == ERR_OK; from += t->steps) {
            block_begin(&t->block, p, n, from, t->steps);
            code = choose(t, rows, n, err);
        }
        if (p->grid->count == 1 && code == ERR_OK) {
            if (p->op != AGG_LIMITK) {
                heap_sort(&t->block.heaps[0]);
            }
            code = emit_items(p, &t->block.heaps[0], sink, err);
        }
    }
    return code;
}

static size_t largest_group(const struct pick *p, const struct pick_members *members) {
    size_t largest = 0;
    for (uint32_t g = 0; g < p->groups.keys.count; g++) {
        const size_t n = members->first[g + 1] - members->first[g];
        largest = n > largest ? n : largest;
    }
    return largest;
}

enum err_code pick_top(struct pick *p, struct row_sink *sink, struct err *err) {
    bool empty = false;
    struct pick_members members;
    enum err_code code = check_k(p, &empty, err);
    if (code != ERR_OK || empty) {
        return code;
    }
    code = pick_members_list(p, &members, err);
    if (code != ERR_OK) {
        return code;
    }
    const size_t largest = largest_group(p, &members);
    const double max = pick_param_max(p);
    const size_t k_max = max < (double)largest ? (size_t)max : largest;
    struct top t = {.p = p, .steps = block_steps(k_max), .words = bits_words(p->grid->count)};
    t.chosen = work_zalloc(p->tmp, p->rows.count * t.words + 1, sizeof(*t.chosen), err);
    code = t.chosen != NULL ? block_init(&t.block, p, k_max, err) : ERR_LIMIT;
    if (code == ERR_OK) {
        code = choose_all(&t, &members, sink, err);
    }
    if (code != ERR_OK || p->grid->count == 1) {
        return code;
    }
    for (size_t i = 0; i < p->rows.count && code == ERR_OK; i++) {
        memcpy(p->rows.rows[i].present, t.chosen + i * t.words, t.words * sizeof(*t.chosen));
        code = eval_worked(p->ev, 1 + t.words, err);
    }
    return code == ERR_OK ? matrix_replay(&p->rows, sink, err) : code;
}

#include "tsdb/hist_columns.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/mutex.h"

/* ---- layouts ---- */

struct hist_layout hist_layout_of(const struct histogram *h, bool float_counts) {
    return (struct hist_layout){
        .bounds = h->bound_count != 0 ? h->bounds : NULL,
        .bound_count = h->bound_count,
        .schema = h->schema,
        .zero_threshold = histogram_is_custom(h) ? 0 : h->zero_threshold,
        .float_counts = float_counts,
        .gauge = h->hint == HINT_GAUGE,
    };
}

bool hist_layout_equal(const struct hist_layout *a, const struct hist_layout *b) {
    return a->schema == b->schema && a->float_counts == b->float_counts && a->gauge == b->gauge &&
           f64_same_bits(a->zero_threshold, b->zero_threshold) &&
           a->bound_count == b->bound_count &&
           (a->bound_count == 0 ||
            memcmp(a->bounds, b->bounds, a->bound_count * sizeof(*a->bounds)) == 0);
}

enum layout_flags { LAYOUT_FLOAT = 1, LAYOUT_GAUGE = 2 };

void hist_layout_encode(struct buf *to, const struct hist_layout *layout) {
    uint8_t bytes[1 + 2 * UVARINT_MAX + 8];
    uint8_t *at = put_u8(bytes, (uint8_t)((layout->float_counts ? LAYOUT_FLOAT : 0) |
                                          (layout->gauge ? LAYOUT_GAUGE : 0)));
    at = put_varint(at, layout->schema);
    at = put_u64(at, f64_bits(layout->zero_threshold));
    at = put_uvarint(at, layout->bound_count);
    buf_append(to, bytes, (size_t)(at - bytes));
    if (layout->bound_count != 0) {
        buf_append(to, layout->bounds, layout->bound_count * sizeof(*layout->bounds));
    }
}

static bool bounds_ascend(const double *bounds, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (!isfinite(bounds[i]) || (i > 0 && bounds[i] <= bounds[i - 1])) {
            return false;
        }
    }
    return true;
}

enum err_code hist_layout_decode(struct cursor *from, struct arena *arena,
                                 struct hist_layout *out) {
    const uint8_t flags = cursor_u8(from);
    const int64_t schema = cursor_varint(from);
    const double threshold = f64_of_bits(cursor_u64(from));
    const uint64_t bound_count = cursor_uvarint(from);
    const bool custom = schema == HISTOGRAM_SCHEMA_CUSTOM;
    if (from->failed || flags > (LAYOUT_FLOAT | LAYOUT_GAUGE) || bound_count > HIST_BOUNDS_MAX ||
        (!custom && (schema < HISTOGRAM_SCHEMA_MIN || schema > HISTOGRAM_SCHEMA_MAX)) ||
        (custom ? f64_bits(threshold) != 0 : bound_count != 0)) {
        return ERR_CORRUPT;
    }
    const uint8_t *bytes = cursor_bytes(from, bound_count * sizeof(double));
    if (bytes == NULL) {
        return ERR_CORRUPT;
    }
    double *bounds = NULL;
    if (bound_count != 0) {
        bounds = arena_try_alloc(arena, bound_count, sizeof(*bounds));
        if (bounds == NULL) {
            return ERR_LIMIT;
        }
        memcpy(bounds, bytes, bound_count * sizeof(*bounds));
        if (!bounds_ascend(bounds, (uint32_t)bound_count)) {
            return ERR_CORRUPT;
        }
    }
    *out = (struct hist_layout){
        .bounds = bounds,
        .bound_count = (uint32_t)bound_count,
        .schema = (int32_t)schema,
        .zero_threshold = threshold,
        .float_counts = (flags & LAYOUT_FLOAT) != 0,
        .gauge = (flags & LAYOUT_GAUGE) != 0,
    };
    return ERR_OK;
}

/* ---- the table ---- */

struct hist_layouts {
    struct mutex mu;
    struct hist_layout **items; /* by number - 1; NULL: nobody has the number */
    uint32_t count;
    uint32_t capacity;
    uint32_t *slots; /* open addressing: number, 0 = free */
    uint32_t slot_mask;
    size_t bytes;
};

struct hist_layouts *hist_layouts_new(void) {
    struct hist_layouts *layouts = mem_zalloc(sizeof(*layouts));
    mutex_init(&layouts->mu);
    layouts->slot_mask = 15;
    layouts->slots = mem_zalloc((layouts->slot_mask + (size_t)1) * sizeof(*layouts->slots));
    return layouts;
}

void hist_layouts_free(struct hist_layouts *layouts) {
    if (layouts == NULL) {
        return;
    }
    for (uint32_t i = 0; i < layouts->count; i++) {
        mem_free(layouts->items[i]);
    }
    mem_free(layouts->items);
    mem_free(layouts->slots);
    mutex_release(&layouts->mu);
    mem_free(layouts);
}

static uint64_t layout_hash(const struct hist_layout *layout) {
    const uint64_t seed = f64_bits(layout->zero_threshold) ^ (uint64_t)(uint32_t)layout->schema ^
                          (layout->float_counts ? UINT64_C(1) << 40 : 0) ^
                          (layout->gauge ? UINT64_C(1) << 41 : 0);
    return hash_keyed(layout->bounds != NULL ? (const void *)layout->bounds : "",
                      layout->bound_count * sizeof(*layout->bounds), seed);
}

/* Where the layout's number is, or a free slot. */
static uint32_t *slot_of(const struct hist_layouts *layouts, const struct hist_layout *layout)
    REQUIRES(layouts->mu) {
    uint32_t at = (uint32_t)layout_hash(layout) & layouts->slot_mask;
    while (layouts->slots[at] != 0 &&
           !hist_layout_equal(layouts->items[layouts->slots[at] - 1], layout)) {
        at = (at + 1) & layouts->slot_mask;
    }
    return &layouts->slots[at];
}

static void grow_slots(struct hist_layouts *layouts) REQUIRES(layouts->mu) {
    layouts->slot_mask = layouts->slot_mask * 2 + 1;
    mem_free(layouts->slots);
    layouts->slots = mem_zalloc((layouts->slot_mask + (size_t)1) * sizeof(*layouts->slots));
    for (uint32_t i = 0; i < layouts->count; i++) {
        if (layouts->items[i] != NULL) {
            *slot_of(layouts, layouts->items[i]) = i + 1;
        }
    }
}

static void put_item(struct hist_layouts *layouts, struct hist_layout *item) REQUIRES(layouts->mu) {
    if (layouts->count == layouts->capacity) {
        layouts->capacity = (uint32_t)mem_grow(layouts->capacity, layouts->count + (size_t)1);
        layouts->items =
            mem_resize(layouts->items, layouts->capacity, sizeof(struct hist_layout *));
    }
    if (layouts->count >= layouts->slot_mask / 2) {
        grow_slots(layouts);
    }
    layouts->items[layouts->count++] = item;
}

static uint32_t add_layout(struct hist_layouts *layouts, const struct hist_layout *layout)
    REQUIRES(layouts->mu) {
    const size_t bounds_bytes = layout->bound_count * sizeof(*layout->bounds);
    const size_t bytes = sizeof(*layout) + bounds_bytes;
    if (layouts->count == HIST_LAYOUTS_MAX || layout->bound_count > HIST_BOUNDS_MAX ||
        bytes > HIST_LAYOUT_BYTES_MAX - layouts->bytes) {
        return 0;
    }
    struct hist_layout *copy = mem_alloc(bytes);
    *copy = *layout;
    copy->bounds = NULL;
    if (bounds_bytes != 0) {
        copy->bounds = memcpy(copy + 1, layout->bounds, bounds_bytes);
    }
    put_item(layouts, copy);
    *slot_of(layouts, copy) = layouts->count;
    layouts->bytes += bytes;
    return layouts->count;
}

uint32_t hist_layouts_intern(struct hist_layouts *layouts, const struct hist_layout *layout) {
    mutex_lock(&layouts->mu);
    uint32_t number = *slot_of(layouts, layout);
    if (number == 0) {
        number = add_layout(layouts, layout);
    }
    mutex_unlock(&layouts->mu);
    return number;
}

static void skip_to(struct hist_layouts *layouts, uint32_t next) REQUIRES(layouts->mu) {
    while (layouts->count + 1 < next && layouts->count < HIST_LAYOUTS_MAX) {
        put_item(layouts, NULL);
    }
}

bool hist_layouts_define(struct hist_layouts *layouts, uint32_t number,
                         const struct hist_layout *layout) {
    mutex_lock(&layouts->mu);
    bool ok = number > layouts->count && *slot_of(layouts, layout) == 0;
    if (ok) {
        skip_to(layouts, number);
        ok = add_layout(layouts, layout) == number;
    }
    mutex_unlock(&layouts->mu);
    return ok;
}

void hist_layouts_skip(struct hist_layouts *layouts, uint32_t next) {
    mutex_lock(&layouts->mu);
    skip_to(layouts, next);
    mutex_unlock(&layouts->mu);
}

const struct hist_layout *hist_layouts_get(struct hist_layouts *layouts, uint32_t number) {
    mutex_lock(&layouts->mu);
    const struct hist_layout *layout =
        number != 0 && number <= layouts->count ? layouts->items[number - 1] : NULL;
    mutex_unlock(&layouts->mu);
    return layout;
}

uint32_t hist_layouts_count(struct hist_layouts *layouts) {
    mutex_lock(&layouts->mu);
    const uint32_t count = layouts->count;
    mutex_unlock(&layouts->mu);
    return count;
}

/* ---- taking apart ---- */

static struct hist_cell *split_side(const struct histogram_side *side, uint32_t layout,
                                    enum column_kind kind, struct hist_cell *to) {
    struct histogram_cursor c = histogram_cursor_of(side);
    int32_t index;
    double count;
    while (histogram_cursor_next(&c, &index, &count)) {
        *to++ = (struct hist_cell){
            .key = {.layout = layout, .bucket = index, .kind = (uint8_t)kind},
            .value = num_of_double(count),
        };
    }
    return to;
}

static struct hist_cell cell(uint32_t layout, enum column_kind kind, double value) {
    return (struct hist_cell){.key = {.layout = layout, .kind = (uint8_t)kind},
                              .value = num_of_double(value)};
}

size_t hist_split(const struct histogram *h, uint32_t layout, enum histogram_hint hint,
                  struct hist_cell *out) {
    struct hist_cell *to = out;
    *to++ = cell(layout, COLUMN_COUNT, h->count);
    if (!histogram_is_custom(h)) {
        *to++ = cell(layout, COLUMN_ZERO, h->zero_count);
    }
    *to++ = cell(layout, COLUMN_SUM, h->sum);
    to = split_side(&h->positive, layout, COLUMN_POSITIVE, to);
    to = split_side(&h->negative, layout, COLUMN_NEGATIVE, to);
    if (h->hint != HINT_GAUGE) {
        *to++ = cell(layout, COLUMN_HINT, hint);
    }
    return (size_t)(to - out);
}

/* ---- putting together ---- */

/* Columns of one layout, and what the row before had. */
struct assembly {
    struct arena *arena;
    const struct hist_column *columns;
    double *counts; /* scratch: of this row's buckets */
    uint32_t *at;   /* by column: number of the next value */
    uint32_t *set;  /* buckets of this row, as numbers of columns */
    uint32_t *last_set;
    uint32_t set_count;
    uint32_t last_set_count;
    const struct histogram *last; /* whose spans belong to last_set; NULL: none */
};

/* The value of a column in a row; rows only ascend. */
static bool value_at(const struct hist_column *c, uint32_t *at, uint32_t row, double *out) {
    if (c->rows != NULL) {
        while (*at < c->count && c->rows[*at] < row) {
            ++*at;
        }
        if (*at == c->count || c->rows[*at] != row) {
            return false;
        }
    } else {
        if (row >= c->count) {
            return false;
        }
        *at = row;
    }
    *out = c->values[*at];
    return true;
}

/* Spans of a side from its buckets: one for each run of neighbours. */
static bool make_spans(struct arena *arena, const struct hist_column *columns, const uint32_t *set,
                       uint32_t count, struct histogram_side *side) {
    uint32_t spans = 0;
    for (uint32_t i = 0; i < count; i++) {
        spans += i == 0 || columns[set[i]].key.bucket != columns[set[i - 1]].key.bucket + 1;
    }
    side->spans = arena_try_alloc(arena, spans + (size_t)1, sizeof(*side->spans));
    if (side->spans == NULL) {
        return false;
    }
    int32_t behind = 0;
    for (uint32_t i = 0; i < count; i++) {
        const int32_t bucket = columns[set[i]].key.bucket;
        if (i == 0 || bucket != behind) {
            side->spans[side->span_count++] = (struct histogram_span){.offset = bucket - behind};
        }
        side->spans[side->span_count - 1].length++;
        behind = bucket + 1;
    }
    return true;
}

/* Most rows have the same spans as the row before. */
static bool set_buckets(struct assembly *a, struct histogram *h) {
    h->positive.counts = arena_try_alloc(a->arena, a->set_count + (size_t)1, sizeof(*a->counts));
    if (h->positive.counts == NULL) {
        return false;
    }
    memcpy(h->positive.counts, a->counts, a->set_count * sizeof(*a->counts));
    h->negative.counts = h->positive.counts + h->positive.count;
    if (a->last != NULL && a->set_count == a->last_set_count &&
        memcmp(a->set, a->last_set, a->set_count * sizeof(*a->set)) == 0) {
        h->positive.spans = a->last->positive.spans;
        h->positive.span_count = a->last->positive.span_count;
        h->negative.spans = a->last->negative.spans;
        h->negative.span_count = a->last->negative.span_count;
    } else if (!make_spans(a->arena, a->columns, a->set, h->positive.count, &h->positive) ||
               !make_spans(a->arena, a->columns, a->set + h->positive.count, h->negative.count,
                           &h->negative)) {
        return false;
    }
    uint32_t *swap = a->last_set;
    a->last_set = a->set;
    a->set = swap;
    a->last_set_count = a->set_count;
    a->last = h;
    return true;
}

/* All but spans and counts of buckets, which stay in a. False: the columns do not fit. */
static bool fill_row(struct assembly *a, size_t n, uint32_t row, struct histogram *h) {
    bool has_sum = false;
    a->set_count = 0;
    for (size_t i = 0; i < n; i++) {
        const struct hist_column *c = &a->columns[i];
        double v;
        if (!value_at(c, &a->at[i], row, &v)) {
            continue;
        }
        switch ((enum column_kind)c->key.kind) {
        case COLUMN_ZERO:
            h->zero_count = v;
            break;
        case COLUMN_SUM:
            h->sum = v;
            has_sum = true;
            break;
        case COLUMN_POSITIVE:
        case COLUMN_NEGATIVE:
            a->counts[a->set_count] = v;
            a->set[a->set_count++] = (uint32_t)i;
            if (c->key.kind == COLUMN_POSITIVE) {
                h->positive.count++;
            }
            break;
        case COLUMN_HINT:
            if (!(v == HINT_UNKNOWN || v == HINT_RESET || v == HINT_NOT_RESET)) {
                return false;
            }
            h->hint = (enum histogram_hint)(int)v;
            break;
        case COLUMN_FLOAT:
        case COLUMN_START:
        case COLUMN_COUNT:
        case COLUMN_KINDS:
        default:
            break;
        }
    }
    h->negative.count = a->set_count - h->positive.count;
    return has_sum;
}

static enum err_code over_budget(struct err *err) {
    return err_set(err, ERR_LIMIT, "the histograms of a series pass the memory limit of the query");
}

static enum err_code assemble_layout(struct assembly *a, size_t n, uint32_t row_count,
                                     struct histogram **out, struct err *err) {
    const struct hist_column *count = a->columns;
    const struct hist_layout *layout = count->layout;
    a->last = NULL;
    memset(a->at, 0, n * sizeof(*a->at));
    for (uint32_t i = 0; i < count->count; i++) {
        const uint32_t row = count->rows != NULL ? count->rows[i] : i;
        if (row >= row_count || out[row] != NULL) {
            return err_set(err, ERR_CORRUPT, "a row has two histograms");
        }
        struct histogram *h = arena_try_alloc(a->arena, 1, sizeof(*h));
        if (h == NULL) {
            return over_budget(err);
        }
        *h = (struct histogram){.sum = f64_stale(), .float_counts = layout->float_counts};
        out[row] = h;
        if (f64_is_stale(count->values[i])) {
            continue;
        }
        *h = (struct histogram){
            .schema = layout->schema,
            .hint = layout->gauge ? HINT_GAUGE : HINT_UNKNOWN,
            .zero_threshold = layout->zero_threshold,
            .count = count->values[i],
            .bounds = (double *)(uintptr_t)layout->bounds, /* constant, as all of it */
            .bound_count = layout->bound_count,
            .float_counts = layout->float_counts,
        };
        if (!fill_row(a, n, row, h)) {
            return err_set(err, ERR_CORRUPT, "a histogram lacks its sum or has an unknown hint");
        }
        if (!set_buckets(a, h)) {
            return over_budget(err);
        }
    }
    return ERR_OK;
}

enum err_code hist_assemble(struct arena *arena, const struct hist_column *columns, size_t n,
                            uint32_t row_count, struct histogram **out, struct err *err) {
    struct assembly a = {
        .arena = arena,
        .counts = arena_try_alloc(arena, n + 1, sizeof(*a.counts)),
        .at = arena_try_alloc(arena, n + 1, sizeof(*a.at)),
        .set = arena_try_alloc(arena, n + 1, sizeof(*a.set)),
        .last_set = arena_try_alloc(arena, n + 1, sizeof(*a.last_set)),
    };
    if (a.counts == NULL || a.at == NULL || a.set == NULL || a.last_set == NULL) {
        return over_budget(err);
    }
    memset(out, 0, row_count * sizeof(struct histogram *));
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && columns[end].key.layout == columns[i].key.layout) {
            end++;
        }
        if (columns[i].key.layout == 0) {
            i = end;
            continue;
        }
        if (columns[i].key.kind != COLUMN_COUNT || columns[i].layout == NULL) {
            return err_set(err, ERR_CORRUPT, "columns of a histogram lack the one of its count");
        }
        a.columns = columns + i;
        const enum err_code code = assemble_layout(&a, end - i, row_count, out, err);
        if (code != ERR_OK) {
            return code;
        }
        i = end;
    }
    return ERR_OK;
}

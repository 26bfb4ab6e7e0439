#include "tsdb/exemplar_gather.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/value.h"
#include "tsdb/label_sets.h"

enum { SLACK = 1024 }; /* exemplars beside twice the maximum, until the oldest go */

struct gathered {
    uint32_t series; /* its number in the label sets */
    uint32_t place;  /* 0 .. in the order of the log */
    uint32_t tag;
    uint32_t labels_bytes;
    uint8_t *labels;
    uint64_t labels_hash;
    int64_t ts_ms;
    double value;
};

struct exemplar_gather {
    size_t max;
    struct gathered *items;
    size_t count;
    size_t capacity;
    struct label_sets series;
};

struct exemplar_gather *exemplar_gather_new(size_t max) {
    struct exemplar_gather *g = mem_zalloc(sizeof(*g));
    g->max = max > EXEMPLARS_MAX ? EXEMPLARS_MAX : max;
    label_sets_init(&g->series, 0);
    return g;
}

static void free_labels(struct gathered *items, size_t n) {
    for (size_t i = 0; i < n; i++) {
        mem_free(items[i].labels);
    }
}

void exemplar_gather_free(struct exemplar_gather *g) {
    if (g == NULL) {
        return;
    }
    free_labels(g->items, g->count);
    mem_free(g->items);
    label_sets_release(&g->series);
    mem_free(g);
}

/* ---- order ---- */

static int by_number(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

/* As the ring orders exemplars of one time; what is no number comes last. */
static int by_value(double a, double b) {
    if (isnan(a) || isnan(b)) {
        return isnan(a) - isnan(b);
    }
    return a < b ? -1 : a > b;
}

static struct labels labels_of_gathered(const struct gathered *e) {
    return (struct labels){e->labels, e->labels_bytes};
}

static int by_content(const struct gathered *a, const struct gathered *b) {
    int order = by_number(a->series, b->series);
    order = order != 0 ? order : a->ts_ms < b->ts_ms ? -1 : a->ts_ms > b->ts_ms;
    order = order != 0 ? order : by_value(a->value, b->value);
    order = order != 0 ? order : by_number(a->labels_hash, b->labels_hash);
    order = order != 0 ? order : by_number(f64_bits(a->value), f64_bits(b->value));
    return order != 0 ? order : labels_cmp(labels_of_gathered(a), labels_of_gathered(b));
}

static int by_content_then_place(const void *a, const void *b) {
    const struct gathered *x = a;
    const struct gathered *y = b;
    const int order = by_content(x, y);
    return order != 0 ? order : by_number(x->place, y->place);
}

static int by_place(const void *a, const void *b) {
    return by_number(((const struct gathered *)a)->place, ((const struct gathered *)b)->place);
}

static int by_u32(const void *a, const void *b) {
    return by_number(*(const uint32_t *)a, *(const uint32_t *)b);
}

/* ---- settling ---- */

/* Of what is there twice the last stays. */
static void leave_out_doubles(struct exemplar_gather *g) {
    size_t kept = 0;
    for (size_t i = 0; i < g->count; i++) {
        if (i + 1 < g->count && by_content(&g->items[i], &g->items[i + 1]) == 0) {
            mem_free(g->items[i].labels);
        } else {
            g->items[kept++] = g->items[i];
        }
    }
    g->count = kept;
}

/* The items of each series are sorted by content: so are then the places that they have. */
static void share_places(struct exemplar_gather *g) {
    uint32_t *places = mem_array(g->count + 1, sizeof(*places));
    for (size_t first = 0, end; first < g->count; first = end) {
        for (end = first; end < g->count && g->items[end].series == g->items[first].series; end++) {
            places[end - first] = g->items[end].place;
        }
        qsort(places, end - first, sizeof(*places), by_u32);
        for (size_t i = first; i < end; i++) {
            g->items[i].place = places[i - first];
        }
    }
    mem_free(places);
}

static void leave_out_oldest(struct exemplar_gather *g) {
    const size_t excess = g->count > g->max ? g->count - g->max : 0;
    free_labels(g->items, excess);
    g->count -= excess;
    if (excess != 0 && g->count != 0) {
        memmove(g->items, g->items + excess, g->count * sizeof(*g->items));
    }
}

static void number_places(struct exemplar_gather *g) {
    uint32_t least = UINT32_MAX;
    for (size_t i = g->count; i-- > 0;) {
        struct gathered *e = &g->items[i];
        least = e->tag < least ? e->tag : least;
        e->tag = least;
        e->place = (uint32_t)i;
    }
}

/* The items are the newest ones, each once, in the order in which the ring takes them. */
static void settle(struct exemplar_gather *g) {
    if (g->count == 0) {
        return;
    }
    qsort(g->items, g->count, sizeof(*g->items), by_content_then_place);
    leave_out_doubles(g);
    share_places(g);
    qsort(g->items, g->count, sizeof(*g->items), by_place);
    leave_out_oldest(g);
    number_places(g);
}

/* Label sets are never forgotten: those of the items that are left are gathered anew. */
static void forget_series(struct exemplar_gather *g) {
    struct label_sets kept;
    label_sets_init(&kept, 0);
    for (size_t i = 0; i < g->count; i++) {
        struct gathered *e = &g->items[i];
        e->series = label_sets_intern(&kept, label_sets_get(&g->series, e->series));
    }
    label_sets_release(&g->series);
    g->series = kept;
}

/* ---- in and out ---- */

void exemplar_gather_add(struct exemplar_gather *g, struct labels series,
                         const struct storage_exemplar *exemplar, uint32_t tag) {
    if (g->max == 0 || series.size > EXEMPLAR_LABELS_MAX ||
        exemplar->labels.size > EXEMPLAR_LABELS_MAX) {
        return;
    }
    const uint32_t number = label_sets_intern(&g->series, series);
    if (number == LABEL_SET_NONE) {
        return;
    }
    if (g->count == g->capacity) {
        g->capacity = mem_grow(g->capacity, g->count + 1);
        g->items = mem_resize(g->items, g->capacity, sizeof(*g->items));
    }
    const struct labels labels = exemplar->labels;
    struct gathered *e = &g->items[g->count];
    *e = (struct gathered){.series = number,
                           .place = (uint32_t)g->count,
                           .tag = tag,
                           .labels_bytes = (uint32_t)labels.size,
                           .labels = mem_alloc(labels.size + 1),
                           .labels_hash = labels_hash(labels),
                           .ts_ms = exemplar->ts_ms,
                           .value = exemplar->value};
    if (labels.size != 0) {
        memcpy(e->labels, labels.data, labels.size);
    }
    g->count++;
    if (g->count >= 2 * g->max + SLACK) {
        settle(g);
        forget_series(g);
    }
}

void exemplar_gather_pour(struct exemplar_gather *g, struct exemplars *ring) {
    settle(g);
    for (size_t i = 0; i < g->count; i++) {
        const struct gathered *e = &g->items[i];
        const struct storage_exemplar exemplar = {
            .labels = labels_of_gathered(e), .value = e->value, .ts_ms = e->ts_ms};
        (void)!exemplars_add(ring, label_sets_get(&g->series, e->series), &exemplar, e->tag);
    }
    free_labels(g->items, g->count);
    g->count = 0;
}

/* The data that generated queries read. */
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/histogram.h"
#include "base/value.h"
#include "tests/reference/query_maker.h"

unsigned choose_one(struct choices *c, unsigned n) {
    if (c->left > 0) {
        c->left--;
        return *c->bytes++ % n;
    }
    c->state = c->state * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)((c->state >> 33) % n);
}

bool choose_often(struct choices *c, unsigned percent) {
    return choose_one(c, 100) < percent;
}

/* A series' own stream: one byte of the input decides all of it, so that a changed byte changes one
 * series. */
static struct choices branch(struct choices *c, uint64_t index) {
    const uint64_t key = choose_one(c, 256) + 256 * index;
    return (struct choices){.state = (c->state ^ key) * 0x9E3779B97F4A7C15U + key};
}

enum kind { COUNTER, GAUGE, SMALL, ODD, NATIVE, CUSTOM, ANY_NATIVE, MIXED };

struct family {
    const char *name;
    enum kind kind;
    unsigned series;
    const char *label; /* beside job */
    bool starts;       /* samples have start timestamps */
};

static const struct family FAMILIES[] = {
    {"a_total", COUNTER, 6, "i", false},
    {"g", GAUGE, 6, "i", false},
    {"small", SMALL, 6, "i", false},
    {"odd", ODD, 6, "i", false},
    {"n", NATIVE, 6, "i", false},
    {"h_bucket", COUNTER, 6, "le", false},
    {"nc", CUSTOM, 4, "i", false},
    {"ng", ANY_NATIVE, 4, "i", false},
    {"nm", MIXED, 3, "i", false},
    {"st_total", COUNTER, 3, "i", true},
    {"st_n", NATIVE, 2, "i", true},
    {"up", SMALL, 4, "instance", false},
    {"target_info", SMALL, 4, "instance", false},
    {"build_info", SMALL, 3, "instance", false},
};

/* Multiples of 1/4: sums of them do not depend on the order. */
static double make_value(struct choices *c, enum kind kind, double before) {
    static const double ODDS[] = {NAN, INFINITY, -INFINITY, 0, -0.0, 1e308, -1e308, 3};
    switch (kind) {
    case COUNTER:
        return choose_often(c, 7) ? 0 : before + choose_one(c, 20) * 0.25;
    case GAUGE:
    case MIXED:
        return (double)choose_one(c, 200) * 0.25 - 20;
    case SMALL:
        return (double)choose_one(c, 5);
    case ODD:
    case NATIVE:
    case CUSTOM:
    case ANY_NATIVE:
        return ODDS[choose_one(c, COUNT_OF(ODDS))];
    }
    return 0;
}

/* ---- native histograms ---- */

enum { CELLS = 4 };

/* What a series goes on from. */
struct growing {
    double positive[CELLS], negative[CELLS], zero;
    int schema;
    double threshold;
    unsigned bounds;
};

static const double BOUNDS[][3] = {{0.5, 1, 2.5}, {0.5, 2.5, 5}, {-1, 0.5, 1}, {1, 2, 4}};

static struct ref_cells make_cells(struct arena *arena, const double *counts, int first, int gap,
                                   bool empty_too) {
    struct ref_cells out = {arena_zalloc(arena, CELLS * sizeof(struct ref_cell)), 0};
    for (int i = 0; i < CELLS; i++) {
        if (counts[i] != 0 || (empty_too && i == 1)) {
            out.items[out.count++] = (struct ref_cell){first + gap * i, {counts[i], 0}};
        }
    }
    return out;
}

static void grow(struct choices *c, struct growing *g, enum kind kind) {
    if (choose_often(c, 8)) {
        memset(g->positive, 0, sizeof(g->positive));
        memset(g->negative, 0, sizeof(g->negative));
        g->zero = 0;
    }
    if (choose_often(c, 6)) {
        g->schema = (int)choose_one(c, 4) - 1;
        g->bounds = choose_one(c, COUNT_OF(BOUNDS));
    }
    if (choose_often(c, 5)) {
        static const double THRESHOLDS[] = {0.001, 0.5, 0, 1.5};
        g->threshold = THRESHOLDS[choose_one(c, COUNT_OF(THRESHOLDS))];
    }
    g->positive[choose_one(c, CELLS)] += choose_one(c, 6);
    g->positive[choose_one(c, CELLS)] += choose_one(c, 3);
    if (kind == ANY_NATIVE) {
        g->negative[choose_one(c, CELLS)] += choose_one(c, 4);
    }
    g->zero += choose_often(c, 30) ? 1 : 0;
}

/* Nobody makes buckets that lie inside of the zero bucket. */
static void leave_out_zero(const struct ref_histogram *h, struct ref_cells *cells) {
    while (cells->count > 0 && ref_bound(h, cells->items[0].index) <= h->zero_threshold) {
        cells->items++;
        cells->count--;
    }
}

static struct ref_histogram *make_histogram(struct choices *c, struct arena *arena,
                                            struct growing *g, enum kind kind) {
    struct ref_histogram *h = arena_zalloc(arena, sizeof(*h));
    const bool custom = kind == CUSTOM || (kind == MIXED && choose_often(c, 40));
    const bool empty_too = choose_often(c, 5);
    grow(c, g, kind);
    h->schema = custom ? REF_CUSTOM : g->schema;
    h->positive = make_cells(arena, g->positive, custom ? 0 : -1, custom ? 1 : 2, empty_too);
    if (custom) {
        h->bounds = BOUNDS[g->bounds];
        h->bound_count = COUNT_OF(BOUNDS[0]);
    } else {
        h->negative = make_cells(arena, g->negative, -1, 1, empty_too);
        h->zero_threshold = g->threshold;
        h->zero.s = g->zero;
        leave_out_zero(h, &h->positive);
        leave_out_zero(h, &h->negative);
    }
    h->count.s = h->zero.s;
    for (size_t i = 0; i < h->positive.count; i++) {
        h->count.s += h->positive.items[i].n.s;
    }
    for (size_t i = 0; i < h->negative.count; i++) {
        h->count.s += h->negative.items[i].n.s;
    }
    h->sum.s = choose_often(c, 2) ? (double)NAN : h->count.s * 0.75;
    if (isnan(h->sum.s)) {
        h->count.s += choose_one(c, 3); /* observations that no bucket has */
    }
    h->hint = kind == ANY_NATIVE && choose_often(c, 60) ? REF_GAUGE : REF_UNKNOWN;
    return h;
}

/* ---- series ---- */

static int64_t make_start(struct choices *c, const struct ref_point *before, int64_t t) {
    switch (choose_one(c, 12)) {
    case 0:
        return t - 7000;
    case 1:
        return before != NULL ? before->t : 0;
    case 2:
        return 0;
    case 3:
        return t - 40000;
    default:
        return before != NULL ? before->start : DATA_START_MS - 10000;
    }
}

static void make_points(struct choices *c, struct arena *arena, const struct family *f,
                        struct ref_series *s) {
    const unsigned gaps = choose_one(c, 3) * 15;
    const unsigned late = choose_often(c, 20) ? choose_one(c, DATA_SAMPLES) : 0;
    const bool native = f->kind >= NATIVE;
    struct growing g = {.threshold = 0.001};
    double v = 0;
    s->points = arena_zalloc(arena, DATA_SAMPLES * sizeof(*s->points));
    for (unsigned i = late; i < DATA_SAMPLES; i++) {
        struct ref_point *p = &s->points[s->count];
        if (choose_often(c, gaps)) {
            continue;
        }
        p->t = DATA_START_MS + (int64_t)i * DATA_STEP_MS + (late > 0 ? choose_one(c, 3) : 0);
        p->start = f->starts ? make_start(c, s->count > 0 ? p - 1 : NULL, p->t) : 0;
        s->count++;
        if (native && !choose_often(c, f->kind == MIXED ? 15 : 4)) {
            p->h = make_histogram(c, arena, &g, f->kind);
            continue;
        }
        v = make_value(c, f->kind, v);
        p->v = choose_often(c, 4) ? f64_stale() : v;
    }
}

static struct labels make_labels(struct arena *arena, const struct family *f, unsigned i) {
    static const char *const LE[] = {"+Inf", "0.5", "1"};
    static const char *const DIGIT[] = {"0", "1", "2"};
    struct label labels[4] = {
        {LABEL_NAME, str_of(f->name)},
        {STR("job"), i % 2 == 0 ? STR("x") : STR("y")},
        {str_of(f->label), str_of(strcmp(f->label, "le") == 0 ? LE[i / 2] : DIGIT[i / 2])},
    };
    size_t n = 3;
    if (f->kind == SMALL && strcmp(f->label, "i") == 0 && i >= 4) {
        n = 2;
    }
    if (strstr(f->name, "_info") != NULL) {
        labels[n++] = (struct label){f->name[0] == 't' ? STR("data") : STR("version"),
                                     str_of(DIGIT[(i + 1) % 3])};
        if (i == 3) { /* the instance of series 2 */
            labels[1].value = STR("x");
            labels[n - 1].value = STR("other");
        }
    }
    return labels_of(arena, labels, n);
}

/* ---- single samples changed ---- */

static void set_value(struct arena *arena, struct ref_point *p, double v) {
    if (p->h == NULL || f64_is_stale(v)) {
        p->v = v;
        p->h = NULL;
        return;
    }
    struct ref_histogram *h = arena_alloc(arena, sizeof(*h));
    *h = *p->h;
    h->sum.s = v;
    p->h = h;
}

static void remove_point(struct ref_series *s, size_t at) {
    s->count--;
    memmove(&s->points[at], &s->points[at + 1], (s->count - at) * sizeof(*s->points));
}

static void change_point(struct choices *c, struct arena *arena, struct ref_series *s) {
    static const double VALUES[] = {NAN, INFINITY, -INFINITY, -0.0, 0, 1e308, -1e308, 0.25};
    const size_t at = choose_one(c, DATA_SAMPLES);
    if (at >= s->count) {
        return;
    }
    struct ref_point *p = &s->points[at];
    switch (choose_one(c, 8)) {
    case 0:
        remove_point(s, at);
        break;
    case 1:
        set_value(arena, p, f64_stale());
        break;
    case 2: /* the value before again */
        if (at > 0) {
            p->v = p[-1].v;
            p->h = p[-1].h;
        }
        break;
    case 3: /* beside the border of a window */
        p->t += 1;
        break;
    case 4:
        p->t -= 1;
        break;
    case 5: /* a float among histograms */
        p->h = NULL;
        break;
    default:
        set_value(arena, p, VALUES[choose_one(c, COUNT_OF(VALUES))]);
        break;
    }
}

/* ---- storing ---- */

static void spans_of(const struct ref_cells *cells, struct histogram_span *spans, double *counts,
                     struct histogram_side *out) {
    for (size_t i = 0; i < cells->count; i++) {
        const int gap =
            i == 0 ? cells->items[0].index : cells->items[i].index - cells->items[i - 1].index - 1;
        spans[i] = (struct histogram_span){.offset = gap, .length = 1};
        counts[i] = cells->items[i].n.s;
    }
    *out = (struct histogram_side){.spans = spans,
                                   .counts = counts,
                                   .span_count = (uint32_t)cells->count,
                                   .count = (uint32_t)cells->count};
}

/* before: the histogram of the sample before, or NULL. The hint becomes what the store keeps. */
static struct histogram *store_histogram(struct arena *arena, struct fake_storage *fs,
                                         struct labels labels, struct ref_point *p,
                                         const struct histogram *before) {
    struct ref_histogram *h = arena_alloc(arena, sizeof(*h));
    struct histogram_span spans[2][CELLS];
    double counts[2][CELLS];
    *h = *p->h;
    struct histogram made = {
        .schema = h->schema,
        .hint = h->hint == REF_GAUGE ? HINT_GAUGE : HINT_UNKNOWN,
        .zero_threshold = h->zero_threshold,
        .zero_count = h->zero.s,
        .count = h->count.s,
        .sum = h->sum.s,
        .bounds = (double *)h->bounds,
        .bound_count = (uint32_t)h->bound_count,
    };
    spans_of(&h->positive, spans[0], counts[0], &made.positive);
    spans_of(&h->negative, spans[1], counts[1], &made.negative);
    fake_storage_put_histogram(fs, labels, p->t, &made, p->start);
    made.hint = histogram_stored_hint(&made, before);
    struct histogram *stored = histogram_copy(arena, &made);
    ASSERT(stored != NULL);
    h->hint = made.hint == HINT_GAUGE       ? REF_GAUGE
              : made.hint == HINT_NOT_RESET ? REF_NOT_RESET
              : made.hint == HINT_RESET     ? REF_RESET
                                            : REF_UNKNOWN;
    p->h = h;
    return stored;
}

static void store_series(struct arena *arena, struct fake_storage *fs, struct ref_series *s) {
    struct histogram *before = NULL;
    for (size_t i = 0; i < s->count; i++) {
        struct ref_point *p = &s->points[i];
        if (p->h != NULL) {
            before = store_histogram(arena, fs, s->labels, p, before);
            continue;
        }
        before = NULL;
        p->start = f64_is_stale(p->v) ? 0 : p->start;
        if (p->start != 0) {
            fake_storage_put_started(fs, s->labels, p->t, p->v, p->start);
        } else {
            fake_storage_put(fs, s->labels, p->t, p->v);
        }
    }
}

struct place {
    const struct family *family;
    struct labels labels;
};

static int by_labels(const void *a, const void *b) {
    return labels_cmp(((const struct place *)a)->labels, ((const struct place *)b)->labels);
}

/* Stored by labels: in which order a store gives series is its own matter. */
struct ref_series *make_data(struct choices *c, struct arena *arena, struct fake_storage *fs,
                             size_t *out_count) {
    struct place places[COUNT_OF(FAMILIES) * 6];
    struct ref_series *all = arena_zalloc(arena, COUNT_OF(places) * sizeof(*all));
    size_t n = 0;
    for (size_t f = 0; f < COUNT_OF(FAMILIES); f++) {
        for (unsigned i = 0; i < FAMILIES[f].series; i++) {
            places[n++] = (struct place){&FAMILIES[f], make_labels(arena, &FAMILIES[f], i)};
        }
    }
    qsort(places, n, sizeof(*places), by_labels);
    for (size_t i = 0; i < n; i++) {
        struct choices own = branch(c, i);
        all[i].labels = places[i].labels;
        make_points(&own, arena, places[i].family, &all[i]);
    }
    for (unsigned left = choose_one(c, 12); left > 0; left--) {
        change_point(c, arena, &all[choose_one(c, (unsigned)n)]);
    }
    for (size_t i = 0; i < n; i++) {
        store_series(arena, fs, &all[i]);
    }
    *out_count = n;
    return all;
}

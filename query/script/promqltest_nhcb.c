#include "query/script/promqltest_nhcb.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

enum { NHCB_BUCKET, NHCB_SUM, NHCB_COUNT };

struct nhcb_series {
    struct nhcb_series *next;
    size_t part; /* NHCB_BUCKET ... */
    double le;
    struct point *points;
    size_t count;
};

struct nhcb_base {
    struct nhcb_base *next;
    struct labels labels;
    struct nhcb_series *series;
};

struct nhcb {
    struct arena *arena;
    struct nhcb_base *bases;
};

struct nhcb *nhcb_new(struct arena *arena) {
    struct nhcb *nhcb = arena_zalloc(arena, sizeof(*nhcb));
    nhcb->arena = arena;
    return nhcb;
}

static struct nhcb_base *base_of(struct nhcb *nhcb, struct labels labels) {
    for (struct nhcb_base *b = nhcb->bases; b != NULL; b = b->next) {
        if (labels_eq(b->labels, labels)) {
            return b;
        }
    }
    struct nhcb_base *b = arena_zalloc(nhcb->arena, sizeof(*b));
    *b = (struct nhcb_base){.next = nhcb->bases, .labels = labels};
    nhcb->bases = b;
    return b;
}

bool nhcb_add(struct nhcb *nhcb, struct labels labels, const struct sequence *values) {
    static const char *const SUFFIXES[] = {"_bucket", "_sum", "_count"};
    const struct str name = labels_get(labels, LABEL_NAME);
    size_t part = 0;
    while (part < COUNT_OF(SUFFIXES) && !str_ends(name, str_of(SUFFIXES[part]))) {
        part++;
    }
    struct nhcb_series *s = arena_zalloc(nhcb->arena, sizeof(*s));
    if (part == COUNT_OF(SUFFIXES) ||
        (part == NHCB_BUCKET &&
         (number_parse_double(labels_get(labels, STR("le")), &s->le) != NUMBER_OK ||
          isnan(s->le)))) {
        return true;
    }
    s->part = part;
    s->count = values->count;
    s->points = arena_alloc(nhcb->arena, values->count * sizeof(*s->points) + 1);
    memcpy(s->points, values->points, values->count * sizeof(*s->points));
    struct labels_builder b;
    struct labels base;
    labels_builder_init(&b, nhcb->arena);
    labels_builder_reset(&b, labels);
    labels_builder_del(&b, STR("le"));
    labels_builder_set(&b, LABEL_NAME, str_sub(name, 0, name.len - strlen(SUFFIXES[part])));
    if (labels_builder_finish(&b, &base, NULL) != ERR_OK) {
        return false;
    }
    struct nhcb_base *to = base_of(nhcb, base);
    s->next = to->series;
    to->series = s;
    return true;
}

struct cumulative {
    double le;
    double count;
};

static int by_le(const void *left, const void *right) {
    const struct cumulative *a = left;
    const struct cumulative *b = right;
    return (a->le > b->le) - (a->le < b->le);
}

/* One of those that write the same bound in different ways. */
static size_t once_each(struct cumulative *buckets, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || buckets[kept - 1].le != buckets[i].le) {
            buckets[kept++] = buckets[i];
        }
    }
    return kept;
}

/* The float of a series at its i-th step. */
static bool float_at(const struct nhcb_series *s, size_t i, double *out) {
    if (i >= s->count || s->points[i].kind != POINT_FLOAT) {
        return false;
    }
    *out = s->points[i].value;
    return true;
}

static bool put_one(struct nhcb *nhcb, struct fake_storage *fs, const struct nhcb_base *base,
                    size_t i, int64_t step_ms) {
    size_t most = 1;
    for (const struct nhcb_series *s = base->series; s != NULL; s = s->next) {
        most++;
    }
    struct cumulative *buckets = arena_alloc(nhcb->arena, most * sizeof(*buckets));
    size_t n = 0;
    double sum = 0;
    double count = 0;
    bool has_count = false;
    bool any = false;
    for (const struct nhcb_series *s = base->series; s != NULL; s = s->next) {
        double v = 0;
        if (!float_at(s, i, &v)) {
            continue;
        }
        any = true;
        if (s->part == NHCB_BUCKET) {
            buckets[n++] = (struct cumulative){s->le, v};
        } else if (s->part == NHCB_SUM) {
            sum = v;
        } else {
            count = v;
            has_count = true;
        }
    }
    if (!any) {
        return true;
    }
    qsort(buckets, n, sizeof(*buckets), by_le);
    n = once_each(buckets, n);
    if (!has_count) {
        count = n > 0 ? buckets[n - 1].count : 0;
    }
    if (n == 0 || !isinf(buckets[n - 1].le)) {
        buckets[n++] = (struct cumulative){INFINITY, count};
    }
    double *bounds = arena_alloc(nhcb->arena, n * sizeof(*bounds));
    double *counts = arena_alloc(nhcb->arena, n * sizeof(*counts));
    double before = 0;
    for (size_t k = 0; k < n; k++) {
        bounds[k] = buckets[k].le;
        counts[k] = buckets[k].count - before;
        if (counts[k] < 0) {
            return false;
        }
        before = buckets[k].count;
    }
    if (before != count) {
        return false;
    }
    struct histogram_span span = {.length = (uint32_t)n};
    const struct histogram h = {
        .schema = HISTOGRAM_SCHEMA_CUSTOM,
        .count = count,
        .sum = sum,
        .positive = {.spans = &span, .counts = counts, .span_count = 1, .count = (uint32_t)n},
        .bounds = bounds,
        .bound_count = (uint32_t)n - 1};
    fake_storage_put_histogram(fs, base->labels, (int64_t)i * step_ms, &h, 0);
    return true;
}

bool nhcb_put(struct nhcb *nhcb, struct fake_storage *fs, int64_t step_ms) {
    bool ok = true;
    for (const struct nhcb_base *b = nhcb->bases; b != NULL; b = b->next) {
        size_t steps = 0;
        bool has_bucket = false;
        for (const struct nhcb_series *s = b->series; s != NULL; s = s->next) {
            steps = s->count > steps ? s->count : steps;
            has_bucket = has_bucket || s->part == NHCB_BUCKET;
        }
        for (size_t i = 0; i < steps && has_bucket; i++) {
            ok = put_one(nhcb, fs, b, i, step_ms) && ok;
        }
    }
    return ok;
}

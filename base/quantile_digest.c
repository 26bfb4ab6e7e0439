#include "base/quantile_digest.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

void quantile_digest_init(struct quantile_digest *d) {
    *d = (struct quantile_digest){0};
}

void quantile_digest_release(struct quantile_digest *d) {
    mem_free(d->items);
    quantile_digest_init(d);
}

void quantile_digest_clear(struct quantile_digest *d) {
    d->count = 0;
}

static int by_mean(const void *a, const void *b) {
    const double x = ((const struct centroid *)a)->mean;
    const double y = ((const struct centroid *)b)->mean;
    return (x > y) - (x < y);
}

static void sort_items(struct quantile_digest *d) {
    if (d->count > 1) {
        qsort(d->items, d->count, sizeof(d->items[0]), by_mean);
    }
}

static double total_weight(const struct quantile_digest *d) {
    double total = 0;
    for (uint32_t i = 0; i < d->count; i++) {
        total += d->items[i].weight;
    }
    return total;
}

/* Where a quantile lies on the scale on which no centroid is longer than one. */
static double scale(double q) {
    return DIGEST_CENTROIDS_MAX / (2 * M_PI) * asin(2 * q - 1);
}

/* The largest quantile that a centroid that begins at q may reach. */
static double reach(double q) {
    const double end = scale(q) + 1;
    const double last = DIGEST_CENTROIDS_MAX / 4.0;
    return end >= last ? 1 : (sin(end * 2 * M_PI / DIGEST_CENTROIDS_MAX) + 1) / 2;
}

/* Neighbours become one while the scale allows it. Two that stay apart are longer than one
 * together, on a scale of DIGEST_CENTROIDS_MAX / 2: so there are at most DIGEST_CENTROIDS_MAX + 1. */
static void compress(struct quantile_digest *d) {
    sort_items(d);
    const double total = total_weight(d);
    uint32_t last = 0;
    double before = 0; /* weight of the centroids that are done */
    double limit = total * reach(0);
    for (uint32_t i = 1; i < d->count; i++) {
        struct centroid *const into = &d->items[last];
        const struct centroid next = d->items[i];
        if (before + into->weight + next.weight <= limit) {
            into->weight += next.weight;
            into->mean += (next.mean - into->mean) * next.weight / into->weight;
        } else {
            before += into->weight;
            limit = total * reach(before / total < 1 ? before / total : 1);
            d->items[++last] = next;
        }
    }
    d->count = last + 1;
    ASSERT(d->count <= DIGEST_CENTROIDS_MAX + 1);
}

static void add(struct quantile_digest *d, struct centroid item) {
    if (d->count == d->capacity && d->capacity < DIGEST_EXACT) {
        const uint32_t capacity = d->capacity == 0 ? 8 : d->capacity * 2;
        d->capacity = capacity < DIGEST_EXACT ? capacity : DIGEST_EXACT;
        d->items = mem_resize(d->items, d->capacity, sizeof(d->items[0]));
    }
    if (d->count == d->capacity) {
        compress(d);
    }
    d->items[d->count++] = item;
}

static void widen(struct quantile_digest *d, double min, double max) {
    d->min = d->count == 0 || min < d->min ? min : d->min;
    d->max = d->count == 0 || max > d->max ? max : d->max;
}

void quantile_digest_add(struct quantile_digest *d, double value) {
    if (!isnan(value)) {
        /* Means of infinite values would be no numbers. */
        const double kept = fmin(fmax(value, -1e300), 1e300);
        widen(d, kept, kept);
        add(d, (struct centroid){kept, 1});
    }
}

void quantile_digest_merge(struct quantile_digest *to, const struct quantile_digest *from) {
    if (from->count > 0) {
        widen(to, from->min, from->max);
        for (uint32_t i = 0; i < from->count; i++) {
            add(to, from->items[i]);
        }
    }
}

/* Each centroid stands at the middle of its weight; between two middles the value is on the line
 * between their means. Single values stand for themselves. */
double quantile_digest_quantile(struct quantile_digest *d, double q) {
    if (d->count == 0) {
        return NAN;
    }
    sort_items(d);
    const double total = total_weight(d);
    const double rank = ceil(q * total) > 1 ? ceil(q * total) : 1;
    double before = 0;
    for (uint32_t i = 0; i < d->count; i++) {
        const struct centroid c = d->items[i];
        if (rank > before + c.weight && i + 1 < d->count) {
            before += c.weight;
            continue;
        }
        if (c.weight <= 1) {
            return c.mean;
        }
        const double left = i == 0 ? d->min : (d->items[i - 1].mean + c.mean) / 2;
        const double right = i + 1 == d->count ? d->max : (d->items[i + 1].mean + c.mean) / 2;
        const double at = (rank - before - 0.5) / c.weight;
        return at < 0.5 ? left + (c.mean - left) * at * 2
                        : c.mean + (right - c.mean) * (at - 0.5) * 2;
    }
    UNREACHABLE("the last centroid ends the search");
}

/* Quantiles of a stream in bounded memory: a merging t-digest.
 *
 * Values are kept as centroids (mean and weight) that are small near both ends and larger in the
 * middle, so that the 0.01 and 0.99 quantiles are sharp. Up to DIGEST_EXACT values are kept as
 * they are. After T. Dunning and O. Ertl, "Computing extremely accurate quantiles using
 * t-digests" (2019), with the scale function k1.
 *
 * Owner: whoever observes; one thread at a time. */
#ifndef BASE_QUANTILE_DIGEST_H
#define BASE_QUANTILE_DIGEST_H

#include <stdint.h>

/* Most centroids after a compression, and entries before one: 5 KiB in all. */
enum { DIGEST_CENTROIDS_MAX = 128, DIGEST_EXACT = 320 };

struct centroid {
    double mean;
    double weight;
};

struct quantile_digest {
    struct centroid *items; /* sorted when compressed; grows with use */
    uint32_t count, capacity;
    double min, max; /* of what was added; of no use while count is 0 */
};

void quantile_digest_init(struct quantile_digest *d);
void quantile_digest_release(struct quantile_digest *d);
/* Forgets all values, keeps the memory. */
void quantile_digest_clear(struct quantile_digest *d);
/* NaN is left out. */
void quantile_digest_add(struct quantile_digest *d, double value);
/* Adds what from holds. */
void quantile_digest_merge(struct quantile_digest *to, const struct quantile_digest *from);
/* The q-quantile, 0 <= q <= 1; NaN when nothing was added. */
double quantile_digest_quantile(struct quantile_digest *d, double q);

#endif

/* The inner loops of reading blocks, for the vector units that machines have.
 *
 * Every set does the same, bit for bit; the portable one is plain C. Loops write exactly n elements
 * and read exactly n (unpack: no byte behind size). Pure; the sets are constants. */
#ifndef TSDB_CHUNK_COLUMN_KERNELS_H
#define TSDB_CHUNK_COLUMN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Widest value that lies within 8 bytes whatever bit it starts at. */
enum { KERNEL_WIDTH_MAX = 57 };

/* One integer of a block is first + (distance << shift). */
struct placement {
    uint64_t first;
    uint8_t shift; /* 0 .. 63 */
};

struct column_kernels {
    const char *name;
    /* n values of width bits (1 .. KERNEL_WIDTH_MAX) from bit on; they end within size bytes. */
    void (*unpack)(const uint8_t *from, size_t size, size_t bit, unsigned width, size_t n,
                   uint64_t *out);
    /* v[i] = from + the sum of the terms up to i; a term is unzigzag(v[i]) or v[i] + base. */
    void (*sum)(uint64_t *v, size_t n, bool zigzag, uint64_t base, uint64_t from);
    /* Distances to integers; in place is fine. out: n times 8 bytes, integers or bits of doubles. */
    void (*place)(const uint64_t *d, size_t n, struct placement p, void *out);
    /* Distances to the doubles nearest to integer / power. */
    void (*divide)(const uint64_t *d, size_t n, struct placement p, double power, double *out);
    void (*fill)(void *out, size_t n, uint64_t with);
    /* v[i] += from + i * step */
    void (*ramp)(uint64_t *v, size_t n, uint64_t from, uint64_t step);
    /* Is each greater than the one before? */
    bool (*ascends)(const int64_t *v, size_t n);
};

extern const struct column_kernels column_kernels_portable;

/* The fastest set of this machine. */
const struct column_kernels *column_kernels_best(void);

/* For tests: the i-th set that this machine can run, NULL behind the last. */
const struct column_kernels *column_kernels_at(size_t i);

#endif

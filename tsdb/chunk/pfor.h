/* Patched frame of reference: n integers of w bits each; the few that are longer have their high
 * bits in a list of patches behind. The widths are those with the smallest sum, found from one
 * histogram of bit lengths. Format: FORMAT.md section 5.3. Pure. */
#ifndef TSDB_CHUNK_PFOR_H
#define TSDB_CHUNK_PFOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

enum { PFOR_COUNT_MAX = 2048 };

struct pfor_plan {
    uint8_t width;
    uint8_t patch_width; /* of the high bits */
    uint16_t patch_count;
    uint32_t bytes;
};

/* How many values have which bit length, counted by whoever has the values at hand. Two tables:
 * neighbours are often of one length, and each count would wait for the one before. */
struct pfor_lengths {
    uint16_t counts[2][72]; /* by length, 0 .. 64; filled in turn */
};

/* The best plan for n values (at most PFOR_COUNT_MAX). */
struct pfor_plan pfor_plan(const uint64_t *v, size_t n);
/* The same for the n values that were counted. */
struct pfor_plan pfor_plan_of(const struct pfor_lengths *lengths, size_t n);
/* Writes plan.bytes bytes; returns the byte behind. */
uint8_t *pfor_write(uint8_t *to, const uint64_t *v, size_t n, struct pfor_plan plan);
/* Reads n values from the start of bytes; *out_used tells how many bytes they took. ERR_CORRUPT. */
MUST_CHECK enum err_code pfor_read(const uint8_t *bytes, size_t size, size_t n, uint64_t *out,
                                   size_t *out_used);

#endif

/* Kernels of lanes.h written for AVX-512 where the compiler makes scalar code of the common source.
 * Pure; only for processors that lanes.c asked. */
#ifndef QUERY_LANES_AVX512_H
#define QUERY_LANES_AVX512_H

#include <stdbool.h>
#include <stddef.h>

#include "query/lanes.h"

#if defined(__x86_64__)

#define LANES_AVX512 __attribute__((target("avx512f,avx512dq,avx512vl")))

LANES_AVX512 size_t rate_avx512(const struct lane_windows *w, const struct lane_rate *rate,
                                size_t eights, double *out);
LANES_AVX512 size_t next_drop_avx512(const double *v, size_t count, size_t from);

#endif

#endif

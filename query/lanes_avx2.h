/* The kernels of lanes.h written for AVX2: of its eight lanes compilers make scalar code there, slower
 * than the portable set. Pure; only for processors that lanes.c asked. */
#ifndef QUERY_LANES_AVX2_H
#define QUERY_LANES_AVX2_H

#include "query/lanes.h"

#if defined(__x86_64__)
extern const struct lane_kernels lanes_avx2;
#endif

#endif

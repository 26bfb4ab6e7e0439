/* Known lines with vectors of 32 bytes; compiled for AVX2 and BMI2. */
#ifdef __AVX2__
#define KNOWN_LINES known_lines_avx2
#include "scrape/known_lines_loop.h"
#else
#error "this file wants -mavx2"
#endif

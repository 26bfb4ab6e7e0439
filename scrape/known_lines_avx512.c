/* Known lines with vectors of 64 bytes and masks; compiled for AVX-512 BW and BMI2. */
#ifdef __AVX512BW__
#define KNOWN_LINES known_lines_avx512
#include "scrape/known_lines_loop.h"
#else
#error "this file wants -mavx512bw"
#endif

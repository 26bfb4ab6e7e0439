/* Known lines with the vectors that every machine of its kind has: SSE2, NEON. */
#define KNOWN_LINES known_lines_base
#include "scrape/known_lines_loop.h"

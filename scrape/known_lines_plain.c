/* Known lines without vectors: for machines that have none of ours, and for tests. */
#define LINE_KERNEL_SCALAR
#define KNOWN_LINES known_lines_plain
#include "scrape/known_lines_loop.h"

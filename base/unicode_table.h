/* Unicode data behind base/utf8.c: which runes print, and the simple case mappings. */
#ifndef BASE_UNICODE_TABLE_H
#define BASE_UNICODE_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* Every step-th rune of low .. high maps to itself plus delta. Sorted, not overlapping but for
 * interleaved runs of step 2. */
struct unicode_run {
    uint32_t low;
    uint32_t high;
    int32_t delta;
    uint32_t step;
};

/* Runes from an even entry up to the next one print; from an odd entry on they do not. */
extern const uint32_t unicode_print_edges[];
extern const size_t unicode_print_edge_count;
extern const struct unicode_run unicode_lower_runs[];
extern const size_t unicode_lower_runs_count;
extern const struct unicode_run unicode_upper_runs[];
extern const size_t unicode_upper_runs_count;

#endif

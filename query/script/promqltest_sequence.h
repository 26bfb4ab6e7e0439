/* Value sequences of the PromQL test language (spec/promql.md section 12): floats, histograms, gaps,
 * start timestamps. Histograms live in the arena given. */
#ifndef QUERY_SCRIPT_PROMQLTEST_SEQUENCE_H
#define QUERY_SCRIPT_PROMQLTEST_SEQUENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/histogram.h"
#include "base/str.h"

enum point_kind { POINT_NONE, POINT_FLOAT, POINT_HISTOGRAM };

struct point {
    enum point_kind kind;
    double value;
    const struct histogram *histogram;
    bool hint_given; /* else any is right */
};

struct sequence {
    struct point *points; /* mem_free */
    size_t count, capacity;
};

/* "1 2+3x4 _ stale {{count:1}}x2"; replaces what is in out. False: cannot be read. */
bool sequence_parse(struct arena *arena, struct str text, struct sequence *out);
/* "_x2 -30s-1mx2": the values are ms, added to the times of the samples. */
bool sequence_parse_starts(struct str text, struct sequence *out);
/* A number at the start of s, which moves behind it. */
bool sequence_take_number(struct str *s, double *out);

#endif

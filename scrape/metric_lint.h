/* Style checks of an exposition page, those of promtool check metrics (spec/promtool.md 2.3), and
 * how many series each metric family of it makes.
 *
 * The page is in the text format. Results live in the arena. One thread; pure. */
#ifndef SCRAPE_METRIC_LINT_H
#define SCRAPE_METRIC_LINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"

struct metric_problem {
    struct str metric;
    struct str text;
};

struct metric_cardinality {
    struct str metric;
    uint64_t series;
};

struct metric_lint {
    struct metric_problem *problems; /* by metric, then text */
    size_t problem_count;
    struct metric_cardinality *families; /* most series first, then by name */
    size_t family_count;
    uint64_t series_count; /* of all families */
};

/* ERR_INVALID: the page cannot be read; the message names the line. */
MUST_CHECK enum err_code metric_lint(struct str page, struct arena *arena, struct metric_lint *out,
                                     struct err *err);

#endif

/* Runner of the PromQL test language (spec/promql.md section 12): load and eval commands against
 * an engine of its own on a fake storage.
 * Each instant eval that passes is run as a range query around its time as well, and with @ at its
 * time at other times. */
#ifndef QUERY_SCRIPT_PROMQLTEST_H
#define QUERY_SCRIPT_PROMQLTEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct promqltest_report {
    size_t passed;
    size_t unsupported; /* the engine said so */
    size_t failed;
};

/* name shows in messages about failures, which go to stderr when verbose. */
void promqltest_run(const char *name, struct str script, bool verbose,
                    struct promqltest_report *out);

#endif

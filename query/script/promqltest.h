/* Runner of the PromQL test language (spec/promql.md section 12): load and eval commands against
 * an engine of its own on a fake storage.
 * Each instant eval that passes is run as a range query around its time as well, and with @ at its
 * time at other times. */
#ifndef QUERY_SCRIPT_PROMQLTEST_H
#define QUERY_SCRIPT_PROMQLTEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "tsdb/storage.h"

struct promqltest_report {
    size_t passed;
    size_t unsupported; /* the engine said so */
    size_t failed;
};

/* Where the data of a script is queried instead of the fake storage: fill is called before the first
 * eval after any load, with all that was loaded, and gives a storage with just that (NULL: it
 * failed), which stays until the next call. */
struct promqltest_store {
    struct storage *(*fill)(struct promqltest_store *store, struct storage *from);
};

/* name shows in messages about failures, which go to stderr when verbose. */
void promqltest_run(const char *name, struct str script, bool verbose,
                    struct promqltest_report *out);
/* store may be NULL. */
void promqltest_run_on(struct promqltest_store *store, const char *name, struct str script,
                       bool verbose, struct promqltest_report *out);

#endif

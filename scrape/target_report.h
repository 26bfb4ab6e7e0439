/* What is known of a target's scrapes: how the last one went, since when it is so, and which
 * errors came before. Bounded: REPORT_ERROR_COUNT errors of REPORT_ERROR_BYTES each, kept by
 * targets that fail.
 *
 * Owner: a loop; guarded by its pool's mu. */
#ifndef SCRAPE_TARGET_REPORT_H
#define SCRAPE_TARGET_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "scrape/scrape.h"
#include "scrape/scrape_job.h"

enum { REPORT_ERROR_COUNT = 8, REPORT_ERROR_BYTES = 512 };

struct target_errors;

struct target_report {
    char *last_error; /* owned; NULL = none */
    int64_t last_scrape_unix_ns;
    int64_t last_duration_ns;
    int64_t since_unix_ns; /* of the first scrape with this health and reason */
    enum target_health health;
    enum scrape_failure failure;
    struct scrape_counts counts;
    struct target_errors *errors; /* owned; NULL = none yet */
};

void target_report_release(struct target_report *report);
/* Forgets the target: another one goes on in its place. */
void target_report_clear(struct target_report *report);
/* One scrape's result. True when health or reason are not what they were; a target that is up from
 * its first scrape has not changed. */
bool target_report_add(struct target_report *report, const struct scrape_job *job);
/* The errors, newest first, in arena. */
const struct target_error *target_report_errors(const struct target_report *report,
                                                struct arena *arena, size_t *out_count);

#endif

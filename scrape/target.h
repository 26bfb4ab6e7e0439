/* One scrape target: labels, URL and identity from a discovered label set (spec/scrape.md 1).
 *
 * Owner: the loops and jobs that hold references. Immutable, one allocation each; any thread may
 * read a target that it is given. */
#ifndef SCRAPE_TARGET_H
#define SCRAPE_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/labels.h"
#include "scrape/scrape.h"

struct target {
    unsigned refs;            /* counted on the manager's io thread */
    struct labels discovered; /* before relabelling */
    struct labels all;        /* after it, __labels included: the identity */
    struct labels labels;     /* what is attached to samples; empty for dropped targets */
    struct str url;           /* "" for dropped targets */
    struct str unix_socket;   /* "" = by URL */
    int64_t interval_ms, timeout_ms;
    struct scrape_histograms histograms;
    uint64_t hash;
};

/* Builds a target from a discovered one and its group's labels. *out_dropped: relabelling dropped
 * it; *out then has only discovered. Scratch memory comes from scratch. The caller owns one
 * reference. */
MUST_CHECK enum err_code target_new(const struct scrape_config *config, struct labels own,
                                    struct labels group, struct arena *scratch, struct target **out,
                                    bool *out_dropped, struct err *err);
/* The labels that relabelling begins with: discovered ones and what the job sets where they are
 * silent. In arena. */
MUST_CHECK enum err_code target_discovered(const struct scrape_config *config, struct labels given,
                                           struct arena *arena, struct labels *out,
                                           struct err *err);
struct target *target_ref(struct target *t);
void target_unref(struct target *t); /* NULL is fine */

/* Nanoseconds until the first scrape: a point in the interval that depends on the target and the
 * server (seed), so that load spreads and stays put over restarts. */
int64_t target_offset_ns(const struct target *t, int64_t interval_ms, uint64_t seed,
                         int64_t now_unix_ns);
/* FNV-1a over host name and external labels. */
uint64_t target_offset_seed(struct str fqdn, struct labels external_labels);

#endif

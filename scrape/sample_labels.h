/* Labels of a stored series from those that a page exposes: merging with the target's labels,
 * metric_relabel_configs, validity and the label limits (spec/scrape.md section 6, steps 3 and 4).
 *
 * Runs once per new series, never per sample. Pure; results live in the arena. */
#ifndef SCRAPE_SAMPLE_LABELS_H
#define SCRAPE_SAMPLE_LABELS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/labels.h"
#include "scrape/scrape.h"

/* exposed: sorted by name, n >= 1, as expo_labels gives them. *out_keep is false when
 * relabelling dropped the series. ERR_INVALID for sets that no series may have, ERR_LIMIT with
 * Prometheus' text for a passed label limit. */
MUST_CHECK enum err_code sample_labels_make(const struct scrape_config *config,
                                            struct labels target, const struct label *exposed,
                                            size_t n, struct arena *arena, struct labels *out,
                                            bool *out_keep, struct err *err);

/* name{target labels}: a report series such as up. */
struct labels sample_labels_report(struct arena *arena, struct str name, struct labels target);
/* scrape_failure_reason{reason, target labels}; a target's own label reason gives way. */
struct labels sample_labels_reason(struct arena *arena, struct str reason, struct labels target);

#endif

/* OpenMetrics 0.0.1 / 1.0.0 (spec/scrape.md 5.2): one of the formats behind scrape/expo.h, whose
 * contract holds here. The end is where "# EOF" stands; a body without it is refused. */
#ifndef SCRAPE_EXPO_OPENMETRICS_H
#define SCRAPE_EXPO_OPENMETRICS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "scrape/expo.h"

/* expo_next for EXPO_FORMAT_OPENMETRICS, but for the length of lines. A sample's
 * exemplar is left in p->exemplar. */
MUST_CHECK enum err_code expo_openmetrics_next(struct expo_parser *p, struct expo_entry *out,
                                               struct err *err);

/* For who knows the series of a line and its value by heart: reads on at value_end, through
 * timestamp and exemplar to the next line, where p->at is then. False when the line is not a good
 * one; expo_next at its start says why. Sets out's timestamp only. */
bool expo_openmetrics_rest(struct expo_parser *p, size_t line_at, size_t value_end,
                           struct expo_entry *out);

#endif

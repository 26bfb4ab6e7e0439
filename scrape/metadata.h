/* Metadata of a target's families, read from the comments of its last page on demand: it costs no
 * memory of its own, because the template keeps those comments anyway. */
#ifndef SCRAPE_METADATA_H
#define SCRAPE_METADATA_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/labels.h"
#include "base/str.h"
#include "scrape/expo.h"
#include "scrape/scrape.h"

/* Calls fn for every family of comments (whole HELP, TYPE and UNIT lines as exposed), sorted by
 * name; only for family unless that is empty. False: fn stopped it. Strings handed to fn
 * live in arena or are borrowed from comments. */
bool metadata_each(struct str comments, enum expo_format format, struct labels target,
                   struct str family, struct arena *arena,
                   bool (*fn)(void *ctx, const struct metric_metadata *md), void *ctx);

#endif

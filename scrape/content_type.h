/* What a scrape asks for and what it may be answered with (spec/scrape.md 3 and 4). Pure. */
#ifndef SCRAPE_CONTENT_TYPE_H
#define SCRAPE_CONTENT_TYPE_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "scrape/expo.h"
#include "scrape/scrape.h"

/* Value of the Accept header for the configuration. Features that want start timestamps (SCRAPE_*)
 * put protobuf in front of the default protocols. */
void accept_header_append(struct buf *to, const struct scrape_config *config, unsigned features);

/* How to read a body that is not empty. ERR_INVALID: no usable Content-Type and no fallback. */
MUST_CHECK enum err_code content_type_select(struct str content_type, enum scrape_protocol fallback,
                                             enum expo_format *out, struct err *err);

#endif

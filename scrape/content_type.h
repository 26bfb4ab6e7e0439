/* What a scrape asks for and what it may be answered with (spec/scrape.md 3 and 4).
 *
 * This version reads the text formats and OpenMetrics. Of the configured protocols the Accept
 * header leaves out PrometheusProto: a target that speaks several then answers with one we can
 * read. The weights are those that the protocols would have without it. Protobuf answers are
 * refused with a text that says so. Pure. */
#ifndef SCRAPE_CONTENT_TYPE_H
#define SCRAPE_CONTENT_TYPE_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "scrape/expo.h"
#include "scrape/scrape.h"

/* Value of the Accept header for the configuration. */
void accept_header_append(struct buf *to, const struct scrape_config *config);

/* How to read a body that is not empty. ERR_INVALID: no usable Content-Type and no fallback.
 * ERR_UNSUPPORTED: a format that this version does not read. */
MUST_CHECK enum err_code content_type_select(struct str content_type, enum scrape_protocol fallback,
                                             enum expo_format *out, struct err *err);

#endif

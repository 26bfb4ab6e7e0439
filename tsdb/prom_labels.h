/* Label sets from Prometheus' files to our packed form (base/labels.h). Pure. */
#ifndef TSDB_PROM_LABELS_H
#define TSDB_PROM_LABELS_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Adds the next label of a set; *before is the name of the one before, and becomes this one's. An
 * empty value adds nothing. ERR_CORRUPT: names empty or not ascending; ERR_LIMIT: a string beyond
 * LABEL_STRING_MAX, or the buffer is full. */
MUST_CHECK enum err_code prom_labels_add(struct buf *to, struct str *before, struct str name,
                                         struct str value, struct err *err);

#endif

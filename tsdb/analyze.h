/* Cardinality, churn and bytes of the newest block of a data directory, of Prometheus' or our own, as
 * text (promtool tsdb analyze, spec/promtool.md section 7). One thread. Memory: about 100 bytes and
 * the text for each label pair. */
#ifndef TSDB_ANALYZE_H
#define TSDB_ANALYZE_H

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/vfs.h"

/* block: a ULID or a partition's name; NULL: the newest. limit: lines of each list. Sections of
 * samples and bytes a metric are there for a database of ours. ERR_NOT_FOUND: no such block. */
MUST_CHECK enum err_code analyze_block(struct vfs *vfs, const char *path, const char *block,
                                       size_t limit, struct buf *to, struct err *err);

#endif

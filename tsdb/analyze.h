/* Cardinality, churn and bytes of the newest block of a data directory, of Prometheus' or our own, as
 * text (promtool tsdb analyze, spec/promtool.md section 7). One thread. Memory: about 100 bytes and
 * the text for each label pair. */
#ifndef TSDB_ANALYZE_H
#define TSDB_ANALYZE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/matcher.h"
#include "base/vfs.h"

struct analyze_options {
    struct vfs *vfs;
    const char *path;
    const char *block;              /* a ULID or a partition's name; NULL: the newest */
    size_t limit;                   /* lines of each list */
    bool extended;                  /* how full the chunks are, too: of a block of Prometheus */
    const struct matcher *matchers; /* only series that all match; none: all series */
    size_t matcher_count;
    const char *selector; /* what the matchers are written as */
};

/* Sections of samples and bytes a metric are there for a database of ours. ERR_NOT_FOUND: no such
 * block. ERR_UNSUPPORTED: extended of a database of ours. */
MUST_CHECK enum err_code analyze_block(const struct analyze_options *options, struct buf *to,
                                       struct err *err);

#endif

/* The index file of a Prometheus block, version 2 (layout: Prometheus' tsdb/docs/format/index.md).
 * The counterpart of prom_index.h.
 *
 * The file begins with its symbols, which are known when all series are: entries are kept, packed,
 * until then. One thread. */
#ifndef TSDB_PROM_INDEX_WRITER_H
#define TSDB_PROM_INDEX_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/vfs.h"
#include "tsdb/prom_index.h"

struct prom_index_writer;

struct prom_index_writer *prom_index_writer_new(void);
void prom_index_writer_free(struct prom_index_writer *w); /* NULL is fine */

/* By ascending labels_cmp. ERR_LIMIT: more than an index can hold. */
MUST_CHECK enum err_code prom_index_writer_add(struct prom_index_writer *w, struct labels labels,
                                               const struct prom_chunk_meta *chunks, size_t n,
                                               struct err *err);
/* Writes all of it to path, which must not exist, and syncs it. */
MUST_CHECK enum err_code prom_index_writer_finish(struct prom_index_writer *w, struct vfs *vfs,
                                                  const char *path, struct err *err);

#endif

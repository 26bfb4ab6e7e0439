/* A database as text: its samples, and its partitions as a table. For tools. */
#ifndef TSDB_STORAGE_DUMP_H
#define TSDB_STORAGE_DUMP_H

#include <stdbool.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/vfs.h"
#include "tsdb/prom_dump.h"
#include "tsdb/storage.h"

/* Is this folder a database of ours? */
bool storage_is_database(struct vfs *vfs, const char *path);

/* As prom_dump, of an open storage: "{labels} value milliseconds", series by their labels. */
MUST_CHECK enum err_code storage_dump(struct storage *st, const struct prom_dump_options *options,
                                      FILE *to, struct prom_dump_result *out, struct err *err);

/* The partitions in the folder of a database, whether or not it is in use, by their numbers; one that
 * cannot be read is an error. */
MUST_CHECK enum err_code storage_list_partitions(struct vfs *vfs, const char *path, bool human,
                                                 struct buf *to, struct err *err);

#endif

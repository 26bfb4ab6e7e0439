/* A data directory of Prometheus as a storage that is only read: its blocks, and what its log and
 * head chunks add, under the same queries and the same API as a database of ours.
 *
 * What the directory holds at the opening is what is served; nothing in it is changed, and no server
 * may write to it meanwhile. Writing is ERR_UNSUPPORTED.
 *
 * THREADS. As storage.h says; reads from blocks take turns. Memory: labels of all series and
 * which series have them, 48 bytes for each series of each block, and the log's samples, encoded.
 * Looking for series costs the logarithm of the pairs of labels and the series of the rarest one. */
#ifndef TSDB_PROM_STORAGE_H
#define TSDB_PROM_STORAGE_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/vfs.h"
#include "tsdb/storage.h"

struct prom_storage;

/* Does the folder hold blocks or a log of Prometheus, and nothing of ours? */
bool prom_storage_is_there(struct vfs *vfs, const char *path);

struct prom_storage_options {
    struct vfs *vfs;
    const char *path;
    struct log *log;        /* told of damage that is passed over; may be NULL */
    size_t log_samples_max; /* of the log, decoded at once; 0: 16 Mi */
    size_t log_bytes_max;   /* of the log's samples, encoded and kept; 0: 8 GiB */
};

/* ERR_NOT_FOUND: no such directory. ERR_CORRUPT: a block is damaged. ERR_LIMIT: the log has more than
 * may be kept. */
MUST_CHECK enum err_code prom_storage_open(const struct prom_storage_options *options,
                                           struct prom_storage **out, struct err *err);
/* All queriers must have ended. NULL is fine. */
void prom_storage_close(struct prom_storage *ps);
struct storage *prom_storage_as_storage(struct prom_storage *ps);

#endif

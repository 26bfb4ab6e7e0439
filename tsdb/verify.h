/* Checks a data directory without changing it: every checksum, every block decoded, and what the files
 * promise each other. For `brasa tsdb verify` and for tests.
 *
 * The directory may be in use: then the newest files may end in a record that is being written, which
 * counts as unfinished, not as damage. Any thread. */
#ifndef TSDB_VERIFY_H
#define TSDB_VERIFY_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/vfs.h"

struct verify_finding {
    const char *path; /* "" when text names it */
    uint64_t offset;
    uint64_t size;
    const char *text;
};

/* Once per damaged place; borrowed for the call. */
typedef void verify_fn(void *ctx, const struct verify_finding *finding);

struct verify_result {
    uint64_t groups;
    uint64_t series;
    uint64_t wal_records;
    uint64_t runs;
    uint64_t notes; /* records of exemplars and metadata */
    uint64_t partitions;
    uint64_t tombstones;       /* series with deleted samples */
    uint64_t unfinished_bytes; /* at the end of newest files: a write that was cut short */
    uint64_t findings;
};

/* ERR_OK also when there is damage: see out->findings. ERR_IO, ERR_NOT_FOUND: the directory cannot be
 * read. ERR_UNSUPPORTED: another format version. */
MUST_CHECK enum err_code verify_database(struct vfs *vfs, const char *path, verify_fn *fn,
                                         void *ctx, struct verify_result *out, struct err *err);

#endif

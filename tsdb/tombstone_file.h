/* The set of tombstones on disk: FORMAT.md section 13.
 *
 * Losing a tombstone brings back what somebody deleted, so there are two copies, "tombstones" and
 * "tombstones.copy", each in records of its own checksum. Damage in one costs nothing. Only what is
 * damaged in both is lost, and reported.
 *
 * Threads: one at a time per folder. Private to tsdb/. */
#ifndef TSDB_TOMBSTONE_FILE_H
#define TSDB_TOMBSTONE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/vfs.h"
#include "tsdb/record_file.h"
#include "tsdb/tombstones.h"

#define TOMBSTONE_FILE_NAME "tombstones"
#define TOMBSTONE_COPY_NAME "tombstones.copy"

struct tombstone_file_options {
    struct vfs *vfs;
    const char *dir;
    const char *quarantine_dir; /* may be NULL */
    record_damage_fn *damage;   /* may be NULL */
    void *damage_ctx;
};

struct tombstone_file_found {
    uint64_t serial;    /* of the newest state that was found; 0 = none */
    uint64_t damaged;   /* places that were reported */
    bool wants_writing; /* the copies are not both whole and the same */
};

/* *out is NULL when nothing is deleted. Damage is reported and no error. ERR_IO: no copy can be read;
 * ERR_UNSUPPORTED: another version. */
MUST_CHECK enum err_code tombstone_file_load(const struct tombstone_file_options *options,
                                             struct tombstones **out,
                                             struct tombstone_file_found *found, struct err *err);
/* Replaces both copies, durably on ERR_OK; after a failure a restart may find either state. t may be
 * NULL. serial is above all that were written before. */
MUST_CHECK enum err_code tombstone_file_store(struct vfs *vfs, const char *dir,
                                              const struct tombstones *t, uint64_t serial,
                                              struct err *err);

#endif

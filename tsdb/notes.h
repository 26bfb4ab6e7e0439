/* What the database remembers beside samples: exemplars and metadata of families, both bounded, in
 * memory and in a log of their own (FORMAT.md, "Notes").
 *
 * The log is a WAL (wal.h) in one folder. A segment goes when the ring's oldest exemplar is behind
 * it; families in it are written again before. After a failed write memory goes on, and
 * notes_maintain writes all of it to a fresh file.
 *
 * Threads: any. Lock order: mu, then the lock of the ring or the map. */
#ifndef TSDB_NOTES_H
#define TSDB_NOTES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/vfs.h"
#include "tsdb/exemplars.h"
#include "tsdb/family_map.h"
#include "tsdb/record_file.h"

struct notes;
struct wal_record;

enum { NOTES_SHARD = 0xFFFF }; /* of the log; no shard of samples has this number */

struct notes_options {
    struct vfs *vfs;
    const char *dir; /* made if missing; its parent must exist */
    const char *quarantine_dir;
    struct log *log; /* may be NULL */
    size_t max_exemplars;
    record_damage_fn *damage; /* may be NULL; during notes_open only */
    void *damage_ctx;
};

/* ERR_IO, ERR_UNSUPPORTED; damage is reported and skipped. */
MUST_CHECK enum err_code notes_open(const struct notes_options *options, struct notes **out,
                                    struct err *err);
/* Does an intact record of the log make sense? For whoever checks it. */
bool notes_record_good(const struct wal_record *record);
/* Without syncing. NULL is fine. */
void notes_close(struct notes *notes);

struct exemplars *notes_exemplars(struct notes *notes);
struct metadata_map *notes_metadata(struct notes *notes);

struct series_exemplar {
    struct labels series;
    struct storage_exemplar exemplar;
};

/* Adds them and writes them with one record; what the ring refuses is left out. */
void notes_add_exemplars(struct notes *notes, const struct series_exemplar *items, size_t n);
void notes_put_metadata(struct notes *notes, struct str family, const struct storage_metadata *m);

/* Writes all there is to a log of its own in dir, which is made; durable on ERR_OK. Adding waits only
 * while memory is read. */
MUST_CHECK enum err_code notes_copy(struct notes *notes, struct vfs *vfs, const char *dir,
                                    struct err *err);

/* Makes what was added durable. */
MUST_CHECK enum err_code notes_sync(struct notes *notes, struct err *err);
/* Repairs after a failure, syncs, drops what is not needed; problems go to the log. */
void notes_maintain(struct notes *notes);

#endif

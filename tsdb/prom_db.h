/* A data directory of Prometheus: its blocks, and what its log adds. Read only, one thread. */
#ifndef TSDB_PROM_DB_H
#define TSDB_PROM_DB_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/vfs.h"
#include "tsdb/prom_block.h"
#include "tsdb/prom_head.h"

struct prom_db_block {
    char *dir;
    struct prom_block_meta meta;
};

struct prom_db {
    struct vfs *vfs;
    char *path;
    struct prom_db_block
        *blocks; /* by min time, then ULID; those that others replace are left out */
    size_t block_count;
    struct prom_head *head; /* NULL: not asked for */
};

/* Lists the blocks; with_head walks the log too. ERR_NOT_FOUND: no such directory. ERR_CORRUPT: a
 * block without a readable meta.json. The caller ends it with prom_db_release, also after a failure. */
MUST_CHECK enum err_code prom_db_init(struct prom_db *db, struct vfs *vfs, const char *path,
                                      bool with_head, struct log *log, struct err *err);
void prom_db_release(struct prom_db *db);

/* The table of promtool tsdb list; human: times as dates, sizes with units. */
MUST_CHECK enum err_code prom_db_list(const struct prom_db *db, bool human, struct buf *to,
                                      struct err *err);

#endif

/* What the parts of the write-ahead log share. Private to wal.c and wal_open.c; the invariants stand in
 * wal.c. */
#ifndef TSDB_WAL_IMPL_H
#define TSDB_WAL_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mutex.h"
#include "base/vfs.h"
#include "tsdb/wal.h"

#define WAL_MAGIC "BRASAWAL"

enum { WAL_SEGMENT_BYTES_MAX = 1 << 30 };

/* A segment. Freed when it is off the list and nobody holds a reference. */
struct wal_segment {
    uint32_t number;
    uint32_t seed;
    char *path;
    struct vfs_file *f;
    uint32_t refs;        /* guarded by wal.mu; one is the list's */
    uint64_t size;        /* W1; guarded by wal.mu */
    uint64_t synced_size; /* guarded by wal.mu */
    bool name_synced;     /* guarded by wal.mu */
    bool dead;            /* W3; guarded by wal.mu */
};

/* Where the next record goes. */
struct tail {
    struct wal_segment *segment; /* NULL: to a new one */
    uint64_t end;
    uint64_t allocated;
    uint32_t next; /* record number */
};

struct wal {
    struct vfs *vfs;
    char *dir;
    uint32_t shard;
    uint32_t segment_bytes;
    uint32_t allocate_bytes;

    /* the writer's */
    struct tail tail;
    uint32_t next_segment; /* grows under mu, for others who look */
    bool cannot_allocate;  /* the file system does not know how */
    uint8_t *buffer;
    size_t buffer_capacity;

    struct mutex mu;
    /* guarded by mu: */
    struct wal_segment **segments; /* ascending; grown by the writer */
    size_t segment_count;
    size_t segment_capacity;
    enum wal_state state;
    uint64_t epoch; /* rotations */
    uint64_t appended_sequence;
    struct wal_stats stats;
};

struct wal_segment *wal_segment_new(const struct wal *wal, uint32_t number);
/* One that is not on the list. */
void wal_segment_free(struct wal_segment *s);
/* The log owns it from now on. Its number is above those of the list. */
void wal_enlist_locked(struct wal *wal, struct wal_segment *s) REQUIRES(&wal->mu);

#endif

/* WALs for tests. A record's type and bytes are a function of its id, so that it can be told right from
 * wrong alone. */
#ifndef TESTS_UNIT_TSDB_WAL_WORLD_H
#define TESTS_UNIT_TSDB_WAL_WORLD_H

#include "tests/support/mem_vfs.h"
#include "tsdb/wal.h"

enum { RECORDS_MAX = 4096, PAYLOAD_MAX = 3000 };

extern const char world_dir[];
extern const char world_quarantine[];

struct wal_payload world_payload(uint32_t id, uint8_t *bytes);

/* The id, after checking that type and bytes are what belongs to it. */
uint32_t world_check(const struct wal_record *record);

struct world_seen {
    uint32_t ids[RECORDS_MAX];
    struct wal_position at[RECORDS_MAX];
    size_t count;
    uint64_t last_sequence;
    size_t damages;
    size_t torn;
    struct record_damage damage; /* the last; path is not kept */
};

enum err_code world_remember(void *ctx, const struct wal_record *record, struct err *err);
struct wal_options world_options(struct mem_vfs *disk, struct world_seen *seen);

struct wal *world_open(struct mem_vfs *disk, struct world_seen *seen,
                       struct wal_replay_stats *stats);
struct wal_position world_append(struct wal *wal, uint32_t id);
void world_sync(struct wal *wal);

/* A disk with records 0 .. count - 1, closed. */
struct mem_vfs *world_disk(uint32_t count);
struct vfs_file *world_file(struct mem_vfs *disk, const char *path);
uint64_t world_file_size(struct vfs_file *f);
void world_xor_byte(struct vfs_file *f, uint64_t offset, uint8_t with);

#endif

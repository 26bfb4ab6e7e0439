/* What the writing and the reading half of the L0 segments share. Private to segment*.c. */
#ifndef TSDB_SEGMENT_FILE_H
#define TSDB_SEGMENT_FILE_H

#include "base/cursor.h"
#include "base/mutex.h"
#include "tsdb/page_cache.h"
#include "tsdb/segment.h"

#define SEGMENT_MAGIC "BRASASEG"

enum { SEGMENT_RECORD_RUN = 1, SEGMENT_RECORD_MARK = 2, SEGMENT_PAGES_FIELD_BYTES = 4 };

/* What a page says about a slot. */
enum {
    SEGMENT_ENTRY_ABSENT = 0,
    SEGMENT_ENTRY_CONSTANTS = 1, /* + value: the block of one byte that holds it */
    SEGMENT_ENTRY_BLOCKS = SEGMENT_ENTRY_CONSTANTS + BLOCK_ONE_BYTE_VALUES - 1, /* + length */
};

/* One file. Freed when it is off the list and no run of it is open. */
struct segment_file {
    uint32_t number;
    uint32_t seed;
    uint64_t cache_owner;
    char *path;
    struct vfs_file *f;
    uint32_t refs;        /* guarded by store.mu; one is the list's */
    uint64_t size;        /* whole runs; guarded by store.mu */
    uint64_t synced_size; /* guarded by store.mu */
    bool name_synced;     /* guarded by store.mu */
    bool poisoned;        /* never written or synced again; guarded by store.mu */
};

/* Gives back a reference of segment_file_ref. */
struct segment_file *segment_file_ref(struct segment_store *store, uint32_t number);
void segment_file_unref(struct segment_store *store, struct segment_file *file);
const char *segment_store_dir(const struct segment_store *store);
struct page_cache *segment_store_cache(const struct segment_store *store);

/* The front of a run (the payload of its record), taken apart but for the page table. */
struct segment_front {
    uint32_t pages_bytes;
    uint32_t group;
    uint64_t first_row;
    uint32_t rows;
    uint32_t slot_count;
    uint32_t page_count;
    int64_t min_ts_ms;
    int64_t max_ts_ms;
    const uint8_t *ts_bytes;
    size_t ts_size;
    struct cursor page_table; /* per page: uvarint slots, uvarint bytes, u32 crc */
};

MUST_CHECK enum err_code segment_front_parse(const uint8_t *payload, uint32_t size,
                                             struct segment_front *out);

#endif

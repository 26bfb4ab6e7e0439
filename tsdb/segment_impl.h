/* What the writing and the opening half of the L0 segments share. Private to segment.c and
 * segment_open.c. */
#ifndef TSDB_SEGMENT_IMPL_H
#define TSDB_SEGMENT_IMPL_H

#include "base/buf.h"
#include "tsdb/segment_file.h"
#include "tsdb/segment_mark.h"

struct page_entry {
    uint32_t slots;
    uint32_t bytes;
};

/* The run being built. */
struct run_builder {
    struct segment_run_info info; /* slot_count: slots in finished pages */
    bool open;                    /* between begin and a successful commit */
    struct buf ts;
    struct buf pages;   /* finished ones */
    struct buf lengths; /* of the open page */
    struct buf blocks;
    uint32_t page_slots;
    uint32_t absent; /* slots not yet written: they count only when one with samples follows */
    struct page_entry *table;
    size_t page_count;
    size_t page_capacity;
    struct buf out; /* the whole run as it is written */
};

struct segment_store {
    struct vfs *vfs;
    char *dir;
    uint32_t shard;
    uint32_t file_bytes;
    struct page_cache *cache; /* may be NULL */

    /* the writer's */
    struct run_builder run;
    struct block_encoder *encoder;
    uint8_t block[BLOCK_BYTES_FIXED_MAX + BLOCK_ROWS_MAX * BLOCK_BYTES_PER_ROW_MAX]; /* scratch */
    struct segment_file *tail; /* NULL: the next commit begins a file */
    uint32_t tail_next;        /* number of the next record */
    uint32_t next_file;
    struct segment_mark mark; /* the newest in the files */
    bool mark_changed;        /* there are runs that it should leave out */

    struct mutex mu;
    /* guarded by mu: */
    struct segment_file **files; /* ascending; changed by the writer only */
    size_t file_count;
    size_t file_capacity;
    struct segment_stats stats;
};

struct segment_file *segment_file_new(const struct segment_store *store, uint32_t number);
/* One that is not on the list. */
void segment_file_free(struct segment_store *store, struct segment_file *file);
/* The store owns the file from now on. Its number is above those of the list. */
void segment_file_enlist(struct segment_store *store, struct segment_file *file);

/* ---- segment_open.c ---- */

/* Takes all files of the folder on the list; what was found in them is handed over. */
MUST_CHECK enum err_code segment_open_files(struct segment_store *store,
                                            const struct segment_options *options,
                                            segment_found_fn *found, void *ctx,
                                            struct record_scan_stats *stats, struct err *err);

#endif

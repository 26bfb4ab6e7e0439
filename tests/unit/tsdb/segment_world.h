/* Segments for tests. A run's samples are a function of its group and first row, so that it can be told
 * right from wrong alone. */
#ifndef TESTS_UNIT_TSDB_SEGMENT_WORLD_H
#define TESTS_UNIT_TSDB_SEGMENT_WORLD_H

#include "tests/support/mem_vfs.h"
#include "tsdb/page_cache.h"
#include "tsdb/segment.h"

enum { RUNS_MAX = 256, ROWS = 16 };

extern const char world_dir[];

/* Of all stores here: small, so that runs are read from it, partly from it, and without it. */
extern struct page_cache *world_cache;
int world_make_cache(void **state);
int world_free_cache(void **state);

uint8_t world_state(uint32_t group, uint64_t row, uint32_t slot);
struct num world_value(uint32_t group, uint64_t row, uint32_t slot);
int64_t world_ts(uint32_t group, uint64_t row);
void world_build_run(struct segment_store *store, uint32_t group, uint64_t first_row, uint32_t rows,
                     uint32_t slots);

struct segment_run_info world_add_run(struct segment_store *store, uint32_t group,
                                      uint64_t first_row, uint32_t rows, uint32_t slots);

struct world_found {
    struct segment_run_info runs[RUNS_MAX];
    size_t count;
    size_t damages;
    size_t torn;
    uint64_t damage_offset;
};

struct segment_store *world_open(struct vfs *vfs, struct world_found *found);
void world_sync(struct segment_store *store);

/* Checks one slot; ERR_CORRUPT is returned, a wrong value fails the test. */
enum err_code world_check_slot(struct segment_run *run, uint32_t slot, struct err *err);

typedef enum err_code open_run_fn(struct segment_store *store, struct segment_location at,
                                  struct arena *arena, struct segment_run **out, struct err *err);

uint32_t world_count_readable(struct segment_store *store, struct segment_location at,
                              uint32_t slots, open_run_fn *open);

/* How many slots of a run can be read; the others must be ERR_CORRUPT. With the cache, filled or not,
 * they are the same. */
uint32_t world_readable_slots(struct segment_store *store, struct segment_location at,
                              uint32_t slots);
struct vfs_file *world_file(struct mem_vfs *disk, const char *path);
void world_xor_byte(struct vfs_file *f, uint64_t offset, uint8_t with);

#endif

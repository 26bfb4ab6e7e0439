/* Series logs for tests. Labels are a function of their number, so that a definition can be told right
 * from wrong alone. */
#ifndef TESTS_UNIT_TSDB_SERIES_LOG_WORLD_H
#define TESTS_UNIT_TSDB_SERIES_LOG_WORLD_H

#include "base/arena.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/series_log.h"

enum { THINGS_MAX = 512 };

extern const char world_dir[];
struct labels world_target(struct arena *arena, uint32_t set);
struct labels world_metric(struct arena *arena, uint32_t set);

/* Target i: one target set, two metric sets, one group, three series in two runs. */
enum err_code world_define_target(struct series_log *log, struct err *err);

struct world_seen {
    bool targets[THINGS_MAX];
    bool metrics[THINGS_MAX];
    bool groups[THINGS_MAX];
    bool series[THINGS_MAX];
    uint32_t group_count;
    size_t gaps;  /* groups that came before the one below them */
    size_t again; /* groups that were defined before */
    size_t damages;
    size_t torn;
};

extern const struct series_log_handler world_handler;
struct series_log *world_open(struct vfs *vfs, struct world_seen *seen);
void world_define(struct series_log *log, uint32_t count);
void assert_whole(const struct world_seen *seen, uint32_t count);
struct mem_vfs *world_disk(uint32_t count);
struct vfs_file *world_file(struct mem_vfs *disk, const char *path);

/* A sync that finds nothing new writes the copies that wait. */
void world_sync_twice(struct series_log *log);

#endif

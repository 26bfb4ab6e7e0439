/* A partition made of a seed, and a plain model of what is in it. */
#ifndef TESTS_UNIT_TSDB_PARTITION_WORLD_H
#define TESTS_UNIT_TSDB_PARTITION_WORLD_H

#include "base/arena.h"
#include "base/rng.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/partition.h"
#include "tsdb/partition_writer.h"

struct world_series {
    struct labels target;
    struct labels metric;
    struct labels labels; /* both together */
    uint32_t timeline;
    uint32_t column_count;
    struct column_key *keys;
    struct num **values; /* by column, all rows of the timeline */
    uint8_t **states;
    uint32_t number; /* in the partition */
    bool repeat;
};

struct world_timeline {
    int64_t *ts;
    uint32_t rows;
};

struct page_cache;

struct partition_world {
    struct arena arena;
    struct rng rng;
    struct mem_vfs *mem;
    struct page_cache *cache; /* small: pages come from it, or not */
    struct vfs *vfs;
    const char *dir;
    bool pack;
    bool plain_index;
    struct world_timeline *timelines;
    size_t timeline_count;
    struct world_series *series; /* in order */
    size_t series_count;
    uint64_t samples;
    struct partition_info info;
    struct partition *p;
    size_t damage_count;
    struct err damage; /* the newest */
};

struct world_options {
    uint64_t seed;
    uint32_t targets;
    uint32_t metrics; /* metric names */
    uint32_t rows_max;
    bool histograms;
    bool pack;
    bool plain_index; /* else packed when there is little data a series */
};

/* Makes the model and writes the partition; opens it. NULL dir: in memory. */
void partition_world_init(struct partition_world *w, const struct world_options *options);
void partition_world_release(struct partition_world *w);
void partition_world_write(struct partition_world *w, const char *dir);
void partition_world_open(struct partition_world *w);
/* Writes the model through another cursor, block by block, to dir. */
void partition_world_copy(struct partition_world *w, const char *dir);

/* What a read of the series must give. */
struct world_sample {
    int64_t ts_ms;
    uint64_t bits;
};
size_t world_samples(const struct partition_world *w, const struct world_series *s, int64_t mint,
                     int64_t maxt, struct arena *arena, struct world_sample **out);
/* True: exactly those. */
bool world_same_samples(const struct world_sample *want, size_t n,
                        const struct storage_samples *got);
/* Are all samples of got among those wanted, bit for bit? */
bool world_no_other_samples(const struct world_sample *want, size_t n,
                            const struct storage_samples *got);

#endif

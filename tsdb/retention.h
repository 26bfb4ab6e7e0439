/* Which partitions are too old or too much, by Prometheus' rules (spec: retention). Only whole
 * partitions go, oldest first; the head never. Pure. */
#ifndef TSDB_RETENTION_H
#define TSDB_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct manifest_partition;

struct retention_limits { /* 0 = no limit */
    int64_t time_ms;
    int64_t size_bytes;
    double percent; /* of the file system; prevails over size_bytes when its size is known */
};

struct retention_disk {
    uint64_t head_bytes;  /* log, sealed runs and definitions: they count, but do not go */
    uint64_t total_bytes; /* of the file system; 0 = unknown */
};

enum retention_reason { RETENTION_KEEP = 0, RETENTION_TIME, RETENTION_SIZE };

/* reasons[i] becomes why partition i goes; returns how many do. */
size_t retention_plan(const struct retention_limits *limits, const struct retention_disk *disk,
                      const struct manifest_partition *partitions, size_t n,
                      enum retention_reason *reasons);

#endif

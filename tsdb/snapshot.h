/* A copy of the database beside it, made of links: tsdb_snapshot in tsdb/tsdb.h. Private parts. */
#ifndef TSDB_SNAPSHOT_H
#define TSDB_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

/* 20060102T150405Z-<16 hex digits>, NUL-terminated. */
void snapshot_name(int64_t unix_s, uint64_t random, char *to, size_t to_bytes);

#endif

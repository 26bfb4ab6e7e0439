/* Manifests for tests. */
#ifndef TESTS_UNIT_TSDB_MANIFEST_FILL_H
#define TESTS_UNIT_TSDB_MANIFEST_FILL_H

#include "tsdb/manifest.h"

enum { HOUR_MS = 3600 * 1000 };

/* Parents are borrowed from the helper. */
struct manifest_partition manifest_test_partition(uint32_t number, int64_t start_h, int64_t hours);
struct manifest_mark manifest_test_mark(int64_t start_h, uint32_t shard, uint32_t file);
/* So many partitions and marks; before 1970, too. */
void manifest_test_fill(struct manifest *m, uint32_t count);
void assert_same_manifest(const struct manifest *a, const struct manifest *b);

#endif

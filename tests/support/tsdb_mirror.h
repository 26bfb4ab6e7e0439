/* A database in memory that takes over all that another storage holds: appended time by time as pushes
 * or scrapes do, the database closed and opened in between, sealed and made into partitions as the
 * seed says. */
#ifndef TESTS_SUPPORT_TSDB_MIRROR_H
#define TESTS_SUPPORT_TSDB_MIRROR_H

#include "query/script/promqltest.h"

struct tsdb_mirror;

struct tsdb_mirror *tsdb_mirror_new(unsigned seed);
void tsdb_mirror_free(struct tsdb_mirror *m);
struct promqltest_store *tsdb_mirror_store(struct tsdb_mirror *m);

#endif

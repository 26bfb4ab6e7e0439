/* The real database under scripts of PromQL tests: a folder of its own under TMPDIR (/tmp without one),
 * gone at the end. What a script loads is appended time by time, cut into partitions and opened
 * again before it is queried. One thread. */
#ifndef SCRIPT_STORAGE_H
#define SCRIPT_STORAGE_H

#include <stdio.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/vfs.h"
#include "query/script/promqltest.h"

struct script_storage;

/* errors: where failures of the database are told while a script runs; borrowed. */
MUST_CHECK enum err_code script_storage_new(struct vfs *vfs, FILE *errors,
                                            struct script_storage **out, struct err *err);
/* NULL is fine. */
void script_storage_free(struct script_storage *s);
struct promqltest_store *script_storage_store(struct script_storage *s);

#endif

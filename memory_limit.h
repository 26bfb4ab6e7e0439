/* How much memory the server may use, from --memory.limit or from what the machine and its control
 * group allow. */
#ifndef MEMORY_LIMIT_H
#define MEMORY_LIMIT_H

#include <stdint.h>

#include "base/vfs.h"
#include "flags.h"

/* The least of the control group's limits (version 1 or 2, its parents' too) and the machine's
 * memory; 0 when nothing tells. */
uint64_t memory_detect_bytes(struct vfs *vfs);
/* --memory.limit; else, unless --no-auto-gomemlimit, its ratio of what is detected; else 0. */
uint64_t memory_limit_bytes(const struct flags *flags, struct vfs *vfs);

#endif

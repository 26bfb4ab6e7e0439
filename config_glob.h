/* File patterns of the configuration: *, ? and [...] in the last path element, as rule_files,
 * scrape_config_files and file_sd allow. */
#ifndef CONFIG_GLOB_H
#define CONFIG_GLOB_H

#include <stddef.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "base/vfs.h"

/* Files matched by one pattern at most. */
enum { CONFIG_GLOB_MAX = 100000 };

/* Existing paths that match, sorted bytewise; none is no error, nor is a folder that cannot be
 * listed. The list lives in arena. ERR_LIMIT beyond CONFIG_GLOB_MAX. */
MUST_CHECK enum err_code config_glob(struct vfs *vfs, struct arena *arena, struct str pattern,
                                     struct str **out, size_t *out_count, struct err *err);

#endif

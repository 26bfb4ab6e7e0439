/* Sizes in configuration and flags: "512MB", "1GiB512MiB" (spec/config.md section 1). Powers of
 * 1024 whatever the unit's spelling. Pure. */
#ifndef CONFIG_SIZE_H
#define CONFIG_SIZE_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* ERR_INVALID: units: unknown unit x in 100x | units: invalid x | units: overflow parsing unit. */
MUST_CHECK enum err_code size_parse(struct str text, int64_t *out_bytes, struct err *err);
/* "1KiB512B": a sum of powers of 1024, largest first. */
void size_format(struct buf *to, int64_t bytes);

#endif

/* Snappy's block format: one length, then literals and copies. Nothing here packs: what is packed comes
 * from others. The declared size is checked against the caller's limit, and against what so few bytes
 * can stand for, before any memory is taken. Pure. */
#ifndef BASE_SNAPPY_H
#define BASE_SNAPPY_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Appends the content to to. ERR_LIMIT: larger than to's maximum. ERR_INVALID: "snappy: corrupt
 * input". After a failure to is as before. */
MUST_CHECK enum err_code snappy_unpack(struct str in, struct buf *to, struct err *err);

#endif

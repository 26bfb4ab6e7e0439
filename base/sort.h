/* Sorting of what a user sizes: stable, with memory that the caller accounts for, and stoppable.
 * qsort takes up to a quarter of the machine's memory unasked and cannot be stopped. Pure. */
#ifndef BASE_SORT_H
#define BASE_SORT_H

#include <stddef.h>

#include "base/attr.h"
#include "base/cancel.h"
#include "base/err.h"

enum { SORT_ITEM_BYTES_MAX = 256 };

/* order as for qsort. scratch has room for 2 * count pointers. Looks at cancel (may be NULL) every
 * millisecond at least: ERR_CANCELED or ERR_TIMEOUT, and the items are as they were. */
MUST_CHECK enum err_code sort_items(void *items, size_t count, size_t item_bytes,
                                    int (*order)(const void *a, const void *b), void **scratch,
                                    const struct cancel *cancel);

#endif

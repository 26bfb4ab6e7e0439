/* Snappy's elements: the inner part of snappy.h. Pure. */
#ifndef BASE_SNAPPY_UNPACK_H
#define BASE_SNAPPY_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum { SNAPPY_SLACK_BYTES = 64 };

/* Writes the size bytes that the elements stand for. False: they do not stand for so many, or are no
 * elements; some of the bytes are written then. Nothing outside of them ever is. */
MUST_CHECK bool snappy_unpack_elements(const uint8_t *packed, size_t n, uint8_t *to, size_t size);

#endif

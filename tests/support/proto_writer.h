/* Writes protobuf's wire format for tests: tags, varints, and messages inside messages. */
#ifndef TESTS_SUPPORT_PROTO_WRITER_H
#define TESTS_SUPPORT_PROTO_WRITER_H

#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

void pb_varint(struct buf *to, uint64_t v);
void pb_uint(struct buf *to, uint32_t field, uint64_t v);
void pb_double(struct buf *to, uint32_t field, double v);
void pb_bytes(struct buf *to, uint32_t field, struct str bytes);
/* Appends message as a field and empties it. */
void pb_message(struct buf *to, uint32_t field, struct buf *message);

#endif

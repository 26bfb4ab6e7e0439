#include "tests/support/proto_writer.h"

#include <string.h>

void pb_varint(struct buf *to, uint64_t v) {
    for (; v >= 0x80; v >>= 7) {
        buf_append_char(to, (char)(v | 0x80));
    }
    buf_append_char(to, (char)v);
}

void pb_uint(struct buf *to, uint32_t field, uint64_t v) {
    pb_varint(to, (uint64_t)field << 3);
    pb_varint(to, v);
}

void pb_double(struct buf *to, uint32_t field, double v) {
    pb_varint(to, (uint64_t)field << 3 | 1);
    char bytes[8];
    memcpy(bytes, &v, sizeof(bytes));
    buf_append(to, bytes, sizeof(bytes));
}

void pb_bytes(struct buf *to, uint32_t field, struct str bytes) {
    pb_varint(to, (uint64_t)field << 3 | 2);
    pb_varint(to, bytes.len);
    buf_append_str(to, bytes);
}

void pb_message(struct buf *to, uint32_t field, struct buf *message) {
    pb_bytes(to, field, buf_str(message));
    buf_clear(message);
}

#include "base/proto.h"

bool proto_fail(struct proto *p, const char *error) {
    p->error = p->error != NULL ? p->error : error;
    return false;
}

bool proto_long_varint(struct proto *p, uint64_t *out) {
    uint64_t value = 0;
    const uint8_t *at = p->at;
    for (unsigned shift = 0; at < p->end; shift += 7) {
        const uint8_t byte = *at++;
        if (shift == 63 && byte > 1) {
            return proto_fail(p, "proto: integer overflow");
        }
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            p->at = at;
            *out = value;
            return true;
        }
    }
    return proto_fail(p, "unexpected EOF");
}

static bool take_fixed(struct proto *p, struct proto_field *f, size_t bytes) {
    if ((size_t)(p->end - p->at) < bytes) {
        return proto_fail(p, "unexpected EOF");
    }
    f->value = bytes == 8 ? load_u64(p->at) : load_u32(p->at);
    p->at += bytes;
    return true;
}

bool proto_scalar(struct proto *p, struct proto_field *f) {
    f->bytes = STR("");
    switch (f->wire) {
    case PROTO_VARINT:
        return proto_varint(p, &f->value);
    case PROTO_FIXED64:
        return take_fixed(p, f, 8);
    case PROTO_FIXED32:
        return take_fixed(p, f, 4);
    case PROTO_GROUP_BEGIN:
    case PROTO_GROUP_END:
        return proto_fail(p, "proto: groups are not supported");
    case PROTO_BYTES:
    default:
        return proto_fail(p, "proto: illegal wire type");
    }
}

#include "base/gzip_stream.h"

#include <stdint.h>
#include <zlib.h>

#include "base/check.h"
#include "base/mem.h"

enum { WINDOW_BITS = 15, GZIP_FORMAT = 16, MEMORY_LEVEL = 8, ROOM_BYTES = 64 * 1024 };

struct gzip_stream {
    z_stream z;
};

struct gzip_stream *gzip_stream_new(int level) {
    struct gzip_stream *stream = mem_zalloc(sizeof(*stream));
    if (deflateInit2(&stream->z, level, Z_DEFLATED, WINDOW_BITS + GZIP_FORMAT, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        mem_free(stream);
        return NULL;
    }
    return stream;
}

void gzip_stream_free(struct gzip_stream *stream) {
    if (stream != NULL) {
        (void)deflateEnd(&stream->z);
        mem_free(stream);
    }
}

/* zlib counts in 32 bits. */
static void write_part(struct gzip_stream *stream, struct str part, bool last, struct buf *to) {
    z_stream *z = &stream->z;
    z->next_in = (Bytef *)(uintptr_t)part.ptr; /* it is only read */
    z->avail_in = (uInt)part.len;
    int result = Z_OK;
    do {
        char *room = buf_reserve(to, ROOM_BYTES);
        if (room == NULL) {
            return;
        }
        z->next_out = (Bytef *)room;
        z->avail_out = ROOM_BYTES;
        result = deflate(z, last ? Z_FINISH : Z_NO_FLUSH);
        ASSERT(result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR);
        to->len += ROOM_BYTES - z->avail_out;
    } while (z->avail_out == 0 && result != Z_STREAM_END);
}

void gzip_stream_write(struct gzip_stream *stream, struct str piece, bool last, struct buf *to) {
    enum { PART_MAX = 1 << 30 };
    while (piece.len > PART_MAX) {
        write_part(stream, str_sub(piece, 0, PART_MAX), false, to);
        piece = str_from(piece, PART_MAX);
    }
    write_part(stream, piece, last, to);
}

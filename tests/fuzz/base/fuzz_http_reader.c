/* A response read in pieces is the response read at once: same verdict, same body, and never more
 * memory than the limits allow. The first two bytes choose the pieces and the limit. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/http_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum http_read read_all(struct str text, size_t piece, size_t max_body_bytes,
                               struct buf *buf, bool *out_may_end) {
    struct http_reply reply;
    struct http_reader reader;
    enum http_read result = HTTP_READ_MORE;
    http_reply_init(&reply);
    http_reader_init(&reader, &reply, max_body_bytes);
    buf_init(buf, max_body_bytes + text.len + 64);
    for (size_t at = 0; at < text.len && result == HTTP_READ_MORE; at += piece) {
        buf_append_str(buf, str_sub(text, at, piece));
        result = http_reader_feed(&reader, buf);
        const bool more = result == HTTP_READ_MORE;
        if (reader.done > max_body_bytes || (more && reader.at > buf->len) ||
            (more && http_reader_has_head(&reader) && buf->len - reader.done > 8192)) {
            abort();
        }
    }
    if (result == HTTP_READ_DONE && (buf->len > max_body_bytes || reply.status < 200)) {
        abort();
    }
    *out_may_end = result == HTTP_READ_MORE && http_reader_may_end(&reader);
    if (*out_may_end && buf->len > max_body_bytes) {
        abort();
    }
    http_reply_release(&reply);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    const struct str text = {(const char *)data + 2, size - 2};
    const size_t piece = (size_t)data[0] + 1;
    const size_t limit = (size_t)data[1] * 16;
    struct buf whole;
    struct buf parts;
    bool whole_may_end;
    bool parts_may_end;
    const enum http_read at_once = read_all(text, text.len + 1, limit, &whole, &whole_may_end);
    const enum http_read in_parts = read_all(text, piece, limit, &parts, &parts_may_end);
    if (at_once != in_parts || whole_may_end != parts_may_end ||
        ((at_once == HTTP_READ_DONE || whole_may_end) &&
         !str_eq(buf_str(&whole), buf_str(&parts)))) {
        abort();
    }
    buf_release(&whole);
    buf_release(&parts);
    return 0;
}

#include "base/http_reader.h"

#include <string.h>

/* "fffffffffffffff\r\n": sizes need no more digits, and extensions are a surprise. */
enum { CHUNK_LINE_MAX = 17, INTERIM_COUNT_MAX = 16 };

void http_reader_init(struct http_reader *reader, struct http_reply *reply, size_t max_body_bytes) {
    http_reply_clear(reply);
    *reader = (struct http_reader){.reply = reply, .max_body_bytes = max_body_bytes};
}

bool http_reader_has_head(const struct http_reader *reader) {
    return reader->state != READ_HEAD;
}

bool http_reader_may_end(const struct http_reader *reader) {
    return reader->state == READ_TO_END;
}

size_t http_reader_missing(const struct http_reader *reader) {
    return reader->state == READ_BODY || reader->state == READ_CHUNK ? reader->left : 0;
}

/* ---- the head ---- */

static bool is_token(struct str name) {
    static const char separators[] = "\"(),/:;<=>?@[\\]{}";
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        if (c <= ' ' || c >= 0x7f || memchr(separators, c, sizeof(separators) - 1) != NULL) {
            return false;
        }
    }
    return name.len > 0;
}

/* A header line without its end. */
static bool is_field(struct str line) {
    const ptrdiff_t colon = str_find_char(line, ':');
    return is_token(
        str_sub(line, 0, colon < 0 ? 0 : (size_t)colon)); /* a folded line begins with a blank */
}

/* "HTTP/1.1 200 OK". */
static bool is_status_line(struct http_reader *reader, struct str line) {
    reader->is_1_0 = str_starts(line, STR("HTTP/1.0 "));
    if ((!reader->is_1_0 && !str_starts(line, STR("HTTP/1.1 "))) || line.len < 12 ||
        (line.len > 12 && line.ptr[12] != ' ')) {
        return false;
    }
    const char *const digits = line.ptr + 9;
    return digits[0] >= '1' && digits[0] <= '5' && digits[1] >= '0' && digits[1] <= '9' &&
           digits[2] >= '0' && digits[2] <= '9';
}

static bool take_line(struct http_reader *reader, struct str line, bool first) {
    if (memchr(line.ptr, '\r', line.len) != NULL || memchr(line.ptr, '\0', line.len) != NULL) {
        return false;
    }
    const bool good = first ? is_status_line(reader, line) : is_field(line);
    return good && http_reply_line(reader->reply, line);
}

/* All lines up to and without the empty one. */
static bool take_lines(struct http_reader *reader, struct str head) {
    for (bool first = true; head.len > 0; first = false) {
        const ptrdiff_t end = str_find_char(head, '\n');
        if (end < 1 || head.ptr[end - 1] != '\r' ||
            !take_line(reader, str_sub(head, 0, (size_t)end - 1), first)) {
            return false;
        }
        head = str_from(head, (size_t)end + 1);
    }
    return true;
}

/* Where the body ends, said once and in one way; two statuses have none whatever is said. Chunks are
 * not known to HTTP/1.0. */
static bool take_framing(struct http_reader *reader) {
    const struct http_framing *const framing = &reader->reply->framing;
    const int status = reader->reply->status;
    if (framing->fault != HTTP_FRAMING_SOUND || framing->repeated ||
        (framing->chunked && reader->is_1_0)) {
        return false;
    }
    if (status == 204 || status == 304) {
        reader->excess = framing->length > 0 || framing->chunked; /* it may come all the same */
        reader->state = READ_BODY;
        return true;
    }
    reader->left = framing->length;
    if (framing->chunked) {
        reader->state = READ_CHUNK_SIZE;
    } else {
        reader->state = framing->has_length ? READ_BODY : READ_TO_END;
    }
    return true;
}

static bool is_interim(int status) {
    return status >= 100 && status < 200;
}

/* Takes the head of an interim response off the buffer. It has no body, and says nothing about one; 101
 * would be another protocol, which nobody asked for. */
static enum http_read pass_interim(struct http_reader *reader, struct buf *buf, size_t head_bytes) {
    const struct http_framing *const framing = &reader->reply->framing;
    if (reader->reply->status == 101 || framing->fault != HTTP_FRAMING_SOUND ||
        framing->has_length || framing->chunked || ++reader->interims > INTERIM_COUNT_MAX) {
        return HTTP_READ_SURPRISE;
    }
    memmove(buf->ptr, buf->ptr + head_bytes, buf->len - head_bytes);
    buf->len -= head_bytes;
    reader->at = 0;
    return HTTP_READ_MORE;
}

static enum http_read read_head(struct http_reader *reader, struct buf *buf) {
    const size_t back = reader->at < 3 ? reader->at : 3;
    const ptrdiff_t end = str_find(str_from(buf_str(buf), reader->at - back), STR("\r\n\r\n"));
    if (end < 0) {
        reader->at = buf->len;
        return buf->len > HTTP_HEAD_BYTES_MAX ? HTTP_READ_SURPRISE : HTTP_READ_MORE;
    }
    const size_t head_bytes = reader->at - back + (size_t)end + 4;
    if (head_bytes > HTTP_HEAD_BYTES_MAX ||
        !take_lines(reader, str_sub(buf_str(buf), 0, head_bytes - 2))) {
        return HTTP_READ_SURPRISE;
    }
    if (is_interim(reader->reply->status)) {
        return pass_interim(reader, buf, head_bytes);
    }
    if (!take_framing(reader)) {
        return HTTP_READ_SURPRISE;
    }
    reader->at = head_bytes;
    return reader->left > reader->max_body_bytes ? HTTP_READ_TOO_LARGE : HTTP_READ_MORE;
}

/* ---- the body ---- */

/* Moves what is there of the body or chunk to the end of the body; whether that was the last. */
static bool take_bytes(struct http_reader *reader, struct buf *buf) {
    const size_t there = buf->len - reader->at;
    const size_t n = reader->left < there ? (size_t)reader->left : there;
    if (n > 0 && reader->done != reader->at) {
        memmove(buf->ptr + reader->done, buf->ptr + reader->at, n);
    }
    reader->done += n;
    reader->at += n;
    reader->left -= n;
    return reader->left == 0;
}

static enum http_read read_to_end(struct http_reader *reader, struct buf *buf) {
    reader->left = buf->len - reader->at;
    if (reader->left > reader->max_body_bytes - reader->done) {
        return HTTP_READ_TOO_LARGE;
    }
    (void)take_bytes(reader, buf);
    return HTTP_READ_MORE;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static enum http_read read_chunk_size(struct http_reader *reader, const struct buf *buf) {
    const struct str rest = str_from(buf_str(buf), reader->at);
    const struct str line = str_sub(rest, 0, CHUNK_LINE_MAX);
    const ptrdiff_t end = str_find(line, STR("\r\n"));
    if (end < 0) {
        return line.len == CHUNK_LINE_MAX ? HTTP_READ_SURPRISE : HTTP_READ_MORE;
    }
    uint64_t size = 0;
    for (ptrdiff_t i = 0; i < end; i++) {
        const int digit = hex_digit(line.ptr[i]);
        if (digit < 0) {
            return HTTP_READ_SURPRISE;
        }
        size = size << 4 | (uint64_t)digit;
    }
    if (end == 0) {
        return HTTP_READ_SURPRISE;
    }
    reader->at += (size_t)end + 2;
    reader->left = size;
    reader->state = size > 0 ? READ_CHUNK : READ_TRAILER;
    return size > reader->max_body_bytes - reader->done ? HTTP_READ_TOO_LARGE : HTTP_READ_MORE;
}

static enum http_read read_chunk_end(struct http_reader *reader, const struct buf *buf) {
    if (buf->len - reader->at < 2) {
        return HTTP_READ_MORE;
    }
    if (memcmp(buf->ptr + reader->at, "\r\n", 2) != 0) {
        return HTTP_READ_SURPRISE;
    }
    reader->at += 2;
    reader->state = READ_CHUNK_SIZE;
    return HTTP_READ_MORE;
}

/* Lines that nobody asked for, and the empty one that ends them. */
static enum http_read read_trailer(struct http_reader *reader, const struct buf *buf) {
    const size_t allowed = HTTP_TRAILER_BYTES_MAX - reader->trailer;
    const struct str rest = str_sub(buf_str(buf), reader->at, allowed);
    const ptrdiff_t end = str_find(rest, STR("\r\n"));
    if (end < 0) {
        return rest.len == allowed ? HTTP_READ_SURPRISE : HTTP_READ_MORE;
    }
    reader->at += (size_t)end + 2;
    reader->trailer += (size_t)end + 2;
    return end == 0 ? HTTP_READ_DONE : HTTP_READ_MORE;
}

/* One step; MORE without a change of at, state or interims means that bytes are missing. */
static enum http_read step(struct http_reader *reader, struct buf *buf) {
    switch (reader->state) {
    case READ_HEAD:
        return read_head(reader, buf);
    case READ_BODY:
        return take_bytes(reader, buf) ? HTTP_READ_DONE : HTTP_READ_MORE;
    case READ_TO_END:
        return read_to_end(reader, buf);
    case READ_CHUNK_SIZE:
        return read_chunk_size(reader, buf);
    case READ_CHUNK:
        reader->state = take_bytes(reader, buf) ? READ_CHUNK_END : READ_CHUNK;
        return HTTP_READ_MORE;
    case READ_CHUNK_END:
        return read_chunk_end(reader, buf);
    case READ_TRAILER:
        return read_trailer(reader, buf);
    }
    return HTTP_READ_SURPRISE;
}

/* What surrounds chunks must not pile up behind the body: what is left moves down to it. */
static void close_gap(struct http_reader *reader, struct buf *buf) {
    const size_t rest = buf->len - reader->at;
    if (reader->state == READ_HEAD || reader->at == reader->done) {
        return;
    }
    memmove(buf->ptr + reader->done, buf->ptr + reader->at, rest);
    buf->len = reader->done + rest;
    reader->at = reader->done;
}

enum http_read http_reader_feed(struct http_reader *reader, struct buf *buf) {
    enum http_read result = HTTP_READ_MORE;
    bool moved = buf->len > 0;
    while (result == HTTP_READ_MORE && moved) {
        const size_t at = reader->at;
        const enum http_read_state state = reader->state;
        const unsigned interims = reader->interims;
        result = step(reader, buf);
        moved = reader->state != state || (reader->at != at && state != READ_HEAD) ||
                reader->interims != interims;
    }
    if (result == HTTP_READ_MORE) {
        close_gap(reader, buf);
    } else if (result != HTTP_READ_SURPRISE) {
        reader->excess |= reader->at != buf->len;
        buf->len = reader->done;
    }
    if (buf->ptr != NULL) {
        buf->ptr[buf->len] = '\0';
    }
    return result;
}

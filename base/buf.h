/* Growing byte buffer with a maximum given at init (curl's dynbuf rule).
 *
 * Appends never fail loudly in the middle of building: the first append that would pass the
 * maximum sets failed, frees the content, and all later ones do nothing, so that a writer
 * checks once, at the end, with buf_ok. The content is always followed by a NUL that is not
 * counted. One thread at a time. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct budget;

struct buf {
    char *ptr;
    size_t len;
    size_t capacity;
    size_t max_bytes;
    struct budget *pool; /* may be NULL; set while it is empty: its capacity counts there as well */
    bool failed;
};

void buf_init(struct buf *buf, size_t max_bytes);
void buf_release(struct buf *buf);
/* Empties it and keeps the memory; clears failed. */
void buf_clear(struct buf *buf);
/* Room for more bytes behind len; NULL (and failed) beyond the maximum. The caller writes
 * there and adds to len. */
MUST_CHECK char *buf_reserve(struct buf *buf, size_t more);
void buf_append(struct buf *buf, const void *bytes, size_t n);
void buf_append_str(struct buf *buf, struct str s);
void buf_append_cstr(struct buf *buf, const char *text);
void buf_append_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The caller owns the result and ends it with mem_free; buf is empty. NULL if failed. */
MUST_CHECK char *buf_take(struct buf *buf, size_t *out_len);

static inline bool buf_ok(const struct buf *buf) {
    return !buf->failed;
}

static inline struct str buf_str(const struct buf *buf) {
    return (struct str){buf->ptr != NULL ? buf->ptr : "", buf->len};
}

#endif

#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/budget.h"
#include "base/mem.h"

/* Never refused by the pool: small texts are made while others hold all there is. */
enum { POOL_FREE_BYTES = 8 * 1024 };

void buf_init(struct buf *buf, size_t max_bytes) {
    *buf = (struct buf){.max_bytes = max_bytes};
}

void buf_release(struct buf *buf) {
    struct budget *pool = buf->pool;
    if (pool != NULL) {
        budget_give(pool, buf->capacity);
    }
    mem_free(buf->ptr);
    buf_init(buf, buf->max_bytes);
    buf->pool = pool;
}

void buf_clear(struct buf *buf) {
    buf->len = 0;
    buf->failed = false;
    if (buf->ptr != NULL) {
        buf->ptr[0] = '\0';
    }
}

static COLD void fail(struct buf *buf) {
    buf_release(buf);
    buf->failed = true;
}

char *buf_reserve(struct buf *buf, size_t more) {
    if (buf->failed || more > buf->max_bytes || buf->len > buf->max_bytes - more) {
        fail(buf);
        return NULL;
    }
    const size_t need = buf->len + more + 1;
    if (need > buf->capacity) {
        size_t grown = mem_grow(buf->capacity, need);
        if (grown - 1 > buf->max_bytes) { /* max_bytes + 1 can be 0 */
            grown = buf->max_bytes + 1;
        }
        if (buf->pool != NULL && grown <= POOL_FREE_BYTES) {
            budget_force(buf->pool, grown - buf->capacity);
        } else if (buf->pool != NULL && !budget_take(buf->pool, grown - buf->capacity)) {
            fail(buf);
            return NULL;
        }
        buf->ptr = mem_resize(buf->ptr, grown, 1);
        buf->capacity = grown;
    }
    return buf->ptr + buf->len;
}

void buf_append(struct buf *buf, const void *bytes, size_t n) {
    char *to = buf_reserve(buf, n);
    if (to == NULL) {
        return;
    }
    if (n > 0) {
        memcpy(to, bytes, n);
    }
    to[n] = '\0';
    buf->len += n;
}

void buf_append_str(struct buf *buf, struct str s) {
    buf_append(buf, s.ptr, s.len);
}

void buf_append_cstr(struct buf *buf, const char *text) {
    buf_append(buf, text, strlen(text));
}

void buf_append_char(struct buf *buf, char c) {
    buf_append(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *to = n >= 0 ? buf_reserve(buf, (size_t)n) : NULL;
    if (to != NULL) {
        (void)vsnprintf(to, (size_t)n + 1, fmt, again);
        buf->len += (size_t)n;
    }
    va_end(again);
}

char *buf_take(struct buf *buf, size_t *out_len) {
    if (buf->failed) {
        return NULL;
    }
    if (buf->ptr == NULL) {
        buf_append(buf, "", 0);
    }
    char *ptr = buf->ptr;
    if (out_len != NULL) {
        *out_len = buf->len;
    }
    buf->ptr = NULL;
    buf_release(buf);
    return ptr;
}

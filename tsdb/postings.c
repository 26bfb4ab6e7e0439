/* Postings as runs. WHY NOT bitmaps or packed blocks: lists here name label sets, not series, so
 * even a million series give a few thousand ids; storage.md's other containers belong to the
 * immutable index of a partition. */
#include "tsdb/postings.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"

struct postings_closed {
    uint32_t len;
    uint32_t capacity;
    uint32_t end;    /* first id after the last run */
    uint8_t bytes[]; /* a run: uvarint gap from the end of the one before, uvarint length - 1 */
};

enum { CLOSED_BYTES_MIN = 12 }; /* with the head and what malloc adds, 32 */

static void close_run(struct postings *p) {
    uint8_t pair[2 * UVARINT_MAX];
    const struct postings_closed none = {0};
    struct postings_closed *closed = p->closed;
    uint8_t *end = put_uvarint(pair, p->run_start - (closed != NULL ? closed : &none)->end);
    end = put_uvarint(end, p->run_end - p->run_start - 1);
    const size_t have = closed != NULL ? closed->capacity : 0;
    const size_t need = (closed != NULL ? closed->len : 0) + (size_t)(end - pair);
    if (need > have) {
        const size_t want = have == 0 ? CLOSED_BYTES_MIN : mem_grow(have, need);
        const size_t capacity = want > need ? want : need;
        closed = mem_resize(closed, sizeof(*closed) + capacity, 1);
        if (have == 0) {
            *closed = none;
        }
        closed->capacity = (uint32_t)capacity;
        p->closed = closed;
    }
    memcpy(closed->bytes + closed->len, pair, (size_t)(end - pair));
    closed->len = (uint32_t)need;
    closed->end = p->run_end;
}

void postings_add(struct postings *p, uint32_t id) {
    if (p->run_end != 0) {
        if (id + 1 == p->run_end) {
            return;
        }
        ASSERT(id >= p->run_end);
        if (id != p->run_end) {
            close_run(p);
        }
    }
    if (p->run_end == 0 || id != p->run_end) {
        p->run_start = id;
    }
    p->run_end = id + 1;
}

void postings_release(struct postings *p) {
    mem_free(p->closed);
    *p = (struct postings){0};
}

size_t postings_bytes(const struct postings *p) {
    return p->closed != NULL ? sizeof(*p->closed) + p->closed->capacity : 0;
}

static uint32_t take(const uint8_t *bytes, uint32_t *at) {
    uint32_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
        const uint8_t b = bytes[(*at)++];
        v |= (uint32_t)(b & 0x7F) << shift;
        if (b < 0x80) {
            return v;
        }
    }
}

bool postings_next_run(struct postings_iter *it, uint32_t *out_start, uint32_t *out_end) {
    const struct postings *p = it->list;
    const struct postings_closed *closed = p->closed;
    if (closed != NULL && it->at < closed->len) {
        *out_start = it->end + take(closed->bytes, &it->at);
        it->end = *out_start + take(closed->bytes, &it->at) + 1;
        *out_end = it->end;
        return true;
    }
    if (it->done) {
        return false;
    }
    it->done = true;
    *out_start = p->run_start;
    *out_end = p->run_end;
    return true;
}

/* Postings as runs. WHY NOT bitmaps or packed blocks: lists here name label sets, not series, so
 * even a million series give a few thousand ids; storage.md's other containers belong to the
 * immutable index of a partition. */
#include "tsdb/postings.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"

static void close_run(struct postings *p) {
    uint8_t pair[2 * UVARINT_MAX];
    uint8_t *end = put_uvarint(pair, p->run_start - p->closed_end);
    end = put_uvarint(end, p->run_end - p->run_start - 1);
    const uint32_t need = p->len + (uint32_t)(end - pair);
    if (need > p->capacity) {
        p->capacity = p->capacity == 0 ? 8 : (uint32_t)mem_grow(p->capacity, need);
        p->bytes = mem_resize(p->bytes, p->capacity, 1);
    }
    memcpy(p->bytes + p->len, pair, (size_t)(end - pair));
    p->len = need;
    p->closed_end = p->run_end;
}

void postings_add(struct postings *p, uint32_t id) {
    if (p->count != 0) {
        if (id + 1 == p->run_end) {
            return;
        }
        ASSERT(id >= p->run_end);
    }
    if (p->count == 0) {
        p->run_start = id;
    } else if (id != p->run_end) {
        close_run(p);
        p->run_start = id;
    }
    p->run_end = id + 1;
    p->count++;
}

void postings_release(struct postings *p) {
    mem_free(p->bytes);
    *p = (struct postings){0};
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
    if (it->at < p->len) {
        *out_start = it->end + take(p->bytes, &it->at);
        it->end = *out_start + take(p->bytes, &it->at) + 1;
        *out_end = it->end;
        return true;
    }
    if (it->done || p->count == 0) {
        return false;
    }
    it->done = true;
    *out_start = p->run_start;
    *out_end = p->run_end;
    return true;
}

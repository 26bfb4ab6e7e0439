/* Lists of numbers. Forms are described in FORMAT.md section 10.2. */
#include "tsdb/id_list.h"

#include "base/bytes.h"
#include "base/check.h"
#include "tsdb/chunk/pfor.h"

enum { FORM_RUNS = 0, FORM_PACKED = 1, FORM_BITMAP = 2, FORM_SINGLE = 3, FORM_BITS = 2 };
enum { PACK_BYTES_MAX = 2 * UVARINT_MAX + 16 + ID_LIST_PACK * 12, PACK_IDS_MIN = 4 };

/* ---- writing ---- */

static void append_uvarint(struct buf *to, uint64_t v) {
    uint8_t bytes[UVARINT_MAX];
    buf_append(to, bytes, (size_t)(put_uvarint(bytes, v) - bytes));
}

static size_t uvarint_bytes(uint64_t v) {
    return v == 0 ? 1 : (70 - (unsigned)__builtin_clzll(v)) / 7;
}

static size_t run_end(const uint32_t *ids, size_t n, size_t at) {
    size_t end = at + 1;
    while (end < n && ids[end] == ids[end - 1] + 1) {
        end++;
    }
    return end;
}

static size_t count_runs(const uint32_t *ids, size_t n, size_t *out_bytes) {
    size_t runs = 0;
    uint32_t before = 0;
    *out_bytes = 0;
    for (size_t at = 0; at < n; runs++) {
        const size_t end = run_end(ids, n, at);
        *out_bytes += uvarint_bytes(ids[at] - before) + uvarint_bytes(end - at - 1);
        before = ids[end - 1] + 1;
        at = end;
    }
    return runs;
}

static void write_runs(struct buf *to, const uint32_t *ids, size_t n, size_t runs, size_t bytes) {
    append_uvarint(to, (uint64_t)runs << FORM_BITS | FORM_RUNS);
    append_uvarint(to, bytes);
    uint32_t before = 0;
    for (size_t at = 0; at < n;) {
        const size_t end = run_end(ids, n, at);
        append_uvarint(to, ids[at] - before);
        append_uvarint(to, end - at - 1);
        before = ids[end - 1] + 1;
        at = end;
    }
}

/* One pack of n ids behind the id before - 1; returns its bytes, written when to is there. */
static size_t write_pack(struct buf *to, const uint32_t *ids, size_t n, uint32_t before) {
    uint64_t v[ID_LIST_PACK];
    uint8_t bytes[PACK_BYTES_MAX];
    uint64_t base = UINT64_MAX;
    for (size_t i = 1; i < n; i++) {
        v[i - 1] = ids[i] - ids[i - 1] - 1;
        base = v[i - 1] < base ? v[i - 1] : base;
    }
    base = n > 1 ? base : 0;
    for (size_t i = 1; i < n; i++) {
        v[i - 1] -= base;
    }
    const struct pfor_plan plan = pfor_plan(v, n - 1);
    if (to != NULL) {
        uint8_t *end = put_uvarint(bytes, ids[0] - before);
        end = put_varint(end, (int64_t)base);
        end = n > 1 ? pfor_write(end, v, n - 1, plan) : end;
        buf_append(to, bytes, (size_t)(end - bytes));
    }
    return uvarint_bytes(ids[0] - before) + uvarint_bytes(zigzag_encode((int64_t)base)) +
           (n > 1 ? plan.bytes : 0);
}

static size_t write_packs(struct buf *to, const uint32_t *ids, size_t n) {
    size_t bytes = 0;
    for (size_t at = 0; at < n; at += ID_LIST_PACK) {
        const size_t left = n - at < ID_LIST_PACK ? n - at : ID_LIST_PACK;
        bytes += write_pack(to, ids + at, left, at == 0 ? 0 : ids[at - 1] + 1);
    }
    return bytes;
}

static void write_bitmap(struct buf *to, const uint32_t *ids, size_t n) {
    const uint32_t first = ids[0] / 8;
    const size_t size = ids[n - 1] / 8 - first + 1;
    append_uvarint(to, (uint64_t)n << FORM_BITS | FORM_BITMAP);
    append_uvarint(to, uvarint_bytes(first) + size);
    append_uvarint(to, first);
    uint8_t *bits = (uint8_t *)buf_reserve(to, size);
    if (bits == NULL) {
        return;
    }
    memset(bits, 0, size);
    for (size_t i = 0; i < n; i++) {
        bits[ids[i] / 8 - first] |= (uint8_t)(1 << ids[i] % 8);
    }
    to->len += size;
}

void id_list_encode(struct buf *to, const uint32_t *ids, size_t n) {
    if (n <= 1) {
        append_uvarint(to, n == 0 ? FORM_RUNS : (uint64_t)ids[0] << FORM_BITS | FORM_SINGLE);
        return;
    }
    size_t run_bytes;
    const size_t runs = count_runs(ids, n, &run_bytes);
    const size_t pack_bytes = n >= PACK_IDS_MIN && runs > 2 ? write_packs(NULL, ids, n) : SIZE_MAX;
    const size_t bit_bytes = (size_t)(ids[n - 1] / 8 - ids[0] / 8) + 1 + uvarint_bytes(ids[0] / 8);
    if (run_bytes <= pack_bytes && run_bytes <= bit_bytes) {
        write_runs(to, ids, n, runs, run_bytes);
    } else if (bit_bytes <= pack_bytes) {
        write_bitmap(to, ids, n);
    } else {
        append_uvarint(to, (uint64_t)n << FORM_BITS | FORM_PACKED);
        append_uvarint(to, pack_bytes);
        (void)write_packs(to, ids, n);
    }
}

/* ---- reading ---- */

static void fail(struct id_list_iter *it) {
    it->from.failed = true;
    it->left = 0;
}

/* The bytes of a list, behind its head. */
static struct cursor take_body(struct cursor *from, uint64_t head) {
    struct cursor body = cursor_of(from->at, 0);
    if ((head & 3) == FORM_SINGLE || head == FORM_RUNS) {
        return body;
    }
    const uint64_t size = cursor_uvarint(from);
    if (!from->failed && size <= cursor_left(from)) {
        body = cursor_of(cursor_bytes(from, (size_t)size), (size_t)size);
    } else {
        from->failed = true;
    }
    body.failed = from->failed;
    return body;
}

void id_list_begin(struct cursor *from, uint32_t limit, struct id_list_iter *out) {
    const uint64_t head = cursor_uvarint(from);
    out->form = (uint8_t)(head & 3);
    out->next = 0;
    out->limit = limit;
    out->at = 0;
    out->batch_count = 0;
    out->from = take_body(from, head);
    out->from.failed |= from->failed;
    const uint64_t n = head >> FORM_BITS;
    if (out->from.failed || n > UINT32_MAX) {
        fail(out);
        return;
    }
    out->left = (uint32_t)n;
    if (out->form == FORM_SINGLE) {
        out->left = 1;
        out->next = n;
    } else if (out->form == FORM_BITMAP) {
        const uint64_t first = cursor_uvarint(&out->from);
        out->next = first * 8;
        if (out->from.failed || out->next >= limit) {
            fail(out);
        }
    }
}

void id_list_skip(struct cursor *from) {
    (void)take_body(from, cursor_uvarint(from));
}

static bool next_of_runs(struct id_list_iter *it, uint32_t *out_start, uint32_t *out_end) {
    const uint64_t gap = cursor_uvarint(&it->from);
    const uint64_t more = cursor_uvarint(&it->from);
    if (it->from.failed || gap >= it->limit - it->next || more >= it->limit - it->next - gap) {
        fail(it);
        return false;
    }
    *out_start = (uint32_t)(it->next + gap);
    *out_end = (uint32_t)(*out_start + more + 1);
    it->next = *out_end;
    it->left--;
    return true;
}

static bool read_pack(struct id_list_iter *it) {
    uint64_t v[ID_LIST_PACK];
    const uint32_t n = it->left < ID_LIST_PACK ? it->left : ID_LIST_PACK;
    const uint64_t gap = cursor_uvarint(&it->from);
    const int64_t base = cursor_varint(&it->from);
    size_t used = 0;
    if (it->from.failed || gap >= it->limit - it->next || base < 0 || base > UINT32_MAX ||
        (n > 1 && pfor_read(it->from.at, cursor_left(&it->from), n - 1, v, &used) != ERR_OK)) {
        return false;
    }
    it->from.at += used;
    uint64_t id = it->next + gap;
    it->batch[0] = (uint32_t)id;
    for (uint32_t i = 1; i < n; i++) {
        if (v[i - 1] > UINT32_MAX) {
            return false;
        }
        id += v[i - 1] + (uint64_t)base + 1;
        if (id >= it->limit) {
            return false;
        }
        it->batch[i] = (uint32_t)id;
    }
    it->next = id + 1;
    it->left -= n;
    it->at = 0;
    it->batch_count = n;
    return true;
}

static bool next_of_packed(struct id_list_iter *it, uint32_t *out_start, uint32_t *out_end) {
    if (it->at == it->batch_count && !read_pack(it)) {
        fail(it);
        return false;
    }
    *out_start = it->batch[it->at++];
    *out_end = *out_start + 1;
    return true;
}

static bool next_of_bitmap(struct id_list_iter *it, uint32_t *out_start, uint32_t *out_end) {
    const size_t size = cursor_left(&it->from);
    size_t byte = it->at / 8;
    while (byte < size && it->from.at[byte] >> it->at % 8 == 0) {
        byte++;
        it->at = (uint32_t)byte * 8;
    }
    if (byte >= size) {
        fail(it);
        return false;
    }
    it->at += (unsigned)__builtin_ctz((unsigned)it->from.at[byte] >> it->at % 8);
    const uint64_t id = it->next + it->at;
    if (id >= it->limit) {
        fail(it);
        return false;
    }
    *out_start = (uint32_t)id;
    *out_end = *out_start + 1;
    it->at++;
    it->left--;
    return true;
}

bool id_list_next(struct id_list_iter *it, uint32_t *out_start, uint32_t *out_end) {
    if (it->left == 0 && it->at == it->batch_count) {
        return false;
    }
    switch (it->form) {
    case FORM_RUNS:
        return it->left != 0 && next_of_runs(it, out_start, out_end);
    case FORM_PACKED:
        return next_of_packed(it, out_start, out_end);
    case FORM_BITMAP:
        return it->left != 0 && next_of_bitmap(it, out_start, out_end);
    default:
        if (it->left == 0) {
            return false;
        }
        if (it->next >= it->limit) {
            fail(it);
            return false;
        }
        it->left = 0;
        *out_start = (uint32_t)it->next;
        *out_end = *out_start + 1;
        return true;
    }
}

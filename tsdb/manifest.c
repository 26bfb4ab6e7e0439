/* The manifest: lists in memory, and their bytes. */
#include "tsdb/manifest.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/cursor.h"
#include "base/mem.h"

enum { LEVEL_MAX = 63 };

/* ---- lists ---- */

void manifest_init(struct manifest *m) {
    *m = (struct manifest){.next_partition = 1};
}

void manifest_release(struct manifest *m) {
    for (size_t i = 0; i < m->partition_count; i++) {
        mem_free(m->partitions[i].parents);
    }
    mem_free(m->partitions);
    mem_free(m->marks);
    manifest_init(m);
}

static uint32_t *copy_numbers(const uint32_t *numbers, uint32_t n) {
    if (n == 0) {
        return NULL;
    }
    uint32_t *copy = mem_array(n, sizeof(*copy));
    memcpy(copy, numbers, n * sizeof(*copy));
    return copy;
}

void manifest_copy(struct manifest *to, const struct manifest *from) {
    *to = *from;
    to->partitions = mem_array(from->partition_count + 1, sizeof(*to->partitions));
    for (size_t i = 0; i < from->partition_count; i++) {
        to->partitions[i] = from->partitions[i];
        to->partitions[i].parents =
            copy_numbers(from->partitions[i].parents, from->partitions[i].parent_count);
    }
    to->marks = mem_array(from->mark_count + 1, sizeof(*to->marks));
    if (from->mark_count != 0) {
        memcpy(to->marks, from->marks, from->mark_count * sizeof(*to->marks));
    }
}

/* The first partition whose number is not below. */
static size_t find_partition(const struct manifest *m, uint32_t number) {
    size_t low = 0;
    size_t high = m->partition_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (m->partitions[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void manifest_add(struct manifest *m, const struct manifest_partition *p) {
    ASSERT(p->number != 0 && p->number < UINT32_MAX);
    const size_t at = find_partition(m, p->number);
    ASSERT(at == m->partition_count || m->partitions[at].number != p->number);
    m->partitions = mem_resize(m->partitions, m->partition_count + 1, sizeof(*m->partitions));
    memmove(m->partitions + at + 1, m->partitions + at,
            (m->partition_count - at) * sizeof(*m->partitions));
    m->partition_count++;
    m->partitions[at] = *p;
    m->partitions[at].parents = copy_numbers(p->parents, p->parent_count);
    if (p->number >= m->next_partition) {
        m->next_partition = p->number + 1;
    }
}

const struct manifest_partition *manifest_find(const struct manifest *m, uint32_t number) {
    const size_t at = find_partition(m, number);
    return at < m->partition_count && m->partitions[at].number == number ? &m->partitions[at]
                                                                         : NULL;
}

void manifest_remove(struct manifest *m, uint32_t number) {
    const size_t at = find_partition(m, number);
    if (at < m->partition_count && m->partitions[at].number == number) {
        mem_free(m->partitions[at].parents);
        m->partition_count--;
        memmove(m->partitions + at, m->partitions + at + 1,
                (m->partition_count - at) * sizeof(*m->partitions));
    }
}

static int mark_order(const struct manifest_mark *a, const struct manifest_mark *b) {
    if (a->start_ms != b->start_ms) {
        return a->start_ms < b->start_ms ? -1 : 1;
    }
    return (a->shard > b->shard) - (a->shard < b->shard);
}

void manifest_set_mark(struct manifest *m, const struct manifest_mark *mark) {
    ASSERT(mark->shard < MANIFEST_SHARDS_MAX && mark->start_ms < mark->end_ms);
    size_t at = 0;
    while (at < m->mark_count && mark_order(&m->marks[at], mark) < 0) {
        at++;
    }
    if (at == m->mark_count || mark_order(&m->marks[at], mark) != 0) {
        m->marks = mem_resize(m->marks, m->mark_count + 1, sizeof(*m->marks));
        memmove(m->marks + at + 1, m->marks + at, (m->mark_count - at) * sizeof(*m->marks));
        m->mark_count++;
    }
    m->marks[at] = *mark;
    struct manifest_floor *floor = &m->floors[mark->shard];
    floor->l0_file = mark->l0_file > floor->l0_file ? mark->l0_file : floor->l0_file;
    floor->wal_segment =
        mark->wal_segment > floor->wal_segment ? mark->wal_segment : floor->wal_segment;
}

const struct manifest_mark *manifest_mark_at(const struct manifest_mark *marks, size_t count,
                                             uint32_t shard, int64_t ts_ms) {
    size_t low = 0; /* the first mark that begins behind ts_ms */
    size_t high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (marks[middle].start_ms <= ts_ms) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    while (low > 0 && marks[low - 1].end_ms > ts_ms) {
        low--;
        if (marks[low].shard == shard) {
            return &marks[low];
        }
    }
    return NULL;
}

/* ---- bytes ---- */

static void put(struct buf *to, uint64_t v) {
    uint8_t bytes[UVARINT_MAX];
    buf_append(to, bytes, (size_t)(put_uvarint(bytes, v) - bytes));
}

static void put_signed(struct buf *to, int64_t v) {
    put(to, zigzag_encode(v));
}

static uint64_t distance(int64_t from, int64_t to) {
    return (uint64_t)to - (uint64_t)from;
}

static void encode_partition(const struct manifest_partition *p, uint32_t before, struct buf *to) {
    put(to, p->number - before);
    put(to, p->level);
    put_signed(to, p->start_ms);
    put(to, distance(p->start_ms, p->end_ms));
    put_signed(to, p->min_ts_ms);
    put(to, distance(p->min_ts_ms, p->max_ts_ms));
    put(to, p->series);
    put(to, p->samples);
    put(to, p->bytes);
    put(to, p->parent_count);
    uint32_t last = 0;
    for (uint32_t i = 0; i < p->parent_count; i++) {
        put(to, p->parents[i] - last);
        last = p->parents[i];
    }
}

void manifest_encode(const struct manifest *m, struct buf *to) {
    uint32_t shards = MANIFEST_SHARDS_MAX;
    while (shards > 0 && m->floors[shards - 1].l0_file == 0 &&
           m->floors[shards - 1].wal_segment == 0) {
        shards--;
    }
    put(to, m->next_partition);
    put(to, shards);
    for (uint32_t i = 0; i < shards; i++) {
        put(to, m->floors[i].l0_file);
        put(to, m->floors[i].wal_segment);
    }
    put(to, m->partition_count);
    for (size_t i = 0; i < m->partition_count; i++) {
        encode_partition(&m->partitions[i], i == 0 ? 0 : m->partitions[i - 1].number, to);
    }
    put(to, m->mark_count);
    for (size_t i = 0; i < m->mark_count; i++) {
        const struct manifest_mark *mark = &m->marks[i];
        put_signed(to, mark->start_ms);
        put(to, distance(mark->start_ms, mark->end_ms));
        put(to, mark->shard);
        put(to, mark->l0_file);
        put(to, mark->wal_segment);
    }
}

/* A number up to max; what is more makes the cursor fail. */
static uint64_t take(struct cursor *c, uint64_t max) {
    const uint64_t v = cursor_uvarint(c);
    c->failed |= v > max;
    return c->failed ? 0 : v;
}

/* from + a distance of at least min. */
static int64_t take_end(struct cursor *c, int64_t from, uint64_t min) {
    const uint64_t v = cursor_uvarint(c);
    c->failed |= v < min || v > distance(from, INT64_MAX);
    return c->failed ? from : (int64_t)((uint64_t)from + v);
}

static void decode_partition(struct cursor *c, uint32_t before, struct manifest *m) {
    uint32_t parents[MANIFEST_PARENTS_MAX];
    struct manifest_partition p = {.parents = parents};
    const uint64_t step = take(c, UINT32_MAX);
    p.level = (uint8_t)take(c, LEVEL_MAX);
    p.start_ms = cursor_varint(c);
    p.end_ms = take_end(c, p.start_ms, 1);
    p.min_ts_ms = cursor_varint(c);
    p.max_ts_ms = take_end(c, p.min_ts_ms, 0);
    p.series = cursor_uvarint(c);
    p.samples = cursor_uvarint(c);
    p.bytes = cursor_uvarint(c);
    p.parent_count = (uint32_t)take(c, MANIFEST_PARENTS_MAX);
    uint64_t last = 0;
    for (uint32_t i = 0; i < p.parent_count && !c->failed; i++) {
        const uint64_t more = take(c, UINT32_MAX);
        last += more;
        c->failed |= more == 0 || last >= before + step;
        parents[i] = (uint32_t)last;
    }
    c->failed |= step == 0 || before + step >= m->next_partition || p.level == 0;
    if (!c->failed) {
        p.number = (uint32_t)(before + step);
        manifest_add(m, &p);
    }
}

static void decode_mark(struct cursor *c, struct manifest *m) {
    struct manifest_mark mark = {.start_ms = cursor_varint(c)};
    mark.end_ms = take_end(c, mark.start_ms, 1);
    mark.shard = (uint32_t)take(c, MANIFEST_SHARDS_MAX - 1);
    mark.l0_file = (uint32_t)take(c, UINT32_MAX);
    mark.wal_segment = (uint32_t)take(c, UINT32_MAX);
    const struct manifest_floor *floor = &m->floors[mark.shard];
    const struct manifest_mark *last = m->mark_count != 0 ? &m->marks[m->mark_count - 1] : NULL;
    c->failed |= mark.l0_file > floor->l0_file || mark.wal_segment > floor->wal_segment ||
                 (last != NULL && mark_order(last, &mark) >= 0);
    if (!c->failed) {
        manifest_set_mark(m, &mark);
    }
}

enum err_code manifest_decode(const uint8_t *bytes, size_t n, struct manifest *out,
                              struct err *err) {
    struct cursor c = cursor_of(bytes, n);
    manifest_init(out);
    out->next_partition = (uint32_t)take(&c, UINT32_MAX);
    const uint64_t shards = take(&c, MANIFEST_SHARDS_MAX);
    for (uint64_t i = 0; i < shards && !c.failed; i++) {
        out->floors[i].l0_file = (uint32_t)take(&c, UINT32_MAX);
        out->floors[i].wal_segment = (uint32_t)take(&c, UINT32_MAX);
    }
    c.failed |= out->next_partition == 0 || (shards != 0 && out->floors[shards - 1].l0_file == 0 &&
                                             out->floors[shards - 1].wal_segment == 0);
    const uint64_t partitions = take(&c, MANIFEST_PARTITIONS_MAX);
    for (uint64_t i = 0; i < partitions && !c.failed; i++) {
        decode_partition(&c, i == 0 ? 0 : out->partitions[i - 1].number, out);
    }
    const uint64_t marks = take(&c, MANIFEST_MARKS_MAX);
    for (uint64_t i = 0; i < marks && !c.failed; i++) {
        decode_mark(&c, out);
    }
    if (c.failed || cursor_left(&c) != 0) {
        const size_t at = cursor_offset(&c);
        manifest_release(out);
        return err_set(err, ERR_CORRUPT, "impossible content near byte %zu", at);
    }
    return ERR_OK;
}

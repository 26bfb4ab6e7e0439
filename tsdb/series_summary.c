/* Summaries of blocks, written and read. FORMAT.md section 10.5.
 *
 * EXACTNESS. Decimals of one scale are in the order of their integers, so the smallest integer is the
 * smallest double; a finer scale is the same number, hence the same double. What is not a decimal
 * has neither range nor sum here, but may rise. */
#include "tsdb/series_summary.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "tsdb/chunk/block.h"
#include "tsdb/chunk/pfor.h"
#include "tsdb/chunk/value_op.h"
#include "tsdb/storage.h"

enum {
    /* The head of a summary: flags and, above them, the size of what follows. */
    PLAIN_SHIFT = 0,
    RISES_SHIFT = 2,
    RANGE_SHIFT = 5,
    SET_MASK = 3,
    FLAG_STEADY = 1 << 4,
    FLAG_SUMS = 1 << 7,
    HEAD_BITS = 8,

    BODY_BYTES_MAX = 1 << 24,
};

/* How a set of blocks stands in a summary. */
enum set_form { SET_NONE = 0, SET_ALL = 1, SET_BITS = 2 };

static const uint64_t EXCESS_MAX = UINT64_C(1) << 62;

struct series_summary_builder {
    struct block_summary *blocks;
    uint32_t count;
    uint32_t capacity;
    double last; /* of the block before, if that is plain */
    bool steady;
    double value; /* that all have, if steady */
    size_t block_bytes;
    struct block_ints ints; /* scratch */
    uint16_t *rows;
    uint64_t *column; /* scratch of a slice */
    struct buf body;
};

struct series_summary_builder *series_summary_builder_new(void) {
    struct series_summary_builder *b = mem_zalloc(sizeof(*b));
    const uint32_t capacity = block_decode_capacity(BLOCK_ROWS_MAX);
    b->ints.m = mem_array(capacity, sizeof(*b->ints.m));
    b->ints.stale = mem_array(capacity, sizeof(*b->ints.stale));
    b->rows = mem_array(capacity, sizeof(*b->rows));
    b->column = mem_array(PFOR_COUNT_MAX, sizeof(*b->column));
    buf_init(&b->body, BODY_BYTES_MAX);
    return b;
}

void series_summary_builder_free(struct series_summary_builder *b) {
    if (b == NULL) {
        return;
    }
    mem_free(b->blocks);
    mem_free(b->ints.m);
    mem_free(b->ints.stale);
    mem_free(b->rows);
    mem_free(b->column);
    buf_release(&b->body);
    mem_free(b);
}

void series_summary_begin(struct series_summary_builder *b) {
    b->count = 0;
    b->steady = true;
    b->block_bytes = 0;
}

void series_summary_built(const struct series_summary_builder *b, struct series_summary *out) {
    *out = (struct series_summary){b->blocks, b->count, b->steady && b->count != 0};
}

/* ---- one block ---- */

static bool never_falls(const int64_t *m, uint32_t n) {
    for (uint32_t i = 1; i < n; i++) {
        if (m[i] < m[i - 1]) {
            return false;
        }
    }
    return true;
}

/* Modulo 2^64. The inner loop has a fixed length, so that the compiler makes vectors of it. */
static uint64_t sum_of(const int64_t *m, uint32_t n) {
    enum { LANES = 16 };
    uint64_t sum = 0;
    uint32_t i = 0;
    for (; n - i >= LANES; i += LANES) {
        for (uint32_t k = 0; k < LANES; k++) {
            sum += (uint64_t)m[i + k];
        }
    }
    for (; i < n; i++) {
        sum += (uint64_t)m[i];
    }
    return sum;
}

/* Decimals of one scale. Those that rise, as most do, have their range at their ends. */
static void take_range(const int64_t *m, uint32_t n, bool rises, struct block_summary *s) {
    s->min = m[0];
    s->max = rises ? m[n - 1] : m[0];
    for (uint32_t i = 1; i < n && !rises; i++) {
        s->min = m[i] < s->min ? m[i] : s->min;
        s->max = m[i] > s->max ? m[i] : s->max;
    }
    if (s->min <= -NUM_MANTISSA_LIMIT || s->max >= NUM_MANTISSA_LIMIT) {
        return;
    }
    s->has_range = true;
    s->has_sum = s->scale == 0 && (uint64_t)(s->max - s->min) <= EXCESS_MAX / n;
    if (s->has_sum && s->max != s->min) {
        s->excess = sum_of(m, n) - (uint64_t)n * (uint64_t)s->min;
    }
}

static void add(struct series_summary_builder *b, const struct block_summary *s) {
    if (b->count == b->capacity) {
        b->capacity = (uint32_t)mem_grow(b->capacity, b->count + (size_t)1);
        b->blocks = mem_resize(b->blocks, b->capacity, sizeof(*b->blocks));
    }
    b->steady = b->steady && s->plain;
    b->blocks[b->count++] = *s;
}

/* Notes how the block joins the one before. */
static void add_plain(struct series_summary_builder *b, struct block_summary *s, double first,
                      double last, bool rises) {
    const struct block_summary *before = b->count != 0 ? &b->blocks[b->count - 1] : NULL;
    s->plain = true;
    s->rises = rises && (before == NULL || (before->plain && first >= b->last));
    if (before == NULL) {
        b->value = first;
    }
    b->steady = b->steady && s->has_range && s->min == s->max && f64_same_bits(first, b->value);
    b->last = last;
    add(b, s);
}

static struct num int_at(const struct block_ints *ints, uint32_t i) {
    return (struct num){.m = ints->m[i],
                        .scale = ints->decimal ? ints->scale : 0,
                        .kind = ints->decimal ? NUM_DECIMAL : NUM_RAW};
}

/* b->ints are those of a block with a value in each row. */
static void add_ints(struct series_summary_builder *b, uint32_t rows) {
    struct block_summary s = {0};
    const struct block_ints *ints = &b->ints;
    bool rises = true;
    bool has_nan = false;
    if (ints->decimal) {
        s.scale = ints->scale;
        rises = never_falls(ints->m, rows);
        take_range(ints->m, rows, rises, &s);
    } else {
        double before = -INFINITY;
        for (uint32_t i = 0; i < rows; i++) {
            const double v = f64_of_bits((uint64_t)ints->m[i]);
            has_nan |= isnan(v);
            rises &= v >= before;
            before = v;
        }
    }
    if (has_nan) {
        add(b, &(struct block_summary){0});
        return;
    }
    add_plain(b, &s, num_double(int_at(ints, 0)), num_double(int_at(ints, rows - 1)), rises);
}

void series_summary_add_block(struct series_summary_builder *b, const uint8_t *bytes, size_t n,
                              uint32_t rows) {
    b->block_bytes += n;
    b->ints.rows = b->rows;
    if (n != 0 && block_reference(bytes, n) == 0 &&
        block_decode_ints(bytes, n, rows, NULL, &b->ints) == ERR_OK && b->ints.dense &&
        b->ints.count == rows && !b->ints.has_stale) {
        add_ints(b, rows);
    } else {
        add(b, &(struct block_summary){0});
    }
}

void series_summary_add_values(struct series_summary_builder *b, const struct num *values,
                               const uint8_t *states, uint32_t rows, size_t block_bytes) {
    ASSERT(rows >= 1 && rows <= BLOCK_ROWS_MAX);
    uint8_t scale = 0;
    bool plain = true;
    bool decimal = true;
    for (uint32_t i = 0; i < rows && plain; i++) {
        plain = states[i] == SLOT_VALUE;
        decimal &= plain && values[i].kind == NUM_DECIMAL;
        scale = plain && values[i].scale > scale ? values[i].scale : scale;
    }
    b->block_bytes += block_bytes;
    if (!plain) {
        add(b, &(struct block_summary){0});
        return;
    }
    for (uint32_t i = 0; i < rows && decimal; i++) {
        decimal = value_rescale(values[i], scale, &b->ints.m[i]);
    }
    for (uint32_t i = 0; i < rows && !decimal; i++) {
        b->ints.m[i] = (int64_t)f64_bits(num_double(values[i]));
    }
    b->ints.decimal = decimal;
    b->ints.scale = decimal ? scale : 0;
    add_ints(b, rows);
}

/* ---- writing ---- */

static void append_uvarint(struct buf *to, uint64_t v) {
    uint8_t bytes[UVARINT_MAX];
    buf_append(to, bytes, (size_t)(put_uvarint(bytes, v) - bytes));
}

/* Brings all ranges to the finest scale; one that would leave a mantissa's range goes. */
static uint8_t align_scales(struct series_summary_builder *b) {
    uint8_t scale = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        const struct block_summary *s = &b->blocks[i];
        scale = s->has_range && s->scale > scale ? s->scale : scale;
    }
    for (uint32_t i = 0; i < b->count; i++) {
        struct block_summary *s = &b->blocks[i];
        if (!s->has_range || s->scale == scale) {
            continue;
        }
        const struct num min = {.m = s->min, .scale = s->scale, .kind = NUM_DECIMAL};
        const struct num max = {.m = s->max, .scale = s->scale, .kind = NUM_DECIMAL};
        s->has_range = value_rescale(min, scale, &s->min) && value_rescale(max, scale, &s->max);
        s->has_sum = false;
        s->scale = scale;
    }
    return scale;
}

typedef bool block_has(const struct block_summary *s);
static bool is_plain(const struct block_summary *s) {
    return s->plain;
}
static bool is_rising(const struct block_summary *s) {
    return s->rises;
}
static bool has_range(const struct block_summary *s) {
    return s->has_range;
}

static enum set_form set_of(const struct series_summary_builder *b, block_has *has) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        n += has(&b->blocks[i]);
    }
    return n == b->count ? SET_ALL : n >= b->count / 2 && n != 0 ? SET_BITS : SET_NONE;
}

static void write_set(const struct series_summary_builder *b, enum set_form form, block_has *has,
                      struct buf *to) {
    for (uint32_t i = 0; form == SET_BITS && i < b->count; i += 8) {
        unsigned byte = 0;
        for (uint32_t k = i; k < b->count && k < i + 8; k++) {
            byte |= (unsigned)has(&b->blocks[k]) << (k - i);
        }
        buf_append_char(to, (char)byte);
    }
}

static void write_column(struct buf *to, const uint64_t *v, size_t n) {
    const struct pfor_plan plan = pfor_plan(v, n);
    uint8_t *at = (uint8_t *)buf_reserve(to, plan.bytes);
    if (at != NULL) {
        to->len += (size_t)(pfor_write(at, v, n, plan) - at);
    }
}

enum range_column { COLUMN_OF_MIN, COLUMN_OF_SPREAD, COLUMN_OF_EXCESS };

/* Of blocks with a range, from the one at *io_at on; returns how many. */
static size_t fill_column(struct series_summary_builder *b, enum range_column column,
                          unsigned shift, uint32_t *io_at, int64_t *io_before) {
    size_t n = 0;
    uint32_t i = *io_at;
    for (; i < b->count && n < PFOR_COUNT_MAX; i++) {
        const struct block_summary *s = &b->blocks[i];
        if (!s->has_range) {
            continue;
        }
        const int64_t min = s->min / (INT64_C(1) << shift);
        if (column == COLUMN_OF_MIN) {
            b->column[n++] = zigzag_encode(min - *io_before);
            *io_before = min;
        } else {
            b->column[n++] =
                (column == COLUMN_OF_SPREAD ? (uint64_t)(s->max - s->min) : s->excess) >> shift;
        }
    }
    *io_at = i;
    return n;
}

/* How many low bits are 0 in all of them. */
static unsigned common_shift(const struct series_summary_builder *b, bool sums) {
    uint64_t any = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        const struct block_summary *s = &b->blocks[i];
        if (s->has_range) {
            any |= (uint64_t)s->min | (uint64_t)s->max | (sums ? s->excess : 0);
        }
    }
    return any != 0 ? (unsigned)__builtin_ctzll(any) : 0;
}

static void write_ranges(struct series_summary_builder *b, uint8_t scale, bool sums,
                         struct buf *to) {
    const unsigned shift = common_shift(b, sums);
    buf_append_char(to, (char)scale);
    buf_append_char(to, (char)shift);
    const enum range_column last = sums ? COLUMN_OF_EXCESS : COLUMN_OF_SPREAD;
    for (enum range_column c = COLUMN_OF_MIN; c <= last; c++) {
        int64_t before = 0;
        for (uint32_t at = 0; at < b->count;) {
            const size_t n = fill_column(b, c, shift, &at, &before);
            if (n != 0) {
                write_column(to, b->column, n);
            }
        }
    }
}

static bool all_sums(const struct series_summary_builder *b) {
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->blocks[i].has_range && !b->blocks[i].has_sum) {
            return false;
        }
    }
    return true;
}

void series_summary_write(struct series_summary_builder *b, struct buf *to) {
    const size_t most = b->block_bytes * SUMMARY_PER_MILLE / 1000;
    const uint8_t scale = align_scales(b);
    const enum set_form plain = set_of(b, is_plain);
    if (b->count < SUMMARY_BLOCKS_LEAST || plain == SET_NONE) {
        append_uvarint(to, 0);
        return;
    }
    if (b->steady) {
        append_uvarint(to, SET_ALL << PLAIN_SHIFT | SET_ALL << RISES_SHIFT | FLAG_STEADY);
        return;
    }
    const enum set_form rises = set_of(b, is_rising);
    const enum set_form range = set_of(b, has_range);
    for (int less = 0; less < 3; less++) { /* all, without sums, without ranges */
        const bool ranges = less < 2 && range != SET_NONE;
        const bool sums = less < 1 && ranges && all_sums(b);
        buf_clear(&b->body);
        write_set(b, plain, is_plain, &b->body);
        write_set(b, rises, is_rising, &b->body);
        if (ranges) {
            write_set(b, range, has_range, &b->body);
            write_ranges(b, scale, sums, &b->body);
        }
        if (buf_ok(&b->body) && b->body.len <= most) {
            const unsigned flags = (unsigned)plain << PLAIN_SHIFT | (unsigned)rises << RISES_SHIFT |
                                   (ranges ? (unsigned)range << RANGE_SHIFT : 0) |
                                   (sums ? FLAG_SUMS : 0);
            append_uvarint(to, (uint64_t)b->body.len << HEAD_BITS | flags);
            buf_append_str(to, buf_str(&b->body));
            return;
        }
    }
    append_uvarint(to, 0);
}

/* ---- reading ---- */

bool series_summary_skip(struct cursor *from) {
    const uint64_t head = cursor_uvarint(from);
    const uint64_t size = head >> HEAD_BITS;
    return !from->failed && size <= cursor_left(from) && cursor_bytes(from, (size_t)size) != NULL;
}

/* Which bytes of a set: NULL for none and all. */
static bool take_set(struct cursor *c, unsigned form, uint32_t count, const uint8_t **out) {
    *out = form == SET_BITS ? cursor_bytes(c, (count + (size_t)7) / 8) : NULL;
    return form <= SET_ALL || (form == SET_BITS && *out != NULL);
}

static bool in_set(unsigned form, const uint8_t *bits, uint32_t i) {
    return form == SET_ALL || (form == SET_BITS && (bits[i / 8] >> i % 8 & 1) != 0);
}

static bool put_number(struct block_summary *s, enum range_column column, uint64_t v,
                       unsigned shift, int64_t *io_before) {
    const uint64_t most = (uint64_t)NUM_MANTISSA_LIMIT * 2 >> shift;
    switch (column) {
    case COLUMN_OF_MIN: {
        const int64_t step = zigzag_decode(v);
        if (step > (int64_t)most || step < -(int64_t)most) {
            return false;
        }
        *io_before += step;
        s->min = *io_before * (INT64_C(1) << shift);
        return s->min > -NUM_MANTISSA_LIMIT && s->min < NUM_MANTISSA_LIMIT;
    }
    case COLUMN_OF_SPREAD:
        if (v > most) {
            return false;
        }
        s->max = s->min + (int64_t)(v << shift);
        return s->max < NUM_MANTISSA_LIMIT;
    case COLUMN_OF_EXCESS:
        if (v > EXCESS_MAX >> shift) {
            return false;
        }
        s->excess = v << shift;
        s->has_sum = true;
        return true;
    }
    UNREACHABLE("column of a summary");
}

static bool take_column(struct cursor *c, enum range_column column, unsigned shift, uint64_t *slice,
                        struct series_summary *out) {
    int64_t before = 0;
    uint32_t left = 0;
    for (uint32_t i = 0; i < out->count; i++) {
        left += out->blocks[i].has_range;
    }
    size_t n = 0;
    size_t at = 0;
    for (uint32_t i = 0; i < out->count; i++) {
        if (!out->blocks[i].has_range) {
            continue;
        }
        if (at == n) {
            size_t used = 0;
            n = left < PFOR_COUNT_MAX ? left : PFOR_COUNT_MAX;
            left -= (uint32_t)n;
            at = 0;
            if (pfor_read(c->at, cursor_left(c), n, slice, &used) != ERR_OK ||
                cursor_bytes(c, used) == NULL) {
                return false;
            }
        }
        if (!put_number(&out->blocks[i], column, slice[at++], shift, &before)) {
            return false;
        }
    }
    return true;
}

static bool take_ranges(struct cursor *c, unsigned form, bool sums, uint64_t *slice,
                        struct series_summary *out) {
    const uint8_t *bits;
    if (!take_set(c, form, out->count, &bits)) {
        return false;
    }
    const uint8_t scale = cursor_u8(c);
    const uint8_t shift = cursor_u8(c);
    if (c->failed || scale > NUM_SCALE_MAX || shift > 53 || (sums && scale != 0)) {
        return false;
    }
    for (uint32_t i = 0; i < out->count; i++) {
        struct block_summary *s = &out->blocks[i];
        s->has_range = in_set(form, bits, i);
        s->scale = scale;
        if (s->has_range && !s->plain) {
            return false;
        }
    }
    return take_column(c, COLUMN_OF_MIN, shift, slice, out) &&
           take_column(c, COLUMN_OF_SPREAD, shift, slice, out) &&
           (!sums || take_column(c, COLUMN_OF_EXCESS, shift, slice, out));
}

static bool take_body(struct cursor *c, unsigned flags, uint64_t *slice,
                      struct series_summary *out) {
    const unsigned plain = flags >> PLAIN_SHIFT & SET_MASK;
    const unsigned rises = flags >> RISES_SHIFT & SET_MASK;
    const unsigned range = flags >> RANGE_SHIFT & SET_MASK;
    const uint8_t *plain_bits;
    const uint8_t *rises_bits;
    if (plain == SET_NONE || !take_set(c, plain, out->count, &plain_bits) ||
        !take_set(c, rises, out->count, &rises_bits)) {
        return false;
    }
    for (uint32_t i = 0; i < out->count; i++) {
        out->blocks[i].plain = in_set(plain, plain_bits, i);
        out->blocks[i].rises = in_set(rises, rises_bits, i);
        if (out->blocks[i].rises && !out->blocks[i].plain) {
            return false;
        }
    }
    out->steady = (flags & FLAG_STEADY) != 0;
    if (out->steady && (plain != SET_ALL || range != SET_NONE)) {
        return false;
    }
    const bool sums = (flags & FLAG_SUMS) != 0;
    return range == SET_NONE ? !sums : take_ranges(c, range, sums, slice, out);
}

enum err_code series_summary_read(struct cursor *from, uint32_t count, struct arena *arena,
                                  struct series_summary *out) {
    const uint64_t head = cursor_uvarint(from);
    const uint64_t size = head >> HEAD_BITS;
    *out = (struct series_summary){.count = count};
    const uint8_t *bytes = size <= cursor_left(from) ? cursor_bytes(from, (size_t)size) : NULL;
    if (from->failed || (bytes == NULL && size != 0)) {
        return ERR_CORRUPT;
    }
    const unsigned flags = head & ((1U << HEAD_BITS) - 1);
    if (flags == 0) {
        return size == 0 ? ERR_OK : ERR_CORRUPT;
    }
    const size_t slice_count = count < PFOR_COUNT_MAX ? count : PFOR_COUNT_MAX;
    uint64_t *slice = arena_try_alloc(arena, slice_count + 1, sizeof(*slice));
    out->blocks = arena_try_alloc(arena, count + (size_t)1, sizeof(*out->blocks));
    if (slice == NULL || out->blocks == NULL) {
        return ERR_LIMIT;
    }
    memset(out->blocks, 0, count * sizeof(*out->blocks));
    struct cursor c = cursor_of(bytes, (size_t)size);
    if (!take_body(&c, flags, slice, out) || c.failed || cursor_left(&c) != 0) {
        *out = (struct series_summary){0};
        return ERR_CORRUPT;
    }
    return ERR_OK;
}

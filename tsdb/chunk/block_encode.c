/* Choosing and writing the form of a block.
 *
 * 1. The states become presence runs; the values alone go on.
 * 2. Decimals are brought to one scale, the smallest that all have. Where that does not fit into
 *    2^53, or one value is no decimal, all become the bits of their doubles.
 * 3. Integers are taken relative to the first and shifted right by the zero bits that all of them
 *    end with (kilobyte counters printed in bytes, sectors, pages).
 * 4. Every form is costed exactly from a histogram of bit lengths; the cheapest is written.
 *
 * All arithmetic is modulo 2^64, so differences of raw bits cannot overflow: the decoder adds the
 * same numbers back. */
#include "tsdb/chunk/block.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "tsdb/chunk/bitpack.h"
#include "tsdb/chunk/block_encoder.h"
#include "tsdb/chunk/block_format.h"
#include "tsdb/chunk/pfor.h"
#include "tsdb/chunk/value_op.h"
#include "tsdb/storage.h"

struct candidate {
    enum block_kind kind;
    bool mode;
    int64_t base;     /* of FOR (added to the first value), DELTA, DELTA2 in offset mode */
    uint32_t bytes;   /* behind the head and the first value */
    uint32_t changes; /* SPARSE */
    struct pfor_plan plan;
};

struct block_encoder *block_encoder_new(void) {
    struct block_encoder *e = mem_alloc(sizeof(*e));
    block_encoder_begin(e);
    return e;
}

void block_encoder_begin(struct block_encoder *e) {
    e->slot = 0;
    for (uint32_t i = 0; i < BLOCK_BACK_MAX; i++) {
        e->earlier[i].usable = false;
    }
}

void block_encoder_skip(struct block_encoder *e) {
    e->earlier[e->slot++ % BLOCK_BACK_MAX].usable = false;
}

void block_encoder_free(struct block_encoder *e) {
    mem_free(e);
}

/* ---- values to integers ---- */

/* Runs of equal states; returns the number of values and counts the stale rows. */
static uint32_t scan_states(struct block_encoder *e, const uint8_t *states, uint32_t *out_stale) {
    uint8_t *to = e->presence;
    uint32_t values = 0;
    *out_stale = 0;
    for (uint32_t i = 0; i < e->rows;) {
        const uint8_t state = states[i];
        uint32_t end = i + 1;
        while (end < e->rows && states[end] == state) {
            end++;
        }
        ASSERT(state <= SLOT_STALE);
        to = put_uvarint(to, (uint64_t)(end - i) << PRESENCE_STATE_BITS | state);
        values += state == SLOT_VALUE ? end - i : 0;
        *out_stale += state == SLOT_STALE ? end - i : 0;
        i = end;
    }
    e->presence_bytes = (uint32_t)(to - e->presence);
    return values;
}

static int64_t minus(int64_t a, int64_t b) {
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

/* The shift, and the distances and differences from the integers. */
static void make_relative(struct block_encoder *e) {
    uint64_t any = 0;
    for (uint32_t i = 0; i < e->count; i++) {
        const uint64_t d = (uint64_t)e->m[i] - (uint64_t)e->m[0];
        e->by_order[0][i] = (int64_t)d;
        any |= d;
    }
    e->shift = any == 0 ? 0 : (uint8_t)__builtin_ctzll(any);
    if (e->shift > 0) {
        for (uint32_t i = 0; i < e->count; i++) {
            e->by_order[0][i] >>= e->shift; /* arithmetic: the sign stays */
        }
    }
    for (uint32_t order = 1; order <= 2; order++) {
        const int64_t *from = e->by_order[order - 1];
        for (uint32_t i = order; i < e->count; i++) {
            e->by_order[order][i] = minus(from[i], from[i - 1]);
        }
    }
}

/* ---- candidates ---- */

static uint32_t varint_bytes(int64_t v) {
    return (bit_length(zigzag_encode(v) | 1) + 6) / 7;
}

/* Fills u with what the candidate packs; returns how many. FOR with a base packs the first value
 * too, else it is the reference and known to be 0. */
static uint32_t fill_packed(struct block_encoder *e, const struct candidate *c) {
    const unsigned order = c->kind == BLOCK_FOR ? 0 : c->kind == BLOCK_DELTA ? 1 : 2;
    const uint32_t first = order == 0 ? (c->mode ? 0 : 1) : order;
    const int64_t *from = e->by_order[order] + first;
    const uint32_t n = e->count - first;
    for (uint32_t i = 0; i < n; i++) {
        e->u[i] = c->mode ? (uint64_t)minus(from[i], c->base) : zigzag_encode(from[i]);
    }
    return n;
}

/* What one pass over the differences of an order tells about packing them. */
struct measure {
    struct pfor_lengths lengths; /* of the differences, zigzag, without the first value */
    int64_t least;
    uint32_t bits; /* about what the order takes: each difference as short as it can be, or all with
                    * the width of their range */
};

static void measure_order(const struct block_encoder *e, unsigned order, struct measure *out) {
    const int64_t *v = e->by_order[order];
    const uint32_t first = order == 0 ? 1 : order;
    int64_t least = order == 0 ? 0 : INT64_MAX;
    int64_t greatest = order == 0 ? 0 : INT64_MIN;
    uint32_t bits = 0;
    memset(&out->lengths, 0, sizeof(out->lengths));
    for (uint32_t i = first; i < e->count; i++) {
        const unsigned length = bit_length(zigzag_encode(v[i]));
        out->lengths.counts[i & 1][length]++;
        bits += length;
        least = v[i] < least ? v[i] : least;
        greatest = v[i] > greatest ? v[i] : greatest;
    }
    const uint32_t range = e->count * bit_length((uint64_t)minus(greatest, least));
    out->least = least;
    out->bits = range < bits ? range : bits;
}

/* The plan for the differences as offsets from the least one. */
static struct pfor_plan plan_offsets(const struct block_encoder *e, unsigned order, int64_t least) {
    const int64_t *v = e->by_order[order];
    struct pfor_lengths lengths = {0};
    for (uint32_t i = order; i < e->count; i++) {
        lengths.counts[i & 1][bit_length((uint64_t)minus(v[i], least))]++;
    }
    return pfor_plan_of(&lengths, e->count - order);
}

static void keep_cheaper(struct candidate *best, const struct candidate *c) {
    if (c->bytes < best->bytes) {
        *best = *c;
    }
}

static void try_packed(const struct block_encoder *e, enum block_kind kind, unsigned order,
                       const struct measure *measure, struct candidate *best) {
    const uint32_t delta_bytes = order == 2 ? varint_bytes(e->by_order[1][1]) : 0;
    if (e->count <= order) {
        return;
    }
    struct candidate c = {.kind = kind};
    c.plan = pfor_plan_of(&measure->lengths, e->count - (order == 0 ? 1 : order));
    c.bytes = delta_bytes + c.plan.bytes;
    keep_cheaper(best, &c);

    c.mode = true;
    c.base = measure->least;
    c.plan = plan_offsets(e, order, c.base);
    /* The base of FOR takes the place of the first value. */
    c.bytes = delta_bytes + c.plan.bytes + (order == 0 ? 0 : varint_bytes(c.base));
    keep_cheaper(best, &c);
}

/* Differences to the value before where they are not 0. */
static uint32_t fill_changes(struct block_encoder *e) {
    uint32_t n = 0;
    for (uint32_t i = 1; i < e->count; i++) {
        const int64_t v = e->by_order[1][i];
        if (v != 0) {
            e->u[n++] = zigzag_encode(v) - 1;
        }
    }
    return n;
}

static void try_sparse(struct block_encoder *e, const struct measure *differences,
                       struct candidate *best) {
    const struct pfor_lengths *lengths = &differences->lengths;
    struct candidate c = {.kind = BLOCK_SPARSE};
    c.changes = e->count - 1U - lengths->counts[0][0] - lengths->counts[1][0];
    if (c.changes * 2 > e->count) {
        return; /* DELTA is cheaper and decodes faster */
    }
    (void)fill_changes(e);
    c.plan = pfor_plan(e->u, c.changes);
    const uint32_t bitmap = (e->count - 1 + 7) / 8;
    const uint32_t list =
        (c.changes * bit_length(e->count - 1) + 7) / 8 + varint_bytes((int64_t)c.changes);
    c.mode = bitmap <= list;
    c.bytes = c.plan.bytes + (c.mode ? bitmap : list);
    keep_cheaper(best, &c);
}

static bool is_line(const struct block_encoder *e) {
    if (e->count < 2) {
        return false;
    }
    uint64_t want = 0;
    for (uint32_t i = 1; i < e->count; i++) {
        want += (uint64_t)e->by_order[0][1];
        if ((uint64_t)e->by_order[0][i] != want) {
            return false;
        }
    }
    return true;
}

static struct candidate choose(struct block_encoder *e) {
    if (e->count == 0) {
        return (struct candidate){.kind = BLOCK_NONE};
    }
    bool constant = true;
    for (uint32_t i = 1; i < e->count && constant; i++) {
        constant = e->by_order[0][i] == 0;
    }
    if (constant) {
        return (struct candidate){.kind = BLOCK_CONST};
    }
    if (is_line(e)) {
        return (struct candidate){.kind = BLOCK_DELTA_CONST};
    }
    static const enum block_kind kinds[] = {BLOCK_FOR, BLOCK_DELTA, BLOCK_DELTA2};
    struct measure measures[COUNT_OF(kinds)];
    uint32_t least = UINT32_MAX;
    for (unsigned order = 0; order < COUNT_OF(kinds); order++) {
        measure_order(e, order, &measures[order]);
        least = measures[order].bits < least ? measures[order].bits : least;
    }
    struct candidate best = {.bytes = UINT32_MAX};
    for (unsigned order = 0; order < COUNT_OF(kinds); order++) {
        if (measures[order].bits <= least + least / 2 + 2 * e->count) {
            try_packed(e, kinds[order], order, &measures[order], &best);
        }
    }
    try_sparse(e, &measures[1], &best);
    return best;
}

/* ---- reference ---- */

/* About the bits that the differences of the integers take, when they stand against those of
 * another slot (times finer), or of nothing; enough or more once it is not less. Every second row
 * has to do. */
static uint32_t sample_bits(const int64_t *m, const int64_t *other, int64_t finer, uint32_t rows,
                            uint32_t enough) {
    enum { SAMPLE = 2 };
    uint32_t bits = 0;
    for (uint32_t i = 1; i < rows && bits < enough; i += SAMPLE) {
        const uint64_t own = (uint64_t)m[i] - (uint64_t)m[i - 1];
        const uint64_t its =
            other == NULL ? 0 : ((uint64_t)other[i] - (uint64_t)other[i - 1]) * (uint64_t)finer;
        bits += bit_length(zigzag_encode((int64_t)(own - its)));
    }
    return bits;
}

static bool fits_as_reference(const struct block_encoder *e, const struct earlier_slot *slot) {
    return slot->usable && slot->raw == e->raw && slot->scale <= e->scale &&
           e->scale - slot->scale < (int)COUNT_OF(value_scale_steps);
}

/* The earlier slot that this one is likely to stand best against; 0: none is worth a try. */
static unsigned likely_reference(const struct block_encoder *e) {
    uint32_t least = sample_bits(e->m, NULL, 0, e->count, UINT32_MAX);
    unsigned best = 0;
    least -= least / 16;
    for (unsigned back = 1; back <= BLOCK_BACK_MAX; back++) {
        const struct earlier_slot *slot = &e->earlier[(e->slot - back) % BLOCK_BACK_MAX];
        if (fits_as_reference(e, slot)) {
            const int64_t finer = value_scale_steps[e->scale - slot->scale];
            const uint32_t bits = sample_bits(e->m, slot->m, finer, e->count, least);
            if (bits < least) {
                least = bits;
                best = back;
            }
        }
    }
    return best;
}

static void subtract_reference(struct block_encoder *e, unsigned back) {
    const struct earlier_slot *slot = &e->earlier[(e->slot - back) % BLOCK_BACK_MAX];
    e->back = (uint8_t)back;
    e->finer = (uint8_t)(e->scale - slot->scale);
    const int64_t factor = value_scale_steps[e->finer];
    for (uint32_t i = 0; i < e->count; i++) {
        e->m[i] = (int64_t)((uint64_t)e->m[i] - (uint64_t)slot->m[i] * (uint64_t)factor);
    }
}

/* ---- writing ---- */

static uint8_t *write_head(const struct block_encoder *e, const struct candidate *c, bool presence,
                           uint8_t *to) {
    const bool refers = e->back != 0;
    const bool scaled = !refers && (e->scale > 0 || e->shift > 0);
    *to++ = (uint8_t)(c->kind | (e->raw ? BLOCK_RAW : 0) | (presence ? BLOCK_PRESENCE : 0) |
                      (c->mode ? BLOCK_MODE : 0) | (scaled ? BLOCK_SCALED : 0) |
                      (refers ? BLOCK_REFERENCE : 0));
    if (refers) {
        *to++ = (uint8_t)((e->back - 1) | (e->shift > 0 ? BLOCK_REFERENCE_SHIFTED : 0) |
                          e->finer << BLOCK_FINER_SHIFT);
    }
    if (scaled) {
        *to++ = (uint8_t)(e->scale | (e->shift > 0 ? BLOCK_SHIFTED : 0));
    }
    if (e->shift > 0) {
        *to++ = e->shift;
    }
    if (presence) {
        memcpy(to, e->presence, e->presence_bytes);
        to += e->presence_bytes;
    }
    return to;
}

static uint64_t first_of(const struct block_encoder *e, const struct candidate *c) {
    const bool based = c->kind == BLOCK_FOR && c->mode;
    return (uint64_t)e->m[0] + (based ? (uint64_t)c->base << e->shift : UINT64_C(0));
}

static uint8_t *write_first(const struct block_encoder *e, const struct candidate *c, uint8_t *to) {
    const uint64_t first = first_of(e, c);
    return e->raw && e->back == 0 ? put_u64(to, first) : put_varint(to, (int64_t)first);
}

static uint8_t *write_sparse(struct block_encoder *e, const struct candidate *c, uint8_t *to) {
    struct bit_writer w;
    if (!c->mode) {
        to = put_uvarint(to, c->changes);
    }
    w = bit_writer_at(to);
    for (uint32_t i = 1; i < e->count; i++) {
        const bool changed = e->by_order[1][i] != 0;
        if (c->mode) {
            bit_write(&w, changed, 1);
        } else if (changed) {
            bit_write(&w, i, bit_length(e->count - 1));
        }
    }
    to = bit_writer_finish(&w);
    return pfor_write(to, e->u, fill_changes(e), c->plan);
}

static uint8_t *write_body(struct block_encoder *e, const struct candidate *c, uint8_t *to) {
    switch (c->kind) {
    case BLOCK_NONE:
        return to;
    case BLOCK_CONST:
        return write_first(e, c, to);
    case BLOCK_DELTA_CONST:
        return put_varint(write_first(e, c, to), e->by_order[0][1]);
    case BLOCK_FOR:
    case BLOCK_DELTA:
    case BLOCK_DELTA2:
        to = write_first(e, c, to);
        if (c->kind == BLOCK_DELTA2) {
            to = put_varint(to, e->by_order[0][1]);
        }
        if (c->mode && c->kind != BLOCK_FOR) {
            to = put_varint(to, c->base);
        }
        return pfor_write(to, e->u, fill_packed(e, c), c->plan);
    case BLOCK_SPARSE:
        return write_sparse(e, c, write_first(e, c, to));
    case BLOCK_EXTENDED:
        break;
    }
    UNREACHABLE("no such candidate");
}

/* Most columns do not change while a run is open. */
static bool all_equal(const struct num *values, uint32_t rows) {
    const struct num first = values[0];
    for (uint32_t i = 1; i < rows; i++) {
        if (values[i].m != first.m || values[i].scale != first.scale ||
            values[i].kind != first.kind) {
            return false;
        }
    }
    return true;
}

/* A column of rows times values[0], all of them present. */
static size_t encode_equal(struct block_encoder *e, struct num value, uint8_t *to) {
    static const uint8_t present = SLOT_VALUE;
    const struct candidate c = {.kind = BLOCK_CONST};
    e->rows = 1;
    e->count = 1;
    e->back = 0;
    block_integers_take(e, &value, &present);
    if (!e->raw && e->scale == 0 && e->m[0] >= 0 && e->m[0] <= BLOCK_TINY_MAX) {
        *to = block_tiny((uint8_t)e->m[0]);
        return 1;
    }
    return (size_t)(write_first(e, &c, write_head(e, &c, false, to)) - to);
}

static uint8_t *write_block(struct block_encoder *e, const struct candidate *c, uint8_t *to) {
    return write_body(e, c, write_head(e, c, e->count < e->rows, to));
}

/* The block against its likely reference, when that is smaller than n bytes; else 0. */
static size_t encode_referring(struct block_encoder *e, size_t n, uint8_t *to) {
    const unsigned back = likely_reference(e);
    if (back == 0) {
        return 0;
    }
    subtract_reference(e, back);
    make_relative(e);
    const struct candidate c = choose(e);
    uint8_t head[BLOCK_BYTES_FIXED_MAX];
    const size_t head_bytes = (size_t)(write_first(e, &c, write_head(e, &c, false, head)) - head);
    const size_t body_bytes =
        c.kind == BLOCK_DELTA_CONST ? varint_bytes(e->by_order[0][1]) : c.bytes;
    return head_bytes + body_bytes < n ? (size_t)(write_block(e, &c, to) - to) : 0;
}

/* ---- decimals with corrections ---- */

/* Decimals of scale near the doubles with these bits, into m; false when one is too large. */
static bool nearest_decimals(struct block_encoder *e, const int64_t *bits, uint8_t scale) {
    for (uint32_t i = 0; i < e->count; i++) {
        const double v = f64_of_bits((uint64_t)bits[i]) * num_power_of_ten[scale];
        if (!(v < (double)(NUM_MANTISSA_LIMIT - 1) && v > -(double)(NUM_MANTISSA_LIMIT - 1))) {
            return false;
        }
        e->m[i] = (int64_t)(v < 0 ? v - 0.5 : v + 0.5);
    }
    e->scale = scale;
    e->raw = false;
    e->back = 0;
    return true;
}

/* What is missing from the doubles of the decimals in m. */
static void to_corrections(struct block_encoder *e, const int64_t *bits) {
    for (uint32_t i = 0; i < e->count; i++) {
        const double v = (double)e->m[i] / num_power_of_ten[e->scale];
        e->m[i] = minus(bits[i], (int64_t)f64_bits(v));
    }
    e->scale = 0;
}

static size_t encode_part(struct block_encoder *e, uint8_t *to) {
    make_relative(e);
    const struct candidate c = choose(e);
    return (size_t)(write_block(e, &c, to) - to);
}

/* Sums of short decimals, added up as doubles, are a few units in the last place beside a decimal.
 * Such a block, when smaller than n bytes; else 0. */
static size_t encode_corrected(struct block_encoder *e, const int64_t *bits, size_t n,
                               uint8_t *to) {
    static const uint8_t scales[] = {9, 6}; /* nanoseconds, microseconds */
    size_t best = 0;
    for (size_t i = 0; i < COUNT_OF(scales); i++) {
        uint8_t *const made = e->corrected;
        if (!nearest_decimals(e, bits, scales[i])) {
            continue;
        }
        uint8_t *const decimals = made + 2 + UVARINT_MAX;
        const size_t first = encode_part(e, decimals);
        to_corrections(e, bits);
        const size_t second = encode_part(e, decimals + first);
        made[0] = BLOCK_EXTENDED;
        made[1] = BLOCK_CORRECTED;
        const size_t head = (size_t)(put_uvarint(made + 2, first) - made);
        if (head + first + second < n) {
            n = best = head + first + second;
            memcpy(to, made, head);
            memcpy(to + head, decimals, first + second);
        }
    }
    return best;
}

/* Blocks of columns that do not change are as small as they can be, and of no use to others. */
static size_t encode_changing(struct block_encoder *e, uint8_t *to) {
    make_relative(e);
    const struct candidate c = choose(e);
    const size_t n = (size_t)(write_block(e, &c, to) - to);
    struct earlier_slot *slot = &e->earlier[e->slot % BLOCK_BACK_MAX];
    if (e->count < e->rows || c.kind <= BLOCK_DELTA_CONST) {
        return n;
    }
    slot->raw = e->raw;
    slot->scale = e->scale;
    memcpy(slot->m, e->m, e->count * sizeof(e->m[0]));
    const bool raw = e->raw;
    const size_t referring = encode_referring(e, n, to);
    const size_t plain = referring != 0 ? referring : n;
    const size_t corrected = raw ? encode_corrected(e, slot->m, plain, to) : 0;
    slot->usable = referring == 0 && corrected == 0;
    return corrected != 0 ? corrected : plain;
}

static size_t encode_slot(struct block_encoder *e, const struct num *values, const uint8_t *states,
                          uint8_t *to) {
    uint32_t stale = 0;
    e->count = scan_states(e, states, &stale);
    if (e->count == 0 && stale == 0) {
        return 0;
    }
    if (e->count == e->rows && all_equal(values, e->rows)) {
        return encode_equal(e, values[0], to);
    }
    if (e->count == 0) {
        const struct candidate c = {.kind = BLOCK_NONE};
        return (size_t)(write_block(e, &c, to) - to);
    }
    block_integers_take(e, values, states);
    return encode_changing(e, to);
}

static void begin_slot(struct block_encoder *e, uint32_t rows) {
    ASSERT(rows >= 1 && rows <= BLOCK_ROWS_MAX);
    e->rows = rows;
    e->raw = false;
    e->scale = 0;
    e->shift = 0;
    e->back = 0;
    e->earlier[e->slot % BLOCK_BACK_MAX].usable = false;
}

static size_t end_slot(struct block_encoder *e, uint32_t rows, size_t n) {
    ASSERT(n <= block_bytes_max(rows));
    e->slot++;
    return n;
}

size_t block_encode(struct block_encoder *e, const struct num *values, const uint8_t *states,
                    uint32_t rows, uint8_t *to) {
    begin_slot(e, rows);
    return end_slot(e, rows, encode_slot(e, values, states, to));
}

size_t block_encode_constant(struct block_encoder *e, struct num value, uint32_t rows,
                             uint8_t *to) {
    begin_slot(e, rows);
    return end_slot(e, rows, encode_equal(e, value, to));
}

size_t block_encode_integers(struct block_encoder *e, const int64_t *m, struct num like,
                             uint32_t rows, uint8_t *to) {
    uint64_t differ = 0;
    for (uint32_t i = 1; i < rows; i++) {
        differ |= (uint64_t)m[i] ^ (uint64_t)m[0];
    }
    if (differ == 0) {
        like.m = m[0];
        return block_encode_constant(e, like, rows, to);
    }
    begin_slot(e, rows);
    e->count = rows;
    memcpy(e->m, m, rows * sizeof(*m));
    e->raw = like.kind == NUM_RAW;
    if (!e->raw) {
        ASSERT(like.scale <= NUM_SCALE_MAX);
        e->scale = like.scale;
        block_integers_strip(e);
    }
    return end_slot(e, rows, encode_changing(e, to));
}

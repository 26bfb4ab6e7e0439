/* Reading a block. Three steps, each a plain loop over at most BLOCK_ROWS_MAX elements that the
 * compiler turns into vector code: unpack, undo the differences, divide. Bytes are hostile: every
 * length is checked against the block before it is used, counts against the rows of the run. */
#include "tsdb/chunk/block.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/cursor.h"
#include "tsdb/chunk/bitpack.h"
#include "tsdb/chunk/block_format.h"
#include "tsdb/chunk/column_kernels.h"
#include "tsdb/chunk/pfor.h"
#include "tsdb/chunk/value_op.h"
#include "tsdb/storage.h"

/* Usual runs are short; they do without the arrays of long ones, which take pages of stack. */
enum { SHORT_ROWS = 128 };

/* A block's head, taken apart. */
struct head {
    enum block_kind kind;
    bool raw;
    bool presence;
    bool mode;
    bool tiny; /* the value stands in the first byte */
    uint8_t tiny_value;
    uint8_t scale;
    uint8_t shift;
    uint8_t back;     /* slots back to the reference, whose scale adds to scale; 0 = none */
    uint32_t values;  /* rows that hold one */
    uint32_t present; /* and those that are stale */
    bool dense;       /* the present rows are 0 .. present - 1 */
    struct cursor c;  /* behind the head: the body */
    const uint8_t *runs;
    int64_t finer; /* factor of the reference's integers */
};

/* Most are one byte. */
static inline uint64_t take_uvarint(struct cursor *c) {
    return LIKELY(c->at < c->end && *c->at < 0x80) ? *c->at++ : cursor_uvarint(c);
}

static inline uint64_t take_varint(struct cursor *c) {
    return (uint64_t)zigzag_decode(take_uvarint(c));
}

struct presence_run {
    uint32_t length;
    enum slot_state state;
};

static bool next_run(struct cursor *c, uint32_t rows_left, struct presence_run *out) {
    const uint64_t v = take_uvarint(c);
    const uint64_t length = v >> PRESENCE_STATE_BITS;
    const unsigned state = (unsigned)v & ((1U << PRESENCE_STATE_BITS) - 1);
    if (c->failed || length == 0 || length > rows_left || state > SLOT_STALE) {
        return false;
    }
    out->length = (uint32_t)length;
    out->state = (enum slot_state)state;
    return true;
}

/* Checks the runs and counts; the cursor is left behind them. */
static enum err_code scan_runs(struct cursor *c, uint32_t rows, struct head *h) {
    h->values = 0;
    h->present = 0;
    h->dense = true;
    for (uint32_t row = 0; row < rows;) {
        struct presence_run run;
        if (!next_run(c, rows - row, &run)) {
            return ERR_CORRUPT;
        }
        if (run.state != SLOT_ABSENT) {
            h->dense = h->dense && h->present == row;
            h->present += run.length;
        }
        h->values += run.state == SLOT_VALUE ? run.length : 0;
        row += run.length;
    }
    return h->present > 0 ? ERR_OK : ERR_CORRUPT;
}

/* The byte that says which slot, and how to bring its integers to this block's scale. */
static enum err_code read_reference(uint8_t first, struct head *h) {
    const uint8_t byte = cursor_u8(&h->c);
    h->back = (uint8_t)((byte & BLOCK_BACK_MASK) + 1);
    h->scale = byte >> BLOCK_FINER_SHIFT;
    h->shift = (byte & BLOCK_REFERENCE_SHIFTED) != 0 ? cursor_u8(&h->c) : 0;
    return (first & (BLOCK_SCALED | BLOCK_PRESENCE)) != 0 || h->shift > 63 ||
                   (h->raw && h->scale > 0)
               ? ERR_CORRUPT
               : ERR_OK;
}

static enum err_code read_scale(struct head *h) {
    const uint8_t scaled = cursor_u8(&h->c);
    const bool shifted = (scaled & BLOCK_SHIFTED) != 0;
    h->scale = scaled & BLOCK_SCALE_MASK;
    h->shift = shifted ? cursor_u8(&h->c) : 0;
    return (scaled & ~(BLOCK_SCALE_MASK | BLOCK_SHIFTED)) != 0 || h->scale > NUM_SCALE_MAX ||
                   shifted != (h->shift > 0) || h->shift > 63 || (h->raw && h->scale > 0)
               ? ERR_CORRUPT
               : ERR_OK;
}

/* n > 0 */
static inline enum err_code read_head(const uint8_t *bytes, size_t n, uint32_t rows,
                                      struct head *h) {
    const uint8_t first = bytes[0];
    h->c = cursor_of(bytes, n);
    h->c.at++;
    h->kind = (enum block_kind)(first & BLOCK_KIND_MASK);
    h->raw = (first & BLOCK_RAW) != 0;
    h->presence = (first & BLOCK_PRESENCE) != 0;
    h->mode = (first & BLOCK_MODE) != 0;
    h->scale = 0;
    h->shift = 0;
    h->back = 0;
    h->values = rows;
    h->present = rows;
    h->dense = true;
    h->tiny = block_is_tiny(first);
    if (h->tiny) {
        h->kind = BLOCK_CONST;
        h->raw = false;
        h->mode = false;
        h->tiny_value = block_tiny_value(first);
        return n == 1 ? ERR_OK : ERR_CORRUPT;
    }
    if (h->kind == BLOCK_EXTENDED) {
        return ERR_UNSUPPORTED;
    }
    if ((first & BLOCK_REFERENCE) != 0 && read_reference(first, h) != ERR_OK) {
        return ERR_CORRUPT;
    }
    if ((first & BLOCK_SCALED) != 0 && read_scale(h) != ERR_OK) {
        return ERR_CORRUPT;
    }
    h->runs = h->c.at;
    if (h->presence && scan_runs(&h->c, rows, h) != ERR_OK) {
        return ERR_CORRUPT;
    }
    return h->c.failed || (h->kind == BLOCK_NONE) != (h->values == 0) ? ERR_CORRUPT : ERR_OK;
}

/* ---- integers ---- */

static enum err_code read_pfor(struct cursor *c, size_t n, uint64_t *out) {
    size_t used = 0;
    const enum err_code code = pfor_read(c->at, cursor_left(c), n, out, &used);
    if (code == ERR_OK) {
        (void)cursor_bytes(c, used);
    }
    return code;
}

/* Packed differences, summed up from sum on. */
static enum err_code read_sums(struct cursor *c, bool offsets, uint64_t base, size_t n,
                               uint64_t sum, uint64_t *out) {
    const enum err_code code = read_pfor(c, n, out);
    if (code == ERR_OK) {
        column_kernels_best()->sum(out, n, !offsets, base, sum);
    }
    return code;
}

/* Rows of the changes; bitmap: a bit for each row from row 1 on, else a list. */
static enum err_code read_change_rows(struct cursor *c, bool bitmap, uint32_t n, uint16_t *at,
                                      uint32_t *out_count) {
    enum { AT_ONCE = 32 };
    const unsigned width = bitmap ? 1 : bit_length(n - 1);
    const uint64_t stored = bitmap ? n - 1 : take_uvarint(c);
    if (stored >= n) {
        return ERR_CORRUPT;
    }
    const size_t size = ((size_t)stored * width + 7) / 8;
    const uint8_t *packed = cursor_bytes(c, size);
    if (c->failed) {
        return ERR_CORRUPT;
    }
    uint32_t count = 0;
    for (uint32_t done = 0; done < stored; done += AT_ONCE) {
        uint64_t some[AT_ONCE];
        const uint32_t left = (uint32_t)stored - done;
        const uint32_t batch = left < AT_ONCE ? left : AT_ONCE;
        bitpack_read(packed, size, (size_t)done * width, width, batch, some);
        for (uint32_t i = 0; i < batch; i++) {
            at[count] = (uint16_t)(bitmap ? done + i + 1 : some[i]);
            count += bitmap ? (uint32_t)some[i] : 1;
        }
    }
    *out_count = count;
    return ERR_OK;
}

/* The changes are put where they happen and summed up over all rows. */
static ALWAYS_INLINE enum err_code scatter_changes(struct cursor *c, bool bitmap, uint32_t n,
                                                   uint16_t *at, uint64_t *change, uint64_t *d) {
    uint32_t count = 0;
    if (read_change_rows(c, bitmap, n, at, &count) != ERR_OK ||
        read_pfor(c, count, change) != ERR_OK) {
        return ERR_CORRUPT;
    }
    uint32_t row = 0;
    column_kernels_best()->fill(d, n, 0);
    for (uint32_t i = 0; i < count; i++) {
        if (at[i] >= n || at[i] <= row) {
            return ERR_CORRUPT;
        }
        row = at[i];
        d[row] = (uint64_t)zigzag_decode(change[i] + 1);
    }
    column_kernels_best()->sum(d, n, false, 0, 0);
    return ERR_OK;
}

static NOINLINE enum err_code read_sparse_short(struct cursor *c, bool bitmap, uint32_t n,
                                                uint64_t *d) {
    uint16_t at[SHORT_ROWS];
    uint64_t change[SHORT_ROWS];
    return scatter_changes(c, bitmap, n, at, change, d);
}

static NOINLINE enum err_code read_sparse_long(struct cursor *c, bool bitmap, uint32_t n,
                                               uint64_t *d) {
    uint16_t at[BLOCK_ROWS_MAX];
    uint64_t change[BLOCK_ROWS_MAX];
    return scatter_changes(c, bitmap, n, at, change, d);
}

/* The shifted distances from the first value (or from the base of FOR). */
static enum err_code read_distances(const struct head *h, struct cursor *c, uint64_t *d) {
    const uint32_t n = h->values;
    switch (h->kind) {
    case BLOCK_DELTA_CONST:
        d[0] = 0;
        column_kernels_best()->fill(d + 1, n - 1, take_varint(c));
        column_kernels_best()->sum(d + 1, n - 1, false, 0, 0);
        return ERR_OK;
    case BLOCK_FOR: {
        if (h->mode) {
            return read_pfor(c, n, d);
        }
        d[0] = 0;
        const enum err_code code = read_pfor(c, n - 1, d + 1);
        if (code == ERR_OK) {
            for (uint32_t i = 1; i < n; i++) {
                d[i] = (uint64_t)zigzag_decode(d[i]);
            }
        }
        return code;
    }
    case BLOCK_DELTA: {
        const uint64_t base = h->mode ? take_varint(c) : 0;
        d[0] = 0;
        return read_sums(c, h->mode, base, n - 1, 0, d + 1);
    }
    case BLOCK_DELTA2: {
        const uint64_t delta = take_varint(c);
        const uint64_t base = h->mode ? take_varint(c) : 0;
        if (n < 2) {
            return ERR_CORRUPT;
        }
        d[0] = 0;
        d[1] = delta;
        const enum err_code code = read_sums(c, h->mode, base, n - 2, delta, d + 2);
        if (code == ERR_OK) {
            column_kernels_best()->sum(d + 2, n - 2, false, 0, delta);
        }
        return code;
    }
    case BLOCK_SPARSE:
        return n <= SHORT_ROWS ? read_sparse_short(c, h->mode, n, d)
                               : read_sparse_long(c, h->mode, n, d);
    case BLOCK_NONE:
    case BLOCK_CONST:
    case BLOCK_EXTENDED:
        break;
    }
    return ERR_CORRUPT;
}

/* The value that all others are relative to. */
static uint64_t read_first(struct head *h) {
    return h->tiny                  ? h->tiny_value
           : h->raw && h->back == 0 ? cursor_u64(&h->c)
                                    : take_varint(&h->c);
}

static enum err_code read_constant(struct head *h, uint64_t *out) {
    *out = read_first(h);
    return h->c.failed || cursor_left(&h->c) != 0 || h->shift != 0 ? ERR_CORRUPT : ERR_OK;
}

/* The integers of the value rows, in order, as distances d and where they lie. */
static enum err_code read_body(struct head *h, uint64_t *d, struct placement *out) {
    *out = (struct placement){.shift = h->shift};
    if (h->kind == BLOCK_NONE) {
        return cursor_left(&h->c) == 0 ? ERR_OK : ERR_CORRUPT;
    }
    if (h->kind == BLOCK_CONST) {
        column_kernels_best()->fill(d, h->values, 0);
        return read_constant(h, &out->first);
    }
    out->first = read_first(h);
    if (h->c.failed) {
        return ERR_CORRUPT;
    }
    const enum err_code code = read_distances(h, &h->c, d);
    if (code != ERR_OK) {
        return code;
    }
    return h->c.failed || cursor_left(&h->c) != 0 ? ERR_CORRUPT : ERR_OK;
}

/* Checks what a block builds on, and takes over its scale. */
static enum err_code resolve_reference(struct head *h, const struct block_ints *reference) {
    if (reference == NULL || reference->count != h->values || !reference->dense ||
        reference->has_stale || reference->decimal == h->raw ||
        reference->scale + h->scale > NUM_SCALE_MAX) {
        return ERR_CORRUPT;
    }
    h->finer = value_scale_steps[h->scale];
    h->scale = (uint8_t)(h->scale + reference->scale);
    return ERR_OK;
}

/* To what a block holds when it builds on another: the differences to its integers. */
static void add_reference(const struct head *h, const struct block_ints *reference,
                          struct placement *p, uint64_t *d) {
    const uint64_t finer = (uint64_t)h->finer;
    if (finer == 1) {
        for (size_t i = 0; i < h->values; i++) {
            d[i] = p->first + (d[i] << p->shift) + (uint64_t)reference->m[i];
        }
    } else {
        for (size_t i = 0; i < h->values; i++) {
            d[i] = p->first + (d[i] << p->shift) + (uint64_t)reference->m[i] * finer;
        }
    }
    *p = (struct placement){0};
}

static enum err_code read_referring(struct head *h, const struct block_ints *reference, uint64_t *d,
                                    struct placement *p) {
    enum err_code code = resolve_reference(h, reference);
    if (code == ERR_OK) {
        code = read_body(h, d, p);
    }
    if (code == ERR_OK) {
        add_reference(h, reference, p, d);
    }
    return code;
}

static enum err_code read_integers(struct head *h, const struct block_ints *reference,
                                   uint64_t *m) {
    struct placement p;
    const enum err_code code =
        h->back != 0 ? read_referring(h, reference, m, &p) : read_body(h, m, &p);
    if (code == ERR_OK) {
        column_kernels_best()->place(m, h->values, p, m);
    }
    return code;
}

/* How many distances stand before those that one loop has written: what was written in vectors is
 * fast to read only as the same vectors. */
static uint32_t rows_ahead(const struct head *h) {
    switch (h->kind) {
    case BLOCK_DELTA_CONST:
    case BLOCK_DELTA:
        return 1;
    case BLOCK_DELTA2:
        return 2;
    case BLOCK_FOR:
        return h->mode ? 0 : 1;
    case BLOCK_NONE:
    case BLOCK_CONST:
    case BLOCK_SPARSE:
    case BLOCK_EXTENDED:
        break;
    }
    return 0;
}

static ALWAYS_INLINE enum err_code
doubles_through(struct head *h, const struct block_ints *reference, uint64_t *d, double *out) {
    struct placement p;
    const enum err_code code =
        h->back != 0 ? read_referring(h, reference, d, &p) : read_body(h, d, &p);
    if (code != ERR_OK) {
        return code;
    }
    const struct column_kernels *kernels = column_kernels_best();
    const uint32_t ahead = h->back != 0 ? 0 : rows_ahead(h);
    if (h->raw) {
        kernels->place(d, h->values, p, out);
        return ERR_OK;
    }
    const double power = num_power_of_ten[h->scale];
    for (uint32_t i = 0; i < ahead; i++) {
        out[i] = (double)(int64_t)(p.first + (d[i] << p.shift)) / power;
    }
    kernels->divide(d + ahead, h->values - ahead, p, power, out + ahead);
    return ERR_OK;
}

static NOINLINE enum err_code read_short(struct head *h, const struct block_ints *reference,
                                         double *out) {
    uint64_t d[SHORT_ROWS];
    return doubles_through(h, reference, d, out);
}

static NOINLINE enum err_code read_long(struct head *h, const struct block_ints *reference,
                                        double *out) {
    uint64_t d[BLOCK_ROWS_MAX];
    return doubles_through(h, reference, d, out);
}

static enum err_code read_doubles(struct head *h, const struct block_ints *reference, double *out) {
    return h->values <= SHORT_ROWS ? read_short(h, reference, out) : read_long(h, reference, out);
}

/* ---- rows ---- */

/* Fills rows unless dense, and spreads n values of size bytes from compact so that stale rows get
 * the filler. The runs were checked by scan_runs. */
static void spread(const struct head *h, uint32_t rows, const uint64_t *compact, uint64_t filler,
                   uint64_t *values, uint8_t *stale, uint16_t *out_rows) {
    struct cursor c = cursor_of(h->runs, (size_t)(h->c.end - h->runs));
    uint32_t row = 0;
    uint32_t to = 0;
    uint32_t from = 0;
    while (row < rows) {
        struct presence_run run = {0};
        const bool ok = next_run(&c, rows - row, &run);
        ASSERT(ok);
        if (run.state != SLOT_ABSENT) {
            for (uint32_t i = 0; i < run.length; i++, to++) {
                values[to] = run.state == SLOT_VALUE ? compact[from++] : filler;
                if (stale != NULL) {
                    stale[to] = run.state == SLOT_STALE;
                }
                if (!h->dense) {
                    out_rows[to] = (uint16_t)(row + i);
                }
            }
        }
        row += run.length;
    }
}

/* The common block: one decimal for all rows of the run. */
static bool is_constant(uint8_t first) {
    return block_is_tiny(first) || (first & ~BLOCK_SCALED) == BLOCK_CONST;
}

static enum err_code decode_constant(const uint8_t *bytes, size_t n, uint32_t rows,
                                     struct block_column *column) {
    struct cursor c = cursor_of(bytes, n);
    const uint8_t first = cursor_u8(&c);
    double value = 0;
    if (block_is_tiny(first)) {
        value = block_tiny_value(first);
    } else {
        const uint8_t scale = (first & BLOCK_SCALED) != 0 ? cursor_u8(&c) : 0;
        value = (double)(int64_t)take_varint(&c);
        if (scale > NUM_SCALE_MAX) {
            return ERR_CORRUPT; /* nor is there anything to shift */
        }
        value = scale == 0 ? value : value / num_power_of_ten[scale];
    }
    if (c.failed || cursor_left(&c) != 0) {
        return ERR_CORRUPT;
    }
    column_kernels_best()->fill(column->values, rows, f64_bits(value));
    column->count = rows;
    column->dense = true;
    column->has_stale = false;
    return ERR_OK;
}

/* The rare block: some rows are absent or stale. Apart, to keep its arrays off the usual path. */
static NOINLINE enum err_code decode_with_gaps(struct head *h, uint32_t rows,
                                               struct block_column *column) {
    uint64_t m[BLOCK_ROWS_MAX + 8];
    uint64_t bits[BLOCK_ROWS_MAX + 8];
    double compact[BLOCK_ROWS_MAX + 8];
    const enum err_code code = read_doubles(h, NULL, compact);
    if (code != ERR_OK) {
        return code;
    }
    memcpy(m, compact, h->values * sizeof(*m));
    spread(h, rows, m, STALE_NAN_BITS, bits, NULL, column->rows);
    memcpy(column->values, bits, h->present * sizeof(*bits));
    return ERR_OK;
}

bool block_is_one_byte(const uint8_t *bytes, size_t n) {
    return n == 1 && block_is_tiny(bytes[0]);
}

unsigned block_one_byte_value(const uint8_t *bytes) {
    return block_tiny_value(bytes[0]);
}

const uint8_t *block_one_byte(unsigned value) {
    static const uint8_t blocks[BLOCK_ONE_BYTE_VALUES] = {0x00, 0x08, 0x20, 0x28, 0x40, 0x48,
                                                          0x60, 0x68, 0x80, 0x88, 0xA0, 0xA8,
                                                          0xC0, 0xC8, 0xE0, 0xE8};
    ASSERT(value < BLOCK_ONE_BYTE_VALUES);
    return &blocks[value];
}

unsigned block_reference(const uint8_t *bytes, size_t n) {
    return n < 2 || block_is_tiny(bytes[0]) || (bytes[0] & BLOCK_REFERENCE) == 0
               ? 0
               : (bytes[1] & BLOCK_BACK_MASK) + 1U;
}

/* ---- decimals with corrections ---- */

/* One of the two blocks that a corrected one is made of. */
static enum err_code read_part(const uint8_t *bytes, size_t n, uint32_t rows, struct head *h) {
    if (bytes == NULL || n == 0 || read_head(bytes, n, rows, h) != ERR_OK) {
        return ERR_CORRUPT;
    }
    return h->raw || h->presence || h->back != 0 ? ERR_CORRUPT : ERR_OK;
}

/* To the bits of each decimal its correction is added. */
static NOINLINE enum err_code decode_corrected(const uint8_t *bytes, size_t n, uint32_t rows,
                                               double *out) {
    uint64_t corrections[BLOCK_ROWS_MAX];
    struct head decimals;
    struct head nudges;
    struct cursor c = cursor_of(bytes + 1, n - 1);
    if (cursor_u8(&c) != BLOCK_CORRECTED) {
        return c.failed ? ERR_CORRUPT : ERR_UNSUPPORTED;
    }
    const uint64_t size = take_uvarint(&c);
    const uint8_t *first = size <= cursor_left(&c) ? cursor_bytes(&c, (size_t)size) : NULL;
    if (read_part(first, (size_t)size, rows, &decimals) != ERR_OK ||
        read_part(c.at, cursor_left(&c), rows, &nudges) != ERR_OK || nudges.scale != 0 ||
        read_doubles(&decimals, NULL, out) != ERR_OK ||
        read_integers(&nudges, NULL, corrections) != ERR_OK) {
        return ERR_CORRUPT;
    }
    for (uint32_t i = 0; i < rows; i++) {
        out[i] = f64_of_bits(f64_bits(out[i]) + corrections[i]);
    }
    return ERR_OK;
}

static NOINLINE enum err_code corrected_ints(const uint8_t *bytes, size_t n, uint32_t rows,
                                             struct block_ints *out) {
    double values[BLOCK_ROWS_MAX];
    const enum err_code code = decode_corrected(bytes, n, rows, values);
    if (code == ERR_OK) {
        memcpy(out->m, values, rows * sizeof(*out->m));
        out->count = rows;
        out->scale = 0;
        out->decimal = false;
        out->dense = true;
        out->has_stale = false;
    }
    return code;
}

enum err_code block_decode(const uint8_t *bytes, size_t n, uint32_t rows,
                           const struct block_ints *reference, struct block_column *column) {
    struct head h;
    ASSERT(rows >= 1 && rows <= BLOCK_ROWS_MAX);
    if (n == 0) {
        column->count = 0;
        column->dense = true;
        column->has_stale = false;
        return ERR_OK;
    }
    if (is_constant(bytes[0])) {
        return decode_constant(bytes, n, rows, column);
    }
    if (UNLIKELY(bytes[0] == BLOCK_EXTENDED)) {
        const enum err_code corrected = decode_corrected(bytes, n, rows, column->values);
        if (corrected == ERR_OK) {
            column->count = rows;
            column->dense = true;
            column->has_stale = false;
        }
        return corrected;
    }
    enum err_code code = read_head(bytes, n, rows, &h);
    if (code != ERR_OK) {
        return code;
    }
    if (UNLIKELY(h.presence && (h.present != h.values || !h.dense))) {
        code = decode_with_gaps(&h, rows, column);
    } else {
        code = read_doubles(&h, reference, column->values);
    }
    if (code != ERR_OK) {
        return code;
    }
    column->count = h.present;
    column->dense = h.dense;
    column->has_stale = h.present != h.values;
    return ERR_OK;
}

enum err_code block_decode_ints(const uint8_t *bytes, size_t n, uint32_t rows,
                                const struct block_ints *reference, struct block_ints *out) {
    uint64_t m[BLOCK_ROWS_MAX + 8];
    struct head h;
    ASSERT(rows >= 1 && rows <= BLOCK_ROWS_MAX);
    if (n == 0) {
        *out = (struct block_ints){
            .m = out->m, .stale = out->stale, .rows = out->rows, .decimal = true, .dense = true};
        return ERR_OK;
    }
    if (bytes[0] == BLOCK_EXTENDED) {
        return corrected_ints(bytes, n, rows, out);
    }
    enum err_code code = read_head(bytes, n, rows, &h);
    if (code == ERR_OK) {
        code = read_integers(&h, reference, m);
    }
    if (code != ERR_OK) {
        return code;
    }
    out->count = h.present;
    out->scale = h.scale;
    out->decimal = !h.raw;
    out->dense = h.dense;
    out->has_stale = h.present != h.values;
    if (h.dense && !out->has_stale) {
        memcpy(out->m, m, h.values * sizeof(*m));
    } else {
        uint64_t spread_ints[BLOCK_ROWS_MAX + 8];
        spread(&h, rows, m, 0, spread_ints, out->has_stale ? out->stale : NULL, out->rows);
        memcpy(out->m, spread_ints, h.present * sizeof(*m));
    }
    return ERR_OK;
}

enum err_code block_inspect(const uint8_t *bytes, size_t n, uint32_t rows, struct block_info *out) {
    struct head h;
    ASSERT(rows >= 1 && rows <= BLOCK_ROWS_MAX);
    if (n == 0) {
        *out = (struct block_info){.kind = BLOCK_NONE};
        return ERR_OK;
    }
    if (bytes[0] == BLOCK_EXTENDED && n > 1 && bytes[1] == BLOCK_CORRECTED) {
        *out = (struct block_info){.kind = BLOCK_EXTENDED};
        return ERR_OK;
    }
    const enum err_code code = read_head(bytes, n, rows, &h);
    if (code == ERR_OK) {
        *out = (struct block_info){h.kind, h.raw, h.presence, h.scale, h.shift, h.back};
    }
    return code;
}

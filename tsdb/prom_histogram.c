#include "tsdb/prom_histogram.h"

#include <math.h>
#include <string.h>

#include "base/histogram_tidy.h"
#include "base/value.h"
#include "tsdb/prom_bits.h"

enum { SCHEMA_REDUCIBLE_MAX = 52, GAUGE_FLAGS = 3 };

static enum err_code no_room(struct err *err) {
    return err_set(err, ERR_LIMIT, "histograms need more memory than they may have");
}

/* Counts of integer buckets are differences to the bucket before. */
static void add_up(const int64_t *deltas, uint32_t n, double *to) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        count += (uint64_t)deltas[i];
        to[i] = (double)(int64_t)count;
    }
}

/* As a storage keeps it: a resolution that is too fine is lowered. */
static enum err_code finish(struct histogram *h, struct arena *arena, struct err *err) {
    if (histogram_is_custom(h)) {
        h->zero_threshold = 0;
    }
    if (h->schema <= HISTOGRAM_SCHEMA_MAX || h->schema > SCHEMA_REDUCIBLE_MAX) {
        return histogram_check(h, err);
    }
    const int shift = h->schema - HISTOGRAM_SCHEMA_MAX;
    struct histogram fine = *h;
    fine.schema = HISTOGRAM_SCHEMA_MAX; /* spans and counts are checked as those of any schema */
    enum err_code code = histogram_check(&fine, err);
    struct histogram *coarse = NULL;
    if (code == ERR_OK) {
        code = histogram_tidy(arena, h, shift, 0, &coarse, err);
    }
    if (code == ERR_OK) {
        *h = *coarse;
    }
    return code;
}

/* ---- chunks ---- */

struct layout {
    int32_t schema;
    double zero_threshold;
    struct histogram_side positive; /* spans only */
    struct histogram_side negative;
    double *bounds;
    uint32_t bound_count;
};

struct reader {
    struct bits bits;
    struct arena *arena;
    size_t bits_max; /* of the whole chunk: a bucket has one at least */
    struct layout layout;
    bool floats;
    bool gauge;
    uint64_t t;
    uint64_t t_delta;
    uint64_t count, count_delta; /* integers */
    uint64_t zero, zero_delta;
    struct xor_value float_count, float_zero, sum;
    int64_t *buckets; /* positive, then negative: integers */
    int64_t *bucket_deltas;
    struct xor_value *float_buckets;
};

static bool take_spans(struct reader *r, struct histogram_side *side) {
    const uint64_t n = take_uvarbit(&r->bits);
    if (r->bits.failed || n > r->bits_max) {
        r->bits.failed = true;
        return true;
    }
    side->spans = arena_try_alloc(r->arena, n + 1, sizeof(*side->spans));
    if (side->spans == NULL) {
        return false;
    }
    uint64_t total = 0;
    for (uint64_t i = 0; i < n && !r->bits.failed; i++) {
        const uint64_t length = take_uvarbit(&r->bits);
        const int64_t offset = (int64_t)take_varbit(&r->bits);
        total += length > r->bits_max ? r->bits_max + 1 : length;
        if (total > r->bits_max || total > HISTOGRAM_BUCKETS_MAX || offset != (int32_t)offset) {
            r->bits.failed = true;
            return true;
        }
        side->spans[side->span_count++] =
            (struct histogram_span){.offset = (int32_t)offset, .length = (uint32_t)length};
    }
    side->count = (uint32_t)total;
    return true;
}

static bool take_bounds(struct reader *r) {
    const uint64_t n = take_uvarbit(&r->bits);
    if (r->bits.failed || n > r->bits_max) {
        r->bits.failed = true;
        return true;
    }
    r->layout.bounds = arena_try_alloc(r->arena, n + 1, sizeof(*r->layout.bounds));
    if (r->layout.bounds == NULL) {
        return false;
    }
    for (uint64_t i = 0; i < n && !r->bits.failed; i++) {
        const uint64_t v = take_uvarbit(&r->bits);
        r->layout.bounds[i] = v == 0 ? f64_of_bits(take(&r->bits, 64)) : (double)(v - 1) / 1000;
    }
    r->layout.bound_count = (uint32_t)n;
    return true;
}

static bool take_layout(struct reader *r) {
    struct bits *b = &r->bits;
    const unsigned threshold = (unsigned)take_short(b, 8);
    r->layout.zero_threshold = threshold == 0     ? 0
                               : threshold == 255 ? f64_of_bits(take(b, 64))
                                                  : ldexp(0.5, (int)threshold - 243);
    r->layout.schema = (int32_t)take_varbit(b);
    if (!take_spans(r, &r->layout.positive) || !take_spans(r, &r->layout.negative) ||
        (r->layout.schema == HISTOGRAM_SCHEMA_CUSTOM && !take_bounds(r))) {
        return false;
    }
    const size_t n = (size_t)r->layout.positive.count + r->layout.negative.count;
    r->buckets = arena_try_alloc(r->arena, n + 1, sizeof(*r->buckets));
    r->bucket_deltas = arena_try_alloc(r->arena, n + 1, sizeof(*r->bucket_deltas));
    r->float_buckets = arena_try_alloc(r->arena, n + 1, sizeof(*r->float_buckets));
    if (r->buckets == NULL || r->bucket_deltas == NULL || r->float_buckets == NULL) {
        return false;
    }
    memset(r->bucket_deltas, 0, (n + 1) * sizeof(*r->bucket_deltas));
    memset(r->float_buckets, 0, (n + 1) * sizeof(*r->float_buckets));
    return true;
}

static size_t bucket_count(const struct reader *r) {
    return (size_t)r->layout.positive.count + r->layout.negative.count;
}

static bool is_stale(const struct reader *r) {
    return r->sum.bits == STALE_NAN_BITS;
}

static void first_sample(struct reader *r) {
    struct bits *b = &r->bits;
    r->t = take_varbit(b);
    if (r->floats) {
        r->float_count.bits = take(b, 64);
        r->float_zero.bits = take(b, 64);
    } else {
        r->count = take_uvarbit(b);
        r->zero = take_uvarbit(b);
    }
    r->sum.bits = take(b, 64);
    for (size_t i = 0; i < bucket_count(r) && !b->failed; i++) {
        if (r->floats) {
            r->float_buckets[i].bits = take(b, 64);
        } else {
            r->buckets[i] = (int64_t)take_varbit(b);
        }
    }
}

static void later_sample(struct reader *r) {
    struct bits *b = &r->bits;
    r->t_delta += take_varbit(b);
    r->t += r->t_delta;
    if (r->floats) {
        xor_next(b, &r->float_count);
        xor_next(b, &r->float_zero);
    } else {
        r->count_delta += take_varbit(b);
        r->count += r->count_delta;
        r->zero_delta += take_varbit(b);
        r->zero += r->zero_delta;
    }
    xor_next(b, &r->sum);
    for (size_t i = 0; i < bucket_count(r) && !b->failed && !is_stale(r); i++) {
        if (r->floats) {
            xor_next(b, &r->float_buckets[i]);
        } else {
            r->bucket_deltas[i] = (int64_t)((uint64_t)r->bucket_deltas[i] + take_varbit(b));
            r->buckets[i] = (int64_t)((uint64_t)r->buckets[i] + (uint64_t)r->bucket_deltas[i]);
        }
    }
}

static void set_counts(const struct reader *r, struct histogram_side *side, size_t from,
                       double *to) {
    side->counts = to;
    if (!r->floats) {
        add_up(r->buckets + from, side->count, to);
        return;
    }
    for (uint32_t i = 0; i < side->count; i++) {
        to[i] = f64_of_bits(r->float_buckets[from + i].bits);
    }
}

/* The present sample, in the list's arena. */
static enum err_code make_histogram(const struct reader *r, const struct histogram **out,
                                    struct err *err) {
    struct histogram *h = arena_try_alloc(r->arena, 1, sizeof(*h));
    double *counts = arena_try_alloc(r->arena, bucket_count(r) + 1, sizeof(*counts));
    if (h == NULL || counts == NULL) {
        return no_room(err);
    }
    *out = h;
    *h = (struct histogram){.sum = f64_of_bits(r->sum.bits)};
    if (is_stale(r)) {
        return ERR_OK;
    }
    const struct layout *layout = &r->layout;
    *h = (struct histogram){
        .schema = layout->schema,
        .hint = r->gauge ? HINT_GAUGE : HINT_UNKNOWN,
        .zero_threshold = layout->zero_threshold,
        .zero_count = r->floats ? f64_of_bits(r->float_zero.bits) : (double)r->zero,
        .count = r->floats ? f64_of_bits(r->float_count.bits) : (double)r->count,
        .sum = h->sum,
        .positive = layout->positive,
        .negative = layout->negative,
        .bounds = layout->bounds,
        .bound_count = layout->bound_count,
    };
    set_counts(r, &h->positive, 0, counts);
    set_counts(r, &h->negative, layout->positive.count, counts + layout->positive.count);
    const enum err_code code = finish(h, r->arena, err);
    return code == ERR_INVALID ? ERR_CORRUPT : code;
}

static enum err_code read_samples(struct reader *r, uint32_t count, uint8_t start_head,
                                  int64_t mint, int64_t maxt, struct prom_samples *to,
                                  struct err *err) {
    const unsigned start_from = start_head & 0x7F;
    struct start_time start = {.ms = 0};
    int64_t before = INT64_MIN;
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0) {
            first_sample(r);
            if ((start_head & 0x80) != 0) {
                start_first(&start, r->t, take_varint(&r->bits));
            }
        } else {
            later_sample(r);
            if (start_from != 0 && i >= start_from) {
                start_later(&start, (uint64_t)before, take_varbit(&r->bits));
            }
        }
        struct prom_sample s = {
            .ts_ms = (int64_t)r->t, .value = r->floats ? 1 : 0, .start_ms = start.ms};
        if (r->bits.failed) {
            return err_set(err, ERR_CORRUPT, "chunk ends in sample %u of %u", i + 1, count);
        }
        if (i != 0 && s.ts_ms <= before) {
            return err_set(err, ERR_CORRUPT, "time of sample %u is not after the one before", i);
        }
        before = s.ts_ms;
        if (s.ts_ms > maxt) {
            return ERR_OK;
        }
        if (s.ts_ms < mint) {
            continue;
        }
        const enum err_code code = make_histogram(r, &s.histogram, err);
        if (code != ERR_OK) {
            return code;
        }
        if (prom_samples_add_sample(to, &s) != ERR_OK) {
            return err_set(err, ERR_LIMIT, "more than %zu samples", to->max_count);
        }
    }
    return ERR_OK;
}

enum err_code prom_histogram_chunk_read(uint8_t encoding, struct str data, int64_t mint,
                                        int64_t maxt, struct prom_samples *to, struct err *err) {
    enum { HEAD = 3 };
    const bool with_start =
        encoding == PROM_CHUNK_HISTOGRAM_ST || encoding == PROM_CHUNK_FLOAT_HISTOGRAM_ST;
    if (!prom_chunk_is_histogram(encoding)) {
        return err_set(err, ERR_UNSUPPORTED, "chunk encoding %u holds no histograms", encoding);
    }
    if (data.len < HEAD) {
        return err_set(err, ERR_CORRUPT, "chunk of %zu bytes", data.len);
    }
    const uint8_t *p = (const uint8_t *)data.ptr;
    const uint32_t count = prom_chunk_count(encoding, data);
    struct reader r = {
        .bits = {.at = p + HEAD, .end = p + data.len},
        .arena = to->arena,
        .bits_max = data.len * 8,
        .floats =
            encoding == PROM_CHUNK_FLOAT_HISTOGRAM || encoding == PROM_CHUNK_FLOAT_HISTOGRAM_ST,
        .gauge = (with_start ? p[0] >> 6 : p[2] >> 6) == GAUGE_FLAGS,
    };
    if (count == 0) {
        return ERR_OK;
    }
    if (!take_layout(&r)) {
        return no_room(err);
    }
    return read_samples(&r, count, with_start ? p[2] : 0, mint, maxt, to, err);
}

/* ---- log records ---- */

static bool take_record_spans(struct cursor *c, struct arena *arena, struct histogram_side *side) {
    const uint64_t n = cursor_uvarint(c);
    if (n > cursor_left(c)) {
        c->failed = true;
        return true;
    }
    side->spans = arena_try_alloc(arena, n + 1, sizeof(*side->spans));
    for (uint64_t i = 0; i < n && side->spans != NULL && !c->failed; i++) {
        const int64_t offset = cursor_varint(c);
        const uint64_t length = cursor_uvarint(c);
        c->failed |= offset != (int32_t)offset || length > UINT32_MAX;
        side->spans[side->span_count++] =
            (struct histogram_span){.offset = (int32_t)offset, .length = (uint32_t)length};
    }
    return side->spans != NULL;
}

/* Doubles, or differences of integers. */
static double *take_numbers(struct cursor *c, bool floats, struct arena *arena,
                            uint32_t *out_count) {
    const uint64_t n = cursor_uvarint(c);
    if (n > cursor_left(c)) {
        c->failed = true;
    }
    double *numbers = arena_try_alloc(arena, c->failed ? 1 : n + 1, sizeof(*numbers));
    uint64_t count = 0;
    for (uint64_t i = 0; numbers != NULL && !c->failed && i < n; i++) {
        if (floats) {
            numbers[i] = f64_of_bits(cursor_u64be(c));
        } else {
            count += (uint64_t)cursor_varint(c);
            numbers[i] = (double)(int64_t)count;
        }
    }
    *out_count = c->failed ? 0 : (uint32_t)n;
    return numbers;
}

static double take_count(struct cursor *c, bool floats) {
    return floats ? f64_of_bits(cursor_u64be(c)) : (double)cursor_uvarint(c);
}

enum err_code prom_histogram_take(struct cursor *c, bool floats, struct arena *arena,
                                  struct histogram *out) {
    static const enum histogram_hint hints[] = {HINT_UNKNOWN, HINT_RESET, HINT_NOT_RESET,
                                                HINT_GAUGE};
    const uint8_t hint = cursor_u8(c);
    *out = (struct histogram){.hint = hint < COUNT_OF(hints) ? hints[hint] : HINT_UNKNOWN};
    const int64_t schema = cursor_varint(c);
    out->schema = schema == (int32_t)schema ? (int32_t)schema : INT32_MAX;
    out->zero_threshold = f64_of_bits(cursor_u64be(c));
    out->zero_count = take_count(c, floats);
    out->count = take_count(c, floats);
    out->sum = f64_of_bits(cursor_u64be(c));
    bool room =
        take_record_spans(c, arena, &out->positive) && take_record_spans(c, arena, &out->negative);
    if (room) {
        out->positive.counts = take_numbers(c, floats, arena, &out->positive.count);
        out->negative.counts = take_numbers(c, floats, arena, &out->negative.count);
        room = out->positive.counts != NULL && out->negative.counts != NULL;
    }
    if (room && schema == HISTOGRAM_SCHEMA_CUSTOM) {
        out->bounds = take_numbers(c, true, arena, &out->bound_count);
        room = out->bounds != NULL;
    }
    if (c->failed || !room) {
        return c->failed ? ERR_CORRUPT : ERR_LIMIT;
    }
    const enum err_code code = finish(out, arena, NULL);
    return code == ERR_LIMIT || code == ERR_OK ? code : ERR_INVALID;
}

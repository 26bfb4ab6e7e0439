#include "tsdb/prom_encode.h"

#include <math.h>
#include <string.h>

#include "base/histogram.h"
#include "base/value.h"
#include "tsdb/prom_bit_writer.h"

enum {
    HISTOGRAM_CHUNK_BYTES = 1024, /* a chunk of histograms ends here ... */
    HISTOGRAM_CHUNK_SAMPLES_MIN = 10,
    HEAD_BYTES = 2,
    FLAG_NOT_RESET = 1 << 6,
    FLAG_RESET = 2 << 6,
    FLAG_GAUGE = 3 << 6,
};

#define INTEGER_MAX 9007199254740992.0 /* 2^53 */

/* ---- floats ---- */

static void give_time(struct bit_writer *w, int64_t dod) {
    static const uint8_t width[] = {0, 14, 17, 20, 64};
    unsigned k = 0;
    if (dod != 0) {
        for (k = 1; k < 4 && !fits_signed(dod, width[k]);) {
            k++;
        }
    }
    give_ones(w, k, 4);
    if (k != 0) {
        give(w, (uint64_t)dod, width[k]);
    }
}

static size_t encode_floats(const struct prom_sample *samples, size_t n, struct buf *to) {
    struct bit_writer w = {.to = to};
    struct xor_state value = {.bits = f64_bits(samples[0].value)};
    uint64_t delta = 0;
    give_varint(&w, samples[0].ts_ms);
    give(&w, value.bits, 64);
    size_t i = 1;
    for (; i < n && i < PROM_CHUNK_SAMPLES && samples[i].histogram == NULL; i++) {
        const uint64_t step = (uint64_t)samples[i].ts_ms - (uint64_t)samples[i - 1].ts_ms;
        if (i == 1) {
            give_uvarint(&w, step);
        } else {
            give_time(&w, (int64_t)(step - delta));
        }
        delta = step;
        give_xor(&w, &value, f64_bits(samples[i].value));
    }
    give_end(&w);
    return i;
}

/* ---- layouts of histograms ---- */

static bool is_stale(const struct histogram *h) {
    return f64_is_stale(h->sum);
}

static bool is_integer(double v) {
    return v >= 0 && v <= INTEGER_MAX && floor(v) == v;
}

static bool is_integer_side(const struct histogram_side *side) {
    for (uint32_t i = 0; i < side->count; i++) {
        if (!is_integer(side->counts[i])) {
            return false;
        }
    }
    return true;
}

/* Kept as floats, or counts that only floats can be. */
static bool needs_floats(const struct prom_sample *s) {
    const struct histogram *h = s->histogram;
    if (is_stale(h)) {
        return false;
    }
    return s->value != 0 || !is_integer(h->count) || !is_integer(h->zero_count) ||
           !is_integer_side(&h->positive) || !is_integer_side(&h->negative);
}

static bool same_spans(const struct histogram_side *a, const struct histogram_side *b) {
    return a->span_count == b->span_count && a->count == b->count &&
           (a->span_count == 0 ||
            memcmp(a->spans, b->spans, a->span_count * sizeof(*a->spans)) == 0);
}

static bool same_layout(const struct histogram *a, const struct histogram *b) {
    return a->schema == b->schema && f64_same_bits(a->zero_threshold, b->zero_threshold) &&
           (a->hint == HINT_GAUGE) == (b->hint == HINT_GAUGE) && histogram_same_bounds(a, b) &&
           same_spans(&a->positive, &b->positive) && same_spans(&a->negative, &b->negative);
}

/* May s stand in a chunk behind before? floats: what the chunk holds. */
static bool continues(const struct prom_sample *before, const struct prom_sample *s, bool floats) {
    if (s->histogram == NULL) {
        return false;
    }
    if (is_stale(s->histogram)) {
        return true;
    }
    const struct histogram *prev = before->histogram;
    if (is_stale(prev) || needs_floats(s) != floats || !same_layout(prev, s->histogram)) {
        return false;
    }
    return prev->hint == HINT_GAUGE || !histogram_detect_reset(s->histogram, prev);
}

/* ---- heads of histogram chunks ---- */

static uint8_t flags_of(const struct prom_encoder *encoder, const struct histogram *h) {
    if (h->hint == HINT_GAUGE) {
        return FLAG_GAUGE;
    }
    if (h->hint == HINT_RESET) {
        return FLAG_RESET;
    }
    if (encoder->before == NULL || is_stale(encoder->before) || is_stale(h) ||
        encoder->before->hint == HINT_GAUGE) {
        return 0;
    }
    if (!histogram_same_kind(encoder->before, h)) {
        return 0;
    }
    return histogram_detect_reset(h, encoder->before) ? FLAG_RESET : FLAG_NOT_RESET;
}

/* 0, a power of two in one byte, or all bits. */
static void give_threshold(struct bit_writer *w, double threshold) {
    enum { EXPONENT_BIAS = 243, EXPONENT_MIN = -242, EXPONENT_MAX = 11, OTHER = 255 };
    int exponent = 0;
    if (f64_bits(threshold) == 0) {
        give_short(w, 0, 8);
        return;
    }
    if (frexp(threshold, &exponent) == 0.5 && exponent >= EXPONENT_MIN &&
        exponent <= EXPONENT_MAX) {
        give_short(w, (uint64_t)(exponent + EXPONENT_BIAS), 8);
        return;
    }
    give_short(w, OTHER, 8);
    give(w, f64_bits(threshold), 64);
}

static void give_spans(struct bit_writer *w, const struct histogram_side *side) {
    give_uvarbit(w, side->span_count);
    for (uint32_t i = 0; i < side->span_count; i++) {
        give_uvarbit(w, side->spans[i].length);
        give_varbit(w, side->spans[i].offset);
    }
}

/* Thousandths as an integer, or all bits. */
static void give_bound(struct bit_writer *w, double bound) {
    const double limit = 33554430;
    const double thousandths = bound * 1000;
    if (thousandths >= 0 && thousandths <= limit &&
        f64_same_bits(round(thousandths) / 1000, bound)) {
        give_uvarbit(w, (uint64_t)round(thousandths) + 1);
        return;
    }
    give_short(w, 0, 1);
    give(w, f64_bits(bound), 64);
}

static void give_layout(struct bit_writer *w, const struct histogram *h) {
    give_threshold(w, h->zero_threshold);
    give_varbit(w, h->schema);
    give_spans(w, &h->positive);
    give_spans(w, &h->negative);
    if (histogram_is_custom(h)) {
        give_uvarbit(w, h->bound_count);
        for (uint32_t i = 0; i < h->bound_count; i++) {
            give_bound(w, h->bounds[i]);
        }
    }
}

/* ---- samples of histogram chunks ---- */

/* What the next sample is told against. Buckets: of both sides, one after the other. */
struct histogram_state {
    struct bit_writer w;
    uint64_t t_delta;
    int64_t count, count_delta;
    int64_t zero, zero_delta;
    struct xor_state sum;
    struct xor_state float_count;
    struct xor_state float_zero;
    struct buf buckets; /* struct bucket_state of integers, struct xor_state of floats */
};

struct bucket_state {
    int64_t value; /* less the bucket before */
    int64_t delta; /* of the value, from sample to sample */
};

enum { BUCKET_BYTES_MAX = 64 << 20 };

/* Difference of differences, in the arithmetic of the reader. */
static void give_dod(struct bit_writer *w, int64_t v, int64_t *last, int64_t *last_delta) {
    const int64_t delta = (int64_t)((uint64_t)v - (uint64_t)*last);
    give_varbit(w, (int64_t)((uint64_t)delta - (uint64_t)*last_delta));
    *last = v;
    *last_delta = delta;
}

static void first_buckets(struct histogram_state *s, const struct histogram_side *side,
                          bool floats) {
    int64_t before = 0;
    for (uint32_t i = 0; i < side->count; i++) {
        if (floats) {
            const struct xor_state x = {.bits = f64_bits(side->counts[i])};
            give(&s->w, x.bits, 64);
            buf_append(&s->buckets, &x, sizeof(x));
        } else {
            const struct bucket_state b = {.value = (int64_t)side->counts[i] - before};
            before = (int64_t)side->counts[i];
            give_varbit(&s->w, b.value);
            buf_append(&s->buckets, &b, sizeof(b));
        }
    }
}

static void later_buckets(struct histogram_state *s, size_t from, const struct histogram_side *side,
                          bool floats) {
    int64_t before = 0;
    for (uint32_t i = 0; i < side->count; i++) {
        if (floats) {
            struct xor_state x;
            char *at = s->buckets.ptr + (from + i) * sizeof(x);
            memcpy(&x, at, sizeof(x));
            give_xor(&s->w, &x, f64_bits(side->counts[i]));
            memcpy(at, &x, sizeof(x));
        } else {
            struct bucket_state b;
            char *at = s->buckets.ptr + (from + i) * sizeof(b);
            const int64_t value = (int64_t)side->counts[i] - before;
            before = (int64_t)side->counts[i];
            memcpy(&b, at, sizeof(b));
            give_dod(&s->w, value, &b.value, &b.delta);
            memcpy(at, &b, sizeof(b));
        }
    }
}

static void first_histogram(struct histogram_state *s, const struct prom_sample *sample,
                            bool floats) {
    const struct histogram *h = sample->histogram;
    give_varbit(&s->w, sample->ts_ms);
    if (floats) {
        s->float_count.bits = f64_bits(h->count);
        s->float_zero.bits = f64_bits(h->zero_count);
        give(&s->w, s->float_count.bits, 64);
        give(&s->w, s->float_zero.bits, 64);
    } else {
        s->count = (int64_t)h->count;
        s->zero = (int64_t)h->zero_count;
        give_uvarbit(&s->w, (uint64_t)s->count);
        give_uvarbit(&s->w, (uint64_t)s->zero);
    }
    s->sum.bits = f64_bits(h->sum);
    give(&s->w, s->sum.bits, 64);
    first_buckets(s, &h->positive, floats);
    first_buckets(s, &h->negative, floats);
}

/* A stale one repeats the counts, and has no buckets. */
static void later_histogram(struct histogram_state *s, const struct prom_sample *sample,
                            int64_t before_ms, bool floats) {
    const struct histogram *h = sample->histogram;
    const bool stale = is_stale(h);
    const uint64_t step = (uint64_t)sample->ts_ms - (uint64_t)before_ms;
    give_varbit(&s->w, (int64_t)(step - s->t_delta));
    s->t_delta = step;
    if (floats) {
        give_xor(&s->w, &s->float_count, stale ? s->float_count.bits : f64_bits(h->count));
        give_xor(&s->w, &s->float_zero, stale ? s->float_zero.bits : f64_bits(h->zero_count));
    } else if (stale) {
        give_varbit(&s->w, 0);
        give_varbit(&s->w, 0);
    } else {
        give_dod(&s->w, (int64_t)h->count, &s->count, &s->count_delta);
        give_dod(&s->w, (int64_t)h->zero_count, &s->zero, &s->zero_delta);
    }
    give_xor(&s->w, &s->sum, f64_bits(h->sum));
    if (!stale) {
        later_buckets(s, 0, &h->positive, floats);
        later_buckets(s, h->positive.count, &h->negative, floats);
    }
}

static size_t encode_histograms(const struct prom_encoder *encoder,
                                const struct prom_sample *samples, size_t n, bool floats,
                                struct buf *to) {
    struct histogram_state s = {.w.to = to};
    const size_t begin = to->len;
    buf_init(&s.buckets, BUCKET_BYTES_MAX);
    buf_append_char(to, (char)flags_of(encoder, samples[0].histogram));
    give_layout(&s.w, samples[0].histogram);
    first_histogram(&s, &samples[0], floats);
    size_t i = 1;
    for (; i < n && continues(&samples[i - 1], &samples[i], floats); i++) {
        if (i == PROM_CHUNK_SAMPLES ||
            (i >= HISTOGRAM_CHUNK_SAMPLES_MIN && to->len - begin >= HISTOGRAM_CHUNK_BYTES)) {
            break;
        }
        later_histogram(&s, &samples[i], samples[i - 1].ts_ms, floats);
    }
    give_end(&s.w);
    buf_release(&s.buckets);
    return i;
}

enum prom_encoding prom_chunk_encode(struct prom_encoder *encoder,
                                     const struct prom_sample *samples, size_t n, struct buf *to,
                                     size_t *out_taken) {
    enum prom_encoding encoding = PROM_CHUNK_XOR;
    const size_t begin = to->len;
    size_t taken;
    buf_append(to, "\0\0", HEAD_BYTES);
    if (samples[0].histogram == NULL) {
        taken = encode_floats(samples, n, to);
    } else {
        /* a chunk that starts stale may hold stale ones only, of either kind */
        const bool floats =
            is_stale(samples[0].histogram) ? samples[0].value != 0 : needs_floats(&samples[0]);
        encoding = floats ? PROM_CHUNK_FLOAT_HISTOGRAM : PROM_CHUNK_HISTOGRAM;
        taken = encode_histograms(encoder, samples, n, floats, to);
    }
    if (buf_ok(to)) {
        to->ptr[begin] = (char)(uint8_t)(taken >> 8);
        to->ptr[begin + 1] = (char)(uint8_t)taken;
    }
    encoder->before = samples[taken - 1].histogram;
    *out_taken = taken;
    return encoding;
}

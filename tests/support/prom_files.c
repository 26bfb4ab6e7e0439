#include "tests/support/prom_files.h"

#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/value.h"
#include "tests/support/snappy_pack.h"
#include "tsdb/prom_index.h"

/* ---- bytes and bits ---- */

static void add_be(struct buf *to, uint64_t v, unsigned bytes) {
    for (unsigned i = bytes; i-- > 0;) {
        buf_append_char(to, (char)(v >> (8 * i)));
    }
}

static void add_uvarint(struct buf *to, uint64_t v) {
    uint8_t bytes[UVARINT_MAX];
    buf_append(to, bytes, (size_t)(put_uvarint(bytes, v) - bytes));
}

static void add_varint(struct buf *to, int64_t v) {
    add_uvarint(to, zigzag_encode(v));
}

static void add_string(struct buf *to, const char *s) {
    add_uvarint(to, strlen(s));
    buf_append_cstr(to, s);
}

static void add_crc(struct buf *to, size_t from) {
    add_be(to, hash_crc32c(0, to->ptr + from, to->len - from), 4);
}

struct bit_writer {
    struct buf *to;
    unsigned used; /* bits of the last byte; 0: it is full */
};

static void add_bits(struct bit_writer *w, uint64_t v, unsigned n) {
    while (n-- > 0) {
        if (w->used == 0) {
            buf_append_char(w->to, 0);
        }
        const uint8_t bit = (uint8_t)((v >> n & 1) << (7 - w->used));
        w->to->ptr[w->to->len - 1] = (char)((uint8_t)w->to->ptr[w->to->len - 1] | bit);
        w->used = (w->used + 1) % 8;
    }
}

static void add_bits_uvarint(struct bit_writer *w, uint64_t v) {
    for (; v >= 0x80; v >>= 7) {
        add_bits(w, (v & 0x7F) | 0x80, 8);
    }
    add_bits(w, v, 8);
}

static bool fits(int64_t v, unsigned n) {
    const int64_t half = INT64_C(1) << (n - 1);
    return v >= -(half - 1) && v <= half;
}

/* A run of ones and a zero for the width, then the bits. */
static void add_prefixed(struct bit_writer *w, int64_t v, const uint8_t *widths, unsigned count) {
    unsigned k = 0;
    if (v != 0) {
        k = 1;
        while (k + 1 < count && !fits(v, widths[k])) {
            k++;
        }
    }
    add_bits(w, (UINT64_C(1) << k) - 1, k);
    if (k + 1 < count) {
        add_bits(w, 0, 1);
    }
    add_bits(w, (uint64_t)v, widths[k]);
}

struct window {
    unsigned leading;
    unsigned trailing;
    bool set;
};

/* True: x fits the window. False: the window becomes x's own. */
static bool in_window(struct window *win, uint64_t x) {
    unsigned leading = (unsigned)__builtin_clzll(x);
    const unsigned trailing = (unsigned)__builtin_ctzll(x);
    leading = leading > 31 ? 31 : leading;
    if (win->set && leading >= win->leading && trailing >= win->trailing) {
        return true;
    }
    *win = (struct window){leading, trailing, true};
    return false;
}

static void add_window_bits(struct bit_writer *w, const struct window *win, uint64_t x) {
    add_bits(w, x >> win->trailing, 64 - win->leading - win->trailing);
}

static void add_new_window(struct bit_writer *w, const struct window *win, uint64_t x) {
    add_bits(w, win->leading, 5);
    add_bits(w, (64 - win->leading - win->trailing) & 63, 6);
    add_window_bits(w, win, x);
}

/* ---- chunks ---- */

void prom_write_xor(struct buf *to, const struct prom_sample *samples, size_t n) {
    static const uint8_t widths[] = {0, 14, 17, 20, 64};
    struct bit_writer w = {to, 0};
    struct window win = {0};
    uint64_t delta = 0;
    add_be(to, n, 2);
    for (size_t i = 0; i < n; i++) {
        const uint64_t bits = f64_bits(samples[i].value);
        if (i == 0) {
            add_bits_uvarint(&w, zigzag_encode(samples[i].ts_ms));
            add_bits(&w, bits, 64);
            continue;
        }
        const uint64_t step = (uint64_t)samples[i].ts_ms - (uint64_t)samples[i - 1].ts_ms;
        if (i == 1) {
            add_bits_uvarint(&w, step);
        } else {
            add_prefixed(&w, (int64_t)(step - delta), widths, 5);
        }
        delta = step;
        const uint64_t x = bits ^ f64_bits(samples[i - 1].value);
        if (x == 0) {
            add_bits(&w, 0, 1);
        } else if (in_window(&win, x)) {
            add_bits(&w, 2, 2);
            add_window_bits(&w, &win, x);
        } else {
            add_bits(&w, 3, 2);
            add_new_window(&w, &win, x);
        }
    }
}

struct xor2_writer {
    struct bit_writer w;
    struct window win;
    uint64_t baseline;
    uint64_t delta;
};

static void add_xor2_value(struct xor2_writer *x2, uint64_t bits) {
    const uint64_t x = bits ^ x2->baseline;
    if (bits == STALE_NAN_BITS) {
        add_bits(&x2->w, 7, 3);
        return;
    }
    if (x == 0) {
        add_bits(&x2->w, 0, 1);
    } else if (in_window(&x2->win, x)) {
        add_bits(&x2->w, 2, 2);
        add_window_bits(&x2->w, &x2->win, x);
    } else {
        add_bits(&x2->w, 6, 3);
        add_new_window(&x2->w, &x2->win, x);
    }
    x2->baseline = bits;
}

static void add_xor2_later(struct xor2_writer *x2, int64_t dod, uint64_t bits) {
    const uint64_t x = bits ^ x2->baseline;
    if (dod == 0 && bits == STALE_NAN_BITS) {
        add_bits(&x2->w, 31, 5);
    } else if (dod == 0 && x == 0) {
        add_bits(&x2->w, 0, 1);
    } else if (dod == 0) {
        add_bits(&x2->w, 2, 2);
        const bool same_window = in_window(&x2->win, x);
        add_bits(&x2->w, same_window ? 0 : 1, 1);
        if (same_window) {
            add_window_bits(&x2->w, &x2->win, x);
        } else {
            add_new_window(&x2->w, &x2->win, x);
        }
        x2->baseline = bits;
    } else {
        if (dod >= -4096 && dod < 4096) {
            add_bits(&x2->w, 6, 3);
            add_bits(&x2->w, (uint64_t)dod, 13);
        } else if (dod >= -524288 && dod < 524288) {
            add_bits(&x2->w, 14, 4);
            add_bits(&x2->w, (uint64_t)dod, 20);
        } else {
            add_bits(&x2->w, 30, 5);
            add_bits(&x2->w, (uint64_t)dod, 64);
        }
        add_xor2_value(x2, bits);
    }
}

void prom_write_xor2(struct buf *to, const struct prom_sample *samples, size_t n, unsigned st_from,
                     bool first_st) {
    static const uint8_t varbit[] = {0, 3, 6, 9, 12, 18, 25, 56, 64};
    struct xor2_writer x2 = {.w = {to, 0}};
    uint64_t distance = 0; /* of the start time before */
    add_be(to, n, 2);
    buf_append_char(to, (char)((first_st ? 0x80U : 0U) | st_from));
    for (size_t i = 0; i < n; i++) {
        const uint64_t bits = f64_bits(samples[i].value);
        if (i == 0) {
            add_bits_uvarint(&x2.w, zigzag_encode(samples[i].ts_ms));
            add_bits(&x2.w, bits, 64);
            x2.baseline = bits == STALE_NAN_BITS ? 0 : bits;
            if (first_st) {
                add_bits_uvarint(&x2.w, zigzag_encode(samples[0].ts_ms - samples[0].start_ms));
            }
            continue;
        }
        const uint64_t step = (uint64_t)samples[i].ts_ms - (uint64_t)samples[i - 1].ts_ms;
        if (i == 1) {
            add_bits_uvarint(&x2.w, step);
            add_xor2_value(&x2, bits);
        } else {
            add_xor2_later(&x2, (int64_t)(step - x2.delta), bits);
        }
        x2.delta = step;
        if (st_from != 0 && i >= st_from) {
            const uint64_t far = (uint64_t)samples[i - 1].ts_ms - (uint64_t)samples[i].start_ms;
            add_prefixed(&x2.w, (int64_t)(far - distance), varbit, 9);
            distance = far;
        }
    }
}

/* ---- histograms ---- */

static void add_varbit(struct bit_writer *w, int64_t v) {
    static const uint8_t width[] = {0, 3, 6, 9, 12, 18, 25, 56, 64};
    unsigned ones = v == 0 ? 0 : 1;
    while (v != 0 && ones < 8) {
        const int64_t half = INT64_C(1) << (width[ones] - 1);
        if (v > -half && v <= half) {
            break;
        }
        ones++;
    }
    add_bits(w, ones == 8 ? 0xFF : (1U << (ones + 1)) - 2, ones == 8 ? 8 : ones + 1);
    add_bits(w, (uint64_t)v, width[ones]);
}

static void add_uvarbit(struct bit_writer *w, uint64_t v) {
    static const uint8_t width[] = {0, 3, 6, 9, 12, 18, 25, 56, 64};
    unsigned ones = 0;
    while (ones < 8 && v >> width[ones] != 0) {
        ones++;
    }
    add_bits(w, ones == 8 ? 0xFF : (1U << (ones + 1)) - 2, ones == 8 ? 8 : ones + 1);
    add_bits(w, v, width[ones]);
}

static void add_spans(struct bit_writer *w, const struct histogram_side *side) {
    add_uvarbit(w, side->span_count);
    for (uint32_t i = 0; i < side->span_count; i++) {
        add_uvarbit(w, side->spans[i].length);
        add_varbit(w, side->spans[i].offset);
    }
}

static void add_layout(struct bit_writer *w, const struct histogram *h) {
    add_bits(w, 255, 8);
    add_bits(w, f64_bits(h->zero_threshold), 64);
    add_varbit(w, h->schema);
    add_spans(w, &h->positive);
    add_spans(w, &h->negative);
    if (histogram_is_custom(h)) {
        add_uvarbit(w, h->bound_count);
        for (uint32_t i = 0; i < h->bound_count; i++) {
            const bool small = h->bounds[i] == (double)(uint64_t)h->bounds[i];
            add_uvarbit(w, small ? (uint64_t)h->bounds[i] * 1000 + 1 : 0);
            add_bits(w, f64_bits(h->bounds[i]), small ? 0 : 64);
        }
    }
}

/* The numbers of a histogram in the order of the chunk; buckets of integers as differences. */
struct hist_numbers {
    int64_t items[64];
    double floats[64];
    size_t n; /* count, zero, sum, then buckets */
};

static void list_numbers(const struct histogram *h, struct hist_numbers *out) {
    const struct histogram_side *sides[2] = {&h->positive, &h->negative};
    const double head[3] = {h->count, h->zero_count, h->sum};
    memcpy(out->floats, head, sizeof(head));
    out->items[0] = (int64_t)h->count;
    out->items[1] = (int64_t)h->zero_count;
    out->n = 3;
    for (int s = 0; s < 2; s++) {
        for (uint32_t i = 0; i < sides[s]->count; i++) {
            const double before = i != 0 ? sides[s]->counts[i - 1] : 0;
            out->items[out->n] = (int64_t)sides[s]->counts[i] - (int64_t)before;
            out->floats[out->n++] = sides[s]->counts[i];
        }
    }
}

static void add_xor(struct bit_writer *w, struct window *win, uint64_t x) {
    if (x == 0) {
        add_bits(w, 0, 1);
    } else if (in_window(win, x)) {
        add_bits(w, 2, 2);
        add_window_bits(w, win, x);
    } else {
        add_bits(w, 3, 2);
        add_new_window(w, win, x);
    }
}

void prom_write_histograms(struct buf *to, uint8_t encoding, const struct prom_sample *samples,
                           size_t n) {
    const bool floats =
        encoding == PROM_CHUNK_FLOAT_HISTOGRAM || encoding == PROM_CHUNK_FLOAT_HISTOGRAM_ST;
    const bool starts =
        encoding == PROM_CHUNK_HISTOGRAM_ST || encoding == PROM_CHUNK_FLOAT_HISTOGRAM_ST;
    const uint64_t flags = samples[0].histogram->hint == HINT_GAUGE ? 3 : 0;
    struct bit_writer w = {to, 0};
    struct window windows[64] = {{0}};
    struct hist_numbers before = {.n = 0};
    int64_t deltas[64] = {0};
    int64_t t_delta = 0;
    int64_t start_delta = 0;
    add_be(to, starts ? flags << 14 | n : n, 2);
    add_be(to, starts ? 0x81 : flags << 6, 1);
    add_layout(&w, samples[0].histogram);
    for (size_t i = 0; i < n; i++) {
        struct hist_numbers now;
        const int64_t t = samples[i].ts_ms;
        list_numbers(samples[i].histogram, &now);
        const bool stale = f64_is_stale(samples[i].histogram->sum);
        if (i != 0) {
            const int64_t delta = t - samples[i - 1].ts_ms;
            add_varbit(&w, delta - t_delta);
            t_delta = delta;
        } else {
            add_varbit(&w, t);
        }
        for (size_t k = 0; k < (stale ? 3 : now.n); k++) {
            const uint64_t bits = f64_bits(now.floats[k]);
            if (i == 0 && (floats || k == 2)) {
                add_bits(&w, bits, 64);
            } else if (floats || k == 2) {
                add_xor(&w, &windows[k], bits ^ f64_bits(before.floats[k]));
            } else if (i == 0 && k < 2) {
                add_uvarbit(&w, (uint64_t)now.items[k]);
            } else if (i == 0) {
                add_varbit(&w, now.items[k]);
            } else {
                const int64_t delta = now.items[k] - before.items[k];
                add_varbit(&w, stale ? 0 : delta - deltas[k]);
                deltas[k] = delta;
            }
        }
        if (starts && i == 0) {
            add_bits_uvarint(&w, zigzag_encode(t - samples[0].start_ms));
        } else if (starts) {
            const int64_t delta = samples[i - 1].ts_ms - samples[i].start_ms;
            add_varbit(&w, i == 1 ? delta : delta - start_delta);
            start_delta = delta;
        }
        before = now;
    }
}

uint64_t prom_write_chunk(struct buf *file, uint8_t encoding, struct str data) {
    if (file->len == 0) {
        add_be(file, 0x85BD40DD01000000, 8);
    }
    const uint64_t offset = file->len;
    add_uvarint(file, data.len);
    const size_t from = file->len;
    buf_append_char(file, (char)encoding);
    buf_append_str(file, data);
    add_crc(file, from);
    return offset;
}

/* ---- index ---- */

static void align(struct buf *to, size_t to_multiple) {
    while (to->len % to_multiple != 0) {
        buf_append_char(to, 0);
    }
}

enum { SYMBOLS_AT = 5, SYMBOL_BYTES_MAX = 64 };

/* Symbols unsorted and with repetitions: readers must not care. Reference of the n-th one. */
static uint64_t symbol_ref(const struct buf *symbols, unsigned version, size_t n) {
    size_t at = 4;
    for (size_t i = 0; i < n; i++) {
        at += 1 + (uint8_t)symbols->ptr[at];
    }
    return version == 1 ? SYMBOLS_AT + 4 + at : n;
}

static size_t add_symbols(struct buf *to, const struct prom_write_series *series, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        for (const char *const *s = series[i].labels; *s != NULL; s++) {
            add_string(to, *s);
            count++;
        }
    }
    return count;
}

static void add_series_body(struct buf *to, const struct buf *symbols, unsigned version,
                            size_t first_symbol, size_t symbol_count,
                            const struct prom_write_series *s) {
    add_uvarint(to, symbol_count / 2);
    for (size_t i = 0; i < symbol_count; i++) {
        add_uvarint(to, symbol_ref(symbols, version, first_symbol + i));
    }
    add_uvarint(to, s->chunk_count);
    for (size_t i = 0; i < s->chunk_count; i++) {
        const struct prom_chunk_meta *c = &s->chunks[i];
        if (i == 0) {
            add_varint(to, c->mint);
        } else {
            add_uvarint(to, (uint64_t)c->mint - (uint64_t)c[-1].maxt);
        }
        add_uvarint(to, (uint64_t)c->maxt - (uint64_t)c->mint);
        if (i == 0) {
            add_uvarint(to, c->ref);
        } else {
            add_varint(to, (int64_t)(c->ref - c[-1].ref));
        }
    }
}

void prom_write_index(struct buf *to, unsigned version, const struct prom_write_series *series,
                      size_t n, uint64_t *refs) {
    struct buf symbols;
    struct buf body;
    buf_init(&symbols, 1 << 20);
    buf_init(&body, 1 << 20);
    add_be(&symbols, 0, 4);
    const size_t count = add_symbols(&symbols, series, n);
    for (unsigned i = 0; i < 4; i++) {
        symbols.ptr[i] = (char)(count >> (24 - 8 * i));
    }
    add_be(to, 0xBAAAD700, 4);
    add_be(to, version, 1);
    add_be(to, symbols.len, 4);
    buf_append_str(to, buf_str(&symbols));
    add_crc(to, SYMBOLS_AT + 4);
    const size_t series_at = to->len;
    size_t symbol = 0;
    for (size_t i = 0; i < n; i++) {
        size_t labels = 0;
        while (series[i].labels[labels] != NULL) {
            labels++;
        }
        buf_clear(&body);
        add_series_body(&body, &symbols, version, symbol, labels, &series[i]);
        symbol += labels;
        if (version != 1) {
            align(to, 16);
        }
        if (refs != NULL) {
            refs[i] = version == 1 ? to->len : to->len / 16;
        }
        add_uvarint(to, body.len);
        const size_t from = to->len;
        buf_append_str(to, buf_str(&body));
        add_crc(to, from);
    }
    align(to, 4);
    const size_t end = to->len;
    const uint64_t toc[] = {SYMBOLS_AT, series_at, end, end, end, end};
    for (size_t i = 0; i < 6; i++) {
        add_be(to, toc[i], 8);
    }
    add_crc(to, end);
    buf_release(&symbols);
    buf_release(&body);
}

/* ---- log ---- */

static void add_labels(struct buf *to, const char *const *labels) {
    size_t n = 0;
    while (labels[n] != NULL) {
        n++;
    }
    add_uvarint(to, n / 2);
    for (size_t i = 0; i < n; i++) {
        add_string(to, labels[i]);
    }
}

void prom_write_series_record(struct buf *to, uint64_t ref, const char *const *labels) {
    buf_append_char(to, 1);
    add_be(to, ref, 8);
    add_labels(to, labels);
}

void prom_write_samples_record(struct buf *to, const struct prom_write_sample *samples, size_t n) {
    buf_append_char(to, 2);
    for (size_t i = 0; i < n; i++) {
        const struct prom_write_sample *first = &samples[0];
        if (i == 0) {
            add_be(to, first->ref, 8);
            add_be(to, (uint64_t)first->sample.ts_ms, 8);
        }
        add_varint(to, (int64_t)(samples[i].ref - first->ref));
        add_varint(to, samples[i].sample.ts_ms - first->sample.ts_ms);
        add_be(to, f64_bits(samples[i].sample.value), 8);
    }
}

void prom_write_samples_v2_record(struct buf *to, const struct prom_write_sample *samples,
                                  size_t n) {
    buf_append_char(to, 11);
    for (size_t i = 0; i < n; i++) {
        if (i == 0) {
            add_varint(to, (int64_t)samples[i].ref);
            add_varint(to, samples[i].sample.ts_ms);
            add_varint(to, 17);
        } else {
            add_varint(to, (int64_t)(samples[i].ref - samples[i - 1].ref));
            add_varint(to, samples[i].sample.ts_ms - samples[0].sample.ts_ms);
            buf_append_char(to, (char)(i % 3)); /* none, the same, another start time */
            if (i % 3 == 2) {
                add_varint(to, -5);
            }
        }
        add_be(to, f64_bits(samples[i].sample.value), 8);
    }
}

void prom_write_exemplar_record(struct buf *to, const struct prom_write_sample *exemplars, size_t n,
                                const char *const *labels) {
    buf_append_char(to, 4);
    add_be(to, exemplars[0].ref, 8);
    add_be(to, (uint64_t)exemplars[0].sample.ts_ms, 8);
    for (size_t i = 0; i < n; i++) {
        add_varint(to, (int64_t)(exemplars[i].ref - exemplars[0].ref));
        add_varint(to, exemplars[i].sample.ts_ms - exemplars[0].sample.ts_ms);
        add_be(to, f64_bits(exemplars[i].sample.value), 8);
        add_labels(to, labels);
    }
}

void prom_write_metadata_record(struct buf *to, uint64_t ref, unsigned type, const char *unit,
                                const char *help) {
    buf_append_char(to, 6);
    add_uvarint(to, ref);
    buf_append_char(to, (char)type);
    add_uvarint(to, 2);
    add_string(to, "UNIT");
    add_string(to, unit);
    add_string(to, "HELP");
    add_string(to, help);
}

void prom_write_deletion_record(struct buf *to, uint64_t ref, int64_t mint, int64_t maxt) {
    buf_append_char(to, 3);
    add_be(to, ref, 8);
    add_varint(to, mint);
    add_varint(to, maxt);
}

static void pack(struct buf *to, struct str record, enum prom_packing packing) {
    if (packing == PROM_SNAPPY) {
        snappy_pack(record, to);
    } else if (packing == PROM_ZSTD) {
        const uint32_t block = (uint32_t)record.len << 3 | 1; /* raw, the last one */
        const uint8_t head[] = {0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x58};
        buf_append(to, head, sizeof(head));
        for (unsigned i = 0; i < 3; i++) {
            buf_append_char(to, (char)(block >> (8 * i)));
        }
        buf_append_str(to, record);
    } else {
        buf_append_str(to, record);
    }
}

void prom_write_record(struct buf *segment, struct str record, enum prom_packing packing) {
    enum { PAGE = 32768, HEAD = 7 };
    struct buf packed;
    buf_init(&packed, 64 << 20);
    pack(&packed, record, packing);
    struct str left = buf_str(&packed);
    for (unsigned i = 0; i == 0 || left.len != 0; i++) {
        if (PAGE - segment->len % PAGE < HEAD) {
            align(segment, PAGE);
        }
        const size_t room = PAGE - segment->len % PAGE - HEAD;
        const struct str part = str_sub(left, 0, room);
        const bool last = part.len == left.len;
        const unsigned kind = i == 0 ? (last ? 1 : 2) : (last ? 4 : 3);
        buf_append_char(segment, (char)(kind | (unsigned)packing));
        add_be(segment, part.len, 2);
        add_be(segment, hash_crc32c(0, part.ptr, part.len), 4);
        buf_append_str(segment, part);
        left = str_from(left, part.len);
    }
    buf_release(&packed);
}

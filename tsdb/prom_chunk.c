/* Bits are read from the most significant one of each byte on. Times are sums of differences that a
 * hostile chunk may choose freely: they are computed modulo 2^64 and must ascend. */
#include "tsdb/prom_chunk.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/value.h"
#include "tsdb/prom_bits.h"

/* ---- list of samples ---- */

void prom_samples_init(struct prom_samples *list, size_t max_count) {
    *list = (struct prom_samples){.max_count = max_count};
}

void prom_samples_release(struct prom_samples *list) {
    mem_free(list->items);
    *list = (struct prom_samples){.max_count = list->max_count};
}

enum err_code prom_samples_add(struct prom_samples *list, int64_t ts_ms, double value) {
    return prom_samples_add_sample(list, &(struct prom_sample){.ts_ms = ts_ms, .value = value});
}

enum err_code prom_samples_add_sample(struct prom_samples *list, const struct prom_sample *s) {
    if (list->count == list->max_count) {
        return ERR_LIMIT;
    }
    if (list->count == list->capacity) {
        list->capacity = mem_grow(list->capacity, list->count + 1);
        list->items = mem_resize(list->items, list->capacity, sizeof(*list->items));
    }
    list->items[list->count++] = *s;
    return ERR_OK;
}

/* Merges the sorted runs a and b; of equal times a's comes first. */
static void merge_runs(const struct prom_sample *a, size_t a_count, const struct prom_sample *b,
                       size_t b_count, struct prom_sample *to) {
    size_t i = 0;
    size_t k = 0;
    while (i < a_count || k < b_count) {
        const bool from_a = k == b_count || (i < a_count && a[i].ts_ms <= b[k].ts_ms);
        *to++ = from_a ? a[i++] : b[k++];
    }
}

/* The run that starts at from: one past its last item. */
static size_t run_end(const struct prom_samples *list, size_t from) {
    size_t end = from + 1;
    while (end < list->count && list->items[end].ts_ms >= list->items[end - 1].ts_ms) {
        end++;
    }
    return end;
}

/* Natural merge sort: sources come sorted, so that there are few runs. */
static void sort_runs(struct prom_samples *list) {
    struct prom_sample *other = mem_array(list->count, sizeof(*other));
    while (run_end(list, 0) < list->count) {
        for (size_t at = 0; at < list->count;) {
            const size_t middle = run_end(list, at);
            const size_t end = middle < list->count ? run_end(list, middle) : middle;
            merge_runs(list->items + at, middle - at, list->items + middle, end - middle,
                       other + at);
            at = end;
        }
        memcpy(list->items, other, list->count * sizeof(*other));
    }
    mem_free(other);
}

void prom_samples_order(struct prom_samples *list) {
    if (list->count == 0) {
        return;
    }
    if (run_end(list, 0) < list->count) {
        sort_runs(list);
    }
    size_t kept = 1;
    for (size_t i = 1; i < list->count; i++) {
        if (list->items[i].ts_ms != list->items[kept - 1].ts_ms) {
            list->items[kept++] = list->items[i];
        }
    }
    list->count = kept;
}

/* ---- chunks ---- */

struct float_chunk {
    struct bits bits;
    struct xor_value value;
    uint64_t t;
    uint64_t delta;
    bool stale;       /* XOR2: this sample is the stale NaN, value keeps the baseline */
    unsigned st_from; /* XOR2: index of the first sample with a start time, 0 = none */
    bool has_first_st;
    struct start_time start;
};

static void xor_step(struct float_chunk *c, uint32_t i) {
    struct bits *b = &c->bits;
    if (i == 0) {
        c->t = (uint64_t)take_varint(b);
        c->value.bits = take(b, 64);
        return;
    }
    if (i == 1) {
        c->delta = take_uvarint(b);
    } else {
        static const uint8_t width[] = {0, 14, 17, 20, 64};
        c->delta += take_signed(b, width[take_ones(b, 4)]);
    }
    c->t += c->delta;
    xor_next(b, &c->value);
}

/* `0` same, `10` window, `110` new window, `111` stale. */
static void xor2_value(struct float_chunk *c) {
    struct bits *b = &c->bits;
    switch (take_ones(b, 3)) {
    case 0:
        break;
    case 1:
        xor_in_window(b, &c->value);
        break;
    case 2:
        xor_new_window(b, &c->value);
        break;
    default:
        c->stale = true;
    }
}

static void xor2_changed_value(struct float_chunk *c) {
    if (take_short(&c->bits, 1) == 0) {
        xor_in_window(&c->bits, &c->value);
    } else {
        xor_new_window(&c->bits, &c->value);
    }
}

static void xor2_later(struct float_chunk *c) {
    struct bits *b = &c->bits;
    static const uint8_t width[] = {0, 0, 13, 20, 64, 0};
    const unsigned ones = take_ones(b, 5);
    c->delta += take_complement(b, width[ones]);
    c->t += c->delta;
    if (ones == 1) {
        xor2_changed_value(c);
    } else if (ones == 5) {
        c->stale = true;
    } else if (ones != 0) {
        xor2_value(c);
    }
}

static void xor2_step(struct float_chunk *c, uint32_t i) {
    struct bits *b = &c->bits;
    c->stale = false;
    if (i == 0) {
        c->t = (uint64_t)take_varint(b);
        const uint64_t bits = take(b, 64);
        c->stale = bits == STALE_NAN_BITS;
        c->value.bits = c->stale ? 0 : bits;
        if (c->has_first_st) {
            start_first(&c->start, c->t, take_varint(b));
        }
        return;
    }
    const uint64_t before = c->t;
    if (i == 1) {
        c->delta = take_uvarint(b);
        c->t += c->delta;
        xor2_value(c);
    } else {
        xor2_later(c);
    }
    if (c->st_from != 0 && i >= c->st_from) {
        start_later(&c->start, before, take_varbit(b));
    }
}

bool prom_chunk_is_float(uint8_t encoding) {
    return encoding == PROM_CHUNK_XOR || encoding == PROM_CHUNK_XOR2;
}

bool prom_chunk_is_histogram(uint8_t encoding) {
    return encoding == PROM_CHUNK_HISTOGRAM || encoding == PROM_CHUNK_FLOAT_HISTOGRAM ||
           encoding == PROM_CHUNK_HISTOGRAM_ST || encoding == PROM_CHUNK_FLOAT_HISTOGRAM_ST;
}

uint32_t prom_chunk_count(uint8_t encoding, struct str data) {
    const uint8_t *p = (const uint8_t *)data.ptr;
    if (data.len < 2 || (!prom_chunk_is_float(encoding) && !prom_chunk_is_histogram(encoding))) {
        return 0;
    }
    const uint32_t count = (uint32_t)p[0] << 8 | p[1];
    const bool packed =
        encoding == PROM_CHUNK_HISTOGRAM_ST || encoding == PROM_CHUNK_FLOAT_HISTOGRAM_ST;
    return packed ? count & 0x3FFF : count;
}

static enum err_code read_samples(struct float_chunk *c, bool xor2, uint32_t count, int64_t mint,
                                  int64_t maxt, struct prom_samples *to, struct err *err) {
    int64_t before = INT64_MIN;
    for (uint32_t i = 0; i < count; i++) {
        if (xor2) {
            xor2_step(c, i);
        } else {
            xor_step(c, i);
        }
        const int64_t ts_ms = (int64_t)c->t;
        if (c->bits.failed) {
            return err_set(err, ERR_CORRUPT, "chunk ends in sample %u of %u", i + 1, count);
        }
        if (i != 0 && ts_ms <= before) {
            return err_set(err, ERR_CORRUPT, "time of sample %u is not after the one before", i);
        }
        before = ts_ms;
        if (ts_ms > maxt) {
            return ERR_OK;
        }
        const struct prom_sample s = {.ts_ms = ts_ms,
                                      .value = c->stale ? f64_stale() : f64_of_bits(c->value.bits),
                                      .start_ms = c->start.ms};
        if (ts_ms >= mint && prom_samples_add_sample(to, &s) != ERR_OK) {
            return err_set(err, ERR_LIMIT, "more than %zu samples", to->max_count);
        }
    }
    return ERR_OK;
}

enum err_code prom_chunk_read(uint8_t encoding, struct str data, int64_t mint, int64_t maxt,
                              struct prom_samples *to, struct err *err) {
    const bool xor2 = encoding == PROM_CHUNK_XOR2;
    const size_t head = xor2 ? 3 : 2;
    if (!prom_chunk_is_float(encoding)) {
        return err_set(err, ERR_UNSUPPORTED, "chunk encoding %u holds no floats", encoding);
    }
    if (data.len < head) {
        return err_set(err, ERR_CORRUPT, "chunk of %zu bytes", data.len);
    }
    const uint8_t *p = (const uint8_t *)data.ptr;
    struct float_chunk c = {.bits = {.at = p + head, .end = p + data.len}};
    if (xor2) {
        c.has_first_st = (p[2] & 0x80) != 0;
        c.st_from = p[2] & 0x7F;
    }
    return read_samples(&c, xor2, prom_chunk_count(encoding, data), mint, maxt, to, err);
}

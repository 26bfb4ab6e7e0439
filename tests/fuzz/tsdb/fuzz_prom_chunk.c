/* prom_chunk: hostile chunks yield at most what their head declares, in ascending order; samples made from
 * the input come back bit for bit from both float encodings, whole and in part. */
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/value.h"
#include "tests/support/prom_files.h"
#include "tsdb/prom_chunk.h"
#include "tsdb/prom_histogram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIST_MAX = 65535, SAMPLE_BYTES = 5, SAMPLES_MAX = 200 };

static void try_decode(const uint8_t *bytes, size_t n) {
    const struct str data = {(const char *)bytes + 1, n - 1};
    struct prom_samples list;
    prom_samples_init(&list, LIST_MAX);
    const enum err_code code = prom_chunk_read(bytes[0], data, INT64_MIN, INT64_MAX, &list, NULL);
    ASSERT(code == ERR_OK || code == ERR_CORRUPT || code == ERR_UNSUPPORTED);
    ASSERT(list.count <= prom_chunk_count(bytes[0], data));
    ASSERT(code != ERR_OK || list.count == prom_chunk_count(bytes[0], data));
    for (size_t i = 1; i < list.count; i++) {
        ASSERT(list.items[i - 1].ts_ms < list.items[i].ts_ms);
    }
    prom_samples_release(&list);
}

static void try_histograms(const uint8_t *bytes, size_t n) {
    enum { ARENA_BYTES = 256 << 20 };
    const struct str data = {(const char *)bytes + 1, n - 1};
    struct prom_samples list;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    prom_samples_init(&list, LIST_MAX);
    list.arena = &arena;
    const uint8_t encoding =
        (uint8_t)(PROM_CHUNK_HISTOGRAM + (bytes[0] & 1) + (bytes[0] & 2) * 3 / 2);
    const enum err_code code =
        prom_histogram_chunk_read(encoding, data, INT64_MIN, INT64_MAX, &list, NULL);
    ASSERT(code == ERR_OK || code == ERR_CORRUPT || code == ERR_LIMIT);
    ASSERT(code != ERR_OK || list.count == prom_chunk_count(encoding, data));
    for (size_t i = 0; i < list.count; i++) {
        const struct histogram *h = list.items[i].histogram;
        ASSERT(f64_is_stale(h->sum) || histogram_check(h, NULL) == ERR_OK);
        ASSERT(i == 0 || list.items[i - 1].ts_ms < list.items[i].ts_ms);
    }
    prom_samples_release(&list);
    arena_release(&arena);
}

/* Five bytes a sample: kind, step, value. */
static size_t make_samples(const uint8_t *bytes, size_t n, struct prom_sample *out) {
    int64_t ts = 0;
    double value = 1;
    size_t count = 0;
    for (; n >= SAMPLE_BYTES && count < SAMPLES_MAX; n -= SAMPLE_BYTES, bytes += SAMPLE_BYTES) {
        const uint64_t raw = load_u32(bytes + 1);
        ts += 1 + (int64_t)((raw & 0xFFFF) << (bytes[0] % 24));
        switch (bytes[0] >> 5) {
        case 0:
            break;
        case 1:
            value = (double)(raw >> 16);
            break;
        case 2:
            value = f64_stale();
            break;
        case 3:
            value = f64_of_bits(raw << 32 | raw * 2654435761U);
            break;
        default:
            value = f64_of_bits(f64_bits(value) ^ (raw >> 16) << (bytes[0] % 48));
        }
        out[count++] = (struct prom_sample){.ts_ms = ts, .value = value};
    }
    return count;
}

static void expect(uint8_t encoding, const struct buf *chunk, const struct prom_sample *samples,
                   size_t n, size_t from) {
    struct prom_samples list;
    prom_samples_init(&list, LIST_MAX);
    const int64_t mint = n != 0 ? samples[from].ts_ms : 0;
    ASSERT(prom_chunk_read(encoding, buf_str(chunk), mint, INT64_MAX, &list, NULL) == ERR_OK);
    ASSERT(list.count == n - from);
    for (size_t i = 0; i < list.count; i++) {
        ASSERT(list.items[i].ts_ms == samples[from + i].ts_ms);
        ASSERT(f64_same_bits(list.items[i].value, samples[from + i].value));
        ASSERT(list.items[i].start_ms == samples[from + i].start_ms);
    }
    prom_samples_release(&list);
}

static void try_round_trip(const uint8_t *bytes, size_t n) {
    struct prom_sample samples[SAMPLES_MAX];
    const size_t count = make_samples(bytes + 1, n - 1, samples);
    struct buf chunk;
    buf_init(&chunk, 1 << 20);
    prom_write_xor(&chunk, samples, count);
    expect(PROM_CHUNK_XOR, &chunk, samples, count, count / 2);
    buf_clear(&chunk);
    prom_write_xor2(&chunk, samples, count, bytes[0] & 0x7F, (bytes[0] & 0x80) != 0);
    expect(PROM_CHUNK_XOR2, &chunk, samples, count, count / 3);
    buf_release(&chunk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) {
        return 0;
    }
    if (data[0] % 2 == 0) {
        try_decode(data + 1, size - 1);
        try_histograms(data + 1, size - 1);
    } else {
        try_round_trip(data + 1, size - 1);
    }
    return 0;
}

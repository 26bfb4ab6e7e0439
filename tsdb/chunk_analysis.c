#include "tsdb/chunk_analysis.h"

#include <stdlib.h>

#include "base/mem.h"
#include "tsdb/prom_histogram.h"

enum { CHUNK_SAMPLES_MAX = 65536, STEP_FIRST = 10, STEP_MAX = 10000, PARTS = 10, PERCENT = 100 };
#define HISTOGRAM_BYTES_MAX ((size_t)1 << 30)

void chunk_analysis_init(struct chunk_analysis *a) {
    *a = (struct chunk_analysis){.chunk_count = 0};
    prom_samples_init(&a->samples, CHUNK_SAMPLES_MAX);
    arena_init(&a->histograms, HISTOGRAM_BYTES_MAX);
    a->samples.arena = &a->histograms;
}

void chunk_analysis_release(struct chunk_analysis *a) {
    mem_free(a->float_samples.items);
    mem_free(a->float_bytes.items);
    mem_free(a->histogram_samples.items);
    mem_free(a->histogram_bytes.items);
    mem_free(a->histogram_buckets.items);
    prom_samples_release(&a->samples);
    arena_release(&a->histograms);
}

static void add_number(struct chunk_numbers *n, uint64_t number) {
    if (n->count == n->capacity) {
        n->capacity = mem_grow(n->capacity, n->count + 1);
        n->items = mem_resize(n->items, n->capacity, sizeof(*n->items));
    }
    n->items[n->count++] = number;
}

/* Buckets of all samples of a chunk, together. */
static enum err_code count_buckets(struct chunk_analysis *a, uint8_t encoding, struct str data,
                                   uint64_t *out, struct err *err) {
    a->samples.count = 0;
    arena_reset(&a->histograms);
    const enum err_code code =
        prom_histogram_chunk_read(encoding, data, INT64_MIN, INT64_MAX, &a->samples, err);
    *out = 0;
    for (size_t i = 0; code == ERR_OK && i < a->samples.count; i++) {
        const struct histogram *h = a->samples.items[i].histogram;
        *out += h != NULL ? h->positive.count + h->negative.count : 0;
    }
    return code;
}

enum err_code chunk_analysis_add(struct chunk_analysis *a, struct prom_block *block,
                                 const struct prom_chunk_meta *chunk, struct err *err) {
    uint8_t encoding = 0;
    struct str data = {0};
    enum err_code code = prom_block_chunk(block, chunk, &encoding, &data, err);
    if (code != ERR_OK) {
        return code;
    }
    a->chunk_count++;
    const uint64_t samples = prom_chunk_count(encoding, data);
    if (prom_chunk_is_histogram(encoding)) {
        uint64_t buckets = 0;
        code = count_buckets(a, encoding, data, &buckets, err);
        add_number(&a->histogram_samples, samples);
        add_number(&a->histogram_bytes, data.len);
        add_number(&a->histogram_buckets, buckets);
    } else if (prom_chunk_is_float(encoding)) {
        add_number(&a->float_samples, samples);
        add_number(&a->float_bytes, data.len);
    }
    return code;
}

static int by_size(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int width_of(uint64_t number) {
    int n = 1;
    while (number >= 10) {
        number /= 10;
        n++;
    }
    return n;
}

/* Sorted numbers in steps of a power of ten; the last step is behind the largest number. */
static void print_steps(struct buf *to, const struct chunk_numbers *n, size_t chunk_count) {
    const uint64_t min = n->items[0];
    const uint64_t max = n->items[n->count - 1];
    uint64_t step = STEP_FIRST;
    while (step < (max - min) / PARTS && step <= STEP_MAX) {
        step *= 10;
    }
    const uint64_t start = min - min % step;
    const uint64_t end = max - max % step + step;
    const size_t steps = (size_t)((end - start) / step) + 1;
    size_t *counts = mem_zalloc(steps * sizeof(*counts));
    size_t most = 0;
    for (size_t i = 0; i < n->count; i++) {
        const size_t count = ++counts[(n->items[i] - start) / step];
        most = count > most ? count : most;
    }
    for (size_t i = 0; i < steps; i++) {
        const uint64_t low = start + i * step;
        buf_printf(to, "[%*llu, %*llu]: %*zu ", width_of(end), (unsigned long long)low + 1,
                   width_of(end + step), (unsigned long long)(low + step), width_of(most),
                   counts[i]);
        for (size_t k = PERCENT * counts[i] / chunk_count; k > 0; k--) {
            buf_append_char(to, '#');
        }
        buf_append_char(to, '\n');
    }
    mem_free(counts);
}

static void print_numbers(struct buf *to, const char *title, struct chunk_numbers *n,
                          size_t chunk_count) {
    if (n->count == 0) {
        buf_printf(to, "%s: N/A\n\n", title);
        return;
    }
    uint64_t sum = 0;
    qsort(n->items, n->count, sizeof(*n->items), by_size);
    for (size_t i = 0; i < n->count; i++) {
        sum += n->items[i];
    }
    buf_printf(to, "%s (min/avg/max): %llu/%llu/%llu\n", title, (unsigned long long)n->items[0],
               (unsigned long long)(sum / n->count), (unsigned long long)n->items[n->count - 1]);
    print_steps(to, n, chunk_count);
    buf_append_char(to, '\n');
}

void chunk_analysis_print(struct chunk_analysis *a, struct buf *to) {
    buf_append_cstr(to, "\nCompaction analysis:\n\n");
    print_numbers(to, "samples per float chunk", &a->float_samples, a->chunk_count);
    print_numbers(to, "bytes per float chunk", &a->float_bytes, a->chunk_count);
    print_numbers(to, "samples per histogram chunk", &a->histogram_samples, a->chunk_count);
    print_numbers(to, "bytes per histogram chunk", &a->histogram_bytes, a->chunk_count);
    print_numbers(to, "buckets per histogram chunk", &a->histogram_buckets, a->chunk_count);
}

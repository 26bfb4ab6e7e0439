/* What the sealed format costs on real pages: bytes and nanoseconds per sample.
 *
 *     bench_block DIR [ROWS] [STEP]
 *
 * DIR holds one exporter's pages as <unix milliseconds>.txt; ROWS is the length of a run (64), STEP
 * takes every n-th page. Prints one line: samples, bytes per sample (blocks, and as a whole L0 run),
 * encode and decode time per sample over all blocks, and how many blocks took which form. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/value.h"
#include "base/vfs.h"
#include "tsdb/chunk/block.h"
#include "tsdb/chunk/ts_column.h"
#include "tsdb/storage.h"

enum { SERIES_MAX = 1 << 16, PAGES_MAX = 4096, PAGE_BYTES_MAX = 64 << 20 };

struct series_key {
    uint64_t hash;
    uint32_t slot; /* 0 = free, else slot + 1 */
};

struct bench {
    struct series_key table[SERIES_MAX * 2];
    uint32_t series_count;
    int64_t pages[PAGES_MAX];
    uint32_t page_count;
};

static bool note_page(void *ctx, const char *name) {
    struct bench *b = ctx;
    char *end = NULL;
    const int64_t ts = strtoll(name, &end, 10);
    if (end != name && strcmp(end, ".txt") == 0 && b->page_count < PAGES_MAX) {
        b->pages[b->page_count++] = ts;
    }
    return true;
}

static int by_time(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static uint32_t slot_of(struct bench *b, struct str key) {
    const uint64_t hash = hash_xxh64(key.ptr, key.len);
    size_t i = hash % COUNT_OF(b->table);
    while (b->table[i].slot != 0 && b->table[i].hash != hash) {
        i = (i + 1) % COUNT_OF(b->table);
    }
    if (b->table[i].slot == 0) {
        ASSERT(b->series_count < SERIES_MAX);
        b->table[i] = (struct series_key){hash, ++b->series_count};
    }
    return b->table[i].slot - 1;
}

struct column {
    struct num *values;
    uint8_t *states;
};

static struct column *column_new(uint32_t rows) {
    struct column *c = mem_zalloc(sizeof(*c) + rows * (sizeof(struct num) + 1));
    c->values = (struct num *)(c + 1);
    c->states = (uint8_t *)(c->values + rows);
    return c;
}

/* One page into row of the columns. */
static void read_page(struct bench *b, const char *text, struct column **columns, uint32_t row,
                      uint32_t rows) {
    for (const char *line = text; *line != '\0';) {
        const char *end = strchr(line, '\n');
        end = end != NULL ? end : line + strlen(line);
        const char *quote = line[0] == '#' ? NULL : memrchr(line, '}', (size_t)(end - line));
        const char *space = memchr(quote != NULL ? quote : line, ' ',
                                   (size_t)(end - (quote != NULL ? quote : line)));
        if (line[0] != '#' && space != NULL) {
            const char *value_end = memchr(space + 1, ' ', (size_t)(end - space - 1));
            value_end = value_end != NULL ? value_end : end;
            struct num v;
            if (num_parse((struct str){space + 1, (size_t)(value_end - space - 1)}, &v) ==
                NUMBER_OK) {
                const uint32_t slot = slot_of(b, (struct str){line, (size_t)(space - line)});
                if (columns[slot] == NULL) {
                    columns[slot] = column_new(rows);
                }
                columns[slot]->values[row] = v;
                columns[slot]->states[row] = SLOT_VALUE;
            }
        }
        line = *end == '\n' ? end + 1 : end;
    }
}

struct totals {
    uint64_t samples;
    uint64_t block_bytes;
    uint64_t frame_bytes; /* lengths, timestamps */
    uint64_t blocks;
    uint64_t by_kind[8];
    uint64_t raw;
    uint64_t bytes_by_kind[8];
    uint64_t raw_bytes;
    uint64_t referring;
    uint64_t referring_bytes;
    double encode_ns;
    double decode_ns;
    uint64_t decode_samples_busy;
    double decode_busy_ns;
    double checksum;
};

static double now_ns(void) {
    return (double)clock_mono_ns(clock_system());
}

enum { REPEAT = 20 };

struct decoder {
    const uint8_t *bytes;
    const uint32_t *starts; /* of the slots' blocks, and their end */
    uint32_t rows;
    uint32_t reference_slot;
    struct block_ints reference;
    int64_t m[BLOCK_ROWS_MAX + 8];
    uint8_t stale[BLOCK_ROWS_MAX + 8];
    uint16_t at_rows[BLOCK_ROWS_MAX + 8];
};

/* As a run is read: what other slots refer to is kept. */
static void decode_slot(struct decoder *d, uint32_t slot, struct block_column *out) {
    const uint8_t *block = d->bytes + d->starts[slot];
    const size_t n = d->starts[slot + 1] - d->starts[slot];
    const unsigned back = block_reference(block, n);
    if (back != 0 && d->reference_slot != slot - back) {
        d->reference_slot = slot - back;
        d->reference = (struct block_ints){.m = d->m, .stale = d->stale, .rows = d->at_rows};
        const uint32_t *at = d->starts + d->reference_slot;
        if (block_decode_ints(d->bytes + at[0], at[1] - at[0], d->rows, NULL, &d->reference) !=
            ERR_OK) {
            UNREACHABLE("our own reference");
        }
    }
    if (block_decode(block, n, d->rows, back != 0 ? &d->reference : NULL, out) != ERR_OK) {
        UNREACHABLE("our own block");
    }
}

/* A benchmark of wrong answers is worth nothing. */
static void check_window(struct decoder *d, struct column **columns, uint32_t slots) {
    double values[BLOCK_ROWS_MAX + 8];
    uint16_t at_rows[BLOCK_ROWS_MAX + 8];
    for (uint32_t s = 0; s < slots; s++) {
        struct block_column c = {.values = values, .rows = at_rows};
        decode_slot(d, s, &c);
        uint32_t at = 0;
        for (uint32_t row = 0; row < d->rows && columns[s] != NULL; row++) {
            if (columns[s]->states[row] == SLOT_VALUE) {
                ASSERT(at < c.count && (c.dense ? at : at_rows[at]) == row &&
                       f64_same_bits(values[at], num_double(columns[s]->values[row])));
                at++;
            }
        }
        ASSERT(at == c.count);
    }
}

/* The measured_ functions are not inlined: scripts/bench -i counts the instructions in them. */
NOINLINE static void measured_encode(const struct bench *b, struct block_encoder *e,
                                     struct column **columns, uint32_t rows, uint8_t *bytes,
                                     uint32_t *starts) {
    uint32_t at = 0;
    block_encoder_begin(e);
    for (uint32_t s = 0; s < b->series_count; s++) {
        starts[s] = at;
        if (columns[s] == NULL) {
            block_encoder_skip(e);
        } else {
            at +=
                (uint32_t)block_encode(e, columns[s]->values, columns[s]->states, rows, bytes + at);
        }
    }
    starts[b->series_count] = at;
}

/* busy: only what changes. Returns the number of samples. */
NOINLINE static uint64_t measured_decode(const struct bench *b, struct decoder *d, bool busy,
                                         double *values, uint16_t *at_rows, double *checksum) {
    uint64_t samples = 0;
    d->reference_slot = UINT32_MAX;
    for (uint32_t s = 0; s < b->series_count; s++) {
        const uint8_t *block = d->bytes + d->starts[s];
        struct block_column c = {.values = values, .rows = at_rows};
        if (busy && (block[0] & 7) <= BLOCK_DELTA_CONST &&
            block_reference(block, d->starts[s + 1] - d->starts[s]) == 0) {
            continue;
        }
        decode_slot(d, s, &c);
        samples += c.count;
        *checksum += c.count > 0 ? values[c.count - 1] : 0;
    }
    return samples;
}

static void run_window(const struct bench *b, struct column **columns, const int64_t *ts,
                       uint32_t rows, struct totals *t) {
    struct block_encoder *e = block_encoder_new();
    uint8_t *bytes = mem_alloc((size_t)b->series_count * 64 * 12 + block_bytes_max(rows) * 4096);
    uint32_t *starts = mem_array(b->series_count + 1, sizeof(*starts));

    double best = 1e300;
    for (int repeat = 0; repeat < REPEAT / 4; repeat++) {
        const double begin = now_ns();
        measured_encode(b, e, columns, rows, bytes, starts);
        const double took = now_ns() - begin;
        best = took < best ? took : best;
    }
    t->encode_ns += best;

    struct decoder decoder = {.bytes = bytes, .starts = starts, .rows = rows};
    double values[BLOCK_ROWS_MAX + 8];
    uint16_t at_rows[BLOCK_ROWS_MAX + 8];
    decoder.reference_slot = UINT32_MAX;
    check_window(&decoder, columns, b->series_count);
    for (int busy = 0; busy < 2; busy++) {
        best = 1e300;
        uint64_t samples = 0;
        for (int repeat = 0; repeat < REPEAT; repeat++) {
            const double begin = now_ns();
            samples = measured_decode(b, &decoder, busy == 1, values, at_rows, &t->checksum);
            const double took = now_ns() - begin;
            best = took < best ? took : best;
        }
        *(busy == 1 ? &t->decode_busy_ns : &t->decode_ns) += best;
        *(busy == 1 ? &t->decode_samples_busy : &t->samples) += samples;
    }
    for (uint32_t s = 0; s < b->series_count; s++) {
        const uint32_t n = starts[s + 1] - starts[s];
        struct block_info info;
        if (block_inspect(bytes + starts[s], n, rows, &info) != ERR_OK) {
            UNREACHABLE("our own block");
        }
        t->blocks += n > 0;
        t->by_kind[info.kind] += n > 0;
        t->bytes_by_kind[info.kind] += n;
        t->raw += info.raw;
        t->raw_bytes += info.raw ? n : 0;
        t->referring += info.back != 0;
        t->referring_bytes += info.back != 0 ? n : 0;
        if (!block_is_one_byte(bytes + starts[s], n)) { /* else it stands in the entry */
            t->frame_bytes += n + BLOCK_ONE_BYTE_VALUES < 128 ? 1 : 2;
        }
    }
    t->block_bytes += starts[b->series_count];
    uint8_t ts_bytes[32768];
    t->frame_bytes += 60 + starts[b->series_count] / 512 + ts_column_encode(ts, rows, ts_bytes);
    mem_free(bytes);
    mem_free(starts);
    block_encoder_free(e);
}

static void print_totals(const char *dir, uint32_t rows, const struct totals *t) {
    static const char *const names[8] = {"none",  "const",  "line",   "for",
                                         "delta", "delta2", "sparse", "corrected"};
    const double n = (double)t->samples;
    printf("%s rows=%u samples=%" PRIu64 " block=%.4f run=%.4f B/sample  encode=%.2f decode=%.2f "
           "decode_busy=%.2f ns/sample  raw=%.1f%% of bytes",
           dir, rows, t->samples, (double)t->block_bytes / n,
           (double)(t->block_bytes + t->frame_bytes) / n, t->encode_ns / n, t->decode_ns / n,
           t->decode_busy_ns / (double)t->decode_samples_busy,
           100.0 * (double)t->raw_bytes / (double)t->block_bytes);
    for (int k = 0; k < 8; k++) {
        if (t->by_kind[k] > 0) {
            printf("  %s=%.1f%%/%.1f%%B", names[k],
                   100.0 * (double)t->by_kind[k] / (double)t->blocks,
                   100.0 * (double)t->bytes_by_kind[k] / (double)t->block_bytes);
        }
    }
    printf("  referring=%.1f%%/%.1f%%B  (%g)\n", 100.0 * (double)t->referring / (double)t->blocks,
           100.0 * (double)t->referring_bytes / (double)t->block_bytes, t->checksum);
    printf("in measured_encode: %" PRIu64 "\n", t->samples * (REPEAT / 4));
    printf("in measured_decode: %" PRIu64 "\n", (t->samples + t->decode_samples_busy) * REPEAT);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: %s DIR [ROWS] [STEP]\n", argv[0]);
        return 2;
    }
    const uint32_t rows = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 64;
    const uint32_t step = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 1;
    struct vfs *vfs = vfs_system();
    struct err err;
    struct bench *b = mem_zalloc(sizeof(*b));
    if (rows == 0 || rows > BLOCK_ROWS_MAX || step == 0 ||
        vfs_list(vfs, argv[1], note_page, b, &err) != ERR_OK) {
        fprintf(stderr, "cannot read pages of %s\n", argv[1]);
        return 1;
    }
    qsort(b->pages, b->page_count, sizeof(b->pages[0]), by_time);

    struct totals totals = {0};
    for (uint32_t first = 0; first + rows * step <= b->page_count; first += rows * step) {
        struct column **columns = mem_zalloc(SERIES_MAX * sizeof(struct column *));
        int64_t ts[BLOCK_ROWS_MAX];
        for (uint32_t r = 0; r < rows; r++) {
            char path[4096];
            char *text = NULL;
            size_t n = 0;
            ts[r] = b->pages[first + r * step];
            (void)snprintf(path, sizeof(path), "%s/%" PRId64 ".txt", argv[1], ts[r]);
            if (vfs_read_file(vfs, path, PAGE_BYTES_MAX, &text, &n, &err) != ERR_OK) {
                fprintf(stderr, "%s\n", err.text);
                return 1;
            }
            read_page(b, text, columns, r, rows);
            mem_free(text);
        }
        run_window(b, columns, ts, rows, &totals);
        for (uint32_t s = 0; s < b->series_count; s++) {
            mem_free(columns[s]);
        }
        mem_free(columns);
    }
    print_totals(argv[1], rows, &totals);
    mem_free(b);
    return 0;
}

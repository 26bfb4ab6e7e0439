/* prom_wal: hostile records, and a good segment with edits. Labels that come out are well formed, a second
 * reading gives the same, and no edit adds more samples than the bytes have room for. */
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/value.h"
#include "tests/fuzz/tsdb/edited_file.h"
#include "tests/support/mem_vfs.h"
#include "tests/support/prom_files.h"
#include "tsdb/prom_wal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t hash;
    uint64_t samples;
    uint64_t histograms;
    uint64_t series;
    uint64_t exemplars;
    uint64_t metadata;
};

static enum err_code see_series(void *ctx, uint64_t ref, struct labels labels, struct err *err) {
    struct seen *seen = ctx;
    ASSERT(labels_check(labels.data, labels.size, err) == ERR_OK);
    seen->series++;
    seen->hash = seen->hash * 31 + labels_hash(labels) + ref;
    return ERR_OK;
}

static enum err_code see_sample(void *ctx, uint64_t ref, int64_t ts_ms, int64_t start_ms,
                                double value, struct err *err) {
    struct seen *seen = ctx;
    (void)err;
    seen->samples++;
    seen->hash = seen->hash * 31 + ref + (uint64_t)ts_ms + (uint64_t)start_ms + f64_bits(value);
    return ERR_OK;
}

static enum err_code see_deletion(void *ctx, uint64_t ref, int64_t mint, int64_t maxt,
                                  struct err *err) {
    struct seen *seen = ctx;
    (void)err;
    seen->hash = seen->hash * 31 + ref + (uint64_t)mint + (uint64_t)maxt;
    return ERR_OK;
}

static enum err_code see_histogram(void *ctx, uint64_t ref, int64_t ts_ms, int64_t start_ms,
                                   const struct histogram *h, bool floats, struct err *err) {
    struct seen *seen = ctx;
    (void)floats;
    ASSERT(histogram_check(h, err) == ERR_OK);
    seen->hash = seen->hash * 31 + ref + (uint64_t)ts_ms + (uint64_t)start_ms;
    seen->histograms++;
    return ERR_OK;
}

static enum err_code see_exemplar(void *ctx, uint64_t ref, const struct storage_exemplar *e,
                                  struct err *err) {
    struct seen *seen = ctx;
    ASSERT(labels_check(e->labels.data, e->labels.size, err) == ERR_OK);
    seen->exemplars++;
    seen->hash = seen->hash * 31 + ref + (uint64_t)e->ts_ms + f64_bits(e->value);
    return ERR_OK;
}

static enum err_code see_metadata(void *ctx, uint64_t ref, const struct storage_metadata *m,
                                  struct err *err) {
    struct seen *seen = ctx;
    (void)err;
    ASSERT(m->type.len != 0);
    seen->metadata++;
    seen->hash = seen->hash * 31 + ref + hash_xxh64(m->help.ptr, m->help.len) + m->unit.len;
    return ERR_OK;
}

static const struct prom_wal_handler handler = {.series = see_series,
                                                .sample = see_sample,
                                                .deleted = see_deletion,
                                                .histogram = see_histogram,
                                                .exemplar = see_exemplar,
                                                .metadata = see_metadata};

static void try_record(const uint8_t *bytes, size_t n) {
    struct seen seen = {0};
    struct buf labels;
    struct err err;
    buf_init(&labels, 1 << 20);
    const enum err_code code =
        prom_wal_decode((struct str){(const char *)bytes, n}, &labels, &handler, &seen, &err);
    ASSERT(code == ERR_OK || code == ERR_CORRUPT);
    ASSERT(seen.samples <= n / 10 && seen.histograms <= n / 20 && seen.series <= n / 9);
    ASSERT(seen.exemplars <= n / 11 && seen.metadata <= n / 3);
    buf_release(&labels);
}

static void add_record(struct buf *segment, struct buf *record, unsigned i) {
    static const enum prom_packing packings[] = {PROM_PLAIN, PROM_SNAPPY, PROM_ZSTD};
    prom_write_record(segment, buf_str(record), packings[i % 3]);
    buf_clear(record);
}

static void write_segment(struct buf *segment, unsigned order) {
    static const char *const labels[] = {"__name__", "a", "b", "c", NULL};
    static const struct prom_write_sample samples[] = {
        {1, {10, 1, NULL, 0}}, {2, {10, 2, NULL, 0}}, {3, {9, 3, NULL, 0}}};
    struct buf record;
    buf_init(&record, 1 << 20);
    prom_write_series_record(&record, 1, labels);
    add_record(segment, &record, order);
    prom_write_samples_record(&record, samples, COUNT_OF(samples));
    add_record(segment, &record, order + 1);
    prom_write_samples_v2_record(&record, samples, COUNT_OF(samples));
    add_record(segment, &record, order + 2);
    prom_write_deletion_record(&record, 1, 0, 5);
    add_record(segment, &record, order);
    prom_write_exemplar_record(&record, samples, COUNT_OF(samples), &labels[2]);
    add_record(segment, &record, order + 1);
    prom_write_metadata_record(&record, 1, 3, "s", "help");
    add_record(segment, &record, order + 2);
    buf_release(&record);
}

static struct seen read_segment(struct vfs *vfs) {
    struct seen seen = {0};
    struct prom_wal *wal = NULL;
    struct err err;
    uint64_t torn = 0;
    ASSERT(prom_wal_open(vfs, "/d", &wal, &err) == ERR_OK);
    ASSERT(prom_wal_segment_count(wal) == 1);
    const enum err_code code = prom_wal_read(wal, 0, &handler, &seen, &torn, &err);
    ASSERT(code == ERR_OK || code == ERR_CORRUPT);
    ASSERT(torn <= prom_wal_segment_bytes(wal, 0));
    prom_wal_close(wal);
    return seen;
}

static void try_file(const uint8_t *edits, size_t n, unsigned order) {
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct buf segment;
    buf_init(&segment, 1 << 20);
    ASSERT(vfs_mkdir(vfs, "/d", NULL) == ERR_OK && vfs_mkdir(vfs, "/d/wal", NULL) == ERR_OK);
    write_segment(&segment, order);
    put_file(vfs, "/d/wal/00000000", (const uint8_t *)segment.ptr, segment.len);
    edit_file(vfs, "/d/wal/00000000", edits, n);
    const struct seen first = read_segment(vfs);
    const struct seen second = read_segment(vfs);
    ASSERT(memcmp(&first, &second, sizeof(first)) == 0);
    buf_release(&segment);
    mem_vfs_free(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    if (data[0] % 2 == 0) {
        try_record(data + 1, size - 1);
    } else {
        try_file(data + 1, size - 1, data[0] / 2);
    }
    return 0;
}

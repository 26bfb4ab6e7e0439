/* Partitions with damaged bytes: whatever they are, opening, selecting and reading stay within bounds.
 *
 * Input: u8 mode, then edits (edited_file.h). Mode bit 0: of data, else of index; bit 1: the
 * checksums are made right again afterwards, so that what is behind them is reached; bit 2: pages
 * and the index are packed; bit 3: there are summaries. Property: without bit 1, and with no edit, each sample that comes back is one that was
 * written. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tests/fuzz/tsdb/edited_file.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/hist_columns.h"
#include "tsdb/page_cache.h"
#include "tsdb/partition_format.h"
#include "tsdb/partition_writer.h"

enum { SERIES = 40, ROWS = 60, EDITS_MAX = 64, FRAME_FIXED = 96 };
enum mode { MODE_DATA = 1, MODE_SEAL = 2, MODE_PACKED = 4, MODE_SUMMARIES = 8 };

struct files {
    uint8_t *index;
    size_t index_size;
    uint8_t *data;
    size_t data_size;
};

static double value_of(uint32_t series, uint32_t row) {
    return series % 3 == 0 ? 5 : (double)(series * 100 + row * (series % 7));
}

static void read_whole(struct vfs *vfs, const char *path, uint8_t **out, size_t *out_n) {
    char *bytes;
    ASSERT(vfs_read_file(vfs, path, 1 << 24, &bytes, out_n, NULL) == ERR_OK);
    *out = (uint8_t *)bytes;
}

static void add_series(struct partition_writer *w, struct arena *arena, uint32_t i,
                       uint32_t timeline, uint32_t layout) {
    struct num values[ROWS];
    uint8_t states[ROWS];
    const struct label target[] = {{STR("instance"), i % 2 == 0 ? STR("a") : STR("b")}};
    const struct label metric[] = {{LABEL_NAME, arena_printf(arena, "metric_%02u", i / 4)},
                                   {STR("k"), arena_printf(arena, "%u", i % 4 / 2)}};
    for (uint32_t row = 0; row < ROWS; row++) {
        values[row] = num_of_double(value_of(i, row));
        states[row] = i % 5 == 1 && row % 9 == 0 ? SLOT_ABSENT : SLOT_VALUE;
    }
    const struct partition_column columns[] = {
        {.key = {.layout = i == 8 ? layout : 0, .kind = i == 8 ? COLUMN_COUNT : COLUMN_FLOAT},
         .values = values,
         .states = states},
        {.key = {.layout = layout, .kind = COLUMN_SUM}, .values = values, .states = states}};
    ASSERT(partition_writer_series(w, labels_of(arena, target, 1), labels_of(arena, metric, 2),
                                   timeline, columns, i == 8 ? 2 : 1, NULL) == ERR_OK);
}

static struct files make(bool packed, bool summaries) {
    struct mem_vfs *mem = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(mem);
    struct partition_writer *w;
    struct partition_info info;
    struct arena arena;
    struct files f;
    int64_t ts[ROWS];
    uint32_t timelines[2];
    static const uint32_t few[] = {25, 35};
    static const uint32_t many[] = {7, 8, 7, 8, 7, 8, 7, 8};
    const uint32_t *block_rows = summaries ? many : few;
    const uint32_t block_count = summaries ? COUNT_OF(many) : COUNT_OF(few);
    const struct partition_writer_options options = {.vfs = vfs,
                                                     .dir = "/p",
                                                     .number = 4,
                                                     .level = 1,
                                                     .pack = packed,
                                                     .pack_index_below = packed ? 0 : 1,
                                                     .summaries = summaries,
                                                     .start_ms = 0,
                                                     .end_ms = 7200000};
    arena_init(&arena, 0);
    ASSERT(partition_writer_begin(&options, &w, NULL) == ERR_OK);
    for (uint32_t t = 0; t < 2; t++) {
        for (uint32_t row = 0; row < ROWS; row++) {
            ts[row] = 1000 + row * 15000 + t;
        }
        ASSERT(partition_writer_timeline(w, ts, ROWS, t == 0 ? NULL : block_rows, block_count,
                                         &timelines[t], NULL) == ERR_OK);
    }
    const struct hist_layout layout = {.schema = 3, .zero_threshold = 1e-9};
    const uint32_t number = partition_writer_layout(w, &layout);
    for (uint32_t m = 0; m < SERIES; m += 4) {
        static const uint32_t order[] = {0, 2, 1, 3}; /* by instance */
        for (uint32_t k = 0; k < 4; k++) {
            add_series(w, &arena, m + order[k], timelines[order[k] % 2], number);
        }
    }
    ASSERT(partition_writer_finish(w, &info, NULL) == ERR_OK);
    partition_writer_free(w);
    read_whole(vfs, "/p/index", &f.index, &f.index_size);
    read_whole(vfs, "/p/data", &f.data, &f.data_size);
    mem_vfs_free(mem);
    arena_release(&arena);
    return f;
}

/* Makes the checksums of packed pieces and of the frame right. */
static void seal_packed(struct vfs *vfs, struct files *f, uint64_t offset, uint64_t end) {
    uint8_t *frame = f->index + offset;
    uint8_t *entry = frame + FRAME_FIXED + 8 + SECTION_COUNT * 16;
    uint64_t from = 0;
    for (uint32_t i = 0; entry + 8 <= f->index + end; i++, entry += 8) {
        const uint32_t n = load_u32(entry);
        if (n > offset - from) {
            break;
        }
        put_u32(entry + 4,
                hash_crc32c(partition_crc_seed(load_u32(frame + 4), i), f->index + from, n));
        from += n;
    }
    put_u32(f->index + end + 12, hash_crc32c(0, frame, (size_t)(end - offset)));
    put_file(vfs, "/p/index", f->index, f->index_size);
    mem_free(f->index);
    mem_free(f->data);
}

/* Makes the checksums of pages, then those of the index, right. */
static void seal(struct vfs *vfs) {
    struct files f;
    read_whole(vfs, "/p/index", &f.index, &f.index_size);
    read_whole(vfs, "/p/data", &f.data, &f.data_size);
    uint8_t *trailer = f.index + f.index_size - PARTITION_TRAILER_BYTES;
    const uint64_t offset = f.index_size > PARTITION_TRAILER_BYTES ? load_u64(trailer) : UINT64_MAX;
    const uint64_t pieces = offset / PARTITION_PIECE_BYTES + 1;
    const uint64_t end = f.index_size - PARTITION_TRAILER_BYTES;
    if (offset == 0 || offset >= f.index_size || offset >= end ||
        end - offset < FRAME_FIXED + SECTION_SUMMARIES * 16 + pieces * 4) {
        mem_free(f.index);
        mem_free(f.data);
        return;
    }
    uint8_t *frame = f.index + offset;
    if ((frame[2] & PARTITION_INDEX_PACKED) != 0) {
        seal_packed(vfs, &f, offset, end);
        return;
    }
    const uint32_t number = load_u32(frame + 4);
    const uint64_t pages_at = load_u64(frame + FRAME_FIXED + SECTION_PAGES * 16);
    const uint64_t pages_size = load_u64(frame + FRAME_FIXED + SECTION_PAGES * 16 + 8);
    if (pages_at <= offset && pages_size <= offset - pages_at) {
        for (uint64_t at = 0; at + PARTITION_PAGE_ENTRY_BYTES <= pages_size;
             at += PARTITION_PAGE_ENTRY_BYTES) {
            uint8_t *entry = f.index + pages_at + at;
            const uint64_t page = load_u64(entry);
            const uint32_t head = load_u32(entry + 12);
            if (page <= f.data_size && head <= f.data_size - page) {
                put_u32(entry + 16, hash_crc32c(partition_crc_seed(number, load_u32(entry + 8)),
                                                f.data + page, head));
            }
        }
    }
    for (uint64_t i = 0; i < pieces; i++) {
        const uint64_t from = i * PARTITION_PIECE_BYTES;
        const uint64_t n =
            offset - from < PARTITION_PIECE_BYTES ? offset - from : PARTITION_PIECE_BYTES;
        put_u32(trailer - (pieces - i) * 4,
                hash_crc32c(partition_crc_seed(number, (uint32_t)i), f.index + from, (size_t)n));
    }
    put_u32(trailer + 12, hash_crc32c(0, frame, (size_t)(end - offset)));
    put_file(vfs, "/p/index", f.index, f.index_size);
    mem_free(f.index);
    mem_free(f.data);
}

/* instance a is timeline 0 with even series. */
static void check_samples(const struct storage_samples *s, uint32_t series) {
    for (size_t i = 0; i < s->count; i++) {
        const uint32_t row = (uint32_t)((s->ts[i] - 1000) / 15000);
        ASSERT(row < ROWS && s->ts[i] == 1000 + row * 15000 + series % 2);
        if (s->histograms == NULL || s->histograms[i] == NULL) {
            ASSERT(f64_same_bits(s->values[i], value_of(series, row)));
        }
    }
}

/* Elements that are one sample are as written. */
static void check_condensed(const struct storage_samples *s, uint32_t series) {
    for (size_t i = 0; i < s->count; i++) {
        if (s->rank == NULL || s->rank[i + 1] - s->rank[i] == 1) {
            const struct storage_samples one = {
                .ts = &s->ts[i],
                .values = &s->values[i],
                .count = 1,
                .histograms = s->histograms != NULL ? &s->histograms[i] : NULL};
            check_samples(&one, series);
        }
    }
}

static void read_condensed(struct partition *p, const uint32_t *series, size_t count,
                           struct arena *arena, bool trusted) {
    struct storage_samples *got = arena_alloc(arena, (count + 1) * sizeof(*got));
    for (int want = STORAGE_WANT_ENDS; want <= STORAGE_WANT_SUM; want++) {
        const struct storage_windows windows = {.first_end_ms = 450000,
                                                .step_ms = 400000,
                                                .count = 2,
                                                .range_ms = 400000,
                                                .want = (enum storage_want)want};
        if (partition_read_windows(p, series, count, 50001, 850000, &windows, arena, NULL, got,
                                   NULL) != ERR_OK) {
            continue;
        }
        for (size_t i = 0; i < count && trusted; i++) {
            const uint32_t k = series[i] % 4;
            check_condensed(&got[i], series[i] / 4 * 4 + (k == 1 ? 2 : k == 2 ? 1 : k));
        }
    }
}

static void use(struct partition *p, bool trusted) {
    struct arena arena;
    struct partition_hit *hits;
    struct str *strings;
    size_t count;
    struct matcher m[2];
    arena_init(&arena, 64 << 20);
    ASSERT(matcher_init(&arena, MATCH_REGEX, LABEL_NAME, STR("metric_0[0-5]"), &m[0], NULL) ==
           ERR_OK);
    ASSERT(matcher_init(&arena, MATCH_NOT_EQUAL, STR("instance"), STR("b"), &m[1], NULL) == ERR_OK);
    for (size_t n = 0; n <= 2; n++) {
        (void)!partition_label_names(p, m, n, 0, &arena, NULL, &strings, &count, NULL);
        (void)!partition_label_values(p, STR("instance"), m, n, 0, &arena, NULL, &strings, &count,
                                      NULL);
        if (partition_select(p, m, n, 100000, 400000, &arena, NULL, &hits, &count, NULL) !=
            ERR_OK) {
            continue;
        }
        uint32_t *series = arena_alloc(&arena, (count + 1) * sizeof(*series));
        struct storage_samples *got = arena_alloc(&arena, (count + 1) * sizeof(*got));
        for (size_t i = 0; i < count; i++) {
            series[i] = hits[i].series;
        }
        if (partition_read(p, series, count, 100000, 400000, &arena, NULL, got, NULL) != ERR_OK) {
            continue;
        }
        for (size_t i = 0; i < count && trusted; i++) {

            const uint32_t k = series[i] % 4;
            /* sorted by instance and k: a0 a1 b0 b1 are series 0 2 1 3 */

            check_samples(&got[i], series[i] / 4 * 4 + (k == 1 ? 2 : k == 2 ? 1 : k));
        }
        read_condensed(p, series, count, &arena, trusted);
    }
    uint64_t damaged;
    (void)!partition_verify(p, NULL, &damaged, NULL);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct files made[4];
    if (made[0].index == NULL) {
        for (unsigned i = 0; i < COUNT_OF(made); i++) {
            made[i] = make((i & 1) != 0, (i & 2) != 0);
        }
    }
    const struct files good = made[size != 0 ? data[0] / MODE_PACKED % COUNT_OF(made) : 0];
    if (size == 0 || size > 1 + EDITS_MAX * 4) {
        return 0;
    }
    struct mem_vfs *mem = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(mem);
    struct partition *p;
    ASSERT(vfs_mkdir(vfs, "/p", NULL) == ERR_OK);
    put_file(vfs, "/p/index", good.index, good.index_size);
    put_file(vfs, "/p/data", good.data, good.data_size);
    edit_file(vfs, (data[0] & MODE_DATA) != 0 ? "/p/data" : "/p/index", data + 1, size - 1);
    if ((data[0] & MODE_SEAL) != 0) {
        seal(vfs);
    }
    struct page_cache *cache = page_cache_new(64 << 10);
    const struct partition_options options = {.vfs = vfs, .dir = "/p", .cache = cache};
    if (partition_open(&options, &p, NULL) == ERR_OK) {
        use(p, (data[0] & MODE_SEAL) == 0);
        use(p, (data[0] & MODE_SEAL) == 0); /* what was good, from the cache */
        partition_close(p);
    } else {
        ASSERT(size >= 5);
    }
    page_cache_free(cache);
    mem_vfs_free(mem);
    return 0;
}

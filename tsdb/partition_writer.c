/* Writing a partition: timelines and series. FORMAT.md section 10.4; pages: partition_page_writer.c.
 *
 * METHOD. A series is encoded block by block of its timeline, all columns of a block next to each
 * other. References go to columns shortly before in the same page, of series with the same
 * timeline (the buckets of a classic histogram are such neighbours): there is an encoder, which
 * remembers the columns before, for each of the first blocks of a timeline. Later blocks of long
 * timelines refer to columns of their own series only. */
#include "tsdb/partition_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/chunk/ts_column.h"
#include "tsdb/partition_writer_impl.h"

enum {
    PIECE_BYTES = 4096,
    PACK_LEVEL = 3, /* 6 saves a hundredth more, for twice the time */
};
static const size_t BUFFER_MAX = UINT32_MAX;

void number_array_add(struct number_array *to, uint32_t number) {
    if (to->count == to->capacity) {
        to->capacity = mem_grow(to->capacity, to->count + 1);
        to->items = mem_resize(to->items, to->capacity, sizeof(*to->items));
    }
    to->items[to->count++] = number;
}

static enum err_code failed(struct partition_writer *w, enum err_code code, struct err *err) {
    if (err != NULL && err != &w->error) {
        w->error = *err;
    }
    w->error.code = code;
    return code;
}

static enum err_code poisoned(const struct partition_writer *w, struct err *err) {
    return err_set(err, w->error.code, "%s", w->error.text);
}

/* ---- beginning and ending ---- */

static char *path_of(const char *dir, const char *name) {
    const size_t n = strlen(dir) + strlen(name) + 2;
    char *path = mem_alloc(n);
    (void)snprintf(path, n, "%s/%s", dir, name);
    return path;
}

void partition_name(char to[PARTITION_NAME_MAX], uint32_t number, bool temporary) {
    (void)snprintf(to, PARTITION_NAME_MAX, "%08" PRIu32 "%s", number, temporary ? ".tmp" : "");
}

static void init_memory(struct partition_writer *w, const struct partition_writer_options *o) {
    w->vfs = o->vfs;
    w->dir = mem_strdup(o->dir);
    w->data_path = path_of(o->dir, "data");
    w->info = (struct partition_info){
        .number = o->number,
        .level = o->level,
        .out_of_order = o->out_of_order,
        .start_ms = o->start_ms,
        .end_ms = o->end_ms,
        .min_ts_ms = INT64_MAX,
        .max_ts_ms = INT64_MIN,
        .parent_count = o->parent_count,
    };
    if (o->parent_count != 0) {
        w->parents = mem_array(o->parent_count, sizeof(*w->parents));
        memcpy(w->parents, o->parents, o->parent_count * sizeof(*w->parents));
    }
    w->on_written = o->on_written;
    w->on_written_ctx = o->on_written_ctx;
    label_sets_init(&w->targets, o->hash_seed);
    label_sets_init(&w->metrics, o->hash_seed);
    (void)label_sets_intern(&w->targets, (struct labels){0});
    (void)label_sets_intern(&w->metrics, (struct labels){0});
    series_table_init(&w->series);
    w->layouts = hist_layouts_new();
    buf_init(&w->timeline_bytes, BUFFER_MAX);
    buf_init(&w->out, BUFFER_MAX);
    buf_init(&w->heads, BUFFER_MAX);
    buf_init(&w->blocks, BUFFER_MAX);
    buf_init(&w->packed, BUFFER_MAX);
    w->pack_index_below =
        o->pack_index_below != 0 ? o->pack_index_below : PARTITION_PACK_INDEX_BELOW;
    buf_init(&w->summary_bytes, BUFFER_MAX);
    w->version = o->summaries ? PARTITION_VERSION_SUMMARIES : PARTITION_VERSION;
    w->summaries = o->summaries ? series_summary_builder_new() : NULL;
    w->packer = o->pack ? packer_new(PACK_LEVEL) : NULL;
}

enum err_code partition_writer_begin(const struct partition_writer_options *options,
                                     struct partition_writer **out, struct err *err) {
    ASSERT(options->parent_count <= PARTITION_PARENTS_MAX && options->start_ms < options->end_ms);
    enum err_code code = vfs_mkdir(options->vfs, options->dir, err);
    if (code != ERR_OK) {
        return err_wrap(err, "making partition %s", options->dir);
    }
    struct partition_writer *w = mem_zalloc(sizeof(*w));
    init_memory(w, options);
    code = vfs_open(w->vfs, w->data_path, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &w->data, err);
    if (code != ERR_OK) {
        partition_writer_free(w);
        return err_wrap(err, "making partition %s", options->dir);
    }
    uint8_t header[PARTITION_DATA_HEADER_BYTES] = PARTITION_DATA_MAGIC;
    header[PARTITION_MAGIC_BYTES] = w->version;
    put_u32(header + 12, options->number);
    buf_append(&w->out, header, sizeof(header));
    w->data_bytes = sizeof(header);
    *out = w;
    return ERR_OK;
}

static void remove_files(struct partition_writer *w) {
    char *index = path_of(w->dir, "index");
    (void)!vfs_unlink(w->vfs, index, NULL);
    (void)!vfs_unlink(w->vfs, w->data_path, NULL);
    (void)!vfs_rmdir(w->vfs, w->dir, NULL);
    mem_free(index);
}

void partition_writer_free(struct partition_writer *w) {
    if (w == NULL) {
        return;
    }
    vfs_file_close(w->data);
    if (!w->finished) {
        remove_files(w);
    }
    label_sets_release(&w->targets);
    label_sets_release(&w->metrics);
    hist_layouts_free(w->layouts);
    for (size_t i = 0; i < COUNT_OF(w->encoders); i++) {
        if (w->encoders[i] != NULL) {
            block_encoder_free(w->encoders[i]);
        }
    }
    series_table_release(&w->series);
    struct number_array *arrays[] = {&w->repeats,       &w->first_of_name, &w->block_rows,
                                     &w->timeline_ends, &w->pieces,        &w->entries,
                                     &w->stored,        &w->summary_ends};
    for (size_t i = 0; i < COUNT_OF(arrays); i++) {
        mem_free(arrays[i]->items);
    }
    buf_release(&w->timeline_bytes);
    buf_release(&w->out);
    buf_release(&w->heads);
    buf_release(&w->blocks);
    buf_release(&w->packed);
    buf_release(&w->summary_bytes);
    series_summary_builder_free(w->summaries);
    packer_free(w->packer);
    mem_free(w->count_scratch.values);
    mem_free(w->count_scratch.rows);
    mem_free(w->timelines);
    mem_free(w->pages);
    mem_free(w->parents);
    mem_free(w->data_path);
    mem_free(w->dir);
    mem_free(w);
}

/* ---- timelines and layouts ---- */

uint32_t partition_writer_layout(struct partition_writer *w, const struct hist_layout *layout) {
    return hist_layouts_intern(w->layouts, layout);
}

/* The table of blocks, then their columns. */
static void write_timeline(struct partition_writer *w, const int64_t *ts,
                           const struct writer_timeline *t) {
    const uint32_t *rows = w->block_rows.items + t->first_block;
    struct buf columns;
    buf_init(&columns, BUFFER_MAX);
    append_uvarint(&w->timeline_bytes, t->block_count);
    int64_t before = 0;
    for (uint32_t i = 0, at = 0; i < t->block_count; at += rows[i++]) {
        uint8_t *to = (uint8_t *)buf_reserve(&columns, ts_column_bytes_max(rows[i]));
        const size_t n = to != NULL ? ts_column_encode(ts + at, rows[i], to) : 0;
        columns.len += n;
        const int64_t last = ts[at + rows[i] - 1];
        append_uvarint(&w->timeline_bytes, rows[i]);
        append_uvarint(&w->timeline_bytes,
                       zigzag_encode((int64_t)((uint64_t)ts[at] - (uint64_t)before)));
        append_uvarint(&w->timeline_bytes, (uint64_t)last - (uint64_t)ts[at]);
        append_uvarint(&w->timeline_bytes, n);
        before = last;
    }
    buf_append_str(&w->timeline_bytes, buf_str(&columns));
    w->timeline_bytes.failed |= columns.failed;
    buf_release(&columns);
}

enum err_code partition_writer_timeline(struct partition_writer *w, const int64_t *ts,
                                        uint32_t rows, const uint32_t *block_rows,
                                        uint32_t block_count, uint32_t *out_timeline,
                                        struct err *err) {
    ASSERT(rows != 0);
    if (w->error.code != ERR_OK) {
        return poisoned(w, err);
    }
    const uint32_t balanced = partition_balanced_blocks(rows);
    struct writer_timeline t = {.rows = rows,
                                .first_block = (uint32_t)w->block_rows.count,
                                .block_count = block_rows != NULL ? block_count : balanced};
    uint32_t sum = 0;
    for (uint32_t i = 0; i < t.block_count; i++) {
        const uint32_t n = block_rows != NULL ? block_rows[i]
                                              : partition_balanced_row(rows, balanced, i + 1) -
                                                    partition_balanced_row(rows, balanced, i);
        ASSERT(n >= 1 && n <= BLOCK_ROWS_MAX);
        number_array_add(&w->block_rows, n);
        sum += n;
    }
    ASSERT(sum == rows);
    write_timeline(w, ts, &t);
    if (!buf_ok(&w->timeline_bytes) || w->info.timeline_count == UINT32_MAX) {
        return failed(w, err_set(err, ERR_LIMIT, "partition %s: too many timelines", w->dir), err);
    }
    number_array_add(&w->timeline_ends, (uint32_t)w->timeline_bytes.len);
    if (w->info.timeline_count == w->timeline_capacity) {
        w->timeline_capacity = mem_grow(w->timeline_capacity, w->timeline_capacity + 1);
        w->timelines = mem_resize(w->timelines, w->timeline_capacity, sizeof(*w->timelines));
    }
    w->timelines[w->info.timeline_count] = t;
    *out_timeline = w->info.timeline_count++;
    w->info.min_ts_ms = ts[0] < w->info.min_ts_ms ? ts[0] : w->info.min_ts_ms;
    w->info.max_ts_ms = ts[rows - 1] > w->info.max_ts_ms ? ts[rows - 1] : w->info.max_ts_ms;
    return ERR_OK;
}

static void forget_columns(struct partition_writer *w) {
    for (size_t i = 0; i < COUNT_OF(w->encoders); i++) {
        if (w->encoders[i] != NULL) {
            block_encoder_begin(w->encoders[i]);
        }
    }
}

/* ---- one series ---- */

static uint32_t count_present(struct partition_writer *w, const uint8_t *bytes, size_t n,
                              uint32_t rows) {
    struct block_info info;
    struct block_column *c = &w->count_scratch;
    if (n == 0) {
        return 0;
    }
    if (block_inspect(bytes, n, rows, &info) == ERR_OK && !info.has_presence) {
        return rows;
    }
    if (c->values == NULL) {
        c->values = mem_array(block_decode_capacity(BLOCK_ROWS_MAX), sizeof(*c->values));
        c->rows = mem_array(block_decode_capacity(BLOCK_ROWS_MAX), sizeof(*c->rows));
    }
    return block_decode(bytes, n, rows, NULL, c) == ERR_OK ? c->count : 0;
}

/* Adds the block to the series' summary; column NULL: from its bytes. */
static void add_summary(struct partition_writer *w, const struct partition_column *column,
                        uint32_t row, uint32_t rows, const uint8_t *bytes, size_t n) {
    if (column != NULL) {
        series_summary_add_values(w->summaries, column->values + row, column->states + row, rows,
                                  n);
    } else {
        series_summary_add_block(w->summaries, bytes, n, rows);
    }
}

/* Appends the series' summary to the list. */
static void end_summary(struct partition_writer *w) {
    if (w->summing) {
        series_summary_write(w->summaries, &w->summary_bytes);
    } else if (w->summaries != NULL) {
        append_uvarint(&w->summary_bytes, 0);
    }
    if (w->info.series_count % PARTITION_LIST_GROUP == 0) { /* the series is counted */
        number_array_add(&w->summary_ends, (uint32_t)w->summary_bytes.len);
    }
}

/* Appends the block of rows from row on; returns its entry. */
static uint32_t add_block(struct partition_writer *w, struct block_encoder *encoder,
                          const struct partition_column *column, uint32_t block, uint32_t row,
                          uint32_t rows, uint32_t *io_samples) {
    const struct partition_block *given = column->blocks != NULL ? &column->blocks[block] : NULL;
    uint8_t *to = (uint8_t *)buf_reserve(&w->blocks, block_bytes_max(rows));
    if (to == NULL) {
        return ENTRY_ABSENT; /* finish_page says so */
    }
    size_t n;
    if (given == NULL || given->encode) {
        n = block_encode(encoder, column->values + row, column->states + row, rows, to);
    } else {
        block_encoder_skip(encoder);
        n = given->n;
        ASSERT(n <= block_bytes_max(rows));
        if (n != 0) {
            memcpy(to, given->bytes, n);
        }
    }
    if (w->summing) {
        add_summary(w, given == NULL || given->encode ? column : NULL, row, rows, to, n);
    }
    if (io_samples != NULL) {
        *io_samples += count_present(w, to, n, rows);
    }
    if (n == 0) {
        return ENTRY_ABSENT;
    }
    if (block_is_one_byte(to, n)) {
        return ENTRY_CONSTANTS + block_one_byte_value(to);
    }
    w->blocks.len += n;
    if (w->blocks.len - (w->pieces.count == 0 ? 0 : w->pieces.items[w->pieces.count - 1]) >=
        PIECE_BYTES) {
        number_array_add(&w->pieces, (uint32_t)w->blocks.len);
    }
    return ENTRY_BLOCKS + (uint32_t)n;
}

static struct block_encoder *encoder_of(struct partition_writer *w, uint32_t block) {
    const uint32_t i = block < WRITER_ENCODERS ? block : WRITER_ENCODERS;
    if (w->encoders[i] == NULL) {
        w->encoders[i] = block_encoder_new();
    }
    if (i == WRITER_ENCODERS) {
        block_encoder_begin(w->encoders[i]);
    }
    return w->encoders[i];
}

static bool counts_samples(uint8_t kind) {
    return kind == COLUMN_FLOAT || kind == COLUMN_COUNT;
}

static size_t entry_bytes(uint32_t entry) {
    return entry == ENTRY_ABSENT ? 0 : entry < ENTRY_BLOCKS ? 1 : entry - ENTRY_BLOCKS;
}

/* The last column_count entries are those of the block. */
static void tell_written(const struct partition_writer *w, uint32_t block, uint32_t samples,
                         uint32_t column_count) {
    struct partition_written written = {.block = block, .samples = samples};
    for (uint32_t c = 0; c < column_count; c++) {
        written.bytes += entry_bytes(w->entries.items[w->entries.count - 1 - c]);
    }
    w->on_written(w->on_written_ctx, &written);
}

/* Entries of all blocks; returns the number of samples. */
static uint32_t add_blocks(struct partition_writer *w, const struct writer_timeline *t,
                           const struct partition_column *columns, uint32_t column_count) {
    uint32_t samples = 0;
    const uint32_t *rows = w->block_rows.items + t->first_block;
    w->entries.count = 0;
    w->summing = w->summaries != NULL && column_count == 1 && columns[0].key.kind == COLUMN_FLOAT;
    if (w->summing) {
        series_summary_begin(w->summaries);
    }
    for (uint32_t b = 0, row = 0; b < t->block_count; row += rows[b++]) {
        struct block_encoder *encoder = encoder_of(w, b);
        const uint32_t before = samples;
        for (uint32_t c = 0; c < column_count; c++) {
            number_array_add(&w->entries,
                             add_block(w, encoder, &columns[c], b, row, rows[b],
                                       counts_samples(columns[c].key.kind) ? &samples : NULL));
        }
        if (w->on_written != NULL && samples != before) {
            tell_written(w, b, samples - before, column_count);
        }
    }
    return samples;
}

static void write_keys(struct buf *to, const struct partition_column *columns, uint32_t n) {
    append_uvarint(to, n);
    struct column_key before = {0};
    for (uint32_t i = 0; i < n; i++) {
        const struct column_key key = columns[i].key;
        const bool same = key.layout == before.layout;
        append_uvarint(to, (uint64_t)key.kind | (same ? KEY_SAME_LAYOUT : 0));
        if (!same) {
            append_uvarint(to, key.layout);
        }
        if (column_is_bucket(key.kind)) {
            const int64_t from = same && key.kind == before.kind ? before.bucket : 0;
            append_uvarint(to, zigzag_encode(key.bucket - from));
        }
        before = key;
    }
}

/* The series' part of the head, without blocks before the first and behind the last that is there. */
static void write_head(struct partition_writer *w, const struct partition_column *columns,
                       uint32_t column_count, uint32_t first, uint32_t end) {
    const bool plain = column_count == 1 && columns[0].key.kind == COLUMN_FLOAT;
    append_uvarint(&w->heads, (uint64_t)(end - first) << WORD_BITS |
                                  (first != 0 ? WORD_FIRST_BLOCK : 0) | (plain ? 0 : WORD_COLUMNS));
    if (first != 0) {
        append_uvarint(&w->heads, first);
    }
    if (!plain) {
        write_keys(&w->heads, columns, column_count);
    }
    for (uint32_t i = first * column_count; i < end * column_count; i++) {
        append_uvarint(&w->heads, w->entries.items[i]);
    }
}

static bool any_entry(const struct partition_writer *w, uint32_t block, uint32_t column_count) {
    for (uint32_t c = 0; c < column_count; c++) {
        if (w->entries.items[block * column_count + c] != ENTRY_ABSENT) {
            return true;
        }
    }
    return false;
}

/* ---- order ---- */

/* Notes which series this is. False: it does not come here. */
static bool note_series(struct partition_writer *w, uint32_t target, uint32_t metric) {
    const struct labels t = label_sets_get(&w->targets, target);
    const struct labels m = label_sets_get(&w->metrics, metric);
    const uint32_t number = w->info.series_count;
    struct str before = {"", 0};
    if (number != 0) {
        const struct labels last_t = label_sets_get(&w->targets, w->last_target);
        const struct labels last_m = label_sets_get(&w->metrics, w->last_metric);
        const int order = partition_series_cmp(last_t, last_m, t, m);
        if (order > 0) {
            return false;
        }
        if (order == 0) {
            number_array_add(&w->repeats, number);
        }
        before = partition_metric_name(last_t, last_m);
    }
    if (!str_eq(partition_metric_name(t, m), before)) {
        number_array_add(&w->first_of_name, number);
    }
    return true;
}

static enum err_code add_series(struct partition_writer *w, struct labels target,
                                struct labels metric, uint32_t timeline,
                                const struct partition_column *columns, uint32_t column_count,
                                struct err *err) {
    if (!w->page_open || w->page_timeline != timeline) {
        forget_columns(w);
    }
    const struct writer_timeline *t = &w->timelines[timeline];
    const uint64_t samples = add_blocks(w, t, columns, column_count);
    uint32_t first = 0;
    uint32_t end = t->block_count;
    while (first < end && !any_entry(w, first, column_count)) {
        first++;
    }
    while (end > first && !any_entry(w, end - 1, column_count)) {
        end--;
    }
    w->page_timeline = timeline;
    if (first == end) {
        forget_columns(w);
        return ERR_OK;
    }
    const uint32_t target_set = label_sets_intern(&w->targets, target);
    const uint32_t metric_set = label_sets_intern(&w->metrics, metric);
    if (target_set == LABEL_SET_NONE || metric_set == LABEL_SET_NONE ||
        w->info.series_count == UINT32_MAX - 1) {
        return err_set(err, ERR_LIMIT, "partition %s: too many series", w->dir);
    }
    if (!note_series(w, target_set, metric_set)) {
        return err_set(err, ERR_INVALID, "partition %s: series %" PRIu32 " is out of order", w->dir,
                       w->info.series_count);
    }
    if (!w->page_open) {
        w->page_open = true;
        w->page_first = w->info.series_count;
    }
    write_head(w, columns, column_count, first, end);
    w->last_target = target_set;
    w->last_metric = metric_set;
    series_table_add(&w->series, target_set, metric_set, timeline);
    w->info.series_count++;
    w->info.sample_count += samples;
    end_summary(w);
    return w->heads.len + w->blocks.len >= PARTITION_PAGE_BYTES ? partition_finish_page(w, err)
                                                                : ERR_OK;
}

enum err_code partition_writer_series(struct partition_writer *w, struct labels target,
                                      struct labels metric, uint32_t timeline,
                                      const struct partition_column *columns, uint32_t column_count,
                                      struct err *err) {
    ASSERT(timeline < w->info.timeline_count && column_count != 0 && !w->finished);
    if (w->error.code != ERR_OK) {
        return poisoned(w, err);
    }
    if (column_count > PARTITION_COLUMNS_MAX) {
        return failed(w, err_set(err, ERR_LIMIT, "partition %s: too many columns", w->dir), err);
    }
    const enum err_code code = add_series(w, target, metric, timeline, columns, column_count, err);
    return code == ERR_OK ? ERR_OK : failed(w, code, err);
}

enum err_code partition_writer_finish(struct partition_writer *w, struct partition_info *info,
                                      struct err *err) {
    if (w->error.code != ERR_OK) {
        return poisoned(w, err);
    }
    enum err_code code = partition_finish_page(w, err);
    code = code == ERR_OK ? partition_flush_pages(w, 0, err) : code;
    code = code == ERR_OK ? vfs_file_sync(w->data, err) : code;
    series_table_finish(&w->series);
    code = code == ERR_OK ? partition_write_index(w, err) : code;
    code = code == ERR_OK ? vfs_sync_dir(w->vfs, w->dir, err) : code;
    if (code != ERR_OK) {
        (void)err_wrap(err, "writing partition %s", w->dir);
        return failed(w, code, err);
    }
    w->finished = true;
    *info = w->info;
    info->parents = NULL;
    return ERR_OK;
}

/* L0 segments: the store and its writing half; segment_open.c opens, segment_read.c reads.
 *
 * FORMAT. Record files (record_file.c) with magic "BRASASEG". A record of type 2 is a mark
 * (segment_mark.h), one of type 1 the front of a run; the run's pages follow right behind it:
 *
 *     front  pages_bytes u32, uvarint group, first_row, rows, slot_count, page_count,
 *            varint min_ts, uvarint max_ts - min_ts, uvarint ts_size, ts column [ts_size],
 *            per page: uvarint slots, uvarint bytes, crc32c u32
 *     page   per slot an entry: uvarint 0 absent, 1 .. 16 that constant - 1, else 16 + the length of
 *            its block; then the blocks, in the same order
 *
 * Slots behind the last one that has any sample are not stored. The front is checked by its record,
 * the pages by the checksums in it.
 *
 * INVARIANTS
 *   S1  Bytes of a file before its size are whole runs and marks.
 *   S2  Only the newest file is written, and only while it is not poisoned.
 *   S3  A file's number is used once.
 *
 * CONCURRENCY. The writer owns the run being built and the tail. mu guards the list of files and
 * what is marked so in struct segment_file; it is never held over I/O. */
#include "tsdb/segment.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tsdb/chunk/ts_column.h"
#include "tsdb/segment_impl.h"

enum {
    FILE_BYTES_MAX = 1 << 30,
    BUFFER_KEEP_BYTES = 4 << 20,
};

/* ---- files ---- */

struct segment_file *segment_file_new(const struct segment_store *store, uint32_t number) {
    const struct record_file_id id = {SEGMENT_MAGIC, store->shard, number};
    struct segment_file *file = mem_zalloc(sizeof(*file));
    file->number = number;
    file->seed = record_file_seed(&id);
    file->cache_owner = page_cache_owner(store->cache);
    file->path = record_file_path(store->dir, number);
    file->refs = 1;
    return file;
}

void segment_file_free(struct segment_store *store, struct segment_file *file) {
    page_cache_drop(store->cache, file->cache_owner);
    vfs_file_close(file->f);
    mem_free(file->path);
    mem_free(file);
}

void segment_file_unref(struct segment_store *store, struct segment_file *file) {
    mutex_lock(&store->mu);
    const bool last = --file->refs == 0;
    mutex_unlock(&store->mu);
    if (last) {
        segment_file_free(store, file);
    }
}

static struct segment_file *find_locked(const struct segment_store *store, uint32_t number)
    REQUIRES(&store->mu) {
    size_t low = 0;
    size_t high = store->file_count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (store->files[middle]->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < store->file_count && store->files[low]->number == number ? store->files[low]
                                                                          : NULL;
}

struct segment_file *segment_file_ref(struct segment_store *store, uint32_t number) {
    mutex_lock(&store->mu);
    struct segment_file *file = find_locked(store, number);
    if (file != NULL) {
        file->refs++;
    }
    mutex_unlock(&store->mu);
    return file;
}

const char *segment_store_dir(const struct segment_store *store) {
    return store->dir;
}

struct page_cache *segment_store_cache(const struct segment_store *store) {
    return store->cache;
}

void segment_file_enlist(struct segment_store *store, struct segment_file *file) {
    mutex_lock(&store->mu);
    if (store->file_count == store->file_capacity) {
        store->file_capacity = mem_grow(store->file_capacity, store->file_count + 1);
        store->files = mem_resize(store->files, store->file_capacity, sizeof(*store->files));
    }
    store->files[store->file_count++] = file;
    mutex_unlock(&store->mu);
}

static enum err_code begin_file(struct segment_store *store, struct err *err) {
    uint32_t number = 0;
    enum err_code code = record_file_take_number(&store->next_file, store->dir, &number, err);
    if (code != ERR_OK) {
        return code;
    }
    struct segment_file *file = segment_file_new(store, number);
    const struct record_file_id id = {SEGMENT_MAGIC, store->shard, file->number};
    uint8_t header[RECORD_FILE_HEADER_BYTES];
    code = vfs_open(store->vfs, file->path, VFS_WRITE | VFS_CREATE | VFS_EXCLUSIVE, &file->f, err);
    if (code == ERR_OK) {
        record_file_header(header, &id);
        code = vfs_file_pwrite(file->f, header, sizeof(header), 0, err);
        if (code != ERR_OK) {
            (void)!vfs_unlink(store->vfs, file->path, NULL);
        }
    }
    if (code != ERR_OK) {
        (void)err_wrap(err, "beginning segment %s", file->path);
        segment_file_free(store, file);
        return code;
    }
    file->size = sizeof(header);
    segment_file_enlist(store, file);
    store->tail = file;
    store->tail_next = 0;
    return ERR_OK;
}

/* ---- building a run ---- */

static void clear_buffer(struct buf *buf) {
    if (buf->capacity > BUFFER_KEEP_BYTES) {
        buf_release(buf);
        buf_init(buf, SEGMENT_RUN_BYTES_MAX);
    } else {
        buf_clear(buf);
    }
}

void segment_begin(struct segment_store *store, uint32_t group, uint64_t first_row,
                   const int64_t *ts_ms, uint32_t rows) {
    struct run_builder *run = &store->run;
    ASSERT(rows >= 1 && rows <= BLOCK_ROWS_MAX);
    run->info = (struct segment_run_info){.group = group,
                                          .first_row = first_row,
                                          .rows = rows,
                                          .min_ts_ms = ts_ms[0],
                                          .max_ts_ms = ts_ms[rows - 1]};
    clear_buffer(&run->ts);
    clear_buffer(&run->pages);
    clear_buffer(&run->lengths);
    clear_buffer(&run->blocks);
    run->page_slots = 0;
    run->page_count = 0;
    run->absent = 0;
    run->open = true;
    block_encoder_begin(store->encoder);
    char *to = buf_reserve(&run->ts, ts_column_bytes_max(rows));
    ASSERT(to != NULL);
    run->ts.len += ts_column_encode(ts_ms, rows, (uint8_t *)to);
}

static void finish_page(struct run_builder *run) {
    if (run->page_slots == 0) {
        return;
    }
    if (run->page_count == run->page_capacity) {
        run->page_capacity = mem_grow(run->page_capacity, run->page_count + 1);
        run->table = mem_resize(run->table, run->page_capacity, sizeof(*run->table));
    }
    run->table[run->page_count++] = (struct page_entry){
        .slots = run->page_slots, .bytes = (uint32_t)(run->lengths.len + run->blocks.len)};
    buf_append(&run->pages, run->lengths.ptr, run->lengths.len);
    if (run->blocks.len > 0) {
        buf_append(&run->pages, run->blocks.ptr, run->blocks.len);
    }
    run->info.slot_count += run->page_slots;
    run->page_slots = 0;
    buf_clear(&run->lengths);
    buf_clear(&run->blocks);
}

/* Notes the next slot, whose block is in the run already unless the entry says all. No block refers
 * to one of another page: a slot costs one page, and a damaged page costs no other. */
static void note_slot(struct segment_store *store, size_t entry) {
    struct run_builder *run = &store->run;
    uint8_t bytes[UVARINT_MAX];
    buf_append(&run->lengths, bytes, (size_t)(put_uvarint(bytes, entry) - bytes));
    run->page_slots++;
    if (run->lengths.len + run->blocks.len >= SEGMENT_PAGE_BYTES) {
        finish_page(run);
        block_encoder_begin(store->encoder);
    }
}

static void write_absent(struct segment_store *store) {
    for (struct run_builder *run = &store->run; run->absent > 0; run->absent--) {
        note_slot(store, SEGMENT_ENTRY_ABSENT);
    }
}

static void add_block(struct segment_store *store, const uint8_t *bytes, size_t n) {
    struct run_builder *run = &store->run;
    ASSERT(run->open && n <= block_bytes_max(run->info.rows));
    if (n == 0) {
        run->absent++;
        return;
    }
    write_absent(store);
    if (block_is_one_byte(bytes, n)) {
        note_slot(store, SEGMENT_ENTRY_CONSTANTS + block_one_byte_value(bytes));
        return;
    }
    buf_append(&run->blocks, bytes, n);
    note_slot(store, SEGMENT_ENTRY_BLOCKS + n);
}

void segment_add_block(struct segment_store *store, const uint8_t *bytes, size_t n) {
    block_encoder_skip(store->encoder);
    add_block(store, bytes, n);
}

/* The absent slots before a column may end the page. */
static struct block_encoder *encoder_of_column(struct segment_store *store) {
    const struct run_builder *run = &store->run;
    if (run->lengths.len + run->absent + run->blocks.len >= SEGMENT_PAGE_BYTES) {
        block_encoder_begin(store->encoder);
    }
    return store->encoder;
}

void segment_add_column(struct segment_store *store, const struct num *values,
                        const uint8_t *states) {
    add_block(
        store, store->block,
        block_encode(encoder_of_column(store), values, states, store->run.info.rows, store->block));
}

void segment_add_constant(struct segment_store *store, struct num value) {
    add_block(
        store, store->block,
        block_encode_constant(encoder_of_column(store), value, store->run.info.rows, store->block));
}

void segment_add_integers(struct segment_store *store, const int64_t *m, struct num like) {
    add_block(store, store->block,
              block_encode_integers(encoder_of_column(store), m, like, store->run.info.rows,
                                    store->block));
}

/* ---- committing ---- */

static bool run_ok(const struct run_builder *run) {
    return buf_ok(&run->pages) && buf_ok(&run->lengths) && buf_ok(&run->blocks) &&
           run->info.slot_count <= SEGMENT_SLOTS_MAX && run->pages.len < SEGMENT_RUN_BYTES_MAX;
}

static size_t front_bytes_max(const struct run_builder *run) {
    return 12 * UVARINT_MAX + run->ts.len + run->page_count * (2 * UVARINT_MAX + 4);
}

static uint8_t *write_front(const struct run_builder *run, uint8_t *to) {
    const struct segment_run_info *info = &run->info;
    to = put_u32(to, (uint32_t)run->pages.len);
    to = put_uvarint(to, info->group);
    to = put_uvarint(to, info->first_row);
    to = put_uvarint(to, info->rows);
    to = put_uvarint(to, info->slot_count);
    to = put_uvarint(to, run->page_count);
    to = put_varint(to, info->min_ts_ms);
    to = put_uvarint(to, (uint64_t)info->max_ts_ms - (uint64_t)info->min_ts_ms);
    to = put_uvarint(to, run->ts.len);
    memcpy(to, run->ts.ptr, run->ts.len);
    to += run->ts.len;
    size_t offset = 0;
    for (size_t i = 0; i < run->page_count; i++) {
        to = put_uvarint(to, run->table[i].slots);
        to = put_uvarint(to, run->table[i].bytes);
        to = put_u32(to, hash_crc32c(0, run->pages.ptr + offset, run->table[i].bytes));
        offset += run->table[i].bytes;
    }
    return to;
}

/* Before this place all is durable. */
static struct segment_place durable_before(struct segment_store *store) {
    struct segment_place place = {.file = store->tail->number};
    mutex_lock(&store->mu);
    place.offset = (uint32_t)store->tail->size;
    for (size_t i = 0; i < store->file_count; i++) {
        const struct segment_file *file = store->files[i];
        if (file->synced_size < file->size || !file->name_synced) {
            place = (struct segment_place){file->number, (uint32_t)file->synced_size};
            break;
        }
    }
    mutex_unlock(&store->mu);
    return segment_place_before(place, store->mark.place) ? store->mark.place : place;
}

/* A mark for the place where the tail stands, when there is something new to say. */
static void frame_mark(struct segment_store *store, struct segment_place place) {
    struct segment_mark mark = store->mark;
    if (mark.void_count > SEGMENT_VOIDS_MAX ||
        (!store->mark_changed && !segment_place_before(mark.place, place))) {
        return;
    }
    mark.place = place;
    const size_t max = RECORD_HEADER_BYTES + segment_mark_bytes_max(&mark);
    uint8_t *to = (uint8_t *)buf_reserve(&store->run.out, max);
    ASSERT(to != NULL);
    uint8_t *payload = to + RECORD_HEADER_BYTES;
    const size_t size = (size_t)(segment_mark_write(&mark, payload) - payload);
    (void)record_write(to, store->tail->seed, SEGMENT_RECORD_MARK, store->tail_next, payload,
                       (uint32_t)size);
    store->run.out.len = RECORD_HEADER_BYTES + size;
}

/* The whole run, for the place where the tail stands, behind a mark or not. */
static enum err_code frame_run(struct segment_store *store, struct err *err) {
    struct run_builder *run = &store->run;
    const size_t mark_bytes = run->out.len;
    uint8_t *to = (uint8_t *)buf_reserve(&run->out, RECORD_HEADER_BYTES + front_bytes_max(run) +
                                                        run->pages.len);
    if (to == NULL) {
        return err_set(err, ERR_LIMIT, "run of group %" PRIu32 " is too large", run->info.group);
    }
    uint8_t *front = to + RECORD_HEADER_BYTES;
    const size_t size = (size_t)(write_front(run, front) - front);
    if (size > RECORD_SIZE_MAX) {
        return err_set(err, ERR_LIMIT, "run of group %" PRIu32 " has too many pages",
                       run->info.group);
    }
    to = record_write(to, store->tail->seed, SEGMENT_RECORD_RUN,
                      store->tail_next + (mark_bytes != 0 ? 1 : 0), front, (uint32_t)size);
    if (run->pages.len > 0) {
        memcpy(to, run->pages.ptr, run->pages.len);
    }
    run->out.len = mark_bytes + RECORD_HEADER_BYTES + size + run->pages.len;
    return ERR_OK;
}

static void poison_tail(struct segment_store *store) {
    mutex_lock(&store->mu);
    store->stats.writes_failed++;
    if (store->tail != NULL) {
        store->tail->poisoned = true;
    }
    mutex_unlock(&store->mu);
    store->tail = NULL;
}

static bool tail_poisoned(struct segment_store *store) {
    mutex_lock(&store->mu);
    const bool poisoned = store->tail->poisoned;
    mutex_unlock(&store->mu);
    return poisoned;
}

/* A file that takes about bytes more is behind tail. */
static enum err_code prepare_tail(struct segment_store *store, size_t bytes, struct err *err) {
    if (store->tail != NULL &&
        (tail_poisoned(store) || (store->tail->size + bytes > store->file_bytes &&
                                  store->tail->size > RECORD_FILE_HEADER_BYTES))) {
        store->tail = NULL;
    }
    return store->tail != NULL ? ERR_OK : begin_file(store, err);
}

enum err_code segment_commit(struct segment_store *store, struct segment_run_info *out,
                             struct err *err) {
    struct run_builder *run = &store->run;
    ASSERT(run->open);
    finish_page(run);
    if (!run_ok(run)) {
        return err_set(err, ERR_LIMIT, "run of group %" PRIu32 " is too large", run->info.group);
    }
    enum err_code code = prepare_tail(
        store, segment_mark_bytes_max(&store->mark) + front_bytes_max(run) + run->pages.len, err);
    if (code != ERR_OK) {
        poison_tail(store);
        return code;
    }
    const struct segment_place place = durable_before(store);
    clear_buffer(&run->out);
    frame_mark(store, place);
    const size_t mark_bytes = run->out.len;
    code = frame_run(store, err);
    if (code != ERR_OK) {
        return code;
    }
    struct segment_file *file = store->tail;
    const uint64_t offset = file->size; /* only the writer changes it */
    code = vfs_file_pwrite(file->f, run->out.ptr, run->out.len, offset, err);
    if (code != ERR_OK) {
        poison_tail(store);
        return err_wrap(err, "writing segment %s at offset %" PRIu64, file->path, offset);
    }
    store->tail_next += mark_bytes != 0 ? 2 : 1;
    store->mark.place = mark_bytes != 0 ? place : store->mark.place;
    store->mark_changed &= mark_bytes == 0;
    mutex_lock(&store->mu);
    file->size += run->out.len;
    store->stats.runs_written++;
    store->stats.bytes_written += run->out.len;
    mutex_unlock(&store->mu);
    run->open = false;
    run->info.at = (struct segment_location){file->number, (uint32_t)(offset + mark_bytes),
                                             (uint32_t)(run->out.len - mark_bytes)};
    *out = run->info;
    return ERR_OK;
}

/* ---- syncing ---- */

static struct segment_file *take_unsynced(struct segment_store *store, uint32_t above,
                                          uint64_t *out_size, bool *out_name_synced) {
    struct segment_file *found = NULL;
    mutex_lock(&store->mu);
    for (size_t i = 0; i < store->file_count && found == NULL; i++) {
        struct segment_file *file = store->files[i];
        if (file->number > above && !file->poisoned &&
            (file->synced_size < file->size || !file->name_synced)) {
            file->refs++;
            *out_size = file->size;
            *out_name_synced = file->name_synced;
            found = file;
        }
    }
    mutex_unlock(&store->mu);
    return found;
}

static enum err_code sync_file(struct segment_store *store, struct segment_file *file,
                               uint64_t size, bool name_synced, struct err *err) {
    enum err_code code = name_synced ? ERR_OK : vfs_sync_dir(store->vfs, store->dir, err);
    if (code == ERR_OK) {
        code = vfs_file_sync(file->f, err);
    }
    mutex_lock(&store->mu);
    if (code == ERR_OK) {
        file->synced_size = size;
        file->name_synced = true;
    } else {
        file->poisoned = true;
        store->stats.syncs_failed++;
    }
    mutex_unlock(&store->mu);
    return code == ERR_OK ? code : err_wrap(err, "syncing segment %s", file->path);
}

enum err_code segment_sync(struct segment_store *store, struct err *err) {
    enum err_code result = ERR_OK;
    uint32_t above = 0;
    uint64_t size = 0;
    bool name_synced = false;
    struct segment_file *file = NULL;
    while ((file = take_unsynced(store, above, &size, &name_synced)) != NULL) {
        above = file->number;
        const enum err_code code =
            sync_file(store, file, size, name_synced, result == ERR_OK ? err : NULL);
        result = result == ERR_OK ? code : result;
        segment_file_unref(store, file);
    }
    return result;
}

bool segment_is_durable(struct segment_store *store, struct segment_location at) {
    mutex_lock(&store->mu);
    const struct segment_file *file = find_locked(store, at.file);
    const bool durable = file != NULL && (uint64_t)at.offset + at.bytes <= file->synced_size;
    mutex_unlock(&store->mu);
    return durable;
}

/* ---- dropping, statistics ---- */

uint32_t segment_cut(struct segment_store *store) {
    store->tail = NULL;
    return store->next_file;
}

size_t segment_files(struct segment_store *store, uint32_t **out) {
    mutex_lock(&store->mu);
    const size_t n = store->file_count;
    *out = mem_array(n + 1, sizeof(**out));
    for (size_t i = 0; i < n; i++) {
        (*out)[i] = store->files[i]->number;
    }
    mutex_unlock(&store->mu);
    return n;
}

enum err_code segment_sync_removals(struct segment_store *store, struct err *err) {
    const enum err_code code = vfs_sync_dir(store->vfs, store->dir, err);
    return code == ERR_OK ? code : err_wrap(err, "syncing the folder of segments %s", store->dir);
}

enum err_code segment_drop_file(struct segment_store *store, uint32_t number, struct err *err) {
    struct segment_file *file = segment_file_ref(store, number);
    if (file == NULL) {
        return err_set(err, ERR_NOT_FOUND, "no segment %" PRIu32 " in %s", number, store->dir);
    }
    enum err_code code = vfs_unlink(store->vfs, file->path, err);
    if (code == ERR_OK || code == ERR_NOT_FOUND) {
        code = ERR_OK;
        store->tail = store->tail == file ? NULL : store->tail;
        mutex_lock(&store->mu);
        size_t i = 0;
        while (store->files[i] != file) {
            i++;
        }
        store->file_count--;
        memmove(&store->files[i], &store->files[i + 1],
                (store->file_count - i) * sizeof(*store->files));
        file->poisoned = true;
        file->refs--; /* the list's; ours keeps it */
        mutex_unlock(&store->mu);
    } else {
        (void)err_wrap(err, "removing segment %s", file->path);
    }
    segment_file_unref(store, file);
    return code;
}

void segment_stats_get(struct segment_store *store, struct segment_stats *out) {
    mutex_lock(&store->mu);
    *out = store->stats;
    out->files = store->file_count;
    out->disk_bytes = 0;
    for (size_t i = 0; i < store->file_count; i++) {
        out->disk_bytes += store->files[i]->size;
    }
    mutex_unlock(&store->mu);
}

/* ---- life ---- */

static struct buf *const *run_buffers(struct run_builder *run, struct buf *out[5]) {
    out[0] = &run->ts;
    out[1] = &run->pages;
    out[2] = &run->lengths;
    out[3] = &run->blocks;
    out[4] = &run->out;
    return out;
}

enum err_code segment_store_open(const struct segment_options *options, segment_found_fn *found,
                                 void *ctx, struct segment_store **out,
                                 struct record_scan_stats *out_stats, struct err *err) {
    struct segment_store *store = mem_zalloc(sizeof(*store));
    struct record_scan_stats stats = {0};
    struct buf *buffers[5];
    store->vfs = options->vfs;
    store->dir = mem_strdup(options->dir);
    store->shard = options->shard;
    store->cache = options->cache;
    store->file_bytes = options->file_bytes == 0 ? SEGMENT_FILE_BYTES_DEFAULT : options->file_bytes;
    store->file_bytes = store->file_bytes < FILE_BYTES_MAX ? store->file_bytes : FILE_BYTES_MAX;
    store->next_file = 1;
    store->encoder = block_encoder_new();
    for (size_t i = 0; i < COUNT_OF(buffers); i++) {
        buf_init(run_buffers(&store->run, buffers)[i], SEGMENT_RUN_BYTES_MAX);
    }
    mutex_init(&store->mu);
    const enum err_code code = segment_open_files(store, options, found, ctx, &stats, err);
    if (code != ERR_OK) {
        segment_store_close(store);
        return code;
    }
    *out = store;
    if (out_stats != NULL) {
        *out_stats = stats;
    }
    return ERR_OK;
}

void segment_store_close(struct segment_store *store) {
    if (store == NULL) {
        return;
    }
    for (size_t i = 0; i < store->file_count; i++) {
        ASSERT(store->files[i]->refs == 1);
        segment_file_free(store, store->files[i]);
    }
    struct buf *buffers[5];
    for (size_t i = 0; i < COUNT_OF(buffers); i++) {
        buf_release(run_buffers(&store->run, buffers)[i]);
    }
    segment_mark_release(&store->mark);
    mem_free(store->run.table);
    mem_free(store->files);
    block_encoder_free(store->encoder);
    mem_free(store->dir);
    mutex_release(&store->mu);
    mem_free(store);
}

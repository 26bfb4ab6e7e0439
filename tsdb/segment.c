/* L0 segments: the store and its writing half; segment_read.c reads.
 *
 * FORMAT. Record files (record_file.c) with magic "BRASASEG". A record of type 1 is the front of a
 * run; the run's pages follow right behind it:
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
 *   S1  Bytes of a file before its size are whole runs.
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
#include "tsdb/segment_file.h"

enum {
    SCAN_READ_BYTES = 1024, /* most fronts fit, pages are skipped */
    FILE_BYTES_MAX = 1 << 30,
    BUFFER_KEEP_BYTES = 4 << 20,
};

struct page_entry {
    uint32_t slots;
    uint32_t bytes;
};

/* The run being built. */
struct run_builder {
    struct segment_run_info info; /* slot_count: slots in finished pages */
    bool open;                    /* between begin and a successful commit */
    struct buf ts;
    struct buf pages;   /* finished ones */
    struct buf lengths; /* of the open page */
    struct buf blocks;
    uint32_t page_slots;
    uint32_t absent; /* slots not yet written: they count only when one with samples follows */
    struct page_entry *table;
    size_t page_count;
    size_t page_capacity;
    struct buf out; /* the whole run as it is written */
};

struct segment_store {
    struct vfs *vfs;
    char *dir;
    uint32_t shard;
    uint32_t file_bytes;
    struct page_cache *cache; /* may be NULL */

    /* the writer's */
    struct run_builder run;
    struct block_encoder *encoder;
    uint8_t block[BLOCK_BYTES_FIXED_MAX + BLOCK_ROWS_MAX * BLOCK_BYTES_PER_ROW_MAX]; /* scratch */
    struct segment_file *tail; /* NULL: the next commit begins a file */
    uint32_t tail_next;        /* number of the next record */
    uint32_t next_file;

    struct mutex mu;
    /* guarded by mu: */
    struct segment_file **files; /* ascending; changed by the writer only */
    size_t file_count;
    size_t file_capacity;
    struct segment_stats stats;
};

/* ---- files ---- */

static struct segment_file *file_new(const struct segment_store *store, uint32_t number) {
    const struct record_file_id id = {SEGMENT_MAGIC, store->shard, number};
    struct segment_file *file = mem_zalloc(sizeof(*file));
    file->number = number;
    file->seed = record_file_seed(&id);
    file->cache_owner = page_cache_owner(store->cache);
    file->path = record_file_path(store->dir, number);
    file->refs = 1;
    return file;
}

static void file_free(struct segment_store *store, struct segment_file *file) {
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
        file_free(store, file);
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

static void list_add(struct segment_store *store, struct segment_file *file) {
    mutex_lock(&store->mu);
    if (store->file_count == store->file_capacity) {
        store->file_capacity = mem_grow(store->file_capacity, store->file_count + 1);
        store->files = mem_resize(store->files, store->file_capacity, sizeof(*store->files));
    }
    store->files[store->file_count++] = file;
    mutex_unlock(&store->mu);
}

static enum err_code begin_file(struct segment_store *store, struct err *err) {
    struct segment_file *file = file_new(store, store->next_file++);
    const struct record_file_id id = {SEGMENT_MAGIC, store->shard, file->number};
    uint8_t header[RECORD_FILE_HEADER_BYTES];
    enum err_code code =
        vfs_open(store->vfs, file->path, VFS_WRITE | VFS_CREATE | VFS_EXCLUSIVE, &file->f, err);
    if (code == ERR_OK) {
        record_file_header(header, &id);
        code = vfs_file_pwrite(file->f, header, sizeof(header), 0, err);
        if (code != ERR_OK) {
            (void)!vfs_unlink(store->vfs, file->path, NULL);
        }
    }
    if (code != ERR_OK) {
        (void)err_wrap(err, "beginning segment %s", file->path);
        file_free(store, file);
        return code;
    }
    file->size = sizeof(header);
    list_add(store, file);
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

/* The whole run, for the place where the tail stands. */
static enum err_code frame_run(struct segment_store *store, struct err *err) {
    struct run_builder *run = &store->run;
    clear_buffer(&run->out);
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
    to = record_write(to, store->tail->seed, SEGMENT_RECORD_RUN, store->tail_next, front,
                      (uint32_t)size);
    if (run->pages.len > 0) {
        memcpy(to, run->pages.ptr, run->pages.len);
    }
    run->out.len = RECORD_HEADER_BYTES + size + run->pages.len;
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
    enum err_code code = prepare_tail(store, front_bytes_max(run) + run->pages.len, err);
    if (code != ERR_OK) {
        poison_tail(store);
        return code;
    }
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
    store->tail_next++;
    mutex_lock(&store->mu);
    file->size += run->out.len;
    store->stats.runs_written++;
    store->stats.bytes_written += run->out.len;
    mutex_unlock(&store->mu);
    run->open = false;
    run->info.at =
        (struct segment_location){file->number, (uint32_t)offset, (uint32_t)run->out.len};
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

/* ---- opening ---- */

struct opening {
    segment_found_fn *fn;
    void *ctx;
    uint32_t file;
};

static enum err_code found_record(void *ctx, const struct record_view *record, uint64_t *out_extra,
                                  struct err *err) {
    const struct opening *opening = ctx;
    struct segment_front front;
    if (record->type != SEGMENT_RECORD_RUN) {
        return ERR_OK; /* of a later version: not ours to read, framed all the same */
    }
    if (segment_front_parse(record->payload, record->size, &front) != ERR_OK) {
        *out_extra = UINT64_MAX;
        return ERR_OK;
    }
    *out_extra = front.pages_bytes;
    if (front.pages_bytes > record->left) {
        return ERR_OK;
    }
    const struct segment_run_info info = {
        .group = front.group,
        .first_row = front.first_row,
        .rows = front.rows,
        .slot_count = front.slot_count,
        .min_ts_ms = front.min_ts_ms,
        .max_ts_ms = front.max_ts_ms,
        .at = {opening->file, (uint32_t)record->offset,
               RECORD_HEADER_BYTES + record->size + front.pages_bytes},
    };
    return opening->fn(opening->ctx, &info, err);
}

/* Nothing of the file may be behind end: later, with newer files, a torn tail would be damage. */
static bool cut_tail(struct segment_file *file, uint64_t end) {
    uint64_t file_size = 0;
    return end >= RECORD_FILE_HEADER_BYTES && vfs_file_size(file->f, &file_size, NULL) == ERR_OK &&
           (file_size == end || vfs_file_truncate(file->f, end, NULL) == ERR_OK);
}

static enum err_code open_file(struct segment_store *store, const struct segment_options *options,
                               uint32_t number, bool newest, struct opening *opening,
                               struct record_scan_stats *stats, struct err *err) {
    struct segment_file *file = file_new(store, number);
    const struct record_scan_options scan = {
        .id = {SEGMENT_MAGIC, store->shard, number},
        .path = file->path,
        .quarantine_dir = options->quarantine_dir,
        .vfs = store->vfs,
        .read_ahead_bytes = SCAN_READ_BYTES,
        .closed = !newest,
        .damage = options->damage,
        .damage_ctx = options->damage_ctx,
    };
    const uint64_t damage_before = stats->damaged_records;
    uint64_t end = 0;
    uint32_t next = 0;
    opening->file = number;
    enum err_code code =
        vfs_open(store->vfs, file->path, newest ? VFS_WRITE : VFS_READ, &file->f, err);
    if (code == ERR_OK) {
        code = record_scan(file->f, &scan, found_record, opening, &end, &next, stats, err);
    }
    if (code != ERR_OK) {
        file_free(store, file);
        return err_wrap(err, "opening segment %" PRIu32 " of %s", number, store->dir);
    }
    file->size = end;
    if (newest && cut_tail(file, end) && stats->damaged_records == damage_before &&
        end < store->file_bytes && number >= options->first_file) {
        store->tail = file;
        store->tail_next = next;
    }
    list_add(store, file);
    return ERR_OK;
}

static enum err_code open_files(struct segment_store *store, const struct segment_options *options,
                                struct opening *opening, struct record_scan_stats *stats,
                                struct err *err) {
    uint32_t *numbers = NULL;
    size_t count = 0;
    enum err_code code = vfs_make_dir(store->vfs, store->dir, err);
    if (code == ERR_OK) {
        code = record_file_list(store->vfs, store->dir, &numbers, &count, err);
    }
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        if (numbers[i] == UINT32_MAX) {
            code =
                err_set(err, ERR_CORRUPT, "%s has a segment with an impossible number", store->dir);
            break;
        }
        code = open_file(store, options, numbers[i], i + 1 == count, opening, stats, err);
        store->next_file = numbers[i] + 1;
    }
    if (store->next_file < options->first_file) {
        store->next_file = options->first_file;
    }
    mem_free(numbers);
    return code;
}

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
    struct opening opening = {.fn = found, .ctx = ctx};
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
    const enum err_code code = open_files(store, options, &opening, &stats, err);
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
        file_free(store, store->files[i]);
    }
    struct buf *buffers[5];
    for (size_t i = 0; i < COUNT_OF(buffers); i++) {
        buf_release(run_buffers(&store->run, buffers)[i]);
    }
    mem_free(store->run.table);
    mem_free(store->files);
    block_encoder_free(store->encoder);
    mem_free(store->dir);
    mutex_release(&store->mu);
    mem_free(store);
}

/* L0 segments: opening the files of a store. Which runs are there is known when all files are read, for
 * a mark in a later one may say that a run does not count. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "tsdb/segment_impl.h"

enum { SCAN_READ_BYTES = 1024 /* most fronts fit, pages are skipped */ };

struct opening {
    struct segment_store *store;
    uint32_t file;
    struct segment_run_info *runs;
    size_t count;
    size_t capacity;
};

static void add_run(struct opening *opening, const struct segment_run_info *run) {
    if (opening->count == opening->capacity) {
        opening->capacity = mem_grow(opening->capacity, opening->count + 1);
        opening->runs = mem_resize(opening->runs, opening->capacity, sizeof(*opening->runs));
    }
    opening->runs[opening->count++] = *run;
}

static enum err_code found_record(void *ctx, const struct record_view *record, uint64_t *out_extra,
                                  struct err *err) {
    struct opening *opening = ctx;
    struct segment_front front;
    (void)err;
    if (record->offset > UINT32_MAX) {
        *out_extra = UINT64_MAX; /* no store writes such a file, and a location cannot name it */
        return ERR_OK;
    }
    if (record->type == SEGMENT_RECORD_MARK) {
        const struct segment_place at = {opening->file, (uint32_t)record->offset};
        if (segment_mark_parse(&opening->store->mark, at, record->payload, record->size) !=
            ERR_OK) {
            *out_extra = UINT64_MAX;
        }
        return ERR_OK;
    }
    if (record->type != SEGMENT_RECORD_RUN) {
        return ERR_OK; /* of a later version: not ours to read, framed all the same */
    }
    if (segment_front_parse(record->payload, record->size, &front) != ERR_OK) {
        *out_extra = UINT64_MAX;
        return ERR_OK;
    }
    *out_extra = front.pages_bytes;
    if (front.pages_bytes <= record->left) {
        add_run(opening, &(struct segment_run_info){
                             .group = front.group,
                             .first_row = front.first_row,
                             .rows = front.rows,
                             .slot_count = front.slot_count,
                             .min_ts_ms = front.min_ts_ms,
                             .max_ts_ms = front.max_ts_ms,
                             .at = {opening->file, (uint32_t)record->offset,
                                    RECORD_HEADER_BYTES + record->size + front.pages_bytes},
                         });
    }
    return ERR_OK;
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
    struct segment_file *file = segment_file_new(store, number);
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
        segment_file_free(store, file);
        return err_wrap(err, "opening segment %" PRIu32 " of %s", number, store->dir);
    }
    file->size = end;
    if (newest && cut_tail(file, end) && stats->damaged_records == damage_before &&
        end < store->file_bytes && number >= options->first_file) {
        store->tail = file;
        store->tail_next = next;
    }
    segment_file_enlist(store, file);
    return ERR_OK;
}

static enum err_code scan_files(struct segment_store *store, const struct segment_options *options,
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
    if (code == ERR_OK) {
        segment_mark_forget(&store->mark, count != 0 ? numbers[0] : UINT32_MAX);
    }
    mem_free(numbers);
    return code;
}

static void report(const struct segment_options *options, const struct segment_run_info *run,
                   const struct err *why, struct record_scan_stats *stats) {
    char *path = record_file_path(options->dir, run->at.file);
    const struct record_damage damage = {
        .path = path, .offset = run->at.offset, .size = run->at.bytes, .reason = why->text};
    stats->damaged_records++;
    stats->damaged_bytes += run->at.bytes;
    if (options->damage != NULL) {
        options->damage(options->damage_ctx, &damage);
    }
    mem_free(path);
}

/* May the run be believed? */
static enum err_code check_run(struct segment_store *store, const struct segment_options *options,
                               const struct segment_run_info *run, bool *out_counts,
                               struct record_scan_stats *stats, struct err *err) {
    const struct segment_place at = {run->at.file, run->at.offset};
    *out_counts = !options->check_unsynced || !segment_mark_is_void(&store->mark, at);
    if (!*out_counts || !options->check_unsynced || segment_place_before(at, store->mark.place)) {
        return ERR_OK;
    }
    struct err why;
    const enum err_code code = segment_verify(store, run->at, &why);
    if (code == ERR_CORRUPT) {
        report(options, run, &why, stats);
        segment_mark_add_void(&store->mark, at);
        store->mark_changed = true;
        *out_counts = false;
        return ERR_OK;
    }
    if (code != ERR_OK) {
        *err = why;
    }
    return code;
}

enum err_code segment_open_files(struct segment_store *store, const struct segment_options *options,
                                 segment_found_fn *found, void *ctx,
                                 struct record_scan_stats *stats, struct err *err) {
    struct opening opening = {.store = store};
    struct err unused;
    err = err != NULL ? err : &unused;
    enum err_code code = scan_files(store, options, &opening, stats, err);
    for (size_t i = 0; i < opening.count && code == ERR_OK; i++) {
        bool counts;
        code = check_run(store, options, &opening.runs[i], &counts, stats, err);
        if (code == ERR_OK && counts) {
            code = found(ctx, &opening.runs[i], err);
        }
    }
    mem_free(opening.runs);
    return code;
}

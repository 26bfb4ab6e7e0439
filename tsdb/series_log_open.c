/* Opening the series log: which files count, and how much of each. */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "tsdb/series_batch.h"
#include "tsdb/series_log_file.h"

struct replay {
    struct series_log *log;
    const struct series_log_handler *handler;
    void *ctx;
    struct series_log_next next;
    uint32_t limit; /* records of this file that count */
    uint32_t continued_file;
    uint32_t continued_records;
    struct claim { /* what a file said of an older one, if that is not known from itself */
        uint32_t by;
        uint32_t file;
        uint32_t records;
    } claims[CLAIMS_MAX];
    size_t claim_count;
    bool knows_copies; /* the record of type 2, or one that repeats it, was seen */
    uint32_t copies_seen;
    uint32_t copies;     /* that are missing */
    uint32_t copies_end; /* the number behind theirs */
    uint32_t first;      /* records of this file before it are copies that do not count */
};

static enum err_code replay_record(void *ctx, const struct record_view *record, uint64_t *out_extra,
                                   struct err *err) {
    struct replay *replay = ctx;
    series_copy_queue_follow(&replay->log->copies, record);
    if (record->type == SERIES_RECORD_FILLER) {
        replay->log->filler_bytes += record->size;
    }
    struct series_definitions d;
    if (!series_definitions_of(record, &d) || record->number < replay->first ||
        record->number >= replay->limit) {
        return ERR_OK;
    }
    const enum err_code code =
        series_batch_decode(d.payload, d.size, replay->handler, replay->ctx, &replay->next, err);
    if (code == ERR_CORRUPT) {
        *out_extra = UINT64_MAX; /* a good checksum over nonsense: damaged before it was written */
        return ERR_OK;
    }
    return code;
}

static void take_claims(struct replay *replay, const struct record_view *record) {
    replay->claim_count = 0;
    for (uint32_t at = CONTINUE_BYTES;
         at + CLAIM_BYTES <= record->size && replay->claim_count < CLAIMS_MAX; at += CLAIM_BYTES) {
        replay->claims[replay->claim_count++] = (struct claim){
            .by = load_u32(record->payload + at),
            .file = load_u32(record->payload + at + 4),
            .records = load_u32(record->payload + at + 8),
        };
    }
}

/* Copies have the numbers 1 to copies_end - 1. Those that are damaged may be given as records of type 1
 * before one that says how many there are. */
static enum err_code peek_continue(void *ctx, const struct record_view *record, uint64_t *out_extra,
                                   struct err *err) {
    struct replay *replay = ctx;
    struct series_definitions d;
    (void)out_extra;
    const bool says = (record->number == 0 && record->type == SERIES_RECORD_CONTINUE &&
                       record->size >= CONTINUE_BYTES) ||
                      (record->number != 0 && record->type == SERIES_RECORD_CARRIED &&
                       record->size >= CONTINUE_BYTES);
    if (says && !replay->knows_copies) {
        const uint32_t copies = load_u32(record->payload + 8);
        replay->knows_copies = true;
        replay->continued_file = load_u32(record->payload);
        replay->continued_records = load_u32(record->payload + 4);
        replay->copies_end = copies < UINT32_MAX ? copies + 1 : UINT32_MAX;
        if (record->type == SERIES_RECORD_CONTINUE) {
            take_claims(replay, record);
        }
    }
    const bool begins_anew = record->number == 0 && !says;
    const bool is_behind = replay->knows_copies && record->number >= replay->copies_end;
    replay->copies_seen += record->number != 0 && !is_behind && series_definitions_of(record, &d);
    const bool all = replay->knows_copies && replay->copies_seen + 1 >= replay->copies_end;
    return begins_anew || is_behind || all ? err_set(err, ERR_CANCELED, "seen enough") : ERR_OK;
}

/* What cannot be read for now is not damage: without what a file begins with, older ones would count
 * that do not, or too much of them. */
static enum err_code peek(const struct series_log *log, struct log_file *file,
                          const struct record_scan_options *scan, record_scan_fn *fn, void *ctx,
                          struct err *err) {
    struct record_scan_stats stats = {0};
    uint64_t end = 0;
    uint32_t next = 0;
    enum err_code code = vfs_open(log->vfs, file->path, VFS_READ, &file->f, err);
    if (code == ERR_OK) {
        code = series_copy_scan(file->f, scan, fn, ctx, &end, &next, &stats, err);
    }
    return code == ERR_CANCELED ? ERR_OK : code;
}

/* What a file says in its first record, or in one that repeats it, about an older one. */
static enum err_code read_continue(const struct series_log *log, uint32_t number,
                                   struct replay *replay, struct err *err) {
    struct log_file *file = series_log_file_new(log, number);
    const struct record_scan_options scan = {
        .id = {SERIES_MAGIC, 0, number}, .path = file->path, .read_ahead_bytes = 4096};
    replay->continued_file = 0;
    replay->claim_count = 0;
    replay->knows_copies = false;
    replay->copies_seen = 0;
    const enum err_code code = peek(log, file, &scan, peek_continue, replay, err);
    replay->copies = replay->knows_copies ? replay->copies_end - 1 - replay->copies_seen : 0;
    if (replay->copies != 0) {
        replay->continued_file = 0; /* nor may the file go on: what comes would pass for copies */
        replay->claim_count = 0;
    }
    series_log_file_free(file);
    return code;
}

/* How many records of a file count when a later one says this of an older one. */
static uint32_t limit_by(uint32_t number, uint32_t by, uint32_t file, uint32_t records) {
    if (file == 0 || by <= number || file > number) {
        return UINT32_MAX;
    }
    return file < number ? 0 : records; /* L5 */
}

/* How many records of the first of these files count. Any later one may say so: a file that could
 * not be begun may have been left between. There is more than one only after failures. */
static enum err_code find_limit(const struct series_log *log, const uint32_t *numbers, size_t count,
                                struct replay *replay, struct err *err) {
    uint32_t limit = UINT32_MAX;
    enum err_code code = ERR_OK;
    for (size_t i = 1; i < count && code == ERR_OK; i++) {
        code = read_continue(log, numbers[i], replay, err);
        uint32_t least =
            limit_by(numbers[0], numbers[i], replay->continued_file, replay->continued_records);
        limit = least < limit ? least : limit;
        for (size_t k = 0; k < replay->claim_count; k++) {
            const struct claim *c = &replay->claims[k];
            const bool is_replaced = c->file == 0 && c->by > numbers[0]; /* by an image */
            least = is_replaced ? 0 : limit_by(numbers[0], c->by, c->file, c->records);
            limit = least < limit ? least : limit;
        }
    }
    replay->limit = limit;
    return code;
}

/* A file whose beginning never reached the disk, and of which all else was cut off, is zeros: no damage, but
 * records behind a header that is not there would be found as such. */
static bool has_header(const struct log_file *file, const struct record_file_id *id) {
    uint8_t header[RECORD_FILE_HEADER_BYTES];
    return vfs_file_pread(file->f, header, sizeof(header), 0, NULL, NULL) == ERR_OK &&
           record_file_header_check(header, sizeof(header), id, NULL) == ERR_OK;
}

/* The newest file takes more when it is whole. A torn end is cut off in any case: in an older file it
 * would count as damage. */
static bool can_go_on(struct log_file *file, const struct record_file_id *id, bool is_bad) {
    uint64_t size = 0;
    const bool whole = file->end >= RECORD_FILE_HEADER_BYTES &&
                       vfs_file_size(file->f, &size, NULL) == ERR_OK &&
                       (size == file->end || vfs_file_truncate(file->f, file->end, NULL) == ERR_OK);
    return whole && !is_bad && has_header(file, id);
}

struct keeping {
    struct buf *list;
    uint32_t first;
    uint32_t limit;
};

static enum err_code keep_payload(void *ctx, const struct record_view *record, uint64_t *out_extra,
                                  struct err *err) {
    struct keeping *keeping = ctx;
    uint8_t size[sizeof(uint32_t)];
    struct series_definitions d;
    (void)out_extra;
    if (series_definitions_of(record, &d) && record->number >= keeping->first &&
        record->number < keeping->limit) {
        put_u32(size, d.size);
        buf_append(keeping->list, size, sizeof(size));
        buf_append(keeping->list, d.payload, d.size);
    }
    return buf_ok(keeping->list) ? ERR_OK
                                 : err_set(err, ERR_LIMIT, "series log is too large to be copied");
}

/* Whether the last process synced a file is not known. When that fails now, all that counts of it goes
 * to a fresh file (L2), and all that counts of the files behind it: of two definitions the later one
 * counts, so their order must stay. */
static enum err_code sync_found(struct series_log *log, struct log_file *file,
                                const struct replay *replay, const struct record_scan_options *scan,
                                struct err *err) {
    struct record_scan_stats stats = {0};
    struct record_scan_options again = *scan;
    struct keeping keeping = {&log->unsynced, replay->first, replay->limit};
    uint64_t end = 0;
    uint32_t next = 0;
    if (!log->failed && vfs_file_sync(file->f, NULL) == ERR_OK) {
        return ERR_OK;
    }
    again.damage = NULL;
    again.quarantine_dir = NULL;
    file->synced = 0;
    log->failed = true;
    log->stats.syncs_failed++;
    return series_copy_scan(file->f, &again, keep_payload, &keeping, &end, &next, &stats, err);
}

static enum err_code open_file(struct series_log *log, const struct series_log_options *options,
                               uint32_t number, bool newest, struct replay *replay,
                               struct record_scan_stats *stats, struct err *err) {
    struct log_file *file = series_log_file_new(log, number);
    const struct record_scan_options scan = {
        .id = {SERIES_MAGIC, 0, number},
        .path = file->path,
        .quarantine_dir = options->quarantine_dir,
        .vfs = log->vfs,
        .read_ahead_bytes = SCAN_READ_BYTES,
        .closed = !newest,
        .damage = options->damage,
        .damage_ctx = options->damage_ctx,
    };
    const uint64_t damage_before = stats->damaged_records;
    enum err_code code = read_continue(log, number, replay, err);
    if (code != ERR_OK) {
        series_log_file_free(file);
        return code;
    }
    /* The older file counts whole then. To define its first groups once more, behind its last ones,
     * would empty them. */
    file->continued_file = replay->continued_file;
    file->continued_records = replay->continued_records;
    replay->first = replay->copies != 0 ? replay->copies_end : 0;
    code = vfs_open(log->vfs, file->path, newest ? VFS_WRITE : VFS_READ, &file->f, err);
    if (code == ERR_OK) {
        series_copy_queue_clear(&log->copies);
        log->filler_bytes = 0;
        code = series_copy_scan(file->f, &scan, replay_record, replay, &file->end, &file->next,
                                stats, err);
    }
    if (code != ERR_OK) {
        series_log_file_free(file);
        return err_wrap(err, "opening series log file %" PRIu32 " of %s", number, log->dir);
    }
    file->synced = file->next;
    file->synced_end = file->end;
    if (newest) {
        log->fresh = !can_go_on(file, &scan.id,
                                replay->copies != 0 || stats->damaged_records > damage_before);
    }
    code = code == ERR_OK ? sync_found(log, file, replay, &scan, err) : code;
    file->older = log->file;
    log->file = file;
    return code;
}

static enum err_code peek_image(void *ctx, const struct record_view *record, uint64_t *out_extra,
                                struct err *err) {
    (void)out_extra;
    *(bool *)ctx = record->number == 0 && record->type == SERIES_RECORD_IMAGE;
    return err_set(err, ERR_CANCELED, "seen enough");
}

static enum err_code is_image(const struct series_log *log, uint32_t number, bool *out,
                              struct err *err) {
    struct log_file *file = series_log_file_new(log, number);
    const struct record_scan_options scan = {
        .id = {SERIES_MAGIC, 0, number}, .path = file->path, .read_ahead_bytes = 4096};
    *out = false;
    const enum err_code code = peek(log, file, &scan, peek_image, out, err);
    series_log_file_free(file);
    return code;
}

/* Removes the files before the newest image; the index of the first that counts, and whether it is one. */
static enum err_code drop_replaced(const struct series_log *log, const uint32_t *numbers,
                                   size_t count, size_t *out_first, bool *out_is_image,
                                   struct err *err) {
    size_t first = count;
    enum err_code code = ERR_OK;
    *out_is_image = false;
    while (first > 0 && !*out_is_image && code == ERR_OK) {
        first--;
        code = is_image(log, numbers[first], out_is_image, err);
    }
    *out_first = first;
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 0; i < first; i++) {
        char *path = record_file_path(log->dir, numbers[i]);
        (void)!vfs_unlink(log->vfs, path, NULL);
        mem_free(path);
    }
    return ERR_OK;
}

static enum err_code open_files(struct series_log *log, const struct series_log_options *options,
                                struct replay *replay, struct record_scan_stats *stats,
                                struct err *err) {
    uint32_t *numbers = NULL;
    size_t count = 0;
    enum err_code code = vfs_make_dir(log->vfs, log->dir, err);
    if (code == ERR_OK) {
        code = record_file_list(log->vfs, log->dir, &numbers, &count, err);
    }
    size_t first = 0;
    bool begins_with_image = false;
    if (code == ERR_OK) {
        code = drop_replaced(log, numbers, count, &first, &begins_with_image, err);
    }
    for (size_t i = first; i < count && code == ERR_OK; i++) {
        if (numbers[i] == UINT32_MAX) {
            code = err_set(err, ERR_CORRUPT, "%s has a file with an impossible number", log->dir);
            break;
        }
        code = find_limit(log, numbers + i, count - i, replay, err);
        code = code == ERR_OK
                   ? open_file(log, options, numbers[i], i + 1 == count, replay, stats, err)
                   : code;
        if (code == ERR_OK && i == first) {
            log->file->is_image = begins_with_image;
        }
        log->next_file = numbers[i] + 1;
    }
    mem_free(numbers);
    return code;
}

enum err_code series_log_open(const struct series_log_options *options,
                              const struct series_log_handler *handler, void *ctx,
                              struct series_log **out, struct record_scan_stats *out_stats,
                              struct err *err) {
    struct series_log *log = mem_zalloc(sizeof(*log));
    struct record_scan_stats stats = {0};
    struct replay replay = {.log = log, .handler = handler, .ctx = ctx, .next = {1, 1, 1, 1, 1}};
    log->vfs = options->vfs;
    log->dir = mem_strdup(options->dir);
    log->next_file = 1;
    log->fresh = true;
    buf_init(&log->unsynced, 2 * (size_t)BATCH_BYTES_MAX);
    buf_init(&log->frame, 5 * (size_t)BATCH_BYTES_MAX);
    series_copy_queue_init(&log->copies);
    mutex_init(&log->mu);
    const enum err_code code = open_files(log, options, &replay, &stats, err);
    if (code != ERR_OK) {
        series_log_close(log);
        return code;
    }
    log->next = replay.next;
    *out = log;
    if (out_stats != NULL) {
        *out_stats = stats;
    }
    return ERR_OK;
}

/* Write-ahead log: opening. All records are handed over, what is damaged is reported, the newest segment
 * loses its torn end. */
#include <inttypes.h>

#include "base/mem.h"
#include "tsdb/wal_impl.h"

enum { SCAN_READ_BYTES = 256 << 10 };

struct replay {
    wal_replay_fn *fn;
    void *ctx;
    uint32_t segment;
};

static enum err_code replay_record(void *ctx, const struct record_view *view, uint64_t *out_extra,
                                   struct err *err) {
    const struct replay *replay = ctx;
    if (view->offset > UINT32_MAX) {
        *out_extra = UINT64_MAX; /* no log writes such a file, and a position cannot name it */
        return ERR_OK;
    }
    const struct wal_record record = {
        .type = view->type,
        .size = view->size,
        .payload = view->payload,
        .sequence = (uint64_t)replay->segment << 32 | view->number,
        .at = {replay->segment, (uint32_t)view->offset},
    };
    return replay->fn(replay->ctx, &record, err);
}

/* Replays one file. Only the newest may be written to: to cut its torn tail off. */
static enum err_code open_segment(struct wal *wal, const struct wal_options *options,
                                  uint32_t number, bool newest, struct replay *replay,
                                  struct wal_replay_stats *stats, struct err *err) {
    struct wal_segment *s = wal_segment_new(wal, number);
    const struct record_scan_options scan = {
        .id = {WAL_MAGIC, wal->shard, number},
        .path = s->path,
        .quarantine_dir = options->quarantine_dir,
        .vfs = wal->vfs,
        .read_ahead_bytes = SCAN_READ_BYTES,
        .closed = !newest,
        .damage = options->damage,
        .damage_ctx = options->damage_ctx,
    };
    const uint64_t records_before = stats->scan.records;
    const uint64_t damage_before = stats->scan.damaged_records;
    uint64_t end = 0;
    uint64_t file_size = 0;
    uint32_t next = 0;
    replay->segment = number;
    enum err_code code = vfs_open(wal->vfs, s->path, newest ? VFS_WRITE : VFS_READ, &s->f, err);
    if (code == ERR_OK) {
        code = record_scan(s->f, &scan, replay_record, replay, &end, &next, &stats->scan, err);
    }
    if (code == ERR_OK) {
        code = vfs_file_size(s->f, &file_size, err);
    }
    if (code != ERR_OK) {
        wal_segment_free(s);
        return err_wrap(err, "opening WAL segment %" PRIu32 " of %s", number, wal->dir);
    }
    s->size = end;
    if (stats->scan.records == records_before && stats->scan.damaged_records == damage_before &&
        vfs_unlink(wal->vfs, s->path, NULL) == ERR_OK) {
        wal_segment_free(s); /* nothing ever got into it */
        return ERR_OK;
    }
    if (newest && file_size > end) {
        (void)!vfs_file_truncate(s->f, end, NULL); /* else it is found torn once more */
    }
    mutex_lock(&wal->mu);
    wal_enlist_locked(wal, s);
    wal->appended_sequence = (uint64_t)number << 32 | (next > 0 ? next - 1 : 0);
    mutex_unlock(&wal->mu);
    stats->segments++;
    return ERR_OK;
}

static enum err_code open_segments(struct wal *wal, const struct wal_options *options,
                                   struct replay *replay, struct wal_replay_stats *stats,
                                   struct err *err) {
    uint32_t *numbers = NULL;
    size_t count = 0;
    enum err_code code = vfs_make_dir(wal->vfs, wal->dir, err);
    if (code == ERR_OK) {
        code = record_file_list(wal->vfs, wal->dir, &numbers, &count, err);
    }
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        if (numbers[i] == UINT32_MAX) {
            code = err_set(err, ERR_CORRUPT, "WAL %s has a segment with an impossible number",
                           wal->dir);
            break;
        }
        code = open_segment(wal, options, numbers[i], i + 1 == count, replay, stats, err);
        wal->next_segment = numbers[i] + 1;
    }
    if (wal->next_segment < options->first_segment) {
        wal->next_segment = options->first_segment;
    }
    mem_free(numbers);
    return code;
}

static uint32_t option_bytes(uint32_t given, uint32_t standard) {
    const uint32_t bytes = given == 0 ? standard : given;
    return bytes < WAL_SEGMENT_BYTES_MAX ? bytes : WAL_SEGMENT_BYTES_MAX;
}

enum err_code wal_open(const struct wal_options *options, wal_replay_fn *replay, void *ctx,
                       struct wal **out, struct wal_replay_stats *out_stats, struct err *err) {
    struct wal *wal = mem_zalloc(sizeof(*wal));
    struct wal_replay_stats stats = {0};
    struct replay r = {.fn = replay, .ctx = ctx};
    wal->vfs = options->vfs;
    wal->dir = mem_strdup(options->dir);
    wal->shard = options->shard;
    wal->segment_bytes = option_bytes(options->segment_bytes, WAL_SEGMENT_BYTES_DEFAULT);
    wal->allocate_bytes = option_bytes(options->allocate_bytes, WAL_ALLOCATE_BYTES_DEFAULT);
    wal->next_segment = 1;
    mutex_init(&wal->mu);
    const enum err_code code = open_segments(wal, options, &r, &stats, err);
    if (code != ERR_OK) {
        wal_close(wal);
        return code;
    }
    *out = wal;
    if (out_stats != NULL) {
        *out_stats = stats;
    }
    return ERR_OK;
}

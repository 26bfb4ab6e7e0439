#include "tsdb/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/vfs_read_only.h"
#include "tsdb/head.h"
#include "tsdb/head_recover.h"
#include "tsdb/head_row.h"
#include "tsdb/manifest_file.h"
#include "tsdb/partition.h"
#include "tsdb/tombstone_file.h"

enum { PATH_BYTES = 4096, RUN_BYTES_MAX = 1 << 30 };

struct verify {
    struct vfs_read_only vfs;
    const char *root;
    verify_fn *fn;
    void *ctx;
    struct verify_result *out;
    struct manifest manifest;
    bool manifest_is_alone;
    bool lacks_manifest;
    uint32_t *folders; /* partitions that the manifest does not name */
    size_t folder_count;
    size_t folder_capacity;
    uint32_t shard;  /* that is looked at */
    uint32_t *slots; /* by group: how many are defined */
    uint32_t group_count;
    uint32_t group_capacity;
    struct series_log_next defined; /* numbers below */
    struct segment_run_info *runs;  /* of one shard */
    size_t run_count;
    size_t run_capacity;
    struct segment_store *store;
    const char *file; /* for findings of records: their file is not known, their log is */
    struct head_change *changes;
    size_t change_capacity;
    char said[ERR_TEXT_MAX]; /* of partitions, last */
};

static void report(struct verify *v, const char *path, uint64_t offset, uint64_t size,
                   const char *text) {
    v->out->findings++;
    v->fn(v->ctx, &(struct verify_finding){path, offset, size, text});
}

static void on_damage(void *ctx, const struct record_damage *damage) {
    struct verify *v = ctx;
    if (damage->torn) {
        v->out->unfinished_bytes += damage->size;
    } else {
        report(v, damage->path, damage->offset, damage->size, damage->reason);
    }
}

static enum err_code join(char to[PATH_BYTES], const char *a, const char *b, struct err *err) {
    const int n = snprintf(to, PATH_BYTES, "%s/%s", a, b);
    return n > 0 && n < PATH_BYTES ? ERR_OK : err_set(err, ERR_INVALID, "path %s is too long", a);
}

/* ---- series log ---- */

static void broken_definition(struct verify *v, const char *what, uint32_t number) {
    char text[128];
    (void)snprintf(text, sizeof(text), "%s %" PRIu32 " refers to something that is not defined",
                   what, number);
    report(v, v->file, 0, 0, text);
}

static uint32_t greater(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

static enum err_code on_target_set(void *ctx, uint32_t set, struct labels labels, struct err *err) {
    struct verify *v = ctx;
    (void)labels;
    (void)err;
    v->defined.target_set = greater(v->defined.target_set, set + 1);
    return ERR_OK;
}

static enum err_code on_metric_set(void *ctx, uint32_t set, struct labels labels, struct err *err) {
    struct verify *v = ctx;
    (void)labels;
    (void)err;
    v->defined.metric_set = greater(v->defined.metric_set, set + 1);
    return ERR_OK;
}

static enum err_code on_group(void *ctx, uint32_t group, uint32_t target_set, struct err *err) {
    struct verify *v = ctx;
    if (group >= UINT32_MAX / 2) {
        return err_set(err, ERR_CORRUPT, "group number %" PRIu32, group);
    }
    if (group >= v->group_capacity) {
        const uint32_t capacity = (uint32_t)mem_grow(v->group_capacity, group + (size_t)1);
        v->slots = mem_resize(v->slots, capacity, sizeof(*v->slots));
        memset(v->slots + v->group_capacity, 0, (capacity - v->group_capacity) * sizeof(*v->slots));
        v->group_capacity = capacity;
    }
    v->group_count = greater(v->group_count, group + 1);
    v->out->groups++;
    if ((target_set & ~SERIES_GROUP_LATE) >= v->defined.target_set) {
        broken_definition(v, "group", group);
    }
    return ERR_OK;
}

static void note_slots(struct verify *v, uint32_t group, uint32_t end) {
    if (group < v->group_count) {
        v->slots[group] = greater(v->slots[group], end);
    } else {
        broken_definition(v, "a series of group", group);
    }
}

static enum err_code on_series(void *ctx, const struct series_run *run, struct err *err) {
    struct verify *v = ctx;
    (void)err;
    note_slots(v, run->group, run->first_slot + run->count);
    if (run->first_metric_set + (uint64_t)run->count > v->defined.metric_set ||
        run->target_set >= v->defined.target_set) {
        broken_definition(v, "series", run->first_series);
    }
    v->out->series += run->count;
    return ERR_OK;
}

static enum err_code on_layout(void *ctx, uint32_t number, const struct hist_layout *layout,
                               struct err *err) {
    (void)ctx;
    (void)number;
    (void)layout;
    (void)err;
    return ERR_OK;
}

static enum err_code on_column(void *ctx, const struct series_column *column, struct err *err) {
    (void)err;
    note_slots(ctx, column->group, column->slot + 1);
    return ERR_OK;
}

static enum err_code verify_series_log(struct verify *v, struct err *err) {
    static const struct series_log_handler handler = {.target_set = on_target_set,
                                                      .metric_set = on_metric_set,
                                                      .group = on_group,
                                                      .series = on_series,
                                                      .layout = on_layout,
                                                      .column = on_column};
    struct series_log *log = NULL;
    char dir[PATH_BYTES];
    enum err_code code = join(dir, v->root, "series", err);
    v->defined = (struct series_log_next){.target_set = 1, .metric_set = 1};
    v->file = dir;
    if (code == ERR_OK) {
        code = series_log_open(
            &(struct series_log_options){
                .vfs = &v->vfs.base, .dir = dir, .damage = on_damage, .damage_ctx = v},
            &handler, v, &log, NULL, err);
    }
    if (code == ERR_OK) {
        series_log_close(log);
    }
    v->file = NULL;
    return code;
}

/* ---- write-ahead log ---- */

/* Rows and runs that were cut are nobody's any more: their series may be gone. */
static bool is_cut_row(const struct verify *v, int64_t ts_ms, uint32_t segment) {
    const struct manifest_mark *mark =
        manifest_mark_at(v->manifest.marks, v->manifest.mark_count, v->shard, ts_ms);
    return mark != NULL && segment < mark->wal_segment;
}

static bool is_cut_run(const struct verify *v, const struct segment_run_info *info) {
    const struct manifest_mark *mark =
        manifest_mark_at(v->manifest.marks, v->manifest.mark_count, v->shard, info->min_ts_ms);
    return mark != NULL && info->at.file < mark->l0_file;
}

static const char *check_row(struct verify *v, const struct wal_record *record) {
    struct cursor from = cursor_of(record->payload, record->size);
    struct head_row_header header;
    size_t n = 0;
    if (head_row_decode_header(&from, &header) != ERR_OK) {
        return "a row cannot be decoded";
    }
    if (is_cut_row(v, header.ts_ms, record->at.segment)) {
        return NULL;
    }
    if (header.group >= v->group_count) {
        return "a row of a group that is not defined";
    }
    return head_row_decode_changes(&from, v->slots[header.group], &v->changes, &v->change_capacity,
                                   &n) == ERR_OK
               ? NULL
               : "a row cannot be decoded, or names a series that is not defined";
}

static const char *check_window(struct verify *v, const struct wal_record *record) {
    struct cursor from = cursor_of(record->payload, record->size);
    int64_t first_ms;
    int64_t last_ms;
    const uint32_t group = head_scan_window(&from, &first_ms, &last_ms);
    const bool is_cut = group != 0 && is_cut_row(v, first_ms, record->at.segment) &&
                        is_cut_row(v, last_ms, record->at.segment);
    return group == 0                ? "a window cannot be decoded"
           : is_cut                  ? NULL
           : group >= v->group_count ? "a window of a group that is not defined"
                                     : NULL;
}

static enum err_code on_record(void *ctx, const struct wal_record *record, struct err *err) {
    struct verify *v = ctx;
    (void)err;
    const char *wrong = record->type == HEAD_RECORD_ROW      ? check_row(v, record)
                        : record->type == HEAD_RECORD_WINDOW ? check_window(v, record)
                                                             : NULL;
    v->out->wal_records++;
    if (wrong != NULL) {
        char path[PATH_BYTES + 16];
        (void)snprintf(path, sizeof(path), "%s/%08" PRIu32, v->file, record->at.segment);
        report(v, path, record->at.offset, record->size, wrong);
    }
    return ERR_OK;
}

static enum err_code verify_wal(struct verify *v, const char *dir, uint32_t shard,
                                struct err *err) {
    struct wal *wal = NULL;
    v->file = dir;
    v->shard = shard;
    const enum err_code code = wal_open(
        &(struct wal_options){
            .vfs = &v->vfs.base, .dir = dir, .shard = shard, .damage = on_damage, .damage_ctx = v},
        on_record, v, &wal, NULL, err);
    if (code == ERR_OK) {
        wal_close(wal);
    }
    return code;
}

/* ---- L0 segments ---- */

static enum err_code on_run(void *ctx, const struct segment_run_info *run, struct err *err) {
    struct verify *v = ctx;
    (void)err;
    if (v->run_count == v->run_capacity) {
        v->run_capacity = mem_grow(v->run_capacity, v->run_count + 1);
        v->runs = mem_resize(v->runs, v->run_capacity, sizeof(*v->runs));
    }
    v->runs[v->run_count++] = *run;
    return ERR_OK;
}

static enum err_code decode_run(struct verify *v, const struct segment_run_info *info,
                                struct err *err) {
    struct arena arena;
    struct segment_run *run = NULL;
    arena_init(&arena, RUN_BYTES_MAX);
    const uint32_t capacity = block_decode_capacity(info->rows);
    struct block_ints column = {
        .m = arena_alloc(&arena, capacity * sizeof(int64_t)),
        .stale = arena_alloc(&arena, capacity),
        .rows = arena_alloc(&arena, capacity * sizeof(uint16_t)),
    };
    enum err_code code = segment_verify(v->store, info->at, err);
    if (code == ERR_OK) {
        code = segment_run_open(v->store, info->at, &arena, &run, err);
    }
    for (uint32_t slot = 0; code == ERR_OK && slot < info->slot_count; slot++) {
        code = segment_run_ints(run, slot, &column, err);
    }
    segment_run_close(run);
    arena_release(&arena);
    return code;
}

static void check_run(struct verify *v, const struct segment_run_info *info) {
    struct err err;
    char path[PATH_BYTES + 16];
    (void)snprintf(path, sizeof(path), "%s/%08" PRIu32, v->file, info->at.file);
    v->out->runs++;
    if (!is_cut_run(v, info) &&
        (info->group >= v->group_count || info->slot_count > v->slots[info->group])) {
        report(v, path, info->at.offset, info->at.bytes, "a run of series that are not defined");
    }
    if (decode_run(v, info, &err) != ERR_OK) {
        report(v, path, info->at.offset, info->at.bytes, err.text);
    }
}

static enum err_code verify_segments(struct verify *v, const char *dir, uint32_t shard,
                                     struct err *err) {
    v->file = dir;
    v->shard = shard;
    v->run_count = 0;
    const enum err_code code = segment_store_open(
        &(struct segment_options){
            .vfs = &v->vfs.base, .dir = dir, .shard = shard, .damage = on_damage, .damage_ctx = v},
        on_run, v, &v->store, NULL, err);
    if (code == ERR_OK) {
        for (size_t i = 0; i < v->run_count; i++) {
            check_run(v, &v->runs[i]);
        }
        segment_store_close(v->store);
    }
    return code;
}

/* ---- shards ---- */

struct shard_list {
    bool present[HEAD_SHARDS_MAX];
};

static bool note_shard(void *ctx, const char *name) {
    struct shard_list *list = ctx;
    uint64_t number;
    if (number_parse_u64(str_of(name), &number) == NUMBER_OK && number < HEAD_SHARDS_MAX) {
        list->present[number] = true;
    }
    return true;
}

typedef enum err_code shard_fn(struct verify *v, const char *dir, uint32_t shard, struct err *err);

static enum err_code each_shard(struct verify *v, const char *folder, shard_fn *fn,
                                struct err *err) {
    struct shard_list list = {{false}};
    char dir[PATH_BYTES];
    char shard_dir[PATH_BYTES];
    enum err_code code = join(dir, v->root, folder, err);
    if (code == ERR_OK) {
        code = vfs_list(&v->vfs.base, dir, note_shard, &list, err);
    }
    for (uint32_t i = 0; i < HEAD_SHARDS_MAX && code == ERR_OK; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "%02" PRIu32, i);
        code = list.present[i] ? join(shard_dir, dir, name, err) : ERR_OK;
        if (code == ERR_OK && list.present[i]) {
            code = fn(v, shard_dir, i, err);
        }
    }
    return code;
}

/* ---- partitions ---- */

/* Who reads a damaged page says so, and who walks over it. */
static void on_partition_damage(void *ctx, const struct err *err) {
    struct verify *v = ctx;
    if (strcmp(v->said, err->text) != 0) {
        (void)snprintf(v->said, sizeof(v->said), "%s", err->text);
        report(v, "", 0, 0, err->text);
    }
}

static void verify_partition(struct verify *v, const char *dir, uint32_t number) {
    struct partition *p = NULL;
    struct err err;
    char name[PARTITION_NAME_MAX];
    char path[PATH_BYTES];
    uint64_t damaged = 0;
    partition_name(name, number, false);
    if (join(path, dir, name, &err) != ERR_OK) {
        report(v, dir, 0, 0, err.text);
        return;
    }
    v->out->partitions++;
    const struct partition_options options = {
        .vfs = &v->vfs.base, .dir = path, .damage = on_partition_damage, .damage_ctx = v};
    if (partition_open(&options, &p, &err) != ERR_OK) {
        report(v, path, 0, 0, err.text);
        return;
    }
    if (partition_verify(p, NULL, &damaged, &err) != ERR_OK) {
        report(v, path, 0, 0, err.text);
    }
    partition_close(p);
}

static void on_manifest_damage(void *ctx, const struct err *damage) {
    report(ctx, "", 0, 0, damage->text);
}

/* First of all: it says what of the head counts. */
static enum err_code verify_manifest(struct verify *v, struct err *err) {
    struct manifest_found found = {0};
    struct vfs_stat st;
    char dir[PATH_BYTES];
    enum err_code code = join(dir, v->root, "partitions", err);
    if (code != ERR_OK || vfs_stat(&v->vfs.base, dir, &st, NULL) != ERR_OK) {
        return code;
    }
    code = manifest_load(&v->vfs.base, dir, &v->manifest, &found, err);
    v->manifest_is_alone = found.is_alone && found.number != 0;
    v->lacks_manifest = found.number == 0;
    return code != ERR_OK ? code : manifest_verify(&v->vfs.base, dir, on_manifest_damage, v, err);
}

static bool note_folder(void *ctx, const char *name) {
    struct verify *v = ctx;
    uint64_t number = 0;
    if (number_parse_u64(str_of(name), &number) == NUMBER_OK && number <= UINT32_MAX &&
        manifest_find(&v->manifest, (uint32_t)number) == NULL) {
        if (v->folder_count == v->folder_capacity) {
            v->folder_capacity = mem_grow(v->folder_capacity, v->folder_count + 1);
            v->folders = mem_resize(v->folders, v->folder_capacity, sizeof(*v->folders));
        }
        v->folders[v->folder_count++] = (uint32_t)number;
    }
    return true;
}

/* Without a manifest partitions are taken as they are. One that is alone and does not name a folder is not
 * the newest that there was. */
static void verify_unnamed(struct verify *v, const char *dir) {
    for (size_t i = 0; i < v->folder_count; i++) {
        if (v->lacks_manifest) {
            verify_partition(v, dir, v->folders[i]);
        } else if (v->manifest_is_alone) {
            char text[128];
            (void)snprintf(text, sizeof(text),
                           "partition %" PRIu32 " is in no manifest: the newest one is gone",
                           v->folders[i]);
            report(v, "", 0, 0, text);
        }
    }
    mem_free(v->folders);
    v->folders = NULL;
}

static enum err_code verify_partitions(struct verify *v, struct err *err) {
    char dir[PATH_BYTES];
    struct vfs_stat st;
    enum err_code code = join(dir, v->root, "partitions", err);
    if (code == ERR_OK && vfs_stat(&v->vfs.base, dir, &st, NULL) == ERR_OK) {
        code = vfs_list(&v->vfs.base, dir, note_folder, v, err);
        verify_unnamed(v, dir);
    }
    for (size_t i = 0; code == ERR_OK && i < v->manifest.partition_count; i++) {
        verify_partition(v, dir, v->manifest.partitions[i].number);
    }
    return code;
}

/* ---- notes ---- */

static enum err_code on_note(void *ctx, const struct wal_record *record, struct err *err) {
    struct verify *v = ctx;
    (void)err;
    v->out->notes++;
    if (!notes_record_good(record)) {
        char path[PATH_BYTES + 16];
        (void)snprintf(path, sizeof(path), "%s/%08" PRIu32, v->file, record->at.segment);
        report(v, path, record->at.offset, record->size, "a note makes no sense");
    }
    return ERR_OK;
}

static enum err_code verify_notes(struct verify *v, struct err *err) {
    struct wal *wal = NULL;
    struct vfs_stat st;
    char dir[PATH_BYTES];
    enum err_code code = join(dir, v->root, "notes", err);
    if (code != ERR_OK || vfs_stat(&v->vfs.base, dir, &st, NULL) != ERR_OK) {
        return code;
    }
    v->file = dir;
    code = wal_open(&(struct wal_options){.vfs = &v->vfs.base,
                                          .dir = dir,
                                          .shard = NOTES_SHARD,
                                          .damage = on_damage,
                                          .damage_ctx = v},
                    on_note, v, &wal, NULL, err);
    if (code == ERR_OK) {
        wal_close(wal);
    }
    return code;
}

/* ---- tombstones ---- */

static enum err_code verify_tombstones(struct verify *v, struct err *err) {
    struct tombstones *set = NULL;
    struct tombstone_file_found found;
    const enum err_code code = tombstone_file_load(
        &(struct tombstone_file_options){
            .vfs = &v->vfs.base, .dir = v->root, .damage = on_damage, .damage_ctx = v},
        &set, &found, err);
    v->out->tombstones = tombstones_count(set);
    tombstones_unref(set);
    return code;
}

enum err_code verify_database(struct vfs *vfs, const char *path, verify_fn *fn, void *ctx,
                              struct verify_result *out, struct err *err) {
    struct verify *v = mem_zalloc(sizeof(*v));
    *out = (struct verify_result){0};
    vfs_read_only_init(&v->vfs, vfs);
    v->root = path;
    v->fn = fn;
    v->ctx = ctx;
    v->out = out;
    manifest_init(&v->manifest);
    enum err_code code = verify_manifest(v, err);
    code = code != ERR_OK ? code : verify_series_log(v, err);
    code = code != ERR_OK ? code : each_shard(v, "wal", verify_wal, err);
    code = code != ERR_OK ? code : each_shard(v, "l0", verify_segments, err);
    code = code != ERR_OK ? code : verify_partitions(v, err);
    code = code != ERR_OK ? code : verify_notes(v, err);
    code = code != ERR_OK ? code : verify_tombstones(v, err);
    manifest_release(&v->manifest);
    mem_free(v->slots);
    mem_free(v->runs);
    mem_free(v->changes);
    mem_free(v);
    return code;
}

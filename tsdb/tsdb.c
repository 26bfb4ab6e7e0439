/* Opening and closing a data directory, and the storage interface on it.
 *
 *     <path>/lock            flock; one process per directory
 *     <path>/series/         definitions of sets, groups and series    series_log.h
 *     <path>/wal/<shard>/    rows that are not sealed                  wal.h, head_row.c
 *     <path>/l0/<shard>/     sealed runs                               segment.h
 *     <path>/partitions/     what is older                             compactor.h, partition.h
 *     <path>/tombstones      what was deleted, and a .copy of it       tombstone_file.h
 *     <path>/quarantine/     damaged bytes, kept for whoever wants to look
 *
 * OPENING reads the series log to the end, run frames and WAL headers; rows are decoded later. There
 * may be more shards on disk than asked for now: they stay, a group keeps its shard. */
#include "tsdb/tsdb.h"
#include "tsdb/head_recover.h"
#include "tsdb/tsdb_ops.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/compactor.h"
#include "tsdb/head.h"
#include "tsdb/page_cache.h"

enum { PAYLOAD_MAX = 64 << 20, LABELS_MAX = 64 << 20, PAGE_CACHE_BYTES_DEFAULT = 8 << 20 };
/* A dashboard asks again within minutes. */
static const int64_t PAGE_CACHE_AGE_NS = 600 * NS_PER_S;
static const int64_t TIDY_NS = 30 * NS_PER_S;

void tsdb_options_default(struct tsdb_options *options) {
    *options = (struct tsdb_options){
        .path = "data",
        .vfs = vfs_system(),
        .clock = clock_system(),
        .rng = rng_system(),
        .wal_sync_interval_ns = NS_PER_S,
        .partition_ms = INT64_C(2) * 60 * 60 * 1000,
    };
}

struct head_shard *tsdb_shard_for(struct tsdb *db, struct labels target) {
    return db->shards[labels_hash(target) % db->writer_count];
}

/* ---- storage interface ---- */

static struct tsdb *db_of(struct storage *st) {
    return (struct tsdb *)st;
}

static uint32_t op_shard_count(struct storage *st) {
    return db_of(st)->writer_count;
}

static void op_stats(struct storage *st, struct storage_stats *out) {
    struct tsdb *db = db_of(st);
    *out = (struct storage_stats){
        .series_count = atomic_load(&db->series_count),
        .min_time_ms = atomic_load(&db->min_ts_ms),
        .max_time_ms = atomic_load(&db->max_ts_ms),
    };
    for (uint32_t i = 0; i < db->shard_count; i++) {
        struct head_shard *shard = db->shards[i];
        struct wal_stats wal;
        struct segment_stats segments;
        wal_stats_get(shard->wal, &wal);
        segment_stats_get(shard->store, &segments);
        out->disk_bytes += wal.disk_bytes + segments.disk_bytes;
        mutex_lock(&shard->mu);
        out->chunk_count += shard->slab.live_count;
        mutex_unlock(&shard->mu);
    }
    head_fault_get(db, out);
    struct series_log_stats log;
    series_log_stats_get(db->series_log, &log);
    out->disk_bytes += log.disk_bytes + compactor_disk_bytes(db->compactor);
}

static const struct storage_ops ops = {
    .shard_count = op_shard_count,
    .group_open = tsdb_group_open,
    .group_series = tsdb_group_series,
    .group_slot_count = tsdb_group_slot_count,
    .group_commit = tsdb_group_commit,
    .group_close = tsdb_group_close,
    .group_release = tsdb_group_release,
    .appender_begin = tsdb_appender_begin,
    .append = tsdb_append,
    .expect = tsdb_expect,
    .append_expected = tsdb_append_expected,
    .expect_sets = tsdb_expect_sets,
    .append_expected_row = tsdb_append_expected_row,
    .append_sample = tsdb_append_sample,
    .append_exemplar = tsdb_append_exemplar,
    .metadata_put = tsdb_metadata_put,
    .metadata_list = tsdb_metadata_list,
    .exemplars = tsdb_exemplars,
    .appender_commit = tsdb_appender_commit,
    .appender_rollback = tsdb_appender_rollback,
    .appender_in_order_only = tsdb_appender_in_order_only,
    .querier_open = tsdb_querier_open,
    .select = tsdb_select,
    .selection_series = tsdb_selection_series,
    .set_labels = tsdb_set_labels,
    .read = tsdb_read,
    .read_windows = tsdb_read_windows,
    .label_names = tsdb_label_names,
    .label_values = tsdb_label_values,
    .cardinality = tsdb_cardinality,
    .stats = op_stats,
    .delete_series = tsdb_delete_series,
    .clean_tombstones = tsdb_clean_tombstones,
};

struct storage *tsdb_storage(struct tsdb *db) {
    return &db->storage;
}

void tsdb_maintain(struct tsdb *db) {
    head_maintain(db);
    if (!db->options.no_compaction) {
        (void)compactor_round(db->compactor, COMPACT_DUE, NULL); /* logged and counted */
    }
}

void tsdb_set_late_window(struct tsdb *db, int64_t window_ms) {
    atomic_store(&db->late_window_ms, window_ms > 0 ? window_ms : 0);
}

void tsdb_set_retention(struct tsdb *db, const struct retention_limits *limits) {
    compactor_set_retention(db->compactor, limits);
}

enum err_code tsdb_compact(struct tsdb *db, bool all, struct err *err) {
    head_maintain(db);
    return compactor_round(db->compactor, all ? COMPACT_ALL : COMPACT_OLD, err);
}

/* ---- opening ---- */

struct paths {
    char wal[4096];
    char l0[4096];
    char series[4096];
    char quarantine[4096];
    char notes[4096];
    char lock[4096];
};

static enum err_code make_path(char to[4096], const char *a, const char *b, struct err *err) {
    const int n = snprintf(to, 4096, "%s/%s", a, b);
    return n > 0 && n < 4096 ? ERR_OK : err_set(err, ERR_INVALID, "path %s is too long", a);
}

static enum err_code make_paths(const char *root, struct paths *p, struct err *err) {
    enum err_code code = make_path(p->wal, root, "wal", err);
    code = code != ERR_OK ? code : make_path(p->l0, root, "l0", err);
    code = code != ERR_OK ? code : make_path(p->series, root, "series", err);
    code = code != ERR_OK ? code : make_path(p->quarantine, root, "quarantine", err);
    code = code != ERR_OK ? code : make_path(p->notes, root, "notes", err);
    return code != ERR_OK ? code : make_path(p->lock, root, "lock", err);
}

/* Makes the folder and those above it, durably: a log in a folder without a name is lost. Folders
 * that are not ours may be closed to us. */
static enum err_code make_dirs(struct vfs *vfs, const char *path, struct err *err) {
    struct err local;
    char *copy = mem_strdup(path);
    enum err_code code = ERR_OK;
    for (char *at = copy + 1; code == ERR_OK && *copy != '\0' && (at = strchr(at, '/')) != NULL;
         at++) {
        *at = '\0';
        code = vfs_mkdir(vfs, copy, err);
        *at = '/';
    }
    mem_free(copy);
    if (code == ERR_OK) {
        code = vfs_mkdir(vfs, path, err);
    }
    if (code == ERR_OK && vfs_make_dir(vfs, path, &local) != ERR_OK && local.sys_errno != EACCES) {
        if (err != NULL) {
            *err = local;
        }
        code = local.code;
    }
    return code;
}

static void on_damage(void *ctx, const struct record_damage *damage) {
    struct tsdb *db = ctx;
    if (damage->torn) {
        log_info(db->options.log, "tsdb", "end of a file was never finished, it is cut off",
                 log_text("file", damage->path), log_u64("offset", damage->offset),
                 log_u64("bytes", damage->size));
        return;
    }
    metric_inc(db->metrics.wal_corruptions);
    log_error(db->options.log, "tsdb", "damaged bytes are skipped", log_text("file", damage->path),
              log_u64("offset", damage->offset), log_u64("bytes", damage->size),
              log_text("why", damage->reason));
}

static bool note_shard(void *ctx, const char *name) {
    uint32_t *count = ctx;
    uint64_t number;
    if (number_parse_u64(str_of(name), &number) == NUMBER_OK && number < HEAD_SHARDS_MAX &&
        number >= *count) {
        *count = (uint32_t)number + 1;
    }
    return true;
}

static struct head_shard *shard_new(struct tsdb *db, uint32_t number) {
    struct head_shard *shard = mem_zalloc(sizeof(*shard));
    mutex_init(&shard->mu);
    shard->db = db;
    shard->number = number;
    slab_init(&shard->slab);
    buf_init(&shard->payload, PAYLOAD_MAX);
    buf_init(&shard->labels, LABELS_MAX);
    return shard;
}

static void shard_free(struct head_shard *shard) {
    wal_close(shard->wal);
    segment_store_close(shard->store);
    slab_release(&shard->slab);
    buf_release(&shard->payload);
    buf_release(&shard->labels);
    mem_free(shard->changes);
    mem_free(shard->cells.items);
    mem_free(shard->split);
    mem_free(shard->split_slots);
    mem_free(shard->wide_values);
    mem_free(shard->wide_states);
    mem_free(shard->read_bytes);
    mem_free(shard->busy);
    mutex_release(&shard->mu);
    mem_free(shard);
}

static void add_stats(struct tsdb_replay_stats *to, const struct record_scan_stats *from) {
    to->torn_bytes += from->torn_bytes;
    to->damaged_records += from->damaged_records;
}

static enum err_code open_shard(struct head_shard *shard, const struct paths *paths,
                                struct tsdb_replay_stats *stats, struct err *err) {
    struct tsdb *db = shard->db;
    char name[16];
    char dir[4096];
    snprintf(name, sizeof(name), "%02u", shard->number);
    enum err_code code = make_path(dir, paths->l0, name, err);
    if (code != ERR_OK) {
        return code;
    }
    struct record_scan_stats scan = {0};
    code = segment_store_open(
        &(struct segment_options){
            .vfs = db->options.vfs,
            .dir = dir,
            .shard = shard->number,
            .file_bytes = db->options.segment_file_bytes,
            .first_file = compactor_floor(db->compactor, shard->number).l0_file,
            .check_unsynced = true,
            .quarantine_dir = paths->quarantine,
            .cache = db->page_cache,
            .damage = on_damage,
            .damage_ctx = db,
        },
        head_found_run, shard, &shard->store, &scan, err);
    if (code != ERR_OK) {
        return code;
    }
    add_stats(stats, &scan);
    code = make_path(dir, paths->wal, name, err);
    if (code != ERR_OK) {
        return code;
    }
    struct wal_replay_stats replay = {0};
    code = wal_open(
        &(struct wal_options){
            .vfs = db->options.vfs,
            .dir = dir,
            .shard = shard->number,
            .segment_bytes = db->options.wal_segment_bytes,
            .allocate_bytes = db->options.wal_allocate_bytes,
            .first_segment = compactor_floor(db->compactor, shard->number).wal_segment,
            .quarantine_dir = paths->quarantine,
            .damage = on_damage,
            .damage_ctx = db,
        },
        head_found_record, shard, &shard->wal, &replay, err);
    if (code == ERR_OK) {
        stats->wal_records += replay.scan.records;
        stats->wal_bytes += replay.scan.record_bytes;
        add_stats(stats, &replay.scan);
    }
    return code;
}

static enum err_code take_lock(struct tsdb *db, const char *path, struct err *err) {
    if (db->options.no_lock_file) {
        metric_set(db->metrics.clean_start, -1);
        return ERR_OK;
    }
    struct vfs_stat st;
    const bool left_over = vfs_stat(db->options.vfs, path, &st, NULL) == ERR_OK;
    const enum err_code code = vfs_lock(db->options.vfs, path, &db->lock_file, err);
    if (code != ERR_OK) {
        return err_wrap(err, "lock DB directory");
    }
    metric_set(db->metrics.clean_start, left_over ? 0 : 1);
    if (left_over) {
        log_warn(db->options.log, "tsdb", "a lock file from an earlier run was replaced",
                 log_text("file", path));
    }
    return ERR_OK;
}

static enum err_code open_files(struct tsdb *db, const struct paths *paths,
                                struct tsdb_replay_stats *stats, struct err *err) {
    struct vfs *vfs = db->options.vfs;
    enum err_code code = make_dirs(vfs, db->options.path, err);
    code = code != ERR_OK ? code : take_lock(db, paths->lock, err);
    code = code != ERR_OK ? code : vfs_make_dir(vfs, paths->wal, err);
    code = code != ERR_OK ? code : vfs_make_dir(vfs, paths->l0, err);
    code = code != ERR_OK ? code : vfs_list(vfs, paths->wal, note_shard, &db->shard_count, err);
    if (code != ERR_OK) {
        return code;
    }
    db->shards = mem_array(db->shard_count, sizeof(struct head_shard *));
    for (uint32_t i = 0; i < db->shard_count; i++) {
        db->shards[i] = shard_new(db, i);
    }
    struct record_scan_stats scan = {0};
    index_begin_replay(&db->index);
    code = series_log_open(
        &(struct series_log_options){
            .vfs = vfs,
            .dir = paths->series,
            .quarantine_dir = paths->quarantine,
            .damage = on_damage,
            .damage_ctx = db,
        },
        &head_series_log_handler, db, &db->series_log, &scan, err);
    if (code != ERR_OK) {
        return code;
    }
    add_stats(stats, &scan);
    code = notes_open(
        &(struct notes_options){
            .vfs = vfs,
            .dir = paths->notes,
            .quarantine_dir = paths->quarantine,
            .log = db->options.log,
            .max_exemplars = db->options.max_exemplars,
            .damage = on_damage,
            .damage_ctx = db,
        },
        &db->notes, err);
    code = code != ERR_OK ? code : tsdb_tombstones_open(db, paths->quarantine, err);
    code = code != ERR_OK ? code : compactor_open(db, &db->compactor, err);
    for (uint32_t i = 0; i < db->shard_count && code == ERR_OK; i++) {
        code = open_shard(db->shards[i], paths, stats, err);
    }
    if (code == ERR_OK) {
        /* Groups of which only rows are left keep their numbers. */
        series_log_skip_to(db->series_log, (struct series_log_next){.group = db->group_count});
        head_definitions_opened(db, series_log_next(db->series_log));
    }
    return code;
}

/* ---- the maintenance thread ---- */

/* What large queries left behind. */
static void tidy_memory(struct tsdb *db) {
    const int64_t now_ns = clock_mono_ns(db->options.clock);
    if (now_ns - db->last_tidy_ns >= TIDY_NS) {
        db->last_tidy_ns = now_ns;
        mem_give_back();
    }
    if (now_ns - db->last_age_ns >= PAGE_CACHE_AGE_NS) {
        db->last_age_ns = now_ns;
        page_cache_age(db->page_cache);
    }
}

static void run_maintenance(void *ctx) {
    struct tsdb *db = ctx;
    const int64_t interval_ns =
        db->options.wal_sync_interval_ns != 0 && db->options.wal_sync_interval_ns < NS_PER_S
            ? db->options.wal_sync_interval_ns
            : NS_PER_S;
    mutex_lock(&db->wake_mu);
    while (!db->stopping) {
        mutex_unlock(&db->wake_mu);
        head_maintain(db);
        tidy_memory(db);
        mutex_lock(&db->wake_mu);
        const int64_t deadline = clock_mono_ns(clock_system()) + interval_ns;
        while (!db->stopping && cond_wait_until(&db->wake, &db->wake_mu, deadline)) {
        }
    }
    mutex_unlock(&db->wake_mu);
}

static void stop_maintenance(struct tsdb *db) {
    if (db->has_thread) {
        mutex_lock(&db->wake_mu);
        db->stopping = true;
        cond_signal(&db->wake);
        mutex_unlock(&db->wake_mu);
        thread_join(&db->maintenance);
        db->has_thread = false;
    }
}

static void free_db(struct tsdb *db) {
    for (uint32_t i = 0; i < db->group_count; i++) {
        head_group_free(db->groups[i]);
    }
    for (uint32_t i = 0; i < db->shard_count && db->shards != NULL; i++) {
        shard_free(db->shards[i]);
    }
    compactor_free(db->compactor);
    view_list_release(&db->views);
    page_cache_free(db->page_cache);
    mem_free(db->groups);
    mem_free(db->shards);
    series_log_close(db->series_log);
    notes_close(db->notes);
    mem_free(db->pending.runs);
    mem_free(db->pending.columns);
    mem_free(db->pending.again);
    mem_free(db->free_groups);
    hist_layouts_free(db->layouts);
    index_release(&db->index);
    tombstones_unref(db->tombstones);
    mutex_release(&db->delete_mu);
    mutex_release(&db->tombstones_mu);
    mutex_release(&db->open_mu);
    mutex_release(&db->define_mu);
    mutex_release(&db->fault.mu);
    mutex_release(&db->walk_mu);
    mutex_release(&db->gate.mu);
    cond_release(&db->gate.changed);
    mutex_release(&db->wake_mu);
    cond_release(&db->wake);
    vfs_file_close(db->lock_file);
    mem_free((char *)db->options.path);
    mem_free(db);
}

static uint32_t core_count(void) {
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > HEAD_SHARDS_MAX ? HEAD_SHARDS_MAX : (uint32_t)n;
}

static struct tsdb *new_db(const struct tsdb_options *options) {
    struct tsdb *db = mem_zalloc(sizeof(*db));
    db->storage.ops = &ops;
    db->options = *options;
    db->options.path = mem_strdup(options->path);
    db->writer_count = options->shard_count != 0 ? options->shard_count : core_count();
    db->writer_count = db->writer_count > HEAD_SHARDS_MAX ? HEAD_SHARDS_MAX : db->writer_count;
    db->shard_count = db->writer_count;
    if (db->options.partition_ms <= 0) {
        struct tsdb_options standard;
        tsdb_options_default(&standard);
        db->options.partition_ms = standard.partition_ms;
    }
    view_list_init(&db->views);
    db->page_cache = page_cache_new(options->page_cache_bytes != 0 ? options->page_cache_bytes
                                                                   : PAGE_CACHE_BYTES_DEFAULT);
    tsdb_set_late_window(db, options->late_window_ms);
    atomic_init(&db->min_ts_ms, INT64_MAX);
    atomic_init(&db->max_ts_ms, INT64_MIN);
    mutex_init(&db->delete_mu);
    mutex_init(&db->tombstones_mu);
    mutex_init(&db->open_mu);
    mutex_init(&db->define_mu);
    mutex_init(&db->fault.mu);
    mutex_init(&db->walk_mu);
    mutex_init(&db->gate.mu);
    cond_init(&db->gate.changed);
    mutex_init(&db->wake_mu);
    cond_init(&db->wake);
    db->layouts = hist_layouts_new();
    index_init(&db->index, rng_u64(&db->options.rng));
    tsdb_metrics_init(db);
    return db;
}

enum err_code tsdb_open(const struct tsdb_options *options, struct tsdb **out,
                        struct tsdb_replay_stats *stats, struct err *err) {
    const int64_t start_ns = clock_mono_ns(options->clock);
    struct tsdb_replay_stats found = {0};
    struct paths *paths = mem_alloc(sizeof(*paths));
    struct tsdb *db = new_db(options);
    enum err_code code = make_paths(options->path, paths, err);
    if (code == ERR_OK) {
        code = open_files(db, paths, &found, err);
    }
    mem_free(paths);
    if (code != ERR_OK) {
        free_db(db);
        return err_wrap(err, "opening storage %s", options->path);
    }
    found.series = atomic_load(&db->series_count);
    found.duration_ns = clock_mono_ns(options->clock) - start_ns;
    metric_set(db->metrics.replay_s, (double)found.duration_ns / 1e9);
    tsdb_metrics_update(db);
    if (!options->no_background) {
        thread_start(&db->maintenance, "tsdb", run_maintenance, db);
        db->has_thread = true;
        if (!options->no_compaction) {
            compactor_start(db->compactor);
        }
    }
    if (stats != NULL) {
        *stats = found;
    }
    *out = db;
    return ERR_OK;
}

void tsdb_close(struct tsdb *db) {
    if (db == NULL) {
        return;
    }
    compactor_stop(db->compactor);
    stop_maintenance(db);
    struct err err;
    if (head_flush_definitions(db, &err) != ERR_OK) {
        log_error(db->options.log, "tsdb", "new series could not be written", log_err(&err));
    }
    for (uint32_t i = 0; i < db->shard_count; i++) {
        head_repair_shard(db->shards[i]);
        const bool failed = wal_state_get(db->shards[i]->wal) == WAL_FAILED;
        if (failed || head_sync_shard(db->shards[i], &err) != ERR_OK) {
            log_error(db->options.log, "tsdb", "rows may be lost: the log could not be synced",
                      log_u64("shard", i), log_text("err", failed ? "it failed before" : err.text));
        }
        if (segment_sync(db->shards[i]->store, &err) != ERR_OK) {
            log_error(db->options.log, "tsdb", "sealed runs could not be synced",
                      log_u64("shard", i), log_err(&err));
        }
    }
    if (notes_sync(db->notes, &err) != ERR_OK) {
        log_error(db->options.log, "tsdb", "exemplars and metadata could not be synced",
                  log_err(&err));
    }
    if (db->lock_file != NULL) {
        char path[4096];
        if (make_path(path, db->options.path, "lock", &err) != ERR_OK ||
            vfs_unlink(db->options.vfs, path, &err) != ERR_OK) {
            log_warn(db->options.log, "tsdb", "lock file could not be removed", log_err(&err));
        }
    }
    free_db(db);
}

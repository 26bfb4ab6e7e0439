/* The compactor's rounds, its state on disk and in memory, its thread.
 *
 * INVARIANTS
 *   C1  A partition's folder has its name only when all of it is durable.
 *   C2  A folder is removed only when the newest manifest that a restart can find does not name it.
 *   C3  Marks are in the same manifest as the partition that they stand for: a run is read either
 *       from L0 or from the partition.
 *
 * LOCKS. mu is above all locks of the head. A round holds it throughout. */
#include "tsdb/compactor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/number.h"
#include "tsdb/compactor_impl.h"

enum {
    MEMORY_BYTES_DEFAULT = 8 << 20,
    ROUND_S = 60, /* Prometheus' block-reload-interval */
    NICE = 10,
    WORK_NS = 20 * 1000 * 1000, /* work so long, then pause for a quarter of it */
    PAUSE_PARTS = 4,
    NAME_DIGITS = 8,
};

static char *path_in(const char *dir, const char *name) {
    const size_t size = strlen(dir) + strlen(name) + 2;
    char *path = mem_alloc(size);
    (void)snprintf(path, size, "%s/%s", dir, name);
    return path;
}

static char *partition_path(const struct compactor *c, uint32_t number, bool temporary) {
    char name[PARTITION_NAME_MAX];
    partition_name(name, number, temporary);
    return path_in(c->dir, name);
}

/* ---- folders ---- */

enum { FOLDER_FILES_MAX = 64 };

struct names {
    char *items[FOLDER_FILES_MAX];
    size_t count;
};

static bool note_name(void *ctx, const char *name) {
    struct names *names = ctx;
    if (names->count < FOLDER_FILES_MAX) {
        names->items[names->count++] = mem_strdup(name);
    }
    return names->count < FOLDER_FILES_MAX;
}

/* Removes a partition's folder with all its files. */
static enum err_code remove_folder(struct compactor *c, const char *path, struct err *err) {
    struct names names = {.count = 0};
    enum err_code code = vfs_list(c->vfs, path, note_name, &names, err);
    if (code == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    for (size_t i = 0; i < names.count; i++) {
        if (code == ERR_OK) {
            char *file = path_in(path, names.items[i]);
            code = vfs_unlink(c->vfs, file, err);
            mem_free(file);
        }
        mem_free(names.items[i]);
    }
    return code == ERR_OK ? vfs_rmdir(c->vfs, path, err) : code;
}

/* What cannot be removed now is removed at the next opening. */
static void remove_partition(struct compactor *c, uint32_t number, bool temporary) {
    struct err err;
    char *path = partition_path(c, number, temporary);
    if (remove_folder(c, path, &err) != ERR_OK) {
        log_warn(c->db->options.log, "tsdb", "a partition could not be removed",
                 log_text("folder", path), log_err(&err));
    }
    mem_free(path);
}

/* The number of a folder's name; 0 for other names. */
static uint32_t folder_number(const char *name, bool *out_temporary) {
    const size_t digits = strspn(name, "0123456789");
    uint64_t number = 0;
    *out_temporary = strcmp(name + digits, ".tmp") == 0;
    if (digits < NAME_DIGITS || (name[digits] != '\0' && !*out_temporary) ||
        number_parse_u64((struct str){name, digits}, &number) != NUMBER_OK ||
        number >= UINT32_MAX) {
        return 0;
    }
    return (uint32_t)number;
}

struct folders { /* found at opening */
    uint32_t *numbers;
    bool *temporary;
    size_t count;
    size_t capacity;
};

static bool note_folder(void *ctx, const char *name) {
    struct folders *f = ctx;
    bool temporary;
    const uint32_t number = folder_number(name, &temporary);
    if (number != 0) {
        if (f->count == f->capacity) {
            f->capacity = mem_grow(f->capacity, f->count + 1);
            f->numbers = mem_resize(f->numbers, f->capacity, sizeof(*f->numbers));
            f->temporary = mem_resize(f->temporary, f->capacity, sizeof(*f->temporary));
        }
        f->numbers[f->count] = number;
        f->temporary[f->count++] = temporary;
    }
    return true;
}

/* ---- publication ---- */

static void on_damage(void *ctx, const struct err *err) {
    struct tsdb *db = ctx;
    atomic_fetch_add(&db->damage_count, 1);
    metric_inc(db->metrics.wal_corruptions);
    log_error(db->options.log, "tsdb", "damaged bytes of a partition are left out", log_err(err));
}

static enum err_code open_partition(struct compactor *c, uint32_t number, struct partition **out,
                                    struct err *err) {
    char *path = partition_path(c, number, false);
    const struct partition_options options = {
        .vfs = c->vfs, .dir = path, .damage = on_damage, .damage_ctx = c->db};
    const enum err_code code = partition_open(&options, out, err);
    mem_free(path);
    return code;
}

static struct manifest_partition item_of(const struct partition_info *info) {
    return (struct manifest_partition){
        .number = info->number,
        .level = info->level,
        .start_ms = info->start_ms,
        .end_ms = info->end_ms,
        .min_ts_ms = info->min_ts_ms <= info->max_ts_ms ? info->min_ts_ms : info->start_ms,
        .max_ts_ms = info->min_ts_ms <= info->max_ts_ms ? info->max_ts_ms : info->start_ms,
        .series = info->series_count,
        .samples = info->sample_count,
        .bytes = info->index_bytes + info->data_bytes,
        .parents = (uint32_t *)info->parents,
        .parent_count = info->parent_count,
    };
}

static void count_bytes(struct compactor *c) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < c->manifest.partition_count; i++) {
        bytes += c->manifest.partitions[i].bytes;
    }
    atomic_store(&c->disk_bytes, bytes);
    metric_set(c->metrics.blocks_bytes, (double)bytes);
    metric_set(c->metrics.blocks_loaded, (double)c->live_count);
    if (c->live_count != 0) {
        int64_t lowest_ms = INT64_MAX;
        for (size_t i = 0; i < c->live_count; i++) {
            const int64_t ts_ms = c->live[i]->info.min_ts_ms;
            lowest_ms = ts_ms < lowest_ms ? ts_ms : lowest_ms;
        }
        metric_set(c->metrics.lowest_ms, (double)lowest_ms);
        metric_set(c->metrics.lowest_s, (double)lowest_ms / 1000);
    }
}

static void publish(struct compactor *c) {
    struct view_partition **copy = mem_array(c->live_count + 1, sizeof(struct view_partition *));
    for (size_t i = 0; i < c->live_count; i++) {
        copy[i] = view_partition_ref(c->live[i]);
    }
    c->cleanup_view =
        view_publish(&c->db->views, copy, c->live_count, c->manifest.marks, c->manifest.mark_count);
    count_bytes(c);
}

/* takes p */
static void add_live(struct compactor *c, struct view_partition *p) {
    c->live = mem_resize(c->live, c->live_count + 1, sizeof(struct view_partition *));
    size_t at = c->live_count++;
    while (at > 0 && c->live[at - 1]->info.number > p->info.number) {
        c->live[at] = c->live[at - 1];
        at--;
    }
    c->live[at] = p;
}

static void drop_live(struct compactor *c, uint32_t number) {
    size_t kept = 0;
    for (size_t i = 0; i < c->live_count; i++) {
        if (c->live[i]->info.number == number) {
            view_partition_unref(c->live[i]);
        } else {
            c->live[kept++] = c->live[i];
        }
    }
    c->live_count = kept;
}

/* ---- changes ---- */

uint32_t compactor_next_number(struct compactor *c) {
    return c->manifest.next_partition++;
}

enum err_code compactor_begin(struct compactor *c, struct partition_writer_options *options,
                              struct partition_writer **out, struct err *err) {
    options->number = compactor_next_number(c);
    options->vfs = c->vfs;
    char *path = partition_path(c, options->number, true);
    options->dir = path;
    const enum err_code code = partition_writer_begin(options, out, err);
    options->dir = NULL;
    mem_free(path);
    return code;
}

/* Finishes the partition and gives it its name; *out_empty: it has no sample and is not kept. */
static enum err_code finish(struct compactor *c, const struct compactor_change *change,
                            bool *out_empty, struct err *err) {
    const uint32_t number = change->options->number;
    struct partition_info info = {.series_count = 0};
    enum err_code code = partition_writer_finish(change->writer, &info, err);
    partition_writer_free(change->writer);
    *out_empty = code == ERR_OK && info.sample_count == 0;
    if (code == ERR_OK && !*out_empty) {
        char *from = partition_path(c, number, true);
        char *to = partition_path(c, number, false);
        code = vfs_rename(c->vfs, from, to, err);
        code = code != ERR_OK ? code : vfs_sync_dir(c->vfs, c->dir, err);
        mem_free(from);
        mem_free(to);
    }
    if (code != ERR_OK || *out_empty) {
        remove_partition(c, number, true);
    }
    return code;
}

/* Marks whose runs and rows are gone say nothing any more. */
static void forget_marks(struct compactor *c, struct manifest *m) {
    size_t kept = 0;
    uint32_t oldest_l0[COMPACTOR_SHARDS_MAX];
    if (c->db->shards == NULL) {
        return;
    }
    for (uint32_t i = 0; i < c->db->shard_count; i++) {
        struct head_shard *shard = c->db->shards[i];
        uint32_t *files = NULL;
        oldest_l0[i] = segment_files(shard->store, &files) != 0 ? files[0] : UINT32_MAX;
        mem_free(files);
    }
    for (size_t i = 0; i < m->mark_count; i++) {
        const struct manifest_mark *mark = &m->marks[i];
        const bool known = mark->shard < c->db->shard_count;
        if (!known || oldest_l0[mark->shard] < mark->l0_file ||
            wal_oldest_segment(c->db->shards[mark->shard]->wal) < mark->wal_segment) {
            m->marks[kept++] = *mark;
        }
    }
    m->mark_count = kept;
}

static enum err_code store(struct compactor *c, struct manifest *next, struct err *err) {
    bool in_doubt = false;
    const enum err_code code =
        manifest_store(c->vfs, c->dir, next, ++c->manifest_number, &in_doubt, err);
    c->in_doubt = code == ERR_OK ? false : c->in_doubt || in_doubt;
    return code;
}

enum err_code compactor_commit(struct compactor *c, const struct compactor_change *change,
                               struct err *err) {
    struct partition *reader = NULL;
    bool empty = true;
    enum err_code code = ERR_OK;
    if (change->writer != NULL) {
        code = finish(c, change, &empty, err);
    }
    if (code == ERR_OK && !empty) {
        code = open_partition(c, change->options->number, &reader, err);
    }
    if (code != ERR_OK) {
        if (!empty) {
            remove_partition(c, change->options->number, false);
        }
        return code;
    }
    struct manifest next;
    manifest_copy(&next, &c->manifest);
    forget_marks(c, &next);
    for (size_t i = 0; i < change->replaced_count; i++) {
        manifest_remove(&next, change->replaced[i]);
    }
    for (size_t i = 0; i < change->mark_count; i++) {
        manifest_set_mark(&next, &change->marks[i]);
    }
    if (reader != NULL) {
        const struct manifest_partition item = item_of(partition_info(reader));
        manifest_add(&next, &item);
    }
    code = store(c, &next, err);
    if (code != ERR_OK) {
        manifest_release(&next);
        partition_close(reader);
        if (reader != NULL && !c->in_doubt) { /* C2 */
            remove_partition(c, change->options->number, false);
        }
        return code;
    }
    manifest_release(&c->manifest);
    c->manifest = next;
    for (size_t i = 0; i < change->replaced_count; i++) {
        drop_live(c, change->replaced[i]);
    }
    if (reader != NULL) {
        add_live(c,
                 view_partition_new(reader, manifest_find(&c->manifest, change->options->number)));
    }
    c->head_is_full |= change->mark_count != 0;
    publish(c);
    for (size_t i = 0; i < change->replaced_count; i++) {
        remove_partition(c, change->replaced[i], false);
    }
    return ERR_OK;
}

/* ---- opening ---- */

static void report_unreadable(struct compactor *c, uint32_t number, const struct err *err) {
    atomic_fetch_add(&c->db->damage_count, 1);
    metric_inc(c->metrics.reloads_failed);
    log_error(c->db->options.log, "tsdb", "a partition cannot be read and is left out",
              log_u64("partition", number), log_err(err));
}

static bool is_parent(const struct manifest *m, uint32_t number) {
    for (size_t i = 0; i < m->partition_count; i++) {
        for (uint32_t k = 0; k < m->partitions[i].parent_count; k++) {
            if (m->partitions[i].parents[k] == number) {
                return true;
            }
        }
    }
    return false;
}

/* The list as the folders themselves have it, when the manifest is damaged. */
static enum err_code list_from_folders(struct compactor *c, const struct folders *f,
                                       struct err *err) {
    while (c->manifest.partition_count != 0) {
        manifest_remove(&c->manifest, c->manifest.partitions[0].number);
    }
    for (size_t i = 0; i < f->count; i++) {
        struct partition *p = NULL;
        if (f->numbers[i] >= c->manifest.next_partition) {
            c->manifest.next_partition = f->numbers[i] + 1;
        }
        if (f->temporary[i]) {
            continue;
        }
        const enum err_code code = open_partition(c, f->numbers[i], &p, err);
        if (code == ERR_IO) {
            return code; /* a list without it would have it removed */
        }
        if (code != ERR_OK) {
            report_unreadable(c, f->numbers[i], err);
            continue;
        }
        const struct manifest_partition item = item_of(partition_info(p));
        if (item.number == f->numbers[i] && manifest_find(&c->manifest, item.number) == NULL) {
            manifest_add(&c->manifest, &item);
        }
        partition_close(p);
    }
    for (size_t i = c->manifest.partition_count; i-- > 0;) {
        const uint32_t number = c->manifest.partitions[i].number;
        if (is_parent(&c->manifest, number)) {
            manifest_remove(&c->manifest, number);
            i = c->manifest.partition_count;
        }
    }
    return ERR_OK;
}

static void remove_garbage(struct compactor *c, const struct folders *f, bool list_is_sure) {
    for (size_t i = 0; i < f->count; i++) {
        if (f->temporary[i] ||
            (list_is_sure && manifest_find(&c->manifest, f->numbers[i]) == NULL)) {
            log_info(c->db->options.log, "tsdb", "an unfinished or merged partition is removed",
                     log_u64("partition", f->numbers[i]));
            remove_partition(c, f->numbers[i], f->temporary[i]);
        }
        if (f->numbers[i] >= c->manifest.next_partition) {
            c->manifest.next_partition = f->numbers[i] + 1;
        }
    }
}

static enum err_code open_live(struct compactor *c, struct err *err) {
    for (size_t i = 0; i < c->manifest.partition_count; i++) {
        const struct manifest_partition *item = &c->manifest.partitions[i];
        struct partition *reader = NULL;
        const enum err_code code = open_partition(c, item->number, &reader, err);
        if (code == ERR_UNSUPPORTED || code == ERR_IO) {
            return code; /* without it, queries would say that there is nothing */
        }
        if (code != ERR_OK) {
            report_unreadable(c, item->number, err);
            continue;
        }
        add_live(c, view_partition_new(reader, item));
    }
    return ERR_OK;
}

/* What comes next is judged by the newest sample, wherever it is. */
static void note_times(struct compactor *c) {
    for (size_t i = 0; i < c->manifest.partition_count; i++) {
        const int64_t max_ts_ms = c->manifest.partitions[i].max_ts_ms;
        if (max_ts_ms > atomic_load(&c->db->max_ts_ms)) {
            atomic_store(&c->db->max_ts_ms, max_ts_ms);
        }
    }
}

static enum err_code load(struct compactor *c, struct err *err) {
    struct manifest_found found;
    struct folders folders = {.count = 0};
    enum err_code code = vfs_make_dir(c->vfs, c->dir, err);
    code = code != ERR_OK ? code : manifest_load(c->vfs, c->dir, &c->manifest, &found, err);
    code = code != ERR_OK ? code : vfs_list(c->vfs, c->dir, note_folder, &folders, err);
    if (code == ERR_OK) {
        c->manifest_number = found.number;
        if (found.is_damaged) {
            log_error(c->db->options.log, "tsdb",
                      "the manifest is damaged, partitions are taken as they are",
                      log_err(&found.damage));
            atomic_fetch_add(&c->db->damage_count, 1);
            code = list_from_folders(c, &folders, err);
        }
    }
    if (code == ERR_OK) {
        note_times(c);
        remove_garbage(c, &folders, !found.is_damaged);
        code = open_live(c, err);
    }
    if (code == ERR_OK) {
        publish(c);
        c->head_is_full = true; /* files may be left over from before */
        metric_inc(c->metrics.reloads);
    }
    mem_free(folders.numbers);
    mem_free(folders.temporary);
    return code;
}

static void init_metrics(struct compactor *c) {
    struct metric_registry *r = c->db->options.registry;
    struct compactor_metrics *m = &c->metrics;
    const struct {
        struct metric **to;
        const char *name;
        const char *help;
        bool is_counter;
    } all[] = {
        {&m->compactions, "prometheus_tsdb_compactions_total",
         "Total number of compactions that were executed for the partition.", true},
        {&m->failed, "prometheus_tsdb_compactions_failed_total",
         "Total number of compactions that failed for the partition.", true},
        {&m->triggered, "prometheus_tsdb_compactions_triggered_total",
         "Total number of triggered compactions for the partition.", true},
        {&m->skipped, "prometheus_tsdb_compactions_skipped_total",
         "Total number of skipped compactions due to disabled auto compaction.", true},
        {&m->vertical, "prometheus_tsdb_vertical_compactions_total",
         "Total number of compactions done on overlapping blocks.", true},
        {&m->populating, "prometheus_tsdb_compaction_populating_block",
         "Set to 1 when a block is currently being written to the disk.", false},
        {&m->blocks_loaded, "prometheus_tsdb_blocks_loaded",
         "Number of currently loaded data blocks", false},
        {&m->blocks_bytes, "prometheus_tsdb_storage_blocks_bytes",
         "The number of bytes that are currently used for local storage by all blocks.", false},
        {&m->size_retentions, "prometheus_tsdb_size_retentions_total",
         "The number of times that blocks were deleted because the maximum number of bytes was "
         "exceeded.",
         true},
        {&m->time_retentions, "prometheus_tsdb_time_retentions_total",
         "The number of times that blocks were deleted because the maximum time limit was "
         "exceeded.",
         true},
        {&m->limit_bytes, "prometheus_tsdb_retention_limit_bytes",
         "Max number of bytes to be retained in the tsdb blocks, configured 0 means disabled",
         false},
        {&m->limit_s, "prometheus_tsdb_retention_limit_seconds",
         "How long to retain samples in storage.", false},
        {&m->limit_percent, "prometheus_tsdb_retention_limit_percentage",
         "Max percentage of total storage space to be retained in the tsdb blocks, configured 0 "
         "means disabled",
         false},
        {&m->reloads, "prometheus_tsdb_reloads_total",
         "Number of times the database reloaded block data from disk.", true},
        {&m->reloads_failed, "prometheus_tsdb_reloads_failures_total",
         "Number of times the database failed to reloadBlocks block data from disk.", true},
        {&m->truncations, "prometheus_tsdb_head_truncations_total",
         "Total number of head truncations attempted.", true},
        {&m->truncations_failed, "prometheus_tsdb_head_truncations_failed_total",
         "Total number of head truncations that failed.", true},
        {&m->lowest_ms, "prometheus_tsdb_lowest_timestamp",
         "Lowest timestamp value stored in the database. The unit is decided by the library "
         "consumer.",
         false},
        {&m->lowest_s, "prometheus_tsdb_lowest_timestamp_seconds",
         "Lowest timestamp value stored in the database.", false},
    };
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        *all[i].to = all[i].is_counter ? metric_counter(r, all[i].name, all[i].help, NULL, 0)
                                       : metric_gauge(r, all[i].name, all[i].help, NULL, 0);
    }
    static const double seconds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192};
    m->duration_s =
        metric_histogram(r, "prometheus_tsdb_compaction_duration_seconds",
                         "Duration of compaction runs", NULL, 0, seconds, COUNT_OF(seconds));
}

enum err_code compactor_open(struct tsdb *db, struct compactor **out, struct err *err) {
    struct compactor *c = mem_zalloc(sizeof(*c));
    c->db = db;
    c->vfs = db->options.vfs;
    c->dir = path_in(db->options.path, "partitions");
    c->memory_bytes = db->options.compact_memory_bytes != 0 ? db->options.compact_memory_bytes
                                                            : MEMORY_BYTES_DEFAULT;
    c->first_round_unix_ms = clock_unix_ms(db->options.clock);
    manifest_init(&c->manifest);
    cancel_init(&c->cancel, db->options.clock, 0);
    mutex_init(&c->mu);
    mutex_init(&c->limits_mu);
    mutex_init(&c->wake_mu);
    cond_init(&c->wake);
    init_metrics(c);
    compactor_set_retention(c, &db->options.retention);
    const enum err_code code = load(c, err);
    if (code != ERR_OK) {
        compactor_free(c);
        return err_wrap(err, "opening partitions");
    }
    *out = c;
    return ERR_OK;
}

void compactor_free(struct compactor *c) {
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < c->live_count; i++) {
        view_partition_unref(c->live[i]);
    }
    mem_free(c->live);
    manifest_release(&c->manifest);
    mutex_release(&c->mu);
    mutex_release(&c->limits_mu);
    mutex_release(&c->wake_mu);
    cond_release(&c->wake);
    mem_free(c->dir);
    mem_free(c);
}

struct manifest_floor compactor_floor(const struct compactor *c, uint32_t shard) {
    return c->manifest.floors[shard];
}

bool compactor_has_run(const struct compactor *c, uint32_t shard, int64_t min_ts_ms,
                       uint32_t l0_file) {
    const struct manifest_mark *mark =
        manifest_mark_at(c->manifest.marks, c->manifest.mark_count, shard, min_ts_ms);
    return mark != NULL && l0_file < mark->l0_file;
}

bool compactor_has_row(const struct compactor *c, uint32_t shard, int64_t ts_ms,
                       uint32_t wal_segment) {
    const struct manifest_mark *mark =
        manifest_mark_at(c->manifest.marks, c->manifest.mark_count, shard, ts_ms);
    return mark != NULL && wal_segment < mark->wal_segment;
}

/* ---- rounds ---- */

enum err_code compactor_breathe(struct compactor *c, int64_t *io_since_ns, struct err *err) {
    if (cancel_check(&c->cancel) != ERR_OK) {
        return err_set(err, ERR_CANCELED, "the database is being closed");
    }
    if (!c->has_thread) {
        return ERR_OK;
    }
    const int64_t now_ns = clock_mono_ns(clock_system());
    if (now_ns - *io_since_ns >= WORK_NS) {
        const int64_t worked_ns = now_ns - *io_since_ns;
        const int64_t deadline_ns =
            now_ns + (worked_ns < NS_PER_S ? worked_ns : NS_PER_S) / PAUSE_PARTS;
        mutex_lock(&c->wake_mu);
        while (!c->stopping && cond_wait_until(&c->wake, &c->wake_mu, deadline_ns)) {
        }
        mutex_unlock(&c->wake_mu);
        *io_since_ns = clock_mono_ns(clock_system());
    }
    return ERR_OK;
}

void compactor_note_memory(struct compactor *c, size_t bytes) {
    size_t peak = atomic_load_explicit(&c->memory_peak, memory_order_relaxed);
    while (bytes > peak &&
           !atomic_compare_exchange_weak_explicit(&c->memory_peak, &peak, bytes,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

static enum err_code count_work(struct compactor *c, enum err_code code, int64_t start_ns) {
    metric_set(c->metrics.populating, 0);
    if (code == ERR_OK) {
        metric_inc(c->metrics.compactions);
        metric_observe(c->metrics.duration_s,
                       (double)(clock_mono_ns(c->db->options.clock) - start_ns) / 1e9);
    } else if (code != ERR_CANCELED) {
        metric_inc(c->metrics.failed);
    }
    return code;
}

static enum err_code cut_windows(struct compactor *c, enum compactor_extent extent, struct err *err)
    REQUIRES(c->mu) {
    bool late = extent != COMPACT_DUE;
    for (;;) {
        int64_t start_ms;
        if (!compactor_find_window(c, extent, late, &start_ms)) {
            return ERR_OK;
        }
        late = true; /* with a window that is new, what is left of older ones */
        const int64_t start_ns = clock_mono_ns(c->db->options.clock);
        metric_set(c->metrics.populating, 1);
        const enum err_code code = count_work(c, compactor_cut(c, start_ms, err), start_ns);
        if (code != ERR_OK) {
            return err_wrap(err, "cutting the window from %" PRId64, start_ms);
        }
        compactor_clean_head(c);
    }
}

static enum err_code merge_partitions(struct compactor *c, struct err *err) REQUIRES(c->mu) {
    for (bool merged = true; merged;) {
        int64_t start_ms;
        if (compactor_find_window(c, COMPACT_DUE, false, &start_ms)) {
            return ERR_OK; /* that is more urgent */
        }
        const int64_t start_ns = clock_mono_ns(c->db->options.clock);
        enum err_code code = compactor_merge(c, &merged, err);
        if (code != ERR_OK || merged) {
            code = count_work(c, code, start_ns);
        }
        if (code != ERR_OK) {
            return err_wrap(err, "merging partitions");
        }
    }
    return ERR_OK;
}

static struct retention_limits limits_of(struct compactor *c) {
    mutex_lock(&c->limits_mu);
    const struct retention_limits limits = c->limits;
    mutex_unlock(&c->limits_mu);
    return limits;
}

int64_t compactor_retention_ms(struct compactor *c) {
    return limits_of(c).time_ms;
}

static uint64_t head_bytes(struct tsdb *db) {
    struct storage_stats stats;
    db->storage.ops->stats(&db->storage, &stats);
    const uint64_t partitions = compactor_disk_bytes(db->compactor);
    return stats.disk_bytes > partitions ? stats.disk_bytes - partitions : 0;
}

static enum err_code remove_old(struct compactor *c, struct err *err) REQUIRES(c->mu) {
    const struct retention_limits limits = limits_of(c);
    const size_t n = c->manifest.partition_count;
    if (n == 0) {
        return ERR_OK;
    }
    struct retention_disk disk = {.head_bytes = head_bytes(c->db)};
    if (limits.percent > 0 && vfs_total_bytes(c->vfs, c->dir, &disk.total_bytes, err) != ERR_OK) {
        log_warn(c->db->options.log, "tsdb", "the size of the file system is not known",
                 log_err(err));
    }
    enum retention_reason *reasons = mem_array(n, sizeof(*reasons));
    uint32_t *numbers = mem_array(n, sizeof(*numbers));
    size_t count = 0;
    bool by_reason[RETENTION_SIZE + 1] = {false};
    enum err_code code = ERR_OK;
    if (retention_plan(&limits, &disk, c->manifest.partitions, n, reasons) != 0) {
        for (size_t i = 0; i < n; i++) {
            if (reasons[i] != RETENTION_KEEP) {
                numbers[count++] = c->manifest.partitions[i].number;
                by_reason[reasons[i]] = true;
            }
        }
        code = compactor_commit(
            c, &(struct compactor_change){.replaced = numbers, .replaced_count = count}, err);
    }
    if (code == ERR_OK && count != 0) {
        metric_add(c->metrics.time_retentions, by_reason[RETENTION_TIME]);
        metric_add(c->metrics.size_retentions, by_reason[RETENTION_SIZE]);
        log_info(c->db->options.log, "tsdb", "old partitions are removed",
                 log_u64("partitions", count));
    }
    mem_free(reasons);
    mem_free(numbers);
    return code;
}

/* Series that ended leave the head. The marks that cut them are in both manifests that are kept before
 * their numbers can come again. */
static enum err_code collect_head(struct compactor *c, bool all, struct err *err) REQUIRES(c->mu) {
    if (!head_collect_due(c->db, all)) {
        return ERR_OK;
    }
    enum err_code code = compactor_commit(c, &(struct compactor_change){0}, err);
    code = code != ERR_OK ? code : head_collect(c->db, err);
    return code != ERR_OK ? err_wrap(err, "removing series that ended") : ERR_OK;
}

static enum err_code round_locked(struct compactor *c, enum compactor_extent extent,
                                  struct err *err) REQUIRES(c->mu) {
    metric_inc(c->metrics.triggered);
    compactor_clean_head(c);
    enum err_code code = cut_windows(c, extent, err);
    code = code != ERR_OK ? code : merge_partitions(c, err);
    struct err failure;
    const enum err_code removed = remove_old(c, &failure); /* also on a disk that is full */
    if (code == ERR_OK && removed != ERR_OK) {
        code = removed;
        *err = failure;
    }
    compactor_clean_head(c);
    if (code == ERR_OK) {
        code = collect_head(c, extent == COMPACT_ALL, err);
    }
    return code;
}

enum err_code compactor_round(struct compactor *c, enum compactor_extent extent, struct err *err) {
    struct err unused;
    err = err != NULL ? err : &unused;
    mutex_lock(&c->mu);
    const enum err_code code = round_locked(c, extent, err);
    mutex_unlock(&c->mu);
    if (code != ERR_OK && code != ERR_CANCELED) {
        log_error(c->db->options.log, "tsdb", "compaction failed, it is tried again", log_err(err));
    }
    return code;
}

enum err_code compactor_clean_tombstones(struct compactor *c, struct err *err) {
    enum err_code code = ERR_OK;
    mutex_lock(&c->mu);
    uint32_t *numbers = mem_array(c->live_count + 1, sizeof(*numbers));
    const size_t n = c->live_count;
    for (size_t i = 0; i < n; i++) {
        numbers[i] = c->live[i]->info.number;
    }
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        code = compactor_rewrite(c, numbers[i], err);
    }
    mem_free(numbers);
    mutex_unlock(&c->mu);
    return code;
}

void compactor_set_retention(struct compactor *c, const struct retention_limits *limits) {
    mutex_lock(&c->limits_mu);
    c->limits = *limits;
    mutex_unlock(&c->limits_mu);
    metric_set(c->metrics.limit_bytes, (double)limits->size_bytes);
    metric_set(c->metrics.limit_s, (double)limits->time_ms / 1000);
    metric_set(c->metrics.limit_percent, limits->percent);
}

void compactor_hold(struct compactor *c) NO_THREAD_SAFETY {
    mutex_lock(&c->mu);
}

void compactor_let_go(struct compactor *c) NO_THREAD_SAFETY {
    mutex_unlock(&c->mu);
}

uint64_t compactor_disk_bytes(const struct compactor *c) {
    return c != NULL ? atomic_load(&c->disk_bytes) : 0;
}

size_t compactor_memory_peak(const struct compactor *c) {
    return atomic_load(&c->memory_peak);
}

/* ---- the thread ---- */

/* From a second to a minute after failures, else a minute. */
static int64_t next_pause(enum err_code code, int64_t last_s) {
    if (code == ERR_OK) {
        return ROUND_S;
    }
    const int64_t pause_s = last_s >= ROUND_S ? 1 : last_s * 2;
    return pause_s < ROUND_S ? pause_s : ROUND_S - 1;
}

static void run(void *ctx) {
    struct compactor *c = ctx;
    int64_t pause_s = ROUND_S;
    (void)setpriority(PRIO_PROCESS, 0, NICE); /* of this thread alone, on Linux */
    mutex_lock(&c->wake_mu);
    while (!c->stopping) {
        const int64_t deadline_ns = clock_mono_ns(clock_system()) + pause_s * NS_PER_S;
        while (!c->stopping && cond_wait_until(&c->wake, &c->wake_mu, deadline_ns)) {
        }
        if (c->stopping) {
            break;
        }
        mutex_unlock(&c->wake_mu);
        struct err err;
        pause_s = next_pause(compactor_round(c, COMPACT_DUE, &err), pause_s);
        mutex_lock(&c->wake_mu);
    }
    mutex_unlock(&c->wake_mu);
}

void compactor_start(struct compactor *c) {
    c->has_thread = true;
    thread_start(&c->thread, "compactor", run, c);
}

void compactor_stop(struct compactor *c) {
    cancel_raise(&c->cancel);
    if (c->has_thread) {
        mutex_lock(&c->wake_mu);
        c->stopping = true;
        cond_signal(&c->wake);
        mutex_unlock(&c->wake_mu);
        thread_join(&c->thread);
        c->has_thread = false;
    }
}

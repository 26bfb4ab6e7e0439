/* Changes of the list of partitions: what is written becomes durable, then named, then visible
 * (invariants C1 to C3 in compactor.c). */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "tsdb/compactor_impl.h"

/* ---- publication ---- */

static void on_damage(void *ctx, const struct err *err) {
    struct tsdb *db = ctx;
    atomic_fetch_add(&db->damage_count, 1);
    metric_inc(db->metrics.wal_corruptions);
    log_error(db->options.log, "tsdb", "damaged bytes of a partition are left out", log_err(err));
}

enum err_code compactor_open_partition(struct compactor *c, uint32_t number, struct partition **out,
                                       struct err *err) {
    char *path = compactor_folder(c, number, false);
    const struct partition_options options = {.vfs = c->vfs,
                                              .dir = path,
                                              .cache = c->db->page_cache,
                                              .damage = on_damage,
                                              .damage_ctx = c->db};
    const enum err_code code = partition_open(&options, out, err);
    mem_free(path);
    return code;
}

struct manifest_partition compactor_item(const struct partition_info *info) {
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

void compactor_publish(struct compactor *c) {
    struct view_partition **copy = mem_array(c->live_count + 1, sizeof(struct view_partition *));
    for (size_t i = 0; i < c->live_count; i++) {
        copy[i] = view_partition_ref(c->live[i]);
    }
    c->cleanup_view =
        view_publish(&c->db->views, copy, c->live_count, c->manifest.marks, c->manifest.mark_count);
    count_bytes(c);
}

/* takes p */
void compactor_add_live(struct compactor *c, struct view_partition *p) {
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

void compactor_note_number(struct compactor *c, uint32_t number) {
    enum { FAR = 1 << 20 };
    const uint32_t next = c->manifest.next_partition;
    if (number >= next && number - next < FAR && number < UINT32_MAX) {
        c->manifest.next_partition = number + 1;
    }
}

enum err_code compactor_begin(struct compactor *c, struct partition_writer_options *options,
                              struct partition_writer **out, struct err *err) {
    if (c->manifest.next_partition == UINT32_MAX) {
        return err_set(err, ERR_NO_SPACE, "no number is left for a partition in %s", c->dir);
    }
    options->number = c->manifest.next_partition++;
    options->vfs = c->vfs;
    char *path = compactor_folder(c, options->number, true);
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
        char *from = compactor_folder(c, number, true);
        char *to = compactor_folder(c, number, false);
        code = vfs_rename(c->vfs, from, to, err);
        code = code != ERR_OK ? code : vfs_sync_dir(c->vfs, c->dir, err);
        mem_free(from);
        mem_free(to);
    }
    if (code != ERR_OK || *out_empty) {
        compactor_remove_folder(c, number, true);
    }
    return code;
}

/* Are the runs and rows below the mark gone, for good? */
static bool is_spent(const struct head_shard *shard, const struct manifest_mark *mark,
                     uint32_t oldest_l0) {
    struct err err;
    if (oldest_l0 < mark->l0_file || wal_oldest_segment(shard->wal) < mark->wal_segment) {
        return false;
    }
    if (segment_sync_removals(shard->store, &err) == ERR_OK &&
        wal_sync_removals(shard->wal, &err) == ERR_OK) {
        return true;
    }
    log_warn(shard->db->options.log, "tsdb", "removed files may come back, their marks are kept",
             log_err(&err));
    return false;
}

/* Marks whose runs and rows are gone say nothing any more. A file that came back after a loss of power
 * would bring back what is in partitions, and was maybe deleted there. */
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
        if (mark->shard >= c->db->shard_count ||
            !is_spent(c->db->shards[mark->shard], mark, oldest_l0[mark->shard])) {
            m->marks[kept++] = *mark;
        }
    }
    m->mark_count = kept;
}

static enum err_code store(struct compactor *c, struct manifest *next, struct err *err) {
    bool in_doubt = false;
    c->manifest_number += c->manifest_number != UINT32_MAX;
    const enum err_code code =
        manifest_store(c->vfs, c->dir, next, c->manifest_number, &in_doubt, err);
    c->in_doubt = code == ERR_OK ? false : c->in_doubt || in_doubt;
    c->manifest_is_single = c->manifest_is_single && code != ERR_OK;
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
        code = compactor_open_partition(c, change->options->number, &reader, err);
    }
    if (code != ERR_OK) {
        if (!empty) {
            compactor_remove_folder(c, change->options->number, false);
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
        const struct manifest_partition item = compactor_item(partition_info(reader));
        manifest_add(&next, &item);
    }
    code = store(c, &next, err);
    if (code != ERR_OK) {
        manifest_release(&next);
        partition_close(reader);
        if (reader != NULL && !c->in_doubt) { /* C2 */
            compactor_remove_folder(c, change->options->number, false);
        }
        return code;
    }
    manifest_release(&c->manifest);
    c->manifest = next;
    for (size_t i = 0; i < change->replaced_count; i++) {
        drop_live(c, change->replaced[i]);
    }
    if (reader != NULL) {
        struct view_partition *p =
            view_partition_new(reader, manifest_find(&c->manifest, change->options->number));
        p->clean_of = change->clean_of;
        compactor_add_live(c, p);
    }
    c->head_is_full |= change->mark_count != 0;
    compactor_publish(c);
    for (size_t i = 0; i < change->replaced_count; i++) {
        compactor_remove_folder(c, change->replaced[i], false);
    }
    return ERR_OK;
}

/* Opening: the manifest, the partitions that it names, and what is left over in the folder. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "tsdb/compactor_impl.h"

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

/* Says nothing about the partition. */
static bool is_disk_failure(enum err_code code) {
    return code == ERR_IO || code == ERR_NO_SPACE;
}

/* The list as the folders themselves have it, when the manifest is damaged. */
static enum err_code list_from_folders(struct compactor *c, const struct compactor_folders *f,
                                       struct err *err) {
    while (c->manifest.partition_count != 0) {
        manifest_remove(&c->manifest, c->manifest.partitions[0].number);
    }
    for (size_t i = 0; i < f->count; i++) {
        struct partition *p = NULL;
        compactor_note_number(c, f->numbers[i]);
        if (f->temporary[i]) {
            continue;
        }
        const enum err_code code = compactor_open_partition(c, f->numbers[i], &p, err);
        if (is_disk_failure(code)) {
            return code; /* a list without it would have it removed */
        }
        if (code != ERR_OK) {
            report_unreadable(c, f->numbers[i], err);
            continue;
        }
        const struct manifest_partition item = compactor_item(partition_info(p));
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

/* Each store keeps the manifest before: one that is alone may be older than the folders are. What it does
 * not name, or does not find, then says that the newest is gone. */
static bool is_outdated(const struct compactor *c, const struct compactor_folders *f) {
    size_t named = 0;
    size_t whole = 0;
    for (size_t i = 0; i < f->count; i++) {
        whole += !f->temporary[i];
        named += !f->temporary[i] && manifest_find(&c->manifest, f->numbers[i]) != NULL;
    }
    return named != whole || named != c->manifest.partition_count;
}

static void report_manifest(struct compactor *c, const struct manifest_found *found) {
    if (!found->is_damaged &&
        found->number == 0) { /* the first cut was never finished, or all are gone */
        log_warn(c->db->options.log, "tsdb",
                 "there is no manifest, partitions are taken as they are");
        return;
    }
    if (found->is_damaged) {
        log_error(c->db->options.log, "tsdb",
                  "the manifest is damaged, partitions are taken as they are",
                  log_err(&found->damage));
    } else {
        log_error(c->db->options.log, "tsdb",
                  "the newest manifest is gone, partitions are taken as they are",
                  log_u64("manifest", found->number));
    }
    atomic_fetch_add(&c->db->damage_count, 1);
}

/* The newest manifest was read from one of its files: a crash came between the two, or the other one is
 * damaged, or an older program wrote it. What cannot be written now is written by the next round. */
static void repair_manifest(struct compactor *c, const struct manifest_found *found) {
    struct log *log = c->db->options.log;
    struct err err;
    if (found->damage.code != ERR_OK) {
        log_error(log, "tsdb", "a file of the manifest cannot be used, its other one counts",
                  log_err(&found->damage));
        atomic_fetch_add(&c->db->damage_count, found->damage.code == ERR_CORRUPT);
    }
    if (manifest_repair(c->vfs, c->dir, &c->manifest, found, &err) != ERR_OK) {
        c->manifest_is_single = true;
        log_warn(log, "tsdb", "the manifest has one file, the other cannot be written now",
                 log_err(&err));
    }
}

static void remove_garbage(struct compactor *c, const struct compactor_folders *f,
                           bool list_is_sure) {
    for (size_t i = 0; i < f->count; i++) {
        if (f->temporary[i] ||
            (list_is_sure && manifest_find(&c->manifest, f->numbers[i]) == NULL)) {
            log_info(c->db->options.log, "tsdb", "an unfinished or merged partition is removed",
                     log_u64("partition", f->numbers[i]));
            compactor_remove_folder(c, f->numbers[i], f->temporary[i]);
        }
        compactor_note_number(c, f->numbers[i]);
    }
}

static enum err_code open_live(struct compactor *c, struct err *err) {
    for (size_t i = 0; i < c->manifest.partition_count; i++) {
        const struct manifest_partition *item = &c->manifest.partitions[i];
        struct partition *reader = NULL;
        const enum err_code code = compactor_open_partition(c, item->number, &reader, err);
        if (code == ERR_UNSUPPORTED || is_disk_failure(code)) {
            return code; /* without it, queries would say that there is nothing */
        }
        if (code != ERR_OK) {
            report_unreadable(c, item->number, err);
            continue;
        }
        compactor_add_live(c, view_partition_new(reader, item));
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

enum err_code compactor_load(struct compactor *c, struct err *err) {
    struct manifest_found found;
    struct compactor_folders folders = {.count = 0};
    bool list_is_sure = true;
    enum err_code code = vfs_make_dir(c->vfs, c->dir, err);
    code = code != ERR_OK ? code : manifest_load(c->vfs, c->dir, &c->manifest, &found, err);
    code = code != ERR_OK ? code : vfs_list(c->vfs, c->dir, compactor_note_folder, &folders, err);
    if (code == ERR_OK) {
        c->manifest_number = found.number;
        list_is_sure = !found.is_damaged && !(found.is_alone && is_outdated(c, &folders));
        if (!list_is_sure) {
            report_manifest(c, &found);
            code = list_from_folders(c, &folders, err);
        } else if (found.lacks[0] || found.lacks[1]) {
            repair_manifest(c, &found);
        }
    }
    if (code == ERR_OK) {
        note_times(c);
        remove_garbage(c, &folders, list_is_sure);
        code = open_live(c, err);
    }
    if (code == ERR_OK) {
        compactor_publish(c);
        c->head_is_full = true; /* files may be left over from before */
        metric_inc(c->metrics.reloads);
    }
    mem_free(folders.numbers);
    mem_free(folders.temporary);
    return code;
}

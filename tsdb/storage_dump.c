#include "tsdb/storage_dump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tsdb/block_table.h"
#include "tsdb/dump_line.h"
#include "tsdb/manifest_file.h"
#include "tsdb/partition.h"

enum { FLUSH_BYTES = 256 << 10, TEXT_BYTES_MAX = 1 << 30, BATCH = 64, PATH_MAX_BYTES = 4096 };

static bool make_path(char to[PATH_MAX_BYTES], const char *dir, const char *name) {
    const int n = snprintf(to, PATH_MAX_BYTES, "%s/%s", dir, name);
    return n > 0 && n < PATH_MAX_BYTES;
}

bool storage_is_database(struct vfs *vfs, const char *path) {
    char series[PATH_MAX_BYTES];
    struct vfs_stat stat;
    return make_path(series, path, "series") && vfs_stat(vfs, series, &stat, NULL) == ERR_OK &&
           stat.is_dir;
}

/* ---- samples ---- */

struct dump {
    struct storage *st;
    struct storage_querier *q;
    const struct prom_dump_options *options;
    struct prom_dump_result *result;
    struct buf labels;
    struct buf text;
    FILE *to;
};

static enum err_code flush(struct dump *d, struct err *err) {
    const struct str text = buf_str(&d->text);
    if (!buf_ok(&d->text) || !buf_ok(&d->labels)) {
        return err_set(err, ERR_LIMIT, "labels too long");
    }
    if (fwrite(text.ptr, 1, text.len, d->to) != text.len) {
        return err_set_errno(err, errno, "writing the dump");
    }
    buf_clear(&d->text);
    return ERR_OK;
}

static enum err_code dump_series(struct dump *d, struct labels labels,
                                 const struct storage_samples *s, struct err *err) {
    if (d->options->format == PROM_DUMP_SERIES_JSON) {
        if (s->count != 0) {
            dump_line_labels(&d->text, labels, d->options->format);
        }
        return d->text.len >= FLUSH_BYTES ? flush(d, err) : ERR_OK;
    }
    buf_clear(&d->labels);
    dump_line_labels(&d->labels, labels, d->options->format);
    for (size_t i = 0; i < s->count; i++) {
        const struct histogram *h = s->histograms != NULL ? s->histograms[i] : NULL;
        if (h != NULL && d->options->format == PROM_DUMP_OPENMETRICS) {
            break;
        }
        d->result->samples++;
        d->result->histograms += h != NULL;
        dump_line_append(&d->text, buf_str(&d->labels), h, s->values[i], s->ts[i],
                         d->options->format);
        if (d->text.len >= FLUSH_BYTES || !buf_ok(&d->text)) {
            const enum err_code code = flush(d, err);
            if (code != ERR_OK) {
                return code;
            }
        }
    }
    return ERR_OK;
}

static enum err_code is_selected(const struct dump *d, struct labels labels, bool *out,
                                 struct err *err) {
    enum err_code code = ERR_OK;
    *out = d->options->selector_count <= 1;
    for (size_t i = 0; code == ERR_OK && !*out && i < d->options->selector_count; i++) {
        const struct prom_selector *s = &d->options->selectors[i];
        code = matchers_match(s->matchers, s->count, labels, out, err);
    }
    return code;
}

static enum err_code dump_batch(struct dump *d, const struct storage_selection *sel,
                                const struct storage_series *series, size_t first, size_t n,
                                struct arena *scratch, struct err *err) {
    struct storage_samples samples[BATCH];
    enum err_code code = storage_read(d->st, d->q, sel, first, n, d->options->mint,
                                      d->options->maxt, scratch, samples, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        const struct labels labels =
            labels_merge(scratch, storage_set_labels(d->st, d->q, series[first + i].target_set),
                         storage_set_labels(d->st, d->q, series[first + i].metric_set));
        bool selected;
        code = is_selected(d, labels, &selected, err);
        if (code == ERR_OK && selected) {
            code = dump_series(d, labels, &samples[i], err);
        }
    }
    return code;
}

static enum err_code dump_all(struct dump *d, struct err *err) {
    /* several selectors: each series once, whichever of them match */
    const struct prom_selector *one =
        d->options->selector_count == 1 ? &d->options->selectors[0] : NULL;
    const struct storage_select_hints hints = {.sorted = true};
    struct storage_selection *sel;
    size_t count;
    enum err_code code = storage_select(d->st, d->q, one != NULL ? one->matchers : NULL,
                                        one != NULL ? one->count : 0, &hints, &sel, err);
    if (code != ERR_OK) {
        return code;
    }
    const struct storage_series *series = storage_selection_series(d->st, sel, &count);
    struct arena scratch;
    arena_init(&scratch, 0);
    for (size_t at = 0; at < count && code == ERR_OK; at += BATCH) {
        code =
            dump_batch(d, sel, series, at, count - at < BATCH ? count - at : BATCH, &scratch, err);
        arena_reset(&scratch);
    }
    arena_release(&scratch);
    if (d->options->format == PROM_DUMP_OPENMETRICS) {
        buf_append_cstr(&d->text, "# EOF\n");
    }
    return code == ERR_OK ? flush(d, err) : code;
}

enum err_code storage_dump(struct storage *st, const struct prom_dump_options *options, FILE *to,
                           struct prom_dump_result *out, struct err *err) {
    struct dump d = {.st = st, .options = options, .result = out, .to = to};
    struct arena arena;
    *out = (struct prom_dump_result){0};
    arena_init(&arena, 0);
    buf_init(&d.labels, TEXT_BYTES_MAX);
    buf_init(&d.text, TEXT_BYTES_MAX);
    enum err_code code =
        storage_querier_open(st, options->mint, options->maxt, &arena, NULL, &d.q, err);
    if (code == ERR_OK) {
        code = dump_all(&d, err);
    }
    buf_release(&d.labels);
    buf_release(&d.text);
    arena_release(&arena);
    return code;
}

/* ---- partitions ---- */

static enum err_code fill_row(struct vfs *vfs, const char *dir, uint32_t number,
                              struct block_table_row *out, struct err *err) {
    char path[PATH_MAX_BYTES];
    struct partition *p;
    *out = (struct block_table_row){0};
    partition_name(out->name, number, false);
    if (!make_path(path, dir, out->name)) {
        return err_set(err, ERR_INVALID, "path %s is too long", dir);
    }
    const struct partition_options options = {.vfs = vfs, .dir = path};
    const enum err_code code = partition_open(&options, &p, err);
    if (code != ERR_OK) {
        return code;
    }
    const struct partition_info *info = partition_info(p);
    out->start_ms = info->start_ms;
    out->end_ms = info->end_ms;
    out->counts[0] = info->sample_count;
    out->counts[1] = info->level;
    out->counts[2] = info->series_count;
    out->size_bytes = info->index_bytes + info->data_bytes;
    partition_close(p);
    return ERR_OK;
}

enum err_code storage_list_partitions(struct vfs *vfs, const char *path, bool human, struct buf *to,
                                      struct err *err) {
    static const char *const titles[BLOCK_TABLE_COLUMNS] = {"PARTITION",  "MIN TIME",    "MAX TIME",
                                                            "DURATION",   "NUM SAMPLES", "LEVEL",
                                                            "NUM SERIES", "SIZE"};
    char dir[PATH_MAX_BYTES];
    struct manifest manifest;
    struct manifest_found found;
    if (!make_path(dir, path, "partitions")) {
        return err_set(err, ERR_INVALID, "path %s is too long", path);
    }
    manifest_init(&manifest);
    enum err_code code = manifest_load(vfs, dir, &manifest, &found, err);
    if (code == ERR_OK && found.is_damaged) {
        *err = found.damage;
        code = err->code;
    }
    struct block_table_row *rows = mem_array(manifest.partition_count + 1, sizeof(*rows));
    for (size_t i = 0; i < manifest.partition_count && code == ERR_OK; i++) {
        code = fill_row(vfs, dir, manifest.partitions[i].number, &rows[i], err);
    }
    if (code == ERR_OK) {
        block_table_print(titles, rows, manifest.partition_count, human, to);
    }
    mem_free(rows);
    manifest_release(&manifest);
    return code;
}

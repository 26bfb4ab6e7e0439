/* A database of ours takes samples in the order of time over all series, a page has them series by
 * series: blocks are made beside the database, imported, and removed again. */
#include "cmd_tsdb_backfill.h"

#include <string.h>

#include "backfill.h"
#include "tsdb/export.h"
#include "tsdb/import.h"
#include "tsdb/prom_db.h"
#include "tsdb/storage_dump.h"
#include "tsdb_tool.h"

enum { LIST_BYTES_MAX = 64 << 20, TREE_DEPTH_MAX = 4 };

/* ---- a folder of ours is removed ---- */

struct removing {
    struct vfs *vfs;
    const char *dir;
    struct arena arena;
    struct str_link {
        const char *path;
        struct str_link *next;
    } * entries;
};

static bool note_entry(void *ctx, const char *name) {
    struct removing *r = ctx;
    struct str_link *link = arena_alloc(&r->arena, sizeof(*link));
    *link = (struct str_link){arena_printf(&r->arena, "%s/%s", r->dir, name).ptr, r->entries};
    r->entries = link;
    return true;
}

static void remove_tree(struct vfs *vfs, const char *dir, int depth) {
    struct removing r = {.vfs = vfs, .dir = dir};
    enum err_code ignored; /* what stays is in nobody's way */
    arena_init(&r.arena, 0);
    if (depth > 0 && vfs_list(vfs, dir, note_entry, &r, NULL) == ERR_OK) {
        for (const struct str_link *e = r.entries; e != NULL; e = e->next) {
            struct vfs_stat stat;
            if (vfs_stat(vfs, e->path, &stat, NULL) == ERR_OK && stat.is_dir) {
                remove_tree(vfs, e->path, depth - 1);
            } else {
                ignored = vfs_unlink(vfs, e->path, NULL);
            }
        }
        ignored = vfs_rmdir(vfs, dir, NULL);
        (void)ignored;
    }
    arena_release(&r.arena);
}

/* ---- options ---- */

static enum err_code read_labels(struct tool_call *call, struct backfill_options *out,
                                 struct err *err) {
    const struct tool_values list = tool_list(call, "label");
    struct label *labels = arena_alloc(call->arena, (list.count + 1) * sizeof(*labels));
    for (size_t i = 0; i < list.count; i++) {
        const char *equals = strchr(list.items[i], '=');
        if (equals == NULL) {
            return err_set(err, ERR_INVALID, "--label: expected NAME=VALUE: %s", list.items[i]);
        }
        labels[i] =
            (struct label){{list.items[i], (size_t)(equals - list.items[i])}, str_of(equals + 1)};
        if (!label_name_valid(labels[i].name, NAMES_UTF8)) {
            return err_set(err, ERR_INVALID, "--label: no label name: %s", list.items[i]);
        }
    }
    out->labels = labels;
    out->label_count = list.count;
    return ERR_OK;
}

static enum err_code read_options(struct tool_call *call, struct backfill_options *out,
                                  struct err *err) {
    int64_t block_ns = 0;
    const enum err_code code =
        tool_parse_go_duration(str_of(tool_text(call, "max-block-duration")), &block_ns, err);
    if (code != ERR_OK) {
        return err_wrap(err, "--max-block-duration");
    }
    out->block_ms = export_block_length(block_ns / NS_PER_MS);
    return read_labels(call, out, err);
}

/* ---- making blocks ---- */

static enum err_code make_blocks(struct tool_call *call, struct backfill_options *options,
                                 struct backfill_result *result, struct err *err) {
    const char *path = tool_arg(call, 0);
    struct vfs_file *file = NULL;
    struct vfs_view view = {0};
    struct progress progress;
    uint64_t size = 0;
    enum err_code code = vfs_open(call->io.vfs, path, VFS_READ, &file, err);
    code = code == ERR_OK ? vfs_file_size(file, &size, err) : code;
    code = code == ERR_OK ? vfs_view_open(file, (size_t)size, &view, err) : code;
    if (code == ERR_OK) {
        tsdb_tool_progress(call, "making blocks", "samples", &progress);
        options->progress = &progress;
        code = backfill_openmetrics((struct str){(const char *)view.bytes, view.n}, options, result,
                                    err);
        progress_end(&progress);
    }
    vfs_view_close(&view);
    vfs_file_close(file);
    return code;
}

static enum err_code list_blocks(struct tool_call *call, const char *path, struct err *err) {
    struct prom_db db;
    struct buf text;
    buf_init(&text, LIST_BYTES_MAX);
    enum err_code code = prom_db_init(&db, call->io.vfs, path, false, NULL, err);
    code =
        code == ERR_OK ? prom_db_list(&db, tool_is_on(call, "human-readable"), &text, err) : code;
    prom_db_release(&db);
    if (code == ERR_OK) {
        (void)fwrite(buf_str(&text).ptr, 1, text.len, call->io.out);
    }
    buf_release(&text);
    return code;
}

static enum err_code import_blocks(struct tool_call *call, const char *from, const char *to,
                                   struct log *log, struct err *err) {
    struct import_result result = {0};
    struct progress progress;
    struct tsdb *db = NULL;
    enum err_code code = tsdb_tool_open(to, log, false, &db, err);
    if (code != ERR_OK) {
        return code;
    }
    tsdb_tool_progress(call, "importing", "samples", &progress);
    const struct import_options options = {
        .vfs = call->io.vfs, .log = log, .progress = &progress, .path = from};
    code = import_prometheus(tsdb_storage(db), &options, &result, err);
    progress_end(&progress);
    (void)fprintf(call->io.out, "imported %llu samples, %llu were there already\n",
                  (unsigned long long)result.samples, (unsigned long long)result.present);
    code = code == ERR_OK ? tsdb_compact(db, false, err) : code;
    tsdb_close(db);
    return code;
}

static enum err_code into_database(struct tool_call *call, struct backfill_options *options,
                                   const char *to, struct err *err) {
    struct backfill_result result;
    struct log *log = tsdb_tool_log();
    size_t n = strlen(to);
    while (n > 1 && to[n - 1] == '/') {
        n--;
    }
    options->path = arena_printf(call->arena, "%.*s.blocks.tmp", (int)n, to).ptr;
    remove_tree(call->io.vfs, options->path, TREE_DEPTH_MAX);
    enum err_code code = make_blocks(call, options, &result, err);
    if (code == ERR_OK && result.blocks != 0) {
        code = import_blocks(call, options->path, to, log, err);
    }
    remove_tree(call->io.vfs, options->path, TREE_DEPTH_MAX);
    log_free(log);
    return code;
}

int cmd_tsdb_create_blocks(struct tool_call *call) {
    struct rng rng = rng_system();
    struct backfill_result result;
    struct err err;
    struct backfill_options options = {
        .vfs = call->io.vfs, .clock = clock_system(), .rng = &rng, .path = tool_arg(call, 1)};
    options.path = options.path != NULL ? options.path : "data/";
    const bool ours = storage_is_database(call->io.vfs, options.path);
    enum err_code code = read_options(call, &options, &err);
    if (code == ERR_OK && !tool_is_on(call, "prometheus-blocks")) {
        code = into_database(call, &options, options.path, &err);
    } else if (code == ERR_OK && ours) {
        code = err_set(&err, ERR_EXISTS, "%s is a data folder of Brasa: write blocks into another",
                       options.path);
    } else if (code == ERR_OK) {
        code = make_blocks(call, &options, &result, &err);
        if (code == ERR_OK && result.blocks != 0 && !tool_is_on(call, "quiet")) {
            code = list_blocks(call, options.path, &err);
        }
    }
    return code == ERR_OK ? TOOL_OK : tsdb_tool_fail(call, &err);
}

/* A database of ours takes samples in the order of time over all series, a page has them series by
 * series: blocks are made beside the database, imported, and removed again. */
#include "backfill_target.h"

#include <string.h>

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

/* ---- what becomes of the blocks ---- */

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
    enum err_code code = tsdb_tool_open(to, log, &db, err);
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

static enum err_code into_database(struct tool_call *call, const char *to, backfill_make_fn *make,
                                   void *ctx, struct err *err) {
    uint64_t blocks = 0;
    struct log *log = tsdb_tool_log();
    size_t n = strlen(to);
    while (n > 1 && to[n - 1] == '/') {
        n--;
    }
    const char *path = arena_printf(call->arena, "%.*s.blocks.tmp", (int)n, to).ptr;
    remove_tree(call->io.vfs, path, TREE_DEPTH_MAX);
    enum err_code code = make(ctx, path, &blocks, err);
    if (code == ERR_OK && blocks != 0) {
        code = import_blocks(call, path, to, log, err);
    }
    remove_tree(call->io.vfs, path, TREE_DEPTH_MAX);
    log_free(log);
    return code;
}

enum err_code backfill_into(struct tool_call *call, const char *path, backfill_make_fn *make,
                            void *ctx, struct err *err) {
    uint64_t blocks = 0;
    if (!tool_is_on(call, "prometheus-blocks")) {
        return into_database(call, path, make, ctx, err);
    }
    if (storage_is_database(call->io.vfs, path)) {
        return err_set(err, ERR_EXISTS, "%s is a data folder of Brasa: write blocks into another",
                       path);
    }
    const enum err_code code = make(ctx, path, &blocks, err);
    return code == ERR_OK && blocks != 0 && !tool_is_on(call, "quiet")
               ? list_blocks(call, path, err)
               : code;
}

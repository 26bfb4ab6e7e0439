#include "cmd_tsdb_backfill.h"

#include <string.h>

#include "backfill.h"
#include "backfill_target.h"
#include "tsdb/export.h"
#include "tsdb_tool.h"

struct making {
    struct tool_call *call;
    struct backfill_options options;
};

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

static enum err_code make_blocks(void *ctx, const char *path, uint64_t *out_blocks,
                                 struct err *err) {
    struct making *making = ctx;
    struct tool_call *call = making->call;
    struct backfill_result result = {0};
    struct vfs_file *file = NULL;
    struct vfs_view view = {0};
    struct progress progress;
    uint64_t size = 0;
    enum err_code code = vfs_open(call->io.vfs, tool_arg(call, 0), VFS_READ, &file, err);
    code = code == ERR_OK ? vfs_file_size(file, &size, err) : code;
    code = code == ERR_OK ? vfs_view_open(file, (size_t)size, &view, err) : code;
    if (code == ERR_OK) {
        tsdb_tool_progress(call, "making blocks", "samples", &progress);
        making->options.progress = &progress;
        making->options.path = path;
        code = backfill_openmetrics((struct str){(const char *)view.bytes, view.n},
                                    &making->options, &result, err);
        progress_end(&progress);
    }
    *out_blocks = result.blocks;
    vfs_view_close(&view);
    vfs_file_close(file);
    return code;
}

int cmd_tsdb_create_blocks(struct tool_call *call) {
    struct rng rng = rng_system();
    struct err err;
    struct making making = {.call = call,
                            .options = {.vfs = call->io.vfs, .clock = clock_system(), .rng = &rng}};
    const char *path = tool_arg(call, 1) != NULL ? tool_arg(call, 1) : "data/";
    enum err_code code = read_options(call, &making.options, &err);
    code = code == ERR_OK ? backfill_into(call, path, make_blocks, &making, &err) : code;
    return code == ERR_OK ? TOOL_OK : tsdb_tool_fail(call, &err);
}

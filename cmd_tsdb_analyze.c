#include "cmd_tsdb_analyze.h"

#include "base/number.h"
#include "query/query.h"
#include "tsdb/analyze.h"
#include "tsdb/storage_dump.h"
#include "tsdb_tool.h"

enum { TEXT_BYTES_MAX = 256 << 20 };

static enum err_code read_options(struct tool_call *call, struct analyze_options *out,
                                  struct err *err) {
    struct matcher *matchers = NULL;
    uint64_t limit = 0;
    if (number_parse_u64(str_of(tool_text(call, "limit")), &limit) != NUMBER_OK) {
        return err_set(err, ERR_INVALID, "--limit: no number: %s", tool_text(call, "limit"));
    }
    out->limit = (size_t)limit;
    out->selector = tool_text(call, "match");
    if (out->selector == NULL) {
        return ERR_OK;
    }
    const enum err_code code = query_parse_selector(call->arena, str_of(out->selector), &matchers,
                                                    &out->matcher_count, err);
    out->matchers = matchers;
    return code;
}

/* A young database has no partition yet: then what is in its head is made one, in memory. */
static enum err_code analyze_database(struct tool_call *call, struct analyze_options *options,
                                      struct buf *to, struct err *err) {
    struct vfs_scratch *folder = NULL;
    enum err_code code = tsdb_tool_freeze(call, options->path, &folder, err);
    if (code != ERR_OK) {
        return code;
    }
    options->vfs = vfs_scratch_base(folder);
    code = analyze_block(options, to, err);
    if (code == ERR_NOT_FOUND && options->block == NULL) {
        struct log *log = tsdb_tool_log();
        code = tsdb_tool_cut(folder, options->path, log, err);
        code = code == ERR_OK ? analyze_block(options, to, err) : code;
        log_free(log);
    }
    vfs_scratch_free(folder);
    return code;
}

int cmd_tsdb_analyze(struct tool_call *call) {
    struct analyze_options options = {
        .vfs = call->io.vfs,
        .path = tool_arg(call, 0) != NULL ? tool_arg(call, 0) : "data/",
        .block = tool_arg(call, 1),
        .extended = tool_is_on(call, "extended"),
    };
    struct buf text;
    struct err err;
    enum err_code code = read_options(call, &options, &err);
    buf_init(&text, TEXT_BYTES_MAX);
    if (code == ERR_OK) {
        code = storage_is_database(call->io.vfs, options.path)
                   ? analyze_database(call, &options, &text, &err)
                   : analyze_block(&options, &text, &err);
    }
    if (code == ERR_OK) {
        (void)fwrite(buf_str(&text).ptr, 1, text.len, call->io.out);
    }
    buf_release(&text);
    return code == ERR_OK ? TOOL_OK : tsdb_tool_fail(call, &err);
}

#include "cmd_tsdb_analyze.h"

#include "base/number.h"
#include "tsdb/analyze.h"
#include "tsdb_tool.h"

enum { TEXT_BYTES_MAX = 256 << 20 };

int cmd_tsdb_analyze(struct tool_call *call) {
    const char *path = tool_arg(call, 0) != NULL ? tool_arg(call, 0) : "data/";
    struct buf text;
    struct err err;
    uint64_t limit = 0;
    enum err_code code = ERR_OK;
    if (number_parse_u64(str_of(tool_text(call, "limit")), &limit) != NUMBER_OK) {
        code = err_set(&err, ERR_INVALID, "--limit: no number: %s", tool_text(call, "limit"));
    }
    buf_init(&text, TEXT_BYTES_MAX);
    if (code == ERR_OK) {
        code = analyze_block(call->io.vfs, path, tool_arg(call, 1), (size_t)limit, &text, &err);
    }
    if (code == ERR_OK) {
        (void)fwrite(buf_str(&text).ptr, 1, text.len, call->io.out);
    }
    buf_release(&text);
    return code == ERR_OK ? TOOL_OK : tsdb_tool_fail(call, &err);
}

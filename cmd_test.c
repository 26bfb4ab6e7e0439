#include "cmd_test.h"

#include <string.h>

#include "base/mem.h"
#include "query/script/promqltest.h"
#include "script_storage.h"

enum { SCRIPT_BYTES_MAX = 16 * 1024 * 1024 };

/* store NULL: the small storage in memory. */
static bool run_script(struct tool_call *call, struct promqltest_store *store, const char *path,
                       struct promqltest_report *total) {
    char *text = NULL;
    size_t len = 0;
    struct err err;
    if (vfs_read_file(call->io.vfs, path, SCRIPT_BYTES_MAX, &text, &len, &err) != ERR_OK) {
        (void)fprintf(call->io.err, "%s\n", err.text);
        return false;
    }
    struct promqltest_report report;
    promqltest_run_on(store, path, (struct str){text, len}, true, &report);
    mem_free(text);
    if (report.unsupported > 0) {
        (void)fprintf(call->io.err, "%s: %zu not supported by this version\n", path,
                      report.unsupported);
    }
    total->passed += report.passed;
    total->failed += report.failed;
    total->unsupported += report.unsupported;
    return true;
}

int cmd_test_promql(struct tool_call *call) {
    struct promqltest_report total = {.passed = 0};
    struct script_storage *storage = NULL;
    struct promqltest_store *store = NULL;
    bool read = true;
    if (strcmp(tool_text(call, "storage"), "tsdb") == 0) {
        struct err err;
        if (script_storage_new(call->io.vfs, call->io.err, &storage, &err) != ERR_OK) {
            (void)fprintf(call->io.err, "%s\n", err.text);
            return TOOL_FAILED;
        }
        store = script_storage_store(storage);
    }
    for (size_t i = 0; i < call->args[0].count; i++) {
        read = run_script(call, store, call->args[0].items[i], &total) && read;
    }
    script_storage_free(storage);
    const size_t failed = total.failed + total.unsupported;
    (void)fprintf(call->io.out, "%zu passed, %zu failed\n", total.passed, failed);
    return read && failed == 0 ? TOOL_OK : TOOL_FAILED;
}

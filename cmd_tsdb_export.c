#include "cmd_tsdb_export.h"

#include "tsdb/export.h"
#include "tsdb/storage_dump.h"
#include "tsdb_tool.h"

static enum err_code read_options(struct tool_call *call, struct export_options *out,
                                  struct err *err) {
    struct prom_selector *selectors = NULL;
    int64_t block_ns = EXPORT_BLOCK_MS * NS_PER_MS;
    enum err_code code =
        tool_parse_go_duration(str_of(tool_text(call, "max-block-duration")), &block_ns, err);
    if (code != ERR_OK) {
        return err_wrap(err, "--max-block-duration");
    }
    out->block_ms = export_block_length(block_ns / NS_PER_MS);
    code = tsdb_tool_time(call, "min-time", INT64_MIN, &out->mint, err);
    code = code == ERR_OK ? tsdb_tool_time(call, "max-time", INT64_MAX, &out->maxt, err) : code;
    code = code == ERR_OK ? tsdb_tool_selectors(call, &selectors, &out->selector_count, err) : code;
    out->selectors = selectors;
    return code;
}

static void print_result(const struct tool_call *call, const struct export_result *r,
                         double seconds) {
    (void)fprintf(call->io.out, "exported %llu samples to %llu blocks in %.1f s\n",
                  (unsigned long long)r->samples, (unsigned long long)r->blocks, seconds);
}

static enum err_code export_from(struct tool_call *call, struct export_options *options,
                                 struct log *log, struct err *err) {
    struct export_result result = {0};
    struct progress progress;
    struct tsdb_reader reader;
    struct clock *clock = clock_system();
    const int64_t begin_ns = clock_mono_ns(clock);
    enum err_code code = tsdb_reader_open(call, tool_arg(call, 0), log, &reader, err);
    if (code != ERR_OK) {
        return code;
    }
    tsdb_tool_progress(call, "exporting", "s of data", &progress);
    options->progress = &progress;
    code = export_storage(tsdb_storage(reader.db), options, &result, err);
    progress_end(&progress);
    print_result(call, &result, (double)(clock_mono_ns(clock) - begin_ns) / (double)NS_PER_S);
    tsdb_reader_close(&reader);
    return code;
}

int cmd_tsdb_export(struct tool_call *call) {
    struct rng rng = rng_system();
    struct err err;
    struct export_options options = {
        .vfs = call->io.vfs, .clock = clock_system(), .rng = &rng, .path = tool_arg(call, 1)};
    const char *from = tool_arg(call, 0);
    enum err_code code = read_options(call, &options, &err);
    if (code == ERR_OK && !storage_is_database(call->io.vfs, from)) {
        code = err_set(&err, ERR_NOT_FOUND, "%s is no data folder of Brasa", from);
    }
    if (code == ERR_OK && storage_is_database(call->io.vfs, options.path)) {
        code = err_set(&err, ERR_EXISTS, "%s is a data folder of Brasa: export into another one",
                       options.path);
    }
    if (code == ERR_OK) {
        struct log *log = tsdb_tool_log();
        code = export_from(call, &options, log, &err);
        log_free(log);
    }
    return code == ERR_OK ? TOOL_OK : tsdb_tool_fail(call, &err);
}

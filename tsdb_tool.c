#include "tsdb_tool.h"

#include <sys/resource.h>
#include <unistd.h>

#include "base/number.h"
#include "query/query.h"
#include "tsdb/frozen.h"

/* As many as a server keeps unless its configuration says otherwise: no tool drops what is there. */
enum { TOOL_EXEMPLARS_MAX = 100000 };

struct log *tsdb_tool_log(void) {
    return log_new(clock_system(), STDERR_FILENO, LOG_WARN, LOG_LOGFMT);
}

static struct tsdb_options tool_options(const char *path, struct log *log) {
    struct tsdb_options options;
    tsdb_options_default(&options);
    options.path = path;
    options.log = log;
    options.max_exemplars = TOOL_EXEMPLARS_MAX;
    return options;
}

enum err_code tsdb_tool_open(const char *path, struct log *log, struct tsdb **out,
                             struct err *err) {
    const struct tsdb_options options = tool_options(path, log);
    struct tsdb_replay_stats stats;
    return tsdb_open(&options, out, &stats, err);
}

/* ---- reading only ---- */

/* Each file of the folder is held open. */
static void allow_many_files(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* else the file that is one too many says so */
    }
}

enum err_code tsdb_tool_freeze(struct tool_call *call, const char *path, struct vfs_scratch **out,
                               struct err *err) {
    allow_many_files();
    return frozen_take(call->io.vfs, path, out, err);
}

static enum err_code open_frozen(struct vfs_scratch *folder, const char *path, struct log *log,
                                 struct tsdb **out, struct err *err) {
    struct tsdb_options options = tool_options(path, log);
    struct tsdb_replay_stats stats;
    options.vfs = vfs_scratch_base(folder);
    options.no_background = true;
    options.no_compaction = true;
    return tsdb_open(&options, out, &stats, err);
}

enum err_code tsdb_reader_open(struct tool_call *call, const char *path, struct log *log,
                               struct tsdb_reader *out, struct err *err) {
    struct tsdb_reader reader;
    enum err_code code = tsdb_tool_freeze(call, path, &reader.folder, err);
    if (code != ERR_OK) {
        return code;
    }
    code = open_frozen(reader.folder, path, log, &reader.db, err);
    if (code != ERR_OK) {
        vfs_scratch_free(reader.folder);
        return code;
    }
    *out = reader;
    return ERR_OK;
}

void tsdb_reader_close(struct tsdb_reader *reader) {
    tsdb_close(reader->db);
    vfs_scratch_free(reader->folder);
}

enum err_code tsdb_tool_cut(struct vfs_scratch *folder, const char *path, struct log *log,
                            struct err *err) {
    struct tsdb *db;
    enum err_code code = open_frozen(folder, path, log, &db, err);
    if (code == ERR_OK) {
        code = tsdb_compact(db, true, err);
        tsdb_close(db);
    }
    return code;
}

enum err_code tsdb_tool_selectors(struct tool_call *call, struct prom_selector **out,
                                  size_t *out_count, struct err *err) {
    const struct tool_values list = tool_list(call, "match");
    struct prom_selector *selectors =
        arena_alloc(call->arena, (list.count + 1) * sizeof(*selectors));
    for (size_t i = 0; i < list.count; i++) {
        struct matcher *matchers = NULL;
        size_t count = 0;
        const enum err_code code =
            query_parse_selector(call->arena, str_of(list.items[i]), &matchers, &count, err);
        if (code != ERR_OK) {
            return code;
        }
        selectors[i] = (struct prom_selector){matchers, count};
    }
    *out = selectors;
    *out_count = list.count;
    return ERR_OK;
}

enum err_code tsdb_tool_time(const struct tool_call *call, const char *flag, int64_t missing,
                             int64_t *out, struct err *err) {
    const char *text = tool_text(call, flag);
    *out = missing;
    if (text != NULL && number_parse_i64(str_of(text), out) != NUMBER_OK) {
        return err_set(err, ERR_INVALID, "--%s: no integer: %s", flag, text);
    }
    return ERR_OK;
}

int tsdb_tool_fail(const struct tool_call *call, const struct err *err) {
    (void)fflush(call->io.out);
    (void)fprintf(call->io.err, "%s\n", err->text);
    return TOOL_FAILED;
}

void tsdb_tool_progress(const struct tool_call *call, const char *phase, const char *unit,
                        struct progress *out) {
    progress_begin(out, clock_system(), tool_is_on(call, "quiet") ? NULL : call->io.err,
                   isatty(STDERR_FILENO) == 1, phase, unit);
}

#include "cmd_tsdb.h"

#include <string.h>

#include "tsdb/import.h"
#include "tsdb/prom_db.h"
#include "tsdb/prom_dump.h"
#include "tsdb/storage_dump.h"
#include "tsdb/verify.h"
#include "tsdb_tool.h"

enum { LIST_BYTES_MAX = 256 << 20 };

/* ---- list and dump ---- */

/* The folder that the command names, or the one that servers have. */
static const char *data_folder(const struct tool_call *call) {
    return tool_arg(call, 0) != NULL ? tool_arg(call, 0) : "data/";
}

static enum err_code list_database(struct tool_call *call, const char *dir, struct buf *to,
                                   struct err *err) {
    struct vfs_scratch *folder;
    enum err_code code = tsdb_tool_freeze(call, dir, &folder, err);
    if (code == ERR_OK) {
        code = storage_list_partitions(vfs_scratch_base(folder), dir,
                                       tool_is_on(call, "human-readable"), to, err);
        vfs_scratch_free(folder);
    }
    return code;
}

int cmd_tsdb_list(struct tool_call *call) {
    const char *dir = data_folder(call);
    struct prom_db db;
    struct buf text;
    struct err err;
    enum err_code code;
    buf_init(&text, LIST_BYTES_MAX);
    if (storage_is_database(call->io.vfs, dir)) {
        code = list_database(call, dir, &text, &err);
    } else {
        code = prom_db_init(&db, call->io.vfs, dir, false, NULL, &err);
        code = code == ERR_OK ? prom_db_list(&db, tool_is_on(call, "human-readable"), &text, &err)
                              : code;
        prom_db_release(&db);
    }
    if (code == ERR_OK) {
        (void)fwrite(buf_str(&text).ptr, 1, text.len, call->io.out);
    }
    buf_release(&text);
    return code == ERR_OK ? TOOL_OK : tsdb_tool_fail(call, &err);
}

static enum err_code dump_database(struct tool_call *call, const char *dir,
                                   const struct prom_dump_options *options,
                                   struct prom_dump_result *result, struct err *err) {
    struct tsdb_reader reader;
    enum err_code code = tsdb_reader_open(call, dir, options->log, &reader, err);
    if (code == ERR_OK) {
        code = storage_dump(tsdb_storage(reader.db), options, call->io.out, result, err);
        tsdb_reader_close(&reader);
    }
    return code;
}

static int dump_as(struct tool_call *call, enum prom_dump_format format) {
    const char *dir = data_folder(call);
    struct prom_selector *selectors = NULL;
    struct prom_dump_options options = {.format = format};
    struct prom_dump_result result = {0};
    struct err err;
    enum err_code code = tsdb_tool_time(call, "min-time", INT64_MIN, &options.mint, &err);
    code = code == ERR_OK ? tsdb_tool_time(call, "max-time", INT64_MAX, &options.maxt, &err) : code;
    code = code == ERR_OK ? tsdb_tool_selectors(call, &selectors, &options.selector_count, &err)
                          : code;
    options.selectors = selectors;
    if (code == ERR_OK) {
        options.log = tsdb_tool_log();
        code = storage_is_database(call->io.vfs, dir)
                   ? dump_database(call, dir, &options, &result, &err)
                   : prom_dump(call->io.vfs, dir, &options, call->io.out, &result, &err);
        log_free(options.log);
    }
    return code == ERR_OK ? TOOL_OK : tsdb_tool_fail(call, &err);
}

int cmd_tsdb_dump(struct tool_call *call) {
    const bool series = strcmp(tool_text(call, "format"), "seriesjson") == 0;
    return dump_as(call, series ? PROM_DUMP_SERIES_JSON : PROM_DUMP_LINES);
}

int cmd_tsdb_dump_openmetrics(struct tool_call *call) {
    return dump_as(call, PROM_DUMP_OPENMETRICS);
}

/* ---- import ---- */

static void print_count(const struct tool_call *call, uint64_t n, const char *what) {
    if (n != 0) {
        (void)fprintf(call->io.out, "  %llu %s\n", (unsigned long long)n, what);
    }
}

static void print_result(const struct tool_call *call, const struct import_result *r,
                         double seconds) {
    (void)fprintf(call->io.out,
                  "imported %llu samples from %llu blocks and the write-ahead log in %.1f s\n",
                  (unsigned long long)r->samples, (unsigned long long)r->blocks, seconds);
    print_count(call, r->present, "samples were there already");
    print_count(call, r->conflicts,
                "samples left out: the database has another value at their time");
    print_count(call, r->future, "samples left out: too far in the future");
    print_count(call, r->histograms, "of the samples are native histograms");
    print_count(call, r->start_times, "of the samples have a start time");
    print_count(call, r->exemplars, "exemplars");
    print_count(call, r->metadata, "series have a type, a help text or a unit");
    print_count(call, r->damaged_segments, "damaged segments of the log, read up to the damage");
    print_count(call, r->torn_bytes, "bytes at the end of the log were never completely written");
    print_count(call, r->unknown_series, "samples of the log left out: their series is lost");
}

int cmd_tsdb_import(struct tool_call *call) {
    struct import_result result = {0};
    struct progress progress;
    struct tsdb *db = NULL;
    struct err err;
    struct clock *clock = clock_system();
    const int64_t begin_ns = clock_mono_ns(clock);
    struct log *log = tsdb_tool_log();
    enum err_code code = tsdb_tool_open(tool_text(call, "storage.tsdb.path"), log, &db, &err);
    if (code == ERR_OK) {
        tsdb_tool_progress(call, "importing", "samples", &progress);
        const struct import_options options = {
            .vfs = call->io.vfs, .log = log, .progress = &progress, .path = tool_arg(call, 0)};
        code = import_prometheus(tsdb_storage(db), &options, &result, &err);
        progress_end(&progress);
        print_result(call, &result, (double)(clock_mono_ns(clock) - begin_ns) / (double)NS_PER_S);
        if (code == ERR_OK) { /* what is old need not wait for the server */
            code = tsdb_compact(db, false, &err);
        }
        tsdb_close(db);
    }
    log_free(log);
    return code == ERR_OK ? TOOL_OK : tsdb_tool_fail(call, &err);
}

/* ---- verify ---- */

static void print_finding(void *ctx, const struct verify_finding *f) {
    const struct tool_call *call = ctx;
    if (f->path[0] == '\0') {
        (void)fprintf(call->io.out, "%s\n", f->text);
    } else {
        (void)fprintf(call->io.out, "%s: offset %llu, %llu bytes: %s\n", f->path,
                      (unsigned long long)f->offset, (unsigned long long)f->size, f->text);
    }
}

int cmd_tsdb_verify(struct tool_call *call) {
    struct vfs_scratch *folder;
    struct verify_result r;
    struct err err;
    const char *dir = data_folder(call);
    enum err_code code = tsdb_tool_freeze(call, dir, &folder, &err);
    if (code == ERR_OK) {
        code = verify_database(vfs_scratch_base(folder), dir, print_finding, call, &r, &err);
        vfs_scratch_free(folder);
    }
    if (code != ERR_OK) {
        return tsdb_tool_fail(call, &err);
    }
    (void)fprintf(
        call->io.out,
        "%llu series of %llu groups, %llu records of the write-ahead log, %llu sealed runs, "
        "%llu partitions, %llu records of exemplars and metadata, %llu series with deleted "
        "samples: ",
        (unsigned long long)r.series, (unsigned long long)r.groups,
        (unsigned long long)r.wal_records, (unsigned long long)r.runs,
        (unsigned long long)r.partitions, (unsigned long long)r.notes,
        (unsigned long long)r.tombstones);
    if (r.findings == 0) {
        (void)fprintf(call->io.out, "no damage\n");
    } else {
        (void)fprintf(call->io.out, "%llu damaged places\n", (unsigned long long)r.findings);
    }
    print_count(call, r.unfinished_bytes, "bytes at the end were never completely written");
    return r.findings == 0 ? TOOL_OK : TOOL_FAILED;
}

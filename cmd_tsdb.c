#include "cmd_tsdb.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/number.h"
#include "base/progress.h"
#include "query/query.h"
#include "tsdb/import.h"
#include "tsdb/prom_db.h"
#include "tsdb/prom_dump.h"
#include "tsdb/storage_dump.h"
#include "tsdb/tsdb.h"
#include "tsdb/verify.h"
#include "tsdb_tool.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };
enum { SELECTORS_MAX = 64, LIST_BYTES_MAX = 256 << 20 };

struct tsdb_args {
    const char *dir; /* NULL: not given */
    const char *storage_path;
    int64_t mint;
    int64_t maxt;
    const char *matches[SELECTORS_MAX];
    size_t match_count;
    bool human;
    bool quiet;
};

static int fail(const struct err *err) {
    (void)fflush(stdout);
    (void)fprintf(stderr, "%s\n", err->text);
    return EXIT_FAILED;
}

/* ---- arguments ---- */

enum tsdb_flag { FLAG_STORAGE = 1, FLAG_MIN = 2, FLAG_MAX = 4, FLAG_MATCH = 8 };
enum tsdb_switch { SWITCH_HUMAN = 1, SWITCH_QUIET = 2 };

static bool take_switch(const char *arg, unsigned allowed, struct tsdb_args *out) {
    if ((allowed & SWITCH_HUMAN) != 0 &&
        (strcmp(arg, "-r") == 0 || strcmp(arg, "--human-readable") == 0)) {
        out->human = true;
        return true;
    }
    if ((allowed & SWITCH_QUIET) != 0 && (strcmp(arg, "-q") == 0 || strcmp(arg, "--quiet") == 0)) {
        out->quiet = true;
        return true;
    }
    return false;
}

static bool set_flag(enum tsdb_flag flag, const char *value, struct tsdb_args *out) {
    switch (flag) {
    case FLAG_STORAGE:
        out->storage_path = value;
        return true;
    case FLAG_MIN:
        return number_parse_i64(str_of(value), &out->mint) == NUMBER_OK;
    case FLAG_MAX:
        return number_parse_i64(str_of(value), &out->maxt) == NUMBER_OK;
    case FLAG_MATCH:
        if (out->match_count == SELECTORS_MAX) {
            return false;
        }
        out->matches[out->match_count++] = value;
        return true;
    }
    return false;
}

/* Takes the flag at argv[*i] and, if it stands alone, its value behind it. */
static bool take_flag(int argc, char *const *argv, int *i, unsigned allowed,
                      struct tsdb_args *out) {
    static const struct {
        const char *name;
        enum tsdb_flag flag;
    } flags[] = {{"--storage.tsdb.path", FLAG_STORAGE},
                 {"--min-time", FLAG_MIN},
                 {"--max-time", FLAG_MAX},
                 {"--match", FLAG_MATCH}};
    const char *arg = argv[*i];
    for (size_t k = 0; k < COUNT_OF(flags); k++) {
        const size_t n = strlen(flags[k].name);
        if ((flags[k].flag & allowed) == 0 || strncmp(arg, flags[k].name, n) != 0) {
            continue;
        }
        if (arg[n] == '=') {
            return set_flag(flags[k].flag, arg + n + 1, out);
        }
        if (arg[n] == '\0' && *i + 1 < argc) {
            *i += 1;
            return set_flag(flags[k].flag, argv[*i], out);
        }
    }
    return false;
}

static bool parse_args(int argc, char *const *argv, unsigned flags, unsigned switches,
                       struct tsdb_args *out) {
    *out = (struct tsdb_args){.storage_path = "data", .mint = INT64_MIN, .maxt = INT64_MAX};
    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i];
        const bool taken =
            arg[0] == '-' ? take_switch(arg, switches, out) || take_flag(argc, argv, &i, flags, out)
                          : out->dir == NULL;
        if (!taken) {
            (void)fprintf(stderr, "brasa: error: unexpected argument or value '%s'\n", arg);
            return false;
        }
        if (arg[0] != '-') {
            out->dir = arg;
        }
    }
    return true;
}

/* ---- list and dump ---- */

static int list(int argc, char *const *argv) {
    struct tsdb_args args;
    struct prom_db db;
    struct buf text;
    struct err err;
    if (!parse_args(argc, argv, 0, SWITCH_HUMAN, &args)) {
        return EXIT_USAGE;
    }
    buf_init(&text, LIST_BYTES_MAX);
    const char *dir = args.dir != NULL ? args.dir : "data/";
    enum err_code code;
    if (storage_is_database(vfs_system(), dir)) {
        code = storage_list_partitions(vfs_system(), dir, args.human, &text, &err);
    } else {
        code = prom_db_init(&db, vfs_system(), dir, false, NULL, &err);
        code = code == ERR_OK ? prom_db_list(&db, args.human, &text, &err) : code;
        prom_db_release(&db);
    }
    if (code == ERR_OK) {
        (void)fwrite(buf_str(&text).ptr, 1, text.len, stdout);
    }
    buf_release(&text);
    return code == ERR_OK ? EXIT_OK : fail(&err);
}

static enum err_code parse_selectors(const struct tsdb_args *args, struct arena *arena,
                                     struct prom_selector *out, struct err *err) {
    for (size_t i = 0; i < args->match_count; i++) {
        struct matcher *matchers = NULL;
        size_t count = 0;
        const enum err_code code =
            query_parse_selector(arena, str_of(args->matches[i]), &matchers, &count, err);
        if (code != ERR_OK) {
            return code;
        }
        out[i] = (struct prom_selector){matchers, count};
    }
    return ERR_OK;
}

/* Of a database of ours, which no server may have open meanwhile. */
static enum err_code dump_database(const char *dir, const struct prom_dump_options *options,
                                   struct log *log, struct prom_dump_result *result,
                                   struct err *err) {
    struct tsdb *db;
    enum err_code code = tsdb_tool_open(dir, log, true, &db, err);
    if (code == ERR_OK) {
        code = storage_dump(tsdb_storage(db), options, stdout, result, err);
        tsdb_close(db);
    }
    return code;
}

static int dump_as(int argc, char *const *argv, enum prom_dump_format format) {
    struct tsdb_args args;
    struct prom_selector selectors[SELECTORS_MAX];
    struct prom_dump_result result = {0};
    struct arena arena;
    struct err err;
    if (!parse_args(argc, argv, FLAG_MIN | FLAG_MAX | FLAG_MATCH, 0, &args)) {
        return EXIT_USAGE;
    }
    arena_init(&arena, 0);
    struct log *log = log_new(clock_system(), STDERR_FILENO, LOG_WARN, LOG_LOGFMT);
    enum err_code code = parse_selectors(&args, &arena, selectors, &err);
    if (code == ERR_OK) {
        const struct prom_dump_options options = {.format = format,
                                                  .mint = args.mint,
                                                  .maxt = args.maxt,
                                                  .selectors = selectors,
                                                  .selector_count = args.match_count,
                                                  .log = log};
        const char *dir = args.dir != NULL ? args.dir : "data/";
        code = storage_is_database(vfs_system(), dir)
                   ? dump_database(dir, &options, log, &result, &err)
                   : prom_dump(vfs_system(), dir, &options, stdout, &result, &err);
    }
    log_free(log);
    arena_release(&arena);
    return code == ERR_OK ? EXIT_OK : fail(&err);
}

static int dump(int argc, char *const *argv) {
    return dump_as(argc, argv, PROM_DUMP_LINES);
}

static int dump_openmetrics(int argc, char *const *argv) {
    return dump_as(argc, argv, PROM_DUMP_OPENMETRICS);
}

/* ---- import ---- */

static void print_count(uint64_t n, const char *what) {
    if (n != 0) {
        (void)printf("  %llu %s\n", (unsigned long long)n, what);
    }
}

static void print_result(const struct import_result *r, double seconds) {
    (void)printf("imported %llu samples from %llu blocks and the write-ahead log in %.1f s\n",
                 (unsigned long long)r->samples, (unsigned long long)r->blocks, seconds);
    print_count(r->present, "samples were there already");
    print_count(r->conflicts, "samples left out: the database has another value at their time");
    print_count(r->future, "samples left out: too far in the future");
    print_count(r->histograms, "of the samples are native histograms");
    print_count(r->damaged_segments, "damaged segments of the log, read up to the damage");
    print_count(r->torn_bytes, "bytes at the end of the log were never completely written");
    print_count(r->unknown_series, "samples of the log left out: their series is lost");
}

static int import(int argc, char *const *argv) {
    struct tsdb_args args;
    struct import_result result = {0};
    struct progress progress;
    struct tsdb *db = NULL;
    struct err err;
    if (!parse_args(argc, argv, FLAG_STORAGE, SWITCH_QUIET, &args)) {
        return EXIT_USAGE;
    }
    if (args.dir == NULL) {
        (void)fprintf(stderr, "brasa: error: required argument 'dir' not provided\n");
        return EXIT_USAGE;
    }
    struct clock *clock = clock_system();
    const int64_t begin_ns = clock_mono_ns(clock);
    struct log *log = log_new(clock, STDERR_FILENO, LOG_WARN, LOG_LOGFMT);
    enum err_code code = tsdb_tool_open(args.storage_path, log, false, &db, &err);
    if (code == ERR_OK) {
        progress_begin(&progress, clock, args.quiet ? NULL : stderr, isatty(STDERR_FILENO) == 1,
                       "importing", "samples");
        const struct import_options options = {
            .vfs = vfs_system(), .log = log, .progress = &progress, .path = args.dir};
        code = import_prometheus(tsdb_storage(db), &options, &result, &err);
        progress_end(&progress);
        print_result(&result, (double)(clock_mono_ns(clock) - begin_ns) / (double)NS_PER_S);
        if (code == ERR_OK) { /* what is old need not wait for the server */
            code = tsdb_compact(db, false, &err);
        }
        tsdb_close(db);
    }
    log_free(log);
    return code == ERR_OK ? EXIT_OK : fail(&err);
}

/* ---- verify ---- */

static void print_finding(void *ctx, const struct verify_finding *f) {
    (void)ctx;
    if (f->path[0] == '\0') {
        (void)printf("%s\n", f->text);
    } else {
        (void)printf("%s: offset %llu, %llu bytes: %s\n", f->path, (unsigned long long)f->offset,
                     (unsigned long long)f->size, f->text);
    }
}

static int verify(int argc, char *const *argv) {
    struct tsdb_args args;
    struct verify_result r;
    struct err err;
    if (!parse_args(argc, argv, 0, 0, &args)) {
        return EXIT_USAGE;
    }
    const char *dir = args.dir != NULL ? args.dir : "data";
    if (verify_database(vfs_system(), dir, print_finding, NULL, &r, &err) != ERR_OK) {
        return fail(&err);
    }
    (void)printf(
        "%llu series of %llu groups, %llu records of the write-ahead log, %llu sealed runs, "
        "%llu partitions, %llu records of exemplars and metadata, %llu series with deleted "
        "samples: ",
        (unsigned long long)r.series, (unsigned long long)r.groups,
        (unsigned long long)r.wal_records, (unsigned long long)r.runs,
        (unsigned long long)r.partitions, (unsigned long long)r.notes,
        (unsigned long long)r.tombstones);
    if (r.findings == 0) {
        (void)printf("no damage\n");
    } else {
        (void)printf("%llu damaged places\n", (unsigned long long)r.findings);
    }
    print_count(r.unfinished_bytes, "bytes at the end were never completely written");
    return r.findings == 0 ? EXIT_OK : EXIT_FAILED;
}

int cmd_tsdb(int argc, char *const *argv) {
    static const struct {
        const char *name;
        int (*run)(int argc, char *const *argv);
    } commands[] = {{"import", import},
                    {"verify", verify},
                    {"list", list},
                    {"dump", dump},
                    {"dump-openmetrics", dump_openmetrics}};
    for (size_t i = 0; argc > 0 && i < COUNT_OF(commands); i++) {
        if (strcmp(argv[0], commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    (void)fprintf(stderr, "usage: brasa tsdb import DIR [--storage.tsdb.path=data] [--quiet]\n"
                          "       brasa tsdb verify [DIR]\n"
                          "       brasa tsdb list [DIR] [--human-readable]\n"
                          "       brasa tsdb dump [DIR] [--min-time=MS] [--max-time=MS] "
                          "[--match=SELECTOR]...\n"
                          "       brasa tsdb dump-openmetrics [DIR] [the same]\n");
    return EXIT_USAGE;
}

#include "base/regex.h"
#include "cmd_test.h"
#include "config_glob.h"
#include "rule_test_run.h"

enum { TEST_MEMORY_MAX = 1 << 30 };

/* The --run patterns as one; *out NULL when there are none. */
static enum err_code read_run(struct tool_call *call, struct regex **out, struct err *err) {
    const struct tool_values patterns = tool_list(call, "run");
    struct buf text;
    buf_init(&text, REGEX_PATTERN_MAX);
    for (size_t i = 0; i < patterns.count; i++) {
        buf_append_cstr(&text, i > 0 ? "|" : "");
        buf_append_cstr(&text, patterns.items[i]);
    }
    enum err_code code = ERR_OK;
    if (!buf_ok(&text)) {
        code = err_set(err, ERR_LIMIT, "--run is longer than %d bytes", REGEX_PATTERN_MAX);
    } else if (patterns.count > 0) {
        code = regex_new(buf_str(&text), REGEX_SEARCH, out, err);
    }
    buf_release(&text);
    return code;
}

/* Existing files of all globs. */
static enum err_code find_rule_files(struct tool_call *call, const struct rule_test_file *file,
                                     struct arena *arena, struct rule_test_options *options,
                                     struct err *err) {
    struct str **lists = arena_alloc(arena, (file->rule_file_count + 1) * sizeof(struct str *));
    size_t *counts = arena_zalloc(arena, (file->rule_file_count + 1) * sizeof(*counts));
    size_t total = 0;
    for (size_t i = 0; i < file->rule_file_count; i++) {
        const enum err_code code =
            config_glob(call->io.vfs, arena, file->rule_files[i], &lists[i], &counts[i], err);
        if (code != ERR_OK) {
            return code;
        }
        if (counts[i] == 0) {
            (void)fprintf(call->io.err, "  WARNING: no file match pattern %.*s\n",
                          STR_ARG(file->rule_files[i]));
        }
        total += counts[i];
    }
    struct str *all = arena_alloc(arena, (total + 1) * sizeof(*all));
    for (size_t i = 0; i < file->rule_file_count; i++) {
        for (size_t k = 0; k < counts[i]; k++) {
            all[options->rule_file_count++] = lists[i][k];
        }
    }
    options->rule_files = all;
    return ERR_OK;
}

static enum err_code run_groups(struct tool_call *call, const char *path, const struct regex *run,
                                struct rule_test_errors *errors, struct err *err) {
    struct rule_test_file file;
    struct rule_test_options options = {.vfs = call->io.vfs,
                                        .delayed_name_removal =
                                            tool_feature(call, "promql-delayed-name-removal")};
    enum err_code code = rule_test_file_load(errors->arena, call->io.vfs, path, &file, err);
    if (code == ERR_OK) {
        code = find_rule_files(call, &file, errors->arena, &options, err);
    }
    for (size_t i = 0; code == ERR_OK && i < file.group_count; i++) {
        bool wanted = true;
        if (run != NULL) {
            code = regex_match(run, file.groups[i].name, &wanted, err);
        }
        if (code == ERR_OK && wanted) {
            rule_test_run(&options, &file, &file.groups[i], errors);
        }
    }
    return code;
}

static bool run_file(struct tool_call *call, const char *path, const struct regex *run) {
    struct arena arena;
    struct rule_test_errors errors = {.arena = &arena};
    struct err err;
    arena_init(&arena, TEST_MEMORY_MAX);
    if (run_groups(call, path, run, &errors, &err) != ERR_OK) {
        rule_test_errors_add(&errors, str_of(err.text));
    }
    const bool ok = errors.count == 0;
    if (ok) {
        (void)fprintf(call->io.out, "  SUCCESS\n");
    } else {
        (void)fprintf(call->io.err, "  FAILED:\n");
    }
    for (size_t i = 0; i < errors.count; i++) {
        (void)fprintf(call->io.err, "%.*s\n", STR_ARG(errors.items[i]));
        (void)fprintf(call->io.out, "\n");
    }
    (void)fprintf(call->io.out, "\n");
    (void)fflush(call->io.out);
    arena_release(&arena);
    return ok;
}

int cmd_test_rules(struct tool_call *call) {
    struct regex *run = NULL;
    struct err err;
    if (read_run(call, &run, &err) != ERR_OK) {
        (void)fprintf(call->io.err, "brasa: error: %s, try --help\n", err.text);
        return TOOL_FAILED;
    }
    bool ok = true;
    for (size_t i = 0; i < call->args[0].count; i++) {
        ok = run_file(call, call->args[0].items[i], run) && ok;
    }
    regex_free(run);
    return ok ? TOOL_OK : TOOL_FAILED;
}

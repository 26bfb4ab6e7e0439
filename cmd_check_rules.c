#include <stdlib.h>
#include <string.h>

#include "alert/alert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "cmd_check.h"
#include "tool_language.h"

enum { RULE_TEXT_BYTES_MAX = 16 << 20 };

/* ---- one file ---- */

struct error_lines {
    const struct tool_io *io;
    bool any;
};

static void print_error(void *ctx, struct str text) {
    struct error_lines *lines = ctx;
    if (!lines->any) {
        (void)fflush(lines->io->out);
        (void)fprintf(lines->io->err, "  FAILED:\n");
        lines->any = true;
    }
    (void)fprintf(lines->io->err, "%.*s\n", STR_ARG(text));
}

static void print_duplicates(const struct tool_io *io, const struct rule_check_result *result) {
    (void)fflush(io->out);
    (void)fprintf(io->err, "  FAILED:\nlint error %zu duplicate rule(s) found.\n",
                  result->duplicate_count);
    for (size_t i = 0; i < result->duplicate_count; i++) {
        const struct rule_duplicate *rule = &result->duplicates[i];
        struct labels_iter it = labels_begin(rule->labels);
        struct label label;
        (void)fprintf(io->err, "Metric: %.*s\nLabel(s):\n", STR_ARG(rule->name));
        while (labels_next(&it, &label)) {
            (void)fprintf(io->err, "\t%.*s: %.*s\n", STR_ARG(label.name), STR_ARG(label.value));
        }
    }
    (void)fprintf(io->err, "Might cause inconsistency while recording expressions\n");
}

static enum check_result check_rules(const struct tool_io *io, const struct check_options *options,
                                     const struct rule_checking *check) {
    struct error_lines lines = {.io = io};
    struct rule_check_result result;
    struct arena arena;
    enum check_result code = CHECK_OK;
    arena_init(&arena, 0);
    if (!rule_check_run(check, &arena, print_error, &lines, &result)) {
        code = CHECK_FAILED;
    } else if (options->lint_duplicates && result.duplicate_count > 0) {
        print_duplicates(io, &result);
        (void)fprintf(io->out, "\n");
        code = CHECK_LINT;
    } else {
        (void)fprintf(io->out, "  SUCCESS: %zu rules found\n\n", result.rule_count);
    }
    (void)fflush(io->out);
    arena_release(&arena);
    return code;
}

enum check_result check_rule_file(const struct tool_io *io, const struct check_options *options,
                                  const char *path) {
    const struct rule_checking check = {
        .engine = options->engine, .vfs = io->vfs, .path = path, .any_fields = options->any_fields};
    (void)fprintf(io->out, "Checking %s\n", path);
    return check_rules(io, options, &check);
}

/* All of a stream. */
static bool read_stream(FILE *in, struct buf *to) {
    char part[4096];
    size_t n;
    while ((n = fread(part, 1, sizeof(part), in)) > 0) {
        buf_append(to, part, n);
    }
    return ferror(in) == 0;
}

static enum check_result check_standard_input(const struct tool_io *io,
                                              const struct check_options *options) {
    enum check_result code = CHECK_FAILED;
    struct buf text;
    buf_init(&text, RULE_TEXT_BYTES_MAX);
    (void)fprintf(io->out, "Checking standard input\n");
    if (!read_stream(io->in, &text)) {
        (void)fprintf(io->err, "  FAILED:\nstandard input cannot be read\n");
    } else if (!buf_ok(&text)) {
        (void)fprintf(io->err, "  FAILED:\nstandard input is larger than %d bytes\n",
                      RULE_TEXT_BYTES_MAX);
    } else {
        const struct rule_checking check = {.engine = options->engine,
                                            .vfs = io->vfs,
                                            .text = buf_str(&text),
                                            .any_fields = options->any_fields};
        code = check_rules(io, options, &check);
    }
    buf_release(&text);
    return code;
}

/* ---- commands ---- */

static void take_lint_option(const struct tool_call *call, struct str name, bool of_config,
                             struct check_options *options) {
    const bool all = str_eq(name, STR("all"));
    const bool interval = of_config && str_eq(name, STR("too-long-scrape-interval"));
    const bool duplicates = str_eq(name, STR("duplicate-rules"));
    options->lint_duplicates = options->lint_duplicates || all || duplicates;
    options->lint_intervals = options->lint_intervals || interval || (of_config && all);
    if (!all && !interval && !duplicates && !str_eq(name, STR("none"))) {
        (void)fprintf(call->io.out, "WARNING: unknown lint option: \"%.*s\"\n", STR_ARG(name));
    }
}

/* The flags that both commands have; options->engine is the caller's to free. */
static void read_options(const struct tool_call *call, bool of_config,
                         struct check_options *options) {
    struct str rest = str_of(tool_text(call, "lint"));
    for (;;) {
        const ptrdiff_t comma = str_find_char(rest, ',');
        const size_t n = comma < 0 ? rest.len : (size_t)comma;
        take_lint_option(call, str_sub(rest, 0, n), of_config, options);
        if (comma < 0) {
            break;
        }
        rest = str_from(rest, n + 1);
    }
    options->lint_fatal = tool_is_on(call, "lint-fatal");
    options->any_fields = tool_is_on(call, "ignore-unknown-fields");
    options->engine = tool_language(call);
    tool_language_warn(call);
}

int cmd_check_config(struct tool_call *call) {
    struct check_options options = {.syntax_only = tool_is_on(call, "syntax-only"),
                                    .agent = tool_is_on(call, "agent")};
    int64_t lookback_ns = 0;
    struct err err;
    if (tool_parse_go_duration(str_of(tool_text(call, "query.lookback-delta")), &lookback_ns,
                               &err) != ERR_OK) {
        (void)fprintf(call->io.err, "brasa: error: %s, try --help\n", err.text);
        return TOOL_FAILED;
    }
    options.lookback_ms = lookback_ns / NS_PER_MS;
    read_options(call, true, &options);
    const int code = check_config(&call->io, &options, call->args[0].items, call->args[0].count,
                                  check_rule_file);
    query_engine_free(options.engine);
    return code;
}

int cmd_check_rules(struct tool_call *call) {
    const struct tool_values files = call->args[0];
    struct check_options options = {.syntax_only = false};
    read_options(call, false, &options);
    enum check_result result =
        files.count == 0 ? check_standard_input(&call->io, &options) : CHECK_OK;
    for (size_t i = 0; i < files.count; i++) {
        const enum check_result one = check_rule_file(&call->io, &options, files.items[i]);
        result = one > result ? one : result;
    }
    query_engine_free(options.engine);
    return check_exit_code(&options, result);
}

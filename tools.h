/* The command-line tools of the binary: which there are, their flags and arguments read in
 * promtool's manner (spec/promtool.md section 1), their help texts.
 *
 * A command is a row of a table: words, flags, arguments, function. Adding one is a row in tools.c.
 * One thread. */
#ifndef TOOLS_H
#define TOOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "base/vfs.h"

enum { TOOL_OK = 0, TOOL_FAILED = 1, TOOL_LINT = 3 };

/* Most flags and arguments of one command, common ones included. */
enum { TOOL_FLAGS_MAX = 24, TOOL_ARGS_MAX = 4 };

/* Where a tool reads and writes; tests pass streams of their own. */
struct tool_io {
    struct vfs *vfs;
    FILE *in, *out, *err;
};

enum tool_flag_type {
    TOOL_SWITCH, /* --x, --no-x */
    TOOL_TEXT,   /* --x=v or --x v, once */
    TOOL_LIST,   /* the same, any number of times */
};

struct tool_flag {
    const char *name;
    char letter; /* 0: none */
    enum tool_flag_type type;
    bool required;
    bool pair;           /* values must be NAME=VALUE */
    const char *choices; /* comma-separated values that may be given; NULL: any */
    const char *preset;  /* value when it is not given; NULL: none */
    const char *help;
};

struct tool_arg {
    const char *name;
    bool required;
    bool repeated; /* the last one: any number */
    bool file;     /* must exist and be no folder */
    const char *help;
};

struct tool_values {
    const char **items;
    size_t count;
};

struct tool_command;

/* One call of a command. Everything lives in arena until the command returns. */
struct tool_call {
    struct tool_io io;
    const struct tool_command *command;
    struct arena *arena;
    struct tool_values flags[TOOL_FLAGS_MAX]; /* in the order of the command's, then common ones */
    struct tool_values args[TOOL_ARGS_MAX];
};

typedef int tool_run_fn(struct tool_call *call);

struct tool_command {
    const char *words; /* "query instant" */
    const char *help;
    const struct tool_flag *flags;
    size_t flag_count;
    const struct tool_arg *args;
    size_t arg_count;
    tool_run_fn *run;
    bool experimental;
};

/* tool_args.c: flags of the command and those that all have, as one list. */
size_t tool_flag_count(const struct tool_command *command);
const struct tool_flag *tool_flag_at(const struct tool_command *command, size_t i);
/* Fills flags and args of the call from argv, of which the first word_count words are the command's
 * name; values are borrowed. false: a message was printed. */
bool tool_args_read(struct tool_call *call, size_t word_count, int argc, char *const *argv);

/* Runs the command that argv begins with and gives its exit code; false when it is none of these.
 * "help", --help and unknown subcommands are answered here as well. */
bool tools_run(const struct tool_io *io, int argc, char *const *argv, int *out_code);
/* A line for each command. */
void tools_list(FILE *to);

/* The value of a flag of the command, or NULL. The name must be one of the command's. */
const char *tool_text(const struct tool_call *call, const char *flag);
bool tool_is_on(const struct tool_call *call, const char *flag);
struct tool_values tool_list(const struct tool_call *call, const char *flag);
/* The only value of an argument, or NULL. */
const char *tool_arg(const struct tool_call *call, size_t index);
/* Is a feature named by an --enable-feature? */
bool tool_feature(const struct tool_call *call, const char *name);

/* Go's time.ParseDuration: "1h2m3.5s"; its error texts. */
MUST_CHECK enum err_code tool_parse_go_duration(struct str text, int64_t *out_ns, struct err *err);

#endif

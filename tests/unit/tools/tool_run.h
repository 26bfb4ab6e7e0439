/* Runs a command line of the tools with streams in memory, for tests. */
#ifndef TESTS_UNIT_TOOLS_TOOL_RUN_H
#define TESTS_UNIT_TOOLS_TOOL_RUN_H

#include <stdbool.h>

struct tool_run {
    bool known; /* false: tools_run did not know the command */
    int code;
    char *out, *err; /* free() */
};

/* args ends with NULL. */
struct tool_run tool_run(const char *const *args);
void tool_run_free(struct tool_run *run);
/* Runs and compares; NULL as out or err: anything. */
void tool_expect(const char *const *args, int code, const char *out, const char *err);
/* A file of its own under /tmp with this text; the caller unlinks and free()s the name. */
char *tool_temp_file(const char *text);

#define TOOL_ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif

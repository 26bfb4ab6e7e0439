#include "tests/unit/tools/tool_run.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/check_err.h"
#include "tools.h"

enum { ARGS_MAX = 16 };

struct tool_run tool_run(const char *const *args) {
    char *argv[ARGS_MAX];
    int argc = 0;
    for (; args[argc] != NULL; argc++) {
        assert_true(argc < ARGS_MAX);
        argv[argc] = strdup(args[argc]);
    }
    struct tool_run run = {.code = -1};
    size_t out_len = 0;
    size_t err_len = 0;
    const struct tool_io io = {.vfs = vfs_system(),
                               .in = stdin,
                               .out = open_memstream(&run.out, &out_len),
                               .err = open_memstream(&run.err, &err_len)};
    run.known = tools_run(&io, argc, argv, &run.code);
    (void)fclose(io.out);
    (void)fclose(io.err);
    for (int i = 0; i < argc; i++) {
        free(argv[i]);
    }
    return run;
}

void tool_run_free(struct tool_run *run) {
    free(run->out);
    free(run->err);
}

void tool_expect(const char *const *args, int code, const char *out, const char *err) {
    struct tool_run run = tool_run(args);
    assert_true(run.known);
    if (err != NULL) {
        assert_string_equal(run.err, err);
    }
    if (out != NULL) {
        assert_string_equal(run.out, out);
    }
    assert_int_equal(run.code, code);
    tool_run_free(&run);
}

char *tool_temp_file(const char *text) {
    char *name = strdup("/tmp/brasa_tool_XXXXXX");
    const int fd = mkstemp(name);
    assert_true(fd >= 0);
    const size_t len = strlen(text);
    assert_int_equal(write(fd, text, len), len);
    assert_int_equal(close(fd), 0);
    return name;
}

#include <string.h>

#include "alert/alert.h"
#include "base/mem.h"
#include "cmd_check.h"

struct error_lines {
    const struct check_io *io;
    bool any;
};

static void print_error(void *ctx, struct str text) {
    struct error_lines *lines = ctx;
    if (!lines->any) {
        (void)fprintf(lines->io->err, "  FAILED:\n");
        lines->any = true;
    }
    (void)fprintf(lines->io->err, "%.*s\n", STR_ARG(text));
}

bool check_rule_file(const struct check_io *io, const char *path) {
    struct error_lines lines = {.io = io};
    size_t count = 0;
    (void)fprintf(io->out, "Checking %s\n", path);
    if (!rule_files_check(io->vfs, NULL, path, print_error, &lines, &count)) {
        return false;
    }
    (void)fprintf(io->out, "  SUCCESS: %zu rules found\n\n", count);
    return true;
}

int check_rules(const struct check_io *io, int argc, char *const *argv) {
    char **files = mem_array((size_t)argc + 1, sizeof(*files));
    bool syntax_only = false;
    memcpy(files, argv, (size_t)argc * sizeof(*files));
    bool ok = check_arguments(io, &argc, files, &syntax_only);
    if (ok && argc == 0) {
        (void)fprintf(io->err,
                      "brasa: error: required argument 'rule-files' not provided, try --help\n");
        ok = false;
    }
    const bool checked = ok;
    for (int i = 0; checked && i < argc; i++) {
        ok = check_rule_file(io, files[i]) && ok;
        (void)fflush(io->out);
    }
    mem_free(files);
    return ok ? CHECK_OK : CHECK_FAILED;
}

int cmd_check(int argc, char *const *argv) {
    const struct check_io io = {.vfs = vfs_system(), .out = stdout, .err = stderr};
    if (argc > 0 && strcmp(argv[0], "config") == 0) {
        return check_config(&io, argc - 1, argv + 1, check_rule_file);
    }
    if (argc > 0 && strcmp(argv[0], "rules") == 0) {
        return check_rules(&io, argc - 1, argv + 1);
    }
    (void)fprintf(stderr, "usage: brasa check config [--syntax-only] <file>...\n"
                          "       brasa check rules <file>...\n");
    return CHECK_FAILED;
}

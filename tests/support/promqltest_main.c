/* Runs PromQL test scripts and prints a line for each.
 *
 *   promqltest [-v] [--tsdb SEED] FILE...       every eval must pass; SEED: against a database,
 *                                               sealed and opened as the seed says
 *   promqltest [-v] [--tsdb SEED] --at-least LIST FOLDER
 *                                                   LIST has lines "FILE PASSED"; none may fail, some
 *                                               may be not supported, PASSED is what must pass at
 *                                               least and only grows. Without FOLDER: skipped (77).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "query/script/promqltest.h"
#include "tests/support/tsdb_mirror.h"

static char *read_file(const char *path, size_t *out_size) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        exit(2);
    }
    char *text = NULL;
    size_t size = 0;
    size_t got = 0;
    do {
        char *grown = realloc(text, size + 65536);
        if (grown == NULL) {
            abort();
        }
        text = grown;
        got = fread(text + size, 1, 65536, f);
        size += got;
    } while (got > 0);
    (void)fclose(f);
    *out_size = size;
    return text;
}

struct run {
    bool verbose;
    struct tsdb_mirror *mirror; /* NULL: the fake storage */
};

static struct promqltest_report run_file(const char *path, const struct run *run) {
    size_t size = 0;
    char *text = read_file(path, &size);
    struct promqltest_report report;
    promqltest_run_on(run->mirror != NULL ? tsdb_mirror_store(run->mirror) : NULL, path,
                      (struct str){text, size}, run->verbose, &report);
    printf("%s: %zu passed, %zu not supported, %zu failed\n", path, report.passed,
           report.unsupported, report.failed);
    free(text);
    return report;
}

static int run_list(const char *list, const char *folder, const struct run *run) {
    enum { EXIT_SKIPPED = 77 };
    if (access(folder, R_OK) != 0) {
        printf("%s is not there\n", folder);
        return EXIT_SKIPPED;
    }
    FILE *f = fopen(list, "r");
    if (f == NULL) {
        perror(list);
        return 2;
    }
    char line[512];
    size_t bad = 0;
    while (fgets(line, sizeof(line), f) != NULL) {
        char *space = strchr(line, ' ');
        if (space == NULL) {
            continue;
        }
        *space = '\0';
        const size_t wanted = strtoul(space + 1, NULL, 10);
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/%s", folder, line);
        const struct promqltest_report report = run_file(path, run);
        if (report.failed > 0 || report.passed < wanted) {
            printf("    at least %zu must pass and none may fail\n", wanted);
            bad++;
        }
    }
    (void)fclose(f);
    return bad == 0 ? 0 : 1;
}

static int run_all(int argc, char **argv, const struct run *run) {
    if (argc == 3 && strcmp(argv[0], "--at-least") == 0) {
        return run_list(argv[1], argv[2], run);
    }
    size_t bad = 0;
    for (int i = 0; i < argc; i++) {
        const struct promqltest_report report = run_file(argv[i], run);
        bad += report.failed + report.unsupported + (report.passed == 0);
    }
    return bad == 0 && argc > 0 ? 0 : 1;
}

int main(int argc, char **argv) {
    struct run run = {.verbose = argc > 1 && strcmp(argv[1], "-v") == 0};
    int first = run.verbose ? 2 : 1;
    if (argc > first + 1 && strcmp(argv[first], "--tsdb") == 0) {
        run.mirror = tsdb_mirror_new((unsigned)strtoul(argv[first + 1], NULL, 10));
        first += 2;
    }
    const int code = run_all(argc - first, argv + first, &run);
    if (run.mirror != NULL) {
        tsdb_mirror_free(run.mirror);
    }
    return code;
}

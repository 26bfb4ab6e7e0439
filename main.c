/* brasa: the server without a subcommand, promtool's commands with one. */
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "app.h"
#include "flags.h"
#include "tools.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_WRONG_MODE = 3 };

static void print_version(void) {
    (void)printf("brasa, version %s (answers like prometheus 3.14.0)\n  language: C17\n  compiler: "
                 "%s\n  platform: linux\n",
                 BRASA_VERSION, __VERSION__);
}

static void print_usage(FILE *to) {
    struct buf text;
    buf_init(&text, 1024 * 1024);
    flags_usage(&text);
    (void)fwrite(buf_str(&text).ptr, 1, text.len, to);
    buf_release(&text);
}

/* SIGHUP reloads, SIGTERM and SIGINT stop; a second one ends at once. Only main sees signals:
 * every thread has them blocked. */
static void serve(struct app *app, struct log *log, const sigset_t *signals) {
    for (;;) {
        int signal_number = 0;
        if (sigwait(signals, &signal_number) != 0) {
            continue;
        }
        if (signal_number == SIGHUP) {
            struct err err;
            const enum err_code ignored =
                app_reload(app, &err); /* logged, counted and shown there */
            (void)ignored;
            continue;
        }
        log_warn(log, "main", "Received an OS signal, exiting gracefully...",
                 log_text("signal", signal_number == SIGTERM ? "terminated" : "interrupt"));
        return;
    }
}

static void unblock_stop_signals(void) {
    sigset_t stop;
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigaddset(&stop, SIGINT);
    (void)pthread_sigmask(SIG_UNBLOCK, &stop, NULL);
}

static int run_server(const struct flags *flags, struct arena *arena) {
    if (flags->agent) {
        (void)fprintf(stderr, "agent mode is not supported by this version of Brasa\n");
        return EXIT_WRONG_MODE;
    }
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ,
                 SIG_IGN); /* a limit on the size of files is a fault of the disk, no end */

    struct log *log = log_new(clock_system(), STDERR_FILENO, flags->log_level, flags->log_format);
    struct app *app = NULL;
    enum app_failure failure = APP_FAILED_RUNTIME;
    int code = 0;
    if (app_start(flags, arena, log, &app, &failure) == ERR_OK) {
        serve(app, log, &signals);
        unblock_stop_signals();
        app_stop(app);
        log_info(log, "main", "See you next time!");
    } else {
        code = failure == APP_FAILED_CONFIG ? EXIT_USAGE : EXIT_FAILED;
    }
    log_free(log);
    return code;
}

static int run_flags(int argc, char **argv) {
    struct arena arena;
    arena_init(&arena, 0);
    struct flags flags;
    enum flags_wish wish = FLAGS_RUN;
    struct err err;
    int code = 0;
    if (flags_parse(&arena, vfs_system(), argc - 1, argv + 1, &flags, &wish, &err) != ERR_OK) {
        (void)fprintf(stderr, "Error parsing command line arguments: %s\n", err.text);
        print_usage(stderr);
        code = EXIT_USAGE;
    } else if (wish == FLAGS_VERSION) {
        print_version();
    } else if (wish == FLAGS_HELP) {
        print_usage(stdout);
    } else {
        code = run_server(&flags, &arena);
    }
    arena_release(&arena);
    return code;
}

int main(int argc, char **argv) {
    /* Few heaps: every further one costs memory that no thread of ours needs. */
    (void)mallopt(M_ARENA_MAX, 2);
    const struct tool_io io = {.vfs = vfs_system(), .in = stdin, .out = stdout, .err = stderr};
    int code = 0;
    if (tools_run(&io, argc - 1, argv + 1, &code)) {
        return code;
    }
    if (argc > 1 && argv[1][0] != '-' && argv[1][0] != '@') {
        (void)fprintf(stderr, "brasa: unknown command \"%s\"; commands:\n", argv[1]);
        tools_list(stderr);
        return EXIT_USAGE;
    }
    return run_flags(argc, argv);
}

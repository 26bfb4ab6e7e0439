#include "tools.h"

#include <string.h>

#include "base/str.h"
#include "cmd_check.h"
#include "cmd_check_metrics.h"
#include "cmd_check_sd.h"
#include "cmd_check_server.h"
#include "cmd_check_web.h"
#include "cmd_debug.h"
#include "cmd_promql.h"
#include "cmd_query.h"
#include "cmd_test.h"
#include "cmd_tsdb.h"
#include "cmd_tsdb_analyze.h"
#include "cmd_tsdb_backfill.h"
#include "cmd_tsdb_export.h"

/* ---- the table ---- */

#define FLAGS(list) .flags = (list), .flag_count = COUNT_OF(list)
#define ARGS(list) .args = (list), .arg_count = COUNT_OF(list)

#define FORMAT_FLAG                                                                                \
    {                                                                                              \
        .name = "format", .letter = 'o', .type = TOOL_TEXT, .choices = "promql,json",              \
        .preset = "promql", .help = "Output format: promql or json."                               \
    }
#define HTTP_FILE_FLAG                                                                             \
    { .name = "http.config.file", .type = TOOL_TEXT, .help = "File with HTTP client options." }
#define HEADER_FLAG                                                                                \
    {                                                                                              \
        .name = "header", .type = TOOL_LIST, .pair = true,                                         \
        .help = "Further request header, NAME=VALUE."                                              \
    }
#define TIME_FLAG(name_, help_)                                                                    \
    { .name = (name_), .type = TOOL_TEXT, .help = (help_) }
#define MATCH_FLAG(required_)                                                                      \
    {                                                                                              \
        .name = "match", .type = TOOL_LIST, .required = (required_),                               \
        .help = "Series selector, as up or {job=\"a\"}."                                           \
    }
#define ARG(name_, help_)                                                                          \
    { .name = (name_), .required = true, .help = (help_) }
#define FILE_ARGS(name_, help_)                                                                    \
    { .name = (name_), .required = true, .repeated = true, .file = true, .help = (help_) }

#define LINT_FLAGS(choices_)                                                                       \
    {.name = "lint",                                                                               \
     .type = TOOL_TEXT,                                                                            \
     .preset = "duplicate-rules",                                                                  \
     .help = "What more to look for: " choices_ "."},                                              \
        {.name = "lint-fatal", .type = TOOL_SWITCH, .help = "Exit with 3 when that is found."}, {  \
        .name = "ignore-unknown-fields", .type = TOOL_SWITCH,                                      \
        .help = "Pass over fields of rule files that are not known."                               \
    }
static const struct tool_flag CHECK_CONFIG_FLAGS[] = {
    {.name = "syntax-only", .type = TOOL_SWITCH, .help = "Do not look at files it names."},
    LINT_FLAGS("all, duplicate-rules, too-long-scrape-interval, none"),
    {.name = "agent", .type = TOOL_SWITCH, .help = "Check it as an agent's."},
    {.name = "query.lookback-delta",
     .type = TOOL_TEXT,
     .preset = "5m",
     .help = "How far queries look back, a Go duration."},
};
static const struct tool_flag CHECK_RULES_FLAGS[] = {
    LINT_FLAGS("all, duplicate-rules, none"),
};
static const struct tool_flag CHECK_METRICS_FLAGS[] = {
    {.name = "extended", .type = TOOL_SWITCH, .help = "Print how many series each metric makes."},
    {.name = "lint",
     .type = TOOL_TEXT,
     .choices = "all,none",
     .preset = "all",
     .help = "Style checks to make: all or none."},
};
static const struct tool_flag DISCOVERY_FLAGS[] = {
    {.name = "timeout",
     .type = TOOL_TEXT,
     .preset = "30s",
     .help = "How long to discover, a Go duration."},
};
static const struct tool_flag SERVER_FLAGS[] = {
    {.name = "url",
     .type = TOOL_TEXT,
     .preset = "http://localhost:9090",
     .help = "The server to ask."},
    HTTP_FILE_FLAG,
};
static const struct tool_flag INSTANT_FLAGS[] = {
    FORMAT_FLAG, HTTP_FILE_FLAG, HEADER_FLAG,
    TIME_FLAG("time", "Time of the query, RFC 3339 or Unix seconds. Now if left out.")};
static const struct tool_flag RANGE_FLAGS[] = {
    FORMAT_FLAG,
    HTTP_FILE_FLAG,
    HEADER_FLAG,
    TIME_FLAG("start", "Begin of the range, RFC 3339 or Unix seconds. End - 5m if left out."),
    TIME_FLAG("end", "End of the range. Now if left out."),
    TIME_FLAG("step", "Step as a Go duration. A 250th of the range if left out.")};
static const struct tool_flag EXPLAIN_FLAGS[] = {
    HTTP_FILE_FLAG,
    HEADER_FLAG,
    {.name = "analyze", .type = TOOL_SWITCH, .help = "Run the query and tell what each node did."},
    TIME_FLAG("time", "Time of the query, RFC 3339 or Unix seconds. Now if left out."),
    TIME_FLAG("start", "With --step: begin of the range. End - 5m if left out."),
    TIME_FLAG("end", "With --step: end of the range. Now if left out."),
    TIME_FLAG("step", "Step as a Go duration: explain a range query.")};
static const struct tool_flag QUERY_ANALYZE_FLAGS[] = {
    FORMAT_FLAG,
    HTTP_FILE_FLAG,
    {.name = "server", .type = TOOL_TEXT, .required = true, .help = "URL of the server."},
    {.name = "type",
     .type = TOOL_TEXT,
     .required = true,
     .help = "What to look at: histogram, the buckets of classic and native ones."},
    {.name = "duration", .type = TOOL_TEXT, .preset = "1h", .help = "How far back, a Go duration."},
    TIME_FLAG("time", "End of the time, RFC 3339 or Unix seconds. Now if left out."),
    MATCH_FLAG(true)};
static const struct tool_flag SERIES_FLAGS[] = {
    FORMAT_FLAG, HTTP_FILE_FLAG, MATCH_FLAG(true),
    TIME_FLAG("start", "Begin of the time range, RFC 3339 or Unix seconds."),
    TIME_FLAG("end", "End of the time range.")};
static const struct tool_flag LABELS_FLAGS[] = {
    FORMAT_FLAG, HTTP_FILE_FLAG, MATCH_FLAG(false),
    TIME_FLAG("start", "Begin of the time range, RFC 3339 or Unix seconds."),
    TIME_FLAG("end", "End of the time range.")};
static const struct tool_flag TEST_RULES_FLAGS[] = {
    {.name = "run",
     .type = TOOL_LIST,
     .help = "Only test groups whose name matches this regular expression."},
};
static const struct tool_flag TEST_PROMQL_FLAGS[] = {
    {.name = "storage",
     .type = TOOL_TEXT,
     .choices = "memory,tsdb",
     .preset = "memory",
     .help = "What is queried: a small storage in memory, or a database in a folder for the time."},
};
static const struct tool_flag MATCHER_SET_FLAGS[] = {
    {.name = "type",
     .letter = 't',
     .type = TOOL_TEXT,
     .choices = "=,!=,=~,!~",
     .preset = "=",
     .help = "Type of the matcher."},
};

static const struct tool_flag DEBUG_SCRAPE_FLAGS[] = {
    {.name = "config.file",
     .type = TOOL_TEXT,
     .help = "Configuration that has the job. Without: defaults, no relabelling."},
    {.name = "job",
     .type = TOOL_TEXT,
     .help = "Scrape as this job would; the first one if left out."},
    {.name = "label",
     .type = TOOL_LIST,
     .pair = true,
     .help = "Label as discovery would give it, NAME=VALUE."},
    {.name = "timeout", .type = TOOL_TEXT, .help = "As a Go duration; the job's if left out."},
    {.name = "series", .type = TOOL_TEXT, .preset = "5", .help = "How many series to show."},
    {.name = "body", .type = TOOL_SWITCH, .help = "Print the page as well."},
};
static const struct tool_arg SCRAPE_URL[] = {ARG("url", "URL of the target's page.")};
static const struct tool_arg CONFIG_FILES[] = {FILE_ARGS("config-files", "Configuration files.")};
static const struct tool_arg DISCOVERY_ARGS[] = {
    {.name = "config-file", .required = true, .file = true, .help = "Configuration file."},
    {.name = "job", .required = true, .help = "The job to discover targets for."}};
static const struct tool_arg WEB_FILES[] = {
    FILE_ARGS("web-config-files", "Files that turn on TLS and authentication.")};
static const struct tool_arg RULE_FILES[] = {FILE_ARGS("rule-files", "Rule files.")};
static const struct tool_arg CHECKED_RULE_FILES[] = {
    {.name = "rule-files", .repeated = true, .file = true, .help = "Rule files."}};
static const struct tool_arg SERVER_EXPR[] = {ARG("server", "URL of the server."),
                                              ARG("expr", "PromQL expression.")};
static const struct tool_arg SERVER[] = {ARG("server", "URL of the server.")};
static const struct tool_arg SERVER_NAME[] = {ARG("server", "URL of the server."),
                                              ARG("name", "Name of the label.")};
static const struct tool_arg QUERY[] = {ARG("query", "PromQL expression.")};
static const struct tool_arg QUERY_NAME[] = {ARG("query", "PromQL expression."),
                                             ARG("name", "Name of the label.")};
static const struct tool_arg QUERY_NAME_VALUE[] = {ARG("query", "PromQL expression."),
                                                   ARG("name", "Name of the label."),
                                                   ARG("value", "Value of the matcher.")};
static const struct tool_arg SCRIPTS[] = {FILE_ARGS("script", "Scripts of PromQL tests.")};
static const struct tool_arg RULE_TESTS[] = {
    FILE_ARGS("test-rule-file", "Files of unit tests of rules.")};
#define BLOCKS_FLAG                                                                                \
    {                                                                                              \
        .name = "prometheus-blocks", .type = TOOL_SWITCH,                                          \
        .help = "Write blocks of Prometheus instead of a data folder of Brasa."                    \
    }
#define BLOCK_LENGTH_FLAG                                                                          \
    {                                                                                              \
        .name = "max-block-duration", .type = TOOL_TEXT, .preset = "2h",                           \
        .help = "Blocks are 2h, 6h, 18h ... long, but no longer than this."                        \
    }
#define HUMAN_FLAG                                                                                 \
    {                                                                                              \
        .name = "human-readable", .letter = 'r', .type = TOOL_SWITCH,                              \
        .help = "Times and sizes for people."                                                      \
    }
#define QUIET_FLAG                                                                                 \
    { .name = "quiet", .letter = 'q', .type = TOOL_SWITCH, .help = "Show no progress." }
static const struct tool_flag IMPORT_FLAGS[] = {
    {.name = "storage.tsdb.path", .type = TOOL_TEXT, .preset = "data", .help = "Where to."},
    QUIET_FLAG};
/* promtool copies the head there; nothing is copied here, so that there is nothing to place */
#define SANDBOX_FLAG                                                                               \
    {                                                                                              \
        .name = "sandbox-dir-root", .type = TOOL_TEXT,                                             \
        .help = "Accepted and not used: reading writes nothing."                                   \
    }
static const struct tool_flag LIST_FLAGS[] = {HUMAN_FLAG};
static const struct tool_flag DUMP_FLAGS[] = {TIME_FLAG("min-time", "From this time on, Unix ms."),
                                              TIME_FLAG("max-time", "Up to this time."),
                                              MATCH_FLAG(false),
                                              SANDBOX_FLAG,
                                              {.name = "format",
                                               .type = TOOL_TEXT,
                                               .choices = "prom,seriesjson",
                                               .preset = "prom",
                                               .help = "Samples, or the series' labels as JSON."}};
static const struct tool_flag DUMP_OPENMETRICS_FLAGS[] = {
    TIME_FLAG("min-time", "From this time on, Unix ms."), TIME_FLAG("max-time", "Up to this time."),
    MATCH_FLAG(false), SANDBOX_FLAG};
static const struct tool_flag EXPORT_FLAGS[] = {
    TIME_FLAG("min-time", "From this time on, Unix ms."), TIME_FLAG("max-time", "Up to this time."),
    MATCH_FLAG(false), BLOCK_LENGTH_FLAG, QUIET_FLAG};
static const struct tool_flag ANALYZE_FLAGS[] = {
    {.name = "limit", .type = TOOL_TEXT, .preset = "20", .help = "Lines of each list."},
    {.name = "extended",
     .type = TOOL_SWITCH,
     .help = "Show as well how full the chunks of a block of Prometheus are."},
    {.name = "match", .type = TOOL_TEXT, .help = "Only series of this selector."}};
static const struct tool_arg ANALYZE_ARGS[] = {
    {.name = "dir", .help = "Data folder."},
    {.name = "block", .help = "Block or partition; the newest if left out."}};
static const struct tool_flag BACKFILL_FLAGS[] = {{.name = "label",
                                                   .type = TOOL_LIST,
                                                   .pair = true,
                                                   .help = "Label of every series, NAME=VALUE."},
                                                  BLOCKS_FLAG,
                                                  BLOCK_LENGTH_FLAG,
                                                  HUMAN_FLAG,
                                                  QUIET_FLAG};
static const struct tool_flag BACKFILL_RULES_FLAGS[] = {
    HTTP_FILE_FLAG,
    {.name = "url",
     .type = TOOL_TEXT,
     .preset = "http://localhost:9090",
     .help = "The server to ask."},
    {.name = "start",
     .type = TOOL_TEXT,
     .required = true,
     .help = "Begin of the history, RFC 3339 or Unix seconds."},
    TIME_FLAG("end", "End of the history. Three hours ago if left out."),
    {.name = "output-dir",
     .type = TOOL_TEXT,
     .preset = "data/",
     .help = "Folder that gets the data."},
    {.name = "eval-interval",
     .type = TOOL_TEXT,
     .preset = "60s",
     .help = "Interval of groups that name none."},
    BLOCKS_FLAG,
    BLOCK_LENGTH_FLAG,
    HUMAN_FLAG,
    QUIET_FLAG};
static const struct tool_arg BACKFILL_ARGS[] = {
    {.name = "file", .required = true, .file = true, .help = "OpenMetrics, with times."},
    {.name = "dir", .help = "Folder that gets the data; data/ if left out."}};
static const struct tool_arg EXPORT_ARGS[] = {ARG("dir", "Data folder of Brasa."),
                                              ARG("out", "Folder that gets the blocks.")};
static const struct tool_arg FOREIGN_DATA[] = {ARG("dir", "Data folder of a Prometheus server.")};
static const struct tool_arg DATA[] = {{.name = "dir", .help = "Data folder."}};

static const struct tool_command COMMANDS[] = {
    {.words = "check config",
     .help = "Check configuration files.",
     FLAGS(CHECK_CONFIG_FLAGS),
     ARGS(CONFIG_FILES),
     .run = cmd_check_config},
    {.words = "check rules",
     .help = "Check rule files, or standard input.",
     FLAGS(CHECK_RULES_FLAGS),
     ARGS(CHECKED_RULE_FILES),
     .run = cmd_check_rules},
    {.words = "check metrics",
     .help = "Check the style of a page of metrics on standard input.",
     FLAGS(CHECK_METRICS_FLAGS),
     .run = cmd_check_metrics},
    {.words = "check healthy",
     .help = "Ask a server whether it is healthy.",
     FLAGS(SERVER_FLAGS),
     .run = cmd_check_healthy},
    {.words = "check ready",
     .help = "Ask a server whether it is ready.",
     FLAGS(SERVER_FLAGS),
     .run = cmd_check_ready},
    {.words = "check web-config",
     .help = "Check files that turn on TLS and authentication of Prometheus.",
     ARGS(WEB_FILES),
     .run = cmd_check_web_config},
    {.words = "check service-discovery",
     .help = "Discover the targets of a job and show what relabelling makes of them.",
     FLAGS(DISCOVERY_FLAGS),
     ARGS(DISCOVERY_ARGS),
     .run = cmd_check_service_discovery},
    {.words = "debug scrape",
     .help = "Scrape a page once and show what came of it.",
     FLAGS(DEBUG_SCRAPE_FLAGS),
     ARGS(SCRAPE_URL),
     .run = cmd_debug_scrape},
    {.words = "query instant",
     .help = "Run an instant query.",
     FLAGS(INSTANT_FLAGS),
     ARGS(SERVER_EXPR),
     .run = cmd_query_instant},
    {.words = "query range",
     .help = "Run a range query.",
     FLAGS(RANGE_FLAGS),
     ARGS(SERVER_EXPR),
     .run = cmd_query_range},
    {.words = "query explain",
     .help = "Show a query's plan and what it costs.",
     FLAGS(EXPLAIN_FLAGS),
     ARGS(SERVER_EXPR),
     .run = cmd_query_explain},
    {.words = "query series",
     .help = "List series.",
     FLAGS(SERIES_FLAGS),
     ARGS(SERVER),
     .run = cmd_query_series},
    {.words = "query labels",
     .help = "List values of a label.",
     FLAGS(LABELS_FLAGS),
     ARGS(SERVER_NAME),
     .run = cmd_query_labels},
    {.words = "query analyze",
     .help = "Show how many buckets histograms fill.",
     FLAGS(QUERY_ANALYZE_FLAGS),
     .run = cmd_query_analyze},
    {.words = "test promql",
     .help = "Run scripts of PromQL tests.",
     FLAGS(TEST_PROMQL_FLAGS),
     ARGS(SCRIPTS),
     .run = cmd_test_promql},
    {.words = "test rules",
     .help = "Run unit tests of rules.",
     FLAGS(TEST_RULES_FLAGS),
     ARGS(RULE_TESTS),
     .run = cmd_test_rules},
    {.words = "promql format",
     .help = "Print an expression prettily.",
     ARGS(QUERY),
     .run = cmd_promql_format,
     .experimental = true},
    {.words = "promql label-matchers set",
     .help = "Set a matcher in every selector of an expression.",
     FLAGS(MATCHER_SET_FLAGS),
     ARGS(QUERY_NAME_VALUE),
     .run = cmd_promql_matcher_set,
     .experimental = true},
    {.words = "promql label-matchers delete",
     .help = "Delete a label's matchers from every selector of an expression.",
     ARGS(QUERY_NAME),
     .run = cmd_promql_matcher_delete,
     .experimental = true},
    {.words = "tsdb import",
     .help = "Take over the data of a Prometheus server.",
     FLAGS(IMPORT_FLAGS),
     ARGS(FOREIGN_DATA),
     .run = cmd_tsdb_import},
    {.words = "tsdb analyze",
     .help = "Print cardinality, churn and bytes of a block, or of a young database's head.",
     FLAGS(ANALYZE_FLAGS),
     ARGS(ANALYZE_ARGS),
     .run = cmd_tsdb_analyze},
    {.words = "tsdb create-blocks-from openmetrics",
     .help = "Make history from a page of samples with times.",
     FLAGS(BACKFILL_FLAGS),
     ARGS(BACKFILL_ARGS),
     .run = cmd_tsdb_create_blocks},
    {.words = "tsdb create-blocks-from rules",
     .help = "Make the history that rules would have recorded.",
     FLAGS(BACKFILL_RULES_FLAGS),
     ARGS(RULE_FILES),
     .run = cmd_tsdb_create_blocks_from_rules},
    {.words = "tsdb export",
     .help = "Write the data as blocks of Prometheus.",
     FLAGS(EXPORT_FLAGS),
     ARGS(EXPORT_ARGS),
     .run = cmd_tsdb_export},
    {.words = "tsdb list",
     .help = "List blocks.",
     FLAGS(LIST_FLAGS),
     ARGS(DATA),
     .run = cmd_tsdb_list},
    {.words = "tsdb verify",
     .help = "Check a data directory without changing it; exit code 1 on damage.",
     ARGS(DATA),
     .run = cmd_tsdb_verify},
    {.words = "tsdb dump",
     .help = "Print samples, or the labels of series.",
     FLAGS(DUMP_FLAGS),
     ARGS(DATA),
     .run = cmd_tsdb_dump},
    {.words = "tsdb dump-openmetrics",
     .help = "Print samples as OpenMetrics, with times.",
     FLAGS(DUMP_OPENMETRICS_FLAGS),
     ARGS(DATA),
     .run = cmd_tsdb_dump_openmetrics},
};

/* ---- help ---- */

void tools_list(FILE *to) {
    for (size_t i = 0; i < COUNT_OF(COMMANDS); i++) {
        (void)fprintf(to, "  %-30s %s\n", COMMANDS[i].words, COMMANDS[i].help);
    }
}

static void print_flag(FILE *to, const struct tool_flag *flag) {
    char name[64];
    (void)snprintf(name, sizeof(name), "--%s%s%s%s", flag->name,
                   flag->type == TOOL_SWITCH ? "" : "=",
                   flag->type == TOOL_SWITCH ? ""
                   : flag->preset != NULL    ? flag->preset
                                             : "...",
                   flag->type == TOOL_LIST ? " ..." : "");
    char letter[4] = "   ";
    if (flag->letter != 0) {
        letter[0] = '-';
        letter[1] = flag->letter;
        letter[2] = ',';
    }
    (void)fprintf(to, "  %s %-28s %s\n", letter, name, flag->help);
}

static void print_command_help(FILE *to, const struct tool_command *command) {
    (void)fprintf(to, "usage: brasa %s [<flags>]", command->words);
    for (size_t i = 0; i < command->arg_count; i++) {
        const struct tool_arg *arg = &command->args[i];
        (void)fprintf(to, " <%s>%s", arg->name, arg->repeated ? "..." : "");
    }
    (void)fprintf(to, "\n\n%s\n\nFlags:\n", command->help);
    for (size_t i = 0; i < tool_flag_count(command); i++) {
        print_flag(to, tool_flag_at(command, i));
    }
    if (command->arg_count > 0) {
        (void)fprintf(to, "\nArgs:\n");
    }
    for (size_t i = 0; i < command->arg_count; i++) {
        (void)fprintf(to, "  <%s>  %s\n", command->args[i].name, command->args[i].help);
    }
}

static void print_help(FILE *to, struct str prefix) {
    (void)fprintf(to, "usage: brasa [<flags>]                   run the server; see brasa --help\n"
                      "       brasa <command> [<flags>] [<args>]\n\nCommands:\n");
    for (size_t i = 0; i < COUNT_OF(COMMANDS); i++) {
        if (str_starts(str_of(COMMANDS[i].words), prefix)) {
            (void)fprintf(to, "  %-30s %s\n", COMMANDS[i].words, COMMANDS[i].help);
        }
    }
    (void)fprintf(to, "  %-30s %s\n", "help [<command>...]", "Show this text or a command's.");
}

/* ---- which command ---- */

/* The words of argv that name a command, as far as they do. */
struct path {
    char text[96];
    size_t word_count;
    const struct tool_command *command; /* NULL: not complete */
    const char *unknown;                /* the word that leads to no command */
};

/* Is text a command's words, or (with a blank behind it) their beginning? */
static bool leads_on(const char *text, const struct tool_command **out_command) {
    const size_t n = strlen(text);
    bool found = false;
    for (size_t i = 0; i < COUNT_OF(COMMANDS); i++) {
        const char *words = COMMANDS[i].words;
        if (strncmp(words, text, n) == 0 && (words[n] == '\0' || words[n] == ' ')) {
            found = true;
            *out_command = words[n] == '\0' ? &COMMANDS[i] : *out_command;
        }
    }
    return found;
}

static void add_word(struct path *path, const char *word) {
    const size_t n = strlen(path->text);
    char longer[sizeof(path->text)];
    const int len = snprintf(longer, sizeof(longer), "%s%s%s", path->text, n > 0 ? " " : "", word);
    if (len < 0 || (size_t)len >= sizeof(longer) || !leads_on(longer, &path->command)) {
        path->unknown = word;
        return;
    }
    memcpy(path->text, longer, (size_t)len + 1);
    path->word_count++;
}

/* Before the command is known: does some command take a value for this flag? */
static bool flag_takes_value(const char *arg) {
    if (strchr(arg, '=') != NULL || (arg[1] != '-' && strlen(arg) > 2)) {
        return false;
    }
    const struct str name = arg[1] == '-' ? str_of(arg + 2) : STR("");
    if (str_eq(name, STR("enable-feature"))) {
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(COMMANDS); i++) {
        for (size_t k = 0; k < COMMANDS[i].flag_count; k++) {
            const struct tool_flag *flag = &COMMANDS[i].flags[k];
            if (flag->type != TOOL_SWITCH &&
                (arg[1] == '-' ? str_eq(str_of(flag->name), name) : flag->letter == arg[1])) {
                return true;
            }
        }
    }
    return false;
}

static void find_command(int argc, char *const *argv, struct path *path) {
    for (int i = 0; i < argc && path->command == NULL && path->unknown == NULL; i++) {
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            add_word(path, argv[i]);
        } else if (flag_takes_value(argv[i])) {
            i++;
        }
    }
}

/* ---- running ---- */

static int fail_usage(const struct tool_io *io, const char *text, const char *word,
                      const char *prefix) {
    (void)fprintf(io->err, "brasa: error: %s%s%s, try --help\n", text, word,
                  word[0] != 0 ? "\"" : "");
    (void)fprintf(io->err, "commands:\n");
    for (size_t i = 0; i < COUNT_OF(COMMANDS); i++) {
        if (str_starts(str_of(COMMANDS[i].words), str_of(prefix))) {
            (void)fprintf(io->err, "  %s\n", COMMANDS[i].words);
        }
    }
    return TOOL_FAILED;
}

static int run_command(const struct tool_io *io, const struct path *path, int argc,
                       char *const *argv) {
    struct arena arena;
    arena_init(&arena, 0);
    struct tool_call call = {.io = *io, .command = path->command, .arena = &arena};
    int code = TOOL_FAILED;
    if (!tool_args_read(&call, path->word_count, argc, argv)) {
        code = TOOL_FAILED;
    } else if (path->command->experimental && !tool_is_on(&call, "experimental")) {
        (void)fprintf(io->err, "This command is experimental and requires the --experimental flag "
                               "to be set.\n");
    } else {
        code = path->command->run(&call);
    }
    (void)fflush(io->out);
    arena_release(&arena);
    return code;
}

static bool asks_for_help(int argc, char *const *argv) {
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

static void answer_help(const struct tool_io *io, const struct path *path) {
    if (path->command != NULL) {
        print_command_help(io->out, path->command);
    } else {
        print_help(io->out, str_of(path->text));
    }
}

bool tools_run(const struct tool_io *io, int argc, char *const *argv, int *out_code) {
    struct path path = {.command = NULL};
    *out_code = TOOL_OK;
    if (argc > 0 && strcmp(argv[0], "help") == 0) {
        find_command(argc - 1, argv + 1, &path);
        answer_help(io, &path);
        return true;
    }
    find_command(argc, argv, &path);
    if (path.word_count == 0) {
        return false;
    }
    if (asks_for_help(argc, argv)) {
        answer_help(io, &path);
    } else if (path.command == NULL && path.unknown != NULL) {
        *out_code = fail_usage(io, "expected command but got \"", path.unknown, path.text);
    } else if (path.command == NULL) {
        char text[160];
        (void)snprintf(text, sizeof(text), "must select a subcommand of '%s'", path.text);
        *out_code = fail_usage(io, text, "", path.text);
    } else {
        *out_code = run_command(io, &path, argc, argv);
    }
    return true;
}

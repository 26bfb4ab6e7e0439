#include "alert/alert.h"
#include "api_ask.h"
#include "backfill_rules.h"
#include "backfill_target.h"
#include "base/duration.h"
#include "cmd_tsdb_backfill.h"
#include "tsdb/export.h"
#include "tsdb_tool.h"

#define END_DEFAULT_MS (INT64_C(3) * 3600 * 1000)
/* Times have to fit in nanoseconds: to the year 2262. */
#define TIME_MAX_MS (INT64_MAX / NS_PER_MS)

struct making {
    struct tool_call *call;
    struct arena answer; /* of the last question */
    struct backfill_rules_options options;
    struct rule_history *rules;
    size_t rule_count;
};

/* ---- options ---- */

static enum err_code read_time(const struct tool_call *call, const char *flag, int64_t *io_ms,
                               struct err *err) {
    const char *text = tool_text(call, flag);
    if (text != NULL && time_parse_api_ms(str_of(text), io_ms, err) != ERR_OK) {
        return err_wrap(err, "error parsing %s time", flag);
    }
    if (*io_ms < -TIME_MAX_MS || *io_ms > TIME_MAX_MS) {
        return err_set(err, ERR_INVALID, "%s time is out of range: %s", flag, text);
    }
    *io_ms -= (*io_ms % 1000 + 1000) % 1000;
    return ERR_OK;
}

static enum err_code read_options(const struct tool_call *call, struct making *making,
                                  int64_t *out_interval_ms, struct err *err) {
    struct backfill_rules_options *o = &making->options;
    int64_t block_ns = 0;
    int64_t interval_ns = 0;
    enum err_code code =
        tool_parse_go_duration(str_of(tool_text(call, "max-block-duration")), &block_ns, err);
    if (code != ERR_OK) {
        return err_wrap(err, "--max-block-duration");
    }
    code = tool_parse_go_duration(str_of(tool_text(call, "eval-interval")), &interval_ns, err);
    if (code != ERR_OK) {
        return err_wrap(err, "--eval-interval");
    }
    if (interval_ns < NS_PER_MS) {
        return err_set(err, ERR_INVALID, "--eval-interval: has to be a millisecond at least");
    }
    o->block_ms = export_block_length(block_ns / NS_PER_MS);
    *out_interval_ms = interval_ns / NS_PER_MS;
    o->end_ms = clock_unix_ms(o->clock) - END_DEFAULT_MS;
    code = read_time(call, "end", &o->end_ms, err);
    code = code == ERR_OK ? read_time(call, "start", &o->start_ms, err) : code;
    if (code == ERR_OK && o->start_ms >= o->end_ms) {
        code = err_set(err, ERR_INVALID, "start time is not before end time");
    }
    return code;
}

static void print_error(void *ctx, struct str text) {
    const struct tool_call *call = ctx;
    (void)fprintf(call->io.err, "rule importer parse error: %.*s\n", STR_ARG(text));
}

/* The rules of all files. false: a message was printed. */
static bool load_rules(struct making *making, int64_t interval_ms) {
    struct tool_call *call = making->call;
    const struct tool_values files = call->args[0];
    for (size_t i = 0; i < files.count; i++) {
        size_t count = 0;
        const struct rule_history *rules =
            rule_history_load(call->arena, call->io.vfs, NULL, files.items[i], interval_ms,
                              print_error, call, &count);
        if (rules == NULL) {
            return false;
        }
        struct rule_history *all =
            arena_alloc(call->arena, (making->rule_count + count + 1) * sizeof(*all));
        for (size_t k = 0; k < making->rule_count + count; k++) {
            all[k] = k < making->rule_count ? making->rules[k] : rules[k - making->rule_count];
        }
        making->rules = all;
        making->rule_count += count;
    }
    return true;
}

/* ---- asking ---- */

static enum err_code ask(void *ctx, struct str expr, int64_t start_ms, int64_t end_ms,
                         int64_t step_ns, struct answer *out, struct err *err) {
    enum { PARAM_COUNT = 4 };
    struct making *making = ctx;
    const struct tool_call *call = making->call;
    const struct tool_values no_headers = {.count = 0};
    const struct json *data = NULL;
    struct api_ask question;
    arena_reset(&making->answer);
    enum err_code code =
        api_ask_begin(&question, &making->answer, call->io.vfs, tool_text(call, "url"),
                      tool_text(call, "http.config.file"), no_headers, PARAM_COUNT, err);
    if (code != ERR_OK) {
        return code;
    }
    api_ask_seconds(&question, "end", (double)end_ms / 1000);
    api_ask_param(&question, "query", expr);
    api_ask_seconds(&question, "start", (double)start_ms / 1000);
    api_ask_seconds(&question, "step", (double)step_ns / 1e9);
    code = api_ask_send(&question, STR("/api/v1/query_range"), true, &data, err);
    code = code == ERR_OK ? answer_read(&making->answer, data, out, err) : code;
    api_ask_end(&question);
    return code == ERR_OK ? ERR_OK : err_wrap(err, "query range");
}

static enum err_code make_blocks(void *ctx, const char *path, uint64_t *out_blocks,
                                 struct err *err) {
    struct making *making = ctx;
    struct progress progress;
    tsdb_tool_progress(making->call, "evaluating rules", "questions", &progress);
    making->options.progress = &progress;
    making->options.path = path;
    const enum err_code code =
        backfill_rules(making->rules, making->rule_count, &making->options, out_blocks, err);
    progress_end(&progress);
    return code == ERR_OK ? ERR_OK : err_wrap(err, "rule importer error");
}

int cmd_tsdb_create_blocks_from_rules(struct tool_call *call) {
    struct rng rng = rng_system();
    struct err err;
    int64_t interval_ms = 0;
    struct making making = {
        .call = call,
        .options = {.vfs = call->io.vfs, .clock = clock_system(), .rng = &rng, .ask = ask}};
    making.options.ask_ctx = &making;
    if (read_options(call, &making, &interval_ms, &err) != ERR_OK) {
        return tsdb_tool_fail(call, &err);
    }
    if (!load_rules(&making, interval_ms)) {
        return TOOL_FAILED;
    }
    arena_init(&making.answer, 0);
    const enum err_code code =
        backfill_into(call, tool_text(call, "output-dir"), make_blocks, &making, &err);
    arena_release(&making.answer);
    return code == ERR_OK ? TOOL_OK : tsdb_tool_fail(call, &err);
}

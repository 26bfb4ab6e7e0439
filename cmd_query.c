#include "cmd_query.h"

#include <string.h>

#include "api_ask.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/json_in.h"
#include "base/json_out.h"
#include "base/number.h"
#include "base/url.h"
#include "bucket_stats.h"
#include "query_answer.h"

/* beside match[] */
enum { PARAM_COUNT_MAX = 4 };
enum { RANGE_DEFAULT_MS = 5 * 60 * 1000, STEPS_DEFAULT = 250 };
#define NEAR_FOREVER_MS (INT64_C(9999) * 3600 * 1000)
/* Answers are a few times as long in our form as in the server's. */
#define OUTPUT_BYTES_MAX ((size_t)1 << 30)

/* ---- asking ---- */

static int fail(const struct tool_call *call, const char *text) {
    (void)fprintf(call->io.err, "%s\n", text);
    return TOOL_FAILED;
}

static bool ask_begin(struct api_ask *ask, struct tool_call *call, struct tool_values headers,
                      size_t param_max) {
    struct err err;
    if (api_ask_begin(ask, call->arena, call->io.vfs, tool_arg(call, 0),
                      tool_text(call, "http.config.file"), headers, param_max, &err) != ERR_OK) {
        (void)fail(call, err.text);
        return false;
    }
    return true;
}

/* The data member of the answer; false: a message was printed. */
static bool ask_server(struct tool_call *call, struct api_ask *ask, struct str path, bool post,
                       const struct json **out_data) {
    struct err err;
    const bool ok = api_ask_send(ask, path, post, out_data, &err) == ERR_OK;
    if (!ok) {
        (void)fprintf(call->io.err, "query error: %s\n", err.text);
    }
    return ok;
}

/* ---- parameters ---- */

static int64_t now_ms(void) {
    return clock_unix_ms(clock_system());
}

/* what: "evaluation", "start", "end". */
static bool read_time(const struct tool_call *call, const char *flag, const char *what,
                      int64_t otherwise_ms, int64_t *out_ms) {
    const char *text = tool_text(call, flag);
    struct err err;
    *out_ms = otherwise_ms;
    if (text != NULL && time_parse_api_ms(str_of(text), out_ms, &err) != ERR_OK) {
        (void)fprintf(call->io.err, "error parsing %s time: %s\n", what, err.text);
        return false;
    }
    return true;
}

/* ---- printing ---- */

static bool wants_json(const struct tool_call *call) {
    return strcmp(tool_text(call, "format"), "json") == 0;
}

static int print_text(const struct tool_call *call, struct buf *text) {
    int code = TOOL_OK;
    if (!buf_ok(text)) {
        code = fail(call, "query error: the answer is too large to print");
    } else if (fwrite(buf_str(text).ptr, 1, text->len, call->io.out) != text->len) {
        code = fail(call, "query error: the answer could not be written");
    }
    buf_release(text);
    return code;
}

static int print_result(const struct tool_call *call, const struct json *data) {
    struct answer answer;
    struct err err;
    if (answer_read(call->arena, data, &answer, &err) != ERR_OK) {
        (void)fprintf(call->io.err, "query error: bad_response: %s\n", err.text);
        return TOOL_FAILED;
    }
    struct buf text;
    buf_init(&text, OUTPUT_BYTES_MAX);
    if (wants_json(call)) {
        answer_print_json(&text, &answer);
    } else {
        answer_print(call->arena, &text, &answer);
    }
    return print_text(call, &text);
}

static int print_label_sets(const struct tool_call *call, const struct json *data) {
    const bool as_json = wants_json(call);
    struct buf text;
    struct json_out j;
    buf_init(&text, OUTPUT_BYTES_MAX);
    json_out_init(&j, &text);
    if (as_json) {
        json_array_begin(&j);
    }
    for (size_t i = 0; i < json_length(data); i++) {
        struct labels labels;
        struct err err;
        if (answer_read_labels(call->arena, json_at(data, i), &labels, &err) != ERR_OK) {
            (void)fprintf(call->io.err, "query error: bad_response: %s\n", err.text);
            buf_release(&text);
            return TOOL_FAILED;
        }
        if (as_json) {
            answer_print_labels_json(&j, labels);
        } else {
            answer_print_labels(call->arena, &text, labels);
            buf_append_char(&text, '\n');
        }
    }
    if (as_json) {
        json_array_end(&j);
        buf_append_char(&text, '\n');
    }
    return print_text(call, &text);
}

static int print_strings(const struct tool_call *call, const struct json *data) {
    const bool as_json = wants_json(call);
    struct buf text;
    struct json_out j;
    buf_init(&text, OUTPUT_BYTES_MAX);
    json_out_init(&j, &text);
    if (as_json) {
        json_array_begin(&j);
    }
    for (size_t i = 0; i < json_length(data); i++) {
        if (as_json) {
            json_str(&j, json_string(json_at(data, i)));
        } else {
            buf_append_str(&text, json_string(json_at(data, i)));
            buf_append_char(&text, '\n');
        }
    }
    if (as_json) {
        json_array_end(&j);
        buf_append_char(&text, '\n');
    }
    return print_text(call, &text);
}

static void print_warnings(const struct tool_call *call, const struct api_ask *ask) {
    const struct json *warnings = json_get(json_root(ask->doc), "warnings");
    for (size_t i = 0; i < json_length(warnings); i++) {
        (void)fprintf(call->io.err, "query warning: %.*s\n",
                      STR_ARG(json_string(json_at(warnings, i))));
    }
}

/* ---- commands ---- */

int cmd_query_instant(struct tool_call *call) {
    int64_t ts_ms = 0;
    struct api_ask ask;
    if (!read_time(call, "time", "evaluation", now_ms(), &ts_ms) ||
        !ask_begin(&ask, call, tool_list(call, "header"), PARAM_COUNT_MAX)) {
        return TOOL_FAILED;
    }
    api_ask_param(&ask, "query", str_of(tool_arg(call, 1)));
    api_ask_seconds(&ask, "time", (double)ts_ms / 1000);
    const struct json *data = NULL;
    const int code = ask_server(call, &ask, STR("/api/v1/query"), true, &data)
                         ? print_result(call, data)
                         : TOOL_FAILED;
    api_ask_end(&ask);
    return code;
}

struct range {
    int64_t start_ms, end_ms;
    int64_t step_ns;
};

static bool read_range(struct tool_call *call, struct range *out) {
    struct err err;
    int64_t step_ns = 0;
    if (tool_text(call, "step") != NULL &&
        tool_parse_go_duration(str_of(tool_text(call, "step")), &step_ns, &err) != ERR_OK) {
        (void)fprintf(call->io.err, "brasa: error: %s, try --help\n", err.text);
        return false;
    }
    if (!read_time(call, "end", "end", now_ms(), &out->end_ms) ||
        !read_time(call, "start", "start", out->end_ms - RANGE_DEFAULT_MS, &out->start_ms)) {
        return false;
    }
    if (out->start_ms >= out->end_ms) {
        (void)fail(call, "start time is not before end time");
        return false;
    }
    const int64_t seconds = (out->end_ms - out->start_ms) / 1000 / STEPS_DEFAULT;
    out->step_ns = step_ns != 0 ? step_ns : (seconds > 1 ? seconds : 1) * NS_PER_S;
    return true;
}

int cmd_query_range(struct tool_call *call) {
    struct range range;
    struct api_ask ask;
    if (!read_range(call, &range) ||
        !ask_begin(&ask, call, tool_list(call, "header"), PARAM_COUNT_MAX)) {
        return TOOL_FAILED;
    }
    api_ask_seconds(&ask, "end", (double)range.end_ms / 1000);
    api_ask_param(&ask, "query", str_of(tool_arg(call, 1)));
    api_ask_seconds(&ask, "start", (double)range.start_ms / 1000);
    api_ask_seconds(&ask, "step", (double)range.step_ns / 1e9);
    const struct json *data = NULL;
    const int code = ask_server(call, &ask, STR("/api/v1/query_range"), true, &data)
                         ? print_result(call, data)
                         : TOOL_FAILED;
    api_ask_end(&ask);
    return code;
}

/* Series and label values: what is there in a time range, as far as selectors match. */
static int list(struct tool_call *call, struct str path, bool post,
                int print(const struct tool_call *call, const struct json *data)) {
    const struct tool_values matches = tool_list(call, "match");
    const struct tool_values no_headers = {.count = 0};
    const int64_t now = now_ms();
    int64_t start_ms = 0;
    int64_t end_ms = 0;
    struct api_ask ask;
    if (!read_time(call, "start", "start", now - NEAR_FOREVER_MS, &start_ms) ||
        !read_time(call, "end", "end", now + NEAR_FOREVER_MS, &end_ms) ||
        !ask_begin(&ask, call, no_headers, matches.count + PARAM_COUNT_MAX)) {
        return TOOL_FAILED;
    }
    api_ask_seconds(&ask, "end", (double)end_ms / 1000);
    for (size_t i = 0; i < matches.count; i++) {
        api_ask_param(&ask, "match[]", str_of(matches.items[i]));
    }
    api_ask_seconds(&ask, "start", (double)start_ms / 1000);
    const struct json *data = NULL;
    int code = TOOL_FAILED;
    if (ask_server(call, &ask, path, post, &data)) {
        print_warnings(call, &ask);
        code = print(call, data);
    }
    api_ask_end(&ask);
    return code;
}

int cmd_query_series(struct tool_call *call) {
    return list(call, STR("/api/v1/series"), true, print_label_sets);
}

int cmd_query_labels(struct tool_call *call) {
    struct buf name;
    buf_init(&name, OUTPUT_BYTES_MAX);
    url_path_escape(&name, str_of(tool_arg(call, 1)));
    const struct str path =
        arena_printf(call->arena, "/api/v1/label/%.*s/values", STR_ARG(buf_str(&name)));
    buf_release(&name);
    return list(call, path, false, print_strings);
}

/* ---- analyze ---- */

/* The matrix that "match[duration]" is at the time, as lines of the statistics. false: a message was
 * printed. */
static bool analyze_match(struct tool_call *call, struct api_ask *ask, const char *match,
                          int64_t duration_ms, int64_t ts_ms, struct bucket_stats *stats) {
    struct buf query;
    const struct json *data = NULL;
    struct answer answer;
    struct err err;
    buf_init(&query, OUTPUT_BYTES_MAX);
    buf_append_cstr(&query, match);
    buf_append_char(&query, '[');
    duration_format_ms(&query, duration_ms);
    buf_append_char(&query, ']');
    ask->param_count = 0;
    api_ask_param(ask, "query", arena_str(call->arena, buf_str(&query)));
    api_ask_seconds(ask, "time", (double)ts_ms / 1000);
    buf_release(&query);
    enum err_code code = api_ask_send(ask, STR("/api/v1/query"), true, &data, &err);
    if (code == ERR_OK) {
        code = answer_read(call->arena, data, &answer, &err);
    }
    if (code == ERR_OK && answer.type != ANSWER_MATRIX) {
        code = err_set(&err, ERR_INVALID, "query result not a matrix");
    }
    if (code == ERR_OK) {
        code = bucket_stats_add(stats, &answer, &err);
    }
    return code == ERR_OK || fail(call, err.text) == TOOL_OK;
}

static int analyze(struct tool_call *call, struct api_ask *ask, int64_t duration_ms,
                   int64_t ts_ms) {
    const struct tool_values matches = tool_list(call, "match");
    struct bucket_stats stats;
    struct buf text;
    bool ok = true;
    buf_init(&text, OUTPUT_BYTES_MAX);
    bucket_stats_begin(&stats, call->arena, &text);
    for (size_t i = 0; ok && i < matches.count; i++) {
        ok = analyze_match(call, ask, matches.items[i], duration_ms, ts_ms, &stats);
    }
    if (ok) {
        bucket_stats_end(&stats);
    }
    const int code = print_text(call, &text);
    return ok ? code : TOOL_FAILED;
}

int cmd_query_analyze(struct tool_call *call) {
    const struct tool_values no_headers = {.count = 0};
    const char *type = tool_text(call, "type");
    int64_t duration_ns = 0;
    int64_t ts_ms = 0;
    struct api_ask ask;
    struct err err;
    if (tool_parse_go_duration(str_of(tool_text(call, "duration")), &duration_ns, &err) != ERR_OK) {
        (void)fprintf(call->io.err, "brasa: error: %s, try --help\n", err.text);
        return TOOL_FAILED;
    }
    if (strcmp(type, "histogram") != 0) {
        (void)fprintf(call->io.err, "analyze type is %s, must be 'histogram'\n", type);
        return TOOL_FAILED;
    }
    if (!read_time(call, "time", "evaluation", now_ms(), &ts_ms)) {
        return TOOL_FAILED;
    }
    if (api_ask_begin(&ask, call->arena, call->io.vfs, tool_text(call, "server"),
                      tool_text(call, "http.config.file"), no_headers, PARAM_COUNT_MAX,
                      &err) != ERR_OK) {
        return fail(call, err.text);
    }
    const int code = analyze(call, &ask, duration_ns / NS_PER_MS, ts_ms);
    api_ask_end(&ask);
    return code;
}

/* ---- explain ---- */

static void print_cost(struct buf *to, const struct json *node) {
    const struct json *expected = json_get(node, "expected");
    const struct json *actual = json_get(node, "actual");
    const struct json *samples = json_get(expected, "samples");
    buf_printf(to, "  [at most %lld series",
               (long long)json_int(json_get(expected, "maxSeries"), 0));
    if (json_get(node, "share") != NULL) {
        buf_printf(to, ", shared as %lld", (long long)json_int(json_get(node, "share"), 0));
    }
    if (samples != NULL) {
        buf_printf(to, ", about %lld samples", (long long)json_int(samples, 0));
    }
    if (actual != NULL) {
        buf_printf(to, "; was %lld series, %lld samples, %.3f ms, %.3f ms its own, %lld bytes",
                   (long long)json_int(json_get(actual, "series"), 0),
                   (long long)json_int(json_get(actual, "samples"), 0),
                   1000 * json_number(json_get(actual, "seconds"), 0),
                   1000 * json_number(json_get(actual, "ownSeconds"), 0),
                   (long long)json_int(json_get(actual, "peakBytes"), 0));
    }
    buf_append_cstr(to, "]\n");
}

/* The server may be anybody's: the depth of its answer is json_in's to bound. */
static void print_plan(struct buf *to, const struct json *node, int depth) {
    const struct json *children = json_get(node, "children");
    buf_printf(to, "%*s%.*s", 2 * depth, "", STR_ARG(json_string(json_get(node, "text"))));
    print_cost(to, node);
    for (size_t i = 0; i < json_length(children); i++) {
        print_plan(to, json_at(children, i), depth + 1);
    }
}

static bool explain_times(struct tool_call *call, struct api_ask *ask) {
    if (tool_text(call, "step") == NULL) {
        int64_t ts_ms = 0;
        if (!read_time(call, "time", "evaluation", now_ms(), &ts_ms)) {
            return false;
        }
        api_ask_seconds(ask, "time", (double)ts_ms / 1000);
        return true;
    }
    struct range range;
    if (!read_range(call, &range)) {
        return false;
    }
    api_ask_seconds(ask, "start", (double)range.start_ms / 1000);
    api_ask_seconds(ask, "end", (double)range.end_ms / 1000);
    api_ask_seconds(ask, "step", (double)range.step_ns / 1e9);
    return true;
}

int cmd_query_explain(struct tool_call *call) {
    struct api_ask ask;
    if (!ask_begin(&ask, call, tool_list(call, "header"), PARAM_COUNT_MAX + 1)) {
        return TOOL_FAILED;
    }
    int code = TOOL_FAILED;
    const struct json *data = NULL;
    api_ask_param(&ask, "query", str_of(tool_arg(call, 1)));
    api_ask_param(&ask, "analyze", tool_is_on(call, "analyze") ? STR("true") : STR("false"));
    if (explain_times(call, &ask) && ask_server(call, &ask, STR("/api/v1/explain"), true, &data)) {
        struct buf text;
        buf_init(&text, OUTPUT_BYTES_MAX);
        print_plan(&text, json_get(data, "plan"), 0);
        code = print_text(call, &text);
    }
    api_ask_end(&ask);
    return code;
}

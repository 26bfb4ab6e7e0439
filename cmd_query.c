#include "cmd_query.h"

#include <string.h>

#include "base/clock.h"
#include "base/duration.h"
#include "base/json_in.h"
#include "base/json_out.h"
#include "base/number.h"
#include "base/url.h"
#include "query_answer.h"
#include "tool_http.h"

/* beside match[] */
enum { PARAM_COUNT_MAX = 4 };
enum { QUERY_TIMEOUT_MS = 2 * 60 * 1000, RANGE_DEFAULT_MS = 5 * 60 * 1000, STEPS_DEFAULT = 250 };
#define NEAR_FOREVER_MS (INT64_C(9999) * 3600 * 1000)
/* Answers are a few times as long in our form as in the server's. */
#define OUTPUT_BYTES_MAX ((size_t)1 << 30)

/* One question and its answer. */
struct ask {
    struct tool_call *call;
    struct tool_http *http;
    struct json_doc *doc;
    struct tool_param *params; /* sorted by name */
    size_t param_count;
};

/* ---- asking ---- */

static int fail(const struct tool_call *call, const char *text) {
    (void)fprintf(call->io.err, "%s\n", text);
    return TOOL_FAILED;
}

static bool ask_begin(struct ask *ask, struct tool_call *call, struct tool_values headers,
                      size_t param_max) {
    struct err err;
    *ask = (struct ask){.call = call};
    ask->params = arena_alloc(call->arena, param_max * sizeof(*ask->params));
    if (tool_http_open(call->arena, call->io.vfs, str_of(tool_arg(call, 0)),
                       tool_text(call, "http.config.file"), headers.items, headers.count,
                       &ask->http, &err) != ERR_OK) {
        (void)fail(call, err.text);
        return false;
    }
    return true;
}

static void ask_end(struct ask *ask) {
    json_doc_free(ask->doc);
    tool_http_close(ask->http);
}

/* Statuses beside 2xx at which the body is an answer of the API. */
static bool is_api_status(int status) {
    return status / 100 == 2 || status == 400 || status == 422;
}

static enum err_code status_error(const struct tool_reply *reply, struct err *err) {
    const struct str detail = str_trim(reply->body);
    const int cls = reply->status / 100;
    return err_set(err, ERR_UNAVAILABLE, "%s: %s%d%s%.*s%s",
                   cls == 4   ? "client_error"
                   : cls == 5 ? "server_error"
                              : "bad_response",
                   cls == 4   ? "client error: "
                   : cls == 5 ? "server error: "
                              : "bad response code ",
                   reply->status, detail.len > 0 ? " (detail: " : "", STR_ARG(detail),
                   detail.len > 0 ? ")" : "");
}

static enum err_code read_reply(struct ask *ask, const struct tool_reply *reply,
                                const struct json **out_data, struct err *err) {
    if (!is_api_status(reply->status)) {
        return status_error(reply, err);
    }
    if (json_parse(reply->body, &ask->doc, err) != ERR_OK) {
        return err_wrap(err, "bad_response");
    }
    const struct json *root = json_root(ask->doc);
    const struct str status = json_string(json_get(root, "status"));
    if (str_eq(status, STR("error"))) {
        return err_set(err, ERR_EXECUTION, "%.*s: %.*s",
                       STR_ARG(json_string(json_get(root, "errorType"))),
                       STR_ARG(json_string(json_get(root, "error"))));
    }
    if (!str_eq(status, STR("success")) || reply->status / 100 != 2) {
        return err_set(err, ERR_INVALID, "bad_response: inconsistent body for response code");
    }
    *out_data = json_get(root, "data");
    return ERR_OK;
}

/* The data member of the answer; false: a message was printed. */
static bool ask_server(struct ask *ask, struct str path, bool post, const struct json **out_data) {
    struct tool_reply reply;
    struct err err;
    enum err_code code = post ? tool_http_post(ask->http, path, ask->params, ask->param_count,
                                               QUERY_TIMEOUT_MS, &reply, &err)
                              : tool_http_get(ask->http, path, ask->params, ask->param_count,
                                              QUERY_TIMEOUT_MS, &reply, &err);
    if (code == ERR_OK) {
        code = read_reply(ask, &reply, out_data, &err);
    }
    if (code != ERR_OK) {
        (void)fprintf(ask->call->io.err, "query error: %s\n", err.text);
    }
    return code == ERR_OK;
}

/* ---- parameters ---- */

static void add_param(struct ask *ask, const char *name, struct str value) {
    ask->params[ask->param_count++] = (struct tool_param){name, value};
}

static void add_seconds(struct ask *ask, const char *name, double seconds) {
    char text[NUMBER_TEXT_MAX];
    const size_t n = number_format_f(seconds, text);
    add_param(ask, name, arena_str(ask->call->arena, (struct str){text, n}));
}

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

static int print_result(const struct ask *ask, const struct json *data) {
    struct answer answer;
    struct err err;
    if (answer_read(ask->call->arena, data, &answer, &err) != ERR_OK) {
        (void)fprintf(ask->call->io.err, "query error: bad_response: %s\n", err.text);
        return TOOL_FAILED;
    }
    struct buf text;
    buf_init(&text, OUTPUT_BYTES_MAX);
    if (wants_json(ask->call)) {
        answer_print_json(&text, &answer);
    } else {
        answer_print(&text, &answer);
    }
    return print_text(ask->call, &text);
}

static int print_label_sets(const struct ask *ask, const struct json *data) {
    const bool as_json = wants_json(ask->call);
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
        if (answer_read_labels(ask->call->arena, json_at(data, i), &labels, &err) != ERR_OK) {
            (void)fprintf(ask->call->io.err, "query error: bad_response: %s\n", err.text);
            buf_release(&text);
            return TOOL_FAILED;
        }
        if (as_json) {
            answer_print_labels_json(&j, labels);
        } else {
            labels_format(&text, labels);
            buf_append_char(&text, '\n');
        }
    }
    if (as_json) {
        json_array_end(&j);
        buf_append_char(&text, '\n');
    }
    return print_text(ask->call, &text);
}

static int print_strings(const struct ask *ask, const struct json *data) {
    const bool as_json = wants_json(ask->call);
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
    return print_text(ask->call, &text);
}

static void print_warnings(const struct ask *ask) {
    const struct json *warnings = json_get(json_root(ask->doc), "warnings");
    for (size_t i = 0; i < json_length(warnings); i++) {
        (void)fprintf(ask->call->io.err, "query warning: %.*s\n",
                      STR_ARG(json_string(json_at(warnings, i))));
    }
}

/* ---- commands ---- */

int cmd_query_instant(struct tool_call *call) {
    int64_t ts_ms = 0;
    struct ask ask;
    if (!read_time(call, "time", "evaluation", now_ms(), &ts_ms) ||
        !ask_begin(&ask, call, tool_list(call, "header"), PARAM_COUNT_MAX)) {
        return TOOL_FAILED;
    }
    add_param(&ask, "query", str_of(tool_arg(call, 1)));
    add_seconds(&ask, "time", (double)ts_ms / 1000);
    const struct json *data = NULL;
    const int code = ask_server(&ask, STR("/api/v1/query"), true, &data) ? print_result(&ask, data)
                                                                         : TOOL_FAILED;
    ask_end(&ask);
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
    struct ask ask;
    if (!read_range(call, &range) ||
        !ask_begin(&ask, call, tool_list(call, "header"), PARAM_COUNT_MAX)) {
        return TOOL_FAILED;
    }
    add_seconds(&ask, "end", (double)range.end_ms / 1000);
    add_param(&ask, "query", str_of(tool_arg(call, 1)));
    add_seconds(&ask, "start", (double)range.start_ms / 1000);
    add_seconds(&ask, "step", (double)range.step_ns / 1e9);
    const struct json *data = NULL;
    const int code = ask_server(&ask, STR("/api/v1/query_range"), true, &data)
                         ? print_result(&ask, data)
                         : TOOL_FAILED;
    ask_end(&ask);
    return code;
}

/* Series and label values: what is there in a time range, as far as selectors match. */
static int list(struct tool_call *call, struct str path, bool post,
                int print(const struct ask *ask, const struct json *data)) {
    const struct tool_values matches = tool_list(call, "match");
    const struct tool_values no_headers = {.count = 0};
    const int64_t now = now_ms();
    int64_t start_ms = 0;
    int64_t end_ms = 0;
    struct ask ask;
    if (!read_time(call, "start", "start", now - NEAR_FOREVER_MS, &start_ms) ||
        !read_time(call, "end", "end", now + NEAR_FOREVER_MS, &end_ms) ||
        !ask_begin(&ask, call, no_headers, matches.count + PARAM_COUNT_MAX)) {
        return TOOL_FAILED;
    }
    add_seconds(&ask, "end", (double)end_ms / 1000);
    for (size_t i = 0; i < matches.count; i++) {
        add_param(&ask, "match[]", str_of(matches.items[i]));
    }
    add_seconds(&ask, "start", (double)start_ms / 1000);
    const struct json *data = NULL;
    int code = TOOL_FAILED;
    if (ask_server(&ask, path, post, &data)) {
        print_warnings(&ask);
        code = print(&ask, data);
    }
    ask_end(&ask);
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

/* ---- explain ---- */

static void print_cost(struct buf *to, const struct json *node) {
    const struct json *expected = json_get(node, "expected");
    const struct json *actual = json_get(node, "actual");
    const struct json *samples = json_get(expected, "samples");
    buf_printf(to, "  [at most %lld series",
               (long long)json_int(json_get(expected, "maxSeries"), 0));
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

static bool explain_times(struct ask *ask) {
    struct tool_call *call = ask->call;
    if (tool_text(call, "step") == NULL) {
        int64_t ts_ms = 0;
        if (!read_time(call, "time", "evaluation", now_ms(), &ts_ms)) {
            return false;
        }
        add_seconds(ask, "time", (double)ts_ms / 1000);
        return true;
    }
    struct range range;
    if (!read_range(call, &range)) {
        return false;
    }
    add_seconds(ask, "start", (double)range.start_ms / 1000);
    add_seconds(ask, "end", (double)range.end_ms / 1000);
    add_seconds(ask, "step", (double)range.step_ns / 1e9);
    return true;
}

int cmd_query_explain(struct tool_call *call) {
    struct ask ask;
    if (!ask_begin(&ask, call, tool_list(call, "header"), PARAM_COUNT_MAX + 1)) {
        return TOOL_FAILED;
    }
    int code = TOOL_FAILED;
    const struct json *data = NULL;
    add_param(&ask, "query", str_of(tool_arg(call, 1)));
    add_param(&ask, "analyze", tool_is_on(call, "analyze") ? STR("true") : STR("false"));
    if (explain_times(&ask) && ask_server(&ask, STR("/api/v1/explain"), true, &data)) {
        struct buf text;
        buf_init(&text, OUTPUT_BYTES_MAX);
        print_plan(&text, json_get(data, "plan"), 0);
        code = print_text(call, &text);
    }
    ask_end(&ask);
    return code;
}

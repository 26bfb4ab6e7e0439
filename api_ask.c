#include "api_ask.h"

#include "base/number.h"

enum { QUERY_TIMEOUT_MS = 2 * 60 * 1000 };

enum err_code api_ask_begin(struct api_ask *ask, struct arena *arena, struct vfs *vfs,
                            const char *server, const char *http_file, struct tool_values headers,
                            size_t param_max, struct err *err) {
    *ask = (struct api_ask){.arena = arena};
    ask->params = arena_alloc(arena, param_max * sizeof(*ask->params));
    return tool_http_open(arena, vfs, str_of(server), http_file, headers.items, headers.count,
                          &ask->http, err);
}

void api_ask_end(struct api_ask *ask) {
    json_doc_free(ask->doc);
    tool_http_close(ask->http);
}

void api_ask_param(struct api_ask *ask, const char *name, struct str value) {
    ask->params[ask->param_count++] = (struct tool_param){name, value};
}

void api_ask_seconds(struct api_ask *ask, const char *name, double seconds) {
    char text[NUMBER_TEXT_MAX];
    const size_t n = number_format_f(seconds, text);
    api_ask_param(ask, name, arena_str(ask->arena, (struct str){text, n}));
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

static enum err_code read_reply(struct api_ask *ask, const struct tool_reply *reply,
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

enum err_code api_ask_send(struct api_ask *ask, struct str path, bool post,
                           const struct json **out_data, struct err *err) {
    struct tool_reply reply;
    json_doc_free(ask->doc); /* of the question before */
    ask->doc = NULL;
    const enum err_code code = post ? tool_http_post(ask->http, path, ask->params, ask->param_count,
                                                     QUERY_TIMEOUT_MS, &reply, err)
                                    : tool_http_get(ask->http, path, ask->params, ask->param_count,
                                                    QUERY_TIMEOUT_MS, &reply, err);
    return code == ERR_OK ? read_reply(ask, &reply, out_data, err) : code;
}

#include "cmd_check_server.h"

#include "tool_http.h"

enum { CHECK_TIMEOUT_MS = 10 * 1000, STATUS_OK = 200 };

static int ask(struct tool_call *call, struct str path) {
    const char *url = tool_text(call, "url");
    struct tool_http *http = NULL;
    struct tool_reply reply;
    struct err err;
    enum err_code code = tool_http_open(call->arena, call->io.vfs, str_of(url),
                                        tool_text(call, "http.config.file"), NULL, 0, &http, &err);
    if (code == ERR_OK) {
        code = tool_http_get(http, path, NULL, 0, CHECK_TIMEOUT_MS, &reply, &err);
    }
    if (code != ERR_OK) {
        (void)fprintf(call->io.err, "%s\n", err.text);
    } else if (reply.status != STATUS_OK) {
        (void)fprintf(call->io.err, "check failed: URL=%s, status=%d\n", url, reply.status);
        code = ERR_UNAVAILABLE;
    } else {
        (void)fprintf(call->io.err, "  SUCCESS:  %.*s\n", STR_ARG(reply.body));
    }
    tool_http_close(http);
    return code == ERR_OK ? TOOL_OK : TOOL_FAILED;
}

int cmd_check_healthy(struct tool_call *call) {
    return ask(call, STR("/-/healthy"));
}

int cmd_check_ready(struct tool_call *call) {
    return ask(call, STR("/-/ready"));
}

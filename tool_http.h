/* A Prometheus server as the command-line tools talk to it: one request at a time over
 * base/transport.h, answers bounded, errors as promtool prints them. One thread. */
#ifndef TOOL_HTTP_H
#define TOOL_HTTP_H

#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "base/vfs.h"

enum { TOOL_HTTP_BODY_MAX = 64 * 1024 * 1024 };

struct tool_http;

/* A parameter of a query string or form. */
struct tool_param {
    const char *name;
    struct str value;
};

struct tool_reply {
    int status;
    struct str body; /* in the arena given to tool_http_open */
};

/* server: a URL, http:// if it names no scheme; user info in it is basic authentication. http_file:
 * YAML of HTTP client options, or NULL. headers: "name=value". ERR_INVALID for a bad URL or file.
 * Ended with tool_http_close before the arena. */
MUST_CHECK enum err_code tool_http_open(struct arena *arena, struct vfs *vfs, struct str server,
                                        const char *http_file, const char *const *headers,
                                        size_t header_count, struct tool_http **out,
                                        struct err *err);
void tool_http_close(struct tool_http *http);

/* ERR_OK: an answer came, whatever its status. path begins with a slash and is put behind that of
 * the server's URL; params are sorted by name by the caller. */
MUST_CHECK enum err_code tool_http_get(struct tool_http *http, struct str path,
                                       const struct tool_param *params, size_t param_count,
                                       int64_t timeout_ms, struct tool_reply *out, struct err *err);
/* As a form; as GET when the server refuses that method (403, 405, 501). */
MUST_CHECK enum err_code tool_http_post(struct tool_http *http, struct str path,
                                        const struct tool_param *params, size_t param_count,
                                        int64_t timeout_ms, struct tool_reply *out,
                                        struct err *err);

#endif

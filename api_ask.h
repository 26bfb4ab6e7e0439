/* One question to the HTTP API of a Prometheus-compatible server and its answer, for the
 * command-line tools. Errors are worded as promtool prints them behind "query error: ". One thread. */
#ifndef API_ASK_H
#define API_ASK_H

#include <stddef.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/json_in.h"
#include "tool_http.h"
#include "tools.h"

struct api_ask {
    struct arena *arena;
    struct tool_http *http;
    struct json_doc *doc; /* the answer */
    struct tool_param *params;
    size_t param_count;
};

/* Connects to nobody yet. arena holds all that belongs to the question and outlives it. ERR_INVALID:
 * a bad URL or client file. Ended with api_ask_end. */
MUST_CHECK enum err_code api_ask_begin(struct api_ask *ask, struct arena *arena, struct vfs *vfs,
                                       const char *server, const char *http_file,
                                       struct tool_values headers, size_t param_max,
                                       struct err *err);
void api_ask_end(struct api_ask *ask);

/* Parameters are added in the order of their names. */
void api_ask_param(struct api_ask *ask, const char *name, struct str value);
void api_ask_seconds(struct api_ask *ask, const char *name, double seconds);

/* The data member of the answer; it lives until the next call or api_ask_end. For another question,
 * set param_count to 0 first. */
MUST_CHECK enum err_code api_ask_send(struct api_ask *ask, struct str path, bool post,
                                      const struct json **out_data, struct err *err);

#endif

#include "tool_http.h"

#include <string.h>

#include "base/mem.h"
#include "base/transport.h"
#include "base/url.h"
#include "base/yaml_node.h"
#include "config_http.h"

enum { HTTP_FILE_BYTES_MAX = 1024 * 1024, URL_BYTES_MAX = 1024 * 1024 };

struct tool_http {
    struct arena *arena;
    struct transport *transport;
    struct transport_client *client;
    struct str base_url; /* without user info, query and slash at the end */
    struct http_config config;
    struct str *headers; /* "Name: value"; one more place for the content type */
    size_t header_count;
};

/* ---- HTTP client options ---- */

struct http_file {
    struct http_options http;
};

static void http_file_defaults(void *self) {
    http_options_defaults(&((struct http_file *)self)->http);
}

static enum err_code http_file_check(struct binder *b, void *self, struct err *err) {
    return http_options_check(b, &((struct http_file *)self)->http, err);
}

static const struct bind_field HTTP_FILE_FIELDS[] = {
    {.key = "",
     .type = BIND_INLINE,
     .offset = offsetof(struct http_file, http),
     .table = &http_options_table},
};
static const struct bind_table HTTP_FILE_TABLE = {
    .type_name = "config.HTTPClientConfig",
    .size = sizeof(struct http_file),
    .fields = HTTP_FILE_FIELDS,
    .field_count = COUNT_OF(HTTP_FILE_FIELDS),
    .defaults = http_file_defaults,
    .check = http_file_check,
};

static enum err_code load_http_file(struct tool_http *http, struct vfs *vfs, const char *path,
                                    struct err *err) {
    char *text = NULL;
    size_t len = 0;
    enum err_code code = vfs_read_file(vfs, path, HTTP_FILE_BYTES_MAX, &text, &len, err);
    if (code != ERR_OK) {
        return err_wrap(err, "Failed to load HTTP config file");
    }
    const struct str copy = arena_str(http->arena, (struct str){text, len});
    mem_free(text);
    struct yaml_node *root = NULL;
    struct http_file *file = arena_zalloc(http->arena, sizeof(*file));
    struct binder binder;
    binder_init(&binder, http->arena);
    code = yaml_parse(http->arena, copy, &root, NULL, err);
    if (code == ERR_OK) {
        code = bind_document(&binder, root, &HTTP_FILE_TABLE, file, err);
    }
    if (code != ERR_OK) {
        return err_wrap(err, "Failed to load HTTP config file");
    }
    const ptrdiff_t slash = str_rfind_char(str_of(path), '/');
    if (slash >= 0) {
        bind_join(http->arena, str_sub(str_of(path), 0, (size_t)slash), &HTTP_FILE_TABLE, file);
    }
    http_options_convert(&file->http, &http->config);
    return ERR_OK;
}

/* ---- the server's URL ---- */

static enum err_code set_url(struct tool_http *http, struct str server, bool has_file,
                             struct err *err) {
    if (str_find(server, STR("://")) < 0) {
        server = arena_printf(http->arena, "http://%.*s", STR_ARG(server));
    }
    struct url url;
    const enum err_code code = url_parse(http->arena, server, &url, err);
    if (code != ERR_OK) {
        return code;
    }
    if (url.has_user && has_file) {
        return err_set(err, ERR_INVALID,
                       "Cannot set base auth in the server URL and use a http.config.file at the "
                       "same time");
    }
    const size_t scheme_len = (size_t)str_find(server, STR("://")) + 3;
    struct str rest = str_from(server, scheme_len);
    for (size_t i = 0; i < rest.len; i++) {
        if (rest.ptr[i] == '?' || rest.ptr[i] == '#') {
            rest.len = i;
        }
    }
    if (url.has_user) {
        http->config.has_basic_auth = true;
        http->config.username = url.user;
        http->config.password.reveal = url.password;
        rest = str_from(rest, (size_t)str_find_char(rest, '@') + 1);
    }
    while (rest.len > 0 && rest.ptr[rest.len - 1] == '/') {
        rest.len--;
    }
    http->base_url = arena_printf(http->arena, "%.*s%.*s", STR_ARG(str_sub(server, 0, scheme_len)),
                                  STR_ARG(rest));
    return ERR_OK;
}

static enum err_code set_headers(struct tool_http *http, const char *const *headers, size_t count,
                                 struct err *err) {
    http->headers = arena_alloc(http->arena, (count + 1) * sizeof(*http->headers));
    for (size_t i = 0; i < count; i++) {
        const struct str text = str_of(headers[i]);
        const ptrdiff_t equals = str_find_char(text, '=');
        if (equals <= 0 || strpbrk(headers[i], "\r\n") != NULL) {
            return err_set(err, ERR_INVALID, "expected KEY=VALUE got '%s'", headers[i]);
        }
        http->headers[http->header_count++] =
            arena_printf(http->arena, "%.*s: %.*s", STR_ARG(str_sub(text, 0, (size_t)equals)),
                         STR_ARG(str_from(text, (size_t)equals + 1)));
    }
    return ERR_OK;
}

enum err_code tool_http_open(struct arena *arena, struct vfs *vfs, struct str server,
                             const char *http_file, const char *const *headers, size_t header_count,
                             struct tool_http **out, struct err *err) {
    struct tool_http *http = arena_zalloc(arena, sizeof(*http));
    http->arena = arena;
    http->config.follow_redirects = true;
    http->config.enable_http2 = true;
    enum err_code code = set_url(http, server, http_file != NULL, err);
    if (code == ERR_OK) {
        code = set_headers(http, headers, header_count, err);
    }
    if (code == ERR_OK && http_file != NULL) {
        code = load_http_file(http, vfs, http_file, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    http->transport = transport_curl_new(STR("promtool/3.14.0"));
    code = transport_client_new(http->transport, &http->config, NULL, &http->client, err);
    if (code != ERR_OK) {
        transport_free(http->transport);
        return code;
    }
    *out = http;
    return ERR_OK;
}

void tool_http_close(struct tool_http *http) {
    if (http != NULL) {
        transport_client_free(http->transport, http->client);
        transport_free(http->transport);
    }
}

/* ---- requests ---- */

struct exchange {
    struct tool_http *http;
    struct tool_reply *reply;
    struct err *err;
    enum err_code code;
    bool done;
};

static void on_done(void *ctx, struct http_response *response) {
    struct exchange *x = ctx;
    x->done = true;
    x->code = response->code;
    if (response->code != ERR_OK) {
        (void)err_set(x->err, response->code, "%s", response->err.text);
        return;
    }
    x->reply->status = response->status;
    x->reply->body = arena_str(x->http->arena, buf_str(response->body));
}

static enum err_code perform(struct tool_http *http, const struct http_request *request,
                             struct tool_reply *out, struct err *err) {
    struct exchange x = {.http = http, .reply = out, .err = err};
    struct transport_request *handle = NULL;
    const enum err_code code =
        transport_start(http->transport, http->client, request, on_done, &x, &handle, err);
    if (code != ERR_OK) {
        return code;
    }
    while (!x.done) {
        transport_poll(http->transport, -1);
    }
    return x.code;
}

static enum err_code encode(struct tool_http *http, const struct tool_param *params, size_t count,
                            struct str *out, struct err *err) {
    struct buf text;
    buf_init(&text, URL_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_append_char(&text, '&');
        }
        url_query_escape(&text, str_of(params[i].name));
        buf_append_char(&text, '=');
        url_query_escape(&text, params[i].value);
    }
    enum err_code code = ERR_OK;
    if (buf_ok(&text)) {
        *out = arena_str(http->arena, buf_str(&text));
    } else {
        code = err_set(err, ERR_LIMIT, "the request is larger than %d bytes", URL_BYTES_MAX);
    }
    buf_release(&text);
    return code;
}

enum err_code tool_http_get(struct tool_http *http, struct str path,
                            const struct tool_param *params, size_t param_count, int64_t timeout_ms,
                            struct tool_reply *out, struct err *err) {
    struct str query;
    const enum err_code code = encode(http, params, param_count, &query, err);
    if (code != ERR_OK) {
        return code;
    }
    const struct http_request request = {
        .method = "GET",
        .url = arena_printf(http->arena, "%.*s%.*s%s%.*s", STR_ARG(http->base_url), STR_ARG(path),
                            query.len > 0 ? "?" : "", STR_ARG(query)),
        .headers = http->headers,
        .header_count = http->header_count,
        .timeout_ms = timeout_ms,
        .max_body_bytes = TOOL_HTTP_BODY_MAX};
    return perform(http, &request, out, err);
}

enum err_code tool_http_post(struct tool_http *http, struct str path,
                             const struct tool_param *params, size_t param_count,
                             int64_t timeout_ms, struct tool_reply *out, struct err *err) {
    struct str form;
    enum err_code code = encode(http, params, param_count, &form, err);
    if (code != ERR_OK) {
        return code;
    }
    http->headers[http->header_count] = STR("Content-Type: application/x-www-form-urlencoded");
    const struct http_request request = {
        .method = "POST",
        .url = arena_printf(http->arena, "%.*s%.*s", STR_ARG(http->base_url), STR_ARG(path)),
        .headers = http->headers,
        .header_count = http->header_count + 1,
        .body = form,
        .timeout_ms = timeout_ms,
        .max_body_bytes = TOOL_HTTP_BODY_MAX};
    code = perform(http, &request, out, err);
    if (code == ERR_OK && (out->status == 403 || out->status == 405 || out->status == 501)) {
        return tool_http_get(http, path, params, param_count, timeout_ms, out, err);
    }
    return code;
}

/* Any target and form body: parsing ends, and parameters that are encoded again decode to themselves.
 *
 * Input: the target up to the first line feed, then the body. */
#include <stdlib.h>
#include <string.h>

#include "base/url.h"
#include "web/http.h"

static void begin(struct http_incoming *in, struct str target, struct str body) {
    *in = (struct http_incoming){.method = HTTP_POST,
                                 .target = target,
                                 .content_type = STR("application/x-www-form-urlencoded")};
    arena_init(&in->arena, HTTP_REQUEST_MEMORY_MAX);
    buf_init(&in->body, HTTP_BODY_MAX);
    buf_append_str(&in->body, body);
}

static void end(struct http_incoming *in) {
    buf_release(&in->body);
    arena_release(&in->arena);
}

static void check_again(const struct http_incoming *in) {
    struct buf target;
    buf_init(&target, 64 * 1024 * 1024);
    buf_append_cstr(&target, "/?");
    for (size_t i = 0; i < in->param_count; i++) {
        url_query_escape(&target, in->params[i].name);
        buf_append_char(&target, '=');
        url_query_escape(&target, in->params[i].value);
        buf_append_char(&target, '&');
    }
    struct http_incoming again;
    struct err err;
    begin(&again, buf_str(&target), STR(""));
    if (http_incoming_parse(&again, &err) != ERR_OK || again.param_count != in->param_count) {
        abort();
    }
    for (size_t i = 0; i < in->param_count; i++) {
        if (!str_eq(in->params[i].name, again.params[i].name) ||
            !str_eq(in->params[i].value, again.params[i].value)) {
            abort();
        }
    }
    end(&again);
    buf_release(&target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct str text = {(const char *)data, size};
    const ptrdiff_t line = str_find_char(text, '\n');
    struct http_incoming in;
    struct err err;
    begin(&in, line < 0 ? text : str_sub(text, 0, (size_t)line),
          line < 0 ? STR("") : str_from(text, (size_t)line + 1));
    if (http_incoming_parse(&in, &err) == ERR_OK) {
        if (str_find(in.path, STR("/../")) >= 0 || str_ends(in.path, STR("/..")) ||
            (in.path.len > 0 && memchr(in.path.ptr, '\0', in.path.len) != NULL)) {
            abort();
        }
        check_again(&in);
    }
    end(&in);
    return 0;
}

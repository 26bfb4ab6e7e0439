#include "web/http.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/url.h"

static enum err_code decode(struct arena *arena, struct str raw, struct str *out, struct err *err) {
    struct buf text;
    buf_init(&text, HTTP_BODY_MAX);
    enum err_code code = url_query_unescape(&text, raw, err);
    if (code == ERR_OK) {
        *out = arena_str(arena, buf_str(&text));
    }
    buf_release(&text);
    return code;
}

/* "." and ".." as a whole segment */
static bool leaves_folder(struct str path) {
    for (size_t at = 0; at < path.len;) {
        const ptrdiff_t slash = str_find_char(str_from(path, at), '/');
        const size_t len = slash < 0 ? path.len - at : (size_t)slash;
        const struct str segment = str_sub(path, at, len);
        if (str_eq(segment, STR(".")) || str_eq(segment, STR(".."))) {
            return true;
        }
        at += len + 1;
    }
    return false;
}

/* A path is decoded once; what could mean another folder after that is refused. */
static enum err_code decode_path(struct http_incoming *in, struct str raw, struct err *err) {
    static const char *const refused[] = {"%2f", "%2F", "%5c", "%5C", "%00", "\\"};
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        if (str_find(raw, str_of(refused[i])) >= 0) {
            return err_set(err, ERR_INVALID, "bad path");
        }
    }
    /* '+' is a plus sign in a path, not a space */
    struct buf safe;
    buf_init(&safe, 4 * (size_t)HTTP_URL_MAX);
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.ptr[i] == '+') {
            buf_append_cstr(&safe, "%2B");
        } else {
            buf_append_char(&safe, raw.ptr[i]);
        }
    }
    enum err_code code = decode(&in->arena, buf_str(&safe), &in->path, err);
    buf_release(&safe);
    if (code == ERR_OK && (leaves_folder(in->path) || str_find_char(in->path, '\0') >= 0)) {
        code = err_set(err, ERR_INVALID, "bad path");
    }
    return code;
}

static enum err_code add_params(struct http_incoming *in, struct str form, size_t *capacity,
                                struct err *err) {
    while (form.len > 0) {
        ptrdiff_t end = str_find_char(form, '&');
        const struct str pair = str_sub(form, 0, end < 0 ? form.len : (size_t)end);
        form = end < 0 ? str_from(form, form.len) : str_from(form, (size_t)end + 1);
        if (pair.len == 0) {
            continue;
        }
        if (in->param_count >= HTTP_PARAMS_MAX) {
            return err_set(err, ERR_LIMIT, "too many parameters");
        }
        if (in->param_count == *capacity) {
            *capacity = mem_grow(*capacity, in->param_count + 1);
            struct http_param *grown = arena_alloc(&in->arena, *capacity * sizeof(*grown));
            if (in->param_count > 0) {
                memcpy(grown, in->params, in->param_count * sizeof(*grown));
            }
            in->params = grown;
        }
        const ptrdiff_t equals = str_find_char(pair, '=');
        struct http_param *param = &in->params[in->param_count];
        enum err_code code = decode(
            &in->arena, equals < 0 ? pair : str_sub(pair, 0, (size_t)equals), &param->name, err);
        if (code == ERR_OK) {
            code = decode(&in->arena, equals < 0 ? STR("") : str_from(pair, (size_t)equals + 1),
                          &param->value, err);
        }
        if (code != ERR_OK) {
            return code;
        }
        in->param_count++;
    }
    return ERR_OK;
}

enum err_code http_incoming_parse(struct http_incoming *in, struct err *err) {
    const ptrdiff_t mark = str_find_char(in->target, '?');
    const struct str path = mark < 0 ? in->target : str_sub(in->target, 0, (size_t)mark);
    enum err_code code = decode_path(in, path, err);
    if (code != ERR_OK) {
        return code;
    }
    size_t capacity = 0;
    if ((in->method == HTTP_POST || in->method == HTTP_PUT) &&
        str_starts(in->content_type, STR("application/x-www-form-urlencoded"))) {
        code = add_params(in, buf_str(&in->body), &capacity, err);
    }
    if (code == ERR_OK && mark >= 0) {
        code = add_params(in, str_from(in->target, (size_t)mark + 1), &capacity, err);
    }
    return code;
}

struct str http_param(const struct http_incoming *in, const char *name) {
    const struct str want = str_of(name);
    for (size_t i = 0; i < in->param_count; i++) {
        if (str_eq(in->params[i].name, want)) {
            return in->params[i].value;
        }
    }
    return STR("");
}

struct str *http_param_all(struct http_incoming *in, const char *name, size_t *out_count) {
    const struct str want = str_of(name);
    struct str *values = arena_alloc(&in->arena, (in->param_count + 1) * sizeof(*values));
    size_t count = 0;
    for (size_t i = 0; i < in->param_count; i++) {
        if (str_eq(in->params[i].name, want)) {
            values[count++] = in->params[i].value;
        }
    }
    *out_count = count;
    return values;
}

bool http_accepts_gzip(struct str accept_encoding) {
    while (accept_encoding.len > 0) {
        const ptrdiff_t comma = str_find_char(accept_encoding, ',');
        const struct str token =
            str_trim(comma < 0 ? accept_encoding : str_sub(accept_encoding, 0, (size_t)comma));
        if (str_eq(token, STR("gzip"))) {
            return true;
        }
        if (str_eq(token, STR("deflate"))) {
            return false;
        }
        accept_encoding = comma < 0 ? STR("") : str_from(accept_encoding, (size_t)comma + 1);
    }
    return false;
}

void http_text(struct http_outgoing *out, int status, const char *text) {
    out->status = status;
    out->content_type = "text/plain; charset=utf-8";
    buf_clear(&out->body);
    buf_append_cstr(&out->body, text);
}

void http_add_header(struct http_outgoing *out, const char *name, struct str value) {
    ASSERT(out->header_count < HTTP_HEADERS_MAX);
    out->headers[out->header_count++] = (struct http_extra_header){name, value};
}

struct str http_method_name(enum http_method method) {
    switch (method) {
    case HTTP_GET:
        return STR("GET");
    case HTTP_HEAD:
        return STR("HEAD");
    case HTTP_POST:
        return STR("POST");
    case HTTP_PUT:
        return STR("PUT");
    case HTTP_OPTIONS:
        return STR("OPTIONS");
    case HTTP_OTHER:
        break;
    }
    return STR("");
}

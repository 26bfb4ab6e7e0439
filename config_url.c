#include "config_url.h"

#include <ctype.h>

#include "base/buf.h"
#include "base/url.h"

static bool is_alpha(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static enum err_code url_fail(struct arena *arena, struct str url, const char *why,
                              struct err *err) {
    return err_set(err, ERR_INVALID, "parse %s: %s", bind_quote(arena, url), why);
}

/* Length of the scheme before the first colon; 0: none; -1: the colon comes first. */
static ptrdiff_t scheme_length(struct str url) {
    for (size_t i = 0; i < url.len; i++) {
        const char c = url.ptr[i];
        if (is_alpha(c)) {
            continue;
        }
        if (is_digit(c) || c == '+' || c == '-' || c == '.') {
            if (i == 0) {
                return 0;
            }
            continue;
        }
        return c == ':' ? (i == 0 ? -1 : (ptrdiff_t)i) : 0;
    }
    return 0;
}

static enum err_code host_check(struct arena *arena, struct str url, struct str authority,
                                struct err *err) {
    const ptrdiff_t at = str_rfind_char(authority, '@');
    const struct str host = str_from(authority, (size_t)(at + 1));
    const ptrdiff_t bracket = str_rfind_char(host, ']');
    if (host.len > 0 && host.ptr[0] == '[' && bracket < 0) {
        return url_fail(arena, url, "missing ']' in host", err);
    }
    const struct str tail = str_from(host, bracket < 0 ? 0 : (size_t)bracket + 1);
    const ptrdiff_t colon = bracket < 0 ? str_rfind_char(tail, ':') : (tail.len > 0 ? 0 : -1);
    const struct str port = colon < 0 ? STR("") : str_from(tail, (size_t)colon);
    for (size_t i = 0; i < port.len; i++) {
        if (i == 0 ? port.ptr[i] != ':' : !is_digit(port.ptr[i])) {
            return err_set(err, ERR_INVALID, "parse %s: invalid port %s after host",
                           bind_quote(arena, url), bind_quote(arena, port));
        }
    }
    for (size_t i = 0; i < host.len; i++) {
        if (strchr(" <>\"{}|\\^`", host.ptr[i]) != NULL) {
            return err_set(err, ERR_INVALID, "parse %s: invalid character %s in host name",
                           bind_quote(arena, url), bind_quote(arena, str_sub(host, i, 1)));
        }
    }
    return ERR_OK;
}

enum err_code url_option_check(struct arena *arena, struct str url, struct err *err) {
    for (size_t i = 0; i < url.len; i++) {
        if ((unsigned char)url.ptr[i] < ' ' || url.ptr[i] == 0x7f) {
            return url_fail(arena, url, "net/url: invalid control character in URL", err);
        }
        if (url.ptr[i] == '%' && (i + 2 >= url.len || !isxdigit((unsigned char)url.ptr[i + 1]) ||
                                  !isxdigit((unsigned char)url.ptr[i + 2]))) {
            return err_set(err, ERR_INVALID, "parse %s: invalid URL escape %s",
                           bind_quote(arena, url), bind_quote(arena, str_sub(url, i, 3)));
        }
    }
    const ptrdiff_t scheme = scheme_length(url);
    if (scheme < 0) {
        return url_fail(arena, url, "missing protocol scheme", err);
    }
    const struct str rest = str_from(url, scheme > 0 ? (size_t)scheme + 1 : 0);
    if (!str_starts(rest, STR("//"))) {
        const ptrdiff_t colon = str_find_char(rest, ':');
        const ptrdiff_t slash = str_find_char(rest, '/');
        if (scheme == 0 && colon >= 0 && (slash < 0 || colon < slash)) {
            return url_fail(arena, url, "first path segment in URL cannot contain colon", err);
        }
        return ERR_OK;
    }
    size_t end = 2;
    while (end < rest.len && strchr("/?#", rest.ptr[end]) == NULL) {
        end++;
    }
    return host_check(arena, url, str_sub(rest, 2, end - 2), err);
}

static enum err_code url_bind(struct binder *b, const struct yaml_node *node, void *field,
                              struct err *err) {
    struct url_option *url = field;
    struct str text;
    bool ok = false;
    enum err_code code = bind_string(b, node, "string", &text, &ok, err);
    *url = (struct url_option){.text = STR("")};
    if (code != ERR_OK || !ok || yaml_is_null(node)) {
        return code;
    }
    code = url_option_check(b->arena, text, err);
    *url = (struct url_option){.text = text, .set = true};
    return code;
}

static struct yaml_node *url_print(struct arena *arena, const void *field) {
    const struct url_option *url = field;
    if (!url->set) {
        return NULL;
    }
    struct buf text;
    buf_init(&text, 4 * url->text.len + 64);
    url_redact(&text, url->text);
    struct yaml_node *node = print_str(arena, arena_str(arena, buf_str(&text)));
    buf_release(&text);
    return node;
}

const struct bind_custom url_option_custom = {.bind = url_bind, .print = url_print};

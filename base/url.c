/* Escaping is written after RFC 3986 and the rules that Go's net/url documents for each part. */
#include "base/url.h"

#include "base/utf8.h"

static bool is_unreserved(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

static void append_escape(struct buf *to, char c) {
    static const char hex[] = "0123456789ABCDEF";
    const uint8_t byte = (uint8_t)c;
    const char text[3] = {'%', hex[byte >> 4], hex[byte & 15]};
    buf_append(to, text, sizeof(text));
}

void url_query_escape(struct buf *to, struct str s) {
    for (size_t i = 0; i < s.len; i++) {
        if (is_unreserved(s.ptr[i])) {
            buf_append_char(to, s.ptr[i]);
        } else if (s.ptr[i] == ' ') {
            buf_append_char(to, '+');
        } else {
            append_escape(to, s.ptr[i]);
        }
    }
}

void url_path_escape(struct buf *to, struct str s) {
    const struct str allowed = STR("$&+,/:;=@");
    for (size_t i = 0; i < s.len; i++) {
        if (is_unreserved(s.ptr[i]) || str_find_char(allowed, s.ptr[i]) >= 0) {
            buf_append_char(to, s.ptr[i]);
        } else {
            append_escape(to, s.ptr[i]);
        }
    }
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static COLD enum err_code bad_escape(struct err *err, struct str at) {
    struct buf quoted;
    buf_init(&quoted, ERR_TEXT_MAX);
    utf8_quote(&quoted, str_sub(at, 0, 3));
    const enum err_code code =
        err_set(err, ERR_INVALID, "invalid URL escape %.*s", STR_ARG(buf_str(&quoted)));
    buf_release(&quoted);
    return code;
}

enum err_code url_query_unescape(struct buf *to, struct str s, struct err *err) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            const int high = i + 2 < s.len ? hex_digit(s.ptr[i + 1]) : -1;
            const int low = i + 2 < s.len ? hex_digit(s.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return bad_escape(err, str_from(s, i));
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        buf_append_char(to, c);
    }
    return ERR_OK;
}

void url_redact(struct buf *to, struct str url) {
    const ptrdiff_t scheme_end = str_find(url, STR("://"));
    if (scheme_end < 0) {
        buf_append_str(to, url);
        return;
    }
    const size_t start = (size_t)scheme_end + 3;
    size_t end = start;
    while (end < url.len && url.ptr[end] != '/' && url.ptr[end] != '?' && url.ptr[end] != '#') {
        end++;
    }
    const struct str authority = str_sub(url, start, end - start);
    const ptrdiff_t at = str_rfind_char(authority, '@');
    const ptrdiff_t colon = str_find_char(authority, ':');
    if (at < 0 || colon < 0 || colon > at) {
        buf_append_str(to, url);
        return;
    }
    buf_append(to, url.ptr, start + (size_t)colon + 1);
    buf_append_cstr(to, "xxxxx");
    buf_append_str(to, str_from(url, start + (size_t)at));
}

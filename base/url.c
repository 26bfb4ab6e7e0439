/* URLs by libcurl's URL API, which is the parser that the requests themselves use: what is
 * checked here is what is connected to. Escaping is written after RFC 3986 and the rules that
 * Go's net/url documents for each part. */
#include "base/url.h"

#include <curl/curl.h>

#include "base/mem.h"
#include "base/utf8.h"

enum { URL_BYTES_MAX = 64 * 1024 };

/* Any scheme (the caller decides what it accepts), the path as it was written. */
enum { PARSE_FLAGS = CURLU_NON_SUPPORT_SCHEME | CURLU_PATH_AS_IS | CURLU_NO_AUTHORITY };

static enum err_code refuse(struct err *err, struct str text, const char *why) {
    struct buf quoted;
    buf_init(&quoted, ERR_TEXT_MAX);
    utf8_quote(&quoted, str_sub(text, 0, 200));
    const enum err_code code =
        err_set(err, ERR_INVALID, "parse %.*s: %s", STR_ARG(buf_str(&quoted)), why);
    buf_release(&quoted);
    return code;
}

/* A part that is absent is an empty slice. */
static struct str part(struct arena *arena, CURLU *handle, CURLUPart which, unsigned flags,
                       bool *out_present) {
    char *text = NULL;
    const CURLUcode rc = curl_url_get(handle, which, &text, flags);
    struct str copy = STR("");
    if (rc == CURLUE_OK) {
        copy = arena_str(arena, str_of(text));
    }
    if (out_present != NULL) {
        *out_present = rc == CURLUE_OK;
    }
    curl_free(text);
    return copy;
}

/* Sets a part, or the whole, from a slice. */
static enum err_code set_part(CURLU *handle, CURLUPart which, struct str text, struct err *err) {
    if (text.len > URL_BYTES_MAX) {
        return err_set(err, ERR_INVALID, "URL of %zu bytes, at most %d are accepted", text.len,
                       URL_BYTES_MAX);
    }
    if (str_find_char(text, '\0') >= 0) {
        return refuse(err, text, "invalid control character in URL");
    }
    char *nul_terminated = mem_strndup(text.ptr, text.len);
    const CURLUcode rc = curl_url_set(handle, which, nul_terminated, PARSE_FLAGS);
    mem_free(nul_terminated);
    return rc == CURLUE_OK ? ERR_OK : refuse(err, text, curl_url_strerror(rc));
}

enum err_code url_resolve(struct arena *arena, struct str base, struct str reference,
                          struct str *out, struct err *err) {
    CURLU *handle = curl_url();
    enum err_code code = set_part(handle, CURLUPART_URL, base, err);
    if (code == ERR_OK) {
        code = set_part(handle, CURLUPART_URL, reference, err);
    }
    if (code == ERR_OK) {
        *out = part(arena, handle, CURLUPART_URL, 0, NULL);
    }
    curl_url_cleanup(handle);
    return code;
}

enum err_code url_with_host(struct arena *arena, struct str text, struct str host, struct str *out,
                            struct err *err) {
    CURLU *handle = curl_url();
    enum err_code code = set_part(handle, CURLUPART_URL, text, err);
    if (code == ERR_OK) {
        code = set_part(handle, CURLUPART_HOST, host, err);
    }
    if (code == ERR_OK) {
        *out = part(arena, handle, CURLUPART_URL, 0, NULL);
    }
    curl_url_cleanup(handle);
    return code;
}

/* "unix:///run/x.sock": libcurl takes three slashes for one and would see a host "run". */
static bool has_empty_authority(struct str text) {
    const ptrdiff_t colon = str_find_char(text, ':');
    if (colon <= 0 || !str_starts(str_from(text, (size_t)colon), STR(":///"))) {
        return false;
    }
    for (ptrdiff_t i = 0; i < colon; i++) {
        const char c = text.ptr[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool later = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        if (!letter && (i == 0 || !later)) {
            return false;
        }
    }
    return true;
}

/* scheme ":///" path, with nothing behind the path. */
static struct url parse_local(struct arena *arena, struct str text) {
    const size_t colon = (size_t)str_find_char(text, ':');
    return (struct url){.scheme = arena_str(arena, str_sub(text, 0, colon)),
                        .path = arena_str(arena, str_from(text, colon + 3))};
}

enum err_code url_parse(struct arena *arena, struct str text, struct url *out, struct err *err) {
    if (has_empty_authority(text) && !str_eq_nocase(str_sub(text, 0, 5), STR("file:"))) {
        if (str_eq_nocase(str_sub(text, 0, 4), STR("http"))) {
            return refuse(err, text, "no host in URL");
        }
        if (text.len > URL_BYTES_MAX || str_find_char(text, '\0') >= 0) {
            return refuse(err, text, "invalid path in URL");
        }
        *out = parse_local(arena, text);
        return ERR_OK;
    }
    CURLU *handle = curl_url();
    const enum err_code code = set_part(handle, CURLUPART_URL, text, err);
    if (code != ERR_OK) {
        curl_url_cleanup(handle);
        return code;
    }
    struct url url = {0};
    url.scheme = part(arena, handle, CURLUPART_SCHEME, 0, NULL);
    url.user = part(arena, handle, CURLUPART_USER, CURLU_URLDECODE, &url.has_user);
    url.password = part(arena, handle, CURLUPART_PASSWORD, CURLU_URLDECODE, NULL);
    url.host = part(arena, handle, CURLUPART_HOST, 0, NULL);
    url.port = part(arena, handle, CURLUPART_PORT, 0, NULL);
    url.path = part(arena, handle, CURLUPART_PATH, 0, NULL);
    url.query = part(arena, handle, CURLUPART_QUERY, 0, NULL);
    url.fragment = part(arena, handle, CURLUPART_FRAGMENT, 0, NULL);
    curl_url_cleanup(handle);

    const bool is_http = str_eq(url.scheme, STR("http")) || str_eq(url.scheme, STR("https"));
    if (is_http && url.host.len == 0) {
        return refuse(err, text, "no host in URL");
    }
    *out = url;
    return ERR_OK;
}

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

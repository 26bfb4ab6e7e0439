/* URLs are taken apart after RFC 3986, with the checks and mostly the words of Go's net/url, and put
 * together from the text they were: nothing is encoded or normalised on the way.
 *
 *     scheme "://" [ user [ ":" password ] "@" ] host [ ":" port ] path [ "?" query ] [ "#" fragment ]
 *
 * STRICTER than both where a URL can be read in two ways: there are two slashes behind a scheme, one
 * "@" in an authority, no bytes of other parts in a host and none at all below 0x21. What is connected to is
 * libcurl's reading for requests that it makes; fuzz_url compares the two. */
#include <arpa/inet.h>
#include <string.h>

#include "base/url.h"
#include "base/utf8.h"

enum { URL_BYTES_MAX = 64 * 1024, PORT_MAX = 65535 };

/* Slices of the text. */
struct pieces {
    struct str scheme;
    struct str userinfo;
    struct str host; /* brackets and zone included */
    struct str port;
    struct str path;
    struct str query;
    struct str fragment;
    bool has_user;
};

static enum err_code refuse(struct err *err, struct str text, const char *why) {
    struct buf quoted;
    buf_init(&quoted, ERR_TEXT_MAX);
    utf8_quote(&quoted, str_sub(text, 0, 200));
    const enum err_code code =
        err_set(err, ERR_INVALID, "parse %.*s: %s", STR_ARG(buf_str(&quoted)), why);
    buf_release(&quoted);
    return code;
}

/* ---- what may stand where ---- */

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* -1 = it is none. */
static int hex_digit(char c) {
    if (is_digit(c)) {
        return c - '0';
    }
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Length of "scheme" in "scheme:...", 0 = there is none. */
static size_t scheme_len(struct str text) {
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (c == ':') {
            return i;
        }
        if (!is_letter(c) && (i == 0 || (!is_digit(c) && c != '+' && c != '-' && c != '.'))) {
            return 0;
        }
    }
    return 0;
}

/* NULL = in order. */
static const char *text_fault(struct str text) {
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = (uint8_t)text.ptr[i];
        if (c < ' ' || c == 0x7F) {
            return "net/url: invalid control character in URL";
        }
        if (c == ' ') {
            return "invalid character \" \" in URL";
        }
    }
    return NULL;
}

/* Each '%' stands before two hexadecimal digits. */
static bool escapes_are_sound(struct str text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '%' && (text.len - i < 3 || hex_digit(text.ptr[i + 1]) < 0 ||
                                   hex_digit(text.ptr[i + 2]) < 0)) {
            return false;
        }
    }
    return true;
}

/* What Go's net/url takes there. */
static bool is_userinfo(struct str text) {
    static const char others[] = "-._:~!$&'()*+,;=%";
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (!is_letter(c) && !is_digit(c) && memchr(others, c, sizeof(others) - 1) == NULL) {
            return false;
        }
    }
    return escapes_are_sound(text);
}

/* A name or an IPv4 address; bytes of other languages' names as they are. */
static bool is_host_name(struct str host) {
    static const char others[] = "\"#$%&'()*+,/:;<=>?@[\\]^`{|}!";
    for (size_t i = 0; i < host.len; i++) {
        if (memchr(others, host.ptr[i], sizeof(others) - 1) != NULL) {
            return false;
        }
    }
    return true;
}

/* RFC 6874: "%25" and a name of unreserved characters. A bare '%' is what people write. */
static bool is_zone(struct str zone) {
    const struct str name = str_starts(zone, STR("%25")) ? str_from(zone, 3) : str_from(zone, 1);
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        if (!is_letter(c) && !is_digit(c) && c != '-' && c != '.' && c != '_' && c != '~') {
            return false;
        }
    }
    return name.len > 0;
}

/* "[::1]" or "[fe80::1%25eth0]". */
static bool is_bracketed_address(struct str host) {
    const struct str inner = str_sub(host, 1, host.len - 2);
    const ptrdiff_t percent = str_find_char(inner, '%');
    const size_t len = percent < 0 ? inner.len : (size_t)percent;
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (len >= sizeof(text)) {
        return false;
    }
    memcpy(text, inner.ptr, len);
    text[len] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1 &&
           (percent < 0 || is_zone(str_from(inner, len)));
}

/* Of "host", "host:", "host:80" and the same in brackets. NULL = in order. */
static const char *split_host(struct str text, struct pieces *out) {
    size_t end = 0;
    if (text.len > 0 && text.ptr[0] == '[') {
        const ptrdiff_t close = str_find_char(text, ']');
        if (close < 0) {
            return "missing ']' in host";
        }
        end = (size_t)close + 1;
        if (!is_bracketed_address(str_sub(text, 0, end))) {
            return "invalid IPv6 address in host";
        }
    } else {
        const ptrdiff_t colon = str_find_char(text, ':');
        end = colon < 0 ? text.len : (size_t)colon;
        if (!is_host_name(str_sub(text, 0, end))) {
            return "invalid character in host name";
        }
    }
    out->host = str_sub(text, 0, end);
    if (end == text.len) {
        return NULL;
    }
    const char *const bad_port = "invalid port after host";
    if (text.ptr[end] != ':') {
        return bad_port;
    }
    struct str port = str_from(text, end + 1);
    while (port.len > 1 && port.ptr[0] == '0') {
        port = str_from(port, 1);
    }
    unsigned number = 0;
    for (size_t i = 0; i < port.len; i++) {
        number = number * 10 + (unsigned)(port.ptr[i] - '0');
        if (!is_digit(port.ptr[i]) || number > PORT_MAX) {
            return bad_port;
        }
    }
    out->port = port;
    return NULL;
}

/* NULL = in order. */
static const char *split_authority(struct str text, struct pieces *out) {
    const ptrdiff_t at = str_find_char(text, '@');
    if (at >= 0) {
        out->has_user = true;
        out->userinfo = str_sub(text, 0, (size_t)at);
        text = str_from(text, (size_t)at + 1);
        if (!is_userinfo(out->userinfo)) {
            return "net/url: invalid userinfo";
        }
    }
    return split_host(text, out);
}

/* Up to the first of the bytes in ends. */
static struct str take_until(struct str *rest, const char *ends) {
    size_t len = 0;
    while (len < rest->len && strchr(ends, rest->ptr[len]) == NULL) {
        len++;
    }
    const struct str taken = str_sub(*rest, 0, len);
    *rest = str_from(*rest, len);
    return taken;
}

/* The text has passed text_fault: it has no NUL. */
static const char *split(struct str text, struct pieces *out) {
    *out = (struct pieces){.host = STR(""), .port = STR(""), .userinfo = STR("")};
    const size_t scheme = scheme_len(text);
    if (scheme == 0) {
        return "missing protocol scheme";
    }
    out->scheme = str_sub(text, 0, scheme);
    struct str rest = str_from(text, scheme + 1);
    if (!str_starts(rest, STR("//"))) {
        return "missing '//' after protocol scheme";
    }
    rest = str_from(rest, 2);
    const char *const fault = split_authority(take_until(&rest, "/?#"), out);
    if (fault != NULL) {
        return fault;
    }
    out->path = take_until(&rest, "?#");
    out->query = take_until(&rest, "#");
    out->fragment = rest;
    if (!escapes_are_sound(out->path) || !escapes_are_sound(out->fragment)) {
        return "invalid URL escape";
    }
    const bool is_http =
        str_eq_nocase(out->scheme, STR("http")) || str_eq_nocase(out->scheme, STR("https"));
    return is_http && out->host.len == 0 ? "no host in URL" : NULL;
}

static enum err_code split_checked(struct str text, struct pieces *out, struct err *err) {
    if (text.len > URL_BYTES_MAX) {
        return err_set(err, ERR_INVALID, "URL of %zu bytes, at most %d are accepted", text.len,
                       URL_BYTES_MAX);
    }
    const char *fault = text.len == 0 ? "empty url" : text_fault(text);
    if (fault == NULL) {
        fault = split(text, out);
    }
    return fault == NULL ? ERR_OK : refuse(err, text, fault);
}

/* ---- parts ---- */

/* Escapes are known to be sound. ERR_INVALID: a control character is hidden in one. */
static enum err_code decode(struct arena *arena, struct str text, struct str *out) {
    char *const to = arena_alloc(arena, text.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            c = (char)(hex_digit(text.ptr[i + 1]) << 4 | hex_digit(text.ptr[i + 2]));
            i += 2;
        }
        if ((uint8_t)c < ' ' || c == 0x7F) {
            return ERR_INVALID;
        }
        to[n++] = c;
    }
    to[n] = '\0';
    *out = (struct str){to, n};
    return ERR_OK;
}

static struct str lower_case(struct arena *arena, struct str text) {
    char *const to = arena_alloc(arena, text.len + 1);
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        to[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    to[text.len] = '\0';
    return (struct str){to, text.len};
}

/* "[fe80::1%25eth0]" without the zone, which means nothing to others. */
static struct str without_zone(struct arena *arena, struct str host) {
    const ptrdiff_t percent = str_find_char(host, '%');
    return percent < 0 ? arena_str(arena, host)
                       : arena_printf(arena, "%.*s]", (int)percent, host.ptr);
}

/* Without the byte that announces it. */
static struct str behind_mark(struct arena *arena, struct str text) {
    return arena_str(arena, text.len > 0 ? str_from(text, 1) : STR(""));
}

enum err_code url_parse(struct arena *arena, struct str text, struct url *out, struct err *err) {
    struct pieces pieces;
    enum err_code code = split_checked(text, &pieces, err);
    if (code != ERR_OK) {
        return code;
    }
    const ptrdiff_t colon = str_find_char(pieces.userinfo, ':');
    const size_t user_len = colon < 0 ? pieces.userinfo.len : (size_t)colon;
    struct url url = {.has_user = pieces.has_user, .user = STR(""), .password = STR("")};
    code = decode(arena, str_sub(pieces.userinfo, 0, user_len), &url.user);
    if (code == ERR_OK && colon >= 0) {
        code = decode(arena, str_from(pieces.userinfo, user_len + 1), &url.password);
    }
    if (code != ERR_OK) {
        return refuse(err, text, "net/url: invalid userinfo");
    }
    url.scheme = lower_case(arena, pieces.scheme);
    url.host = without_zone(arena, pieces.host);
    url.port = arena_str(arena, pieces.port);
    url.path = arena_str(arena, pieces.path.len > 0 ? pieces.path : STR("/"));
    url.query = behind_mark(arena, pieces.query);
    url.fragment = behind_mark(arena, pieces.fragment);
    *out = url;
    return ERR_OK;
}

/* ---- putting together ---- */

/* RFC 3986, 5.2.4: "." and ".." are steps and no names. The path begins with '/'. */
static void append_walked(struct buf *to, struct str path) {
    const size_t root = to->len;
    while (path.len > 0) {
        struct str rest = str_from(path, 1);
        const struct str name = take_until(&rest, "/");
        const bool up = str_eq(name, STR(".."));
        if (up) {
            while (to->len > root && to->ptr[--to->len] != '/') {
            }
        } else if (!str_eq(name, STR("."))) {
            buf_append_char(to, '/');
            buf_append_str(to, name);
        }
        if (rest.len == 0 && (up || str_eq(name, STR(".")))) {
            buf_append_char(to, '/');
        }
        path = rest;
    }
}

/* A reference without a scheme and authority, behind the base's. */
static void append_reference(struct buf *to, const struct pieces *base, struct str reference) {
    const struct str path = take_until(&reference, "?#");
    const struct str query = take_until(&reference, "#");
    const struct str base_path = base->path.len > 0 ? base->path : STR("/");
    if (path.len == 0) {
        buf_append_str(to, base->path);
        buf_append_str(to, query.len > 0 ? query : base->query);
    } else {
        struct buf merged;
        buf_init(&merged, (size_t)2 * URL_BYTES_MAX + 1);
        if (path.ptr[0] != '/') {
            buf_append_str(&merged,
                           str_sub(base_path, 0, (size_t)str_rfind_char(base_path, '/') + 1));
        }
        buf_append_str(&merged, path);
        append_walked(to, buf_str(&merged));
        buf_append_str(to, query);
        buf_release(&merged);
    }
    buf_append_str(to, reference);
}

static void append_authority_end(struct buf *to, struct str base, const struct pieces *pieces) {
    buf_append_str(to, str_sub(base, 0, (size_t)(pieces->path.ptr - base.ptr)));
}

enum err_code url_resolve(struct arena *arena, struct str base, struct str reference,
                          struct str *out, struct err *err) {
    struct pieces pieces;
    enum err_code code = split_checked(base, &pieces, err);
    if (code != ERR_OK) {
        return code;
    }
    if (reference.len == 0) {
        reference = STR("");
    }
    if (reference.len > URL_BYTES_MAX) {
        return err_set(err, ERR_INVALID, "URL of %zu bytes, at most %d are accepted", reference.len,
                       URL_BYTES_MAX);
    }
    const char *const fault = text_fault(reference);
    if (fault != NULL) {
        return refuse(err, reference, fault);
    }
    struct str rest = reference;
    const struct str first = take_until(&rest, "/?#");
    struct buf whole;
    buf_init(&whole, (size_t)4 * URL_BYTES_MAX);
    if (scheme_len(reference) > 0) {
        buf_append_str(&whole, reference);
    } else if (str_find_char(first, ':') >= 0) {
        code = refuse(err, reference, "first path segment in URL cannot contain colon");
    } else if (str_starts(reference, STR("//"))) {
        buf_append_str(&whole, pieces.scheme);
        buf_append_char(&whole, ':');
        buf_append_str(&whole, reference);
    } else {
        append_authority_end(&whole, base, &pieces);
        append_reference(&whole, &pieces, reference);
    }
    if (code == ERR_OK) {
        code = split_checked(buf_str(&whole), &pieces, err);
    }
    if (code == ERR_OK) {
        *out = arena_str(arena, buf_str(&whole));
    }
    buf_release(&whole);
    return code;
}

enum err_code url_with_host(struct arena *arena, struct str text, struct str host, struct str *out,
                            struct err *err) {
    struct pieces pieces;
    enum err_code code = split_checked(text, &pieces, err);
    if (code != ERR_OK) {
        return code;
    }
    if (host.len > URL_BYTES_MAX) {
        return err_set(err, ERR_INVALID, "host name of %zu bytes", host.len);
    }
    const size_t start = (size_t)(pieces.host.ptr - text.ptr);
    struct buf whole;
    buf_init(&whole, (size_t)3 * URL_BYTES_MAX);
    buf_append_str(&whole, str_sub(text, 0, start));
    buf_append_str(&whole, host);
    buf_append_str(&whole, str_from(text, start + pieces.host.len));
    code = split_checked(buf_str(&whole), &pieces, err);
    if (code == ERR_OK && !str_eq(pieces.host, host)) { /* some of it became another part */
        code = refuse(err, host, "invalid character in host name");
    }
    if (code == ERR_OK) {
        *out = arena_str(arena, buf_str(&whole));
    }
    buf_release(&whole);
    return code;
}

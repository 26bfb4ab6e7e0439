/* Prometheus' template functions on text: cases, regular expressions, addresses, links. */
#include "alert/template_value.h"
#include "base/regex.h"
#include "base/url.h"
#include "base/utf8.h"

enum { TEXT_MAX = TEMPLATE_OUTPUT_MAX };

static struct template_value text_value(const struct template_call *c, struct buf *text) {
    const struct template_value v = template_string(arena_str(c->arena, buf_str(text)));
    buf_release(text);
    return v;
}

/* ---- cases ---- */

static enum err_code run_to_upper(const struct template_call *c, struct template_value *out,
                                  struct err *err) {
    (void)err;
    struct buf text;
    buf_init(&text, TEXT_MAX);
    utf8_upper(&text, c->args[0].s);
    *out = text_value(c, &text);
    return ERR_OK;
}

static enum err_code run_to_lower(const struct template_call *c, struct template_value *out,
                                  struct err *err) {
    (void)err;
    struct buf text;
    buf_init(&text, TEXT_MAX);
    utf8_lower(&text, c->args[0].s);
    *out = text_value(c, &text);
    return ERR_OK;
}

/* Go's strings.Title: ASCII other than letters, digits and _ separates words, and so do the spaces
 * of Unicode. */
static bool separates(uint32_t rune) {
    if (rune < 0x80) {
        return !(rune == '_' || (rune >= '0' && rune <= '9') || (rune >= 'a' && rune <= 'z') ||
                 (rune >= 'A' && rune <= 'Z'));
    }
    return rune == 0x85 || rune == 0xA0 || rune == 0x1680 || (rune >= 0x2000 && rune <= 0x200A) ||
           rune == 0x2028 || rune == 0x2029 || rune == 0x202F || rune == 0x205F || rune == 0x3000;
}

static enum err_code run_title(const struct template_call *c, struct template_value *out,
                               struct err *err) {
    (void)err;
    const struct str s = c->args[0].s;
    struct buf text;
    buf_init(&text, TEXT_MAX);
    bool at_start = true;
    for (size_t i = 0; i < s.len;) {
        size_t bytes = 0;
        const uint32_t rune = utf8_rune(str_from(s, i), &bytes);
        if (at_start) {
            utf8_upper(&text, str_sub(s, i, bytes));
        } else {
            buf_append_str(&text, str_sub(s, i, bytes));
        }
        at_start = separates(rune);
        i += bytes;
    }
    *out = text_value(c, &text);
    return ERR_OK;
}

/* ---- regular expressions ---- */

static enum err_code run_match(const struct template_call *c, struct template_value *out,
                               struct err *err) {
    struct regex *re = NULL;
    bool matched = false;
    enum err_code code = regex_new(c->args[0].s, REGEX_SEARCH, &re, err);
    if (code == ERR_OK) {
        code = regex_match(re, c->args[1].s, &matched, err);
        regex_free(re);
    }
    *out = template_bool(matched);
    return code;
}

static enum err_code run_replace_all(const struct template_call *c, struct template_value *out,
                                     struct err *err) {
    struct regex *re = NULL;
    enum err_code code = regex_new(c->args[0].s, REGEX_SEARCH, &re, err);
    if (code != ERR_OK) {
        return code;
    }
    struct buf text;
    buf_init(&text, TEXT_MAX);
    code = regex_replace_all(re, c->args[2].s, c->args[1].s, &text, err);
    regex_free(re);
    if (code == ERR_OK && !buf_ok(&text)) {
        code = err_set(err, ERR_LIMIT, "text is larger than %d bytes", TEXT_MAX);
    }
    if (code == ERR_OK) {
        *out = text_value(c, &text);
    } else {
        buf_release(&text);
    }
    return code;
}

/* ---- addresses ---- */

/* Go's net.SplitHostPort; false when the text is none. */
static bool split_host_port(struct str s, struct str *host, struct str *port) {
    const ptrdiff_t colon = str_rfind_char(s, ':');
    if (colon < 0) {
        return false;
    }
    *host = str_sub(s, 0, (size_t)colon);
    *port = str_from(s, (size_t)colon + 1);
    if (host->len > 0 && host->ptr[0] == '[') {
        if (host->ptr[host->len - 1] != ']') {
            return false;
        }
        *host = str_sub(*host, 1, host->len - 2);
    } else if (str_find_char(*host, ':') >= 0) {
        return false;
    }
    return str_find_char(*host, '[') < 0 && str_find_char(*host, ']') < 0 &&
           str_find_char(*port, '[') < 0 && str_find_char(*port, ']') < 0;
}

static enum err_code run_strip_port(const struct template_call *c, struct template_value *out,
                                    struct err *err) {
    (void)err;
    struct str host;
    struct str port;
    *out = template_string(split_host_port(c->args[0].s, &host, &port) ? host : c->args[0].s);
    return ERR_OK;
}

static bool is_ip(struct str s) {
    if (str_find_char(s, ':') >= 0) {
        return true;
    }
    int dots = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '.') {
            dots++;
        } else if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
    }
    return dots == 3;
}

static enum err_code run_strip_domain(const struct template_call *c, struct template_value *out,
                                      struct err *err) {
    (void)err;
    const struct str s = c->args[0].s;
    struct str host = s;
    struct str port = STR("");
    if (!split_host_port(s, &host, &port)) {
        host = s;
        port = STR("");
    }
    if (is_ip(host)) {
        *out = template_string(s);
        return ERR_OK;
    }
    const ptrdiff_t dot = str_find_char(host, '.');
    host = dot < 0 ? host : str_sub(host, 0, (size_t)dot);
    *out = template_string(
        port.len != 0 ? arena_printf(c->arena, "%.*s:%.*s", STR_ARG(host), STR_ARG(port)) : host);
    return ERR_OK;
}

/* ---- links ---- */

static enum err_code link_to(const struct template_call *c, const char *tab,
                             struct template_value *out) {
    struct buf text;
    buf_init(&text, TEXT_MAX);
    buf_append_cstr(&text, "/graph?g0.expr=");
    url_query_escape(&text, c->args[0].s);
    buf_append_cstr(&text, tab);
    *out = text_value(c, &text);
    return ERR_OK;
}

static enum err_code run_graph_link(const struct template_call *c, struct template_value *out,
                                    struct err *err) {
    (void)err;
    return link_to(c, "&g0.tab=0", out);
}

static enum err_code run_table_link(const struct template_call *c, struct template_value *out,
                                    struct err *err) {
    (void)err;
    return link_to(c, "&g0.tab=1", out);
}

static enum err_code run_url_query_escape(const struct template_call *c, struct template_value *out,
                                          struct err *err) {
    (void)err;
    struct buf text;
    buf_init(&text, TEXT_MAX);
    url_query_escape(&text, c->args[0].s);
    *out = text_value(c, &text);
    return ERR_OK;
}

static enum err_code run_safe_html(const struct template_call *c, struct template_value *out,
                                   struct err *err) {
    (void)err;
    *out = c->args[0];
    return ERR_OK;
}

static const struct template_function functions[] = {
    {"graphLink", "s", run_graph_link},
    {"match", "ss", run_match},
    {"reReplaceAll", "sss", run_replace_all},
    {"safeHtml", "s", run_safe_html},
    {"stripDomain", "s", run_strip_domain},
    {"stripPort", "s", run_strip_port},
    {"tableLink", "s", run_table_link},
    {"title", "s", run_title},
    {"toLower", "s", run_to_lower},
    {"toUpper", "s", run_to_upper},
    {"urlQueryEscape", "s", run_url_query_escape},
};

const struct template_function *template_function_text(struct str name) {
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        if (str_eq(name, str_of(functions[i].name))) {
            return &functions[i];
        }
    }
    return NULL;
}

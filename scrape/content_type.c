#include "scrape/content_type.h"

#include "base/attr.h"
#include "base/check.h"
#include "base/cursor.h"
#include "base/utf8.h"

/* Weights go down from here, one step (0.1) a protocol, as Prometheus counts them. */
enum { FIRST_WEIGHT = 6 };

/* Bytes of a header that an error text quotes. */
enum { QUOTE_MAX = 256 };

/* What the Accept header says of a protocol. */
static const char *protocol_media(enum scrape_protocol protocol) {
    switch (protocol) {
    case PROTOCOL_TEXT_0_0_4:
        return "text/plain;version=0.0.4";
    case PROTOCOL_TEXT_1_0_0:
        return "text/plain;version=1.0.0";
    case PROTOCOL_OPENMETRICS_0_0_1:
        return "application/openmetrics-text;version=0.0.1";
    case PROTOCOL_OPENMETRICS_1_0_0:
        return "application/openmetrics-text;version=1.0.0";
    case PROTOCOL_PROMETHEUS_PROTO:
        return "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
               "encoding=delimited";
    case PROTOCOL_NONE:
        break;
    }
    UNREACHABLE("no protocol is configured");
}

static bool has_escaping(enum scrape_protocol protocol) {
    return protocol == PROTOCOL_TEXT_1_0_0 || protocol == PROTOCOL_OPENMETRICS_1_0_0;
}

void accept_header_append(struct buf *to, const struct scrape_config *config, unsigned features) {
    static const enum scrape_protocol all[] = {
        PROTOCOL_PROMETHEUS_PROTO, PROTOCOL_OPENMETRICS_1_0_0, PROTOCOL_OPENMETRICS_0_0_1,
        PROTOCOL_TEXT_1_0_0, PROTOCOL_TEXT_0_0_4};
    const bool starts = (features & (SCRAPE_START_ZERO | SCRAPE_START_STORE)) != 0;
    const bool all_wanted = starts && config->default_protocols;
    const enum scrape_protocol *const protocols = all_wanted ? all : config->protocols;
    const size_t count = all_wanted ? COUNT_OF(all) : config->protocol_count;
    int weight = FIRST_WEIGHT;
    for (size_t i = 0; i < count && weight > 1; i++) {
        buf_append_cstr(to, protocol_media(protocols[i]));
        if (has_escaping(protocols[i])) {
            buf_printf(to, ";escaping=%.*s", STR_ARG(config->escaping_scheme));
        }
        buf_printf(to, ";q=0.%d,", weight--);
    }
    buf_printf(to, "*/*;q=0.%d", weight);
}

/* ---- the answer ---- */

static bool is_token_char(unsigned char c) {
    return c > 0x20 && c < 0x7f && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

static struct str take_token(struct str *s) {
    size_t n = 0;
    while (n < s->len && is_token_char((unsigned char)s->ptr[n])) {
        n++;
    }
    const struct str token = str_sub(*s, 0, n);
    *s = str_from(*s, n);
    return token;
}

static bool take_char(struct str *s, char c) {
    if (s->len == 0 || s->ptr[0] != c) {
        return false;
    }
    *s = str_from(*s, 1);
    return true;
}

static bool take_parameter_value(struct str *s) {
    if (!take_char(s, '"')) {
        return take_token(s).len > 0;
    }
    while (s->len > 0 && s->ptr[0] != '"') {
        *s = str_from(*s, s->ptr[0] == '\\' ? 2 : 1);
    }
    return take_char(s, '"');
}

/* NULL, or what is wrong with the header. */
static const char *media_type_parse(struct str header, struct str *out) {
    const ptrdiff_t semicolon = str_find_char(header, ';');
    const struct str media =
        str_trim(semicolon < 0 ? header : str_sub(header, 0, (size_t)semicolon));
    struct str rest = media;
    if (take_token(&rest).len == 0) {
        return "mime: no media type";
    }
    if (rest.len > 0) {
        if (!take_char(&rest, '/')) {
            return "mime: expected slash after first token";
        }
        if (take_token(&rest).len == 0) {
            return "mime: expected token after slash";
        }
        if (rest.len > 0) {
            return "mime: unexpected content after media subtype";
        }
    }
    rest = semicolon < 0 ? STR("") : str_trim(str_from(header, (size_t)semicolon));
    while (take_char(&rest, ';')) {
        rest = str_trim(rest);
        if (rest.len == 0) {
            break;
        }
        if (take_token(&rest).len == 0 || !take_char(&rest, '=') || !take_parameter_value(&rest)) {
            return "mime: invalid media parameter";
        }
        rest = str_trim(rest);
    }
    *out = media;
    return rest.len == 0 ? NULL : "mime: invalid media parameter";
}

static enum err_code use_fallback(enum scrape_protocol fallback, enum expo_format *out) {
    switch (fallback) {
    case PROTOCOL_TEXT_0_0_4:
    case PROTOCOL_TEXT_1_0_0:
        *out = EXPO_FORMAT_TEXT;
        return ERR_OK;
    case PROTOCOL_OPENMETRICS_0_0_1:
    case PROTOCOL_OPENMETRICS_1_0_0:
        *out = EXPO_FORMAT_OPENMETRICS;
        return ERR_OK;
    case PROTOCOL_PROMETHEUS_PROTO:
        *out = EXPO_FORMAT_PROTOBUF;
        return ERR_OK;
    case PROTOCOL_NONE:
        break;
    }
    UNREACHABLE("no fallback is configured");
}

static enum err_code refuse(const char *before, struct str header, const char *after,
                            const char *detail, struct err *err) {
    struct buf quoted;
    buf_init(&quoted, ERR_TEXT_MAX * 4);
    utf8_quote(&quoted, str_sub(header, 0, QUOTE_MAX));
    const enum err_code code =
        err_set(err, ERR_INVALID, "%s Content-Type %.*s and no fallback_scrape_protocol %s%s%s",
                before, STR_ARG(buf_str(&quoted)), after, detail[0] != '\0' ? "\n" : "", detail);
    buf_release(&quoted);
    return code;
}

enum err_code content_type_select(struct str content_type, enum scrape_protocol fallback,
                                  enum expo_format *out, struct err *err) {
    struct str media = {NULL, 0};
    if (content_type.len == 0) {
        return fallback != PROTOCOL_NONE
                   ? use_fallback(fallback, out)
                   : err_set(err, ERR_INVALID,
                             "non-compliant scrape target sending blank Content-Type and no "
                             "fallback_scrape_protocol specified for target");
    }
    const char *const wrong = media_type_parse(content_type, &media);
    if (wrong != NULL) {
        return fallback != PROTOCOL_NONE
                   ? use_fallback(fallback, out)
                   : refuse("cannot parse", content_type, "for target", wrong, err);
    }
    if (str_eq_nocase(media, STR("text/plain"))) {
        *out = EXPO_FORMAT_TEXT;
        return ERR_OK;
    }
    if (str_eq_nocase(media, STR("application/openmetrics-text"))) {
        *out = EXPO_FORMAT_OPENMETRICS;
        return ERR_OK;
    }
    if (str_eq_nocase(media, STR("application/vnd.google.protobuf"))) {
        *out = EXPO_FORMAT_PROTOBUF;
        return ERR_OK;
    }
    return fallback != PROTOCOL_NONE
               ? use_fallback(fallback, out)
               : refuse("received unsupported", content_type, "specified for target", "", err);
}

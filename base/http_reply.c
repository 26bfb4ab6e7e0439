#include "base/http_reply.h"

void http_reply_init(struct http_reply *reply) {
    *reply = (struct http_reply){0};
    buf_init(&reply->text, HTTP_HEAD_BYTES_MAX);
}

void http_reply_release(struct http_reply *reply) {
    buf_release(&reply->text);
}

void http_reply_clear(struct http_reply *reply) {
    struct buf text = reply->text;
    buf_clear(&text);
    *reply = (struct http_reply){.text = text};
}

struct str http_reply_get(const struct http_reply *reply, enum http_reply_field field) {
    if (!reply->fields[field].present) {
        return STR("");
    }
    return str_sub(buf_str(&reply->text), reply->fields[field].at, reply->fields[field].len);
}

static void keep(struct http_reply *reply, enum http_reply_field field, struct str value) {
    if (reply->fields[field].present) {
        return;
    }
    reply->fields[field].at = reply->text.len;
    reply->fields[field].len = value.len;
    reply->fields[field].present = true;
    buf_append_str(&reply->text, value); /* fits: the head is not longer than text's maximum */
}

/* "HTTP/1.1 503 Service Unavailable": the library has checked the form. */
static void status_line(struct http_reply *reply, struct str line) {
    const size_t head_bytes = reply->head_bytes;
    http_reply_clear(reply);
    reply->head_bytes = head_bytes;
    reply->closes = str_starts(line, STR("HTTP/1.0"));

    const ptrdiff_t space = str_find_char(line, ' ');
    if (space < 0) {
        return;
    }
    const struct str rest = str_trim(str_from(line, (size_t)space));
    size_t digits = 0;
    while (digits < rest.len && digits < 3 && rest.ptr[digits] >= '0' && rest.ptr[digits] <= '9') {
        reply->status = reply->status * 10 + (rest.ptr[digits] - '0');
        digits++;
    }
    keep(reply, REPLY_REASON, str_trim(str_from(rest, digits)));
}

bool http_reply_line(struct http_reply *reply, struct str line) {
    static const struct {
        struct str name;
        enum http_reply_field field;
    } kept[] = {
        {STR_INIT("Content-Type"), REPLY_CONTENT_TYPE},
        {STR_INIT("Content-Encoding"), REPLY_CONTENT_ENCODING},
        {STR_INIT("Api-Version"), REPLY_API_VERSION},
        {STR_INIT("Retry-After"), REPLY_RETRY_AFTER},
        {STR_INIT("Location"), REPLY_LOCATION},
    };
    if (line.len > HTTP_HEAD_BYTES_MAX - reply->head_bytes) {
        return false;
    }
    reply->head_bytes += line.len;
    if (str_starts(line, STR("HTTP/"))) {
        status_line(reply, line);
        return true;
    }
    const ptrdiff_t colon = str_find_char(line, ':');
    if (colon < 0) {
        return true;
    }
    const struct str name = str_sub(line, 0, (size_t)colon);
    const struct str text = str_trim(str_from(line, (size_t)colon + 1));
    if (!http_framing_field(&reply->framing, name, text)) {
        keep(reply, REPLY_BAD_FRAMING, text);
    }
    if (str_eq_nocase(name, STR("Connection"))) {
        reply->closes |= !str_eq_nocase(text, STR("keep-alive"));
    }
    for (size_t i = 0; i < COUNT_OF(kept); i++) {
        if (str_eq_nocase(name, kept[i].name)) {
            keep(reply, kept[i].field, text);
            break;
        }
    }
    return true;
}

/* URLs: their parts (url_parse.c), and escapes as Go writes them (url.c). Any text is taken and bounded;
 * the errors are ERR_INVALID and name the text. Pure. */
#ifndef BASE_URL_H
#define BASE_URL_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct url {
    struct str scheme, user, password, host, port, path, query, fragment;
    bool has_user;
};

/* Parts live in arena. User and password are decoded, scheme and port are in their usual form ("http",
 * "80" or ""), the host keeps its brackets and loses its zone, all else stays as it was written; no path
 * is "/". */
MUST_CHECK enum err_code url_parse(struct arena *arena, struct str text, struct url *out,
                                   struct err *err);
/* A reference (the value of a Location header) against the absolute URL it was found at. */
MUST_CHECK enum err_code url_resolve(struct arena *arena, struct str base, struct str reference,
                                     struct str *out, struct err *err);
/* The URL with another host, which may be an IPv6 address in brackets; the port stays. */
MUST_CHECK enum err_code url_with_host(struct arena *arena, struct str text, struct str host,
                                       struct str *out, struct err *err);
/* Go's url.QueryEscape: space to '+', all but [A-Za-z0-9-_.~] as %XX. */
void url_query_escape(struct buf *to, struct str s);
/* Go's url.PathEscape-like encoding used for the path of a target URL. */
void url_path_escape(struct buf *to, struct str s);
/* application/x-www-form-urlencoded value; ERR_INVALID on a bad escape. */
MUST_CHECK enum err_code url_query_unescape(struct buf *to, struct str s, struct err *err);
/* The URL with its password replaced by xxxxx, for logs and pages. */
void url_redact(struct buf *to, struct str url);

#endif

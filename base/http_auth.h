/* The header lines that a client's configuration adds to its requests: authorization and
 * http_headers (spec/config.md section 5). Secret files are read at each call, so that a rotated
 * secret works at the next request. Used by the HTTP client's files only. */
#ifndef BASE_HTTP_AUTH_H
#define BASE_HTTP_AUTH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/http_config.h"
#include "base/str.h"
#include "base/vfs.h"

enum { SECRET_FILE_BYTES_MAX = 64 * 1024 };

struct http_lines {
    struct str *lines; /* "Name: value", no line end in them, NUL behind each */
    size_t count;
    bool has_authorization; /* lines[0] is the Authorization line */
};

/* Whether http_auth_lines reads files: if not, its result never changes. */
bool http_auth_uses_files(const struct http_config *config);

/* All lines, in arena. ERR_INVALID for a value with a line end or NUL in it (after trimming);
 * else the error of the file that could not be read. */
MUST_CHECK enum err_code http_auth_lines(const struct http_config *config, struct vfs *vfs,
                                         struct arena *arena, struct http_lines *out,
                                         struct err *err);

/* A secret's file, without the white space around it. */
MUST_CHECK enum err_code http_auth_read_secret(struct vfs *vfs, struct arena *arena,
                                               struct str path, struct str *out, struct err *err);

/* A header line from elsewhere: true when nothing in it can end the line. */
bool http_line_safe(struct str line);
/* Whether it is "name: ...", in whatever case. */
bool http_line_has_name(struct str line, struct str name);

#endif

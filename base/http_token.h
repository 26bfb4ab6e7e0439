/* The OAuth2 token exchange of the client credentials grant (RFC 6749 sections 4.4, 5.1 and 5.2):
 * what is asked, and what the answer says. Error texts are those that Prometheus shows. Knows no
 * sockets and no clock; used by http_oauth2.c only. */
#ifndef BASE_HTTP_TOKEN_H
#define BASE_HTTP_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/http_config.h"
#include "base/str.h"

enum {
    TOKEN_ANSWER_BYTES_MAX = 1024 * 1024,
    TOKEN_BYTES_MAX = 64 * 1024,
    TOKEN_LIFE_S_MAX = INT32_MAX
};

struct http_token {
    struct str line; /* "Authorization: Bearer ..."; in the arena */
    int64_t life_s;  /* 0 = it does not expire */
};

/* The form to be posted, sorted by name; client_id and secret are in it if in_params says so.
 * ERR_INVALID for an endpoint parameter that would replace one of the grant's own. */
MUST_CHECK enum err_code http_token_form(const struct oauth2_config *config, struct str secret,
                                         bool in_params, struct buf *to, struct err *err);

/* ERR_NETWORK: the answer is a refusal, or no token can be found in it. */
MUST_CHECK enum err_code http_token_read(struct arena *arena, int status, struct str reason,
                                         struct str content_type, struct str body,
                                         struct http_token *out, struct err *err);

#endif

/* OAuth2 client credentials of one HTTP client: one token, fetched when a request needs it and
 * kept until shortly before it expires (spec/config.md section 5).
 *
 * The token is fetched over the same transport by a client of its own, with the TLS and proxy
 * settings of the oauth2 section. One fetch runs at a time; requests that come meanwhile wait for
 * it within their own timeouts. Used by the HTTP client's files only. One thread. */
#ifndef BASE_HTTP_OAUTH2_H
#define BASE_HTTP_OAUTH2_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/generation.h"
#include "base/http_config.h"
#include "base/str.h"

struct http_oauth2;
struct transport;
struct transport_request;

/* config lives in g. ERR_* of the token client's settings. */
MUST_CHECK enum err_code http_oauth2_new(struct transport *t, const struct http_config *config,
                                         struct generation *g, struct http_oauth2 **out,
                                         struct err *err);
/* No request waits any more. NULL is fine. */
void http_oauth2_free(struct http_oauth2 *oauth2);

/* Adds the token to the request's lines, or makes the request wait for one (*out_waits). A waiting
 * request goes on, or fails, by itself. */
MUST_CHECK enum err_code http_oauth2_authorize(struct http_oauth2 *oauth2,
                                               struct transport_request *r, bool *out_waits,
                                               struct err *err);
/* The request does not wait any longer. */
void http_oauth2_leave(struct http_oauth2 *oauth2, struct transport_request *r);

#endif

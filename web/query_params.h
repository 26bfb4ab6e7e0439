/* The parameters that /query, /query_range and /explain share. */
#ifndef WEB_QUERY_PARAMS_H
#define WEB_QUERY_PARAMS_H

#include "query/query.h"
#include "web/api.h"

/* Text, times, timeout, lookback_delta and the request's cancel flag; on false the error is
 * written. Checked in Prometheus' order. */
MUST_CHECK bool query_params_instant(struct api *api, struct query *query);
MUST_CHECK bool query_params_range(struct api *api, struct query *query);
struct query_origin query_params_origin(const struct http_incoming *in);

#endif

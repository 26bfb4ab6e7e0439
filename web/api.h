/* The envelope of /api/v1 (spec/http-api.md section 1): handlers write data with a JSON writer
 * or fail with a type; parameters are read here with Prometheus' error texts. */
#ifndef WEB_API_H
#define WEB_API_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json_out.h"
#include "web/http.h"
#include "web/state.h"

enum api_error {
    API_BAD_DATA,
    API_EXECUTION,
    API_CANCELED,
    API_TIMEOUT,
    API_INTERNAL,
    API_NOT_FOUND,
    API_NOT_ACCEPTABLE,
    API_UNAVAILABLE,
};

enum { API_ANNOTATIONS_MAX = 10 };

struct api {
    struct web *web;
    struct http_incoming *in;
    struct http_outgoing *out;
    struct json_out json; /* after api_begin: writes data */
    const struct str *warnings;
    size_t warning_count;
    const struct str *infos;
    size_t info_count;
};

void api_init(struct api *api, struct web *web, struct http_incoming *in,
              struct http_outgoing *out);
/* {"status":"success","data": ... the caller writes exactly one value ... then api_end */
void api_begin(struct api *api);
void api_end(struct api *api);
/* Replaces whatever was written. */
void api_fail(struct api *api, enum api_error type, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* invalid parameter "name": text */
void api_bad_param(struct api *api, const char *name, const char *text);
/* Maps an error of the query engine or the storage. */
void api_fail_err(struct api *api, enum err_code code, const struct err *err);

/* Parameters; on false the error is written. */
MUST_CHECK bool api_time(struct api *api, const char *name, bool required, int64_t otherwise_ms,
                         int64_t *out_ms);
MUST_CHECK bool api_limit(struct api *api, const char *name, uint64_t *out);
MUST_CHECK bool api_bool(struct api *api, const char *name, bool *out);

/* match[] sets; on false the error is written. */
struct api_matchers {
    struct matcher *matchers;
    size_t count;
};
MUST_CHECK bool api_match_sets(struct api *api, bool plain_error, bool allow_empty,
                               struct api_matchers **out, size_t *out_count);

/* API's extreme times: the whole range */
#define API_MIN_TIME_MS INT64_C(-9223372036854775)
#define API_MAX_TIME_MS INT64_C(9223372036854775)

#endif

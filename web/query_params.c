#include "web/query_params.h"

#include "base/duration.h"

enum { MAX_STEPS = 11000 };

/* timeout and lookback_delta; on false the error is written */
static bool read_limits(struct api *api, struct query *query) {
    struct err err;
    const struct str timeout = http_param(api->in, "timeout");
    if (timeout.len != 0 && duration_parse_api_ms(timeout, &query->timeout_ms, &err) != ERR_OK) {
        api_bad_param(api, "timeout", err.text);
        return false;
    }
    if (timeout.len != 0 && query->timeout_ms == 0) {
        query->timeout_ms = -1; /* no time at all, not no limit */
    }
    const struct str lookback = http_param(api->in, "lookback_delta");
    if (lookback.len != 0 && duration_parse_api_ms(lookback, &query->lookback_ms, &err) != ERR_OK) {
        api_fail(api, API_BAD_DATA, "error parsing lookback delta duration: %s", err.text);
        return false;
    }
    return true;
}

static void set_request(struct api *api, struct query *query) {
    query->text = http_param(api->in, "query");
    query->cancel = &api->in->cancel;
}

bool query_params_instant(struct api *api, struct query *query) {
    if (!api_time(api, "time", false, clock_unix_ms(api->web->options.clock), &query->start_ms) ||
        !read_limits(api, query)) {
        return false;
    }
    query->end_ms = query->start_ms;
    set_request(api, query);
    return true;
}

static bool read_step(struct api *api, struct query *query) {
    struct err err;
    if (duration_parse_api_ms(http_param(api->in, "step"), &query->step_ms, &err) != ERR_OK) {
        api_bad_param(api, "step", err.text);
        return false;
    }
    if (query->step_ms <= 0) {
        api_bad_param(api, "step",
                      "zero or negative query resolution step widths are not accepted. Try a "
                      "positive integer");
        return false;
    }
    /* unsigned: start and end may be the two ends of the time axis */
    if (((uint64_t)query->end_ms - (uint64_t)query->start_ms) / (uint64_t)query->step_ms >
        MAX_STEPS) {
        api_fail(api, API_BAD_DATA,
                 "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the "
                 "query resolution (?step=XX)");
        return false;
    }
    return true;
}

bool query_params_range(struct api *api, struct query *query) {
    if (!api_time(api, "start", true, 0, &query->start_ms) ||
        !api_time(api, "end", true, 0, &query->end_ms)) {
        return false;
    }
    if (query->end_ms < query->start_ms) {
        api_bad_param(api, "end", "end timestamp must not be before start time");
        return false;
    }
    if (!read_step(api, query) || !read_limits(api, query)) {
        return false;
    }
    set_request(api, query);
    return true;
}

struct query_origin query_params_origin(const struct http_incoming *in) {
    return (struct query_origin){
        .client = in->client, .method = http_method_name(in->method), .path = in->path};
}

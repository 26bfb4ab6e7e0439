/* /api/v1/explain: a query's plan, what it is expected to cost and, with analyze, what it did cost.
 * Ours; parameters as those of /query, or of /query_range when step is given. */
#include "web/api.h"
#include "web/handlers.h"
#include "web/query_params.h"

void api_explain(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    struct query query = {.step_ms = 0};
    bool analyze = false;
    api_init(&api, web, in, out);
    const bool range = http_param(in, "step").len != 0;
    const bool read = range ? query_params_range(&api, &query) : query_params_instant(&api, &query);
    if (!read || !api_bool(&api, "analyze", &analyze)) {
        return;
    }
    struct err err;
    const struct query_origin origin = query_params_origin(in);
    query.origin = &origin;
    api_begin(&api);
    const enum err_code code = query_explain(web->options.engine, web->options.storage, &query,
                                             analyze, &in->arena, &api.json, &err);
    if (code != ERR_OK) {
        api_fail_err(&api, code, &err);
        return;
    }
    api_end(&api);
}

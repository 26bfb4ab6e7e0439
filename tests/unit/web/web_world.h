/* A web module without its server: requests go through parsing, routing and handlers directly. The
 * storage is in memory, the query engine the real one, the clock stands still; targets, rules and
 * Alertmanagers are what the test puts into the world. One world at a time. */
#ifndef TESTS_UNIT_WEB_WEB_WORLD_H
#define TESTS_UNIT_WEB_WEB_WORLD_H

#include "query/script/fake_storage.h"
#include "tests/support/fake_clock.h"
#include "web/http.h"
#include "web/state.h"

enum { WORLD_UNIX_S = 1435781451 };

struct web_world {
    struct fake_clock clock;
    struct fake_storage *fs;
    struct query_engine *engine;
    struct metric_registry *registry;
    struct web web;
    struct http_incoming in;
    struct http_outgoing out; /* after a run its body is the whole answer, */
    size_t piece_count;       /* made in so many pieces */
    /* what the stand-ins of the other modules answer */
    struct targets_snapshot targets;
    const struct metric_metadata *metadata;
    size_t metadata_count;
    struct rule_group_info *groups;
    size_t group_count;
    struct str active_am[2], dropped_am[2];
    size_t active_am_count, dropped_am_count;
    unsigned quit_count;
    const char *reload_error; /* NULL: reloads succeed */
};

void web_world_init(struct web_world *w);
void web_world_release(struct web_world *w);
/* Headers may be set in w->in between request and run. */
void web_world_request(struct web_world *w, enum http_method method, const char *target,
                       struct str body);
/* Routes and runs the request; the response's status. Parse errors are status 400. */
int web_world_run(struct web_world *w);
/* Both, for GET; the body as a C string. */
const char *web_world_get(struct web_world *w, const char *target);

#endif

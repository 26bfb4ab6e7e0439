/* Routes: methods, prefix, readiness, CORS, requests from other sites, redirects. */
#include "tests/support/check_err.h"
#include "tests/unit/web/web_world.h"
#include "web/router.h"

static struct web_world world;

static int setup(void **state) {
    web_world_init(&world);
    *state = &world;
    return 0;
}

static int teardown(void **state) {
    web_world_release(*state);
    return 0;
}

static int run(struct web_world *w, enum http_method method, const char *target) {
    web_world_request(w, method, target, STR(""));
    return web_world_run(w);
}

static void each_path_knows_its_methods(void **state) {
    struct web_world *w = *state;
    static const struct {
        enum http_method method;
        const char *target;
        int status;
        const char *allow;
    } rows[] = {
        {HTTP_GET, "/-/healthy", 200, NULL},
        {HTTP_HEAD, "/-/healthy", 200, NULL},
        {HTTP_HEAD, "/-/ready", 200, NULL},
        {HTTP_POST, "/-/healthy", 405, "GET, HEAD, OPTIONS"},
        {HTTP_GET, "/-/reload", 405, "OPTIONS, POST, PUT"},
        {HTTP_GET, "/api/v1/query?query=1", 200, NULL},
        {HTTP_POST, "/api/v1/query?query=1", 200, NULL},
        {HTTP_PUT, "/api/v1/query?query=1", 405, "GET, HEAD, OPTIONS, POST"},
        {HTTP_OTHER, "/api/v1/query", 405, "GET, HEAD, OPTIONS, POST"},
        {HTTP_OPTIONS, "/api/v1/query", 204, NULL},
        {HTTP_GET, "/api/v1/nope", 404, NULL},
        {HTTP_GET, "/api/v1/label/*/values", 200, NULL},
        {HTTP_GET, "/api/v1/label/job/values", 200, NULL},
        {HTTP_GET, "/api/v1/label/a/b/values", 404, NULL},
        {HTTP_GET, "/api/v1/label//values", 400, NULL},
        {HTTP_GET, "/api/v1/label/values", 404, NULL},
        {HTTP_GET, "/assets/none.js", 404, NULL},
        {HTTP_GET, "/metrics", 200, NULL},
        {HTTP_GET, "/version", 200, NULL},
        {HTTP_GET, "/%2e%2e/", 400, NULL},
        {HTTP_GET, "*", 404, NULL},
        {HTTP_GET, "http://other/-/healthy", 404, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const int got = run(w, rows[i].method, rows[i].target);
        if (got != rows[i].status) {
            fail_msg("%s: %d, want %d", rows[i].target, got, rows[i].status);
        }
        if (rows[i].allow != NULL) {
            assert_string_equal(w->out.allow, rows[i].allow);
        }
    }
    (void)run(w, HTTP_GET, "/-/reload");
    assert_string_equal(w->out.body.ptr, "Only POST or PUT requests allowed");
    (void)run(w, HTTP_POST, "/api/v1/targets");
    assert_string_equal(w->out.body.ptr, "Method Not Allowed\n");
}

static void before_readiness_only_the_unconditional_answer(void **state) {
    struct web_world *w = *state;
    atomic_store(&w->web.phase, WEB_STARTING);
    assert_int_equal(run(w, HTTP_GET, "/api/v1/query?query=1"), 503);
    assert_string_equal(w->out.body.ptr, "Service Unavailable");
    assert_true(w->out.stopping_header);
    assert_false(w->out.stopping);
    assert_int_equal(run(w, HTTP_OPTIONS, "/api/v1/query"), 503);
    assert_int_equal(run(w, HTTP_GET, "/-/ready"), 503);
    assert_true(w->out.stopping_header);
    assert_int_equal(run(w, HTTP_GET, "/-/healthy"), 200);
    assert_int_equal(run(w, HTTP_GET, "/metrics"), 200);
    atomic_store(&w->web.phase, WEB_STOPPING);
    assert_int_equal(run(w, HTTP_GET, "/api/v1/labels"), 503);
    assert_true(w->out.stopping);
}

static void the_prefix_is_part_of_every_path(void **state) {
    struct web_world *w = *state;
    w->web.prefix = STR("/pre");
    assert_int_equal(run(w, HTTP_GET, "/pre/-/healthy"), 200);
    assert_int_equal(run(w, HTTP_GET, "/-/healthy"), 404);
    assert_int_equal(run(w, HTTP_GET, "/prefix/-/healthy"), 404);
    assert_int_equal(run(w, HTTP_GET, "/pre-/healthy"), 404);
    assert_int_equal(run(w, HTTP_GET, "/pre/api/v1/label/job/values"), 200);
    assert_int_equal(run(w, HTTP_GET, "/"), 302);
    assert_str(w->out.location, "/pre");
    assert_int_equal(run(w, HTTP_GET, "/pre"), 302);
    assert_str(w->out.location, "/pre/query");
}

static void redirects_go_to_our_own_pages_only(void **state) {
    struct web_world *w = *state;
    assert_int_equal(run(w, HTTP_GET, "/"), 302);
    assert_str(w->out.location, "/query");
    assert_int_equal(run(w, HTTP_GET, "/graph?g0.expr=up&x=//evil"), 302);
    assert_str(w->out.location, "/query?g0.expr=up&x=//evil");
    assert_int_equal(run(w, HTTP_GET, "//evil.example"), 404);
}

static int run_from(struct web_world *w, const char *target, const char *origin, const char *host,
                    const char *fetch_site) {
    web_world_request(w, HTTP_POST, target, STR(""));
    w->in.origin = str_of(origin);
    w->in.host = str_of(host);
    w->in.fetch_site = str_of(fetch_site);
    return web_world_run(w);
}

static void other_sites_cannot_change_state(void **state) {
    struct web_world *w = *state;
    w->web.options.enable_lifecycle = true;
    assert_int_equal(run_from(w, "/-/quit", "http://evil", "brasa:9090", ""), 403);
    assert_int_equal(run_from(w, "/-/quit", "null", "brasa:9090", ""), 403);
    assert_int_equal(run_from(w, "/-/quit", "", "brasa:9090", "cross-site"), 403);
    assert_int_equal(run_from(w, "/-/quit", "", "brasa:9090", "same-site"), 403);
    assert_int_equal(w->quit_count, 0);
    assert_int_equal(run_from(w, "/-/quit", "http://brasa:9090", "brasa:9090", ""), 200);
    assert_int_equal(run_from(w, "/-/quit", "", "brasa:9090", "same-origin"), 200);
    assert_int_equal(run_from(w, "/-/quit", "", "", ""), 200);
    assert_int_equal(w->quit_count, 3);
    /* reading is for everybody */
    assert_int_equal(run_from(w, "/api/v1/query?query=1", "http://evil", "b", "cross-site"), 200);
}

static void lifecycle_is_off_by_default_and_says_what_failed(void **state) {
    struct web_world *w = *state;
    assert_int_equal(run(w, HTTP_POST, "/-/quit"), 403);
    assert_string_equal(w->out.body.ptr, "Lifecycle API is not enabled.");
    assert_int_equal(run(w, HTTP_PUT, "/-/reload"), 403);
    w->web.options.enable_lifecycle = true;
    assert_int_equal(run(w, HTTP_PUT, "/-/reload"), 200);
    assert_int_equal(w->out.body.len, 0);
    w->reload_error = "bad file";
    assert_int_equal(run(w, HTTP_POST, "/-/reload"), 500);
    assert_string_equal(w->out.body.ptr, "failed to reload config: bad file\n");
    assert_int_equal(run(w, HTTP_POST, "/-/quit"), 200);
    assert_string_equal(w->out.body.ptr, "Requesting termination... Goodbye!");
    atomic_store(&w->web.phase, WEB_STOPPING);
    assert_int_equal(run(w, HTTP_POST, "/-/quit"), 200);
    assert_string_equal(w->out.body.ptr, "Termination already in progress.");
}

static void allow_cors(struct web_world *w, struct str pattern) {
    struct err err;
    regex_free(w->web.cors);
    assert_ok(regex_new(pattern, REGEX_ANCHORED, &w->web.cors, &err), &err);
}

static void run_cors(struct web_world *w, const char *target, const char *origin) {
    web_world_request(w, HTTP_GET, target, STR(""));
    w->in.origin = str_of(origin);
    (void)web_world_run(w);
}

static void cors_answers_as_configured(void **state) {
    struct web_world *w = *state;
    run_cors(w, "/api/v1/labels", "http://a");
    assert_false(w->out.cors);
    assert_false(w->out.vary_origin);
    allow_cors(w, STR(".*"));
    run_cors(w, "/api/v1/labels", "http://a");
    assert_true(w->out.cors);
    assert_str(w->out.allow_origin, "*");
    run_cors(w, "/api/v1/labels", "");
    assert_false(w->out.cors);
    assert_true(w->out.vary_origin);
    run_cors(w, "/metrics", "http://a");
    assert_false(w->out.cors);
    allow_cors(w, STR("https?://(a|b)"));
    run_cors(w, "/api/v1/labels", "http://a");
    assert_str(w->out.allow_origin, "http://a");
    run_cors(w, "/api/v1/labels", "http://a.evil");
    assert_true(w->out.cors);
    assert_str(w->out.allow_origin, "");
}

static void labels_of_the_metrics_are_patterns(void **state) {
    struct web_world *w = *state;
    web_world_request(w, HTTP_GET, "/api/v1/label/job/values", STR(""));
    struct err err;
    assert_ok(http_incoming_parse(&w->in, &err), &err);
    assert_string_equal(route_label(router_find(&w->web, &w->in, &w->out)),
                        "/api/v1/label/:name/values");
    assert_string_equal(route_label(NULL), "/");
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(each_path_knows_its_methods),      T(before_readiness_only_the_unconditional_answer),
        T(the_prefix_is_part_of_every_path), T(redirects_go_to_our_own_pages_only),
        T(other_sites_cannot_change_state),  T(lifecycle_is_off_by_default_and_says_what_failed),
        T(cors_answers_as_configured),       T(labels_of_the_metrics_are_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

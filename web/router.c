#include "web/router.h"

#include "web/handlers.h"

#define READ (HTTP_GET | HTTP_HEAD)
#define FORM (HTTP_GET | HTTP_HEAD | HTTP_POST)
#define CHANGE (HTTP_POST | HTTP_PUT)
#define API_CHEAP (ROUTE_READY | ROUTE_API)
#define API_WORK (ROUTE_READY | ROUTE_API | ROUTE_WORKER)
#define API_TRIED (API_WORK | ROUTE_TRIED)

static const struct route routes[] = {
    {"/api/v1/query", FORM, API_TRIED, api_query},
    {"/api/v1/query_range", FORM, API_TRIED, api_query_range},
    {"/api/v1/query_exemplars", FORM, API_WORK, api_query_exemplars},
    {"/api/v1/format_query", FORM, API_CHEAP, api_format_query},
    {"/api/v1/parse_query", FORM, API_CHEAP, api_parse_query},
    {"/api/v1/labels", FORM, API_TRIED, api_labels},
    {"/api/v1/label/*/values", READ, API_TRIED, api_label_values},
    {"/api/v1/series", FORM, API_TRIED, api_series},
    {"/api/v1/targets", READ, API_WORK, api_targets},
    {"/api/v1/scrape_pools", READ, API_WORK, api_scrape_pools},
    {"/api/v1/metadata", READ, API_WORK, api_metadata},
    {"/api/v1/targets/metadata", READ, API_WORK, api_targets_metadata},
    {"/api/v1/rules", READ, API_WORK, api_rules},
    {"/api/v1/alerts", READ, API_WORK, api_alerts},
    {"/api/v1/alertmanagers", READ, API_CHEAP, api_alertmanagers},
    {"/api/v1/status/buildinfo", READ, API_CHEAP, api_status_buildinfo},
    {"/api/v1/status/config", READ, API_CHEAP, api_status_config},
    {"/api/v1/status/flags", READ, API_CHEAP, api_status_flags},
    {"/api/v1/status/runtimeinfo", READ, API_CHEAP, api_status_runtimeinfo},
    {"/api/v1/status/tsdb", READ, API_WORK, api_status_tsdb},
    {"/api/v1/admin/tsdb/delete_series", CHANGE, API_WORK | ROUTE_CHANGES, api_delete_series},
    {"/api/v1/admin/tsdb/clean_tombstones", CHANGE, API_WORK | ROUTE_CHANGES, api_clean_tombstones},
    {"/api/v1/admin/tsdb/snapshot", CHANGE, API_WORK | ROUTE_CHANGES, api_snapshot},
    {"/api/v1/admin/queries", READ, API_CHEAP, api_queries},
    {"/api/v1/admin/queries/kill", CHANGE, API_CHEAP | ROUTE_CHANGES, api_query_kill},
    {"/api/v1/explain", FORM, API_WORK, api_explain},
    {"/api/v1/write", HTTP_POST,
     ROUTE_READY | ROUTE_WORKER | ROUTE_BRIEF | ROUTE_CHANGES | ROUTE_DATA, remote_write},
    {"/-/healthy", READ, 0, health_healthy},
    {"/-/ready", READ, 0, health_ready},
    {"/-/reload", CHANGE, ROUTE_WORKER | ROUTE_CHANGES, health_reload},
    {"/-/quit", CHANGE, ROUTE_CHANGES, health_quit},
    {"/version", READ, 0, health_version},
    {"/metrics", READ, 0, own_metrics},
    {"/", READ, 0, page_root},
    {"/graph", READ, 0, page_graph},
    {"/query", READ, 0, page_index},
    {"/status", READ, 0, page_index},
    {"/assets/", READ, ROUTE_PREFIX, page_asset},
    {"/favicon.svg", READ, 0, page_asset},
};

/* "*" takes one non-empty segment. */
static bool path_matches(const struct route *route, struct str path) {
    const struct str want = str_of(route->path);
    if ((route->flags & ROUTE_PREFIX) != 0) {
        return str_starts(path, want);
    }
    const ptrdiff_t star = str_find_char(want, '*');
    if (star < 0) {
        return str_eq(path, want);
    }
    const struct str head = str_sub(want, 0, (size_t)star);
    const struct str tail = str_from(want, (size_t)star + 1);
    if (path.len < head.len + tail.len || !str_starts(path, head) || !str_ends(path, tail)) {
        return false;
    }
    const struct str middle = str_sub(path, head.len, path.len - head.len - tail.len);
    return str_find_char(middle, '/') < 0;
}

const char *route_label(const struct route *route) {
    if (route == NULL || route->handler == page_root) {
        return "/";
    }
    return route->handler == api_label_values ? "/api/v1/label/:name/values" : route->path;
}

static void not_allowed(const struct route *route, struct http_outgoing *out) {
    out->allow = (route->methods & HTTP_POST) == 0  ? "GET, HEAD, OPTIONS"
                 : route->methods == HTTP_POST      ? "OPTIONS, POST"
                 : (route->methods & HTTP_GET) == 0 ? "OPTIONS, POST, PUT"
                                                    : "GET, HEAD, OPTIONS, POST";
    http_text(out, 405,
              str_starts(str_of(route->path), STR("/-/")) && (route->flags & ROUTE_CHANGES) != 0
                  ? "Only POST or PUT requests allowed"
                  : "Method Not Allowed\n");
}

/* A browser says where a request comes from; another site's page must not change state here. */
static bool from_foreign_page(const struct http_incoming *in) {
    if (in->fetch_site.len != 0) {
        return !str_eq(in->fetch_site, STR("same-origin")) && !str_eq(in->fetch_site, STR("none"));
    }
    if (in->origin.len == 0) {
        return false;
    }
    const ptrdiff_t at = str_find(in->origin, STR("://"));
    return at < 0 || !str_eq(str_from(in->origin, (size_t)at + 3), in->host);
}

static void set_cors(const struct web *web, const struct http_incoming *in,
                     struct http_outgoing *out) {
    out->vary_origin = web->cors != NULL;
    if (web->cors == NULL || in->origin.len == 0) {
        return;
    }
    bool match = false;
    if (regex_match(web->cors, in->origin, &match, NULL) != ERR_OK) {
        match = false;
    }
    out->cors = true;
    if (str_eq(regex_pattern(web->cors), STR(".*"))) {
        out->allow_origin = STR("*");
    } else if (match) {
        out->allow_origin = in->origin;
    }
}

static bool strip_prefix(const struct web *web, const struct http_incoming *in,
                         struct str *out_path, struct http_outgoing *out) {
    if (web->prefix.len == 0) {
        *out_path = in->path;
        return true;
    }
    if (str_eq(in->path, STR("/"))) {
        http_text(out, 302, "");
        out->location = web->prefix;
        return false;
    }
    if (!str_starts(in->path, web->prefix)) {
        http_text(out, 404, "404 page not found\n");
        return false;
    }
    *out_path = str_from(in->path, web->prefix.len);
    if (out_path->len == 0) {
        *out_path = STR("/");
    }
    return true;
}

size_t router_body_max(const struct web *web, struct str target) {
    const ptrdiff_t mark = str_find_char(target, '?');
    struct str path = mark < 0 ? target : str_sub(target, 0, (size_t)mark);
    if (str_starts(path, web->prefix)) {
        path = str_from(path, web->prefix.len);
    }
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        if ((routes[i].flags & ROUTE_DATA) != 0 && str_eq(path, str_of(routes[i].path))) {
            return HTTP_DATA_MAX;
        }
    }
    return HTTP_BODY_MAX;
}

const struct route *router_find(struct web *web, struct http_incoming *in,
                                struct http_outgoing *out) {
    struct str path;
    if (!strip_prefix(web, in, &path, out)) {
        return NULL;
    }
    const struct route *route = NULL;
    for (size_t i = 0; i < COUNT_OF(routes) && route == NULL; i++) {
        route = path_matches(&routes[i], path) ? &routes[i] : NULL;
    }
    if (route == NULL) {
        http_text(out, 404, "404 page not found\n");
        return NULL;
    }
    if ((route->flags & ROUTE_API) != 0) {
        set_cors(web, in, out);
    }
    const int phase = atomic_load(&web->phase);
    if ((route->flags & ROUTE_READY) != 0 && phase != WEB_READY) {
        http_text(out, 503, "Service Unavailable");
        out->stopping_header = true;
        out->stopping = phase == WEB_STOPPING;
        return NULL;
    }
    if (in->method == HTTP_OPTIONS && (route->flags & ROUTE_API) != 0) {
        http_text(out, 204, "");
        return NULL;
    }
    if ((route->methods & in->method) == 0) {
        not_allowed(route, out);
        return NULL;
    }
    if ((route->flags & ROUTE_CHANGES) != 0 && from_foreign_page(in)) {
        http_text(out, 403, "request from another site refused\n");
        return NULL;
    }
    return route;
}

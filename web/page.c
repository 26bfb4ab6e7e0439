/* The UI: index page for its paths, embedded assets, redirects of old addresses. */
#include "web/assets.h"
#include "web/handlers.h"

static const struct asset *find(struct str path) {
    for (size_t i = 0; i < web_asset_count; i++) {
        if (str_eq(path, str_of(web_assets[i].path))) {
            return &web_assets[i];
        }
    }
    return NULL;
}

static void send(const struct asset *asset, const char *cache_control, struct http_outgoing *out) {
    out->status = 200;
    out->content_type = asset->content_type;
    out->static_body = (struct str){(const char *)asset->bytes, asset->size_bytes};
    out->body_is_gzip = true;
    out->etag = asset->etag;
    out->cache_control = cache_control;
    out->page = true;
}

void page_index(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    (void)web;
    (void)in;
    const struct asset *asset = find(STR("/index.html"));
    if (asset == NULL) {
        http_text(
            out, 404,
            "This build has no web page; the API answers below /api/v1/, metrics at /metrics.\n");
        return;
    }
    send(asset, "no-cache", out);
}

void page_asset(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    const struct asset *asset = find(str_from(in->path, web->prefix.len));
    if (asset == NULL) {
        http_text(out, 404, "404 page not found\n");
        return;
    }
    send(asset, "public, max-age=31536000, immutable", out);
}

static void redirect(struct http_outgoing *out, struct str location) {
    http_text(out, 302, "");
    out->location = location;
}

void page_root(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    redirect(out, arena_printf(&in->arena, "%.*s/query", STR_ARG(web->prefix)));
}

/* Old links: /graph?g0.expr=... ; the query string goes along, the path is ours. */
void page_graph(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    const ptrdiff_t mark = str_find_char(in->target, '?');
    const struct str query = mark < 0 ? STR("") : str_from(in->target, (size_t)mark);
    redirect(out, arena_printf(&in->arena, "%.*s/query%.*s", STR_ARG(web->prefix), STR_ARG(query)));
}

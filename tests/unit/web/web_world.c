#include "tests/unit/web/web_world.h"

#include <string.h>

#include "base/check.h"
#include "web/router.h"

static struct web_world *the_world; /* of the stand-ins, which get no context of ours */

/* ---- stand-ins ---- */

void scrape_targets(struct scrape_manager *m, struct arena *arena, struct targets_snapshot *out) {
    (void)m;
    (void)arena;
    *out = the_world->targets;
}

void scrape_each_metadata(struct scrape_manager *m, struct str family,
                          bool (*fn)(void *ctx, const struct metric_metadata *md), void *ctx) {
    (void)m;
    for (size_t i = 0; i < the_world->metadata_count; i++) {
        const struct metric_metadata *md = &the_world->metadata[i];
        if ((family.len == 0 || str_eq(family, md->family)) && !fn(ctx, md)) {
            return;
        }
    }
}

void rule_groups(struct rule_manager *m, struct arena *arena, struct rule_group_info **out,
                 size_t *out_count) {
    (void)m;
    (void)arena;
    *out = the_world->groups;
    *out_count = the_world->group_count;
}

void notifier_alertmanagers(struct notifier *n, struct arena *arena, struct str **active,
                            size_t *active_count, struct str **dropped, size_t *dropped_count) {
    (void)n;
    (void)arena;
    *active = the_world->active_am;
    *active_count = the_world->active_am_count;
    *dropped = the_world->dropped_am;
    *dropped_count = the_world->dropped_am_count;
}

static void status(void *ctx, struct arena *arena, struct web_status *out) {
    (void)ctx;
    (void)arena;
    *out = (struct web_status){.config_yaml = STR("global:\n  a: <b>\n"),
                               .reload_ok = true,
                               .last_config_unix_ns = WORLD_UNIX_S * NS_PER_S,
                               .start_unix_ns = WORLD_UNIX_S * NS_PER_S,
                               .storage_retention = STR("15d")};
}

static enum err_code reload(void *ctx, struct err *err) {
    (void)ctx;
    return the_world->reload_error == NULL
               ? ERR_OK
               : err_set(err, ERR_INVALID, "%s", the_world->reload_error);
}

static void quit(void *ctx) {
    (void)ctx;
    the_world->quit_count++;
}

/* ---- the world ---- */

void web_world_init(struct web_world *w) {
    *w = (struct web_world){.quit_count = 0};
    the_world = w;
    fake_clock_init(&w->clock, WORLD_UNIX_S * NS_PER_S);
    w->fs = fake_storage_new();
    w->registry = metric_registry_new();
    struct query_options options;
    query_options_default(&options);
    options.clock = &w->clock.clock;
    options.max_memory_bytes = 64 * 1024 * 1024;
    w->engine = query_engine_new(&options);
    static const struct str listen[] = {STR_INIT("0.0.0.0:9090")};
    w->web.options = (struct web_options){.listen = listen,
                                          .listen_count = 1,
                                          .external_url = STR("https://brasa.example/ext"),
                                          .clock = &w->clock.clock,
                                          .registry = w->registry,
                                          .storage = fake_storage_as_storage(w->fs),
                                          .engine = w->engine,
                                          .status = status,
                                          .reload = reload,
                                          .quit = quit};
    atomic_init(&w->web.phase, WEB_READY);
    web_world_request(w, HTTP_GET, "/", STR(""));
}

static void end_request(struct web_world *w) {
    buf_release(&w->in.body);
    buf_release(&w->out.body);
    arena_release(&w->in.arena);
}

void web_world_release(struct web_world *w) {
    end_request(w);
    regex_free(w->web.cors);
    query_engine_free(w->engine);
    metric_registry_free(w->registry);
    fake_storage_free(w->fs);
}

void web_world_request(struct web_world *w, enum http_method method, const char *target,
                       struct str body) {
    end_request(w);
    w->in = (struct http_incoming){.method = method};
    w->out = (struct http_outgoing){.status = 0};
    arena_init(&w->in.arena, HTTP_REQUEST_MEMORY_MAX);
    buf_init(&w->in.body, HTTP_BODY_MAX);
    buf_init(&w->out.body, HTTP_RESPONSE_MAX);
    cancel_init(&w->in.cancel, &w->clock.clock, 0);
    w->in.target = arena_str(&w->in.arena, str_of(target));
    buf_append_str(&w->in.body, body);
    if (body.len > 0) {
        w->in.content_type = STR("application/x-www-form-urlencoded");
    }
}

int web_world_run(struct web_world *w) {
    struct err err;
    if (http_incoming_parse(&w->in, &err) != ERR_OK) {
        http_text(&w->out, 400, err.text);
        return 400;
    }
    const struct route *route = router_find(&w->web, &w->in, &w->out);
    if (route != NULL) {
        route->handler(&w->web, &w->in, &w->out);
    }
    w->piece_count = 1;
    while (w->out.source != NULL) {
        w->piece_count++;
        if (!w->out.source->more(w->out.source, &w->out.body)) {
            w->out.source = NULL;
        }
    }
    return w->out.status;
}

const char *web_world_get(struct web_world *w, const char *target) {
    web_world_request(w, HTTP_GET, target, STR(""));
    (void)web_world_run(w);
    return w->out.body.ptr != NULL ? w->out.body.ptr : "";
}

/* docker_sd_configs: the containers of a Docker Engine (spec/discovery.md section 6).
 *
 * A refresh is a chain of requests: the API version once, then containers, then networks; each
 * answer starts the next. An error at any of them ends the refresh and keeps the last targets.
 * sd_docker_targets.c turns the two documents into targets. */
#include "scrape/sd/sd_docker.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/http_config.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/url.h"

/* Versions of the API that this client speaks. */
enum { API_MAJOR = 1, API_MINOR_MIN = 40, API_MINOR_MAX = 55 };

enum docker_stage { STAGE_IDLE, STAGE_PING_HEAD, STAGE_PING_GET, STAGE_CONTAINERS, STAGE_NETWORKS };

struct docker {
    struct sd_provider base;
    struct transport_client *client;
    struct transport_request *request;
    enum docker_stage stage;
    struct str url_base;    /* "http://host:port", owned */
    struct str unix_socket; /* part of the configuration */
    struct str filters;     /* "?filters=..." or "", owned */
    unsigned api_minor;     /* 0: not negotiated */
    char *containers;       /* text of the answer */
    size_t containers_bytes;
    int64_t start_mono_ns;
    int64_t refresh_due_ns;
};

static void start(struct docker *d, enum docker_stage stage);

/* ---- the chain ---- */

static void finish(struct docker *d, enum err_code code, const struct err *err) {
    d->stage = STAGE_IDLE;
    mem_free(d->containers);
    d->containers = NULL;
    sd_provider_refreshed(&d->base, d->start_mono_ns, code, err);
}

static void fail(struct docker *d, enum docker_stage stage, enum err_code code, struct err *err) {
    finish(d,
           err_wrap(err, stage == STAGE_NETWORKS ? "error while computing network labels"
                                                 : "error while listing containers"),
           err);
    (void)code;
}

/* "1.43" to 43; 0 when it is no version of ours. */
static unsigned parse_version(struct str text) {
    uint64_t major = 0;
    uint64_t minor = 0;
    const ptrdiff_t dot = str_find_char(text, '.');
    if (dot < 0 || number_parse_u64(str_sub(text, 0, (size_t)dot), &major) != NUMBER_OK ||
        number_parse_u64(str_from(text, (size_t)dot + 1), &minor) != NUMBER_OK ||
        major != API_MAJOR) {
        return 0;
    }
    return minor < API_MINOR_MAX ? (unsigned)minor : API_MINOR_MAX;
}

static void on_ping(struct docker *d, const struct http_response *response) {
    const bool answered = response->code == ERR_OK && response->status == 200;
    if (!answered && d->stage == STAGE_PING_HEAD) {
        start(d, STAGE_PING_GET);
        return;
    }
    unsigned minor = API_MINOR_MAX;
    if (answered && response->api_version.len > 0) {
        minor = parse_version(response->api_version);
    }
    if (minor < API_MINOR_MIN) {
        struct err err;
        const enum err_code code =
            err_set(&err, ERR_UNSUPPORTED, "API version %.*s of the server is older than %d.%d",
                    STR_ARG(str_sub(response->api_version, 0, 32)), API_MAJOR, API_MINOR_MIN);
        fail(d, STAGE_CONTAINERS, code, &err);
        return;
    }
    d->api_minor = minor;
    start(d, STAGE_CONTAINERS);
    if (!answered) {
        d->api_minor = 0; /* asked again at the next refresh */
    }
}

static enum err_code check_list(const struct http_response *response, struct err *err) {
    if (response->code != ERR_OK) {
        *err = response->err;
        return response->code;
    }
    if (response->status != 200) {
        const struct str body = str_sub(str_trim(buf_str(response->body)), 0, 512);
        return err_set(err, ERR_NETWORK, "server returned HTTP status %d: %.*s", response->status,
                       STR_ARG(body));
    }
    return ERR_OK;
}

static void on_networks(struct docker *d, const struct http_response *response) {
    struct sd_boxes boxes = {0};
    struct err err;
    const struct str containers = {d->containers, d->containers_bytes};
    const enum err_code code =
        docker_targets(d->base.config, containers, buf_str(response->body), &boxes, &err);
    if (code != ERR_OK) {
        finish(d, code, &err);
        return;
    }
    sd_provider_publish(&d->base, &boxes);
    finish(d, ERR_OK, NULL);
}

static void on_answer(void *ctx, struct http_response *response) {
    struct docker *const d = ctx;
    struct err err;
    d->request = NULL;
    if (d->stage == STAGE_PING_HEAD || d->stage == STAGE_PING_GET) {
        on_ping(d, response);
        return;
    }
    const enum err_code code = check_list(response, &err);
    if (code != ERR_OK) {
        fail(d, d->stage, code, &err);
        return;
    }
    if (d->stage == STAGE_CONTAINERS) {
        d->containers = buf_take(response->body, &d->containers_bytes);
        start(d, STAGE_NETWORKS);
        return;
    }
    on_networks(d, response);
}

static void append_path(const struct docker *d, enum docker_stage stage, struct buf *url) {
    buf_append_str(url, d->url_base);
    switch (stage) {
    case STAGE_PING_HEAD:
    case STAGE_PING_GET:
        buf_append_cstr(url, "/_ping");
        return;
    case STAGE_CONTAINERS:
        buf_printf(url, "/v%d.%u/containers/json%.*s", API_MAJOR, d->api_minor,
                   STR_ARG(d->filters));
        return;
    case STAGE_NETWORKS:
        buf_printf(url, "/v%d.%u/networks", API_MAJOR,
                   d->api_minor != 0 ? d->api_minor : API_MINOR_MAX);
        return;
    case STAGE_IDLE:
        return;
    }
}

/* The whole refresh shares one interval as its time limit. */
static int64_t time_left_ms(const struct docker *d) {
    const int64_t passed = clock_mono_ns(d->base.env->clock) - d->start_mono_ns;
    const int64_t left = d->base.config->refresh_interval_ms - passed / NS_PER_MS;
    return left > 1 ? left : 1;
}

static void start(struct docker *d, enum docker_stage stage) {
    struct buf url;
    struct err err;
    buf_init(&url, 1024 * 1024);
    append_path(d, stage, &url);
    const struct http_request request = {
        .method = stage == STAGE_PING_HEAD ? "HEAD" : "GET",
        .url = buf_str(&url),
        .unix_socket = d->unix_socket,
        .timeout_ms = time_left_ms(d),
        .max_body_bytes = SD_TEXT_MAX,
    };
    d->stage = stage;
    const enum err_code code = transport_start(d->base.env->transport, d->client, &request,
                                               on_answer, d, &d->request, &err);
    buf_release(&url);
    if (code != ERR_OK) {
        fail(d, stage, code, &err);
    }
}

static int64_t step(struct sd_provider *base) {
    struct docker *const d = (struct docker *)base;
    const int64_t now = clock_mono_ns(base->env->clock);
    if (d->stage != STAGE_IDLE) {
        return INT64_MAX; /* the answer wakes us */
    }
    if (now >= d->refresh_due_ns) {
        d->start_mono_ns = now;
        d->refresh_due_ns = now + base->config->refresh_interval_ms * NS_PER_MS;
        start(d, d->api_minor != 0 ? STAGE_CONTAINERS : STAGE_PING_HEAD);
    }
    return d->refresh_due_ns;
}

/* ---- construction ---- */

static struct str copy_str(struct str s) {
    return (struct str){mem_strndup(s.ptr, s.len), s.len};
}

/* filters={"name":{"value":true,...},...} */
static struct str make_filters(const struct sd_config *config) {
    struct buf json;
    struct buf query;
    buf_init(&json, 1024 * 1024);
    buf_init(&query, 4 * 1024 * 1024);
    if (config->filter_count > 0) {
        struct json_out out;
        json_out_init(&out, &json);
        json_object_begin(&out);
        for (size_t i = 0; i < config->filter_count; i++) {
            json_key_str(&out, config->filters[i].name);
            json_object_begin(&out);
            for (size_t v = 0; v < config->filters[i].value_count; v++) {
                json_key_str(&out, config->filters[i].values[v]);
                json_bool(&out, true);
            }
            json_object_end(&out);
        }
        json_object_end(&out);
        buf_append_cstr(&query, "?filters=");
        url_query_escape(&query, buf_str(&json));
    }
    const struct str filters = copy_str(buf_str(&query));
    buf_release(&query);
    buf_release(&json);
    return filters;
}

static void free_provider(struct sd_provider *base) {
    struct docker *const d = (struct docker *)base;
    if (d->request != NULL) {
        transport_cancel(base->env->transport, d->request);
    }
    if (d->client != NULL) {
        transport_client_free(base->env->transport, d->client);
    }
    mem_free(d->containers);
    mem_free((void *)(uintptr_t)d->url_base.ptr);
    mem_free((void *)(uintptr_t)d->filters.ptr);
    sd_provider_release(base);
    mem_free(d);
}

/* Where the host setting leads to; *out_plain: HTTP client options do not apply. */
static enum err_code parse_host(struct docker *d, struct str host, bool *out_plain,
                                struct err *err) {
    struct buf url;
    *out_plain = true;
    if (str_starts(host, STR("unix://"))) {
        d->unix_socket = str_from(host, strlen("unix://"));
        d->url_base = copy_str(STR("http://localhost"));
        return ERR_OK;
    }
    buf_init(&url, 64 * 1024);
    if (str_starts(host, STR("tcp://"))) {
        buf_append_cstr(&url, "http://");
        buf_append_str(&url, str_from(host, strlen("tcp://")));
    } else if (str_starts(host, STR("http://")) || str_starts(host, STR("https://"))) {
        *out_plain = false;
        buf_append_str(&url, host);
    } else {
        return err_set(err, ERR_INVALID, "unsupported docker host \"%.*s\"",
                       STR_ARG(str_sub(host, 0, 256)));
    }
    struct str base = buf_str(&url);
    while (base.len > 0 && base.ptr[base.len - 1] == '/') {
        base.len--;
    }
    d->url_base = copy_str(base);
    buf_release(&url);
    return ERR_OK;
}

enum err_code sd_docker_new(struct sd_env *env, struct generation *g,
                            const struct sd_config *config, struct str set,
                            struct sd_provider **out, struct err *err) {
    static const struct sd_provider_ops ops = {.step = step, .free = free_provider};
    struct docker *const d = mem_zalloc(sizeof(*d));
    bool plain = false;
    sd_provider_init(&d->base, &ops, env, g, config);
    sd_provider_init_refresh(&d->base, set);
    d->filters = make_filters(config);
    enum err_code code = parse_host(d, config->host, &plain, err);
    if (code == ERR_OK) {
        code =
            transport_client_new(env->transport, plain ? NULL : &config->http, g, &d->client, err);
    }
    if (code != ERR_OK) {
        free_provider(&d->base);
        return code;
    }
    *out = &d->base;
    return ERR_OK;
}

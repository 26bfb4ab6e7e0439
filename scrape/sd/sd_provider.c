#include "scrape/sd/sd_provider.h"

#include "base/mem.h"
#include "base/utf8.h"

static const double refresh_bounds[] = {0.01, 0.1, 1, 10};
static const double refresh_quantiles[] = {0.5, 0.9, 0.99};

const char *sd_kind_name(enum sd_kind kind) {
    switch (kind) {
    case SD_STATIC:
        return "static";
    case SD_FILE:
        return "file";
    case SD_DOCKER:
        return "docker";
    case SD_KIND_COUNT:
        break;
    }
    return "unknown";
}

/* ---- groups ---- */

struct sd_box *sd_box_new(void) {
    struct sd_box *const box = mem_zalloc(sizeof(*box));
    atomic_init(&box->refs, 1);
    arena_init(&box->arena, 0);
    return box;
}

struct sd_box *sd_box_ref(struct sd_box *box) {
    atomic_fetch_add_explicit(&box->refs, 1, memory_order_relaxed);
    return box;
}

void sd_box_unref(struct sd_box *box) {
    if (box != NULL && atomic_fetch_sub_explicit(&box->refs, 1, memory_order_acq_rel) == 1) {
        arena_release(&box->arena);
        mem_free(box);
    }
}

void sd_boxes_add(struct sd_boxes *boxes, struct sd_box *box) {
    if (boxes->count == boxes->capacity) {
        boxes->capacity = mem_grow(boxes->capacity, boxes->count + 1);
        boxes->items = mem_resize(boxes->items, boxes->capacity, sizeof(struct sd_box *));
    }
    boxes->items[boxes->count++] = box;
}

void sd_boxes_release(struct sd_boxes *boxes) {
    for (size_t i = 0; i < boxes->count; i++) {
        sd_box_unref(boxes->items[i]);
    }
    mem_free(boxes->items);
    *boxes = (struct sd_boxes){0};
}

/* ---- providers ---- */

void sd_provider_init(struct sd_provider *p, const struct sd_provider_ops *ops, struct sd_env *env,
                      struct generation *g, const struct sd_config *config) {
    p->ops = ops;
    p->env = env;
    p->generation = g != NULL ? generation_ref(g) : NULL;
    p->config = config;
}

void sd_provider_init_refresh(struct sd_provider *p, struct str set) {
    const struct label labels[] = {
        {STR("config"), set},
        {STR("mechanism"), str_of(sd_kind_name(p->config->kind))},
    };
    p->refresh_failures = metric_counter(p->env->registry, "prometheus_sd_refresh_failures_total",
                                         "Number of refresh failures for the given SD mechanism.",
                                         labels, COUNT_OF(labels));
    p->refresh_duration =
        metric_summary(p->env->registry, "prometheus_sd_refresh_duration_seconds",
                       "The duration of a refresh for the given SD mechanism.", labels,
                       COUNT_OF(labels), refresh_quantiles, COUNT_OF(refresh_quantiles));
    /* Two of a kind in one set share them. */
    metric_hold(p->env->registry, p->refresh_failures);
    metric_hold(p->env->registry, p->refresh_duration);
    p->refresh_histogram =
        metric_histogram(p->env->registry, "prometheus_sd_refresh_duration_histogram_seconds",
                         "The duration of a refresh for the given SD mechanism.", &labels[1], 1,
                         refresh_bounds, COUNT_OF(refresh_bounds));
}

void sd_provider_release(struct sd_provider *p) {
    sd_boxes_release(&p->groups);
    generation_unref(p->generation);
    if (p->refresh_failures != NULL) {
        metric_remove(p->env->registry, p->refresh_failures);
        metric_remove_summary(p->env->registry, p->refresh_duration);
    }
}

void sd_provider_publish(struct sd_provider *p, struct sd_boxes *groups) {
    struct sd_boxes kept = {0};
    for (size_t i = 0; i < groups->count; i++) {
        if (groups->items[i]->group.target_count > 0) {
            sd_boxes_add(&kept, sd_box_ref(groups->items[i]));
        }
    }
    sd_boxes_release(groups);
    sd_boxes_release(&p->groups);
    p->groups = kept;
    p->published = true;
    p->changed = true;
}

void sd_provider_refreshed(struct sd_provider *p, int64_t start_mono_ns, enum err_code code,
                           const struct err *err) {
    const double took_s = (double)(clock_mono_ns(p->env->clock) - start_mono_ns) / 1e9;
    metric_summarize(p->refresh_duration, took_s);
    metric_observe(p->refresh_histogram, took_s);
    if (code != ERR_OK) {
        metric_inc(p->refresh_failures);
        log_error(p->env->log, "discovery manager", "Unable to refresh target groups",
                  log_text("discovery", sd_kind_name(p->config->kind)), log_err(err));
    }
}

/* ---- names ---- */

struct str sd_label_name(struct arena *arena, const char *prefix, struct str name) {
    const struct str before = str_of(prefix);
    char *const to = arena_alloc(arena, before.len + name.len + 1);
    size_t n = before.len;
    memcpy(to, before.ptr, before.len);
    for (size_t at = 0; at < name.len;) {
        size_t bytes = 0;
        const uint32_t rune = utf8_rune(str_from(name, at), &bytes);
        const bool plain = (rune >= 'a' && rune <= 'z') || (rune >= 'A' && rune <= 'Z') ||
                           (rune >= '0' && rune <= '9') || rune == '_';
        to[n++] = plain ? (char)rune : '_';
        at += bytes;
    }
    return (struct str){to, n};
}

struct str sd_address(struct arena *arena, struct str host, unsigned port) {
    if (str_find_char(host, ':') >= 0) {
        return arena_printf(arena, "[%.*s]:%u", STR_ARG(host), port);
    }
    return arena_printf(arena, "%.*s:%u", STR_ARG(host), port);
}

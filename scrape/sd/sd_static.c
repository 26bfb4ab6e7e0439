/* static_configs: targets from the configuration itself, published once. */
#include "base/mem.h"
#include "scrape/sd/sd_provider.h"

static int64_t step(struct sd_provider *p) {
    struct sd_boxes boxes = {0};
    if (p->published) {
        return INT64_MAX;
    }
    for (size_t i = 0; i < p->config->group_count; i++) {
        const struct sd_static_group *const from = &p->config->groups[i];
        struct sd_box *const box = sd_box_new();
        struct labels *const targets =
            arena_alloc(&box->arena, (from->target_count + 1) * sizeof(targets[0]));
        for (size_t t = 0; t < from->target_count; t++) {
            const struct label address = {STR("__address__"), from->targets[t]};
            targets[t] = labels_of(&box->arena, &address, 1);
        }
        box->group = (struct sd_group){
            .source = arena_printf(&box->arena, "%zu", i),
            .targets = targets,
            .target_count = from->target_count,
            .labels = labels_copy(&box->arena, from->labels),
        };
        sd_boxes_add(&boxes, box);
    }
    sd_provider_publish(p, &boxes);
    return INT64_MAX;
}

static void free_provider(struct sd_provider *p) {
    sd_provider_release(p);
    mem_free(p);
}

enum err_code sd_static_new(struct sd_env *env, struct generation *g,
                            const struct sd_config *config, struct str set,
                            struct sd_provider **out, struct err *err) {
    static const struct sd_provider_ops ops = {.step = step, .free = free_provider};
    (void)set;
    (void)err;
    struct sd_provider *const p = mem_zalloc(sizeof(*p));
    sd_provider_init(p, &ops, env, g, config);
    *out = p;
    return ERR_OK;
}

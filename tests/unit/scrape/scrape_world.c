#include "tests/unit/scrape/scrape_world.h"

#include "base/mem.h"
#include "tests/support/check_err.h"

void scrape_world_open(struct scrape_world *w, const struct scrape_options *options,
                       int64_t update_interval_ns) {
    *w = (struct scrape_world){.generation = NULL};
    fake_clock_init(&w->clock, SCRAPE_WORLD_START_NS);
    w->scrape_net = fake_transport_new(&w->clock);
    w->sd_net = fake_transport_new(&w->clock);
    w->rows = row_storage_new(true);
    w->registry = metric_registry_new();
    struct scrape_options own = *options;
    own.storage = row_storage_as_storage(w->rows);
    own.transport = fake_transport_base(w->scrape_net);
    own.clock = &w->clock.clock;
    own.registry = w->registry;
    w->manager = scrape_manager_new(&own);
    const struct sd_options sd_options = {.name = "scrape",
                                          .vfs = vfs_system(),
                                          .clock = &w->clock.clock,
                                          .transport = fake_transport_base(w->sd_net),
                                          .registry = w->registry,
                                          .on_update = scrape_manager_update,
                                          .ctx = w->manager,
                                          .update_interval_ns = update_interval_ns};
    w->sd = sd_manager_new(&sd_options);
}

void scrape_world_close(struct scrape_world *w) {
    sd_manager_free(w->sd);
    scrape_manager_free(w->manager);
    fake_transport_free(w->scrape_net);
    fake_transport_free(w->sd_net);
    generation_unref(w->generation);
    assert_int_equal(row_storage_open_groups(w->rows), 0);
    row_storage_free(w->rows);
    metric_registry_free(w->registry);
}

void scrape_world_apply(struct scrape_world *w, struct generation *g,
                        const struct scrape_config *configs, size_t count) {
    struct err err;
    struct sd_config_set *const sets = mem_array(count + 1, sizeof(*sets));
    for (size_t i = 0; i < count; i++) {
        sets[i] = configs[i].sd;
    }
    assert_ok(scrape_manager_apply(w->manager, g, configs, count, (struct labels){NULL, 0}, &err),
              &err);
    sd_manager_apply(w->sd, g, sets, count);
    mem_free(sets);
    generation_unref(w->generation);
    w->generation = g;
}

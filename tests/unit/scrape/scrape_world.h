/* A scrape manager and its discovery between stand-ins: clock, network, storage. */
#ifndef TESTS_UNIT_SCRAPE_SCRAPE_WORLD_H
#define TESTS_UNIT_SCRAPE_SCRAPE_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "base/generation.h"
#include "base/metric.h"
#include "scrape/scrape.h"
#include "scrape/sd.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_transport.h"
#include "tests/support/row_storage.h"

#define SCRAPE_WORLD_START_NS (INT64_C(1700000000) * NS_PER_S)

struct scrape_world {
    struct fake_clock clock; /* begins at SCRAPE_WORLD_START_NS */
    struct fake_transport *scrape_net, *sd_net;
    struct row_storage *rows;
    struct metric_registry *registry;
    struct scrape_manager *manager;
    struct sd_manager *sd;
    struct generation *generation; /* of the configuration in force; NULL before the first */
};

/* Storage, transport, clock and registry of the options are the world's. The managers are
 * not started. update_interval_ns: see sd_options. */
void scrape_world_open(struct scrape_world *w, const struct scrape_options *options,
                       int64_t update_interval_ns);
/* No group is left open. */
void scrape_world_close(struct scrape_world *w);
/* Makes a configuration that lives in g the one in force; g is taken. */
void scrape_world_apply(struct scrape_world *w, struct generation *g,
                        const struct scrape_config *configs, size_t count);

#endif

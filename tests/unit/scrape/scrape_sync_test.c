/* Discovery updates of many targets: they are followed in slices of bounded work, and other targets are
 * scraped on time meanwhile. Steps of a fake clock, so nothing depends on the machine. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "scrape/sd/sd_provider.h"
#include "tests/support/check_err.h"
#include "tests/unit/scrape/scrape_world.h"

enum { INTERVAL_MS = 1000, STEP_MS = 10, FLEET_MAX = 1500, SLICES = 2 * 256 };

struct world {
    struct arena arena;
    struct scrape_world s;
    int64_t interval_ms;
};

static void world_open(struct world *w) {
    *w = (struct world){.interval_ms = INTERVAL_MS};
    arena_init(&w->arena, 0);
    const struct scrape_options options = {
        .fqdn = STR("test.example"), .max_body_bytes = 1 << 20, .no_threads = true};
    scrape_world_open(&w->s, &options, 0);
    scrape_manager_start(w->s.manager);
}

static void world_close(struct world *w) {
    scrape_world_close(&w->s);
    arena_release(&w->arena);
}

/* A job of n targets named prefix:1, prefix:2, ... */
static struct scrape_config job_of(struct world *w, struct arena *arena, const char *prefix,
                                   size_t n) {
    static const enum scrape_protocol protocols[] = {PROTOCOL_TEXT_0_0_4};
    struct sd_config *const sd = arena_alloc(arena, sizeof(*sd));
    struct sd_static_group *const group = arena_alloc(arena, sizeof(*group));
    struct str *const addresses = arena_alloc(arena, (n + 1) * sizeof(*addresses));
    const struct str job = str_eq(str_of(prefix), STR("s")) ? STR("steady") : STR("fleet");
    for (size_t i = 0; i < n; i++) {
        addresses[i] = arena_printf(arena, "%s:%zu", prefix, i + 1);
    }
    *group = (struct sd_static_group){.targets = addresses, .target_count = n};
    *sd = (struct sd_config){.kind = SD_STATIC, .groups = group, .group_count = 1};
    return (struct scrape_config){
        .job_name = job,
        .interval_ms = w->interval_ms,
        .timeout_ms = w->interval_ms,
        .honor_timestamps = true,
        .metrics_path = STR("/metrics"),
        .scheme = STR("http"),
        .protocols = protocols,
        .protocol_count = COUNT_OF(protocols),
        .escaping_scheme = STR("allow-utf-8"),
        .http = {.follow_redirects = true},
        .sd = {.name = job, .configs = sd, .config_count = 1},
    };
}

/* Two steady targets and fleet ones with this prefix. */
static void apply(struct world *w, const char *prefix, size_t fleet) {
    struct generation *const g = generation_new(0);
    struct arena *const arena = generation_arena(g);
    struct scrape_config *const configs = arena_alloc(arena, 2 * sizeof(*configs));
    configs[0] = job_of(w, arena, "s", 2);
    configs[1] = job_of(w, arena, prefix, fleet);
    scrape_world_apply(&w->s, g, configs, 2);
    (void)sd_manager_step(w->s.sd);
}

static void step(struct world *w) {
    fake_clock_advance_ns(&w->s.clock, STEP_MS * NS_PER_MS);
    (void)sd_manager_step(w->s.sd);
    (void)scrape_manager_step(w->s.manager);
}

static void run_ms(struct world *w, int64_t ms) {
    for (int64_t i = 0; i < ms; i += STEP_MS) {
        step(w);
    }
}

static size_t active_count(struct world *w) {
    struct targets_snapshot snapshot;
    scrape_targets(w->s.manager, &w->arena, &snapshot);
    const size_t n = snapshot.active_count;
    arena_reset(&w->arena);
    return n;
}

/* Whether the fleet has followed n updates. */
static bool has_followed(struct world *w, int n) {
    char want[96];
    struct buf metrics;
    (void)snprintf(want, sizeof(want),
                   "prometheus_target_scrape_pool_sync_total{scrape_job=\"fleet\"} %d\n", n);
    buf_init(&metrics, 1 << 20);
    metric_render(w->s.registry, &metrics);
    const bool has = strstr(metrics.ptr, want) != NULL;
    buf_release(&metrics);
    return has;
}

/* How many steps it took until then. */
static size_t steps_until_followed(struct world *w, int n) {
    size_t steps = 0;
    while (!has_followed(w, n)) {
        assert_true(steps < 1000);
        step(w);
        steps++;
    }
    return steps;
}

/* Scrapes of the URL so far; each came an interval after the one before. */
static size_t regular_scrapes(struct world *w, const char *url) {
    int64_t last_ns = 0;
    size_t n = 0;
    for (size_t i = 0; i < fake_transport_request_count(w->s.scrape_net); i++) {
        const struct fake_request request = fake_transport_request(w->s.scrape_net, i);
        if (strcmp(request.url, url) == 0) {
            assert_true(n == 0 || request.start_mono_ns - last_ns == INTERVAL_MS * NS_PER_MS);
            last_ns = request.start_mono_ns;
            n++;
        }
    }
    return n;
}

static void others_are_scraped_on_time_while_a_large_update_is_followed(void **state) {
    (void)state;
    static const char *const steady[] = {"http://s:1/metrics", "http://s:2/metrics"};
    struct world w;
    world_open(&w);
    apply(&w, "a", 0);
    run_ms(&w, 3 * INTERVAL_MS);
    size_t before = 0;
    for (size_t i = 0; i < COUNT_OF(steady); i++) {
        before += regular_scrapes(&w, steady[i]);
    }
    assert_true(before >= 4);
    const char *const prefixes[] = {"a", "b", "a"}; /* all new, all others, all back */
    size_t during = 0;
    for (int i = 0; i < (int)COUNT_OF(prefixes); i++) {
        apply(&w, prefixes[i], FLEET_MAX);
        during += steps_until_followed(&w, i + 2);
        assert_int_equal(active_count(&w), 2 + FLEET_MAX);
        run_ms(&w, 2 * INTERVAL_MS);
    }
    /* Each update makes, keeps or not, and starts all targets, at most SLICES in a step. */
    assert_true(during >= COUNT_OF(prefixes) * (3 * FLEET_MAX / SLICES));
    const size_t intervals =
        (during * STEP_MS + COUNT_OF(prefixes) * 2 * INTERVAL_MS) / INTERVAL_MS;
    size_t after = 0;
    for (size_t i = 0; i < COUNT_OF(steady); i++) {
        after += regular_scrapes(&w, steady[i]);
    }
    assert_true(after - before >= COUNT_OF(steady) * intervals);
    world_close(&w);
}

static void a_large_set_that_is_replaced_and_comes_back_in_time_goes_on(void **state) {
    (void)state;
    enum { FLEET = 600 };
    struct world w;
    world_open(&w);
    apply(&w, "a", FLEET);
    run_ms(&w, 2 * INTERVAL_MS);
    assert_int_equal(active_count(&w), 2 + FLEET);
    assert_int_equal(row_storage_open_groups(w.s.rows), 2 + FLEET);
    apply(&w, "b", FLEET);
    run_ms(&w, INTERVAL_MS / 2);
    apply(&w, "a", FLEET);
    (void)row_storage_take(w.s.rows, true);
    run_ms(&w, 5 * INTERVAL_MS);
    assert_int_equal(active_count(&w), 2 + FLEET);
    assert_int_equal(row_storage_open_groups(w.s.rows), 2 + FLEET);
    assert_null(
        strstr(row_storage_take(w.s.rows, true), "up{instance=\"a:7\", job=\"fleet\"} stale"));
    apply(&w, "a", 0);
    run_ms(&w, 4 * INTERVAL_MS);
    assert_int_equal(row_storage_open_groups(w.s.rows), 2);
    assert_non_null(
        strstr(row_storage_take(w.s.rows, true), "up{instance=\"a:7\", job=\"fleet\"} stale"));
    world_close(&w);
}

static void a_reload_completes_the_update_that_is_followed(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    apply(&w, "a", FLEET_MAX);
    step(&w);
    assert_true(active_count(&w) < FLEET_MAX);
    w.interval_ms = 2 * INTERVAL_MS;
    apply(&w, "a", FLEET_MAX);
    assert_int_equal(active_count(&w), 2 + FLEET_MAX);
    run_ms(&w, INTERVAL_MS);
    assert_int_equal(active_count(&w), 2 + FLEET_MAX);
    world_close(&w);
}

static void an_update_may_be_given_up_at_any_point(void **state) {
    (void)state;
    enum { FLEET = 600, STEPS = 20 };
    for (int steps = 0; steps < STEPS; steps++) {
        struct world w;
        world_open(&w);
        apply(&w, "a", FLEET);
        run_ms(&w, steps % 2 == 0 ? INTERVAL_MS : 20 * STEP_MS); /* all were scraped, or some */
        apply(&w, "b", FLEET);
        run_ms(&w, (int64_t)steps * STEP_MS);
        world_close(&w); /* nothing leaks, nothing is freed twice */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_are_scraped_on_time_while_a_large_update_is_followed),
        cmocka_unit_test(a_large_set_that_is_replaced_and_comes_back_in_time_goes_on),
        cmocka_unit_test(a_reload_completes_the_update_that_is_followed),
        cmocka_unit_test(an_update_may_be_given_up_at_any_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* scrape manager with its threads: discovery, io and worker run at once while the test reloads
 * and asks for snapshots. What matters is that nothing is lost, leaked or raced (thread
 * sanitizer); the rules themselves are tested in scrape_manager_test. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/mem.h"
#include "tests/support/check_err.h"
#include "tests/unit/scrape/scrape_world.h"

enum { TARGETS = 40, INTERVAL_MS = 1000, SECONDS = 8 };

struct fixture {
    struct scrape_world w;
    char names[TARGETS][16];
};

static void start(struct fixture *f) {
    const struct scrape_options options = {.adjust_timestamps = true,
                                           .timestamp_tolerance_ns = 2 * NS_PER_MS,
                                           .max_body_bytes = 1 << 20};
    scrape_world_open(&f->w, &options, NS_PER_MS);
    fake_transport_set_limit(f->w.scrape_net, clock_mono_ns(&f->w.clock.clock));
    fake_transport_set_limit(f->w.sd_net, clock_mono_ns(&f->w.clock.clock));
    scrape_manager_start(f->w.manager);
    sd_manager_start(f->w.sd);
    for (int i = 0; i < TARGETS; i++) {
        char url[64];
        (void)snprintf(f->names[i], sizeof(f->names[i]), "h%d:1", i);
        (void)snprintf(url, sizeof(url), "http://%s/metrics", f->names[i]);
        const struct fake_answer answer = {.url = url,
                                           .delay_ns = i * NS_PER_MS,
                                           .content_type = "text/plain",
                                           .body = STR("# TYPE a gauge\na 1\nb 2\n")};
        fake_transport_answer(f->w.scrape_net, &answer);
    }
}

static void stop(struct fixture *f) {
    scrape_world_close(&f->w);
}

static void apply(struct fixture *f, size_t targets, uint64_t sample_limit) {
    struct generation *const g = generation_new(0);
    struct arena *const arena = generation_arena(g);
    struct scrape_config *const config = arena_zalloc(arena, sizeof(*config));
    struct sd_config *const sd = arena_zalloc(arena, sizeof(*sd));
    struct sd_static_group *const group = arena_zalloc(arena, sizeof(*group));
    struct str *const addresses = arena_alloc(arena, TARGETS * sizeof(addresses[0]));
    for (size_t i = 0; i < targets; i++) {
        addresses[i] = arena_str(arena, str_of(f->names[i]));
    }
    *group = (struct sd_static_group){.targets = addresses, .target_count = targets};
    *sd = (struct sd_config){.kind = SD_STATIC, .groups = group, .group_count = 1};
    *config = (struct scrape_config){.job_name = STR("j"),
                                     .interval_ms = INTERVAL_MS,
                                     .timeout_ms = INTERVAL_MS,
                                     .sample_limit = sample_limit,
                                     .metrics_path = STR("/metrics"),
                                     .scheme = STR("http"),
                                     .escaping_scheme = STR("allow-utf-8"),
                                     .sd = {STR("j"), sd, 1}};
    scrape_world_apply(&f->w, g, config, 1);
    generation_unref(g); /* what is at work has references of its own */
    f->w.generation = NULL;
}

static bool count_metadata(void *ctx, const struct metric_metadata *md) {
    size_t *const n = ctx;
    *n += str_eq(md->family, STR("a"));
    return true;
}

static void look(struct fixture *f) {
    struct arena arena;
    struct targets_snapshot snapshot;
    struct buf metrics;
    size_t families = 0;
    arena_init(&arena, 0);
    buf_init(&metrics, 1 << 22);
    scrape_targets(f->w.manager, &arena, &snapshot);
    assert_true(snapshot.active_count <= TARGETS);
    scrape_each_metadata(f->w.manager, STR(""), count_metadata, &families);
    assert_true(families <= TARGETS);
    metric_render(f->w.registry, &metrics);
    buf_release(&metrics);
    arena_release(&arena);
}

static void targets_are_scraped_while_configuration_and_api_are_busy(void **state) {
    (void)state;
    struct fixture f = {0};
    start(&f);
    /* the fake clock outruns real threads on a busy machine: discovery may need more seconds */
    for (int second = 0; second < SECONDS ||
                         (second < 1000 && fake_transport_request_count(f.w.scrape_net) < TARGETS);
         second++) {
        if (second >= SECONDS) {
            (void)usleep(10000);
        }
        apply(&f, second % 3 == 2 ? TARGETS / 2 : TARGETS, (uint64_t)(second / 2 * 100));
        const int64_t now = clock_mono_ns(&f.w.clock.clock);
        fake_transport_set_limit(f.w.sd_net, now + INTERVAL_MS * NS_PER_MS);
        for (int part = 1; part <= 4; part++) {
            fake_transport_run_to(f.w.scrape_net, now + part * INTERVAL_MS / 4 * NS_PER_MS);
            look(&f);
        }
    }
    assert_true(fake_transport_request_count(f.w.scrape_net) >= TARGETS);
    stop(&f);
}

static void a_manager_stops_in_the_middle_of_requests(void **state) {
    (void)state;
    struct fixture f = {0};
    start(&f);
    apply(&f, TARGETS, 0);
    fake_transport_run_to(f.w.scrape_net, clock_mono_ns(&f.w.clock.clock) + 517 * NS_PER_MS);
    stop(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_scraped_while_configuration_and_api_are_busy),
        cmocka_unit_test(a_manager_stops_in_the_middle_of_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

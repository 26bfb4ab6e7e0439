/* scrape manager: targets come from static discovery, are scraped by a script of answers on a
 * fake clock, and the rows are compared. No threads: the test steps through time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/compress.h"
#include "base/mem.h"
#include "scrape/sd/sd_provider.h"
#include "tests/support/check_err.h"
#include "tests/unit/scrape/scrape_world.h"

enum { INTERVAL_MS = 10000, STEP_MS = 10 };

#define URL "http://h:1/metrics"

struct fixture {
    struct arena arena;
    struct scrape_world w;
    struct scrape_config config;
    struct sd_config sd_config;
    struct sd_static_group group;
    struct str addresses[8];
};

static void default_config(struct fixture *f) {
    static const enum scrape_protocol protocols[] = {PROTOCOL_OPENMETRICS_1_0_0,
                                                     PROTOCOL_OPENMETRICS_0_0_1,
                                                     PROTOCOL_TEXT_1_0_0, PROTOCOL_TEXT_0_0_4};
    f->addresses[0] = STR("h:1");
    f->group = (struct sd_static_group){.targets = f->addresses, .target_count = 1};
    f->sd_config = (struct sd_config){.kind = SD_STATIC, .groups = &f->group, .group_count = 1};
    f->config = (struct scrape_config){
        .job_name = STR("j"),
        .interval_ms = INTERVAL_MS,
        .timeout_ms = 4000,
        .honor_timestamps = true,
        .enable_compression = true,
        .metrics_path = STR("/metrics"),
        .scheme = STR("http"),
        .protocols = protocols,
        .protocol_count = COUNT_OF(protocols),
        .escaping_scheme = STR("allow-utf-8"),
        .http = {.follow_redirects = true},
        .sd = {.name = STR("j"), .configs = &f->sd_config, .config_count = 1},
    };
}

static int setup(void **state) {
    struct fixture *const f = mem_zalloc(sizeof(*f));
    arena_init(&f->arena, 0);
    const struct scrape_options options = {.fqdn = STR("test.example"),
                                           .adjust_timestamps = true,
                                           .timestamp_tolerance_ns = 2 * NS_PER_MS,
                                           .max_body_bytes = 1 << 20,
                                           .no_threads = true};
    scrape_world_open(&f->w, &options, 0);
    scrape_manager_start(f->w.manager);
    default_config(f);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *const f = *state;
    scrape_world_close(&f->w);
    arena_release(&f->arena);
    mem_free(f);
    return 0;
}

/* Copies the configuration as a reload would bring it: new memory, a new generation. */
static void apply(struct fixture *f, size_t count) {
    struct generation *const g = generation_new(0);
    struct arena *const arena = generation_arena(g);
    struct scrape_config *const config = arena_alloc(arena, sizeof(*config));
    struct sd_config *const sd = arena_alloc(arena, sizeof(*sd));
    struct sd_static_group *const group = arena_alloc(arena, sizeof(*group));
    struct str *const addresses = arena_alloc(arena, sizeof(f->addresses));
    memcpy(addresses, f->addresses, sizeof(f->addresses));
    *config = f->config;
    *sd = f->sd_config;
    *group = f->group;
    group->targets = addresses;
    sd->groups = group;
    config->sd.configs = sd;
    scrape_world_apply(&f->w, g, config, count);
    (void)sd_manager_step(f->w.sd);
    (void)scrape_manager_step(f->w.manager);
}

static void run_ms(struct fixture *f, int64_t ms) {
    for (int64_t i = 0; i < ms; i += STEP_MS) {
        fake_clock_advance_ns(&f->w.clock, STEP_MS * NS_PER_MS);
        (void)sd_manager_step(f->w.sd);
        (void)scrape_manager_step(f->w.manager);
    }
}

static void answer_url(struct fixture *f, const char *url, const char *body) {
    const struct fake_answer answer = {
        .url = url, .content_type = "text/plain; version=0.0.4", .body = str_of(body)};
    fake_transport_forget(f->w.scrape_net, url);
    fake_transport_answer(f->w.scrape_net, &answer);
}

static void answer(struct fixture *f, const char *body) {
    answer_url(f, URL, body);
}

static struct target_info only_target(struct fixture *f) {
    struct targets_snapshot snapshot;
    scrape_targets(f->w.manager, &f->arena, &snapshot);
    assert_int_equal(snapshot.active_count, 1);
    return snapshot.active[0];
}

static size_t count_lines(const char *text, const char *with) {
    size_t n = 0;
    for (const char *at = strstr(text, with); at != NULL; at = strstr(at + 1, with)) {
        n++;
    }
    return n;
}

#define SERIES(name) name "{instance=\"h:1\", job=\"j\"}"

static void scrapes_come_once_an_interval_with_times_an_interval_apart(void **state) {
    struct fixture *const f = *state;
    answer(f, "a 1\n");
    apply(f, 1);
    run_ms(f, 3 * INTERVAL_MS);
    const char *const rows = row_storage_take(f->w.rows, false);
    assert_int_equal(count_lines(rows, SERIES("a") " 1\n"), 3);
    const long long first = strtoll(rows, NULL, 10);
    char want[256];
    (void)snprintf(want, sizeof(want),
                   "%lld " SERIES("a") " 1\n%lld " SERIES("a") " 1\n%lld " SERIES("a") " 1\n",
                   first, first + INTERVAL_MS, first + 2 * INTERVAL_MS);
    assert_string_equal(rows, want);
    assert_true(row_storage_last(f->w.rows, SERIES("up")) == 1);
    const struct target_info info = only_target(f);
    assert_int_equal(info.health, TARGET_UP);
    assert_str(info.url, URL);
    assert_str(info.last_error, "");
    assert_true(info.last_scrape_unix_ns > SCRAPE_WORLD_START_NS);
}

static void ticks_count_from_the_first_scrape_even_when_it_was_late(void **state) {
    struct fixture *const f = *state;
    answer(f, "a 1\n");
    apply(f, 1);
    fake_clock_advance_ns(&f->w.clock, INTERVAL_MS * NS_PER_MS); /* well behind the offset */
    (void)scrape_manager_step(f->w.manager);
    run_ms(f, INTERVAL_MS - STEP_MS);
    assert_int_equal(fake_transport_request_count(f->w.scrape_net), 1);
    run_ms(f, STEP_MS);
    assert_int_equal(fake_transport_request_count(f->w.scrape_net), 2);
}

/* A sixteenth of the interval is a slot, as long as there are few targets. */
static void scrapes_begin_with_the_slots_of_the_interval(void **state) {
    struct fixture *const f = *state;
    static const char *const urls[] = {"http://h:1/metrics", "http://h:2/metrics",
                                       "http://h:3/metrics", "http://h:4/metrics",
                                       "http://h:5/metrics"};
    const int64_t slot_ns = INTERVAL_MS * NS_PER_MS / 16;
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        f->addresses[i] = arena_printf(&f->arena, "h:%zu", i + 1);
        answer_url(f, urls[i], "a 1\n");
    }
    f->group.target_count = COUNT_OF(urls);
    apply(f, 1);
    run_ms(f, 3 * INTERVAL_MS);
    const char *rows = row_storage_take(f->w.rows, false);
    assert_int_equal(count_lines(rows, " 1\n"), 3 * COUNT_OF(urls));
    for (char *end = NULL; *rows != '\0'; rows = strchr(end, '\n') + 1) {
        const int64_t ts_ns = strtoll(rows, &end, 10) * NS_PER_MS;
        assert_true((ts_ns + NS_PER_MS) % slot_ns <= (STEP_MS + 1) * NS_PER_MS);
    }
}

static void the_request_says_who_asks_for_what(void **state) {
    struct fixture *const f = *state;
    answer(f, "a 1\n");
    apply(f, 1);
    run_ms(f, INTERVAL_MS);
    const struct fake_request request = fake_transport_request(f->w.scrape_net, 0);
    assert_string_equal(request.method, "GET");
    assert_string_equal(request.url, URL);
    assert_int_equal(request.timeout_ms, 4000);
    assert_non_null(
        strstr(request.headers,
               "Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
               "application/openmetrics-text;version=0.0.1;q=0.5,"
               "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
               "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"));
    assert_non_null(strstr(request.headers, "Accept-Encoding: gzip, zstd;q=0.5"));
    assert_non_null(strstr(request.headers, "X-Prometheus-Scrape-Timeout-Seconds: 4"));
}

static void a_target_that_is_down_says_why(void **state) {
    struct fixture *const f = *state;
    apply(f, 1);
    run_ms(f, INTERVAL_MS);
    assert_true(row_storage_last(f->w.rows, SERIES("up")) == 0);
    const struct target_info info = only_target(f);
    assert_int_equal(info.health, TARGET_DOWN);
    assert_str(info.last_error, "Get \"" URL "\": dial tcp: connect: connection refused");
}

/* Frames by hand: "a 1\nb 3\n" in a raw block, and 128 KiB of one letter in a block of four bytes,
 * 2048 times as large as it is. */
#define ZSTD_PAGE                                                                                  \
    STR("\x28\xb5\x2f\xfd\x20\x08\x41\x00\x00"                                                     \
        "a 1\nb 3\n")
#define ZSTD_LONG                                                                                  \
    STR("\x28\xb5\x2f\xfd\xa0\x00\x00\x02\x00\x03\x00\x10"                                         \
        "a")

static void bad_answers_fail_with_their_text(void **state) {
    struct fixture *const f = *state;
    const struct {
        struct fake_answer answer;
        const char *error;
    } cases[] = {
        {{.status = 503, .reason = "Service Unavailable"},
         "server returned HTTP status 503 Service Unavailable"},
        {{.content_type = "text/html", .body = STR("a 1\n")},
         "received unsupported Content-Type \"text/html\" and no fallback_scrape_protocol "
         "specified for target"},
        {{.body = STR("a 1\n")},
         "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol "
         "specified for target"},
        {{.content_type = "/", .body = STR("a 1\n")},
         "cannot parse Content-Type \"/\" and no fallback_scrape_protocol for target\n"
         "mime: no media type"},
        {{.content_type = "application/openmetrics-text; version=1.0.0", .body = STR("a 1\n")},
         "data does not end with # EOF"},
        {{.content_type = "application/vnd.google.protobuf; encoding=delimited", .body = STR("x")},
         "clientpb: insufficient length of buffer, expected at least 121 bytes, got 1 bytes"},
        {{.content_type = "text/plain", .content_encoding = "zstd", .body = STR("not zstd at all")},
         "zstd: Unknown frame descriptor"},
        {{.content_type = "text/plain", .content_encoding = "zstd", .body = ZSTD_LONG},
         "body size limit exceeded"},
        {{.content_type = "text/plain", .content_encoding = "gzip", .body = STR("not gzip at all")},
         "gzip: invalid header"},
        {{.content_type = "text/plain", .body = STR("a 1\nb 1234567890123456789012345\n")},
         "body size limit exceeded"},
        {{.content_type = "text/plain", .body = STR("a x\n")},
         "strconv.ParseFloat: parsing \"x\": invalid syntax while parsing: \"a x\""},
        {{.hang = true}, "Get \"" URL "\": context deadline exceeded"},
    };
    f->config.body_size_limit = 20;
    apply(f, 1);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fake_answer say = cases[i].answer;
        say.url = URL;
        fake_transport_forget(f->w.scrape_net, URL);
        fake_transport_answer(f->w.scrape_net, &say);
        run_ms(f, INTERVAL_MS);
        if (cases[i].answer.hang) {
            run_ms(f, 4000);
        }
        assert_str(only_target(f).last_error, cases[i].error);
        assert_true(row_storage_last(f->w.rows, SERIES("up")) == 0);
    }
}

static void an_empty_page_and_a_fallback_are_good(void **state) {
    struct fixture *const f = *state;
    const struct fake_answer empty = {.url = URL, .times = 1};
    const struct fake_answer blank = {.url = URL, .body = STR("a 1\n")};
    f->config.fallback_protocol = PROTOCOL_TEXT_0_0_4;
    fake_transport_answer(f->w.scrape_net, &empty);
    fake_transport_answer(f->w.scrape_net, &blank);
    apply(f, 1);
    run_ms(f, INTERVAL_MS);
    assert_true(row_storage_last(f->w.rows, SERIES("up")) == 1);
    run_ms(f, INTERVAL_MS);
    assert_true(row_storage_last(f->w.rows, SERIES("a")) == 1);
}

static void compressed_pages_are_read(void **state) {
    struct fixture *const f = *state;
    struct buf packed;
    struct err err;
    buf_init(&packed, 1 << 20);
    assert_ok(deflate_gzip(STR("a 1\nb 2\n"), 6, &packed, &err), &err);
    const struct fake_answer say = {.url = URL,
                                    .content_type = "text/plain",
                                    .content_encoding = "gzip",
                                    .body = buf_str(&packed)};
    fake_transport_answer(f->w.scrape_net, &say);
    f->config.body_size_limit = 9; /* of the page: packed it is longer */
    assert_true(packed.len > 9);
    apply(f, 1);
    run_ms(f, 2 * INTERVAL_MS);
    assert_true(row_storage_last(f->w.rows, SERIES("b")) == 2);
    const struct fake_answer zstd = {
        .url = URL, .content_type = "text/plain", .content_encoding = "zstd", .body = ZSTD_PAGE};
    fake_transport_forget(f->w.scrape_net, URL);
    fake_transport_answer(f->w.scrape_net, &zstd);
    run_ms(f, INTERVAL_MS);
    assert_true(row_storage_last(f->w.rows, SERIES("b")) == 3);
    /* a name that is not exactly known is none, and the body is read as it stands */
    const struct fake_answer plain = {
        .url = URL, .content_type = "text/plain", .content_encoding = "GZIP", .body = STR("b 4\n")};
    fake_transport_forget(f->w.scrape_net, URL);
    fake_transport_answer(f->w.scrape_net, &plain);
    run_ms(f, INTERVAL_MS);
    assert_true(row_storage_last(f->w.rows, SERIES("b")) == 4);
    buf_release(&packed);
}

static void a_slow_target_is_scraped_again_at_once_but_not_more(void **state) {
    struct fixture *const f = *state;
    const struct fake_answer slow = {.url = URL,
                                     .delay_ns = 25 * NS_PER_S,
                                     .content_type = "text/plain",
                                     .body = STR("a 1\n"),
                                     .times = 1};
    const struct fake_answer quick = {
        .url = URL, .content_type = "text/plain", .body = STR("a 2\n")};
    f->config.timeout_ms = 10000;
    fake_transport_answer(f->w.scrape_net, &slow);
    fake_transport_answer(f->w.scrape_net, &quick);
    apply(f, 1);
    run_ms(f, INTERVAL_MS); /* the first starts */
    const size_t before = fake_transport_request_count(f->w.scrape_net);
    assert_int_equal(before, 1);
    run_ms(f, INTERVAL_MS + 20); /* it times out at the next tick */
    assert_int_equal(fake_transport_request_count(f->w.scrape_net), 2);
    run_ms(f, INTERVAL_MS);
    assert_int_equal(fake_transport_request_count(f->w.scrape_net), 3);
}

static void a_removed_target_gets_markers_after_two_ticks(void **state) {
    struct fixture *const f = *state;
    answer(f, "a 1\n");
    apply(f, 1);
    run_ms(f, INTERVAL_MS);
    const long long first = strtoll(row_storage_take(f->w.rows, false), NULL, 10);
    f->group.target_count = 0;
    apply(f, 1);
    /* Two ticks and a tenth of the interval behind the last scrape. */
    const int64_t due_ms = first + 2 * INTERVAL_MS + INTERVAL_MS / 10;
    run_ms(f, due_ms - clock_unix_ms(&f->w.clock.clock) - 100);
    assert_string_equal(row_storage_take(f->w.rows, true), "");
    run_ms(f, 200);
    const char *const rows = row_storage_take(f->w.rows, true);
    char want[128];
    (void)snprintf(want, sizeof(want), "%lld " SERIES("a") " stale\n", first + INTERVAL_MS);
    assert_non_null(strstr(rows, want));
    assert_non_null(strstr(rows, SERIES("up") " stale\n"));
    assert_int_equal(row_storage_open_groups(f->w.rows), 0);
}

static void a_target_that_comes_back_in_time_goes_on(void **state) {
    struct fixture *const f = *state;
    answer(f, "a 1\nb 1\n");
    apply(f, 1);
    run_ms(f, INTERVAL_MS);
    f->group.target_count = 0;
    apply(f, 1);
    run_ms(f, INTERVAL_MS / 2);
    f->group.target_count = 1;
    f->config.interval_ms = INTERVAL_MS / 2; /* and with another interval: another target */
    apply(f, 1);
    answer(f, "a 2\n");
    (void)row_storage_take(f->w.rows, true);
    run_ms(f, 3 * INTERVAL_MS);
    const char *const rows = row_storage_take(f->w.rows, false);
    assert_int_equal(count_lines(rows, SERIES("b") " stale\n"), 1);
    assert_int_equal(count_lines(rows, SERIES("a") " stale\n"), 0);
    assert_int_equal(count_lines(rows, SERIES("a") " 2\n"), 6);
    assert_int_equal(row_storage_open_groups(f->w.rows), 1);
}

static void a_job_that_leaves_ends_without_markers(void **state) {
    struct fixture *const f = *state;
    answer(f, "a 1\n");
    apply(f, 1);
    run_ms(f, INTERVAL_MS);
    (void)row_storage_take(f->w.rows, true);
    apply(f, 0);
    run_ms(f, 4 * INTERVAL_MS);
    assert_string_equal(row_storage_take(f->w.rows, true), "");
    assert_int_equal(row_storage_open_groups(f->w.rows), 0);
    struct targets_snapshot snapshot;
    scrape_targets(f->w.manager, &f->arena, &snapshot);
    assert_int_equal(snapshot.pool_count, 0);
}

static void a_target_limit_fails_all_targets_without_asking_them(void **state) {
    struct fixture *const f = *state;
    answer(f, "a 1\n");
    answer_url(f, "http://h:2/metrics", "a 1\n");
    apply(f, 1);
    run_ms(f, INTERVAL_MS);
    (void)row_storage_take(f->w.rows, true);
    f->config.target_limit = 1;
    f->addresses[1] = STR("h:2");
    f->group.target_count = 2;
    apply(f, 1);
    const size_t asked = fake_transport_request_count(f->w.scrape_net);
    run_ms(f, 2 * INTERVAL_MS);
    assert_int_equal(fake_transport_request_count(f->w.scrape_net), asked);
    assert_int_equal(count_lines(row_storage_take(f->w.rows, true), SERIES("a") " stale\n"), 1);
    struct targets_snapshot snapshot;
    scrape_targets(f->w.manager, &f->arena, &snapshot);
    assert_int_equal(snapshot.active_count, 2);
    assert_str(snapshot.active[1].last_error,
               "target_limit exceeded (number of targets: 2, limit: 1)");
    f->config.target_limit = 2;
    apply(f, 1);
    run_ms(f, 2 * INTERVAL_MS);
    assert_true(row_storage_last(f->w.rows, SERIES("up")) == 1);
}

static void a_reload_keeps_the_cache_only_when_series_cannot_change(void **state) {
    struct fixture *const f = *state;
    answer(f, "a{job=\"x\"} 1\n");
    apply(f, 1);
    run_ms(f, INTERVAL_MS);
    f->config.sample_limit = 100;
    apply(f, 1);
    run_ms(f, INTERVAL_MS);
    assert_true(row_storage_last(f->w.rows, SERIES("scrape_series_added")) == 0);
    f->config.honor_labels = true;
    apply(f, 1);
    (void)row_storage_take(f->w.rows, true);
    run_ms(f, INTERVAL_MS);
    const char *const rows = row_storage_take(f->w.rows, false);
    assert_non_null(strstr(rows, "a{exported_job=\"x\", instance=\"h:1\", job=\"j\"} stale\n"));
    assert_non_null(strstr(rows, "a{instance=\"h:1\", job=\"x\"} 1\n"));
    assert_true(row_storage_last(f->w.rows, SERIES("scrape_series_added")) == 1);
}

static void equal_targets_are_scraped_once(void **state) {
    struct fixture *const f = *state;
    answer(f, "a 1\n");
    f->addresses[1] = f->addresses[0];
    f->group.target_count = 2;
    apply(f, 1);
    run_ms(f, INTERVAL_MS);
    assert_int_equal(fake_transport_request_count(f->w.scrape_net), 1);
    (void)only_target(f);
}

static void bad_targets_are_counted_and_left_out(void **state) {
    struct fixture *const f = *state;
    struct buf metrics;
    f->addresses[1] = STR("h/x");
    f->group.target_count = 2;
    apply(f, 1);
    (void)only_target(f);
    buf_init(&metrics, 1 << 20);
    metric_render(f->w.registry, &metrics);
    assert_non_null(
        strstr(metrics.ptr, "prometheus_target_sync_failed_total{scrape_job=\"j\"} 1\n"));
    assert_non_null(
        strstr(metrics.ptr, "prometheus_target_scrape_pool_targets{scrape_job=\"j\"} 1\n"));
    assert_non_null(
        strstr(metrics.ptr, "prometheus_sd_discovered_targets{config=\"j\",name=\"scrape\"} 2\n"));
    buf_release(&metrics);
}

static bool collect_metadata(void *ctx, const struct metric_metadata *md) {
    buf_printf(ctx, "%.*s %.*s;", STR_ARG(md->family), STR_ARG(md->type));
    return true;
}

/* ---- reasons ---- */

static void assert_errors(const struct target_info *info, const char *want) {
    struct buf got;
    buf_init(&got, 4096);
    for (size_t i = 0; i < info->error_count; i++) {
        const struct target_error *const e = &info->errors[i];
        buf_printf(&got, "%.*s x%u;", STR_ARG(e->reason), (unsigned)e->count);
        assert_true(e->first_unix_ns <= e->last_unix_ns);
        assert_true(e->text.len > 0);
    }
    assert_str(buf_str(&got), want);
    buf_release(&got);
}

static void answer_type(struct fixture *f, const char *type, const char *body, int status) {
    const struct fake_answer a = {
        .url = URL, .status = status, .content_type = type, .body = str_of(body)};
    fake_transport_forget(f->w.scrape_net, URL);
    fake_transport_answer(f->w.scrape_net, &a);
}

static void a_target_tells_why_it_failed_and_what_failed_before(void **state) {
    struct fixture *const f = *state;
    f->config.sample_limit = 3;
    answer(f, "a 1\nb 2\n");
    apply(f, 1);
    run_ms(f, INTERVAL_MS);
    struct target_info info = only_target(f);
    assert_int_equal(info.failure, FAILURE_NONE);
    assert_int_equal(info.counts.samples, 2);
    assert_int_equal(info.counts.samples_kept, 2);
    assert_int_equal(info.counts.series_added, 2);
    assert_int_equal(info.counts.body_bytes, 8);
    assert_int_equal(info.sample_limit, 3);
    assert_int_equal(info.body_limit_bytes, 1 << 20);
    assert_int_equal(info.error_count, 0);

    answer(f, "a 1\nb 2\nc 3\nd 4\n");
    run_ms(f, 2 * INTERVAL_MS);
    info = only_target(f);
    assert_int_equal(info.failure, FAILURE_SAMPLE_LIMIT);
    assert_errors(&info, "sample_limit x2;");
    answer_type(f, "text/plain", "a b c", 200);
    run_ms(f, INTERVAL_MS);
    answer_type(f, "text/html", "<html>", 200);
    run_ms(f, INTERVAL_MS);
    answer_type(f, "text/plain", "", 503);
    run_ms(f, INTERVAL_MS);
    fake_transport_forget(f->w.scrape_net, URL); /* refused */
    run_ms(f, INTERVAL_MS);
    info = only_target(f);
    assert_errors(&info, "connect x1;status x1;content_type x1;parse x1;sample_limit x2;");
    const int64_t since = info.since_unix_ns;
    answer(f, "a 1\n");
    run_ms(f, INTERVAL_MS);
    info = only_target(f);
    assert_int_equal(info.failure, FAILURE_NONE);
    assert_true(info.since_unix_ns > since);
    assert_int_equal(info.error_count, 5); /* they are remembered */
}

static void the_history_of_errors_is_bounded(void **state) {
    struct fixture *const f = *state;
    apply(f, 1);
    for (int i = 0; i < 12; i++) {
        answer_type(f, "text/plain", "", i % 2 == 0 ? 500 : 501);
        run_ms(f, INTERVAL_MS);
    }
    const struct target_info info = only_target(f);
    assert_int_equal(info.error_count, 8);
    assert_str(info.errors[0].text, "server returned HTTP status 501");
    assert_str(info.errors[7].text, "server returned HTTP status 500");
}

static void failures_are_counted_by_job_and_reason(void **state) {
    struct fixture *const f = *state;
    struct buf page;
    buf_init(&page, 1 << 20);
    answer_type(f, "text/plain", "", 500);
    apply(f, 1);
    run_ms(f, 3 * INTERVAL_MS);
    metric_render(f->w.registry, &page);
    assert_true(str_find(buf_str(&page), STR("brasa_target_scrape_failures_total{reason=\"status\","
                                             "scrape_job=\"j\"} 3\n")) >= 0);
    apply(f, 0); /* the job goes, and its series with it */
    run_ms(f, INTERVAL_MS);
    buf_clear(&page);
    metric_render(f->w.registry, &page);
    assert_true(str_find(buf_str(&page), STR("reason=\"status\"")) < 0);
    buf_release(&page);
}

static void failed_fetches_are_written_to_the_failure_log(void **state) {
    struct fixture *const f = *state;
    char path[] = "/tmp/brasa-failure-log-XXXXXX";
    char text[2048] = "";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    f->config.failure_log_file = str_of(path);
    answer_type(f, "text/plain", "", 500);
    apply(f, 1);
    run_ms(f, INTERVAL_MS);
    assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
    const char want[] = "Z\",\"level\":\"ERROR\",\"source\":\"failure_log.c\",\"msg\":\"server "
                        "returned HTTP status 500\",\"job_name\":\"j\",\"target\":\"" URL "\"}\n";
    assert_non_null(strstr(text, want));
    assert_int_equal(strncmp(text, "{\"time\":\"2023-11-14T22:13:", 26), 0);
    assert_int_equal(count_lines(text, "\n"), 1);

    assert_int_equal(ftruncate(fd, 0), 0);      /* whoever rotates it may cut it */
    answer_type(f, "text/plain", "a b c", 200); /* fetched well: not for this log */
    run_ms(f, INTERVAL_MS);
    answer_type(f, "text/plain", "", 404);
    run_ms(f, INTERVAL_MS);
    memset(text, 0, sizeof(text));
    assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
    assert_int_equal(text[0], '{');
    assert_int_equal(count_lines(text, "\n"), 1);
    assert_non_null(strstr(text, "status 404"));
    assert_int_equal(unlink(path), 0);
    (void)close(fd);
}

static void metadata_of_all_targets_can_be_asked(void **state) {
    struct fixture *const f = *state;
    struct buf got;
    buf_init(&got, 1 << 16);
    answer(f, "# TYPE a gauge\na 1\n# TYPE b counter\nb 1\n");
    apply(f, 1);
    run_ms(f, INTERVAL_MS);
    scrape_each_metadata(f->w.manager, STR(""), collect_metadata, &got);
    scrape_each_metadata(f->w.manager, STR("b"), collect_metadata, &got);
    assert_string_equal(got.ptr, "a gauge;b counter;b counter;");
    buf_release(&got);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(scrapes_come_once_an_interval_with_times_an_interval_apart),
        CASE(ticks_count_from_the_first_scrape_even_when_it_was_late),
        CASE(scrapes_begin_with_the_slots_of_the_interval),
        CASE(the_request_says_who_asks_for_what),
        CASE(a_target_that_is_down_says_why),
        CASE(bad_answers_fail_with_their_text),
        CASE(an_empty_page_and_a_fallback_are_good),
        CASE(compressed_pages_are_read),
        CASE(a_slow_target_is_scraped_again_at_once_but_not_more),
        CASE(a_removed_target_gets_markers_after_two_ticks),
        CASE(a_target_that_comes_back_in_time_goes_on),
        CASE(a_job_that_leaves_ends_without_markers),
        CASE(a_target_limit_fails_all_targets_without_asking_them),
        CASE(a_reload_keeps_the_cache_only_when_series_cannot_change),
        CASE(equal_targets_are_scraped_once),
        CASE(bad_targets_are_counted_and_left_out),
        CASE(a_target_tells_why_it_failed_and_what_failed_before),
        CASE(the_history_of_errors_is_bounded),
        CASE(failures_are_counted_by_job_and_reason),
        CASE(failed_fetches_are_written_to_the_failure_log),
        CASE(metadata_of_all_targets_can_be_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

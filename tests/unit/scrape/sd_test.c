/* discovery: static, file and docker providers under their manager, stepped by the test. Files
 * are real ones in a temporary folder, because inotify is; Docker answers from a script. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/mem.h"
#include "scrape/sd/sd_docker.h"
#include "scrape/sd/sd_provider.h"
#include "tests/support/check_err.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_transport.h"

struct fixture {
    struct arena arena;
    struct fake_clock clock;
    struct fake_transport *net;
    struct metric_registry *registry;
    struct sd_manager *sd;
    char folder[64];
    struct buf seen; /* "<set>: <source>[<address> ...] ..." of each update */
    size_t update_count;
};

static void remember(void *ctx, struct sd_update *u) {
    struct fixture *const f = ctx;
    size_t n = 0;
    const struct sd_group *const groups = sd_update_groups(u, &n);
    f->update_count++;
    buf_clear(&f->seen);
    buf_printf(&f->seen, "%.*s:", STR_ARG(sd_update_set_name(u)));
    for (size_t i = 0; i < n; i++) {
        const ptrdiff_t slash = str_rfind_char(groups[i].source, '/');
        buf_printf(&f->seen, " %.*s[", STR_ARG(str_from(groups[i].source, (size_t)(slash + 1))));
        for (size_t t = 0; t < groups[i].target_count; t++) {
            buf_printf(&f->seen, "%s%.*s", t == 0 ? "" : " ",
                       STR_ARG(labels_get(groups[i].targets[t], STR("__address__"))));
        }
        buf_append_char(&f->seen, ']');
    }
}

static int setup(void **state) {
    struct fixture *const f = mem_zalloc(sizeof(*f));
    arena_init(&f->arena, 0);
    buf_init(&f->seen, 1 << 20);
    fake_clock_init(&f->clock, INT64_C(1700000000) * NS_PER_S);
    f->net = fake_transport_new(&f->clock);
    f->registry = metric_registry_new();
    (void)snprintf(f->folder, sizeof(f->folder), "%s/brasa-sd-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(f->folder));
    const struct sd_options options = {.name = "scrape",
                                       .vfs = vfs_system(),
                                       .clock = &f->clock.clock,
                                       .transport = fake_transport_base(f->net),
                                       .registry = f->registry,
                                       .on_update = remember,
                                       .ctx = f};
    f->sd = sd_manager_new(&options);
    *state = f;
    return 0;
}

static const char *path_of(struct fixture *f, const char *name) {
    return arena_printf(&f->arena, "%s/%s", f->folder, name).ptr;
}

static int teardown(void **state) {
    static const char *const names[] = {"a.json", "b.yml", "c.json"};
    struct fixture *const f = *state;
    sd_manager_free(f->sd);
    fake_transport_free(f->net);
    metric_registry_free(f->registry);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        (void)unlink(path_of(f, names[i]));
    }
    assert_int_equal(rmdir(f->folder), 0);
    buf_release(&f->seen);
    arena_release(&f->arena);
    mem_free(f);
    return 0;
}

static void write_file(struct fixture *f, const char *name, const char *text) {
    FILE *const file = fopen(path_of(f, name), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void run_s(struct fixture *f, int seconds) {
    for (int i = 0; i < seconds; i++) {
        (void)sd_manager_step(f->sd);
        fake_clock_advance_ns(&f->clock, NS_PER_S);
    }
    (void)sd_manager_step(f->sd);
}

static struct sd_config static_config(const struct sd_static_group *group) {
    return (struct sd_config){.kind = SD_STATIC, .groups = group, .group_count = 1};
}

/* ---- manager ---- */

static void static_targets_come_at_once_and_after_each_apply(void **state) {
    struct fixture *const f = *state;
    const struct str addresses[] = {STR_INIT("h:1"), STR_INIT("h:2")};
    const struct sd_static_group group = {.targets = addresses, .target_count = 2};
    const struct sd_config config = static_config(&group);
    const struct sd_config_set set = {STR_INIT("j"), &config, 1};
    sd_manager_apply(f->sd, NULL, &set, 1);
    (void)sd_manager_step(f->sd);
    assert_string_equal(f->seen.ptr, "j: 0[h:1 h:2]");
    assert_int_equal(f->update_count, 1);
    run_s(f, 20);
    assert_int_equal(f->update_count, 1);
    sd_manager_apply(f->sd, NULL, &set, 1);
    (void)sd_manager_step(f->sd);
    assert_int_equal(f->update_count, 2);
    assert_string_equal(f->seen.ptr, "j: 0[h:1 h:2]");
}

static void a_set_without_targets_is_known(void **state) {
    struct fixture *const f = *state;
    const struct sd_config_set set = {STR_INIT("empty"), NULL, 0};
    sd_manager_apply(f->sd, NULL, &set, 1);
    (void)sd_manager_step(f->sd);
    assert_string_equal(f->seen.ptr, "empty:");
}

static void equal_configs_share_a_provider_that_survives_a_reload(void **state) {
    struct fixture *const f = *state;
    const struct fake_answer ping = {.url = "http://d:1/_ping", .api_version = "1.43"};
    const struct fake_answer containers = {.url = "http://d:1/v1.43/containers/json",
                                           .body = STR("[]")};
    const struct fake_answer networks = {.url = "http://d:1/v1.43/networks", .body = STR("[]")};
    const struct sd_config config = {.kind = SD_DOCKER,
                                     .refresh_interval_ms = 60000,
                                     .host = STR("tcp://d:1"),
                                     .port = 80,
                                     .match_first_network = true};
    const struct sd_config_set sets[] = {{STR_INIT("a"), &config, 1}, {STR_INIT("b"), &config, 1}};
    fake_transport_answer(f->net, &ping);
    fake_transport_answer(f->net, &containers);
    fake_transport_answer(f->net, &networks);
    sd_manager_apply(f->sd, NULL, sets, 2);
    run_s(f, 2);
    assert_int_equal(fake_transport_request_count(f->net), 3);
    sd_manager_apply(f->sd, NULL, sets, 2);
    run_s(f, 2);
    assert_int_equal(fake_transport_request_count(f->net), 3);
}

static void two_of_a_kind_in_one_set_share_their_metrics(void **state) {
    struct fixture *const f = *state;
    const struct sd_config configs[] = {
        {.kind = SD_DOCKER, .refresh_interval_ms = 60000, .host = STR("tcp://d:1"), .port = 80},
        {.kind = SD_DOCKER, .refresh_interval_ms = 60000, .host = STR("tcp://d:2"), .port = 80}};
    const struct sd_config_set set = {STR_INIT("j"), configs, 2};
    struct buf metrics;
    sd_manager_apply(f->sd, NULL, &set, 1);
    (void)sd_manager_step(f->sd);
    const struct sd_config_set one = {STR_INIT("j"), configs, 1};
    sd_manager_apply(f->sd, NULL, &one, 1);
    (void)sd_manager_step(f->sd);
    buf_init(&metrics, 1 << 20);
    metric_render(f->registry, &metrics);
    assert_non_null(strstr(metrics.ptr, "prometheus_sd_refresh_duration_seconds{config=\"j\","
                                        "mechanism=\"docker\",quantile=\"0.5\"} "));
    sd_manager_apply(f->sd, NULL, NULL, 0);
    (void)sd_manager_step(f->sd);
    buf_clear(&metrics);
    metric_render(f->registry, &metrics);
    assert_null(strstr(metrics.ptr, "prometheus_sd_refresh_duration_seconds{"));
    buf_release(&metrics);
}

static void a_config_that_cannot_work_is_counted_and_left_out(void **state) {
    struct fixture *const f = *state;
    const struct str address = STR("h:1");
    const struct sd_static_group group = {.targets = &address, .target_count = 1};
    const struct sd_config configs[] = {
        {.kind = SD_DOCKER, .refresh_interval_ms = 60000, .host = STR("ftp://d")},
        static_config(&group)};
    const struct sd_config_set set = {STR_INIT("j"), configs, 2};
    struct buf metrics;
    sd_manager_apply(f->sd, NULL, &set, 1);
    (void)sd_manager_step(f->sd);
    assert_string_equal(f->seen.ptr, "j: 0[h:1]");
    buf_init(&metrics, 1 << 20);
    metric_render(f->registry, &metrics);
    assert_non_null(strstr(metrics.ptr, "prometheus_sd_failed_configs{name=\"scrape\"} 1\n"));
    buf_release(&metrics);
}

/* ---- files ---- */

static void apply_files(struct fixture *f) {
    struct str *const files = arena_alloc(&f->arena, 2 * sizeof(files[0]));
    struct sd_config *const config = arena_zalloc(&f->arena, sizeof(*config));
    files[0] = str_of(path_of(f, "*.json"));
    files[1] = str_of(path_of(f, "b.yml"));
    config->kind = SD_FILE;
    config->refresh_interval_ms = 300000;
    config->files = files;
    config->file_count = 2;
    const struct sd_config_set set = {STR_INIT("j"), config, 1};
    sd_manager_apply(f->sd, NULL, &set, 1);
}

static void files_are_read_watched_and_kept_when_broken(void **state) {
    struct fixture *const f = *state;
    write_file(f, "a.json", "[{\"targets\":[\"h:1\"],\"Labels\":{\"x\":\"y\"}},{\"targets\":[]}]");
    write_file(f, "b.yml", "- targets: [h:2, 'h:3']\n  labels:\n    a: 1\n");
    apply_files(f);
    (void)sd_manager_step(f->sd);
    assert_string_equal(f->seen.ptr, "j: a.json:0[h:1] b.yml:0[h:2 h:3]");
    write_file(f, "c.json", "[{\"targets\":[\"h:4\"]}]");
    run_s(f, 7);
    assert_string_equal(f->seen.ptr, "j: a.json:0[h:1] b.yml:0[h:2 h:3] c.json:0[h:4]");
    write_file(f, "b.yml", "- targets: {}\n");
    run_s(f, 7);
    assert_string_equal(f->seen.ptr, "j: a.json:0[h:1] b.yml:0[h:2 h:3] c.json:0[h:4]");
    write_file(f, "b.yml", "");
    assert_int_equal(unlink(path_of(f, "a.json")), 0);
    run_s(f, 7);
    assert_string_equal(f->seen.ptr, "j: c.json:0[h:4]");
    struct buf metrics;
    buf_init(&metrics, 1 << 20);
    metric_render(f->registry, &metrics);
    assert_null(strstr(metrics.ptr, "prometheus_sd_file_read_errors_total 0\n"));
    assert_null(strstr(metrics.ptr, "a.json")); /* its mtime went with it */
    buf_release(&metrics);
}

/* As old as a file that nobody touched for long. */
static void write_old_file(struct fixture *f, const char *name, const char *text, time_t seconds) {
    write_file(f, name, text);
    const struct timespec times[] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    assert_int_equal(utimensat(AT_FDCWD, path_of(f, name), times, 0), 0);
}

static void files_with_the_same_size_and_time_are_not_read_again(void **state) {
    struct fixture *const f = *state;
    write_old_file(f, "a.json", "[{\"targets\":[\"h:1\"]}]", 1600000000);
    apply_files(f);
    run_s(f, 7);
    assert_string_equal(f->seen.ptr, "j: a.json:0[h:1]");
    const size_t updates = f->update_count;
    write_old_file(f, "a.json", "[{\"targets\":[\"h:2\"]}]", 1600000000);
    run_s(f, 7);
    assert_int_equal(f->update_count, updates);
    write_old_file(f, "a.json", "[{\"targets\":[\"h:3\"]}]", 1600000001);
    run_s(f, 7);
    assert_string_equal(f->seen.ptr, "j: a.json:0[h:3]");
    /* Just changed, so it could change again at the same time. */
    write_old_file(f, "a.json", "[{\"targets\":[\"h:4\"]}]", 1700000020);
    run_s(f, 7);
    write_old_file(f, "a.json", "[{\"targets\":[\"h:5\"]}]", 1700000020);
    run_s(f, 7);
    assert_string_equal(f->seen.ptr, "j: a.json:0[h:5]");
    const size_t with_five = f->update_count;
    write_old_file(f, "a.json", "[{\"targets\":[\"h:5\"]}]", 1700000030);
    run_s(f, 7);
    assert_int_equal(f->update_count, with_five); /* read, and found to be the same */
}

static void lists_carry_labels_and_their_path(void **state) {
    struct fixture *const f = *state;
    struct sd_boxes boxes = {0};
    struct err err;
    assert_ok(sd_list_parse(STR("[{\"targets\":[\"h\"],\"labels\":{\"a\":\"b\","
                                "\"__meta_filepath\":\"theirs\"}}]"),
                            true, STR("p.json"), STR("__meta_filepath"), &boxes, &err),
              &err);
    assert_int_equal(boxes.count, 1);
    assert_str(labels_get(boxes.items[0]->group.labels, STR("a")), "b");
    assert_str(labels_get(boxes.items[0]->group.labels, STR("__meta_filepath")), "p.json");
    assert_str(boxes.items[0]->group.source, "p.json:0");
    sd_boxes_release(&boxes);
    (void)f;
}

static void bad_lists_are_refused(void **state) {
    static const struct {
        const char *text;
        bool json;
        const char *error;
    } cases[] = {
        {"", true, NULL},
        {"{}", true, "not a list of target groups"},
        {"[null]", true, "nil target group item found"},
        {"[{\"target\":[]}]", true, "unknown field \"target\""},
        {"[{\"targets\":[1]}]", true, "target 0 is not a string"},
        {"[{\"labels\":{\"a\":1}}]", true, "value of label a is not a string"},
        {"[{\"labels\":{\"\":\"x\"}}]", true, "\"\" is not a valid label name"},
        {"- null\n", false, "nil target group item found"},
        {"a: b\n", false, "not a list of target groups"},
        {"- target: [x]\n", false, "field target not found"},
        {"- targets: x\n", false, "targets is not a list"},
        {"- targets: [a]\n  targets: [b, c]\n", false, "line 2: field targets already set"},
        {"- labels: {a: b}\n  labels: {c: d}\n", false, "line 2: field labels already set"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct sd_boxes boxes = {0};
        struct err err;
        assert_err(sd_list_parse(str_of(cases[i].text), cases[i].json, STR("p"), STR("__meta_p"),
                                 &boxes, &err),
                   ERR_INVALID, cases[i].error, &err);
        assert_int_equal(boxes.count, 0);
    }
}

/* ---- docker ---- */

static const char containers_json[] =
    "[{\"Id\":\"c1\",\"Names\":[\"/web\",\"/alias\"],\"Image\":\"nginx\",\"ImageID\":\"sha\","
    "\"Labels\":{\"com.x/y\":\"z\"},\"Ports\":[{\"IP\":\"0.0.0.0\",\"PrivatePort\":80,"
    "\"PublicPort\":8080,\"Type\":\"tcp\"},{\"PrivatePort\":53,\"Type\":\"udp\"}],"
    "\"HostConfig\":{\"NetworkMode\":\"app\"},\"NetworkSettings\":{\"Networks\":{"
    "\"zeta\":{\"NetworkID\":\"n2\",\"IPAddress\":\"10.0.2.2\"},"
    "\"app\":{\"NetworkID\":\"n1\",\"IPAddress\":\"10.0.1.2\"}}}},"
    "{\"Id\":\"c2\",\"Names\":[\"/side\"],\"Ports\":[{\"PrivatePort\":9000,\"Type\":\"tcp\"}],"
    "\"HostConfig\":{\"NetworkMode\":\"container:c1\"},\"NetworkSettings\":{\"Networks\":{}}},"
    "{\"Id\":\"c3\",\"Names\":[\"/host\"],\"Ports\":[],\"HostConfig\":{\"NetworkMode\":\"host\"},"
    "\"NetworkSettings\":{\"Networks\":{\"host\":{\"NetworkID\":\"n3\",\"IPAddress\":\"\"}}}},"
    "{\"Id\":\"c4\",\"Names\":[\"/v6\"],\"Ports\":null,\"HostConfig\":{\"NetworkMode\":\"b\"},"
    "\"NetworkSettings\":{\"Networks\":{\"b\":{\"NetworkID\":\"?\",\"IPAddress\":\"\","
    "\"GlobalIPv6Address\":\"fd00::2\"}}}},"
    "{\"Id\":\"c5\",\"Names\":[],\"NetworkSettings\":{\"Networks\":{\"b\":{}}}},"
    "{\"Id\":\"c6\",\"Names\":[\"/loop\"],\"HostConfig\":{\"NetworkMode\":\"container:c6\"}}]";

static const char networks_json[] =
    "[{\"Id\":\"n1\",\"Name\":\"app\",\"Scope\":\"local\",\"Internal\":true,\"Ingress\":false,"
    "\"Labels\":{\"l\":\"v\"}},{\"Id\":\"n2\",\"Name\":\"zeta\",\"Scope\":\"swarm\"},"
    "{\"Id\":\"n3\",\"Name\":\"host\",\"Scope\":\"local\"}]";

static struct sd_config docker_config(void) {
    return (struct sd_config){.kind = SD_DOCKER,
                              .refresh_interval_ms = 60000,
                              .host = STR("unix:///var/run/docker.sock"),
                              .port = 8,
                              .host_networking_host = STR("localhost"),
                              .match_first_network = true};
}

static void check_addresses(const struct sd_config *config, const char *want) {
    struct sd_boxes boxes = {0};
    struct err err;
    struct buf got;
    buf_init(&got, 1 << 16);
    assert_ok(docker_targets(config, str_of(containers_json), str_of(networks_json), &boxes, &err),
              &err);
    for (size_t i = 0; i < boxes.items[0]->group.target_count; i++) {
        buf_printf(&got, "%.*s ",
                   STR_ARG(labels_get(boxes.items[0]->group.targets[i], STR("__address__"))));
    }
    assert_string_equal(got.ptr, want);
    buf_release(&got);
    sd_boxes_release(&boxes);
}

static void containers_become_targets_by_network_and_port(void **state) {
    struct sd_config config = docker_config();
    (void)state;
    check_addresses(&config, "10.0.1.2:80 10.0.1.2:9000 localhost [fd00::2]:8 ");
    config.match_first_network = false;
    check_addresses(&config, "10.0.1.2:80 10.0.2.2:80 10.0.1.2:9000 10.0.2.2:9000 localhost "
                             "[fd00::2]:8 ");
}

static void container_targets_carry_meta_labels(void **state) {
    const struct sd_config config = docker_config();
    struct sd_boxes boxes = {0};
    struct err err;
    struct buf text;
    (void)state;
    assert_ok(docker_targets(&config, str_of(containers_json), str_of(networks_json), &boxes, &err),
              &err);
    buf_init(&text, 1 << 16);
    labels_format(&text, boxes.items[0]->group.targets[0]);
    assert_string_equal(
        text.ptr,
        "{__address__=\"10.0.1.2:80\", __meta_docker_container_id=\"c1\", "
        "__meta_docker_container_image=\"nginx\", __meta_docker_container_image_id=\"sha\", "
        "__meta_docker_container_label_com_x_y=\"z\", __meta_docker_container_name=\"/web\", "
        "__meta_docker_container_network_mode=\"app\", __meta_docker_network_id=\"n1\", "
        "__meta_docker_network_ingress=\"false\", __meta_docker_network_internal=\"true\", "
        "__meta_docker_network_ip=\"10.0.1.2\", __meta_docker_network_label_l=\"v\", "
        "__meta_docker_network_name=\"app\", __meta_docker_network_scope=\"local\", "
        "__meta_docker_port_private=\"80\", __meta_docker_port_public=\"8080\", "
        "__meta_docker_port_public_ip=\"0.0.0.0\"}");
    /* A network that the list does not know gives its address only. */
    const struct labels unknown = boxes.items[0]->group.targets[3];
    assert_false(labels_has(unknown, STR("__meta_docker_network_id")));
    assert_str(labels_get(unknown, STR("__meta_docker_network_ip")), "fd00::2");
    buf_release(&text);
    sd_boxes_release(&boxes);
}

static void bad_docker_answers_say_which(void **state) {
    const struct sd_config config = docker_config();
    struct sd_boxes boxes = {0};
    struct err err;
    (void)state;
    assert_err(docker_targets(&config, STR("{"), STR("[]"), &boxes, &err), ERR_INVALID,
               "error while listing containers: ", &err);
    assert_err(docker_targets(&config, STR("[]"), STR("{}"), &boxes, &err), ERR_INVALID,
               "error while computing network labels: ", &err);
    assert_int_equal(boxes.count, 0);
}

static void docker_is_asked_over_its_socket_and_errors_keep_targets(void **state) {
    struct fixture *const f = *state;
    const struct str running = STR("running");
    const struct sd_filter filter = {STR_INIT("status"), &running, 1};
    struct sd_config config = docker_config();
    config.filters = &filter;
    config.filter_count = 1;
    const struct sd_config_set set = {STR_INIT("j"), &config, 1};
    const char *const url = "http://localhost/v1.55/containers/json?filters="
                            "%7B%22status%22%3A%7B%22running%22%3Atrue%7D%7D";
    const struct fake_answer ping = {.url = "http://localhost/_ping", .api_version = "1.99"};
    const struct fake_answer containers = {.url = url, .body = str_of(containers_json)};
    const struct fake_answer networks = {.url = "http://localhost/v1.55/networks",
                                         .body = str_of(networks_json)};
    const struct fake_answer broken = {.url = url, .status = 500, .body = STR("oops")};
    const char *const want = "j: Docker[10.0.1.2:80 10.0.1.2:9000 localhost [fd00::2]:8]";
    fake_transport_answer(f->net, &ping);
    fake_transport_answer(f->net, &containers);
    fake_transport_answer(f->net, &networks);
    sd_manager_apply(f->sd, NULL, &set, 1);
    run_s(f, 2);
    assert_string_equal(f->seen.ptr, want);
    assert_string_equal(fake_transport_request(f->net, 0).method, "HEAD");
    assert_string_equal(fake_transport_request(f->net, 1).unix_socket, "/var/run/docker.sock");
    fake_transport_forget(f->net, url);
    fake_transport_answer(f->net, &broken);
    run_s(f, 70);
    assert_string_equal(f->seen.ptr, want);
    struct buf metrics;
    buf_init(&metrics, 1 << 20);
    metric_render(f->registry, &metrics);
    assert_non_null(strstr(metrics.ptr, "prometheus_sd_refresh_failures_total{config=\"j\","
                                        "mechanism=\"docker\"} 1\n"));
    buf_release(&metrics);
}

static void an_old_docker_is_refused(void **state) {
    struct fixture *const f = *state;
    const struct sd_config config = docker_config();
    const struct sd_config_set set = {STR_INIT("j"), &config, 1};
    const struct fake_answer ping = {.url = "http://localhost/_ping", .api_version = "1.39"};
    fake_transport_answer(f->net, &ping);
    sd_manager_apply(f->sd, NULL, &set, 1);
    run_s(f, 3);
    assert_string_equal(f->seen.ptr, "j:");
    assert_int_equal(fake_transport_request_count(f->net), 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(static_targets_come_at_once_and_after_each_apply),
        CASE(a_set_without_targets_is_known),
        CASE(equal_configs_share_a_provider_that_survives_a_reload),
        CASE(two_of_a_kind_in_one_set_share_their_metrics),
        CASE(a_config_that_cannot_work_is_counted_and_left_out),
        CASE(files_are_read_watched_and_kept_when_broken),
        CASE(files_with_the_same_size_and_time_are_not_read_again),
        CASE(lists_carry_labels_and_their_path),
        CASE(bad_lists_are_refused),
        CASE(containers_become_targets_by_network_and_port),
        CASE(container_targets_carry_meta_labels),
        CASE(bad_docker_answers_say_which),
        CASE(docker_is_asked_over_its_socket_and_errors_keep_targets),
        CASE(an_old_docker_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

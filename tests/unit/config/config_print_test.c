/* Printing: the text of /status/config, that it reads back to the same text, and that no secret
 * is in it. */
#include "config.h"

#include <string.h>

#include "tests/support/check_err.h"

static struct config *parse(struct str text) {
    struct err err;
    struct config *config = NULL;
    assert_ok(config_parse(text, "t.yml", "", NULL, &config, &err), &err);
    return config;
}

static void the_empty_configuration_prints_its_defaults(void **state) {
    (void)state;
    struct config *config = parse(STR(""));
    assert_str(config->text, "global:\n"
                             "  scrape_interval: 1m\n"
                             "  scrape_timeout: 10s\n"
                             "  evaluation_interval: 1m\n"
                             "  metric_name_validation_scheme: utf8\n"
                             "  metric_name_escaping_scheme: allow-utf-8\n"
                             "  scrape_native_histograms: false\n"
                             "  extra_scrape_metrics: false\n"
                             "runtime:\n"
                             "  gogc: 75\n"
                             "storage:\n"
                             "  tsdb:\n"
                             "    outofordertimewindow: 0\n"
                             "    retention: {}\n");
    config_unref(config);
}

/* Keys in the order of spec section 15; the same text as Prometheus prints but for what 2.42 has
 * not. */
static void a_full_scrape_config_prints_in_prometheus_order(void **state) {
    (void)state;
    struct config *config =
        parse(STR("scrape_configs:\n"
                  "- static_configs: [{targets: ['a:1'], labels: {l10: x, l9: 'yes', la: '12'}}]\n"
                  "  file_sd_configs: [{files: [t.yml]}]\n"
                  "  docker_sd_configs: [{host: 'unix:///s'}]\n"
                  "  metric_relabel_configs: [{action: labelmap, regex: 'a(.*)'}]\n"
                  "  relabel_configs:\n"
                  "  - {source_labels: [a, 'y'], target_label: t, action: Replace}\n"
                  "  bearer_token: s\n"
                  "  tls_config: {server_name: x}\n"
                  "  proxy_url: 'http://u:p@h:1'\n"
                  "  http_headers: {X-B: {values: [v]}, X-A: {secrets: [s]}}\n"
                  "  params: {m: ['1', 'x y']}\n"
                  "  body_size_limit: 1KB512B\n"
                  "  sample_limit: 5\n"
                  "  native_histogram_min_bucket_factor: 1.5\n"
                  "  honor_labels: yes\n"
                  "  job_name: a job\n"));
    assert_str(config->scrapes[0].yaml, "job_name: a job\n"
                                        "honor_labels: true\n"
                                        "honor_timestamps: true\n"
                                        "track_timestamps_staleness: false\n"
                                        "params:\n"
                                        "  m:\n"
                                        "  - \"1\"\n"
                                        "  - x y\n"
                                        "scrape_interval: 1m\n"
                                        "scrape_timeout: 10s\n"
                                        "scrape_protocols:\n"
                                        "- OpenMetricsText1.0.0\n"
                                        "- OpenMetricsText0.0.1\n"
                                        "- PrometheusText1.0.0\n"
                                        "- PrometheusText0.0.4\n"
                                        "scrape_native_histograms: false\n"
                                        "always_scrape_classic_histograms: false\n"
                                        "convert_classic_histograms_to_nhcb: false\n"
                                        "metrics_path: /metrics\n"
                                        "scheme: http\n"
                                        "enable_compression: true\n"
                                        "body_size_limit: 1KiB512B\n"
                                        "sample_limit: 5\n"
                                        "native_histogram_min_bucket_factor: 1.5\n"
                                        "metric_name_validation_scheme: utf8\n"
                                        "metric_name_escaping_scheme: allow-utf-8\n"
                                        "extra_scrape_metrics: false\n"
                                        "authorization:\n"
                                        "  type: Bearer\n"
                                        "  credentials: <secret>\n"
                                        "tls_config:\n"
                                        "  server_name: x\n"
                                        "  insecure_skip_verify: false\n"
                                        "follow_redirects: true\n"
                                        "enable_http2: true\n"
                                        "proxy_url: http://u:xxxxx@h:1\n"
                                        "http_headers:\n"
                                        "  X-A:\n"
                                        "    secrets:\n"
                                        "    - <secret>\n"
                                        "  X-B:\n"
                                        "    values:\n"
                                        "    - v\n"
                                        "relabel_configs:\n"
                                        "- source_labels: [a, \"y\"]\n"
                                        "  separator: ;\n"
                                        "  target_label: t\n"
                                        "  replacement: $1\n"
                                        "  action: replace\n"
                                        "metric_relabel_configs:\n"
                                        "- separator: ;\n"
                                        "  regex: a(.*)\n"
                                        "  replacement: $1\n"
                                        "  action: labelmap\n"
                                        "docker_sd_configs:\n"
                                        "- follow_redirects: true\n"
                                        "  enable_http2: true\n"
                                        "  host: unix:///s\n"
                                        "  port: 80\n"
                                        "  filters: []\n"
                                        "  host_networking_host: localhost\n"
                                        "  refresh_interval: 1m\n"
                                        "  match_first_network: true\n"
                                        "file_sd_configs:\n"
                                        "- files:\n"
                                        "  - t.yml\n"
                                        "  refresh_interval: 5m\n"
                                        "static_configs:\n"
                                        "- targets:\n"
                                        "  - a:1\n"
                                        "  labels:\n"
                                        "    l9: \"yes\"\n"
                                        "    l10: x\n"
                                        "    la: \"12\"\n");
    config_unref(config);
}

static const char with_secrets[] =
    "alerting:\n"
    "  alertmanagers:\n"
    "  - basic_auth: {username: u, password: CANARY1}\n"
    "    static_configs: [{targets: ['am:1']}]\n"
    "scrape_configs:\n"
    "- job_name: a\n"
    "  basic_auth: {username: u, password: CANARY2}\n"
    "- job_name: b\n"
    "  authorization: {credentials: CANARY3}\n"
    "  http_headers: {X-A: {secrets: [CANARY4, CANARY5]}}\n"
    "- job_name: c\n"
    "  bearer_token: CANARY6\n"
    "  proxy_url: http://user:CANARY7@h:1/x\n"
    "  proxy_connect_header: {P: [CANARY8]}\n"
    "- job_name: d\n"
    "  oauth2:\n"
    "    client_id: i\n"
    "    client_secret: CANARY9\n"
    "    token_url: http://t\n"
    "    tls_config: {cert: c, key: CANARY10}\n"
    "- job_name: e\n"
    "  tls_config: {cert_file: c, key: CANARY11}\n"
    "  docker_sd_configs: [{host: 'https://h', basic_auth: {password: CANARY12}}]\n";

static void no_secret_is_printed(void **state) {
    (void)state;
    struct config *config = parse(str_of(with_secrets));
    assert_null(strstr(config->text.ptr, "CANARY"));
    for (size_t i = 0; i < config->scrape_count; i++) {
        assert_null(strstr(config->scrapes[i].yaml.ptr, "CANARY"));
    }
    assert_str(config->scrapes[2].http.credentials.reveal, "CANARY6");
    config_unref(config);
}

static void printed_text_reads_back_to_the_same_text(void **state) {
    (void)state;
    static const char *const texts[] = {
        with_secrets,
        "global:\n"
        "  external_labels: {a: '12', b: \"two\\nlines\", c: 'a: b', d: '', e: !!binary eA==}\n"
        "  scrape_protocols: [PrometheusText0.0.4]\n"
        "  body_size_limit: 3MiB\n"
        "  metric_name_validation_scheme: legacy\n"
        "rule_files: ['*.yml']\n"
        "alerting: {alert_relabel_configs: [{regex: '', action: labeldrop}]}\n"
        "scrape_configs:\n"
        "- job_name: ' a'\n"
        "  relabel_configs:\n"
        "  - {source_labels: [a, b], separator: '', regex: null, modulus: 8, action: hashmod,\n"
        "     target_label: x}\n"
        "  - {action: keepequal, source_labels: [a], target_label: b}\n"
        "  - {regex: 'a very long expression (with|some|words) that has to be folded over "
        "lines when it is printed', action: keep}\n"
        "storage:\n"
        "  tsdb:\n"
        "    out_of_order_time_window: 90m\n"
        "    stale_series_compaction_threshold: 0.25\n"
        "    chunk_encoding: {floats: xor2}\n"
        "    retention: {time: 30d, size: 1GB512MB, percentage: 12.5}\n"
        "  exemplars: {max_exemplars: 7}\n"
        "runtime: {gogc: 50}\n",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct config *first = parse(str_of(texts[i]));
        struct config *second = parse(first->text);
        assert_str(second->text, first->text.ptr);
        assert_int_equal(second->scrape_count, first->scrape_count);
        config_unref(first);
        config_unref(second);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_empty_configuration_prints_its_defaults),
        cmocka_unit_test(a_full_scrape_config_prints_in_prometheus_order),
        cmocka_unit_test(no_secret_is_printed),
        cmocka_unit_test(printed_text_reads_back_to_the_same_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

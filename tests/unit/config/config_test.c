/* Loading: defaults, inheritance, every error text of the sections in scope, environment, paths
 * and included files. Each error case is one small file; what the text must hold stands beside. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/check_err.h"

static struct config *parse(const char *text) {
    struct err err;
    struct config *config = NULL;
    assert_ok(config_parse(str_of(text), "t.yml", "/etc/brasa", NULL, &config, &err), &err);
    return config;
}

static void expect_error(const char *text, enum err_code code, const char *want) {
    struct err err = {.text = ""};
    struct config *config = NULL;
    const enum err_code got = config_parse(str_of(text), "t.yml", "/d", NULL, &config, &err);
    if (got != code || strstr(err.text, want) == NULL) {
        print_error("%s\n", text);
    }
    assert_err(got, code, want, &err);
    assert_null(config);
    if (code != ERR_LIMIT) {
        assert_true(strncmp(err.text, "parsing YAML file t.yml: ", 25) == 0);
    }
}

static void an_empty_file_has_all_defaults(void **state) {
    (void)state;
    static const char *const texts[] = {"", "# nothing\n", "global:\n", "global: {}\n",
                                        "scrape_configs: []\nruntime: ~\nstorage: ~\n"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct config *config = parse(texts[i]);
        assert_int_equal(config->scrape_interval_ms, 60000);
        assert_int_equal(config->scrape_timeout_ms, 10000);
        assert_int_equal(config->evaluation_interval_ms, 60000);
        assert_int_equal(config->scrape_count, 0);
        assert_int_equal(config->external_labels.size, 0);
        assert_int_equal(config->rules.evaluation_interval_ms, 60000);
        config_unref(config);
    }
}

static void a_scrape_config_has_prometheus_defaults(void **state) {
    (void)state;
    struct config *config = parse("scrape_configs: [{job_name: a}]");
    const struct scrape_config *s = &config->scrapes[0];
    assert_str(s->job_name, "a");
    assert_str(s->metrics_path, "/metrics");
    assert_str(s->scheme, "http");
    assert_str(s->escaping_scheme, "allow-utf-8");
    assert_true(s->honor_timestamps && s->enable_compression && !s->honor_labels);
    assert_true(s->http.follow_redirects && s->http.enable_http2 && !s->http.has_tls);
    assert_int_equal(s->interval_ms, 60000);
    assert_int_equal(s->timeout_ms, 10000);
    assert_int_equal(s->protocol_count, 4);
    assert_int_equal(s->protocols[0], PROTOCOL_OPENMETRICS_1_0_0);
    assert_int_equal(s->sd.config_count, 0);
    assert_str(s->sd.name, "a");
    config_unref(config);
}

static void what_a_scrape_config_leaves_out_comes_from_global(void **state) {
    (void)state;
    struct config *config = parse("global:\n"
                                  "  scrape_interval: 5s\n"
                                  "  sample_limit: 10\n"
                                  "  body_size_limit: 1KB\n"
                                  "  scrape_native_histograms: true\n"
                                  "  scrape_failure_log_file: f.log\n"
                                  "scrape_configs:\n"
                                  "- job_name: a\n"
                                  "- job_name: b\n"
                                  "  scrape_interval: 1m\n"
                                  "  sample_limit: 20\n"
                                  "  scrape_native_histograms: false\n"
                                  "  metric_name_validation_scheme: legacy\n");
    const struct scrape_config *a = &config->scrapes[0];
    const struct scrape_config *b = &config->scrapes[1];
    assert_int_equal(config->scrape_timeout_ms, 5000);
    assert_int_equal(a->interval_ms, 5000);
    assert_int_equal(a->sample_limit, 10);
    assert_int_equal(a->body_size_limit, 1024);
    assert_int_equal(a->protocol_count, 5);
    assert_int_equal(a->protocols[0], PROTOCOL_PROMETHEUS_PROTO);
    assert_true(a->native_histograms);
    assert_str(a->failure_log_file, "/etc/brasa/f.log");
    assert_int_equal(b->interval_ms, 60000);
    assert_int_equal(b->timeout_ms, 5000);
    assert_int_equal(b->sample_limit, 20);
    assert_int_equal(b->protocol_count, 4);
    assert_false(b->native_histograms);
    assert_int_equal(b->name_scheme, NAMES_LEGACY);
    assert_str(b->escaping_scheme, "underscores");
    config_unref(config);
}

static void null_sets_the_zero_value(void **state) {
    (void)state;
    struct config *config = parse("scrape_configs:\n"
                                  "- job_name: a\n"
                                  "  honor_timestamps: ~\n"
                                  "  follow_redirects:\n"
                                  "  scrape_interval: null\n"
                                  "  relabel_configs: [{regex: , target_label: x}]\n");
    const struct scrape_config *s = &config->scrapes[0];
    assert_false(s->honor_timestamps);
    assert_false(s->http.follow_redirects);
    assert_int_equal(s->interval_ms, 60000);
    assert_str(regex_pattern(s->relabel.rules[0].regex), "");
    config_unref(config);
}

static void discovery_sections_arrive_in_order_of_their_names(void **state) {
    (void)state;
    struct config *config =
        parse("scrape_configs:\n"
              "- job_name: a\n"
              "  static_configs:\n"
              "  - targets: [h:1, h:2]\n"
              "    labels: {x: y, e: ''}\n"
              "  - targets: [h:3]\n"
              "  file_sd_configs: [{files: [t/*.yml, /abs.json], refresh_interval: 1m}]\n"
              "  docker_sd_configs:\n"
              "  - host: unix:///var/run/docker.sock\n"
              "    filters: [{name: status, values: [running, paused]}]\n");
    const struct sd_config *sd = config->scrapes[0].sd.configs;
    assert_int_equal(config->scrapes[0].sd.config_count, 3);
    assert_int_equal(sd[0].kind, SD_DOCKER);
    assert_int_equal(sd[0].port, 80);
    assert_true(sd[0].match_first_network);
    assert_str(sd[0].host_networking_host, "localhost");
    assert_str(sd[0].filters[0].values[1], "paused");
    assert_int_equal(sd[1].kind, SD_FILE);
    assert_int_equal(sd[1].refresh_interval_ms, 60000);
    assert_str(sd[1].files[0], "/etc/brasa/t/*.yml");
    assert_str(sd[1].files[1], "/abs.json");
    assert_int_equal(sd[2].kind, SD_STATIC);
    assert_int_equal(sd[2].group_count, 2);
    assert_str(sd[2].groups[0].targets[1], "h:2");
    assert_str(labels_get(sd[2].groups[0].labels, STR("x")), "y");
    assert_int_equal(labels_count(sd[2].groups[0].labels), 1);
    config_unref(config);
}

static void http_options_arrive(void **state) {
    (void)state;
    struct config *config = parse("scrape_configs:\n"
                                  "- job_name: a\n"
                                  "  bearer_token_file: tok\n"
                                  "  proxy_url: http://p:1\n"
                                  "  no_proxy: x\n"
                                  "  proxy_connect_header: {K: [v, w]}\n"
                                  "  tls_config: {ca_file: ca.pem, min_version: TLS12}\n"
                                  "  http_headers: {X-A: {values: [b], secrets: [c], files: [d]}}\n"
                                  "- job_name: b\n"
                                  "  basic_auth: {username: u, password: p}\n"
                                  "- job_name: c\n"
                                  "  oauth2:\n"
                                  "    client_id: i\n"
                                  "    client_secret: s\n"
                                  "    token_url: http://t\n"
                                  "    scopes: [x, y]\n"
                                  "    endpoint_params: {k: v}\n");
    const struct http_config *a = &config->scrapes[0].http;
    assert_true(a->has_authorization && a->has_tls && !a->has_basic_auth);
    assert_str(a->authorization_type, "Bearer");
    assert_str(a->credentials_file, "/etc/brasa/tok");
    assert_str(a->proxy_url, "http://p:1");
    assert_str(a->proxy_connect_headers[0].secrets[1].reveal, "w");
    assert_str(a->tls.ca_file, "/etc/brasa/ca.pem");
    assert_int_equal(a->tls.min_version, TLS12);
    assert_str(a->headers[0].name, "X-A");
    assert_str(a->headers[0].secrets[0].reveal, "c");
    assert_str(a->headers[0].files[0], "/etc/brasa/d");
    assert_str(config->scrapes[1].http.password.reveal, "p");
    const struct oauth2_config *o = &config->scrapes[2].http.oauth2;
    assert_true(o->set);
    assert_int_equal(o->scope_count, 2);
    assert_str(o->endpoint_params[1], "v");
    config_unref(config);
}

static void alerting_and_storage_arrive(void **state) {
    (void)state;
    struct config *config =
        parse("rule_files: [rules/*.yml]\n"
              "alerting:\n"
              "  alert_relabel_configs: [{regex: x, action: labeldrop}]\n"
              "  alertmanagers:\n"
              "  - static_configs: [{targets: ['am:9093']}]\n"
              "  - path_prefix: /p\n"
              "    timeout: 3s\n"
              "    alert_relabel_configs: [{source_labels: [a], action: keep, regex: b}]\n"
              "storage:\n"
              "  tsdb: {out_of_order_time_window: 30m, retention: {time: 1d, size: 1GB}}\n");
    const struct alertmanager_config *am = config->alerting.alertmanagers;
    assert_int_equal(config->alerting.alertmanager_count, 2);
    assert_int_equal(config->alerting.alert_relabel.count, 1);
    assert_str(am[0].sd.name, "config-0");
    assert_int_equal(am[0].timeout_ms, 10000);
    assert_str(am[1].sd.name, "config-1");
    assert_str(am[1].path_prefix, "/p");
    assert_int_equal(am[1].timeout_ms, 3000);
    assert_int_equal(am[1].alert_relabel.count, 1);
    assert_str(config->rules.files[0], "/etc/brasa/rules/*.yml");
    assert_int_equal(config->out_of_order_window_ms, 1800000);
    assert_int_equal(config->retention.time_ms, 86400000);
    assert_int_equal(config->retention.size_bytes, 1073741824);
    config_unref(config);
}

static void external_labels_expand_the_environment_and_nothing_else_does(void **state) {
    (void)state;
    assert_int_equal(setenv("BRASA_TEST_A", "va", 1), 0);
    struct config *config = parse("global:\n"
                                  "  external_labels:\n"
                                  "    a: $BRASA_TEST_A-x\n"
                                  "    b: ${BRASA_TEST_A}y\n"
                                  "    c: $$BRASA_TEST_A\n"
                                  "    d: x${BRASA_TEST_UNSET}\n"
                                  "    e: 'end$'\n"
                                  "    f: 'a$-b$ c'\n"
                                  "    g: '${}x${open'\n"
                                  "    h: ${BRASA_TEST_UNSET}\n"
                                  "scrape_configs: [{job_name: $BRASA_TEST_A}]\n");
    const struct labels l = config->external_labels;
    assert_str(labels_get(l, STR("a")), "va-x");
    assert_str(labels_get(l, STR("b")), "vay");
    assert_str(labels_get(l, STR("c")), "$BRASA_TEST_A");
    assert_str(labels_get(l, STR("d")), "x");
    assert_str(labels_get(l, STR("e")), "end$");
    assert_str(labels_get(l, STR("f")), "ab$ c");
    assert_str(labels_get(l, STR("g")), "xopen");
    assert_false(labels_has(l, STR("h")));
    assert_non_null(strstr(config->text.ptr, "h: \"\""));
    assert_str(config->scrapes[0].job_name, "$BRASA_TEST_A");
    config_unref(config);
}

static void merged_and_aliased_sections_are_bound_like_written_ones(void **state) {
    (void)state;
    struct config *config = parse("scrape_configs:\n"
                                  "- &base\n"
                                  "  job_name: a\n"
                                  "  scrape_interval: 7s\n"
                                  "  scrape_timeout: 3s\n"
                                  "- <<: *base\n"
                                  "  job_name: b\n");
    assert_str(config->scrapes[1].job_name, "b");
    assert_int_equal(config->scrapes[1].interval_ms, 7000);
    config_unref(config);
}

#define SCRAPE(text) "scrape_configs:\n- job_name: a\n  " text "\n"
#define RELABEL(text) SCRAPE("relabel_configs: [{" text "}]")

static const struct {
    const char *text, *want;
} errors[] = {
    /* decoding */
    {"foo: 1\n", "yaml: unmarshal errors:\n  line 1: field foo not found in type config.plain"},
    {"global: {x: 1}\ny: 2\n", "line 1: field x not found in type config.plain\n  line 2: field y"},
    {SCRAPE("consult_sd_configs: []"),
     "line 3: field consult_sd_configs not found in type config.ScrapeConfig"},
    {"scrape_configs: []\nscrape_configs: []\n",
     "line 2: field scrape_configs already set in type config.plain"},
    {"global: abc\n", "line 1: cannot unmarshal !!str `abc` into config.plain"},
    {"global: [1]\n", "line 1: cannot unmarshal !!seq into config.plain"},
    {"rule_files: x\n", "line 1: cannot unmarshal !!str `x` into []string"},
    {"rule_files: [{}]\n", "line 1: cannot unmarshal !!map into string"},
    {SCRAPE("honor_labels: 3"), "line 3: cannot unmarshal !!int `3` into bool"},
    {SCRAPE("honor_labels: 'true'"), "line 3: cannot unmarshal !!str `true` into bool"},
    {SCRAPE("sample_limit: -1"), "line 3: cannot unmarshal !!int `-1` into uint"},
    {SCRAPE("sample_limit: a long value"), "line 3: cannot unmarshal !!str `a long ...` into uint"},
    {SCRAPE("scrape_interval: [x]"), "line 3: cannot unmarshal !!seq into string"},
    {SCRAPE("body_size_limit: [x]"), "line 3: cannot unmarshal !!seq into units.Base2Bytes"},
    {SCRAPE("params: {a: b}"), "line 3: cannot unmarshal !!str `b` into []string"},
    {SCRAPE("relabel_configs: {}"), "cannot unmarshal !!map into []*relabel.Config"},
    {SCRAPE("scrape_protocols: x"), "cannot unmarshal !!str `x` into []config.ScrapeProtocol"},
    {SCRAPE("static_configs: [{labels: {a: 1, a: 2}}]"), "key \"a\" already set in map"},
    {SCRAPE("bearer_token: [x]"), "cannot unmarshal !!seq into config.plain"},
    {"global: {external_labels: {a: b, a: c}}\n", "line 1: key \"a\" already set in map"},
    {"a: b: c\n", "yaml: mapping values are not allowed in this context"},
    {"<<: 1\n", "map merge requires map or sequence of maps as the value"},
    /* quantities */
    {"global: {scrape_interval: 15}\n", "not a valid duration string: \"15\""},
    {"global: {scrape_interval: ''}\n", "empty duration string"},
    {"global: {scrape_interval: 1.5h}\n", "unknown unit \".\" in duration \"1.5h\""},
    {SCRAPE("body_size_limit: 100"), "units: unknown unit  in 100"},
    {SCRAPE("body_size_limit: 1kB"), "units: unknown unit kB in 1kB"},
    /* global */
    {"global: {scrape_interval: 1s, scrape_timeout: 2s}\n",
     "global scrape timeout greater than scrape interval"},
    {"global: {external_labels: {!!binary /w==: x}}\n", "\"\\xff\" is not a valid label name"},
    {"global: {external_labels: {a: !!binary /w==}}\n", "\"\\xff\" is not a valid label value"},
    {"global: {metric_name_validation_scheme: legacy, external_labels: {a-b: x}}\n",
     "\"a-b\" is not a valid label name"},
    {"global: {metric_name_validation_scheme: x}\n", "unrecognized ValidationScheme: \"x\""},
    {"global: {scrape_protocols: []}\n", "scrape_protocols cannot be empty for global config"},
    {"global: {metric_name_escaping_scheme: x}\nscrape_configs: [{job_name: a}]\n",
     "unknown global name escaping method specified, must be one of 'allow-utf-8', "
     "'underscores', 'dots', or 'values', got \"x\""},
    {"rule_files: [a/*/b]\n", "invalid rule file path \"a/*/b\""},
    {"scrape_config_files: [a/*/b]\n", "invalid scrape config file path \"a/*/b\""},
    /* scrape configs */
    {"scrape_configs: [~]\n", "empty or null scrape config section"},
    {"scrape_configs: [{}]\n", "job_name is empty"},
    {"scrape_configs: [{job_name: a}, {job_name: a}]\n",
     "found multiple scrape configs with job name \"a\""},
    {SCRAPE("scrape_timeout: 2m"), "scrape timeout greater than scrape interval for scrape "
                                   "config with job name \"a\""},
    {SCRAPE("scrape_protocols: [PrometheusProto, PrometheusProto]"),
     "duplicated protocol in scrape_protocols, got [PrometheusProto PrometheusProto] for scrape "
     "config with job name \"a\""},
    {SCRAPE("scrape_protocols: [prometheusproto]"),
     "scrape_protocols: unknown scrape protocol prometheusproto, supported: "
     "[OpenMetricsText0.0.1 OpenMetricsText1.0.0 PrometheusProto PrometheusText0.0.4 "
     "PrometheusText1.0.0] for scrape config with job name \"a\""},
    {SCRAPE("fallback_scrape_protocol: x"),
     "invalid fallback_scrape_protocol for scrape config with job name \"a\": unknown scrape "
     "protocol x"},
    {SCRAPE("metric_name_escaping_scheme: x"),
     "unknown scrape config name escaping method specified"},
    {SCRAPE("metric_name_validation_scheme: legacy\n  metric_name_escaping_scheme: allow-utf-8"),
     "utf8 metric names requested but validation scheme is not set to UTF8"},
    {SCRAPE("static_configs: [{targets: ['http://bad']}]"),
     "\"http://bad\" is not a valid hostname"},
    {SCRAPE("relabel_configs: [~]"), "empty or null target relabeling rule in scrape config"},
    {SCRAPE("metric_relabel_configs: [~]"),
     "empty or null metric relabeling rule in scrape config"},
    /* discovery */
    {SCRAPE("static_configs: [~]"), "empty or null section in static_configs"},
    {SCRAPE("file_sd_configs: [~]"), "empty or null section in file_sd_configs"},
    {SCRAPE("docker_sd_configs: [~]"), "empty or null section in docker_sd_configs"},
    {SCRAPE("static_configs: [{labels: {'': x}}]"), "\"\" is not a valid label name"},
    {SCRAPE("file_sd_configs: [{}]"),
     "file service discovery config must contain at least one path name"},
    {SCRAPE("file_sd_configs: [{files: [x.txt]}]"),
     "path name \"x.txt\" is not valid for file discovery"},
    {SCRAPE("file_sd_configs: [{files: ['*/x.yml']}]"),
     "path name \"*/x.yml\" is not valid for file discovery"},
    {SCRAPE("docker_sd_configs: [{}]"), "host missing"},
    {SCRAPE("docker_sd_configs: [{host: ':x'}]"), "parse \":x\": missing protocol scheme"},
    {SCRAPE("docker_sd_configs: [{host: 'tcp://h:x'}]"), "invalid port \":x\" after host"},
    {SCRAPE("docker_sd_configs: [{host: x, port: 70000}]"), "invalid port 70000"},
    {SCRAPE("docker_sd_configs: [{host: x, foo: 1}]"), "field foo not found in type moby.plain"},
    /* relabelling */
    {RELABEL("action: nope"), "unknown relabel action \"nope\""},
    {RELABEL("action: "), "relabel action cannot be empty"},
    {RELABEL("regex: '('"), "error parsing regexp: missing closing )"},
    {RELABEL("source_labels: ['']"), "\"\" is not a valid label name"},
    {RELABEL("action: replace"),
     "relabel configuration for replace action requires 'target_label' value"},
    {RELABEL("action: hashmod, target_label: x"),
     "relabel configuration for hashmod requires non-zero modulus"},
    {RELABEL("action: labeldrop, separator: x"),
     "labeldrop action requires only 'regex', and no other fields"},
    {RELABEL("action: keepequal, target_label: x, regex: '(.*)'"),
     "keepequal action requires only 'source_labels' and `target_label`, and no other fields"},
    {RELABEL("action: lowercase, target_label: x, replacement: y"),
     "'replacement' can not be set for lowercase action"},
    /* HTTP client */
    {SCRAPE("bearer_token: a\n  bearer_token_file: b"),
     "at most one of bearer_token & bearer_token_file must be configured"},
    {SCRAPE("bearer_token: a\n  basic_auth: {}"),
     "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured"},
    {SCRAPE("bearer_token: a\n  authorization: {}"),
     "authorization is not compatible with bearer_token & bearer_token_file"},
    {SCRAPE("basic_auth: {username: a, username_file: b}"),
     "at most one of basic_auth username, username_file & username_ref must be configured"},
    {SCRAPE("basic_auth: {password: a, password_file: b}"),
     "at most one of basic_auth password, password_file & password_ref must be configured"},
    {SCRAPE("authorization: {credentials: a, credentials_file: b}"),
     "at most one of authorization credentials & credentials_file must be configured"},
    {SCRAPE("authorization: {type: ' BASIC '}"),
     "authorization type cannot be set to \"basic\", use \"basic_auth\" instead"},
    {SCRAPE("authorization: {}\n  basic_auth: {}"),
     "at most one of basic_auth, oauth2 & authorization must be configured"},
    {SCRAPE("oauth2: {token_url: x}"), "oauth2 client_id must be configured"},
    {SCRAPE("oauth2: {client_id: x}"), "oauth2 token_url must be configured"},
    {SCRAPE("oauth2: {client_id: x, token_url: y, client_secret: a, client_secret_file: b}"),
     "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be "
     "configured using grant-type=client_credentials"},
    {SCRAPE("tls_config: {ca: a, ca_file: b}"),
     "at most one of ca, ca_file & ca_ref must be configured"},
    {SCRAPE("tls_config: {cert: a, cert_file: b}"),
     "at most one of cert, cert_file & cert_ref must be configured"},
    {SCRAPE("tls_config: {key: a, key_file: b}"),
     "at most one of key and key_file must be configured"},
    {SCRAPE("tls_config: {cert_file: a}"),
     "exactly one of key or key_file must be configured when a client certificate is configured"},
    {SCRAPE("tls_config: {key_file: a}"),
     "exactly one of cert or cert_file must be configured when a client key is configured"},
    {SCRAPE("tls_config: {min_version: TLS14}"), "unknown TLS version: TLS14"},
    {SCRAPE("proxy_connect_header: {a: [b]}"),
     "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be "
     "configured"},
    {SCRAPE("proxy_from_environment: true\n  proxy_url: http://x"),
     "if proxy_from_environment is configured, proxy_url must not be configured"},
    {SCRAPE("proxy_from_environment: true\n  no_proxy: x"),
     "if proxy_from_environment is configured, no_proxy must not be configured"},
    {SCRAPE("no_proxy: x"), "if no_proxy is configured, proxy_url must also be configured"},
    {SCRAPE("http_headers: {authorization: {values: [x]}}"),
     "setting header \"Authorization\" is not allowed"},
    /* alerting */
    {"alerting: {alert_relabel_configs: [~]}\n", "empty or null alert relabeling rule"},
    {"alerting: {alertmanagers: [{relabel_configs: [~]}]}\n",
     "empty or null Alertmanager target relabeling rule"},
    {"alerting: {alertmanagers: [{alert_relabel_configs: [~]}]}\n",
     "empty or null Alertmanager alert relabeling rule"},
    {"alerting: {alertmanagers: [{api_version: v1}]}\n",
     "expected Alertmanager api version to be one of [v2] but got v1"},
    {"alerting: {alertmanagers: [{static_configs: [{targets: ['http://x']}]}]}\n",
     "\"http://x\" is not a valid hostname"},
    {"alerting: {alertmanagers: [{foo: 1}]}\n",
     "field foo not found in type config.AlertmanagerConfig"},
    /* storage */
    {"storage: {tsdb: {chunk_encoding: {floats: XOR}}}\n",
     "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the field must be omitted "
     "entirely, got \"XOR\""},
    {"storage: {tsdb: {retention: {size: -1GB}}}\n",
     "'storage.tsdb.retention.size' must be greater than or equal to 0, got -1GiB"},
    {"storage: {tsdb: {retention: {percentage: 101}}}\n",
     "'storage.tsdb.retention.percentage' must be in the range [0, 100], got 101"},
    {"storage: {tsdb: {retention: {time: -1h}}}\n", "not a valid duration string: \"-1h\""},
};

static void every_mistake_has_its_text(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        expect_error(errors[i].text, ERR_INVALID, errors[i].want);
    }
}

static void what_is_not_supported_is_refused_with_its_line_unless_it_is_empty(void **state) {
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"remote_write: [{url: x}]\n", "line 1: remote_write is not supported by this version"},
        {"remote_read: [{url: x}]\n", "remote_read is not supported"},
        {"tracing: {endpoint: x}\n", "tracing is not supported"},
        {"otlp: {promote_scope_metadata: true}\n", "otlp is not supported"},
        {SCRAPE("kubernetes_sd_configs: [{role: pod}]"),
         "line 3: kubernetes_sd_configs is not supported"},
        {SCRAPE("oauth2: {claims: {a: b}}"), "line 3: claims is not supported"},
        {SCRAPE("oauth2: {grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer'}"),
         "oauth2 grant_type"},
        {SCRAPE("basic_auth: {password_ref: x}"), "cannot use secret ref without manager"},
        {"alerting: {alertmanagers: [{sigv4: {region: x}}]}\n", "sigv4 is not supported"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        expect_error(cases[i].text, ERR_UNSUPPORTED, cases[i].want);
    }
    config_unref(parse("remote_write: []\nremote_read:\notlp: {}\ntracing: ~\n"));
}

/* ---- files ---- */

static char folder[64];

static void write_file(const char *name, const char *text) {
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static enum err_code load(const char *name, struct config **out, struct err *err) {
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return config_load(vfs_system(), path, NULL, out, err);
}

static int make_folder(void **state) {
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/brasa_config_XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state) {
    (void)state;
    static const char *const names[] = {"main.yml", "more/a.yml", "more/b.yml", "more"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path[256];
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)remove(path);
    }
    return rmdir(folder);
}

static void included_files_bring_scrape_configs_with_paths_of_their_own(void **state) {
    (void)state;
    struct err err;
    struct config *config = NULL;
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/more", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file("main.yml", "global: {sample_limit: 3}\nscrape_config_files: [more/*.yml]\n"
                           "scrape_configs: [{job_name: m}]\n");
    write_file("more/b.yml", "scrape_configs: [{job_name: b}]\n");
    write_file("more/a.yml", "scrape_configs: [{job_name: a, bearer_token_file: t}]\n");
    assert_ok(load("main.yml", &config, &err), &err);
    assert_int_equal(config->scrape_count, 3);
    assert_str(config->scrapes[0].job_name, "m");
    assert_str(config->scrapes[1].job_name, "a");
    assert_str(config->scrapes[2].job_name, "b");
    assert_int_equal(config->scrapes[1].sample_limit, 3);
    (void)snprintf(path, sizeof(path), "%s/more/t", folder);
    assert_str(config->scrapes[1].http.credentials_file, path);
    assert_null(strstr(config->text.ptr, "job_name: a"));
    config_unref(config);
    config = NULL;

    write_file("more/b.yml", "scrape_configs: [{job_name: m}]\n");
    assert_err(load("main.yml", &config, &err), ERR_INVALID,
               "found multiple scrape configs with job name \"m\", first found in main config file",
               &err);
    write_file("more/b.yml", "scrape_configs: [{job_name: a}]\n");
    assert_err(load("main.yml", &config, &err), ERR_INVALID, "more/a.yml\"", &err);
    write_file("more/b.yml", "global: {}\n");
    assert_err(load("main.yml", &config, &err), ERR_INVALID,
               "field global not found in type config.ScrapeConfigs", &err);
    assert_null(config);
}

static void a_missing_file_is_told_by_its_name(void **state) {
    (void)state;
    struct err err;
    struct config *config = NULL;
    assert_err(load("nope.yml", &config, &err), ERR_NOT_FOUND, "nope.yml", &err);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_has_all_defaults),
        cmocka_unit_test(a_scrape_config_has_prometheus_defaults),
        cmocka_unit_test(what_a_scrape_config_leaves_out_comes_from_global),
        cmocka_unit_test(null_sets_the_zero_value),
        cmocka_unit_test(discovery_sections_arrive_in_order_of_their_names),
        cmocka_unit_test(http_options_arrive),
        cmocka_unit_test(alerting_and_storage_arrive),
        cmocka_unit_test(external_labels_expand_the_environment_and_nothing_else_does),
        cmocka_unit_test(merged_and_aliased_sections_are_bound_like_written_ones),
        cmocka_unit_test(every_mistake_has_its_text),
        cmocka_unit_test(what_is_not_supported_is_refused_with_its_line_unless_it_is_empty),
        cmocka_unit_test_setup_teardown(included_files_bring_scrape_configs_with_paths_of_their_own,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_missing_file_is_told_by_its_name, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

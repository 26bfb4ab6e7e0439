/* /rules, /alerts, /alertmanagers, /targets, /metadata, /status: shapes, filters, pages. */
#include <string.h>

#include "tests/support/check_err.h"
#include "tests/unit/web/web_world.h"
#include "web/sha256.h"

static struct web_world world;
static struct arena memory;

static struct labels one(const char *name, const char *value) {
    const struct label l = {str_of(name), str_of(value)};
    return labels_of(&memory, &l, 1);
}

static void add_rules(struct web_world *w) {
    struct alert_info *alert = arena_zalloc(&memory, sizeof(*alert));
    *alert = (struct alert_info){.labels = one("l", "<x>"),
                                 .annotations = one("s", "&"),
                                 .state = ALERT_FIRING,
                                 .active_at_ms = 1500,
                                 .keep_firing_since_ms = 61000,
                                 .value = 1.5};
    struct rule_info *rules = arena_zalloc(&memory, 3 * sizeof(*rules));
    rules[0] = (struct rule_info){.alerting = true,
                                  .name = STR("A"),
                                  .query = STR("m > 1"),
                                  .labels = one("sev", "x"),
                                  .for_ms = 90500,
                                  .state = ALERT_FIRING,
                                  .health = RULE_OK,
                                  .evaluation_ns = 1500000,
                                  .last_evaluation_unix_ns = 61 * NS_PER_S,
                                  .alerts = alert,
                                  .alert_count = 1};
    rules[1] = (struct rule_info){
        .name = STR("r"), .query = STR("sum(m)"), .health = RULE_ERR, .last_error = STR("a<b")};
    rules[2] = (struct rule_info){.alerting = true, .name = STR("B"), .query = STR("1")};
    static struct rule_group_info groups[3];
    groups[0] = (struct rule_group_info){.name = STR("g1"),
                                         .file = STR("f1"),
                                         .interval_ms = 60000,
                                         .rules = rules,
                                         .rule_count = 2,
                                         .evaluation_ns = 2000000,
                                         .last_evaluation_unix_ns = 61 * NS_PER_S};
    groups[1] = (struct rule_group_info){.name = STR("g2"),
                                         .file = STR("f1"),
                                         .interval_ms = 500,
                                         .limit = 7,
                                         .rules = rules + 2,
                                         .rule_count = 1};
    groups[2] = (struct rule_group_info){.name = STR("g1"),
                                         .file = STR("f2"),
                                         .interval_ms = 1000,
                                         .rules = rules + 1,
                                         .rule_count = 1};
    w->groups = groups;
    w->group_count = 3;
}

static int setup(void **state) {
    arena_init(&memory, 0);
    web_world_init(&world);
    add_rules(&world);
    *state = &world;
    return 0;
}

static int teardown(void **state) {
    web_world_release(*state);
    arena_release(&memory);
    return 0;
}

static void check(struct web_world *w, const char *target, int status, const char *want) {
    const char *got = web_world_get(w, target);
    if (strcmp(got, want) != 0 || w->out.status != status) {
        fail_msg("%s\n got  %d %s\n want %d %s", target, w->out.status, got, status, want);
    }
}

#define OK(data) "{\"status\":\"success\",\"data\":" data "}"
#define ALERT                                                                                      \
    "{\"labels\":{\"l\":\"<x>\"},\"annotations\":{\"s\":\"&\"},\"state\":\"firing\",\"activeAt\":" \
    "\"1970-01-01T00:00:01.5Z\",\"keepFiringSince\":\"1970-01-01T00:01:01Z\",\"value\":"           \
    "\"1.5e+00\"}"
#define RULE_A(alerts)                                                                             \
    "{\"state\":\"firing\",\"name\":\"A\",\"query\":\"m \\u003e 1\",\"duration\":90.5,"            \
    "\"keepFiringFor\":0,\"labels\":{\"sev\":\"x\"},\"annotations\":{},\"alerts\":" alerts         \
    ",\"health\":\"ok\",\"evaluationTime\":0.0015,\"lastEvaluation\":\"1970-01-01T00:01:01Z\","    \
    "\"type\":\"alerting\"}"
#define RULE_R                                                                                     \
    "{\"name\":\"r\",\"query\":\"sum(m)\",\"labels\":{},\"health\":\"err\",\"lastError\":"         \
    "\"a\\u003cb\",\"evaluationTime\":0,\"lastEvaluation\":\"0001-01-01T00:00:00Z\",\"type\":"     \
    "\"recording\"}"
#define RULE_B                                                                                     \
    "{\"state\":\"unknown\",\"name\":\"B\",\"query\":\"1\",\"duration\":0,\"keepFiringFor\":0,"    \
    "\"labels\":{},\"annotations\":{},\"alerts\":[],\"health\":\"unknown\",\"evaluationTime\":0,"  \
    "\"lastEvaluation\":\"0001-01-01T00:00:00Z\",\"type\":\"alerting\"}"
#define GROUP_1(rules)                                                                             \
    "{\"name\":\"g1\",\"file\":\"f1\",\"rules\":[" rules "],\"interval\":60,\"limit\":0,"          \
    "\"evaluationTime\":0.002,\"lastEvaluation\":\"1970-01-01T00:01:01Z\"}"
#define GROUP_2                                                                                    \
    "{\"name\":\"g2\",\"file\":\"f1\",\"rules\":[" RULE_B "],\"interval\":0.5,\"limit\":7,"        \
    "\"evaluationTime\":0,\"lastEvaluation\":\"0001-01-01T00:00:00Z\"}"
#define GROUP_3                                                                                    \
    "{\"name\":\"g1\",\"file\":\"f2\",\"rules\":[" RULE_R "],\"interval\":1,\"limit\":0,"          \
    "\"evaluationTime\":0,\"lastEvaluation\":\"0001-01-01T00:00:00Z\"}"

static void rules_show_their_groups(void **state) {
    check(
        *state, "/api/v1/rules", 200,
        OK("{\"groups\":[" GROUP_1(RULE_A("[" ALERT "]") "," RULE_R) "," GROUP_2 "," GROUP_3 "]}"));
}

static void rules_are_filtered(void **state) {
    struct web_world *w = *state;
    check(w, "/api/v1/rules?type=Record", 200,
          OK("{\"groups\":[" GROUP_1(RULE_R) "," GROUP_3 "]}"));
    check(w, "/api/v1/rules?rule_name[]=A&exclude_alerts=true", 200,
          OK("{\"groups\":[" GROUP_1(RULE_A("null")) "]}"));
    check(w, "/api/v1/rules?rule_group[]=g2&rule_group[]=g9", 200,
          OK("{\"groups\":[" GROUP_2 "]}"));
    check(w, "/api/v1/rules?file[]=f2", 200, OK("{\"groups\":[" GROUP_3 "]}"));
    check(w, "/api/v1/rules?match[]=%7Bsev%3D%22x%22%7D&exclude_alerts=1", 200,
          OK("{\"groups\":[" GROUP_1(RULE_A("null")) "]}"));
    check(w, "/api/v1/rules?rule_name[]=none", 200, OK("{\"groups\":[]}"));
}

#define BAD(text) "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"" text "\"}"

static void bad_filters_are_named(void **state) {
    struct web_world *w = *state;
    check(w, "/api/v1/rules?type=x", 400,
          BAD("invalid parameter \\\"type\\\": not supported value \\\"x\\\""));
    check(w, "/api/v1/rules?exclude_alerts=x", 400,
          BAD("invalid parameter \\\"exclude_alerts\\\": error converting exclude_alerts: "
              "strconv.ParseBool: parsing \\\"x\\\": invalid syntax"));
    check(w, "/api/v1/rules?group_limit=x", 400,
          BAD("invalid parameter \\\"group_limit\\\": group_limit needs to be a valid number: "
              "strconv.ParseInt: parsing \\\"x\\\": invalid syntax"));
    check(w, "/api/v1/rules?group_limit=0", 400,
          BAD("invalid parameter \\\"group_limit\\\": group_limit needs to be greater than 0"));
    check(
        w, "/api/v1/rules?group_next_token=x", 400,
        BAD("invalid parameter \\\"group_next_token\\\": group_limit needs to be present in order "
            "to paginate over the groups"));
    check(w, "/api/v1/rules?group_limit=1&group_next_token=x", 400,
          BAD("invalid parameter \\\"group_next_token\\\": invalid group_next_token 'x'. were rule "
              "groups changed?"));
}

/* printf %s 'f1;g2' | sha256sum */
#define TOKEN_2 "124b7c7f5e022a2ca2b667346341cdc0cea9c125d347437c3e8d7ceb61e8d44d"
#define TOKEN_3 "1abd26be3eebad1fb52fe88e3593fb8f87f0a9af19fdcd0a7e3749ec9e836065"

static void rules_come_in_pages(void **state) {
    struct web_world *w = *state;
    check(w, "/api/v1/rules?group_limit=1&exclude_alerts=true", 200,
          OK("{\"groups\":[" GROUP_1(RULE_A("null") "," RULE_R) "],\"groupNextToken\":\"" TOKEN_2
                                                                "\"}"));
    check(w, "/api/v1/rules?group_limit=1&group_next_token=" TOKEN_2, 200,
          OK("{\"groups\":[" GROUP_2 "],\"groupNextToken\":\"" TOKEN_3 "\"}"));
    check(w, "/api/v1/rules?group_limit=2&group_next_token=" TOKEN_2, 200,
          OK("{\"groups\":[" GROUP_2 "," GROUP_3 "]}"));
    /* groups that a filter leaves empty take no room in a page */
    check(w, "/api/v1/rules?group_limit=1&type=record&group_next_token=" TOKEN_2, 200,
          OK("{\"groups\":[" GROUP_3 "]}"));
}

static void sha256_is_the_standards(void **state) {
    (void)state;
    static const struct {
        const char *text, *hex;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t hash[SHA256_BYTES];
        sha256(rows[i].text, strlen(rows[i].text), hash);
        for (size_t k = 0; k < SHA256_BYTES; k++) {
            const char byte[3] = {"0123456789abcdef"[hash[k] >> 4],
                                  "0123456789abcdef"[hash[k] & 15], '\0'};
            assert_memory_equal(byte, rows[i].hex + 2 * k, 2);
        }
    }
}

static void alerts_and_alertmanagers_are_listed(void **state) {
    struct web_world *w = *state;
    check(w, "/api/v1/alerts", 200, OK("{\"alerts\":[" ALERT "]}"));
    w->active_am[0] = STR("http://a/?x=<");
    w->active_am_count = 1;
    check(w, "/api/v1/alertmanagers", 200,
          OK("{\"activeAlertmanagers\":[{\"url\":\"http://a/?x=\\u003c\"}],"
             "\"droppedAlertmanagers\":[]}"));
}

static void add_target(struct web_world *w, struct target_info *t, const char *url) {
    *t = (struct target_info){.pool = STR("p"),
                              .discovered = one("__address__", "a"),
                              .labels = one("job", "<p>"),
                              .url = str_of(url),
                              .health = TARGET_UP,
                              .last_scrape_unix_ns = 61 * NS_PER_S + 5000000,
                              .last_duration_ns = 2500000,
                              .interval_ms = 90000,
                              .timeout_ms = 10000};
    static struct str pools[] = {STR_INIT("p"), STR_INIT("q")};
    static uint64_t counts[] = {1, 0};
    w->targets = (struct targets_snapshot){.active = t,
                                           .active_count = 1,
                                           .dropped = t,
                                           .dropped_count = 1,
                                           .pools = pools,
                                           .dropped_counts = counts,
                                           .pool_count = 2};
}

#define TARGET(url, global)                                                                        \
    "{\"discoveredLabels\":{\"__address__\":\"a\"},\"labels\":{\"job\":\"<p>\"},\"scrapePool\":"   \
    "\"p\",\"scrapeUrl\":\"" url "\",\"globalUrl\":\"" global "\",\"lastError\":\"\","             \
    "\"lastScrape\":\"1970-01-01T00:01:01.005Z\",\"lastScrapeDuration\":0.0025,\"health\":\"up\"," \
    "\"scrapeInterval\":\"1m30s\",\"scrapeTimeout\":\"10s\"}"
#define DROPPED "{\"discoveredLabels\":{\"__address__\":\"a\"},\"scrapePool\":\"p\"}"

static void targets_show_what_is_scraped(void **state) {
    struct web_world *w = *state;
    struct target_info t;
    add_target(w, &t, "http://h:1/m");
    const char *all = OK("{\"activeTargets\":[" TARGET(
        "http://h:1/m", "http://h:1/m") "],\"droppedTargets\":[" DROPPED
                                        "],\"droppedTargetCounts\":{\"p\":1,\"q\":0}}");
    check(w, "/api/v1/targets", 200, all);
    check(w, "/api/v1/targets?state=ANY", 200, all);
    check(w, "/api/v1/targets?state=active", 200,
          OK("{\"activeTargets\":[" TARGET(
              "http://h:1/m",
              "http://h:1/m") "],\"droppedTargets\":[],\"droppedTargetCounts\":null}"));
    check(w, "/api/v1/targets?state=dropped", 200,
          OK("{\"activeTargets\":[],\"droppedTargets\":[" DROPPED
             "],\"droppedTargetCounts\":{\"p\":1,\"q\":0}}"));
    check(w, "/api/v1/targets?scrapePool=q", 200,
          OK("{\"activeTargets\":[],\"droppedTargets\":[],\"droppedTargetCounts\":{\"p\":1,\"q\":0}"
             "}"));
    check(w, "/api/v1/scrape_pools", 200, OK("{\"scrapePools\":[\"p\",\"q\"]}"));
}

static void loopback_targets_have_a_global_address(void **state) {
    static const struct {
        const char *url, *global;
    } rows[] = {
        {"http://localhost:9090/metrics", "\"globalUrl\":\"https://brasa.example/metrics\""},
        {"http://127.0.0.1:9100/m?a=b", "\"globalUrl\":\"http://brasa.example:9100/m?a=b\""},
        {"http://[::1]:9090/metrics", "\"globalUrl\":\"https://brasa.example/metrics\""},
        {"http://other:9090/metrics", "\"globalUrl\":\"http://other:9090/metrics\""},
    };
    struct web_world *w = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct target_info t;
        add_target(w, &t, rows[i].url);
        const char *body = web_world_get(w, "/api/v1/targets?state=active");
        if (strstr(body, rows[i].global) == NULL) {
            fail_msg("%s: %s", rows[i].url, body);
        }
    }
}

static void metadata_is_grouped_by_name(void **state) {
    struct web_world *w = *state;
    const struct metric_metadata list[] = {
        {STR("b"), STR("gauge"), STR(""), STR("h"), one("job", "x")},
        {STR("a"), STR("counter"), STR("s"), STR("<h>"), one("job", "x")},
        {STR("b"), STR("gauge"), STR(""), STR("h"), one("job", "y")},
        {STR("b"), STR("gauge"), STR(""), STR("other"), one("job", "y")},
    };
    w->metadata = list;
    w->metadata_count = 4;
#define A_MD "{\"type\":\"counter\",\"unit\":\"s\",\"help\":\"\\u003ch\\u003e\"}"
#define B_MD "{\"type\":\"gauge\",\"unit\":\"\",\"help\":\"h\"}"
    check(w, "/api/v1/metadata", 200,
          OK("{\"a\":[" A_MD "],\"b\":[" B_MD
             ",{\"type\":\"gauge\",\"unit\":\"\",\"help\":\"other\"}]}"));
    check(w, "/api/v1/metadata?metric=b&limit_per_metric=1", 200, OK("{\"b\":[" B_MD "]}"));
    check(w, "/api/v1/metadata?limit=0", 200, OK("{}"));
    check(w, "/api/v1/metadata?limit=1", 200, OK("{\"a\":[" A_MD "]}"));
    check(w, "/api/v1/metadata?limit=x", 400, BAD("limit must be a number"));
    check(w, "/api/v1/metadata?limit_per_metric=x", 400, BAD("limit_per_metric must be a number"));
    check(w, "/api/v1/targets/metadata?metric=b&match_target=%7Bjob%3D%22x%22%7D", 200,
          OK("[{\"target\":{\"job\":\"x\"},\"type\":\"gauge\",\"help\":\"h\",\"unit\":\"\"}]"));
    check(w, "/api/v1/targets/metadata?limit=1", 200,
          OK("[{\"target\":{\"job\":\"x\"},\"metric\":\"b\",\"type\":\"gauge\",\"help\":\"h\","
             "\"unit\":\"\"}]"));
}

static void status_pages_answer(void **state) {
    struct web_world *w = *state;
    check(w, "/api/v1/status/config", 200, OK("{\"yaml\":\"global:\\n  a: \\u003cb\\u003e\\n\"}"));
    check(w, "/api/v1/status/flags", 200, OK("{}"));
    const char *body = web_world_get(w, "/api/v1/status/buildinfo");
    assert_non_null(strstr(body, "\"version\":\"3.14.0\""));
    body = web_world_get(w, "/api/v1/status/runtimeinfo");
    assert_non_null(strstr(body, "\"startTime\":\"2015-07-01T20:10:51Z\""));
    assert_non_null(strstr(body, "\"storageRetention\":\"15d\"}"));
    body = web_world_get(w, "/api/v1/status/tsdb?limit=5");
    assert_int_equal(w->out.status, 200);
    assert_non_null(strstr(body, "\"headStats\":{\"numSeries\":0,"));
    assert_non_null(strstr(body, "\"seriesCountByMetricName\":[]"));
    assert_non_null(strstr(body, "\"seriesCountByLabelValuePair\":[]"));
    check(w, "/api/v1/status/tsdb?limit=0", 400, BAD("limit must be a positive number"));
    check(w, "/api/v1/status/tsdb?limit=x", 400, BAD("limit must be a positive number"));
    check(w, "/api/v1/status/tsdb?limit=10001", 400, BAD("limit must not exceed 10000"));
}

static void stats_of_a_failing_disk(struct storage *st, struct storage_stats *out) {
    (void)st;
    *out = (struct storage_stats){.is_failing = true,
                                  .fault_count = 3,
                                  .last_fault_unix_ms = WORLD_UNIX_S * INT64_C(1000),
                                  .last_fault = "writing wal/1: \"no\" space",
                                  .damage_count = 2};
}

static void a_failing_disk_is_told_with_its_last_fault(void **state) {
    struct web_world *w = *state;
    const char *body = web_world_get(w, "/api/v1/status/runtimeinfo");
    assert_non_null(strstr(body, "\"corruptionCount\":0,\"storageReadOnly\":false,"
                                 "\"storageFailing\":false,\"storageFaultCount\":0,"
                                 "\"storageLastFault\":\"\",\"goroutineCount\""));
    static const struct storage_ops ops = {.stats = stats_of_a_failing_disk};
    struct storage failing = {&ops};
    w->web.options.storage = &failing;
    body = web_world_get(w, "/api/v1/status/runtimeinfo");
    assert_non_null(strstr(body, "\"corruptionCount\":2,\"storageReadOnly\":false,"
                                 "\"storageFailing\":true,\"storageFaultCount\":3,"
                                 "\"storageLastFault\":\"writing wal/1: \\\"no\\\" space\","
                                 "\"storageLastFaultTime\":\"2015-07-01T20:10:51Z\","));
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(rules_show_their_groups),
        T(rules_are_filtered),
        T(bad_filters_are_named),
        T(rules_come_in_pages),
        T(sha256_is_the_standards),
        T(alerts_and_alertmanagers_are_listed),
        T(targets_show_what_is_scraped),
        T(loopback_targets_have_a_global_address),
        T(metadata_is_grouped_by_name),
        T(status_pages_answer),
        T(a_failing_disk_is_told_with_its_last_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

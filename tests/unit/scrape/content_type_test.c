/* content_type: what is asked for follows the configuration, what is read follows the answer. */
#include "base/attr.h"
#include "base/buf.h"
#include "scrape/content_type.h"
#include "tests/support/check_err.h"

#define PROTOBUF                                                                                   \
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

static void the_accept_header_names_the_protocols_in_order(void **state) {
    static const struct {
        enum scrape_protocol protocols[5];
        size_t count;
        const char *escaping, *want;
    } cases[] = {
        {{PROTOCOL_OPENMETRICS_1_0_0, PROTOCOL_OPENMETRICS_0_0_1, PROTOCOL_TEXT_1_0_0,
          PROTOCOL_TEXT_0_0_4},
         4,
         "allow-utf-8",
         "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
         "application/openmetrics-text;version=0.0.1;q=0.5,"
         "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
         "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"},
        {{PROTOCOL_TEXT_0_0_4}, 1, "allow-utf-8", "text/plain;version=0.0.4;q=0.6,*/*;q=0.5"},
        {{PROTOCOL_TEXT_1_0_0, PROTOCOL_OPENMETRICS_1_0_0},
         2,
         "underscores",
         "text/plain;version=1.0.0;escaping=underscores;q=0.6,"
         "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.5,*/*;q=0.4"},
        {{PROTOCOL_PROMETHEUS_PROTO, PROTOCOL_OPENMETRICS_1_0_0, PROTOCOL_OPENMETRICS_0_0_1,
          PROTOCOL_TEXT_1_0_0, PROTOCOL_TEXT_0_0_4},
         5,
         "dots",
         PROTOBUF ";q=0.6,"
                  "application/openmetrics-text;version=1.0.0;escaping=dots;q=0.5,"
                  "application/openmetrics-text;version=0.0.1;q=0.4,"
                  "text/plain;version=1.0.0;escaping=dots;q=0.3,"
                  "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"},
        {{PROTOCOL_PROMETHEUS_PROTO}, 1, "values", PROTOBUF ";q=0.6,*/*;q=0.5"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct scrape_config config = {.protocols = cases[i].protocols,
                                             .protocol_count = cases[i].count,
                                             .escaping_scheme = str_of(cases[i].escaping)};
        struct buf got;
        buf_init(&got, 1 << 16);
        accept_header_append(&got, &config, 0);
        assert_string_equal(got.ptr, cases[i].want);
        buf_release(&got);
    }
}

static void start_timestamps_put_protobuf_in_front_of_the_default(void **state) {
    static const enum scrape_protocol text[] = {PROTOCOL_TEXT_0_0_4};
    struct scrape_config config = {.protocols = text,
                                   .protocol_count = 1,
                                   .default_protocols = true,
                                   .escaping_scheme = STR("allow-utf-8")};
    struct buf got;
    (void)state;
    buf_init(&got, 1 << 16);
    accept_header_append(&got, &config, SCRAPE_START_ZERO | SCRAPE_EXEMPLARS);
    assert_string_equal(got.ptr,
                        PROTOBUF ";q=0.6,"
                                 "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;"
                                 "q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
                                 "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
                                 "text/plain;version=0.0.4;q=0.2,*/*;q=0.1");
    buf_clear(&got);
    config.default_protocols = false;
    accept_header_append(&got, &config, SCRAPE_START_STORE);
    assert_string_equal(got.ptr, "text/plain;version=0.0.4;q=0.6,*/*;q=0.5");
    buf_release(&got);
}

#define OPENMETRICS "application/openmetrics-text"
#define NO_FALLBACK " and no fallback_scrape_protocol"

static void the_content_type_chooses_the_format(void **state) {
    static const struct {
        const char *header;
        enum expo_format want;
    } cases[] = {
        {"text/plain", EXPO_FORMAT_TEXT},
        {"text/plain; version=0.0.4; charset=utf-8", EXPO_FORMAT_TEXT},
        {"Text/PLAIN;version=9", EXPO_FORMAT_TEXT},
        {OPENMETRICS, EXPO_FORMAT_OPENMETRICS},
        {OPENMETRICS "; version=1.0.0; charset=utf-8; escaping=underscores",
         EXPO_FORMAT_OPENMETRICS},
        {"APPLICATION/OpenMetrics-Text;version=\"0.0.1\"", EXPO_FORMAT_OPENMETRICS},
        {"application/vnd.google.protobuf", EXPO_FORMAT_PROTOBUF},
        {"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
         "encoding=delimited; escaping=underscores",
         EXPO_FORMAT_PROTOBUF},
        {"application/VND.google.protobuf;proto=x", EXPO_FORMAT_PROTOBUF},
    };
    static const enum scrape_protocol fallbacks[] = {PROTOCOL_NONE, PROTOCOL_TEXT_0_0_4,
                                                     PROTOCOL_OPENMETRICS_1_0_0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t k = 0; k < COUNT_OF(fallbacks); k++) { /* none is needed */
            enum expo_format got = EXPO_FORMAT_TEXT;
            struct err err;
            assert_ok(content_type_select(str_of(cases[i].header), fallbacks[k], &got, &err), &err);
            assert_int_equal(got, cases[i].want);
        }
    }
}

static void the_fallback_is_for_what_names_no_format(void **state) {
    static const char *const headers[] = {"", "/", "text/html",
                                          "text/plain; =", "application/json"};
    static const struct {
        enum scrape_protocol fallback;
        enum expo_format want;
    } cases[] = {{PROTOCOL_TEXT_0_0_4, EXPO_FORMAT_TEXT},
                 {PROTOCOL_TEXT_1_0_0, EXPO_FORMAT_TEXT},
                 {PROTOCOL_OPENMETRICS_0_0_1, EXPO_FORMAT_OPENMETRICS},
                 {PROTOCOL_OPENMETRICS_1_0_0, EXPO_FORMAT_OPENMETRICS},
                 {PROTOCOL_PROMETHEUS_PROTO, EXPO_FORMAT_PROTOBUF}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(headers); i++) {
        for (size_t k = 0; k < COUNT_OF(cases); k++) {
            enum expo_format got = EXPO_FORMAT_TEXT;
            struct err err;
            assert_ok(content_type_select(str_of(headers[i]), cases[k].fallback, &got, &err), &err);
            assert_int_equal(got, cases[k].want);
        }
    }
}

static void what_cannot_be_read_is_refused(void **state) {
    static const struct {
        const char *header;
        enum scrape_protocol fallback;
        enum err_code code;
        const char *text;
    } cases[] = {
        {"", PROTOCOL_NONE, ERR_INVALID,
         "non-compliant scrape target sending blank Content-Type" NO_FALLBACK
         " specified for target"},
        {"/", PROTOCOL_NONE, ERR_INVALID,
         "cannot parse Content-Type \"/\"" NO_FALLBACK " for target\nmime: no media type"},
        {"text/html", PROTOCOL_NONE, ERR_INVALID,
         "received unsupported Content-Type \"text/html\"" NO_FALLBACK " specified for target"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum expo_format got = EXPO_FORMAT_OPENMETRICS;
        struct err err;
        assert_err(content_type_select(str_of(cases[i].header), cases[i].fallback, &got, &err),
                   cases[i].code, cases[i].text, &err);
        assert_int_equal(got, EXPO_FORMAT_OPENMETRICS); /* untouched */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_accept_header_names_the_protocols_in_order),
        cmocka_unit_test(start_timestamps_put_protobuf_in_front_of_the_default),
        cmocka_unit_test(the_content_type_chooses_the_format),
        cmocka_unit_test(the_fallback_is_for_what_names_no_format),
        cmocka_unit_test(what_cannot_be_read_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

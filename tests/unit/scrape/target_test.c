/* target: labels, URL and identity of targets, as a table of inputs and results. */
#include <string.h>

#include "base/attr.h"
#include "base/mem.h"
#include "scrape/target.h"
#include "tests/support/check_err.h"

struct fixture {
    struct arena arena;
    struct scrape_config config;
};

static int setup(void **state) {
    struct fixture *const f = mem_zalloc(sizeof(*f));
    arena_init(&f->arena, 0);
    f->config = (struct scrape_config){.job_name = STR("node"),
                                       .interval_ms = 15000,
                                       .timeout_ms = 10000,
                                       .metrics_path = STR("/metrics"),
                                       .scheme = STR("http")};
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *const f = *state;
    arena_release(&f->arena);
    mem_free(f);
    return 0;
}

/* "a=1 b=2" */
static struct labels parse_labels(struct fixture *f, const char *text) {
    struct labels_builder b;
    struct labels labels;
    struct err err;
    struct str rest = str_of(text);
    labels_builder_init(&b, &f->arena);
    while (rest.len > 0) {
        const ptrdiff_t blank = str_find_char(rest, ' ');
        const struct str pair = blank < 0 ? rest : str_sub(rest, 0, (size_t)blank);
        const size_t equal = (size_t)str_find_char(pair, '=');
        labels_builder_set(&b, str_sub(pair, 0, equal), str_from(pair, equal + 1));
        rest = blank < 0 ? STR("") : str_from(rest, (size_t)blank + 1);
    }
    assert_ok(labels_builder_finish(&b, &labels, &err), &err);
    return labels;
}

static struct target *make(struct fixture *f, const char *own, const char *group) {
    struct target *target = NULL;
    bool dropped = true;
    struct err err;
    assert_ok(target_new(&f->config, parse_labels(f, own), parse_labels(f, group), &f->arena,
                         &target, &dropped, &err),
              &err);
    assert_false(dropped);
    return target;
}

static void check_labels(struct labels labels, const char *want) {
    struct buf text;
    buf_init(&text, 1 << 16);
    labels_format(&text, labels);
    assert_string_equal(text.ptr, want);
    buf_release(&text);
}

static void labels_of_target_and_group_are_merged_and_completed(void **state) {
    struct fixture *const f = *state;
    struct target *const t =
        make(f, "__address__=h:9100 env=own __meta_x=1", "env=group zone=z __tmp=2");
    check_labels(t->labels, "{env=\"own\", instance=\"h:9100\", job=\"node\", zone=\"z\"}");
    check_labels(t->discovered,
                 "{__address__=\"h:9100\", __always_scrape_classic_histograms__=\"false\", "
                 "__convert_classic_histograms_to_nhcb__=\"false\", __meta_x=\"1\", "
                 "__metrics_path__=\"/metrics\", __scheme__=\"http\", "
                 "__scrape_interval__=\"15s\", __scrape_native_histograms__=\"false\", "
                 "__scrape_timeout__=\"10s\", __tmp=\"2\", env=\"own\", job=\"node\", "
                 "zone=\"z\"}");
    assert_false(labels_has(t->all, STR("__meta_x")));
    assert_str(labels_get(t->all, STR("__tmp")), "2");
    assert_int_equal(t->interval_ms, 15000);
    assert_int_equal(t->timeout_ms, 10000);
    assert_str(t->url, "http://h:9100/metrics");
    target_unref(t);
}

static void urls_are_built_and_escaped(void **state) {
    struct fixture *const f = *state;
    static const struct str module[] = {STR_INIT("icmp"), STR_INIT("tcp")};
    static const struct str target[] = {STR_INIT("a b")};
    static const struct scrape_param params[] = {{STR_INIT("module"), module, 2},
                                                 {STR_INIT("target"), target, 1}};
    static const struct {
        const char *labels, *url;
        bool params;
    } cases[] = {
        {"__address__=h", "http://h/metrics", false},
        {"__address__=[::1]:80 __scheme__=https", "https://[::1]:80/metrics", false},
        {"__address__=h __metrics_path__=x/y", "http://h/x/y", false},
        {"__address__=h __metrics_path__=/a?b", "http://h/a%3Fb", false},
        {"__address__=h:1", "http://h:1/metrics?module=icmp&module=tcp&target=a+b", true},
        {"__address__=h:1 __param_module=http __param_zz=& __param_aa=1",
         "http://h:1/metrics?aa=1&module=http&module=tcp&target=a+b&zz=%26", true},
        {"__address__=u@h", "http://u%40h/metrics", false},
        {"__address__=h\r\nX:1", "http://h%0D%0AX:1/metrics", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        f->config.params = params;
        f->config.param_count = cases[i].params ? 2 : 0;
        struct target *const t = make(f, cases[i].labels, "");
        assert_str(t->url, cases[i].url);
        target_unref(t);
    }
}

static void bad_targets_are_refused_with_their_text(void **state) {
    struct fixture *const f = *state;
    static const struct {
        const char *labels, *text;
    } cases[] = {
        {"a=b", "no address"},
        {"__address__=h/x", "\"h/x\" is not a valid hostname"},
        {"__address__=h __scrape_interval__=x", "error parsing scrape interval: "},
        {"__address__=h __scrape_interval__=0s", "scrape interval cannot be 0"},
        {"__address__=h __scrape_timeout__=y", "error parsing scrape timeout: "},
        {"__address__=h __scrape_timeout__=0s", "scrape timeout cannot be 0"},
        {"__address__=h __scrape_timeout__=20s",
         "scrape timeout cannot be greater than scrape interval (\"20s\" > \"15s\")"},
        {"__address__=h __scrape_native_histograms__=yes",
         "error parsing scrape native histograms: strconv.ParseBool: parsing \"yes\": invalid "
         "syntax"},
        {"__address__=h l=\xff", "invalid label value for \"l\": \"\\xff\""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct target *target = NULL;
        bool dropped = false;
        struct err err;
        assert_err(target_new(&f->config, parse_labels(f, cases[i].labels),
                              (struct labels){NULL, 0}, &f->arena, &target, &dropped, &err),
                   ERR_INVALID, cases[i].text, &err);
    }
}

static void identity_is_of_all_labels_and_the_url(void **state) {
    struct fixture *const f = *state;
    struct target *const a = make(f, "__address__=h x=1 __meta_y=1", "");
    struct target *const b = make(f, "__address__=h x=1 __meta_y=2", "");
    struct target *const c = make(f, "__address__=h x=1 __tmp=2", "");
    struct target *const d = make(f, "__address__=h x=1 __param_p=2", "");
    assert_true(a->hash == b->hash);
    assert_true(a->hash != c->hash);
    assert_true(a->hash != d->hash && c->hash != d->hash);
    target_unref(a);
    target_unref(b);
    target_unref(c);
    target_unref(d);
}

static void labels_choose_the_histograms_over_the_configuration(void **state) {
    struct fixture *const f = *state;
    static const struct {
        const char *labels;
        bool native, classic_too, convert;
    } cases[] = {
        {"__address__=h", false, true, false},
        {"__address__=h __scrape_native_histograms__=t __always_scrape_classic_histograms__=F "
         "__convert_classic_histograms_to_nhcb__=1",
         true, false, true},
        {"__address__=h __scrape_native_histograms__=TRUE "
         "__always_scrape_classic_histograms__=true __convert_classic_histograms_to_nhcb__=0",
         true, true, false},
    };
    f->config.always_classic_histograms = true;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct target *const t = make(f, cases[i].labels, "");
        assert_true(t->histograms.native == cases[i].native);
        assert_true(t->histograms.classic_too == cases[i].classic_too);
        assert_true(t->histograms.convert == cases[i].convert);
        target_unref(t);
    }
}

static void offsets_are_stable_within_the_interval(void **state) {
    struct fixture *const f = *state;
    struct target *const t = make(f, "__address__=h", "");
    const uint64_t seed = target_offset_seed(STR("host.example"), (struct labels){NULL, 0});
    const int64_t interval = 15000 * INT64_C(1000000);
    const int64_t now = INT64_C(1700000000123456789);
    const int64_t first = target_offset_ns(t, 15000, seed, now);
    assert_true(first > 0 && first <= interval);
    /* The same point of the interval, whenever it is asked for. */
    for (int64_t later = 1; later < 40; later++) {
        const int64_t at = now + later * 777777777;
        const int64_t offset = target_offset_ns(t, 15000, seed, at);
        assert_true(offset > 0 && offset <= interval);
        assert_int_equal((at + offset) % interval, (now + first) % interval);
    }
    assert_int_equal((now + first) % interval, (int64_t)((t->hash ^ seed) % (uint64_t)interval));
    target_unref(t);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(labels_of_target_and_group_are_merged_and_completed),
        CASE(urls_are_built_and_escaped),
        CASE(bad_targets_are_refused_with_their_text),
        CASE(identity_is_of_all_labels_and_the_url),
        CASE(labels_choose_the_histograms_over_the_configuration),
        CASE(offsets_are_stable_within_the_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

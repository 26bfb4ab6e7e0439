/* Templates: the expected texts of the language itself are what Go 1.26's text/template printed
 * for the same input; those of Prometheus' functions come from the specification. */
#include <stdio.h>

#include "alert/template.h"
#include "tests/support/check_err.h"

struct world {
    struct arena arena;
    struct template_data data;
};

static enum err_code fake_query(void *ctx, struct str expr, int64_t ts_ms, struct arena *arena,
                                struct template_sample **out, size_t *out_count, struct err *err) {
    (void)ctx;
    if (str_eq(expr, STR("bad"))) {
        return err_set(err, ERR_EXECUTION, "query went wrong");
    }
    const size_t count = str_eq(expr, STR("none")) ? 0 : 2;
    struct template_sample *s = arena_zalloc(arena, 2 * sizeof(*s));
    const struct label b[] = {{STR("name"), STR("b")}, {STR("__value__"), STR("x")}};
    const struct label a[] = {{STR("name"), STR("a")}};
    s[0] = (struct template_sample){labels_of(arena, b, 2), 2};
    s[1] = (struct template_sample){labels_of(arena, a, 1), (double)ts_ms};
    *out = s;
    *out_count = count;
    return ERR_OK;
}

static int make_world(void **state) {
    static struct world w;
    arena_init(&w.arena, 0);
    const struct label labels[] = {{STR("__name__"), STR("m")},
                                   {STR("instance"), STR("host.example:9100")},
                                   {STR("job"), STR("node")}};
    const struct label external[] = {{STR("site"), STR("lab")}};
    w.data = (struct template_data){
        .labels = labels_of(&w.arena, labels, 3),
        .external_labels = labels_of(&w.arena, external, 1),
        .external_url = STR("http://brasa.example:9090/prefix"),
        .value = 1234567.5,
        .ts_ms = 1500000000123,
        .query = fake_query,
    };
    *state = &w;
    return 0;
}

static int free_world(void **state) {
    struct world *w = *state;
    arena_release(&w->arena);
    return 0;
}

static enum err_code expand(struct world *w, const char *text, struct str *out, struct err *err) {
    struct template *t = NULL;
    const enum err_code code = template_parse(&w->arena, STR("__alert_X"), str_of(text), &t, err);
    return code != ERR_OK ? code : template_expand(t, &w->data, &w->arena, out, err);
}

struct pair {
    const char *text, *want;
};

static void check_all(struct world *w, const struct pair *pairs, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct err err;
        struct str got;
        if (expand(w, pairs[i].text, &got, &err) != ERR_OK) {
            fail_msg("%s: %s", pairs[i].text, err.text);
        }
        if (!str_eq(got, str_of(pairs[i].want))) {
            fail_msg("%s: got \"%.*s\", want \"%s\"", pairs[i].text, STR_ARG(got), pairs[i].want);
        }
    }
}

static void the_language_is_gos(void **state) {
    static const struct pair pairs[] = {
        {"plain { text }", "plain { text }"},
        {"{{ $labels.job }} is at {{ $value }}", "node is at 1.2345675e+06"},
        {"{{ .Labels.instance }} {{ .ExternalLabels.site }} {{ .ExternalURL }} {{ .Value }}",
         "host.example:9100 lab http://brasa.example:9090/prefix 1.2345675e+06"},
        {"{{ $externalLabels.site }}{{ $externalURL }}", "labhttp://brasa.example:9090/prefix"},
        {"[{{ $labels.missing }}]", "[]"},
        {"{{ index $labels \"job\" }}", "node"},
        {"{{- 3 -}} x", "3x"},
        {"a {{- /* c */ -}} b", "ab"},
        {"{{/* c */}}y", "y"},
        {"{{ not 1 }} {{ and 1 0 2 }} {{ or 0 \"\" 3 }} {{ and 1 2 }}", "false 0 3 2"},
        {"{{ $m := $labels }}{{ $m.job }}{{ $m = 3 }}{{$m}}", "node3"},
        {"{{ slice \"abc\" 1 2 }}", "b"},
        {"{{ html \"<a>\" }} {{ js \"'x\" }} {{ urlquery \"a b\" }}", "&lt;a&gt; \\'x a+b"},
        {"{{ print 1 2 \"a\" \"b\" 3 }} {{println \"x\"}}", "1 2ab3 x\n"},
        {"{{ \"a\" | printf \"%s-%s\" \"b\" }}", "b-a"},
        {"{{ 0x10 }} {{ 1e3 }} {{ 'a' }} {{ 1_000 }} {{ -3 }} {{ +4 }} {{ `r\\n` }}",
         "16 1000 97 1000 -3 4 r\\n"},
        {"{{ true }} {{ len \"abc\" }} {{ len $labels }}", "true 3 3"},
        {"{{ if gt $value 100.0 }}high{{ else if gt $value 10.0 }}mid{{ else }}low{{ end }}",
         "high"},
        {"{{ if eq $labels.job \"x\" \"node\" }}yes{{ end }}", "yes"},
        {"{{ with $labels.missing }}A{{ else with $labels.job }}B{{ . }}{{ else }}C{{ end }}",
         "Bnode"},
        {"{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}",
         "__name__=m;instance=host.example:9100;job=node;"},
        {"{{ range query \"two\" }}{{ .Labels.name }}:{{ .Value }} {{ end }}",
         "b:2 a:1.500000000123e+12 "},
        {"{{ range query \"none\" }}x{{ else }}empty{{ end }}", "empty"},
        {"{{ range $i, $s := query \"two\" }}{{ if $i }}{{ break }}{{ end }}{{ $i }}{{ end }}",
         "0"},
        {"{{ range query \"two\" }}{{ if eq .Value 2.0 }}{{ continue }}{{ end }}{{ .Labels.name "
         "}}{{ end }}",
         "a"},
        {"{{ define \"t\" }}<{{ . }}>{{ end }}{{ template \"t\" $labels.job }}", "<node>"},
        {"{{ block \"b\" 5 }}[{{ . }}]{{ end }}", "[5]"},
        {"{{ printf \"%g %v %.3g %e %f\" 1234567.0 1234567.0 1234567.0 1.5 1.5 }}",
         "1.234567e+06 1.234567e+06 1.23e+06 1.500000e+00 1.500000"},
        {"{{ printf \"%6.2f|%-8s|%08.3f|%+d|%x|%q\" 3.14159 \"ab\" 3.14159 5 255 \"a\\\"b\" }}",
         "  3.14|ab      |0003.142|+5|ff|\"a\\\"b\""},
        {"{{ printf \"%d%%\" 5 }} {{ printf \"%s\" 5 }} {{ printf \"%d\" }} {{ printf \"x\" 1 }}",
         "5% %!s(int=5) %!d(MISSING) x%!(EXTRA int=1)"},
        {"{{ (index (query \"two\") 0).Labels.name }}", "b"},
        {"{{ $labels }}", "map[__name__:m instance:host.example:9100 job:node]"},
    };
    check_all(*state, pairs, COUNT_OF(pairs));
}

static void prometheus_functions_follow_the_specification(void **state) {
    static const struct pair pairs[] = {
        {"{{ humanize 0.0 }} {{ humanize 1234567.0 }} {{ humanize 0.00001234 }} {{ humanize "
         "\"-25000\" }} {{ humanize 1 }}",
         "0 1.235M 12.34u -25k 1"},
        {"{{ humanize1024 0.5 }} {{ humanize1024 1048576.0 }} {{ humanize1024 1536.0 }}",
         "0.5 1Mi 1.5ki"},
        {"{{ humanizeDuration 0 }} {{ humanizeDuration 93784 }} {{ humanizeDuration 3661 }} {{ "
         "humanizeDuration 61.5 }} {{ humanizeDuration 1.5 }} "
         "{{ humanizeDuration 0.0015 }} {{ humanizeDuration -3600 }}",
         "0s 1d 2h 3m 4s 1h 1m 1s 1m 1s 1.5s 1.5ms -1h 0m 0s"},
        {"{{ humanizePercentage 0.1234567 }} {{ humanizePercentage 1 }}", "12.35% 100%"},
        {"{{ humanizeTimestamp 1435065584.128 }} {{ humanizeTimestamp 1435065584 }}",
         "2015-06-23 13:19:44.128 +0000 UTC 2015-06-23 13:19:44 +0000 UTC"},
        {"{{ 0 | toTime }} {{ toDuration 3723.5 }}", "1970-01-01 00:00:00 +0000 UTC 1h2m3.5s"},
        {"{{ now }}", "1.500000000123e+09"},
        {"{{ query \"two\" | first | label \"name\" }} {{ query \"two\" | first | value }} {{ "
         "query \"two\" | first | strvalue }}",
         "b 2 x"},
        {"{{ range query \"two\" | sortByLabel \"name\" }}{{ .Labels.name }}{{ end }}", "ab"},
        {"{{ title \"aa bB cc\" }} {{ toUpper \"aB\" }} {{ toLower \"aB\" }}", "Aa BB Cc AB ab"},
        {"{{ match \"a+\" \"caat\" }} {{ reReplaceAll \"(a)b\" \"x$1\" \"ab ab\" }}", "true xa xa"},
        {"{{ stripPort \"host:1\" }} {{ stripPort \"[::1]:2\" }} {{ stripPort \"::1\" }} {{ "
         "stripPort \"host\" }}",
         "host ::1 ::1 host"},
        {"{{ stripDomain \"a.b.c:9\" }} {{ stripDomain \"1.2.3.4:5\" }} {{ stripDomain \"a.b\" }}",
         "a:9 1.2.3.4:5 a"},
        {"{{ graphLink \"up == 0\" }} {{ tableLink \"x\" }}",
         "/graph?g0.expr=up+%3D%3D+0&g0.tab=0 /graph?g0.expr=x&g0.tab=1"},
        {"{{ (args 1 \"b\").arg1 }} {{ pathPrefix }} {{ externalURL }}",
         "b /prefix http://brasa.example:9090/prefix"},
        {"{{ parseDuration \"1h30m\" }} {{ parseDuration \"-5m\" }} {{ urlQueryEscape \"a&b\" }} "
         "{{ safeHtml \"<b>\" }}",
         "5400 -300 a%26b <b>"},
    };
    check_all(*state, pairs, COUNT_OF(pairs));
}

static void parse_errors_read_as_gos(void **state) {
    static const struct pair pairs[] = {
        {"{{ foo }}", "function \"foo\" not defined"},
        {"{{ $x }}", "undefined variable \"$x\""},
        {"{{ if }}{{end}}", "missing value for if"},
        {"{{end}}", "unexpected {{end}}"},
        {"{{else}}", "unexpected {{else}}"},
        {"{{ 1 | 2 }}", "non executable command in pipeline stage 2"},
        {"{{", "unclosed action"},
        {"{{ \"abc }}", "unterminated quoted string"},
        {"{{ @ }}", "unexpected \"@\" in command"},
        {"{{ if true }}", "unexpected EOF"},
        {"{{ (1 }}", "unclosed left paren"},
        {"{{ 1a }}", "bad number syntax: \"1a\""},
        {"{{ break }}", "{{break}} outside {{range}}"},
        {"{{ /* c */ }}y", "unexpected \"/\" in command"},
        {"{{/* never", "unclosed comment"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        char want[256];
        (void)snprintf(want, sizeof(want),
                       "error parsing template __alert_X: template: __alert_X:1: %s",
                       pairs[i].want);
        struct str got;
        struct err err;
        assert_err(expand(w, pairs[i].text, &got, &err), ERR_INVALID, want, &err);
    }
}

static void execution_errors_name_the_place(void **state) {
    static const struct pair pairs[] = {
        {"{{ .Foo }}", "at <.Foo>: can't evaluate field Foo in type"},
        {"a\nb{{ .Zed }}",
         "template: __alert_X:2:4: executing \"__alert_X\" at <.Zed>: can't evaluate field Zed"},
        {"{{ printf }}", "at <printf>: wrong number of args for printf: want at least 1 got 0"},
        {"{{ len 3 }}", "at <len 3>: error calling len: len of type int"},
        {"{{ template \"x\" }}", "template \"x\" not defined"},
        {"{{ nil }}", "at <nil>: nil is not a command"},
        {"{{ eq 1 1.0 }}",
         "at <eq 1 1.0>: error calling eq: incompatible types for comparison: int and float64"},
        {"{{ lt 1 }}", "at <lt>: wrong number of args for lt: want 2 got 1"},
        {"{{ 1 2 }}", "at <1>: can't give argument to non-function 1"},
        {"{{ query \"bad\" }}", "error calling query: query went wrong"},
        {"{{ query \"none\" | first }}", "first() called on vector with no elements"},
        {"{{ humanize \"x\" }}", "strconv.ParseFloat: parsing \"x\": invalid syntax"},
        {"{{ toDuration 1 | humanize }}", "can't convert *time.Duration to float"},
        {"{{ match \"(\" \"x\" }}", "error parsing regexp"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        struct str got;
        struct err err;
        assert_err(expand(w, pairs[i].text, &got, &err), ERR_INVALID, pairs[i].want, &err);
    }
}

static void endless_templates_are_stopped(void **state) {
    struct world *w = *state;
    struct str got;
    struct err err;
    assert_err(expand(w, "{{ define \"t\" }}{{ template \"t\" . }}{{ end }}{{ template \"t\" . }}",
                      &got, &err),
               ERR_INVALID, "template", &err);
    assert_err(expand(w, "{{ range $x := 9000000000 }}{{ end }}", &got, &err), ERR_INVALID, "steps",
               &err);
    assert_err(expand(w,
                      "{{ printf \"%1000s\" \"x\" | printf \"%[1]s%s\" }}{{ range 5000 }}{{ printf "
                      "\"%1000d\" . }}{{ end }}",
                      &got, &err),
               ERR_INVALID, "output is larger", &err);
    assert_err(
        expand(w,
               "{{ $x := \"0123456789\" }}{{ range 900000 }}{{ if lt (len $x) 500000 }}{{ $x = "
               "print $x $x }}{{ else }}{{ $y := print $x \"y\" }}{{ end }}{{ end }}",
               &got, &err),
        ERR_INVALID, "bytes", &err);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_language_is_gos, make_world, free_world),
        cmocka_unit_test_setup_teardown(prometheus_functions_follow_the_specification, make_world,
                                        free_world),
        cmocka_unit_test_setup_teardown(parse_errors_read_as_gos, make_world, free_world),
        cmocka_unit_test_setup_teardown(execution_errors_name_the_place, make_world, free_world),
        cmocka_unit_test_setup_teardown(endless_templates_are_stopped, make_world, free_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

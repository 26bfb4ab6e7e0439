#include "query/script/promqltest.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/duration.h"
#include "base/histogram_text.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/regex.h"
#include "base/value.h"
#include "query/query.h"
#include "query/script/fake_storage.h"
#include "query/script/promqltest_nhcb.h"
#include "query/script/promqltest_sequence.h"

/* Splits "metric{...} values" behind the metric. */
static struct str take_metric(struct str *line) {
    bool inside = false;
    char quote = 0;
    size_t n = 0;
    for (; n < line->len; n++) {
        const char c = line->ptr[n];
        if (quote != 0) {
            if (c == '\\' && quote != '`') {
                n++;
            } else if (c == quote) {
                quote = 0;
            }
        } else if (c == '"' || c == '\'' || c == '`') {
            quote = c;
        } else if (c == '{') {
            inside = true;
        } else if (c == '}') {
            inside = false;
        } else if (!inside && (c == ' ' || c == '\t')) {
            break;
        }
    }
    const struct str metric = str_sub(*line, 0, n);
    *line = str_trim(str_from(*line, n));
    return metric;
}

/* ---- the runner ---- */

enum { EXPECT_MAX = 8 };

struct expect_text {
    bool any, regex;
    struct str text;
};

struct expectation {
    struct labels labels;
    struct point *points;
    size_t count;
};

struct eval_command {
    struct str query;
    int64_t start_ms, end_ms, step_ms; /* step 0: instant */
    bool fail, ordered, no_warn, no_info;
    bool some_warn, some_info; /* deprecated forms: at least one */
    struct expect_text fails[EXPECT_MAX], warns[EXPECT_MAX], infos[EXPECT_MAX];
    size_t fail_count, warn_count, info_count;
    bool has_scalar, has_string, range_vector;
    double scalar;
    struct str string;
    int64_t range_from_ms, range_step_ms;
    struct expectation *series;
    size_t series_count, series_capacity;
};

struct runner {
    const char *name;
    bool verbose;
    struct str script;
    size_t at;
    size_t line_number;
    struct query_engine *engine;
    struct fake_storage *fs;
    struct promqltest_store *store; /* or NULL */
    struct storage *filled;         /* by the store; NULL: not since the last load */
    struct arena arena;             /* of the command at hand */
    struct sequence values;
    struct sequence starts; /* of the series line that follows */
    struct promqltest_report *report;
};

static void complain(struct runner *r, const struct eval_command *e, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
static void complain(struct runner *r, const struct eval_command *e, const char *fmt, ...) {
    if (!r->verbose) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    (void)fprintf(stderr, "%s:%zu: ", r->name, r->line_number);
    (void)vfprintf(stderr, fmt, args);
    const struct str query = e != NULL ? e->query : STR("");
    (void)fprintf(stderr, "\n    %.*s\n", STR_ARG(query));
    va_end(args);
}

static bool next_line(struct runner *r, struct str *out) {
    if (r->at >= r->script.len) {
        return false;
    }
    const struct str rest = str_from(r->script, r->at);
    const ptrdiff_t end = str_find_char(rest, '\n');
    const size_t n = end < 0 ? rest.len : (size_t)end;
    *out = str_trim(str_sub(rest, 0, n));
    if (out->len > 0 && out->ptr[0] == '#') {
        *out = STR("");
    }
    r->at += n + 1;
    r->line_number++;
    return true;
}

/* The next line of a block; false (and the line is consumed) at its end. */
static bool next_block_line(struct runner *r, struct str *out) {
    return next_line(r, out) && out->len > 0;
}

static struct str next_word(struct str *line) {
    size_t n = 0;
    while (n < line->len && line->ptr[n] != ' ' && line->ptr[n] != '\t') {
        n++;
    }
    const struct str word = str_sub(*line, 0, n);
    *line = str_trim(str_from(*line, n));
    return word;
}

static bool take_duration(struct str *line, int64_t *out_ms) {
    const struct str word = next_word(line);
    if (str_eq(word, STR("0"))) {
        *out_ms = 0;
        return true;
    }
    return duration_parse_ms(word, out_ms, NULL) == ERR_OK;
}

/* ---- load ---- */

static void put_points(struct runner *r, struct labels labels, int64_t step_ms) {
    for (size_t i = 0; i < r->values.count; i++) {
        const struct point p = r->values.points[i];
        if (p.kind == POINT_NONE) {
            continue;
        }
        const int64_t ts_ms = (int64_t)i * step_ms;
        const bool started = i < r->starts.count && r->starts.points[i].kind != POINT_NONE;
        const int64_t start_ms = started ? ts_ms + (int64_t)r->starts.points[i].value : 0;
        if (p.kind == POINT_HISTOGRAM) {
            fake_storage_put_histogram(r->fs, labels, ts_ms, p.histogram, start_ms);
        } else {
            fake_storage_put_started(r->fs, labels, ts_ms, p.value, start_ms);
        }
    }
}

static bool load_line(struct runner *r, struct nhcb *nhcb, int64_t step_ms, struct str line) {
    struct err err;
    struct labels labels;
    struct str metric = take_metric(&line);
    if (str_ends(metric, STR("@st"))) {
        return sequence_parse_starts(line, &r->starts);
    }
    if (query_parse_metric(&r->arena, metric, &labels, &err) != ERR_OK ||
        !sequence_parse(&r->arena, line, &r->values) ||
        (r->starts.count != 0 && r->starts.count != r->values.count)) {
        complain(r, NULL, "bad series line: %.*s", STR_ARG(metric));
        return false;
    }
    put_points(r, labels, step_ms);
    r->starts.count = 0;
    return nhcb == NULL || nhcb_add(nhcb, labels, &r->values);
}

static void run_load(struct runner *r, struct str line) {
    const struct str command = next_word(&line);
    const bool derive = str_eq(command, STR("load_with_nhcb"));
    int64_t step_ms = 0;
    if (!take_duration(&line, &step_ms)) {
        complain(r, NULL, "bad load");
        r->report->failed++;
        return;
    }
    struct nhcb *nhcb = derive ? nhcb_new(&r->arena) : NULL;
    r->starts.count = 0;
    while (next_block_line(r, &line)) {
        if (!load_line(r, nhcb, step_ms, line)) {
            complain(r, NULL, "bad line in load: %.*s", STR_ARG(line));
            r->report->failed++;
        }
    }
    r->filled = NULL;
    if (derive && !nhcb_put(nhcb, r->fs, step_ms)) {
        complain(r, NULL, "classic histograms that do not fit together");
        r->report->failed++;
    }
}

/* ---- reading an eval ---- */

static void add_expect_text(struct str rest, struct expect_text list[EXPECT_MAX], size_t *count) {
    struct expect_text text = {.any = rest.len == 0};
    if (str_starts(rest, STR("msg:"))) {
        text.text = str_trim(str_from(rest, 4));
    } else if (str_starts(rest, STR("regex:"))) {
        text.regex = true;
        text.text = str_trim(str_from(rest, 6));
    }
    if (*count < EXPECT_MAX) {
        list[(*count)++] = text;
    }
}

static bool read_expect(struct eval_command *e, struct str line) {
    const struct str what = next_word(&line);
    if (str_eq(what, STR("fail"))) {
        e->fail = true;
        add_expect_text(line, e->fails, &e->fail_count);
    } else if (str_eq(what, STR("warn"))) {
        add_expect_text(line, e->warns, &e->warn_count);
    } else if (str_eq(what, STR("info"))) {
        add_expect_text(line, e->infos, &e->info_count);
    } else if (str_eq(what, STR("no_warn"))) {
        e->no_warn = true;
    } else if (str_eq(what, STR("no_info"))) {
        e->no_info = true;
    } else if (str_eq(what, STR("ordered"))) {
        e->ordered = true;
    } else if (str_eq(what, STR("string"))) {
        e->has_string = true;
        e->string = line.len >= 2 ? str_sub(line, 1, line.len - 2) : line;
    } else if (str_eq(what, STR("range"))) {
        int64_t to_ms = 0;
        (void)next_word(&line); /* vector */
        (void)next_word(&line); /* from */
        e->range_vector = take_duration(&line, &e->range_from_ms);
        (void)next_word(&line); /* to */
        e->range_vector = e->range_vector && take_duration(&line, &to_ms);
        (void)next_word(&line); /* step */
        e->start_ms = to_ms;
        return e->range_vector && take_duration(&line, &e->range_step_ms);
    } else {
        return false;
    }
    return true;
}

static bool read_series(struct runner *r, struct eval_command *e, struct str line) {
    struct err err;
    struct expectation x = {0};
    const struct str metric = take_metric(&line);
    if (query_parse_metric(&r->arena, metric, &x.labels, &err) != ERR_OK ||
        !sequence_parse(&r->arena, line, &r->values)) {
        return false;
    }
    x.count = r->values.count;
    x.points = arena_alloc(&r->arena, x.count * sizeof(*x.points) + 1);
    if (x.count > 0) {
        memcpy(x.points, r->values.points, x.count * sizeof(*x.points));
    }
    if (e->series_count == e->series_capacity) {
        e->series_capacity = mem_grow(e->series_capacity, e->series_count + 1);
        e->series = mem_resize(e->series, e->series_capacity, sizeof(*e->series));
    }
    e->series[e->series_count++] = x;
    return true;
}

static bool read_eval_lines(struct runner *r, struct eval_command *e) {
    struct str line;
    while (next_block_line(r, &line)) {
        struct str rest = line;
        double scalar = 0;
        if (sequence_take_number(&rest, &scalar) && rest.len == 0) {
            e->has_scalar = true;
            e->scalar = scalar;
            return true;
        }
        rest = line;
        const struct str word = next_word(&rest);
        if (str_eq(word, STR("expected_fail_message"))) {
            e->fails[e->fail_count++] = (struct expect_text){.text = rest};
            return true;
        }
        if (str_eq(word, STR("expected_fail_regexp"))) {
            e->fails[e->fail_count++] = (struct expect_text){.text = rest, .regex = true};
            return true;
        }
        if (str_eq(word, STR("expect")) ? !read_expect(e, rest) : !read_series(r, e, line)) {
            complain(r, e, "bad line: %.*s", STR_ARG(line));
            return false;
        }
    }
    return true;
}

static bool read_eval_head(struct eval_command *e, struct str line) {
    const struct str command = next_word(&line);
    e->fail = str_eq(command, STR("eval_fail"));
    e->some_warn = str_eq(command, STR("eval_warn"));
    e->some_info = str_eq(command, STR("eval_info"));
    e->ordered = str_eq(command, STR("eval_ordered"));
    const struct str kind = next_word(&line);
    (void)next_word(&line); /* at, from */
    bool ok = take_duration(&line, &e->start_ms);
    e->end_ms = e->start_ms;
    if (str_eq(kind, STR("range"))) {
        (void)next_word(&line); /* to */
        ok = ok && take_duration(&line, &e->end_ms);
        (void)next_word(&line); /* step */
        ok = ok && take_duration(&line, &e->step_ms);
    }
    e->query = line;
    return ok && line.len > 0;
}

/* ---- comparing ---- */

static bool almost_equal(double a, double b) {
    const double epsilon = 1e-6;
    if (f64_is_stale(a) || f64_is_stale(b)) {
        return f64_same_bits(a, b);
    }
    if (a == b || (isnan(a) && isnan(b))) {
        return true;
    }
    const double sum = fabs(a) + fabs(b);
    const double difference = fabs(a - b);
    if (a == 0 || b == 0 || sum < DBL_MIN) {
        return difference < epsilon * DBL_MIN;
    }
    return difference / fmin(sum, DBL_MAX) < epsilon;
}

static bool side_matches(const struct histogram_side *a, const struct histogram_side *b) {
    if (a->count != b->count) {
        return false;
    }
    struct histogram_cursor at_a = histogram_cursor_of(a);
    struct histogram_cursor at_b = histogram_cursor_of(b);
    int32_t index_a = 0;
    int32_t index_b = 0;
    double count_a = 0;
    double count_b = 0;
    while (histogram_cursor_next(&at_a, &index_a, &count_a) &&
           histogram_cursor_next(&at_b, &index_b, &count_b)) {
        if (index_a != index_b || !almost_equal(count_a, count_b)) {
            return false;
        }
    }
    return true;
}

static bool histogram_matches(struct arena *arena, const struct point *want,
                              const struct histogram *got) {
    const struct histogram *a = histogram_compact(arena, want->histogram);
    const struct histogram *b = histogram_compact(arena, got);
    return a != NULL && b != NULL && a->schema == b->schema && almost_equal(a->count, b->count) &&
           almost_equal(a->sum, b->sum) && a->zero_threshold == b->zero_threshold &&
           almost_equal(a->zero_count, b->zero_count) && histogram_same_bounds(a, b) &&
           (!want->hint_given || a->hint == b->hint) && side_matches(&a->positive, &b->positive) &&
           side_matches(&a->negative, &b->negative);
}

static bool point_matches(struct runner *r, const struct point *want,
                          const struct result_series *got, size_t k) {
    const struct histogram *h = got->histograms != NULL ? got->histograms[k] : NULL;
    if (want->kind == POINT_HISTOGRAM) {
        return h != NULL && histogram_matches(&r->arena, want, h);
    }
    return h == NULL && almost_equal(got->values[k], want->value);
}

/* What was wanted and what came, as text. */
static void complain_point(struct runner *r, const struct eval_command *e, const char *where,
                           int64_t ts_ms, const struct point *want, const struct result_series *got,
                           size_t k) {
    struct buf texts[2];
    buf_init(&texts[0], 65536);
    buf_init(&texts[1], 65536);
    if (want->kind == POINT_HISTOGRAM) {
        histogram_format_expression(&texts[0], want->histogram);
    } else {
        buf_append_number_g(&texts[0], want->value);
    }
    if (got == NULL || k >= got->count) {
        buf_append_cstr(&texts[1], "nothing");
    } else if (got->histograms != NULL && got->histograms[k] != NULL) {
        histogram_format_expression(&texts[1], got->histograms[k]);
    } else {
        buf_append_number_g(&texts[1], got->values[k]);
    }
    complain(r, e, "%sat %lld: got %.*s (at %lld), want %.*s", where, (long long)ts_ms,
             STR_ARG(buf_str(&texts[1])),
             got != NULL && k < got->count ? (long long)got->ts[k] : -1LL,
             STR_ARG(buf_str(&texts[0])));
    buf_release(&texts[0]);
    buf_release(&texts[1]);
}

static bool text_matches(const struct expect_text *x, struct str text) {
    if (x->any) {
        return true;
    }
    if (!x->regex) {
        return str_eq(x->text, text);
    }
    struct regex *re = NULL;
    bool matched = false;
    if (regex_new(x->text, REGEX_SEARCH, &re, NULL) == ERR_OK) {
        matched = regex_match(re, text, &matched, NULL) == ERR_OK && matched;
    }
    regex_free(re);
    return matched;
}

static bool notes_match(struct runner *r, const struct eval_command *e, const char *kind,
                        const struct expect_text *want, size_t want_count, bool none, bool some,
                        const struct str *got, size_t got_count) {
    const struct str first = got_count > 0 ? got[0] : STR("");
    if ((none && got_count > 0) || (some && got_count == 0)) {
        complain(r, e, "%zu %s: %.*s", got_count, kind, STR_ARG(first));
        return false;
    }
    if (want_count == 0) {
        return true;
    }
    for (size_t i = 0; i < want_count; i++) {
        bool found = false;
        for (size_t k = 0; k < got_count; k++) {
            found = found || text_matches(&want[i], got[k]);
        }
        if (!found) {
            complain(r, e, "no %s like \"%.*s\", but \"%.*s\"", kind, STR_ARG(want[i].text),
                     STR_ARG(first));
            return false;
        }
    }
    for (size_t k = 0; k < got_count; k++) {
        bool found = false;
        for (size_t i = 0; i < want_count; i++) {
            found = found || text_matches(&want[i], got[k]);
        }
        if (!found) {
            complain(r, e, "unexpected %s \"%.*s\"", kind, STR_ARG(got[k]));
            return false;
        }
    }
    return true;
}

static const struct result_series *find_series(const struct query_result *result,
                                               struct labels labels, size_t *out_index) {
    for (size_t i = 0; i < result->series_count; i++) {
        if (labels_eq(result->series[i].labels, labels)) {
            *out_index = i;
            return &result->series[i];
        }
    }
    return NULL;
}

static bool points_match(struct runner *r, const struct eval_command *e,
                         const struct expectation *x, const struct result_series *got,
                         int64_t start_ms, int64_t step_ms) {
    size_t k = 0;
    for (size_t i = 0; i < x->count; i++) {
        if (x->points[i].kind == POINT_NONE) {
            continue;
        }
        const int64_t ts_ms = start_ms + (int64_t)i * step_ms;
        if (k >= got->count || got->ts[k] != ts_ms || !point_matches(r, &x->points[i], got, k)) {
            complain_point(r, e, "", ts_ms, &x->points[i], got, k);
            return false;
        }
        k++;
    }
    if (k != got->count) {
        complain(r, e, "%zu points more than expected, the next is %.17g", got->count - k,
                 got->values[k]);
        return false;
    }
    return true;
}

static bool series_match(struct runner *r, const struct eval_command *e,
                         const struct query_result *result) {
    const int64_t start_ms = e->range_vector ? e->range_from_ms : e->start_ms;
    const int64_t step_ms = e->range_vector ? e->range_step_ms : e->step_ms;
    size_t with_points = 0;
    for (size_t i = 0; i < e->series_count; i++) {
        struct buf text;
        buf_init(&text, 4096);
        labels_format(&text, e->series[i].labels);
        size_t index = 0;
        const struct result_series *got = find_series(result, e->series[i].labels, &index);
        bool ok = got != NULL && (!e->ordered || index == i);
        if (!ok) {
            complain(r, e, "series %.*s %s", STR_ARG(buf_str(&text)),
                     got == NULL ? "is missing" : "is not where it should be");
        }
        buf_release(&text);
        ok = ok && points_match(r, e, &e->series[i], got, start_ms, step_ms);
        if (!ok) {
            return false;
        }
        with_points++;
    }
    if (with_points != result->series_count) {
        complain(r, e, "%zu series, %zu expected", result->series_count, with_points);
        return false;
    }
    for (size_t i = 1; i < result->series_count && result->type == RESULT_MATRIX; i++) {
        if (labels_cmp(result->series[i - 1].labels, result->series[i].labels) >= 0) {
            complain(r, e, "matrix is not sorted");
            return false;
        }
    }
    return true;
}

static bool result_matches(struct runner *r, const struct eval_command *e,
                           const struct query_result *result) {
    if (!notes_match(r, e, "warning", e->warns, e->warn_count, e->no_warn, e->some_warn,
                     result->warnings, result->warning_count) ||
        !notes_match(r, e, "info", e->infos, e->info_count, e->no_info, e->some_info, result->infos,
                     result->info_count)) {
        return false;
    }
    if (e->has_string) {
        return result->type == RESULT_STRING && str_eq(result->string, e->string);
    }
    if (e->has_scalar) {
        if (result->type != RESULT_SCALAR || !almost_equal(result->scalar, e->scalar)) {
            complain(r, e, "got %.17g, want %.17g", result->scalar, e->scalar);
            return false;
        }
        return true;
    }
    return series_match(r, e, result);
}

static bool failure_matches(struct runner *r, const struct eval_command *e, const struct err *err) {
    for (size_t i = 0; i < e->fail_count; i++) {
        if (!text_matches(&e->fails[i], str_of(err->text))) {
            complain(r, e, "error \"%s\", want \"%.*s\"", err->text, STR_ARG(e->fails[i].text));
            return false;
        }
    }
    return true;
}

/* ---- running an eval ---- */

static struct storage *queried(struct runner *r) {
    struct storage *loaded = fake_storage_as_storage(r->fs);
    if (r->store == NULL) {
        return loaded;
    }
    if (r->filled == NULL) {
        r->filled = r->store->fill(r->store, loaded);
    }
    if (r->filled == NULL) {
        complain(r, NULL, "the store refused the data");
        r->report->failed++;
        return loaded;
    }
    return r->filled;
}

enum outcome { OUTCOME_PASS, OUTCOME_UNSUPPORTED, OUTCOME_FAIL };

static enum outcome run_as_written(struct runner *r, const struct eval_command *e) {
    struct query_result result = {0};
    struct err err = {.code = ERR_OK};
    const struct query query = {
        .text = e->query, .start_ms = e->start_ms, .end_ms = e->end_ms, .step_ms = e->step_ms};
    const enum err_code code = query_run(r->engine, queried(r), &query, &r->arena, &result, &err);
    if (code == ERR_UNSUPPORTED) {
        return OUTCOME_UNSUPPORTED;
    }
    if (code != ERR_OK) {
        if (!e->fail) {
            complain(r, e, "error \"%s\"", err.text);
        }
        return e->fail && failure_matches(r, e, &err) ? OUTCOME_PASS : OUTCOME_FAIL;
    }
    if (e->fail) {
        complain(r, e, "should have failed");
        return OUTCOME_FAIL;
    }
    return result_matches(r, e, &result) ? OUTCOME_PASS : OUTCOME_FAIL;
}

static bool has_word(struct str text, const char *word) {
    return str_find(text, str_of(word)) >= 0;
}

/* The middle of a range query around an instant must be the instant's result. */
static enum outcome run_as_range(struct runner *r, const struct eval_command *e) {
    enum { AROUND_MS = 60 * 1000 };
    if (e->step_ms != 0 || e->fail || e->range_vector || e->has_string || e->has_scalar ||
        has_word(e->query, "start()") || has_word(e->query, "end()") ||
        has_word(e->query, "range()") || has_word(e->query, "step()")) {
        return OUTCOME_PASS;
    }
    struct query_result result = {0};
    struct err err = {.code = ERR_OK};
    const struct query query = {.text = e->query,
                                .start_ms = e->start_ms - AROUND_MS,
                                .end_ms = e->start_ms + AROUND_MS,
                                .step_ms = AROUND_MS};
    const enum err_code code = query_run(r->engine, queried(r), &query, &r->arena, &result, &err);
    if (code != ERR_OK) {
        complain(r, e, "as a range query: \"%s\"", err.text);
        return code == ERR_UNSUPPORTED ? OUTCOME_UNSUPPORTED : OUTCOME_FAIL;
    }
    for (size_t i = 0; i < e->series_count; i++) {
        size_t index = 0;
        const struct result_series *got = find_series(&result, e->series[i].labels, &index);
        size_t k = 0;
        while (got != NULL && k < got->count && got->ts[k] != e->start_ms) {
            k++;
        }
        if (got == NULL || k == got->count || !point_matches(r, &e->series[i].points[0], got, k)) {
            complain_point(r, e, "as a range query, ", e->start_ms, &e->series[i].points[0], got,
                           k);
            return OUTCOME_FAIL;
        }
    }
    return OUTCOME_PASS;
}

/* With @ at the eval's time, an instant gives the same at any other time and as a range query. The
 * text is printed anew, so that places in warnings and errors may differ: they are not compared. */
static enum outcome run_pinned(struct runner *r, const struct eval_command *e) {
    const int64_t t = e->start_ms;
    const int64_t times_ms[] = {t != 0 ? -10 * t : -1000, 0, t != 0 ? t / 5 : 1000, t, 10 * t};
    struct query_expr *expr = NULL;
    struct err err;
    if (e->step_ms != 0 || query_parse(r->engine, &r->arena, e->query, &expr, &err) != ERR_OK ||
        !query_pin_times(expr, t)) {
        return OUTCOME_PASS;
    }
    struct eval_command pinned = *e;
    pinned.query = query_print(&r->arena, expr);
    pinned.fail_count = pinned.warn_count = pinned.info_count = 0;
    pinned.some_warn = pinned.some_info = false;
    enum outcome outcome = OUTCOME_PASS;
    for (size_t i = 0; i < COUNT_OF(times_ms) && outcome == OUTCOME_PASS; i++) {
        pinned.start_ms = pinned.end_ms = times_ms[i];
        outcome = run_as_written(r, &pinned);
        if (outcome == OUTCOME_PASS) {
            outcome = run_as_range(r, &pinned);
        }
    }
    return outcome;
}

static void run_eval(struct runner *r, struct str line) {
    struct eval_command e = {0};
    enum outcome outcome = OUTCOME_FAIL;
    const bool head = read_eval_head(&e, line);
    if (!head) {
        complain(r, &e, "bad eval");
    }
    if (read_eval_lines(r, &e) && head) {
        outcome = run_as_written(r, &e);
        if (outcome == OUTCOME_PASS) {
            outcome = run_as_range(r, &e);
        }
        if (outcome == OUTCOME_PASS) {
            outcome = run_pinned(r, &e);
        }
    }
    r->report->passed += outcome == OUTCOME_PASS;
    r->report->unsupported += outcome == OUTCOME_UNSUPPORTED;
    r->report->failed += outcome == OUTCOME_FAIL;
    mem_free(e.series);
}

void promqltest_run(const char *name, struct str script, bool verbose,
                    struct promqltest_report *out) {
    promqltest_run_on(NULL, name, script, verbose, out);
}

void promqltest_run_on(struct promqltest_store *store, const char *name, struct str script,
                       bool verbose, struct promqltest_report *out) {
    struct query_options options;
    query_options_default(&options);
    options.timeout_ms = 100 * 1000;
    options.max_samples = 10000;
    options.experimental_functions = true;
    options.extended_range_selectors = true;
    options.binop_fill_modifiers = true;
    options.delayed_name_removal = true;
    options.use_start_timestamps = true;
    *out = (struct promqltest_report){0};
    struct runner r = {.name = name,
                       .verbose = verbose,
                       .script = script,
                       .engine = query_engine_new(&options),
                       .fs = fake_storage_new(),
                       .store = store,
                       .report = out};
    arena_init(&r.arena, 0);
    struct str line;
    while (next_line(&r, &line)) {
        if (line.len >= 4 && strncasecmp(line.ptr, "load", 4) == 0) {
            run_load(&r, line);
        } else if (line.len >= 4 && strncasecmp(line.ptr, "eval", 4) == 0) {
            run_eval(&r, line);
        } else if (line.len == 5 && strncasecmp(line.ptr, "clear", 5) == 0) {
            fake_storage_clear(r.fs);
            r.filled = NULL;
        } else if (line.len > 0) {
            complain(&r, NULL, "invalid command: %.*s", STR_ARG(line));
            out->failed++;
        }
        arena_reset(&r.arena);
    }
    mem_free(r.values.points);
    mem_free(r.starts.points);
    arena_release(&r.arena);
    fake_storage_free(r.fs);
    query_engine_free(r.engine);
}

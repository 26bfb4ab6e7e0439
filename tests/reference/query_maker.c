#include "tests/reference/query_maker.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/histogram.h"
#include "base/value.h"

unsigned choose_one(struct choices *c, unsigned n) {
    if (c->left > 0) {
        c->left--;
        return *c->bytes++ % n;
    }
    c->state = c->state * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)((c->state >> 33) % n);
}

static bool often(struct choices *c, unsigned percent) {
    return choose_one(c, 100) < percent;
}

/* ---- data ---- */

/* Multiples of 1/4: sums of them do not depend on the order. */
static double make_value(struct choices *c, unsigned kind, double before) {
    static const double ODD[] = {NAN, INFINITY, -INFINITY, 0, -0.0, 1e308, -1e308, 3};
    switch (kind) {
    case 0:
        return often(c, 7) ? 0 : before + choose_one(c, 20) * 0.25; /* counter with resets */
    case 1:
        return (double)choose_one(c, 200) * 0.25 - 20;
    case 2:
        return (double)choose_one(c, 5);
    default:
        return ODD[choose_one(c, COUNT_OF(ODD))];
    }
}

static const struct ref_histogram *make_histogram(struct choices *c, struct arena *arena,
                                                  double counts[4]) {
    struct ref_histogram *h = arena_zalloc(arena, sizeof(*h));
    h->schema = (int)choose_one(c, 8) == 0 ? 1 : 0;
    h->zero_threshold = 0.001;
    if (often(c, 8)) {
        memset(counts, 0, 4 * sizeof(*counts));
    }
    counts[choose_one(c, 4)] += choose_one(c, 6);
    counts[choose_one(c, 4)] += choose_one(c, 3);
    h->index = arena_alloc(arena, 4 * sizeof(*h->index));
    h->counts = arena_alloc(arena, 4 * sizeof(*h->counts));
    for (int i = 1; i < 4; i++) {
        if (counts[i] != 0) {
            h->index[h->n] = 2 * i - 3;
            h->counts[h->n++] = counts[i];
        }
        h->count += counts[i];
    }
    h->zero_count = counts[0];
    h->count += counts[0];
    h->sum = h->count * 0.75;
    return h;
}

static void store_histogram(struct fake_storage *fs, struct labels labels, int64_t t,
                            const struct ref_histogram *h) {
    struct histogram_span spans[4];
    double counts[4];
    for (size_t i = 0; i < h->n; i++) {
        const int gap = i == 0 ? h->index[0] : h->index[i] - h->index[i - 1] - 1;
        spans[i] = (struct histogram_span){.offset = gap, .length = 1};
        counts[i] = h->counts[i];
    }
    const struct histogram made = {
        .schema = h->schema,
        .zero_threshold = h->zero_threshold,
        .zero_count = h->zero_count,
        .count = h->count,
        .sum = h->sum,
        .positive = {.spans = spans,
                     .counts = counts,
                     .span_count = (uint32_t)h->n,
                     .count = (uint32_t)h->n},
    };
    fake_storage_put_histogram(fs, labels, t, &made, 0);
}

static void make_points(struct choices *c, struct arena *arena, struct fake_storage *fs,
                        unsigned kind, struct ref_series *s) {
    const unsigned gaps = choose_one(c, 3) * 15;
    const bool native = kind == 4;
    double counts[4] = {0};
    double v = 0;
    s->points = arena_alloc(arena, DATA_SAMPLES * sizeof(*s->points));
    for (unsigned i = 0; i < DATA_SAMPLES; i++) {
        const int64_t t = DATA_START_MS + (int64_t)i * DATA_STEP_MS;
        if (often(c, gaps)) {
            continue;
        }
        if (native && !often(c, 4)) {
            const struct ref_histogram *h = make_histogram(c, arena, counts);
            s->points[s->count++] = (struct ref_point){t, 0, h};
            store_histogram(fs, s->labels, t, h);
            continue;
        }
        v = make_value(c, kind, v);
        s->points[s->count++] = (struct ref_point){t, often(c, 4) ? f64_stale() : v, NULL};
        fake_storage_put(fs, s->labels, t, s->points[s->count - 1].v);
    }
}

static int by_labels(const void *a, const void *b) {
    return labels_cmp(((const struct ref_series *)a)->labels,
                      ((const struct ref_series *)b)->labels);
}

struct ref_series *make_data(struct choices *c, struct arena *arena, struct fake_storage *fs,
                             size_t *out_count) {
    static const char *const NAMES[] = {"a_total", "g", "small", "odd", "n", "h_bucket"};
    static const char *const LE[] = {"+Inf", "0.5", "1"};
    struct ref_series *all = arena_zalloc(arena, 6 * 6 * sizeof(*all));
    size_t n = 0;
    for (unsigned name = 0; name < 6; name++) {
        for (unsigned i = 0; i < 6; i++) {
            const struct label labels[] = {
                {LABEL_NAME, str_of(NAMES[name])},
                {STR("job"), i % 2 == 0 ? STR("x") : STR("y")},
                {name == 5 ? STR("le") : STR("i"), str_of(name == 5    ? LE[i / 2]
                                                          : i / 2 == 0 ? "0"
                                                          : i / 2 == 1 ? "1"
                                                                       : "2")},
            };
            all[n++].labels = labels_of(arena, labels, name == 2 && i >= 4 ? 2 : 3);
        }
    }
    qsort(all, n, sizeof(*all), by_labels);
    for (size_t i = 0; i < n; i++) {
        const struct str name = labels_get(all[i].labels, LABEL_NAME);
        unsigned kind = 0;
        while (!str_eq(name, str_of(NAMES[kind]))) {
            kind++;
        }
        make_points(c, arena, fs, kind == 5 ? 0 : kind, &all[i]);
    }
    *out_count = n;
    return all;
}

/* ---- queries ---- */

static void add(struct buf *out, const char *text) {
    buf_append_cstr(out, text);
}

#define ADD_ONE(c, out, ...)                                                                       \
    do {                                                                                           \
        static const char *const texts[] = {__VA_ARGS__};                                          \
        add(out, texts[choose_one(c, COUNT_OF(texts))]);                                           \
    } while (0)

static void make_vector(struct choices *c, struct buf *out, unsigned depth);

static void make_selector(struct choices *c, struct buf *out) {
    ADD_ONE(c, out, "a_total", "g", "small", "odd", "n", "h_bucket", "a_total", "g", "nothing");
    if (often(c, 35)) {
        ADD_ONE(c, out, "{job=\"x\"}", "{job!=\"x\"}", "{i=~\"0|1\"}", "{i!~\"0.*\"}", "{i=\"\"}",
                "{i=\"1\",job=~\"x|z\"}", "{le=\"+Inf\"}", "{job=\"x\",job!=\"y\"}");
    }
}

static void make_time(struct choices *c, struct buf *out) {
    if (often(c, 12)) {
        ADD_ONE(c, out, " @ 3900", " @ start()", " @ end()", " @ 4100.001");
    }
    if (often(c, 15)) {
        ADD_ONE(c, out, " offset 1m", " offset -30s", " offset 95s", " offset 15s");
    }
}

static void make_matrix(struct choices *c, struct buf *out, unsigned depth) {
    if (depth > 0 && often(c, 25)) {
        add(out, "(");
        make_vector(c, out, depth - 1);
        add(out, ")");
        ADD_ONE(c, out, "[1m:15s]", "[2m:30s]", "[90s:20s]", "[5m:]", "[45s:7s]");
    } else {
        make_selector(c, out);
        ADD_ONE(c, out, "[1m]", "[2m]", "[5m]", "[31s]", "[15s]", "[10s]", "[8m]");
    }
    make_time(c, out);
}

static void make_scalar(struct choices *c, struct buf *out, unsigned depth) {
    const unsigned kind = choose_one(c, depth > 0 ? 10 : 6);
    if (kind < 6) {
        ADD_ONE(c, out, "0", "1", "2", "-1", "0.5", "10", "NaN", "Inf", "-Inf", "time()", "pi()",
                "3");
    } else if (kind < 8) {
        add(out, "scalar(");
        make_vector(c, out, depth - 1);
        add(out, ")");
    } else {
        add(out, "(");
        make_scalar(c, out, depth - 1);
        ADD_ONE(c, out, " + ", " - ", " * ", " / ", " % ", " ^ ", " atan2 ", " < bool ",
                " == bool ");
        make_scalar(c, out, depth - 1);
        add(out, ")");
    }
}

static void make_number(struct choices *c, struct buf *out) {
    ADD_ONE(c, out, "0", "1", "-1", "0.5", "0.9", "2", "-3", "7.5");
}

static void make_grouping(struct choices *c, struct buf *out) {
    ADD_ONE(c, out, "", "", " by (job)", " by (i, job)", " by (__name__)", " without (i)",
            " without (job, le)", " by (le)", " without ()", " by ()", " by (missing, i)");
}

static void make_aggregation(struct choices *c, struct buf *out, unsigned depth) {
    const unsigned kind = choose_one(c, 16);
    if (kind < 9) {
        ADD_ONE(c, out, "sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "sum");
        make_grouping(c, out);
        add(out, " (");
    } else if (kind < 12) {
        ADD_ONE(c, out, "topk", "bottomk", "limitk");
        make_grouping(c, out);
        ADD_ONE(c, out, " (1, ", " (2, ", " (3, ", " (0, ", " (100, ", " (1.9, ");
    } else if (kind == 12) {
        add(out, "limit_ratio");
        make_grouping(c, out);
        ADD_ONE(c, out, " (0.5, ", " (-0.3, ", " (1, ", " (0, ");
    } else if (kind == 13) {
        add(out, "count_values");
        make_grouping(c, out);
        ADD_ONE(c, out, " (\"v\", ", " (\"job\", ");
    } else {
        add(out, "quantile");
        make_grouping(c, out);
        ADD_ONE(c, out, " (0.5, ", " (0.9, ", " (1, ", " (0, ", " (-1, ", " (2, ", " (NaN, ");
    }
    make_vector(c, out, depth - 1);
    add(out, ")");
}

static void make_over_time(struct choices *c, struct buf *out, unsigned depth) {
    const unsigned kind = choose_one(c, 12);
    if (kind == 0) {
        ADD_ONE(c, out, "quantile_over_time(0.5, ", "quantile_over_time(0.9, ",
                "quantile_over_time(-1, ", "quantile_over_time(NaN, ", "quantile_over_time(1, ");
        make_matrix(c, out, depth);
        add(out, ")");
    } else if (kind == 1) {
        ADD_ONE(c, out, "predict_linear(", "predict_linear(");
        make_matrix(c, out, depth);
        ADD_ONE(c, out, ", 60)", ", -30)", ", 3600)");
    } else if (kind == 2) {
        add(out, "double_exponential_smoothing(");
        make_matrix(c, out, depth);
        ADD_ONE(c, out, ", 0.5, 0.5)", ", 0.1, 0.9)");
    } else {
        ADD_ONE(c, out, "rate", "increase", "delta", "irate", "idelta", "deriv", "changes",
                "resets", "avg_over_time", "sum_over_time", "min_over_time", "max_over_time",
                "count_over_time", "stddev_over_time", "stdvar_over_time", "last_over_time",
                "present_over_time", "absent_over_time", "first_over_time", "mad_over_time",
                "ts_of_min_over_time", "ts_of_max_over_time", "ts_of_first_over_time",
                "ts_of_last_over_time", "rate", "increase");
        add(out, "(");
        make_matrix(c, out, depth);
        add(out, ")");
    }
}

static void make_call(struct choices *c, struct buf *out, unsigned depth) {
    const unsigned kind = choose_one(c, 12);
    if (kind == 0) {
        add(out, "vector(");
        make_scalar(c, out, depth - 1);
        add(out, ")");
        return;
    }
    if (kind == 1) {
        ADD_ONE(c, out, "histogram_quantile(0.5, ", "histogram_quantile(0.9, ",
                "histogram_quantile(0, ", "histogram_quantile(1, ", "histogram_quantile(2, ",
                "histogram_quantile(NaN, ");
        ADD_ONE(c, out, "n)", "rate(n[2m]))", "h_bucket)", "sum by (job, le) (h_bucket))",
                "rate(h_bucket[5m]))", "increase(n[5m]) * 2)");
        return;
    }
    if (kind < 4) {
        ADD_ONE(c, out, "clamp(", "clamp_min(", "clamp_max(");
        const bool both = buf_str(out).ptr[buf_str(out).len - 2] == 'p';
        make_vector(c, out, depth - 1);
        add(out, ", ");
        make_number(c, out);
        if (both) {
            add(out, ", ");
            make_number(c, out);
        }
        add(out, ")");
        return;
    }
    if (kind == 4) {
        ADD_ONE(c, out, "label_join(", "label_join(");
        make_vector(c, out, depth - 1);
        ADD_ONE(c, out, ", \"new\", \"-\", \"job\", \"i\")", ", \"i\", \"\", \"job\")",
                ", \"job\", \"/\")");
        return;
    }
    ADD_ONE(c, out, "abs(", "ceil(", "floor(", "sqrt(", "exp(", "ln(", "log2(", "log10(", "sgn(",
            "sin(", "cos(", "tan(", "asin(", "acos(", "atan(", "sinh(", "cosh(", "tanh(", "asinh(",
            "acosh(", "atanh(", "deg(", "rad(", "round(", "minute(", "hour(", "day_of_week(",
            "day_of_month(", "day_of_year(", "days_in_month(", "month(", "year(", "timestamp(",
            "absent(", "sort(", "sort_desc(", "timestamp(", "absent(", "histogram_count(",
            "histogram_sum(", "histogram_avg(");
    make_vector(c, out, depth - 1);
    add(out, ")");
}

static void make_matching(struct choices *c, struct buf *out, bool sets) {
    ADD_ONE(c, out, "", "", " on (job)", " on (job, i)", " ignoring (i)", " ignoring (le)",
            " on (i)", " ignoring (i, le)", " on ()");
    const char last = buf_str(out).ptr[buf_str(out).len - 1];
    if (sets) {
        return;
    }
    if (last == ')' && often(c, 45)) {
        ADD_ONE(c, out, " group_left", " group_right", " group_left (missing)",
                " group_right (le)");
        add(out, buf_str(out).ptr[buf_str(out).len - 1] == ')' ? "" : " ()");
    }
    if (often(c, 10)) {
        ADD_ONE(c, out, " fill (0)", " fill_left (1)", " fill_right (2)",
                " fill_left (1) fill_right (NaN)");
    }
}

static void make_operand(struct choices *c, struct buf *out, unsigned depth) {
    add(out, "(");
    make_vector(c, out, depth);
    add(out, ")");
}

static void make_binary(struct choices *c, struct buf *out, unsigned depth) {
    const unsigned kind = choose_one(c, 10);
    if (kind == 0) {
        make_scalar(c, out, depth - 1);
    } else {
        make_operand(c, out, depth - 1);
    }
    if (kind > 7) {
        ADD_ONE(c, out, " and", " or", " unless");
        make_matching(c, out, true);
    } else {
        ADD_ONE(c, out, " +", " -", " *", " /", " %", " ^", " atan2", " ==", " !=", " >", " <",
                " >=", " <=", " == bool", " > bool", " <= bool", " != bool");
        if (kind > 1) {
            make_matching(c, out, false);
        }
    }
    add(out, " ");
    if (kind == 1) {
        make_scalar(c, out, depth - 1);
    } else {
        make_operand(c, out, depth - 1);
    }
}

static void make_vector(struct choices *c, struct buf *out, unsigned depth) {
    const unsigned kind = depth == 0 ? 0 : choose_one(c, 20);
    if (kind < 2) {
        make_selector(c, out);
        make_time(c, out);
    } else if (kind < 7) {
        make_over_time(c, out, depth);
    } else if (kind < 11) {
        make_call(c, out, depth);
    } else if (kind < 15) {
        make_aggregation(c, out, depth);
    } else if (kind < 16) {
        add(out, "-");
        make_operand(c, out, depth - 1);
    } else {
        make_binary(c, out, depth);
    }
}

void make_query(struct choices *c, struct buf *out) {
    if (choose_one(c, 20) == 0) {
        make_scalar(c, out, 2);
    } else {
        make_vector(c, out, 1 + choose_one(c, 3));
    }
}

#include "tests/reference/query_maker.h"

#include "base/check.h"

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
    ADD_ONE(c, out, "a_total", "g", "small", "odd", "n", "h_bucket", "a_total", "g", "nothing",
            "nc", "ng", "nm", "st_total", "st_n", "up", "n");
    if (choose_often(c, 35)) {
        ADD_ONE(c, out, "{job=\"x\"}", "{job!=\"x\"}", "{i=~\"0|1\"}", "{i!~\"0.*\"}", "{i=\"\"}",
                "{i=\"1\",job=~\"x|z\"}", "{le=\"+Inf\"}", "{job=\"x\",job!=\"y\"}");
    }
}

static void make_time(struct choices *c, struct buf *out) {
    if (choose_often(c, 12)) {
        ADD_ONE(c, out, " @ 3900", " @ start()", " @ end()", " @ 4100.001");
    }
    if (choose_often(c, 15)) {
        ADD_ONE(c, out, " offset 1m", " offset -30s", " offset 95s", " offset 15s",
                " offset step()", " offset -step()", " offset (30s * 2 - 15)",
                " offset max_of(1m, range())", " offset -min_of(15s, step() + 1s)", " offset 20");
    }
}

static void make_matrix(struct choices *c, struct buf *out, unsigned depth) {
    if (depth > 0 && choose_often(c, 25)) {
        add(out, "(");
        make_vector(c, out, depth - 1);
        add(out, ")");
        ADD_ONE(c, out, "[1m:15s]", "[2m:30s]", "[90s:20s]", "[5m:]", "[45s:7s]",
                "[1m:max_of(step(), 10s)]", "[min_of(2m, 10s + range()):15s]", "[20s * 3:15]");
    } else {
        make_selector(c, out);
        ADD_ONE(c, out, "[1m]", "[2m]", "[5m]", "[31s]", "[15s]", "[10s]", "[8m]", "[2m]",
                "[step() + 30s]", "[max_of(1m, range())]", "[90 % 61 + 2 ^ 5]", "[-15s + 1m / 2]",
                "[45s]");
        if (choose_often(c, 15)) {
            ADD_ONE(c, out, " anchored", " smoothed");
        }
    }
    make_time(c, out);
}

static void make_param(struct choices *c, struct buf *out, unsigned depth) {
    add(out, "scalar(");
    make_vector(c, out, depth);
    add(out, "), ");
}

static void make_scalar(struct choices *c, struct buf *out, unsigned depth) {
    const unsigned kind = choose_one(c, depth > 0 ? 10 : 6);
    if (kind < 6) {
        ADD_ONE(c, out, "0", "1", "2", "-1", "0.5", "10", "NaN", "Inf", "-Inf", "time()", "pi()",
                "3", "1m30s", "0x1F", "start()", "end()", "range()", "step()", "max_of(1, step())",
                "min_of(NaN, 2)", "1e308", "-0");
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
    ADD_ONE(c, out, "", "", " by (job)", " by (instance)", " by (i, job)", " by (__name__)",
            " without (i)", " without (job, le)", " by (le)", " without ()", " by ()",
            " by (missing, i)");
}

static bool ends_open(const struct buf *out) {
    return str_ends(buf_str(out), STR(" ("));
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
        ADD_ONE(c, out, " (1, ", " (2, ", " (3, ", " (0, ", " (100, ", " (1.9, ", " (", " (2, ",
                " (NaN, ", " (1e300, ", " (-1e300, ", " (2, ", " (3, ");
        if (ends_open(out)) {
            make_param(c, out, depth - 1);
        }
    } else if (kind == 12) {
        add(out, "limit_ratio");
        make_grouping(c, out);
        ADD_ONE(c, out, " (0.5, ", " (-0.3, ", " (1, ", " (0, ", " (7, ", " (-2.5, ", " (NaN, ",
                " (");
        if (ends_open(out)) {
            make_param(c, out, depth - 1);
        }
    } else if (kind == 13) {
        add(out, "count_values");
        make_grouping(c, out);
        ADD_ONE(c, out, " (\"v\", ", " (\"job\", ", " (\"__name__\", ", " (\"i\", ");
    } else {
        add(out, "quantile");
        make_grouping(c, out);
        ADD_ONE(c, out, " (0.5, ", " (0.9, ", " (1, ", " (0, ", " (-1, ", " (2, ", " (NaN, ", " (");
        if (ends_open(out)) {
            make_param(c, out, depth - 1);
        }
    }
    make_vector(c, out, depth - 1);
    add(out, ")");
}

static void make_over_time(struct choices *c, struct buf *out, unsigned depth) {
    const unsigned kind = choose_one(c, 12);
    if (kind == 0) {
        ADD_ONE(c, out, "quantile_over_time(0.5, ", "quantile_over_time(0.9, ",
                "quantile_over_time(-1, ", "quantile_over_time(NaN, ", "quantile_over_time(1, ",
                "quantile_over_time(");
        if (buf_str(out).ptr[buf_str(out).len - 1] == '(') {
            make_param(c, out, depth - 1);
        }
        make_matrix(c, out, depth);
        add(out, ")");
    } else if (kind == 1) {
        ADD_ONE(c, out, "predict_linear(", "predict_linear(");
        make_matrix(c, out, depth);
        ADD_ONE(c, out, ", 60)", ", -30)", ", 3600)", ", time())", ", Inf)", ", 0)");
    } else if (kind == 2) {
        add(out, "double_exponential_smoothing(");
        make_matrix(c, out, depth);
        ADD_ONE(c, out, ", 0.5, 0.5)", ", 0.1, 0.9)", ", 0.5, 1)", ", 0, 0.5)", ", 0.9, 0.1)");
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

static void make_histograms(struct choices *c, struct buf *out, unsigned depth) {
    if (choose_often(c, 30)) {
        make_vector(c, out, depth - 1);
        return;
    }
    ADD_ONE(c, out, "n", "rate(n[2m])", "h_bucket", "sum by (job, le) (h_bucket)",
            "rate(h_bucket[5m])", "increase(n[5m]) * 2", "nc", "ng", "nm", "sum by (job) (nc)",
            "{__name__=~\"n|h_bucket\"}", "rate(nc[3m])", "sum(ng)", "a_total",
            "label_replace(n, \"__name__\", \"h_bucket\", \"\", \"\") or h_bucket");
}

static void make_label_call(struct choices *c, struct buf *out, unsigned depth) {
    if (choose_often(c, 50)) {
        add(out, "label_replace(");
        make_vector(c, out, depth - 1);
        ADD_ONE(c, out, ", \"new\", \"$1-${2}\", \"job\", \"(.)(y?)\")",
                ", \"i\", \"v$1\", \"i\", \"([01])\")", ", \"job\", \"\", \"job\", \"x\")",
                ", \"__name__\", \"other_$0\", \"__name__\", \"[a-z]+\")",
                ", \"c\", \"$$x$1y\", \"missing\", \"(.*)\")", ", \"i\", \"0\", \"i\", \".*\")",
                ", \"d\", \"$9$name\", \"job\", \"x|y\")", ", \"\", \"a\", \"job\", \"x\")",
                ", \"e\", \"$1\", \"job\", \"(\")", ", \"i\", \"$2\", \"i\", \"(.)|(.*)\")");
    } else {
        ADD_ONE(c, out, "sort_by_label(", "sort_by_label_desc(");
        make_vector(c, out, depth - 1);
        ADD_ONE(c, out, ", \"i\")", ", \"job\", \"i\")", ", \"le\")", ")", ", \"instance\")",
                ", \"missing\", \"job\")");
    }
}

static void make_info_base(struct choices *c, struct buf *out, unsigned depth) {
    if (choose_often(c, 30)) {
        make_vector(c, out, depth - 1);
        return;
    }
    ADD_ONE(c, out, "up", "up{job=\"x\"}", "rate(up[2m])", "up or target_info", "build_info",
            "label_replace(a_total, \"instance\", \"$1\", \"i\", \"(.*)\")", "up offset 30s",
            "sum by (instance, job) (up)", "{__name__=~\"up|target_info\"}", "a_total");
}

static void make_call(struct choices *c, struct buf *out, unsigned depth) {
    const unsigned kind = choose_one(c, 20);
    if (kind == 0) {
        add(out, "vector(");
        make_scalar(c, out, depth - 1);
        add(out, ")");
        return;
    }
    if (kind == 1) {
        ADD_ONE(c, out, "histogram_quantile(0.5, ", "histogram_quantile(0.9, ",
                "histogram_quantile(0, ", "histogram_quantile(1, ", "histogram_quantile(2, ",
                "histogram_quantile(NaN, ", "histogram_quantile(");
        if (buf_str(out).ptr[buf_str(out).len - 1] == '(') {
            make_param(c, out, depth - 1);
        }
        make_histograms(c, out, depth);
        add(out, ")");
        return;
    }
    if (kind == 12) {
        ADD_ONE(c, out, "histogram_fraction(0.3, 1.2, ", "histogram_fraction(-Inf, 0.5, ",
                "histogram_fraction(0, Inf, ", "histogram_fraction(-0.7, 2, ",
                "histogram_fraction(NaN, 2, ", "histogram_fraction(2, 1, ");
        make_histograms(c, out, depth);
        add(out, ")");
        return;
    }
    if (kind == 13) {
        add(out, "histogram_quantiles(");
        make_histograms(c, out, depth);
        ADD_ONE(c, out, ", \"q\", 0.5, 0.9)", ", \"q\", 1, 0, 2)", ", \"i\", 0.25)");
        return;
    }
    if (kind == 14) {
        make_label_call(c, out, depth);
        return;
    }
    if (kind == 15) {
        add(out, "info(");
        make_info_base(c, out, depth);
        ADD_ONE(c, out, ")", ")", ", {data=~\".+\"})", ", {__name__=\"build_info\"})",
                ", {__name__=~\"target_info|build_info\"})", ", {__name__!=\"x\"})",
                ", {version=\"1\", data=~\".*\"})", ", {data=\"2\"})");
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
                ", \"job\", \"/\")", ", \"__name__\", \"_\", \"__name__\", \"job\")",
                ", \"new\", \"/\", \"missing\", \"i\", \"missing\")");
        return;
    }
    ADD_ONE(c, out, "abs(", "ceil(", "floor(", "sqrt(", "exp(", "ln(", "log2(", "log10(", "sgn(",
            "sin(", "cos(", "tan(", "asin(", "acos(", "atan(", "sinh(", "cosh(", "tanh(", "asinh(",
            "acosh(", "atanh(", "deg(", "rad(", "round(", "minute(", "hour(", "day_of_week(",
            "day_of_month(", "day_of_year(", "days_in_month(", "month(", "year(", "timestamp(",
            "absent(", "sort(", "sort_desc(", "timestamp(", "absent(", "histogram_count(",
            "histogram_sum(", "histogram_avg(", "histogram_stddev(", "histogram_stdvar(",
            "start_timestamp(", "histogram_count(", "histogram_sum(");
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
    if (last == ')' && choose_often(c, 45)) {
        ADD_ONE(c, out, " group_left", " group_right", " group_left (missing)",
                " group_right (le)");
        add(out, buf_str(out).ptr[buf_str(out).len - 1] == ')' ? "" : " ()");
    }
    if (choose_often(c, 10)) {
        ADD_ONE(c, out, " fill (0)", " fill_left (1)", " fill_right (2)",
                " fill_left (1) fill_right (NaN)", " fill_right (0)");
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
                " >=", " <=", " == bool", " > bool", " <= bool", " != bool", " < bool", " >= bool",
                " </", " >/", " +", " -");
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
        if (choose_often(c, 6)) {
            ADD_ONE(c, out, " smoothed", " anchored");
        }
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

/* Calls of which little is made otherwise, as the whole query. */
static void make_top(struct choices *c, struct buf *out) {
    switch (choose_one(c, 6)) {
    case 0:
        ADD_ONE(c, out, "\"a string\"", "'it\\'s'", "`raw`");
        break;
    case 1:
    case 2:
        make_matrix(c, out, 1);
        break;
    case 3:
        make_scalar(c, out, 2);
        break;
    case 4: { /* operators on histograms */
        static const char *const natives[] = {"n", "nc", "ng", "nm", "rate(n[2m])", "sum(nc)"};
        add(out, natives[choose_one(c, COUNT_OF(natives))]);
        ADD_ONE(c, out, " + ", " - ", " == ", " != ", " </ ", " >/ ", " * ", " / ");
        ADD_ONE(c, out, "2", "0.5", "-1", "0", "on (job, i) n", "on (job, i) ng", "on (job, i) nc",
                "on (job, i) g", "1.3", "on (job, i) nm", "Inf");
        break;
    }
    default:
        ADD_ONE(c, out, "sum by (job) (", "avg by (job) (", "sum(", "avg_over_time(",
                "sum_over_time(", "count_values(\"v\", ");
        const bool range = str_ends(buf_str(out), STR("_time("));
        ADD_ONE(c, out, "n", "nc", "ng", "nm", "st_n");
        if (range) {
            ADD_ONE(c, out, "[2m]", "[5m]", "[45s]");
        }
        add(out, ")");
        break;
    }
}

void make_query(struct choices *c, struct buf *out) {
    if (choose_one(c, 10) == 0) {
        make_top(c, out);
    } else {
        make_vector(c, out, 1 + choose_one(c, 3));
    }
}

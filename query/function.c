#include "query/function.h"

#include <assert.h>

#include "base/attr.h"

#define V VALUE_VECTOR
#define M VALUE_MATRIX
#define S VALUE_SCALAR
#define T VALUE_STRING

enum { EXPERIMENTAL = 1, AT_UNSAFE = 2 };

#define ROW(name, id, returns, flags, variadic, count, ...)                                        \
    {                                                                                              \
        name, {__VA_ARGS__}, count, variadic, returns, ((flags)&EXPERIMENTAL) != 0,                \
            ((flags)&AT_UNSAFE) != 0, FN_##id                                                      \
    }

/* Sorted by name, which function_find relies on. Arguments follow their count. */
static const struct function FUNCTIONS[] = {
    /* clang-format off */
    ROW("abs", ABS, V, 0, 0, 1, V),
    ROW("absent", ABSENT, V, 0, 0, 1, V),
    ROW("absent_over_time", ABSENT_OVER_TIME, V, 0, 0, 1, M),
    ROW("acos", ACOS, V, 0, 0, 1, V),
    ROW("acosh", ACOSH, V, 0, 0, 1, V),
    ROW("asin", ASIN, V, 0, 0, 1, V),
    ROW("asinh", ASINH, V, 0, 0, 1, V),
    ROW("atan", ATAN, V, 0, 0, 1, V),
    ROW("atanh", ATANH, V, 0, 0, 1, V),
    ROW("avg_over_time", AVG_OVER_TIME, V, 0, 0, 1, M),
    ROW("ceil", CEIL, V, 0, 0, 1, V),
    ROW("changes", CHANGES, V, 0, 0, 1, M),
    ROW("clamp", CLAMP, V, 0, 0, 3, V, S, S),
    ROW("clamp_max", CLAMP_MAX, V, 0, 0, 2, V, S),
    ROW("clamp_min", CLAMP_MIN, V, 0, 0, 2, V, S),
    ROW("cos", COS, V, 0, 0, 1, V),
    ROW("cosh", COSH, V, 0, 0, 1, V),
    ROW("count_over_time", COUNT_OVER_TIME, V, 0, 0, 1, M),
    ROW("day_of_month", DAY_OF_MONTH, V, AT_UNSAFE, 1, 1, V),
    ROW("day_of_week", DAY_OF_WEEK, V, AT_UNSAFE, 1, 1, V),
    ROW("day_of_year", DAY_OF_YEAR, V, AT_UNSAFE, 1, 1, V),
    ROW("days_in_month", DAYS_IN_MONTH, V, AT_UNSAFE, 1, 1, V),
    ROW("deg", DEG, V, 0, 0, 1, V),
    ROW("delta", DELTA, V, 0, 0, 1, M),
    ROW("deriv", DERIV, V, 0, 0, 1, M),
    ROW("double_exponential_smoothing", DOUBLE_EXPONENTIAL_SMOOTHING, V, EXPERIMENTAL, 0, 3, M, S, S),
    ROW("end", END, S, EXPERIMENTAL, 0, 0, VALUE_NONE),
    ROW("exp", EXP, V, 0, 0, 1, V),
    ROW("first_over_time", FIRST_OVER_TIME, V, 0, 0, 1, M),
    ROW("floor", FLOOR, V, 0, 0, 1, V),
    ROW("histogram_avg", HISTOGRAM_AVG, V, 0, 0, 1, V),
    ROW("histogram_count", HISTOGRAM_COUNT, V, 0, 0, 1, V),
    ROW("histogram_fraction", HISTOGRAM_FRACTION, V, 0, 0, 3, S, S, V),
    ROW("histogram_quantile", HISTOGRAM_QUANTILE, V, 0, 0, 2, S, V),
    ROW("histogram_quantiles", HISTOGRAM_QUANTILES, V, EXPERIMENTAL, 9, 4, V, T, S, S),
    ROW("histogram_stddev", HISTOGRAM_STDDEV, V, 0, 0, 1, V),
    ROW("histogram_stdvar", HISTOGRAM_STDVAR, V, 0, 0, 1, V),
    ROW("histogram_sum", HISTOGRAM_SUM, V, 0, 0, 1, V),
    ROW("hour", HOUR, V, AT_UNSAFE, 1, 1, V),
    ROW("idelta", IDELTA, V, 0, 0, 1, M),
    ROW("increase", INCREASE, V, 0, 0, 1, M),
    ROW("info", INFO, V, EXPERIMENTAL, 1, 2, V, V),
    ROW("irate", IRATE, V, 0, 0, 1, M),
    ROW("label_join", LABEL_JOIN, V, 0, -1, 4, V, T, T, T),
    ROW("label_replace", LABEL_REPLACE, V, 0, 0, 5, V, T, T, T, T),
    ROW("last_over_time", LAST_OVER_TIME, V, 0, 0, 1, M),
    ROW("ln", LN, V, 0, 0, 1, V),
    ROW("log10", LOG10, V, 0, 0, 1, V),
    ROW("log2", LOG2, V, 0, 0, 1, V),
    ROW("mad_over_time", MAD_OVER_TIME, V, EXPERIMENTAL, 0, 1, M),
    ROW("max_of", MAX_OF, S, EXPERIMENTAL, 0, 2, S, S),
    ROW("max_over_time", MAX_OVER_TIME, V, 0, 0, 1, M),
    ROW("min_of", MIN_OF, S, EXPERIMENTAL, 0, 2, S, S),
    ROW("min_over_time", MIN_OVER_TIME, V, 0, 0, 1, M),
    ROW("minute", MINUTE, V, AT_UNSAFE, 1, 1, V),
    ROW("month", MONTH, V, AT_UNSAFE, 1, 1, V),
    ROW("pi", PI, S, 0, 0, 0, VALUE_NONE),
    ROW("predict_linear", PREDICT_LINEAR, V, AT_UNSAFE, 0, 2, M, S),
    ROW("present_over_time", PRESENT_OVER_TIME, V, 0, 0, 1, M),
    ROW("quantile_over_time", QUANTILE_OVER_TIME, V, 0, 0, 2, S, M),
    ROW("rad", RAD, V, 0, 0, 1, V),
    ROW("range", RANGE, S, EXPERIMENTAL, 0, 0, VALUE_NONE),
    ROW("rate", RATE, V, 0, 0, 1, M),
    ROW("resets", RESETS, V, 0, 0, 1, M),
    ROW("round", ROUND, V, 0, 1, 2, V, S),
    ROW("scalar", SCALAR, S, 0, 0, 1, V),
    ROW("sgn", SGN, V, 0, 0, 1, V),
    ROW("sin", SIN, V, 0, 0, 1, V),
    ROW("sinh", SINH, V, 0, 0, 1, V),
    ROW("sort", SORT, V, 0, 0, 1, V),
    ROW("sort_by_label", SORT_BY_LABEL, V, EXPERIMENTAL, -1, 2, V, T),
    ROW("sort_by_label_desc", SORT_BY_LABEL_DESC, V, EXPERIMENTAL, -1, 2, V, T),
    ROW("sort_desc", SORT_DESC, V, 0, 0, 1, V),
    ROW("sqrt", SQRT, V, 0, 0, 1, V),
    ROW("start", START, S, EXPERIMENTAL, 0, 0, VALUE_NONE),
    ROW("start_timestamp", START_TIMESTAMP, V, EXPERIMENTAL, 0, 1, V),
    ROW("stddev_over_time", STDDEV_OVER_TIME, V, 0, 0, 1, M),
    ROW("stdvar_over_time", STDVAR_OVER_TIME, V, 0, 0, 1, M),
    ROW("step", STEP, S, EXPERIMENTAL, 0, 0, VALUE_NONE),
    ROW("sum_over_time", SUM_OVER_TIME, V, 0, 0, 1, M),
    ROW("tan", TAN, V, 0, 0, 1, V),
    ROW("tanh", TANH, V, 0, 0, 1, V),
    ROW("time", TIME, S, AT_UNSAFE, 0, 0, VALUE_NONE),
    ROW("timestamp", TIMESTAMP, V, AT_UNSAFE, 0, 1, V),
    ROW("ts_of_first_over_time", TS_OF_FIRST_OVER_TIME, V, EXPERIMENTAL, 0, 1, M),
    ROW("ts_of_last_over_time", TS_OF_LAST_OVER_TIME, V, EXPERIMENTAL, 0, 1, M),
    ROW("ts_of_max_over_time", TS_OF_MAX_OVER_TIME, V, EXPERIMENTAL, 0, 1, M),
    ROW("ts_of_min_over_time", TS_OF_MIN_OVER_TIME, V, EXPERIMENTAL, 0, 1, M),
    ROW("vector", VECTOR, V, 0, 0, 1, S),
    ROW("year", YEAR, V, AT_UNSAFE, 1, 1, V),
    /* clang-format on */
};

static_assert(COUNT_OF(FUNCTIONS) == FN_COUNT, "one row a function");

const struct function *function_find(struct str name) {
    size_t low = 0;
    size_t high = COUNT_OF(FUNCTIONS);
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = str_cmp(name, str_of(FUNCTIONS[middle].name));
        if (order == 0) {
            return &FUNCTIONS[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

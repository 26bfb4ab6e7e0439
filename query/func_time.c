/* Date functions: parts of the UTC calendar date of a value in Unix seconds. */
#include <math.h>

#include "base/duration.h"
#include "query/eval_call.h"

/* Prometheus shows what Go's calendar makes of any 64-bit second: it counts seconds modulo 2^64 from
 * the first day of this year, and what is no such second is the lowest one. */
static const int64_t YEAR_ZERO = INT64_C(-292277022399);
static const int64_t UNIX_TO_ZERO_S = INT64_C(9223372028715321600);
static const int64_t UNIX_TO_YEAR_1_S = INT64_C(62135596800);
static const uint64_t SECONDS_OF_400_YEARS = UINT64_C(146097) * 86400;

/* The date, its year within a cycle of 400 years; the cycle's first year is in *out_cycle. */
static struct civil date_of(double v, int64_t *out_cycle) {
    const int64_t unix_s = fabs(v) < 0x1p63 ? (int64_t)v : INT64_MIN;
    const uint64_t since_zero_s = (uint64_t)unix_s + (uint64_t)UNIX_TO_ZERO_S;
    *out_cycle = YEAR_ZERO - 1 + 400 * (int64_t)(since_zero_s / SECONDS_OF_400_YEARS);
    return civil_of_unix((int64_t)(since_zero_s % SECONDS_OF_400_YEARS) - UNIX_TO_YEAR_1_S);
}

static struct civil date_in_cycle(double v) {
    int64_t cycle = 0;
    return date_of(v, &cycle);
}

double time_minute(double v) {
    return (double)date_in_cycle(v).minute;
}

double time_hour(double v) {
    return (double)date_in_cycle(v).hour;
}

double time_day_of_week(double v) {
    return (double)date_in_cycle(v).weekday;
}

double time_day_of_month(double v) {
    return (double)date_in_cycle(v).day;
}

double time_day_of_year(double v) {
    return (double)date_in_cycle(v).yearday;
}

double time_days_in_month(double v) {
    const struct civil date = date_in_cycle(v);
    return (double)days_in_month(date.year, date.month);
}

double time_month(double v) {
    return (double)date_in_cycle(v).month;
}

double time_year(double v) {
    int64_t cycle = 0;
    const struct civil date = date_of(v, &cycle);
    return (double)(cycle + date.year);
}

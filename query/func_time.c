/* Date functions: parts of the UTC calendar date of a value in Unix seconds. */
#include <math.h>

#include "base/duration.h"
#include "query/eval_call.h"

/* Beyond this many seconds (about 31 million years) there is no meaningful date. */
static const double SECONDS_MAX = 1e15;

static bool date_of(double v, struct civil *out) {
    if (!(fabs(v) <= SECONDS_MAX)) {
        return false;
    }
    *out = civil_of_unix((int64_t)v);
    return true;
}

double time_minute(double v) {
    struct civil date;
    return date_of(v, &date) ? (double)date.minute : (double)NAN;
}

double time_hour(double v) {
    struct civil date;
    return date_of(v, &date) ? (double)date.hour : (double)NAN;
}

double time_day_of_week(double v) {
    struct civil date;
    return date_of(v, &date) ? (double)date.weekday : (double)NAN;
}

double time_day_of_month(double v) {
    struct civil date;
    return date_of(v, &date) ? (double)date.day : (double)NAN;
}

double time_day_of_year(double v) {
    struct civil date;
    return date_of(v, &date) ? (double)date.yearday : (double)NAN;
}

double time_days_in_month(double v) {
    struct civil date;
    return date_of(v, &date) ? (double)days_in_month(date.year, date.month) : (double)NAN;
}

double time_month(double v) {
    struct civil date;
    return date_of(v, &date) ? (double)date.month : (double)NAN;
}

double time_year(double v) {
    struct civil date;
    return date_of(v, &date) ? (double)date.year : (double)NAN;
}

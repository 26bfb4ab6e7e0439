/* Calendar arithmetic on eras of 400 years, March-based so that the leap day comes last
 * (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
#include "base/duration.h"

#include <stdbool.h>

enum { SECONDS_PER_DAY = 86400, DAYS_PER_ERA = 146097, DAYS_TO_1970 = 719468 };

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0 ? 1 : 0);
}

static bool is_leap(int64_t year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int days_in_month(int64_t year, int month) {
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month < 1 || month > 12) {
        return 0;
    }
    return days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

static int day_of_year(int64_t year, int month, int day) {
    for (int m = 1; m < month; m++) {
        day += days_in_month(year, m);
    }
    return day;
}

struct civil civil_of_unix(int64_t unix_s) {
    const int64_t unix_day = floor_div(unix_s, SECONDS_PER_DAY);
    const int second = (int)(unix_s - unix_day * SECONDS_PER_DAY);
    const int64_t day = unix_day + DAYS_TO_1970;
    const int64_t era = floor_div(day, DAYS_PER_ERA);
    const int day_of_era = (int)(day - era * DAYS_PER_ERA);
    const int year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int march_day = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int march_month = (5 * march_day + 2) / 153;

    struct civil civil = {
        .month = march_month < 10 ? march_month + 3 : march_month - 9,
        .day = march_day - (153 * march_month + 2) / 5 + 1,
        .hour = second / 3600,
        .minute = second / 60 % 60,
        .second = second % 60,
        .weekday = (int)((unix_day % 7 + 11) % 7), /* 1970-01-01 was a Thursday */
    };
    civil.year = era * 400 + year_of_era + (civil.month <= 2 ? 1 : 0);
    civil.yearday = day_of_year(civil.year, civil.month, civil.day);
    return civil;
}

int64_t unix_of_civil(const struct civil *civil) {
    const int64_t year = civil->year - (civil->month <= 2 ? 1 : 0);
    const int64_t era = floor_div(year, 400);
    const int64_t year_of_era = year - era * 400;
    const int march_month = civil->month > 2 ? civil->month - 3 : civil->month + 9;
    const int64_t march_day = (153 * march_month + 2) / 5 + civil->day - 1;
    const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + march_day;
    const int64_t unix_day = era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
    return unix_day * SECONDS_PER_DAY + civil->hour * 3600 + civil->minute * 60 + civil->second;
}

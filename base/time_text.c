/* Times as the API reads and writes them. */
#include <math.h>
#include <stdbool.h>

#include "base/cursor.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/utf8.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* Prometheus' widest range, and the texts it prints for the two ends; both are read back. */
#define TIME_MIN_S (INT64_MIN / 1000 + INT64_C(62135596801))
#define TIME_MAX_S (INT64_MAX / 1000 - INT64_C(62135596801))
#define TIME_MIN_TEXT "-292273086-05-16T16:47:06Z"
#define TIME_MAX_TEXT "292277025-08-18T07:12:54.999999999Z"

enum { QUOTED_MAX = 256 };

static enum err_code cannot_parse(struct err *err, struct str text, const char *as_what) {
    struct buf quoted;
    buf_init(&quoted, 8 * QUOTED_MAX);
    utf8_quote(&quoted, str_sub(text, 0, QUOTED_MAX));
    const enum err_code code = err_set(err, ERR_INVALID, "cannot parse %.*s to a valid %s",
                                       STR_ARG(buf_str(&quoted)), as_what);
    buf_release(&quoted);
    return code;
}

/* Exactly count digits, up to max. */
static bool take_number(struct cursor *c, int count, int max, int *out) {
    int value = 0;
    for (int i = 0; i < count; i++) {
        const int digit = cursor_peek(c) - '0';
        if (digit < 0 || digit > 9) {
            return false;
        }
        value = value * 10 + digit;
        c->at++;
    }
    *out = value;
    return value <= max;
}

static bool take_date(struct cursor *c, struct civil *out) {
    int year = 0;
    if (!take_number(c, 4, 9999, &year) || !cursor_take_char(c, '-') ||
        !take_number(c, 2, 12, &out->month) || !cursor_take_char(c, '-') ||
        !take_number(c, 2, 31, &out->day)) {
        return false;
    }
    out->year = year;
    return out->month >= 1 && out->day >= 1 && out->day <= days_in_month(year, out->month);
}

/* Digits behind the second, cut to milliseconds. */
static bool take_fraction_ms(struct cursor *c, int *out_ms) {
    *out_ms = 0;
    if (!cursor_take_char(c, '.')) {
        return true;
    }
    int unit = 100;
    int digits = 0;
    for (; cursor_peek(c) >= '0' && cursor_peek(c) <= '9'; digits++) {
        *out_ms += unit * (cursor_peek(c) - '0');
        unit /= 10;
        c->at++;
    }
    return digits > 0;
}

static bool take_zone_s(struct cursor *c, int *out_s) {
    if (cursor_take_char(c, 'Z')) {
        *out_s = 0;
        return true;
    }
    const bool east = cursor_take_char(c, '+');
    int hours = 0;
    int minutes = 0;
    if ((!east && !cursor_take_char(c, '-')) || !take_number(c, 2, 24, &hours) ||
        !cursor_take_char(c, ':') || !take_number(c, 2, 60, &minutes)) {
        return false;
    }
    *out_s = (east ? 1 : -1) * (hours * 3600 + minutes * 60);
    return true;
}

static bool parse_rfc3339_ms(struct str text, int64_t *out_ms) {
    struct cursor c = cursor_of(text.ptr, text.len);
    struct civil civil = {0};
    int ms = 0;
    int zone_s = 0;
    if (!take_date(&c, &civil) || !cursor_take_char(&c, 'T') ||
        !take_number(&c, 2, 23, &civil.hour) || !cursor_take_char(&c, ':') ||
        !take_number(&c, 2, 59, &civil.minute) || !cursor_take_char(&c, ':') ||
        !take_number(&c, 2, 59, &civil.second) || !take_fraction_ms(&c, &ms) ||
        !take_zone_s(&c, &zone_s) || cursor_left(&c) > 0) {
        return false;
    }
    *out_ms = (unix_of_civil(&civil) - zone_s) * 1000 + ms;
    return true;
}

/* Seconds, the fraction rounded to milliseconds by the very operations of the API's parser: its
 * product with 10^9 may fall just short of a whole millisecond, and is then cut. */
static bool ms_of_seconds(double seconds, int64_t *out_ms) {
    if (!(seconds > -9.2e15 && seconds < 9.2e15)) {
        return false;
    }
    double whole = 0;
    const double fraction = round(modf(seconds, &whole) * 1000) / 1000;
    int64_t s = (int64_t)whole;
    int64_t ns = (int64_t)(fraction * 1e9);
    if (ns < 0) {
        ns += NS_PER_S;
        s--;
    }
    *out_ms = s * 1000 + ns / NS_PER_MS;
    return true;
}

enum err_code time_parse_api_ms(struct str text, int64_t *out_ms, struct err *err) {
    double seconds = 0;
    if (number_parse_double(text, &seconds) == NUMBER_OK && ms_of_seconds(seconds, out_ms)) {
        return ERR_OK;
    }
    if (parse_rfc3339_ms(text, out_ms)) {
        return ERR_OK;
    }
    if (str_eq(text, STR(TIME_MIN_TEXT))) {
        *out_ms = TIME_MIN_S * 1000;
        return ERR_OK;
    }
    if (str_eq(text, STR(TIME_MAX_TEXT))) {
        *out_ms = TIME_MAX_S * 1000 + 999;
        return ERR_OK;
    }
    return cannot_parse(err, text, "timestamp");
}

enum err_code duration_parse_api_ms(struct str text, int64_t *out_ms, struct err *err) {
    double seconds = 0;
    const enum number_result result = number_parse_double(text, &seconds);
    if (result == NUMBER_OK && seconds == seconds) {
        const double ns = seconds * 1e9;
        if (!(ns >= -0x1p63 && ns < 0x1p63)) {
            return cannot_parse(err, text, "duration. It overflows int64");
        }
        *out_ms = (int64_t)ns / NS_PER_MS;
        return ERR_OK;
    }
    if (duration_parse_ms(text, out_ms, NULL) != ERR_OK) {
        return cannot_parse(err, text, "duration");
    }
    return ERR_OK;
}

static void append_date_time(struct buf *to, const struct civil *civil) {
    const int64_t year = civil->year < 0 ? -civil->year : civil->year;
    buf_printf(to, "%s%04lld-%02d-%02dT%02d:%02d:%02d", civil->year < 0 ? "-" : "", (long long)year,
               civil->month, civil->day, civil->hour, civil->minute, civil->second);
}

/* a = *out_rest + b * the result, 0 <= *out_rest < b. */
static int64_t floor_div(int64_t a, int64_t b, int64_t *out_rest) {
    const int64_t rest = a % b;
    *out_rest = rest < 0 ? rest + b : rest;
    return a / b - (rest < 0 ? 1 : 0);
}

void time_format_rfc3339_ns(struct buf *to, int64_t unix_ns) {
    int64_t ns = 0;
    const struct civil civil = civil_of_unix(floor_div(unix_ns, NS_PER_S, &ns));
    append_date_time(to, &civil);
    int digits = 9;
    for (; digits > 0 && ns % 10 == 0; digits--) {
        ns /= 10;
    }
    if (digits > 0) {
        buf_printf(to, ".%0*lld", digits, (long long)ns);
    }
    buf_append_char(to, 'Z');
}

void time_format_rfc3339_ms(struct buf *to, int64_t unix_ms) {
    int64_t ms = 0;
    const struct civil civil = civil_of_unix(floor_div(unix_ms, 1000, &ms));
    append_date_time(to, &civil);
    buf_printf(to, ".%03dZ", (int)ms);
}

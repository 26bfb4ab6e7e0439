/* Methods of what toTime and toDuration return, as far as alert texts use them. Months and weekdays are
 * their names. */
#include <stdio.h>

#include "alert/template_value.h"
#include "base/duration.h"

enum { NS = 1000000000, FORMAT_MAX = 4096 };

static int64_t floor_seconds(int64_t unix_ns) {
    return unix_ns / NS - (unix_ns % NS < 0);
}

static struct civil civil_of(const struct template_call *c) {
    return civil_of_unix(floor_seconds(c->args[0].i));
}

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};

#define TIME_NUMBER(name, expr)                                                                    \
    static enum err_code name(const struct template_call *c, struct template_value *out,           \
                              struct err *err) {                                                   \
        (void)err;                                                                                 \
        const struct civil t = civil_of(c);                                                        \
        (void)t;                                                                                   \
        *out = (expr);                                                                             \
        return ERR_OK;                                                                             \
    }

TIME_NUMBER(time_year, template_int(t.year))
TIME_NUMBER(time_month, template_string(str_of(months[t.month - 1])))
TIME_NUMBER(time_day, template_int(t.day))
TIME_NUMBER(time_hour, template_int(t.hour))
TIME_NUMBER(time_minute, template_int(t.minute))
TIME_NUMBER(time_second, template_int(t.second))
TIME_NUMBER(time_weekday, template_string(str_of(days[t.weekday])))
TIME_NUMBER(time_yearday, template_int(t.yearday))
TIME_NUMBER(time_unix, template_int(floor_seconds(c->args[0].i)))
TIME_NUMBER(time_unix_milli, template_int(c->args[0].i / 1000000 - (c->args[0].i % 1000000 < 0)))
TIME_NUMBER(time_unix_nano, template_int(c->args[0].i))

static enum err_code same(const struct template_call *c, struct template_value *out,
                          struct err *err) {
    (void)err;
    *out = c->args[0];
    return ERR_OK;
}

static enum err_code to_string(const struct template_call *c, struct template_value *out,
                               struct err *err) {
    (void)err;
    struct buf text;
    buf_init(&text, FORMAT_MAX);
    template_print(&text, &c->args[0]);
    *out = template_string(arena_str(c->arena, buf_str(&text)));
    buf_release(&text);
    return ERR_OK;
}

/* ---- Format ---- */

enum layout {
    LAYOUT_MONTH,
    LAYOUT_MON,
    LAYOUT_WEEKDAY,
    LAYOUT_WKD,
    LAYOUT_ZONE,
    LAYOUT_OFFSET, /* -0700, -07:00 ...: always the zero one */
    LAYOUT_OFFSET_COLON,
    LAYOUT_OFFSET_HOURS,
    LAYOUT_Z, /* Z0700 and its like: Z */
    LAYOUT_YEAR,
    LAYOUT_YEAR2,
    LAYOUT_YEARDAY,
    LAYOUT_MONTH2,
    LAYOUT_DAY2,
    LAYOUT_HOUR12_2,
    LAYOUT_MINUTE2,
    LAYOUT_SECOND2,
    LAYOUT_HOUR,
    LAYOUT_DAY_SPACE,
    LAYOUT_MONTH1,
    LAYOUT_DAY1,
    LAYOUT_HOUR12,
    LAYOUT_MINUTE1,
    LAYOUT_SECOND1,
    LAYOUT_PM,
    LAYOUT_PM_SMALL,
};

/* Longer ones first where one begins like another. */
static const struct {
    const char *text;
    enum layout layout;
} layouts[] = {
    {"January", LAYOUT_MONTH},
    {"Jan", LAYOUT_MON},
    {"Monday", LAYOUT_WEEKDAY},
    {"Mon", LAYOUT_WKD},
    {"MST", LAYOUT_ZONE},
    {"002", LAYOUT_YEARDAY},
    {"01", LAYOUT_MONTH2},
    {"02", LAYOUT_DAY2},
    {"03", LAYOUT_HOUR12_2},
    {"04", LAYOUT_MINUTE2},
    {"05", LAYOUT_SECOND2},
    {"06", LAYOUT_YEAR2},
    {"15", LAYOUT_HOUR},
    {"1", LAYOUT_MONTH1},
    {"2006", LAYOUT_YEAR},
    {"2", LAYOUT_DAY1},
    {"_2", LAYOUT_DAY_SPACE},
    {"3", LAYOUT_HOUR12},
    {"4", LAYOUT_MINUTE1},
    {"5", LAYOUT_SECOND1},
    {"PM", LAYOUT_PM},
    {"pm", LAYOUT_PM_SMALL},
    {"-070000", LAYOUT_OFFSET},
    {"-07:00:00", LAYOUT_OFFSET_COLON},
    {"-0700", LAYOUT_OFFSET},
    {"-07:00", LAYOUT_OFFSET_COLON},
    {"-07", LAYOUT_OFFSET_HOURS},
    {"Z070000", LAYOUT_Z},
    {"Z07:00:00", LAYOUT_Z},
    {"Z0700", LAYOUT_Z},
    {"Z07:00", LAYOUT_Z},
    {"Z07", LAYOUT_Z},
};

static void put_layout(struct buf *to, enum layout layout, const struct civil *t) {
    const int hour12 = t->hour % 12 == 0 ? 12 : t->hour % 12;
    switch (layout) {
    case LAYOUT_MONTH:
        buf_append_cstr(to, months[t->month - 1]);
        return;
    case LAYOUT_MON:
        buf_printf(to, "%.3s", months[t->month - 1]);
        return;
    case LAYOUT_WEEKDAY:
        buf_append_cstr(to, days[t->weekday]);
        return;
    case LAYOUT_WKD:
        buf_printf(to, "%.3s", days[t->weekday]);
        return;
    case LAYOUT_ZONE:
        buf_append_cstr(to, "UTC");
        return;
    case LAYOUT_OFFSET:
        buf_append_cstr(to, "+0000");
        return;
    case LAYOUT_OFFSET_COLON:
        buf_append_cstr(to, "+00:00");
        return;
    case LAYOUT_OFFSET_HOURS:
        buf_append_cstr(to, "+00");
        return;
    case LAYOUT_Z:
        buf_append_char(to, 'Z');
        return;
    case LAYOUT_YEAR:
        buf_printf(to, "%04lld", (long long)t->year);
        return;
    case LAYOUT_YEAR2:
        buf_printf(to, "%02d", (int)(t->year % 100));
        return;
    case LAYOUT_YEARDAY:
        buf_printf(to, "%03d", t->yearday);
        return;
    case LAYOUT_MONTH2:
        buf_printf(to, "%02d", t->month);
        return;
    case LAYOUT_DAY2:
        buf_printf(to, "%02d", t->day);
        return;
    case LAYOUT_HOUR12_2:
        buf_printf(to, "%02d", hour12);
        return;
    case LAYOUT_MINUTE2:
        buf_printf(to, "%02d", t->minute);
        return;
    case LAYOUT_SECOND2:
        buf_printf(to, "%02d", t->second);
        return;
    case LAYOUT_HOUR:
        buf_printf(to, "%02d", t->hour);
        return;
    case LAYOUT_DAY_SPACE:
        buf_printf(to, "%2d", t->day);
        return;
    case LAYOUT_MONTH1:
        buf_printf(to, "%d", t->month);
        return;
    case LAYOUT_DAY1:
        buf_printf(to, "%d", t->day);
        return;
    case LAYOUT_HOUR12:
        buf_printf(to, "%d", hour12);
        return;
    case LAYOUT_MINUTE1:
        buf_printf(to, "%d", t->minute);
        return;
    case LAYOUT_SECOND1:
        buf_printf(to, "%d", t->second);
        return;
    case LAYOUT_PM:
        buf_append_cstr(to, t->hour >= 12 ? "PM" : "AM");
        return;
    case LAYOUT_PM_SMALL:
        buf_append_cstr(to, t->hour >= 12 ? "pm" : "am");
        return;
    }
}

/* ".000" or ".999" (or with a comma) behind seconds; the number of bytes it took, 0 if it is none */
static size_t put_fraction(struct buf *to, struct str layout, int64_t ns) {
    if (layout.len < 2 || (layout.ptr[0] != '.' && layout.ptr[0] != ',') ||
        (layout.ptr[1] != '0' && layout.ptr[1] != '9')) {
        return 0;
    }
    size_t end = 1;
    while (end < layout.len && layout.ptr[end] == layout.ptr[1]) {
        end++;
    }
    if (end - 1 > 9 || (end < layout.len && layout.ptr[end] >= '0' && layout.ptr[end] <= '9')) {
        return 0;
    }
    char digits[16];
    (void)snprintf(digits, sizeof(digits), "%09lld", (long long)ns);
    size_t n = end - 1;
    while (layout.ptr[1] == '9' && n > 0 && digits[n - 1] == '0') {
        n--;
    }
    if (n > 0) {
        buf_append_char(to, layout.ptr[0]);
        buf_append(to, digits, n);
    }
    return end;
}

static enum err_code time_format(const struct template_call *c, struct template_value *out,
                                 struct err *err) {
    const struct str layout = c->args[1].s;
    const struct civil t = civil_of(c);
    const int64_t ns = c->args[0].i - floor_seconds(c->args[0].i) * NS;
    struct buf text;
    buf_init(&text, TEMPLATE_OUTPUT_MAX);
    bool behind_seconds = false;
    for (size_t at = 0; at < layout.len;) {
        const struct str rest = str_from(layout, at);
        size_t used = behind_seconds ? put_fraction(&text, rest, ns) : 0;
        behind_seconds = false;
        for (size_t i = 0; i < COUNT_OF(layouts) && used == 0; i++) {
            if (str_starts(rest, str_of(layouts[i].text))) {
                put_layout(&text, layouts[i].layout, &t);
                used = strlen(layouts[i].text);
                behind_seconds =
                    layouts[i].layout == LAYOUT_SECOND2 || layouts[i].layout == LAYOUT_SECOND1;
            }
        }
        if (used == 0) {
            buf_append_char(&text, rest.ptr[0]);
            used = 1;
        }
        at += used;
    }
    if (!buf_ok(&text)) {
        return err_set(err, ERR_LIMIT, "text is larger than %d bytes", TEMPLATE_OUTPUT_MAX);
    }
    *out = template_string(arena_str(c->arena, buf_str(&text)));
    buf_release(&text);
    return ERR_OK;
}

/* ---- durations ---- */

/* Whole units and the rest apart, as Go: no digits are lost. */
static double units(int64_t ns, int64_t unit_ns) {
    return (double)(ns / unit_ns) + (double)(ns % unit_ns) / (double)unit_ns;
}

#define DURATION_NUMBER(name, expr)                                                                \
    static enum err_code name(const struct template_call *c, struct template_value *out,           \
                              struct err *err) {                                                   \
        (void)err;                                                                                 \
        const int64_t ns = c->args[0].i;                                                           \
        *out = (expr);                                                                             \
        return ERR_OK;                                                                             \
    }

DURATION_NUMBER(duration_hours, template_float(units(ns, INT64_C(3600) * NS)))
DURATION_NUMBER(duration_minutes, template_float(units(ns, INT64_C(60) * NS)))
DURATION_NUMBER(duration_seconds, template_float(units(ns, NS)))
DURATION_NUMBER(duration_milliseconds, template_int(ns / 1000000))
DURATION_NUMBER(duration_microseconds, template_int(ns / 1000))
DURATION_NUMBER(duration_nanoseconds, template_int(ns))

static const struct template_function time_methods[] = {
    {"Day", "", time_day},
    {"Format", "s", time_format},
    {"Hour", "", time_hour},
    {"Minute", "", time_minute},
    {"Month", "", time_month},
    {"Second", "", time_second},
    {"String", "", to_string},
    {"UTC", "", same},
    {"Unix", "", time_unix},
    {"UnixMilli", "", time_unix_milli},
    {"UnixNano", "", time_unix_nano},
    {"Weekday", "", time_weekday},
    {"Year", "", time_year},
    {"YearDay", "", time_yearday},
};

static const struct template_function duration_methods[] = {
    {"Hours", "", duration_hours},
    {"Microseconds", "", duration_microseconds},
    {"Milliseconds", "", duration_milliseconds},
    {"Minutes", "", duration_minutes},
    {"Nanoseconds", "", duration_nanoseconds},
    {"Seconds", "", duration_seconds},
    {"String", "", to_string},
};

const struct template_function *template_method_find(enum template_type receiver, struct str name) {
    const struct template_function *list = NULL;
    size_t count = 0;
    if (receiver == TEMPLATE_TIME) {
        list = time_methods;
        count = COUNT_OF(time_methods);
    } else if (receiver == TEMPLATE_DURATION) {
        list = duration_methods;
        count = COUNT_OF(duration_methods);
    }
    for (size_t i = 0; i < count; i++) {
        if (str_eq(name, str_of(list[i].name))) {
            return &list[i];
        }
    }
    return NULL;
}

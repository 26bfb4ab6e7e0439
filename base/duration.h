/* Prometheus durations ("1h30m", spec/config.md section 1) and API times. Pure. */
#ifndef BASE_DURATION_H
#define BASE_DURATION_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Grammar and error texts of model.ParseDuration; result in nanoseconds, >= 0. */
MUST_CHECK enum err_code duration_parse_ns(struct str text, int64_t *out_ns, struct err *err);
MUST_CHECK enum err_code duration_parse_ms(struct str text, int64_t *out_ms, struct err *err);
/* model.Duration.String(): y and w only when exactly divisible; "0s" for zero. */
void duration_format_ms(struct buf *to, int64_t ms);
/* Go's time.Duration.String(): "1h2m3.5s", "1.5ms", "0s". */
void duration_format_go_ns(struct buf *to, int64_t ns);

/* RFC3339 with up to 9 fractional digits, any offset; and float seconds: as the API's parseTime.
 * Error text: cannot parse "x" to a valid timestamp. Result in ms. */
MUST_CHECK enum err_code time_parse_api_ms(struct str text, int64_t *out_ms, struct err *err);
/* Float seconds or a duration: cannot parse "x" to a valid duration. Result in ms. */
MUST_CHECK enum err_code duration_parse_api_ms(struct str text, int64_t *out_ms, struct err *err);
/* "2006-01-02T15:04:05.999Z": UTC, fraction with trailing zeros cut (RFC3339Nano). */
void time_format_rfc3339_ns(struct buf *to, int64_t unix_ns);
/* "2006-01-02T15:04:05.000Z": always three digits. */
void time_format_rfc3339_ms(struct buf *to, int64_t unix_ms);

/* Proleptic Gregorian calendar, UTC. */
struct civil {
    int64_t year;
    int month, day;           /* 1.. */
    int hour, minute, second; /* second 0..59 */
    int weekday;              /* 0 = Sunday */
    int yearday;              /* 1.. */
};
struct civil civil_of_unix(int64_t unix_s);
int64_t unix_of_civil(const struct civil *civil);
int days_in_month(int64_t year, int month);

#endif

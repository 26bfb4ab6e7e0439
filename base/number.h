/* Numbers as text, locale-free and exactly as Go prints and reads them (spec/promql.md, http-api.md).
 *
 * number_parse_* accept what strconv.ParseFloat accepts, except hex floats and underscores where
 * a flag says so. Printing is the shortest decimal that reads back to the same double (Ryu or
 * Grisu-class with an exact fallback). Pure. */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum number_result { NUMBER_OK, NUMBER_SYNTAX, NUMBER_RANGE };

/* Decimal text, Inf, +Inf, -inf, infinity, NaN in any case; bit-identical to strtod. "1e400" is
 * NUMBER_RANGE, underflow gives 0 (or -0). The whole slice must be consumed. */
MUST_CHECK enum number_result number_parse_double(struct str text, double *out);
/* Decimal, optional sign, whole slice. */
MUST_CHECK enum number_result number_parse_i64(struct str text, int64_t *out);
MUST_CHECK enum number_result number_parse_u64(struct str text, uint64_t *out);

/* Longest output of the functions below for any double is under this ('f' of 1e308 has 309
 * digits). */
enum { NUMBER_TEXT_MAX = 352 };

/* strconv.FormatFloat(v, 'f'|'e'|'g', -1, 64); NaN, +Inf, -Inf. Return the length; out is not
 * NUL-terminated. */
size_t number_format_f(double v, char out[NUMBER_TEXT_MAX]);
size_t number_format_e(double v, char out[NUMBER_TEXT_MAX]);
/* also what %v prints: with an exponent when the decimal one is < -4 or >= 6 (1e+06, 123456) */
size_t number_format_g(double v, char out[NUMBER_TEXT_MAX]);
/* The API's sample value: 'f', or 'e' if |v| < 1e-6 (not 0) or >= 1e21. */
size_t number_format_json(double v, char out[NUMBER_TEXT_MAX]);
/* OpenMetrics float of le and quantile labels: 1 -> "1.0" (spec/scrape.md 5.1). */
size_t number_format_openmetrics(double v, char out[NUMBER_TEXT_MAX]);
/* fmt.Sprintf("%.<precision>g"). */
size_t number_format_g_prec(double v, int precision, char out[NUMBER_TEXT_MAX]);

/* decimal text of an integer; returns the length, at most 20 */
size_t number_format_u64(uint64_t v, char out[20]);
size_t number_format_i64(int64_t v, char out[20]);

void buf_append_number_f(struct buf *to, double v);
void buf_append_number_g(struct buf *to, double v);
void buf_append_number_json(struct buf *to, double v);
void buf_append_u64(struct buf *to, uint64_t v);
void buf_append_i64(struct buf *to, int64_t v);

#endif

/* Constants of a template as text/template reads them: Go's numbers with bases and underscores, Go's
 * string escapes. Pure; private to alert/template*. */
#ifndef ALERT_TEMPLATE_CONSTANT_H
#define ALERT_TEMPLATE_CONSTANT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

enum template_integer {
    TEMPLATE_INTEGER_OK,
    TEMPLATE_INTEGER_UNSIGNED, /* over int64, within uint64 */
    TEMPLATE_INTEGER_NONE      /* no integer, or over uint64 */
};

/* strconv.ParseInt with base 0. *out is set with TEMPLATE_INTEGER_OK only. */
enum template_integer template_integer_parse(struct str text, int64_t *out);
/* False: no number, or over a double's range. */
bool template_float_parse(struct arena *arena, struct str text, double *out);
/* s is what stands between the quotes. False: an escape that Go does not know, or what it names is no
 * character. */
bool template_unescape(struct arena *arena, struct str s, struct str *out);

#endif

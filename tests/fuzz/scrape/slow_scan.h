/* What the slow readers of the two text formats have in common. Texts end in a NUL. */
#ifndef FUZZ_SLOW_SCAN_H
#define FUZZ_SLOW_SCAN_H

#include <stdbool.h>

#include "base/str.h"

#define SLOW_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
#define SLOW_DIGITS "0123456789"

struct str slow_between(const char *from, const char *to);
const char *slow_after_blanks(const char *p);
/* Behind a name whose first byte is one of first, or NULL. With a colon in first more may follow. */
const char *slow_after_name(const char *p, const char *first);
/* Behind a quoted string, or NULL. */
const char *slow_after_quoted(const char *p);
/* What Go takes for a decimal number, as both formats allow it; strtod alone takes more. */
bool slow_number(struct str text, double *out);

#endif

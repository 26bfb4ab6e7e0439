/* Runs a regex_program over a subject: time is the instructions alive times the runes, whatever the
 * pattern, and it may be stopped in the midst of that. Private to regex*.c.
 *
 * Source: R. Cox, "Regular Expression Matching: the Virtual Machine Approach" (2009), Pike's
 * machine. */
#ifndef BASE_REGEX_WALK_H
#define BASE_REGEX_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/str.h"

struct regex_program;

/* Who waits for the answer, and how long. */
struct regex_patience {
    const struct cancel *cancel; /* may be NULL */
    uint64_t steps_left;         /* of a step some nanoseconds; counted down */
};

/* The first match at or behind offset; leftmost, then by the order of branches. The ends of group i
 * come to at[2 * i] and at[2 * i + 1] for 2 * i < slots, REGEX_UNSET where it took no part; without
 * slots it is only said whether there is one. ERR_TIMEOUT, ERR_CANCELED within a millisecond or
 * so; ERR_LIMIT when there are no steps left or it would take too much memory. An invalid byte of
 * the subject is a rune U+FFFD. */
MUST_CHECK enum err_code regex_walk(const struct regex_program *program, struct str subject,
                                    size_t offset, size_t slots, struct regex_patience *patience,
                                    size_t *at, bool *out, struct err *err);

#endif

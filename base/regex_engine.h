/* PCRE2 behind one door: what the rest of regex*.c asks of it. Private to regex*.c.
 *
 * A pattern is compiled from its tree, never from what a user wrote. Immutable once made; threads
 * share it. Both searches end after some milliseconds at the latest, given what regex.c lets
 * through: ERR_LIMIT then, and the answer is regex_walk's to find. */
#ifndef BASE_REGEX_ENGINE_H
#define BASE_REGEX_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/regex_ast.h"
#include "base/str.h"

struct regex_engine;

/* A group took no part in the match. */
#define REGEX_UNSET SIZE_MAX

/* ERR_LIMIT; pattern is for the message. The tree may end before the engine does. */
MUST_CHECK enum err_code regex_engine_new(const struct regex_node *root, int group_count,
                                          struct str pattern, struct regex_engine **out,
                                          struct err *err);
void regex_engine_free(struct regex_engine *engine);

/* Subjects are valid UTF-8. All alternatives at once: never more than quadratic in the size of the
 * pattern for each byte. */
MUST_CHECK enum err_code regex_engine_match(const struct regex_engine *engine, struct str subject,
                                            bool *out, struct err *err);
/* The first match at or behind offset: from and end of group i come to at[2 * i] and at[2 * i + 1],
 * 2 * (group_count + 1) of them. Backtracks, so many steps at most. */
MUST_CHECK enum err_code regex_engine_find(const struct regex_engine *engine, struct str subject,
                                           size_t offset, uint32_t max_steps, size_t *at, bool *out,
                                           struct err *err);

#endif

/* Regular expressions with RE2's language and linear time (design: ARCHITECTURE.md, "Regex").
 *
 * A gate admits only RE2's syntax; literals, prefixes, sets of literals and .*x.* never reach
 * an engine; other patterns run on PCRE2 where that is quick (regex_engine.h), and on a machine of
 * our own where it is not (regex_walk.h): its time grows with the subject as RE2's does, and who
 * waits may stop it. Who has no cancel is served for 0.1 s or so: ERR_LIMIT naming the pattern,
 * never "no match". Dot matches newline in anchored patterns (^(?s:RE)$). A compiled regex is
 * immutable and may be shared by threads.
 *
 * Known differences from Go: Unicode 14 tables; a group that matched the empty string in the last
 * turn of a repeat, as in (a*)*, may be empty afterwards; an invalid byte of the subject comes out
 * of a capture as U+FFFD; patterns over 100,000 unrolled instructions, 200 nested groups or 100
 * groups are refused. */
#ifndef BASE_REGEX_H
#define BASE_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct cancel;
struct regex;

/* ANCHORED: ^(?s:pattern)$, errors show the pattern as it was written (matchers). WRAPPED: the
 * same, but errors show the wrapped text, as Go's do for relabelling and label_replace. SEARCH:
 * unanchored (templates). */
enum regex_mode { REGEX_ANCHORED, REGEX_SEARCH, REGEX_WRAPPED };

/* Longest pattern, and most named or numbered groups. */
enum { REGEX_PATTERN_MAX = 64 * 1024, REGEX_GROUPS_MAX = 100 };

/* ERR_INVALID with Go's text ("error parsing regexp: missing closing ): `...`"). */
MUST_CHECK enum err_code regex_new(struct str pattern, enum regex_mode mode, struct regex **out,
                                   struct err *err);
void regex_free(struct regex *re);
struct str regex_pattern(const struct regex *re);

MUST_CHECK enum err_code regex_match(const struct regex *re, struct str subject, bool *out,
                                     struct err *err);

/* ERR_TIMEOUT, ERR_CANCELED within some milliseconds of the cancel; without one as above. */
MUST_CHECK enum err_code regex_match_until(const struct regex *re, struct str subject,
                                           const struct cancel *cancel, bool *out, struct err *err);

/* With captures: expands the template ($1, ${1}, $name, ${name}, $$; Go's Expand: the unbraced
 * form takes the longest run of letters, digits and _) for a match and appends it to to.
 * *out_matched is false, and to unchanged, when there is no match. */
MUST_CHECK enum err_code regex_expand(const struct regex *re, struct str subject,
                                      struct str template_text, struct buf *to, bool *out_matched,
                                      struct err *err);
MUST_CHECK enum err_code regex_expand_until(const struct regex *re, struct str subject,
                                            struct str template_text, const struct cancel *cancel,
                                            struct buf *to, bool *out_matched, struct err *err);
/* Go's ReplaceAllString of all matches of a SEARCH (or, for labelmap, ANCHORED) regex. */
MUST_CHECK enum err_code regex_replace_all(const struct regex *re, struct str subject,
                                           struct str template_text, struct buf *to,
                                           struct err *err);

/* What the literal analysis found, for index look-ups. Strings live as long as the regex. */
enum regex_shape {
    REGEX_SHAPE_ENGINE,   /* needs the engine (a required prefix may still be given) */
    REGEX_SHAPE_ANY,      /* .* : matches everything, the empty string too */
    REGEX_SHAPE_NONEMPTY, /* .+ */
    REGEX_SHAPE_SET,      /* exactly these literals (one: plain equality) */
    REGEX_SHAPE_PREFIX,   /* literal.* , or literal.+ with min_rest = 1 */
    REGEX_SHAPE_SUFFIX,   /* .*literal */
    REGEX_SHAPE_CONTAINS, /* .*literal.* */
};
struct regex_analysis {
    enum regex_shape shape;
    const struct str *set; /* SET: sorted, unique */
    size_t set_count;
    struct str literal; /* PREFIX, SUFFIX, CONTAINS; for ENGINE a required prefix, maybe empty */
    size_t min_rest; /* PREFIX, SUFFIX, CONTAINS: how many more bytes at least at the open side */
};
const struct regex_analysis *regex_analyze(const struct regex *re);

#endif

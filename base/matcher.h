/* Label matchers: name and one of = != =~ !~ with a value. Immutable once made; share freely. */
#ifndef BASE_MATCHER_H
#define BASE_MATCHER_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/regex.h"
#include "base/str.h"

enum matcher_type { MATCH_EQUAL, MATCH_NOT_EQUAL, MATCH_REGEX, MATCH_NOT_REGEX };

struct matcher {
    enum matcher_type type;
    struct str name;
    struct str value;
    struct regex *regex; /* MATCH_REGEX and MATCH_NOT_REGEX, else NULL */
};

/* Name and value are copied to the arena; the regex is freed with it. */
MUST_CHECK enum err_code matcher_init(struct arena *arena, enum matcher_type type, struct str name,
                                      struct str value, struct matcher *out, struct err *err);
/* ERR_LIMIT when the regex engine gave up. */
MUST_CHECK enum err_code matcher_match(const struct matcher *m, struct str value, bool *out,
                                       struct err *err);
/* The same; ERR_TIMEOUT or ERR_CANCELED within some milliseconds of the cancel, which may be NULL. */
MUST_CHECK enum err_code matcher_match_until(const struct matcher *m, struct str value,
                                             const struct cancel *cancel, bool *out,
                                             struct err *err);
/* Whether a series without the label matches (does the matcher accept ""?). */
bool matcher_accepts_empty(const struct matcher *m);
/* All matchers against the labels (absent = ""). */
MUST_CHECK enum err_code matchers_match(const struct matcher *m, size_t n, struct labels labels,
                                        bool *out, struct err *err);
/* name="value" with Go quoting. */
void matcher_format(struct buf *to, const struct matcher *m);

#endif

/* Warnings and infos of one query: a set by text; the position of the last added wins, except for
 * the forced-monotonicity info, whose numbers are merged (spec sections 9 and 14).
 *
 * Owner: one query. Kernels add once per series, not per sample. One thread at a time. */
#ifndef QUERY_ANNOTATION_H
#define QUERY_ANNOTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "query/ast.h"
#include "query/work.h"

enum annotation_level { ANNOTATION_WARNING, ANNOTATION_INFO };

/* Repairs of histogram_quantile's input; merged over series and steps. */
struct forced_monotonic {
    double min_bucket, max_bucket, max_diff;
    uint64_t count;
    int64_t first_ms, last_ms;
};

struct annotation {
    enum annotation_level level;
    struct str text; /* without prefix and position; of forced ones the beginning */
    struct pos_range pos;
    bool is_forced;
    struct forced_monotonic forced;
    uint64_t occurrences; /* shown when it is more than one */
};

struct annotations {
    struct work *work;
    struct annotation *items;
    size_t count;
    size_t capacity;
    uint64_t touched;     /* additions, also of what was there */
    enum err_code failed; /* ERR_LIMIT once the budget was passed */
};

/* More different texts than this are dropped: the API shows ten of a kind. */
enum { ANNOTATIONS_MAX = 1000 };

void annotations_init(struct annotations *a, struct work *work);
/* fmt makes the text; texts are cut at 1 KiB. */
void annotations_add(struct annotations *a, enum annotation_level level, struct pos_range pos,
                     const char *fmt, ...) PRINTF_LIKE(4, 5);
/* name may be empty. */
void annotations_add_forced(struct annotations *a, struct pos_range pos, struct str name,
                            const struct forced_monotonic *forced);
/* A start time before the sample that came before; occurrences are counted. */
void annotations_add_overlap(struct annotations *a, struct pos_range pos, struct str name);
/* " for metric name "x"" or "", Go-quoted, in the annotations' memory. */
struct str annotation_for_name(struct annotations *a, struct str name);
/* "PromQL warning: text (line:col)" of every one of the level, in order of addition. */
MUST_CHECK enum err_code annotations_render(const struct annotations *a,
                                            enum annotation_level level, struct str query,
                                            struct arena *arena, struct str **out,
                                            size_t *out_count, struct err *err);

#endif

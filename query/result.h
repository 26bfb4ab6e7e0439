/* From a plan to the typed result in the caller's arena. Private to query/. */
#ifndef QUERY_RESULT_H
#define QUERY_RESULT_H

#include "query/eval.h"
#include "query/query.h"

/* Evaluates the plan; out's annotations and most stats are left to the caller. */
MUST_CHECK enum err_code result_make(struct eval *ev, const struct plan *plan, bool instant,
                                     struct arena *arena, struct query_result *out,
                                     struct err *err);

#endif

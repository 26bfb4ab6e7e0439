/* An operator over two columns of floats, 64 steps at a time where all are there. Pure. */
#ifndef QUERY_FLOAT_COLUMNS_H
#define QUERY_FLOAT_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

#include "query/matrix.h"
#include "query/parse.h"

/* At the steps present in out, which has no histograms; its column may be one of the two. filter: of
 * a comparison the left value where it holds, nothing where it does not. No trim. */
void float_columns_join(enum binary_op op, bool filter, const double *left, const double *right,
                        size_t steps, struct row *out);

#endif

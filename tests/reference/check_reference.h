/* One query, by the engine and by the reference evaluator: the same labels, times and bits. */
#ifndef TESTS_REFERENCE_CHECK_REFERENCE_H
#define TESTS_REFERENCE_CHECK_REFERENCE_H

#include "tests/reference/query_maker.h"

enum reference_outcome {
    REFERENCE_SAME,    /* with values */
    REFERENCE_EMPTY,   /* the same nothing */
    REFERENCE_ERROR,   /* both failed */
    REFERENCE_SKIPPED, /* beyond what the reference evaluator knows, or a limit */
    REFERENCE_DIFFERENT,
};

/* Makes data and a query of the choices. Tells of a difference on stderr. */
enum reference_outcome reference_check(struct choices *c);

#endif

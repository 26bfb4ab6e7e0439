/* Queries by the engine and by the reference evaluator: the same labels, times, bits, warnings and
 * infos, or the same error. */
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

struct reference_counts {
    unsigned long outcomes[REFERENCE_DIFFERENT + 1];
};

/* Makes data of the choices and that many queries on it, and counts what came of them. Tells of
 * differences on stderr. */
void reference_check(struct choices *c, unsigned queries, struct reference_counts *counts);

#endif

/* Queries by the engine and by the reference evaluator: the same labels, times, bits, warnings and
 * infos, or the same error. */
#ifndef TESTS_REFERENCE_CHECK_REFERENCE_H
#define TESTS_REFERENCE_CHECK_REFERENCE_H

#include "base/err.h"
#include "query/query.h"
#include "tests/reference/query_maker.h"

enum reference_outcome {
    REFERENCE_SAME,    /* with values */
    REFERENCE_EMPTY,   /* the same nothing */
    REFERENCE_ERROR,   /* both failed */
    REFERENCE_SKIPPED, /* beyond what the reference evaluator knows, or a limit */
    REFERENCE_DIFFERENT,
};

enum { REFERENCE_REASONS_MAX = 24 };

struct reference_counts {
    unsigned long outcomes[REFERENCE_DIFFERENT + 1];
    unsigned long in_database; /* of them */
    struct reference_reason {  /* why queries were skipped */
        const char *what;
        unsigned long count;
    } reasons[REFERENCE_REASONS_MAX];
};

struct reference_times {
    int64_t start_ms, end_ms, step_ms; /* step 0: an instant query */
};

struct reference_question {
    const struct node *tree;
    struct str text;
    struct reference_times times;
};

/* What the reference evaluator says to an answer of the engine. Tells of differences on stderr. */
enum reference_outcome reference_compare(struct ref *r, const struct reference_question *q,
                                         const struct query_result *got, enum err_code code,
                                         const struct err *err);

/* Makes data of the choices and that many queries on it, and counts what came of them. Tells of
 * differences on stderr. */
void reference_check(struct choices *c, unsigned queries, struct reference_counts *counts);

#endif

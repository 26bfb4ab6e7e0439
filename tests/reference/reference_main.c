/* Runs generated queries past the engine and the reference evaluator.
 *
 *   promql_reference FIRST COUNT [QUERIES]   seeds FIRST .. FIRST+COUNT-1, each a set of data with
 *                                            as many queries (25); prints what came of them and the
 *                                            seeds that differ, which run again with COUNT 1
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/reference/check_reference.h"

int main(int argc, char **argv) {
    const unsigned long first = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    const unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 10) : 100;
    const unsigned long queries = argc > 3 ? strtoul(argv[3], NULL, 10) : 25;
    struct reference_counts counts = {.in_database = 0};
    const unsigned long *of = counts.outcomes;
    for (unsigned long seed = first; seed < first + count; seed++) {
        struct choices c = {.state = seed * 0x9E3779B97F4A7C15U};
        const unsigned long before = of[REFERENCE_DIFFERENT];
        (void)choose_one(&c, 2);
        reference_check(&c, (unsigned)queries, &counts);
        if (of[REFERENCE_DIFFERENT] != before) {
            printf("seed %lu differs\n", seed);
        }
    }
    printf(
        "%lu queries, %lu of them on a database: %lu same, %lu same and empty, %lu errors alike, "
        "%lu beyond the reference, %lu different\n",
        count * queries, counts.in_database, of[REFERENCE_SAME], of[REFERENCE_EMPTY],
        of[REFERENCE_ERROR], of[REFERENCE_SKIPPED], of[REFERENCE_DIFFERENT]);
    for (size_t i = 0; i < REFERENCE_REASONS_MAX && counts.reasons[i].what != NULL; i++) {
        printf("  beyond: %lu %s\n", counts.reasons[i].count, counts.reasons[i].what);
    }
    return of[REFERENCE_DIFFERENT] == 0 && of[REFERENCE_SAME] * 4 > count * queries ? 0 : 1;
}

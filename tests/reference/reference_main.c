/* Runs generated queries past the engine and the reference evaluator.
 *
 *   promql_reference FIRST COUNT     seeds FIRST .. FIRST+COUNT-1; prints what came of them and the
 *                                    seeds that differ, which alone run again with COUNT 1
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/reference/check_reference.h"

int main(int argc, char **argv) {
    const unsigned long first = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    const unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000;
    unsigned long outcomes[REFERENCE_DIFFERENT + 1] = {0};
    for (unsigned long seed = first; seed < first + count; seed++) {
        struct choices c = {.state = seed * 0x9E3779B97F4A7C15U};
        (void)choose_one(&c, 2);
        const enum reference_outcome outcome = reference_check(&c);
        outcomes[outcome]++;
        if (outcome == REFERENCE_DIFFERENT) {
            printf("seed %lu differs\n", seed);
        }
    }
    printf("%lu queries: %lu same, %lu same and empty, %lu errors alike, %lu beyond the reference, "
           "%lu different\n",
           count, outcomes[REFERENCE_SAME], outcomes[REFERENCE_EMPTY], outcomes[REFERENCE_ERROR],
           outcomes[REFERENCE_SKIPPED], outcomes[REFERENCE_DIFFERENT]);
    return outcomes[REFERENCE_DIFFERENT] == 0 && outcomes[REFERENCE_SAME] * 3 > count ? 0 : 1;
}

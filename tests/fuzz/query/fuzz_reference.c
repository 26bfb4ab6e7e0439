/* The input's bytes choose data, times and queries: the engine answers as the reference evaluator. */
#include <stdlib.h>

#include "tests/reference/check_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    enum { QUERIES = 4 };
    struct choices c = {.state = size, .forgiving = true};
    struct reference_counts counts = {{0}};
    for (size_t i = 0; i < size && i < 4; i++) {
        c.state = c.state << 8 | data[i];
    }
    /* the data of a seed, the queries of the bytes behind it */
    c.late_bytes = size > 4 ? data + 4 : NULL;
    c.late = size > 4 ? size - 4 : 0;
    reference_check(&c, QUERIES, &counts);
    if (counts.outcomes[REFERENCE_DIFFERENT] > 0) {
        abort();
    }
    return 0;
}

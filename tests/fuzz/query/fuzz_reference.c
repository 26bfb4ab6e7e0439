/* The input's bytes choose data, where it lies, times and queries: the engine answers as the
 * reference evaluator. */
#include <stdlib.h>

#include "tests/reference/check_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    enum { QUERIES = 4, SEED_BYTES = 4 };
    struct choices c = {.state = size};
    struct reference_counts counts = {.in_database = 0};
    size_t i = 0;
    for (; i < size && i < SEED_BYTES; i++) {
        c.state = c.state << 8 | data[i];
    }
    c.bytes = data + i;
    c.left = size - i;
    reference_check(&c, QUERIES, &counts);
    if (counts.outcomes[REFERENCE_DIFFERENT] > 0) {
        abort();
    }
    return 0;
}

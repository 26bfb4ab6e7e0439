/* The input's bytes choose data, times and a query: the engine answers as the reference evaluator. */
#include <stdlib.h>

#include "tests/reference/check_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct choices c = {.bytes = data, .left = size, .state = size};
    if (reference_check(&c) == REFERENCE_DIFFERENT) {
        abort();
    }
    return 0;
}

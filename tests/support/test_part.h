/* A test program that ctest runs in several parts at once (cmake/tests.cmake, PARTS): "name 2 3" is the
 * second of three. Without arguments it is the whole. A test gets it as its state. */
#ifndef TESTS_SUPPORT_TEST_PART_H
#define TESTS_SUPPORT_TEST_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

struct test_part {
    unsigned long number; /* from 1 */
    unsigned long count;
};

static inline struct test_part test_part_of(int argc, char **argv) {
    struct test_part part = {.number = 1, .count = 1};
    if (argc == 3) {
        part.number = strtoul(argv[1], NULL, 10);
        part.count = strtoul(argv[2], NULL, 10);
    }
    if (part.number == 0 || part.number > part.count) {
        abort();
    }
    return part;
}

/* Every case is of one part. */
static inline bool test_part_has(const struct test_part *part, size_t number) {
    return number % part->count == part->number - 1;
}

#endif

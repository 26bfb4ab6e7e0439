#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *what, const char *file, int line) {
    (void)fprintf(stderr, "brasa: assertion failed: %s at %s:%d\n", what, file, line);
    abort();
}

/* Assertions about our own code. Bytes from disk, network or users are never asserted about:
 * they are ERR_CORRUPT or ERR_INVALID.
 *
 * ASSERT stays in release: cheap, states a fact, aborts when it does not hold. DCHECK is for
 * inner loops and O(n) checkers and is gone in release. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include "base/attr.h"

NORETURN COLD void check_failed(const char *what, const char *file, int line);

#define ASSERT(cond)                                                                               \
    do {                                                                                           \
        if (UNLIKELY(!(cond))) {                                                                   \
            check_failed(#cond, __FILE__, __LINE__);                                               \
        }                                                                                          \
    } while (0)

#ifdef NDEBUG
#define DCHECK(cond) ((void)sizeof(!(cond)))
#else
#define DCHECK(cond) ASSERT(cond)
#endif

#define UNREACHABLE(why) check_failed("unreachable: " why, __FILE__, __LINE__)

#endif

/* A clock that stands still until a test moves it. Wall and monotonic time move together, and the
 * wall can jump alone, as real ones do. Thread-safe. */
#ifndef TESTS_SUPPORT_FAKE_CLOCK_H
#define TESTS_SUPPORT_FAKE_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/clock.h"

struct fake_clock {
    struct clock clock; /* hand out &fake.clock */
    _Atomic int64_t unix_ns;
    _Atomic int64_t mono_ns;
};

/* Monotonic time starts at one hour, so that it is never taken for "not set". */
void fake_clock_init(struct fake_clock *c, int64_t unix_ns);
void fake_clock_advance_ns(struct fake_clock *c, int64_t ns);
/* Moves to a monotonic time; earlier ones are ignored. */
void fake_clock_advance_to_ns(struct fake_clock *c, int64_t mono_ns);
void fake_clock_set_unix_ns(struct fake_clock *c, int64_t unix_ns);

#endif

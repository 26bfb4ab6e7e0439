/* Time comes in through here, passed at construction, never from the system directly: tests own
 * the clock. Sample time is Unix milliseconds; durations and deadlines are monotonic ns. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

struct clock {
    const struct clock_ops *ops;
};

struct clock_ops {
    int64_t (*unix_ns)(struct clock *clock); /* wall clock */
    int64_t (*mono_ns)(struct clock *clock);
};

/* The machine's clock; one object for the whole process, thread-safe. */
struct clock *clock_system(void);

/* What the calling thread has used of a processor; of a test's clock its monotonic time. */
int64_t clock_thread_cpu_ns(struct clock *clock);

static inline int64_t clock_unix_ns(struct clock *clock) {
    return clock->ops->unix_ns(clock);
}

static inline int64_t clock_unix_ms(struct clock *clock) {
    return clock->ops->unix_ns(clock) / 1000000;
}

static inline int64_t clock_mono_ns(struct clock *clock) {
    return clock->ops->mono_ns(clock);
}

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

#endif

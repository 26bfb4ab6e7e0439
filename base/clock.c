#include "base/clock.h"

#include <time.h>

#include "base/check.h"

static int64_t read_ns(clockid_t id) {
    struct timespec now;
    const int rc = clock_gettime(id, &now);
    ASSERT(rc == 0);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static int64_t system_unix_ns(struct clock *clock) {
    (void)clock;
    return read_ns(CLOCK_REALTIME);
}

static int64_t system_mono_ns(struct clock *clock) {
    (void)clock;
    return read_ns(CLOCK_MONOTONIC);
}

struct clock *clock_system(void) {
    static const struct clock_ops ops = {system_unix_ns, system_mono_ns};
    static struct clock system_clock = {&ops};
    return &system_clock;
}

int64_t clock_thread_cpu_ns(struct clock *clock) {
    return clock == clock_system() ? read_ns(CLOCK_THREAD_CPUTIME_ID) : clock_mono_ns(clock);
}

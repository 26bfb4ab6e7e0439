#include "tests/support/fake_clock.h"

static int64_t fake_unix_ns(struct clock *clock) {
    return atomic_load(&((struct fake_clock *)clock)->unix_ns);
}

static int64_t fake_mono_ns(struct clock *clock) {
    return atomic_load(&((struct fake_clock *)clock)->mono_ns);
}

void fake_clock_init(struct fake_clock *c, int64_t unix_ns) {
    static const struct clock_ops ops = {fake_unix_ns, fake_mono_ns};
    c->clock.ops = &ops;
    atomic_init(&c->unix_ns, unix_ns);
    atomic_init(&c->mono_ns, 3600 * NS_PER_S);
}

void fake_clock_advance_ns(struct fake_clock *c, int64_t ns) {
    (void)atomic_fetch_add(&c->unix_ns, ns);
    (void)atomic_fetch_add(&c->mono_ns, ns);
}

void fake_clock_advance_to_ns(struct fake_clock *c, int64_t mono_ns) {
    const int64_t ahead = mono_ns - atomic_load(&c->mono_ns);
    if (ahead > 0) {
        fake_clock_advance_ns(c, ahead);
    }
}

void fake_clock_set_unix_ns(struct fake_clock *c, int64_t unix_ns) {
    atomic_store(&c->unix_ns, unix_ns);
}

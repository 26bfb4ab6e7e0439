#include "base/rng.h"

#include <errno.h>
#include <sys/random.h>

#include "base/check.h"

static uint64_t system_next(struct rng *rng) {
    (void)rng;
    uint64_t v = 0;
    ssize_t n = 0;
    do {
        n = getrandom(&v, sizeof(v), 0);
    } while (n < 0 && errno == EINTR);
    /* Up to 256 bytes are never short once the pool is ready, and it cannot fail otherwise. */
    ASSERT(n == (ssize_t)sizeof(v));
    return v;
}

/* SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t seeded_next(struct rng *rng) {
    rng->state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = rng->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

struct rng rng_system(void) {
    return (struct rng){.next = system_next};
}

struct rng rng_seeded(uint64_t seed) {
    return (struct rng){.next = seeded_next, .state = seed};
}

/* Lemire, "Fast random integer generation in an interval", 2019: the high word of a product is
 * uniform once the few low words below 2^64 mod n are drawn again. */
uint64_t rng_below(struct rng *rng, uint64_t n) {
    ASSERT(n > 0);
    __extension__ typedef unsigned __int128 wide;
    const uint64_t reject_below = -n % n;
    for (;;) {
        const wide product = (wide)rng_u64(rng) * n;
        if ((uint64_t)product >= reject_below) {
            return (uint64_t)(product >> 64);
        }
    }
}

/* Random numbers, passed at construction: the system's (getrandom) or a seeded sequence. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t (*next)(struct rng *rng);
    uint64_t state;
};

struct rng rng_system(void);          /* each call asks the kernel; thread-safe */
struct rng rng_seeded(uint64_t seed); /* SplitMix64; one thread */

static inline uint64_t rng_u64(struct rng *rng) {
    return rng->next(rng);
}

/* Uniform in 0 .. n-1; n > 0. */
uint64_t rng_below(struct rng *rng, uint64_t n);

#endif

/* What fuzz targets get from the kernel as random bytes: a sequence, so that keys of hash tables, and with
 * them the ways through the code, are the same in each run of a program. Linked into libFuzzer programs
 * alone, in the place of the system's function. One thread. */
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include "base/rng.h"

ssize_t getrandom(void *to, size_t n, unsigned flags) {
    static struct rng sequence;
    static int is_made;
    (void)flags;
    if (!is_made) {
        sequence = rng_seeded(1);
        is_made = 1;
    }
    for (size_t at = 0; at < n; at += sizeof(uint64_t)) {
        const uint64_t v = rng_u64(&sequence);
        memcpy((char *)to + at, &v, n - at < sizeof(v) ? n - at : sizeof(v));
    }
    return (ssize_t)n;
}

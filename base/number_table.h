/* Powers of ten in 128 bits, shared by the reading and the printing of doubles. */
#ifndef BASE_NUMBER_TABLE_H
#define BASE_NUMBER_TABLE_H

#include <stdint.h>

enum { NUMBER_POWER_MIN = -342, NUMBER_POWER_MAX = 324, NUMBER_POWER_EXACT_MAX = 55 };

struct u128 {
    uint64_t hi;
    uint64_t lo;
};

/* Entry q - NUMBER_POWER_MIN is 10^q as a fraction of 128 bits, rounded down; its top bit is set
 * and it stands for hi:lo * 2^(floor(log2(10^q)) - 127). Exact for 0 <= q <= 55. */
extern const struct u128 number_powers[NUMBER_POWER_MAX - NUMBER_POWER_MIN + 1];

/* floor(log2(10^q)) and floor(log10(2^e)) for the exponents that doubles have. */
static inline int number_log2_of_power10(int q) {
    return (int)(((int64_t)q * 217706) >> 16);
}

static inline int number_log10_of_power2(int e) {
    return (int)(((int64_t)e * 1262611) >> 22);
}

static inline const struct u128 *number_power(int q) {
    return &number_powers[q - NUMBER_POWER_MIN];
}

#endif

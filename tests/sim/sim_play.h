/* One simulated life of a database: clock, disk and targets are fakes, and one seed decides all. */
#ifndef TESTS_SIM_SIM_PLAY_H
#define TESTS_SIM_SIM_PLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_totals {
    uint64_t steps;
    uint64_t samples;
    uint64_t lost; /* which a crash may take */
    uint64_t queries;
    uint64_t kills;
    uint64_t power_losses;
    uint64_t clean_ends;
    uint64_t failed_calls;
    uint64_t simulated_s;
};

/* Plays a seed. False after a failure, which is printed with the seed and the step. harsh: reads fail
 * too, the disk may be full at a start, partitions are short, some are removed by age. late: samples come behind the newest of
 * their series. */
bool sim_play(uint64_t seed, bool verbose, bool harsh, bool late, struct sim_totals *totals);

#endif

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
    uint64_t histograms;
    uint64_t deleted;
    uint64_t snapshots;
    uint64_t exemplars;
    uint64_t refusals;
    uint64_t damages;
    uint64_t simulated_s;
};

/* What may happen in a life beside rows, pushes, queries, ends and failing disks. Without any, a seed
 * gives the same life whatever is added here. */
struct sim_mode {
    bool harsh;      /* reads fail, starts on a full disk, short partitions, removal by age */
    bool late;       /* samples behind the newest of their series */
    bool histograms; /* native histograms that take turns with floats, and start timestamps */
    bool deletes;    /* deletions, and cleaning behind them */
    bool snapshots;  /* opened on another disk and compared */
    bool notes;      /* exemplars and metadata */
    bool limits;     /* too few series are allowed */
    bool verify;     /* `verify` is asked at each start, and of damage at the end */
};

/* Plays a seed. False after a failure, which is printed with the seed and the step. */
bool sim_play(uint64_t seed, bool verbose, const struct sim_mode *mode, struct sim_totals *totals);

#endif

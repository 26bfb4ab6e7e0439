/* What was noted beside samples: exemplars, and the metadata of families. Private to tests/sim. */
#ifndef TESTS_SIM_SIM_NOTES_H
#define TESTS_SIM_SIM_NOTES_H

#include <stddef.h>
#include <stdint.h>

struct sim_exemplar {
    size_t series; /* in the model */
    int64_t ts_ms;
    uint64_t number; /* its value, and in its label; grows from one to the next */
    uint8_t promise; /* enum sim_promise */
};

/* What a family's help said, one after the other. */
struct sim_family {
    uint64_t newest;
    uint64_t promised[6]; /* by enum sim_promise: the newest with at least that */
};

struct sim_notes {
    struct sim_exemplar *items; /* by number */
    size_t count;
    size_t capacity;
    size_t drafts; /* the last ones of them */
    uint64_t next;
    struct sim_family families[8];
};

#endif

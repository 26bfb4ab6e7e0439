/* Progress of long work for whoever waits at a terminal or reads a log: on a terminal one line that
 * is redrawn five times a second, else one line every five seconds.
 *
 *   importing  62 % [############........]  12.3 M/19.8 M samples  1.4 M/s  ETA 5 s
 *
 * One thread. Nothing is written before the work has taken a second. */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"

struct progress {
    struct clock *clock;
    FILE *to; /* NULL: silent */
    bool terminal;
    const char *phase; /* borrowed */
    const char *unit;
    int64_t begin_mono_ns;
    int64_t next_mono_ns;
    bool drawn;
};

/* terminal: isatty of to. */
void progress_begin(struct progress *p, struct clock *clock, FILE *to, bool terminal,
                    const char *phase, const char *unit);
/* Writes when it is time. total 0: unknown. Cheap enough for every few thousand units. */
void progress_update(struct progress *p, uint64_t done, uint64_t total);
/* Ends the line on a terminal. */
void progress_end(struct progress *p);

#endif

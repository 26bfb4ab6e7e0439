/* What a simulated database must hold: samples per series, each with what was promised of it.
 *
 * The simulation adds what it wrote, raises the promise when the storage gave one (a commit that
 * returned ERR_OK, a maintenance round without a failure), and compares what comes back: no sample
 * that was not written or was deleted, none with another value, none missing of which enough was
 * promised. */
#ifndef TESTS_SIM_SIM_MODEL_H
#define TESTS_SIM_SIM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/histogram.h"
#include "base/labels.h"
#include "tsdb/storage.h"

enum sim_promise {
    SIM_GONE,      /* deleted, and that was promised */
    SIM_MAYBE,     /* the storage could not say: there or not */
    SIM_IN_MEMORY, /* accepted, but the commit failed: there until the process ends */
    SIM_ACKED,     /* survives the process */
    SIM_DURABLE,   /* survives the machine */
    SIM_UNDAMAGED  /* of no sample: what comes back is right, but nothing has to */
};

struct sim_value {
    double number;
    const struct histogram *histogram; /* NULL: the number; in the model's arena */
    int64_t start_ms;                  /* 0: unknown */
};

struct sim_sample {
    int64_t ts_ms;
    struct sim_value value;
    uint8_t promise; /* enum sim_promise */
};

struct sim_series {
    char name[8];
    struct labels labels;
    struct sim_sample *samples; /* by time */
    size_t count;
    size_t capacity;
    bool has_slot;           /* in its open group: it is not refused any more */
    struct histogram *grows; /* the next one is a bit more; NULL: a new one */
    /* All that was ever deleted lies in here: what comes late may be hidden. */
    int64_t deleted_min_ms;
    int64_t deleted_max_ms;
};

/* So far behind the newest sample late ones are taken. */
enum { SIM_LATE_MS = 1800000 };
enum { SIM_GROUPS = 3, SIM_SLOTS = 5, SIM_PUSHED = 6, SIM_JOBS = SIM_GROUPS + 2 };
enum { SIM_SCRAPED = SIM_GROUPS * SIM_SLOTS, SIM_SERIES = SIM_SCRAPED + SIM_PUSHED };

struct sim_model {
    struct arena arena; /* labels, histograms */
    struct sim_series series[SIM_SERIES];
    size_t lost; /* samples that crashes took and were allowed to take */
};

void sim_model_init(struct sim_model *m);
void sim_model_release(struct sim_model *m);

/* Series i of a group, or a pushed one behind all groups. */
struct sim_series *sim_series_of(struct sim_model *m, size_t group, size_t slot);
/* "g0" .. of the groups, "p0", "p1" of the pushed series. */
void sim_job_name(size_t job, char to[8]);

void sim_add(struct sim_series *s, int64_t ts_ms, struct sim_value value, enum sim_promise promise);
/* At any time that the series does not have. */
void sim_insert(struct sim_series *s, int64_t ts_ms, struct sim_value value,
                enum sim_promise promise);
bool sim_has(const struct sim_series *s, int64_t ts_ms);
bool sim_value_is_stale(const struct sim_value *v);
/* Raises all samples to at least this, but for those that may not be there. */
void sim_promise_all(struct sim_model *m, enum sim_promise promise);
/* A deletion of the closed range that worked (sure), or may have. */
void sim_delete(struct sim_series *s, int64_t mint, int64_t maxt, bool sure);

/* Compares samples of [mint, maxt] that were read of a series: those with at least the promise
 * must be there, but for those before kept_from_ms. NULL, or what is wrong, in a static buffer. */
const char *sim_compare(const struct sim_series *s, const struct storage_samples *got, int64_t mint,
                        int64_t maxt, int64_t kept_from_ms, enum sim_promise promise);
/* The series holds what was read and what was deleted, and nothing else; kept samples get at least
 * the promise. */
void sim_settle(struct sim_model *m, struct sim_series *s, const struct storage_samples *got,
                enum sim_promise promise);

#endif

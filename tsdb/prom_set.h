/* The series of some blocks of Prometheus and of its log, merged: one entry a label set, its samples
 * in time order whichever files they are in. Of several samples at one time the first source's
 * counts: blocks by min time, then the log, then the log of late samples.
 *
 * One thread at a time. Memory: labels and 48 bytes for each series of each block. */
#ifndef TSDB_PROM_SET_H
#define TSDB_PROM_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/labels.h"
#include "tsdb/prom_db.h"

struct prom_set;

enum prom_set_order {
    PROM_BY_LABELS,
    PROM_BY_TARGET, /* series with equal job and instance are neighbours */
};

/* Blocks [first, last) of the directory, with the log if with_head (db->head must be there). db
 * must outlive the set. */
MUST_CHECK enum err_code prom_set_open(const struct prom_db *db, size_t first, size_t last,
                                       bool with_head, enum prom_set_order order,
                                       struct prom_set **out, struct err *err);
void prom_set_close(struct prom_set *set);

uint32_t prom_set_count(const struct prom_set *set);
struct labels prom_set_labels(const struct prom_set *set, uint32_t series);
/* A number that series of one target share and others hardly ever. */
uint64_t prom_set_target(const struct prom_set *set, uint32_t series);
/* Time of the first sample, or earlier; INT64_MAX for an empty set. */
int64_t prom_set_min_time(const struct prom_set *set);

/* Readies [mint, maxt] of the series [first, last) for prom_set_read. ERR_LIMIT: more samples of the
 * log than may be in memory; ask for less. *out_next_ms: see struct prom_read_result. */
MUST_CHECK enum err_code prom_set_load(struct prom_set *set, uint32_t first, uint32_t last,
                                       int64_t mint, int64_t maxt, int64_t *out_next_ms,
                                       struct err *err);
/* The log's samples of a series in the loaded range, in the order of the log. */
const struct prom_sample *prom_set_loaded(const struct prom_set *set, uint32_t series,
                                          size_t *out_count);
/* Forgets them: from now on prom_set_read gives what the blocks have, in the range that is set here. */
void prom_set_unload(struct prom_set *set);
void prom_set_range(struct prom_set *set, int64_t mint, int64_t maxt);
/* May a block have samples of the series in [mint, maxt]? Any thread. */
bool prom_set_overlaps(const struct prom_set *set, uint32_t series, int64_t mint, int64_t maxt);
/* Replaces to by the series' samples in the loaded range. */
MUST_CHECK enum err_code prom_set_read(struct prom_set *set, uint32_t series,
                                       struct prom_samples *to, struct prom_read_result *result,
                                       struct err *err);

#endif

/* Exemplars and metadata of Prometheus' log on their way into a storage. Private to tsdb/. One
 * thread; memory: one transaction of exemplars. */
#ifndef TSDB_IMPORT_NOTES_H
#define TSDB_IMPORT_NOTES_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "tsdb/prom_head.h"
#include "tsdb/storage.h"

struct import_notes_result {
    uint64_t exemplars; /* taken by the storage */
    uint64_t families;  /* series whose metadata the storage was told */
};

/* To be called when the samples are there. Exemplars that the storage has already, or that are older
 * than those, or of series without samples are left out. ERR_CANCELED by cancel (may be NULL). */
MUST_CHECK enum err_code import_notes(struct storage *st, struct prom_head *head,
                                      const struct cancel *cancel, struct import_notes_result *out,
                                      struct err *err);

#endif

/* What a row holds beside values: histograms, start timestamps, exemplars. Private to ingest*.c. */
#ifndef SCRAPE_INGEST_EXTRAS_H
#define SCRAPE_INGEST_EXTRAS_H

#include <stdint.h>

#include "scrape/ingest_row.h"

void ingest_extras_begin(struct ingest_scratch *s);
/* Gives memory back that a giant page made the scratch take. */
void ingest_extras_trim(struct ingest_scratch *s);

/* For struct storage_row: start timestamps of all slots of the row, or NULL. */
const int64_t *ingest_row_starts(struct ingest_scratch *s);
/* Room for the reject of every slot of the row. */
uint8_t *ingest_row_rejects(struct ingest_scratch *s);
/* Zeros at start timestamps: samples before those of the row, whose refusal nobody hears of. */
void ingest_commit_zeros(struct ingest *ig, struct ingest_scratch *s);

#endif

/* One target whose pages are fed to an ingest, and a storage that records the rows: what the tests
 * of ingest begin with. */
#ifndef TESTS_UNIT_SCRAPE_INGEST_WORLD_H
#define TESTS_UNIT_SCRAPE_INGEST_WORLD_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "scrape/ingest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/row_storage.h"

enum { INGEST_START_MS = 1700000000 };

struct ingest_world {
    struct arena arena;
    struct fake_clock clock;
    struct row_storage *rows;
    struct ingest *ingest;
    struct ingest_scratch *scratch;
    struct scrape_config config; /* job j, honor_timestamps */
    struct labels target;        /* job="j" */
    struct scrape_histograms histograms;
    unsigned features;
    struct ingest_scrape scrape; /* of the last page */
    int64_t now_ms;              /* of the next one */
};

void ingest_world_init(struct ingest_world *w);
void ingest_world_release(struct ingest_world *w);
/* w->scrape for a page in this format at w->now_ms. */
void ingest_world_begin(struct ingest_world *w, enum expo_format format);
/* Commits what was read as the row of the scrape; a second later is now. */
void ingest_world_commit(struct ingest_world *w, struct ingest *ingest,
                         const struct ingest_report *report);
/* The rows since the last call, without the time where it is that of the last scrape. reports: with
 * the series about the scrape. */
void ingest_world_rows(struct ingest_world *w, bool reports, struct buf *to);
/* Compares them. */
void ingest_world_expect(struct ingest_world *w, const char *want, const char *file, int line);

#endif

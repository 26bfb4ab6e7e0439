/* What reads a page, and how samples get from it into the row. ingest_page.c and known_lines.c read
 * lines of text; ingest_entries.c reads whatever does not come line by line; ingest_sample.c puts
 * what was read into the row. Private to them. */
#ifndef SCRAPE_PAGE_READER_H
#define SCRAPE_PAGE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/labels.h"
#include "scrape/expo.h"
#include "scrape/ingest.h"
#include "scrape/ingest_row.h"

/* The exposed labels of the sample at hand, as expo_labels gives them; for a new series only. */
typedef enum err_code page_labels_fn(void *ctx, struct arena *arena, const struct label **out,
                                     size_t *out_count, struct err *err);

/* Entries that are tried before the index when a line is not the expected one. */
enum { PAGE_LOOK_AHEAD = 4 };

struct page_reader {
    struct ingest *ig;
    struct ingest_scratch *s;
    struct ingest_scrape *scrape;
    struct str body; /* or what stands for it: comments are slices of it */
    const char *readable_end;
    size_t at;
    uint32_t next;       /* the entry that is expected */
    enum expo_type type; /* of the last TYPE line */
    uint64_t reached;    /* samples that count for sample_limit */
    uint64_t sample_limit;
    uint64_t resolved;      /* new series worked on */
    size_t unit_at;         /* the body's UNIT lines before it were looked at */
    struct str unit;        /* of the last of them */
    page_labels_fn *labels; /* NULL: of the scratch's parser */
    void *labels_ctx;
};

/* Takes the sample that follows comment: finds its entry or resolves a new series, puts it into
 * the row, and notes the line where the page deviates. type: of the last TYPE line in comment. */
MUST_CHECK enum err_code page_take_sample(struct page_reader *r, struct str comment, uint32_t type,
                                          struct expo_entry *sample, struct err *err);
/* A sample of a line that is resolved already. */
MUST_CHECK enum err_code page_known_sample(struct page_reader *r, uint32_t line,
                                           const struct expo_entry *sample, struct err *err);
/* A sample whose series is not in the cache. line: its entry, or LINE_NONE. */
MUST_CHECK enum err_code page_new_sample(struct page_reader *r, struct str comment, uint32_t type,
                                         const struct expo_entry *sample, uint32_t *line,
                                         struct err *err);

/* Room for the notes of n lines that are where the template has them; behind those that are made. */
struct line_seen *page_reserve_notes(struct ingest_scratch *s, uint32_t n);
/* The line is in its place on this page. */
void page_note_line(struct ingest_scratch *s, struct line_seen line);
/* The lines before the first deviation were as in the template. */
void page_start_noting(struct page_reader *r);

/* The page, sample by sample: protobuf, histograms to convert, start timestamps. */
bool page_by_entries(const struct ingest_scrape *scrape);
MUST_CHECK enum err_code page_read_entries(struct page_reader *r, struct err *err);

/* ---- the row beside values (ingest_extras.c) ---- */

/* The exemplar that the parser left, as the sample's; nothing when it has none or a bad one. */
void page_take_exemplar(struct page_reader *r, struct expo_entry *sample);
/* A histogram, start timestamp and exemplars of a sample that is in the row at slot, or has a time
 * of its own. */
void page_put_histogram(struct ingest_scratch *s, uint32_t slot, const struct histogram *h);
void page_put_start(struct page_reader *r, uint32_t slot, const struct expo_entry *sample,
                    bool own_time);
void page_put_exemplars(struct page_reader *r, uint32_t slot, const struct expo_entry *sample,
                        bool own_time);

static inline uint8_t page_sample_state(const struct expo_entry *sample) {
    if (LIKELY(sample->histogram == NULL)) {
        return SLOT_VALUE;
    }
    return sample->float_histogram ? SLOT_FLOAT_HISTOGRAM : SLOT_HISTOGRAM;
}

#endif

/* Lines of a page that are what the template says, and where it says (ingest_page.c).
 *
 * The loop exists once for each width of vectors; which of them a machine has is asked once, when
 * a worker's scratch memory is made. All give the same result: tests run every one of them. */
#ifndef SCRAPE_KNOWN_LINES_H
#define SCRAPE_KNOWN_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scrape/ingest.h"
#include "scrape/page_reader.h"

/* The lines from r->at on, as long as they are those of the template and in its order. Leaves the
 * first other one, and whatever it cannot do in a few steps, untouched. */
typedef void known_lines_fn(struct page_reader *r);

/* NULL: this machine does not have it. */
known_lines_fn *known_lines_of(enum line_kernel kernel);
/* The fastest one. */
known_lines_fn *known_lines_best(void);

/* ---- of the loop ---- */

known_lines_fn known_lines_plain, known_lines_base, known_lines_avx2, known_lines_avx512;

/* What follows a known line's value that ends in a blank: the offset of the line break, or 0 when
 * it is nothing that the loop takes. */
size_t known_line_end(struct page_reader *r, const char *line, const char *p,
                      struct expo_entry *sample);
/* What the loop does not do in place: own timestamps, duplicates, limits, noting lines. False
 * leaves the line to the parser, untouched. */
bool known_line_take(struct page_reader *r, uint32_t line, struct expo_entry *sample);

#endif

/* Postings: a growing list of strictly ascending u32 ids, kept as runs.
 *
 * Ids are given out in the order of first use, so what belongs together is mostly contiguous: a
 * list is a few (gap, length) pairs of varints, and a single id or run costs no heap memory. The
 * owner's lock guards a list; iteration is over a list that does not change meanwhile. */
#ifndef TSDB_POSTINGS_H
#define TSDB_POSTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct postings {
    struct postings_closed *closed; /* runs before the open one; NULL: none */
    uint32_t run_start;             /* the open run, [run_start, run_end); run_end 0: no ids */
    uint32_t run_end;
};

/* id is larger than all before; the same id again does nothing. */
void postings_add(struct postings *p, uint32_t id);
void postings_release(struct postings *p);
/* Memory beyond the struct. */
size_t postings_bytes(const struct postings *p);

struct postings_iter {
    const struct postings *list;
    uint32_t at; /* byte */
    uint32_t end;
    bool done;
};

static inline struct postings_iter postings_begin(const struct postings *p) {
    return (struct postings_iter){.list = p, .done = p->run_end == 0};
}

/* The next run [*out_start, *out_end); false at the end. */
bool postings_next_run(struct postings_iter *it, uint32_t *out_start, uint32_t *out_end);

#endif

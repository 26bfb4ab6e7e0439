/* Which series of a prom_set have which labels: for each pair of name and value the numbers of its
 * series, packed. Private to tsdb/.
 *
 * Immutable once made; any number of threads may read. Strings are the set's, which must outlive it.
 * Memory: 40 bytes a pair and the packed numbers; while it is made 4 bytes more for each label of each
 * series. */
#ifndef TSDB_PROM_POSTINGS_H
#define TSDB_PROM_POSTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/matcher.h"
#include "tsdb/id_list.h"
#include "tsdb/prom_set.h"

struct prom_postings;

struct prom_pair {
    struct str name;
    struct str value;
    uint32_t series_count;
    uint64_t at; /* of the packed numbers */
};

/* ERR_LIMIT: more pairs, or more packed numbers, than fit. */
MUST_CHECK enum err_code prom_postings_new(const struct prom_set *set, struct prom_postings **out,
                                           struct err *err);
void prom_postings_free(struct prom_postings *p);

/* Pairs by name, then value. */
const struct prom_pair *prom_postings_pairs(const struct prom_postings *p, size_t *out_count);
/* Where the pairs of a name begin, and end. */
size_t prom_postings_first(const struct prom_postings *p, struct str name);
size_t prom_postings_last(const struct prom_postings *p, struct str name);
/* The series of a pair, ascending. *from must stay until the reading ends. */
void prom_postings_series(const struct prom_postings *p, const struct prom_pair *pair,
                          struct cursor *from, struct id_list_iter *out);

/* Numbers of all series that may match, ascending, and of few others; to be freed with mem_free.
 * *out NULL: any of the set may. */
MUST_CHECK enum err_code prom_postings_find(const struct prom_postings *p,
                                            const struct matcher *matchers, size_t n,
                                            uint32_t **out, size_t *out_count, struct err *err);

#endif

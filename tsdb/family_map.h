/* What is known of metric families from pushed data: a map of bounded size.
 *
 * When it is full, families that are not in it yet are not taken. Ownership: all is copied in, and
 * copied out to an arena. Threads: any; one lock, held for short steps and for a listing. */
#ifndef TSDB_FAMILY_MAP_H
#define TSDB_FAMILY_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "tsdb/storage.h"

enum {
    METADATA_FAMILIES_MAX = 1 << 17,
    METADATA_BYTES_MAX = 64 << 20,
    METADATA_TEXT_MAX = 64 << 10, /* of one family, all its texts together */
};

struct metadata_map;

struct metadata_map *metadata_map_new(void);
void metadata_map_free(struct metadata_map *map);
/* True when this is news that the map took. tag is the caller's: where it keeps the family. */
bool metadata_map_put(struct metadata_map *map, struct str family, const struct storage_metadata *m,
                      uint32_t tag);
/* The same without taking it. */
bool metadata_map_is_news(struct metadata_map *map, struct str family,
                          const struct storage_metadata *m);
/* All by name. ERR_LIMIT: the arena's budget. */
MUST_CHECK enum err_code metadata_map_list(struct metadata_map *map, struct arena *arena,
                                           struct storage_family **out, size_t *out_count);

/* All, in no order; what the callback is given is borrowed, and its tag becomes *io_tag. Ends with
 * the callback's error. The callback must not use the map. */
typedef enum err_code metadata_visit_fn(void *ctx, const struct storage_family *family,
                                        uint32_t *io_tag, struct err *err);
MUST_CHECK enum err_code metadata_map_visit(struct metadata_map *map, metadata_visit_fn *visit,
                                            void *ctx, struct err *err);

#endif

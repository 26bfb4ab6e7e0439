/* How far L0 segments are durable and whole, as their files say it: a mark, a record before the run
 * with which it was written (FORMAT.md section 3).
 *
 * Runs before its place were synced when it was written, so they need no check at opening. Those behind
 * it may be the remains of what a loss of power took: their frames without their pages. One that fails
 * the check is *void*: later marks, which say that all before them is durable, name it. */
#ifndef TSDB_SEGMENT_MARK_H
#define TSDB_SEGMENT_MARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

/* With more of them, marks stay where they are. */
enum { SEGMENT_VOIDS_MAX = 4096 };

struct segment_place {
    uint32_t file; /* 0: before all */
    uint32_t offset;
};

static inline bool segment_place_before(struct segment_place a, struct segment_place b) {
    return a.file != b.file ? a.file < b.file : a.offset < b.offset;
}

struct segment_mark { /* starts as zeros */
    struct segment_place place;
    struct segment_place *voids; /* ascending; runs that do not count */
    size_t void_count;
    size_t void_capacity;
};

void segment_mark_release(struct segment_mark *mark);
bool segment_mark_is_void(const struct segment_mark *mark, struct segment_place run);
/* Of a run that is void already nothing changes. */
void segment_mark_add_void(struct segment_mark *mark, struct segment_place run);
/* Those of older files are gone. */
void segment_mark_forget(struct segment_mark *mark, uint32_t oldest_file);

size_t segment_mark_bytes_max(const struct segment_mark *mark);
/* Returns the byte behind the payload. */
uint8_t *segment_mark_write(const struct segment_mark *mark, uint8_t *to);
/* The mark becomes what the payload of a record at this place says. ERR_CORRUPT: that cannot be, the mark
 * is as before. */
MUST_CHECK enum err_code segment_mark_parse(struct segment_mark *mark, struct segment_place at,
                                            const uint8_t *payload, size_t size);

#endif

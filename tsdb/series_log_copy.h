/* Second copies of the records of the series log. Private to series_log*.c.
 *
 * A definition is small and what it names is not: a damaged page of the log would cost all samples of
 * the series that it defines. So each record of definitions comes twice in its file, the second time as
 * the payload of a copy that stands SERIES_COPY_DISTANCE or more behind it: no page has both. Copies are
 * written with later records as soon as these are far enough; when none come, filler makes the distance,
 * if the file is large enough for that to cost next to nothing.
 *
 * Nothing relies on copies: a record is defined and durable without. A file has them or not, and since
 * they are in the file of what they are copies of, no failure leaves one that is about something else. */
#ifndef TSDB_SERIES_LOG_COPY_H
#define TSDB_SERIES_LOG_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/vfs.h"
#include "tsdb/record_file.h"

enum {
    SERIES_RECORD_BATCH = 1,
    SERIES_RECORD_CONTINUE = 2,
    SERIES_RECORD_IMAGE = 3,
    SERIES_RECORD_COPY = 4,
    SERIES_RECORD_FILLER = 5,
    SERIES_RECORD_CARRIED = 6,
    SERIES_CARRIED_HEAD_BYTES = 12,     /* the payload of the file's type 2 record */
    SERIES_COPY_HEAD_BYTES = 4,         /* number of the record */
    SERIES_COPY_DISTANCE = 8 << 10,     /* two pages */
    SERIES_COPY_WAITING_MAX = 16 << 20, /* of records found at opening; older ones get no copy */
};

/* Records of one file that have no copy yet, oldest first. */
struct series_copy_queue {
    struct buf entries; /* number u32, offset behind the record u64, size u32, payload */
    size_t head;
    uint64_t last_end; /* of the newest one */
};

void series_copy_queue_init(struct series_copy_queue *q);
void series_copy_queue_release(struct series_copy_queue *q);
void series_copy_queue_clear(struct series_copy_queue *q);
bool series_copy_queue_empty(const struct series_copy_queue *q);
/* A record that ends at this offset of the file. */
void series_copy_queue_add(struct series_copy_queue *q, uint32_t number, uint64_t end,
                           const void *payload, uint32_t size);
/* For a file that was found: one record of it after the other. */
void series_copy_queue_follow(struct series_copy_queue *q, const struct record_view *record);

/* Where records go: to to, whose first byte has the offset base in the file. */
struct series_framer {
    struct buf *to;
    uint64_t base;
    uint32_t seed;
    uint32_t number; /* of the next record */
};

/* Frames copies of those that are far enough away, or of all, behind filler where needed. */
void series_copy_frame(struct series_copy_queue *q, struct series_framer *to, bool all);
/* At most so many bytes of filler would come with all of them. */
uint64_t series_copy_filler(const struct series_copy_queue *q, uint64_t position);

/* What a record of type 1 or 6 defines; false: it is none. */
struct series_definitions {
    const uint8_t *payload;
    uint32_t size;
};
bool series_definitions_of(const struct record_view *record, struct series_definitions *out);

/* As record_scan; where a record is damaged and has a copy, fn gets that in its place, as a record
 * of type 1, in order. */
MUST_CHECK enum err_code series_copy_scan(struct vfs_file *f,
                                          const struct record_scan_options *options,
                                          record_scan_fn *fn, void *ctx, uint64_t *out_end,
                                          uint32_t *out_next, struct record_scan_stats *stats,
                                          struct err *err);

#endif

/* The parts of the writer of partitions. Private to partition_writer.c, which encodes series,
 * partition_page_writer.c, which stores pages of them, and partition_index_writer.c, which makes the
 * index of what the pages have. */
#ifndef TSDB_PARTITION_WRITER_IMPL_H
#define TSDB_PARTITION_WRITER_IMPL_H

#include "base/buf.h"
#include "base/compress.h"
#include "tsdb/chunk/block.h"
#include "tsdb/hist_columns.h"
#include "tsdb/label_sets.h"
#include "tsdb/partition_format.h"
#include "tsdb/partition_series_table.h"
#include "tsdb/partition_writer.h"
#include "tsdb/series_summary.h"

enum { WRITER_ENCODERS = 16 };

struct number_array {
    uint32_t *items;
    size_t count;
    size_t capacity;
};
void number_array_add(struct number_array *to, uint32_t number);

struct writer_page {
    uint64_t offset;
    uint32_t first_series;
    uint32_t head_bytes;
    uint32_t crc;
};

struct writer_timeline {
    uint32_t rows;
    uint32_t first_block; /* in block_rows */
    uint32_t block_count;
};

struct partition_writer {
    struct vfs *vfs;
    char *dir;
    struct partition_info info;
    uint8_t version; /* of the format */
    uint32_t pack_index_below;
    uint32_t *parents;
    struct err error; /* the first one */
    bool finished;
    partition_written_fn *on_written;
    void *on_written_ctx;

    struct label_sets targets;
    struct label_sets metrics;
    struct hist_layouts *layouts;

    /* by series */
    struct series_table series;
    struct number_array repeats;
    struct number_array first_of_name; /* by metric name: its first series */
    uint32_t last_target;
    uint32_t last_metric;

    struct writer_timeline *timelines;
    size_t timeline_capacity;
    struct number_array block_rows;    /* of all timelines */
    struct number_array timeline_ends; /* in timeline_bytes */
    struct buf timeline_bytes;

    /* pages */
    char *data_path;
    struct vfs_file *data;
    uint64_t data_bytes; /* with what is in out */
    struct buf out;
    struct writer_page *pages;
    size_t page_count;
    size_t page_capacity;
    struct buf heads; /* of the open page's series */
    struct buf blocks;
    uint32_t page_first;
    uint32_t page_timeline; /* of its newest series */
    bool page_open;
    struct number_array pieces;  /* ends in blocks */
    struct packer *packer;       /* NULL: nothing is packed */
    struct buf packed;           /* the open page's pieces, as they are stored */
    struct number_array stored;  /* bytes of each that is packed, else 0 */
    struct number_array entries; /* of the series being added */
    struct block_encoder *encoders[WRITER_ENCODERS + 1];
    struct block_column count_scratch;

    struct series_summary_builder *summaries; /* NULL: there are none */
    bool summing;                             /* the series being added has one */
    struct buf summary_bytes;                 /* of all series, a list without its table */
    struct number_array summary_ends;         /* in summary_bytes, of groups of series */
};

static inline void append_uvarint(struct buf *to, uint64_t v) {
    uint8_t bytes[UVARINT_MAX];
    buf_append(to, bytes, (size_t)(put_uvarint(bytes, v) - bytes));
}

/* ---- partition_page_writer.c ---- */

/* Ends the open page, if there is one; ERR_LIMIT when it is too large. */
MUST_CHECK enum err_code partition_finish_page(struct partition_writer *w, struct err *err);
/* Writes finished pages when they have at_least bytes. */
MUST_CHECK enum err_code partition_flush_pages(struct partition_writer *w, size_t at_least,
                                               struct err *err);

/* Of labels that are in two sets (partition_order.c). */
struct str partition_metric_name(struct labels target, struct labels metric);
/* Writes and syncs the file "index"; the pages are complete. */
MUST_CHECK enum err_code partition_write_index(struct partition_writer *w, struct err *err);

#endif

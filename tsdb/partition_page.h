/* A page of a partition in memory, taken apart. Private to partition*.c. FORMAT.md section 10.4.
 *
 * The page's head is read and checked as a whole; of a page with pieces, blocks are read and
 * checked when they are asked for. Memory is the arena given to the load. One thread. */
#ifndef TSDB_PARTITION_PAGE_H
#define TSDB_PARTITION_PAGE_H

#include "tsdb/partition_index.h"

struct page_place { /* from the page directory */
    uint32_t number;
    uint64_t offset;
    uint32_t size;
    uint32_t first_series;
    uint32_t series_count;
    uint32_t head_bytes;
    uint32_t crc;
};

struct page_series {
    uint32_t first_block;
    uint32_t block_count;
    uint32_t column_count;
    uint32_t first_column;         /* in the page */
    const struct column_key *keys; /* NULL: one plain float */
    const uint32_t *entries;       /* [block * column_count + column] */
    const uint32_t *offsets;       /* where the block is behind the head; one more: the end */
};

struct page_piece {
    uint32_t offset;
    uint32_t size;
    uint32_t crc;
    const uint8_t *bytes; /* NULL: not read */
};

struct partition_page {
    struct partition *p;
    struct arena *arena;
    struct page_place place;
    uint32_t number;
    const uint8_t *head;
    uint32_t blocks_at; /* in the page */
    struct page_series *series;
    uint32_t *column_series; /* by column of the page: index into series */
    uint32_t column_count;
    struct page_piece *pieces; /* NULL: all is in head */
    uint32_t piece_count;
    uint32_t last_piece;
    struct block_ints reference; /* scratch, and what it holds: */
    uint32_t reference_column;
    uint32_t reference_block;
    bool has_reference;
};

/* The page that has a series. */
MUST_CHECK enum err_code partition_page_of(struct partition *p, uint32_t series, uint32_t *out,
                                           struct err *err);
MUST_CHECK enum err_code partition_page_place(struct partition *p, uint32_t page,
                                              struct page_place *out, struct err *err);
/* Reads (unless bytes, which are place.head_bytes long, are given) and checks. ERR_CORRUPT is
 * reported. */
MUST_CHECK enum err_code partition_page_load(struct partition *p, uint32_t number,
                                             const uint8_t *bytes, struct arena *arena,
                                             struct partition_page *out, struct err *err);
/* The bytes of a block of the timeline; *out_n = 0: absent. */
MUST_CHECK enum err_code partition_page_block(struct partition_page *page,
                                              const struct page_series *series, uint32_t column,
                                              uint32_t block, const uint8_t **out, size_t *out_n,
                                              struct err *err);
/* Decodes it. rows are those of the timeline's block. */
MUST_CHECK enum err_code partition_page_column(struct partition_page *page,
                                               const struct page_series *series, uint32_t column,
                                               uint32_t block, uint32_t rows,
                                               struct block_column *out, struct err *err);
MUST_CHECK enum err_code partition_page_ints(struct partition_page *page,
                                             const struct page_series *series, uint32_t column,
                                             uint32_t block, uint32_t rows, struct block_ints *out,
                                             struct err *err);
/* Reports that the page is damaged, once per page. */
void partition_page_report(struct partition *p, uint32_t number, const struct err *err);

#endif

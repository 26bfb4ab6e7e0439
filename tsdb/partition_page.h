/* A page of a partition in memory. Private to partition*.c. FORMAT.md section 10.4.
 *
 * The page's head is read and checked as a whole, and where its series are is noted; a series is taken
 * apart when it is asked for. Of a page with pieces, blocks are read and checked when they are asked
 * for. What is packed is unpacked first. What was checked can come from the partition's cache and stays
 * there for others; everything else is in the arena given to the load. One thread; ends with
 * partition_page_close. */
#ifndef TSDB_PARTITION_PAGE_H
#define TSDB_PARTITION_PAGE_H

#include "tsdb/page_cache.h"
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
    uint32_t offset; /* as its blocks count; and what is stored: */
    uint32_t size;
    uint32_t stored_at;
    uint32_t stored_bytes; /* other than size: packed */
    uint32_t crc;
};

struct page_mark { /* where a series begins */
    uint32_t head_at;
    uint32_t block_at;     /* behind the head */
    uint32_t first_column; /* in the page */
};

/* What is known of a page that was checked: one piece of memory, of an arena or the cache. */
struct page_content {
    const uint8_t *head; /* unpacked */
    uint32_t head_bytes;
    const struct page_mark *marks; /* one more than series: the end */
    const struct page_piece *pieces;
    uint32_t piece_count; /* 0: all is in head */
    uint32_t blocks_at;   /* in the page */
};

struct page_piece_state {
    const uint8_t *bytes; /* NULL: not read */
    bool pinned;
};

struct partition_page {
    struct partition *p;
    struct page_cache *cache; /* NULL: none */
    struct arena *arena;
    struct page_place place;
    uint32_t number;
    const struct page_content *content;
    bool pinned;
    struct page_series **series; /* NULL each, until asked for */
    struct page_piece_state *pieces;
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
 * reported. cache may be NULL. */
MUST_CHECK enum err_code partition_page_load(struct partition *p, uint32_t number,
                                             const uint8_t *bytes, struct page_cache *cache,
                                             struct arena *arena, struct partition_page *out,
                                             struct err *err);
/* As that, if the page is in the cache; else *out_found is false. */
MUST_CHECK enum err_code partition_page_find(struct partition *p, uint32_t number,
                                             struct page_cache *cache, struct arena *arena,
                                             struct partition_page *out, bool *out_found,
                                             struct err *err);
/* Lets go of what is in the cache; before the arena is reset. A zeroed one is fine. */
void partition_page_close(struct partition_page *page);
/* A series of the page, counted from its first. */
MUST_CHECK enum err_code partition_page_series(struct partition_page *page, uint32_t i,
                                               const struct page_series **out, struct err *err);
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

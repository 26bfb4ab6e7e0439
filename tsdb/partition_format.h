/* What writer and reader of partitions share: FORMAT.md section 10. Private to partition*.c. */
#ifndef TSDB_PARTITION_FORMAT_H
#define TSDB_PARTITION_FORMAT_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "tsdb/chunk/block.h"

#define PARTITION_INDEX_MAGIC "BRASAPIX"
#define PARTITION_DATA_MAGIC "BRASAPDT"

enum {
    PARTITION_VERSION_MIN = 4,
    PARTITION_VERSION_PACKED_PAGES = 5, /* from here on pages may be packed */
    PARTITION_VERSION = 6,              /* and the index */
    PARTITION_VERSION_SUMMARIES = 7,    /* and there is a section of summaries */
    PARTITION_MAGIC_BYTES = 8,
    PARTITION_TRAILER_BYTES = 24,
    PARTITION_DATA_HEADER_BYTES = 16,
    PARTITION_FRAME_BYTES_MAX = 64 << 20,
    PARTITION_PAGE_ENTRY_BYTES = 20,
    PARTITION_LIST_GROUP = 16,       /* items of a block of a list */
    PARTITION_SERIES_GROUP = 128,    /* of the series table */
    PARTITION_STRING_MAX = 64 << 20, /* one label set, packed */
    PARTITION_PAGE_MAX = 1 << 30,
};

enum partition_section {
    SECTION_TARGETS,
    SECTION_METRICS,
    SECTION_NAMES,
    SECTION_VALUES,
    SECTION_POSTINGS,
    SECTION_TARGET_SERIES,
    SECTION_METRIC_SERIES,
    SECTION_METRIC_NAMES,
    SECTION_TIMELINES,
    SECTION_SERIES,
    SECTION_REPEATS,
    SECTION_PAGES,
    SECTION_LAYOUTS,
    SECTION_SUMMARIES, /* from version 6 on */
    SECTION_COUNT
};

enum { PARTITION_OUT_OF_ORDER = 1, PARTITION_INDEX_PACKED = 2 }; /* flags of the frame */
/* A piece of the index that would be packed smaller is stored as it is. */
enum { PARTITION_PIECE_RATIO_MAX = 32 };
enum { PAGE_PIECES = 1, PAGE_PACKED = 2 }; /* flags of a page */
/* A page without pieces, or a piece, that is larger when unpacked is never packed. */
enum { PACKED_BYTES_MAX = 256 << 10 };
enum { WORD_COLUMNS = 1, WORD_FIRST_BLOCK = 2, WORD_BITS = 2 };
enum { KEY_SAME_LAYOUT = 8 };
enum { NUMBERS_FROM_BASE = 0, NUMBERS_BY_STEPS = 1 };

static inline uint32_t partition_section_count(uint8_t version) {
    return version >= PARTITION_VERSION_SUMMARIES ? SECTION_COUNT : SECTION_SUMMARIES;
}

/* Entries of blocks, as in L0 pages. */
enum {
    ENTRY_ABSENT = 0,
    ENTRY_CONSTANTS = 1,                                        /* + value */
    ENTRY_BLOCKS = ENTRY_CONSTANTS + BLOCK_ONE_BYTE_VALUES - 1, /* + length */
};

static inline uint32_t partition_crc_seed(uint32_t number, uint32_t place) {
    uint8_t bytes[8];
    put_u32(put_u32(bytes, number), place);
    return hash_crc32c(0, bytes, sizeof(bytes));
}

static inline uint32_t partition_piece_crc(uint32_t number, uint32_t first_series, uint32_t piece,
                                           const uint8_t *bytes, size_t n) {
    uint8_t index[4];
    put_u32(index, piece);
    return hash_crc32c(hash_crc32c(partition_crc_seed(number, first_series), index, sizeof(index)),
                       bytes, n);
}

#endif

/* The inside of an open partition, and access to its index. Private to partition*.c.
 *
 * Every access names a section and is checked against its size and, once per piece of 64 KiB,
 * against the checksum. A piece that is packed is unpacked then, and stays so. */
#ifndef TSDB_PARTITION_INDEX_H
#define TSDB_PARTITION_INDEX_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/mutex.h"
#include "tsdb/hist_columns.h"
#include "tsdb/partition.h"
#include "tsdb/partition_format.h"

struct inflater;

struct partition {
    struct partition_options options; /* dir is owned */
    uint8_t version;
    struct partition_info info;
    char *index_path;
    char *data_path;
    struct vfs_view index; /* whole file */
    uint64_t index_bytes;  /* sections end before; unpacked */
    uint64_t frame_offset; /* in the file */
    bool index_packed;
    const uint8_t *plain; /* the index before the frame, as far as pieces are known to be good */
    uint8_t *unpacked;    /* of mem_reserve; NULL: plain is in the view */
    const uint8_t *piece_crcs; /* in the frame; packed: a size before each */
    uint64_t *piece_offsets;   /* packed: in the file */
    _Atomic uint8_t *pieces;   /* enum piece_state */
    struct mutex unpack_mu;    /* who unpacks a piece */
    struct {
        uint64_t offset;
        uint64_t size;
    } sections[SECTION_COUNT];
    uint32_t *parents;
    uint32_t page_count;
    struct vfs_file *data;
    uint64_t cache_owner;                      /* in options.cache */
    _Atomic(struct inflater *) spare_inflater; /* NULL: none, or somebody uses it */
    struct hist_layouts *layouts;
    _Atomic uint64_t *damaged_pages;           /* bits: reported */
    _Atomic(_Atomic uint64_t *) known_sets[2]; /* NULL until asked for */
};

enum piece_state { PIECE_UNKNOWN = 0, PIECE_GOOD = 1, PIECE_BAD = 2 };

/* ---- partition_piece.c ---- */

/* What the frame says of pieces; false: bytes that no writer writes. */
MUST_CHECK bool partition_take_pieces(struct partition *p, struct cursor *from);
/* Fills to with exactly size bytes of a zstd frame. */
MUST_CHECK enum err_code partition_unpack(struct partition *p, const uint8_t *from, size_t n,
                                          uint8_t *to, size_t size, struct err *err);
void partition_release_pieces(struct partition *p);

/* n bytes at offset of a section, as long as the partition is open. ERR_CORRUPT. */
MUST_CHECK enum err_code partition_bytes(struct partition *p, enum partition_section section,
                                         uint64_t offset, uint64_t n, const uint8_t **out,
                                         struct err *err);
/* Bytes in the section that make no sense though their checksum is right. */
enum err_code partition_bad_index(const struct partition *p, enum partition_section section,
                                  uint64_t offset, struct err *err);
enum err_code partition_bad_frame(const struct partition *p, const char *what, uint64_t offset,
                                  struct err *err);
/* Calls the damage callback. */
void partition_report(const struct partition *p, const struct err *err);

/* ---- lists ---- */

struct partition_list {
    enum partition_section section;
    uint64_t offset; /* in the section */
    uint64_t size;
    uint32_t count; /* items */
    uint32_t group; /* items of a block */
};

struct partition_list partition_section_list(const struct partition *p,
                                             enum partition_section section, uint32_t count,
                                             uint32_t group);
/* Bytes of a block. */
MUST_CHECK enum err_code partition_list_block(struct partition *p,
                                              const struct partition_list *list, uint32_t block,
                                              struct cursor *out, struct err *err);
/* Takes a front-coded string; text has the one before (empty at the start of a block). False: bytes
 * that no writer writes. */
MUST_CHECK bool partition_take_string(struct cursor *from, struct buf *text);

/* ---- label names ---- */

struct partition_name_entry {
    struct str name; /* in the text given to the search, until that changes */
    struct partition_list values;
    struct partition_list postings; /* one item more: the name itself */
};

struct partition_name_iter {
    uint32_t next;
    struct cursor block;
    struct buf text;
};
void partition_name_iter_init(struct partition_name_iter *it);
void partition_name_iter_release(struct partition_name_iter *it);
MUST_CHECK enum err_code partition_next_name(struct partition *p, struct partition_name_iter *it,
                                             struct partition_name_entry *out, bool *out_more,
                                             struct err *err);
/* *out_found is false when no series has the name. */
MUST_CHECK enum err_code partition_find_name(struct partition *p, struct str name,
                                             struct partition_name_entry *out, bool *out_found,
                                             struct err *err);

/* ---- values of a name ---- */

/* First value that is not below text; values.count when there is none. *out_equal: it is text. */
MUST_CHECK enum err_code partition_lower_value(struct partition *p,
                                               const struct partition_list *values, struct str text,
                                               uint32_t *out_value, bool *out_equal,
                                               struct err *err);

struct partition_value_iter {
    const struct partition_list *values;
    uint32_t next;
    struct cursor block;
    struct buf text;
};
/* From value first on. */
MUST_CHECK enum err_code partition_value_iter_init(struct partition *p,
                                                   const struct partition_list *values,
                                                   uint32_t first, struct partition_value_iter *it,
                                                   struct err *err);
void partition_value_iter_release(struct partition_value_iter *it);
/* The text is valid until the next call. */
MUST_CHECK enum err_code partition_next_value(struct partition *p, struct partition_value_iter *it,
                                              struct str *out, bool *out_more, struct err *err);

/* ---- series ---- */

struct partition_series_block {
    uint32_t number; /* UINT32_MAX: empty */
    uint32_t first;
    uint32_t count;
    uint32_t targets[PARTITION_SERIES_GROUP];
    uint32_t metrics[PARTITION_SERIES_GROUP];
    uint32_t timelines[PARTITION_SERIES_GROUP];
};

static inline struct partition_series_block *
partition_series_block_init(struct partition_series_block *block) {
    block->number = UINT32_MAX;
    block->first = 0;
    block->count = 0;
    return block;
}
/* Makes block the one that has the series. */
MUST_CHECK enum err_code partition_series_block_load(struct partition *p, uint32_t series,
                                                     struct partition_series_block *block,
                                                     struct err *err);
/* Series of metric name number value of __name__: [*out_begin, *out_end). */
MUST_CHECK enum err_code partition_name_range(struct partition *p, uint32_t value,
                                              uint32_t value_count, uint32_t *out_begin,
                                              uint32_t *out_end, struct err *err);
/* The id list with the series that repeat the one before. */
MUST_CHECK enum err_code partition_repeats(struct partition *p, struct cursor *out,
                                           struct err *err);

/* ---- timelines ---- */

struct partition_ts_block {
    uint32_t rows;
    int64_t min_ts_ms;
    int64_t max_ts_ms;
    const uint8_t *bytes;
    size_t size;
};
/* The blocks' table, in arena. */
MUST_CHECK enum err_code partition_ts_blocks(struct partition *p, uint32_t timeline,
                                             struct arena *arena, struct partition_ts_block **out,
                                             uint32_t *out_count, struct err *err);
/* First and last time of a timeline. */
MUST_CHECK enum err_code partition_timeline_range(struct partition *p, uint32_t timeline,
                                                  int64_t *out_min, int64_t *out_max,
                                                  struct err *err);
enum err_code partition_bad_timeline(const struct partition *p, uint32_t timeline, struct err *err);

#endif

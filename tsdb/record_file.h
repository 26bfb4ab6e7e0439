/* Files of checked records: what the WAL, the series log and the L0 segments have in common.
 *
 * A file is a 32-byte header and then records {type, size, number, CRC32C, payload}, see
 * FORMAT.md section 1. Checksums are seeded with the kind, shard and number that the file's NAME
 * promises, so a record of another file never passes, and a damaged file header costs no record.
 *
 * READING A DAMAGED FILE. A record with a good header and a bad payload is skipped by its length.
 * A bad header is followed by a search, byte by byte, for the next header that passes its own
 * checksum and has a later number. What lies between is damage: reported with path and offset,
 * counted, copied to the quarantine folder. When nothing valid follows it is a torn tail (a write
 * that never finished), which is no damage. Zeros up to the end are preallocated space.
 *
 * Private to tsdb/. Threads: pure functions, or on objects of the caller. */
#ifndef TSDB_RECORD_FILE_H
#define TSDB_RECORD_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/vfs.h"

enum {
    RECORD_FILE_HEADER_BYTES = 32,
    RECORD_HEADER_BYTES = 16,
    RECORD_SIZE_MAX = (1 << 24) - 1, /* payload */
    RECORD_QUARANTINE_MAX = 1 << 20, /* bytes copied for one damage; the rest is only counted */
};

/* What a file is; stands in its header and in the seed of its checksums. */
struct record_file_id {
    const char *magic; /* 8 bytes */
    uint32_t shard;
    uint32_t number; /* of the file; its name is this in 8 decimal digits or more */
};

/* Bytes of a file that could not be used. Borrowed for the call. */
struct record_damage {
    const char *path;
    uint64_t offset;
    uint64_t size;
    bool torn; /* the end of a write that was cut short, not corruption */
    const char *reason;
};

/* Called for each; the owner logs it and counts. */
typedef void record_damage_fn(void *ctx, const struct record_damage *damage);

struct record_scan_stats {
    uint64_t records;
    uint64_t record_bytes; /* headers included */
    uint64_t torn_bytes;
    uint64_t damaged_records; /* places, at least one record each */
    uint64_t damaged_bytes;
};

/* One intact record. Borrowed for the call. */
struct record_view {
    uint8_t type;
    uint32_t number; /* in its file: 0, 1, 2 ... */
    uint32_t size;
    const uint8_t *payload;
    uint64_t offset; /* of its header */
    uint64_t left;   /* bytes of the file behind the record */
};

/* *out_extra: bytes behind the record that belong to it and are skipped (0 at the call; segments);
 * more than record->left says that the record is cut short, which counts as a bad one.
 * An error stops the scan and is its result. */
typedef enum err_code record_scan_fn(void *ctx, const struct record_view *record,
                                     uint64_t *out_extra, struct err *err);

struct record_scan_options {
    struct record_file_id id;
    const char *path;           /* for reports */
    const char *quarantine_dir; /* may be NULL */
    struct vfs *vfs;            /* for the quarantine */
    size_t read_ahead_bytes;    /* per pread */
    bool closed;                /* a later file exists: a bad end is damage, not a torn write */
    record_damage_fn *damage;   /* may be NULL */
    void *damage_ctx;
};

uint32_t record_file_seed(const struct record_file_id *id);
/* Writes RECORD_FILE_HEADER_BYTES. */
void record_file_header(uint8_t *to, const struct record_file_id *id);
/* ERR_UNSUPPORTED for an intact header of a newer version; ERR_CORRUPT for a damaged one. */
MUST_CHECK enum err_code record_file_header_check(const uint8_t *bytes, size_t n,
                                                  const struct record_file_id *id, struct err *err);

/* Writes header and payload to to (RECORD_HEADER_BYTES + size bytes); returns the byte behind.
 * payload may already stand at to + RECORD_HEADER_BYTES. type is not 0. */
uint8_t *record_write(uint8_t *to, uint32_t seed, uint8_t type, uint32_t number,
                      const void *payload, uint32_t size);
/* Checks a whole record in memory; ERR_CORRUPT without a path (the caller wraps). */
MUST_CHECK enum err_code record_check(const uint8_t *bytes, size_t n, uint32_t seed,
                                      struct record_view *out, struct err *err);

/* Reads a file from its header to its end. *out_end is the offset behind the last intact record,
 * where a torn tail may be cut; *out_next the number for the next record. stats are added to. */
MUST_CHECK enum err_code record_scan(struct vfs_file *f, const struct record_scan_options *options,
                                     record_scan_fn *fn, void *ctx, uint64_t *out_end,
                                     uint32_t *out_next, struct record_scan_stats *stats,
                                     struct err *err);

/* Numbers of the record files in a folder (other names are left alone), ascending; the caller
 * ends *out with mem_free. */
MUST_CHECK enum err_code record_file_list(struct vfs *vfs, const char *dir, uint32_t **out,
                                          size_t *out_count, struct err *err);
/* The number of a new file; *io_next moves on. UINT32_MAX is no file's: what comes behind it would stand
 * before all others. ERR_NO_SPACE: no number is left. */
MUST_CHECK enum err_code record_file_take_number(uint32_t *io_next, const char *dir,
                                                 uint32_t *out_number, struct err *err);
/* "<dir>/<8 digits>"; owned by the caller (mem_free). */
char *record_file_path(const char *dir, uint32_t number);

#endif

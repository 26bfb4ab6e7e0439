#include "damage_kinds.h"

#include <fnmatch.h>
#include <string.h>

#include "base/bytes.h"
#include "tsdb/partition_format.h"

/* ---- variants (FORMAT.md 10) ---- */

enum { TRAILER_BYTES = 24, FRAME_WINDOW = 8, DATA_HEADER_BYTES = 16, SUMMARIES_VERSION = 7 };

/* The frame of an index; NULL when it has none. */
static const uint8_t *frame_of(const uint8_t *index, size_t n) {
    if (n < TRAILER_BYTES) {
        return NULL;
    }
    const uint64_t offset = load_u64(index + n - TRAILER_BYTES);
    return offset < n - TRAILER_BYTES - FRAME_WINDOW - 16 ? index + offset : NULL;
}

static bool is_packed_index(const uint8_t *bytes, size_t n) {
    const uint8_t *frame = frame_of(bytes, n);
    return frame != NULL && (frame[2] & PARTITION_INDEX_PACKED) != 0;
}

static bool is_plain_index(const uint8_t *bytes, size_t n) {
    return frame_of(bytes, n) != NULL && !is_packed_index(bytes, n);
}

static bool has_summaries(const uint8_t *bytes, size_t n) {
    const uint8_t *frame = frame_of(bytes, n);
    return frame != NULL && frame[0] >= SUMMARIES_VERSION;
}

static bool has_packed_pages(const uint8_t *bytes, size_t n) {
    return n > DATA_HEADER_BYTES && (bytes[DATA_HEADER_BYTES] & 2) != 0;
}

static bool has_plain_pages(const uint8_t *bytes, size_t n) {
    return n > DATA_HEADER_BYTES && (bytes[DATA_HEADER_BYTES] & 2) == 0;
}

bool damage_partition_window(const uint8_t *index, size_t n, int64_t *out_start, int64_t *out_end) {
    const uint8_t *frame = frame_of(index, n);
    if (frame == NULL) {
        return false;
    }
    *out_start = (int64_t)load_u64(frame + FRAME_WINDOW);
    *out_end = (int64_t)load_u64(frame + FRAME_WINDOW + 8);
    return true;
}

/* ---- the table ---- */

const struct damage_kind damage_kinds[] = {
    {"wal/<shard>/<number>", "", NULL, LOSS_ROWS, LOSS_HEAD, true},
    {"l0/<shard>/<number>", "", NULL, LOSS_ROWS, LOSS_HEAD, true},
    {"series/<number>", "", NULL, LOSS_ROWS, LOSS_HEAD, true}, /* of what has no copy yet */
    {"notes/<number>", "", NULL, LOSS_NOTE, LOSS_NOTES, true},
    {"partitions/<number>/index", "plain", is_plain_index, LOSS_PARTITION, LOSS_PARTITION, true},
    {"partitions/<number>/index", "packed", is_packed_index, LOSS_PARTITION, LOSS_PARTITION, true},
    {"partitions/<number>/index", "with summaries", has_summaries, LOSS_PARTITION, LOSS_PARTITION,
     true},
    {"partitions/<number>/data", "plain", has_plain_pages, LOSS_PARTITION, LOSS_PARTITION, true},
    {"partitions/<number>/data", "packed", has_packed_pages, LOSS_PARTITION, LOSS_PARTITION, true},
    {"partitions/MANIFEST-<number>.copy", "", NULL, LOSS_NONE, LOSS_NONE, true},
    {"partitions/MANIFEST-<number>", "", NULL, LOSS_NONE, LOSS_NONE, true},
    {"tombstones", "", NULL, LOSS_NONE, LOSS_NONE, true},
    {"tombstones.copy", "", NULL, LOSS_NONE, LOSS_NONE, true},
    {"snapshots/<name>/", "", NULL, LOSS_NONE, LOSS_NONE, false},
    {"quarantine/<name>", "", NULL, LOSS_NONE, LOSS_NONE, false},
    {"lock", "", NULL, LOSS_NONE, LOSS_NONE, false},
    {"queries.active", "", NULL, LOSS_NONE, LOSS_NONE, false},
};
const size_t damage_kind_count = sizeof(damage_kinds) / sizeof(damage_kinds[0]);

bool damage_kind_has(const struct damage_kind *kind, const char *path, const uint8_t *bytes,
                     size_t n) {
    char pattern[64];
    size_t to = 0;
    for (const char *c = kind->path; *c != '\0' && to + 1 < sizeof(pattern); c++) {
        if (*c == '<') {
            c = strchr(c, '>');
        }
        pattern[to++] = *c == '>' ? '*' : *c;
    }
    pattern[to] = '\0';
    return fnmatch(pattern, path, FNM_PATHNAME) == 0 && (kind->is == NULL || kind->is(bytes, n));
}

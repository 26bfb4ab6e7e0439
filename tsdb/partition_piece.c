/* Pieces of a partition's index: checked when they are first looked at, and unpacked if they are packed.
 * FORMAT.md section 10.1.
 *
 * CONCURRENCY. A piece that is plain may be checked by several threads at once, with one result. What
 * is packed is unpacked by one: its bytes do not change any more once a reader may see them.
 *
 * WHY NOT in the page cache: what partition_bytes gives is kept for as long as the partition is open,
 * by strings of label values among others. Only indexes that are large beside their data are packed,
 * those of young partitions; they are merged, and closed, within hours. */
#include <inttypes.h>

#include "base/compress.h"
#include "base/mem.h"
#include "tsdb/partition_index.h"

static const char *const section_names[SECTION_COUNT] = {
    "target sets", "metric sets",       "label names",       "label values",
    "postings",    "series of targets", "series of metrics", "metric names",
    "timelines",   "series table",      "repeats",           "pages",
    "layouts",     "summaries"};

/* ---- damage ---- */

void partition_report(const struct partition *p, const struct err *err) {
    if (p->options.damage != NULL) {
        p->options.damage(p->options.damage_ctx, err);
    }
}

enum err_code partition_bad_index(const struct partition *p, enum partition_section section,
                                  uint64_t offset, struct err *err) {
    return err_set(err, ERR_CORRUPT, "partition file %s: bad %s at %soffset %" PRIu64,
                   p->index_path, section_names[section], p->index_packed ? "unpacked " : "",
                   p->sections[section].offset + offset);
}

enum err_code partition_bad_frame(const struct partition *p, const char *what, uint64_t offset,
                                  struct err *err) {
    return err_set(err, ERR_CORRUPT, "partition file %s: %s at offset %" PRIu64, p->index_path,
                   what, offset);
}

/* ---- pieces ---- */

struct piece_place {
    const uint8_t *stored;
    size_t stored_bytes;
    size_t bytes;
    uint64_t offset; /* in the file */
    uint32_t crc;
};

static size_t piece_bytes(const struct partition *p, uint64_t piece) {
    const uint64_t left = p->index_bytes - piece * PARTITION_PIECE_BYTES;
    return left < PARTITION_PIECE_BYTES ? (size_t)left : PARTITION_PIECE_BYTES;
}

static struct piece_place place_of(const struct partition *p, uint64_t piece) {
    struct piece_place place = {.bytes = piece_bytes(p, piece)};
    if (p->index_packed) {
        place.offset = p->piece_offsets[piece];
        place.stored_bytes = load_u32(p->piece_crcs + piece * 8);
        place.crc = load_u32(p->piece_crcs + piece * 8 + 4);
    } else {
        place.offset = piece * PARTITION_PIECE_BYTES;
        place.stored_bytes = place.bytes;
        place.crc = load_u32(p->piece_crcs + piece * 4);
    }
    place.stored = p->index.bytes + place.offset;
    return place;
}

static bool take_packed_pieces(struct partition *p, struct cursor *from, uint64_t pieces) {
    uint64_t offset = 0;
    p->piece_crcs = from->at;
    p->piece_offsets = mem_array((size_t)pieces + 1, sizeof(*p->piece_offsets));
    for (uint64_t i = 0; i < pieces; i++) {
        const uint32_t stored = cursor_u32(from);
        const size_t bytes = piece_bytes(p, i);
        (void)cursor_u32(from); /* its checksum */
        if (stored > bytes || stored < bytes / PARTITION_PIECE_RATIO_MAX) {
            return false;
        }
        p->piece_offsets[i] = offset;
        offset += stored;
    }
    return !from->failed && cursor_left(from) == 0 && offset == p->frame_offset;
}

bool partition_take_pieces(struct partition *p, struct cursor *from) {
    const size_t entry = p->index_packed ? 8 : 4;
    const uint64_t pieces = (p->index_bytes + PARTITION_PIECE_BYTES - 1) / PARTITION_PIECE_BYTES;
    if (cursor_left(from) / entry != pieces || cursor_left(from) % entry != 0) {
        return false;
    }
    p->pieces = mem_zalloc((size_t)pieces + 1);
    if (!p->index_packed) {
        p->piece_crcs = from->at;
        p->plain = p->index.bytes;
        return true;
    }
    return take_packed_pieces(p, from, pieces);
}

void partition_release_pieces(struct partition *p) {
    mem_unreserve(p->unpacked, (size_t)p->index_bytes);
    mem_free(p->piece_offsets);
    mem_free((void *)p->pieces);
    inflater_free(atomic_load(&p->spare_inflater));
}

enum err_code partition_unpack(struct partition *p, const uint8_t *from, size_t n, uint8_t *to,
                               size_t size, struct err *err) {
    struct inflater *none = NULL;
    struct inflater *inflater = atomic_exchange(&p->spare_inflater, NULL);
    inflater = inflater != NULL ? inflater : inflater_new();
    const enum err_code code = unpack_zstd(inflater, from, n, to, size, err);
    if (!atomic_compare_exchange_strong(&p->spare_inflater, &none, inflater)) {
        inflater_free(inflater);
    }
    return code;
}

static enum err_code bad_piece(const struct partition *p, uint64_t piece, struct err *err) {
    return partition_bad_frame(p, "bad piece", place_of(p, piece).offset, err);
}

/* Reports it the first time. */
static enum err_code set_state(struct partition *p, uint64_t piece, bool good, struct err *err) {
    const uint8_t before = atomic_exchange(&p->pieces[piece], good ? PIECE_GOOD : PIECE_BAD);
    if (!good && before == PIECE_UNKNOWN) {
        struct err report;
        (void)bad_piece(p, piece, &report);
        partition_report(p, &report);
    }
    return good ? ERR_OK : bad_piece(p, piece, err);
}

static bool is_intact(const struct partition *p, uint64_t piece, const struct piece_place *place) {
    return hash_crc32c(partition_crc_seed(p->info.number, (uint32_t)piece), place->stored,
                       place->stored_bytes) == place->crc;
}

static bool unpack_piece(struct partition *p, uint64_t piece) REQUIRES(p->unpack_mu) {
    const struct piece_place place = place_of(p, piece);
    uint8_t *to = p->unpacked + piece * PARTITION_PIECE_BYTES;
    if (!is_intact(p, piece, &place)) {
        return false;
    }
    if (place.stored_bytes == place.bytes) {
        memcpy(to, place.stored, place.bytes);
        return true;
    }
    return partition_unpack(p, place.stored, place.stored_bytes, to, place.bytes, NULL) == ERR_OK;
}

static enum err_code unpack_locked(struct partition *p, uint64_t piece, struct err *err)
    REQUIRES(p->unpack_mu) {
    if (p->unpacked == NULL) {
        p->unpacked = mem_reserve((size_t)p->index_bytes);
        p->plain = p->unpacked;
    }
    if (p->unpacked == NULL) {
        return err_set(err, ERR_LIMIT,
                       "partition file %s: no room for an index of %" PRIu64 " bytes",
                       p->index_path, p->index_bytes);
    }
    const uint8_t state = atomic_load_explicit(&p->pieces[piece], memory_order_acquire);
    return set_state(
        p, piece, state == PIECE_GOOD || (state == PIECE_UNKNOWN && unpack_piece(p, piece)), err);
}

static enum err_code check_piece(struct partition *p, uint64_t piece, struct err *err) {
    if (p->index_packed) {
        mutex_lock(&p->unpack_mu);
        const enum err_code code = unpack_locked(p, piece, err);
        mutex_unlock(&p->unpack_mu);
        return code;
    }
    const struct piece_place place = place_of(p, piece);
    const uint8_t state = atomic_load_explicit(&p->pieces[piece], memory_order_acquire);
    return set_state(p, piece,
                     state == PIECE_GOOD || (state == PIECE_UNKNOWN && is_intact(p, piece, &place)),
                     err);
}

enum err_code partition_bytes(struct partition *p, enum partition_section section, uint64_t offset,
                              uint64_t n, const uint8_t **out, struct err *err) {
    const uint64_t size = p->sections[section].size;
    if (offset > size || n > size - offset) {
        return partition_bad_index(p, section, offset, err);
    }
    const uint64_t at = p->sections[section].offset + offset;
    for (uint64_t piece = at / PARTITION_PIECE_BYTES;
         n != 0 && piece <= (at + n - 1) / PARTITION_PIECE_BYTES; piece++) {
        if (UNLIKELY(atomic_load_explicit(&p->pieces[piece], memory_order_acquire) != PIECE_GOOD)) {
            const enum err_code code = check_piece(p, piece, err);
            if (code != ERR_OK) {
                return code;
            }
        }
    }
    *out = n != 0 ? p->plain + at : p->index.bytes;
    return ERR_OK;
}

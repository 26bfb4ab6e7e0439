/* gzip by libdeflate, which is two to three times as fast as zlib but wants the whole input and
 * the whole room for the output at once; zstd by its streaming interface, which falls back to one
 * pass when the frame says its size and the room is there.
 *
 * gzip's trailer holds the size of its member modulo 2^32. It is taken as a hint for the room:
 * a page from an honest peer is inflated by one call. A lying hint costs at most what the limits
 * allow anyway, because room is capped by them before it is reserved. */
#include "base/compress.h"

#include <libdeflate.h>
#include <zstd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"

enum {
    RATIO_MAX = 200,
    RATIO_FREE_BYTES = 1024 * 1024, /* any ratio is fine up to here */
    ROOM_MIN_BYTES = 4096,
    ZSTD_WINDOW_LOG_MAX = 23, /* 8 MiB, the most that RFC 8878 asks of a receiver */
    GZIP_HEADER_BYTES = 10,
    GZIP_TRAILER_BYTES = 8,
};

struct inflater {
    struct libdeflate_decompressor *deflate;
    ZSTD_DCtx *zstd;
};

struct inflater *inflater_new(void) {
    return mem_zalloc(sizeof(struct inflater));
}

void inflater_free(struct inflater *inflater) {
    if (inflater != NULL) {
        libdeflate_free_decompressor(inflater->deflate);
        (void)ZSTD_freeDCtx(inflater->zstd);
        mem_free(inflater);
    }
}

/* Where the output must end at the latest: the buffer's maximum, and what this input may become. */
static size_t output_limit(struct str in, const struct buf *to) {
    const size_t by_ratio = in.len > SIZE_MAX / RATIO_MAX ? SIZE_MAX : in.len * RATIO_MAX;
    const size_t most = by_ratio > RATIO_FREE_BYTES ? by_ratio : RATIO_FREE_BYTES;
    const size_t room = to->max_bytes - to->len;
    return to->len + (room < most ? room : most);
}

static COLD enum err_code too_large(struct err *err, const char *format, size_t bytes) {
    return err_set(err, ERR_LIMIT, "%s: content is larger than %zu bytes", format, bytes);
}

static enum err_code gzip_check_header(struct str in, struct err *err) {
    if (in.len < GZIP_HEADER_BYTES) {
        return err_set(err, ERR_INVALID, in.len == 0 ? "EOF" : "unexpected EOF");
    }
    const uint8_t *p = (const uint8_t *)in.ptr;
    if (p[0] != 0x1F || p[1] != 0x8B || p[2] != 8) {
        return err_set(err, ERR_INVALID, "gzip: invalid header");
    }
    if (in.len < GZIP_HEADER_BYTES + GZIP_TRAILER_BYTES) {
        return err_set(err, ERR_INVALID, "unexpected EOF");
    }
    return ERR_OK;
}

/* One member from the front of *in. limit: to->len may not pass it. */
static enum err_code gzip_member(struct libdeflate_decompressor *deflate, struct str *in,
                                 size_t limit, struct buf *to, struct err *err) {
    size_t want = load_u32(in->ptr + in->len - 4);
    if (want < ROOM_MIN_BYTES) {
        want = ROOM_MIN_BYTES;
    }
    for (;;) {
        const size_t left = limit - to->len;
        const size_t room = want < left ? want : left;
        char *at = buf_reserve(to, room);
        ASSERT(at != NULL); /* limit is within the maximum */
        size_t used = 0;
        size_t made = 0;
        switch (libdeflate_gzip_decompress_ex(deflate, in->ptr, in->len, at, room, &used, &made)) {
        case LIBDEFLATE_SUCCESS:
            to->len += made;
            to->ptr[to->len] = '\0';
            *in = str_from(*in, used);
            return ERR_OK;
        case LIBDEFLATE_INSUFFICIENT_SPACE:
            if (room == left) {
                return too_large(err, "gzip", limit);
            }
            want = room * 2;
            break;
        case LIBDEFLATE_BAD_DATA:
        case LIBDEFLATE_SHORT_OUTPUT:
        default:
            return err_set(err, ERR_INVALID, "gzip: corrupt or truncated data");
        }
    }
}

/* A failed call takes back what it appended. */
static void set_length(struct buf *to, size_t len) {
    to->len = len;
    if (to->ptr != NULL) {
        to->ptr[len] = '\0';
    }
}

enum err_code inflate_gzip(struct inflater *inflater, struct str in, struct buf *to,
                           struct err *err) {
    if (to->failed) {
        return too_large(err, "gzip", to->max_bytes);
    }
    if (inflater->deflate == NULL) {
        inflater->deflate = libdeflate_alloc_decompressor();
        if (inflater->deflate == NULL) {
            return err_set(err, ERR_UNAVAILABLE, "gzip: out of memory");
        }
    }
    const size_t before = to->len;
    const size_t limit = output_limit(in, to);
    enum err_code code = ERR_OK;
    do {
        code = gzip_check_header(in, err);
        if (code == ERR_OK) {
            code = gzip_member(inflater->deflate, &in, limit, to, err);
        }
    } while (code == ERR_OK && in.len > 0);
    if (code != ERR_OK) {
        set_length(to, before);
    }
    return code;
}

/* Room to begin with: what the first frame says, or a guess. */
static size_t zstd_first_room(struct str in) {
    const unsigned long long said = ZSTD_getFrameContentSize(in.ptr, in.len);
    if (said == ZSTD_CONTENTSIZE_UNKNOWN || said == ZSTD_CONTENTSIZE_ERROR) {
        return in.len < SIZE_MAX / 8 ? in.len * 4 : in.len;
    }
    return said < SIZE_MAX ? (size_t)said : SIZE_MAX;
}

static enum err_code zstd_frames(ZSTD_DCtx *zstd, struct str in, size_t limit, struct buf *to,
                                 struct err *err) {
    ZSTD_inBuffer input = {in.ptr, in.len, 0};
    size_t want = zstd_first_room(in);
    size_t pending = 1; /* 0: between two frames */
    while (input.pos < input.size || pending != 0) {
        const size_t left = limit - to->len;
        want = want < ROOM_MIN_BYTES ? ROOM_MIN_BYTES : want;
        const size_t room = want < left ? want : left;
        char *at = buf_reserve(to, room);
        ASSERT(at != NULL);
        ZSTD_outBuffer output = {at, room, 0};
        const size_t pos_before = input.pos;
        pending = ZSTD_decompressStream(zstd, &output, &input);
        if (ZSTD_isError(pending)) {
            return err_set(err, ERR_INVALID, "zstd: %s", ZSTD_getErrorName(pending));
        }
        set_length(to, to->len + output.pos);
        if (output.pos == 0 && input.pos == pos_before) {
            if (pending != 0 && left == 0) {
                return too_large(err, "zstd", limit);
            }
            if (input.pos == input.size) {
                return err_set(err, ERR_INVALID, "zstd: unexpected EOF");
            }
        }
        want = to->len;
    }
    return ERR_OK;
}

static enum err_code need_zstd(struct inflater *inflater, struct err *err) {
    if (inflater->zstd == NULL) {
        inflater->zstd = ZSTD_createDCtx();
        if (inflater->zstd == NULL) {
            return err_set(err, ERR_UNAVAILABLE, "zstd: out of memory");
        }
        const size_t rc =
            ZSTD_DCtx_setParameter(inflater->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
        ASSERT(!ZSTD_isError(rc));
    }
    return ERR_OK;
}

enum err_code inflate_zstd(struct inflater *inflater, struct str in, struct buf *to,
                           struct err *err) {
    if (to->failed) {
        return too_large(err, "zstd", to->max_bytes);
    }
    if (in.len == 0) {
        return err_set(err, ERR_INVALID, "zstd: unexpected EOF");
    }
    if (need_zstd(inflater, err) != ERR_OK) {
        return ERR_UNAVAILABLE;
    }
    const size_t reset = ZSTD_DCtx_reset(inflater->zstd, ZSTD_reset_session_only);
    ASSERT(!ZSTD_isError(reset));
    const size_t before = to->len;
    const enum err_code code = zstd_frames(inflater->zstd, in, output_limit(in, to), to, err);
    if (code != ERR_OK) {
        set_length(to, before);
    }
    return code;
}

/* ---- pieces of a known size ---- */

struct packer {
    ZSTD_CCtx *zstd;
};

struct packer *packer_new(int level) {
    ASSERT(level >= 1 && level <= 19);
    struct packer *packer = mem_alloc(sizeof(*packer));
    packer->zstd = ZSTD_createCCtx();
    ASSERT(packer->zstd != NULL);
    size_t rc = ZSTD_CCtx_setParameter(packer->zstd, ZSTD_c_compressionLevel, level);
    ASSERT(!ZSTD_isError(rc));
    rc = ZSTD_CCtx_setParameter(packer->zstd, ZSTD_c_contentSizeFlag, 0);
    ASSERT(!ZSTD_isError(rc));
    return packer;
}

void packer_free(struct packer *packer) {
    if (packer != NULL) {
        (void)ZSTD_freeCCtx(packer->zstd);
        mem_free(packer);
    }
}

size_t pack_zstd(struct packer *packer, const void *in, size_t n, void *to, size_t room) {
    const size_t made = ZSTD_compress2(packer->zstd, to, room, in, n);
    return ZSTD_isError(made) ? 0 : made;
}

enum err_code unpack_zstd(struct inflater *inflater, const void *in, size_t n, void *to,
                          size_t size, struct err *err) {
    if (need_zstd(inflater, err) != ERR_OK) {
        return ERR_UNAVAILABLE;
    }
    const size_t made = ZSTD_decompressDCtx(inflater->zstd, to, size, in, n);
    if (ZSTD_isError(made)) {
        return err_set(err, ERR_CORRUPT, "zstd: %s", ZSTD_getErrorName(made));
    }
    return made == size ? ERR_OK
                        : err_set(err, ERR_CORRUPT, "zstd: %zu bytes instead of %zu", made, size);
}

enum err_code deflate_gzip(struct str in, int level, struct buf *to, struct err *err) {
    ASSERT(level >= 1 && level <= 12);
    if (to->failed) {
        return too_large(err, "gzip", to->max_bytes);
    }
    struct libdeflate_compressor *deflate = libdeflate_alloc_compressor(level);
    if (deflate == NULL) {
        return err_set(err, ERR_UNAVAILABLE, "gzip: out of memory");
    }
    size_t room = libdeflate_gzip_compress_bound(deflate, in.len);
    if (room > to->max_bytes - to->len) {
        room = to->max_bytes - to->len;
    }
    char *at = buf_reserve(to, room);
    const char *from = in.ptr != NULL ? in.ptr : "";
    const size_t made = libdeflate_gzip_compress(deflate, from, in.len, at, room);
    libdeflate_free_compressor(deflate);
    if (made == 0) {
        return too_large(err, "gzip", to->max_bytes);
    }
    set_length(to, to->len + made);
    return ERR_OK;
}

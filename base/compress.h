/* Compression with limits: output is capped by the caller's buf, and the ratio at 200:1 beyond
 * the first MiB (a bomb is ERR_LIMIT in little time). gzip by libdeflate, zstd with an 8 MiB
 * window cap. A struct inflater holds scratch memory of one thread. */
#ifndef BASE_COMPRESS_H
#define BASE_COMPRESS_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct inflater;

struct inflater *inflater_new(void);
void inflater_free(struct inflater *inflater);
/* Appends the inflated bytes to to; ERR_INVALID with Go's text ("gzip: invalid header"), ERR_LIMIT
 * beyond to's maximum or the ratio. Several members are concatenated. After a failure the content
 * of to is what it was. */
MUST_CHECK enum err_code inflate_gzip(struct inflater *inflater, struct str in, struct buf *to,
                                      struct err *err);
MUST_CHECK enum err_code inflate_zstd(struct inflater *inflater, struct str in, struct buf *to,
                                      struct err *err);
/* Pieces whose size the reader knows: one zstd frame that says neither size nor checksum. A struct
 * packer is scratch memory of one thread. */
struct packer;

struct packer *packer_new(int level); /* 1 .. 19 */
void packer_free(struct packer *packer);
/* How many of room bytes the packed ones take; 0: that is not enough room, which should be a little
 * more than they take. */
MUST_CHECK size_t pack_zstd(struct packer *packer, const void *in, size_t n, void *to, size_t room);
/* Fills to with exactly size bytes and never writes more, whatever the frame says. ERR_CORRUPT: it
 * is not a frame of so many. */
MUST_CHECK enum err_code unpack_zstd(struct inflater *inflater, const void *in, size_t n, void *to,
                                     size_t size, struct err *err);
/* For HTTP answers; level 1..12. */
MUST_CHECK enum err_code deflate_gzip(struct str in, int level, struct buf *to, struct err *err);

#endif

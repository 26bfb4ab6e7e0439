/* gzip of a text that is made piece by piece: one member, written as the pieces come. Whole texts
 * are cheaper with deflate_gzip (compress.h). By zlib, because libdeflate has no streams.
 *
 * Owner: one thread at a time. */
#ifndef BASE_GZIP_STREAM_H
#define BASE_GZIP_STREAM_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/str.h"

struct gzip_stream;

/* level 1..9; NULL without memory for it (a quarter of a MiB). */
MUST_CHECK struct gzip_stream *gzip_stream_new(int level);
void gzip_stream_free(struct gzip_stream *stream); /* NULL is fine */
/* Appends what is ready of the text so far to to, all of it when last; to fails at its maximum. */
void gzip_stream_write(struct gzip_stream *stream, struct str piece, bool last, struct buf *to);

#endif

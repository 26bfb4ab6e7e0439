/* Packs as the peers do whose messages and files we read: by libsnappy, which the server itself has no
 * need of. */
#ifndef TESTS_SUPPORT_SNAPPY_PACK_H
#define TESTS_SUPPORT_SNAPPY_PACK_H

#include "base/buf.h"
#include "base/str.h"

/* Appends the packed form of in. */
void snappy_pack(struct str in, struct buf *to);

#endif

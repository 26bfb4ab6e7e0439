/* The slots of one group, read one by one: a copy of what they were when it was opened. Everything lives
 * in the read's arena. One thread. */
#ifndef TSDB_HEAD_READER_H
#define TSDB_HEAD_READER_H

#include "tsdb/head.h"
#include "tsdb/sample_room.h"

struct head_reader;

/* slots ascend; they, read and err are borrowed until the last read. */
MUST_CHECK enum err_code head_reader_open(const struct head_read *read, struct head_group *g,
                                          const uint32_t *slots, size_t n, struct head_reader **out,
                                          struct err *err);
/* Elements of a sample_room that the floats of a slot may need. */
size_t head_reader_room(const struct head_reader *reader);
/* Samples of slots[i]. room may be NULL. */
MUST_CHECK enum err_code head_reader_read(struct head_reader *reader, size_t i,
                                          struct sample_room *room, struct storage_samples *out);

#endif

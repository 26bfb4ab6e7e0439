/* A slow, plain reader of pages in protobuf without native histograms, written from the messages'
 * definitions alone (spec: scraping, 5.3), to compare the reader with. It writes down what it finds,
 * so that there is one text to compare. */
#ifndef FUZZ_EXPO_PROTO_SLOW_H
#define FUZZ_EXPO_PROTO_SLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/labels.h"
#include "base/str.h"

/* The page's families and samples, one a line, and "end" or "bad" behind them. */
void slow_proto_read(struct str page, struct buf *to);

/* The lines, which the other side writes, too. Labels are put in order of name and value. */
void slow_proto_family(struct buf *to, struct str name, struct str help, struct str unit,
                       uint32_t kind);
void slow_proto_sample(struct buf *to, double value, int64_t ts_ms, int64_t start_ts_ms,
                       struct label *labels, size_t label_count);

#endif

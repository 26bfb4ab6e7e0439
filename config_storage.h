/* The storage and runtime sections as they are written in the file (spec/config.md sections 2 and
 * 9). Checked by their tables; config.c fills in the retention of the command line. Plain values:
 * what has a pointer lives in the binder's arena. */
#ifndef CONFIG_STORAGE_H
#define CONFIG_STORAGE_H

#include "config_bind.h"

struct retention_options {
    int64_t time_ms, size_bytes;
    double percent;
};

struct chunk_encoding_options {
    struct str floats;
};

struct tsdb_options {
    int64_t out_of_order_window_untagged_ms; /* Prometheus shows a field of its own by mistake */
    int64_t out_of_order_window_ms;
    double stale_series_compaction_threshold;
    struct chunk_encoding_options chunk_encoding;
    struct retention_options retention;
    bool has_retention;
};

enum { EXEMPLARS_DEFAULT = 100000 }; /* without a section */

struct exemplar_options {
    int64_t max_exemplars;
};

struct storage_options {
    struct tsdb_options tsdb;
    bool has_tsdb;
    struct exemplar_options exemplars;
    bool has_exemplars;
};

struct runtime_options {
    int64_t gogc;
};

extern const struct bind_table storage_options_table;
extern const struct bind_table runtime_options_table;

#endif

/* Streaming JSON writer onto a buf: commas and nesting are kept by the writer, so that handlers
 * cannot produce bad JSON. Two ways to write strings: json_str escapes < > & as Go's encoder
 * does, json_label_str does not (spec/http-api.md section 1). */
#ifndef BASE_JSON_OUT_H
#define BASE_JSON_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/labels.h"
#include "base/str.h"

/* Deeper than a parsed query of the greatest depth, two levels a node; passing it is our bug. */
enum { JSON_OUT_DEPTH_MAX = 1024 };

struct json_out {
    struct buf *to;
    unsigned depth;
    bool need_comma[JSON_OUT_DEPTH_MAX];
};

void json_out_init(struct json_out *j, struct buf *to);
void json_object_begin(struct json_out *j);
void json_object_end(struct json_out *j);
void json_array_begin(struct json_out *j);
void json_array_end(struct json_out *j);
void json_key(struct json_out *j, const char *key); /* a literal of ours */
void json_key_str(struct json_out *j, struct str key);
void json_str(struct json_out *j, struct str s);
void json_label_str(struct json_out *j, struct str s);
void json_i64(struct json_out *j, int64_t v);
void json_u64(struct json_out *j, uint64_t v);
void json_f64(struct json_out *j,
              double v); /* plain number, shortest; null for NaN and infinities */
void json_bool(struct json_out *j, bool v);
void json_raw(struct json_out *j, struct str json);     /* one whole value */
void json_timestamp_ms(struct json_out *j, int64_t ms); /* seconds, 3 decimals unless whole */
void json_sample_value(struct json_out *j, double v);   /* "1.5" in quotes, number_format_json */
void json_labels(struct json_out *j, struct labels labels); /* {"a":"b"} */

/* Texts of timestamps, as series of one answer mostly have the same. Zeroed before first use. */
enum { JSON_TIMES_MAX = 512 };
struct json_times {
    struct json_time {
        int64_t ms;
        uint8_t len; /* 0: empty */
        char text[23];
    } slots[JSON_TIMES_MAX];
};

/* Pairs [time, "value"] as json_timestamp_ms and json_sample_value write them, n values of the open
 * array. The first one's time is looked up in slot first % JSON_TIMES_MAX, the next in the next. */
void json_samples(struct json_out *j, const int64_t *ts, const double *values, size_t n,
                  struct json_times *times, size_t first);

/* Inline, because jansson exports a function of this name and calls it itself. */
static inline void json_null(struct json_out *j) {
    json_raw(j, STR("null"));
}

#endif

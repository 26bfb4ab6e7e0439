/* A slow, plain reader of the text format, written from its grammar alone (spec: scraping, 5.1), to
 * compare the parser with: byte after byte over a copy that ends in a newline. Pages with NUL bytes
 * are not for it. */
#ifndef FUZZ_EXPO_TEXT_SLOW_H
#define FUZZ_EXPO_TEXT_SLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum { SLOW_LABELS_MAX = 2048 };

enum slow_result { SLOW_SAMPLE, SLOW_END, SLOW_BAD };

struct slow_reader {
    const char *text; /* ends in a newline that the page may lack, and a NUL */
    const char *at;
    /* of the last sample */
    struct str series;
    struct str name;
    struct str label_names[SLOW_LABELS_MAX];
    struct str label_values[SLOW_LABELS_MAX];
    size_t label_count;
    double value;
    bool has_timestamp;
    int64_t timestamp_ms;
};

/* text: the page with "\n" and a NUL behind it. */
void slow_init(struct slow_reader *r, const char *text);
/* The next sample; comments and metadata are checked and skipped. */
enum slow_result slow_next(struct slow_reader *r);

#endif

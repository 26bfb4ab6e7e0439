/* A slow, plain reader of OpenMetrics, written from its grammar alone (spec: scraping, 5.2), to
 * compare the parser with. Pages with NUL bytes are not for it. */
#ifndef FUZZ_EXPO_OM_SLOW_H
#define FUZZ_EXPO_OM_SLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum { OM_SLOW_LABELS_MAX = 1024 };

enum om_slow_result {
    OM_SLOW_SAMPLE,
    OM_SLOW_HELP,
    OM_SLOW_TYPE,
    OM_SLOW_UNIT,
    OM_SLOW_END,
    OM_SLOW_BAD
};

struct om_slow_label {
    struct str name, value; /* raw */
};

struct om_slow {
    const char *at; /* in a text that ends in a NUL */
    /* of the last entry */
    struct str family, text;
    struct str series, name;
    struct om_slow_label labels[OM_SLOW_LABELS_MAX];
    size_t label_count;
    double value;
    bool has_timestamp;
    int64_t timestamp_ms;
    bool has_exemplar;
    struct om_slow_label exemplar_labels[OM_SLOW_LABELS_MAX];
    size_t exemplar_label_count;
    double exemplar_value;
    bool exemplar_has_timestamp;
    int64_t exemplar_ms;
};

void om_slow_init(struct om_slow *r, const char *text);
enum om_slow_result om_slow_next(struct om_slow *r);

#endif

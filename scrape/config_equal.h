/* Do two parsed configurations mean the same? Decides what goes on undisturbed over a reload.
 * Values are compared, secrets included, never texts. Pure. */
#ifndef SCRAPE_CONFIG_EQUAL_H
#define SCRAPE_CONFIG_EQUAL_H

#include <stdbool.h>

#include "base/http_config.h"
#include "scrape/scrape.h"
#include "scrape/sd.h"

enum config_difference {
    CONFIG_SAME,
    CONFIG_SAME_SERIES, /* other interval, timeout, sample limit or HTTP client: known series stay */
    CONFIG_OTHER,
};

/* Discovery is left out: its changes arrive as targets. */
enum config_difference scrape_config_compare(const struct scrape_config *a,
                                             const struct scrape_config *b);

#endif

/* Text exposition format 0.0.4 / 1.0.0 (spec/scrape.md 5.1): one of the formats behind
 * scrape/expo.h, whose contract holds here. */
#ifndef SCRAPE_EXPO_TEXT_H
#define SCRAPE_EXPO_TEXT_H

#include "base/attr.h"
#include "base/err.h"
#include "scrape/expo.h"

/* expo_next for EXPO_FORMAT_TEXT, but for the length of lines. */
MUST_CHECK enum err_code expo_text_next(struct expo_parser *p, struct expo_entry *out,
                                        struct err *err);

#endif

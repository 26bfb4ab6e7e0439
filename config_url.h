/* A URL as an option of the file (spec/config.md section 5): kept as it is written, checked as Go's
 * url.Parse checks it, printed without its password. The text lives in the binder's arena. */
#ifndef CONFIG_URL_H
#define CONFIG_URL_H

#include "config_bind.h"

struct url_option {
    struct str text;
    bool set; /* "" is set, null is not */
};

/* Binds and prints a struct url_option. */
extern const struct bind_custom url_option_custom;

/* ERR_INVALID: parse "x": missing protocol scheme. */
MUST_CHECK enum err_code url_option_check(struct arena *arena, struct str url, struct err *err);

#endif

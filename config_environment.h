/* Variables of the environment that a configuration file uses: "${NAME}" in external labels, as
 * Go's os.Expand reads it. Pure but for reading the environment, which nothing in the process
 * writes. Results live in the binder's arena. */
#ifndef CONFIG_ENVIRONMENT_H
#define CONFIG_ENVIRONMENT_H

#include "base/log.h"
#include "config_bind.h"
#include "config_sd.h"

/* "" when the variable is not set. */
struct str environment_get(struct arena *arena, struct str name);

/* Puts variables into the values of labels; a variable that is not set is empty and logged as a
 * warning. ERR_LIMIT: external label x is too long after expansion. */
MUST_CHECK enum err_code environment_expand(struct binder *b, struct label_options *labels,
                                            struct log *log, struct err *err);

#endif

/* The server: all modules made, wired, started and stopped in order. Owned by main; app_reload may
 * be called from any thread. */
#ifndef APP_H
#define APP_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "flags.h"

struct app;

/* Where a start failed decides the exit code: 2 for configuration, 1 for the rest. */
enum app_failure { APP_FAILED_CONFIG, APP_FAILED_RUNTIME };

/* Loads the configuration, opens the data folder, listens, starts everything. flags, and the arena
 * they live in, must outlive the app. On failure the error is logged already. */
MUST_CHECK enum err_code app_start(const struct flags *flags, struct arena *arena, struct log *log,
                                   struct app **out, enum app_failure *out_failure);
/* Reads the configuration again; on any error the old one stays. */
MUST_CHECK enum err_code app_reload(struct app *app, struct err *err);
/* Orderly stop: no more answers, no more scrapes, queues drained, log synced. */
void app_stop(struct app *app);

#endif

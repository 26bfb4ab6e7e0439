/* Is an Alertmanager's configuration the same as before a reload? Then its endpoints and their queues go
 * on. Private to alert/. Pure. */
#ifndef ALERT_ALERT_CONFIG_EQUAL_H
#define ALERT_ALERT_CONFIG_EQUAL_H

#include <stdbool.h>

#include "alert/alert.h"

bool alertmanager_config_equal(const struct alertmanager_config *a,
                               const struct alertmanager_config *b);

#endif

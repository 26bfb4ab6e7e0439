/* From a discovered target to an Alertmanager's URL. Private to alert/. Pure. */
#ifndef ALERT_ALERT_TARGET_H
#define ALERT_ALERT_TARGET_H

#include <stdbool.h>

#include "alert/alert.h"

/* The URL to post to, in arena; *out_url is empty and *out_kept false for a target that
 * relabelling dropped. ERR_INVALID for addresses with '/', which fail their whole group. */
MUST_CHECK enum err_code alert_target_url(const struct alertmanager_config *config,
                                          struct labels target, struct labels group,
                                          struct arena *arena, bool *out_kept, struct str *out_url,
                                          struct labels *out_before, struct err *err);

/* The JSON array that Alertmanager's v2 API takes. */
void alert_message_json(struct json_out *j, const struct alert_message *alert);

/* External labels where absent, then relabelling. False when dropped. Result in arena. */
MUST_CHECK enum err_code alert_message_relabel(const struct relabel_rules *rules,
                                               struct labels labels, struct labels external,
                                               struct arena *arena, bool *out_kept,
                                               struct labels *out, struct err *err);

#endif

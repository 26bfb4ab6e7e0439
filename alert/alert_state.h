/* State machine of one alerting rule's instances (spec/rules-alerts.md section 3). Private to
 * alert/; the rule manager's lock guards it. Times are Unix ms. */
#ifndef ALERT_ALERT_STATE_H
#define ALERT_ALERT_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alert/alert.h"

struct alert {
    struct arena arena; /* of labels and annotations */
    uint64_t hash;      /* of labels */
    struct labels labels;
    struct labels annotations;
    double value;
    enum alert_state state; /* ALERT_INACTIVE = resolved */
    int64_t active_at_ms, fired_at_ms, resolved_at_ms, last_sent_at_ms,
        keep_firing_since_ms; /* 0 = not */
    int64_t valid_until_ms;
    bool returned; /* by the evaluation that runs now */
};

struct alert_set {
    struct alert **items; /* in order of first appearance */
    size_t count, capacity;
    uint32_t *slots;   /* open addressing by hash: position in items + 1, 0 = free */
    size_t slot_count; /* a power of two, at least twice count; 0 at first */
};

void alert_set_release(struct alert_set *set);
/* NULL when no alert has these labels. */
struct alert *alert_set_find(const struct alert_set *set, struct labels labels);
/* An instance that the rule's expression returned: a new one becomes pending, a resolved one starts
 * anew, a live one takes value and annotations. labels and annotations are copied. */
void alert_set_returned(struct alert_set *set, struct labels labels, struct labels annotations,
                        double value, int64_t ts_ms);
/* Ends an evaluation: moves every alert as its return or absence demands, forgets what is over.
 * Returns the number of pending and firing ones. */
size_t alert_set_advance(struct alert_set *set, int64_t ts_ms, int64_t for_ms,
                         int64_t keep_firing_for_ms);
void alert_set_clear(struct alert_set *set);
/* Is it time to send the alert (again)? */
bool alert_needs_sending(const struct alert *a, int64_t ts_ms, int64_t resend_delay_ms);

#endif

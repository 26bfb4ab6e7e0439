/* STATES
 *                  returned, for = 0 or waited
 *     (new) ─▶ PENDING ─────────────────────────▶ FIRING ◀─┐ returned, or kept by keep_firing_for
 *                 │ not returned: removed            │ ────┘
 *                 ▼                                  ▼ not returned
 *              (gone) ◀── 15 min after resolving ── INACTIVE ── returned: starts anew as PENDING
 *
 * A firing alert whose rule got a longer "for" goes back to PENDING. */
#include "alert/alert_state.h"

#include <string.h>

#include "base/mem.h"

enum { RESOLVED_RETENTION_MS = 15 * 60 * 1000, SLOTS_MIN = 16 };

static void alert_free(struct alert *a) {
    arena_release(&a->arena);
    mem_free(a);
}

/* The first free slot for a hash, or the one that holds the labels. */
static uint32_t *find_slot(const struct alert_set *set, uint64_t hash, struct labels labels) {
    size_t at = (size_t)hash & (set->slot_count - 1);
    for (; set->slots[at] != 0; at = (at + 1) & (set->slot_count - 1)) {
        const struct alert *a = set->items[set->slots[at] - 1];
        if (a->hash == hash && labels_eq(a->labels, labels)) {
            break;
        }
    }
    return &set->slots[at];
}

static void reindex(struct alert_set *set) {
    if (set->slot_count < 2 * set->capacity) {
        set->slot_count = set->slot_count == 0 ? SLOTS_MIN : set->slot_count;
        while (set->slot_count < 2 * set->capacity) {
            set->slot_count *= 2;
        }
        set->slots = mem_resize(set->slots, set->slot_count, sizeof(*set->slots));
    }
    if (set->slot_count != 0) {
        memset(set->slots, 0, set->slot_count * sizeof(*set->slots));
    }
    for (size_t i = 0; i < set->count; i++) {
        *find_slot(set, set->items[i]->hash, set->items[i]->labels) = (uint32_t)(i + 1);
    }
}

void alert_set_clear(struct alert_set *set) {
    for (size_t i = 0; i < set->count; i++) {
        alert_free(set->items[i]);
    }
    set->count = 0;
    reindex(set);
}

void alert_set_release(struct alert_set *set) {
    alert_set_clear(set);
    mem_free(set->items);
    mem_free(set->slots);
    *set = (struct alert_set){.count = 0};
}

struct alert *alert_set_find(const struct alert_set *set, struct labels labels) {
    if (set->count == 0) {
        return NULL;
    }
    const uint32_t slot = *find_slot(set, labels_hash(labels), labels);
    return slot != 0 ? set->items[slot - 1] : NULL;
}

static struct alert *alert_new(struct labels labels, int64_t ts_ms) {
    struct alert *a = mem_zalloc(sizeof(*a));
    arena_init(&a->arena, 0);
    a->labels = labels_copy(&a->arena, labels);
    a->hash = labels_hash(labels);
    a->state = ALERT_PENDING;
    a->active_at_ms = ts_ms;
    return a;
}

/* Annotations change with each evaluation: the old ones must not pile up in the arena. */
static void set_annotations(struct alert *a, struct labels annotations) {
    if (labels_eq(a->annotations, annotations)) {
        return;
    }
    struct arena fresh;
    arena_init(&fresh, 0);
    const struct labels labels = labels_copy(&fresh, a->labels);
    a->annotations = labels_copy(&fresh, annotations);
    a->labels = labels;
    arena_release(&a->arena);
    a->arena = fresh;
}

void alert_set_returned(struct alert_set *set, struct labels labels, struct labels annotations,
                        double value, int64_t ts_ms) {
    struct alert *a = alert_set_find(set, labels);
    if (a == NULL) {
        if (set->count == set->capacity) {
            set->capacity = mem_grow(set->capacity, set->count + 1);
            set->items = mem_resize(set->items, set->capacity, sizeof(struct alert *));
            reindex(set);
        }
        a = alert_new(labels, ts_ms);
        set->items[set->count++] = a;
        *find_slot(set, a->hash, labels) = (uint32_t)set->count;
    } else if (a->state == ALERT_INACTIVE) {
        a->state = ALERT_PENDING;
        a->active_at_ms = ts_ms;
        a->fired_at_ms = a->resolved_at_ms = a->last_sent_at_ms = a->keep_firing_since_ms = 0;
    }
    set_annotations(a, annotations);
    a->value = value;
    a->returned = true;
}

/* False when the alert is over and forgotten. */
static bool advance_absent(struct alert *a, int64_t ts_ms, int64_t keep_firing_for_ms) {
    if (a->state == ALERT_FIRING && keep_firing_for_ms > 0) {
        if (a->keep_firing_since_ms == 0) {
            a->keep_firing_since_ms = ts_ms;
        }
        if (ts_ms - a->keep_firing_since_ms < keep_firing_for_ms) {
            a->returned = true;
            return true;
        }
    }
    if (a->state == ALERT_PENDING ||
        (a->resolved_at_ms != 0 && ts_ms - a->resolved_at_ms > RESOLVED_RETENTION_MS)) {
        return false;
    }
    if (a->state != ALERT_INACTIVE) {
        a->state = ALERT_INACTIVE;
        a->resolved_at_ms = ts_ms;
    }
    return true;
}

static void advance_active(struct alert *a, int64_t ts_ms, int64_t for_ms) {
    if (a->state == ALERT_PENDING && ts_ms - a->active_at_ms >= for_ms) {
        a->state = ALERT_FIRING;
        a->fired_at_ms = ts_ms;
    } else if (a->state == ALERT_FIRING && ts_ms - a->active_at_ms < for_ms) {
        a->state = ALERT_PENDING;
        a->fired_at_ms = a->last_sent_at_ms = a->keep_firing_since_ms = 0;
    }
}

size_t alert_set_advance(struct alert_set *set, int64_t ts_ms, int64_t for_ms,
                         int64_t keep_firing_for_ms) {
    size_t kept = 0;
    size_t active = 0;
    for (size_t i = 0; i < set->count; i++) {
        struct alert *a = set->items[i];
        if (a->returned) {
            a->keep_firing_since_ms = 0;
        } else if (!advance_absent(a, ts_ms, keep_firing_for_ms)) {
            alert_free(a);
            continue;
        }
        if (a->returned) {
            advance_active(a, ts_ms, for_ms);
            active++;
        }
        a->returned = false;
        set->items[kept++] = a;
    }
    if (kept != set->count) {
        set->count = kept;
        reindex(set);
    }
    return active;
}

bool alert_needs_sending(const struct alert *a, int64_t ts_ms, int64_t resend_delay_ms) {
    if (a->state == ALERT_PENDING) {
        return false;
    }
    if (a->resolved_at_ms > a->last_sent_at_ms) {
        return true;
    }
    return a->last_sent_at_ms + resend_delay_ms < ts_ms;
}

#include "query/kept_samples.h"

#include <string.h>

#include "base/check.h"

/* What does not stay in the cache costs as much to copy to new memory as to decode again. */
enum { MEMORY_SHARE = 8, KEEP_MAX_BYTES = 4 * 1024 * 1024 };

enum err_code kept_samples_open(struct eval *ev, const struct plan *plan, struct err *err) {
    if (plan->read_count == 0) {
        return ERR_OK;
    }
    ev->kept = work_zalloc(&ev->base, plan->read_count, sizeof(*ev->kept), err);
    if (ev->kept == NULL) {
        return ERR_LIMIT;
    }
    for (uint32_t i = 0; i < plan->read_count; i++) {
        work_begin(&ev->kept[i].work, &ev->budget);
    }
    ev->kept_count = plan->read_count;
    return ERR_OK;
}

void kept_samples_close(struct eval *ev) {
    for (uint32_t i = ev->kept_count; i > 0; i--) {
        work_end(&ev->kept[i - 1].work);
    }
    ev->kept_count = 0;
}

struct kept_samples *kept_samples_of(struct eval *ev, const struct plan_selector *selector) {
    ASSERT(selector->read <= ev->kept_count || ev->kept_count == 0);
    return selector->read != 0 && ev->kept_count != 0 ? &ev->kept[selector->read - 1] : NULL;
}

static void give_up(struct kept_samples *k) {
    arena_reset(&k->work.arena);
    k->work.arena.pool_refused = false;
    k->state = KEPT_GIVEN_UP;
}

static bool has_room(const struct kept_samples *k, size_t more_bytes) {
    const size_t max = k->work.budget->max_bytes;
    const size_t share = max != 0 ? max / MEMORY_SHARE : KEEP_MAX_BYTES;
    const size_t most = share < KEEP_MAX_BYTES ? share : KEEP_MAX_BYTES;
    return k->work.arena.used_bytes + more_bytes <= most;
}

static void *room_for(struct kept_samples *k, size_t count, size_t bytes) {
    return has_room(k, count * bytes) ? work_alloc(&k->work, count, bytes, NULL) : NULL;
}

void kept_samples_begin(struct kept_samples *k, size_t count, int64_t mint, int64_t maxt) {
    if (k == NULL || k->state != KEPT_NOTHING) {
        return;
    }
    k->mint = mint;
    k->maxt = maxt;
    k->capacity = count;
    k->state = KEPT_PART;
    k->samples = room_for(k, count, sizeof(*k->samples));
    if (k->samples == NULL) {
        give_up(k);
    }
}

void kept_samples_next_batch(struct kept_samples *k) {
    if (k != NULL) {
        k->last_copy = NULL;
    }
}

/* Neighbours mostly have one column of times. */
static const int64_t *copy_times(struct kept_samples *k, const struct storage_samples *from) {
    if (from->ts != k->last_ts || from->count != k->last_count || k->last_copy == NULL) {
        k->last_copy = room_for(k, from->count, sizeof(*from->ts));
        k->last_ts = from->ts;
        k->last_count = from->count;
        if (k->last_copy != NULL) {
            memcpy(k->last_copy, from->ts, from->count * sizeof(*from->ts));
        }
    }
    return k->last_copy;
}

void kept_samples_add(struct kept_samples *k, const struct storage_samples *samples) {
    if (k == NULL || k->state != KEPT_PART) {
        return;
    }
    ASSERT(k->count < k->capacity);
    struct storage_samples *kept = &k->samples[k->count++];
    *kept = (struct storage_samples){.has_stale = samples->has_stale, .count = samples->count};
    if (samples->count == 0) {
        return;
    }
    const bool plain = samples->histograms == NULL && samples->start_ts == NULL;
    double *values = plain ? room_for(k, samples->count, sizeof(*values)) : NULL;
    kept->ts = values != NULL ? copy_times(k, samples) : NULL;
    if (kept->ts == NULL) {
        give_up(k);
        return;
    }
    memcpy(values, samples->values, samples->count * sizeof(*values));
    kept->values = values;
}

void kept_samples_end(struct kept_samples *k, bool whole) {
    if (k == NULL || k->state != KEPT_PART) {
        return;
    }
    if (whole && k->count == k->capacity) {
        k->state = KEPT_ALL;
    } else {
        give_up(k);
    }
}

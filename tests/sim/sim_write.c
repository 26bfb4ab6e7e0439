/* Rows of scraped groups and pushed transactions. */
#include <string.h>

#include "base/mem.h"
#include "sim_life.h"

enum { ROW_SLOTS_MAX = 2048 }; /* histograms take hidden ones */

struct row_draft {
    struct num values[ROW_SLOTS_MAX];
    uint8_t states[ROW_SLOTS_MAX];
    const struct histogram *histograms[ROW_SLOTS_MAX];
    int64_t start_ms[ROW_SLOTS_MAX];
    struct sim_value written[SIM_SLOTS];
    bool present[SIM_SLOTS];
    struct storage_own_time own;
    size_t own_series; /* SIM_SLOTS: none */
    uint32_t slot_count;
    struct storage_row_exemplar exemplars[SIM_SLOTS];
    size_t exemplar_count;
};

bool sim_slot_of(struct sim *p, size_t number, struct sim_series *s, uint32_t *out) {
    struct err err;
    const enum err_code code = storage_group_series(p->st, p->groups[number], s->labels, out, &err);
    if (code == ERR_LIMIT && p->mode.limits && !s->has_slot) {
        p->totals->refusals++;
        return false;
    }
    if (code != ERR_OK || *out >= ROW_SLOTS_MAX) {
        sim_fail(p, "no slot for %s: %s", s->name, code != ERR_OK ? err.text : "too many");
        return false;
    }
    s->has_slot = true;
    return true;
}

static void draft_slot(struct sim *p, size_t number, struct sim_series *s, struct row_draft *d,
                       size_t i) {
    uint32_t slot = 0;
    if (!sim_slot_of(p, number, s, &slot)) {
        return;
    }
    const struct sim_value v = sim_next_value(p, s);
    const uint8_t state = sim_state_of(&v);
    d->written[i] = v;
    if (d->own_series == SIM_SLOTS && state != SLOT_STALE && sim_chance(p, 25)) {
        d->own_series = i;
        d->own = (struct storage_own_time){.slot = slot,
                                           .state = state,
                                           .ts_ms = p->now_ms - 1,
                                           .value = sim_num_of(&v),
                                           .histogram = v.histogram,
                                           .start_ts_ms = v.start_ms};
    } else {
        d->present[i] = true;
        d->values[slot] = sim_num_of(&v);
        d->states[slot] = state;
        d->histograms[slot] = v.histogram;
        d->start_ms[slot] = v.start_ms;
        if (p->mode.notes && sim_chance(p, 6)) {
            d->exemplars[d->exemplar_count++] =
                (struct storage_row_exemplar){slot, sim_next_exemplar(p, s, p->now_ms)};
        }
    }
    d->slot_count = slot >= d->slot_count ? slot + 1 : d->slot_count;
}

/* What the storage said of a row goes to the model. */
static void note_row(struct sim *p, size_t number, int64_t ts_ms, struct row_draft *d,
                     enum err_code code, const struct storage_row_result *result) {
    uint32_t count = 0;
    if (d->own_series != SIM_SLOTS && result->out_of_order == 1) {
        d->own_series = SIM_SLOTS; /* a run may know only that it has nothing newer than its end */
    }
    for (size_t i = 0; i < SIM_SLOTS; i++) {
        if (d->present[i] || d->own_series == i) {
            sim_add(sim_series_of(&p->model, number, i), d->present[i] ? ts_ms : d->own.ts_ms,
                    d->written[i], sim_promise_of(p, code));
            p->totals->histograms += d->written[i].histogram != NULL;
            count++;
        }
    }
    p->totals->samples += count;
    if (result->accepted != count) {
        sim_fail(p, "a row of %u samples: %u accepted", count, result->accepted);
    }
    sim_say(p, "row of group %zu at %lld, %u samples: code %d", number, (long long)ts_ms, count,
            code);
}

void sim_step_row(struct sim *p) {
    const size_t number = rng_below(&p->rng, SIM_GROUPS);
    struct row_draft *d = mem_zalloc(sizeof(*d));
    const int64_t ts_ms = sim_next_time(p);
    d->own_series = SIM_SLOTS;
    for (size_t i = 0; i < SIM_SLOTS && !p->failed; i++) {
        struct sim_series *s = sim_series_of(&p->model, number, i);
        const bool known = s->count != 0 || sim_chance(p, 8);
        if (known && !sim_chance(p, 12)) {
            draft_slot(p, number, s, d, i);
        }
    }
    const struct storage_row row = {
        .ts_ms = ts_ms,
        .slot_count = d->slot_count,
        .values = d->values,
        .states = d->states,
        .own_times = &d->own,
        .own_time_count = d->own_series != SIM_SLOTS ? 1 : 0,
        .histograms = p->mode.histograms ? d->histograms : NULL,
        .start_ts_ms = p->mode.histograms ? d->start_ms : NULL,
        .exemplars = d->exemplars,
        .exemplar_count = d->exemplar_count,
    };
    struct storage_row_result result;
    struct err err;
    const enum err_code code = storage_group_commit(p->st, p->groups[number], &row, &result, &err);
    sim_check_commit(p, code, &err);
    if (sim_may_be_unread(p, code) && result.accepted == 0) {
        sim_say(p, "row of group %zu: %s", number, err.text);
        sim_keep_exemplars(p, false); /* nothing is added to rows that cannot be read */
    } else {
        note_row(p, number, ts_ms, d, code, &result);
        sim_keep_exemplars(p, true);
    }
    mem_free(d);
}

void sim_step_push(struct sim *p) {
    struct storage_appender *a = NULL;
    struct err err;
    struct sim_value values[SIM_PUSHED];
    int64_t times[SIM_PUSHED];
    bool present[SIM_PUSHED] = {false};
    const int64_t ts_ms = sim_next_time(p);
    if (storage_appender_begin(p->st, &a, &err) != ERR_OK) {
        sim_fail(p, "no transaction: %s", err.text);
        return;
    }
    for (size_t i = 0; i < SIM_PUSHED; i++) {
        struct sim_series *s = &p->model.series[SIM_SCRAPED + i];
        if (sim_chance(p, 3)) {
            continue;
        }
        const int64_t last = s->count != 0 ? s->samples[s->count - 1].ts_ms : INT64_MIN;
        const int64_t late = ts_ms - (int64_t)rng_below(&p->rng, 50);
        present[i] = true;
        values[i] = sim_next_value(p, s);
        times[i] = sim_chance(p, 6) && late > last && late > p->now_ms - 1000 ? late : ts_ms;
        const enum err_code code = sim_append(p, a, s, times[i], &values[i]);
        if (sim_may_be_unread(p, code)) {
            present[i] = false;
            sim_note_failures(p);
        } else if (code == ERR_LIMIT && p->mode.limits) { /* it may have left the head */
            present[i] = false;
            p->totals->refusals++;
        } else if (code != ERR_OK) {
            sim_fail(p, "a pushed sample of %s at %lld is refused: code %d", s->name,
                     (long long)times[i], code);
        } else {
            if (p->mode.notes && sim_chance(p, 6)) {
                sim_push_exemplar(p, a, s, times[i]);
            }
        }
    }
    const enum err_code code = storage_appender_commit(p->st, a, &err);
    sim_check_commit(p, code, &err);
    for (size_t i = 0; i < SIM_PUSHED; i++) {
        if (present[i]) {
            sim_add(&p->model.series[SIM_SCRAPED + i], times[i], values[i],
                    sim_promise_of(p, code));
            p->totals->samples++;
            p->totals->histograms += values[i].histogram != NULL;
        }
    }
    sim_keep_exemplars(p, true);
    sim_say(p, "push at %lld: code %d", (long long)ts_ms, code);
}

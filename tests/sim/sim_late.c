/* Writing in order and late. A late sample has a time of the window that no sample of its series has; what the
 * database could not place for a failing disk may be there or not. */
#include <string.h>

#include "base/value.h"
#include "sim_life.h"

int64_t sim_next_time(struct sim *p) {
    const int64_t ms = 2 + (int64_t)rng_below(&p->rng, sim_chance(p, 10) ? 40000 : 3000);
    fake_clock_advance_ns(&p->clock, ms * NS_PER_MS);
    p->now_ms += ms;
    return p->now_ms;
}

double sim_next_number(struct sim *p, const struct sim_series *s) {
    const double last = s->count != 0 ? s->samples[s->count - 1].value.number : 0;
    switch (rng_below(&p->rng, 10)) {
    case 0:
        return (double)rng_below(&p->rng, 1000) / 100;
    case 1:
        return f64_of_bits(rng_u64(&p->rng) >> 2); /* any, but no NaN */
    case 2:
        return -(double)rng_below(&p->rng, 100000);
    case 3:
        return f64_stale();
    case 4:
    case 5:
        return f64_is_stale(last) ? 1 : last + (double)rng_below(&p->rng, 500);
    default:
        return f64_is_stale(last) ? 0 : last;
    }
}

enum sim_promise sim_promise_of(const struct sim *p, enum err_code code) {
    if (code != ERR_OK || p->dying) {
        return SIM_IN_MEMORY;
    }
    return p->options.wal_sync_interval_ns == 0 ? SIM_DURABLE : SIM_ACKED;
}

void sim_check_commit(struct sim *p, enum err_code code, const struct err *err) {
    sim_note_failures(p);
    if (code != ERR_OK && !p->dirty && !p->dying) {
        sim_fail(p, "a commit failed on a good disk: %s", err->text);
    }
}

/* ---- late samples ---- */

enum { LATE_MAX = 8 };

struct late_draft {
    struct sim_series *series[LATE_MAX];
    int64_t ts_ms[LATE_MAX];
    struct sim_value values[LATE_MAX];
    size_t count;
};

/* A free time of the series; it may come again where the first one was not stored. */
static bool draft_late(struct sim *p, struct sim_series *s, struct late_draft *d) {
    const int64_t ts_ms =
        p->now_ms - 1 - (int64_t)rng_below(&p->rng, sim_chance(p, 3) ? SIM_LATE_MS : 20000);
    for (size_t i = 0; i < d->count; i++) {
        if (d->series[i] == s) {
            return false;
        }
    }
    if (s->count == 0 || ts_ms >= s->samples[s->count - 1].ts_ms || sim_has(s, ts_ms)) {
        return false;
    }
    struct sim_value v = sim_next_value(p, s);
    if (sim_value_is_stale(&v)) {
        v.number = 3;
    }
    d->series[d->count] = s;
    d->ts_ms[d->count] = ts_ms;
    d->values[d->count++] = v;
    return true;
}

static void note_late(struct sim *p, const struct late_draft *d, enum err_code code,
                      const struct err *err) {
    sim_check_commit(p, code, err);
    for (size_t i = 0; i < d->count; i++) {
        sim_say(p, "late: %s at %lld: %g", d->series[i]->name, (long long)d->ts_ms[i],
                d->values[i].number);
        const struct sim_series *s = d->series[i];
        const bool hidden = d->ts_ms[i] >= s->deleted_min_ms && d->ts_ms[i] <= s->deleted_max_ms;
        sim_insert(d->series[i], d->ts_ms[i], d->values[i],
                   hidden || sim_may_be_unread(p, code) ? SIM_MAYBE : sim_promise_of(p, code));
    }
    p->totals->samples += d->count;
    sim_say(p, "%zu late samples: code %d", d->count, code);
}

static void push_late(struct sim *p) {
    struct storage_appender *a = NULL;
    struct late_draft d = {.count = 0};
    struct err err;
    if (storage_appender_begin(p->st, &a, &err) != ERR_OK) {
        sim_fail(p, "no transaction: %s", err.text);
        return;
    }
    for (size_t i = 0; i < SIM_PUSHED; i++) {
        if (sim_chance(p, 2) || !draft_late(p, &p->model.series[SIM_SCRAPED + i], &d)) {
            continue;
        }
        const size_t at = d.count - 1;
        const enum err_code code = sim_append(p, a, d.series[at], d.ts_ms[at], &d.values[at]);
        if (sim_may_be_unread(p, code)) {
            d.count--;
            sim_note_failures(p);
        } else if (code == ERR_LIMIT && p->mode.limits) {
            d.count--;
            p->totals->refusals++;
        } else if (code != ERR_OK) {
            sim_fail(p, "a late sample of %s at %lld is refused: code %d", d.series[at]->name,
                     (long long)d.ts_ms[at], code);
        }
    }
    const enum err_code code = storage_appender_commit(p->st, a, &err);
    note_late(p, &d, code, &err);
}

/* Own times of a row that has nothing else. */
static void scrape_late(struct sim *p) {
    const size_t number = rng_below(&p->rng, SIM_GROUPS);
    struct storage_group *g = p->groups[number];
    struct storage_own_time own[LATE_MAX];
    struct late_draft d = {.count = 0};
    struct err err;
    for (size_t i = 0; i < SIM_SLOTS; i++) {
        struct sim_series *s = sim_series_of(&p->model, number, i);
        uint32_t slot;
        if (sim_chance(p, 2) || !draft_late(p, s, &d)) {
            continue;
        }
        if (!sim_slot_of(p, number, s, &slot)) {
            d.count--;
            continue;
        }
        const struct sim_value *v = &d.values[d.count - 1];
        own[d.count - 1] = (struct storage_own_time){.slot = slot,
                                                     .state = sim_state_of(v),
                                                     .ts_ms = d.ts_ms[d.count - 1],
                                                     .value = sim_num_of(v),
                                                     .histogram = v->histogram,
                                                     .start_ts_ms = v->start_ms};
    }
    const struct storage_row row = {
        .ts_ms = sim_next_time(p), .own_times = own, .own_time_count = d.count};
    struct storage_row_result result;
    const enum err_code code = storage_group_commit(p->st, g, &row, &result, &err);
    note_late(p, &d, code, &err);
    if (code == ERR_OK && result.accepted != d.count) {
        sim_fail(p, "%zu late samples of a group: %u accepted", d.count, result.accepted);
    }
}

void sim_step_late(struct sim *p) {
    if (sim_chance(p, 2)) {
        push_late(p);
    } else {
        scrape_late(p);
    }
}

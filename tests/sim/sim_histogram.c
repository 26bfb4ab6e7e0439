/* Values of series: those of every group's last slots and the last pushed ones take turns between
 * histograms and floats; layouts change, counters begin anew, and all have start timestamps. */
#include "base/value.h"
#include "sim_life.h"

enum { PLAIN_SLOTS = 3, PLAIN_PUSHED = 4 };

static void draw_side(struct sim *p, struct histogram_side *side) {
    struct arena *arena = &p->model.arena;
    side->span_count = 2;
    side->spans = arena_zalloc(arena, 2 * sizeof(*side->spans));
    side->spans[0] = (struct histogram_span){.offset = (int32_t)rng_below(&p->rng, 8),
                                             .length = 1 + (uint32_t)rng_below(&p->rng, 4)};
    side->spans[1] = (struct histogram_span){.offset = 1 + (int32_t)rng_below(&p->rng, 3),
                                             .length = 1 + (uint32_t)rng_below(&p->rng, 4)};
    side->count = side->spans[0].length + side->spans[1].length;
    side->counts = arena_zalloc(arena, side->count * sizeof(*side->counts));
}

static struct histogram *draw_layout(struct sim *p) {
    struct arena *arena = &p->model.arena;
    struct histogram *h = arena_zalloc(arena, sizeof(*h));
    h->float_counts = sim_chance(p, 2);
    if (sim_chance(p, 3)) {
        h->schema = HISTOGRAM_SCHEMA_CUSTOM;
        h->bound_count = 20;
        h->bounds = arena_zalloc(arena, h->bound_count * sizeof(*h->bounds));
        for (uint32_t i = 0; i < h->bound_count; i++) {
            h->bounds[i] = i + (double)rng_below(&p->rng, 2) / 2;
        }
        draw_side(p, &h->positive);
    } else {
        h->schema = (int32_t)rng_below(&p->rng, 3);
        h->zero_threshold = 0.25 * (double)rng_below(&p->rng, 2);
        draw_side(p, &h->positive);
        if (sim_chance(p, 2)) {
            draw_side(p, &h->negative);
        }
    }
    h->hint = sim_chance(p, 5) ? HINT_GAUGE : HINT_UNKNOWN;
    return h;
}

static void grow_side(struct sim *p, struct histogram_side *side, double *count) {
    for (uint32_t i = 0; i < side->count; i++) {
        const double more = (double)rng_below(&p->rng, 3);
        side->counts[i] += more;
        *count += more;
    }
}

static void begin_anew(struct histogram *h) {
    for (uint32_t i = 0; i < h->positive.count; i++) {
        h->positive.counts[i] = 0;
    }
    for (uint32_t i = 0; i < h->negative.count; i++) {
        h->negative.counts[i] = 0;
    }
    h->zero_count = 0;
    h->count = 0;
    h->sum = 0;
}

static const struct histogram *next_histogram(struct sim *p, struct sim_series *s) {
    if (s->grows == NULL || sim_chance(p, 20)) {
        s->grows = draw_layout(p);
    } else if (sim_chance(p, 12)) {
        begin_anew(s->grows);
    }
    struct histogram *h = s->grows;
    if (!sim_chance(p, 6)) { /* or it is the same again */
        const double more = histogram_is_custom(h) ? 0 : (double)rng_below(&p->rng, 2);
        grow_side(p, &h->positive, &h->count);
        grow_side(p, &h->negative, &h->count);
        h->zero_count += more;
        h->count += more;
        h->sum += (double)rng_below(&p->rng, 100) / 4;
    }
    return histogram_copy(&p->model.arena, h);
}

struct sim_value sim_next_value(struct sim *p, struct sim_series *s) {
    struct sim_value v = {.number = 0};
    if (!p->mode.histograms) {
        v.number = sim_next_number(p, s);
        return v;
    }
    const size_t i = (size_t)(s - p->model.series);
    const bool plain =
        i < SIM_SCRAPED ? i % SIM_SLOTS < PLAIN_SLOTS : i - SIM_SCRAPED < PLAIN_PUSHED;
    if (!plain && !sim_chance(p, 7)) {
        v.histogram = next_histogram(p, s);
    } else {
        v.number = sim_next_number(p, s);
    }
    if (!sim_value_is_stale(&v) && sim_chance(p, 2)) {
        v.start_ms = p->now_ms - p->now_ms % 100000 - 1 - (int64_t)rng_below(&p->rng, 2);
    }
    return v;
}

uint8_t sim_state_of(const struct sim_value *v) {
    if (v->histogram != NULL) {
        return v->histogram->float_counts ? SLOT_FLOAT_HISTOGRAM : SLOT_HISTOGRAM;
    }
    return sim_value_is_stale(v) ? SLOT_STALE : SLOT_VALUE;
}

struct num sim_num_of(const struct sim_value *v) {
    return sim_state_of(v) == SLOT_VALUE ? num_of_double(v->number) : (struct num){0};
}

enum err_code sim_append(struct sim *p, struct storage_appender *a, const struct sim_series *s,
                         int64_t ts_ms, const struct sim_value *v) {
    if (v->histogram == NULL && v->start_ms == 0) {
        return storage_append(p->st, a, s->labels, ts_ms, v->number);
    }
    const struct storage_sample sample = {.ts_ms = ts_ms,
                                          .value = v->number,
                                          .histogram = v->histogram,
                                          .float_histogram =
                                              v->histogram != NULL && v->histogram->float_counts,
                                          .start_ts_ms = v->start_ms};
    return storage_append_sample(p->st, a, s->labels, &sample);
}

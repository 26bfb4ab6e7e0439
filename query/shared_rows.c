#include "query/shared_rows.h"

#include <string.h>

#include "base/check.h"
#include "query/bits.h"
#include "query/step_stats.h"

enum { MEMORY_SHARE = 8, DEFAULT_MEMORY_BYTES = 1 << 30 };

enum shared_state { SHARED_NEW, SHARED_RECORDING, SHARED_KEPT, SHARED_GONE };

struct shared_rows {
    struct work work; /* of everything below that is kept */
    enum shared_state state;
    uint32_t uses_left;
    struct grid grid;
    struct matrix rows;
    /* What the first evaluation counted. */
    uint64_t samples_read, samples_fetched;
    uint64_t peak_above;    /* samples held at once, above those held before */
    uint64_t *step_samples; /* NULL: not by step; those fetched behind them */
};

enum err_code shared_rows_open(struct eval *ev, const struct plan *plan, struct err *err) {
    if (plan->share_count == 0) {
        return ERR_OK;
    }
    struct shared_rows *all = work_zalloc(&ev->base, plan->share_count, sizeof(*all), err);
    if (all == NULL) {
        return ERR_LIMIT;
    }
    for (uint32_t i = 0; i < plan->share_count; i++) {
        all[i].uses_left = plan->share_uses[i];
        work_begin(&all[i].work, &ev->budget);
    }
    ev->shared = all;
    ev->shared_count = plan->share_count;
    return ERR_OK;
}

void shared_rows_close(struct eval *ev) {
    for (uint32_t i = ev->shared_count; i > 0; i--) {
        work_end(&ev->shared[i - 1].work);
    }
    ev->shared_count = 0;
}

/* All memory goes back, also what a work that is used again would keep. */
static void forget(struct shared_rows *s) {
    arena_reset(&s->work.arena);
    s->work.arena.pool_refused = false;
    s->state = SHARED_GONE;
}

static bool has_room(const struct eval *ev) {
    const size_t max = ev->budget.max_bytes != 0 ? ev->budget.max_bytes : DEFAULT_MEMORY_BYTES;
    size_t used = 0;
    for (uint32_t i = 0; i < ev->shared_count; i++) {
        used += ev->shared[i].work.arena.used_bytes;
    }
    return used <= max / MEMORY_SHARE;
}

/* ---- the first evaluation ---- */

struct tee {
    struct row_sink sink;
    struct row_sink *down;
    struct eval *ev;
    struct shared_rows *shared;
};

static struct row *tee_begin(struct row_sink *sink, struct err *err) {
    struct tee *t = (struct tee *)sink;
    return t->down->begin(t->down, err);
}

/* down may change the row: it is copied before. Labels are the query's already. */
static bool keep_row(struct shared_rows *s, const struct row *row) {
    struct row *kept = matrix_reserve(&s->rows, NULL);
    if (kept == NULL) {
        return false;
    }
    const struct row columns = *kept;
    *kept = *row;
    kept->values = columns.values;
    kept->present = columns.present;
    memcpy(kept->values, row->values, s->rows.steps * sizeof(*kept->values));
    memcpy(kept->present, row->present, bits_words(s->rows.steps) * sizeof(*kept->present));
    return matrix_keep(&s->rows, kept, NULL) == ERR_OK;
}

static enum err_code tee_end(struct row_sink *sink, struct row *row, struct err *err) {
    struct tee *t = (struct tee *)sink;
    struct shared_rows *s = t->shared;
    if (s->state == SHARED_RECORDING && !(keep_row(s, row) && has_room(t->ev))) {
        forget(s);
    }
    return t->down->end(t->down, row, err);
}

/* The counts before, to be subtracted from those after. */
static bool begin_steps(struct shared_rows *s, const struct step_stats *steps) {
    if (steps == NULL) {
        return true;
    }
    s->step_samples = work_alloc(&s->work, steps->count, 2 * sizeof(uint64_t), NULL);
    if (s->step_samples == NULL) {
        return false;
    }
    memcpy(s->step_samples, steps->samples, steps->count * sizeof(uint64_t));
    memcpy(s->step_samples + steps->count, steps->fetched, steps->count * sizeof(uint64_t));
    return true;
}

static void end_steps(struct shared_rows *s, const struct step_stats *steps) {
    for (size_t i = 0; steps != NULL && i < steps->count; i++) {
        s->step_samples[i] = steps->samples[i] - s->step_samples[i];
        s->step_samples[steps->count + i] = steps->fetched[i] - s->step_samples[steps->count + i];
    }
}

static enum err_code record(struct shared_rows *s, struct eval *ev, const struct plan_node *node,
                            const struct grid *grid, rows_source *source, struct row_sink *sink,
                            struct err *err) {
    struct tee t = {
        .sink = {.begin = tee_begin, .end = tee_end}, .down = sink, .ev = ev, .shared = s};
    const uint64_t noted = ev->notes.touched;
    const uint64_t held = ev->samples_now;
    const uint64_t peak = ev->samples_peak;
    s->samples_read = ev->samples_read;
    s->samples_fetched = ev->samples_fetched;
    s->grid = *grid;
    s->state = SHARED_RECORDING;
    matrix_init(&s->rows, &s->work, grid->count);
    if (!begin_steps(s, ev->steps)) {
        forget(s);
    }
    ev->samples_peak = held;
    const enum err_code code = source(ev, node, grid, &t.sink, err);
    s->peak_above = ev->samples_peak - held;
    ev->samples_peak = ev->samples_peak > peak ? ev->samples_peak : peak;
    if (s->state != SHARED_RECORDING) {
        return code;
    }
    if (code != ERR_OK || ev->notes.touched != noted) {
        forget(s);
        return code;
    }
    s->samples_read = ev->samples_read - s->samples_read;
    s->samples_fetched = ev->samples_fetched - s->samples_fetched;
    end_steps(s, ev->steps);
    s->state = SHARED_KEPT;
    return ERR_OK;
}

/* ---- the others ---- */

static bool fits(const struct shared_rows *s, const struct eval *ev, const struct grid *grid) {
    return s->state == SHARED_KEPT && s->grid.start_ms == grid->start_ms &&
           s->grid.count == grid->count && (grid->count == 1 || s->grid.step_ms == grid->step_ms) &&
           (ev->steps != NULL) == (s->step_samples != NULL) &&
           (ev->steps == NULL || ev->steps->count == grid->count);
}

static void count_again(const struct shared_rows *s, struct eval *ev) {
    const struct step_stats *steps = ev->steps;
    ev->samples_read += s->samples_read;
    ev->samples_fetched += s->samples_fetched;
    for (size_t i = 0; steps != NULL && i < steps->count; i++) {
        steps->samples[i] += s->step_samples[i];
        steps->fetched[i] += s->step_samples[steps->count + i];
    }
}

/* Whoever gets the row may change it, columns included. */
static enum err_code replay_row(const struct shared_rows *s, struct eval *ev,
                                const struct row *kept, struct work *tmp, struct row_sink *sink,
                                struct err *err) {
    const size_t steps = s->rows.steps;
    const struct histogram **histograms = NULL;
    if (kept->histograms != NULL) {
        work_reset(tmp);
        histograms = work_alloc(tmp, steps, sizeof(struct histogram *), err);
    }
    struct row *row = sink->begin(sink, err);
    if (row == NULL || (kept->histograms != NULL && histograms == NULL)) {
        return ERR_LIMIT;
    }
    const struct row columns = *row;
    *row = *kept;
    row->values = columns.values;
    row->present = columns.present;
    memcpy(row->values, kept->values, steps * sizeof(*row->values));
    memcpy(row->present, kept->present, bits_words(steps) * sizeof(*row->present));
    if (histograms != NULL) {
        memcpy(histograms, kept->histograms, steps * sizeof(struct histogram *));
        row->histograms = histograms;
    }
    enum err_code code = eval_hold(ev, row_weight(row, steps), err);
    if (code == ERR_OK) {
        code = eval_worked(ev, steps, err);
    }
    return code == ERR_OK ? sink->end(sink, row, err) : code;
}

static enum err_code replay(const struct shared_rows *s, struct eval *ev, struct row_sink *sink,
                            struct err *err) {
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    enum err_code code = eval_hold_briefly(ev, s->peak_above, err);
    count_again(s, ev);
    for (size_t i = 0; i < s->rows.count && code == ERR_OK; i++) {
        code = replay_row(s, ev, &s->rows.rows[i], &tmp, sink, err);
    }
    work_end(&tmp);
    return code;
}

enum err_code shared_rows_eval(struct eval *ev, const struct plan_node *node,
                               const struct grid *grid, rows_source *source, struct row_sink *sink,
                               struct err *err) {
    ASSERT(node->share > 0 && node->share <= ev->shared_count);
    struct shared_rows *s = &ev->shared[node->share - 1];
    enum err_code code = ERR_OK;
    s->uses_left -= s->uses_left > 0;
    if (fits(s, ev, grid)) {
        code = replay(s, ev, sink, err);
    } else if (s->state == SHARED_NEW && s->uses_left > 0) {
        return record(s, ev, node, grid, source, sink, err);
    } else {
        code = source(ev, node, grid, sink, err);
    }
    if (s->uses_left == 0) {
        forget(s);
    }
    return code;
}
